"""Extractive question answering in SQuAD's layout; the metric is word F1, with exact match as an extra score.

A context that is too long for one input is split into overlapping windows, and the best span over all windows is the
answer. MLQA normalises answers differently from SQuAD v1.1; in SQuAD 2.0 a question may have no answer.

By default, neighbouring windows share 128 subwords, and an answer may be found in any window. With `doc_stride`, as in
jiant and XTREME's scripts (both use 128), a window begins `doc_stride` subwords after the previous one: inputs of 384
subwords with a short question then share about 240. A subword in several windows may begin an answer only in the window
where the smaller of its left and right context is greatest (`token_is_max_context` in BERT's run_squad.py).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stilts.study.settings import Heads
from stilts.tasks.coverage import check_covered
from stilts.tasks.formats.base import TrainedFormat, get_row
from stilts.tasks.formats.evaluation import Split, Splits
from stilts.tasks.formats.inputs import Input, Row, group_by_example
from stilts.tasks.formats.subwords import cut_blocks
from stilts.tasks.metrics import Counts, count_answers, count_exact_matches, normalize_squad, score

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from tokenizers import Encoding
    from torch import nn
    from transformers import PreTrainedTokenizerFast

OVERLAP = 128  # subwords that two windows share if `doc_stride` is not set
MAX_QUERY = 64  # subwords of a question (jiant and the XTREME scripts)
MAX_ANSWER = 30  # subwords of an answer (jiant and the XTREME scripts)
CANDIDATES = 20  # best starts and ends to combine (jiant and the XTREME scripts)


class Window(NamedTuple):
    """The context subwords of an input: their positions (n,) in the input and offsets (n, 2) in characters.

    `first` and `last` tell whether the window contains the beginning and the end of the context, `begins` (n,) which
    subwords may begin an answer; None means all.
    """

    positions: np.ndarray
    offsets: np.ndarray
    first: bool
    last: bool
    begins: np.ndarray | None = None


class SpanTerms:
    """Start and end of an answer among the tokens of the input."""

    kinds = 2

    def symbols(self, part: Input) -> np.ndarray:
        """Return the positions of start and end, (2,)."""
        return np.array(part.target)

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the number of tokens twice, (2,)."""
        return np.full(2, len(part.input_ids))

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the logits of start and end, (2, tokens)."""
        return logits[0].T

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with another answer."""
        return replace(part, target=(int(symbols[0]), int(symbols[1])))

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return 0: a fixed span hardly ever shares a word with the answer."""
        return 0.0


class SpanQA(TrainedFormat):
    """Rows `id`, `context`, `question`, `answers` {text, answer_start}; each answer is a substring of its context.

    Parameters
    ----------
    name : str
        Name in the registry of formats.
    by_language : bool
        Whether answers are normalised by MLQA's rules for their language (arXiv:1910.07475); else by SQuAD's.
    unanswerable : bool
        Whether a question may have no answer, marked by empty lists (SQuAD 2.0, arXiv:1806.03822). The prediction is
        then "" if the null score (start plus end logit of the first token) exceeds the best span's score. The lowest
        null score of all windows is used, since an answer in one window is enough. This is BERT's rule
        (arXiv:1810.04805, section 4.3 and run_squad.py) with a threshold of 0.
    doc_stride : int, optional
        Subwords from the beginning of one window to that of the next; None: windows share `OVERLAP`.
    """

    group = "question answering"
    metric = "F1"
    suffix = "json"
    numbered = False
    text_columns = ("context", "question")
    columns = ("id", "context", "question", "answers")
    terms = SpanTerms()
    detail = Window

    def __init__(
        self,
        name: str = "span_qa",
        *,
        by_language: bool = False,
        unanswerable: bool = False,
        doc_stride: int | None = None,
    ):
        self.name = name
        self.by_language = by_language
        self.unanswerable = unanswerable
        self.doc_stride = doc_stride

    @property
    def rule(self) -> str:
        """Description of how the score is computed."""
        compared = " by MLQA's rules for its language" if self.by_language else ""
        return f"F1 over the words of an answer{compared}, the mean over questions"

    def with_options(self, *, chunk_rule: str | None = None, doc_stride: int | None = None) -> "SpanQA":
        """Return this format with other windows."""
        if doc_stride is None:
            return self
        return SpanQA(
            self.name, by_language=self.by_language, unanswerable=self.unanswerable, doc_stride=doc_stride
        )

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """Context, question and its answers."""
        from datasets import Features, List, Value

        text = Value("string")
        answers = {"text": List(text), "answer_start": List(Value("int32"))}
        return Features({"id": text, "context": text, "question": text, "answers": answers})

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One or more windows per row; target: (start, end) positions, both 0 where the window has no answer."""
        windows = _windows if self.doc_stride is None else partial(_strided_windows, doc_stride=self.doc_stride)
        return [part for start, block in cut_blocks(rows) for part in windows(block, start, tokenizer, max_length)]

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """A head with two logits per token: start and end."""
        from stilts.tasks.formats.heads import PlainTokenHead, TokenHead

        return PlainTokenHead(hidden_size, 2, dropout=0.0) if style == "pooler" else TokenHead(hidden_size, 2)

    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """Positions of start and end, (batch, 2), and numbers of tokens, (batch,)."""
        import torch

        return torch.tensor([part.target for part in inputs]), torch.tensor([len(part.input_ids) for part in inputs])

    def sum_loss(self, logits: "torch.Tensor", positions: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """Sum of the cross entropies of start and end; logits (batch, tokens, 2), padding excluded."""
        import torch

        padding = torch.arange(logits.shape[1], device=logits.device)[None, :, None] >= lengths[:, None, None]
        scores = logits.float().masked_fill(padding, -1e4)
        return torch.nn.functional.cross_entropy(scores, positions, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of starts and ends."""
        return 2 * len(inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Start and end logits of the first token and of the context's subwords, (1 + n, 2)."""
        scores = logits.float().cpu().numpy()
        return [scores[row, np.append(0, part.detail.positions)] for row, part in enumerate(inputs)]

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Text of the best span over the row's windows; empty if the context has no subword or no answer."""
        answers = []
        for row, windows in zip(rows, group_by_example(len(rows), inputs, outputs), strict=True):
            best, start, stop = max(
                _best_span(scores[1:], part.detail.offsets, part.detail.begins) for part, scores in windows
            )
            null = min(float(scores[0].sum()) for _, scores in windows)
            answered = not self.unanswerable or best >= null
            answers.append(row["context"][start:stop].strip() if answered else "")
        return answers

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """F1 of each answer; a correctly detected unanswerable question counts as 1."""
        overlap = count_answers(self._golds(rows), predictions, self._comparison(language))
        if not self.unanswerable:
            return overlap
        # The F1 of two empty answers is 1 in SQuAD 2.0 and 0 in SQuAD v1.1; other equal answers have F1 1 in both.
        exact = self.exact_match(rows, predictions, language)
        return Counts(np.maximum(overlap.matches, exact.matches), overlap.predicted, overlap.gold)

    def exact_match(self, rows: Sequence[Row], predictions: Sequence[str], language: str) -> Counts:
        """Exact match of each answer."""
        return count_exact_matches(self._golds(rows), predictions, self._comparison(language))

    def extra_scores(self, split: Split, predictions: Sequence[str]) -> dict[str, float]:
        """Exact match."""
        return {"exact_match": score(self.exact_match(split.rows, predictions, split.language))}

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """Context and question, and the first answer, if there is one."""
        row = get_row(splits.data(language), place, splits.config(language))
        answer, *_ = [*row["answers"]["text"], "(none)"]
        return {"example": f"{row['context']} / {row['question']}", "answer": answer}

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """A JSON object: id of a question -> its answer."""
        answers = {row["id"]: answer for row, answer in zip(rows, predictions, strict=False)}
        return json.dumps(answers, indent=1, ensure_ascii=False) + "\n"

    def _golds(self, rows: Sequence[Row]) -> list[list[str]]:
        """Return the gold answers; as in SQuAD 2.0, empty ones are dropped, and "" is used if no other is left."""
        golds = [row["answers"]["text"] for row in rows]
        if not self.unanswerable:
            return golds
        return [[text for text in texts if normalize_squad(text)] or [""] for texts in golds]

    def _comparison(self, language: str) -> str | None:
        return language if self.by_language else None


def _windows(
    rows: Sequence[Row], number: int, tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> Iterator[Input]:
    """Yield the windows of rows, numbered from `number`; neighbours share `OVERLAP`."""
    questions = _clip_questions([row["question"] for row in rows], tokenizer, min(MAX_QUERY, max_length // 2))
    yield from _overlapping(rows, questions, number, tokenizer, max_length, min(OVERLAP, max_length // 4))


def _strided_windows(
    rows: Sequence[Row], number: int, tokenizer: "PreTrainedTokenizerFast", max_length: int, doc_stride: int
) -> Iterator[Input]:
    """Yield the windows of rows, numbered from `number`; neighbours begin `doc_stride` apart.

    Their overlap depends on the length of the question, so questions of equal length are tokenised together.
    """
    questions = _clip_questions([row["question"] for row in rows], tokenizer, min(MAX_QUERY, max_length // 2))
    by_length: dict[int, list[int]] = {}
    for place, ids in enumerate(tokenizer(questions, add_special_tokens=False)["input_ids"]):
        by_length.setdefault(len(ids), []).append(place)
    found: list[list[Input]] = [[] for _ in rows]
    for length, places in by_length.items():
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True) - length
        some, asked = [rows[place] for place in places], [questions[place] for place in places]
        windows = list(_overlapping(some, asked, 0, tokenizer, max_length, max(0, room - doc_stride)))
        for within, parts in groupby(windows, key=lambda part: part.example):
            place = places[within]
            found[place] = _with_maximal_context(list(parts), min(room, doc_stride), number + place)
    for parts in found:
        yield from parts


def _with_maximal_context(parts: Sequence[Input], step: int, example: int) -> list[Input]:
    """Return the windows of one row, which begin a step apart, with the subwords that may begin an answer.

    A subword may do so only in the window where it has most context, in a tie the first. As in BERT's run_squad.py,
    context is the smaller of left and right context plus 0.01 times the window's length.
    """
    lengths = [len(part.detail.positions) for part in parts]
    most = np.full(step * (len(parts) - 1) + lengths[-1], -1.0)
    holder = np.zeros(len(most), dtype=np.int64)
    for number, length in enumerate(lengths):
        here, places = slice(number * step, number * step + length), np.arange(length)
        context = np.minimum(places, places[::-1]) + 0.01 * length
        holder[here] = np.where(context > most[here], number, holder[here])
        most[here] = np.maximum(most[here], context)
    own = [holder[number * step : number * step + length] == number for number, length in enumerate(lengths)]
    return [
        replace(part, example=example, detail=part.detail._replace(begins=begins))
        for part, begins in zip(parts, own, strict=True)
    ]


def _overlapping(
    rows: Sequence[Row],
    questions: Sequence[str],
    number: int,
    tokenizer: "PreTrainedTokenizerFast",
    max_length: int,
    overlap: int,
) -> Iterator[Input]:
    check_covered(tokenizer, (row[column] for row in rows for column in ("question", "context")))
    windows = tokenizer(
        list(questions),
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=max_length,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    examples = windows["overflow_to_sample_mapping"]
    for i, example in enumerate(examples):
        first = i == 0 or examples[i - 1] != example
        last = i + 1 == len(examples) or examples[i + 1] != example
        window = _window(windows[i], first, last)
        yield Input(number + example, windows["input_ids"][i], _target(rows[example], window), window)


def _clip_questions(questions: Sequence[str], tokenizer: "PreTrainedTokenizerFast", most: int) -> list[str]:
    """Truncate each question after `most` subwords, so that a window always has room for context.

    The cut never falls inside a character with several subwords, since that would restore all of them.
    """
    encoding = tokenizer(list(questions), add_special_tokens=False, return_offsets_mapping=True)
    return [
        question if len(offsets) <= most else question[: min(offsets[most - 1][1], offsets[most][0])]
        for question, offsets in zip(questions, encoding["offset_mapping"], strict=True)
    ]


def _window(encoding: "Encoding", first: bool, last: bool) -> Window:
    # Every access to a property of an encoding copies it, so each is accessed once.
    positions = np.flatnonzero(np.array(encoding.sequence_ids, dtype=float) == 1).astype(np.int32)
    offsets = np.array(encoding.offsets, dtype=np.int32)[positions]
    return Window(positions, offsets, first, last)


def _target(row: Row, window: Window) -> tuple[int, int]:
    """Return the positions of the gold answer's first and last subword, or (0, 0) if the window does not contain it."""
    if not row["answers"]["text"]:
        return 0, 0
    start = row["answers"]["answer_start"][0]
    stop = start + len(row["answers"]["text"][0])
    inside = np.flatnonzero((window.offsets[:, 1] > start) & (window.offsets[:, 0] < stop))
    if not len(inside) or _is_cut(window, inside, start, stop):
        return 0, 0
    return int(window.positions[inside[0]]), int(window.positions[inside[-1]])


def _is_cut(window: Window, inside: np.ndarray, start: int, stop: int) -> bool:
    """Return whether the window begins or ends within the answer, whose outer characters may have no subword."""
    before = inside[0] == 0 and not window.first and window.offsets[0, 0] > start
    after = inside[-1] == len(window.offsets) - 1 and not window.last and window.offsets[-1, 1] < stop
    return bool(before or after)


def _best_span(
    scores: np.ndarray, offsets: np.ndarray, begins: np.ndarray | None = None
) -> tuple[float, int, int]:
    """Return the best (score, start, stop), in characters, of valid pairs of the best starts and ends.

    `begins` (n,) tells which subwords may begin a span; None means all.
    """
    if not len(scores):
        return -np.inf, 0, 0
    starts = np.argsort(-scores[:, 0], kind="stable")[:CANDIDATES]
    ends = np.argsort(-scores[:, 1], kind="stable")[:CANDIDATES]
    length = ends[None, :] - starts[:, None]
    fits = (length >= 0) & (length < MAX_ANSWER)
    if begins is not None:
        fits &= begins[starts][:, None]
    total = np.where(fits, scores[starts, 0][:, None] + scores[ends, 1], -np.inf)
    row, column = np.unravel_index(np.argmax(total), total.shape)
    start, end = (starts[row], ends[column]) if np.isfinite(total[row, column]) else (starts[0], starts[0])
    return float(total[row, column]), int(offsets[start, 0]), int(offsets[end, 1])
