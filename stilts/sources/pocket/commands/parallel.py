"""Intermediate tasks in several source languages at once: the same meanings in the same order in each of them.

What is equal between two languages: the number of rows and their order; in each row the meanings (action and values) of
its commands and their order, the label, the slot that is asked for and the place of the command that answers.
Meanings are drawn from what every one of the languages, English among them, can say with its own templates and values
of the intermediate pool, so that adding a language changes the rows of all.

What is not: the wording, with it the length, the templates and their number, and how often a language says one meaning
in different ways. A paraphrase is two wordings of one meaning, from two templates or from one, since few meanings have
two templates in every language. The pairs of `para` have the same word overlap with either label in each language, but
not the same in two of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from random import Random
from typing import Any

from stilts.sources.pocket.commands.collecting import Example, stream, take
from stilts.sources.pocket.commands.grammar import Template
from stilts.sources.pocket.commands.pairs import (
    NLI_LABELS,
    PARA_LABELS,
    PairMaker,
    Picked,
    Twins,
    entailment_makers,
    grouped,
    overlap_level,
    pair_example,
    paraphrase_makers,
)
from stilts.sources.pocket.commands.phrasebook import Entry, Phrasebook, phrasebook
from stilts.sources.pocket.commands.questions import among, askable, draw_filling, question_example, question_words
from stilts.sources.pocket.commands.sampling import Command, Pool, Unfit
from stilts.sources.pocket.commands.single import intent_example, intent_names, slot_names, slots_example
from stilts.sources.suite import Sizes
from stilts.study.errors import StiltsError
from stilts.study.settings import SOURCE_LANGUAGE

VERSION = 1  # raise it when the same packages and value files give other rows
_POOL = Pool.INTERMEDIATE
_WORDINGS = 6
_MATCHES = 3
_PATIENCE = 30
_FEWEST, _MOST = 2, 4

ByLanguage = dict[str, Any]
Tables = Iterator[tuple[str, str, list[dict[str, Any]]]]


@dataclass(frozen=True, eq=False)
class SharedBook(Phrasebook):
    """The English templates of those meanings that other languages can say as well.

    Attributes
    ----------
    others : tuple of Phrasebook
    """

    others: tuple[Phrasebook, ...] = ()

    @cache  # noqa: B019 - as in Phrasebook
    def entries(self, pool: Pool) -> tuple[Entry, ...]:
        """Templates of a pool by action and slots, of what all languages can say."""
        shared = [book.by_action(pool).keys() for book in self.others]
        return tuple(entry for entry in Phrasebook.entries(self, pool)
                     if all((entry.action, entry.signature) in keys for keys in shared))

    def draw(self, templates: Sequence[Template], pool: Pool, rng: Random, wanted: dict[str, str] | None = None
             ) -> Command:
        """Draw an English command; `Unfit` if some language has no template for it."""
        command = Phrasebook.draw(self, templates, pool, rng, wanted)
        if (command.template.action, frozenset(command.slots)) not in self.by_action(pool):
            raise Unfit("not in every language")
        return command


class Speakers:
    """Draws commands in English and words them in several languages.

    Parameters
    ----------
    languages : sequence of str
        English first.
    rng : Random
    pool : Pool
        Whose templates and values to use.
    """

    def __init__(self, languages: Sequence[str], rng: Random, pool: Pool = _POOL):
        self.languages, self.rng, self.pool = list(languages), rng, pool
        self._books = {language: phrasebook(language) for language in languages}
        self._seen: dict[str, set[Hashable]] = defaultdict(set)

    @cached_property
    def book(self) -> SharedBook:
        """What all of them can say, in English."""
        english = self._books[SOURCE_LANGUAGE]
        others = tuple(book for book in self._books.values() if book is not english)
        return SharedBook(english.language, english.templates, english.usage, others)

    def draw(self, entries: Sequence[Entry]) -> Command:
        """An English command of one of some entries."""
        return self.book.draw(self.rng.choice(entries).templates, self.pool, self.rng)

    def word(self, command: Command, language: str) -> Command:
        """Say what a command says in a language; see `say`."""
        return self.say(command.template.action, command.slots, language)

    def say(self, action: str, slots: Mapping[str, str], language: str) -> Command:
        """Word an action with normalised values in a language.

        Raises
        ------
        Unfit
            If no wording was found.
        """
        book = self._books[language]
        templates = book.by_action(self.pool)[action, frozenset(slots)].templates
        return tried(lambda: book.draw(templates, self.pool, self.rng, slots), _WORDINGS)

    def each(self, write: Callable[[str], Example]) -> Example:
        """One example of all languages; its row holds theirs.

        Raises
        ------
        Unfit
            If one cannot be written, or was seen in its language before.
        """
        examples = {language: write(language) for language in self.languages}
        if any(example.words in self._seen[language] for language, example in examples.items()):
            raise Unfit("known in a language")
        for language, example in examples.items():
            self._seen[language].add(example.words)
        return Example(tuple(example.words for example in examples.values()),
                       {language: example.row for language, example in examples.items()})


class FreePairs(PairMaker):
    """Pairs of meanings; a paraphrase is one meaning that is said twice.

    Attributes
    ----------
    intent : str, optional
        Of the first command; any by default.
    """

    intent: str | None = None

    def paraphrase(self) -> Twins:
        """One command, twice."""
        command = self._say(self._pick(self._twofold))
        return command, command

    def _pick(self, by_intent: Mapping[str, Sequence[Picked]]) -> Picked:
        if self.intent is None:
            return super()._pick(by_intent)
        if self.intent not in by_intent:
            raise Unfit(self.intent)
        return self.rng.choice(by_intent[self.intent])

    @cached_property
    def _twofold(self) -> dict[str, list[Entry]]:
        """All entries: one template may have several wordings."""
        return grouped((entry.intent, entry) for entry in self._entries)


def generate(languages: Sequence[str], sizes: Sizes, seed: int) -> Tables:
    """Tables of the intermediate tasks in English and other languages, parallel.

    Parameters
    ----------
    languages : sequence of str
        English first; each must have command tasks.
    sizes : Sizes
        Rows of each split; fewer training rows where the languages have no more in common.
    seed : int

    Yields
    ------
    tuple of (str, str, list of dict)
        Config, split, rows; labels are names.

    Raises
    ------
    StiltsError
        If the languages have so little in common that a task gets no training set larger than its dev set.
    """
    for task, make in _STREAMS.items():
        examples = make(Speakers(languages, Random(f"{seed}/parallel {task}/{' '.join(languages)}")))
        rows = {"validation": take(examples, sizes.validation), "train": take(examples, sizes.intermediate_train)}
        if len(rows["train"]) < sizes.validation:
            raise StiltsError(f"intermediate.{task}: {', '.join(languages)} say only {sum(map(len, rows.values()))} "
                              "rows alike, too few; choose fewer source languages, or lower the sizes")
        yield from spread(f"intermediate.{task}", rows, languages, seed)


def spread(name: str, rows: dict[str, list[ByLanguage]], languages: Sequence[str], seed: int) -> Tables:
    """Deal rows of all languages out to the config of each, shuffled alike; questions get ids."""
    for split in rows:
        Random(f"{seed}/{name}/{split}").shuffle(rows[split])
    yield from deal(name, rows, languages)


def deal(name: str, rows: dict[str, list[ByLanguage]], languages: Sequence[str]) -> Tables:
    """Deal rows of all languages out to the config of each, in their order; questions get ids."""
    for language in languages:
        for split in ("train", "validation"):
            yield f"{name}.{language}", split, _numbered(f"{name}.{language}-{split}", rows[split], language)


def _numbered(name: str, rows: list[ByLanguage], language: str) -> list[dict[str, Any]]:
    own = [row[language] for row in rows]
    if "question" in own[0]:
        return [{"id": f"{name}-{number}", **row} for number, row in enumerate(own)]
    return own


def intents(speakers: Speakers, names: Sequence[str] | None = None) -> Iterator[Example]:
    """Yield commands with their intents, one of each intent in turn: those of `intent_names`, or others."""
    by_intent = grouped((entry.intent, entry) for entry in speakers.book.entries(speakers.pool))

    def example(intent: str) -> Example:
        command = speakers.draw(by_intent[intent])
        return speakers.each(lambda language: intent_example(speakers.word(command, language)))

    return stream([name for name in names or intent_names() if name in by_intent], example, _PATIENCE)


def slots(speakers: Speakers) -> Iterator[Example]:
    """Commands with the slots of their tokens, one that fills each slot in turn."""
    known, by_slot = set(slot_names()), defaultdict(list)
    for entry in speakers.book.entries(speakers.pool):
        for slot in sorted(entry.signature) if entry.signature <= known else ():
            by_slot[slot].append(entry)

    def example(slot: str) -> Example:
        command = speakers.draw(by_slot[slot])
        if slot not in command.slots or not known.issuperset(command.slots):
            raise Unfit(slot)
        return speakers.each(lambda language: slots_example(speakers.word(command, language), language))

    return stream(sorted(by_slot), example, _PATIENCE)


def questions(speakers: Speakers) -> Iterator[Example]:
    """Contexts of two to four commands with a question that one of them answers, about each slot in turn."""
    rng, entries = speakers.rng, speakers.book.entries(speakers.pool)
    words = {language: question_words(language) for language in speakers.languages}
    asked_for = sorted(set.intersection(*(set(own) for own in words.values())))
    by_slot = {slot: askable(slot, entries) for slot in asked_for}
    others = {slot: [entry for entry in entries if slot not in entry.signature] for slot in by_slot}

    def example(slot: str) -> Example:
        asked = draw_filling(slot, by_slot[slot], speakers.book, speakers.pool, rng)
        beside = [speakers.draw(others[slot]) for _ in range(rng.randint(_FEWEST, _MOST) - 1)]
        commands, place = among(asked, beside, slot, rng)
        return speakers.each(lambda language: question_example(
            [speakers.word(command, language) for command in commands], place, slot,
            rng.choice(words[language][slot]), language))

    return stream([slot for slot in by_slot if by_slot[slot] and others[slot]], example, _PATIENCE)


def entailments(speakers: Speakers) -> Iterator[Example]:
    """Pairs of one meaning each with its label, one of each label in turn."""
    makers = entailment_makers(FreePairs(speakers.book, speakers.pool, speakers.rng))

    def example(label: str) -> Example:
        twins = speakers.rng.choice(makers[label])()
        return speakers.each(lambda language: _worded_pair(speakers, twins, label, language))

    return stream(NLI_LABELS, example)


def paraphrases(speakers: Speakers) -> Iterator[Example]:
    """Paraphrases and different pairs in turn; the two of a turn have one intent and, in each language, one overlap."""
    maker = FreePairs(speakers.book, speakers.pool, speakers.rng)
    makers = paraphrase_makers(maker)

    def two(intent: str) -> Example:
        maker.intent = intent
        twins = {label: speakers.rng.choice(makers[label])() for label in PARA_LABELS}
        return speakers.each(lambda language: _matched(speakers, twins, language))

    by_intent = sorted({entry.intent for entry in speakers.book.entries(speakers.pool)})
    for example in stream(by_intent, two, _PATIENCE):
        for label in PARA_LABELS:
            yield Example((example.words, label), {language: rows[label] for language, rows in example.row.items()})


def _matched(speakers: Speakers, twins: dict[str, Twins], language: str) -> Example:
    """A wording of each pair, of equal word overlap."""
    levels = {label: _by_overlap(speakers, pair, label, language) for label, pair in twins.items()}
    common = sorted(set.intersection(*(set(found) for found in levels.values())))
    if not common:
        raise Unfit("other overlap")
    level = speakers.rng.choice(common)
    chosen = {label: found[level] for label, found in levels.items()}
    return Example(frozenset(example.words for example in chosen.values()),
                   {label: example.row for label, example in chosen.items()})


def _by_overlap(speakers: Speakers, twins: Twins, label: str, language: str) -> dict[int, Example]:
    """One wording of a pair for each level of word overlap that was found."""
    first, second = ([speakers.word(command, language) for _ in range(_MATCHES)] for command in twins)
    pairs = [pair_example(pair, label) for pair in product(first, second)
             if pair[0].text.casefold() != pair[1].text.casefold()]
    speakers.rng.shuffle(pairs)
    return {overlap_level(example, language): example for example in pairs}


def _worded_pair(speakers: Speakers, twins: Twins, label: str, language: str) -> Example:
    first, second = twins
    return tried(lambda: pair_example((speakers.word(first, language), speakers.word(second, language)), label),
                  _WORDINGS)


def tried(draw: Callable[[], Any], times: int) -> Any:
    """The first that fits of several draws; `Unfit` if none does."""
    for _ in range(times - 1):
        try:
            return draw()
        except Unfit:
            continue
    return draw()


_STREAMS: dict[str, Callable[[Speakers], Iterator[Example]]] = {
    "nli": entailments, "para": paraphrases, "qa": questions, "intent": intents, "slots": slots}
