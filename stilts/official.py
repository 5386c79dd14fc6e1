"""Sizes of the official sets of XTREME: what a submission is held to, and what a plan reckons with."""

from collections.abc import Mapping

__all__ = ["BUCC_SENTENCES", "FOLDERS", "TEST_ROWS", "TOKENS", "TRAIN_ROWS"]

FOLDERS: Mapping[str, str] = {
    "xnli": "xnli", "paws-x": "pawsx", "udpos": "udpos", "pan-x": "panx", "xquad": "xquad", "mlqa": "mlqa",
    "tydiqa": "tydiqa", "bucc2018": "bucc2018", "tatoeba": "tatoeba",
}  # fmt: skip
"""Target task -> its folder in a submission."""


def _each(languages: str, rows: int | None, **others: int) -> dict[str, int | None]:
    return dict.fromkeys(languages.split(), rows) | others


TEST_ROWS: Mapping[str, Mapping[str, int | None]] = {
    "xnli": _each("ar bg de el en es fr hi ru sw th tr ur vi zh", 5010),
    "paws-x": _each("de en es fr ja ko zh", 2000, ko=1999),
    "udpos": _each(
        "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh", None
    ),
    "pan-x": _each("ar bg de el en es et eu fa fi fr he hu id it ja ka ko nl pt ru th tr vi zh", 10000)
    | _each("af bn hi kk ml mr ms sw ta te tl ur", 1000)
    | _each("jv my yo", 100),
    "xquad": _each("ar de el en es hi ru th tr vi zh", 1190),
    "mlqa": {"ar": 5335, "de": 4517, "en": 11590, "es": 5253, "hi": 4918, "vi": 5495, "zh": 5137},
    "tydiqa": {
        "ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669,
    },
    "bucc2018": {"de": 9580, "fr": 9086, "ru": 14435, "zh": 1899},
    "tatoeba": _each(
        "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh",
        1000, jv=205, ka=746, kk=575, ml=687, sw=390, ta=307, te=234, th=548,
    ),
}  # fmt: skip
"""Target task -> language -> rows of the official test set; those of bucc2018 are its true pairs.

From the dataset descriptions of the `datasets` library (google/xtreme, October 2022). Not there, and so None: udpos,
whose Hub copy mixes treebanks of other languages in. Remembered and not confirmed: pan-x by language, tydiqa by
language (its sum, 5,077, is published).
"""

TRAIN_ROWS: Mapping[str, int] = {
    "xnli": 392702, "paws-x": 49401, "udpos": 21253, "pan-x": 20000, "xquad": 87599, "tydiqa": 3696, "xcopa": 400,
    "lareqa": 87599, "anli": 1104934, "mnli": 392702, "qqp": 363846, "squad": 87599, "squad2": 130319,
    "hellaswag": 39905, "ccg": 38015, "cosmosqa": 25262, "commonsenseqa": 9741, "siqa": 33410,
    "mnli-translated": 14 * 392702, "squad-translated": 10 * 87599, "xnli-dev-translated": 14 * 2490,
    "xnli-dev": 2490, "paws-x-train": 49401, "xquad-test": 1190, "tydiqa-train": 3696, "pan-x-train": 20000,
    "udpos-train": 21253,
}  # fmt: skip
"""Task -> rows of its training set; from the same descriptions and, of ANLI+ and CCG, from Phang et al. (2020).

Of tasks by source language, those of English, what is held out for their dev sets included.
"""

TOKENS: Mapping[str, int] = {
    "xnli": 45, "paws-x": 64, "udpos": 32, "pan-x": 17, "xquad": 258, "mlqa": 232, "tydiqa": 161, "xcopa": 43,
    "bucc2018": 35, "tatoeba": 25, "anli": 50, "mnli": 48, "qqp": 32, "squad": 245, "squad2": 237, "hellaswag": 203,
    "ccg": 35, "cosmosqa": 465, "commonsenseqa": 116, "siqa": 110, "mlm": 128, "mnli-translated": 55,
    "squad-translated": 270, "xnli-dev-translated": 45, "xnli-dev": 45, "paws-x-train": 64, "xquad-test": 258,
    "tydiqa-train": 161, "pan-x-train": 17, "udpos-train": 32,
}  # fmt: skip
"""Task -> pieces of an example with XLM-R's tokenizer, all choices and both sentences of a pair included.

Means over some hundred examples each; assumed are those of anli, bucc2018, ccg, siqa, mlm and of the translated sets;
those of the tasks by source language are those of the targets that their rows are from.
"""

BUCC_SENTENCES: Mapping[str, int] = {"de": 813206, "fr": 641680, "ru": 1019259, "zh": 183497}
"""Language -> sentences of both sides of BUCC's training corpora, XTREME's test set; remembered and not confirmed."""
