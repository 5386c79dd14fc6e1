"""Question 5 on faked scores: a gap that moves with complexity is found, and none where none was planted."""

import re
from dataclasses import replace
from pathlib import Path

import faked_study
import numpy as np
import pandas as pd
import pytest
import yaml
from faked_study import fill
from redrawing import redraw
from scipy import stats

from stilts.analysis.questions.chapters import open_section
from stilts.analysis.questions.complexity import (
    LEARNED,
    MEASURES,
    NOTHING_LEARNED,
    TESTS,
    Evidence,
    answer_question,
    describe_dials,
    describe_levels,
    describe_targets,
    describe_unlearned,
    estimate_slope,
    fit_line,
    gather,
    list_conditions,
    summarize_gaps,
    tabulate_gaps_by_target,
    tabulate_measures,
    tabulate_slopes,
    tabulate_source_gains,
    tabulate_task_gaps,
    tabulate_unit_complexity,
    tabulate_unit_gaps,
    weigh_rise,
)
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS
from stilts.analysis.questions.testing import Rules, run_tests, tabulate_verdicts
from stilts.analysis.wording import format_effect, title_task
from stilts.publish import figures
from stilts.study.settings import Study
from stilts.tasks.registry import INTERMEDIATES, DialLevel
from stilts.workspace.checkout import Checkout, find_checkout

ROOT = Path(__file__).parents[2]
FAKES = 200
FEWEST, MOST = stats.binom.ppf([0.0005, 0.9995], FAKES, 0.05)
RULES = Rules(dict.fromkeys(TESTS, "?"), resamples=200)
SOURCES = ("en", "de", "zh")
UNSEEN = ["ar", "el", "es", "eu", "fi", "hi", "hu", "ko", "nl", "ru", "th", "vi"]
# Logarithm to base 2 of the code length, bits an example.
BITS = {"intent": 0.5, "para": 1.0, "nli": 1.5, "qa": 3.0, "slots": 3.5, "dial-grain-2": 0.0,
        "dial-grain-4": 1.0, "dial-grain-8": 2.0}  # fmt: skip
UNIT_BITS = np.array([0.5, 1.0, 1.5, 3.0, 3.5, 1.0])  # the dial counts once, at its mean
SD = UNIT_BITS.std()
WITH_TESTS = sorted(path.stem for path in (ROOT / "studies").glob("complexity*.yml"))
CONDITIONS = {task: {code: f"{task}-{code}" for code in SOURCES} for task in BITS}


def fake(generator, gap=0.0, by_bit=0.0, by_level=0.0, task_luck=1.5, seeds=3, targets=("command-qa",)):
    """Fake evidence: English leads by `gap` points, by `by_bit` more for each doubling of a task's code length beyond
    the mean, and by `by_level` more from each level of the dial to the next. Tasks (of a dial all levels alike), runs,
    languages and single scores have luck of their own."""
    codes = [*UNSEEN, *SOURCES]
    rows, measured = [], []
    for target in targets:
        level = 50 + generator.normal(0, 8, len(codes))
        rows += [("none", target, code, seed, value + generator.normal(0, 2), 30.0)
                 for seed in range(1, seeds + 1) for code, value in zip(codes, level, strict=True)]  # fmt: skip
        family_luck = generator.normal(0, task_luck)
        for task, bits in BITS.items():
            dial = task.startswith("dial")
            lead = gap + by_level * (bits - 1) * dial + by_bit * ((1.0 if dial else bits) - UNIT_BITS.mean())
            lead += family_luck if dial else generator.normal(0, task_luck)
            for code, name in CONDITIONS[task].items():
                taste = generator.normal(0, 1, len(codes))
                for seed in range(1, seeds + 1):
                    values = level + taste + lead * (code == "en") + generator.normal(0, 0.5)
                    values += generator.normal(0, 5, len(codes))
                    rows += [(name, target, each, seed, value, 30.0) for each, value in zip(codes, values, strict=True)]
    for task, bits in BITS.items():
        measured += [(task, code, seed, *(2.0**bits * generator.uniform(0.99, 1.01) for _ in MEASURES), 80.0, 50.0, 0.0)
                     for code in SOURCES for seed in range(1, seeds + 1)]  # fmt: skip
    return Evidence(
        CONDITIONS,
        pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS)),
        pd.DataFrame(measured, columns=["task", "language", "seed", *MEASURES, *LEARNED, "censored"]),
    )


@pytest.fixture(scope="module")
def evidence():
    return fake(np.random.default_rng(0), gap=3.0, by_bit=5.0, by_level=8.0, targets=("command-qa", "intent"))


# --- Evidence --------------------------------------------------------------------------------------------------------


def test_a_dial_is_one_unit_and_its_levels_are_in_order(evidence, monkeypatch):
    other = replace(INTERMEDIATES["dial-grain-4"], name="dial-other-10", level=DialLevel("dial-other", 10))
    for each in (other, replace(other, name="dial-other-9", level=DialLevel("dial-other", 9))):
        monkeypatch.setitem(INTERMEDIATES, each.name, each)
    assert evidence.dials == {"dial-grain": ["dial-grain-2", "dial-grain-4", "dial-grain-8"]}
    assert list(evidence.units) == ["intent", "para", "nli", "qa", "slots", "dial"]
    assert (evidence.sources, evidence.unseen) == (["en", "de", "zh"], UNSEEN)
    assert evidence.gap("qa") == {"qa-en": 1.0, "qa-de": -0.5, "qa-zh": -0.5}
    bits = tabulate_unit_complexity(evidence)["code_bits_per_example"]
    assert bits.to_dict() == pytest.approx(dict(zip(evidence.units, UNIT_BITS, strict=True)), abs=0.02)
    names = ("dial-grain-8", "dial-grain-2", "dial-other-10", "dial-other-9", "qa")
    found = Evidence({name: CONDITIONS["qa"] for name in names}, evidence.scores, evidence.complexity)
    assert found.dials == {
        "dial-grain": ["dial-grain-2", "dial-grain-8"],
        "dial-other": ["dial-other-9", "dial-other-10"],
    }
    assert found.units == {"dial": ["dial-grain-8", "dial-grain-2", "dial-other-10", "dial-other-9"], "qa": ["qa"]}
    alone = {name: CONDITIONS["qa"] for name in ("dial-grain-2", "qa")}
    assert not Evidence(alone, evidence.scores, evidence.complexity).dials
    assert not Evidence({"qa": CONDITIONS["qa"]}, evidence.scores, evidence.complexity).dials


def test_the_gap_of_a_unit_is_that_of_its_languages(evidence):
    scores = evidence.scores[evidence.scores["language"].isin(UNSEEN)]
    means = scores.groupby(["condition", "seed"])["score"].mean().unstack("seed")
    expected = means.loc["qa-en"] - (means.loc["qa-de"] + means.loc["qa-zh"]) / 2
    assert tabulate_unit_gaps(evidence).loc["qa"].tolist() == pytest.approx(expected.tolist())


def test_weights_of_a_rise():
    assert weigh_rise(2).tolist() == [-1.0, 1.0]
    for levels in (2, 3, 5):
        assert weigh_rise(levels) @ np.linspace(0, 7, levels) == pytest.approx(7)
        assert weigh_rise(levels).sum() == pytest.approx(0)


@pytest.mark.parametrize("name", WITH_TESTS)
def test_the_studies_hold_the_conditions_that_their_tests_need(name):
    study = Checkout(ROOT).study(name)
    found = Evidence(list_conditions(study), pd.DataFrame(columns=OUTCOME_COLUMNS), pd.DataFrame())
    assert set(study.question.tests) <= set(TESTS)
    if "gap-complexity" in study.question.tests:
        assert study.measures.complexity is not None
        assert len(found.units) >= 3
    assert set(found.sources[1:]) <= set(study.data.source_languages)
    assert bool(found.dials) == ("gap-dial" in study.question.tests)


# --- Effects ---------------------------------------------------------------------------------------------------------


def test_known_effects_are_found_with_their_sign_and_size():
    generator = np.random.default_rng(1)
    found = [run_tests(TESTS, fake(generator, gap=3.0, by_bit=5.0, by_level=8.0), RULES) for _ in range(20)]
    estimates = np.array([[result.value for result in results] for results in found])
    truth = [3.0, 5.0 * SD, 16.0]  # three levels are two steps
    assert estimates.mean(axis=0) == pytest.approx(truth, abs=0.8)
    assert (estimates[:, 1:] > 0).all()
    assert np.mean([results[1].p < 0.05 for results in found]) > 0.8
    assert np.mean([results[2].low <= truth[2] <= results[2].high for results in found]) >= 0.8
    assert np.mean([results[1].low <= truth[1] <= results[1].high for results in found]) >= 0.8


def test_without_an_effect_the_tests_are_positive_about_as_often_as_they_say():
    generator = np.random.default_rng(2)
    positive = np.zeros(len(TESTS))
    for _ in range(FAKES):
        # The gap is that of these tasks, so their luck is no chance; the slope takes them for drawn at random.
        alike = run_tests(TESTS, fake(generator, task_luck=0.0), Rules({"gap": "?"}))
        others = run_tests(TESTS, fake(generator), Rules({"gap-complexity": "?", "gap-dial": "?"}))
        positive += [result.p < 0.05 for result in (*alike, *others)]
    assert (positive <= MOST).all(), positive
    assert (positive >= FEWEST).all(), positive


def test_verdicts_and_what_the_test_can_show(evidence):
    results = run_tests(TESTS, evidence, RULES)
    table = tabulate_verdicts(results, RULES).set_index("test")
    assert table["verdict"].tolist() == ["supported", "supported", "supported"]
    assert table.loc["gap-complexity", "based on"] == "6 tasks, 3 seeds"
    assert table.loc["gap-complexity", "unit"] == "points for a standard deviation"
    assert results[1].notes[0] == "with 6 tasks no p-value can be below 0.0014"
    assert "(English; German, Chinese)" in results[0].notes[-1]


def test_what_is_not_recorded_is_not_tested(evidence):
    nothing = Evidence(CONDITIONS, evidence.scores.iloc[:0], evidence.complexity.iloc[:0])
    assert not any(result.known for result in run_tests(TESTS, nothing, RULES))
    assert summarize_gaps(nothing, RULES) == ""
    assert fit_line(nothing) is None
    for table in (
        tabulate_task_gaps(nothing, RULES),
        tabulate_source_gains(nothing, RULES),
        tabulate_measures(nothing),
    ):
        assert table.empty
    assert tabulate_slopes(nothing, RULES)["p"].isna().all()
    assert describe_targets(tabulate_gaps_by_target(nothing, RULES)) == "Nothing can be compared yet."
    known = evidence.complexity[evidence.complexity["task"] != "dial-grain-4"]
    unmeasured = Evidence(CONDITIONS, evidence.scores, known)
    assert estimate_slope(unmeasured, RULES, "label_entropy").rows == 5
    assert describe_dials(unmeasured) == "- The code length of the levels of `dial-grain` is not measured."
    natural = Evidence({"qa": CONDITIONS["qa"]}, evidence.scores, evidence.complexity)
    assert TESTS["gap-dial"].estimate(natural, RULES).notes == ("the study has no task with a dial",)
    assert TESTS["gap-complexity"].estimate(natural, RULES).notes[0].startswith("1 task have scores")


# --- Tables and figures ----------------------------------------------------------------------------------------------


def test_tables(evidence):
    table = tabulate_task_gaps(evidence, RULES).set_index("task")
    assert list(table.index) == list(BITS)
    assert table.loc["slots", "code_length"] == pytest.approx(2**3.5, rel=0.02)
    assert (table["languages"] == len(UNSEEN)).all()
    assert (table["low"] < table["gap"]).all()
    levels = [name for name in BITS if name.startswith("dial-")]
    said = describe_levels(evidence, RULES)
    ends = [format_effect(*table.loc[name, ["gap", "low", "high"]], "") for name in (levels[0], levels[-1])]
    assert said.startswith(f"By level, uncorrected: {title_task(levels[0])} {ends[0]}; ")
    assert said.endswith(f" {ends[1]}; the test of the rise fits a straight line.")
    by_target = tabulate_gaps_by_target(evidence, RULES)
    assert by_target.groupby("task")["gap"].mean().to_dict() == pytest.approx(table["gap"].to_dict())
    assert describe_targets(by_target).startswith("Of 16 intervals")
    sources = tabulate_source_gains(evidence, RULES)
    assert sources["source"].iloc[:3].tolist() == ["English", "German", "Chinese"]
    assert len(tabulate_measures(evidence)) == len(BITS) * len(SOURCES)
    described = tabulate_slopes(evidence, RULES)
    assert described["measure"].tolist() == list(MEASURES.values())
    assert described.loc[0, "slope"] == run_tests(TESTS, evidence, RULES)[1].value
    assert described.loc[0, "rank"] > 0.7
    assert describe_dials(evidence).endswith("The dial does what it is meant to.")
    assert summarize_gaps(evidence, RULES).startswith("English is set against German, Chinese as the language of 8")


def test_what_is_only_measured_stands_last_in_the_table_and_in_no_test(evidence):
    slots = evidence.complexity[evidence.complexity["task"] == "slots"]
    alone = slots.assign(task="dial-grain-16", score=51.0, censored=1)
    more = replace(evidence, complexity=pd.concat([alone, evidence.complexity[::-1]], ignore_index=True))
    table = tabulate_measures(more)
    assert table[["task", "language"]].to_numpy().tolist() == [
        [task, code] for task in (*BITS, "dial-grain-16") for code in SOURCES
    ]
    assert table.loc[table["task"] == "dial-grain-16", NOTHING_LEARNED].tolist() == [3, 3, 3]
    assert table.loc[table["task"] != "dial-grain-16", NOTHING_LEARNED].eq(0).all()
    assert [(each.value, each.p) for each in run_tests(TESTS, more, RULES)] == [
        (each.value, each.p) for each in run_tests(TESTS, evidence, RULES)
    ]
    assert describe_unlearned(more).startswith("Of 9 tasks, 1 was not learned from the")
    assert "at any seed: `dial-grain-16`. Its" in describe_unlearned(more)
    assert describe_unlearned(evidence).startswith("Of each of 8 tasks something was learned")
    assert describe_unlearned(replace(more, complexity=alone.iloc[:0])) == "No task is measured yet."


def test_a_dial_says_how_well_its_levels_are_learned(evidence):
    scores = {"dial-grain-2": (90, 80, 70), "dial-grain-4": (65, 60, 55), "dial-grain-8": (50, 50, 51)}
    dev = {
        name: float(score)
        for task, own in scores.items()
        for name, score in zip(CONDITIONS[task].values(), own, strict=True)
    }
    guessed = {name: 100.0 / int(name.split("-")[2]) for name in dev}
    text = describe_dials(replace(evidence, dev=dev, guessed=guessed))
    assert text.endswith("source languages: 80.0, 60.0, 50.3 percent, where guessing gives 50.0, 25.0, 12.5.")


def test_figures_show_what_there_is(evidence):
    table = tabulate_task_gaps(evidence, RULES)
    axis = figures.draw_complexity_gaps(table, evidence.dials, fit_line(evidence)).axes[0]
    assert sorted(text.get_text() for text in axis.texts) == sorted(BITS)
    assert (
        figures.draw_complexity_gaps(table.assign(code_length=np.nan)).texts[0].get_text() == "nothing to compare yet"
    )
    gains = tabulate_source_gains(evidence, RULES)
    assert len(figures.draw_source_gains(gains).axes[0].get_yticks()) == len(BITS)
    assert figures.draw_source_gains(gains.iloc[:0]).texts[0].get_text() == "nothing to compare yet"


STUDY = {
    "name": "complexity-tiny",
    "title": "A faked study of complexity",
    "encoder": {"name": "multilingual-e5-small"},
    "seeds": [1, 2],
    "data": {"source_languages": ["de"]},
    "intermediates": [
        "none",
        *({"name": f"{task}-{code}", "tasks": [f"{task}{suffix}"]}
          for task in ("intent", "nli", "qa") for code, suffix in (("en", ""), ("de", ".de"))),
    ],
    "targets": ["command-qa"],
    "measures": {"complexity": {}, "tasks": ["slots"]},
    "question": {
        "number": 5, "text": "Does it?", "tests": {"gap": "It does.", "gap-complexity": "It does."},
        "headline": "gap-complexity", "resamples": 100,
    },
}  # fmt: skip


def test_a_study_is_answered_from_its_records_and_without_any_says_how_to_make_them(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "_toc.yml").write_text("")
    (tmp_path / "studies" / "complexity-tiny.yml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.chdir(tmp_path)
    without = answer_question(open_section(find_checkout(), "complexity-tiny"))
    assert "stilts run complexity-tiny" in without.learned.text
    assert without.checks.empty
    fill(find_checkout(tmp_path), "complexity-tiny")
    found = answer_question(open_section(find_checkout(), "complexity-tiny"))
    assert [result.known for result in found.results] == [True, True]
    assert found.evidence.complexity[["task", "language"]].drop_duplicates().to_numpy().tolist() == [
        ["intent", "en"], ["intent", "de"], ["nli", "en"], ["nli", "de"], ["qa", "en"], ["qa", "de"],
        ["slots", "en"],
    ]  # fmt: skip
    assert found.learned.effect.test == "gap-complexity"
    assert found.learned.text.startswith("English is set against German as the language of 3 intermediate tasks")


def test_items_that_languages_share_widen_the_interval_of_the_headline(evidence):
    """Redrawn test items move all languages alike, which their spread does not show."""
    moved = redraw(evidence.scores, np.random.default_rng(0))
    redrawn = replace(evidence, redrawn=replace(evidence, scores=moved))
    alone, wider = TESTS["gap"].estimate(evidence, Rules()), TESTS["gap"].estimate(redrawn, Rules())
    assert wider.value == alone.value
    assert wider.high - wider.low > 2 * (alone.high - alone.low)


def test_a_task_that_is_learned_too_little_in_a_source_language_is_in_no_test(tmp_path):
    here = Checkout(tmp_path)
    plain = Study.model_validate(STUDY)
    asked = Study.model_validate(STUDY | {"question": STUDY["question"] | {"least_dev": 99.9}})
    faked_study.write(here.store(), plain)
    records = list(here.store())
    assert gather(plain, records, here.store()).unlearned == {}
    found = gather(asked, records, here.store()).unlearned
    assert found.keys() == {"intent", "nli", "qa"}
    assert re.fullmatch(r"qa-(en|de) was learned too little: dev \d+\.\d, 99\.9 are asked for", found["qa"])
