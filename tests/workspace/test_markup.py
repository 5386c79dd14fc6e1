"""What was not written here comes out of a real render as its text, whatever it holds."""

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import example, given, settings
from hypothesis import strategies as st
from myst_parser.parsers.docutils_ import Parser

from stilts.analysis.wording import join_names, say
from stilts.workspace.notebooks.markup import disarm_markdown, escape_text, mark_code

MARKUP = [
    "+++% a comment",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!-- gone", "&lt;b&gt;", "a & b", "{doc}`/index`",
    "{raw}`x`", "```{raw} html\n<b>\n```", ":::{include} /etc/passwd\n:::", "[text](javascript:alert(1))",
    "![x](y.png)", "[x]: http://example.org", "% a comment", "+++", "# heading #", "- item", "1. item", "2) item",
    "* * *", "---", "= x", "(label)=", "a|b\n-|-\n1|2", "**bold** _it_ ~~gone~~", "`code` ``x` y``",
    "a_b _c_ __d__ e__f", "\\", "\\<b>",
    "$x$", "$$y$$", "[^1]", "---\na: b\n---", "a\n: definition", "<http://example.org>", "http://example.org",
    "    indented", "x  \ny", "{{ x }}", "x{.y}", "`", "~~~{raw} html\n<b>", "> quoted", "|x|", "H^2^",
    "- ```{raw} html", "line\n% gone", "`a\n- <b> `b", "`a\n\n<b>`", "README.md", "/etc/hostname",
]  # fmt: skip
parts = st.one_of(st.sampled_from([*MARKUP, *"`*_{}[]<>&$~|^#!\\-+=:%()0. \n"]), st.text(max_size=3))
anything = st.lists(parts, max_size=8).map("".join)
NEVER = (
    nodes.raw, nodes.reference, nodes.image, nodes.comment, nodes.target, nodes.math, nodes.math_block, nodes.footnote,
    nodes.pending, nodes.container, nodes.docinfo,
)  # fmt: skip


def rendered(markdown: str) -> nodes.document:
    """The doctree of a page, by the extensions of _config.yml."""
    extensions = ["colon_fence", "deflist", "attrs_inline"]
    options = {"myst_enable_extensions": extensions, "report_level": 5, "_disable_config": True}
    return publish_doctree(markdown, parser=Parser(), settings_overrides=options)


def acting(document: nodes.document) -> list[nodes.Node]:
    """What is more than text; the end of a line is raw HTML too, but says nothing."""
    found = [node for kind in NEVER for node in document.findall(kind)]
    return [node for node in found if node.astext().strip() not in ("<br />", "\\\\")]


def on_one_line(text: str) -> str:
    return " ".join(text.replace("\0", "\N{REPLACEMENT CHARACTER}").split())


def all_examples(test):
    for text in MARKUP:
        test = example(text)(test)
    return test


@settings(deadline=None)
@all_examples
@given(anything)
def test_text_comes_out_as_it_is(text):
    for before, after in (("", ""), ("Said: ", " (so it is)."), ("- ", ""), ("*", "* **Yes**"), ("# ", "")):
        if not on_one_line(text):
            continue
        document = rendered(f"{before}{escape_text(text)}{after}")
        assert document.astext() == f"{before.lstrip('-*# ')}{on_one_line(text)}{after.replace('*', '')}"
        assert not acting(document)


@settings(deadline=None)
@all_examples
@given(anything)
def test_a_name_comes_out_in_code_type(text):
    document = rendered(f"Name {mark_code(text)}.")
    assert [node.astext() for node in document.findall(nodes.literal)] == [on_one_line(text)] * bool(on_one_line(text))
    assert document.astext() == f"Name {on_one_line(text)}."


@settings(deadline=None)
@all_examples
@given(anything)
def test_computed_prose_is_never_markup_that_acts(text):
    document = rendered(disarm_markdown(text))
    assert not acting(document)


def test_what_prose_consists_of_stays():
    text = "Of `a` and ``b ` c``:\n\n- *so* **it** is\n- 1.5 (0.2 to 3.0) points, p < 0.001\n\nAnd 2 > 1."
    assert disarm_markdown(text).replace("\\", "") == text
    document = rendered(disarm_markdown(text))
    assert document.astext().replace("\n\n", "|") == (
        "Of a and b ` c:|so it is|1.5 (0.2 to 3.0) points, p < 0.001|And 2 > 1."
    )
    assert len([*document.findall(nodes.list_item)]) == 2
    assert len([*document.findall(nodes.literal)]) == 2
    assert disarm_markdown(escape_text(text)) == escape_text(text)


@pytest.mark.parametrize("text", MARKUP)
def test_a_cell_says_nothing_that_acts(text):
    assert not acting(rendered(say(text).data))
    assert rendered(say(f"{join_names([text, 'nli'])}.").data).astext() == f"{on_one_line(text)} and nli."
