"""Task families whose difficulty is a setting: the state after some commands (`dial-base`, `dial-lures-30`, ...).

A premise consists of several commands, each of which sets the brightness or color of a room's lights or the volume in
it. A hypothesis consists of one or two commands; it is entailed if all of them describe the state after the premise.

In the family "dial" a premise has five commands and a hypothesis two. Three dials increase the difficulty, each with
the other two at their lowest level:

slots
    How many of the hypothesis' four slots (the first command's value and room, then the second's) may be wrong, and so
    must be compared.
distractors
    In how many other rooms the premise sets the same thing as the hypothesis' first command. With at least one, the
    wrong value is that of such a room: it matters where a value occurs, not only whether it does.
steps
    How often the premise sets the first command's thing in its room. The last time counts; with at least two, the wrong
    value is one of the earlier ones.

In the family "lures" a premise has three commands, one of which is a distractor, and a hypothesis has one command, in
which only the value may be wrong. One dial increases the difficulty:

lures
    In what percentage of the wrong hypotheses the value is the distractor's; in the others it is not in the premise. At
    0 it is enough to check whether the value occurs. The more lures there are, the more wrong hypotheses pass this
    check; only the room reveals them.

Everything else is equal over a family's levels: the number of commands, at most one wrong slot, one value per command,
distinct values in a premise, distinct rooms except for the steps, the number of rows per label, and the wordings of
commands, from the intermediate pool. The other commands of a premise set a third thing. Rows in several languages are
parallel: the same commands in the same order, worded in each language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import NamedTuple

from stilts.sources.pocket.commands.collecting import Example, stream, take
from stilts.sources.pocket.commands.parallel import Speakers, Tables, spread
from stilts.sources.pocket.commands.phrasebook import phrasebook
from stilts.sources.pocket.commands.questions import joined
from stilts.sources.pocket.commands.sampling import Command, Pool, Unfit
from stilts.sources.suite import Sizes
from stilts.study.settings import SOURCE_LANGUAGE

VERSION = 1  # increase it when the same packages and value files give other rows
DIAL_LABELS = ["entailment", "not_entailment"]


class Level(NamedTuple):
    """The settings of the dials, and the numbers of commands; see the module's docstring."""

    slots: int = 1
    distractors: int = 0
    steps: int = 1
    lures: int = 100
    premise: int = 5
    hypothesis: int = 2


FAMILIES: Mapping[str, Mapping[str, Level]] = {
    "dial": {
        "dial-base": Level(),
        **{f"dial-slots-{number}": Level(slots=number) for number in (2, 3, 4)},
        **{f"dial-distractors-{number}": Level(distractors=number) for number in (1, 2, 3)},
        **{f"dial-steps-{number}": Level(steps=number) for number in (2, 3, 4)},
    },
    "lures": {
        f"dial-lures-{percent}": Level(distractors=1, lures=percent, premise=3, hypothesis=1)
        for percent in (0, 15, 30, 45, 60)
    },
}
"""Family -> task -> level; `dial-base` is the lowest level of all three dials of its family."""
LEVELS: Mapping[str, Level] = {name: level for levels in FAMILIES.values() for name, level in levels.items()}

_THINGS = {"brightness": "HassLightSet domain:light", "color": "HassLightSet domain:light",
           "volume_level": "HassSetVolume"}
"""The things that a command can set in a room: slot of the value -> action."""
_DRAWS = 400
_WORDINGS = 6
_FEWEST_WORDINGS = 3


class Fact(NamedTuple):
    """The state of a thing in a room."""

    thing: str
    area: str
    value: str


Wordings = Mapping[Fact, Mapping[str, Sequence[Command]]]
"""Fact -> language -> commands that set it."""


def label_names(level: str) -> list[str]:
    """Return the labels of a level: those of all levels."""
    return DIAL_LABELS


def left_out(languages: Sequence[str]) -> dict[str, str]:
    """Return the languages, all with command tasks, in which the families cannot be made, each with the reason."""
    keys = {language: phrasebook(language).by_action(Pool.INTERMEDIATE) for language in languages}
    missing = {language: [thing for thing, action in _THINGS.items() if (action, frozenset(["area", thing])) not in own]
               for language, own in keys.items()}
    return {language: f"no template of the intermediate pool sets {' or '.join(things)} in an area"
            for language, things in missing.items() if things}


def generate(family: str, languages: Sequence[str], sizes: Sizes, seed: int) -> Tables:
    """Yield parallel tables of every level of a family in English and other languages.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    languages : sequence of str
        English first; none of those in `left_out`.
    sizes : Sizes
        `dial` training rows and `validation` dev rows of each level.
    seed : int

    Yields
    ------
    tuple of (str, str, list of dict)
        Config `intermediate.<level>.<language>`, split, rows; labels are names.
    """
    wordings = _wordings(tuple(languages), seed)
    for name, level in FAMILIES[family].items():
        examples = _examples(level, wordings, Speakers(languages, Random(f"{seed}/{name}/{' '.join(languages)}")))
        rows = {"validation": take(examples, sizes.validation), "train": take(examples, sizes.dial)}
        yield from spread(f"intermediate.{name}", rows, languages, seed)


@cache
def _wordings(languages: tuple[str, ...], seed: int) -> Wordings:
    """Return the wordings of each fact that has at least three in every language."""
    speakers = Speakers(languages, Random(f"{seed}/dial wordings/{' '.join(languages)}"), Pool.INTERMEDIATE)
    found = {}
    for fact in _facts(speakers):
        said = {language: _ways(speakers, fact, language) for language in languages}
        if min(map(len, said.values())) >= _FEWEST_WORDINGS:
            found[fact] = said
    return found


def _facts(speakers: Speakers) -> list[Fact]:
    """Return all combinations of rooms and values that occur in drawn English commands."""
    english = phrasebook(SOURCE_LANGUAGE).by_action(speakers.pool)
    facts = []
    for thing, action in _THINGS.items():
        drawn = [found for found in _drawn(speakers, english[action, frozenset(["area", thing])].templates)
                 if found.keys() == {"area", thing}]
        # "maximum" and similar words count as other values than numbers, but some mean the same.
        values = sorted({found[thing] for found in drawn if not found[thing].startswith("word:")})
        facts += [Fact(thing, area, value) for area in sorted({found["area"] for found in drawn}) for value in values]
    return facts


def _drawn(speakers: Speakers, templates: Sequence) -> Iterator[Mapping[str, str]]:
    for _ in range(_DRAWS):
        try:
            yield speakers.book.draw(templates, speakers.pool, speakers.rng).slots
        except Unfit:
            continue


def _ways(speakers: Speakers, fact: Fact, language: str) -> list[Command]:
    """Return distinct wordings of a fact, at most six."""
    ways: dict[str, Command] = {}
    for _ in range(_WORDINGS):
        try:
            command = speakers.say(_THINGS[fact.thing], {"area": fact.area, fact.thing: fact.value}, language)
        except Unfit:
            return list(ways.values())
        ways.setdefault(command.text, command)
    return list(ways.values())


def _examples(level: Level, wordings: Wordings, speakers: Speakers) -> Iterator[Example]:
    rng = speakers.rng

    def example(label: str) -> Example:
        premise, hypothesis = _draw(level, label, wordings, rng)
        return speakers.each(lambda language: _example(
            [[rng.choice(wordings[fact][language]) for fact in facts] for facts in (premise, hypothesis)],
            label, language))

    return stream(DIAL_LABELS, example)


def _example(texts: Sequence[Sequence[Command]], label: str, language: str) -> Example:
    premise, hypothesis = (joined(commands, language) for commands in texts)
    commands = [command for part in texts for command in part]
    return Example((premise, hypothesis), {
        "sentence1": premise, "sentence2": hypothesis, "label": label,
        "template": "|".join(command.template.id for command in commands),
        "meaning": " | ".join(command.meaning for command in commands)})


def _draw(level: Level, label: str, wordings: Wordings, rng: Random) -> tuple[list[Fact], list[Fact]]:
    """Draw the facts of a premise, in order, and of a hypothesis.

    Raises
    ------
    Unfit
        If a fact has no wordings in some language, or a value occurs twice.
    """
    asked, second, third = rng.sample(sorted(_THINGS), 3)
    areas = sorted({fact.area for fact in wordings})
    rng.shuffle(areas)
    values = {thing: sorted({fact.value for fact in wordings if fact.thing == thing}) for thing in _THINGS}

    def fact(thing: str, area: str) -> Fact:
        return Fact(thing, area, rng.choice(values[thing]))

    steps = [fact(asked, areas[0]) for _ in range(level.steps)]
    beside = [fact(second, areas[1])]
    distractors = [fact(asked, areas[2 + number]) for number in range(level.distractors)]
    fillers = level.premise - len(steps) - len(beside) - len(distractors)
    beside += distractors + [fact(third, areas[2 + level.distractors + number]) for number in range(fillers)]
    premise = _mixed(steps, beside, rng)
    hypothesis = [steps[-1], beside[0]][: level.hypothesis]
    unused = {thing: sorted(set(values[thing]) - {each.value for each in premise}) for thing in _THINGS}
    if label != DIAL_LABELS[0]:
        place, slot = divmod(rng.randrange(level.slots), 2)
        right = hypothesis[place]
        # At 100 nothing is drawn, since a draw would change the recorded rows of the family "dial".
        lured = place == 0 and (level.lures == 100 or rng.randrange(100) < level.lures)
        known = [each.value for each in (distractors or steps[:-1])] if lured else []
        wrong = {"value": rng.choice(known or unused[right.thing])} if slot == 0 else {"area": areas[-1]}
        hypothesis[place] = right._replace(**wrong)
    if len({each.value for each in premise}) < len(premise) or not wordings.keys() >= {*premise, *hypothesis}:
        raise Unfit("cannot be said")
    return premise, hypothesis


def _mixed(steps: Sequence[Fact], beside: Sequence[Fact], rng: Random) -> list[Fact]:
    """Return all facts in a random order that keeps the order of the steps."""
    commands = len(steps) + len(beside)
    places = set(rng.sample(range(commands), len(steps)))
    ordered, others = iter(steps), iter(rng.sample(beside, len(beside)))
    return [next(ordered if place in places else others) for place in range(commands)]
