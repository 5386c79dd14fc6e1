"""The pages of a built site as one document for paper, with a cover and a table of contents.

Links between pages lead into the document. Links to other files of the site are dropped, and their text stays. What is
left out is stated on the cover.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import quote, unquote, urlsplit

from stilts.publish.citation import Citation

MOST_ROWS = 150  # of a table; that of all records has thousands, each with a checksum
LEFT_OUT = (
    "Only on the book's site: code, which is folded away there; links from figures and tables to their data, notebooks "
    "and source; sorting and filtering of tables; the explorer; the rows of a table after the first "
    f"{MOST_ROWS}. Where the site switches between studies, this document shows one after the other."
)
EXPLORER = '<p class="on-site">The explorer is interactive: it is on the book\'s site.</p>'
IDS = re.compile(r'(\s(?:id|for|aria-labelledby|aria-describedby)=")([^"]*)(")')
ADDRESSES = re.compile(r'(\s(?:src|href|xlink:href)=")([^"]*)(")')
PARTS_OF_SVG = re.compile(r"url\(#([^)]+)\)")
SHEETS = re.compile(r'(<span class="sheet" data-page="([^"]*)">)')


@dataclass(frozen=True)
class Part:
    """Pages that the table of contents puts under one title.

    Attributes
    ----------
    title : str
        Empty for the landing page, which belongs to no part.
    pages : tuple of str
        Relative to the site, without suffix.
    """

    title: str
    pages: tuple[str, ...]


@dataclass
class Heading:
    """A heading of a page.

    Attributes
    ----------
    level : int
        1 for the page's title, 2 for its sections.
    anchor : str
        Id in the document.
    text : str
    """

    level: int
    anchor: str
    text: str = ""


def join_pages(html: Path, parts: Sequence[Part], citation: Citation, version: str) -> str:
    """Return the document, which belongs into a folder beside the site.

    Parameters
    ----------
    html : Path
        Folder of the built site.
    parts : sequence of Part
        The book in its order, the landing page first.
    citation : Citation
        For the cover.
    version : str
        Version, commit, date and licence, for the cover.
    """
    pages = [page for part in parts for page in part.pages]
    articles = {page: _read_article(html, page, pages) for page in pages}
    title = articles[pages[0]].headings[0].text
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en" data-theme="light">\n<head><meta charset="utf-8">',
            f"<title>{escape(title)}</title>",
            *_list_style_sheets(html),
            f"<style>{_name_running_heads(articles)}</style>",
            f'<script src="{_find(html)}/_static/book.js"></script>\n</head>\n<body class="paper">',
            _make_cover(title, citation, version, f"{name_page(pages[0])}:how-to-cite"),
            _make_contents(parts, articles),
            *(_make_article(page, articles[page]) for page in pages),
            "</body>\n</html>\n",
        ]
    )


def number_contents(document: str, sheets: Mapping[str, int]) -> str:
    """Return a joined document with the sheet in its table of contents that each page, by its id, begins on."""
    return SHEETS.sub(lambda found: f"{found[1]}{sheets[found[2]]}", document)


def name_page(page: str) -> str:
    """Return the id of a page in the document; the ids of its elements are this, a colon and what they are there."""
    return page.replace("/", ".")


def _find(html: Path) -> str:
    return f"../{html.name}"


# --- articles --------------------------------------------------------------------------------------------------------


class _Article(HTMLParser):
    """The content of a page, with ids and addresses that hold in the document."""

    def __init__(self, page: str, pages: Sequence[str], folder: str):
        super().__init__(convert_charrefs=False)
        self.page, self.pages, self.folder = page, pages, folder
        self.headings: list[Heading] = []
        self._pieces: list[str] = []
        self._is_open = False
        self._left_out: list[str] = []  # the open element that is left out, and those in it of the same name
        self._section = ""  # id of the last one
        self._heading: Heading | None = None  # the open one
        self._rows = 0  # of the open body of a table

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take a tag over, or begin to leave its element out."""
        if self._left_out:
            if tag == self._left_out[0]:
                self._left_out.append(tag)
            return
        if not self._is_open:
            self._is_open = tag == "article"
            return
        values = {name: value or "" for name, value in attributes}
        self._rows = 0 if tag in ("table", "tbody") else self._rows + (tag == "tr")  # the head is none
        if self._is_left_out(tag, set(values.get("class", "").split())):
            self._left_out = [tag]
            return
        if tag == "section":
            self._section = values.get("id", "")
        if tag in ("h1", "h2"):
            self._heading = Heading(int(tag[1]), f"{name_page(self.page)}:{self._section}")
            self.headings.append(self._heading)
        self.handle_startendtag(tag, attributes)
        if tag == "details" and "fold" in values.get("class", "").split():
            self._pieces[-1] = self._pieces[-1].replace("<details ", "<details open ", 1)  # paper cannot be clicked

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take over a tag that holds nothing."""
        tag_text = IDS.sub(self._mend_ids, self.get_starttag_text() or "")
        tag_text = ADDRESSES.sub(self._mend_address, tag_text)
        self._take(PARTS_OF_SVG.sub(rf"url(#{name_page(self.page)}:\1)", tag_text))

    def handle_endtag(self, tag: str) -> None:
        """Take a tag over, or end leaving an element out."""
        if self._left_out:
            if tag == self._left_out[0]:
                self._left_out.pop()
            return
        if tag == "article":
            self._is_open = False
        if tag in ("h1", "h2"):
            self._heading = None
        self._take(f"</{tag}>")
        if tag == "table" and self._rows > MOST_ROWS:
            more = self._rows - MOST_ROWS
            self._take(f'<p class="on-site">{more:,} more rows are in the data file on the book\'s site.</p>')

    def handle_data(self, data: str) -> None:
        """Take text over."""
        self._take(data)
        if self._heading and not self._left_out:
            self._heading.text += unescape(data)

    def handle_entityref(self, name: str) -> None:
        """Take over a character that has a name."""
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Take over a character that has a number."""
        self.handle_data(f"&#{name};")

    def _take(self, piece: str) -> None:
        if self._is_open and not self._left_out:
            self._pieces.append(piece)

    def _is_left_out(self, tag: str, classes: set[str]) -> bool:
        if "explorer" in classes:
            self._take(EXPLORER)
        return (
            tag == "script"
            or (tag == "tr" and self._rows > MOST_ROWS)
            or (tag == "details" and "above-input" in classes)
            or bool(classes & {"explorer", "headerlink", "figure-links", "switch", "book-pdf"})
        )

    def _mend_ids(self, found: re.Match[str]) -> str:
        before, names, after = found.groups()
        return before + " ".join(f"{name_page(self.page)}:{name}" for name in names.split()) + after

    def _mend_address(self, found: re.Match[str]) -> str:
        before, address, after = found.groups()
        parts = urlsplit(unescape(address))
        if parts.scheme or parts.netloc:
            return found[0]
        place = normpath(join(dirname(self.page), unquote(parts.path))) if parts.path else f"{self.page}.html"
        page = place.removesuffix(".html")
        if page in self.pages:
            anchor = name_page(page) + (f":{parts.fragment}" if parts.fragment else "")
            return f"{before}#{escape(anchor)}{after}"
        return f"{before}{self.folder}/{quote(place)}{after}" if "src=" in before else ""


def _read_article(html: Path, page: str, pages: Sequence[str]) -> _Article:
    article = _Article(page, pages, _find(html))
    article.feed((html / f"{page}.html").read_text(encoding="utf-8"))
    return article


# --- around the articles ---------------------------------------------------------------------------------------------


def _make_article(page: str, article: _Article) -> str:
    return f'<article class="bd-article" id="{name_page(page)}">{article.text}</article>'


def _list_style_sheets(html: Path) -> list[str]:
    """Return the links to the style sheets of the landing page, and to that of paper."""
    text = (html / "index.html").read_text(encoding="utf-8")
    links = re.findall(r"<link [^>]*\brel=\"stylesheet\"[^>]*>", text)
    addresses = [re.search(r'href="([^"]+)"', link)[1] for link in links] + ["_static/paper.css"]
    return [f'<link rel="stylesheet" href="{_find(html)}/{address}">' for address in addresses]


def _name_running_heads(articles: Mapping[str, _Article]) -> str:
    """Return the style that writes the title of each page at the head of its sheets."""
    return "\n".join(
        f"@page p{number} {{ @top-left {{ content: {_quote(each.headings[0].text)}; }} }}\n"
        f"[id='{name_page(page)}'] {{ page: p{number}; }}"
        for number, (page, each) in enumerate(articles.items())
    )


def _quote(text: str) -> str:
    """Return a text as a string of CSS within an element of HTML."""
    return '"' + re.sub(r'[\\"<&\n]', lambda found: f"\\{ord(found[0]):x} ", text) + '"'


def _make_cover(title: str, citation: Citation, version: str, how_to_cite: str) -> str:
    authors = ", ".join(person.full_name for person in citation.authors)
    return (
        f'<header class="cover"><p class="title">{escape(title)}</p><p class="authors">{escape(authors)}</p>'
        f'<p>{escape(version)}. <a href="#{how_to_cite}">How to cite</a></p>'
        f'<p class="left-out">{escape(LEFT_OUT)}</p></header>'
    )


def _make_contents(parts: Sequence[Part], articles: Mapping[str, _Article]) -> str:
    lines = ['<nav class="book-contents"><h1>Contents</h1>']
    for part in parts:
        lines += [f'<p class="part">{escape(part.title)}</p>'] if part.title else []
        lines += [_make_entry(page, articles[page].headings) for page in part.pages]
    return "\n".join([*lines, "</nav>"])


def _make_entry(page: str, headings: Sequence[Heading]) -> str:
    sections = "; ".join(f'<a href="#{escape(each.anchor)}">{escape(each.text)}</a>' for each in headings[1:])
    title = f'<a href="#{name_page(page)}">{escape(headings[0].text)}</a>'
    sheet = f'<span class="sheet" data-page="{name_page(page)}"></span>'
    return f'<div class="entry"><p class="page">{title}{sheet}</p><p class="sections">{sections}</p></div>'
