"""The rule that turns effects into verdicts, for the ledger of claims and for the tests of the five questions.

A hypothesis says what an effect must be. The effect has a standard error and degrees of freedom. Decisions are t-tests
against the bounds of the hypothesis, corrected by Holm's step-down rule (1979) for all hypotheses that are judged
together. Every decision is one-sided, at half the significance level. Whatever the true effect is, at most two
decisions on it can be wrong, one on each side, so the error rate of all is at most that of one two-sided test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from stilts.analysis.estimates import LEVEL, correct_by_holm
from stilts.study.errors import StiltsError


class Verdict(StrEnum):
    """The verdict on a hypothesis."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NO_EFFECT = "no effect that matters"
    UNTESTABLE = "could not be tested"
    UNCLEAR = "cannot tell"


ANSWERS = (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.NO_EFFECT)
"""Verdicts that answer a hypothesis."""

DECISIVE = (Verdict.CONTRADICTED, Verdict.NO_EFFECT)
"""Verdicts on one part that decide a whole claim, the first of them first."""

RULE = (
    "A verdict is the first of these that holds. *Could not be tested*: the records do not allow it, too little was "
    "learned, or scores lie so close to floor or ceiling that the effect had no room. *No effect that matters*: the "
    "effect is closer to zero than the smallest that would matter. *Supported*: it lies on the side of the bound that "
    "the hypothesis states. *Contradicted*: it goes against the hypothesis by more than the smallest effect that "
    "would matter. Each is decided by a t-test, or by permuting tasks where a chapter says so, corrected by Holm's "
    "rule for all that are judged together. *Cannot tell*: anything else; with one seed nothing more can be said, "
    "since the variance between seeds is unknown."
)

OPEN = "the interval allows more than one answer"
RULED_OUT = "what is claimed is ruled out, but not which other answer holds"
ZERO_OUT = "it excludes zero"
EVIDENT = frozenset({OPEN, ZERO_OUT, "above 0", "below 0"})
"""Reasons of a verdict that the interval beside it shows."""


class Kind(StrEnum):
    """What a hypothesis says about an effect."""

    ABOVE = "above"  # more than `asked`
    BELOW = "below"  # less than minus `asked`
    DIFFERS = "differs"  # not zero, of either sign
    NO_MORE = "no more"  # less than `smallest`: no gain that matters, or a loss


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis about an effect.

    Attributes
    ----------
    kind : Kind
    smallest : float or None
        The smallest effect that matters, in the effect's unit; None if it is not defined.
    asked : float
        For `above` and `below`, the distance to zero that the effect must exceed.
    """

    kind: Kind
    smallest: float | None
    asked: float = 0.0

    def __post_init__(self):
        if self.smallest is None and self.kind is Kind.NO_MORE:
            raise StiltsError(f"hypothesis '{self.kind}': it needs the smallest effect that matters")

    @property
    def room(self) -> float:
        """By how much a score must be able to change, or the hypothesis cannot be tested."""
        return max(self.asked, self.smallest or 0.0)


def explain_no_room(asked: Hypothesis, score: float, guessed: float) -> str:
    """Return a clause that says why a score is too close to floor or ceiling for an effect; "" if it is not.

    Parameters
    ----------
    score : float
        Score before the effect, in percent.
    guessed : float
        Score by guessing, which is the floor.
    """
    if asked.kind is not Kind.BELOW and 100 - score < asked.room:
        return f"at {score:.1f} before, less than {asked.room:g} below its ceiling"
    # Hypotheses `above` and `no more` need no room downwards.
    if asked.kind not in (Kind.ABOVE, Kind.NO_MORE) and score - guessed < asked.room:
        return f"at {score:.1f} before, less than {asked.room:g} above the {guessed:.1f} of guessing"
    return ""


@dataclass(frozen=True)
class Measurement:
    """An effect in the form in which it is judged.

    Attributes
    ----------
    value, se, df : float
        Estimate, its standard error, and the degrees of freedom of its t reference.
    seeds : int
        Number of seeds. With one, the standard error does not contain the variance between seeds.
    obstacle : str
        A clause that says why the hypothesis cannot be tested; "" if it can.
    choices : int
        Number of effects from which this one was chosen because of its value (Bonferroni's correction).
    p : float or None
        Two-sided p-value against zero of another test, such as a permutation test; it replaces that of the t-test.
    """

    value: float
    se: float
    df: float
    seeds: int
    obstacle: str = ""
    choices: int = 1
    p: float | None = None


@dataclass(frozen=True)
class Judgement:
    """A verdict with a clause that gives its reason, and its p-value, corrected for all hypotheses judged together.

    If no decision was taken, the p-value is that of the closest one. It is NaN if nothing was tested.
    """

    verdict: Verdict
    reason: str
    p: float


def judge(
    pairs: Sequence[tuple[Hypothesis, Measurement]], level: float = LEVEL, correct: bool = True
) -> list[Judgement]:
    """Return the judgement of each hypothesis, in their order.

    Parameters
    ----------
    pairs : sequence of (Hypothesis, Measurement)
        Hypotheses that are judged together. Those that cannot be tested are left out of the correction.
    level : float
        One minus the probability of any wrong decision among them.
    correct : bool
        Whether to correct for their number.
    """
    tested = [place for place, (_, found) in enumerate(pairs) if not found.obstacle]
    decisions = {place: _decisions(*pairs[place]) for place in tested}
    nearest = np.array([min(decisions[place].values()) for place in tested])
    corrected = nearest
    if correct and len(nearest) > 1:
        corrected = correct_by_holm(pd.DataFrame({"p": nearest}))["p_holm"]
    judged = {}
    for place, own, p in zip(tested, nearest, corrected, strict=True):
        factor = float(p / own) if own else 1.0
        judged[place] = _judgement(*pairs[place], decisions[place], factor, len(tested), level)
    return [
        judged.get(place) or Judgement(Verdict.UNTESTABLE, found.obstacle, float("nan"))
        for place, (_, found) in enumerate(pairs)
    ]


def _decisions(asked: Hypothesis, found: Measurement) -> dict[Verdict, float]:
    """Return the p-value of each possible decision on a hypothesis, in order of precedence.

    Decisions are one-sided; their p-values are doubled, as for a two-sided test.
    """
    matters = asked.smallest
    negligible = {} if matters is None else {Verdict.NO_EFFECT: _within(found, matters)}
    if asked.kind is Kind.DIFFERS:
        return {**negligible, Verdict.SUPPORTED: min(_above(found, 0.0), _below(found, 0.0))}
    if asked.kind is Kind.NO_MORE:
        return {Verdict.SUPPORTED: _below(found, matters), Verdict.CONTRADICTED: _above(found, matters)}
    opposite = -(matters or 0.0)
    if asked.kind is Kind.ABOVE:
        return {
            **negligible,
            Verdict.SUPPORTED: _above(found, asked.asked),
            Verdict.CONTRADICTED: _below(found, opposite),
        }
    return {
        **negligible,
        Verdict.SUPPORTED: _below(found, -asked.asked),
        Verdict.CONTRADICTED: _above(found, -opposite),
    }


def _above(found: Measurement, bound: float) -> float:
    return _one_sided(found.value - bound, found, bound)


def _below(found: Measurement, bound: float) -> float:
    return _one_sided(bound - found.value, found, bound)


def _within(found: Measurement, bound: float) -> float:
    return max(_above(found, -bound), _below(found, bound))


def _one_sided(distance: float, found: Measurement, bound: float) -> float:
    """Return the doubled p-value of an effect at a distance from a bound, positive on the right side of it."""
    if found.p is not None and not bound:
        return min(1.0, found.choices * (found.p if distance > 0 else 1.0))
    return min(1.0, 2 * found.choices * _tail(distance, found))


def _tail(distance: float, found: Measurement) -> float:
    """Return the probability of a larger t; 0 or 1 for an effect without variance."""
    if not found.se:
        return float(distance <= 0)
    t = -distance / found.se
    return float(ndtr(t) if np.isinf(found.df) else stdtr(found.df, t))


def _judgement(
    asked: Hypothesis, found: Measurement, decisions: dict[Verdict, float], factor: float, together: int, level: float
) -> Judgement:
    """Return the judgement by the first decision that is significant after its p-value is multiplied by `factor`."""
    nearest = min(decisions.values())
    p = min(1.0, nearest * factor)
    taken = next((verdict for verdict, each in decisions.items() if each * factor < 1 - level), None)
    if taken is None:
        alone = next((verdict for verdict, each in decisions.items() if each < 1 - level), None)
        reason = RULED_OUT if _is_ruled_out(asked, found, together, level) else OPEN
        if alone:
            reason = f"{alone} by itself, but not after the correction for {together} judged together"
        return Judgement(Verdict.UNCLEAR, reason, p)
    if found.seeds < 2:
        return Judgement(Verdict.UNCLEAR, "one seed: the variance between seeds is unknown", p)
    return Judgement(taken, _reason(taken, asked, found), min(1.0, decisions[taken] * factor))


def _is_ruled_out(asked: Hypothesis, found: Measurement, together: int, level: float) -> bool:
    """Return whether an effect is not what the hypothesis says, by Bonferroni's correction for all judged together."""
    sides = {Kind.ABOVE: _below(found, asked.asked), Kind.BELOW: _above(found, -asked.asked)}
    return found.seeds > 1 and sides.get(asked.kind, 1.0) * together < 1 - level


def _reason(taken: Verdict, asked: Hypothesis, found: Measurement) -> str:
    if taken is Verdict.NO_EFFECT:
        return f"all of it closer to zero than {asked.smallest:g}"
    if asked.kind is Kind.NO_MORE:
        return f"{'below' if taken is Verdict.SUPPORTED else 'above'} {asked.smallest:g}"
    if asked.kind is Kind.DIFFERS:
        return ZERO_OUT
    up = (asked.kind is Kind.ABOVE) == (taken is Verdict.SUPPORTED)
    bound = asked.asked if taken is Verdict.SUPPORTED else asked.smallest or 0.0
    return f"{'above' if up else 'below'} {bound if up else 0 - bound:g}"


def join(judgements: Sequence[Judgement], named: Sequence[str], complete: bool = True) -> Judgement:
    """Return the verdict on a whole that all of its parts must support.

    The verdict is the first that applies: *contradicted* or *no effect that matters* if it is that of any part,
    *supported* if all parts are supported and none is missing, *could not be tested* if no part could be tested, else
    *cannot tell*. The reason names the decisive parts.

    Parameters
    ----------
    judgements : sequence of Judgement
    named : sequence of str
        Names of the parts.
    complete : bool
        Whether no part is missing.
    """
    verdicts = [each.verdict for each in judgements]
    for decisive in DECISIVE:
        if decisive in verdicts:
            return Judgement(decisive, _told(judgements, named, decisive), float("nan"))
    if verdicts and set(verdicts) == {Verdict.SUPPORTED} and complete:
        return Judgement(Verdict.SUPPORTED, "", float("nan"))
    if set(verdicts) <= {Verdict.UNTESTABLE}:
        return Judgement(Verdict.UNTESTABLE, _told(judgements, named, Verdict.UNTESTABLE), float("nan"))
    if set(verdicts) == {Verdict.SUPPORTED}:
        return Judgement(Verdict.UNCLEAR, "a part of it has no records", float("nan"))
    open_parts = [each for each in (Verdict.UNCLEAR, Verdict.UNTESTABLE) if each in verdicts]
    return Judgement(Verdict.UNCLEAR, "; ".join(_told(judgements, named, each) for each in open_parts), float("nan"))


def _told(judgements: Sequence[Judgement], named: Sequence[str], verdict: Verdict) -> str:
    """Return the reasons of the parts with a verdict, with the parts' names unless all parts share one reason."""
    if len({(each.verdict, each.reason) for each in judgements}) == 1:
        return judgements[0].reason
    by_reason: dict[str, list[str]] = {}
    for name, each in zip(named, judgements, strict=True):
        if each.verdict is verdict:
            by_reason.setdefault(each.reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
