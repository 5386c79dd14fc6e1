"""Passage retrieval with a dual encoder from one pool of all languages; the metric is mAP@20.

Queries and passages are encoded by the same encoder as the mean of their last hidden states, without a projection. The
loss is a softmax over a query's cosines with the passages of its batch, divided by `TEMPERATURE`, as for XTREME-R's
LAReQA and Mewsli-X (Ruder et al. 2021, arXiv:2104.07412; Roy et al. 2020, arXiv:2004.05484). Their scripts pool the
first token instead and learn the scale, starting at 1 / `TEMPERATURE`.

A suite has four kinds of splits, where `<task>` is `lareqa` or `mewsli-x`:

===================== ========== =============================================================================
config                split      columns
===================== ========== =============================================================================
`<task>.en`           train      query, passage
`<task>.en`           validation query, passage; the pool is the split's own passages, each once
`<task>.<language>`   test       id, query, gold (list of candidate ids, at least one)
`<task>.candidates`   pool       id (without white space, unique), passage, lang; every language of the suite
===================== ========== =============================================================================

The pool has its own split name, so that "candidates" is not mistaken for a language with a test set. The `id` of a test
row is its id in the published files. A prediction is the ids of the 20 nearest candidates, nearest first, joined by
spaces (on the dev set: numbers of passages in the order of their first rows).

Scores: `stilts.tasks.neighbours.count_ranking`. XTREME-R's evaluate.py reports no LAReQA score (its language list is
empty; utils_lareqa.py prints the mean over the questions of all languages). Its mAP@20 for Mewsli-X is MRR@20, which is
the same with one relevant candidate.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stilts.study.errors import StiltsError
from stilts.study.settings import Heads
from stilts.tasks.formats.base import TrainedFormat, get_row
from stilts.tasks.formats.evaluation import ModelUnderTest, Scored, Splits
from stilts.tasks.formats.inputs import Input, Row
from stilts.tasks.formats.subwords import split_texts
from stilts.tasks.metrics import Counts
from stilts.tasks.neighbours import count_ranking, rank

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from torch import nn
    from transformers import PreTrainedTokenizerFast

TEMPERATURE = 0.01  # XTREME-R's scale of 100 at the start of its training
MAX_QUERY = 96  # subwords of a query in XTREME-R's LAReQA; for its Mewsli-X, with 64, set max_length in the study


class Pool(NamedTuple):
    """Where a suite stores a task's candidates: language part of the config's name, split, columns."""

    config: str = "candidates"
    split: str = "pool"
    columns: tuple[str, ...] = ("id", "passage", "lang")


POOL = Pool()


class PassageRetrieval(TrainedFormat):
    """Rows `query`, `passage` for training; `query`, `gold` for searching a pool.

    The loss of a query depends on the other passages of its batch, so gradient accumulation over parts of a batch would
    change it. `whole_batches` therefore prevents splitting, and the study's batch size determines the memory.
    """

    name = "passage_retrieval"
    group = "retrieval"
    metric = "mAP@20"
    rule = "mean average precision at 20"
    text_columns = ("query", "passage")
    columns = ("query", "passage")
    test_columns = ("id", "query", "gold")
    one_input = True
    whole_batches = True

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """A query and its passage, for training and dev sets."""
        from datasets import Features, Value

        return Features({"query": Value("string"), "passage": Value("string")})

    def query_features(self) -> "Features":
        """Columns of a test set."""
        from datasets import Features, List, Value

        return Features({"id": Value("string"), "query": Value("string"), "gold": List(Value("string"))})

    def pool_features(self) -> "Features":
        """Columns of a pool."""
        from datasets import Features, Value

        return Features(dict.fromkeys(POOL.columns, Value("string")))

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """One input per row: its query, truncated after `MAX_QUERY` subwords, and its passage; or one of them alone."""
        longest = {"query": min(MAX_QUERY, max_length), "passage": max_length}
        sides = [
            split_texts(tokenizer, [row[column] for row in rows], truncation=True, max_length=most)
            for column, most in longest.items()
            if column in rows[0]
        ]
        sequences = enumerate(zip(*sides, strict=True))
        return [Input(i, first, None, alternatives=tuple(others)) for i, (first, *others) in sequences]

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """The mean over tokens, without trainable weights."""
        from stilts.tasks.formats.heads import MeanHead

        return MeanHead()

    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """Which passages, (batch, batch), equal another query's passage, see `_twins`."""
        import torch

        return (torch.from_numpy(_twins(inputs)),)

    def sum_loss(self, logits: "torch.Tensor", twins: "torch.Tensor") -> "torch.Tensor":
        """Sum of cross entropies of the queries; logits (2 * batch, hidden), each query followed by its passage.

        If a passage occurs twice in a batch, it is not a negative for either query.
        """
        import torch

        vectors = torch.nn.functional.normalize(logits.float(), dim=-1)
        similarities = vectors[0::2] @ vectors[1::2].T / TEMPERATURE  # (queries, passages)
        similarities = similarities.masked_fill(twins, -torch.inf)
        own = torch.arange(len(twins), device=logits.device)
        return torch.nn.functional.cross_entropy(similarities, own, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of queries."""
        return len(inputs)

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Vectors of each input's sequences: (2, hidden) of a pair, (1, hidden) of a query or a candidate alone."""
        ends = np.cumsum([len(part.sequences) for part in inputs])
        return np.split(logits.float().cpu().numpy(), ends[:-1])

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Numbers of the passages nearest to each row's query, among the passages of all rows."""
        numbers = _numbers(rows)
        pool = {numbers[row["passage"]]: vectors[1] for row, vectors in zip(rows, outputs, strict=True)}
        candidates = np.stack([pool[number] for number in range(len(pool))])
        return self.search(np.stack([vectors[0] for vectors in outputs]), candidates, [*map(str, range(len(pool)))])

    def search(self, queries: np.ndarray, pool: np.ndarray, ids: Sequence[str]) -> list[str]:
        """Return the ids of the 20 candidates nearest to each query, nearest first, joined by spaces.

        Parameters
        ----------
        queries : array (n, hidden)
            Vectors of the queries.
        pool : array (m, hidden)
            Vectors of all candidates.
        ids : sequence of str (m,)
            Ids of the candidates.
        """
        return [" ".join(ids[candidate] for candidate in nearest) for nearest in rank(queries, pool)]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Average precision at 20 of each query."""
        if "gold" in rows[0]:
            gold = [row["gold"] for row in rows]
        else:
            numbers = _numbers(rows)
            gold = [[str(numbers[row["passage"]])] for row in rows]
        return count_ranking([prediction.split() for prediction in predictions], gold)

    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Rank the pool of candidates in all languages for the queries of each language."""
        tests = [splits.read(language) for language in splits.languages]
        rows = [row for split in tests for row in split.rows]
        pool = splits.data(POOL.config, POOL.split, POOL.columns)
        check_pool(rows, pool["id"], splits.place)
        inputs = [
            *model.encode(self, rows),
            *model.encode(self, [{"passage": passage} for passage in pool["passage"]]),
        ]
        vectors = model.outputs(inputs, len(inputs))
        queries, candidates = np.concatenate(vectors[: len(rows)]), np.concatenate(vectors[len(rows) :])
        yield from self.scored(tests, self.search(queries, candidates, pool["id"]), splits.parallel)

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """A query with a relevant candidate, preferably one in the query's language."""
        row = get_row(splits.data(language), place, splits.config(language))
        pool = splits.data(POOL.config, POOL.split, POOL.columns)
        right = [candidate for candidate in pool if candidate["id"] in row["gold"]]
        first = min(right, key=lambda candidate: candidate["lang"] != language)
        return {"example": row["query"], "answer": first["passage"]}


def check_pool(rows: Sequence[Row], ids: Sequence[str], place: str) -> None:
    """Raise StiltsError if a query's gold candidate is missing in the pool, or ids are invalid or not unique.

    Parameters
    ----------
    rows : sequence of mappings
        Rows with `gold`.
    ids : sequence of str
        Ids of the pool's candidates.
    place : str
        Suite and task, for messages.
    """
    known = set(ids)
    if len(known) != len(ids):
        raise StiltsError(f"{place}: {len(ids)} candidates have only {len(known)} different ids; build the suite again")
    if spaced := next((name for name in ids if name.split() != [name]), None):
        raise StiltsError(f"{place}: candidate id {spaced!r} is empty or holds white space; build the suite again")
    if unknown := next((name for row in rows for name in row["gold"] if name not in known), None):
        raise StiltsError(f"{place}: no candidate has the id '{unknown}', which a query's gold names; build it again")


def _twins(inputs: Sequence[Input]) -> np.ndarray:
    """Return a mask (batch, batch) of passages that equal another query's passage; False on the diagonal."""
    same = {}
    numbers = np.array([same.setdefault(tuple(part.alternatives[0]), len(same)) for part in inputs])
    return (numbers[:, None] == numbers) & ~np.eye(len(inputs), dtype=bool)


def _numbers(rows: Sequence[Row]) -> Mapping[str, int]:
    """Return passage -> number, in the order of first rows."""
    return {passage: i for i, passage in enumerate(dict.fromkeys(row["passage"] for row in rows))}
