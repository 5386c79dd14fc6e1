"""The built book in a real browser, opened from disk: nothing is asked of another host, nothing fails, all works."""

import re

import pytest
from browsing import PHONE, WIDE, complaints, contrast, find, needs_browser, open_page, texts
from figure_audit import COLUMN, FULL
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from selenium_axe_python import Axe

from stilts.publish.site import list_toc_pages

RESULTS = "runs/book/provenance"

# Colours are those at the end of a transition.
STILL = "document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important; }</style>')"

pytestmark = needs_browser


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


def test_heads_of_tables_have_no_buttons_while_they_are_printed(browser, book):
    open_page(browser, book, f"{RESULTS}.html")

    def heads():
        return browser.execute_script("return document.querySelector('table.sortable thead').innerHTML")

    before = heads()
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert heads() == before.replace('<button type="button">', "").replace("</button>", "") != before
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert heads() == before


def test_a_table_can_be_filtered(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    figure = find(browser, "figure:has(.table-filter)")
    figure.find_element(By.CSS_SELECTOR, ".table-filter input").send_keys("L07")
    rows = figure.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [row.text.split()[0] for row in rows if row.is_displayed()] == ["l07"]


def test_the_parameters_of_a_run_are_shown_once(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    assert texts(browser, ".tag_parameters") == []
    assert texts(browser, ".tag_injected-parameters") == ["Parameters of this run"]
    find(browser, ".tag_injected-parameters summary").click()
    WebDriverWait(browser, 10).until(lambda driver: len(texts(driver, ".tag_injected-parameters pre")) == 1)


def test_code_is_hidden_until_it_is_asked_for(browser, book):
    open_page(browser, book, f"{RESULTS}.html")
    code = "div.cell:not(.tag_injected-parameters) .cell_input pre"
    assert texts(browser, code) == []
    find(browser, "div.cell:not(.tag_injected-parameters) details.hide summary").click()
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


LOW = (1280, 400)  # a screen on which a reference stands without what it refers to


def find_reference(browser, book, page, name, size=LOW):
    open_page(browser, book, f"runs/book/{page}.html", size)
    link = find(browser, f"a.reference.internal[href='#{name}']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", link)
    return link


def wait_for_cards(browser, number):
    WebDriverWait(browser, 10).until(lambda driver: len(texts(driver, ".preview-card")) == number)


def rest(browser):
    """Wait longer than a card waits before it comes or goes."""
    browser.execute_async_script("setTimeout(arguments[0], 500)")


def test_a_reference_shows_its_figure_while_the_pointer_is_on_either(browser, book):
    link = find_reference(browser, book, "transfer", "fig-transfer")
    ActionChains(browser).move_to_element(link).perform()
    wait_for_cards(browser, 1)
    assert find(browser, ".preview-card .figure-svg").is_displayed()
    ActionChains(browser).move_to_element(find(browser, ".preview-card")).perform()
    rest(browser)
    wait_for_cards(browser, 1)
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    wait_for_cards(browser, 0)
    assert link.get_attribute("aria-describedby") is None


def test_a_reference_that_has_the_focus_shows_the_beginning_of_its_table(browser, book):
    link = find_reference(browser, book, "provenance", "tab-provenance-devices")
    browser.execute_script("arguments[0].focus()", link)
    shown = browser.execute_script(
        "return [...document.querySelectorAll('.preview-card tbody tr')].filter("
        "(row) => getComputedStyle(row).display !== 'none').map((row) => row.cells[0].textContent)"
    )
    assert shown == [f"l0{row}" for row in range(8)]
    described = find(browser, f"#{link.get_attribute('aria-describedby')}")
    assert re.match(r"Table \d+\.1 ", described.text)
    assert "notebook" not in described.text
    assert browser.find_elements(By.CSS_SELECTOR, ".preview-card :is(a, button, input, [tabindex])") == []
    axe = Axe(browser)
    axe.inject()
    assert axe.run(options={"resultTypes": ["violations"], "preload": 0})["violations"] == []
    browser.execute_script("arguments[0].blur()", link)
    assert texts(browser, ".preview-card") == []
    assert complaints(browser) == []


def test_nothing_is_shown_that_is_in_view(browser, book):
    link = find_reference(browser, book, "transfer", "fig-transfer", (1280, 3000))
    browser.execute_script("arguments[0].focus()", link)
    assert texts(browser, ".preview-card") == []


def test_nothing_is_shown_to_a_finger(browser, book):
    link = find_reference(browser, book, "transfer", "fig-transfer")
    finger = ActionBuilder(browser, mouse=PointerInput(interaction.POINTER_TOUCH, "finger"))
    finger.pointer_action.move_to(link).pointer_down().pointer_up()
    browser.execute_script("arguments[0].addEventListener('click', (event) => event.preventDefault())", link)
    finger.perform()
    rest(browser)
    assert texts(browser, ".preview-card") == []


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


def test_axe_finds_nothing_on_any_page_in_either_mode(browser, book):
    axe, found, basis = Axe(browser), {}, {"resultTypes": ["violations"], "preload": 0}
    for page in [*list_toc_pages(book), "search", "genindex"]:
        open_page(browser, book, f"{page}.html")
        browser.execute_script(STILL)
        axe.inject()
        for mode, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):  # the rest is the same in both
            browser.execute_script("document.documentElement.dataset.theme = arguments[0]", mode)
            for violation in axe.run(options=basis | options)["violations"]:
                found[page, mode, violation["id"]] = [node["target"] for node in violation["nodes"]][:3]
    assert found == {}


def folds(browser) -> dict[str, bool]:
    """Title of each folded section -> whether it is open."""
    found = browser.find_elements(By.CSS_SELECTOR, "details.fold")
    return {
        fold.find_element(By.CSS_SELECTOR, "summary").text.split(" ", 1)[1].rstrip("#"):
        fold.get_attribute("open") is not None
        for fold in found if fold.is_displayed()
    }  # fmt: skip


def test_checks_are_folded_until_a_click_an_address_or_paper_opens_them(browser, book):
    open_page(browser, book, "runs/book/complexity.html")
    closed = dict.fromkeys(("In numbers", "Target by target", "Statistics", "On XTREME", "Live"), False)
    assert folds(browser) == closed
    (section,) = browser.find_elements(By.ID, "statistics")
    inside = section.find_elements(By.CSS_SELECTOR, "details p")[0]
    assert not inside.is_displayed()
    section.find_element(By.CSS_SELECTOR, "summary").click()
    assert inside.is_displayed()
    assert folds(browser) == closed | {"Statistics": True}

    addresses = {"#on-xtreme": "On XTREME", "#tab-complexity-targets": "Target by target"}
    for address, opened in addresses.items():
        open_page(browser, book, "index.html")
        open_page(browser, book, "runs/book/complexity.html", query=address)
        assert folds(browser) == closed | {opened: True}
        top = browser.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect().top", address)
        assert 0 <= top < WIDE[1]

    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert all(folds(browser).values())
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert folds(browser) == closed | {"Target by target": True}

    open_page(browser, book, "runs/book/languages.html")
    title = browser.find_element(By.CSS_SELECTOR, "article h1")  # which a folded section has on other pages
    assert "Language by language" in title.text
    assert folds(browser) == dict.fromkeys(("All conditions", "Target by target"), False)
    open_page(browser, book, "runs/book/data.html", query="#xtreme-data")  # a second name of the section
    assert folds(browser)["Rows of XTREME"]
    assert complaints(browser) == []


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
    assert find(browser, "#fig-overview .caption-text strong").text == "Something was found."


def test_figures_are_as_wide_as_their_audit_takes_them_to_be(browser, book):
    widths = []
    for page in ("languages", "transfer"):
        open_page(browser, book, f"runs/book/{page}.html")
        figure = find(browser, f"#fig-{page} svg")
        browser.execute_script("arguments[0].setAttribute('width', '3000')", figure)
        widths.append(int(browser.execute_script("return arguments[0].getBoundingClientRect().width", figure)))
    assert widths == [COLUMN, FULL]


def test_a_figure_that_is_wider_than_the_screen_says_that_it_scrolls(browser, book):
    said = "return getComputedStyle(document.querySelector('#fig-transfer figcaption'), '::before').content"
    for size, hint in ((WIDE, "none"), (PHONE, '"The figure goes on to the right: scroll it."')):
        open_page(browser, book, "runs/book/transfer.html", size)
        browser.execute_script("document.querySelector('#fig-transfer svg').setAttribute('width', '700')")
        WebDriverWait(browser, 5).until(lambda browser, hint=hint: browser.execute_script(said) == hint)


def test_search_works_from_disk(browser, book):
    open_page(browser, book, "search.html", query="?q=bootstrap")
    # Sphinx lists one result after the other.
    found = "#search-results li"
    WebDriverWait(browser, 10).until(lambda driver: any("Question and method" in text for text in texts(driver, found)))
    assert len([box for box in texts(browser, "form.bd-search")]) <= 1
    assert complaints(browser) == []
