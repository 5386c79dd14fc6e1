"""Question 3: does intermediate NLI bring encoder-only, decoder-only and encoder-decoder models the same?

The outcome, in points, for each language besides English and each seed
-----------------------------------------------------------------------
`gain`
    The score after intermediate NLI minus the score without an intermediate task, of one architecture, averaged over
    the target tasks.

Differences between architectures are differences of these gains: each architecture is its own control, so that what one
of them does better from the start stays out. A target that fewer than half of the languages have is not averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations

import numpy as np
import pandas as pd

from stilts.analysis.contrasts import contrast_by_target, find_missing, repeat_for_seeds
from stilts.analysis.estimates import correct_by_holm
from stilts.analysis.learning import average_intermediate_scores
from stilts.analysis.opened import sort_by_order
from stilts.analysis.questions import chapters
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.crossed import estimate_from_evidence
from stilts.analysis.questions.evidence import measure_level, redraw_outcomes, tabulate_learned_outcomes
from stilts.analysis.questions.sentences import describe_by_target
from stilts.analysis.questions.tables import tabulate_language_means
from stilts.analysis.questions.testing import Result, Rules, Test, make_untested
from stilts.analysis.wording import format_effect, join_names, join_words, title_task
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.settings import SOURCE_LANGUAGE, Condition, Study
from stilts.tasks.registry import TARGETS

ARCHITECTURES = ("encoder", "decoder", "encoder-decoder")
LEAST_SHARE = 0.5  # of the languages that must have a target for it to be averaged
HARDLY = 10.0  # points above guessing; a model that has fewer has hardly transferred

Scores = Mapping[str, Mapping[str, pd.DataFrame]]
"""Architecture -> target -> table of shape (languages, seeds)."""


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    before, after : dict
        Architecture -> target -> scores in percent without the intermediate task and after it, tables of shape
        (languages, seeds), English among the languages. An architecture that lacks scores of either kind is missing.
    targets : tuple of str
        Those that are averaged, which every architecture has.
    alone : tuple of str
        Those that every architecture has, but too few languages.
    redrawn : Evidence or None
        See `stilts.analysis.questions.evidence.Redrawable`.
    """

    before: Scores
    after: Scores
    targets: tuple[str, ...]
    alone: tuple[str, ...]
    redrawn: "Evidence | None" = None

    @property
    def architectures(self) -> list[str]:
        """Architectures that have scores with and without the intermediate task."""
        return list(self.after)

    def gain(self, architecture: str, targets: Sequence[str] = ()) -> pd.DataFrame:
        """Return the gain averaged over targets, those that are averaged by default, of shape (languages, seeds).

        Languages that lack a target, and English, are left out.
        """
        chosen = targets or self.targets
        return _others(self.score(self.after, architecture, chosen) - self.score(self.before, architecture, chosen))

    def score(self, scores: Scores, architecture: str, targets: Sequence[str] = ()) -> pd.DataFrame:
        """Return `before` or `after` averaged over targets, of shape (languages, seeds), English among them."""
        chosen = targets or self.targets
        return sum(scores[architecture][target] for target in chosen) / len(chosen)

    def of_target(self, target: str) -> "Evidence":
        """Return the evidence of one target alone, among those that are averaged or not."""
        return replace(self, targets=(target,), alone=(), redrawn=self.redrawn and self.redrawn.of_target(target))

    def level(self, scores: Scores, architecture: str, targets: Sequence[str] = ()) -> float:
        """Return the mean of `score` over languages besides English, and over seeds."""
        return _others(self.score(scores, architecture, targets)).mean(axis=None)


def _others(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of languages besides English that were tested, and the seeds that were."""
    kept = table[table.index != SOURCE_LANGUAGE]
    known = kept.notna().to_numpy()
    return kept.loc[known.any(axis=1), known.any(axis=0)]


# --- Evidence --------------------------------------------------------------------------------------------------------


def pair_conditions(study: Study) -> dict[str, tuple[str, str]]:
    """Return each architecture's conditions without and with the intermediate task, by the name of the encoder.

    Raises
    ------
    StiltsError
        If an encoder of the study has not one condition of either kind.
    """
    named = [entry for entry in study.intermediates if isinstance(entry, Condition) and entry.encoder is not None]
    found = {}
    for encoder in study.encoders:
        own = [each for each in named if each.encoder == encoder]
        without = [each.name for each in own if not each.tasks]
        with_task = [each.name for each in own if each.tasks]
        if len(without) != 1 or len(with_task) != 1:
            raise StiltsError(
                f"study '{study.name}': encoder '{encoder}' needs one condition without tasks and one with them, has "
                f"{', '.join(without) or 'none'} and {', '.join(with_task) or 'none'}"
            )
        found[encoder] = (without[0], with_task[0])
    return found


def gather(
    table: pd.DataFrame, conditions: Mapping[str, tuple[str, str]], redrawn: pd.DataFrame | None = None
) -> Evidence:
    """Return the evidence from outcomes.

    Parameters
    ----------
    table : DataFrame
        As `stilts.analysis.questions.evidence.tabulate_learned_outcomes` returns it; it may be empty.
    conditions : mapping
        Architecture -> its conditions without and with the intermediate task, as `pair_conditions` returns them.
    redrawn : DataFrame, optional
        As `stilts.analysis.questions.evidence.redraw_outcomes` returns it.
    """
    table = repeat_for_seeds(table)
    complete = {name: pair for name, pair in conditions.items() if not find_missing(table, pair)}
    before, after = (
        {name: contrast_by_target(table, {pair[place]: 1.0}) for name, pair in complete.items()} for place in (0, 1)
    )
    scored = [set(own) for scores in (before, after) for own in scores.values()]
    targets = sort_by_order(set.intersection(*scored) if scored else (), TARGETS)
    counts = {target: min(len(_others(own[target])) for own in after.values()) for target in targets}
    averaged = tuple(name for name in targets if counts[name] >= LEAST_SHARE * max(counts.values()))
    alone = tuple(name for name in targets if name not in averaged)
    again = None if redrawn is None else gather(redrawn, conditions)
    return Evidence(before, after, averaged, alone, again)


# --- Tests -----------------------------------------------------------------------------------------------------------


def estimate_mean_gain(evidence: Evidence, rules: Rules, architecture: str, targets: Sequence[str] = ()) -> Result:
    """Return an architecture's mean gain over languages and seeds; the hypothesis is that it is above zero."""
    if lacking := _missing(evidence, [architecture]):
        return make_untested(lacking, expected=1)
    return estimate_from_evidence(evidence, lambda found: found.gain(architecture, targets), rules, expected=1)


def compare_architectures(
    evidence: Evidence, rules: Rules, first: str, second: str, targets: Sequence[str] = ()
) -> Result:
    """Return how much more the first architecture gains than the second."""
    if lacking := _missing(evidence, [first, second]):
        return make_untested(lacking)
    return estimate_from_evidence(
        evidence, lambda found: _others(found.gain(first, targets) - found.gain(second, targets)), rules
    )


def _missing(evidence: Evidence, architectures: Sequence[str]) -> str:
    absent = [name for name in architectures if name not in evidence.architectures]
    return f"no scores with and without the intermediate task of {' and '.join(absent)}" if absent else ""


TESTS: dict[str, Test] = {
    **{f"gain-{name}": Test(f"gain of the {name}", partial(estimate_mean_gain, architecture=name))
       for name in ARCHITECTURES},
    **{f"{first}-minus-{second}": Test(f"gain of the {first} minus that of the {second}",
                                       partial(compare_architectures, first=first, second=second))
       for first, second in permutations(ARCHITECTURES, 2)},
}  # fmt: skip
"""`gain-<architecture>`, and `<architecture>-minus-<architecture>`: the difference of two gains."""


# --- Tables ----------------------------------------------------------------------------------------------------------


def tabulate_language_gains(evidence: Evidence) -> pd.DataFrame:
    """Return the gain of each architecture in each language, mean over targets and seeds: group, language, gain."""
    return tabulate_language_means({name: evidence.gain(name) for name in evidence.architectures})


def tabulate_levels(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return what each architecture scores without and after the intermediate task, and its gain.

    Returns
    -------
    DataFrame
        group (the architecture), before and after (percent, mean over languages besides English), gain, low, high, p
        (not corrected), english_before and english_after (over the averaged targets that are tested in English).
    """
    rows = []
    for name in evidence.architectures:
        result = estimate_mean_gain(evidence, rules, name)
        english = {
            "english_before": _english(evidence.before[name], evidence.targets),
            "english_after": _english(evidence.after[name], evidence.targets),
        }
        scores = {kind: evidence.level(getattr(evidence, kind), name) for kind in ("before", "after")}
        rows.append({"group": name, **scores, **result.row("gain"), **english})
    columns = ["group", "before", "after", "gain", "low", "high", "p", "english_before", "english_after"]
    return pd.DataFrame(rows, columns=columns)


def _english(scores: Mapping[str, pd.DataFrame], targets: Sequence[str]) -> float:
    tested = [scores[name].loc[SOURCE_LANGUAGE].mean() for name in targets if SOURCE_LANGUAGE in scores[name].index]
    return float(pd.Series(tested, dtype=float).mean())


def tabulate_target_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gain of each architecture on each target, corrected together where the rules correct.

    Returns
    -------
    DataFrame
        condition (the architecture), target, score without (percent), gain, low, high, p, p_holm, excludes_zero,
        survives_holm, languages.
    """
    rows = []
    for name in evidence.architectures:
        for target in (*evidence.targets, *evidence.alone):
            result = estimate_mean_gain(evidence, rules, name, [target])
            score = evidence.level(evidence.before, name, [target])
            rows.append(
                {"condition": name, "target": target, "score without": score, "languages": result.rows}
                | result.row("gain")
            )
    columns = ["condition", "target", "score without", "gain", "low", "high", "p", "excludes_zero", "languages"]
    return correct_by_holm(pd.DataFrame(rows, columns=columns), rules.level, correct=rules.corrects)


def tabulate_differences(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return every pair of architectures, target by target and averaged: how much more the first gains.

    Columns: first, second, target (`average` first), difference, low, high, p; not corrected.
    """
    names = evidence.architectures
    rows = [
        {"first": first, "second": second, "target": target or "average"}
        | compare_architectures(evidence, rules, first, second, [target] if target else ()).row("difference")
        for place, first in enumerate(names)
        for second in names[place + 1 :]
        for target in ("", *evidence.targets, *evidence.alone)
    ]
    return pd.DataFrame(rows, columns=["first", "second", "target", "difference", "low", "high", "p"])


def tabulate_gains_without_targets(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the mean gain of each architecture with one target left out at a time; not corrected.

    Returns
    -------
    DataFrame
        group (the architecture), target (the one left out), before (percent without the intermediate task, over the
        targets that are left), gain, low, high, p. Empty with fewer than two targets.
    """
    rows = []
    for name in evidence.architectures:
        for target in evidence.targets if len(evidence.targets) > 1 else ():
            left = [other for other in evidence.targets if other != target]
            before = evidence.level(evidence.before, name, left)
            result = estimate_mean_gain(evidence, rules, name, left)
            rows.append({"group": name, "target": target, "before": before} | result.row("gain"))
    return pd.DataFrame(rows, columns=["group", "target", "before", "gain", "low", "high", "p"])


def tabulate_training(records: Sequence[Record], conditions: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Return how equal the models are, and what each learned before any target task, means over seeds.

    Parameters
    ----------
    records : sequence of Record
        Of phases `pretraining` and `intermediate`; others are passed over.
    conditions : mapping
        As `pair_conditions` returns it.

    Returns
    -------
    DataFrame
        group (the architecture), seeds, parameters and embeddings (weights without and in the word embeddings),
        tokens read and predicted in pretraining, bits per predicted held-out token (not comparable between
        objectives), intermediate (English dev score of the intermediate task, percent). A model that was not pretrained
        here has the last alone.
    """
    dev = average_intermediate_scores(records)
    rows = [
        {"group": name, **_pretrained(records, name), "intermediate": dev.get(after, np.nan)}
        for name, (_, after) in conditions.items()
    ]
    found = pd.DataFrame(rows)
    found[_COUNTS] = found[_COUNTS].round().astype("Int64")  # a mean over seeds, where they differ
    return found[found.drop(columns=["group", "seeds"]).notna().any(axis=1)].reset_index(drop=True)


_PRETRAINED = {
    "parameters": "parameters", "embeddings": "embeddings", "tokens read": "training_tokens_read",
    "tokens predicted": "training_tokens_predicted", "bits per token": "bits_per_token",
}  # fmt: skip
_COUNTS = [title for title in _PRETRAINED if title != "bits per token"]


def _pretrained(records: Sequence[Record], encoder: str) -> dict[str, float]:
    """Return the numbers of an encoder's pretraining, each the mean over seeds; missing without one."""
    own = [record.metrics for record in records if (record.run.phase, record.run.condition) == ("pretraining", encoder)]
    all_languages = pd.DataFrame([metrics["mul"] for metrics in own], columns=list(_PRETRAINED.values()), dtype=float)
    means = all_languages.mean()
    return {"seeds": len(own), **{title: float(means[name]) for title, name in _PRETRAINED.items()}}


# --- Sentences -------------------------------------------------------------------------------------------------------


def describe_design(evidence: Evidence) -> str:
    """Say what the outcome is an average of."""
    if not evidence.targets:
        return "There are no scores yet that could be averaged."
    apart = f" {join_names(evidence.alone)} stands apart: too few languages have it." if evidence.alone else ""
    gains = [evidence.gain(name) for name in evidence.architectures]
    languages, seeds = (min(part.shape[axis] for part in gains) for axis in (0, 1))
    return (
        f"The gain averages {join_names(evidence.targets)} over {languages} languages besides English and {seeds} "
        f"seed{'' if seeds == 1 else 's'}, for {join_names(evidence.architectures)}.{apart}"
    )


def describe_levels(table: pd.DataFrame, obstacle: str = "") -> str:
    """Say how far the architectures are apart without the intermediate task, and which gains most.

    Nothing is said of gains where an obstacle leaves them no room.
    """
    if table.empty:
        return "There is nothing to compare yet."
    best, worst = (table.loc[place] for place in (table["before"].idxmax(), table["before"].idxmin()))
    most = table.loc[table["gain"].idxmax()]
    levels = (
        f"Without an intermediate task the {best['group']} model is best ({best['before']:.1f} percent) and the "
        f"{worst['group']} model last ({worst['before']:.1f})."
    )
    gain = format_effect(most["gain"], most["low"], most["high"])
    return levels if obstacle else f"{levels} The mean gain from NLI is highest for the {most['group']} model: {gain}."


def describe_low_targets(evidence: Evidence, floors: Mapping[str, float], obstacle: str = "") -> str:
    """Name the targets on which a model has hardly transferred without the intermediate task; "" if there are none.

    Nothing is said where an obstacle leaves no gain any room: it says as much.

    Parameters
    ----------
    floors : mapping
        Target -> what guessing scores, in percent; 0 where it is not named.
    """
    if obstacle:
        return ""
    low: dict[str, list[str]] = {}
    for name in evidence.architectures:
        for target in evidence.targets:
            score = evidence.level(evidence.before, name, [target])
            if score - floors.get(target, 0.0) < HARDLY:
                low.setdefault(name, []).append(f"`{target}` ({score:.1f} percent)")
    if not low:
        return ""
    said = "; ".join(f"{join_words(targets)} with the {name} model" for name, targets in low.items())
    return f"Less than {HARDLY:g} points above guessing, so that little could be lost there, stand {said}."


def describe_models(
    evidence: Evidence, levels: pd.DataFrame, floors: Mapping[str, float], obstacle: str = ""
) -> str:
    """Say what `describe_levels` and `describe_low_targets` do, of one evidence."""
    return f"{describe_levels(levels, obstacle)} {describe_low_targets(evidence, floors, obstacle)}".strip()


def describe_gains_without_targets(without: pd.DataFrame, levels: pd.DataFrame) -> str:
    """Say on which target the mean gain of each architecture rests most, and what it is without that target.

    Parameters
    ----------
    without : DataFrame
        As `tabulate_gains_without_targets` returns it.
    levels : DataFrame
        As `tabulate_levels` returns it.
    """
    if without.empty:
        return "There are not two targets, of which one could be left out."
    gains = levels.set_index("group")["gain"]
    said = []
    for name, rows in without.groupby("group", sort=False):
        most = rows.loc[(rows["gain"] - gains[name]).abs().idxmax()]
        effect = format_effect(most["gain"], most["low"], most["high"])
        said.append(f"for the {name} model on `{most['target']}`, without which it is {effect}")
    return f"The mean gain rests most on one target each: {'; '.join(said)}."


# --- The answer ------------------------------------------------------------------------------------------------------


def answer_question(section: Section) -> Answer:
    """Answer the question from the records of an opened study, of which there may be none yet.

    Raises
    ------
    StiltsError
        If the study has not one condition without and one with the intermediate task for each encoder.
    """
    analysis, gate = section.analysis, section.settings.question.gate
    table, conditions = tabulate_learned_outcomes(analysis.records, analysis.failed), pair_conditions(section.settings)
    evidence = gather(table, conditions, redraw_outcomes(table, analysis))
    obstacle = describe_below_gate(evidence, gate)
    text = ""
    if evidence.targets:
        text = describe_models(evidence, tabulate_levels(evidence, section.rules), analysis.floors, obstacle)
    level = measure_level(table, [without for without, _ in conditions.values()], analysis.floors)
    return chapters.answer_from_evidence(
        section, evidence, TESTS, text, obstacle, level,
        beside=lambda test, _: describe_by_target(evidence, section.rules, test),
    )  # fmt: skip


def describe_below_gate(evidence: Evidence, gate: Mapping[str, float]) -> str:
    """Say which models do not reach what the study's gate asks of them before the intermediate task, "" if all do."""
    low = {}
    for target, least in gate.items():
        scored = [name for name in evidence.architectures if target in evidence.before[name]]
        means = {name: evidence.level(evidence.before, name, [target]) for name in scored}
        for name in (name for name, score in means.items() if score < least):
            low.setdefault(f"on {title_task(target)}, where {least:g} are asked for", []).append(
                f"{means[name]:.1f} ({name})"
            )
    said = "; ".join(f"{join_words(scores)} {place}" for place, scores in low.items())
    return f"without NLI the models score at the floor, where no gain could be seen (percent: {said})" if low else ""
