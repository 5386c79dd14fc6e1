"""The built book in a real browser, opened from disk: nothing is asked of another host, nothing fails, all works."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from stilts.publish.site import list_toc_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, PHONE = (1280, 900), (390, 844)
RESULTS = "runs/book/provenance"

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def open_page(browser: Chrome, book: Path, page: str, size: tuple[int, int] = WIDE, query: str = "") -> None:
    width, height = size
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get((book / "_build" / "html" / page).as_uri() + query)


def complaints(browser: Chrome) -> list[str]:
    """Return warnings and errors of the console, and requests that left this machine, since the last call."""
    console = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return console + [url for url in sent if url.startswith(("http", "ws"))]


def find(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser: Chrome, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_page_complains_asks_another_host_or_scrolls_sideways(browser, book, size):
    found = {}
    for page in [*list_toc_pages(book), "search", "genindex"]:
        open_page(browser, book, f"{page}.html", size)
        sideways = browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
        broken = browser.execute_script(
            "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        )
        found[page] = complaints(browser) + broken + ["scrolls sideways"] * sideways
    assert {page: problems for page, problems in found.items() if problems} == {}


def test_a_table_sorts_by_the_column_that_is_clicked(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    table = find(browser, "table.sortable")
    button = table.find_elements(By.CSS_SELECTOR, "th button")[1]
    seen = []
    for _ in range(2):
        browser.execute_script("arguments[0].click()", button)
        seen.append([row.text.split()[1] for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")])
    numbers = [float(cell) for cell in seen[0]]
    assert numbers == sorted(numbers)
    assert seen[1] == seen[0][::-1]
    assert table.find_elements(By.CSS_SELECTOR, "th")[1].get_attribute("aria-sort") == "descending"


def test_a_table_can_be_filtered(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    figure = find(browser, "figure:has(.table-filter)")
    figure.find_element(By.CSS_SELECTOR, ".table-filter input").send_keys("L07")
    rows = figure.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [row.text.split()[0] for row in rows if row.is_displayed()] == ["l07"]


def test_the_parameters_of_a_run_are_shown_once(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    assert texts(browser, ".tag_parameters") == []
    assert len(texts(browser, ".tag_injected-parameters")) == 1
    title = browser.execute_script(
        "return getComputedStyle(document.querySelector('.tag_injected-parameters'), '::before').content"
    )
    assert title == '"Parameters of this run"'


def test_code_is_hidden_until_it_is_asked_for(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    code = "div.cell:not(.tag_injected-parameters) .cell_input pre"
    assert texts(browser, code) == []
    browser.execute_script("document.querySelector('details.hide summary').click()")
    WebDriverWait(browser, 10).until(lambda driver: len(texts(driver, code)) == 1)


def test_a_citation_shows_its_entry(browser, book):
    open_page(browser, book, "index.html")
    link = find(browser, "a.reference.internal[href*='references.html#']")
    browser.execute_script("arguments[0].focus()", link)
    card = find(browser, ".citation-card")
    assert card.text.startswith("Jason Phang, Iacer Calixto")
    assert link.get_attribute("aria-describedby") == card.get_attribute("id")
    browser.execute_script("arguments[0].blur()", link)
    assert texts(browser, ".citation-card") == []


def test_the_book_can_be_read_in_the_dark(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    modes = set()
    for _ in range(3):
        browser.execute_script("document.querySelector('button.theme-switch-button').click()")
        mode = browser.execute_script("return document.documentElement.dataset.theme")
        ground, ink = browser.execute_script(
            "const s = getComputedStyle(document.querySelector('table td')); "
            "return [getComputedStyle(document.body).backgroundColor, s.color]"
        )
        modes.add((mode, contrast(ground, ink) > 7))
    assert modes == {("light", True), ("dark", True)}


def contrast(*colors: str) -> float:
    """Return the WCAG contrast ratio of two colours in the notation of a computed style."""
    low, high = sorted(luminance(color) for color in colors)
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    parts = [float(part) / 255 for part in color.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_switch_shows_one_study_and_follows_an_address(browser, book):
    open_page(browser, book, "runs/book/transfer.html")
    kinds = [".tag_on-commands", ".tag_on-xtreme"]

    def shown():
        return [bool([cell for cell in browser.find_elements(By.CSS_SELECTOR, kind) if cell.is_displayed()])
                for kind in kinds]  # fmt: skip

    assert shown() == [True, False]
    buttons = browser.find_elements(By.CSS_SELECTOR, ".switch button")
    assert [button.text for button in buttons] == ["short commands", "rows of XTREME"]
    buttons[1].click()
    assert shown() == [False, True]
    assert [button.get_attribute("aria-pressed") for button in buttons] == ["false", "true"]
    open_page(browser, book, "index.html")
    open_page(browser, book, "runs/book/transfer.html", query="#fig-transfer-xtreme")
    assert shown() == [False, True]
    assert complaints(browser) == []


def test_a_figure_is_part_of_its_page_and_has_a_name(browser, book):
    open_page(browser, book, "index.html")
    figure = find(browser, "#fig-overview svg.figure-svg")
    assert figure.is_displayed()
    assert figure.get_attribute("aria-label").startswith("Heat map of gains in points")


def test_search_works_from_disk(browser, book):
    open_page(browser, book, "search.html", query="?q=bootstrap")
    # Sphinx lists one result after the other.
    found = "#search-results li"
    WebDriverWait(browser, 10).until(lambda driver: any("Question and method" in text for text in texts(driver, found)))
    assert len([box for box in texts(browser, "form.bd-search")]) <= 1
    assert complaints(browser) == []
