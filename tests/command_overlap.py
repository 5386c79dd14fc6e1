"""What an evaluation set shares with a training set: templates, sentences, value pairs, wordings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

_VALUE = re.compile(r"(\w+=\S+)")


class Overlap(NamedTuple):
    """Shares (0 to 1) of what occurs in an evaluation set that also occurs in a training set.

    Attributes
    ----------
    templates : float
        Of sentence templates.
    sentences : float
        Of sentences, in small letters.
    value_pairs : float
        Of pairs of slot values in one sentence.
    wordings : float
        Of tagged sentences with their values taken out; 0 where no set is tagged. Disjoint templates can still come
        together in such a wording: "turn on the _" belongs to more than one.
    """

    templates: float
    sentences: float
    value_pairs: float
    wordings: float


def overlap(training: Iterable[Mapping[str, Any]], evaluation: Iterable[Mapping[str, Any]]) -> Overlap:
    """Compare rows of any tasks on commands.

    Parameters
    ----------
    training, evaluation : iterable of mapping
        Rows as `stilts.sources.pocket.commands.generate` yields them; tags are names.
    """
    before, after = list(training), list(evaluation)
    return Overlap(*(_shared(look, before, after) for look in (_templates, _sentences, _value_pairs, _wordings)))


def _shared(look: Any, training: list[Mapping[str, Any]], evaluation: list[Mapping[str, Any]]) -> float:
    known = {item for row in training for item in look(row)}
    tested = {item for row in evaluation for item in look(row)}
    return len(tested & known) / len(tested) if tested else 0.0


def _templates(row: Mapping[str, Any]) -> list[str]:
    return [template.rpartition("-")[2] for template in row["template"].split("|")]


def _sentences(row: Mapping[str, Any]) -> list[str]:
    if "context" in row:
        return [sentence.casefold() for sentence in row["context"].removesuffix(".").split(". ")]
    if "tokens" in row:
        return [" ".join(row["tokens"]).casefold()]
    return [row[column].casefold() for column in ("sentence1", "sentence2") if column in row]


def _value_pairs(row: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for meaning in row["meaning"].split(" | "):
        yield from combinations(sorted(_VALUE.findall(meaning)), 2)


def _wordings(row: Mapping[str, Any]) -> Iterator[str]:
    if "tags" in row:
        masked = [token if tag == "O" else "_" for token, tag in zip(row["tokens"], row["tags"], strict=True)]
        yield re.sub(r"_( _)+", "_", " ".join(masked)).casefold()
