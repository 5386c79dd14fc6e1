"""The table of analysis pages."""

from pathlib import Path

import pytest
from small_book import ROOT

from stilts.publish.site import list_toc_pages
from stilts.study.errors import StiltsError, UnknownName
from stilts.workspace.notebooks.execution import read_parameters
from stilts.workspace.notebooks.pages import Page, read_book_pages
from stilts.workspace.notebooks.templates import check_parameters


def write(root: Path, table: str | None) -> Path:
    (root / "notebooks").mkdir()
    for name in ("transfer", "claims", "target"):  # the last is a phase's
        (root / "notebooks" / f"{name}.ipynb").touch()
    if table is not None:
        (root / "notebooks" / "pages.yml").write_text(table)
    return root


@pytest.mark.parametrize("table", [None, "", "# nothing yet\n"])
def test_without_a_table_every_analysis_notebook_is_a_page(tmp_path, table):
    assert [page.name for page in read_book_pages(write(tmp_path, table))] == ["claims", "transfer"]


def test_a_template_serves_several_pages(tmp_path):
    root = write(tmp_path, "pilot: {template: transfer, study: pilot, resamples: 5}\nalso: {template: transfer}\n")
    transfer = root / "notebooks" / "transfer.ipynb"
    assert read_book_pages(root) == [
        Page("also", transfer),
        Page("claims", root / "notebooks" / "claims.ipynb"),
        Page("pilot", transfer, {"study": "pilot", "resamples": 5}),
        Page("transfer", transfer),
    ]


@pytest.mark.parametrize(
    "table, error, message",
    [
        ("pilot: {template: transfr}", UnknownName, "'transfr'. Did you mean 'transfer'"),
        ("pilot: {template: target}", UnknownName, "template of page 'pilot' in .*pages.yml 'target'"),
        ("pilot: {study: x}", StiltsError, "page 'pilot' has no template"),
        ("pilot: transfer", StiltsError, "page 'pilot' has no template"),
        ("claims: {template: transfer}", StiltsError, "page 'claims' has the same name as a notebook"),
        ("[pilot]", StiltsError, "must map page names to settings"),
        ("pilot: {", StiltsError, "pages.yml is not valid YAML"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path, table, error, message):
    with pytest.raises(error, match=message):
        read_book_pages(write(tmp_path, table))


def test_the_book_s_own_pages_fit_their_templates_and_stand_in_its_table_of_contents():
    pages = read_book_pages(ROOT)
    for page in pages:
        defaults = read_parameters(page.template)
        check_parameters(defaults, page.parameters, page.name)
        assert page.name == page.template.stem or "page" in defaults, "its figures would have another page's names"
    listed = [Path(page) for page in list_toc_pages(ROOT) if Path(page).parent == Path("runs/book")]
    parts = {"findings"}  # what the landing page includes
    assert sorted({*(path.name for path in listed), *parts}) == [page.name for page in pages]
