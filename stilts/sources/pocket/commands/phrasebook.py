"""The phrasebook of a language: its templates, assigned to pools, from which commands are drawn."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import NamedTuple

from stilts.sources.pocket.commands.grammar import Template, load
from stilts.sources.pocket.commands.sampling import Command, Pool, Unfit, draw
from stilts.sources.pocket.commands.trees import SHARES, Signature
from stilts.sources.pocket.commands.usage import Usage, read_usage
from stilts.sources.pocket.commands.values import FOLDER, hash_stably
from stilts.study.errors import UnknownName
from stilts.study.settings import SOURCE_LANGUAGE

_FILES = {"zh": "zh-CN"}
_TRIES = 30
_DRAWS = 5


class Entry(NamedTuple):
    """Templates of one action that fill the same slots: with equal values, they have the same meaning."""

    action: str
    signature: Signature
    templates: tuple[Template, ...]

    @property
    def intent(self) -> str:
        """The name of the intent."""
        return self.templates[0].intent


@dataclass(frozen=True, eq=False)
class Phrasebook:
    """The templates of one language in their pools.

    Attributes
    ----------
    language : str
    templates : tuple of Template
        The templates from which commands can be drawn.
    usage : Usage
        Usage rules of the language.
    """

    language: str
    templates: tuple[Template, ...]
    usage: Usage

    @cached_property
    def _pools(self) -> dict[str, Pool]:
        """Pool of every template text; the texts of each intent are sorted by slots and assigned in turn."""
        by_intent = defaultdict(list)
        for template in self.templates:
            by_intent[template.intent].append(template)
        pools: dict[str, Pool] = {}
        for intent in sorted(by_intent):
            order = sorted(by_intent[intent], key=_place_in_order)
            fresh = [text for text in dict.fromkeys(one.text for one in order) if text not in pools]
            pools.update((text, Pool(place % SHARES)) for place, text in enumerate(fresh))
        return pools

    def _shares(self, pool: Pool) -> frozenset[Pool]:
        """Return the pools whose templates a pool may use; without target training, tests use TRAIN templates too."""
        if self.language != SOURCE_LANGUAGE and pool is Pool.EVALUATION:
            return frozenset([Pool.EVALUATION, Pool.TRAIN])
        return frozenset([pool])

    @cache  # noqa: B019 - phrasebooks are few and live as long as the process
    def within(self, pool: Pool) -> tuple[Template, ...]:
        """Return the templates that a pool may use."""
        shares = self._shares(pool)
        return tuple(template for template in self.templates if self._pools[template.text] in shares)

    @cache  # noqa: B019
    def entries(self, pool: Pool) -> tuple[Entry, ...]:
        """Return the templates of a pool, grouped by action and slots."""
        found: dict[tuple[str, Signature], list[Template]] = defaultdict(list)
        for template in self.within(pool):
            for signature in sorted(template.signatures, key=sorted):
                found[template.action, signature].append(template)
        return tuple(Entry(*key, tuple(templates)) for key, templates in found.items())

    @cache  # noqa: B019
    def by_action(self, pool: Pool) -> dict[tuple[str, Signature], Entry]:
        """Return the entries of a pool by action and slots, which have the same meaning in any language."""
        return {(entry.action, entry.signature): entry for entry in self.entries(pool)}

    def draw(self, templates: Sequence[Template], pool: Pool, rng: Random,
             wanted: Mapping[str, str] | None = None) -> Command:
        """Draw a command from a random template, see `stilts.sources.pocket.commands.sampling.draw`.

        Raises
        ------
        Unfit
            If five consecutive draws failed.
        """
        for _ in range(_DRAWS - 1):
            try:
                return self._draw_once(rng.choice(templates), pool, rng, wanted)
            except Unfit:
                continue
        return self._draw_once(rng.choice(templates), pool, rng, wanted)

    def _draw_once(self, template: Template, pool: Pool, rng: Random, wanted: Mapping[str, str] | None) -> Command:
        command = draw(template, pool, self.usage, rng, wanted)
        if not command.pooled and not self._owners(command.text) <= self._shares(pool):
            raise Unfit("sentence of another pool")
        return command

    def _owners(self, text: str) -> set[int]:
        """Return the pools of a sentence without pooled values: by its hash, and by the names of a home in it."""
        text = text.casefold()
        named = {share for forms in self.usage.forms.values() for surface, share in forms.shares.items()
                 if surface in text}
        return named | {hash_stably(text) % SHARES}


def _place_in_order(template: Template) -> tuple[list[list[str]], str, int]:
    return sorted(map(sorted, template.signatures)), template.action, hash_stably(template.text)


def find_data_file(language: str) -> Path:
    """Return the file of a language in `home-assistant-intents`.

    Raises
    ------
    UnknownName
        If the package does not have the language.
    """
    path = _folder() / f"{_FILES.get(language, language)}.json"
    if not path.exists():
        raise UnknownName("language of commands", language, list_held_languages())
    return path


def list_held_languages() -> list[str]:
    """Return the codes of the languages in `home-assistant-intents`, without variants."""
    codes = {path.stem for path in _folder().glob("*.json")}
    return sorted({code for code in codes if "-" not in code} | set(_FILES))


def list_intents(language: str) -> set[str]:
    """Return the names of the intents with templates in a language, without parsing these.

    Raises
    ------
    UnknownName
        If `home-assistant-intents` does not have the language.
    """
    data = json.loads(find_data_file(language).read_text(encoding="utf-8"))
    return {intent for intent, about in data["intents"].items() if any(block["sentences"] for block in about["data"])}


def _folder() -> Path:
    import home_assistant_intents

    return Path(home_assistant_intents.__file__).parent / "data"


@cache
def read_phrasebook(language: str, folder: Path = FOLDER) -> Phrasebook:
    """Return the phrasebook of a language, with values from the value files of a folder.

    Raises
    ------
    UnknownName
        If there are no templates in the language.
    StiltsError
        If a value file is missing or invalid.
    """
    own = read_usage(language, folder)
    templates = load(find_data_file(language), own.forms)
    return Phrasebook(language, tuple(template for template in templates if _usable(template, own)), own)


def _usable(template: Template, own: Usage) -> bool:
    """Return whether a command for an evaluation set can be drawn from a template."""
    rng = Random(template.id)
    for _ in range(_TRIES):
        try:
            draw(template, Pool.EVALUATION, own, rng)
        except Unfit:
            continue
        return True
    return False
