"""Question 3 on faked scores: known gains and their differences are found, and none where none was planted."""

from dataclasses import replace
from pathlib import Path

import faked_study
import numpy as np
import pandas as pd
import pytest
from fakes import ORIGIN, make_run
from redrawing import redraw
from scipy import stats

from stilts.analysis.opened import Analysis
from stilts.analysis.questions.architecture import (
    ARCHITECTURES,
    TESTS,
    Evidence,
    answer_question,
    describe_below_gate,
    describe_design,
    describe_gains_without_targets,
    describe_levels,
    describe_low_targets,
    gather,
    pair_conditions,
    tabulate_differences,
    tabulate_gains_without_targets,
    tabulate_language_gains,
    tabulate_levels,
    tabulate_target_gains,
    tabulate_training,
)
from stilts.analysis.questions.chapters import Section
from stilts.analysis.questions.crossed import tabulate_checks
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS
from stilts.analysis.questions.testing import Rules, run_tests, tabulate_verdicts
from stilts.publish.figures.questions import draw_group_gains
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.settings import Study
from stilts.workspace.checkout import Checkout

ROOT = Path(__file__).parents[2]
CODES = ["ar", "bg", "cs", "de", "el", "es", "eu", "fi", "fr", "hi", "hu", "it", "ko", "ru", "th", "tr", "vi", "zh"]
TARGETS = ("intent", "slots", "command-qa", "ui-retrieval")
CONDITIONS = {name: (f"{name}-none", f"{name}-nli") for name in ARCHITECTURES}
CHOSEN = ("gain-encoder", "gain-decoder", "gain-encoder-decoder", "decoder-minus-encoder",
          "encoder-decoder-minus-encoder")  # fmt: skip
RULES = Rules(dict.fromkeys(CHOSEN, "A hypothesis."), resamples=200)
FAKES = 200
FEWEST, MOST = stats.binom.ppf([0.0005, 0.9995], FAKES, 0.05)


def scores(generator, gains=(0.0, 0.0, 0.0), targets=TARGETS, seeds=3) -> pd.DataFrame:
    """Fake scores: intermediate training gains so many points with each architecture, in each language and with each
    seed a little more or less; languages, seeds and runs have a luck of their own."""
    rows = []
    level, own = generator.normal(50, 8, len(CODES)), generator.normal(0, 2, (3, len(CODES)))
    for place, (without, after) in enumerate(CONDITIONS.values()):
        for seed in range(1, seeds + 1):
            luck = generator.normal(0, 0.5)
            for target in targets:
                for condition in (without, after):
                    gained = (gains[place] + own[place] + luck) * (condition == after)
                    values = level + 5 * place + gained + generator.normal(0, 3, len(CODES))
                    rows += [(condition, target, code, seed, value, 30.0)
                             for code, value in zip([*CODES, "en"], [*values, 80.0], strict=True)
                             if code != "en" or target != "ui-retrieval"]  # fmt: skip
    return pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))


@pytest.fixture(scope="module")
def fake():
    return scores(np.random.default_rng(0), gains=(6.0, -4.0, 1.0))


@pytest.fixture(scope="module")
def evidence(fake):
    return gather(fake, CONDITIONS)


# --- Evidence --------------------------------------------------------------------------------------------------------


def test_gains_are_paired_and_averaged_over_targets():
    table = pd.DataFrame(
        [
            (condition, target, code, 1, score, 30.0)
            for condition, of in {"encoder-none": (50, 40, 60), "encoder-nli": (60, 44, 90)}.items()
            for target, more in (("intent", 0), ("slots", 2))
            for code, score in zip(("de", "fr", "en"), (of[0] + more * (of[0] == 60), *of[1:]), strict=True)
        ],
        columns=list(OUTCOME_COLUMNS),
    )
    found = gather(table, CONDITIONS)
    assert found.architectures == ["encoder"]
    assert found.targets == ("intent", "slots")
    assert found.gain("encoder")[1].to_dict() == {"de": 11, "fr": 4}  # English is no language to transfer to
    assert found.gain("encoder", ["intent"])[1].to_dict() == {"de": 10, "fr": 4}


def test_a_target_of_few_languages_stands_apart_and_an_untrained_score_for_every_seed(fake):
    retrieval = fake[fake["target"] == "ui-retrieval"]
    mining = retrieval[retrieval["language"].isin(CODES[:4])].assign(target="ui-mining")
    untrained = mining["condition"].str.endswith("none")
    mining = pd.concat([mining[untrained & (mining["seed"] == 1)].assign(seed=0), mining[~untrained]])
    found = gather(pd.concat([fake, mining]), CONDITIONS)
    assert (found.targets, found.alone) == (TARGETS, ("ui-mining",))
    assert found.gain("decoder").shape == (len(CODES), 3)
    assert found.gain("decoder", ["ui-mining"]).shape == (4, 3)
    assert found.gain("decoder", ["ui-mining"]).notna().all(axis=None)
    assert "`ui-mining` stands apart: too few languages have it." in describe_design(found)


def test_nothing_recorded_gives_empty_tables_and_tests_without_numbers():
    found = gather(pd.DataFrame(columns=list(OUTCOME_COLUMNS)), CONDITIONS)
    results = run_tests(TESTS, found, RULES)
    assert [result.known for result in results] == [False] * 5
    assert results[3].notes == ("no scores with and without the intermediate task of decoder and encoder",)
    tables = (
        tabulate_levels(found, RULES),
        tabulate_target_gains(found, RULES),
        tabulate_differences(found, RULES),
        tabulate_language_gains(found),
    )
    assert [len(table) for table in tables] == [0, 0, 0, 0]
    assert describe_levels(tables[0]) == "There is nothing to compare yet."
    assert describe_design(found) == "There are no scores yet that could be averaged."


def test_pairs_are_the_study_files():
    study = Checkout(ROOT).study("architecture-shared")
    assert pair_conditions(study) == CONDITIONS
    assert set(study.question.tests) == set(CHOSEN) <= set(TESTS)
    broken = study.model_copy(update={"intermediates": study.intermediates[1:]})
    with pytest.raises(StiltsError, match="encoder 'encoder' needs one condition without tasks .* has none and enc"):
        pair_conditions(broken)


def test_all_architectures_start_from_the_same_weights():
    encoders = Checkout(ROOT).study("architecture-shared").encoders.values()
    assert [encoder.convert_to for encoder in encoders] == list(ARCHITECTURES)
    others = [encoder.model_dump(exclude={"convert_to"}) for encoder in encoders]
    assert others[0] == others[1] == others[2]


def test_models_from_random_weights_have_equal_sizes():
    encoders = Checkout(ROOT).study("architecture-pilot").encoders.values()
    assert [encoder.scratch.architecture for encoder in encoders] == list(ARCHITECTURES)
    sizes = [encoder.scratch.model_dump(exclude={"architecture"}) for encoder in encoders]
    assert sizes[0] == sizes[1] == sizes[2]


# --- Known effects ---------------------------------------------------------------------------------------------------


def test_known_gains_and_differences_are_found_with_sign_and_size():
    generator = np.random.default_rng(1)
    truth = dict(zip(CHOSEN, (6.0, -4.0, 1.0, -10.0, -5.0), strict=True))
    found = [run_tests(TESTS, gather(scores(generator, (6.0, -4.0, 1.0)), CONDITIONS), RULES) for _ in range(20)]
    for place, (name, size) in enumerate(truth.items()):
        estimates = [results[place].value for results in found]
        assert np.mean(estimates) == pytest.approx(size, abs=0.8), name
        assert all(np.sign(each) == np.sign(size) for each in estimates if abs(size) > 3)


def test_verdicts_of_known_effects(evidence):
    found = tabulate_verdicts(run_tests(TESTS, evidence, RULES), RULES).set_index("test")["verdict"]
    assert found["gain-encoder"] == "supported"
    assert found["decoder-minus-encoder"] == "supported"
    assert found["gain-decoder"] != "supported"  # it loses, and the hypothesis says that it gains


def test_models_below_the_gate_cannot_test_anything(evidence):
    scores = {name: own["intent"].drop(index="en", errors="ignore") for name, own in evidence.before.items()}
    means = {name: own.mean(axis=None) for name, own in scores.items()}
    lowest = min(means, key=means.get)
    gate = {"intent": means[lowest] - 0.1, "tatoeba": 99.0}  # and a target that it has not
    assert describe_below_gate(evidence, gate) == ""
    said = describe_below_gate(evidence, {"intent": means[lowest] + 0.01})
    assert said == (
        "without NLI the models score at the floor, where no gain could be seen (percent: "
        f"{means[lowest]:.1f} ({lowest}) on Intents, where {means[lowest] + 0.01:g} are asked for)"
    )


def test_without_an_effect_tests_are_positive_about_as_often_as_they_say():
    generator = np.random.default_rng(2)
    positive = dict.fromkeys(CHOSEN, 0)
    for _ in range(FAKES):
        for result in run_tests(TESTS, gather(scores(generator, targets=TARGETS[:2]), CONDITIONS), RULES):
            positive[result.test] += result.p < 0.05
    assert all(count <= MOST for count in positive.values()), positive
    assert sum(positive.values()) / len(CHOSEN) >= FEWEST / 2, positive


# --- Tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gains", "most"), [((-0.7, 1.5, -1.0), "+1.5"), ((-0.7, -0.5, -1.0), "−0.5")])
def test_a_sentence_names_the_highest_level_and_the_highest_gain(gains, most):
    table = pd.DataFrame({"group": ARCHITECTURES, "before": [30.0, 10, 20], "gain": gains, "low": -2.0, "high": 3.0})
    assert describe_levels(table) == (
        "Without an intermediate task the encoder model is best (30.0 percent) and the decoder model last (10.0). "
        f"The mean gain from NLI is highest for the decoder model: {most} points (−2.0 to +3.0)."
    )


def test_tables_hold_the_planted_levels_and_gains(evidence):
    table = tabulate_levels(evidence, RULES)
    assert table["group"].tolist() == list(ARCHITECTURES)
    assert table["before"].diff().dropna().tolist() == pytest.approx([5, 5], abs=1)
    assert (table["after"] - table["before"]).tolist() == pytest.approx(table["gain"].tolist())
    assert table["english_before"].tolist() == [80, 80, 80]
    assert describe_levels(table).startswith("Without an intermediate task the encoder-decoder model is best (")
    cells = tabulate_target_gains(evidence, RULES)
    assert cells[["condition", "target"]].drop_duplicates().shape[0] == 12
    assert cells.groupby("condition")["gain"].mean().round(6).to_dict() == pytest.approx(
        table.set_index("group")["gain"].round(6).to_dict()
    )
    assert (cells["p_holm"] >= cells["p"]).all()
    assert (cells["p_holm"] > cells["p"]).any()
    uncorrected = tabulate_target_gains(evidence, replace(RULES, correction="none"))
    assert uncorrected["p_holm"].equals(cells["p"])
    differences = tabulate_differences(evidence, RULES)
    assert differences["target"].tolist()[:2] == ["average", "intent"]
    average = differences[differences["target"] == "average"].set_index(["first", "second"])["difference"]
    assert average["encoder", "decoder"] == pytest.approx(table["gain"][0] - table["gain"][1])
    assert len(tabulate_language_gains(evidence)) == 3 * len(CODES)


def test_a_mean_gain_without_one_target_is_that_of_the_others(evidence):
    found = tabulate_gains_without_targets(evidence, RULES)
    assert found[["group", "target"]].values.tolist() == [
        [name, target] for name in ARCHITECTURES for target in evidence.targets
    ]
    by_target = tabulate_target_gains(evidence, RULES).set_index(["condition", "target"])
    for row in found.to_dict("records"):
        others = [(row["group"], target) for target in evidence.targets if target != row["target"]]
        assert row["gain"] == pytest.approx(by_target.loc[others, "gain"].mean())
        assert row["before"] == pytest.approx(by_target.loc[others, "score without"].mean())
    one = replace(evidence, targets=evidence.targets[:1])
    assert tabulate_gains_without_targets(one, RULES).empty


def test_targets_on_which_a_model_hardly_transfers_are_named():
    scored = {"encoder": {"intent": 18.0, "slots": 40.0}, "decoder": {"intent": 17.0, "slots": 9.9}}
    before = {
        name: {target: pd.DataFrame([[score]], index=["de"], columns=[1]) for target, score in own.items()}
        for name, own in scored.items()
    }
    found = Evidence(before, before, ("intent", "slots"), ())
    assert describe_low_targets(found, {"intent": 8.0}) == (
        "Less than 10 points above guessing, so that little could be lost there, stand `intent` (17.0 percent) and "
        "`slots` (9.9 percent) with the decoder model."
    )
    assert describe_low_targets(found, {"intent": 8.0}, "all models score at the floor") == ""
    assert describe_low_targets(replace(found, before={"encoder": before["encoder"]}, after={"encoder": {}}), {}) == ""


def test_the_target_that_a_mean_rests_on_most_is_named():
    levels = pd.DataFrame({"group": ["encoder", "decoder"], "gain": [-1.5, 2.0]})
    without = pd.DataFrame(
        [["encoder", "intent", -1.8, -3.0, -0.6], ["encoder", "ui-retrieval", 0.0, -1.0, 1.0],
         ["decoder", "intent", -2.0, -3.0, -1.0], ["decoder", "ui-retrieval", 3.0, 1.0, 5.0]],
        columns=["group", "target", "gain", "low", "high"],
    )  # fmt: skip
    assert describe_gains_without_targets(without, levels) == (
        "The mean gain rests most on one target each: for the encoder model on `ui-retrieval`, without which it is 0.0 "
        "points (−1.0 to +1.0); for the decoder model on `intent`, without which it is −2.0 points (−3.0 to −1.0)."
    )
    assert describe_gains_without_targets(without[:0], levels[:0]).startswith("There are not two targets")


def test_checks_go_with_every_test(evidence):
    found = tabulate_checks(run_tests(TESTS, evidence, RULES), RULES)
    assert found["test"].value_counts().to_dict() == dict.fromkeys(CHOSEN, 3)


def test_the_figure_has_a_row_for_each_architecture(evidence):
    figure = draw_group_gains(tabulate_language_gains(evidence), tabulate_levels(evidence, RULES), "architecture")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(ARCHITECTURES)
    nothing = tabulate_language_gains(evidence).iloc[:0]
    assert draw_group_gains(nothing, nothing, "architecture").texts[0].get_text() == "nothing to compare yet"


def pretraining_record(architecture, seed):
    metrics = {
        "training_tokens_read": 1000, "training_tokens_predicted": 150, "bits_per_token": 6.0 + seed,
        "parameters": 3_300_000, "embeddings": 900_000, "score": 20.0, "n": 9,
    }  # fmt: skip
    run = make_run("pretraining", architecture, seed=seed)
    return Record(run=run, metrics={"mul": metrics}, provenance=ORIGIN)


def test_what_models_learned_before_any_target():
    run = make_run("intermediate", "decoder-nli")
    dev = Record(run=run, metrics={"en": {"score": 70.0, "n": 9}}, provenance=ORIGIN)
    records = [*(pretraining_record(name, seed) for name in ("encoder", "decoder") for seed in (1, 2)), dev]
    found = tabulate_training(records, CONDITIONS).set_index("group")
    assert found.index.tolist() == ["encoder", "decoder"]
    assert found[["seeds", "parameters", "bits per token"]].to_numpy().tolist() == [[2, 3_300_000, 7.5]] * 2
    assert found["tokens predicted"].map(str).tolist() == ["150", "150"]
    assert found["intermediate"].fillna(-1).to_dict() == {"encoder": -1, "decoder": 70.0}


# --- From records ----------------------------------------------------------------------------------------------------


def test_from_records_to_the_answer(tmp_path, monkeypatch):
    study = Study(
        name="fake",
        title="A faked study",
        encoder={"name": "multilingual-e5-small"},
        encoders={name: {"name": "multilingual-e5-small", "scratch": {"architecture": name}} for name in ARCHITECTURES},
        intermediates=[
            {"name": f"{name}-{task or 'none'}", "tasks": [task] if task else [], "encoder": name}
            for name in ARCHITECTURES
            for task in ("", "nli")
        ],
        targets=["intent", "slots"],
        seeds=(1, 2, 3),
        question={"number": 3, "text": "?", "tests": dict(RULES.tests), "headline": CHOSEN[3], "resamples": 200},
    )
    for name, gain in zip(ARCHITECTURES, (0.2, 0.0, 0.0), strict=True):
        monkeypatch.setitem(faked_study.EFFECTS, f"{name}-nli", gain)
    here = Checkout(tmp_path)
    faked_study.write(here.store(), study)
    analysis = Analysis(here, study, tuple(here.store()), True, 200, 0)
    found = answer_question(Section(analysis, Rules.of(study.question)))
    assert found.verdicts["verdict"].iloc[0] == "supported"
    assert found.results[0].value == pytest.approx(20, abs=4)
    assert found.learned.effect.test == "decoder-minus-encoder"
    assert found.learned.effect.value == pytest.approx(-20, abs=6)
    assert found.learned.verdict == found.verdicts["verdict"].iloc[3]
    assert found.learned.text.startswith("Without an intermediate task the ")
    assert found.power.startswith("5 tests have 80 percent power for effects of ")
    assert len(found.checks) == 15


def test_items_that_languages_share_widen_the_interval_of_the_headline(evidence, fake):
    """Redrawn test items move all languages alike, which their spread does not show."""
    redrawn = gather(fake, CONDITIONS, redraw(fake, np.random.default_rng(0)))
    alone, wider = (TESTS["decoder-minus-encoder"].estimate(each, Rules()) for each in (evidence, redrawn))
    assert wider.value == alone.value
    assert wider.high - wider.low > 2 * (alone.high - alone.low)
