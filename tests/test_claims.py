import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.claims import Claim, Evidence, Part, Verdict, as_parts, as_table, best_on_dev, ledger, show, summary
from stilts.conditions import average_differences, comparisons, counterparts, differences, single_tasks
from stilts.statistics import Estimate, align, resample

LANGUAGES = ("de", "en", "hi", "ja", "sw", "tr", "vi", "zh")
TARGETS = ("intent", "command-nli", "command-qa", "ui-retrieval", "ui-mining")
EXAMPLES = 80
TASKS = {"none": (), "nli": ("nli",), "qa": ("qa",), "multi": ("nli", "qa")}
XTREME = ("xnli", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
PILOT = {
    "none": (), "mnli": ("mnli",), "squad": ("squad",), "hellaswag": ("hellaswag",),
    "multi": ("mnli", "squad", "hellaswag"), "mnli-mlm": ("mnli", "mlm"), "translated": ("xnli-dev-translated",),
}  # fmt: skip


def effect(low, high):
    return Estimate((low + high) / 2, low, high, 0.5)


@pytest.mark.parametrize(
    "low, high, at_least, below, verdict",
    [
        (0.5, 2.0, 0.0, False, Verdict.SUPPORTED),
        (-2.0, -0.5, 0.0, False, Verdict.NOT_SUPPORTED),
        (-0.5, 2.0, 0.0, False, Verdict.CANNOT_TELL),
        (0.0, 2.0, 0.0, False, Verdict.CANNOT_TELL),
        (0.5, 1.9, 2.0, False, Verdict.NOT_SUPPORTED),
        (0.5, 2.1, 2.0, False, Verdict.CANNOT_TELL),
        (-3.0, 0.9, 1.0, True, Verdict.SUPPORTED),
        (1.1, 3.0, 1.0, True, Verdict.NOT_SUPPORTED),
        (-3.0, 1.1, 1.0, True, Verdict.CANNOT_TELL),
    ],
)
def test_the_rule(low, high, at_least, below, verdict):
    assert Part("x", effect(low, high), at_least, below).verdict == verdict


@given(
    st.floats(-20, 20), st.floats(0, 20), st.floats(-5, 5), st.booleans(),
)  # fmt: skip
def test_a_claim_and_its_opposite_are_never_both_supported(low, width, at_least, below):
    one, other = (Part("x", effect(low, low + width), at_least, side).verdict for side in (below, not below))
    opposite = {Verdict.SUPPORTED: Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED: Verdict.SUPPORTED}
    assert other == opposite.get(one, one)


@pytest.mark.parametrize(
    "lows, verdict",
    [
        ((1.0, 2.0), Verdict.SUPPORTED),
        ((1.0, -1.0), Verdict.CANNOT_TELL),
        ((1.0, -9.0), Verdict.NOT_SUPPORTED),
        ((-1.0, -9.0), Verdict.NOT_SUPPORTED),
        ((), Verdict.NOT_TESTED),
    ],
)
def test_all_parts_must_hold(lows, verdict):
    parts = tuple(Part("x", effect(low, low + 3)) for low in lows)
    assert Claim("C0", "text", "-", "here", parts).verdict == verdict


def replicates(effects, conditions=("none", "nli", "qa", "multi"), targets=TARGETS, state=0):
    """Draw answers whose rate rises by a condition's effect, or by that of (condition, target)."""
    generator = np.random.default_rng(state)
    counts = {}
    for target in targets:
        runs = {}
        for condition in conditions:
            rate = 0.4 + effects.get((condition, target), effects.get(condition, 0.0))
            frame = pd.DataFrame(
                {"language": np.repeat(LANGUAGES, EXAMPLES), "example": np.tile(np.arange(EXAMPLES), len(LANGUAGES))}
            )
            right = (generator.random(len(frame)) < rate).astype(float)
            runs[condition, 1] = frame.assign(matches=right, predicted=1, gold=1)
        counts[target] = align(target, runs)
    return resample(counts, 300, np.random.default_rng(0))


def found(replicates, dev_scores, tasks=TASKS, suite="pocket"):
    return {claim.id: claim for claim in ledger(Evidence(suite, replicates, dev_scores, tasks))}


def dev(scores):
    return pd.DataFrame(scores, columns=["condition", "target", "score"])


DEV = dev([("none", "intent", 99), ("nli", "intent", 70), ("qa", "intent", 80), ("multi", "intent", 80),
           ("nli", "command-qa", 60), ("qa", "command-qa", 50)])  # fmt: skip


def test_a_planted_world_in_which_the_claims_hold():
    strong = {"nli": 0.15, "qa": 0.15, "multi": 0.3, ("nli", "command-nli"): -0.1, ("qa", "command-nli"): -0.1,
              ("multi", "command-nli"): -0.1}  # fmt: skip
    claims = found(replicates(strong), DEV)
    assert list(claims) == [f"C{number}" for number in range(1, 11)]
    assert {name: str(claim.verdict) for name, claim in claims.items()} == {
        "C1": "supported",
        "C2": "supported",
        "C3": "supported",
        "C4": "supported",
        "C5": "supported",
        "C6": "not tested here yet",
        "C7": "stated, not tested",
        "C8": "holds by design",
        "C9": "stated, not tested",
        "C10": "stated, not tested",
    }
    assert claims["C9"].note == "2 of 6 intermediate tasks have records: classification, question answering"
    assert claims["C10"].note == "8 languages, 8 of them XTREME's, over 5 target tasks"


def test_a_planted_world_in_which_they_do_not():
    weak = {"nli": -0.15, "qa": -0.1, "multi": -0.25, ("nli", "command-nli"): 0.2, ("qa", "command-nli"): 0.2}
    claims = found(replicates(weak), DEV)
    assert {claims[name].verdict for name in ("C1", "C2", "C3", "C4", "C5")} == {Verdict.NOT_SUPPORTED}


def test_without_effects_large_ones_are_at_most_ruled_out_and_the_rest_stays_open():
    worlds = [found(replicates({}, state=state), DEV) for state in range(12)]
    large = [world[name].verdict for world in worlds for name in ("C1", "C3")]
    signs = [world[name].verdict for world in worlds for name in ("C2", "C4", "C5")]
    assert Verdict.SUPPORTED not in large
    assert signs.count(Verdict.CANNOT_TELL) >= 32  # of 36: each is wrong in one of twenty worlds at most


@pytest.mark.parametrize(
    "conditions, targets, notes",
    [
        (("none", "nli"), TARGETS, {"C1": "`qa`", "C2": "`multi`"}),
        (("none", "multi"), ("intent",), {"C2": "`a single task` and `multi`", "C3": "`ui-mining` and `ui-retrieval`"}),
        (("none",), ("intent",), {"C1": "`nli` and `qa`", "C4": "`command-nli` and `command-qa`"}),
    ],
)
def test_what_has_no_records_is_named_and_not_judged(conditions, targets, notes):
    claims = found(replicates({}, conditions, targets), DEV)
    assert {name: claims[name].note for name in notes} == {
        name: f"no records of {missing} to compare" for name, missing in notes.items()
    }
    assert {claims[name].verdict for name in notes} == {Verdict.NOT_TESTED}


def test_the_best_on_dev_is_chosen_among_conditions_with_test_scores_but_the_baseline():
    some = replicates({}, conditions=("none", "nli", "multi"))
    assert best_on_dev(Evidence("pocket", some, DEV, TASKS)) == {"intent": "multi", "command-qa": "nli"}
    # The first of equal ones.
    assert best_on_dev(Evidence("pocket", replicates({}), DEV, TASKS))["intent"] == "qa"
    assert found(some, dev([]))["C5"].note == "no records of `target training` to compare"


# --- another suite ---------------------------------------------------------------------------------------------------

PILOT_DEV = dev([("mnli", "xquad", 50), ("squad", "xquad", 70), ("mnli-mlm", "xquad", 90), ("mnli", "xnli", 60)])


def test_the_claims_are_about_the_tasks_of_the_study_s_own_suite():
    effects = {"mnli": 0.15, "squad": 0.15, "hellaswag": 0.15, "multi": 0.35, "mnli-mlm": 0.0, "translated": 0.05}
    effects |= {(name, "xnli"): -0.15 for name in PILOT if name != "none"}
    claims = found(replicates(effects, tuple(PILOT), XTREME), PILOT_DEV, PILOT, "xtreme")
    assert {claims[f"C{number}"].verdict for number in range(1, 7)} == {Verdict.SUPPORTED}
    assert [part.published for part in claims["C1"].parts] == [8.2, 7.5, 7.0]
    assert [part.text for part in claims["C3"].parts] == ["tatoeba, mean over tasks", "bucc2018, mean over tasks"]
    assert "`tydiqa`" in claims["C4"].tested
    # MLQA has the dev score of XQuAD's training.
    assert "`squad` for `mlqa`, `mnli` for `xnli`, `squad` for `xquad`" in claims["C5"].tested
    assert claims["C9"].note.startswith("3 of 9 intermediate tasks have records: classification, question answering")


def test_a_condition_that_beats_its_english_counterpart_speaks_against_c6():
    effects = {"mnli-mlm": 0.3, "translated": 0.3}
    claims = found(replicates(effects, tuple(PILOT), XTREME), PILOT_DEV, PILOT, "xtreme")
    assert claims["C6"].verdict == Verdict.NOT_SUPPORTED
    assert [part.text for part in claims["C6"].parts] == [
        "mnli-mlm \N{MINUS SIGN} mnli, mean over targets", "translated \N{MINUS SIGN} mnli, mean over targets",
    ]  # fmt: skip


def test_half_of_c6_cannot_support_it():
    some = {name: PILOT[name] for name in ("none", "mnli", "mnli-mlm")}
    worse = replicates({"mnli-mlm": -0.2}, tuple(some), XTREME)
    claim = found(worse, PILOT_DEV, some, "xtreme")["C6"]
    assert [part.verdict for part in claim.parts] == [Verdict.SUPPORTED]
    assert claim.verdict == Verdict.CANNOT_TELL
    assert claim.note == "no records with data in other languages"
    table = as_table({"pilot": [claim]})
    assert table["pilot"][0].splitlines()[-2:] == [claim.note, "cannot tell at this scale"]


def test_a_study_without_any_record_has_a_ledger_without_verdicts():
    claims = found({}, dev([]), {}, "xtreme")
    assert {claims[f"C{number}"].verdict for number in range(1, 7)} == {Verdict.NOT_TESTED}
    assert claims["C1"].note == "no records of `hellaswag`, `mnli` and `squad` to compare"
    assert claims["C10"].note == "0 languages, 0 of them XTREME's, over 0 target tasks"


# --- conditions ------------------------------------------------------------------------------------------------------


def test_counterparts_are_found_by_their_tasks():
    assert [(pair.condition, pair.against) for pair in counterparts(PILOT)] == [
        ("mnli-mlm", "mnli"), ("translated", "mnli"),
    ]  # fmt: skip
    assert single_tasks(PILOT) == ["mnli", "squad", "hellaswag"]
    alone = {"none": (), "squad-mlm": ("squad", "mlm"), "mlm": ("mlm",), "mnli-translated": ("mnli-translated",)}
    assert counterparts(alone) == []
    both = {"mixed": ("mlm", "mnli-translated"), "mnli": ("mnli",)}
    assert [pair.change for pair in counterparts(both)] == [
        "multilingual language modelling mixed in, data in other languages",
    ]


def test_differences_are_those_of_the_scores():
    tasks = {name: PILOT[name] for name in ("none", "mnli", "squad", "multi", "mnli-mlm")}
    drawn = replicates({"multi": 0.3}, tuple(tasks), ("xnli", "tatoeba"))
    table = differences(drawn, tasks).set_index(["comparison", "target"])
    for (name, target), row in table.iterrows():
        weights = next(weights for (label, _), weights in comparisons(tasks).items() if label == name)
        part = drawn[target]
        means = part.scores[part.others].mean(axis=0)
        expected = sum(weight * means[part.conditions.index(condition)] for condition, weight in weights.items())
        assert row["difference"] == pytest.approx(expected)
    averages = average_differences(drawn, tasks).set_index("comparison")
    for name, row in averages.iterrows():
        assert row["difference"] == pytest.approx(table.loc[name, "difference"].mean())
        assert row["targets"] == 2
    assert averages["low"].iloc[1] > 0
    assert differences({}, tasks).empty


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_ledger_as_tables():
    claims = [
        Claim("C1", "a < b", "+8.2", "Gain of `qa`.", (Part("qa", Estimate(1.0, 0.5, 1.5, 0.01), published=8.2),)),
        Claim("C6", "c", "-", "nowhere", note="no records"),
    ]
    ledgers = {"one": claims, "two": [claims[1], claims[1]]}
    assert as_table(ledgers).to_dict("records") == [
        {"id": "C1", "claim": "a < b", "published": "+8.2",
         "one": "Gain of `qa`.\nqa: +1.0 [+0.5, +1.5]\nsupported", "two": "nowhere\nno records\nnot tested here yet"},
        {"id": "C6", "claim": "c", "published": "-", "one": "nowhere\nno records\nnot tested here yet",
         "two": "nowhere\nno records\nnot tested here yet"},
    ]  # fmt: skip
    assert as_parts(ledgers).to_dict("records") == [
        {"study": "one", "id": "C1", "part": "qa", "value": 1.0, "low": 0.5, "high": 1.5, "at_least": 0.0,
         "published": 8.2, "verdict": "supported"}
    ]  # fmt: skip
    assert as_parts({"two": [claims[1]]}).empty
    page = show(as_table(ledgers)).data
    assert "a &lt; b" in page
    assert "<code>qa</code>" in page
    assert '<span class="verdict">supported</span>' in page
    assert summary(ledgers) == (
        "one: of 2 claims, supported 1, not tested here yet 1. two: of 2 claims, not tested here yet 2."
    )
