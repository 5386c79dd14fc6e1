"""Question 2 on faked scores: known slopes are found, and none where none was planted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from redrawing import redraw
from scipy import stats

from stilts.analysis.bootstrap import align, resample
from stilts.analysis.correlations import compute_partial_correlation
from stilts.analysis.languages.facts import DISTANCES, get_language, read_languages
from stilts.analysis.questions.distance import (
    CHANGE,
    CONTROLS,
    FERTILITY,
    GAP,
    OUTCOMES,
    RELATIVE,
    SHARE,
    TESTS,
    Evidence,
    combine,
    estimate_mean_outcome,
    find_narrow_targets,
    gather,
    standardise_predictors,
    tabulate_example_noise,
    tabulate_predictors,
)
from stilts.analysis.questions.distance_answer import (
    compute_variance_inflation,
    describe_collinearity,
    describe_correlations,
    describe_design,
    describe_families,
    describe_noise,
    describe_notes,
    describe_slope_parts,
    describe_slopes,
    find_widely_known,
    fit_joint_models,
    fit_lines,
    fit_slopes_in_one_model,
    group_by_family,
    leave_one_family_out,
    measure_reliability,
    tabulate_collinearity,
    tabulate_correlations,
    tabulate_language_means,
    tabulate_slopes_by_target,
)
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS
from stilts.analysis.questions.sentences import describe_caveats
from stilts.analysis.questions.testing import Rules, run_tests, tabulate_verdicts
from stilts.analysis.wording import format_effect, format_signed
from stilts.publish.figures.questions import draw_distance_scatter
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import open_plan

ROOT = Path(__file__).parents[2]
ENCODER = "multilingual-e5-small"
CODES = [
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "es", "eu", "fi", "fr", "ga", "gl", "he", "hi", "hu",
    "is", "it", "ko", "lt", "lv", "ml", "nb", "nl", "pl", "pt", "ro", "ru", "sl", "sr", "sv", "th", "uk", "vi",
]  # fmt: skip
TARGETS = ("intent", "command-nli")
FAKES = 200
FEWEST, MOST = stats.binom.ppf([0.0005, 0.9995], FAKES, 0.05)
RULES = Rules({"gap-syntactic": "g", "gap-syntactic-controlled": "gc", "change-syntactic": "c"}, resamples=200)
PREDICTORS = tabulate_predictors(CODES, ENCODER)
SYNTACTIC = standardise_predictors(PREDICTORS[["syntactic"]])["syntactic"]


def scores(generator, gap=0.0, change=0.0, targets=TARGETS, conditions=("none", "nli", "qa"), seeds=3, codes=CODES):
    """Fake scores: the gap grows by `gap` points a standard deviation of syntactic distance, and after intermediate
    training by `change` points more, beside the luck of languages, of seeds, and of single runs."""
    parts = []
    far = SYNTACTIC[codes].to_numpy()
    luck, own = generator.normal(0, 6, len(codes)), generator.normal(0, 3, len(codes))
    for target in targets:
        level = 60 + generator.normal(0, 5)
        for condition in conditions:
            after = condition != "none"
            for seed in range(1, seeds + 1):
                seed_luck, seed_slope = generator.normal(0, 1), generator.normal(0, 0.5)
                lost = 20 + luck + (gap + change * after + seed_slope) * far + own * after
                values = level - lost + seed_luck + generator.normal(0, 4, len(codes))
                english = level + generator.normal(0, 4)
                parts += [(condition, target, code, seed, score, 30.0)
                          for code, score in zip([*codes, "en"], [*values, english], strict=True)]  # fmt: skip
    return pd.DataFrame(parts, columns=list(OUTCOME_COLUMNS))


@pytest.fixture(scope="module")
def fake():
    return scores(np.random.default_rng(0), gap=5.0, change=-4.0)


@pytest.fixture(scope="module")
def evidence(fake):
    return gather(fake, ENCODER)


# --- Evidence --------------------------------------------------------------------------------------------------------


def test_the_outcomes_are_kept_apart():
    table = pd.DataFrame(
        [
            (condition, "intent", language, 1, score, 30.0)
            for condition, of in {
                "none": {"en": 80, "de": 70, "hi": 50}, "nli": {"en": 90, "de": 85, "hi": 50},
                "qa": {"en": 70, "de": 65, "hi": 50},
            }.items()
            for language, score in of.items()
        ],
        columns=["condition", "target", "language", "seed", "score", "n"],
    )  # fmt: skip
    found = gather(table, ENCODER)
    assert found.conditions == ("nli", "qa")
    gap, share, change = (found.outcome(name)[1].to_dict() for name in (GAP, RELATIVE, CHANGE))
    assert gap == pytest.approx({"de": 5, "hi": 30})  # the mean of nli and qa
    assert change == pytest.approx({"de": -5, "hi": 0})
    assert (found.lead, share) == (80, pytest.approx({"de": 6.25, "hi": 37.5}))  # of English's 80
    guessed = gather(table, ENCODER, guessed={"intent": 20.0})
    assert (guessed.lead, guessed.outcome(RELATIVE)[1].to_dict()) == (60, pytest.approx({"de": 100 / 12, "hi": 50}))
    assert gather(table, ENCODER, ["nli"]).outcome(GAP)[1].to_dict() == pytest.approx({"de": 5, "hi": 40})
    partly = table[(table["condition"] != "qa") | (table["target"] != "intent")]
    more = pd.concat([table, partly.assign(target="command-nli")])
    assert gather(more, ENCODER).conditions == ("nli",)


def test_a_target_whose_english_score_is_near_guessing_is_named_with_its_least_lead():
    rows = [("none", "intent", 1, 60.0, 5.0), ("nli", "intent", 1, 40.0, 5.0), ("nli", "intent", 2, 20.0, 5.0),
            ("none", "xquad", 1, 20.0, 5.0), ("none", "slots", 1, 70.0, 5.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["condition", "target", "seed", "score", "chance"])
    # MLQA is trained as XQuAD is.
    assert find_narrow_targets(table, 26) == {"intent": 25.0, "xquad": 15.0, "mlqa": 15.0}
    assert find_narrow_targets(table, 25) == {"xquad": 15.0, "mlqa": 15.0}
    assert find_narrow_targets(table, 0) == {}


def test_evidence_needs_a_baseline_a_condition_and_english(fake):
    with pytest.raises(StiltsError, match="needs condition 'none' and an intermediate one.* found scores of nli, qa"):
        gather(fake[fake["condition"] != "none"], ENCODER)
    with pytest.raises(StiltsError, match="found scores of none"):
        gather(fake[fake["condition"] == "none"], ENCODER)
    with pytest.raises(StiltsError, match="no target task with records is tested in English"):
        gather(fake[fake["language"] != "en"], ENCODER)


def test_a_target_that_few_languages_have_does_not_tilt_the_average():
    """French alone has the harder target: its gap there is what that target does to German, not what French does."""
    first = pd.DataFrame({1: [10.0, 20.0]}, index=["de", "hi"])
    second = pd.DataFrame({1: [40.0, 35.0]}, index=["de", "fr"])
    assert combine({"a": first, "b": second})[1].to_dict() == pytest.approx({"de": 25, "fr": 20, "hi": 35})
    assert combine({"a": first, "b": first + 4})[1].to_dict() == pytest.approx({"de": 12, "hi": 22})
    with pytest.raises(StiltsError, match="targets a, b share too few languages"):
        combine({"a": first, "b": second.drop(index="de")})


def test_predictors_of_languages():
    table = tabulate_predictors(["de", "hr", "lb", "zh"], ENCODER)
    assert list(table.columns) == [*DISTANCES, *CONTROLS]
    assert table[SHARE].round(2).to_dict() == {"de": 6.06, "hr": 4.36, "lb": -3.32, "zh": 5.99}  # lb: none listed
    assert table["syntactic"].isna().to_dict() == {"de": False, "hr": True, "lb": False, "zh": False}
    assert table[FERTILITY].isna().to_dict() == {"de": False, "hr": False, "lb": True, "zh": False}
    assert tabulate_predictors(["de"], "an-encoder-not-measured")[FERTILITY].isna().all()


def test_pretraining_text_is_that_of_the_published_table():
    sizes = {code: get_language(code).cc100 for code in ("en", "ru", "zh", "my", "sw", "bs", "yo", "nn")}
    assert sizes == {"en": 300.8, "ru": 278.0, "zh": 63.5, "my": 2.0, "sw": 1.6, "bs": 0.1, "yo": 0.0, "nn": None}
    total = sum(row.cc100 or 0 for row in read_languages().values())
    assert 2350 < total < 2500  # "more than two terabytes", 2.5 TB


# --- Effects ---------------------------------------------------------------------------------------------------------


def test_known_slopes_are_found_with_their_sign_and_size():
    generator = np.random.default_rng(1)
    found = [run_tests(TESTS, gather(scores(generator, 5.0, -4.0), ENCODER), RULES) for _ in range(12)]
    means = np.mean([[result.value for result in results] for results in found], axis=0)
    assert means == pytest.approx([1.0, 1.0, -4.0], abs=0.8)  # after training the gap grows by 5 - 4 = 1
    signs = [np.sign(results[2].value) for results in found]
    assert signs == [-1.0] * 12
    assert sum(results[2].low <= -4.0 <= results[2].high for results in found) >= 10


def test_a_gap_that_distance_makes_is_a_yes_and_a_change_that_it_does_not_make_is_none():
    results = run_tests(TESTS, gather(scores(np.random.default_rng(3), gap=8.0), ENCODER), RULES)
    table = tabulate_verdicts(results, RULES)
    assert table["verdict"].tolist() == ["supported", "supported", "no effect that matters"]
    assert results[0].unit == "points for a standard deviation"
    assert "`gap-syntactic`" not in describe_caveats(results)


@pytest.mark.parametrize("test", ["gap-text", "relative-text"])
def test_a_slope_on_text_is_positive_where_languages_with_less_text_are_farther_behind(test):
    text = tabulate_predictors(CODES, ENCODER)[SHARE]
    behind = pd.DataFrame({seed: -5 * (text - text.mean()) / text.std(ddof=0) + 30 for seed in (1, 2)})
    behind += np.random.default_rng(0).normal(0, 1, behind.shape)
    found = replace(gather(scores(np.random.default_rng(3)), ENCODER), by_outcome={GAP: behind, RELATIVE: behind})
    rules = Rules({test: "Languages with less text are farther behind."}, smallest_effect=1.0)
    (result,) = results = run_tests(TESTS, found, rules)
    assert result.value == pytest.approx(5.0, abs=0.5)
    assert tabulate_verdicts(results, rules)["verdict"].tolist() == ["supported"]
    assert result.unit.endswith("for a standard deviation less")


def outcomes_without_a_slope(generator):
    """Return evidence as `gather` makes it of `scores` without slopes, without the tables between."""

    def drawn(by_language, by_seed, residual):
        values = generator.normal(15, by_language, (len(CODES), 1)) + generator.normal(0, by_seed, 3)
        values = values + generator.normal(0, by_seed / 2, 3) * SYNTACTIC[CODES].to_numpy()[:, None]
        return pd.DataFrame(values + generator.normal(0, residual, values.shape), index=CODES, columns=[1, 2, 3])

    tables = {GAP: drawn(6, 1, 4), CHANGE: drawn(3, 1.5, 5)}
    return Evidence(tables, {}, 60.0, PREDICTORS, ("nli",))


def test_without_a_slope_the_tests_are_positive_about_as_often_as_they_say():
    generator = np.random.default_rng(2)
    positive = np.zeros(3)
    for _ in range(FAKES):
        results = run_tests(TESTS, outcomes_without_a_slope(generator), RULES)
        positive += [result.p < 0.05 for result in results]
    assert (positive >= FEWEST).all(), positive
    assert (positive <= MOST).all(), positive


def test_from_scores_without_a_slope_few_are_positive():
    generator = np.random.default_rng(2)
    fakes = [gather(scores(generator, targets=("intent",), conditions=("none", "nli")), ENCODER) for _ in range(25)]
    positive = sum(result.p < 0.05 for fake in fakes for result in run_tests(TESTS, fake, RULES))
    assert positive <= stats.binom.ppf(0.9995, 75, 0.05)


def test_a_study_may_choose_any_distance_and_is_told_where_too_few_languages_have_it(evidence):
    kinds = [f"{distance}{suffix}" for distance in DISTANCES for suffix in ("", "-controlled")]
    assert set(TESTS) == {f"{outcome}-{kind}" for outcome in OUTCOMES for kind in ("text", *kinds)}
    few = replace(evidence, by_outcome={GAP: evidence.outcome(GAP).iloc[:3]})
    result = run_tests(TESTS, few, Rules({"gap-genetic-controlled": "?"}))[0]
    assert not result.known
    assert result.unit == "points for a standard deviation"
    assert result.notes[0].startswith("3 of 3 rows have all that the test needs, of 5 at least")


# --- Correlations ----------------------------------------------------------------------------------------------------


def test_partial_correlations_are_those_of_residuals():
    values = np.random.default_rng(0).normal(size=(30, 4))
    values[:, 1] += values[:, 2]
    left = [values[:, i] - np.polyval(np.polyfit(values[:, 2], values[:, i], 1), values[:, 2]) for i in (0, 1)]
    assert compute_partial_correlation(values[:, :3]) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert compute_partial_correlation(values[:, :2]) == pytest.approx(stats.pearsonr(*values[:, :2].T).statistic)
    assert compute_partial_correlation(values[:, :2], "rank") == pytest.approx(stats.spearmanr(values[:, :2]).statistic)
    assert compute_partial_correlation(np.stack([values, values + 1])).shape == (2,)


def test_correlations_that_cannot_be_are_missing():
    x = np.arange(8.0)
    assert compute_partial_correlation(np.column_stack([x, -x])) == pytest.approx(-1)
    assert np.isnan(compute_partial_correlation(np.column_stack([x, np.ones(8)])))
    assert np.isnan(compute_partial_correlation(np.column_stack([x, x**2, 2 * x])))


def test_the_table_of_correlations(evidence):
    table = tabulate_correlations(evidence, RULES)
    assert len(table) == 3 * 2 * (len(DISTANCES) + 2)
    row = table[(table["outcome"] == "change") & (table["predictor"] == "syntactic") & (table["kind"] == "linear")]
    row = row.iloc[0]
    assert row["low"] < row["r"] < row["high"] < 0
    assert row["partial_low"] < row["partial"] < row["partial_high"] < 0
    assert (row["languages"], row["partial_languages"]) == (len(CODES), len(CODES))
    assert np.isnan(row["r_noise_free"])
    assert "syntactic (\N{MINUS SIGN}0." in describe_correlations(table).splitlines()[2]


def test_noise_of_examples_lowers_what_is_reliable():
    outcome = pd.DataFrame({1: [0.0, 10.0, 20.0], 2: [0.0, 10.0, 20.0]}, index=["de", "fr", "hi"])
    assert measure_reliability(outcome, pd.Series(25.0, index=outcome.index)) == pytest.approx(0.75)
    assert measure_reliability(outcome, pd.Series(200.0, index=outcome.index)) == 0.0
    assert np.isnan(measure_reliability(outcome, None))


def test_noise_of_examples_is_that_of_a_mean_of_so_many():
    generator = np.random.default_rng(0)
    codes = ["de", "en", "fr", "hi"]

    def answers():
        return pd.DataFrame(
            {"language": np.repeat(codes, 50), "example": np.tile(np.arange(50), 4)}
            | {"matches": (generator.random(200) < 0.6).astype(float), "predicted": 1.0, "gold": 1.0}
        )

    runs = {("none", 1): answers(), ("nli", 1): answers()}
    replicates = resample({"intent": align("intent", runs)}, 2000, np.random.default_rng(0))
    table = pd.concat(
        frame.groupby("language")["matches"].mean().mul(100).rename("score").reset_index()
        .assign(condition=condition, target="intent", seed=seed, n=50.0)
        for (condition, seed), frame in runs.items()
    )  # fmt: skip
    found = gather(table, ENCODER)
    noise = tabulate_example_noise(replicates, found)
    assert list(noise.index) == ["de", "fr", "hi"]
    assert noise["gap"].mean() == pytest.approx(100**2 * 0.24 / 50, rel=0.25)
    assert noise["change"].mean() == pytest.approx(2 * 100**2 * 0.24 / 50, rel=0.25)
    assert (noise["relative"] / noise["gap"]).tolist() == pytest.approx([(100 / found.lead) ** 2] * 3)
    free = tabulate_correlations(found, Rules(resamples=20), noise)
    assert free["r_noise_free"].isna().all()  # three languages are too few, or all of it is noise
    assert "percent of the variance of the gap" in describe_noise(found, noise)


# --- All distances at once -------------------------------------------------------------------------------------------


def test_collinearity_is_shown():
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(60, 2)), columns=["a", "b"])
    table["c"] = table["a"] + 0.1 * generator.normal(size=60)
    inflation = compute_variance_inflation(table)
    assert inflation["b"] < 1.2
    assert inflation["a"] > 50
    assert compute_variance_inflation(table.assign(d=table["a"] + table["b"])).tolist() == [np.inf] * 4
    assert compute_variance_inflation(table[["b"]]).tolist() == pytest.approx([1.0])
    assert compute_variance_inflation(table.iloc[:2]).isna().all()


def test_the_joint_models(evidence):
    known = find_widely_known(evidence)
    assert "syntactic" in known
    assert "phonological" not in known  # of 21 of 37 languages
    shown = tabulate_collinearity(evidence).set_index("predictor")
    assert shown.loc["syntactic", "known"] == len(CODES)
    assert np.isnan(shown.loc["phonological", "inflation"])
    assert shown.loc["syntactic", "syntactic"] == pytest.approx(1.0)
    assert "say much the same" in describe_collinearity(shown.reset_index())
    table, notes = fit_joint_models(evidence, RULES)
    rows = table[(table["outcome"] == "change") & (table["model"] == "widely known")]
    assert rows["predictor"].tolist() == [*known, *CONTROLS]
    assert rows["languages"].nunique() == 1
    assert (rows["low"] < rows["slope"]).all()
    assert any("predictors, too few for the model" in note for note in notes) or "all distances" in set(table["model"])


# --- Families --------------------------------------------------------------------------------------------------------


def test_families_and_branches():
    assert group_by_family(["de", "hi", "sv", "eu", "fi"]) == {
        "Basque (isolate)": ["eu"],
        "Indo-European": ["de", "hi", "sv"],
        "Indo-European: Germanic": ["de", "sv"],
        "Indo-European: Indo-Iranian": ["hi"],
        "Uralic": ["fi"],
    }


def test_each_family_is_left_out_once(evidence):
    results = run_tests(TESTS, evidence, RULES)
    table = leave_one_family_out(evidence, results, RULES)
    titles = {each.test: each.effect for each in results}
    first = table[table["test"] == "change-syntactic"]
    assert first["without"].tolist() == ["none", *group_by_family(CODES)]
    assert first["slope"].iloc[0] == pytest.approx(results[2].value)
    germanic = first[first["without"] == "Indo-European: Germanic"].iloc[0]
    assert (germanic["left_out"], germanic["languages"]) == (7, len(CODES) - 7)
    assert "- slope of the change of the gap on syntactic distance: keeps its sign" in describe_families(table, titles)


def test_a_slope_is_taken_apart_by_target_by_shared_languages_and_by_family():
    generator = np.random.default_rng(0)
    parts = [scores(generator, gap=5.0, targets=["intent"]), scores(generator, targets=["slots"], codes=CODES[:30])]
    found = gather(pd.concat(parts), ENCODER)
    (result,) = run_tests(TESTS, found, Rules({"gap-syntactic": "g"}))
    said = describe_slope_parts(found, RULES, TESTS["gap-syntactic"], result)

    def effect(each, unit="points for a standard deviation"):
        return format_effect(each.value, each.low, each.high, unit)

    alone = [TESTS["gap-syntactic"].estimate(found.of_target(name), RULES) for name in ("intent", "slots")]
    assert [each.rows for each in alone] == [len(CODES), 30]
    assert said.startswith(f"By target, uncorrected: Intents {effect(alone[0], '')}; Slots {effect(alone[1], '')}. ")
    shared = gather(pd.concat([part[part["language"].isin([*CODES[:30], "en"])] for part in parts]), ENCODER)
    (again,) = run_tests(TESTS, shared, Rules({"gap-syntactic": "g"}))
    assert f" Over the 30 languages that all targets have it is {effect(again)}. " in said
    families = leave_one_family_out(found, [result], RULES)
    least = families[families["without"] != "none"]["slope"].min()
    assert f", the family or branch that it rests on most, it is {format_signed(least)} points" in said
    (change,) = run_tests(TESTS, found, Rules({"change-syntactic": "c"}))
    assert said.endswith(f" Intermediate training changes the slope of the gap by {effect(change)}.")


def test_slopes_by_target_and_condition(fake, evidence):
    table = tabulate_slopes_by_target(fake, evidence, RULES, "syntactic")
    assert table[["target", "condition"]].to_numpy().tolist() == [
        [target, condition] for target in TARGETS for condition in ("none", "nli", "qa")
    ]
    assert table["slope"].iloc[0] == pytest.approx(5.0, abs=3)
    assert (table["english"] > 40).all()


def test_english_items_widen_the_slopes_of_each_target_and_condition(fake, evidence):
    """Where the redrawn items of English favour far languages in some draws and near ones in others."""
    alone = tabulate_slopes_by_target(fake, evidence, RULES, "syntactic")
    far = SYNTACTIC.to_dict()
    generator = np.random.default_rng(0)
    draws = [
        fake[fake["seed"] == 1].assign(seed=draw, score=lambda rows, by=by: rows["score"] + by * rows["language"].map(
            lambda code: far.get(code, 0.0)))
        for draw, by in enumerate(generator.normal(0, 10, 100), 1)
    ]  # fmt: skip
    wider = tabulate_slopes_by_target(fake, evidence, RULES, "syntactic", pd.concat(draws))
    assert wider["slope"].tolist() == alone["slope"].tolist()
    assert (wider["high"] - wider["low"] > 2 * (alone["high"] - alone["low"])).all()


def test_slopes_of_targets_in_one_model_are_those_that_were_planted():
    generator, far = np.random.default_rng(4), SYNTACTIC[CODES].to_numpy()
    noise = generator.normal(0, 3, (len(CODES), 1))

    def drawn(slope):
        values = 20 + slope * far[:, None] + noise + generator.normal(0, 2, (len(CODES), 4))
        return pd.DataFrame(values, index=CODES, columns=[1, 2, 3, 4])

    for slopes in ((6.0, 0.0), (3.0, 3.0)):
        tables = dict(zip(TARGETS, map(drawn, slopes), strict=True))
        found = Evidence({}, {GAP: tables}, 60.0, PREDICTORS, ("nli",))
        table, notes = fit_slopes_in_one_model(found, RULES, (SHARE, "syntactic"))
        assert table[["predictor", "target"]].to_numpy().tolist() == [
            [name, target] for name in (SHARE, "syntactic") for target in TARGETS
        ]
        rows = table[table["predictor"] == "syntactic"].set_index("target")
        assert rows["slope"].to_dict() == pytest.approx(dict(zip(TARGETS, slopes, strict=True)), abs=1.5)
        assert ((rows["low"] < rows["slope"]) & (rows["slope"] < rows["high"])).all()
        assert (rows["p_alike"] < 0.001).all() == (slopes[0] != slopes[1])
        said = describe_slopes(table)
        assert said.startswith("On pretraining text the targets' slopes ")
        assert "are not told apart" in describe_slopes(table, level=1.0)
        verdict = "differ" if slopes[0] != slopes[1] else "are not told apart"
        assert f"On syntactic distance the targets' slopes {verdict}" in said


def test_a_sentence_on_slopes_names_those_of_all_targets():
    table = pd.DataFrame({"predictor": ["writing"] * 2, "target": ["intent", "dates"], "slope": [3.0, -1.0],
                          "p_alike": [0.5] * 2})  # fmt: skip
    assert describe_slopes(table) == (
        "On writing distance the targets' slopes are not told apart (p 0.500): `intent` +3.0, `dates` "
        "\N{MINUS SIGN}1.0."
    )


def test_what_fits_reported_is_listed():
    assert describe_notes(["a did not converge", "b is singular"]) == (
        "The fits reported:\n\n- a did not converge.\n- b is singular."
    )
    assert describe_notes([]) == "Every fit converged."


# --- Figure and sentences --------------------------------------------------------------------------------------------


def test_the_scatter_names_every_language_once_a_panel(evidence):
    table, axes = tabulate_language_means(evidence), {SHARE: "text", "syntactic": "distance"}
    figure = draw_distance_scatter(table, axes, fit_lines(evidence, list(axes)))
    assert [axis.get_xlabel() for axis in figure.axes] == ["text", "distance"]
    names = sorted(table["name"])
    for axis in figure.axes:
        assert sorted(text.get_text() for text in axis.texts) == names
        boxes = [text.get_window_extent() for text in axis.texts]
        pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert not [1 for a, b in pairs if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1]
    empty = draw_distance_scatter(table.assign(syntactic=np.nan), {"syntactic": "distance"}, {})
    assert empty.texts[0].get_text() == "nothing to compare yet"


def test_lines_are_least_squares(evidence):
    intercept, slope = fit_lines(evidence, ["syntactic"])["syntactic"]
    means = evidence.outcome(GAP).mean(axis=1)
    reference = stats.linregress(evidence.predictors["syntactic"], means)
    assert (intercept, slope) == pytest.approx((reference.intercept, reference.slope))


def test_what_the_design_says(evidence):
    text = describe_design(evidence, RULES)
    assert text.startswith(
        "The outcomes average 2 target tasks (`intent` and `command-nli`) and 2 conditions (`nli` and `qa`), over 37 "
        f"languages besides English and 3 seeds. English scores {evidence.lead:.1f} points above guessing. "
        "The mean gap is +"
    )
    assert "hardly a degradation" not in text
    level = replace(evidence, by_outcome={**evidence.by_outcome, GAP: evidence.outcome(GAP) - 25})
    assert describe_design(level, RULES).endswith("hardly a degradation that distance could explain.")


# --- Studies ---------------------------------------------------------------------------------------------------------


def test_the_studies_choose_the_same_tests_which_are_known():
    blocks = [
        yaml.safe_load((ROOT / "studies" / f"distance{suffix}.yml").read_text(encoding="utf-8"))["question"]
        for suffix in ("", "-full", "-pilot", "-paper")
    ]
    assert all(block == blocks[0] for block in blocks)
    assert set(blocks[0]["tests"]) <= set(TESTS)


def test_the_recorded_study_computes_nothing_anew():
    here = Checkout(ROOT)
    recorded = {path.stem for path in (ROOT / "results" / "pocket-full" / "records").glob("*.json")}
    assert {run.id for run in open_plan(here, "distance-full").runs} <= recorded


def test_items_of_english_widen_a_mean_gap_and_no_slope(evidence, fake):
    moved = redraw(fake, np.random.default_rng(0))
    moved.loc[moved["language"] != "en", "score"] = 50.0
    redrawn = gather(fake, ENCODER, redrawn=moved)
    alone, wider = (estimate_mean_outcome(each, Rules(), "gap") for each in (evidence, redrawn))
    assert wider.high - wider.low > 2 * (alone.high - alone.low)
    alone, wider = (TESTS["gap-syntactic"].estimate(each, Rules()) for each in (evidence, redrawn))
    assert (wider.low, wider.high) == pytest.approx((alone.low, alone.high), abs=0.3)
