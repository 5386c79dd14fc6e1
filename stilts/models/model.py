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
from stilts.models.encoder_files import find_first_position
from stilts.models.encoders import load_model
from stilts.models.own_heads import read_masked_head, read_pooler
from stilts.models.packing import Packing, move, takes_packing
from stilts.study.errors import StiltsError
from stilts.study.settings import Heads, TrainingSettings, strip_language
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.heads import Pooler, mean_pool
from stilts.tasks.formats.inputs import Input, mark_filled, pad_arrays

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
        self._first: int | None = None  # position of a sequence's first token in a flat row; None: batches are padded
        self.compiled = False  # whether the blocks are those of `torch.compile`

    def pack_batches(self) -> bool:
        """Let the encoder read batches without padding from here on, if it can; return whether it does.

        See `stilts.models.packing`. The heads see the same states, but for rounding and the draws of dropout.
        """
        if self.backbone.architecture == "encoder" and takes_packing(self.encoder):
            self._first = find_first_position(self.encoder.config.to_dict())
        return self.packs

    @property
    def packs(self) -> bool:
        """Whether the encoder reads batches without padding."""
        return self._first is not None

    def compile_layers(self, backend: str = "inductor", mode: str | None = None) -> None:
        """Let `torch.compile` translate the encoder's blocks when they are first called; weights keep their names.

        Numbers differ by rounding and by the draws of dropout.

        Parameters
        ----------
        backend, mode : str
            As `torch.compile` has them. Lengths are left open, so that a new one is not translated anew.
        """
        for block in adapters.list_blocks(self.encoder):
            block.compile(backend=backend, mode=mode, dynamic=True)
        self.compiled = True

    def collate(self, parts: Sequence[Input]) -> "Batch":
        """Return inputs as one batch in CPU memory."""
        return Batch.of(parts, self.encoder.config.pad_token_id, self._first)

    def logits(self, task: str, parts: Sequence[Input]) -> torch.Tensor:
        """Return a task's logits for a batch of inputs."""
        return self(task, move(self.collate(parts), self.device))

    def forward(self, task: str, batch: "Batch") -> torch.Tensor:
        """Return a task's logits for a batch."""
        return self.heads[strip_language(task)](States(self, batch))

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
    packing : Packing, optional
        Where the tokens of `ids`, which are padded all the same, stand in the flat row that the encoder then reads.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None = None
    ends: torch.Tensor | None = None
    written: torch.Tensor | None = None
    packing: Packing | None = None

    @classmethod
    def of(cls, parts: Sequence[Input], pad_id: int, first: int | None = None) -> "Batch":
        """Return inputs as one batch in CPU memory, padded to the longest sequence.

        Parameters
        ----------
        first : int, optional
            Position of a sequence's first token, for an encoder that reads the batch as a flat row.
        """
        sequences = [sequence for part in parts for sequence in part.sequences]
        written = None if parts[0].written is None else _pad([part.written for part in parts], pad_id)
        ends = None if parts[0].ends is None else _pad([part.ends for part in parts], 0)
        packing = None if first is None else Packing.of([len(sequence) for sequence in sequences], first)
        return cls(*pad(parts, pad_id, torch.device("cpu")), find_head_positions(parts), ends, written, packing)


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
        states = backbone.text_states(batch.ids, batch.mask, batch.packing)
        return mean_pool(states, backbone.text_weights(batch.mask))

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
        batch = self._batch
        return self._model.backbone.token_states(batch.ids, batch.mask, batch.written, batch.packing)


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
    encoder = load_model(str(encoder_folder))
    torch.manual_seed(seed)
    modules = {
        task: _head(encoder, encoder_folder, form, labels, style)
        for task, (form, labels) in heads.items()
    }
    pooler = _pooler(encoder, encoder_folder) if style == "pooler" else None
    model = MultiTaskModel(encoder, modules, pooler).to(find_default_device())
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


def find_default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pad(inputs: Sequence[Input], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask of all sequences of a batch, both (sequences, longest sequence)."""
    sequences = [sequence for part in inputs for sequence in part.sequences]
    mask = mark_filled(np.array([len(sequence) for sequence in sequences]))
    return _pad(sequences, pad_id).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)


def _pad(arrays: Sequence[np.ndarray], value: int) -> torch.Tensor:
    return torch.from_numpy(pad_arrays(arrays, value))


def find_head_positions(inputs: Sequence[Input]) -> torch.Tensor | None:
    """Return row and column, (chosen, 2), of the tokens to which the head is applied; None for all."""
    if inputs[0].positions is None:
        return None
    ends = np.cumsum([len(part.sequences) for part in inputs])
    rows = np.repeat([0, *ends[:-1]], [len(part.positions) for part in inputs])
    return torch.from_numpy(np.stack([rows, np.concatenate([part.positions for part in inputs])], axis=1))


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bf16" or "fp32" for a setting that may be "auto", which is bf16 if the device's hardware supports it."""
    if precision != "auto":
        return precision
    return "bf16" if computes_bfloat16(device) else "fp32"


def keep_casts(device: torch.device) -> AbstractContextManager:
    """Return a context in which each weight is cast once, whatever the number of `autocast` contexts within.

    Autocast forgets its casts at the end of the outermost context. Weights must not change before.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=False)


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
