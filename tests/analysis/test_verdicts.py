"""The one rule of verdicts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.analysis.verdicts import Hypothesis, Judgement, Kind, Measurement, Verdict, explain_no_room, join, judge
from stilts.study.errors import StiltsError

LARGE = Hypothesis(Kind.ABOVE, smallest=2.0, asked=2.0)
GAIN, LOSS = Hypothesis(Kind.ABOVE, smallest=1.0), Hypothesis(Kind.BELOW, smallest=1.0)
EITHER, NO_MORE = (Hypothesis(kind, smallest=1.0) for kind in (Kind.DIFFERS, Kind.NO_MORE))


def interval(low, high, seeds=3, **more):
    """Return a measurement with this 95 % interval, of very many degrees of freedom."""
    return Measurement((low + high) / 2, (high - low) / 2 / 1.959964, np.inf, seeds, **more)


@pytest.mark.parametrize(
    "asked, low, high, verdict, reason",
    [
        (GAIN, 0.5, 2.0, "supported", "above 0"),
        (GAIN, -0.5, 2.0, "cannot tell", "the interval allows more than one answer"),
        (GAIN, 0.1, 0.9, "no effect that matters", "all of it closer to zero than 1"),
        (GAIN, -3.0, -1.1, "contradicted", "below -1"),
        (GAIN, -3.0, -0.9, "cannot tell", "what is claimed is ruled out, but not which other answer holds"),
        (LARGE, -2.4, 1.9, "cannot tell", "what is claimed is ruled out, but not which other answer holds"),
        (LARGE, 2.1, 5.0, "supported", "above 2"),
        (LARGE, 1.0, 5.0, "cannot tell", "the interval allows more than one answer"),
        (LARGE, 0.1, 1.9, "no effect that matters", "all of it closer to zero than 2"),
        (LOSS, -3.0, -0.1, "supported", "below 0"),
        (LOSS, 1.1, 3.0, "contradicted", "above 1"),
        (LOSS, 0.1, 3.0, "cannot tell", "what is claimed is ruled out, but not which other answer holds"),
        (EITHER, -3.0, -0.1, "supported", "it excludes zero"),
        (EITHER, -0.9, 0.9, "no effect that matters", "all of it closer to zero than 1"),
        (NO_MORE, -9.0, 0.9, "supported", "below 1"),
        (NO_MORE, 1.1, 9.0, "contradicted", "above 1"),
        (NO_MORE, 0.0, 1.1, "cannot tell", "the interval allows more than one answer"),
    ],
)
def test_the_rule(asked, low, high, verdict, reason):
    (found,) = judge([(asked, interval(low, high))])
    assert (str(found.verdict), found.reason) == (verdict, reason)


def test_without_a_smallest_effect_any_other_sign_contradicts():
    asked = Hypothesis(Kind.ABOVE, smallest=None)
    assert [judge([(asked, interval(*ends))])[0].verdict for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))] == [
        Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNCLEAR,
    ]  # fmt: skip
    with pytest.raises(StiltsError, match="hypothesis 'no more': it needs the smallest effect that matters"):
        Hypothesis(Kind.NO_MORE, smallest=None)


def test_what_cannot_be_tested_says_why_and_counts_in_no_correction():
    clear, hidden = interval(0.05, 4.0), interval(5.0, 9.0, obstacle="it stands at its ceiling")
    alone, other = judge([(GAIN, clear), (GAIN, hidden)])
    assert (alone.verdict, alone.p) == (Verdict.SUPPORTED, judge([(GAIN, clear)])[0].p)
    assert (other.verdict, other.reason) == (Verdict.UNTESTABLE, "it stands at its ceiling")
    assert np.isnan(other.p)


@pytest.mark.parametrize("asked", [GAIN, LARGE, LOSS, EITHER, NO_MORE], ids=lambda each: each.kind)
@given(value=st.floats(-20, 20), se=st.floats(0.001, 5))
def test_one_seed_says_at_most_cannot_tell(asked, value, se):
    (found,) = judge([(asked, Measurement(value, se, np.inf, seeds=1))])
    assert found.verdict is Verdict.UNCLEAR


def test_holm_corrects_every_kind_of_decision():
    pairs = [(GAIN, interval(0.1, 4.0)), (EITHER, interval(-0.95, 0.95)), (GAIN, interval(-9.0, 9.0))]
    alone = ["supported", "no effect that matters", "cannot tell"]
    assert [each.verdict for each in judge(pairs, correct=False)] == alone
    together = judge(pairs)
    assert [each.verdict for each in together] == ["cannot tell"] * 3
    said = [f"{verdict} by itself, but not after the correction for 3 judged together" for verdict in alone[:2]]
    assert [each.reason for each in together[:2]] == said


def test_the_choice_of_the_best_of_several_is_corrected_for():
    once, chosen = (judge([(GAIN, interval(0.1, 4.0, choices=count))])[0] for count in (1, 6))
    assert (once.verdict, chosen.verdict) == (Verdict.SUPPORTED, Verdict.UNCLEAR)
    assert chosen.p == pytest.approx(6 * once.p)


def test_the_p_value_of_another_kind_of_test_goes_before_that_of_a_t_test():
    permuted = interval(1.0, 5.0, p=0.2)
    assert judge([(EITHER, permuted)])[0].verdict is Verdict.UNCLEAR
    assert judge([(EITHER, permuted)])[0].p == 0.2
    assert judge([(NO_MORE, interval(-5.0, -1.0, p=0.2))])[0].p < 0.2  # it says nothing of other bounds than zero


@given(
    value=st.floats(-20, 20), se=st.floats(0.0, 5), df=st.integers(1, 60), asked=st.floats(0, 5),
    smallest=st.floats(0.1, 5),
)  # fmt: skip
def test_opposite_hypotheses_are_never_both_supported(value, se, df, asked, smallest):
    found = Measurement(value, se, df, seeds=3)
    up, down = (judge([(Hypothesis(kind, smallest, asked), found)])[0].verdict for kind in (Kind.ABOVE, Kind.BELOW))
    assert {up, down} != {Verdict.SUPPORTED}
    assert (up is Verdict.NO_EFFECT) == (down is Verdict.NO_EFFECT)
    (more,) = judge([(Hypothesis(Kind.NO_MORE, smallest), found)])
    if up is Verdict.NO_EFFECT:
        assert more.verdict is Verdict.SUPPORTED


@pytest.mark.parametrize("truth", [0.0, 1.0, -1.0, 0.5])
def test_wrong_decisions_on_one_effect_are_as_rare_as_the_level_says(truth):
    """With the true effect on a bound, where errors are most frequent."""
    generator = np.random.default_rng(4)
    small = {Verdict.NO_EFFECT} if abs(truth) < 1 else set()
    right = {GAIN: truth > 0, LOSS: truth < 0, EITHER: truth != 0}
    tries = 500
    for asked, holds in right.items():
        allowed = {Verdict.UNCLEAR} | small | ({Verdict.SUPPORTED} if holds else set())
        values = truth + generator.normal(0, 0.4, tries)
        found = [judge([(asked, Measurement(value, 0.4, np.inf, 3))])[0].verdict for value in values]
        wrong = sum(each not in allowed for each in found)
        assert wrong / tries <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / tries)


def judged(*verdicts):
    return [Judgement(Verdict(verdict), reason, 0.5) for verdict, reason in verdicts]


@pytest.mark.parametrize(
    "parts, complete, verdict, reason",
    [
        ([("supported", "above 0"), ("supported", "above 1")], True, "supported", ""),
        ([("supported", "above 0"), ("supported", "above 1")], False, "cannot tell", "a part of it has no records"),
        ([("supported", "above 0"), ("contradicted", "below -1")], True, "contradicted", "b: below -1"),
        ([("no effect that matters", "small"), ("cannot tell", "wide")], True, "no effect that matters", "a: small"),
        ([("could not be tested", "full"), ("could not be tested", "full")], True, "could not be tested", "full"),
        ([("supported", "above 0"), ("could not be tested", "ceiling")], True, "cannot tell", "b: ceiling"),
        ([("cannot tell", "wide"), ("could not be tested", "ceiling")], True, "cannot tell", "a: wide; b: ceiling"),
        ([], True, "could not be tested", ""),
    ],
)
def test_a_whole_is_supported_if_all_of_its_parts_are(parts, complete, verdict, reason):
    found = join(judged(*parts), ["a", "b"][: len(parts)], complete)
    assert (str(found.verdict), found.reason) == (verdict, reason)


# --- Floor and ceiling -----------------------------------------------------------------------------------------------

WIDE = Hypothesis(Kind.ABOVE, 2.0, 2.0)


@pytest.mark.parametrize(
    "asked, score, reason",
    [
        (WIDE, 97.9, ""),
        (WIDE, 98.1, "at 98.1 before, less than 2 below its ceiling"),
        (WIDE, 30.0, ""),  # at the floor it may rise
        (Hypothesis(Kind.BELOW, 2.0), 99.0, ""),
        (Hypothesis(Kind.BELOW, 2.0), 31.5, "at 31.5 before, less than 2 above the 30.0 of guessing"),
        (Hypothesis(Kind.NO_MORE, 2.0), 99.0, "at 99.0 before, less than 2 below its ceiling"),
        (Hypothesis(Kind.DIFFERS, 2.0), 20.0, "at 20.0 before, less than 2 above the 30.0 of guessing"),
        (Hypothesis(Kind.DIFFERS, None), 99.9, ""),
    ],
)
def test_an_effect_without_room_could_not_be_tested(asked, score, reason):
    assert explain_no_room(asked, score, 30.0) == reason
