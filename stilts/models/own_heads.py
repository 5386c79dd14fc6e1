"""What a public checkpoint brings along above its encoder, kept beside a prepared one: pooler, head for masked tokens.

We load an encoder without them, but masked language modelling as an intermediate task should go on from its own head,
and a study may ask for the pooler. Known is the form of the RoBERTa family's head, XLM-R's: dense, LayerNorm and a
bias, decoded by the input embeddings. Of other checkpoints (BERT's has other names) nothing is kept; it is then new.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.models.encoder_files import opening, read_tensors

if TYPE_CHECKING:
    import torch

FILE = "masked_head.safetensors"
POOLER = "pooler.safetensors"
# Weights in a checkpoint, and what `stilts.tasks.formats.heads.MaskedTokenHead` calls them.
_NAMES = {"dense.weight": "dense.weight", "dense.bias": "dense.bias", "layer_norm.weight": "norm.weight",
          "layer_norm.bias": "norm.bias", "bias": "bias"}  # fmt: skip


def save_masked_head(source: Path, name: str, kept: Sequence[int] | None, folder: Path) -> None:
    """Write a checkpoint's head into the folder of a prepared encoder, if it has one of the known form.

    Parameters
    ----------
    source : Path
        The checkpoint's folder, checked as `stilts.models.encoder_files.check_folder` does.
    name : str
        What the encoder is called in messages.
    kept : sequence of int, optional
        Ids of the tokens that a trimmed vocabulary keeps; None for all.
    folder : Path
        Gets the file `FILE`.

    Raises
    ------
    StiltsError
        The checkpoint cannot be loaded with its head.
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
    """Return the weights of a prepared encoder's own head, named as in `MaskedTokenHead`; None if it has none."""
    return _read(folder / FILE)


def save_pooler(source: Path, name: str, folder: Path) -> None:
    """Write a checkpoint's pooler into the folder of a prepared encoder, if it has one: dense, and tanh.

    Parameters
    ----------
    source : Path
        The checkpoint's folder, checked as `stilts.models.encoder_files.check_folder` does.
    name : str
        What the encoder is called in messages.
    folder : Path
        Gets the file `POOLER`.

    Raises
    ------
    StiltsError
        Its weights cannot be read.
    """
    from safetensors.torch import save_file

    # In a file of the encoder alone the name has no prefix, in one with a head that of the encoder ("roberta").
    parts = {part: read_tensors(source, name, f".pooler.{part}") for part in ("dense.weight", "dense.bias")}
    if all(parts.values()):
        pooler = {part: next(iter(found.values())).float().contiguous() for part, found in parts.items()}
        save_file(pooler, folder / POOLER)


def read_pooler(folder: Path) -> "Mapping[str, torch.Tensor] | None":
    """Return the weights of a prepared encoder's own pooler, named as in `Pooler`; None if it has none."""
    return _read(folder / POOLER)


def _read(path: Path) -> "Mapping[str, torch.Tensor] | None":
    from safetensors.torch import load_file

    return load_file(path) if path.exists() else None
