"""Facts about the study's languages: names, families, scripts, and how far each lies from English."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict

from stilts.study.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd

TABLE = Path(__file__).with_name("languages.yaml")
DISTANCES = ("genetic", "geographic", "syntactic", "phonological", "inventory", "featural", "writing")
"""Kinds of distance as URIEL+ names them, but for `writing`: its script distance, between the features of the scripts
that a language is or was written with (what the signs stand for, where they come from, direction, case, spaces)."""
ENGLISH = "en"


class Language(BaseModel):
    """One language.

    Attributes
    ----------
    code : str
        ISO 639-1, as XTREME writes it; ISO 639-3 where there is no shorter code.
    name, script : str
        English name and most likely script, as CLDR has them.
    iso639_3, glottocode : str
        Codes of the variety whose features are used (Standard Arabic for "ar", Mandarin for "zh").
    family, branch : str
        Glottolog's top-level family, "isolate" without one, and the branch of Indo-European; else "".
    xtreme : bool
        Whether it is one of the 40 languages of XTREME.
    cc100 : float or None
        GiB of its text in CC-100, on which XLM-R was trained (Conneau et al. 2020, table 6; rounded there to 0.1), and
        with it what multilingual E5 was initialised from; 0 where the table does not list the language, None where it
        lists it together with another.
    distance : dict
        Kind -> URIEL+ distance to English, 0 (the same) to 1; a kind that rests on too few known features is absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: str
    script: str
    iso639_3: str
    glottocode: str
    family: str
    branch: str = ""
    xtreme: bool
    cc100: float | None
    distance: dict[str, float]


@cache
def read_languages() -> dict[str, Language]:
    """Return every language of the table by code."""
    content = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {code: Language(code=code, **row) for code, row in content["languages"].items()}


def get_language(code: str) -> Language:
    """Return one language; UnknownName, with the nearest code, for one that the table does not hold."""
    known = read_languages()
    if code not in known:
        raise UnknownName("language", code, known)
    return known[code]


def tabulate_languages(codes: Iterable[str]) -> "pd.DataFrame":
    """Return one row per language, in the order given, with its facts and its distances to English.

    Columns: code, name, family, branch, script, iso639_3, xtreme, and one per kind of distance (missing: NaN).
    """
    import pandas as pd

    rows = [
        {
            **known.model_dump(include={"code", "name", "family", "branch", "script", "iso639_3", "xtreme"}),
            **{kind: known.distance.get(kind) for kind in DISTANCES},
        }
        for known in map(get_language, codes)
    ]
    facts = ["code", "name", "family", "branch", "script", "iso639_3", "xtreme"]
    return pd.DataFrame(rows, columns=[*facts, *DISTANCES]).astype(dict.fromkeys(DISTANCES, float))


def sort_by_distance(codes: Iterable[str], kind: str = "syntactic") -> list[str]:
    """Return the codes from the nearest to English to the farthest, those without such a distance last, by code."""
    if kind not in DISTANCES:
        raise UnknownName("kind of distance", kind, DISTANCES)
    far = float("inf")
    return sorted(codes, key=lambda code: (get_language(code).distance.get(kind, far), code))
