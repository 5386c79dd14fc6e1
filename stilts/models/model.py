"""One shared encoder and a head for each task."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from stilts.models import adapters
from stilts.models.backbones import Backbone
from stilts.models.bfloat16 import ProductsInSinglePrecision, computes_bfloat16
from stilts.models.encoders import load_encoder
from stilts.models.own_heads import read_masked_head, read_pooler
from stilts.study.errors import StiltsError
from stilts.study.settings import Heads, TrainingSettings, task_name
from stilts.tasks.formats import MaskedLM, get_format
from stilts.tasks.formats.base import Input
from stilts.tasks.formats.heads import MeanHead, PooledHead, Pooler
from stilts.tasks.formats.language_model import LanguageModel

State = Mapping[str, torch.Tensor]  # a model's weights by name


class MultiTaskModel(nn.Module):
    """An encoder that several tasks share, and their heads.

    Parameters
    ----------
    encoder : PreTrainedModel
        Any model of `transformers` without a head: an encoder, a decoder or an encoder-decoder.
    heads : mapping of str to nn.Module
        Task -> head, as `stilts.tasks.formats.base.Format.head` makes it.
    pooler : Pooler, optional
        Between the encoder and the heads of whole inputs that are of the style "pooler".

    Raises
    ------
    StiltsError
        There is a pooler, but of a decoder's states the first, which it takes, has read nothing.
    """

    def __init__(self, encoder: PreTrainedModel, heads: Mapping[str, nn.Module], pooler: Pooler | None = None):
        super().__init__()
        self.encoder = encoder
        self.backbone = Backbone(encoder)
        if pooler is not None and self.backbone.architecture != "encoder":
            raise StiltsError(
                f"heads is 'pooler', which takes the first token's state; the model is no encoder but a "
                f"{self.backbone.architecture}, whose first token has not read the others; leave heads out"
            )
        self.pooler = pooler
        self.heads = nn.ModuleDict(heads)

    def logits(self, task: str, parts: Sequence[Input]) -> torch.Tensor:
        """Return a task's logits for a batch of inputs, padded to the longest."""
        pad_id, device = self.encoder.config.pad_token_id, self.device
        written = pad_arrays([part.written for part in parts], pad_id).to(device) if _writes(parts) else None
        return self(task, *pad(parts, pad_id, device), head_positions(parts, device), word_ends(parts, device), written)

    def forward(
        self,
        task: str,
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor | None = None,
        ends: torch.Tensor | None = None,
        written: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return a task's logits for token ids and attention mask, both (sequences, tokens).

        Where `positions` (chosen, 2) are given, rows and columns of tokens, only those go through the head, which
        decodes them by the input embeddings: the logits of all tokens over a vocabulary would fill the memory. They are
        positions in `written` (sequences, written tokens) where that is given, see `Backbone.token_states`. `ends`
        (sequences, tokens) are of use to a decoder alone: the tokens whose states stand for those in their places.
        """
        head = self.heads[task_name(task)]
        if isinstance(head, MeanHead):
            return head(self.backbone.text_states(input_ids, mask), self.backbone.text_weights(mask))
        hidden = self.backbone.token_states(input_ids, mask, written)
        if isinstance(head, PooledHead):
            return head(self.pooler(hidden))
        if positions is not None:
            embeddings = self.encoder.get_input_embeddings().weight
            return head(hidden[positions[:, 0], positions[:, 1]], embeddings)
        if ends is not None and self.backbone.architecture == "decoder":
            hidden = hidden.gather(1, ends.unsqueeze(-1).expand_as(hidden))
        return head(hidden, self.backbone.input_weights(mask))

    def begin(self, state: State | None, settings: TrainingSettings, *, goes_on: bool, draw: str) -> None:
        """Take the encoder that an earlier training left, if any, and the adapters that the settings train, if any.

        See `stilts.models.adapters.begin`, to which an encoder's part of `state` goes; the pooler, if there is one,
        goes with the encoder, the heads stay as they are.
        """
        own = encoder_part(state) if state is not None else None
        adapters.begin(self.encoder, own, settings, goes_on=goes_on, draw=draw)
        if state is not None:
            self._load_pooler(state)

    def load_encoder(self, state: State) -> None:
        """Take encoder and pooler of another model's state, adapters merged; no weight may be missing. Heads stay."""
        adapters.load_merged(self.encoder, encoder_part(state))
        self._load_pooler(state)

    def _load_pooler(self, state: State) -> None:
        if self.pooler is not None:
            self.pooler.load_state_dict(_part(state, "pooler."))

    def load(self, state: State) -> None:
        """Take another model's encoder, adapters merged, and its heads, which must be those of this model."""
        self.load_encoder(state)
        self.heads.load_state_dict(_part(state, "heads."))

    def load_heads(self, state: State) -> None:
        """Take those of another model's heads that this one has too; the others stay as they are."""
        for task, head in self.heads.items():
            if own := _part(state, f"heads.{task}."):
                head.load_state_dict(own)

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return self.encoder.device


def encoder_part(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of a model's encoder, named as in the encoder."""
    return _part(state, "encoder.")


def _part(state: State, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def build_model(
    encoder_folder: Path, heads: Mapping[str, tuple[str, Sequence[str]]], seed: int, style: Heads = "mean"
) -> MultiTaskModel:
    """Load a prepared encoder and give it new heads, drawn from `seed`.

    Parameters
    ----------
    encoder_folder : Path
        Folder in the layout of `transformers`.
    heads : mapping of str to (format name, labels)
        Tasks that need a head.
    seed : int
        Decides the heads' first weights, those of a pooler that the encoder does not bring along, and nothing else.
    style : {"mean", "pooler"}
        Of the heads, as `heads` of `stilts.study.settings.EncoderSettings` says.

    Raises
    ------
    StiltsError
        If the encoder cannot be loaded, has no embeddings that could decode masked tokens, or is of an architecture
        that has no use for a pooler.
    """
    encoder, _ = load_encoder(str(encoder_folder))
    torch.manual_seed(seed)
    modules = {
        task: _head(encoder, encoder_folder, form, labels, style)
        for task, (form, labels) in heads.items()
    }
    pooler = _pooler(encoder, encoder_folder) if style == "pooler" else None
    return MultiTaskModel(encoder, modules, pooler).to(default_device())


def _head(encoder: PreTrainedModel, folder: Path, form: str, labels: Sequence[str], style: Heads) -> nn.Module:
    if isinstance(get_format(form), LanguageModel):
        return _vocabulary_head(encoder, folder, form)
    return get_format(form).head(encoder.config.hidden_size, labels, style)


def _pooler(encoder: PreTrainedModel, folder: Path) -> Pooler:
    """Return the pooler that a checkpoint brings along, else a new one."""
    pooler = Pooler(encoder.config.hidden_size)
    if own := read_pooler(folder):
        pooler.load_state_dict(own)
    return pooler


def _vocabulary_head(encoder: PreTrainedModel, folder: Path, form: str) -> nn.Module:
    """Return a head that chooses among all tokens: for masked ones the checkpoint's own, if it has one; else new."""
    vocabulary, width = encoder.get_input_embeddings().weight.shape
    hidden = encoder.config.hidden_size
    if width != hidden:
        raise StiltsError(
            f"encoder {folder}: its embeddings have {width} dimensions and its last layer {hidden}, so they cannot "
            f"decode tokens; leave tasks of the format {form} out of the study"
        )
    head = get_format(form).head(hidden, range(vocabulary))
    if form == MaskedLM.name and (own := read_masked_head(folder)):
        head.load_state_dict(own)
    return head


def default_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pad(inputs: Sequence[Input], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask of all sequences of a batch, both (sequences, longest sequence)."""
    sequences = [sequence for part in inputs for sequence in part.sequences]
    mask = pad_arrays([np.ones_like(sequence) for sequence in sequences], 0)
    return pad_arrays(sequences, pad_id).to(device), mask.to(device)


def pad_arrays(arrays: Sequence[np.ndarray], value: int) -> torch.Tensor:
    """Return arrays of whole numbers as one tensor, (arrays, longest array), the shorter ones filled at their end."""
    padded = torch.full((len(arrays), max(map(len, arrays))), value)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = torch.from_numpy(array)
    return padded


def word_ends(inputs: Sequence[Input], device: torch.device) -> torch.Tensor | None:
    """Return where the word of each token of a batch ends, (sequences, tokens); None where inputs do not tell."""
    if inputs[0].ends is None:
        return None
    return pad_arrays([part.ends for part in inputs], 0).to(device)


def _writes(inputs: Sequence[Input]) -> bool:
    return inputs[0].written is not None


def head_positions(inputs: Sequence[Input], device: torch.device) -> torch.Tensor | None:
    """Return row and column, (chosen, 2), of the tokens that alone go through the head; None for all of them."""
    if inputs[0].positions is None:
        return None
    chosen, row = [], 0
    for part in inputs:
        chosen += [(row, position) for position in part.positions.tolist()]
        row += len(part.sequences)
    return torch.tensor(chosen, device=device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bf16" or "fp32" for a setting that may be "auto": bf16 where the device computes it in hardware."""
    if precision != "auto":
        return precision
    return "bf16" if computes_bfloat16(device) else "fp32"


@contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a resolved precision; weights stay in fp32."""
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"), products(precision, device):
        yield


def products(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context that makes bf16 as fast as fp32 on a processor without it; backward passes need it too."""
    if precision == "bf16" and device.type == "cpu" and not computes_bfloat16(device):
        return ProductsInSinglePrecision()
    return nullcontext()
