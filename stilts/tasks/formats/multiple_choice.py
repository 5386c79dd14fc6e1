"""Multiple choice among given continuations or answers; the metric is accuracy.

Prompt and choice are encoded as a pair, and the loss is a softmax over the choices' logits. So a question may have any
number of choices (Radford et al. 2018; XCOPA, HellaSwag, CosmosQA, CommonsenseQA).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.errors import StiltsError
from stilts.study.settings import Heads
from stilts.tasks.formats.base import TrainedFormat, get_row
from stilts.tasks.formats.evaluation import Split, Splits
from stilts.tasks.formats.inputs import Input, Row, pad_arrays
from stilts.tasks.formats.subwords import find_pair_layout, split_texts
from stilts.tasks.formats.terms import ClassTerms
from stilts.tasks.guessing import score_guessing
from stilts.tasks.metrics import Counts, count_classification

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from torch import nn
    from transformers import PreTrainedTokenizerFast

UNLABELLED = -1  # label of a question without a published answer, as in the test sets of HellaSwag
NO_CHOICE = -1  # place of a choice that a question does not have, where others of its batch have more


class ChoiceTerms(ClassTerms):
    """The number of a question's correct choice; the order of choices carries no information."""

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the number of choices, (1,)."""
        return np.array([len(part.sequences)])

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the logits of the choices, (1, choices)."""
        return logits.T

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return the expected score of a random choice."""
        return 100 * float(np.mean([1 / len(part.sequences) for part in inputs]))


class MultipleChoice(TrainedFormat):
    """Rows `prompt`, `choices` (two or more texts), `label` (number of the correct choice; -1 or None if unknown).

    A prompt that is too long is truncated at its beginning, since the question is at its end. A choice is truncated
    only if it is too long by itself.
    """

    name = "multiple_choice"
    group = "multiple choice"
    metric = "accuracy"
    rule = "accuracy"
    text_columns = ("prompt", "choices")
    columns = ("prompt", "choices", "label")
    one_input = True
    answers_are_labels = True
    terms = ChoiceTerms()

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """A prompt, its choices, and the number of the correct one."""
        from datasets import Features, List, Value

        return Features({"prompt": Value("string"), "choices": List(Value("string")), "label": Value("int64")})

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One input per row: the pair with the first choice, the other pairs as alternatives; target: the label."""
        before, between, after = find_pair_layout(tokenizer)
        room = max_length - len(before) - len(between) - len(after)
        prompts = split_texts(tokenizer, [row["prompt"] for row in rows], add_special_tokens=False)
        choices = iter(
            split_texts(tokenizer, [text for row in rows for text in row["choices"]], add_special_tokens=False)
        )
        inputs = []
        for i, row in enumerate(rows):
            own = [next(choices)[:room] for _ in row["choices"]]
            first, *others = [
                np.concatenate([before, _end(prompts[i], room - len(choice)), between, choice, after]) for choice in own
            ]
            inputs.append(Input(i, first, _label(row, i), alternatives=tuple(others)))
        return inputs

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """A head with one logit for each pooled pair."""
        from stilts.tasks.formats.heads import PooledHead, SentenceHead

        return (PooledHead if style == "pooler" else SentenceHead)(hidden_size, 1)

    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """Labels, (rows,), and each row's sequences among those of the batch, (rows, most choices), -1 where none is.

        Raises
        ------
        StiltsError
            If a row has no label.
        """
        import torch

        if any(part.target == UNLABELLED for part in inputs):
            raise StiltsError("a multiple-choice question without a label cannot be trained on; remove such rows")
        ends = np.cumsum([len(part.sequences) for part in inputs])
        choices = pad_arrays(np.split(np.arange(ends[-1]), ends[:-1]), NO_CHOICE)
        return torch.tensor([part.target for part in inputs]), torch.from_numpy(choices)

    def sum_loss(self, logits: "torch.Tensor", labels: "torch.Tensor", choices: "torch.Tensor") -> "torch.Tensor":
        """Sum of the cross entropies over each row's own choices; logits (sequences, 1)."""
        import torch

        missing = choices == NO_CHOICE  # they get probability 0
        scores = logits.squeeze(1)[choices.clamp(min=0)].masked_fill(missing, -torch.inf)  # (rows, most choices)
        return torch.nn.functional.cross_entropy(scores, labels, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of questions."""
        return len(inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Logits of each question's choices, (choices,)."""
        scores = logits.float().squeeze(1).cpu().numpy()
        return np.split(scores, np.cumsum([len(part.sequences) for part in inputs])[:-1])

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Number of the choice with the highest logit, from 0."""
        return [str(np.argmax(output)) for output in outputs]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Accuracy.

        Raises
        ------
        StiltsError
            If a row has no label.
        """
        gold = [_label(row, i) for i, row in enumerate(rows)]
        if UNLABELLED in gold:
            raise StiltsError(f"row {gold.index(UNLABELLED)} has no label, so its prediction cannot be scored")
        return count_classification([str(label) for label in gold], predictions)

    def extra_scores(self, split: Split, predictions: Sequence[str]) -> dict[str, float]:
        """The scores of `stilts.tasks.guessing`, with choice numbers as labels."""
        return score_guessing(self.gold_labels(split), predictions)

    def gold_labels(self, split: Split) -> list[str]:
        """Numbers of the correct choices."""
        return [str(row["label"]) for row in split.rows]

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """The prompt with its choices, and the correct one."""
        row = get_row(splits.data(language), place, splits.config(language))
        return {"example": " / ".join([row["prompt"], *row["choices"]]), "answer": row["choices"][row["label"]]}


def _label(row: Row, number: int) -> int:
    """Return the row's label, -1 if it is unknown; StiltsError if there is no such choice."""
    label, most = row.get("label"), len(row["choices"])
    if label is None or label == UNLABELLED:
        return UNLABELLED
    if not 0 <= label < most:
        raise StiltsError(f"row {number}: label is {label}, but its {most} choices are numbered 0 to {most - 1}")
    return int(label)


def _end(ids: np.ndarray, most: int) -> np.ndarray:
    return ids[max(0, len(ids) - most) :]
