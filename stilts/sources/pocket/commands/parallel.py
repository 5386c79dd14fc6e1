"""Parallel intermediate tasks in several source languages: the same meanings in the same order in each of them.

Languages have the same number of rows in the same order; each row has the same meanings (action and values) of its
commands in the same order, the same label, the same slot to ask for and the same place of the answering command.
Meanings are drawn from those that every language, including English, can express with its own templates and values of
the intermediate pool, so adding a language changes the rows of all.

Languages differ in wording, and so in length, templates and the variety of wordings of a meaning. A paraphrase consists
of two wordings of one meaning from two templates or from a single one, since few meanings have two templates in every
language. The pairs of `para` have the same word overlap for both labels within a language, but not across languages.
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
    group_by_key,
    list_entailment_makers,
    list_paraphrase_makers,
    make_pair_example,
    measure_overlap,
)
from stilts.sources.pocket.commands.phrasebook import Entry, Phrasebook, read_phrasebook
from stilts.sources.pocket.commands.questions import (
    draw_filling,
    insert_command,
    list_askable,
    make_question_example,
    read_question_words,
)
from stilts.sources.pocket.commands.sampling import Command, Pool, Unfit
from stilts.sources.pocket.commands.single import (
    list_intent_names,
    list_slot_names,
    make_intent_example,
    make_slots_example,
)
from stilts.sources.pocket.sizes import Sizes
from stilts.study.errors import StiltsError
from stilts.study.settings import SOURCE_LANGUAGE

VERSION = 1  # increase it when the same packages and value files give other rows
_POOL = Pool.INTERMEDIATE
_WORDINGS = 6
_MATCHES = 3
_PATIENCE = 30
_FEWEST, _MOST = 2, 4

ByLanguage = dict[str, Any]
Tables = Iterator[tuple[str, str, list[dict[str, Any]]]]


@dataclass(frozen=True, eq=False)
class SharedBook(Phrasebook):
    """The English templates with meanings that other languages can express too.

    Attributes
    ----------
    others : tuple of Phrasebook
    """

    others: tuple[Phrasebook, ...] = ()

    @cache  # noqa: B019 - as in Phrasebook
    def entries(self, pool: Pool) -> tuple[Entry, ...]:
        """Return the templates of a pool by action and slots, for actions and slots that all languages have."""
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
    """Draws commands in English and expresses them in several languages.

    Parameters
    ----------
    languages : sequence of str
        English first.
    rng : Random
    pool : Pool
        Pool of templates and values.
    """

    def __init__(self, languages: Sequence[str], rng: Random, pool: Pool = _POOL):
        self.languages, self.rng, self.pool = list(languages), rng, pool
        self._books = {language: read_phrasebook(language) for language in languages}
        self._seen: dict[str, set[Hashable]] = defaultdict(set)

    @cached_property
    def book(self) -> SharedBook:
        """The English phrasebook of meanings that all languages can express."""
        english = self._books[SOURCE_LANGUAGE]
        others = tuple(book for book in self._books.values() if book is not english)
        return SharedBook(english.language, english.templates, english.usage, others)

    def draw(self, entries: Sequence[Entry]) -> Command:
        """Draw an English command from a random entry."""
        return self.book.draw(self.rng.choice(entries).templates, self.pool, self.rng)

    def word(self, command: Command, language: str) -> Command:
        """Return a command with the same meaning in a language; see `say`."""
        return self.say(command.template.action, command.slots, language)

    def say(self, action: str, slots: Mapping[str, str], language: str) -> Command:
        """Draw a command with an action and normalised values in a language.

        Raises
        ------
        Unfit
            If no wording was found.
        """
        book = self._books[language]
        templates = book.by_action(self.pool)[action, frozenset(slots)].templates
        return try_draws(lambda: book.draw(templates, self.pool, self.rng, slots), _WORDINGS)

    def each(self, write: Callable[[str], Example]) -> Example:
        """Return one example for all languages; its row is language -> row.

        Raises
        ------
        Unfit
            If a language has no example, or has had the same one before.
        """
        examples = {language: write(language) for language in self.languages}
        if any(example.words in self._seen[language] for language, example in examples.items()):
            raise Unfit("known in a language")
        for language, example in examples.items():
            self._seen[language].add(example.words)
        return Example(tuple(example.words for example in examples.values()),
                       {language: example.row for language, example in examples.items()})


class FreePairs(PairMaker):
    """Draws pairs of meanings; a paraphrase is the same meaning twice.

    Attributes
    ----------
    intent : str, optional
        Intent of the first command; by default any.
    """

    intent: str | None = None

    def paraphrase(self) -> Twins:
        """Draw a command, and return it twice."""
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
        """All entries, since a single template may have several wordings."""
        return group_by_key((entry.intent, entry) for entry in self._entries)


def generate(task: str, languages: Sequence[str], sizes: Sizes, seed: int) -> Tables:
    """Yield parallel tables of an intermediate task in English and other languages.

    Parameters
    ----------
    task : str
    languages : sequence of str
        English first; each must have command tasks.
    sizes : Sizes
        Rows of each split; fewer training rows if the languages have no more in common.
    seed : int

    Yields
    ------
    tuple of (str, str, list of dict)
        Config, split, rows; labels are names.

    Raises
    ------
    StiltsError
        If the languages have so little in common that the training set is smaller than the dev set.
    """
    examples = _STREAMS[task](Speakers(languages, Random(f"{seed}/parallel {task}/{' '.join(languages)}")))
    rows = {"validation": take(examples, sizes.validation), "train": take(examples, sizes.intermediate_train)}
    if len(rows["train"]) < sizes.validation:
        raise StiltsError(f"intermediate.{task}: {', '.join(languages)} have only {sum(map(len, rows.values()))} "
                          "parallel rows, too few; choose fewer source languages, lower the sizes, or name the tasks "
                          "that the study reads in data.source_tasks")
    yield from spread(f"intermediate.{task}", rows, languages, seed)


def spread(name: str, rows: dict[str, list[ByLanguage]], languages: Sequence[str], seed: int) -> Tables:
    """Yield the tables of each language from rows of all languages, shuffled alike; questions get ids."""
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


def generate_intents(speakers: Speakers, names: Sequence[str] | None = None) -> Iterator[Example]:
    """Yield commands with their intents, for each intent in turn: those of `list_intent_names`, or other ones."""
    by_intent = group_by_key((entry.intent, entry) for entry in speakers.book.entries(speakers.pool))

    def example(intent: str) -> Example:
        command = speakers.draw(by_intent[intent])
        return speakers.each(lambda language: make_intent_example(speakers.word(command, language)))

    return stream([name for name in names or list_intent_names() if name in by_intent], example, _PATIENCE)


def generate_slots(speakers: Speakers) -> Iterator[Example]:
    """Yield commands with the slots of their tokens, one that fills each slot in turn."""
    known, by_slot = set(list_slot_names()), defaultdict(list)
    for entry in speakers.book.entries(speakers.pool):
        for slot in sorted(entry.signature) if entry.signature <= known else ():
            by_slot[slot].append(entry)

    def example(slot: str) -> Example:
        command = speakers.draw(by_slot[slot])
        if slot not in command.slots or not known.issuperset(command.slots):
            raise Unfit(slot)
        return speakers.each(lambda language: make_slots_example(speakers.word(command, language), language))

    return stream(sorted(by_slot), example, _PATIENCE)


def generate_questions(speakers: Speakers) -> Iterator[Example]:
    """Yield contexts of two to four commands with a question that one of them answers, for each slot in turn."""
    rng, entries = speakers.rng, speakers.book.entries(speakers.pool)
    words = {language: read_question_words(language) for language in speakers.languages}
    asked_for = sorted(set.intersection(*(set(own) for own in words.values())))
    by_slot = {slot: list_askable(slot, entries) for slot in asked_for}
    others = {slot: [entry for entry in entries if slot not in entry.signature] for slot in by_slot}

    def example(slot: str) -> Example:
        asked = draw_filling(slot, by_slot[slot], speakers.book, speakers.pool, rng)
        beside = [speakers.draw(others[slot]) for _ in range(rng.randint(_FEWEST, _MOST) - 1)]
        commands, place = insert_command(asked, beside, slot, rng)
        return speakers.each(lambda language: make_question_example(
            [speakers.word(command, language) for command in commands], place, slot,
            rng.choice(words[language][slot]), language))

    return stream([slot for slot in by_slot if by_slot[slot] and others[slot]], example, _PATIENCE)


def generate_entailments(speakers: Speakers) -> Iterator[Example]:
    """Yield pairs of commands with a label, for each label in turn."""
    makers = list_entailment_makers(FreePairs(speakers.book, speakers.pool, speakers.rng))

    def example(label: str) -> Example:
        twins = speakers.rng.choice(makers[label])()
        return speakers.each(lambda language: _worded_pair(speakers, twins, label, language))

    return stream(NLI_LABELS, example)


def generate_paraphrases(speakers: Speakers) -> Iterator[Example]:
    """Yield paraphrases and different pairs in turn, matched by intent and, in each language, by word overlap."""
    maker = FreePairs(speakers.book, speakers.pool, speakers.rng)
    makers = list_paraphrase_makers(maker)

    def two(intent: str) -> Example:
        maker.intent = intent
        twins = {label: speakers.rng.choice(makers[label])() for label in PARA_LABELS}
        return speakers.each(lambda language: _matched(speakers, twins, language))

    by_intent = sorted({entry.intent for entry in speakers.book.entries(speakers.pool)})
    for example in stream(by_intent, two, _PATIENCE):
        for label in PARA_LABELS:
            yield Example((example.words, label), {language: rows[label] for language, rows in example.row.items()})


def _matched(speakers: Speakers, twins: dict[str, Twins], language: str) -> Example:
    """Return wordings of both pairs with equal word overlap."""
    levels = {label: _by_overlap(speakers, pair, label, language) for label, pair in twins.items()}
    common = sorted(set.intersection(*(set(found) for found in levels.values())))
    if not common:
        raise Unfit("other overlap")
    level = speakers.rng.choice(common)
    chosen = {label: found[level] for label, found in levels.items()}
    return Example(frozenset(example.words for example in chosen.values()),
                   {label: example.row for label, example in chosen.items()})


def _by_overlap(speakers: Speakers, twins: Twins, label: str, language: str) -> dict[int, Example]:
    """Return level of word overlap -> a wording of the pair, for the levels that were found."""
    first, second = ([speakers.word(command, language) for _ in range(_MATCHES)] for command in twins)
    pairs = [make_pair_example(pair, label) for pair in product(first, second)
             if pair[0].text.casefold() != pair[1].text.casefold()]
    speakers.rng.shuffle(pairs)
    return {measure_overlap(example, language): example for example in pairs}


def _worded_pair(speakers: Speakers, twins: Twins, label: str, language: str) -> Example:
    first, second = twins
    return try_draws(
        lambda: make_pair_example((speakers.word(first, language), speakers.word(second, language)), label), _WORDINGS
    )


def try_draws(draw: Callable[[], Any], times: int) -> Any:
    """Return the first valid result of several draws; `Unfit` if there is none."""
    for _ in range(times - 1):
        try:
            return draw()
        except Unfit:
            continue
    return draw()


_STREAMS: dict[str, Callable[[Speakers], Iterator[Example]]] = {
    "nli": generate_entailments,
    "para": generate_paraphrases,
    "qa": generate_questions,
    "intent": generate_intents,
    "slots": generate_slots,
}
