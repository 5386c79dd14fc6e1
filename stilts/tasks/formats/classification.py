"""Classification of sentences or sentence pairs; the metric is accuracy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.settings import Heads
from stilts.tasks.formats.base import TrainedFormat, get_row
from stilts.tasks.formats.evaluation import Split, Splits
from stilts.tasks.formats.inputs import Input, Row
from stilts.tasks.formats.official_files import join_lines, restore_official_order
from stilts.tasks.formats.subwords import split_texts
from stilts.tasks.formats.terms import ClassTerms
from stilts.tasks.guessing import score_guessing
from stilts.tasks.metrics import Counts, count_classification

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from torch import nn
    from transformers import PreTrainedTokenizerFast


class Classification(TrainedFormat):
    """Rows `sentence1`, `sentence2` (for pairs only), `label` (number).

    In an input that is too long, the longer sentence is truncated at its end.
    """

    name = "classification"
    group = "classification"
    metric = "accuracy"
    rule = "accuracy"
    text_columns = ("sentence1", "sentence2")
    columns = ("sentence1", "label")
    label_column = "label"
    one_input = True
    answers_are_labels = True
    terms = ClassTerms()

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """One sentence or two, and a label."""
        from datasets import ClassLabel, Features, Value

        texts = ("sentence1", "sentence2") if pairs else ("sentence1",)
        return Features({**dict.fromkeys(texts, Value("string")), "label": ClassLabel(names=list(labels))})

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One input per row; target: the label's number."""
        pairs = "sentence2" in rows[0]
        texts = [(row["sentence1"], row["sentence2"]) if pairs else row["sentence1"] for row in rows]
        ids = split_texts(tokenizer, texts, truncation="longest_first", max_length=max_length)
        return [Input(i, ids[i], row["label"]) for i, row in enumerate(rows)]

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """A head on the pooled input."""
        from stilts.tasks.formats.heads import PooledHead, SentenceHead

        return (PooledHead if style == "pooler" else SentenceHead)(hidden_size, len(labels))

    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """Labels, (batch,)."""
        import torch

        return (torch.tensor([part.target for part in inputs]),)

    def sum_loss(self, logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """Sum of cross entropies; logits (batch, labels)."""
        import torch

        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of inputs."""
        return len(inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Logits of each input, (labels,)."""
        return list(logits.float().cpu().numpy())

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Name of the label with the highest logit."""
        return [labels[int(np.argmax(output))] for output in outputs]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Accuracy."""
        return count_classification([labels[row["label"]] for row in rows], predictions)

    def extra_scores(self, split: Split, predictions: Sequence[str]) -> dict[str, float]:
        """The scores of `stilts.tasks.guessing`."""
        return score_guessing(self.gold_labels(split), predictions)

    def gold_labels(self, split: Split) -> list[str]:
        """Names of the labels."""
        return [split.labels[row["label"]] for row in split.rows]

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """The sentences, and the label's name."""
        data = splits.data(language)
        row = get_row(data, place, splits.config(language))
        texts = [row[column] for column in self.text_columns if column in row]
        return {"example": " / ".join(texts), "answer": data.features["label"].int2str(row["label"])}

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """One label per line."""
        return join_lines(restore_official_order(rows, (names[label] for label in predictions)))
