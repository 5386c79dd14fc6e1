import pandas as pd
import pytest
import yaml

from stilts.analysis.languages.facts import (
    DISTANCES,
    TABLE,
    get_language,
    read_languages,
    sort_by_distance,
    tabulate_languages,
)
from stilts.analysis.languages.uriel import read_cldr_names, write_table
from stilts.sources.pocket.source import SUITE_LANGUAGES
from stilts.study.errors import UnknownName

XTREME = (
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi "
    "yo zh"
)


def test_names_and_scripts_are_those_of_cldr():
    assert {code: {"name": row.name, "script": row.script} for code, row in read_languages().items()} == {
        code: read_cldr_names(code) for code in read_languages()
    }


def test_the_forty_languages_of_xtreme_are_marked():
    assert [code for code, row in sorted(read_languages().items()) if row.xtreme] == XTREME.split()


def test_every_language_of_the_suite_is_known():
    assert set(SUITE_LANGUAGES) <= set(read_languages())


def test_codes_are_unique_and_distances_lie_between_nought_and_one():
    rows = read_languages().values()
    assert len({row.iso639_3 for row in rows}) == len({row.glottocode for row in rows}) == len(read_languages())
    assert all(0 <= distance <= 1 and kind in DISTANCES for row in rows for kind, distance in row.distance.items())
    assert all(row.distance == dict.fromkeys(DISTANCES, 0.0) for row in rows if row.code == "en")


def test_families_and_branches():
    found = {
        code: (get_language(code).family, get_language(code).branch) for code in ("hi", "eu", "hu", "zh", "sw", "lv")
    }
    assert found == {
        "hi": ("Indo-European", "Indo-Iranian"),
        "eu": ("isolate", ""),
        "hu": ("Uralic", ""),
        "zh": ("Sino-Tibetan", ""),
        "sw": ("Atlantic-Congo", ""),
        "lv": ("Indo-European", "Balto-Slavic"),
    }


def test_an_unknown_language_names_the_nearest():
    with pytest.raises(UnknownName, match="unknown language 'eng'. Did you mean 'en'"):
        get_language("eng")


def test_the_table_keeps_the_order_and_leaves_gaps_open():
    table = tabulate_languages(["hr", "de"])
    assert table["name"].tolist() == ["Croatian", "German"]
    assert table["syntactic"].isna().tolist() == [True, False]
    assert table["syntactic"].dtype == float


def test_an_empty_table_has_its_columns():
    assert list(tabulate_languages([]).columns) == [
        "code", "name", "family", "branch", "script", "iso639_3", "xtreme", *DISTANCES,
    ]  # fmt: skip


def test_order_by_distance_puts_gaps_last():
    assert sort_by_distance(["hr", "ja", "de", "en"]) == ["en", "de", "ja", "hr"]
    with pytest.raises(UnknownName, match="Did you mean 'syntactic'"):
        sort_by_distance(["de"], "syntatic")


def test_writing_the_table_and_reading_it_changes_nothing(tmp_path):
    content = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    write_table(content["languages"], tmp_path / "languages.yaml")
    assert (tmp_path / "languages.yaml").read_bytes() == TABLE.read_bytes()


def test_distances_between_scripts():
    found = {code: get_language(code).distance.get("writing") for code in ("da", "bg", "ru", "hi", "zh")}
    assert found == {"da": 0.0, "bg": 0.195, "ru": 0.4121, "hi": 0.405, "zh": None}  # unknown for Mandarin


def test_distances_are_urielplus_ones():
    """Sound inventories are the same with and without the databases that take minutes to integrate."""
    from urielplus.urielplus import URIELPlus

    database = URIELPlus()
    codes = ["de", "hi", "th", "te"]
    measured = [round(float(database.new_distance("inventory", ["eng", get_language(c).iso639_3])), 4) for c in codes]
    assert measured == pd.Series({c: get_language(c).distance["inventory"] for c in codes}).tolist()
