"""Rooms, floors and devices in every language, and the agreement of their forms with neighbouring words.

The headers of the files under `stilts/sources/pocket/values` describe their layout.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from stilts.sources.pocket.commands.trees import SHARES, Form, Value
from stilts.study.errors import StiltsError
from stilts.study.yaml_files import read_yaml

FOLDER = Path(__file__).parent.parent / "values"
HOME_SLOTS = ("area", "floor", "name")
FILES = {"area": "areas.yaml", "floor": "floors.yaml", "name": "names.yaml"}
UNSPACED = frozenset({"zh", "ja", "th"})
"""Languages without white space between words."""

_PUNCTUATION = frozenset(",.;:!?…\"()[]«»“”。、，！？؟،।")


@dataclass(frozen=True, eq=False)
class Forms:
    """The values of one slot in one language, with their agreement.

    Attributes
    ----------
    values : tuple of Value
    agreement, bound : mapping of str to frozenset of str
        Agreement class -> neighbours that it allows; neighbours of which it needs one.
    spaced : bool
        Whether the language has white space between words.
    """

    values: tuple[Value, ...]
    agreement: Mapping[str, frozenset[str]]
    bound: Mapping[str, frozenset[str]]
    spaced: bool = True

    @cached_property
    def listed(self) -> frozenset[str]:
        """All neighbours in the rules of any class."""
        return frozenset().union(*self.agreement.values(), *self.bound.values())

    @cached_property
    def shares(self) -> dict[str, int]:
        """The share of every wording of a value."""
        return {form.surface.casefold(): value.share for value in self.values for form in value.forms}

    def choose(self, value: Value, before: str, after: str) -> Form | None:
        """Return the first form of a value that agrees with its context, or None.

        Parameters
        ----------
        value : Value
        before, after : str
            The parts of the sentence before and after the value.
        """
        beside = self._neighbours(before, after)
        words = {before.split()[-1].casefold() if before[-1:].isspace() else "",
                 after.split()[0].casefold() if after[:1].isspace() and after.strip() else ""}
        return next((form for form in value.forms if self._fits(form, beside)
                     and words.isdisjoint(form.surface.casefold().split())), None)

    def _fits(self, form: Form, beside: frozenset[str]) -> bool:
        needed = self.bound.get(form.group, frozenset())
        own = self.agreement.get(form.group, frozenset()) | needed
        strange = (neighbour for neighbour in beside - own if neighbour in self.listed or _is_glued(neighbour))
        return next(strange, None) is None and (not needed or not needed.isdisjoint(beside))

    def _neighbours(self, before: str, after: str) -> frozenset[str]:
        before, after = before.casefold(), after.casefold()
        return frozenset(_spaced(before, after) if self.spaced else self._unspaced(before, after))

    def _unspaced(self, before: str, after: str) -> Iterable[str]:
        for neighbour in self.listed:
            follows = neighbour.startswith("-")
            near = after.strip().startswith if follows else before.strip().endswith
            if near(neighbour.removeprefix("-").removesuffix("-").strip()):
                yield neighbour


def _is_glued(neighbour: str) -> bool:
    return neighbour.endswith("-") or (neighbour.startswith("-") and not neighbour.startswith("- "))


def _spaced(before: str, after: str) -> Iterable[str]:
    if before and not before[-1].isspace():
        if before[-1] not in _PUNCTUATION:
            yield before.split()[-1] + "-"
    elif before.strip():
        yield before.split()[-1]
    if after and not after[0].isspace():
        if after[0] not in _PUNCTUATION:
            yield "-" + re.split(r"[\s,.;:!?]", after, maxsplit=1)[0]
    elif after.strip():
        yield "- " + after.split()[0].rstrip(",.;:!?…")


@cache
def read(name: str, folder: Path = FOLDER) -> Mapping[str, Any]:
    """Return the content of a value file.

    Raises
    ------
    StiltsError
        If it is missing or not a mapping of languages.
    """
    path = folder / name
    try:
        content = read_yaml(path, "value file")
    except StiltsError as error:
        raise StiltsError(f"{error}; install the package again") from None
    if not isinstance(content, dict):
        raise StiltsError(f"{path}: holds a {type(content).__name__}, not a mapping of languages to values")
    return content


def read_home_forms(language: str, folder: Path = FOLDER) -> dict[str, Forms]:
    """Return the values of "area", "floor" and "name" in a language; a slot has none if its file lacks the language."""
    return {slot: _forms(read(name, folder), language) for slot, name in FILES.items()}


def _forms(content: Mapping[str, Any], language: str) -> Forms:
    about, kinds = content.get(language, {}), content.get("kinds", {})
    shares = _shares(content)
    values = tuple(Value(key, forms=_as_forms(form), share=shares[key], kind=kinds.get(key, ""))
                   for key, form in about.get("values", {}).items())
    return Forms(values, _neighbour_sets(about, "agreement"), _neighbour_sets(about, "bound"), language not in UNSPACED)


def _neighbour_sets(about: Mapping[str, Any], part: str) -> dict[str, frozenset[str]]:
    return {group: frozenset(str(neighbour).casefold() for neighbour in neighbours)
            for group, neighbours in about.get(part, {}).items()}


def _as_forms(form: str | Sequence[Any]) -> tuple[Form, ...]:
    if isinstance(form, str):
        return (Form(form),)
    if isinstance(form[0], str):
        return (Form(*form),)
    return tuple(part if isinstance(part, Form) else _as_forms(part)[0] for part in form)


def _shares(content: Mapping[str, Any]) -> dict[str, int]:
    """Return the share of each meaning in a file; kinds of devices are divided separately, so each pool has all."""
    kinds = content.get("kinds", {})
    meanings = {key for about in content.values() if isinstance(about, dict) for key in about.get("values", {})}
    order = sorted(meanings, key=lambda key: (kinds.get(key, ""), hash_stably(key)))
    return {key: place % SHARES for place, key in enumerate(order)}


def hash_stably(text: str) -> int:
    """Return a hash of a text that does not depend on the process, the machine or `PYTHONHASHSEED`."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())
