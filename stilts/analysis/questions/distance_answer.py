"""The answer to question 2, in sentences."""

import pandas as pd

from stilts.analysis.estimates import clear
from stilts.analysis.questions import chapters
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.distance import OUTCOMES, TESTS, Evidence, gather, learned_targets, mean_outcome
from stilts.analysis.questions.distance_models import reliability
from stilts.analysis.questions.evidence import level_of, redrawn_outcomes
from stilts.analysis.questions.testing import Result, Rules, untested
from stilts.analysis.verdicts import Verdict
from stilts.analysis.wording import count, in_words, listed, signed
from stilts.study.settings import BASELINE

NONE_LEARNED = "no target was learned in English under every condition"


def design_text(evidence: Evidence, rules: Rules) -> str:
    """Say what the outcomes are averages of, how large they are, and whether there is a gap to explain at all."""
    seeds = evidence.gap.shape[1]
    gap, change = (mean_outcome(evidence, rules, name) for name in OUTCOMES)
    text = (
        f"Both outcomes average {count(evidence.targets, 'target task')} ({listed(evidence.targets)}) and "
        f"{count(evidence.conditions, 'condition')} ({listed(evidence.conditions)}), over {len(evidence.languages)} "
        f"languages besides English and {seeds} seed{'' if seeds == 1 else 's'}. The mean gap is {_in_points(gap)}; "
        f"intermediate training changes it by {_in_points(change)}. These intervals are over languages, seeds and the "
        "test items of English, the same for all languages."
    )
    if gap.known and gap.low <= 0:
        text += " English is not clearly ahead, so that there is hardly a degradation that distance could explain."
    return text


def _in_points(result: Result) -> str:
    if not result.known:
        return "not known"
    return in_words(result.value, result.low, result.high)


def noise_text(evidence: Evidence, noise: pd.DataFrame) -> str:
    """Say how much of the languages' differences is the noise of their test examples."""
    parts = []
    for name in OUTCOMES:
        share = 1 - reliability(evidence.outcome(name), noise[name])
        parts.append(f"{100 * share:.0f} percent of the variance of the {name}")
    return (
        f"The choice of test examples explains {' and '.join(parts)} over languages. It draws correlations towards "
        "zero; the column without noise says what they would be without it, where less than three quarters are noise."
    )


def correlations_text(table: pd.DataFrame) -> str:
    """Say of each outcome which predictors have a linear correlation whose interval leaves zero out."""
    lines = []
    for outcome in OUTCOMES:
        rows = table[(table["outcome"] == outcome) & (table["kind"] == "linear") & table["r"].notna()]
        plain = _clear(rows, "r", "low", "high")
        partial = _clear(rows[rows["partial"].notna()], "partial", "partial_low", "partial_high")
        lines.append(
            f"- The {outcome}: of {len(rows)} predictors, with intervals that leave zero out: {plain or 'none'}. With "
            f"the controls held constant: {partial or 'none'}."
        )
    return "\n".join(lines)


def _clear(rows: pd.DataFrame, value: str, low: str, high: str) -> str:
    chosen = clear(rows, low, high).to_dict("records")
    return ", ".join(f"{row['predictor']} ({signed(row[value], 2)})" for row in chosen)


def collinearity_text(table: pd.DataFrame) -> str:
    """Say which predictors can hardly be told apart."""
    high = table[table["inflation"] > 5]
    if high.empty:
        return "No variance inflation factor is above 5: the predictors can be told apart."
    named = [f"{row['predictor']} ({row['inflation']:.0f})" for row in high.to_dict("records")]
    return (
        f"Variance inflation factors above 5: {', '.join(named)}. These distances say much the same of the languages, "
        "so the joint model cannot share an effect out among them, and their single slopes mean little."
    )


def family_text(table: pd.DataFrame) -> str:
    """Say of each test whether its slope keeps its sign whichever family is left out."""
    lines = []
    for name, rows in table[table["without"] != "none"].groupby("test", sort=False):
        turned = rows[~rows["keeps_sign"]]["without"].tolist()
        verdict = f"changes its sign without {'; '.join(turned)}" if turned else "keeps its sign whichever is left out"
        low, high = rows["slope"].min(), rows["slope"].max()
        lines.append(f"- `{name}`: the slope {verdict}; it lies between {signed(low)} and {signed(high)}.")
    return "\n".join(lines) or "There is no slope yet."


def answer(section: Section) -> Answer:
    """Answer the question from the records of an opened study, of which there may be none yet.

    Raises
    ------
    StiltsError
        If its records lack the baseline, or hold no intermediate condition.
    """
    if not section.analysis.recorded:
        nothing = dict.fromkeys(TESTS, lambda evidence, rules: untested("nothing is recorded yet"))
        return chapters.answer(section, None, nothing, "")
    table = learned_targets(section.analysis)
    if table.empty:
        nothing = dict.fromkeys(TESTS, lambda evidence, rules: untested(NONE_LEARNED))
        return chapters.answer(section, None, nothing, "")
    redrawn = redrawn_outcomes(table, section.analysis, against_english=True)
    evidence = gather(table, section.settings.encoder.name, redrawn=redrawn)
    level = level_of(table, [BASELINE], section.analysis.floors)
    return chapters.answer(section, evidence, TESTS, mean_text(evidence, section.rules), level=level)


def untested_text(answer: Answer) -> str:
    """Say of a study how many of its tests could not be made, and after which conditions a target was not learned."""
    lost = answer.verdicts[answer.verdicts["verdict"] == str(Verdict.UNTESTABLE)]
    name, targets = answer.section.settings.name, answer.section.settings.targets
    conditions, failed = answer.section.analysis.conditions, answer.section.analysis.failed
    after = {target: [each for each in conditions if (each, target) in failed] for target in targets}
    said = "; ".join(f"{listed([target])} after {listed(names)}" for target, names in after.items() if names)
    reason = f", since every condition must have learned a target; not learned were {said}" if said else ""
    return (
        f"Study `{name}` asks the same of {listed(targets)}, on rows of XTREME. Of {count(answer.verdicts, 'test')}, "
        f"{len(lost)} could not be made{reason}."
    )


def mean_text(evidence: Evidence, rules: Rules) -> str:
    """Say how large the gap is on average, and how intermediate training changes it."""
    gap, change = (mean_outcome(evidence, rules, name) for name in OUTCOMES)
    return (
        f"Over {len(evidence.languages)} languages, English is ahead by {_in_points(gap)} after intermediate training, "
        f"which changes that by {_in_points(change)}. For a standard deviation of the distance:"
    )
