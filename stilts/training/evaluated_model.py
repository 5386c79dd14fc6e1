"""The model interface for the evaluation of formats: outputs of a head, and sentence vectors within a memory limit."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from stilts.models.known_encoders import find_layer
from stilts.models.model import MultiTaskModel
from stilts.tasks.formats import PASSAGE_RETRIEVAL
from stilts.tasks.formats.base import Encode, Format, TrainedFormat, encode_rows
from stilts.tasks.formats.evaluation import VECTOR_BYTES
from stilts.tasks.formats.inputs import Input, Row
from stilts.training.prediction import BATCH_TOKENS, Progress, compute_outputs, count_progress, embed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Key = TypeVar("Key", bound=Hashable)


class EvaluatedModel:
    """An implementation of `stilts.tasks.formats.evaluation.ModelUnderTest` by a `MultiTaskModel`.

    Parameters
    ----------
    task : str
        Name of the head.
    retrieval_layer : int
        Hidden layer whose vectors are used to compare sentences: 1 is the first, -1 the last.
    batch_tokens : int
        Maximum number of tokens in a padded batch.
    precision : {"bf16", "fp32"}
    progress : callable
        Called with the numbers of processed and of all inputs.
    encode : callable
        What turns rows into inputs.

    Attributes
    ----------
    examples, tokens : int
        Numbers processed so far.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        task: str,
        form: Format,
        tokenizer: "PreTrainedTokenizerFast",
        max_length: int,
        *,
        retrieval_layer: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        precision: str = "fp32",
        progress: Callable[[int, int], Any] = lambda done, total: None,
        encode: Encode = encode_rows,
    ):
        self.model, self.task, self.form = model, task, form
        self.tokenizer, self.max_length = tokenizer, max_length
        self.layers = list(range(1, model.encoder.config.num_hidden_layers + 1))
        self.examples = self.tokens = 0
        self._layer, self._progress, self._encode = retrieval_layer, progress, encode
        self._noted: Progress = lambda count: None  # until `expect` says of how many texts
        self._options = {"batch_tokens": batch_tokens, "precision": precision}

    @property
    def layer(self) -> int:
        """The layer whose vectors are used to compare sentences, counted from 1; StiltsError if it does not exist."""
        return find_layer(self._layer, len(self.layers))

    def encode(self, form: TrainedFormat, rows: Sequence[Row]) -> Sequence[Input]:
        """Return the inputs of rows, of at most `max_length` tokens."""
        return self._encode(form, rows, self.tokenizer, self.max_length)

    def outputs(self, inputs: Sequence[Input], examples: int) -> list[np.ndarray]:
        """Return the outputs of `TrainedFormat.outputs` for each input; `examples` is the number of examples."""
        self.examples += examples
        self.tokens += sum(part.tokens for part in inputs)
        progress = count_progress(self._progress, len(inputs))
        return compute_outputs(self.model, self.task, self.form, inputs, progress=progress, **self._options)

    def expect(self, texts: int) -> None:
        """Set the total number of texts for which `vectors` will be called; without it no progress is reported."""
        self._noted = count_progress(self._progress, texts)

    def vectors(self, texts: Iterable[str], layers: Sequence[int]) -> "Vectors":
        """Return the pooled vectors of every distinct text at some layers."""
        different = list(dict.fromkeys(texts))
        # A sentence is encoded as a passage of a pool is: whole, or cut at its end.
        ids = [part.input_ids for part in self.encode(PASSAGE_RETRIEVAL, [{"passage": text} for text in different])]
        self.examples += len(ids)
        self.tokens += sum(map(len, ids))
        return Vectors(different, layers, embed(self.model.encoder, ids, layers, progress=self._noted, **self._options))

    def groups(self, sizes: Mapping[Key, int], layers: Sequence[int]) -> Iterator[list[Key]]:
        """Yield the keys of sets of texts in groups whose vectors fit into memory, given each set's number of texts."""
        group: list[Key] = []
        held = 0
        for key, size in sizes.items():
            if group and self._bytes(held + size, layers) > VECTOR_BYTES:
                yield group
                group, held = [], 0
            group.append(key)
            held += size
        if group:
            yield group

    def layer_groups(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield the layers in groups for which the vectors of these texts fit into memory."""
        most = max(1, VECTOR_BYTES // self._bytes(len(set(texts)), [0]))
        for start in range(0, len(self.layers), most):
            yield self.layers[start : start + most]

    def _bytes(self, texts: int, layers: Sequence[int]) -> int:
        return texts * len(layers) * self.model.encoder.config.hidden_size * np.dtype(np.float32).itemsize


class Vectors:
    """Pooled vectors of texts by hidden layer."""

    def __init__(self, texts: Sequence[str], layers: Sequence[int], vectors: np.ndarray):
        self._place = {text: place for place, text in enumerate(texts)}
        self._layer = {layer: place for place, layer in enumerate(layers)}
        self._vectors = vectors  # (layers, texts, hidden)

    def of(self, texts: Sequence[str], layer: int) -> np.ndarray:
        """Return the vectors (texts, hidden) of one layer."""
        return self._vectors[self._layer[layer], [self._place[text] for text in texts]]
