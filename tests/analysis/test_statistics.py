import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stilts.analysis.bootstrap import Sample, align, resample
from stilts.analysis.contrasts import average_weights, weigh_gain
from stilts.analysis.effects import (
    average_baseline,
    average_gains,
    average_language_gains,
    correlate_ranks,
    estimate_contrast,
    estimate_english_gaps,
    estimate_gains,
    estimate_language_gains,
    estimate_layer_profiles,
    find_best_layers,
    find_comparable_targets,
    measure_seed_spread,
    pair_gains,
    pivot_language_gains,
)
from stilts.analysis.estimates import Estimate, combine, correct_by_holm, estimate
from stilts.analysis.wording import format_signed
from stilts.study.errors import StiltsError, UnknownName

LANGUAGES = ["de", "en", "hi", "ja", "sw", "tr"]


def predictions(matches, languages=LANGUAGES, predicted=1, gold=1):
    """Make a predictions table from an array of shape (languages, examples)."""
    matches = np.asarray(matches, dtype=float)
    return pd.DataFrame(
        {
            "language": np.repeat(languages, matches.shape[1]),
            "example": np.tile(np.arange(matches.shape[1]), len(languages)),
            "matches": matches.ravel(),
            "predicted": predicted,
            "gold": gold,
        }
    )


def drawn(generator, rate, languages=LANGUAGES, examples=40):
    """Draw right and wrong answers; `rate` broadcasts to (languages, examples)."""
    return predictions(generator.random((len(languages), examples)) < rate, languages)


def simulated(generator, effect=0.1, seeds=3, conditions=("none", "nli"), languages=LANGUAGES, examples=40):
    """Make runs whose languages differ in level and in gain, with luck of seeds and of examples."""
    level = 0.5 + generator.normal(0, 0.1, (len(languages), 1))
    gain = effect + generator.normal(0, 0.06, (len(languages), 1))
    hardness = generator.normal(0, 0.1, (len(languages), examples))
    return {
        (condition, seed): drawn(
            generator, level + hardness + gain * (condition != "none") + generator.normal(0, 0.02), languages, examples
        )
        for condition in conditions
        for seed in range(1, seeds + 1)
    }


def replicated(runs_of, resamples=300, state=0):
    counts = {target: align(target, runs) for target, runs in runs_of.items()}
    return resample(counts, resamples, np.random.default_rng(state))


def test_observed_scores_are_the_metrics_own():
    right = predictions([[1, 0, 1, 1], [1, 1, 1, 1]], ["de", "en"])
    chunks = predictions([[1, 0, 2, 0], [1, 1, 1, 1]], ["de", "en"], predicted=[2, 0, 2, 1] * 2, gold=[1, 1, 3, 0] * 2)
    found = replicated({"dates": {("none", 1): right, ("nli", 1): chunks}})["dates"]
    assert found.conditions == ("none", "nli")
    assert found.languages == ("de", "en")
    assert found.scores.tolist() == [[75.0, 60.0], [100.0, 80.0]]


def test_a_language_in_which_nothing_is_predicted_or_there_scores_nought():
    empty = predictions(np.zeros((2, 3)), ["de", "hi"], predicted=0, gold=0)
    found = replicated({"dates": {("none", 1): empty}})["dates"]
    assert found.scores.tolist() == [[0.0], [0.0]]
    assert found.items.tolist() == np.zeros((300, 2, 1)).tolist()


def test_order_of_rows_does_not_matter():
    runs = simulated(np.random.default_rng(0))
    shuffled = {run: frame.sample(frac=1, random_state=1) for run, frame in runs.items()}
    pd.testing.assert_frame_equal(
        estimate_gains(replicated({"intent": runs})), estimate_gains(replicated({"intent": shuffled}))
    )


def test_runs_on_other_examples_are_not_compared():
    runs = {("none", 1): predictions(np.ones((6, 5))), ("nli", 2): predictions(np.ones((6, 4)))}
    with pytest.raises(StiltsError, match="condition nli, seed 2 was evaluated on other examples than .* none"):
        align("slots", runs)


def test_english_alone_gives_no_interval():
    with pytest.raises(StiltsError, match="no predictions in a language other than English"):
        replicated({"slots": {("none", 1): predictions(np.ones((1, 4)), ["en"])}})


def test_the_same_state_gives_the_same_table_and_another_does_not():
    runs = {"intent": simulated(np.random.default_rng(3))}
    once, again, other = (estimate_gains(replicated(runs, state=state)) for state in (0, 0, 1))
    pd.testing.assert_frame_equal(once, again)
    assert once["gain"].equals(other["gain"])
    assert not once["low"].equals(other["low"])


def test_a_gain_is_the_mean_over_languages_other_than_english_and_over_seeds():
    before = {("none", seed): predictions(np.tile([[1], [1], [0], [0], [0], [0]], 4)) for seed in (1, 2)}
    after = {("nli", seed): predictions(np.tile([[1], [1], [seed - 1], [0], [0], [0]], 4)) for seed in (1, 2)}
    row = estimate_gains(replicated({"intent": before | after})).iloc[0]
    assert row[["condition", "target", "languages", "seeds"]].tolist() == ["nli", "intent", 5, 2]
    assert row[["baseline_score", "score", "gain"]].tolist() == pytest.approx([20.0, 30.0, 10.0])  # Hindi in one seed


def test_an_untrained_baseline_stands_for_every_seed():
    runs = simulated(np.random.default_rng(0))
    once = {("none", 0): runs["none", 1]} | {run: frame for run, frame in runs.items() if run[0] == "nli"}
    found = replicated({"ui-retrieval": once})["ui-retrieval"]
    assert found.seeds == {"none": 1, "nli": 3}
    effect = estimate_contrast({"ui-retrieval": found}, {"ui-retrieval": weigh_gain("nli")})
    assert effect.seeds == 3
    alone = found.mean(found.weights({"nli": 1})).seeds
    assert found.mean(found.weights({"nli": 1, "none": -1})).seeds.tolist() == pytest.approx(
        (alone - found.scores[found.others, 0].mean()).tolist()
    )


def test_conditions_are_compared_over_the_seeds_that_both_have():
    runs = simulated(np.random.default_rng(0), seeds=4)
    partly = {run: frame for run, frame in runs.items() if run not in (("nli", 2), ("nli", 4), ("none", 1))}
    weights = {"nli": 1.0, "none": -1.0}
    found = replicated({"intent": partly})["intent"]
    only = replicated({"intent": {run: frame for run, frame in runs.items() if run[1] == 3}})["intent"]
    assert (found.seeds, found.shared_seeds(weights)) == ({"none": 3, "nli": 2}, [3])
    sample = found.mean(found.weights(weights))
    assert (sample.value, sample.seeds.to_dict()) == (
        pytest.approx(only.mean(only.weights(weights)).value), {3: pytest.approx(sample.value)}
    )  # fmt: skip
    assert np.nanmean(sample.draws) == pytest.approx(sample.value, abs=0.5)
    place = found.others[0]
    assert found.language(place, found.weights(weights)).value == pytest.approx(
        only.language(place, only.weights(weights)).value
    )
    assert found.average("nli", [3]) - found.average("none", [3]) == pytest.approx(sample.value)


@settings(max_examples=20, deadline=None)
@given(state=st.integers(0, 10**6), effect=st.floats(-0.3, 0.3), seeds=st.integers(1, 3))
def test_swapping_condition_and_baseline_turns_the_effect_round(state, effect, seeds):
    found = replicated({"intent": simulated(np.random.default_rng(state), effect, seeds)}, resamples=60)
    there = estimate_contrast(found, {"intent": {"nli": 1, "none": -1}})
    back = estimate_contrast(found, {"intent": {"nli": -1, "none": 1}})
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.low <= there.high
    assert there.p == pytest.approx(back.p)


@settings(max_examples=20, deadline=None)
@given(state=st.integers(0, 10**6), share=st.floats(0.1, 0.9))
def test_a_constant_effect_has_an_interval_of_no_width(state, share):
    """What is the same in every language, example and seed is not luck."""
    right = np.random.default_rng(state).random((6, 30)) < share
    ones = {"predicted": 4, "gold": 4}
    runs = {("none", 1): predictions(right, **ones), ("nli", 1): predictions(right + 1.0, **ones)}
    effect = estimate_contrast(replicated({"intent": runs}, resamples=50), {"intent": weigh_gain("nli")})
    assert [effect.value, effect.low, effect.high] == pytest.approx([25.0] * 3)
    assert effect.p < 1e-6


def test_intervals_agree_with_a_slow_reference():
    """Languages by a loop, then examples of each drawn language, whose noise that way counts twice."""
    languages = [f"l{number:02}" for number in range(30)]
    generator = np.random.default_rng(5)
    runs = simulated(generator, seeds=1, languages=languages, examples=200)
    fast = estimate_contrast(replicated({"intent": runs}, resamples=4000), {"intent": weigh_gain("nli")})
    tables = {name: runs[name, 1]["matches"].to_numpy().reshape(30, 200) for name in ("none", "nli")}
    slow = []
    for _ in range(1500):
        total = 0.0
        for language in generator.integers(30, size=30):
            examples = generator.integers(200, size=200)
            total += (tables["nli"][language, examples] - tables["none"][language, examples]).mean()
        slow.append(100 * total / 30)
    width = np.diff(np.quantile(slow, [0.025, 0.975]))[0]
    assert fast.value == pytest.approx(100 * (tables["nli"] - tables["none"]).mean())
    noise = 2 * 0.25 / 200 / 30  # the part of the variance that the reference counts twice, at most
    narrowest = 2 * 1.96 * 100 * np.sqrt(max((width / 392) ** 2 - noise, 0))
    assert 0.95 * narrowest < fast.high - fast.low < 1.05 * width


def luck_of(generator, design, seeds):
    """Draw runs of `none` and `nli`, 8 points apart in truth, with the luck that a design names."""
    languages, items = 20, 30
    level, gain = generator.normal(0.5, 0.1, (languages, 1)), generator.normal(0.08, 0.05, (languages, 1))
    shared = generator.normal(0, 0.25, items) if design == "shared items" else 0.0
    luck = 0.05 if design == "seeds" else 0.0
    hardness = generator.normal(0, 0.1, (languages, items))
    return {
        (name, seed): drawn(
            generator,
            level + hardness + (gain + shared) * (name == "nli") + generator.normal(0, luck),
            [f"l{number:02}" for number in range(languages)],
            items,
        )
        for name in ("none", "nli")
        for seed in range(1, seeds + 1)
    }


@pytest.mark.parametrize(
    "design, seeds", [("languages and items", 1), ("languages and items", 3), ("seeds", 3), ("shared items", 3)]
)
def test_intervals_hold_a_planted_effect_as_often_as_they_say(design, seeds):
    """Languages and items are drawn anew each time; so is what seeds do, or what items do in all languages alike."""
    generator = np.random.default_rng(11)
    held, widths, errors = 0, [], []
    for _ in range(120):
        counts = align("intent", luck_of(generator, design, seeds), "rows" if design == "shared items" else None)
        effect = estimate_contrast(resample({"intent": counts}, 200, generator), {"intent": weigh_gain("nli")})
        held += effect.low <= 8 <= effect.high
        widths.append(effect.high - effect.low)
        errors.append(effect.value - 8)
    assert 0.9 <= held / 120 <= 1
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(120)
    spread = 4.303 if design == "seeds" else 1.96  # t with two degrees of freedom
    assert np.mean(widths) < 2 * spread * 1.5 * np.std(errors)  # not bought by width


def test_items_that_languages_share_are_drawn_together():
    """What is right in one language is right in all: more languages tell no more than one."""
    generator = np.random.default_rng(2)
    answers = np.tile(generator.random(50) < 0.5, (6, 1))
    runs = {("none", 1): predictions(np.zeros((6, 50))), ("nli", 1): predictions(answers)}
    effects = [
        estimate_contrast(
            resample({"xnli": align("xnli", runs, parallel)}, 2000, generator), {"xnli": weigh_gain("nli")}
        )
        for parallel in ("rows", None)
    ]
    alone = 100 * answers[0].std() / np.sqrt(50)
    assert effects[0].se == pytest.approx(alone, rel=0.06)
    assert effects[1].se == pytest.approx(alone / np.sqrt(5), rel=0.06)


def test_items_in_some_of_the_languages_are_drawn_together_there():
    runs = {
        ("none", 1): predictions(np.zeros((2, 3)), ["de", "hi"]),
        ("nli", 1): predictions(np.ones((2, 3)), ["de", "hi"]),
    }
    numbered = {run: frame.assign(item=[7, 8, 9, 9, 10, 11]) for run, frame in runs.items()}
    assert [own.tolist() for own in align("xquad", numbered, "rows").items] == [[7, 8, 9], [9, 10, 11]]
    assert [own.tolist() for own in align("xquad", runs, "rows").items] == [[0, 1, 2]] * 2
    assert [own.tolist() for own in align("mlqa", numbered, "ids").items] == [[7, 8, 9], [9, 10, 11]]
    assert align("mlqa", runs, "ids").items == align("tydiqa", runs).items == ()


def test_few_seeds_widen_an_interval_as_students_t_does():
    """With the same languages and items, effects of 6, 8 and 10 points in three seeds."""
    level = {1: 0.06, 2: 0.08, 3: 0.10}
    ones = {"predicted": 50, "gold": 50}
    runs = {("none", seed): predictions(np.zeros((6, 1)), **ones) for seed in level}
    runs |= {("nli", seed): predictions(np.full((6, 1), 50 * gain), **ones) for seed, gain in level.items()}
    effect = estimate_contrast(replicated({"intent": runs}), {"intent": weigh_gain("nli")})
    assert (effect.value, effect.df, effect.seeds) == (pytest.approx(8.0), 2, 3)
    assert [effect.low, effect.high] == pytest.approx(
        [8 - 4.303 * 2 / np.sqrt(3), 8 + 4.303 * 2 / np.sqrt(3)], rel=1e-3
    )


@example(parts=(1e-157, 0.0, 1.0), rows=1, seeds=1)  # whose degrees of freedom have no end before they are bounded
@given(parts=st.tuples(*3 * [st.floats(0, 100)]), rows=st.integers(1, 60), seeds=st.integers(1, 20))
def test_degrees_of_freedom_lie_between_those_of_one_and_of_both_together(parts, rows, seeds):
    variance, df = combine(*parts, rows, seeds)
    assert variance >= parts[0]
    assert min(rows, seeds) <= df <= rows * seeds


def test_a_condition_is_averaged_over_the_targets_that_it_and_the_baseline_have():
    generator = np.random.default_rng(0)
    found = replicated(
        {
            "intent": simulated(generator, conditions=("none", "nli", "qa")),
            "slots": simulated(generator, conditions=("none", "nli", "qa")),
            "dates": simulated(generator, conditions=("none", "nli")),
            "ui-mining": simulated(generator, conditions=("nli", "qa")),
        }
    )
    compared = {"nli": ["dates", "intent", "slots"], "qa": ["intent", "slots"]}
    assert find_comparable_targets(found) == compared
    table, cells = average_gains(found), estimate_gains(found).set_index(["condition", "target"])["gain"]
    assert table[["condition", "targets"]].to_numpy().tolist() == [["nli", 3], ["qa", 2]]
    assert table["gain"].tolist() == pytest.approx(
        [np.mean([cells[name, target] for target in targets]) for name, targets in compared.items()]
    )
    assert len(cells) == 5


def test_what_was_not_learned_survives_no_correction_and_counts_in_none():
    generator = np.random.default_rng(0)
    found = replicated({target: simulated(generator, effect=0.3) for target in ("intent", "slots", "dates")})
    whole, some = estimate_gains(found), estimate_gains(found, {("nli", "slots"): "why", ("none", "dates"): "why"})
    assert some.set_index("target")["learned"].to_dict() == {"intent": True, "slots": False, "dates": False}
    assert some.set_index("target")["survives_holm"].to_dict() == {"intent": True, "slots": False, "dates": False}
    one = some.set_index("target").loc["intent"]
    assert one["p_holm"] == one["p"]
    assert some["gain"].tolist() == whole["gain"].tolist()


def test_nothing_to_compare_is_an_empty_table():
    found = replicated({"intent": simulated(np.random.default_rng(0), conditions=("none",))})
    assert estimate_gains(found).empty
    assert average_gains(found).empty
    assert find_comparable_targets(found) == {}


def test_a_target_in_other_languages_can_be_averaged_with_the_rest():
    generator = np.random.default_rng(0)
    found = replicated({"intent": simulated(generator), "ui-retrieval": simulated(generator, languages=["ka"])})
    effect = estimate_contrast(found, average_weights(weigh_gain("nli"), ["intent", "ui-retrieval"]))
    assert np.isfinite([effect.low, effect.high, effect.p]).all()


def test_unknown_names_in_a_contrast():
    found = replicated({"intent": simulated(np.random.default_rng(0))})
    with pytest.raises(UnknownName, match="unknown condition of target 'intent' 'nil'. Did you mean 'nli'"):
        estimate_contrast(found, {"intent": {"nil": 1}})
    with pytest.raises(UnknownName, match="unknown target with zero-shot records 'intents'"):
        estimate_contrast(found, {"intents": {"nli": 1}})


def test_languages_have_gains_of_their_own():
    runs = {("none", 1): predictions(np.zeros((2, 4)), ["de", "en"])}
    runs |= {("qa", 1): predictions([[1, 0, 0, 0], [1, 1, 1, 1]], ["de", "en"])}
    found = replicated({"dates": runs, "slots": runs})
    table = estimate_language_gains(found)
    assert table.query("target == 'dates'")[["language", "baseline_score", "score", "gain"]].to_numpy().tolist() == [
        ["de", 0.0, 25.0, 25.0],
        ["en", 0.0, 100.0, 100.0],
    ]
    assert table.query("language == 'en'")[["low", "high"]].to_numpy().tolist() == [[100.0, 100.0]] * 2
    averages = average_language_gains(found)
    assert averages[["condition", "language", "gain", "targets"]].to_numpy().tolist() == [
        ["qa", "de", 25.0, 2],
        ["qa", "en", 100.0, 2],
    ]


def test_english_is_ahead_by_the_gap():
    runs = {("none", 1): predictions([[0, 0], [1, 1], [1, 0]], ["de", "en", "hi"])}
    runs |= {("qa", 1): predictions([[1, 1], [1, 1], [1, 1]], ["de", "en", "hi"])}
    untested = {run: frame[frame["language"] != "en"] for run, frame in runs.items()}
    table = estimate_english_gaps(replicated({"dates": runs, "ui-retrieval": untested}))
    assert table[["condition", "target", "english", "others", "gap"]].to_numpy().tolist() == [
        ["none", "dates", 100.0, 25.0, 75.0],
        ["qa", "dates", 100.0, 100.0, 0.0],
    ]
    assert table["change"].isna().tolist() == [True, False]
    assert table.loc[1, "change"] == -75
    assert table.loc[1, "change_low"] <= -75 <= table.loc[1, "change_high"]


def test_targets_without_english_have_no_gap():
    found = replicated({"ui-retrieval": simulated(np.random.default_rng(0), languages=["de", "hi"])})
    with pytest.raises(StiltsError, match="no target with records is tested in English"):
        estimate_english_gaps(found)


def test_holm_is_holm():
    table = correct_by_holm(pd.DataFrame({"p": [0.01, 0.04, 0.03, 0.005]}))
    assert table["p_holm"].tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert table["survives_holm"].tolist() == [True, False, False, True]


def test_what_has_no_p_value_was_not_tested_and_takes_no_part_in_holm():
    table = correct_by_holm(pd.DataFrame({"p": [0.02, np.nan, 0.03]}))
    assert table["p_holm"].tolist() == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert table["survives_holm"].tolist() == [True, False, True]
    nothing = correct_by_holm(pd.DataFrame({"p": [np.nan]}))
    assert (nothing["p_holm"].isna().tolist(), nothing["survives_holm"].tolist()) == ([True], [False])
    assert correct_by_holm(pd.DataFrame({"p": []})).empty


def test_without_correction_a_p_value_stays_what_it_is():
    table = correct_by_holm(pd.DataFrame({"p": [0.04, np.nan, 0.06]}), correct=False)
    assert table["p_holm"].equals(table["p"])
    assert table["survives_holm"].tolist() == [True, False, False]


def test_no_spread_is_certain_unless_nothing_is_there():
    found = [estimate(Sample(value, np.full(10, value))) for value in (0.0, 2.0)]
    assert found == [Estimate(0.0, 0.0, 0.0, 1.0, 0.0, np.inf, 0), Estimate(2.0, 2.0, 2.0, 0.0, 0.0, np.inf, 0)]


def test_an_effect_over_languages_is_judged_by_students_t():
    draws = np.array([1.0, 3.0])  # standard deviation 1
    rows = ("de", "hi", "ja")
    assert estimate(Sample(4.303, draws, rows)).p == pytest.approx(0.05, rel=1e-3)
    assert estimate(Sample(-1.959964, draws)).p == pytest.approx(0.05)  # of one language: its items alone


def test_points_are_written_with_their_sign():
    assert [format_signed(points) for points in (1.25, -0.04, 0.04, -3.06)] == ["+1.2", "0.0", "0.0", "−3.1"]
    assert [format_signed(value, 2) for value in (1.25, -0.004, -0.046)] == ["+1.25", "0.00", "−0.05"]
    assert str(Estimate(1.0, -0.5, 2.5, 0.2)) == "+1.0 [−0.5, +2.5]"


def test_layer_profiles_average_languages_that_all_conditions_have():
    table = pd.DataFrame(
        [
            {"condition": "none", "seed": 0, "language": "de", "layer_1": 10.0, "layer_2": 20.0, "layer_10": 50.0},
            {"condition": "none", "seed": 0, "language": "hi", "layer_1": 0.0, "layer_2": 10.0, "layer_10": 40.0},
            {"condition": "none", "seed": 0, "language": "xx", "layer_1": 99.0, "layer_2": 99.0, "layer_10": 99.0},
            {"condition": "nli", "seed": 1, "language": "de", "layer_1": 10.0, "layer_2": 30.0, "layer_10": 60.0},
            {"condition": "nli", "seed": 2, "language": "de", "layer_1": 10.0, "layer_2": 34.0, "layer_10": 60.0},
            {"condition": "nli", "seed": 1, "language": "hi", "layer_1": 2.0, "layer_2": 10.0, "layer_10": 50.0},
            {"condition": "nli", "seed": 2, "language": "hi", "layer_1": 2.0, "layer_2": 10.0, "layer_10": 50.0},
        ]
    )
    found = estimate_layer_profiles(table.assign(target="ui-retrieval"))
    assert found[["condition", "layer", "score"]].to_numpy().tolist() == [
        ["none", 1, 5.0], ["none", 2, 15.0], ["none", 10, 45.0],
        ["nli", 1, 6.0], ["nli", 2, 21.0], ["nli", 10, 55.0],
    ]  # fmt: skip
    nli = found[found["condition"] == "nli"]
    assert nli["gain"].tolist() == [1.0, 6.0, 10.0]
    assert nli[["gain_low", "gain_high"]].iloc[-1].tolist() == [10.0, 10.0]
    assert found[found["condition"] == "none"]["gain"].isna().all()
    assert ((found["low"] <= found["score"]) & (found["score"] <= found["high"])).all()


def test_rank_correlations_are_spearmans():
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    table = pd.DataFrame({"far": generator.integers(0, 5, 30).astype(float), "same": 1.0})
    table["gain"] = table["far"] + generator.normal(size=30)
    table.loc[3, "far"] = np.nan
    found = correlate_ranks(table, ["gain"], ["far", "same"], 400, generator)
    known = table.dropna()
    assert found[["by", "measure", "rho", "languages"]].to_numpy().tolist() == [
        ["far", "gain", pytest.approx(spearmanr(known["far"], known["gain"]).statistic), 29]
    ]
    assert -1 <= found["low"][0] < found["rho"][0] < found["high"][0] <= 1


def test_cells_that_two_studies_share():
    one = pd.DataFrame({"condition": ["nli", "qa"], "target": "intent", "gain": [1.0, 2.0], "low": 0.0, "high": 3.0})
    other = one.iloc[1:].assign(gain=5.0)
    assert pair_gains(one, other)[["condition", "gain_live", "gain_recorded"]].to_numpy().tolist() == [
        ["qa", 2.0, 5.0]
    ]


def test_tables_for_pages():
    averages = pd.DataFrame(
        [["qa", "de", 1.0, 2], ["qa", "hi", 2.0, 1], ["nli", "de", 3.0, 2]],
        columns=["condition", "language", "gain", "targets"],
    )
    assert pivot_language_gains(averages).to_dict("list") == {
        "language": ["de", "hi"], "targets": [2, 1], "qa": [1.0, 2.0], "nli": [3.0, pytest.approx(np.nan, nan_ok=True)],
    }  # fmt: skip
    cells = pd.DataFrame({"language": ["de", "de", "hi"], "baseline_score": [10.0, 20.0, 30.0]})
    assert average_baseline(cells).to_numpy().tolist() == [["de", 15.0], ["hi", 30.0]]
    layers = pd.DataFrame({"condition": ["nli", "nli", "none"], "layer": [1, 2, 1], "score": [5.0, 5.0, 1.0]})
    assert find_best_layers(layers)[["condition", "layer"]].to_numpy().tolist() == [["nli", 1], ["none", 1]]


def test_spread_over_seeds_leaves_english_out():
    rows = [("none", "intent", seed, language, score) for seed, language, score in
            [(1, "de", 50.0), (1, "en", 90.0), (2, "de", 54.0), (2, "en", 10.0)]]  # fmt: skip
    table = measure_seed_spread(pd.DataFrame(rows, columns=["condition", "target", "seed", "language", "score"]))
    assert table.to_dict("records") == [
        {"condition": "none", "target": "intent", "seeds": 2, "mean": 52.0, "sd": pytest.approx(np.sqrt(8))}
    ]
