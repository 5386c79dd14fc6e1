"""Figures in a page: SVG whose text is the page's own, to be selected and found, and whose colours follow its mode."""

import re
from html import escape

COLORS = {
    "#1a1a1a": "var(--figure-ink)",
    "#6b6b6b": "var(--figure-faint)",
    "#c8c8c8": "var(--figure-rule)",
    "#9a9a9a": "var(--figure-dim)",
    "#ececec": "var(--figure-band)",
    "#ffffff": "var(--figure-ground)",
    "#1a6b33": "var(--verdict-supported)",
    "#a3241b": "var(--verdict-contradicted)",
    "#1f5692": "var(--verdict-none)",
}
"""Colours of `stilts.publish.figures.style` -> the page's, which differ between light and dark mode."""

KEPT = {"#010101": "#000000", "#fefefe": "#ffffff"}
"""Inks on coloured cells, which stay what they are -> what they are."""


def inline_svg(svg: str, name: str, title: str) -> str:
    """Return an SVG file as an element of an HTML page.

    Parameters
    ----------
    svg : str
        Content of the file, as matplotlib writes it.
    name : str
        Prefix of its ids, unique in the page.
    title : str
        What it shows, for those who do not see it.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.S)
    element = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', element)
    element = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", element)
    element = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', element)
    for color, shown in (*COLORS.items(), *KEPT.items()):
        element = element.replace(color, shown)
    label = escape(title, quote=True)
    return element.replace("<svg", f'<svg class="figure-svg" role="img" aria-label="{label}"', 1)
