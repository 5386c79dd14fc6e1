"""A checkpoint's own pooler and masked-language-modelling head, saved beside a prepared encoder.

Encoders are loaded without them, but masked language modelling as an intermediate task should start from the pretrained
head, and a study may use the pooler. Only heads of the RoBERTa family (XLM-R's) are supported: dense, LayerNorm and a
bias, decoded by the input embeddings. For other checkpoints (BERT's uses other names) the head is new.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.models.encoder_files import opening, read_tensors

if TYPE_CHECKING:
    import torch

FILE = "masked_head.safetensors"
POOLER = "pooler.safetensors"
# Names of weights in a checkpoint -> in `stilts.tasks.formats.heads.MaskedTokenHead`.
_NAMES = {"dense.weight": "dense.weight", "dense.bias": "dense.bias", "layer_norm.weight": "norm.weight",
          "layer_norm.bias": "norm.bias", "bias": "bias"}  # fmt: skip


def save_masked_head(source: Path, name: str, kept: Sequence[int] | None, folder: Path) -> None:
    """Save a checkpoint's masked-language-modelling head in a prepared encoder's folder, if it is a supported one.

    Parameters
    ----------
    source : Path
        Folder of the checkpoint, checked by `stilts.models.encoder_files.check_folder`.
    name : str
        Name of the encoder for messages.
    kept : sequence of int, optional
        Token ids that a trimmed vocabulary keeps; None for all.
    folder : Path
        Folder for the file `FILE`.

    Raises
    ------
    StiltsError
        If the checkpoint cannot be loaded with its head.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForMaskedLM

    from stilts.models.loading import load_config

    config = load_config(source, name)
    if not any(str(architecture).endswith("ForMaskedLM") for architecture in config.architectures or ()):
        return
    options = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    with opening(name, "the head for masked tokens"):
        model, loading = AutoModelForMaskedLM.from_pretrained(source, config=config, trust_remote_code=False, **options)
    state = model.state_dict()
    names = {f"lm_head.{theirs}": ours for theirs, ours in _NAMES.items()}
    if not names.keys() <= state.keys() - loading["missing_keys"]:
        return
    head = {ours: state[theirs].contiguous() for theirs, ours in names.items()}
    if kept is not None:
        head["bias"] = head["bias"][torch.as_tensor(kept)]
    save_file(head, folder / FILE)


def read_masked_head(folder: Path) -> "Mapping[str, torch.Tensor] | None":
    """Return the weights of the head saved with a prepared encoder, named as in `MaskedTokenHead`; None if missing."""
    return _read(folder / FILE)


def save_pooler(source: Path, name: str, folder: Path) -> None:
    """Save a checkpoint's pooler, if it has one, in the folder of a prepared encoder.

    Parameters
    ----------
    source : Path
        Folder of the checkpoint, checked by `stilts.models.encoder_files.check_folder`.
    name : str
        Name of the encoder for messages.
    folder : Path
        Folder for the file `POOLER`.

    Raises
    ------
    StiltsError
        If its weights cannot be read.
    """
    from safetensors.torch import save_file

    # The name has a prefix ("roberta") only in checkpoints with a head.
    parts = {part: read_tensors(source, name, f".pooler.{part}") for part in ("dense.weight", "dense.bias")}
    if all(parts.values()):
        pooler = {part: next(iter(found.values())).float().contiguous() for part, found in parts.items()}
        save_file(pooler, folder / POOLER)


def read_pooler(folder: Path) -> "Mapping[str, torch.Tensor] | None":
    """Return the weights of the pooler saved with a prepared encoder, named as in `Pooler`; None if missing."""
    return _read(folder / POOLER)


def _read(path: Path) -> "Mapping[str, torch.Tensor] | None":
    from safetensors.torch import load_file

    return load_file(path) if path.exists() else None
