"""The book's Sphinx extension: an HTML table that a notebook cell shows under a caption is numbered as a table.

MyST-NB makes a figure of every captioned output. A paper numbers its tables apart and sets their captions on top.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator


class table_figure(nodes.figure):  # noqa: N801 (docutils names its nodes in lower case)
    """A captioned HTML table."""


class NumberTables(SphinxTransform):
    """Replace each figure around an HTML table by a `table_figure` with its caption first."""

    default_priority = 500  # after the parser, before the standard domain notes labels and numbers

    def apply(self, **kwargs) -> None:
        """Work on one document."""
        for figure in list(self.document.findall(nodes.figure)):
            if _shows_table(figure):
                captions = [child for child in figure.children if isinstance(child, nodes.caption)]
                rest = [child for child in figure.children if not isinstance(child, nodes.caption)]
                table = table_figure("", *captions, *rest)
                figure.replace_self(table)
                for name in table["ids"]:
                    self.document.ids[name] = table


def _shows_table(figure: nodes.figure) -> bool:
    return any(raw.get("format") == "html" and "<table" in raw.astext() for raw in figure.findall(nodes.raw))


def visit_table_figure(self: HTML5Translator, node: table_figure) -> None:
    """Open the element."""
    self.body.append(self.starttag(node, "figure", CLASS="table-figure"))


def depart_table_figure(self: HTML5Translator, node: table_figure) -> None:
    """Close it."""
    self.body.append("</figure>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the node and the transform with Sphinx."""
    app.add_enumerable_node(table_figure, "table", html=(visit_table_figure, depart_table_figure))
    app.add_transform(NumberTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
