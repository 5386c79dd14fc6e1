"""Base of the language-modelling objectives: tokens of a text are predicted; the metric is accuracy on them.

The head, which decodes with the input embeddings, is applied to the predicted positions only.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.settings import Heads
from stilts.tasks.formats.base import TrainedFormat, get_row
from stilts.tasks.formats.evaluation import Splits
from stilts.tasks.formats.inputs import Input, Row, group_by_example
from stilts.tasks.formats.subwords import split_texts
from stilts.tasks.formats.terms import measure_most_frequent
from stilts.tasks.metrics import Counts

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from torch import nn
    from transformers import PreTrainedTokenizerFast


class TokenTerms:
    """The tokens that are predicted."""

    kinds = 1

    def symbols(self, part: Input) -> np.ndarray:
        """Return their ids, (predicted,)."""
        return np.asarray(part.target)

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the size of the vocabulary for each, (predicted,)."""
        return np.full(len(part.target), labels)

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the head's output unchanged, (predicted, vocabulary)."""
        return logits

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with other tokens to predict."""
        return replace(part, target=symbols)

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return the share of the most frequent token."""
        return measure_most_frequent(self, inputs)


class LanguageModel(TrainedFormat):
    """Rows `text`; a text that is too long is truncated at its end.

    Subclasses implement `predict`, which chooses the tokens to predict and what replaces them in the input.
    """

    group = "language model"
    metric = "accuracy"
    rule = "accuracy on the predicted tokens"
    text_columns = ("text",)
    columns = ("text",)
    predicts_tokens = True
    terms = TokenTerms()

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """A text."""
        from datasets import Features, Value

        return Features({"text": Value("string")})

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One input per row, none for a text without tokens; target: the true ids at `positions`.

        The random generator is seeded with the text, so that a text is always encoded alike.

        Raises
        ------
        StiltsError
            If the tokenizer has no special tokens that the objective needs.
        """
        texts = [row["text"] for row in rows]
        sequences = split_texts(tokenizer, texts, truncation=True, max_length=max_length)
        return self.predict(sequences, tokenizer, map(_generator, texts))

    @abstractmethod
    def predict(
        self,
        sequences: Sequence[np.ndarray],
        tokenizer: "PreTrainedTokenizerFast",
        generators: Iterable[np.random.Generator],
    ) -> list[Input]:
        """Return an input for each sequence of token ids (tokens,) in which something can be predicted.

        Parameters
        ----------
        generators : iterable of numpy.random.Generator
            One per sequence, to choose the predicted tokens.

        Raises
        ------
        StiltsError
            As in `encode`.
        """

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """A head over the vocabulary; `labels` are its tokens."""
        from stilts.tasks.formats.heads import MaskedTokenHead

        return MaskedTokenHead(hidden_size, len(labels))

    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """True ids, (predicted tokens,)."""
        import torch

        return (torch.from_numpy(np.concatenate([part.target for part in inputs])).long(),)

    def sum_loss(self, logits: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
        """Sum of cross entropies; logits (predicted tokens, vocabulary)."""
        import torch

        return torch.nn.functional.cross_entropy(logits, tokens, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of predicted tokens."""
        return sum(len(part.target) for part in inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Most probable token at each predicted position, (predicted,)."""
        best = logits.argmax(-1).cpu().numpy()
        return np.split(best, np.cumsum([len(part.target) for part in inputs])[:-1])

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """`predicted:true` token ids of each predicted position, joined by spaces, since rows hold no gold tokens."""
        return [
            " ".join(f"{guess}:{true}" for part, best in example for guess, true in zip(best, part.target, strict=True))
            for example in group_by_example(len(rows), inputs, outputs)
        ]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Number of predicted and of correct tokens of each text."""
        pairs = [[pair.split(":") for pair in prediction.split()] for prediction in predictions]
        right = [sum(guess == true for guess, true in own) for own in pairs]
        sizes = list(map(len, pairs))
        return Counts(np.array(right), np.array(sizes), np.array(sizes))

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """The text; the tokens to predict are chosen only when it is encoded."""
        return {"example": get_row(splits.data(language), place, splits.config(language))["text"], "answer": ""}


def _generator(text: str) -> np.random.Generator:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
