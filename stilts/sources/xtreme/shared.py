"""Overlap of monolingual training sets with evaluation sets, which is counted and reported but not removed."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.sources.suite import Table
from stilts.tasks.configs import MULTILINGUAL, Config

if TYPE_CHECKING:
    import pyarrow as pa

# Columns that identify an example; in multiple choice, the prompt alone would not.
_EXAMPLE = ("sentence1", "sentence2", "tokens", "context", "question", "prompt", "choices")


class Shared:
    """Counts the rows of a suite's tables, and the examples and contexts that two of them share."""

    def __init__(self):
        self._rows: dict[str, dict[str, int]] = {}
        self._training: dict[tuple[str, str], np.ndarray] = {}
        self._evaluation: dict[tuple[str, str, str], np.ndarray] = {}

    def watch(self, tables: Iterable[Table]) -> Iterator[Table]:
        """Yield the tables unchanged while counting them."""
        for each in tables:
            self._rows.setdefault(each.config, {})[each.split] = len(each.rows)
            for kind, columns in _kinds(each.rows.column_names).items():
                self._note(each, kind, _digests(each.rows, columns))
            yield each

    def summary(self) -> dict[str, Any]:
        """Return `rows` (config -> split -> number) and `overlap`, a list.

        Each entry of `overlap` has a training set, an evaluation set of a target, what was compared ("example": all
        texts of a row; "context": QA contexts), the rows of the evaluation set, and how many of them the training set
        also has. Pairs without overlap have no entry.
        """
        return {"rows": self._rows, "overlap": list(self._overlaps())}

    def _note(self, each: Table, kind: str, digests: np.ndarray) -> None:
        config = Config.parse(each.config)
        if each.split == "train" and config.language != MULTILINGUAL:
            self._training[each.config, kind] = np.unique(digests)
        elif not config.intermediate:
            self._evaluation[each.config, each.split, kind] = digests

    def _overlaps(self) -> Iterator[dict[str, Any]]:
        for (training, kind), known in self._training.items():
            for (config, split, compared), digests in self._evaluation.items():
                shared = int(np.isin(digests, known).sum()) if compared == kind else 0
                if shared:
                    yield {"training": training, "evaluation": f"{config} {split}", "compared": kind,
                           "rows": len(digests), "shared": shared}  # fmt: skip


def _kinds(columns: Iterable[str]) -> dict[str, list[str]]:
    names = set(columns)
    example = [name for name in _EXAMPLE if name in names]
    return {"example": example, **({"context": ["context"]} if "context" in names else {})} if example else {}


def _digests(rows: "pa.Table", columns: list[str]) -> np.ndarray:
    """Return a 64-bit hash of each row's case-folded text."""
    found = np.empty(rows.num_rows, dtype=np.uint64)
    start = 0
    for batch in rows.select(columns).to_batches(
        max_chunksize=10_000
    ):  # limits the number of texts that are Python objects at a time
        texts = zip(*(batch[name].to_pylist() for name in columns), strict=True)
        for row, parts in enumerate(texts, start):
            text = "\t".join(" ".join(part) if isinstance(part, list) else part for part in parts).casefold()
            found[row] = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        start += batch.num_rows
    return found
