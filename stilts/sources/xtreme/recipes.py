"""Every task of the suite: what its converter needs from the data folder, and the converter."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stilts.sources.xtreme import answers, choices, pairs, sentences, tags, treebanks, unlabelled
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import BUCC, UDPOS
from stilts.sources.xtreme.pieces import Piece


@dataclass(frozen=True)
class Files:
    """Files that the Hub does not have, as an alternative to a place.

    Attributes
    ----------
    stand : callable
        Root of the data folder -> whether they are there.
    words : str
        What they are and where to get them.
    """

    stand: Callable[[Path], bool]
    words: str

    def __str__(self) -> str:
        return self.words


Need = tuple[Place | Files, ...]  # alternatives


@dataclass(frozen=True)
class Recipe:
    """How a task is made.

    Attributes
    ----------
    make : callable
        Data folder, languages -> pieces.
    needs : tuple of Need
        Of each, at least one alternative must stand in the folder, or there is no such task.
    """

    make: Callable[[DataFolder, Sequence[str]], Iterator[Piece]]
    needs: tuple[Need, ...]

    def missing(self, data: DataFolder) -> str | None:
        """Return why the task cannot be had from a folder, None if it can."""
        for need in self.needs:
            if not any(_stands(data, each) for each in need):
                others = (
                    f", nor any of {len(need) - 1} alternatives to it (the last: {need[-1]})" if len(need) > 1 else ""
                )
                return f"the data folder lacks {need[0]}{others}"
        return None


def _stands(data: DataFolder, each: Place | Files) -> bool:
    return data.has(each) if isinstance(each, Place) else each.stand(data.root)


def _has_treebank(split: str) -> Files:
    return Files(lambda root: bool(treebanks.files(root, "en", UDPOS["en"], split)), treebanks.SOURCE)


def _has_ccg(split: str) -> Files:
    return Files(lambda root: bool(tags.ccg_files(root, split)), f"ccg/{split}.tsv, to be made from {tags.CCG_SOURCE}")


_ANY_BUCC = Files(lambda root: any(pairs.bucc_files(root, language, "test") for language in BUCC), pairs.BUCC_SOURCE)


def _single(*places: Place) -> tuple[Need, ...]:
    return tuple((place,) for place in places)


_UDPOS_TRAIN, _UDPOS_DEV = ((tags.udpos_places(split)["en"], _has_treebank(split)) for split in ("train", "validation"))
_PANX = _single(tags.panx_places("train")["en"], tags.panx_places("validation")["en"])
_PAWS_X = _single(*(Place("google/xtreme", "PAWS-X.en", split) for split in ("train", "validation")))

RECIPES = {
    "xnli": Recipe(sentences.xnli, _single(sentences.MNLI_TRAIN, sentences.MNLI_DEV, sentences.XNLI_TEST)),
    "paws-x": Recipe(sentences.paws_x, (*_PAWS_X, tuple(sentences.PAWS_X_PLACES.values()))),
    "udpos": Recipe(tags.udpos, (_UDPOS_TRAIN, _UDPOS_DEV)),
    "pan-x": Recipe(tags.pan_x, (*_PANX, tuple(tags.panx_places("test").values()))),
    "xquad": Recipe(answers.xquad, (*answers.SQUAD.values(), tuple(answers.XQUAD_PLACES.values()))),
    "mlqa": Recipe(answers.mlqa, (*answers.SQUAD.values(), tuple(answers.MLQA_PLACES.values()))),
    "tydiqa": Recipe(answers.tydiqa, _single(*answers.TYDIQA_PLACES.values())),
    "bucc2018": Recipe(pairs.bucc2018, ((*pairs.BUCC_PLACES["validation"].values(), _ANY_BUCC),)),
    "tatoeba": Recipe(pairs.tatoeba, (tuple(pairs.TATOEBA_PLACES.values()),)),
    "xcopa": Recipe(choices.xcopa, (*_single(*choices.COPA.values()), tuple(choices.XCOPA_PLACES.values()))),
    "anli": Recipe(sentences.anli, _single(*(places[0] for places in sentences.ANLI_PLUS.values()))),
    "mnli": Recipe(sentences.mnli, _single(sentences.MNLI_TRAIN, sentences.MNLI_DEV)),
    "qqp": Recipe(sentences.qqp, _single(*sentences.QQP.values())),
    "squad": Recipe(answers.squad, tuple(answers.SQUAD.values())),
    "squad2": Recipe(answers.squad2, _single(*answers.SQUAD2.values())),
    "hellaswag": Recipe(choices.hellaswag, _single(*choices.HELLASWAG.values())),
    "ccg": Recipe(tags.ccg, tuple((_has_ccg(split),) for split in ("train", "validation"))),
    "cosmosqa": Recipe(choices.cosmosqa, tuple(choices.COSMOSQA.values())),
    "commonsenseqa": Recipe(choices.commonsenseqa, _single(*choices.COMMONSENSEQA.values())),
    "siqa": Recipe(choices.siqa, tuple(choices.SIQA.values())),
    "mlm": Recipe(
        unlabelled.mlm,
        (
            (
                sentences.XNLI_DEV,
                *tags.panx_places("validation").values(),
                *tags.udpos_places("validation").values(),
                Files(lambda root: (root / unlabelled.WIKIPEDIA).is_dir(), unlabelled.WIKIPEDIA),
            ),
        ),
    ),
    "mnli-translated": Recipe(sentences.mnli_translated, (tuple(sentences.MNLI_TRANSLATED.values()),)),
    "squad-translated": Recipe(
        answers.squad_translated, tuple(tuple(places.values()) for places in answers.SQUAD_TRANSLATED.values())
    ),
    "xnli-dev-translated": Recipe(sentences.xnli_dev_translated, _single(sentences.XNLI_DEV)),
}
