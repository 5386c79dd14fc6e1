"""The book's Sphinx extension for captioned outputs of executed notebooks.

MyST-NB turns every captioned output into a figure. This extension numbers tables separately and puts their captions on
top, as papers do, and adds links to data, notebook and source to each caption. The footer of each page states version,
commit, date and licence, and links to how the study is cited and to the book's PDF. Sections with certain titles are
folded. A page with the explorer gets the explorer's scripts, style and data. The directive `data-dictionary` shows what
the site's data files hold.
"""

import re
import shutil
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from stilts.publish.book_pdf import PLACE
from stilts.publish.citation import describe_checkout
from stilts.publish.data_dictionary import PACKAGE, SOURCES, DataFile, describe_data
from stilts.publish.inline_svg import inline_svg


class table_figure(nodes.figure):  # noqa: N801 (docutils names its nodes in lower case)
    """A captioned HTML table."""


class table_caption(nodes.caption):  # noqa: N801
    """Caption of a table, placed above it."""


class NumberTables(SphinxTransform):
    """Replace each figure around an HTML table by a `table_figure` with its caption first."""

    default_priority = 500  # after the parser, before the standard domain assigns labels and numbers

    def apply(self, **kwargs: Any) -> None:
        """Transform one document."""
        for figure in list(self.document.findall(nodes.figure)):
            if _shows_table(figure):
                captions = [child for child in figure.children if isinstance(child, nodes.caption)]
                rest = [child for child in figure.children if not isinstance(child, nodes.caption)]
                first = [table_caption("", "", *caption.children, **caption.attributes) for caption in captions]
                table = table_figure("", *first, *rest)
                figure.replace_self(table)
                for name in table["ids"]:
                    self.document.ids[name] = table


def _shows_table(figure: nodes.figure) -> bool:
    return any(raw.get("format") == "html" and "<table" in raw.astext() for raw in figure.findall(nodes.raw))


class InlineFigures(SphinxPostTransform):
    """Put figures into the page in place of links to their SVG files, so that their text is text."""

    default_priority = 9  # before images are copied
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Transform one document."""
        for number, image in enumerate(list(self.document.findall(nodes.image))):
            path = Path(self.env.srcdir, image["uri"])
            if path.suffix == ".svg" and path.is_file():
                svg = inline_svg(path.read_text(encoding="utf-8"), f"svg{number}", image.get("alt", ""))
                image.replace_self(nodes.raw("", svg, format="html"))


class FoldSections(SphinxPostTransform):
    """Fold the sections whose titles stand in the setting `folded_sections`; a click on the heading opens one."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Transform one document."""
        for section in list(self.document.findall(nodes.section)):
            title, *rest = section.children
            is_page = isinstance(section.parent, nodes.document)
            if title.astext() in self.config.folded_sections and not is_page:
                opened, named, closed = '<details class="fold"><summary>', "</summary>", "</details>"
                section.children = []  # a section's head is its title, so that its level is known: no node around it
                section += [_raw(opened), title, _raw(named), *rest, _raw(closed)]


def _raw(html: str) -> nodes.raw:
    return nodes.raw("", html, format="html")


class LinkFigures(SphinxTransform):
    """Append links to each caption of an executed notebook: its data as CSV, the notebook, the template.

    The data of a figure `fig-gain` are in `gain.csv` or `fig-gain.csv` beside the page; without such a file there is
    no link to data.
    """

    default_priority = 510

    def apply(self, **kwargs: Any) -> None:
        """Transform one document; documents without `template` in their metadata are not executed notebooks."""
        template = _metadata(self.document, "template")
        if template is None:
            return
        page = Path(self.env.doc2path(self.env.docname))
        for figure in self.document.findall(nodes.figure):
            targets = {"data": _data_of(figure, page), "notebook": page.name, "source": f"/{template}"}
            for caption in (child for child in figure.children if isinstance(child, nodes.caption)):
                caption += _links({text: target for text, target in targets.items() if target})


def _metadata(document: nodes.document, key: str) -> str | None:
    fields = (field for field in document.findall(nodes.field) if field[0].astext() == key)
    return next((field[1].astext() for field in fields), None)


def _data_of(figure: nodes.figure, page: Path) -> str | None:
    stems = [stem for name in figure["names"] for stem in (name, name.partition("-")[2]) if stem]
    return next((f"{stem}.csv" for stem in stems if (page.parent / f"{stem}.csv").exists()), None)


def _links(targets: dict[str, str]) -> nodes.inline:
    line = nodes.inline(classes=["figure-links"])
    for text, target in targets.items():
        line += nodes.Text(" · " if len(line) else " ")
        line += download_reference("", text, reftarget=target, refdoc="")
    return line


class DataDictionary(SphinxDirective):
    """What the site's data files hold: for each file its title, and a table of its columns."""

    def run(self) -> list[nodes.Node]:
        """Return a link to the package's descriptor, and the files in the order of their names."""
        self.env.note_reread()  # a data file may be new
        up = "../" * self.env.docname.count("/")
        descriptor = nodes.paragraph("", "The descriptor of all files: ", _link(PACKAGE, up + PACKAGE), nodes.Text("."))
        return [descriptor, *(_describe(file, up) for file in describe_data(Path(self.env.srcdir)))]


def _describe(file: DataFile, up: str) -> nodes.container:
    head = nodes.paragraph("", "", nodes.strong("", "", _link(f"{file.name}.csv", up + file.address)))
    head += nodes.Text(f" {file.title}.")
    for source in file.sources:
        licence = SOURCES[source]
        head += [nodes.Text(f" {source}: "), _link(licence.text, licence.address), nodes.Text(".")]
    heads = [nodes.Text(text) for text in ("column", "type", "what it holds")]
    rows = [
        (nodes.literal("", each.name), nodes.Text(each.type), nodes.Text(each.description)) for each in file.columns
    ]
    return nodes.container("", head, _table(heads, rows), ids=[f"data-{file.name}"])


def _link(text: str, address: str) -> nodes.reference:
    return nodes.reference("", text, refuri=address)


def _table(heads: Sequence[nodes.Node], rows: Sequence[Sequence[nodes.Node]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in heads), cols=len(heads))
    group += nodes.thead("", _row(heads))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group, classes=["colwidths-auto"])


def _row(cells: Sequence[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def visit_table_figure(self: HTML5Translator, node: table_figure) -> None:
    """Open the figure element."""
    self.body.append(self.starttag(node, "figure", CLASS="table-figure"))


def depart_table_figure(self: HTML5Translator, node: table_figure) -> None:
    """Close the figure element."""
    self.body.append("</figure>\n")


def visit_table_caption(self: HTML5Translator, node: table_caption) -> None:
    """Open the caption, with the table's number."""
    self.visit_caption(node)


def depart_table_caption(self: HTML5Translator, node: table_caption) -> None:
    """Close the caption here, since docutils would close it at the end of the figure."""
    self.depart_caption(node)
    self.body.append("</figcaption>\n")


_describe_once = cache(describe_checkout)  # git is asked once a build, and not for every page


def add_footer(app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None) -> None:
    """Set the footer of a page."""
    said = escape(_describe_once(Path(app.confdir)))
    landing = context["pathto"](app.config.root_doc).removesuffix("#")  # which it is on that page itself
    cite = f'<a href="{landing}#how-to-cite">How to cite</a>'
    context["theme_extra_footer"] = f'<p class="imprint">{said}. {cite}. {PLACE}</p>'


MISNAMED = {
    # A fold is named by its own text, "Show the code".
    ' aria-label="Toggle hidden content"': "",
    # The first is deprecated, the second promises items that the list of references does not have.
    ' role="doc-biblioentry"': "",
    ' role="list" class="citation-list"': ' class="citation-list"',
}
"""Attributes that the page's makers write and that mislead screen readers -> what stands in their place."""


def mend_names(app: Sphinx, page: str, template: str, context: dict[str, Any], document: Any) -> None:
    """Mend the names and roles of a page's elements."""
    for wrong, right in MISNAMED.items():
        context["body"] = context.get("body", "").replace(wrong, right)


def add_explorer(app: Sphinx, page: str, template: str, context: dict[str, Any], document: Any) -> None:
    """Load the explorer's scripts and style on the page that has one, and copy its data beside the page."""
    found = re.search(r'class="explorer" data-folder="([\w-]+)"', context.get("body", ""))
    if found is None:
        return
    app.add_js_file("explorer-intervals.js")
    app.add_js_file("explorer.js")
    app.add_css_file("explorer.css")
    copy = Path(app.outdir, page).parent / found[1]
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(Path(app.env.doc2path(page)).parent / found[1], copy)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the node and the transforms with Sphinx."""
    app.add_enumerable_node(table_figure, "table", html=(visit_table_figure, depart_table_figure))
    app.add_node(table_caption, html=(visit_table_caption, depart_table_caption))
    app.add_transform(NumberTables)
    app.add_transform(LinkFigures)
    app.add_post_transform(InlineFigures)
    app.add_config_value("folded_sections", [], "html", types=[list])
    app.add_post_transform(FoldSections)
    app.add_directive("data-dictionary", DataDictionary)
    app.connect("html-page-context", add_footer)
    app.connect("html-page-context", mend_names)
    app.connect("html-page-context", add_explorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
