"""What a browser makes of a figure's labels: their size, and which of them collide or are cut off."""

from collections.abc import Mapping
from pathlib import Path

from selenium.webdriver import Chrome

from stilts.publish.inline_svg import inline_svg

COLUMN, FULL = 660, 903
"""Width in pixels that the book gives a figure at 1280 px, in the column and across the page."""

LEAST = 11.0  # pixels

SHEET = Path(__file__).parents[1] / "book" / "_static" / "book.css"

# A label's box is that of its line, of which letters fill the middle; corners are those on the screen, turned or not.
AUDIT = """
const least = arguments[0];
function corners(text) {
  const box = text.getBBox(), matrix = text.getScreenCTM(), trim = box.height * 0.17;
  return [[box.x, box.y + trim], [box.x + box.width, box.y + trim], [box.x + box.width, box.y + box.height - trim],
          [box.x, box.y + box.height - trim]].map(([x, y]) => new DOMPoint(x, y).matrixTransform(matrix));
}
function apart(one, other) {
  return [one, other].some(shape => [0, 1].some(side => {
    const axis = [shape[side + 1].x - shape[side].x, shape[side + 1].y - shape[side].y];
    const spans = [one, other].map(each => each.map(point => point.x * axis[0] + point.y * axis[1]));
    const room = 0.5 * Math.hypot(...axis);
    const after = (first, second) => Math.max(...first) <= Math.min(...second) + room;
    return after(spans[0], spans[1]) || after(spans[1], spans[0]);
  }));
}
function audit(svg) {
  const frame = svg.getBoundingClientRect(), found = [];
  const labels = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim()).map(text => ({
    said: text.textContent.trim(), shape: corners(text), clipped: text.closest('[clip-path]'),
    size: parseFloat(getComputedStyle(text).fontSize) * Math.sqrt(Math.abs(text.getScreenCTM().a * text.getScreenCTM().d
          - text.getScreenCTM().b * text.getScreenCTM().c)),
  }));
  for (const [place, label] of labels.entries()) {
    if (label.size < least) found.push(`${label.said}: ${label.size.toFixed(1)} px`);
    const out = label.shape.some(point => point.x < frame.left - 1 || point.x > frame.right + 1
                                 || point.y < frame.top - 1 || point.y > frame.bottom + 1);
    if (out || label.clipped) found.push(`${label.said}: cut off`);
    for (const other of labels.slice(place + 1))
      if (!apart(label.shape, other.shape)) found.push(`${label.said} | ${other.said}: collide`);
  }
  return labels.length ? found : ['no text'];
}
return Object.fromEntries([...document.querySelectorAll('figure')].map(
  figure => [figure.id, audit(figure.querySelector('svg'))]));
"""


def audit_figures(browser: Chrome, page: Path, svgs: Mapping[str, tuple[str, int]]) -> dict[str, list[str]]:
    """Return what is wrong with the labels of each figure at 1280 px; figures without a problem are left out.

    Parameters
    ----------
    page : Path
        HTML file to write.
    svgs : mapping
        Name of a figure -> content of its SVG, and the width in pixels that the book gives it.
    """
    write_page(page, svgs)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(page.as_uri())
    return {name: problems for name, problems in browser.execute_script(AUDIT, LEAST).items() if problems}


def write_page(page: Path, svgs: Mapping[str, tuple[str, int]], mode: str = "light") -> None:
    """Write figures into a page with the book's style sheet."""
    shown = [
        f'<figure id="{name}" style="margin: 1rem 0; width: {width}px">{inline_svg(svg, name, name)}</figure>'
        for name, (svg, width) in svgs.items()
    ]
    page.write_text(
        f'<!doctype html><html data-theme="{mode}"><meta charset="utf-8"><style>{SHEET.read_text(encoding="utf-8")}'
        f'</style><body><article class="bd-article">{"".join(shown)}</article></body></html>',
        encoding="utf-8",
    )
