"""What `stilts run` ends with: the scores of all that is recorded now, and the command to type next."""

from dataclasses import dataclass

from stilts.analysis.opened import open_study
from stilts.analysis.score_tables import Score, average_scores
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.workspace.plan import Plan


@dataclass(frozen=True)
class Outcome:
    """What is recorded of a study.

    Attributes
    ----------
    scores : list of Score
        Zero-shot scores by condition and target, by language if English is the only one; empty if there are none.
    runs, recorded : int
        Of the whole study.
    next_command : str
    """

    scores: list[Score]
    runs: int
    recorded: int
    next_command: str


def find_outcome(plan: Plan) -> Outcome:
    """Return what is recorded of a study, given its whole plan."""
    analysis = open_study(plan.checkout, plan.reference)
    scores = average_scores(analysis, by_language=analysis.languages == [SOURCE_LANGUAGE]) if analysis.recorded else []
    recorded = len(plan.recorded())
    return Outcome(scores, len(plan.runs), recorded, _suggest(plan, recorded, scores))


def _suggest(plan: Plan, recorded: int, scores: list[Score]) -> str:
    """Return the command that finishes a study; of a finished one, the command that shows most of what it says."""
    if recorded < len(plan.runs):
        return f"stilts run {plan.reference}"
    if plan.study.question:
        return f"stilts power {plan.reference}"
    conditions = list(dict.fromkeys(score.condition for score in scores))
    if len(conditions) > 1:
        return f"stilts compare {plan.reference} {conditions[1]} {conditions[0]}"
    return f"stilts scores {plan.reference} --by language"
