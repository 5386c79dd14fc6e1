"""The pages of a site as one document: ids and links hold in it, and what paper cannot show is left out."""

import re
from datetime import date
from pathlib import Path

import pytest

from stilts.publish.citation import Citation
from stilts.publish.one_page import EXPLORER, LEFT_OUT, MOST_ROWS, Part, join_pages

CITATION = Citation(
    **{"title": "A study", "authors": [{"given-names": "Ada", "family-names": "Lovelace"}, {"name": "The others"}],
       "version": "1.2.0", "license": "MIT", "date-released": date(2026, 2, 3)}
)  # fmt: skip
PARTS = [Part("", ("index",)), Part("Results & more", ("runs/book/gain",))]
MORE = '<p class="on-site">{} more rows are in the data file on the book\'s site.</p>'
SHEETS = '<link rel="stylesheet" type="text/css" href="_static/book.css?v=1" />'


def head(text: str) -> str:
    return f'<h1>{text}<a class="headerlink" href="#">#</a></h1>'


@pytest.fixture
def join(tmp_path):
    """Joins a landing page and a page of results, whose content is given, and returns the results' article."""

    def join(content: str) -> str:
        html = tmp_path / "html"
        (html / "runs" / "book").mkdir(parents=True)
        index = f'{SHEETS}<article><section id="start">{head("Start &amp; end")}</section></article> <p>Footer</p>'
        (html / "index.html").write_text(index)
        gain = f'<nav id="x">side</nav><article>{content}</article><footer>foot</footer>'
        (html / "runs" / "book" / "gain.html").write_text(gain)
        document = join_pages(html, PARTS, CITATION, "Version 1.2.0; licence MIT")
        (tmp_path / "document").write_text(document)
        return re.search(r'<article class="bd-article" id="runs.book.gain">(.*?)</article>', document, re.S)[1]

    return join


@pytest.mark.parametrize(
    "content, joined",
    [
        ('<p id="a" class="b">1 &lt; 2 &#8211; x</p>', '<p id="runs.book.gain:a" class="b">1 &lt; 2 &#8211; x</p>'),
        ('<a href="#a">t</a>', '<a href="#runs.book.gain:a">t</a>'),
        ('<a href="../../index.html#start">t</a>', '<a href="#index:start">t</a>'),
        ('<a class="c" href="../../index.html">t</a>', '<a class="c" href="#index">t</a>'),
        ('<a href="https://example.org/?a=1&amp;b=2#c">t</a>', '<a href="https://example.org/?a=1&amp;b=2#c">t</a>'),
        ('<a href="mailto:a@b.c">t</a>', '<a href="mailto:a@b.c">t</a>'),
        ('<a class="c" href="../../data/gain.csv" download>t</a>', '<a class="c" download>t</a>'),
        ('<a href="other.html">t</a>', "<a>t</a>"),
        ('<img src="../../_images/a%20b.svg" alt="A">', '<img src="../html/_images/a%20b.svg" alt="A">'),
        (
            '<svg viewBox="0 0 1 1"><clipPath id="c"/><g clip-path="url(#c)"><use xlink:href="#c"/></g></svg>',
            '<svg viewBox="0 0 1 1"><clipPath id="runs.book.gain:c"/><g clip-path="url(#runs.book.gain:c)">'
            '<use xlink:href="#runs.book.gain:c"/></g></svg>',
        ),
        ('<label for="i" aria-labelledby="a b">t</label>',
         '<label for="runs.book.gain:i" aria-labelledby="runs.book.gain:a runs.book.gain:b">t</label>'),
        ('<p>id="a" href="#a"</p>', '<p>id="a" href="#a"</p>'),
        ('<details class="fold"><summary>t</summary>u</details>',
         '<details open class="fold"><summary>t</summary>u</details>'),
    ],
)  # fmt: skip
def test_ids_and_addresses_hold_in_the_document(join, content, joined):
    assert join(head("Gain") + content) == f"<h1>Gain</h1>{joined}"


@pytest.mark.parametrize(
    "content, joined",
    [
        ("<details class='admonition hide above-input'><details>x</details>y</details>z", "z"),
        ("<details class='dropdown'>x</details>", "<details class='dropdown'>x</details>"),
        ("<p>x<span class='figure-links'> <a>data</a></span></p>", "<p>x</p>"),
        ("<p><span class='book-pdf'><a href='../../book.pdf'>t</a></span></p>", "<p></p>"),
        ("<div class='switch'><button>a</button></div><script>s</script>z", "z"),
        ("<div class='explorer'><div>x</div></div>", EXPLORER),
    ],
)
def test_what_paper_cannot_show_is_left_out(join, content, joined):
    assert join(head("Gain") + content) == f"<h1>Gain</h1>{joined}"


@pytest.mark.parametrize(
    "rows, shown, said",
    [
        (MOST_ROWS, MOST_ROWS, ""),
        (MOST_ROWS + 1200, MOST_ROWS, MORE.format("1,200")),
    ],
)
def test_a_long_table_ends_and_says_how_much_is_left(join, rows, shown, said):
    table = "<table><thead><tr><th>n</th></tr></thead><tbody>{}</tbody></table>"
    lines = [f"<tr><td>{number}</td></tr>" for number in range(rows)]
    assert join(head("Gain") + table.format("".join(lines))) == (
        f"<h1>Gain</h1>{table.format(''.join(lines[:shown]))}{said}"
    )


def test_the_document_has_a_cover_contents_and_running_heads(join, tmp_path: Path):
    join(f'<section id="gain">{head("1. “Gain”")}<section id="by"><h2>1.1. By <em>task</em></h2></section></section>')
    text = (tmp_path / "document").read_text()
    before = text[: text.index("<article")]
    assert re.findall(r'href="([^"]+)"', before) == [
        "../html/_static/book.css?v=1", "../html/_static/paper.css", "#index:how-to-cite", "#index", "#runs.book.gain",
        "#runs.book.gain:by",
    ]  # fmt: skip
    words = re.sub(r"<(style|title).*?</\1>", "", before, flags=re.S)
    assert [line for line in re.split(r"<[^>]+>|\n", words) if line.strip()] == [
        "Start &amp; end", "Ada Lovelace, The others", "Version 1.2.0; licence MIT. ", "How to cite",
        LEFT_OUT.replace("'", "&#x27;"), "Contents", "Start &amp; end", "Results &amp; more", "1. “Gain”",
        "1.1. By task",
    ]  # fmt: skip
    assert re.findall(r"@page p\d \{ @top-left \{ content: (.*); \} \}", before) == ['"Start \\26  end"', '"1. “Gain”"']
