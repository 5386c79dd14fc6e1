"""The multi-task model: one shared encoder and a head for each task."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from stilts.models import adapters
from stilts.models.backbones import Backbone
from stilts.models.bfloat16 import ProductsInSinglePrecision, computes_bfloat16
from stilts.models.cpu_layers import use_cpu_layers
from stilts.models.encoders import load_encoder
from stilts.models.own_heads import read_masked_head, read_pooler
from stilts.study.errors import StiltsError
from stilts.study.settings import Heads, TrainingSettings, task_name
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.heads import Pooler, mean_pool
from stilts.tasks.formats.inputs import Input

State = Mapping[str, torch.Tensor]  # a model's weights by name


class MultiTaskModel(nn.Module):
    """An encoder that several tasks share, and their heads.

    Parameters
    ----------
    encoder : PreTrainedModel
        Any model of `transformers` without a head: an encoder, a decoder or an encoder-decoder.
    heads : mapping of str to nn.Module
        Task -> head, see `stilts.tasks.formats.base.TrainedFormat.head`.
    pooler : Pooler, optional
        Pooler that provides the input of sentence heads, for heads of the style "pooler".

    Raises
    ------
    StiltsError
        If there is a pooler but the model is not an encoder: the first token of a decoder has seen no other token.
    """

    def __init__(self, encoder: PreTrainedModel, heads: Mapping[str, nn.Module], pooler: Pooler | None = None):
        super().__init__()
        self.encoder = encoder
        self.backbone = Backbone(encoder)
        if pooler is not None and self.backbone.architecture != "encoder":
            raise StiltsError(
                f"heads is 'pooler', which reads the first token's state; the model is not an encoder but a "
                f"{self.backbone.architecture}, whose first token does not see the others; remove heads"
            )
        self.pooler = pooler
        self.heads = nn.ModuleDict(heads)

    def logits(self, task: str, parts: Sequence[Input]) -> torch.Tensor:
        """Return a task's logits for a batch of inputs, padded to the longest."""
        return self(task, Batch.of(parts, self.encoder.config.pad_token_id, self.device))

    def forward(self, task: str, batch: "Batch") -> torch.Tensor:
        """Return a task's logits for a batch."""
        return self.heads[task_name(task)](States(self, batch))

    def begin(self, state: State | None, settings: TrainingSettings, *, goes_on: bool, draw: str) -> None:
        """Load encoder and pooler from an earlier training's state, if given, and add adapters if the settings do.

        See `stilts.models.adapters.begin`, which gets the encoder's part of `state`. The heads are unchanged.
        """
        own = take_encoder(state) if state is not None else None
        adapters.begin(self.encoder, own, settings, goes_on=goes_on, draw=draw)
        if state is not None:
            self._load_pooler(state)

    def load_encoder(self, state: State) -> None:
        """Load encoder, with adapters merged, and pooler from a state in which no weight may be missing."""
        adapters.load_merged(self.encoder, take_encoder(state))
        self._load_pooler(state)

    def _load_pooler(self, state: State) -> None:
        if self.pooler is not None:
            self.pooler.load_state_dict(_part(state, "pooler."))

    def load(self, state: State) -> None:
        """Load encoder, with adapters merged, pooler, and this model's heads from a state; none may be missing."""
        self.load_encoder(state)
        for task, head in self.heads.items():
            head.load_state_dict(_part(state, f"heads.{task}."))

    def load_heads(self, state: State) -> None:
        """Load the heads of a state that this model has too; its other heads are unchanged."""
        for task, head in self.heads.items():
            if own := _part(state, f"heads.{task}."):
                head.load_state_dict(own)

    @property
    def device(self) -> torch.device:
        """The device of the encoder."""
        return self.encoder.device


class Batch(NamedTuple):
    """Inputs as tensors: token ids and attention mask of all their sequences, (sequences, tokens).

    Attributes
    ----------
    positions : Tensor (chosen, 2), optional
        Rows and columns of the tokens for heads over the vocabulary, since the logits of all tokens would fill the
        memory. They refer to `written` if that is given.
    ends : Tensor (sequences, tokens), optional
        For decoders only: the position of the token whose state represents each token, see `Input`.
    written : Tensor (sequences, written tokens), optional
        See `stilts.models.backbones.Backbone.token_states`.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None = None
    ends: torch.Tensor | None = None
    written: torch.Tensor | None = None

    @classmethod
    def of(cls, parts: Sequence[Input], pad_id: int, device: torch.device) -> "Batch":
        """Return inputs as one batch, padded to the longest sequence."""
        written = None if parts[0].written is None else pad_arrays([part.written for part in parts], pad_id).to(device)
        return cls(*pad(parts, pad_id, device), head_positions(parts, device), word_ends(parts, device), written)


class States:
    """The states of a model for a batch, see `stilts.tasks.formats.heads.BatchStates`."""

    def __init__(self, model: MultiTaskModel, batch: Batch):
        self._model, self._batch = model, batch

    def tokens(self) -> torch.Tensor:
        """Return a state for each token, (sequences, tokens, hidden); in a decoder, that of its word's last token."""
        hidden, ends = self._hidden(), self._batch.ends
        if ends is None or self._model.backbone.architecture != "decoder":
            return hidden
        return hidden.gather(1, ends.unsqueeze(-1).expand_as(hidden))

    def token_weights(self) -> torch.Tensor:
        """Return each token's weight in the mean that represents an input, (sequences, tokens)."""
        return self._model.backbone.input_weights(self._batch.mask)

    def text_vectors(self) -> torch.Tensor:
        """Return the text vectors for retrieval, (sequences, hidden), float32."""
        backbone, batch = self._model.backbone, self._batch
        return mean_pool(backbone.text_states(batch.ids, batch.mask), backbone.text_weights(batch.mask))

    def pooled(self) -> torch.Tensor:
        """Return the pooler's output for each input, (sequences, hidden)."""
        return self._model.pooler(self._hidden())

    def chosen(self) -> torch.Tensor:
        """Return the states at the batch's positions, (chosen, hidden)."""
        rows, columns = self._batch.positions.T
        return self._hidden()[rows, columns]

    def embeddings(self) -> torch.Tensor:
        """Return the input embeddings, (vocabulary, hidden)."""
        return self._model.encoder.get_input_embeddings().weight

    def _hidden(self) -> torch.Tensor:
        return self._model.backbone.token_states(self._batch.ids, self._batch.mask, self._batch.written)


def take_encoder(state: State) -> dict[str, torch.Tensor]:
    """Return the encoder's weights of a model's state, named as in the encoder."""
    return _part(state, "encoder.")


def _part(state: State, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def build_model(
    encoder_folder: Path, heads: Mapping[str, tuple[TrainedFormat, Sequence[str]]], seed: int, style: Heads = "mean"
) -> MultiTaskModel:
    """Load a prepared encoder and add new heads.

    Parameters
    ----------
    encoder_folder : Path
        Folder in the layout of `transformers`.
    heads : mapping of str to (format, labels)
        Tasks that need a head.
    seed : int
        Seed of the initial weights of new heads and a new pooler.
    style : {"mean", "pooler"}
        Style of the heads, see `heads` of `stilts.study.settings.EncoderSettings`.

    Raises
    ------
    StiltsError
        If the encoder cannot be loaded, its embeddings cannot decode masked tokens although a head needs that, or its
        architecture does not support a pooler.
    """
    encoder, _ = load_encoder(str(encoder_folder))
    torch.manual_seed(seed)
    modules = {
        task: _head(encoder, encoder_folder, form, labels, style)
        for task, (form, labels) in heads.items()
    }
    pooler = _pooler(encoder, encoder_folder) if style == "pooler" else None
    model = MultiTaskModel(encoder, modules, pooler).to(default_device())
    if model.device.type == "cpu":
        use_cpu_layers(model)
    return model


def _head(
    encoder: PreTrainedModel, folder: Path, form: TrainedFormat, labels: Sequence[str], style: Heads
) -> nn.Module:
    hidden = encoder.config.hidden_size
    if not form.predicts_tokens:
        return form.head(hidden, labels, style)
    head = form.head(hidden, range(_decodable_tokens(encoder, folder, form)))
    if form.takes_checkpoint_head and (own := read_masked_head(folder)):
        head.load_state_dict(own)
    return head


def _pooler(encoder: PreTrainedModel, folder: Path) -> Pooler:
    """Return the checkpoint's own pooler, or a new one."""
    pooler = Pooler(encoder.config.hidden_size)
    if own := read_pooler(folder):
        pooler.load_state_dict(own)
    return pooler


def _decodable_tokens(encoder: PreTrainedModel, folder: Path, form: TrainedFormat) -> int:
    """Return the size of the vocabulary; StiltsError if the embeddings' width differs from the hidden size."""
    vocabulary, width = encoder.get_input_embeddings().weight.shape
    hidden = encoder.config.hidden_size
    if width != hidden:
        raise StiltsError(
            f"encoder {folder}: its embeddings have {width} dimensions and its last layer {hidden}, so they cannot "
            f"decode tokens; remove tasks of the format {form.name} from the study"
        )
    return vocabulary


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pad(inputs: Sequence[Input], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask of all sequences of a batch, both (sequences, longest sequence)."""
    sequences = [sequence for part in inputs for sequence in part.sequences]
    mask = pad_arrays([np.ones_like(sequence) for sequence in sequences], 0)
    return pad_arrays(sequences, pad_id).to(device), mask.to(device)


def pad_arrays(arrays: Sequence[np.ndarray], value: int) -> torch.Tensor:
    """Return integer arrays as one tensor, (arrays, longest array), padded at the end."""
    padded = torch.full((len(arrays), max(map(len, arrays))), value)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = torch.from_numpy(array)
    return padded


def word_ends(inputs: Sequence[Input], device: torch.device) -> torch.Tensor | None:
    """Return the position of the last token of each token's word, (sequences, tokens); None if inputs lack it."""
    if inputs[0].ends is None:
        return None
    return pad_arrays([part.ends for part in inputs], 0).to(device)


def head_positions(inputs: Sequence[Input], device: torch.device) -> torch.Tensor | None:
    """Return row and column, (chosen, 2), of the tokens to which the head is applied; None for all."""
    if inputs[0].positions is None:
        return None
    chosen, row = [], 0
    for part in inputs:
        chosen += [(row, position) for position in part.positions.tolist()]
        row += len(part.sequences)
    return torch.tensor(chosen, device=device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bf16" or "fp32" for a setting that may be "auto", which is bf16 if the device's hardware supports it."""
    if precision != "auto":
        return precision
    return "bf16" if computes_bfloat16(device) else "fp32"


@contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Run the body in a resolved precision; weights stay in fp32."""
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"), products(precision, device):
        yield


def products(precision: str, device: torch.device) -> AbstractContextManager:
    """Return a context that makes bf16 as fast as fp32 on a CPU without bf16 support; backward passes need it too."""
    if precision == "bf16" and device.type == "cpu" and not computes_bfloat16(device):
        return ProductsInSinglePrecision()
    return nullcontext()
