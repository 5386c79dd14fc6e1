"""The book as a PDF: a small one is printed and read; without a browser that prints, nothing links to it."""

import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from browsing import hide_browsers, needs_browser
from pypdf import PdfReader

from stilts.publish.book_pdf import FILE, PLACE, TEXT, link_pages, make_book_pdf
from stilts.publish.citation import read_citation
from stilts.publish.one_page import Part, join_pages, name_page
from stilts.publish.site import check, list_toc_pages, list_toc_parts

ROOT = Path(__file__).parents[2]
ICONS = "[\ue000-\uf8ff]"  # the theme marks links to well-known hosts
# The template's defaults, in whose place the parameters of the run are shown, on the site too.
DEFAULTS = r'<div class="cell tag_parameters.*?</pre>'


@pytest.fixture(scope="module")
def pdf(book) -> PdfReader:
    return PdfReader(book / "_build" / "html" / FILE)


@pytest.fixture(scope="module")
def document(book) -> str:
    """What is printed, as HTML."""
    return join_pages(book / "_build" / "html", list_toc_parts(book), read_citation(book), "")


@pytest.fixture(scope="module")
def texts(pdf) -> list[str]:
    return [sheet.extract_text() for sheet in pdf.pages]


def squeeze(text: str) -> str:
    return re.sub(rf"\s|{ICONS}", "", text)


def plain(markup: str) -> str:
    return squeeze(unescape(re.sub(r"<[^>]+>", "", markup)))


def stands_on(text: str, sheets: list[str]) -> bool:
    """Whether a text without spaces stands on one sheet, or begins on one and ends on the next."""
    if any(text in sheet for sheet in sheets):
        return True
    ends = (max(end for end in range(len(text)) if text[:end] in sheet) for sheet in sheets[:-1])
    return any(text[end:] in following for end, following in zip(ends, sheets[1:], strict=True))


@needs_browser
def test_all_pages_are_printed_in_the_order_of_the_table_of_contents(pdf, document):
    top = [entry for entry in pdf.outline if not isinstance(entry, list)]
    titles = [plain(title) for title in re.findall(r"<h1>(.*?)</h1>", document, re.S)]
    assert [squeeze(entry.title) for entry in top] == titles
    sheets = [pdf.get_destination_page_number(entry) for entry in top]
    assert sheets == sorted(set(sheets))


@needs_browser
def test_the_contents_say_on_which_sheet_a_page_begins(pdf, texts):
    contents, *pages = [entry for entry in pdf.outline if not isinstance(entry, list)]
    first, last = (pdf.get_destination_page_number(entry) for entry in (contents, pages[0]))
    said = {squeeze(line) for text in texts[first:last] for line in text.split("\n")}
    lines = [f"{squeeze(entry.title)}{pdf.get_destination_page_number(entry) + 1}" for entry in pages]
    assert [line for line in lines if line not in said] == []


@needs_browser
def test_links_lead_into_the_book_or_to_the_web(pdf, document, book):
    notes = [note.get_object() for sheet in pdf.pages for note in sheet.get("/Annots", [])]
    within = {note["/Dest"] for note in notes if "/Dest" in note}
    assert within <= set(pdf.named_destinations)
    assert {f"/{name_page(page)}" for page in list_toc_pages(book)} <= within
    without = {note["/A"]["/URI"] for note in notes if "/A" in note}
    assert {address for address in without if not address.startswith(("https://", "http://", "mailto:"))} == set()
    assert len(without) > 5


@needs_browser
def test_no_text_is_cut(texts, document):
    sheets = list(map(squeeze, texts))
    shown = re.sub(DEFAULTS, "", document, flags=re.S)
    block = r"<(p|h[1-4]|li|td|th|figcaption|pre|dt)\b[^>]*>((?:(?!<(?:p|li|ul|ol|dl)\b).)*?)</\1>"
    said = {plain(found[2]) for found in re.finditer(block, shown, re.S)}
    assert len(said) > 800
    assert [text for text in said if not stands_on(text, sheets)] == []


@needs_browser
def test_figures_are_vectors_and_have_their_names(pdf, document):
    names = re.findall(r'<svg class="figure-svg" role="img" aria-label="([^"]*)"', document)
    assert len(names) > 20
    tagged = figure_names(pdf.trailer["/Root"]["/StructTreeRoot"])
    assert [name for name in tagged if name in set(map(unescape, names))] == list(map(unescape, names))
    drawn = [thing.get_object() for sheet in pdf.pages for thing in sheet["/Resources"].get("/XObject", {}).values()]
    assert [thing for thing in drawn if thing["/Subtype"] == "/Image"] == []


def figure_names(element) -> list[str]:
    element = element.get_object()
    if not isinstance(element, dict):
        return []
    own = [str(element["/Alt"])] if element.get("/S") == "/Figure" and "/Alt" in element else []
    children = element.get("/K", [])
    below = children if isinstance(children, list) else [children]
    return own + [name for child in below if not isinstance(child, int) for name in figure_names(child)]


@needs_browser
def test_sheets_are_numbered_but_the_cover(texts):
    wrong = [number for number, text in enumerate(texts, 1) if (str(number) in text.split("\n")[:2]) == (number == 1)]
    assert wrong == []


@needs_browser
def test_text_has_its_size_since_no_table_is_wider_than_its_sheet(pdf):
    sizes = set()

    def take(text, matrix, text_matrix, font, size):
        sizes.add(round(size * text_matrix[3] * matrix[3], 1))

    pdf.pages[pdf.get_destination_page_number(pdf.outline[1])].extract_text(visitor_text=take)
    assert 10.5 in sizes


@needs_browser
def test_every_page_of_the_site_links_to_it(book):
    html = book / "_build" / "html"
    for page in list_toc_pages(book):
        up = "../" * page.count("/")
        assert f'<span class="book-pdf"><a href="{up}{FILE}">{TEXT}</a></span>' in (html / f"{page}.html").read_text()


# --- without ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path) -> Path:
    """A site of two pages, in a checkout."""
    shutil.copy(ROOT / "CITATION.cff", tmp_path)
    html = tmp_path / "_build" / "html"
    (html / "_static").mkdir(parents=True)
    for name in ("paper.css", "book.js"):
        shutil.copy(ROOT / "book" / "_static" / name, html / "_static")
    (html / "book").mkdir()
    for page in ("index", "book/other"):
        article = f'<article><section id="a"><h1>{page}</h1></section><section id="how-to-cite"></section></article>'
        (html / f"{page}.html").write_text(f"{article}{PLACE}")
    return html


PARTS = [Part("", ("index",)), Part("Rest", ("book/other",))]


def make(site: Path) -> list[str]:
    make_book_pdf(site.parents[1], site, PARTS)
    return re.findall(r'href="([^"]+)"', "".join(page.read_text() for page in sorted(site.rglob("*.html"))))


def test_without_a_browser_it_is_said_and_nothing_links_to_it(site, tmp_path, monkeypatch, caplog):
    hide_browsers(monkeypatch, tmp_path / "programs")
    (site / FILE).touch()
    link_pages(site)
    assert make(site) == []
    assert caplog.messages == [
        "book.pdf was not made, and the site does not link to it: there is no Chromium; install chromium and build the "
        "book again"
    ]
    assert not (site / FILE).exists()
    assert check(site) == []


def test_a_browser_that_prints_nothing_is_said_with_its_reason(site, tmp_path, monkeypatch, caplog):
    hide_browsers(monkeypatch, tmp_path / "programs")
    browser = tmp_path / "programs" / "chromium"
    browser.write_text("#!/bin/sh\necho first >&2\necho no room >&2\nexit 3\n")
    browser.chmod(0o755)
    assert make(site) == []
    assert caplog.messages == [
        f"book.pdf was not made, and the site does not link to it: {browser} wrote no file, but: no room (exit status "
        "3); `make clean book` tries again"
    ]


@needs_browser
def test_links_come_with_the_file(site, tmp_path, monkeypatch):
    assert make(site) == ["../book.pdf", "book.pdf"]
    _, contents, *pages = (sheet.extract_text().split() for sheet in PdfReader(site / FILE).pages)
    assert contents[1:] == ["Contents", "index", "3", "Rest", "book/other", "4"]
    assert [words[-1] for words in pages] == ["index", "book/other"]
    assert check(site) == []
    assert sorted(path.name for path in site.parent.iterdir()) == ["html"]
    hide_browsers(monkeypatch, tmp_path / "programs")
    assert make(site) == []
