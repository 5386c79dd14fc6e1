"""The commands of one language: its templates, dealt into pools, ready to be drawn."""

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
from stilts.sources.pocket.commands.usage import Usage, usage
from stilts.sources.pocket.commands.values import FOLDER, stable_hash
from stilts.study.errors import UnknownName
from stilts.study.settings import SOURCE_LANGUAGE

_FILES = {"zh": "zh-CN"}
_TRIES = 30
_DRAWS = 5


class Entry(NamedTuple):
    """Templates of one action that fill the same slots: with equal values they mean the same."""

    action: str
    signature: Signature
    templates: tuple[Template, ...]

    @property
    def intent(self) -> str:
        """Name of the intent."""
        return self.templates[0].intent


@dataclass(frozen=True, eq=False)
class Phrasebook:
    """The templates of one language in their pools.

    Attributes
    ----------
    language : str
    templates : tuple of Template
        Those from which something could be drawn.
    usage : Usage
        How the language writes values.
    """

    language: str
    templates: tuple[Template, ...]
    usage: Usage

    @cached_property
    def _pools(self) -> dict[str, Pool]:
        """Pool of every template text; each intent, and in it each set of slots, is dealt out in turn."""
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
        """Pools whose templates a pool may use; targets are trained on English alone, so others test on more."""
        if self.language != SOURCE_LANGUAGE and pool is Pool.EVALUATION:
            return frozenset([Pool.EVALUATION, Pool.TRAIN])
        return frozenset([pool])

    @cache  # noqa: B019 - phrasebooks are few and live as long as the process
    def within(self, pool: Pool) -> tuple[Template, ...]:
        """Templates that a pool may use."""
        shares = self._shares(pool)
        return tuple(template for template in self.templates if self._pools[template.text] in shares)

    @cache  # noqa: B019
    def entries(self, pool: Pool) -> tuple[Entry, ...]:
        """Templates of a pool by action and slots."""
        found: dict[tuple[str, Signature], list[Template]] = defaultdict(list)
        for template in self.within(pool):
            for signature in sorted(template.signatures, key=sorted):
                found[template.action, signature].append(template)
        return tuple(Entry(*key, tuple(templates)) for key, templates in found.items())

    @cache  # noqa: B019
    def by_action(self, pool: Pool) -> dict[tuple[str, Signature], Entry]:
        """The entries of a pool by what they do and the slots that they fill, which mean the same in any language."""
        return {(entry.action, entry.signature): entry for entry in self.entries(pool)}

    def draw(self, templates: Sequence[Template], pool: Pool, rng: Random,
             wanted: Mapping[str, str] | None = None) -> Command:
        """Draw a command from one of some templates, as `stilts.sources.pocket.commands.sampling.draw` does.

        Raises
        ------
        Unfit
            If five draws on end failed.
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
        """Pools of a sentence without a value of its own pool: by chance, and by the names of a home that it holds."""
        text = text.casefold()
        named = {share for forms in self.usage.forms.values() for surface, share in forms.shares.items()
                 if surface in text}
        return named | {stable_hash(text) % SHARES}


def _place_in_order(template: Template) -> tuple[list[list[str]], str, int]:
    """Return what templates of an intent are sorted by."""
    return sorted(map(sorted, template.signatures)), template.action, stable_hash(template.text)


def data_file(language: str) -> Path:
    """Where `home-assistant-intents` holds a language.

    Raises
    ------
    UnknownName
        If it does not hold that language.
    """
    path = _folder() / f"{_FILES.get(language, language)}.json"
    if not path.exists():
        raise UnknownName("language of commands", language, held_languages())
    return path


def held_languages() -> list[str]:
    """Codes of the languages of `home-assistant-intents`, variants of a language aside."""
    codes = {path.stem for path in _folder().glob("*.json")}
    return sorted({code for code in codes if "-" not in code} | set(_FILES))


def intents_of(language: str) -> set[str]:
    """Names of the intents that have templates in a language, read without parsing these.

    Raises
    ------
    UnknownName
        If `home-assistant-intents` does not hold the language.
    """
    data = json.loads(data_file(language).read_text(encoding="utf-8"))
    return {intent for intent, about in data["intents"].items() if any(block["sentences"] for block in about["data"])}


def _folder() -> Path:
    import home_assistant_intents

    return Path(home_assistant_intents.__file__).parent / "data"


@cache
def phrasebook(language: str, folder: Path = FOLDER) -> Phrasebook:
    """Phrasebook of a language with the values of a folder of value files.

    Raises
    ------
    UnknownName
        If the templates do not hold that language.
    StiltsError
        If a value file is missing or broken.
    """
    own = usage(language, folder)
    templates = load(data_file(language), own.forms)
    return Phrasebook(language, tuple(template for template in templates if _usable(template, own)), own)


def _usable(template: Template, own: Usage) -> bool:
    """Whether something can be drawn from it for an evaluation set."""
    rng = Random(template.id)
    for _ in range(_TRIES):
        try:
            draw(template, Pool.EVALUATION, own, rng)
        except Unfit:
            continue
        return True
    return False
