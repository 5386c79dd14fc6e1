"""The data dictionary: descriptions of columns, types, titles, and the descriptor of the Data Package."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from nbformat import read, write
from nbformat.v4 import new_code_cell, new_notebook

from stilts.publish import data_dictionary
from stilts.publish.data_dictionary import (
    Descriptions,
    describe_data,
    infer_type,
    make_package,
    read_captions,
    read_descriptions,
    shorten_caption,
)
from stilts.publish.site import build
from stilts.study.errors import StiltsError

CITATION = "title: A study\nauthors: [{name: B}]\nversion: 1.2.0\nlicense: MIT\ndate-released: 2026-01-02\n"
CAPTIONS = {
    "fig-gain": "Gain of each condition, in points; a ring for each language. Framed: zero is left out. Study pocket.",
    "tab-gain": "The same in numbers.",
    "tab-scores": "Scores by `target`, as in {numref}`fig-gain`.",
}


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout with the data of a figure and of a table, and the page that shows both."""
    folder = tmp_path / "runs" / "book"
    folder.mkdir(parents=True)
    (tmp_path / "CITATION.cff").write_text(CITATION)
    cells = [
        new_code_cell("", metadata={"mystnb": {"figure": {"name": name, "caption": caption}}})
        for name, caption in CAPTIONS.items()
    ]
    write(new_notebook(cells=cells), folder / "page.ipynb")
    (folder / "gain.csv").write_text("condition,seeds,gain,learned\nnli,3,-1.5,True\nqa,2,,False\n")
    (folder / "scores.csv").write_text('target,score\n"intent, or none",81\n')
    return tmp_path


# --- descriptions ----------------------------------------------------------------------------------------------------


KNOWN = Descriptions(
    columns={"gain": "everywhere", "none": "a name", "<name>, balanced": "a pattern"},
    files={"trans*": {"gain": "in several", "low": "in several"}, "transfer": {"gain": "in one", "<name>": "a task"}},
    titles={"*-tests": "The tests"},
)


@pytest.mark.parametrize(
    "file, column, said",
    [
        ("layers", "gain", "everywhere"),
        ("transit", "gain", "in several"),
        ("transfer", "gain", "in one"),
        ("transfer", "low", "in several"),
        ("transfer", "command-nli", "a task"),
        ("transfer", "none", "a name"),
        ("layers", "multi, balanced", "a pattern"),
        ("layers", "command-nli", None),
        ("transfer", "two words", None),
        ("transfer", "learning_rate", None),
        ("layers", "low", None),
    ],
)
def test_the_nearest_description_counts(file, column, said):
    assert KNOWN.describe(file, column) == said


def test_descriptions_are_sentences():
    known = read_descriptions()
    said = [*known.columns.values(), *(text for own in known.files.values() for text in own.values())]
    assert [text for text in said if not re.fullmatch(r"\S.*\.", text)] == []
    assert [title for title in known.titles.values() if title.endswith(".")] == []


def test_descriptions_of_another_form_are_named(tmp_path):
    (tmp_path / "columns.yaml").write_text("columns: {gain: [points]}\n")
    with pytest.raises(StiltsError, match=r"columns.yaml: columns.gain: .*string"):
        read_descriptions(tmp_path / "columns.yaml")


# --- types and titles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, kind",
    [
        (["1", "-20", ""], "integer"),
        (["1", "2.5", "-1e-05", "inf"], "number"),
        (["True", "", "False"], "boolean"),
        (["True", "1"], "string"),
        (["1.2.0", "3"], "string"),
        (["921e4567"], "string"),
        (["", ""], "any"),
        ([], "any"),
    ],
)
def test_types_are_those_that_all_values_have(values, kind):
    assert infer_type(values) == kind


def test_the_caption_of_a_figure_counts_before_that_of_a_table(checkout):
    captions = read_captions(checkout / "runs" / "book")
    assert captions == {"gain": CAPTIONS["fig-gain"], "scores": CAPTIONS["tab-scores"]}


@pytest.mark.parametrize(
    "caption, title",
    [
        (CAPTIONS["fig-gain"], "Gain of each condition, in points (study pocket)"),
        (CAPTIONS["tab-scores"], "Scores by target"),
        ("**Of 2 (A. B), 1 gains.** Gain of each condition (points). Study a.", "Gain of each condition (study a)"),
        ("Tasks of the suite: training rows. Studies take fewer.", "Tasks of the suite"),
        ("BUCC 2018: mining. Scores by language (percent).", "BUCC 2018: mining"),
        ("Speed of each loop (left; in brackets the slowest), and scores. Study a-b, 9 replicates.",
         "Speed of each loop, and scores (study a-b)"),
    ],
)  # fmt: skip
def test_titles_are_short(caption, title):
    assert shorten_caption(caption) == title


# --- package ---------------------------------------------------------------------------------------------------------


def field(name: str, kind: str) -> dict[str, str]:
    return {"name": name, "type": kind, "description": read_descriptions().columns[name]}


TEMPLATES = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_every_data_file_that_a_notebook_names_has_a_title(template):
    cells = [cell for cell in read(template, 4).cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells)
    named = {*re.findall(r'"([\w-]+)\.csv"', code), *re.findall(r'save\([^\n]*, "([\w-]+)", out', code)}
    shown = {cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "").partition("-")[2] for cell in cells}
    assert sorted(name for name in named - shown if read_descriptions().title(name) is None) == []


def test_the_descriptor_of_a_folder(checkout):
    common = {"format": "csv", "mediatype": "text/csv", "encoding": "utf-8"}
    types = {"condition": "string", "seeds": "integer", "gain": "number", "learned": "boolean"}
    gain = [field(name, kind) for name, kind in types.items()]
    scores = [field("target", "string"), field("score", "integer")]
    assert make_package(checkout) == {
        "name": "stilts",
        "title": "A study",
        "version": "1.2.0",
        "licenses": [{"name": "MIT"}],
        "resources": [
            {"name": "gain", "path": "data/gain.csv", "title": "Gain of each condition, in points (study pocket)"}
            | common | {"schema": {"fields": gain, "missingValues": [""]}},
            {"name": "scores", "path": "data/scores.csv", "title": "Scores by target"}
            | common | {"schema": {"fields": scores}},
        ],
    }  # fmt: skip


def test_what_is_not_described_is_named_with_its_file(checkout):
    (checkout / "runs" / "book" / "gain.csv").write_text("condition,luck,chances\nnli,1,2\n")
    (checkout / "runs" / "book" / "alone.csv").write_text("condition\n")
    with pytest.raises(StiltsError) as caught:
        describe_data(checkout)
    assert str(caught.value).splitlines() == [
        "data/alone.csv: no caption and no title; add it to stilts/publish/columns.yaml",
        "data/gain.csv: column luck has no description; add it to stilts/publish/columns.yaml",
        "data/gain.csv: column chances has no description; add it to stilts/publish/columns.yaml",
    ]


def test_a_file_with_texts_of_others_names_their_licences(checkout):
    folder = checkout / "runs" / "book"
    cells = [new_code_cell("", metadata={"mystnb": {"figure": {"name": f"tab-{name}", "caption": "Examples."}}})
             for name in ("data-intent", "data-dates")]  # fmt: skip
    write(new_notebook(cells=cells), folder / "data.ipynb")
    for name in ("data-intent", "data-dates"):
        (folder / f"{name}.csv").write_text("language,example\nde,Licht an\n")
    licences = {each["name"]: each.get("licenses") for each in make_package(checkout)["resources"]}
    rest = {"name": "MIT", "title": "all else in the file"}
    assert licences == {
        "data-dates": [
            {"path": "https://www.unicode.org/license.txt",
             "title": "Unicode CLDR, read through Babel: Unicode License v3, Unicode, Inc."},
            rest,
        ],
        "data-intent": [
            {"name": "CC-BY-4.0", "path": "https://creativecommons.org/licenses/by/4.0/",
             "title": "home-assistant-intents: CC BY 4.0, the Home Assistant intents contributors"},
            rest,
        ],
        "gain": None,
        "scores": None,
    }  # fmt: skip


def test_examples_without_a_source_are_named(checkout):
    (checkout / "runs" / "book" / "scores.csv").write_text("language,example\nde,Licht an\n")
    with pytest.raises(StiltsError) as caught:
        describe_data(checkout)
    assert str(caught.value).splitlines() == [
        "data/scores.csv: column example has no description; add it to stilts/publish/columns.yaml",
        "data/scores.csv: examples, but no source, whose licence counts; add it to stilts/publish/columns.yaml",
    ]


def test_a_source_without_a_licence_is_named(tmp_path):
    (tmp_path / "columns.yaml").write_text("columns: {}\nsources: {data-*: [a friend]}\n")
    with pytest.raises(StiltsError, match=r"columns.yaml: sources.data-\*.0: .*home-assistant-intents"):
        read_descriptions(tmp_path / "columns.yaml")


def test_a_column_without_a_description_stops_the_build(checkout):
    (checkout / "_toc.yml").write_text("root: index\nparts: []\n")
    (checkout / "index.md").write_text("# Start\n")
    (checkout / "_config.yml").touch()
    (checkout / "runs" / "book" / "gain.csv").write_text("condition,luck\nnli,1\n")
    with pytest.raises(StiltsError) as caught:
        build(checkout)
    said = "data/gain.csv: column luck has no description; add it to stilts/publish/columns.yaml"
    assert str(caught.value) == said
    assert not (checkout / "_build").exists()


def test_the_site_has_the_descriptor_and_shows_it(book):
    html = book / "_build" / "html"
    package = json.loads((html / data_dictionary.PACKAGE).read_text(encoding="utf-8"))
    assert package == make_package(book)
    assert [resource["path"] for resource in package["resources"] if not (html / resource["path"]).is_file()] == []
    page = (html / "book" / "reference.html").read_text(encoding="utf-8")
    links = re.findall(r'<strong><a [^>]*href="\.\./([^"]+)"', page)
    assert links == [resource["path"] for resource in package["resources"]]
    heads = re.findall(r"<p><strong>(.*?)</strong>(.*?)</p>", page, re.S)
    stated = [[*re.findall(r'href="([^"]+)"', rest)] for head, rest in heads if "../data/" in head]
    licences = [[each["path"] for each in resource.get("licenses", [])[:-1]] for resource in package["resources"]]
    assert stated == licences
    assert sum(map(bool, licences)) >= 9
    fields = [each for resource in package["resources"] for each in resource["schema"]["fields"]]
    cells = [unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<td><p>(.*?)</p></td>", page)]
    cells = [cell.replace("’", "'") for cell in cells]  # Sphinx sets quotation marks
    assert cells == [text for each in fields for text in (each["name"], each["type"], each["description"])]
