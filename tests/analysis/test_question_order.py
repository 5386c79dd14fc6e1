"""Question 1 on faked scores: known effects of order are found, and none where none was planted."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from faked_study import fill
from fakes import PROVENANCE, make_run
from redrawing import redraw
from scipy import stats

from stilts.analysis.questions.chapters import open_section
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS
from stilts.analysis.questions.order import (
    TESTS,
    Evidence,
    Plan,
    answer_question,
    describe_forgetting,
    describe_order_effects,
    describe_single_sources,
    describe_sources,
    make_plan,
    summarize_gains,
    tabulate_dev_changes,
    tabulate_dev_scores,
    tabulate_forgetting,
    tabulate_gains,
    tabulate_kind_gains,
    tabulate_kind_language_gains,
    tabulate_language_order_effects,
    tabulate_order_effects,
    tabulate_orders_by_source,
    tabulate_scores_by_language,
)
from stilts.analysis.questions.sentences import describe_caveats
from stilts.analysis.questions.testing import Rules, run_tests, tabulate_verdicts
from stilts.analysis.wording import format_effect
from stilts.publish import figures
from stilts.study.records import Record
from stilts.study.settings import Study
from stilts.workspace.checkout import Checkout, find_checkout

ROOT = Path(__file__).parents[2]
FAKES = 200
FEWEST, MOST = stats.binom.ppf([0.0005, 0.9995], FAKES, 0.05)
RULES = Rules(dict.fromkeys(TESTS, "?"), resamples=200)
OTHERS = ("de", "ru", "zh")
UNSEEN = ["ar", "bg", "ca", "cs", "da", "el", "es", "eu", "fi", "fr", "he", "hi", "hu", "it", "ko", "nl", "pl", "th"]
STAGES = {
    "none": (),
    "en": (("en",),),
    "en-then-en": (("en",), ("en",)),
    **{f"{code}-then-{code}": ((code,), (code,)) for code in OTHERS},
    **{f"en-then-{code}": (("en",), (code,)) for code in OTHERS},
    **{f"{code}-then-en": ((code,), ("en",)) for code in OTHERS},
    **{f"mixed-{code}": (("en", code),) for code in OTHERS},
}
PLAN = Plan(STAGES)


def fake(generator, last=0.0, seen=0.0, second=0.0, mixed=0.0, lost=0.0, direct=0.0, weak=0.0, seeds=3):
    """Fake evidence: English last gains `last` points in unseen languages and `seen` in the other source language;
    two languages gain `second` over English twice, mixed ones `mixed` more; `lost` points of dev score are forgotten.
    Before target training English last gains `direct` points everywhere, and `weak` points more beside German.
    Runs, languages and single scores have luck of their own."""
    codes = [*UNSEEN, *OTHERS, "en"]
    rows, before_target, dev = [], [], []
    level = 60 + generator.normal(0, 8, len(codes))
    for name, own in STAGES.items():
        pair = len({code for stage in own for code in stage}) == 2
        english_last = len(own) == 2 and pair and own[1] == ("en",)
        taste = generator.normal(0, 1.5, len(codes))  # what a condition does to a language, beyond seeds
        for seed in range(1, seeds + 1):
            values = level + taste + generator.normal(0, 1) + generator.normal(0, 6, len(codes))
            values += 5 * bool(own) + second * pair + mixed * (pair and len(own) == 1)
            values += np.where(np.isin(codes, OTHERS), seen, last) * english_last
            rows += [(name, "command-qa", code, seed, value, 30.0) for code, value in zip(codes, values, strict=True)]
            if own:
                values = level + taste + generator.normal(0, 1) + generator.normal(0, 6, len(codes))
                values += (direct + weak * (own[0] == ("de",))) * english_last
                before_target += [
                    (name, "command-qa-rooms", code, seed, value, 30.0)
                    for code, value in zip(codes, values, strict=True)
                ]
            if len(own) == 2:
                before, drop = 90 + generator.normal(), lost * pair + generator.normal(0, 1.5)
                dev.append((name, own[0][0], own[1][0], seed, before, before - drop))
    columns = ["condition", "first", "second", "seed", "before", "after"]
    scores, before = (pd.DataFrame(table, columns=list(OUTCOME_COLUMNS)) for table in (rows, before_target))
    return Evidence(PLAN, scores, pd.DataFrame(dev, columns=columns), before)


@pytest.fixture(scope="module")
def evidence():
    return fake(np.random.default_rng(0), last=6.0, seen=-8.0, second=3.0, mixed=-4.0, lost=7.0)


# --- Evidence --------------------------------------------------------------------------------------------------------


def test_conditions_are_told_apart_by_their_stages():
    assert PLAN.baseline == "none"
    assert (PLAN.sources, PLAN.others) == (["de", "ru", "zh"], ["de", "ru", "zh"])
    assert (PLAN.english_first("ru"), PLAN.english_last("ru")) == ("en-then-ru", "ru-then-en")
    assert (PLAN.twice("en"), PLAN.twice("zh"), PLAN.mixed("de")) == ("en-then-en", "zh-then-zh", "mixed-de")
    assert PLAN.named(["en"]) == "en"
    assert PLAN.mixed("fr") is None
    assert [PLAN.title(name) for name in ("none", "en", "en-then-en", "ru-then-en", "mixed-de")] == [
        "none", "English, one stage", "English twice", "Russian, then English", "English and German, mixed",
    ]  # fmt: skip


@pytest.mark.parametrize("study", ["order", "order-six", "order-pilot", "order-paper"])
def test_the_studies_hold_the_conditions_that_their_tests_need(study):
    here = Checkout(ROOT)
    settings = here.study(study)
    plan = make_plan(settings)
    direct = {test for test in TESTS if test.endswith("-direct")}
    assert set(settings.question.tests) in (set(TESTS), set(TESTS) - direct)
    assert ("command-qa-rooms" in settings.targets) == (set(settings.question.tests) >= direct)
    assert set(plan.others) == set(plan.sources) <= set(settings.data.source_languages)
    assert len(plan.others) >= 2
    assert None not in [plan.baseline, plan.twice("en"), *(plan.mixed(code) for code in plan.others)]


def test_the_studies_choose_the_same_tests_but_those_before_target_training():
    here = Checkout(ROOT)
    chosen = {name: here.study(name).question for name in ("order", "order-six", "order-pilot", "order-paper")}
    assert chosen["order"] == chosen["order-six"]
    after = {name: said for name, said in chosen["order-six"].tests.items() if not name.endswith("-direct")}
    assert chosen["order-six"].model_copy(update={"tests": after}) == chosen["order-pilot"] == chosen["order-paper"]


# --- Effects ---------------------------------------------------------------------------------------------------------


def test_known_effects_are_found_with_their_sign_and_size():
    generator = np.random.default_rng(1)
    planted = {"last": 6.0, "seen": -8.0, "second": 3.0, "mixed": -4.0, "lost": 7.0, "direct": 5.0, "weak": 6.0}
    found = [run_tests(TESTS, fake(generator, **planted), RULES) for _ in range(30)]
    # The mean of both orders has half of what the last gains.
    truth = [6.0, -8.0, 3.0 + 6.0 / 2, -4.0 - 6.0 / 2, -7.0, 5.0 + 6.0 / 3, 6.0, 5.0 + 6.0 / 3]
    estimates = np.array([[result.value for result in results] for results in found])
    assert estimates.mean(axis=0) == pytest.approx(truth, abs=1.0)
    assert (np.sign(estimates[:, [0, 2, 3, 4]]) == np.sign(truth)[[0, 2, 3, 4]]).all()
    inside = np.array([[r.low <= t <= r.high for r, t in zip(results, truth, strict=True)] for results in found])
    assert (inside.mean(axis=0) >= 0.8).all()


def test_verdicts_on_planted_effects(evidence):
    results = run_tests(TESTS, evidence, RULES)
    table = tabulate_verdicts(results, RULES).set_index("test")
    assert table.loc[["order-unseen", "forgetting"], "verdict"].tolist() == ["supported", "supported"]
    assert table.loc["order-unseen", "based on"] == f"{len(UNSEEN)} languages, 3 seeds"
    assert table.loc["order-seen", "based on"] == "3 languages, 3 seeds"
    assert "(German, Russian, Chinese)" in describe_caveats(results)


def test_without_an_effect_the_tests_are_positive_about_as_often_as_they_say():
    generator = np.random.default_rng(2)
    positive = np.zeros(len(TESTS))
    for _ in range(FAKES):
        positive += [result.p < 0.05 for result in run_tests(TESTS, fake(generator), RULES)]
    assert (positive <= MOST).all(), positive
    assert (positive[[0, 2, 3]] >= FEWEST).all(), positive  # three rows alone make the other two careful


def test_what_is_not_recorded_is_not_tested(evidence):
    partly = Evidence(PLAN, evidence.scores[evidence.scores["condition"] != "ru-then-en"], evidence.dev.iloc[:0])
    results = {result.test: result for result in run_tests(TESTS, partly, RULES)}
    assert not any(result.known for result in results.values())
    assert results["order-unseen"].notes == ("no score that counts is recorded of `ru-then-en`",)
    assert results["forgetting"].notes == ("nothing is recorded yet of both stages",)
    nothing = Evidence(PLAN, evidence.scores.iloc[:0], evidence.dev.iloc[:0])
    assert summarize_gains(nothing, RULES) == ""
    assert tabulate_gains(nothing, RULES).empty
    assert tabulate_orders_by_source(nothing, RULES).empty
    assert tabulate_scores_by_language(nothing).empty
    assert describe_sources(tabulate_orders_by_source(nothing, RULES)) == "No language has both orders on record yet."


def test_the_effect_of_order_stands_beside_each_language_before_and_after_target_training():
    found = fake(np.random.default_rng(2), last=0.0, direct=-8.0, weak=20.0, seeds=8)
    table = tabulate_order_effects(found, RULES)
    groups = [f"{language}, {when}" for language in ("German", "Russian", "Chinese") for when in ("before", "after")]
    assert (table["group"].tolist(), set(table["rows"])) == (groups, {len(UNSEEN)})
    assert table["gain"].tolist() == pytest.approx([12.0, 0.0, -8.0, 0.0, -8.0, 0.0], abs=4.0)
    each = tabulate_language_order_effects(found)
    assert each.groupby("group", sort=False)["gain"].mean().tolist() == pytest.approx(table["gain"].tolist())
    assert set(each["language"]) == set(UNSEEN)
    said = describe_order_effects(table)
    assert said.startswith("Of 6 intervals, which nothing is corrected for, these exclude zero: German, before +")
    assert "Russian, before −" in said
    none = replace(found, plan=Plan({name: STAGES[name] for name in ("none", "en-then-en")}))
    assert describe_order_effects(tabulate_order_effects(none, RULES)) == "No language has both orders on record yet."


def test_without_a_language_that_has_both_orders_no_order_is_tested(evidence):
    stages = {name: STAGES[name] for name in ("none", "en", "en-then-en", "en-then-de", "en-then-ru")}
    results = run_tests(TESTS, replace(evidence, plan=Plan(stages)), RULES)
    lacking = {"order-unseen": "the study has no conditions for it", "mixed": "the study has no conditions for it"}
    assert {each.test: each.notes for each in results if each.test != "forgetting"} == {
        name: (lacking.get(name.removesuffix("-direct"), "the study has no language with both orders"),)
        for name in TESTS if name != "forgetting"
    }  # fmt: skip


def test_a_stage_in_several_languages_has_no_one_dev_score():
    study = Study(**{**STUDY, "intermediates": [
        "none",
        {"name": "both-then-de", "before": [["qa", "qa.de"]], "tasks": ["qa.de"]},
        {"name": "en-then-both", "before": [["qa"]], "tasks": ["qa", "qa.zh"]},
        {"name": "two-tasks-then-de", "before": [["qa", "nli"]], "tasks": ["qa.de"]},
    ]})  # fmt: skip
    plan = make_plan(study)
    assert plan.stages["two-tasks-then-de"] == (("en",), ("de",))
    records = []
    for name in plan.stages:
        first = Record(run=make_run("intermediate", f"stage-{name}"), metrics=in_both(80.0), provenance=PROVENANCE)
        second = make_run("intermediate", name, parents=(first.id,))
        records += [first, Record(run=second, metrics=in_both(70.0), provenance=PROVENANCE)]
    assert tabulate_dev_scores(records, plan).to_numpy().tolist() == [["two-tasks-then-de", "en", "de", 1, 80.0, 70.0]]


def in_both(score):
    return {code: {"score": score, "n": 100.0} for code in ("en", "de", "zh")}


# --- Tables ----------------------------------------------------------------------------------------------------------


def test_gains_keep_unseen_seen_and_english_apart(evidence):
    table = tabulate_gains(evidence, RULES).set_index(["condition", "languages"])
    assert set(table.loc["en-then-en"].index) == {"unseen", "English"}
    assert set(table.loc["mixed-ru"].index) == {"unseen", "seen", "English"}
    means = evidence.scores[evidence.scores["language"].isin(UNSEEN)].groupby("condition")["score"].mean()
    row = table.loc[("de-then-en", "unseen")]
    assert row["gain"] == pytest.approx(means["de-then-en"] - means["none"])
    assert row["over_english"] == pytest.approx(means["de-then-en"] - means["en-then-en"])
    assert row["low"] < row["gain"] < row["high"]
    assert table.loc[("mixed-ru", "unseen"), "over_english"] == pytest.approx(means["mixed-ru"] - means["en"])
    assert np.isnan(table.loc[("en", "unseen"), "over_english"]) or table.loc[("en", "unseen"), "training"]
    assert np.isnan(table.loc[("en-then-en", "unseen"), "over_english"])


def test_gains_of_kinds_average_their_conditions_in_unseen_languages(evidence):
    table = tabulate_kind_gains(evidence, RULES).set_index("group")
    kinds = ["English twice", "the other twice", "English first", "English last", "mixed"]
    assert table["conditions"].to_dict() == dict(zip(kinds, [1, 3, 3, 3, 3], strict=True))
    assert set(table["rows"]) == {len(UNSEEN)}
    gains = tabulate_gains(evidence, RULES)
    unseen = gains[gains["languages"] == "unseen"].set_index("condition")["gain"]
    last = [f"{code}-then-en" for code in OTHERS]
    assert table.loc["English last", "gain"] == pytest.approx(unseen[last].mean())
    assert table.loc["English last", "low"] < table.loc["English last", "gain"] < table.loc["English last", "high"]
    languages = tabulate_kind_language_gains(evidence)
    assert languages.groupby("group")["gain"].mean().to_dict() == pytest.approx(table["gain"].to_dict())
    without = replace(evidence, scores=evidence.scores[evidence.scores["condition"] != "mixed-de"])
    assert tabulate_kind_gains(without, RULES)["group"].tolist() == kinds[:-1]
    assert tabulate_kind_gains(replace(evidence, scores=evidence.scores.iloc[:0]), RULES).empty


def test_the_effect_by_source_and_by_language(evidence):
    table = tabulate_orders_by_source(evidence, RULES)
    assert table["source"].tolist() == [name for name in ("German", "Russian", "Chinese") for _ in range(3)]
    unseen = table[table["languages"] == "unseen"]
    assert unseen["effect"].mean() == pytest.approx(run_tests(TESTS, evidence, RULES)[0].value)
    assert unseen["rows"].tolist() == [len(UNSEEN)] * 3
    assert describe_sources(table).startswith("Of 9 intervals")
    ordered = unseen.sort_values("effect").to_dict("records")
    ends = [f"{format_effect(row['effect'], row['low'], row['high'], '')} beside {row['source']}" for row in ordered]
    assert describe_single_sources(evidence, RULES) == (
        "It is a mean over 3 languages beside English. Uncorrected, English last minus English first lies, in unseen "
        f"languages, between {ends[0]} and {ends[-1]}."
    )
    languages = tabulate_scores_by_language(evidence).set_index("code")
    assert sorted(languages.index[languages["trained"]]) == ["de", "en", "ru", "zh"]
    kept = evidence.scores[(evidence.scores["language"] == "fi") & (evidence.scores["condition"] == "none")]
    assert languages.loc["fi", "none"] == pytest.approx(kept["score"].mean())
    assert {"English twice", "English first", "English last", "mixed"} <= set(languages.columns)


def test_forgetting_is_told_by_direction(evidence):
    table = tabulate_forgetting(evidence).set_index("condition")
    assert table.loc["de-then-en", ["training", "language", "seeds"]].tolist() == ["German, then English", "German", 3]
    assert table["change"].tolist() == pytest.approx((table["after"] - table["before"]).tolist())
    assert abs(table.loc["en-then-en", "change"]) < 4 < -table.loc["zh-then-en", "change"]
    text = describe_forgetting(evidence)
    assert re.fullmatch(r"English loses \d+\.\d points of .*; a language before English loses \d+\.\d points .*", text)
    gained = replace(evidence, dev=evidence.dev.assign(before=evidence.dev["after"], after=evidence.dev["before"]))
    assert describe_forgetting(gained) == text.replace("loses", "gains")
    one_order = Evidence(PLAN, evidence.scores, evidence.dev[evidence.dev["first"] == "en"])
    assert tabulate_dev_changes(one_order).empty


def test_two_targets_of_other_languages_are_averaged_where_a_language_has_both():
    rows = [
        (name, target, code, 1, score, 10.0)
        for name, more in {"en-then-de": 0.0, "de-then-en": 4.0, "en-then-ru": 0.0, "ru-then-en": 2.0}.items()
        for target, codes in {"mlqa": {"hi": 50, "vi": 40}, "tydiqa": {"hi": 60, "fi": 30}}.items()
        for code, level in codes.items()
        for score in [level + more]
    ]
    stages = {name: STAGES[name] for name in ("none", "en-then-de", "de-then-en", "en-then-ru", "ru-then-en")}
    scores = pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))
    result = TESTS["order-unseen"].estimate(Evidence(Plan(stages), scores, pd.DataFrame()), RULES)
    assert (result.value, result.rows) == (pytest.approx(3.0), 3)


# --- Figures and records ---------------------------------------------------------------------------------------------


def test_figures_show_what_there_is(evidence):
    table = tabulate_gains(evidence, RULES)
    axis = figures.draw_order_gains(table).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(dict.fromkeys(table["training"]))
    shown = figures.draw_order_languages(tabulate_scores_by_language(evidence))
    assert len(shown.axes[0].get_yticks()) == len(UNSEEN) + 4
    changes = tabulate_forgetting(evidence)
    assert len(figures.draw_forgetting(changes).axes[0].get_yticks()) == len(changes)
    for draw, empty in ((figures.draw_order_gains, table), (figures.draw_forgetting, changes)):
        assert draw(empty.iloc[:0]).texts[0].get_text() == "nothing to compare yet"
    assert (
        figures.draw_order_languages(tabulate_scores_by_language(evidence).iloc[:0]).texts[0].get_text()
        == "nothing to compare yet"
    )


STUDY = {
    "name": "order-tiny",
    "title": "A faked study of order",
    "encoder": {"name": "multilingual-e5-small"},
    "seeds": [1, 2],
    "data": {"source_languages": ["de", "zh"]},
    "intermediates": [
        "none",
        {"name": "en-then-en", "before": [["qa"]], "tasks": ["qa"]},
        {"name": "en-then-de", "before": [["qa"]], "tasks": ["qa.de"]},
        {"name": "de-then-en", "before": [["qa.de"]], "tasks": ["qa"]},
        {"name": "en-then-zh", "before": [["qa"]], "tasks": ["qa.zh"]},
        {"name": "zh-then-en", "before": [["qa.zh"]], "tasks": ["qa"]},
        {"name": "mixed-de", "tasks": ["qa", "qa.de"]},
        {"name": "mixed-zh", "tasks": ["qa", "qa.zh"]},
    ],
    "targets": ["command-qa", "command-qa-rooms"],
    "question": {
        "number": 1, "text": "Does it?", "tests": dict.fromkeys(TESTS, "It does."), "headline": "order-unseen",
        "resamples": 100,
    },
}  # fmt: skip


def test_a_study_is_answered_from_its_records_and_without_any_says_how_to_make_them(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "_toc.yml").write_text("")
    (tmp_path / "studies" / "order-tiny.yml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.chdir(tmp_path)
    without = answer_question(open_section(find_checkout(), "order-tiny"))
    assert "stilts run order-tiny" in without.learned.text
    assert (without.learned.verdict, without.checks.empty) == ("could not be tested", True)
    fill(find_checkout(tmp_path), "order-tiny")
    found = answer_question(open_section(find_checkout(), "order-tiny"))
    assert [result.known for result in found.results] == [True] * 8
    # The first stages, which conditions share, are no conditions.
    names = ["none", *(each["name"] for each in STUDY["intermediates"][1:])]
    assert list(found.section.analysis.conditions) == names
    assert found.section.analysis.trained_tasks == {"qa", "qa.de", "qa.zh"}
    assert found.learned.text.startswith("Beside English stand German, Chinese. In 8 languages that")
    assert found.learned.beside.startswith("It is a mean over 2 languages beside English. ")
    assert f" {found.learned.beside} " in found.learned.text
    assert without.learned.beside == ""
    assert found.learned.effect.test == "order-unseen"
    assert len(found.evidence.dev) == 5 * 2
    assert not found.checks.empty


def test_items_that_languages_share_widen_the_interval_of_the_headline(evidence):
    """Redrawn test items move all languages alike, which their spread does not show."""
    moved = redraw(evidence.scores, np.random.default_rng(0))
    redrawn = replace(evidence, redrawn=replace(evidence, scores=moved))
    alone, wider = TESTS["order-unseen"].estimate(evidence, Rules()), TESTS["order-unseen"].estimate(redrawn, Rules())
    assert wider.value == alone.value
    assert wider.high - wider.low > 2 * (alone.high - alone.low)
