import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.claims import Claim, Part, Verdict, as_parts, as_table, best_on_dev, ledger, show, summary
from stilts.statistics import Estimate, align, resample

LANGUAGES = ("de", "en", "hi", "ja", "sw", "tr", "vi", "zh")
TARGETS = ("intent", "command-nli", "command-qa", "ui-retrieval", "ui-mining")
EXAMPLES = 80


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


def dev(scores):
    return pd.DataFrame(scores, columns=["condition", "target", "score"])


DEV = dev([("none", "intent", 99), ("nli", "intent", 70), ("qa", "intent", 80), ("multi", "intent", 80),
           ("nli", "command-qa", 60), ("qa", "command-qa", 50)])  # fmt: skip


def test_a_planted_world_in_which_the_claims_hold():
    strong = {"nli": 0.15, "qa": 0.15, "multi": 0.3, ("nli", "command-nli"): -0.1, ("qa", "command-nli"): -0.1,
              ("multi", "command-nli"): -0.1}  # fmt: skip
    found = {claim.id: claim for claim in ledger(replicates(strong), DEV)}
    assert list(found) == [f"C{number}" for number in range(1, 11)]
    assert {name: str(claim.verdict) for name, claim in found.items()} == {
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
    assert found["C10"].note == "8 languages, 8 of them XTREME's, over 5 target tasks"


def test_a_planted_world_in_which_they_do_not():
    weak = {"nli": -0.15, "qa": -0.1, "multi": -0.25, ("nli", "command-nli"): 0.2, ("qa", "command-nli"): 0.2}
    verdicts = {claim.id: claim.verdict for claim in ledger(replicates(weak), DEV)}
    assert {verdicts[name] for name in ("C1", "C2", "C3", "C4", "C5")} == {Verdict.NOT_SUPPORTED}


def test_without_effects_large_ones_are_at_most_ruled_out_and_the_rest_stays_open():
    found = [claim for state in range(12) for claim in ledger(replicates({}, state=state), DEV)]
    large = [claim.verdict for claim in found if claim.id in ("C1", "C3")]
    signs = [claim.verdict for claim in found if claim.id in ("C2", "C4", "C5")]
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
    found = {claim.id: claim for claim in ledger(replicates({}, conditions, targets), DEV)}
    assert {name: found[name].note for name in notes} == {
        name: f"no records of {missing} to compare" for name, missing in notes.items()
    }
    assert {found[name].verdict for name in notes} == {Verdict.NOT_TESTED}


def test_the_best_on_dev_is_chosen_among_conditions_with_test_scores_but_the_baseline():
    found = replicates({}, conditions=("none", "nli", "multi"))
    assert best_on_dev(found, DEV) == {"intent": "multi", "command-qa": "nli"}
    assert best_on_dev(replicates({}), DEV)["intent"] == "qa"  # the first of equal ones
    untrained = {claim.id: claim for claim in ledger(found, dev([]))}
    assert untrained["C5"].note == "no records of `target training` to compare"


def test_the_ledger_as_tables():
    claims = [
        Claim("C1", "a < b", "+8.2", "Gain of `qa`.", (Part("qa", Estimate(1.0, 0.5, 1.5, 0.01), published=8.2),)),
        Claim("C6", "c", "-", "nowhere", note="no records"),
    ]
    assert as_table(claims).to_dict("records") == [
        {"": "C1", "claim": "a < b", "published": "+8.2", "tested here": "Gain of `qa`.",
         "our effect": "qa: +1.0 [+0.5, +1.5]", "verdict": "supported"},
        {"": "C6", "claim": "c", "published": "-", "tested here": "nowhere", "our effect": "no records",
         "verdict": "not tested here yet"},
    ]  # fmt: skip
    assert as_parts(claims).to_dict("records") == [
        {"id": "C1", "part": "qa", "value": 1.0, "low": 0.5, "high": 1.5, "at_least": 0.0, "published": 8.2,
         "verdict": "supported"}
    ]  # fmt: skip
    page = show(as_table(claims)).data
    assert "a &lt; b" in page
    assert "<code>qa</code>" in page
    assert '<span class="verdict">supported</span>' in page
    assert summary(claims) == "Of 2 claims: supported 1, not tested here yet 1."
