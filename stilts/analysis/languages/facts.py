"""Facts about the study's languages: names, families, scripts, and distances to English."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from stilts.study.errors import UnknownName
from stilts.study.yaml_files import read_yaml

if TYPE_CHECKING:
    import pandas as pd

TABLE = Path(__file__).with_name("languages.yaml")
DISTANCES = ("genetic", "geographic", "syntactic", "phonological", "inventory", "featural", "writing")
"""Kinds of distance, named as in URIEL+ except for `writing`, its script distance. That is a distance between features
of the scripts that languages are or were written with: what signs represent, origin, direction, case, spaces."""


class Language(BaseModel):
    """One language.

    Attributes
    ----------
    code : str
        ISO 639-1, as in XTREME; ISO 639-3 if there is no shorter code.
    name, script : str
        English name and most likely script in CLDR.
    iso639_3, glottocode : str
        Codes of the variety whose features are used (Standard Arabic for "ar", Mandarin for "zh").
    family, branch : str
        Glottolog's top-level family ("isolate" without one), and the branch of Indo-European ("" for other families).
    xtreme : bool
        Whether it is one of the 40 languages of XTREME.
    cc100 : float or None
        GiB of its text in CC-100, the pretraining data of XLM-R and of the encoder that multilingual E5 was initialised
        from (Conneau et al. 2020, table 6; rounded there to 0.1). 0 if the table does not list the language, None if it
        lists it together with another.
    distance : dict
        Kind -> URIEL+ distance to English, from 0 (the same) to 1. Kinds with too few known features are missing.
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
    """Return all languages of the table by code."""
    content = read_yaml(TABLE, "table of languages")
    return {code: Language(code=code, **row) for code, row in content["languages"].items()}


def get_language(code: str) -> Language:
    """Return a language by its code. Raises UnknownName, with the nearest code, if the table does not have it."""
    known = read_languages()
    if code not in known:
        raise UnknownName("language", code, known)
    return known[code]


def tabulate_languages(codes: Iterable[str]) -> "pd.DataFrame":
    """Return one row per language, in the given order, with its facts and its distances to English.

    Columns: code, name, family, branch, script, iso639_3, xtreme, and one per kind of distance (NaN if missing).
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
    """Return codes sorted by distance to English, then by code; those without such a distance come last."""
    if kind not in DISTANCES:
        raise UnknownName("kind of distance", kind, DISTANCES)
    far = float("inf")
    return sorted(codes, key=lambda code: (get_language(code).distance.get(kind, far), code))
