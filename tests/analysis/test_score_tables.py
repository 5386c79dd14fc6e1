"""Scores by condition and target, and differences between two conditions, beside the tables of the book's pages."""

from dataclasses import replace
from statistics import mean

import pytest
from faked_study import fill
from tiny_checkout import ENCODER, study_settings, write_checkout

from stilts.analysis.claims import estimate_layer_gains, gather_evidence
from stilts.analysis.effects import average_gains, estimate_gains
from stilts.analysis.gain_tables import tabulate_retrieval
from stilts.analysis.opened import Analysis, open_analysis
from stilts.analysis.score_report import find_best_single
from stilts.analysis.score_tables import average_scores, compare_conditions
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record

CONDITIONS, TARGETS = ["none", "nli", "slots"], ["intent", "slots", "command-qa", "ui-retrieval"]


@pytest.fixture(scope="module")
def analysis(tmp_path_factory) -> Analysis:
    settings = study_settings(
        ENCODER, intermediates=CONDITIONS, targets=TARGETS, seeds=[1, 2],
        data={"suite": "pocket", "languages": ["en", "de", "sw", "fi"]},
    )  # fmt: skip
    here = write_checkout(tmp_path_factory.mktemp("scores") / "checkout", settings)
    fill(here, "tiny", languages=("en", "de", "sw", "fi"))
    return open_analysis(here, "tiny", resamples=200)


def zero_shot(analysis: Analysis, condition: str, target: str) -> list[Record]:
    place = (condition, target)
    return [record for record in analysis.phase("zero-shot") if (record.run.condition, record.run.target) == place]


def test_scores_are_means_over_languages_and_seeds(analysis):
    found = average_scores(analysis)
    assert [(each.condition, each.target) for each in found] == [(name, to) for name in CONDITIONS for to in TARGETS]
    for each in found:
        records = zero_shot(analysis, each.condition, each.target)
        own = [record.metrics[code]["score"] for record in records for code in ("de", "sw", "fi")]
        assert each.score == pytest.approx(mean(own))
        assert (each.languages, each.seeds, each.learned, each.language) == (3, len(records), True, None)


def test_the_best_single_task_is_not_the_one_with_the_luckiest_seed(analysis):
    lucky = analysis.dev_scores.copy()
    own = lucky["target"] == "intent"
    lucky.loc[own & (lucky["condition"] == "nli"), "score"] = [99.0, 50.0]
    lucky.loc[own & (lucky["condition"] == "slots"), "score"] = [80.0, 80.0]
    other = replace(analysis)
    other.__dict__["dev_scores"] = lucky
    assert find_best_single(other, "intent") == ("slots", "English dev")


def leave_one_seed(analysis: Analysis, condition: str) -> Analysis:
    kept = tuple(each for each in analysis.records if (each.run.condition, each.run.seed) != (condition, 2))
    return replace(analysis, records=kept)


def test_a_condition_of_one_seed_beside_others_of_several_is_marked_and_not_the_best_single_task(analysis):
    assert not any(each.fewer_seeds for each in average_scores(analysis))
    other = leave_one_seed(analysis, "slots")
    found = average_scores(other)
    assert [(each.condition, each.target) for each in found if each.fewer_seeds] == [("slots", to) for to in TARGETS]
    by_language = average_scores(other, by_language=True)
    assert {each.condition for each in by_language if each.fewer_seeds} == {"slots"}
    dev = other.dev_scores.copy()
    dev.loc[dev["condition"] == "slots", "score"] = 99.0
    other.__dict__["dev_scores"] = dev
    assert [find_best_single(other, target)[0] for target in TARGETS] == ["nli"] * 4


def test_a_condition_of_one_seed_beside_others_of_several_is_in_no_mean_after_a_layer(analysis):
    both, one = (gather_evidence(each) for each in (analysis, leave_one_seed(analysis, "slots")))
    assert [each.english("ui-retrieval") for each in (both, one)] == [["nli", "slots"], ["nli"]]
    gains = estimate_layer_gains(one, "ui-retrieval")
    assert {each.seeds for each in gains.values()} == {2}
    assert set(tabulate_retrieval(analysis)["condition"]) == set(CONDITIONS)
    assert set(tabulate_retrieval(leave_one_seed(analysis, "slots"))["condition"]) == {"none", "nli"}


def test_scores_by_language_are_means_over_seeds(analysis):
    found = {(each.condition, each.target, each.language): each for each in average_scores(analysis, by_language=True)}
    assert [key[2] for key in found if key[:2] == ("nli", "intent")] == ["de", "en", "fi", "sw"]
    assert [key[2] for key in found if key[:2] == ("nli", "ui-retrieval")] == ["de", "fi", "sw"]
    own = [record.metrics["sw"]["score"] for record in zero_shot(analysis, "nli", "slots")]
    assert found["nli", "slots", "sw"].score == pytest.approx(mean(own))
    assert found["nli", "slots", "sw"].seeds == 2


def test_a_difference_to_the_baseline_is_the_gain_of_the_pages(analysis):
    gains = estimate_gains(analysis.replicates, analysis.failed)
    own = gains[gains["condition"] == "nli"]
    *by_target, whole = compare_conditions(analysis, "nli", "none")
    assert [each.target for each in by_target] == list(own["target"]) == TARGETS
    for each, row in zip(by_target, own.itertuples(), strict=True):
        assert (each.difference, each.low, each.high, each.p) == (row.gain, row.low, row.high, row.p)
        assert (each.first, each.second) == (row.score, row.baseline_score)
        assert (each.targets, each.languages, each.seeds, each.learned) == (1, row.languages, row.seeds, row.learned)
    averaged = average_gains(analysis.counted).set_index("condition").loc["nli"]
    assert (whole.target, whole.first, whole.second, whole.targets, whole.languages) == (None, None, None, 3, 3)
    assert (whole.difference, whole.low, whole.high, whole.p) == tuple(averaged[["gain", "low", "high", "p"]])


def test_the_other_way_round_has_the_other_sign(analysis):
    there, back = (compare_conditions(analysis, *pair, "intent") for pair in (("nli", "slots"), ("slots", "nli")))
    assert [each.target for each in there] == ["intent"]
    assert (there[0].difference, there[0].low) == pytest.approx((-back[0].difference, -back[0].high))


def test_what_was_not_learned_is_marked_and_in_no_mean(analysis):
    records = [at_chance(each) if each.run.slug == "target-nli.slots-s2" else each for each in analysis.records]
    other = replace(analysis, records=tuple(records))
    marks = {(each.condition, each.target): each.learned for each in average_scores(other)}
    assert [place for place, learned in marks.items() if not learned] == [("nli", "slots")]
    *by_target, whole = compare_conditions(other, "nli", "none")
    assert [(each.target, each.learned) for each in by_target] == [
        ("intent", True), ("slots", False), ("command-qa", True), ("ui-retrieval", True),
    ]  # fmt: skip
    assert whole.targets == 2
    assert [each.uncounted for each in by_target[:2]] == ["", other.uncounted["nli", "slots"]]


def test_the_mean_is_taken_without_the_target_of_the_conditions_own_task_too(analysis):
    *by_target, whole, others = compare_conditions(analysis, "slots", "none")
    assert [(each.target, each.same_task) for each in by_target if each.same_task] == [("slots", True)]
    assert (whole.targets - others.targets, whole.same_task, others.same_task) == (1, True, False)


def at_chance(record: Record) -> Record:
    return record.model_copy(update={"metrics": {"en": {"score": 0.0, "n": 200.0}}})


def test_what_cannot_be_compared_is_said(analysis):
    with pytest.raises(UnknownName, match="unknown condition with zero-shot records of study 'tiny' 'nil'.*'nli'"):
        compare_conditions(analysis, "none", "nil")
    with pytest.raises(UnknownName, match="unknown target that both 'none' and 'nli' were tested on 'intnet'"):
        compare_conditions(analysis, "none", "nli", "intnet")
    with pytest.raises(StiltsError, match="both conditions are 'nli'; name two different ones"):
        compare_conditions(analysis, "nli", "nli")
