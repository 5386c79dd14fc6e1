"""Overlap of a suite's training and evaluation sets: templates, meanings, pairs of slot values, texts."""

import re
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

from stilts.sources.pocket.commands.questions import split_commands
from stilts.sources.suite import Row, Table
from stilts.tasks.configs import Config

_SLOT = re.compile(r"\w+=\S+")


class Traces(NamedTuple):
    """The parts of a row; a pair or a list has several of each.

    Attributes
    ----------
    template, meaning : frozenset of str
        Ids. They include meanings without a slot ("stop"), some of which inevitably recur.
    values : frozenset of str
        Pairs of slot values within one meaning, as in ``area=garden position=98``.
    text : frozenset of str
        Case-folded sentences.
    """

    template: frozenset[str]
    meaning: frozenset[str]
    values: frozenset[str]
    text: frozenset[str]


class Census:
    """Counts the rows of tables and their overlap.

    Parameters
    ----------
    source : str
        Source language. Training sets are compared with its evaluation sets and with those of all other languages
        together; training sets in another language also with the evaluation sets of that language.
    """

    def __init__(self, source: str = "en"):
        self.source = source
        self._rows: dict[str, dict[str, int]] = {}
        self._training: dict[str, Traces] = {}
        self._targets: dict[tuple[str, str, str], list[Traces]] = {}

    def watch(self, tables: Iterable[Table]) -> Iterator[Table]:
        """Yield the tables unchanged while counting them."""
        for table in tables:
            self._rows.setdefault(table.config, {})[table.split] = len(table.rows)
            if "template" in table.features:
                self._note(table)
            yield table

    def summary(self) -> dict[str, Any]:
        """Return `rows` (config -> split -> number) and `overlap`.

        `overlap` has one entry for each training set and each set that should be disjoint from it: targets' evaluation
        sets, and for an intermediate task also targets' training sets. Its `template`, `meaning`, `values` and `text`
        are shares, from 0 to 1, of the latter's rows that have at least one of these in common with the training set.
        """
        return {"rows": self._rows, "overlap": list(self._overlaps())}

    def _note(self, table: Table) -> None:
        config = Config.parse(table.config)
        traces = [trace(row, config.language) for row in table.rows]
        if table.split == "train":
            joined = Traces(*(frozenset().union(*parts) for parts in zip(*traces, strict=True)))
            self._training[table.config] = joined
        if not config.intermediate:
            self._targets[config.task, config.language, table.split] = traces

    def _overlaps(self) -> Iterator[dict[str, Any]]:
        for config, training in self._training.items():
            held = Config.parse(config)
            for name, traces in self._compared(held.language).items():
                if held.intermediate or not name.endswith(" train"):
                    shares = {kind: _share(traces, kind, training) for kind in Traces._fields}
                    yield {"training": config, "compared": name, "rows": len(traces), **shares}

    def _compared(self, language: str) -> dict[str, list[Traces]]:
        """Return the traces of the targets' sets, grouped for comparison with training sets in a language."""
        groups: dict[str, list[Traces]] = {}
        for (task, tested, split), traces in self._targets.items():
            if tested != self.source:
                groups.setdefault(f"{task} other languages {split}", []).extend(traces)
            if tested in (self.source, language):
                groups.setdefault(f"{task} {tested} {split}", []).extend(traces)
        return groups


def trace(row: Row, language: str) -> Traces:
    """Return the parts of a row in a language; ``a|b`` and ``a | b`` are two templates or meanings."""
    templates, meanings = ([part.strip() for part in row[column].split("|")] for column in ("template", "meaning"))
    if "context" in row:
        texts = split_commands(row["context"], language, len(templates))
    else:
        texts = [row[column] for column in ("sentence1", "sentence2") if column in row] or [" ".join(row["tokens"])]
    values = (" ".join(pair) for meaning in meanings for pair in combinations(sorted(_SLOT.findall(meaning)), 2))
    sentences = (text.casefold() for text in texts)
    return Traces(*(frozenset(parts) for parts in (templates, meanings, values, sentences)))


def _share(traces: list[Traces], kind: str, training: Traces) -> float:
    known = getattr(training, kind)
    return round(sum(not known.isdisjoint(getattr(row, kind)) for row in traces) / len(traces), 4)
