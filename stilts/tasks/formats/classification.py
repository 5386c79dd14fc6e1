"""Classification of a sentence or of a pair of sentences; accuracy."""

from collections.abc import Sequence

import numpy as np

from stilts.study.settings import Heads
from stilts.tasks.formats.base import Input, Row, subwords
from stilts.tasks.metrics import Counts, classification_counts


class Classification:
    """Rows `sentence1`, `sentence2` (pairs alone), `label` (number).

    An input that is too long loses the end of its longer sentence.
    """

    name = "classification"
    columns = ("sentence1", "label")
    label_column = "label"

    def encode(self, rows: Sequence[Row], tokenizer, max_length: int) -> list[Input]:
        """One input per row; target: the label's number."""
        pairs = "sentence2" in rows[0]
        texts = [(row["sentence1"], row["sentence2"]) if pairs else row["sentence1"] for row in rows]
        ids = subwords(tokenizer, texts, truncation="longest_first", max_length=max_length)
        return [Input(i, ids[i], row["label"]) for i, row in enumerate(rows)]

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean"):
        """A head on the pooled input."""
        from stilts.tasks.formats.heads import PooledHead, SentenceHead

        return (PooledHead if style == "pooler" else SentenceHead)(hidden_size, len(labels))

    def loss(self, logits, inputs: Sequence[Input]):
        """Sum of cross entropies; logits (batch, labels)."""
        import torch

        targets = torch.tensor([part.target for part in inputs], device=logits.device)
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of inputs."""
        return len(inputs)

    def outputs(self, logits, inputs: Sequence[Input]) -> list[np.ndarray]:
        """Logits of each input, (labels,)."""
        return list(logits.float().cpu().numpy())

    def decode(self, rows, inputs: Sequence[Input], outputs, labels: Sequence[str]) -> list[str]:
        """Name of the label with the highest logit."""
        return [labels[int(np.argmax(output))] for output in outputs]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Accuracy."""
        return classification_counts([labels[row["label"]] for row in rows], predictions)
