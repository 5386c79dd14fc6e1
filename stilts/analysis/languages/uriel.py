"""Measurement of language distances with URIEL+, for the language table that the package ships.

Integrating all of URIEL+'s databases takes minutes, so the book reads the table `languages.yaml`. The command
`python -m stilts.analysis.languages.uriel` rewrites it. To add a language, add its codes to that file and run the
command, which fills in the rest.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from stilts.analysis.languages.facts import DISTANCES, TABLE
from stilts.study.errors import StiltsError
from stilts.study.yaml_files import read_yaml

MINIMUM_FEATURES = 15
"""Distances with fewer features known for both languages are left out, since they mostly reflect missing values."""

ENGLISH = "stan1293"
_URIEL_KIND = {"writing": "script"}  # `script` is the name of a language's script in the table
HEADER = """\
# Languages that the study's sources can cover. Written by `python -m stilts.analysis.languages.uriel` from the codes in
# it; to add a language, add a row with its ISO 639-1 (else 639-3) code, iso639_3, glottocode, xtreme and cc100, and run
# that.
# name, script (most likely one): Unicode CLDR through Babel, Unicode licence.
# family, branch (of Indo-European): Glottolog as shipped with URIEL+, CC BY-SA 4.0.
# distance to English, 0 to 1, absent where the two share fewer than {minimum} known features: URIEL+ (Khan et al. 2025)
# with all its databases integrated and nothing imputed, CC BY-SA 4.0; these numbers are under that licence.
# writing: URIEL+'s script distance, over all scripts that the language is or was written with.
# xtreme: one of the 40 languages of XTREME (Hu et al. 2020).
# cc100: GiB of text in CC-100, the pretraining data of XLM-R: Conneau et al. 2020, table 6, after the transcription in
# github.com/mayhewsw/multilingual-data-stats (cc-100/cc-100.csv). 0: not listed there. null: listed with another one
# (Nynorsk with Bokmål). Chinese has both its rows, Burmese too; romanised text of a language is not counted.
"""


def main() -> None:
    """Rewrite the table with new measurements of all its languages."""
    content = read_yaml(TABLE, "table of languages")
    write_table(describe_languages(content["languages"]), TABLE)


def describe_languages(codes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the full table for languages given by their codes.

    Parameters
    ----------
    codes : dict
        ISO 639-1 code -> at least iso639_3, glottocode, xtreme and cc100.
    """
    distances = measure_distances([row["glottocode"] for row in codes.values()])
    lineages = _lineages()
    return {
        code: {
            **read_cldr_names(code),
            "iso639_3": row["iso639_3"],
            "glottocode": row["glottocode"],
            **_ancestry(lineages[row["glottocode"]]),
            "xtreme": row["xtreme"],
            "cc100": row["cc100"],
            "distance": distances[row["glottocode"]],
        }
        for code, row in codes.items()
    }


def measure_distances(glottocodes: list[str]) -> dict[str, dict[str, float]]:
    """Return URIEL+'s angular distances to English by language and kind, without those with too few features.

    This takes minutes. Raises StiltsError for a code that URIEL+ does not have.
    """
    from urielplus.urielplus import URIELPlus

    database = URIELPlus()
    database.integrate_databases()
    unknown = sorted(set(glottocodes) - {str(code) for code in database.langs[0]})
    if unknown:
        raise StiltsError(f"{TABLE.name}: URIEL+ holds no language with glottocode {', '.join(unknown)}")
    return {code: _distances(database, code) for code in glottocodes}


def _distances(database: Any, code: str) -> dict[str, float]:
    shared = {kind: _shared_features(database, _URIEL_KIND.get(kind, kind), code) for kind in DISTANCES}
    return {
        kind: round(float(database.new_distance(_URIEL_KIND.get(kind, kind), [ENGLISH, code])), 4)
        for kind in DISTANCES
        if shared[kind] >= MINIMUM_FEATURES
    }


def _shared_features(database: Any, kind: str, code: str) -> int:
    """Return the number of features of a kind that are known for both English and the language."""
    prefix = {"syntactic": "S_", "phonological": "P_", "inventory": "INV_"}.get(kind, "")
    matrix = database.map_new_distance_to_loaded_features(kind)
    places = {str(name): place for place, name in enumerate(database.langs[matrix])}
    values = database.data[matrix]  # languages x features x sources, -1 where unknown
    known = [(values[places[name]] != -1).any(axis=-1) for name in (ENGLISH, code)]
    return sum(
        both and str(name).startswith(prefix)
        for name, both in zip(database.feats[matrix], known[0] & known[1], strict=True)
    )


def _lineages() -> dict[str, list[str]]:
    """Return Glottolog's classification by glottocode, the family first; it is empty for isolates."""
    import pandas as pd
    import urielplus

    path = Path(urielplus.__file__).parent / "database" / "urielplus_csvs" / "lang_fam_geo.csv"
    table = pd.read_csv(path, keep_default_na=False)
    return {row.language_id: [part for part in row.lineage.split(", ") if part] for row in table.itertuples()}


def _ancestry(lineage: list[str]) -> dict[str, str]:
    if not lineage:
        return {"family": "isolate"}
    if lineage[0] == "Indo-European":
        return {"family": lineage[0], "branch": lineage[2]}  # below Classical Indo-European
    return {"family": lineage[0]}


def read_cldr_names(code: str) -> dict[str, str]:
    """Return CLDR's English name of a language and of its most likely script."""
    from babel import Locale
    from babel.core import get_global

    english = Locale("en")
    script = get_global("likely_subtags")[code].split("_")[1]
    name = "Simplified Han" if script == "Hans" else english.scripts[script]  # CLDR only has "Simplified"
    return {"name": english.languages[code], "script": name}


def write_table(languages: dict[str, dict[str, Any]], path: Path) -> None:
    """Write the table, with one language per line."""
    versions = {name: version(name) for name in ("urielplus", "babel")}
    lines = [HEADER.format(minimum=MINIMUM_FEATURES) + _line("made_with", versions) + "languages:\n"]
    lines += ["  " + _line(code, row) for code, row in sorted(languages.items())]
    path.write_text("".join(lines), encoding="utf-8")


def _line(key: str, value: dict[str, Any]) -> str:
    text = yaml.safe_dump({key: value}, default_flow_style=None, width=10**6, sort_keys=False, allow_unicode=True)
    body = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return f"{text.partition(':')[0]}: {body}"


if __name__ == "__main__":
    main()
