"""Tagging of given tokens; the metric is micro F1 over chunks.

A token's tag is predicted at its first subword. In a left-to-right model, that subword gets the state of the token's
last one, which has seen the whole token. A sentence that is too long is split between tokens and its parts are joined
again, so that no gold token is dropped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.errors import StiltsError
from stilts.study.settings import Heads
from stilts.tasks.formats.base import TrainedFormat, get_row
from stilts.tasks.formats.evaluation import Split, Splits
from stilts.tasks.formats.inputs import Input, Row, group_by_example, pad_arrays
from stilts.tasks.formats.official_files import join_lines, restore_official_order
from stilts.tasks.formats.subwords import find_special_tokens, split_words
from stilts.tasks.metrics import DEFAULT_CHUNK_RULE, Counts, count_chunks, token_accuracy

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from torch import nn
    from transformers import PreTrainedTokenizerFast

IGNORED = -100  # target of tokens that the loss ignores


class TagTerms:
    """One tag per word."""

    kinds = 1

    def symbols(self, part: Input) -> np.ndarray:
        """Return the tags, (words,)."""
        return np.asarray(part.target)[part.detail]

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the number of tags for each word, (words,)."""
        return np.full(len(part.detail), labels)

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the logits of the words' first subwords, (words, tags)."""
        return logits[0, part.detail]

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with other tags."""
        target = np.array(part.target)
        target[part.detail] = symbols
        return replace(part, target=target)

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return 0: a constant tag predicts no correct chunk."""
        return 0.0


class Tagging(TrainedFormat):
    """Rows `tokens` (words), `tags` (numbers of BIO labels, one per word).

    Parameters
    ----------
    chunk_rule : str
        How tags are parsed as chunks, see `stilts.tasks.metrics.count_chunks`.
    """

    name = "tagging"
    group = "tagging"
    metric = "chunk F1"
    rule = "F1 over chunks, all of a language together"
    text_columns = ("tokens",)
    columns = ("tokens", "tags")
    label_column = "tags"
    terms = TagTerms()

    def __init__(self, chunk_rule: str = DEFAULT_CHUNK_RULE):
        self.chunk_rule = chunk_rule

    def with_options(self, *, chunk_rule: str | None = None, doc_stride: int | None = None) -> "Tagging":
        """Return this format with another chunk rule."""
        return self if chunk_rule is None else Tagging(chunk_rule)

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """Words, and a tag for each."""
        from datasets import ClassLabel, Features, List, Value

        return Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=list(labels)))})

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One or more inputs per row; target: a label per subword; detail: positions of the words' first subwords."""
        prefix, suffix = find_special_tokens(tokenizer)
        room = max_length - len(prefix) - len(suffix)
        inputs = []
        subwords = split_words(tokenizer, (row["tokens"] for row in rows))
        for i, (row, found) in enumerate(zip(rows, subwords, strict=True)):
            words = _whole(found, row["tokens"], tokenizer, room)
            for start, stop in _pieces([len(word) for word in words], room):
                inputs.append(_input(i, words[start:stop], row["tags"][start:stop], prefix, suffix))
        return inputs

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """A head on each token."""
        from stilts.tasks.formats.heads import PlainTokenHead, TokenHead

        return (PlainTokenHead if style == "pooler" else TokenHead)(hidden_size, len(labels))

    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """Labels of the first subwords, (batch, tokens)."""
        import torch

        return (torch.from_numpy(pad_arrays([part.target for part in inputs], IGNORED)),)

    def sum_loss(self, logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """Sum of cross entropies over first subwords; logits (batch, tokens, labels)."""
        import torch

        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of words."""
        return sum(int(np.count_nonzero(np.asarray(part.target) != IGNORED)) for part in inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Best label of each word of each input, (words,)."""
        best = logits.argmax(-1).cpu().numpy()
        return [best[row, part.detail] for row, part in enumerate(inputs)]

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Tags of all words, joined by spaces."""
        parts = group_by_example(len(rows), inputs, outputs)
        return [" ".join(labels[tag] for _, best in example for tag in best) for example in parts]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Chunks of each sentence: correct, predicted, gold."""
        return count_chunks(*_named(rows, predictions, labels), self.chunk_rule)

    def extra_scores(self, split: Split, predictions: Sequence[str]) -> dict[str, float]:
        """Percentage of words with the correct tag."""
        return {"token_accuracy": token_accuracy(*_named(split.rows, predictions, split.labels))}

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """The words, and the labelled chunks."""
        data = splits.data(language)
        row = get_row(data, place, splits.config(language))
        tags = data.features["tags"].feature.int2str(row["tags"])
        return {"example": " ".join(row["tokens"]), "answer": "; ".join(name_chunks(row["tokens"], tags))}

    def scoring_options(self) -> dict[str, str]:
        """The chunk rule, since versions of seqeval differ in it."""
        return {"chunk rule": self.chunk_rule}

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """One tag per line and an empty line between sentences; StiltsError if a row's tags do not match its tokens."""
        for row, tags in zip(rows, predictions, strict=False):
            if len(tags.split()) != len(row["tokens"]):
                raise StiltsError(
                    f"row {row['id']}: {len(tags.split())} tags are recorded for its {len(row['tokens'])} tokens; the "
                    "run used another suite"
                )
        return "\n".join(restore_official_order(rows, (join_lines(tags.split()) for tags in predictions)))


def name_chunks(tokens: Sequence[str], tags: Iterable[str]) -> list[str]:
    """Return the labelled chunks of a BIO-tagged sentence as "label: its tokens"."""
    found: list[list[str]] = []
    inside = None
    for token, tag in zip(tokens, tags, strict=True):
        prefix, _, label = tag.partition("-")
        if prefix == "B" or (prefix == "I" and label != inside):
            found.append([f"{label}:", token])
        elif prefix == "I":
            found[-1].append(token)
        inside = label if prefix in "BI" else None
    return [" ".join(parts) for parts in found]


def _named(
    rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str]
) -> tuple[list[list[str]], list[list[str]]]:
    """Return the names of gold and predicted tags, one list per row."""
    gold = [[labels[tag] for tag in row["tags"]] for row in rows]
    return gold, [prediction.split() for prediction in predictions]


def _whole(
    found: list[list[int]], tokens: Sequence[str], tokenizer: "PreTrainedTokenizerFast", room: int
) -> list[list[int]]:
    """Return 1 to `room` subwords for each token; a token without subwords gets a substitute.

    Raises
    ------
    StiltsError
        If a substitute is needed and the tokenizer has none.
    """
    words = [word[:room] for word in found]
    if all(words):
        return words
    unknown = next((token for token in _stand_ins(tokenizer) if token is not None), None)
    if unknown is None:
        empty = next(token for token, word in zip(tokens, words, strict=True) if not word)
        raise StiltsError(
            f"the encoder's tokenizer gives no token for the word {empty!r} and has no unknown token; remove the "
            f"word from the sentence {' '.join(tokens)[:80]!r}"
        )
    return [word or [unknown] for word in words]


def _stand_ins(tokenizer: "PreTrainedTokenizerFast") -> tuple[int | None, ...]:
    """Return possible substitutes for a word without tokens: byte-level tokenizers have no unknown token."""
    return tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.sep_token_id, tokenizer.eos_token_id


def _pieces(lengths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Yield word ranges (start, stop) whose subwords fit into `room`, filled greedily."""
    start = used = 0
    for i, length in enumerate(lengths):
        if used + length > room:
            yield start, i
            start, used = i, 0
        used += length
    if lengths:
        yield start, len(lengths)


def _input(example: int, words: list[list[int]], tags: Sequence[int], prefix: list[int], suffix: list[int]) -> Input:
    ids = prefix + [token for word in words for token in word] + suffix
    firsts = len(prefix) + np.cumsum([0] + [len(word) for word in words[:-1]])
    target = np.full(len(ids), IGNORED, dtype=np.int16)
    target[firsts] = tags
    ends = np.arange(len(ids), dtype=np.int32)
    ends[firsts] += np.array([len(word) - 1 for word in words], dtype=np.int32)
    return Input(example, ids, target, firsts.astype(np.int32), ends=ends)
