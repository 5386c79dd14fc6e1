"""What a study with a question can see, and what it would take to see the smallest effect that matters."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from stilts.analysis.questions.crossed import Basis, project
from stilts.analysis.questions.learned import answer_study
from stilts.analysis.questions.testing import Result, Rules, find_smallest_effect, solve_for_power, tabulate_verdicts
from stilts.analysis.verdicts import Verdict
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan
from stilts.workspace.plan_report import PlanReport
from stilts.workspace.resolution import open_plan

MOST_SEEDS = 1000
ASSUMED = (
    "Further seeds are assumed to spread like those at hand: the variance between seeds falls with their number, that "
    "between languages stays. An effect counts as seen if the test finds it in four of five tries, after the strictest "
    "step of the correction. Hours are of one core, or of one GPU, as `stilts plan` expects them."
)


@dataclass(frozen=True)
class Power:
    """What a test can see.

    Attributes
    ----------
    test, unit : str
    detectable : float
        The effect that it finds now in four of five tries, in its unit; NaN where that cannot be reckoned.
    smallest_effect : float or None
        The smallest that matters; None where the study does not say.
    seeds : int
        It has now.
    seeds_needed : int or None
        To find the smallest effect that matters; None where no number is enough, or it cannot be reckoned.
    hours_more : float or None
        Of one core or GPU, as `stilts plan` expects them, for the seeds that are missing.
    note : str
        Why there is no number of seeds.
    """

    test: str
    unit: str
    detectable: float
    smallest_effect: float | None
    seeds: int
    seeds_needed: int | None = None
    hours_more: float | None = None
    note: str = ""


def find_power(checkout: Checkout, study: str, seed: int = 0) -> list[Power]:
    """Return what each test of a study's question can see, and what it would take to see enough.

    Parameters
    ----------
    seed : int
        Draws replicates.

    Raises
    ------
    UnknownName
        If there is no study of that name.
    StiltsError
        If it has no question, or nothing is recorded.
    """
    answered = answer_study(checkout, study, seed)
    if not answered.section.analysis.recorded:
        raise StiltsError(f"study '{study}' has no zero-shot records yet; run `stilts run {study}` first")
    hours_per_seed = expect_hours_per_seed(open_plan(checkout, study, provisional=True))
    return reckon_power(answered.results, answered.section.rules, hours_per_seed)


def expect_hours_per_seed(plan: Plan) -> float:
    """Return the expected hours of one core or GPU for one more seed of a plan."""
    expect, seeds = PlanReport(plan).expect, plan.study.seeds
    trained = [run for run in plan.runs if not run.untrained]
    return sum(expect(run).seconds for run in trained) / len(seeds) / 3600


def reckon_power(results: Sequence[Result], rules: Rules, hours_per_seed: float) -> list[Power]:
    """Return what each of a study's tests can see, all of them judged together.

    Parameters
    ----------
    hours_per_seed : float
        Of one core or GPU, for one more seed of the study.
    """
    table = tabulate_verdicts(results, rules)
    together = rules.together(int((table["verdict"] != Verdict.UNTESTABLE).sum()))
    found = []
    for result, seen in zip(results, table["detectable"], strict=True):
        smallest = find_smallest_effect(result, rules)
        needed, note = _seeds_needed(result, seen, smallest, rules.level, together)
        hours = None if needed is None else (needed - result.seeds) * hours_per_seed
        found.append(Power(result.test, result.unit, float(seen), smallest, result.seeds, needed, hours, note))
    return found


def _seeds_needed(
    result: Result, seen: float, smallest: float | None, level: float, together: int
) -> tuple[int | None, str]:
    """Return how many seeds find the smallest effect that matters, or None and why there is no number."""
    if not result.known:
        return None, "; ".join(result.notes) or "the records do not allow the test"
    if result.obstacle:
        return None, f"no number of seeds is enough: {result.obstacle}"
    if smallest is None:
        return None, "the study does not say which effect matters"
    if result.seeds < 2:
        return None, "one seed shows no spread between seeds"
    if seen <= smallest:
        return result.seeds, ""
    if not isinstance(result.basis, Basis):
        return None, "the test is of a kind whose variance does not fall into parts"

    def sees(seeds: int) -> bool:
        variance, df = project(result.basis, seeds)
        return solve_for_power(math.sqrt(variance), df, level, together) <= smallest

    if not sees(MOST_SEEDS):
        return None, f"{MOST_SEEDS} seeds are not enough: the {result.row_kind}s at hand spread too much"
    more = range(result.seeds + 1, MOST_SEEDS + 1)
    return more[bisect_left(more, True, key=sees)], ""  # all that follow the first that sees it do so too
