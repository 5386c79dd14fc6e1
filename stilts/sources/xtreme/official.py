"""Sizes of the official datasets, for checking fetched files and submissions, and for estimates in plans.

Unless noted otherwise, counts are from the dataset descriptions of the `datasets` library (`dataset_infos.json`,
October 2022), the last ones before the loading scripts moved to the Hub. The udpos configs are missing: google/xtreme
mixes treebanks of other languages into four of them (see `tags`), so its counts cannot serve as a reference.
"""

from collections.abc import Mapping

from stilts.sources.xtreme.languages import (
    LAREQA,
    MEWSLI_X,
    PAN_X,
    PAWS_X,
    TATOEBA,
    UDPOS,
    XCOPA,
    XNLI,
    XQUAD,
)

FOLDERS: Mapping[str, str] = {
    "xnli": "xnli", "paws-x": "pawsx", "udpos": "udpos", "pan-x": "panx", "xquad": "xquad", "mlqa": "mlqa",
    "tydiqa": "tydiqa", "bucc2018": "bucc2018", "tatoeba": "tatoeba",
}  # fmt: skip
"""Target task -> its folder in a submission."""

_FEW_PAN_X = {
    **dict.fromkeys(("af", "bn", "hi", "kk", "ml", "mr", "ms", "sw", "ta", "te", "tl", "ur"), 1000),
    **dict.fromkeys(("jv", "my", "yo"), 100),
}  # fmt: skip
_FEW_TATOEBA = {"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548}

TEST_ROWS: Mapping[str, Mapping[str, int | None]] = {
    "xnli": dict.fromkeys(XNLI, 5010),
    "paws-x": {**dict.fromkeys(PAWS_X, 2000), "ko": 1999},
    "udpos": dict.fromkeys(UDPOS),
    "pan-x": {language: _FEW_PAN_X.get(language, 10000) for language in PAN_X},
    "xquad": dict.fromkeys(XQUAD, 1190),
    "mlqa": {"ar": 5335, "de": 4517, "en": 11590, "es": 5253, "hi": 4918, "vi": 5495, "zh": 5137},
    "tydiqa": {
        "ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669,
    },
    "bucc2018": {"de": 9580, "fr": 9086, "ru": 14435, "zh": 1899},
    "tatoeba": {language: _FEW_TATOEBA.get(language, 1000) for language in TATOEBA},
}  # fmt: skip
"""Target task -> language -> rows of the official test set; gold pairs for bucc2018.

None if unknown (udpos). From memory and unconfirmed: pan-x by language, tydiqa by language (the published sum is
5,077).
"""

_DEV_ROWS: Mapping[str, Mapping[str, int]] = {
    "paws-x": {**dict.fromkeys(PAWS_X, 2000), "es": 1961, "fr": 1988},
    "mlqa": {"en": 1148, "ar": 517, "de": 512, "es": 500, "hi": 507, "vi": 511, "zh": 504},
    "bucc2018": {"de": 1038, "fr": 929, "ru": 2374, "zh": 257},
}  # fmt: skip
TRAIN_ROWS: Mapping[str, int] = {
    "xnli": 392702, "paws-x": 49175, "udpos": 21253, "pan-x": 20000, "xquad": 87599, "tydiqa": 3696, "xcopa": 400,
    "lareqa": 87599, "anli": 1104934, "mnli": 392702, "qqp": 363846, "squad": 87599, "squad2": 130319,
    "hellaswag": 39905, "ccg": 38015, "cosmosqa": 25262, "commonsenseqa": 9741, "siqa": 33410,
    "mnli-translated": 14 * 392702, "squad-translated": 10 * 87599, "xnli-dev-translated": 14 * 2490,
    "xnli-dev": 2490, "paws-x-train": 49175, "xquad-test": 1190, "tydiqa-train": 3696, "pan-x-train": 20000,
    "udpos-train": 21253,
}  # fmt: skip
"""Task -> rows of its training set, from the same descriptions; for ANLI+ and CCG from Phang et al. (2020).

PAWS-X's number is that of google/xtreme, which is read here: its script lost 226 of the authors' 49,401 rows. For tasks
by source language it is that of English, including rows that are held out as dev set.
"""

TOKENS: Mapping[str, int] = {
    "xnli": 45, "paws-x": 64, "udpos": 32, "pan-x": 17, "xquad": 258, "mlqa": 232, "tydiqa": 161, "xcopa": 43,
    "bucc2018": 35, "tatoeba": 25, "anli": 50, "mnli": 48, "qqp": 32, "squad": 245, "squad2": 237, "hellaswag": 203,
    "ccg": 35, "cosmosqa": 465, "commonsenseqa": 116, "siqa": 110, "mlm": 128, "mnli-translated": 55,
    "squad-translated": 270, "xnli-dev-translated": 45, "xnli-dev": 45, "paws-x-train": 64, "xquad-test": 258,
    "tydiqa-train": 161, "pan-x-train": 17, "udpos-train": 32,
}  # fmt: skip
"""Task -> tokens of an example with XLM-R's tokenizer, including all choices and both sentences of a pair.

These are means over some hundred examples each. Those of anli, bucc2018, ccg, siqa, mlm and the translated datasets are
assumptions; tasks by source language have the values of the targets from which their rows are taken.
"""

BUCC_SENTENCES: Mapping[str, int] = {"de": 813206, "fr": 641680, "ru": 1019259, "zh": 183497}
"""Language -> sentences of both sides of BUCC's training corpora, XTREME's test set; from memory and unconfirmed."""

_XCOPA_TEST = 500  # by the card of cambridgeltl/xcopa

EVALUATED_ROWS: Mapping[str, Mapping[str, int | None]] = {
    **TEST_ROWS,
    "bucc2018": BUCC_SENTENCES,
    "xcopa": dict.fromkeys(XCOPA, _XCOPA_TEST),
    "lareqa": dict.fromkeys(LAREQA, 1190),  # XQuAD's questions
    "mewsli-x": dict.fromkeys(MEWSLI_X),
}
"""Target -> language -> number of items that an evaluation reads: rows; pairs for Tatoeba; sentences for BUCC.

None if unknown (udpos, mewsli-x). The candidates of passage retrieval are not among them, see `POOL_ROWS`.
"""

POOL_ROWS: Mapping[str, int] = {"lareqa": 13014, "mewsli-x": 10**6}
"""Target -> candidates of all languages, which every evaluation reads whole; from memory and unconfirmed.

That of Mewsli-X is rounded.
"""

# Repositories with a single dataset.
_SPLITS: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("google/xtreme", "XNLI"): {"validation": 37350, "test": 75150},
    ("google/xtreme", "tydiqa"): {"train": 49881, "validation": 5077},
    ("google/xtreme", "SQuAD"): {"train": TRAIN_ROWS["squad"], "validation": 10570},
    ("nyu-mll/glue", "mnli"): {"train": TRAIN_ROWS["mnli"], "validation_matched": 9815},
    ("nyu-mll/glue", "qqp"): {"train": TRAIN_ROWS["qqp"], "validation": 40430},
    ("facebook/anli", "plain_text"): {
        "train_r1": 16946, "train_r2": 45460, "train_r3": 100459, "dev_r1": 1000, "dev_r2": 1000, "dev_r3": 1200,
    },
    ("rajpurkar/squad", "plain_text"): {"train": TRAIN_ROWS["squad"], "validation": 10570},
    ("rajpurkar/squad_v2", "squad_v2"): {"train": TRAIN_ROWS["squad2"], "validation": 11873},
    ("Rowan/hellaswag", "default"): {"train": TRAIN_ROWS["hellaswag"], "validation": 10042},
    ("allenai/cosmos_qa", "default"): {"train": TRAIN_ROWS["cosmosqa"], "validation": 2985},
    ("Samsoup/cosmos_qa", "default"): {"train": TRAIN_ROWS["cosmosqa"], "validation": 2985},
    ("tau/commonsense_qa", "default"): {"train": TRAIN_ROWS["commonsenseqa"], "validation": 1221},
    ("allenai/social_i_qa", "default"): {"train": TRAIN_ROWS["siqa"], "validation": 1954},
    ("lighteval/siqa", "default"): {"train": TRAIN_ROWS["siqa"], "validation": 1954},
}  # fmt: skip


def find_published_rows(repo: str, config: str, split: str) -> int | None:
    """Return the published number of rows of a split, None if it is unknown."""
    if (repo, config) in _SPLITS:
        return _SPLITS[repo, config].get(split)
    if repo == "google/xtreme":
        family, _, name = config.partition(".")
        return _family_rows(family, name, split)
    if repo == "facebook/xnli":
        return {"train": TRAIN_ROWS["xnli"], "validation": 2490, "test": TEST_ROWS["xnli"]["en"]}.get(split)
    if repo == "cambridgeltl/xcopa":
        return {"validation": 100, "test": _XCOPA_TEST}.get(split)
    is_test = repo == "google-research-datasets/xquad_r" and split == "validation"
    return TEST_ROWS["xquad"]["en"] if is_test else None


def _family_rows(family: str, name: str, split: str) -> int | None:
    """Return the rows of a config of google/xtreme; for MLQA, only those of monolingual configs are known."""
    if family == "XQuAD":
        return TEST_ROWS["xquad"]["en"]
    if family == "tatoeba":
        return {called: TEST_ROWS["tatoeba"][language] for language, called in TATOEBA.items()}.get(name)
    if family == "PAWS-X" and split == "train":
        return TRAIN_ROWS["paws-x"] if name == "en" else None
    context, _, question = name.partition(".")
    task = {"MLQA": "mlqa", "bucc18": "bucc2018", "PAWS-X": "paws-x"}.get(family, "")
    if family == "MLQA" and context != question:
        return None
    known = {"validation": _DEV_ROWS, "test": TEST_ROWS}.get(split, {})
    return known.get(task, {}).get(context)
