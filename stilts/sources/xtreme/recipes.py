"""The recipes of the suite's tasks: each task's converter, and what it needs from the data folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stilts.sources.xtreme import answers, choices, lareqa, mewsli_x, pairs, sentences, tags, treebanks, unlabelled
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import ALL, BUCC, LAREQA, TYDIQA, UDPOS, XNLI
from stilts.sources.xtreme.pieces import Piece


@dataclass(frozen=True)
class Files:
    """Files other than the Hub's Parquet files, as an alternative to a place.

    Attributes
    ----------
    stand : callable
        Data folder -> whether they exist.
    words : str
        Description of the files and their origin.
    on_hub : bool
        Whether `stilts fetch` gets them, in a format other than Parquet.
    """

    stand: Callable[[DataFolder], bool] = field(compare=False)
    words: str
    on_hub: bool = False

    def __str__(self) -> str:
        return self.words


Need = tuple[Place | Files, ...]  # alternatives, the first one preferred


@dataclass(frozen=True)
class Recipe:
    """How a task is made.

    Attributes
    ----------
    make : callable
        Data folder, languages -> pieces.
    needs : tuple of Need
        Requirements of the task; one alternative of each must exist.
    by_language : tuple of mappings
        Language -> place; in each mapping, the place of at least one language must exist.
    instead : Files, optional
        Alternative to the places by language.
    welcome : tuple of (language or None, Place)
        Optional data, for one language or (None) for all.
    held : callable, optional
        Data folder -> available languages, if they do not follow from the places by language.
    known : sequence of str
        Published languages by `languages.LANGUAGES`, if they do not follow from the places by language. A task with
        neither exists in English only.
    """

    make: Callable[[DataFolder, Sequence[str]], Iterator[Piece]]
    needs: tuple[Need, ...] = ()
    by_language: tuple[Mapping[str, Place], ...] = ()
    instead: Files | None = None
    welcome: tuple[tuple[str | None, Place], ...] = ()
    held: Callable[[DataFolder], Sequence[str]] | None = None
    known: Sequence[str] = ()

    def missing(self, data: DataFolder) -> str | None:
        """Return why a folder has the task in no language, None if it has it."""
        instead = (self.instead,) if self.instead else ()
        for need in (*self.needs, *((*places.values(), *instead) for places in self.by_language)):
            if not any(_stands(data, each) for each in need):
                others = f" and its alternatives, {len(need) - 1} in number" if len(need) > 1 else ""
                return f"the data folder lacks {need[0]}{others}"
        return None

    def missing_in(self, data: DataFolder, language: str) -> str | None:
        """Return why a folder does not have the task in a language, None if it does."""
        reason = self.missing(data)
        if reason or language in (languages := self.languages(data)):
            return reason
        return f"the data folder has it in {', '.join(languages) or 'no language'}, not in {language}"

    def lacks(self, data: DataFolder | None, language: str) -> str | None:
        """Return why a task is not available in a language, None if it is, or if it exists in English only.

        Parameters
        ----------
        data : DataFolder, optional
            By default, everything published is assumed to be available.
        """
        known = self.known or [key for places in self.by_language[:1] for key in places]
        if not known:
            return None
        if language not in known:
            return f"the table of languages has it in {', '.join(known)}, not in {language}"
        return None if data is None else self.missing_in(data, language)

    def languages(self, data: DataFolder) -> Sequence[str]:
        """Return the languages for which a folder has all places by language."""
        if self.held:
            return self.held(data)
        first, *others = self.by_language
        standing = [language for language, place in first.items() if data.has(place)]
        return [key for key in standing if all(key in places and data.has(places[key]) for places in others)]

    def hub_needs(self, languages: Sequence[str]) -> list[tuple[Place, ...]]:
        """Return the places on the Hub that a task needs in some languages, as groups of alternatives."""
        by_language = [(place,) for places in self.by_language for key, place in places.items() if key in languages]
        found = [tuple(each for each in need if isinstance(each, Place)) for need in (*self.needs, *by_language)]
        return [need for need in found if need]

    def hub_welcome(self, languages: Sequence[str]) -> list[Place]:
        """Return the optional places on the Hub for a task in some languages."""
        return [place for language, place in self.welcome if language is None or language in languages]

    def files(self) -> list[Files]:
        """Return the files for a task that the Hub does not have."""
        found = [each for need in (*self.needs, (self.instead,)) for each in need if isinstance(each, Files)]
        return [each for each in dict.fromkeys(found) if not each.on_hub]


def _stands(data: DataFolder, each: Place | Files) -> bool:
    return data.has(each) if isinstance(each, Place) else each.stand(data)


def _has_treebank(split: str, languages: Iterable[str]) -> Files:
    return Files(
        lambda data: any(treebanks.list_files(data, language, UDPOS[language], split) for language in languages),
        f"treebanks of {treebanks.SOURCE}, as universal-dependencies/UD_<Language>-<Treebank>/",
    )


def _has_ccg(split: str) -> Files:
    return Files(
        lambda data: bool(tags.list_ccg_files(data, split)), f"ccg/{split}.tsv, to be made from {tags.CCG_SOURCE}"
    )


_BUCC = Files(
    lambda data: any(pairs.find_bucc_files(data, language, "test") for language in BUCC),
    f"the corpora of the {pairs.BUCC_SOURCE}, as bucc2018/<language>-en/",
)
_BREAKS = Files(
    lambda data: any(data.holds(lareqa.find_breaks_file(data.root, language)) for language in LAREQA), lareqa.BREAKS
)


def _as_lines(*parts: mewsli_x.Part) -> Files:
    """Return the JSON Lines files of some parts of Mewsli-X."""
    words = f"{mewsli_x.REPOSITORY}/{parts[0].lines}.jsonl, or packed as .jsonl.tar.gz"
    return Files(lambda data: any(part.file(data) for part in parts), words, on_hub=True)


def _single(*places: Place) -> tuple[Need, ...]:
    return tuple((place,) for place in places)


def _training_places(places: Callable[[str], dict[str, Place]]) -> tuple[dict[str, Place], ...]:
    return tuple(places(split) for split in ("train", "validation"))


_UDPOS = tuple(
    (tags.list_udpos_places(split)["en"], _has_treebank(split, ("en",))) for split in ("train", "validation")
)
_PANX = _single(tags.list_panx_places("train")["en"], tags.list_panx_places("validation")["en"])
_PAWS_X = _single(*(Place("google/xtreme", "PAWS-X.en", split) for split in ("train", "validation")))
_SQUAD = tuple(answers.SQUAD.values())
_DEV_AND_TRAINING = tuple(
    (language, place)
    for split in ("validation", "train")
    for places in (tags.list_panx_places(split), tags.list_udpos_places(split))
    for language, place in places.items()
)
_WIKIPEDIA = Files(lambda data: bool(data.folders(data.root / unlabelled.WIKIPEDIA)), unlabelled.WIKIPEDIA)

RECIPES = {
    "xnli": Recipe(
        sentences.read_xnli, _single(sentences.MNLI_TRAIN, sentences.MNLI_DEV, sentences.XNLI_TEST),
        held=sentences.list_xnli_test_languages, known=XNLI,
    ),
    "paws-x": Recipe(sentences.read_paws_x, _PAWS_X, (sentences.PAWS_X_PLACES,)),
    "udpos": Recipe(
        tags.read_udpos, _UDPOS, (tags.list_udpos_places("test"),), _has_treebank("test", UDPOS),
        held=tags.list_udpos_test_languages,
    ),
    "pan-x": Recipe(tags.read_pan_x, _PANX, (tags.list_panx_places("test"),)),
    "xquad": Recipe(answers.read_xquad, _SQUAD, (answers.XQUAD_PLACES,)),
    "mlqa": Recipe(answers.read_mlqa, _SQUAD, (answers.MLQA_PLACES,)),
    "tydiqa": Recipe(
        answers.read_tydiqa, _single(*answers.TYDIQA_PLACES.values()), held=answers.list_tydiqa_test_languages,
        known=tuple(TYDIQA),
    ),
    "bucc2018": Recipe(
        pairs.read_bucc2018, (), (pairs.BUCC_PLACES["validation"],), _BUCC, tuple(pairs.BUCC_PLACES["test"].items()),
        held=pairs.list_bucc_languages,
    ),
    "tatoeba": Recipe(pairs.read_tatoeba, (), (pairs.TATOEBA_PLACES,)),
    "xcopa": Recipe(choices.read_xcopa, _single(*choices.COPA.values()), (choices.XCOPA_PLACES,)),
    "lareqa": Recipe(lareqa.read_lareqa, _SQUAD, (lareqa.XQUAD_R,), _BREAKS, held=lareqa.list_languages),
    "mewsli-x": Recipe(
        mewsli_x.read_mewsli_x,
        tuple((part.place, _as_lines(part)) for part in (*mewsli_x.PAIRS.values(), mewsli_x.ENTITIES)),
        ({language: part.place for language, part in mewsli_x.MENTIONS.items()},),
        _as_lines(*mewsli_x.MENTIONS.values()),
        held=mewsli_x.list_languages,
    ),
    "anli": Recipe(
        sentences.read_anli,
        _single(*(places[0] for places in sentences.ANLI_PLUS.values())),
        welcome=tuple((None, place) for places in sentences.ANLI_PLUS.values() for place in places[1:]),
    ),
    "mnli": Recipe(sentences.read_mnli, _single(sentences.MNLI_TRAIN, sentences.MNLI_DEV)),
    "qqp": Recipe(sentences.read_qqp, _single(*sentences.QQP.values())),
    "squad": Recipe(answers.read_squad, _SQUAD),
    "squad2": Recipe(answers.read_squad2, _single(*answers.SQUAD2.values())),
    "hellaswag": Recipe(choices.read_hellaswag, _single(*choices.HELLASWAG.values())),
    "ccg": Recipe(tags.read_ccg, tuple((_has_ccg(split),) for split in ("train", "validation"))),
    "cosmosqa": Recipe(choices.read_cosmosqa, tuple(choices.COSMOSQA.values())),
    "commonsenseqa": Recipe(choices.read_commonsenseqa, _single(*choices.COMMONSENSEQA.values())),
    "siqa": Recipe(choices.read_siqa, tuple(choices.SIQA.values())),
    "mlm": Recipe(
        unlabelled.read_mlm,
        ((sentences.XNLI_DEV, *(place for _, place in _DEV_AND_TRAINING), _WIKIPEDIA),),
        welcome=_DEV_AND_TRAINING,
        held=unlabelled.list_languages,
        known=ALL,
    ),
    "mnli-translated": Recipe(sentences.read_mnli_translated, by_language=(sentences.MNLI_TRANSLATED,)),
    "squad-translated": Recipe(answers.read_squad_translated, by_language=tuple(answers.SQUAD_TRANSLATED.values())),
    "xnli-dev-translated": Recipe(
        sentences.read_xnli_dev_translated, _single(sentences.XNLI_DEV), held=sentences.list_xnli_dev_languages,
        known=XNLI,
    ),
}  # fmt: skip

# Tasks added by a study's `families`.
FAMILIES = {"text": replace(RECIPES["mlm"], make=unlabelled.read_text)}

# Intermediate tasks by source language, added by a study's `source_languages`. The first two are machine translations
# of the English tasks of the same names above; the others include English.
BY_SOURCE = {
    "mnli": Recipe(
        sentences.read_mnli_by_language, by_language=(sentences.MNLI_TRANSLATED, sentences.XNLI_DEV_TRANSLATED)
    ),
    "squad": Recipe(answers.read_squad_by_language, by_language=tuple(answers.SQUAD_TRANSLATED.values())),
    "xnli-dev": Recipe(sentences.read_xnli_dev, _single(sentences.XNLI_DEV), held=sentences.list_xnli_dev_languages),
    "paws-x-train": Recipe(sentences.read_paws_x_train, by_language=tuple(sentences.PAWS_X_TRAIN.values())),
    "xquad-test": Recipe(answers.read_xquad_test, by_language=(answers.XQUAD_PLACES,)),
    "tydiqa-train": Recipe(
        answers.read_tydiqa_train, _single(*answers.TYDIQA_PLACES.values()), held=answers.list_tydiqa_languages
    ),
    "pan-x-train": Recipe(tags.read_pan_x_train, by_language=_training_places(tags.list_panx_places)),
    "udpos-train": Recipe(
        tags.read_udpos_train, by_language=_training_places(tags.list_udpos_places),
        instead=_has_treebank("train", UDPOS), held=tags.list_udpos_train_languages,
    ),
}  # fmt: skip
