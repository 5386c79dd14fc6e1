"""The languages of the datasets, and their names there; codes are XTREME's (ISO 639-1).

All of it is in one table, `LANGUAGES`, with one entry per language and one argument per dataset.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stilts.study.errors import UnknownName


@dataclass(frozen=True)
class Held:
    """The datasets that have a language.

    Attributes
    ----------
    names : mapping of str to str or None
        Dataset -> its name for the language; None if that is the code.
    spaced : bool
        Whether it is written with spaces between words.
    """

    names: Mapping[str, str | None]
    spaced: bool


SETS = (
    "xnli", "paws-x", "pan-x", "xquad", "mlqa", "bucc2018", "xcopa", "lareqa", "mewsli-x", "squad-translated"
)  # fmt: skip


def _row(
    *sets: str, udpos: str | None = None, tatoeba: str | None = None, tydiqa: str | None = None, spaced: bool = True
) -> Held:
    """Return an entry from datasets that use the language's code, and names in datasets that do not.

    Raises
    ------
    UnknownName
        If a dataset is not in `SETS`.
    """
    if unknown := [name for name in sets if name not in SETS]:
        raise UnknownName("set that a language may be in", unknown[0], SETS)
    names = {**dict.fromkeys(sets), "udpos": udpos, "tatoeba": tatoeba, "tydiqa": tydiqa}
    return Held({name: called for name, called in names.items() if called or name in sets}, spaced)


# udpos uses the English names of google/xtreme's treebank configs; tatoeba uses ISO 639-3; ids of tydiqa begin with the
# name. squad-translated is XQuAD's machine translation of SQuAD, lareqa is XQuAD-R.
LANGUAGES: Mapping[str, Held] = {
    "en": _row("xnli", "paws-x", "pan-x", "xquad", "lareqa", "mlqa", "mewsli-x", udpos="English", tydiqa="english"),
    "af": _row("pan-x", udpos="Afrikaans", tatoeba="afr"),
    "ar": _row(
        "xnli", "pan-x", "xquad", "lareqa", "squad-translated", "mlqa", "mewsli-x",
        udpos="Arabic", tatoeba="ara", tydiqa="arabic",
    ),
    "bg": _row("xnli", "pan-x", udpos="Bulgarian", tatoeba="bul"),
    "bn": _row("pan-x", tatoeba="ben", tydiqa="bengali"),
    "de": _row(
        "xnli", "paws-x", "pan-x", "xquad", "lareqa", "squad-translated", "mlqa", "bucc2018", "mewsli-x",
        udpos="German", tatoeba="deu",
    ),
    "el": _row("xnli", "pan-x", "xquad", "lareqa", "squad-translated", udpos="Greek", tatoeba="ell"),
    "es": _row(
        "xnli", "paws-x", "pan-x", "xquad", "lareqa", "squad-translated", "mlqa", "mewsli-x",
        udpos="Spanish", tatoeba="spa",
    ),
    "et": _row("pan-x", "xcopa", udpos="Estonian", tatoeba="est"),
    "eu": _row("pan-x", udpos="Basque", tatoeba="eus"),
    "fa": _row("pan-x", "mewsli-x", udpos="Persian", tatoeba="pes"),
    "fi": _row("pan-x", udpos="Finnish", tatoeba="fin", tydiqa="finnish"),
    "fr": _row("xnli", "paws-x", "pan-x", "bucc2018", udpos="French", tatoeba="fra"),
    "he": _row("pan-x", udpos="Hebrew", tatoeba="heb"),
    "hi": _row("xnli", "pan-x", "xquad", "lareqa", "squad-translated", "mlqa", udpos="Hindi", tatoeba="hin"),
    "ht": _row("xcopa"),
    "hu": _row("pan-x", udpos="Hungarian", tatoeba="hun"),
    "id": _row("pan-x", "xcopa", udpos="Indonesian", tatoeba="ind", tydiqa="indonesian"),
    "it": _row("pan-x", "xcopa", udpos="Italian", tatoeba="ita"),
    "ja": _row("paws-x", "pan-x", "mewsli-x", udpos="Japanese", tatoeba="jpn", spaced=False),
    "jv": _row("pan-x", tatoeba="jav"),
    "ka": _row("pan-x", tatoeba="kat"),
    "kk": _row("pan-x", udpos="Kazakh", tatoeba="kaz"),
    "ko": _row("paws-x", "pan-x", udpos="Korean", tatoeba="kor", tydiqa="korean"),
    "ml": _row("pan-x", tatoeba="mal"),
    "mr": _row("pan-x", udpos="Marathi", tatoeba="mar"),
    "ms": _row("pan-x"),
    "my": _row("pan-x", spaced=False),
    "nl": _row("pan-x", udpos="Dutch", tatoeba="nld"),
    "pl": _row("mewsli-x"),
    "pt": _row("pan-x", udpos="Portuguese", tatoeba="por"),
    "qu": _row("xcopa"),
    "ro": _row("mewsli-x"),
    "ru": _row(
        "xnli", "pan-x", "xquad", "lareqa", "squad-translated", "bucc2018",
        udpos="Russian", tatoeba="rus", tydiqa="russian",
    ),
    "sw": _row("xnli", "pan-x", "xcopa", tatoeba="swh", tydiqa="swahili"),
    "ta": _row("pan-x", "xcopa", "mewsli-x", udpos="Tamil", tatoeba="tam"),
    "te": _row("pan-x", udpos="Telugu", tatoeba="tel", tydiqa="telugu"),
    "th": _row(
        "xnli", "pan-x", "xquad", "lareqa", "squad-translated", "xcopa", udpos="Thai", tatoeba="tha", spaced=False,
    ),
    "tl": _row("pan-x", udpos="Tagalog", tatoeba="tgl"),
    "tr": _row(
        "xnli", "pan-x", "xquad", "lareqa", "squad-translated", "xcopa", "mewsli-x", udpos="Turkish", tatoeba="tur",
    ),
    "uk": _row("mewsli-x"),
    "ur": _row("xnli", "pan-x", udpos="Urdu", tatoeba="urd"),
    "vi": _row(
        "xnli", "pan-x", "xquad", "lareqa", "squad-translated", "mlqa", "xcopa", udpos="Vietnamese", tatoeba="vie",
    ),
    "yo": _row("pan-x", udpos="Yoruba"),
    "zh": _row(
        "xnli", "paws-x", "pan-x", "xquad", "lareqa", "squad-translated", "mlqa", "bucc2018", "xcopa",
        udpos="Chinese", tatoeba="cmn", spaced=False,
    ),
}


ALL = ("en", *sorted(LANGUAGES.keys() - {"en"}))


def list_languages(name: str) -> dict[str, str]:
    """Return the languages of a dataset, English first: code -> name in the dataset."""
    return {code: LANGUAGES[code].names[name] or code for code in ALL if name in LANGUAGES[code].names}


XNLI, PAWS_X, PAN_X, XQUAD, MLQA, LAREQA, TRANSLATED_SQUAD, BUCC, XCOPA, MEWSLI_X = (
    tuple(list_languages(name))
    for name in (
        "xnli", "paws-x", "pan-x", "xquad", "mlqa", "lareqa", "squad-translated", "bucc2018", "xcopa", "mewsli-x",
    )
)  # fmt: skip
UDPOS, TATOEBA, TYDIQA = map(list_languages, ("udpos", "tatoeba", "tydiqa"))
UNSPACED = tuple(code for code in ALL if not LANGUAGES[code].spaced)
