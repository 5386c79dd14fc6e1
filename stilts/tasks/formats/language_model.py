"""What the objectives of language models share: tokens of a text are predicted; accuracy on them.

Of a text, some tokens are hidden and predicted, or each from those before it. Only what is predicted goes through the
head, which decodes by the input embeddings.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.settings import Heads
from stilts.tasks.formats.base import Input, Row, by_example, subwords
from stilts.tasks.metrics import Counts

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


class LanguageModel:
    """Rows `text`; a text that is too long loses its end.

    A subclass says with `predict` which tokens are predicted, and what is shown in their place.
    """

    name: str
    columns = ("text",)
    label_column = None

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One input per row, none for a text without any token; target: the true ids at `positions`.

        The text itself is the seed of what is drawn, so that it is the same wherever the text stands.

        Raises
        ------
        StiltsError
            If the tokenizer lacks special tokens that the objective needs.
        """
        texts = [row["text"] for row in rows]
        sequences = subwords(tokenizer, texts, truncation=True, max_length=max_length)
        return self.predict(sequences, tokenizer, map(_generator, texts))

    def predict(
        self,
        sequences: Sequence[np.ndarray],
        tokenizer: "PreTrainedTokenizerFast",
        generators: Iterable[np.random.Generator],
    ) -> list[Input]:
        """Return an input for each sequence of token ids (tokens,) of which something can be predicted.

        Parameters
        ----------
        generators : iterable of numpy.random.Generator
            One for each sequence, from which is drawn what of it is predicted.

        Raises
        ------
        StiltsError
            As `encode`.
        """
        raise NotImplementedError

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean"):
        """A head over the vocabulary; `labels` are its tokens."""
        from stilts.tasks.formats.heads import MaskedTokenHead

        return MaskedTokenHead(hidden_size, len(labels))

    def loss(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "torch.Tensor":
        """Sum of cross entropies; logits (predicted tokens, vocabulary)."""
        import torch

        targets = torch.from_numpy(np.concatenate([part.target for part in inputs])).long().to(logits.device)
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of predicted tokens."""
        return sum(len(part.target) for part in inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Most probable token of each that is predicted, (predicted,)."""
        best = logits.argmax(-1).cpu().numpy()
        return np.split(best, np.cumsum([len(part.target) for part in inputs])[:-1])

    def decode(self, rows: Sequence[Row], inputs: Sequence[Input], outputs, labels: Sequence[str]) -> list[str]:
        """For each predicted token `given:true`, ids of the vocabulary, joined by spaces: rows hold no gold tokens."""
        return [
            " ".join(f"{guess}:{true}" for part, best in example for guess, true in zip(best, part.target, strict=True))
            for example in by_example(len(rows), inputs, outputs)
        ]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Predicted tokens of each text, and how many of them are right."""
        pairs = [[pair.split(":") for pair in prediction.split()] for prediction in predictions]
        right = [sum(guess == true for guess, true in own) for own in pairs]
        sizes = list(map(len, pairs))
        return Counts(np.array(right), np.array(sizes), np.array(sizes))


def _generator(text: str) -> np.random.Generator:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
