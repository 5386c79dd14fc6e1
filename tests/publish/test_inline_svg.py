"""Figures in a page: their text is text, their ids are their own, their colours the page's."""

from stilts.publish.inline_svg import inline_svg

FILE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" width="10pt" viewBox="0 0 10 10">
 <metadata>
  <rdf>who made it</rdf>
 </metadata>
 <path id="line" style="fill: #ffffff; stroke: #1a1a1a" clip-path="url(#clip)"/><clipPath id="clip"/>
 <use xlink:href="#line"/><text style="fill: #010101">+1.0</text><rect style="fill: #0072b2"/>
</svg>
"""


def test_an_svg_becomes_an_element_of_the_page():
    found = inline_svg(FILE, "svg3", 'A "line"')
    assert found.splitlines() == [
        '<svg class="figure-svg" role="img" aria-label="A &quot;line&quot;" xmlns="http://www.w3.org/2000/svg" '
        'width="10pt" viewBox="0 0 10 10">',
        " ",
        ' <path id="svg3-line" style="fill: var(--figure-ground); stroke: var(--figure-ink)" '
        'clip-path="url(#svg3-clip)"/><clipPath id="svg3-clip"/>',
        ' <use xlink:href="#svg3-line"/><text style="fill: #000000">+1.0</text><rect style="fill: #0072b2"/>',
        "</svg>",
    ]
