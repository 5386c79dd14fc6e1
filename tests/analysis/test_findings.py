"""What the landing page says was found: each sentence follows its numbers, whatever they are."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_claims import DEV, LAYERS, TASKS, by_layer, replicates

from stilts.analysis import claims, findings
from stilts.analysis.claims import Evidence, judge_claims
from stilts.analysis.estimates import Estimate
from stilts.analysis.questions.testing import Result
from stilts.analysis.verdicts import Verdict
from stilts.analysis.wording import format_effect, format_signed


def evidence(effects, gains=None, **more):
    drawn = replicates(effects, **more)
    return Evidence("pocket", drawn, DEV, TASKS, by_layer(drawn, gains), layers=LAYERS)


@pytest.mark.parametrize(
    "effects, said",
    [
        ({"nli": 0.15, "qa": 0.2}, "2 English intermediate tasks, Inference and Questions help other targets"),
        ({"nli": 0.15}, "of 2 English intermediate tasks, Inference helps other targets on average**"),
        ({"nli": -0.15}, "none helps other targets on average, and Inference harms them**"),
        ({"nli": -0.15, "qa": -0.15}, "helps other targets on average, and Inference and Questions harm them"),
        ({"nli": -0.15, "qa": 0.15}, "Questions helps other targets on average, and Inference harms them"),
    ],
)
def test_the_average_is_said_as_it_came_out(effects, said):
    text = findings.describe_average(evidence(effects), "Here")
    assert text.startswith("**Here (7 languages besides English, 8 seeds), ")
    assert said in text


def test_where_no_target_is_tested_in_english_every_language_is_one_besides_it(monkeypatch):
    monkeypatch.setattr("test_claims.LANGUAGES", ("de", "hi", "sw"))
    text = findings.describe_average(evidence({"nli": 0.15}), "Here")
    assert text.startswith("**Here (3 languages besides English, 8 seeds), ")


def test_the_average_leaves_out_targets_of_the_same_task():
    table = findings.estimate_gains_on_other_tasks(evidence({("nli", "command-nli"): 0.4, ("qa", "command-qa"): 0.4}))
    assert table["condition"].tolist() == ["nli", "qa", "multi"]
    assert table["targets"].tolist() == [4, 4, 3]
    assert (table["gain"].abs() < 3).all()
    text = findings.describe_average(evidence({"qa": -0.2, "nli": 0.2, "multi": 0.1}), "Here")
    assert " points (Inference)" in text
    assert "(Questions) and +" in text
    assert "all 2 tasks together gain +" in text
    assert " on 5 targets, 2 of them tasks that they train on" in text


def test_a_mean_changes_targets_only_where_it_does_with_trainings_that_stayed_at_chance():
    drawn = replicates({"nli": 0.13, ("nli", "command-qa"): -0.4})
    learned = {**drawn, "command-qa": drawn["command-qa"].only(["none", "qa", "multi"])}
    alone = Evidence("pocket", learned, DEV, TASKS, layers=LAYERS)
    both = replace(alone, with_failures=drawn)
    rows = [findings.estimate_gains_on_other_tasks(each).set_index("condition").loc["nli"] for each in (alone, both)]
    assert [row["survives_holm"] for row in rows] == [True, False]
    assert [row["gain"] for row in rows] == [rows[0]["gain"]] * 2
    every = findings.estimate_gains_on_other_tasks(Evidence("pocket", drawn, DEV, TASKS, layers=LAYERS))
    assert rows[1]["with_failures"] == every.set_index("condition").loc["nli", "gain"]
    assert rows[0]["with_failures"] == rows[0]["gain"]


def test_nothing_is_said_of_nothing_and_one_seed_says_nothing_of_another():
    empty = Evidence("pocket", {}, DEV, {"none": ()}, pd.DataFrame())
    for describe in (findings.describe_average, findings.describe_choice, findings.describe_same_task,
                     findings.describe_retrieval, findings.describe_masked_words):  # fmt: skip
        assert describe(empty, "Here") == findings.NOTHING_RECORDED
    assert findings.describe_questions([], "here") == findings.NOTHING_RECORDED


@pytest.mark.parametrize(
    "effect, said",
    [(0.2, "**Here, more English examples of the target's own task help**: +"),
     (-0.2, "own task harm**: \N{MINUS SIGN}"), (0.0, "own task do not clearly help**: ")],
)  # fmt: skip
def test_the_same_task_is_said_as_it_came_out(effect, said):
    found = evidence({("nli", "command-nli"): effect, ("qa", "command-qa"): effect})
    assert said in findings.describe_same_task(found, "Here")


@pytest.mark.parametrize(
    "gains, said",
    [
        ({7: 20.0, 12: -20.0}, "gains in the middle of the encoder and loses at its end**: after layer 7 of 12"),
        ({7: 20.0, 12: 20.0}, "gains, in the middle of the encoder as at its end**"),
    ],
)
def test_retrieval_is_said_by_layer(gains, said):
    found = evidence({}, {name: gains for name in ("nli", "qa", "multi")})
    assert findings.describe_retrieval(found, "Here").startswith(f"**Here, retrieval {said}")


def test_retrieval_that_was_not_tested_in_the_middle_is_said():
    frozen = dict.fromkeys(("nli", "qa", "multi"), 6)
    found = replace(evidence({}, {name: {7: 0.5, 12: -20.0} for name in frozen}), frozen_layers=frozen)
    said = findings.describe_retrieval(found, "Here")
    assert said.startswith("**Here, retrieval loses at the encoder's end**: \N{MINUS SIGN}")
    why = "intermediate training moved 1 of the 7 layers up to the one that is read"
    assert f"What happens after layer 7 of 12, as deep as the paper's, was not tested: {why} (+" in said


@pytest.mark.parametrize(
    "effect, said", [(0.3, "raises"), (-0.3, "lowers"), (0.0, "does not clearly change")]
)
def test_what_english_dev_chooses_is_said_as_it_came_out(effect, said):
    text = findings.describe_choice(evidence({"nli": effect, "qa": effect, "multi": effect}), "Here")
    start = "**Here, the intermediate task that English dev chooses for each target"
    assert text.startswith(f"{start} {said} test scores on average**: ")
    assert ", mean over 2 targets. " in text


def test_the_targets_on_which_the_choice_changes_scores_are_named():
    drawn = evidence({("qa", "intent"): 0.3})
    chosen = claims.choose_on_dev(drawn)
    assert chosen == {"intent": "qa", "command-qa": "nli"}
    first, rest = (claims.estimate_choice(drawn, {name: chosen[name]}) for name in ("intent", "command-qa"))
    said = findings.describe_choice(drawn, "Here").partition(" targets. ")[2]
    other = format_effect(rest.value, rest.low, rest.high)
    assert said == (
        f"Of single targets, the interval excludes zero on Intents ({format_signed(first.value)}); the mean over the "
        f"others is {other}."
    )
    none = findings.describe_choice(evidence({}), "Here")
    assert none.endswith(" None of these gains has an interval that excludes zero.")


def test_a_mean_that_one_target_moves_alone_is_said_to():
    drawn = evidence({("nli", "intent"): 0.6, "qa": 0.2})
    left = findings.leave_leading_target_out(drawn, "nli")
    others = drawn.others("nli", drawn.targets_of("nli"))
    assert (left.target, left.rises, left.stands) == ("intent", True, False)
    assert left.effect == claims.estimate_mean_gain(drawn, "nli", [name for name in others if name != "intent"])
    assert findings.leave_leading_target_out(drawn, "qa").stands
    said = findings._say_moved(drawn, [left, findings.leave_leading_target_out(drawn, "qa")])
    assert said == "Questions helps other targets on average, and Inference raises their average by Intents alone"
    alone = replace(drawn, replicates={"intent": drawn.replicates["intent"]})
    only = findings.leave_leading_target_out(alone, "nli")
    assert (only.effect, only.stands) == (None, False)
    said = "leaving out the target that moves each most, Inference has Intents alone"
    assert findings._say_left(alone, [only]) == said


@pytest.mark.parametrize(
    "effect, said", [(-0.3, "lose points"), (0.3, "gain points"), (0.01, "make no clear difference")]
)
def test_masked_words_are_said_as_they_came_out(effect, said):
    tasks = {**TASKS, "nli-mlm": ("nli", "mlm")}
    drawn = replicates({"nli-mlm": effect}, conditions=tasks)
    text = findings.describe_masked_words(Evidence("pocket", drawn, DEV, tasks, layers=LAYERS), "Here")
    assert text.startswith(f"**Here, masked words of many languages mixed in {said}**: beside Inference ")
    assert ") over 5 targets (" in text
    assert " on 3 targets that train and " in text


@pytest.mark.parametrize(
    "rows, said",
    [
        ([(-2.0, True), (2.0, True)], "gain and lose points"),
        ([(-2.0, True), (-1.0, False)], "lose points beside 1 of 2 tasks"),
        ([(-2.0, False)], "make no clear difference"),
    ],
)
def test_masked_words_may_change_scores_both_ways_or_beside_some_tasks(rows, said):
    assert findings._say_difference(pd.DataFrame(rows, columns=["difference", "survives_holm"])) == said


@pytest.mark.parametrize(
    "low, high, said",
    [(0.5, 1.5, "hardly changes"), (0.5, 2.5, "gains"), (-9.0, -0.1, "loses"), (-3.0, 1.0, "does not clearly change")],
)
def test_a_change_is_named_by_its_interval(low, high, said):
    assert findings._change(Estimate((low + high) / 2, low, high, 0.5)) == said


def answered(hypothesis, verdict, beside=""):
    effect = Result.of(Estimate(1.0, 0.5, 1.5, 0.01), 5, hypothesis=hypothesis)
    section = SimpleNamespace(analysis=SimpleNamespace(recorded=True))
    return SimpleNamespace(section=section, learned=SimpleNamespace(effect=effect, verdict=verdict, beside=beside))


def test_questions_with_an_answer_are_named():
    unclear = answered("Order matters.", Verdict.UNCLEAR)
    yes = answered("Far languages lose more.", Verdict.SUPPORTED, "By target: all.")
    said = findings.describe_questions([unclear, unclear], "on short commands")
    assert said.startswith("**None of this study's own 2 questions has an answer on short commands yet**: ")
    assert findings.describe_questions([unclear, yes], "on short commands") == (
        "**By the tests that stand for them, 1 of this study's own 2 questions has an answer on short commands.** "
        "Hypothesis: *Far languages lose more.* Supported: +1.0 points (+0.5 to +1.5). By target: all."
    )


def test_verdicts_stand_beside_the_published_effects():
    ledgers = {"here": judge_claims(evidence({"nli": 0.2, "qa": 0.2, "multi": 0.3}))}
    titles = {"here": {"nli": "Inference", "qa": "Questions"}}
    table = findings.tabulate_verdicts(ledgers, titles)
    assert table["id"].tolist() == ["C1", "C2", "C3", "C4", "C5", "C6"]
    assert [told.partition(" (")[0] for told in table["here"]] == [str(claim.verdict) for claim in ledgers["here"]][:6]
    assert table["here"].tolist()[:2] == ["supported", "supported"]
    lost = judge_claims(evidence({("multi", "command-nli"): -0.4}))
    worse = judge_claims(evidence({"nli": -0.03, "qa": -0.03}))
    told = findings.tabulate_verdicts({"here": worse}, titles)["here"].iloc[0]
    assert told == "cannot tell (not as claimed; whether points are lost is open)"
    told = findings.tabulate_verdicts({"here": lost}, titles).set_index("id")["here"]
    assert told["C2"] == "contradicted (not as claimed in 1 of its 2 parts: over no intermediate task)"
    split = judge_claims(evidence({"nli": 0.2, ("qa", "command-nli"): -0.5}))
    told = findings.tabulate_verdicts({"here": split}, titles).set_index("id")["here"]
    halves = ("as claimed in 1 of its 2 parts: inference", "not as claimed in 1 of its 2 parts: questions")
    assert told["C1"] == f"contradicted ({'; '.join(halves)})"
    mixed = judge_claims(evidence({"nli": 0.2}))
    told = findings.tabulate_verdicts({"here": mixed}, titles).set_index("id")["here"]
    assert told["C1"] == "cannot tell (as claimed in 1 of its 2 parts: inference)"
    html = findings.show_verdicts(table).data
    assert '<span class="verdict could-not-be-tested">could not be tested</span>' in html
    assert np.all([claim in html for claim in table["claim"]])
