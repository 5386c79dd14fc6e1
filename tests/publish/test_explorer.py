"""The explorer: the data that its page loads, and the page itself in a real browser, opened from disk."""

import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browsing import PHONE, WIDE, complaints, contrast, find, needs_browser, open_page, texts
from faked_explorer import EXAMPLES, LANGUAGES, NOT_LEARNED, RESAMPLES, STUDIES, keep_languages, open_faked_studies
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from small_book import ROOT

from stilts.analysis.contrasts import average_weights, weigh_gain
from stilts.analysis.effects import (
    average_gains,
    estimate_contrast,
    estimate_gains,
    estimate_language_gains,
    estimate_layer_profiles,
    find_targets,
)
from stilts.analysis.learning import keep_counted
from stilts.analysis.opened import open_study
from stilts.analysis.wording import title_condition, title_task
from stilts.publish.explorer import (
    LEVELS,
    describe_predictions,
    describe_replicates,
    describe_study,
    show_explorer,
    write_explorer_data,
)
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import find_checkout

PAGE = "runs/book/explorer.html"
FIRST_VIEW = 300_000  # bytes


@pytest.fixture(scope="module")
def analyses(tmp_path_factory):
    opened = open_faked_studies(tmp_path_factory.mktemp("explored"))
    return {analysis.study: analysis for analysis in opened}


# --- data ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(analyses, tmp_path_factory):
    return write_explorer_data(analyses["seeds"], tmp_path_factory.mktemp("data"))


def test_the_matrix_holds_the_estimates_of_the_other_pages(analyses):
    analysis = analyses["seeds"]
    about = describe_study(analysis)
    for row in estimate_gains(analysis.replicates).itertuples():
        expected = [row.gain, row.low, row.high, row.seeds]
        assert about["cells"][row.target][row.condition]["gain"] == pytest.approx(expected, abs=1e-4)
    for row in average_gains(analysis.counted).itertuples():
        assert about["means"][row.condition]["gain"][:3] == pytest.approx([row.gain, row.low, row.high], abs=1e-4)


@pytest.mark.parametrize("lacking", [["command-qa"], ["intent"], ["intent", "command-qa"]])
def test_a_mean_gain_is_over_the_targets_whose_baseline_is_recorded(analyses, lacking):
    whole = analyses["seeds"]
    records = [each for each in whole.records if each.run.condition != "none" or each.run.target not in lacking]
    means = describe_study(replace(whole, records=tuple(records)))["means"]
    compared = [target for target in ("intent", "command-qa") if target not in lacking]
    counting, expected = dict.fromkeys(("nli", "multi"), ["intent", "command-qa"]), {}
    baseline = {"none": compared} if compared else {}
    assert {name: mean["targets"] for name, mean in means.items()} == counting | baseline
    for name in counting if compared else ():
        gain = estimate_contrast(whole.counted, average_weights(weigh_gain(name), compared))
        expected[name] = pytest.approx([gain.value, gain.low, gain.high, gain.seeds], abs=1e-4)
    assert {name: mean["gain"] for name, mean in means.items() if "gain" in mean} == expected


def test_a_target_that_was_not_learned_is_marked_and_in_no_mean(analyses):
    about = describe_study(analyses["seeds"])
    reasons = about["targets"][NOT_LEARNED]["uncounted"]
    assert list(reasons) == ["none", "nli", "multi"]
    assert "command-para was not learned: English dev 50.0" in reasons["nli"]
    assert [NOT_LEARNED in mean["targets"] for mean in about["means"].values()] == [False] * 3
    assert about["targets"]["intent"]["uncounted"] == {}


def test_conditions_and_targets_are_in_words(analyses):
    about = describe_study(analyses["seeds"])
    assert about["conditions"] == {"none": "No intermediate task", "nli": "Inference", "multi": "All tasks"}
    assert about["targets"]["ui-retrieval"]["title"] == "Retrieval"
    assert title_task("squad.de") == "Questions (SQuAD) [de]"
    assert title_condition("mixed", ["mnli", "mlm"]) == "Inference (MNLI) + Masked words"
    assert [title_task(name) for name in ("dial-grain-4", "unknown")] == ["Intents in 4 classes", "unknown"]


def read_levels(part):
    """Return replicates as the page reads them: on 64 levels."""
    noise = np.zeros_like(part.items)
    written = describe_replicates(part)
    for place, condition in enumerate(part.conditions):
        for at, language in enumerate(part.languages):
            origin, step, levels = written[condition][language]
            noise[:, at, place] = origin + step * np.array([LEVELS.index(level) for level in levels])
    baseline = part.conditions.index("none")
    for place in set(range(len(part.conditions))) - {baseline}:
        noise[:, :, place] += noise[:, :, baseline]
    return replace(part, items=part.scores + noise)


def test_replicates_keep_mean_and_variance_on_64_levels(analyses):
    part = analyses["seeds"].replicates["intent"]
    read = read_levels(part)
    for condition in part.conditions:
        weights = part.weights({"none": 1.0} if condition == "none" else weigh_gain(condition))
        own, found = part.items @ weights, read.items @ weights
        assert np.abs(found - own).max() <= np.ptp(own, axis=0).max() / 63
        assert found.mean(axis=0) == pytest.approx(own.mean(axis=0), abs=1e-3)
        assert found.var(axis=0) == pytest.approx(own.var(axis=0), rel=1e-5)


def test_the_draws_of_languages_are_those_of_the_bootstrap(analyses, files):
    part = analyses["seeds"].replicates["intent"]
    for place, language in enumerate(part.languages):
        assert [LEVELS.index(level) for level in files["seeds.draws"][language]] == part.times_drawn[:, place].tolist()
        assert len(files["seeds.draws"][language]) == RESAMPLES


def test_scores_are_those_of_the_records(analyses, files):
    scores = analyses["seeds"].scores.query("target == 'ui-retrieval'")
    held = files["seeds.ui-retrieval"]
    for metric in ("score", "layer_7"):
        known = scores.set_index(["language", "condition", "seed"])[metric]
        for language, row in zip(held["languages"], held["metrics"][metric], strict=True):
            expected = [known[language, condition, seed] for condition, seed in held["runs"]]
            assert row == pytest.approx(expected, abs=5e-4)
    assert held["examples"] == [EXAMPLES] * (len(LANGUAGES) - 1)


def test_predictions_are_read_back_as_they_were():
    answers = ["B-day O  O", "", "O", "küche; \"x\""]
    table = pd.DataFrame({"language": ["de", "de", "fi", "fi"], "example": [1, 0, 4, 7], "prediction": answers})
    counts = {"matches": [2.0, 0.0, 0.0, 1.0], "predicted": [2.0, 0.0, 1.0, 1.0], "gold": [4.0, 0.0, 1.0, 1.0]}
    found = json.loads(json.dumps(describe_predictions({2: table.assign(**counts), 1: table.assign(**counts)})))
    words = found["words"]
    read = {
        code: [" ".join(words[int(number)] for number in text.split()) for text in own["predictions"][0].split(";")]
        for code, own in found["languages"].items()
    }
    assert read == {"de": ["", "B-day O  O"], "fi": ["O", "küche; \"x\""]}
    assert found["seeds"] == [1, 2]
    assert {code: own["examples"] for code, own in found["languages"].items()} == {"de": [0, 1], "fi": [4, 7]}
    assert {code: own["shares"][1] for code, own in found["languages"].items()} == {"de": ";67", "fi": "0;100"}


def test_each_file_is_a_script_that_sets_its_entry(analyses, tmp_path):
    written = write_explorer_data(analyses["shared"], tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(written)
    for name, content in written.items():
        start, _, data = (tmp_path / f"{name}.js").read_text(encoding="utf-8").partition(" = ")
        assert start == f'(window.explorerData ||= {{}})["{name}"]'
        assert json.loads(data.rstrip(";\n")) == json.loads(json.dumps(content))


def test_a_title_is_no_markup(analyses, tmp_path):
    analysis = analyses["shared"]
    changed = analysis.settings.model_copy(update={"title": 'A <b>"study"</b>'})
    opened = type(analysis)(analysis.checkout, changed, analysis.records, False, 10, 0)
    shown = show_explorer([opened], tmp_path).data
    assert "<b>" not in shown
    held = unescape(shown.partition('data-studies="')[2].partition('"')[0])
    assert json.loads(held) == [{"name": "shared", "title": 'A <b>"study"</b>'}]


def test_without_a_recorded_study_it_says_what_to_run(tmp_path):
    with pytest.raises(StiltsError, match="no study with zero-shot records; run `stilts run <study>` first"):
        show_explorer([], tmp_path)


def test_the_first_view_of_the_recorded_study_is_light():
    about = describe_study(open_study(find_checkout(ROOT), "pocket-full", resamples=20))
    data = len(json.dumps(about, ensure_ascii=False).encode())
    code = sum(path.stat().st_size for path in (ROOT / "book" / "_static").glob("explorer*"))
    assert data + code < FIRST_VIEW


# --- page ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser, book):
    """The page, opened as if for the first time."""
    browser.get("about:blank")
    complaints(browser)
    visit(browser, book)
    yield browser
    assert complaints(browser) == []


def visit(browser, book, state="", size=WIDE):
    browser.get("about:blank")  # else another hash alone would load nothing
    open_page(browser, book, PAGE, size, f"#{state}" if state else "")
    wait_until_drawn(browser)


def wait_until_drawn(browser):
    WebDriverWait(browser, 20).until(lambda driver: find(driver, ".explorer").get_attribute("aria-busy") == "false")


def choose(browser, name, value):
    box = find(browser, f"select[data-key='{name}']")
    browser.execute_script("arguments[0].value = arguments[1]", box, value)
    browser.execute_script("arguments[0].dispatchEvent(new Event('change'))", box)
    wait_until_drawn(browser)


def click(browser, key):
    browser.execute_script("arguments[0].click()", find(browser, f"[data-key='{key}']"))
    wait_until_drawn(browser)


def copy_table(browser):
    """Press "Copy as CSV", and return the clipboard's content as a table."""
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", allowed)
    click(browser, "csv")
    WebDriverWait(browser, 10).until(lambda driver: texts(driver, ".explorer .status")[0].startswith("Copied"))
    text = browser.execute_async_script("navigator.clipboard.readText().then(arguments[arguments.length - 1])")
    rows = [line.split(",") for line in text.strip().split("\n")]
    return pd.DataFrame(rows[1:], columns=rows[0]).replace("", None)


def numbers(table, measure):
    return table[[measure, "low", "high"]].astype(float).to_numpy()


def covers(languages, part):
    return set(part.languages) - {"en"} <= set(languages)


def near(found, effect, share):
    """Whether the value and the ends of an interval are off by no more than a share of half its width."""
    expected = [effect.value, effect.low, effect.high]
    return np.abs(found - expected).max() < share * (effect.high - effect.value)


SUBSETS = ["de,fi", "ar,de,eu,fi,hi,sw,tr", "ar", "de,hi,sw,tr", "ar,eu,fi,hi,sw,tr"]


@needs_browser
@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("measure", ["gain", "score"])
@pytest.mark.parametrize("languages", SUBSETS)
def test_intervals_of_a_subset_are_those_of_python(browser, book, analyses, study, measure, languages):
    visit(browser, book, f"study={study}&measure={measure}&languages={languages}")
    table = copy_table(browser)
    whole, kept = analyses[study].replicates, languages.split(",")
    parts = {target: keep_languages(part, kept) for target, part in whole.items()}
    # All languages of a target have the estimate of the other pages; of fewer, the page computes it from its levels.
    read = {
        target: keep_languages(part if covers(kept, part) else read_levels(part), kept)
        for target, part in whole.items()
    }
    learned = keep_counted(parts, analyses[study].uncounted)
    weigh = weigh_gain if measure == "gain" else lambda condition: {condition: 1.0}
    for row, found in zip(table.itertuples(), numbers(table, measure), strict=True):
        targets = find_targets(learned, [row.condition]) if row.target == "mean" else [row.target]
        weights = average_weights(weigh(row.condition), targets)
        assert near(found, estimate_contrast(read, weights), 0.0005), row
        assert near(found, estimate_contrast(parts, weights), 0.01), row
    conditions = len(STUDIES[study]["intermediates"]) - (measure == "gain")
    assert len(table) == conditions * (len(whole) + 1)


@needs_browser
def test_the_interval_of_a_language_is_that_of_python(browser, book, analyses):
    visit(browser, book, "target=command-qa&condition=multi&table=languages")
    table = copy_table(browser).set_index("code")
    every = estimate_language_gains(analyses["seeds"].replicates)
    cells = every.query("target == 'command-qa' and condition == 'multi'")
    assert sorted(table.index) == sorted(LANGUAGES)
    for row in cells.itertuples():
        found = table.loc[row.language, ["gain", "low", "high"]].astype(float).tolist()
        assert found == pytest.approx([row.gain, row.low, row.high], abs=0.01)


@needs_browser
@pytest.mark.parametrize(("measure", "name"), [("gain", "gain"), ("score", "score")])
def test_a_layer_has_the_interval_of_the_page_of_layers(browser, book, analyses, measure, name):
    visit(browser, book, f"measure={measure}&metric=layer_7&languages=de,eu,fi,hi")
    table = copy_table(browser).set_index("condition")
    assert set(table["target"]) == {"ui-retrieval"}
    scores = analyses["seeds"].scores.query("target == 'ui-retrieval' and language in ['de', 'eu', 'fi', 'hi']")
    ends = ["gain", "gain_low", "gain_high"] if name == "gain" else ["score", "low", "high"]
    profiles = estimate_layer_profiles(scores).query("layer == 7").set_index("condition")
    for condition in table.index:
        found = table.loc[condition, [measure, "low", "high"]].astype(float).tolist()
        assert found == pytest.approx(profiles.loc[condition, ends].tolist(), abs=0.01)


@needs_browser
def test_choosing_changes_what_is_shown(page):
    assert texts(page, ".matrix tbody th") == ["Inference", "All tasks"]
    choose(page, "measure", "score")
    assert texts(page, ".matrix tbody th") == ["No intermediate task", "Inference", "All tasks"]
    choose(page, "metric", "layer_12")
    choose(page, "layer", "layer_3")
    heads = [head.split("\n")[0] for head in texts(page, ".matrix thead th")]
    assert heads == ["Intermediate task", "Retrieval \u2020"]  # read after the last layer, it counts in no mean
    choose(page, "study", "shared")
    choose(page, "target", "tydiqa")
    choose(page, "condition", "squad")
    assert texts(page, ".dots h2") == ["Questions (SQuAD) \u2192 Questions (TyDi QA), by language"]
    choose(page, "family", "Uralic")
    assert texts(page, ".dots .name") == ["Finnish", "English"] or texts(page, ".dots .name") == ["English", "Finnish"]


@needs_browser
def test_a_target_that_was_not_learned_is_pale_on_the_page(page):
    marked = [head for head in texts(page, ".matrix thead th") if "\u2020" in head]
    assert [head.split("\n")[0] for head in marked] == ["Paraphrases \u2020", "Retrieval \u2020", "Mining \u2020"]
    pale = {cell.get_attribute("data-key").split()[1]: cell.get_attribute("aria-description")
            for cell in page.find_elements(By.CSS_SELECTOR, ".matrix button.pale")}  # fmt: skip
    assert set(pale) == {NOT_LEARNED, "ui-retrieval", "ui-mining"}
    assert "command-para was not learned" in pale[NOT_LEARNED]
    assert "it is read after layer 12, not after layer 7" in pale["ui-mining"]
    table = copy_table(page)
    assert set(table[table["counts"] == "no"]["target"]) == set(pale)


@needs_browser
def test_a_cell_leads_to_its_languages_and_a_language_to_its_predictions(page):
    click(page, "cell command-qa multi")
    assert texts(page, ".dots h2") == ["All tasks \u2192 Questions, by language"]
    assert page.switch_to.active_element.text == "All tasks \u2192 Questions, by language"
    assert len(texts(page, ".dots .name")) == len(LANGUAGES)
    click(page, "dot fi")
    assert texts(page, ".examples h2") == ["Predictions in Finnish: Questions"]
    assert texts(page, ".examples thead th") == ["Example", "No intermediate task", "All tasks"]
    assert len(page.find_elements(By.CSS_SELECTOR, ".examples tbody tr")) == EXAMPLES
    assert {cell.split("\n")[0] for cell in texts(page, ".examples td")} == {"right", "wrong"}
    page.back()
    WebDriverWait(page, 10).until(lambda driver: texts(driver, ".examples h2") == ["Predictions"])


@needs_browser
def test_predictions_are_those_of_the_seed_that_is_chosen(page, analyses):
    click(page, "cell intent nli")
    click(page, "dot hi")
    choose(page, "seed", "3")
    analysis = analyses["seeds"]
    runs = [record for record in analysis.phase("zero-shot") if record.run.target == "intent" and record.run.seed == 3]
    for place, condition in enumerate(("none", "nli")):
        (run,) = [record for record in runs if record.run.condition == condition]
        table = analysis.store.predictions(run.id).query("language == 'hi'").sort_values("example")
        cells = texts(page, f".examples tbody td:nth-of-type({place + 1}) small")
        assert cells == ["right" if right else "wrong" for right in table["matches"]]


@needs_browser
def test_hover_and_focus_tell_what_a_cell_rests_on(page):
    cell = find(page, "[data-key='cell intent nli']")
    page.execute_script("arguments[0].focus()", cell)
    tip = texts(page, ".explorer .tip")
    assert tip == [cell.get_attribute("aria-description")]
    assert tip[0].startswith("Inference \u2192 Intents: ")
    assert tip[0].endswith(f"; 7 languages of up to {EXAMPLES} examples, 3 seeds")
    cell.send_keys(Keys.ESCAPE)
    assert texts(page, ".explorer .tip") == []
    dot = find(page, "[data-key='dot de']")
    page.execute_script("arguments[0].focus()", dot)
    assert texts(page, ".explorer .tip")[0].startswith("German (Indo-European, Latin): ")


@needs_browser
def test_the_address_keeps_what_was_chosen(page, book):
    choose(page, "study", "shared")
    choose(page, "measure", "score")
    choose(page, "script", "Latin")
    click(page, "cell xnli squad")
    click(page, "dot de")
    choose(page, "sort", "name")
    seen = shown(page)
    address = page.current_url
    assert "script=Latin" in address
    page.refresh()
    wait_until_drawn(page)
    assert shown(page) == seen
    page.get("about:blank")
    page.get(address)
    wait_until_drawn(page)
    assert shown(page) == seen


def shown(browser):
    parts = [".matrix td", ".dots h2", ".dots .name", ".examples h2", ".rows td"]
    return [texts(browser, f".explorer {part}") for part in parts]


@needs_browser
def test_an_address_of_another_time_shows_what_there_is(browser, book):
    visit(browser, book, "study=gone&target=gone&condition=gone&metric=gone&language=gone&measure=gone&table=gone")
    wrong = shown(browser)
    visit(browser, book)
    assert shown(browser) == wrong
    visit(browser, book, "how-to-read-it")
    assert shown(browser) == wrong


@needs_browser
def test_languages_are_chosen_by_checkbox(page):
    find(page, "details.languages summary").click()
    click(page, "no")
    assert texts(page, ".matrix td button") == ["\u2013"] * 10
    click(page, "language-de")
    click(page, "language-sw")
    assert texts(page, "details.languages summary") == ["Languages: 2 of 7 chosen"]
    assert set(texts(page, ".dots .name")) == {"German", "Swahili", "English"}
    assert "languages=de%2Csw" in page.current_url
    click(page, "all")
    assert texts(page, "details.languages summary") == ["Languages: 7 of 7 chosen"]


@needs_browser
def test_the_page_is_used_by_keyboard_alone(page):
    stops = page.execute_script("return document.querySelectorAll('.matrix td button[tabindex=\"0\"]').length")
    assert stops == 1
    page.execute_script("arguments[0].focus()", find(page, ".matrix td button[tabindex='0']"))
    page.switch_to.active_element.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_DOWN)
    assert page.switch_to.active_element.get_attribute("data-key") == "cell command-para multi"
    page.switch_to.active_element.send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ENTER)
    wait_until_drawn(page)
    assert page.switch_to.active_element.text == "Inference \u2192 Intents, by language"
    page.execute_script("arguments[0].focus()", find(page, ".dots li button[tabindex='0']"))
    page.switch_to.active_element.send_keys(Keys.END, Keys.ARROW_UP, Keys.ARROW_DOWN, Keys.ENTER)
    wait_until_drawn(page)
    assert page.switch_to.active_element.text.startswith("Predictions in ")


@needs_browser
def test_a_choice_keeps_the_focus(page):
    box = find(page, "select[data-key='measure']")
    page.execute_script("arguments[0].focus()", box)
    choose(page, "measure", "score")
    assert page.switch_to.active_element.get_attribute("data-key") == "measure"


@needs_browser
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_phone_shows_all_without_sideways_scroll_in_letters_that_can_be_read(browser, book, mode):
    visit(browser, book, "target=ui-retrieval&condition=nli&language=fi&table=languages", PHONE)
    browser.execute_script("document.documentElement.dataset.theme = arguments[0]", mode)
    browser.execute_script("document.querySelector('details.languages').open = true")
    assert not browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
    clipped = browser.execute_script(
        "return [...document.querySelectorAll('.matrix th, .matrix button')].filter(e => e.scrollWidth > e.clientWidth)"
    )
    assert clipped == []
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('.explorer *')].filter(e => e.offsetParent && "
        "[...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11
    ground, *inks = browser.execute_script(
        "const color = (e) => getComputedStyle(document.querySelector(e)).color; "
        "return [getComputedStyle(document.body).backgroundColor, "
        "...['.matrix td button', '.dots .name', '.examples td', '.explorer .note', '.rows td'].map(color)]"
    )
    assert min(contrast(ground, ink) for ink in inks) > 4.5
    assert complaints(browser) == []


@needs_browser
def test_what_is_not_asked_for_is_not_loaded(page):
    loaded = page.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name).filter(n => n.includes('/explorer/'))"
    )
    assert {Path(name.partition("?")[0]).stem for name in loaded} <= {"seeds", "seeds.intent"}
