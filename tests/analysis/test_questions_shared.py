from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fakes import ORIGIN, make_run
from scipy import stats

from stilts.analysis.bootstrap import align, resample
from stilts.analysis.contrasts import contrast, contrast_by_target
from stilts.analysis.questions import testing
from stilts.analysis.questions.chapters import open_section
from stilts.analysis.questions.crossed import (
    bootstrap_coefficients,
    describe_disagreements,
    estimate_coefficients,
    estimate_effect,
    fit_mixed_model,
    keep_complete,
    tabulate_checks,
)
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS, Level, measure_level, redraw_outcomes, tabulate_outcomes
from stilts.analysis.questions.sentences import (
    describe_caveats,
    describe_others,
    describe_power,
    describe_verdicts,
    find_shared_obstacle,
)
from stilts.analysis.questions.tables import show_verdicts
from stilts.analysis.questions.testing import (
    Result,
    Rules,
    add_obstacle,
    compute_power,
    make_untested,
    run_tests,
    solve_for_power,
    tabulate_verdicts,
)
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record
from stilts.study.settings import QuestionSettings
from stilts.tasks.registry import TARGETS
from stilts.workspace.checkout import find_checkout

FAKES = 200
# Of 200 tests of size 0.05, so many are positive in all but one of a thousand repetitions.
FEWEST, MOST = stats.binom.ppf([0.0005, 0.9995], FAKES, 0.05)
# Standard deviations in points: of languages, of seeds, and the residual; the first row is what the pocket study has.
SPREADS = [(8.0, 1.0, 4.0), (8.0, 0.0, 4.0), (2.0, 2.0, 4.0), (0.0, 2.0, 4.0)]


def fake(generator, effect=0.0, slope=0.0, spread=SPREADS[0], rows=40, seeds=3):
    """Return a table of differences and a standardised predictor; seeds vary in level and in slope."""
    by_row, by_seed, residual = spread
    x = generator.normal(size=rows)
    x = (x - x.mean()) / x.std()
    values = effect + slope * x[:, None] + generator.normal(0, residual, (rows, seeds))
    values += generator.normal(0, by_row, (rows, 1)) + generator.normal(0, by_seed, seeds)
    values += x[:, None] * generator.normal(0, by_seed, seeds)
    index = [f"l{place:02}" for place in range(rows)]
    return pd.DataFrame(values, index=index, columns=range(1, seeds + 1)), pd.DataFrame({"x": x}, index=index)


def record(condition, seed, scores, phase="zero-shot", target="intent"):
    run = make_run(phase, condition, target, seed)
    metrics = {language: {"score": score, "n": 30.0} for language, score in scores.items()}
    return Record(run=run, metrics=metrics, provenance=ORIGIN)


# --- Outcomes --------------------------------------------------------------------------------------------------------


def test_outcomes_are_the_zero_shot_scores():
    records = [record("none", 1, {"de": 50.0, "en": 80.0}), record("none", 1, {"en": 70.0}, phase="target")]
    assert tabulate_outcomes(records).to_dict("records") == [
        {"condition": "none", "target": "intent", "language": "de", "seed": 1, "score": 50.0, "n": 30.0},
        {"condition": "none", "target": "intent", "language": "en", "seed": 1, "score": 80.0, "n": 30.0},
    ]
    assert tabulate_outcomes([]).empty


def test_items_are_redrawn_where_rows_share_them():
    """German and French answer the same items, English has items of its own; of `intent` each language has."""

    def answered(generator, languages):
        rows = [(code, item, right, 1, 1) for code, seen in languages.items() for item, right in enumerate(seen)]
        return pd.DataFrame(rows, columns=["language", "example", "matches", "predicted", "gold"])

    generator = np.random.default_rng(0)
    seen = generator.random(40) < 0.5
    runs = {("nli", 1): answered(generator, {"de": seen, "en": ~seen, "fr": seen})}
    drawn = {
        target: resample({target: align(target, runs, TARGETS[target].parallel)}, 500, generator)[target]
        for target in ("xnli", "intent")
    }
    score = 100 * seen.mean()
    rows = [("nli", target, code, 1, score if code != "en" else 100 - score, 40.0)
            for target in ("xnli", "intent") for code in ("de", "en", "fr")]  # fmt: skip
    table, analysis = pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS)), SimpleNamespace(replicates=drawn)
    found = redraw_outcomes(table, analysis)
    wide = found.pivot(index="seed", columns=["target", "language"], values="score")
    assert list(wide.index) == list(range(1, 401))
    assert wide["xnli", "de"].equals(wide["xnli", "fr"])
    assert wide["xnli", "de"].add(wide["xnli", "en"]).to_numpy() == pytest.approx(100)
    assert wide["xnli", "de"].std() == pytest.approx(100 * seen.std() / np.sqrt(40), rel=0.15)
    assert wide["intent", "de"].unique().tolist() == [score]
    own = table[table["target"] == "intent"]
    assert redraw_outcomes(own, analysis) is None
    assert redraw_outcomes(table.iloc[:0], analysis) is None
    gaps = redraw_outcomes(own, analysis, against_english=True).groupby("language")["score"].nunique()
    assert (gaps["de"], gaps["fr"], gaps["en"] > 5) == (1, 1, True)


def test_differences_are_paired_and_averaged_over_targets():
    table = tabulate_outcomes(
        [
            record("none", 1, {"de": 50, "fr": 40}), record("nli", 1, {"de": 60, "fr": 40}),
            record("none", 2, {"de": 50, "fr": 40}), record("nli", 2, {"de": 52, "fr": 44}),
            record("none", 1, {"de": 10}, target="para"), record("nli", 1, {"de": 30}, target="para"),
            record("none", 2, {"de": 10}, target="para"), record("nli", 2, {"de": 10}, target="para"),
        ]
    )  # fmt: skip
    weights = {"nli": 1, "none": -1}
    assert contrast_by_target(table, {"nli": 1})["intent"].to_dict("index") == {
        "de": {1: 60, 2: 52},
        "fr": {1: 40, 2: 44},
    }
    found = contrast_by_target(table, weights)
    assert found["intent"].to_dict("index") == {"de": {1: 10, 2: 2}, "fr": {1: 0, 2: 4}}
    assert contrast(table, weights).to_dict("index") == {"de": {1: 15, 2: 1}, "fr": {1: 0, 2: 4}}
    assert list(contrast_by_target(table[(table["condition"] == "none") | (table["target"] == "para")], weights)) == [
        "para"
    ]
    with pytest.raises(UnknownName, match="unknown condition with zero-shot scores 'nil'. Did you mean 'nli'"):
        contrast_by_target(table, {"nil": 1, "none": -1})


def test_a_language_or_a_seed_that_a_condition_lacks_is_in_no_contrast():
    table = tabulate_outcomes(
        [
            record("none", 1, {"de": 50, "fr": 40}), record("nli", 1, {"de": 60}),
            record("none", 2, {"de": 50}), record("nli", 3, {"de": 60}),
        ]
    )  # fmt: skip
    found = contrast_by_target(table, {"nli": 1, "none": -1})["intent"]
    assert found.fillna(-99).to_dict("index") == {"de": {1: 10}, "fr": {1: -99}}
    assert contrast(table, {"nli": 1, "none": -1}).to_dict("index") == {"de": {1: 10}}


def test_a_seed_that_one_target_lacks_is_in_no_mean_over_targets():
    """At that seed the mean would be of other targets, so that targets' differences would pass for those of seeds."""
    table = tabulate_outcomes(
        [record(name, seed, {"de": 50 + more}, target=target)
         for name, more in (("none", 0), ("nli", 10))
         for target, seeds in (("intent", (1, 2, 3)), ("para", (1, 2)))
         for seed in seeds]
    )  # fmt: skip
    assert contrast(table, {"nli": 1, "none": -1}).to_dict("index") == {"de": {1: 10, 2: 10}}
    apart = contrast(table[(table["target"] == "intent") == (table["seed"] == 3)], {"nli": 1, "none": -1})
    assert apart.empty
    assert len(apart) == 0
    unpaired = pd.concat([table, tabulate_outcomes([record("nli", 1, {"fr": 60}, target="slots"),
                                                    record("none", 1, {"th": 60}, target="slots")])])  # fmt: skip
    assert contrast(unpaired, {"nli": 1, "none": -1}).to_dict("index") == {"de": {1: 10, 2: 10}}


def test_scores_without_any_training_stand_for_every_seed_of_the_others():
    table = tabulate_outcomes(
        [record("none", 0, {"de": 50}), record("nli", 1, {"de": 60}), record("nli", 2, {"de": 58})]
    )
    assert contrast_by_target(table, {"nli": 1, "none": -1})["intent"].to_dict("index") == {"de": {1: 10, 2: 8}}
    assert contrast_by_target(table, {"none": 1})["intent"].to_dict("index") == {"de": {0: 50}}


# --- The primary test ------------------------------------------------------------------------------------------------


def test_with_one_seed_it_is_least_squares():
    table, predictors = fake(np.random.default_rng(0), 2.0, 1.0, rows=12, seeds=1)
    mean = estimate_coefficients(table)["mean"]
    reference = stats.ttest_1samp(table[1], 0.0)
    assert (mean.value, mean.p) == pytest.approx((table[1].mean(), reference.pvalue))
    assert (mean.low, mean.high) == pytest.approx(tuple(reference.confidence_interval()))
    slope = estimate_coefficients(table, predictors)["x"]
    line = stats.linregress(predictors["x"], table[1])
    assert (slope.value, slope.se, slope.p, slope.df) == pytest.approx((line.slope, line.stderr, line.pvalue, 10))


def test_of_a_mean_it_is_the_quasi_f_of_crossed_effects():
    table, _ = fake(np.random.default_rng(3), 2.0, spread=(4.0, 4.0, 2.0), rows=10)
    values = table.to_numpy()
    rows, seeds = values.shape
    by_row = seeds * values.mean(axis=1).var(ddof=1)
    by_seed = rows * values.mean(axis=0).var(ddof=1)
    left = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    residual = (left**2).sum() / ((rows - 1) * (seeds - 1))
    fit = estimate_coefficients(table)["mean"]
    assert fit.se**2 == pytest.approx((by_row + by_seed - residual) / (rows * seeds))
    assert 2 <= fit.df < 10


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("rows", [14, 40])
def test_without_an_effect_it_is_positive_about_as_often_as_it_says(spread, rows):
    """The size of the primary test, for means and for slopes, whether languages or three seeds decide."""
    generator = np.random.default_rng(7)
    positive = {"mean": 0, "x": 0}
    for _ in range(FAKES):
        fits = estimate_coefficients(*fake(generator, spread=spread, rows=rows))
        for name in positive:
            positive[name] += fits[name].p < 0.05
    assert FEWEST <= positive["mean"] <= MOST, positive
    assert FEWEST <= positive["x"] <= MOST, positive


def test_a_test_that_forgets_the_seeds_would_fail_that():
    """What the primary test guards against: with seeds that differ, a t-test over languages alone is far too bold."""
    generator = np.random.default_rng(7)
    tables = [fake(generator, spread=(2.0, 2.0, 4.0))[0] for _ in range(FAKES)]
    assert sum(stats.ttest_1samp(table.mean(axis=1), 0.0).pvalue < 0.05 for table in tables) > 0.3 * FAKES


def test_a_known_effect_is_found_with_its_sign_and_size():
    generator = np.random.default_rng(1)
    fits = [estimate_coefficients(*fake(generator, effect=-6.0, slope=5.0)) for _ in range(FAKES)]
    for name, truth in (("mean", -6.0), ("x", 5.0)):
        assert np.mean([fit[name].value for fit in fits]) == pytest.approx(truth, abs=0.4)
        covered = sum(fit[name].low <= truth <= fit[name].high for fit in fits)
        assert FEWEST <= FAKES - covered <= MOST
        assert all(np.sign(fit[name].value) == np.sign(truth) for fit in fits)


def with_shared_items(generator, items=60, rows=10, seeds=4, draws=200):
    """Return a table without an effect whose rows are tested on the same items, and its rows with items drawn anew."""
    scores = generator.normal(0, 10, (items, 1, 1)) + generator.normal(0, 10, (items, rows, 1))
    scores = scores + generator.normal(0, 1, (rows, 1)) + generator.normal(0, 0.5, seeds)
    index = [f"l{place}" for place in range(rows)]
    times = generator.multinomial(items, np.full(items, 1 / items), size=draws)
    redrawn = pd.DataFrame((times @ scores.mean(axis=2) / items).T, index=index)
    return pd.DataFrame(scores.mean(axis=0), index=index, columns=range(seeds)), redrawn


def test_items_that_rows_share_are_in_the_interval_of_a_mean():
    generator = np.random.default_rng(11)
    tables = [with_shared_items(generator) for _ in range(FAKES)]
    positive = sum(estimate_coefficients(table, redrawn=redrawn)["mean"].p < 0.05 for table, redrawn in tables)
    bold = sum(estimate_coefficients(table)["mean"].p < 0.05 for table, _ in tables)
    assert FEWEST <= positive <= MOST
    assert bold > 2 * MOST


def test_noise_that_moves_all_rows_alike_widens_a_mean_and_no_slope():
    table, predictors = fake(np.random.default_rng(2), rows=8)
    together = pd.DataFrame(np.tile([[-3.0, 3.0] * 20], (8, 1)), index=table.index)
    alone, wider = estimate_coefficients(table, predictors), estimate_coefficients(table, predictors, redrawn=together)
    assert wider["mean"].se ** 2 == pytest.approx(alone["mean"].se ** 2 + 7 / 8 * together.iloc[0].var())
    assert wider["x"].se == pytest.approx(alone["x"].se, rel=0.05)
    one = estimate_coefficients(table[[1]], redrawn=together)["mean"]
    own = estimate_coefficients(table[[1]])["mean"]
    assert one.se ** 2 == pytest.approx(own.se ** 2 + 7 / 8 * together.iloc[0].var())


def test_edges_of_the_primary_test():
    table, predictors = fake(np.random.default_rng(0), rows=5)
    constant = table * 0.0 + 3.0
    found = estimate_coefficients(constant)["mean"]
    assert (found.low, found.p) == pytest.approx((3.0, 0.0), abs=1e-12)
    assert estimate_coefficients(constant * 0)["mean"].p == 1.0
    assert estimate_coefficients(table.iloc[:1])["mean"].df == 2.0  # one row: its seeds alone
    with pytest.raises(StiltsError, match="has gaps"):
        estimate_coefficients(table.where(table > table.iloc[0, 0]))
    with pytest.raises(StiltsError, match="2 rows are too few for 2 coefficients"):
        estimate_coefficients(table.iloc[:2], predictors)
    with pytest.raises(StiltsError, match="do not vary, or follow from one another"):
        estimate_coefficients(table, predictors.assign(again=2 * predictors["x"]))


def test_rows_with_gaps_are_left_out_and_named():
    table, predictors = fake(np.random.default_rng(0), rows=6)
    table.loc["l01", 2] = np.nan
    predictors.loc["l04", "x"] = np.nan
    kept, notes = keep_complete(table, predictors)
    assert list(kept.index) == ["l00", "l02", "l03", "l05"]
    assert notes == ("left out, since a score or a predictor is missing: l01, l04",)
    result = estimate_effect(table, Rules(), predictors, "x", row_kind="task")
    assert (result.rows, result.seeds, result.based_on, result.notes) == (4, 3, "4 tasks, 3 seeds", notes)
    assert estimate_effect(table[[1]], Rules()).notes == (
        "with one seed the interval says nothing of the variance between seeds",
    )


def test_too_few_rows_give_no_numbers_but_a_reason():
    table, predictors = fake(np.random.default_rng(0), rows=2)
    result = estimate_effect(table, Rules(), predictors, "x")
    assert not result.known
    assert result.notes == ("2 of 2 rows have all that the test needs, of 3 at least",)
    assert str(result) == "not tested"


# --- Checks ----------------------------------------------------------------------------------------------------------


def test_the_mixed_model_finds_the_effect_and_the_spread():
    table, predictors = fake(np.random.default_rng(2), 6.0, 5.0, rows=30)
    fits, _ = fit_mixed_model(table, predictors, "x")
    fit, primary = fits["x"], estimate_coefficients(table, predictors)["x"]
    assert fit.value == pytest.approx(primary.value, rel=1e-4)  # balanced data
    assert fit.low < 5.0 < fit.high
    assert fit.se == pytest.approx(primary.se, rel=0.2)


def test_a_singular_mixed_model_says_so():
    table, _ = fake(np.random.default_rng(2), spread=(8.0, 0.0, 4.0), rows=20)
    table -= table.mean() - table.mean().mean()  # seeds that do not differ at all
    fits, notes = fit_mixed_model(table)
    assert "the variance of the seeds is estimated as zero" in notes
    assert fits["mean"].value == pytest.approx(table.mean(axis=None))


def test_a_mixed_model_that_fails_gives_its_reason(monkeypatch):
    def broken(*_args):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr("stilts.analysis.questions.crossed._fit_mixed", broken)
    table, _ = fake(np.random.default_rng(2), rows=5)
    fits, notes = fit_mixed_model(table)
    assert np.isnan(fits["mean"].value)
    assert notes == ("the mixed model could not be fitted: Singular matrix",)
    found = tabulate_checks([estimate_effect(table, Rules(resamples=50))], Rules(resamples=50))
    assert found["agrees"].tolist()[:2] == ["yes", "no fit"]


def test_the_bootstrap_varies_as_much_as_the_standard_error_says():
    table, predictors = fake(np.random.default_rng(4), 6.0, rows=60, spread=(8.0, 0.0, 2.0))
    draws = bootstrap_coefficients(table, predictors, 1500, np.random.default_rng(0))
    fits = estimate_coefficients(table, predictors)
    assert draws.shape == (1500, 2)
    assert draws.std(axis=0) == pytest.approx([fits["mean"].se, fits["x"].se], rel=0.2)
    assert draws.mean(axis=0) == pytest.approx([fits["mean"].value, fits["x"].value], abs=0.3)


def test_checks_set_three_methods_side_by_side():
    table, predictors = fake(np.random.default_rng(4), 9.0, rows=30)
    rules = Rules({"gain": "g", "far": "f", "none": "n"}, resamples=200)
    tests = {
        "gain": testing.Test("the gain", lambda evidence, rules: estimate_effect(evidence, rules)),
        "far": testing.Test("slope on x", lambda evidence, rules: estimate_effect(evidence, rules, predictors, "x")),
        "none": testing.Test("nothing", lambda evidence, rules: make_untested("no record")),
    }
    titles = {name: test.effect for name, test in tests.items()}
    found = tabulate_checks(run_tests(tests, table, rules), rules)
    assert found[["test", "method"]].to_numpy().tolist() == [
        [name, method] for name in ("gain", "far")
        for method in ("crossed t-test", "mixed model", "cluster bootstrap")
    ]  # fmt: skip
    assert found["agrees"].iloc[0] == "yes"
    odd = found.assign(agrees=["yes", "no: another conclusion about zero", "yes"] * 2, note="")
    said = describe_disagreements(odd, titles)
    assert said.splitlines()[0] == "- the gain, mixed model: no: another conclusion about zero."
    assert "agree with every test" in describe_disagreements(found.assign(agrees="yes"), titles)
    assert describe_disagreements(found.iloc[:0], titles) == "There is nothing to check yet."


# --- Verdicts and power ----------------------------------------------------------------------------------------------


def result(estimate, half, p, **more):
    return Result(estimate, estimate - half, estimate + half, p, rows=40, **({"seeds": 3} | more))


def named(**results):
    """Return tests that give these results, each with its id as what its number is."""
    return {name: testing.Test(name, lambda *_, found=found: found) for name, found in results.items()}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (result(5.0, 3.0, 0.001), "supported"),
        (result(5.0, 3.0, 0.06), "cannot tell"),  # its own p-value goes before the interval's
        (result(1.0, 0.5, 0.001), "no effect that matters"),  # clear, and too small to matter
        (result(0.0, 1.9, 0.9), "no effect that matters"),
        (result(0.0, 2.1, 0.9), "cannot tell"),
        (result(-5.0, 3.0, 0.001, expected=-1), "supported"),
        (result(-5.0, 2.0, 0.001, expected=1), "contradicted"),
        (result(-5.0, 4.0, 0.001, expected=1), "cannot tell"),  # the other sign, but perhaps too small to matter
        (result(0.3, 0.1, 0.001, unit="correlation"), "supported"),
        (result(0.0, 0.1, 0.9, unit="correlation", smallest_effect=0.2), "no effect that matters"),
        (result(5.0, 3.0, 0.001, obstacle="a floor"), "could not be tested"),
        (replace(result(5.0, 3.0, 0.001), seeds=1), "cannot tell"),
        (make_untested("no record"), "could not be tested"),
    ],
)
def test_verdicts(found, expected):
    assert tabulate_verdicts([found], Rules({"a": "A."}, smallest_effect=2.0))["verdict"].tolist() == [expected]


def test_an_interval_without_a_standard_error_is_read_at_the_level_that_it_has():
    """It implies the same standard error whichever level it is of, so that the verdict of equivalence is the same."""
    for level in (0.5, 0.9, 0.95):
        half = stats.norm.isf((1 - level) / 2)  # of a standard error of 1
        rules = Rules({"a": "A."}, level=level, smallest_effect=3.0)
        table = tabulate_verdicts([result(0.0, half, 0.9)], rules)
        assert table["p_holm"].tolist() == [pytest.approx(2 * stats.norm.sf(3.0))]


def test_a_result_says_whether_its_p_value_is_that_of_a_t_test():
    rules = Rules({"a": "A."}, smallest_effect=2.0)
    found = estimate_effect(fake(np.random.default_rng(0), 9.0)[0], rules)
    assert found.is_t_test
    by_t = tabulate_verdicts([replace(found, p=0.5, basis=None)], rules)
    assert by_t["verdict"].tolist() == ["supported"]  # by its standard error, whatever stands as its p-value
    permuted = tabulate_verdicts([replace(found, p=0.5, is_t_test=False)], rules)
    assert permuted["verdict"].tolist() == ["cannot tell"]


def test_the_table_has_the_files_tests_in_order_corrected_together():
    rules = Rules({"b": "B falls.", "a": "A rises.", "c": "C?"}, smallest_effect=2.0)
    tests = {
        "a": testing.Test("rise of A", lambda evidence, rules: result(5.0, 3.0, 0.02, se=1.5, df=39.0, method="t")),
        "b": testing.Test("fall of B", lambda value, rules: result(value, 3.0, 0.01, expected=-1, notes=("note",))),
        "c": testing.Test("C", lambda evidence, rules: make_untested("no record")),
        "not chosen": None,
    }
    results = run_tests(tests, -4.0, rules)
    table = tabulate_verdicts(results, rules)
    columns = ["test", "hypothesis", "p_holm", "verdict", "based on"]
    assert table[columns].astype(object).fillna("-").to_numpy().tolist() == [
        ["b", "B falls.", pytest.approx(0.02), "supported", "40 languages, 3 seeds"],
        ["a", "A rises.", pytest.approx(0.02), "supported", "40 languages, 3 seeds"],
        ["c", "C?", "-", "could not be tested", "0 languages, 0 seeds"],
    ]
    assert table["detectable"].round(1).fillna(0).tolist() == [0, 4.8, 0]
    assert table["reason"].tolist() == ["below 0", "it excludes zero", "no record"]
    assert describe_verdicts(table).splitlines() == [
        "- *B falls.* **Supported**: \N{MINUS SIGN}4.0 points (\N{MINUS SIGN}7.0 to \N{MINUS SIGN}1.0), corrected "
        "p 0.020.",
        "- *A rises.* **Supported**: rise of A +5.0 points (+2.0 to +8.0), corrected p 0.020.",
        "- *C?* **Could not be tested**: no record.",
        "",
        "Each number is from 40 languages, 3 seeds.",
    ]
    assert describe_power(table, rules).startswith(
        "1 test has 80 percent power for effects of at least 4.8 points; 2.0 would matter, which it would not see. "
        "Power is unknown of: fall of B; C. This takes the observed spread"
    )
    assert describe_caveats(results) == "- Note (fall of B).\n- No record (C)."
    assert show_verdicts(table)["p (corrected)"].tolist() == ["0.020", "0.020", "\N{EN DASH}"]
    uncorrected = Rules(rules.tests, correction="none")
    assert tabulate_verdicts(results, uncorrected)["p_holm"].round(3).fillna(1).tolist() == [0.01, 0.02, 1]
    assert tabulate_verdicts(results, uncorrected)["detectable"].iloc[1] < table["detectable"].iloc[1]
    with pytest.raises(UnknownName, match="unknown test of the question 'd'"):
        run_tests(tests, 0, Rules({"d": "?"}))


def test_an_answer_says_why_the_verdict_is_what_it_is():
    rules = Rules({"a": "A rises.", "b": "B falls."}, smallest_effect=2.0)
    small, other = result(1.0, 0.5, 0.001, se=0.2, df=39.0), result(5.0, 1.0, 0.001, expected=-1)
    table = tabulate_verdicts(run_tests(named(a=small, b=other), 0, rules), rules)
    assert describe_verdicts(table).splitlines() == [
        "- *A rises.* **No effect that matters**: a +1.0 points (+0.5 to +1.5), corrected p of equivalence < 0.001; "
        "all of it closer to zero than 2.",
        "- *B falls.* **Contradicted**: +5.0 points (+4.0 to +6.0), corrected p < 0.001; above 2.",
        "",
        "Each number is from 40 languages, 3 seeds.",
    ]
    other = table.assign(**{"based on": ["40 languages, 3 seeds", "3 languages, 3 seeds"]})
    assert describe_verdicts(other).splitlines()[1:] == [
        "- *B falls.* **Contradicted**: +5.0 points (+4.0 to +6.0), corrected p < 0.001, from 3 languages, 3 seeds; "
        "above 2.",
    ]
    assert table["reason"].tolist() == ["all of it closer to zero than 2", "above 2"]


def test_an_effect_whose_sign_the_hypothesis_leaves_open_says_what_it_is():
    rules = Rules({"a": "A and B differ.", "b": "B falls."}, smallest_effect=2.0)
    tests = {"a": testing.Test("A minus B", lambda *_: result(-5.0, 1.0, 0.001, expected=0)),
             "b": testing.Test("fall of B", lambda *_: result(-5.0, 1.0, 0.001, expected=-1))}  # fmt: skip
    table = tabulate_verdicts(run_tests(tests, 0, rules), rules)
    assert table[["asks", "effect"]].to_numpy().tolist() == [["differs", "A minus B"], ["below", "fall of B"]]
    first, second, *_ = describe_verdicts(table).splitlines()
    assert first.startswith("- *A and B differ.* **Supported**: A minus B \N{MINUS SIGN}5.0 points")
    assert second.startswith("- *B falls.* **Supported**: \N{MINUS SIGN}5.0 points")


def test_rules_are_the_study_files():
    question = QuestionSettings(number=2, text="?", tests={"a": "A."}, level=0.9, resamples=500, smallest_effect=1.0)
    assert Rules.of(question, seed=3) == Rules({"a": "A."}, 0.9, 500, 3, 1.0, "holm")


def test_a_study_without_a_question_says_so():
    with pytest.raises(StiltsError, match="study 'pocket-full' has no question"):
        open_section(find_checkout(), "pocket-full")


def test_nothing_tested():
    assert tabulate_verdicts([], Rules()).empty
    assert (
        describe_verdicts(tabulate_verdicts([], Rules()))
        == describe_power(tabulate_verdicts([], Rules()), Rules())
        == "No test was chosen."
    )


def test_the_detectable_effect_is_found_in_four_of_five_tries():
    generator = np.random.default_rng(5)
    spread = (8.0, 0.0, 4.0)
    se = np.sqrt(8.0**2 / 30 + 4.0**2 / 90)
    size = solve_for_power(se, 29)
    found = sum(
        estimate_coefficients(fake(generator, effect=size, spread=spread, rows=30)[0])["mean"].p < 0.05
        for _ in range(400)
    )
    assert found / 400 == pytest.approx(0.8, abs=0.07)


def test_detectable_effects():
    assert solve_for_power(1.0, 1e6) == pytest.approx(1.959964 + 0.841621, abs=1e-3)
    assert solve_for_power(2.0, 10) == pytest.approx(2 * solve_for_power(1.0, 10))
    assert solve_for_power(1.0, 10, tests=3) > solve_for_power(1.0, 10) > solve_for_power(1.0, 100)
    assert solve_for_power(1.0, 2, tests=4) > 8  # few seeds ask for large effects
    assert solve_for_power(0.0, 10) == 0.0
    assert compute_power(0.0, 12, stats.t.isf(0.025, 12)) == pytest.approx(0.05, abs=1e-4)
    with pytest.raises(StiltsError, match="degrees of freedom above 0"):
        solve_for_power(1.0, 0)


def test_the_tests_beside_the_headline_are_named_where_they_have_an_answer():
    rules = Rules({"a": "A rises.", "b": "B falls.", "c": "C differs."}, smallest_effect=2.0)
    sure, open_ = result(5.0, 1.0, 0.001), result(1.0, 5.0, 0.7)
    table = tabulate_verdicts(run_tests(named(a=sure, b=open_, c=open_), 0, rules), rules)
    assert describe_others(table, "b") == (
        "Of 2 other tests 1 has an answer: *A rises.* Supported: a +5.0 points (+4.0 to +6.0)."
    )
    assert describe_others(table, "a") == "Of 2 other tests none has an answer."
    assert describe_others(table.iloc[:1], "a") == ""


def test_a_reason_why_no_test_could_be_made_is_said_once():
    rules = Rules({"a": "A rises.", "b": "B falls."})
    low = replace(result(1.0, 0.5, 0.3, se=0.2, df=39.0), obstacle="nothing transfers")
    table = tabulate_verdicts(run_tests(named(a=low, b=make_untested("no record")), 0, rules), rules)
    assert find_shared_obstacle(table) == ""
    table = table.assign(reason="nothing transfers")
    assert describe_verdicts(table).splitlines() == [
        "None of the 2 tests could be made: nothing transfers.",
        "",
        "- *A rises.* a +1.0 points (+0.5 to +1.5)",
        "",
        "Each number is from 40 languages, 3 seeds.",
    ]
    assert table["detectable"].isna().all()
    assert describe_power(table, rules) == "Power is unknown of: a; b."


def test_a_test_without_room_between_floor_and_ceiling_could_not_be_made():
    records = [record("none", 1, {"en": 99.0, "de": 34.0, "fr": 36.0}), record("nli", 1, {"de": 90.0}),
               record("none", 1, {"de": 99.0}, target="slots")]  # fmt: skip
    table = tabulate_outcomes(records)
    assert measure_level(table, ["none"], {"intent": 34.0}) == Level(67.0, 17.0)
    assert measure_level(table, ["mnli"], {}) is None
    low = measure_level(table[table["target"] == "intent"], ["none"], {"intent": 34.0})
    result = estimate_effect(fake(np.random.default_rng(0))[0], Rules())
    assert add_obstacle(result, Rules(), low).obstacle == "at 35.0 before, less than 2 above the 34.0 of guessing"
    assert add_obstacle(replace(result, expected=1), Rules(), low).obstacle == ""
    assert add_obstacle(replace(result, unit="hundredths of a correlation"), Rules(), low).obstacle == ""
    assert add_obstacle(replace(result, obstacle="lost"), Rules(), low).obstacle == "lost"
