"""Question 5: what does the complexity of the intermediate task do to the gap between English and other sources?

The outcome, in points, for each task, test language and seed
-------------------------------------------------------------
`gap`
    The gain from the task's English data minus the gain from its data in another language, averaged over these
    languages. What there is without intermediate training cancels out, so that it is a difference of two scores.

Test languages are those that are neither English nor a source language: a source language gains from its own data,
which is another matter than what data in it are good for elsewhere.

Two looks at complexity
-----------------------
Measured: the prequential code length of each task, on a logarithmic scale, averaged over its source languages and
seeds. Tasks are few, so the test permutes them; the tasks with dials are one here, at their mean.
Dialled: tasks of one family that differ in one setting. Rows are languages again, and the effect is the line through
the gaps of a dial's levels, from the lowest to the highest, averaged over dials.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd

from stilts.analysis import chance, learning
from stilts.analysis.contrasts import (
    Weights,
    add_weights,
    contrast,
    find_missing,
    find_unseen,
    keep_languages,
    scale_weights,
    weigh_evenly,
    weigh_gain,
)
from stilts.analysis.languages.facts import get_language
from stilts.analysis.questions import chapters, permutations
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.crossed import estimate_mean_effect
from stilts.analysis.questions.evidence import tabulate_outcomes
from stilts.analysis.questions.sentences import describe_uncorrected
from stilts.analysis.questions.testing import Result, Rules, Test, make_untested, note_sources
from stilts.analysis.wording import count, format_effect, format_signed, join_names, title_task
from stilts.study.errors import StiltsError
from stilts.study.records import Record, Store
from stilts.study.runs import ComplexityRunSettings
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE, Study
from stilts.tasks.guessing import is_above_chance
from stilts.tasks.registry import INTERMEDIATES, DialLevel, get_intermediate, resolve_conditions

CODE_LENGTH = "code_bits_per_example"
# As the records of phase `measure` name them, and as readers do.
MEASURES = {
    CODE_LENGTH: "code length (bits an example)",
    "code_bits_per_label": "code length (bits a label)",
    "examples_to_share": "sample complexity (examples)",
    "tokens_per_example": "input length (tokens)",
    "label_entropy": "label entropy (bits)",
}
# What else they say of how a task was learned on the examples that it is measured on; no measures of complexity.
LEARNED = {"score": "dev score (percent)", "chance": "without learning (percent)"}
NOTHING_LEARNED = "nothing learned (seeds)"
_MEASURED = (*MEASURES, *LEARNED, "censored")
FEWEST_UNITS = 3
PER_SD = "points for a standard deviation"
OVER_DIAL = "points from the lowest to the highest level"
DIAL = "dial"  # what stands for all tasks whose difficulty is a setting


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    conditions : dict
        Task -> source language -> condition, of tasks that have English and other source languages, English first.
    scores : DataFrame
        As `stilts.analysis.questions.evidence.tabulate_outcomes` returns it; may be empty.
    complexity : DataFrame
        A row for each task, source language and seed that is measured, with conditions or without: task, language,
        seed, the columns of `MEASURES` and `LEARNED`, and `censored`, see `stilts.phases.measures.complexity.Reached`.
    dev : dict
        Condition -> dev score of its intermediate training in percent, mean over seeds: whether anything was learned.
    guessed : dict
        Condition -> dev score of guessing, in percent, mean over seeds.
    unlearned : dict
        Task -> why it is in no test, a clause: in a source language it was not learned itself, or a target after it.
    redrawn : Evidence or None
        See `stilts.analysis.questions.evidence.Redrawable`.
    """

    conditions: Mapping[str, Mapping[str, str]]
    scores: pd.DataFrame
    complexity: pd.DataFrame
    dev: Mapping[str, float] = field(default_factory=dict)
    guessed: Mapping[str, float] = field(default_factory=dict)
    unlearned: Mapping[str, str] = field(default_factory=dict)
    redrawn: "Evidence | None" = None

    @property
    def targets(self) -> list[str]:
        """Targets that have scores."""
        return list(dict.fromkeys(self.scores["target"]))

    def of_target(self, target: str) -> "Evidence":
        """Return the evidence of one target alone."""
        scores = self.scores[self.scores["target"] == target]
        return replace(self, scores=scores, redrawn=self.redrawn and self.redrawn.of_target(target))

    @property
    def sources(self) -> list[str]:
        """All source languages, English first."""
        return list(dict.fromkeys([SOURCE_LANGUAGE, *(code for own in self.conditions.values() for code in own)]))

    @property
    def unseen(self) -> list[str]:
        """Test languages that are no source language."""
        return find_unseen(self.scores["language"].unique(), self.sources)

    @property
    def dials(self) -> dict[str, list[str]]:
        """Dial -> its tasks, from the lowest level to the highest; dials with two levels or more."""
        found: dict[str, list[tuple[int, str]]] = {}
        for name in self.conditions:
            if level := _level(name):
                found.setdefault(level.dial, []).append((level.number, name))
        return {dial: [name for _, name in sorted(tasks)] for dial, tasks in found.items() if len(tasks) > 1}

    @property
    def units(self) -> dict[str, list[str]]:
        """Tasks that were learned and stand for themselves, and those of the family with dials as one."""
        units: dict[str, list[str]] = {}
        for task in (task for task in self.conditions if task not in self.unlearned):
            units.setdefault(DIAL if _level(task) else task, []).append(task)
        return units

    def gap(self, task: str) -> Weights:
        """Return the weights of English minus the mean of the other source languages, for one task."""
        own = self.conditions[task]
        others = [name for code, name in own.items() if code != SOURCE_LANGUAGE]
        return add_weights({own[SOURCE_LANGUAGE]: 1.0}, weigh_evenly(others, -1.0))

    def recorded(self, task: str) -> bool:
        """Whether every condition of a task has scores."""
        return not find_missing(self.scores, self.conditions[task].values())


# --- Evidence --------------------------------------------------------------------------------------------------------


def gather(study: Study, records: Sequence[Record], store: Store) -> Evidence:
    """Return the evidence from a study's records, of which there may be none."""
    conditions, noted = list_conditions(study), chance.read_guessing(records, store)
    failed = learning.find_not_learned(learning.tabulate_dev_scores(records, noted))
    lost = {target for condition, target in failed if condition == BASELINE}
    scores = tabulate_outcomes(records)
    trained = learning.tabulate_dev_scores(records, noted, "intermediate")
    return Evidence(
        conditions,
        scores[~scores["target"].isin(lost)].reset_index(drop=True),
        tabulate_complexity(records),
        learning.average_intermediate_scores(records),
        trained.groupby("condition")["chance"].mean().to_dict(),
        _unlearned(conditions, trained, failed, lost, study.question and study.question.least_dev),
    )


def _unlearned(
    conditions: Mapping[str, Mapping[str, str]],
    trained: pd.DataFrame,
    failed: Mapping[tuple[str, str], str],
    lost: Collection[str],
    least: float | None,
) -> dict[str, str]:
    """Return `Evidence.unlearned`: of the trainings on intermediate tasks, and of targets after them."""
    found: dict[str, str] = {}
    for task, own in conditions.items():
        runs = trained[trained["condition"].isin(own.values())]
        for run in runs.itertuples():
            if not is_above_chance(run.score, run.n, run.chance):
                found[task] = f"{run.condition} was not learned: dev {run.score:.1f}, {run.chance:.1f} without"
            elif least is not None and run.score < least:
                found[task] = f"{run.condition} was learned too little: dev {run.score:.1f}, {least:g} are asked for"
        for (condition, target), reason in failed.items():
            if condition in own.values() and target not in lost:
                found[task] = f"after {condition}, {reason}"
    return found


def _level(task: str) -> DialLevel | None:
    return INTERMEDIATES[task].level if task in INTERMEDIATES else None


def list_conditions(study: Study) -> dict[str, dict[str, str]]:
    """Return `Evidence.conditions`: conditions of one task in one stage, by task and source language."""
    found: dict[str, dict[str, str]] = {}
    for each in resolve_conditions(study):
        if len(each.tasks) == 1 and not each.before:
            task = get_intermediate(each.tasks[0])
            found.setdefault(task.name, {})[task.source_language] = each.name
    return {
        task: {SOURCE_LANGUAGE: own[SOURCE_LANGUAGE], **own}
        for task, own in found.items() if SOURCE_LANGUAGE in own and len(own) > 1
    }  # fmt: skip


def tabulate_complexity(records: Sequence[Record]) -> pd.DataFrame:
    """Return `Evidence.complexity` from the records of phase `measure`."""
    rows = []
    for record in records:
        if isinstance(record.run.settings, ComplexityRunSettings):
            task = get_intermediate(record.run.settings.task)
            found = record.metrics[task.source_language]
            rows.append((task.name, task.source_language, record.run.seed, *(found[name] for name in _MEASURED)))
    return pd.DataFrame(rows, columns=["task", "language", "seed", *_MEASURED])


def tabulate_unit_gaps(evidence: Evidence) -> pd.DataFrame:
    """Return the gap of each unit, averaged over its tasks and over test languages: a row a unit, a column a seed.

    Units with a task that is not recorded as a whole are left out.
    """
    weights = {
        unit: add_weights(*(scale_weights(evidence.gap(task), 1 / len(tasks)) for task in tasks))
        for unit, tasks in evidence.units.items() if all(evidence.recorded(task) for task in tasks)
    }  # fmt: skip
    rows = {
        unit: keep_languages(contrast(evidence.scores, own), evidence.unseen).mean() for unit, own in weights.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").dropna(axis="columns", how="any")


def tabulate_unit_complexity(evidence: Evidence) -> pd.DataFrame:
    """Return the measures of each unit, on the logarithmic scale to base 2 but for label entropy; a row a unit.

    Each is the mean over seeds, source languages and the unit's tasks. Units with a task that is not measured are left
    out.
    """
    scaled = evidence.complexity.set_index("task")[list(MEASURES)].copy()
    for name in MEASURES:
        if name != "label_entropy":  # which may be zero
            scaled[name] = np.log2(scaled[name])
    by_task = scaled.groupby(level=0).mean()
    whole = {unit: tasks for unit, tasks in evidence.units.items() if set(tasks) <= set(by_task.index)}
    rows = {unit: by_task.loc[tasks].mean() for unit, tasks in whole.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(MEASURES))


def pair_gaps_with_complexity(evidence: Evidence) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the gaps and the complexity of the units that have both, in the order of `tabulate_unit_gaps`."""
    gaps, complexity = tabulate_unit_gaps(evidence), tabulate_unit_complexity(evidence)
    units = [unit for unit in gaps.index if unit in complexity.index]
    return gaps.loc[units], complexity.loc[units]


# --- Tests -----------------------------------------------------------------------------------------------------------


def estimate_gap(evidence: Evidence, rules: Rules) -> Result:
    """The gap averaged over tasks, those with dials counting as one; rows are test languages."""
    units = evidence.units
    parts = [
        scale_weights(evidence.gap(task), 1 / len(units) / len(tasks)) for tasks in units.values() for task in tasks
    ]
    return estimate_mean_effect(evidence, add_weights(*parts), evidence.unseen, rules, _chosen(evidence))


def estimate_slope(evidence: Evidence, rules: Rules, measure: str) -> Result:
    """Return the slope of the gap on a measure, in points for a standard deviation of it over tasks.

    The p-value and the interval are those of a permutation of the tasks; with k tasks no p-value can be below 1/k!.
    """
    gaps, complexity = pair_gaps_with_complexity(evidence)
    return _slope(evidence, rules, gaps, complexity[measure])


def _slope(evidence: Evidence, rules: Rules, gaps: pd.DataFrame, predictor: pd.Series) -> Result:
    """Return the slope of units' gaps (units, seeds) on a predictor of these units."""
    units = list(gaps.index)
    if len(units) < FEWEST_UNITS:
        reason = f"{count(units, 'task')} have scores in all source languages and a measured complexity, of"
        return make_untested(f"{reason} {FEWEST_UNITS} at least", PER_SD)
    first, second = gaps.mean(axis=1).to_numpy()[:, None], predictor.to_numpy()[:, None]
    used = np.ones(first.shape, dtype=bool)
    orders = permutations.make_orders(used, rules.resamples, rules.generator())
    try:
        found = permutations.estimate_relation(first, second, used, orders, rules.level)
    except StiltsError as error:
        return make_untested(str(error), PER_SD)
    method = f"permutation of tasks, {len(orders)} orders" + ("" if orders.all else " drawn")
    notes = (f"with {len(units)} tasks no p-value can be below {1 / len(orders):.2g}", *_chosen(evidence))
    found = replace(found, df=len(units) - 2.0, seeds=gaps.shape[1])
    return Result.of(found, len(units), unit=PER_SD, row_kind="task", method=method, notes=notes)


def estimate_gap_rise(evidence: Evidence, rules: Rules) -> Result:
    """The rise of the gap from a dial's lowest level to its highest, mean over dials; rows are test languages."""
    dials = evidence.dials
    if not dials:
        return make_untested("the study has no task with a dial", OVER_DIAL)
    levels = [task for tasks in dials.values() for task in tasks]
    if lost := [evidence.unlearned[task] for task in levels if task in evidence.unlearned]:
        return make_untested("; ".join(lost), OVER_DIAL)
    parts = [
        scale_weights(evidence.gap(task), share / len(dials))
        for tasks in dials.values() for task, share in zip(tasks, weigh_rise(len(tasks)), strict=True)
    ]  # fmt: skip
    result = estimate_mean_effect(evidence, add_weights(*parts), evidence.unseen, rules, _chosen(evidence))
    return replace(result, unit=OVER_DIAL)


def weigh_rise(levels: int) -> np.ndarray:
    """Return weights of evenly spaced levels whose weighted sum is the rise of the least-squares line over all of them.

    With two levels it is the second minus the first.
    """
    places = np.linspace(-0.5, 0.5, levels)
    return places / (places**2).sum()


def _chosen(evidence: Evidence) -> tuple[str, ...]:
    return note_sources(f"English; {_other_sources(evidence)}")


def _other_sources(evidence: Evidence) -> str:
    return ", ".join(get_language(code).name for code in evidence.sources if code != SOURCE_LANGUAGE)


TESTS: dict[str, Test] = {
    "gap": Test("English minus other source languages, unseen languages", estimate_gap),
    "gap-complexity": Test(
        f"slope of that gap on {MEASURES[CODE_LENGTH]}", partial(estimate_slope, measure=CODE_LENGTH)
    ),
    "gap-dial": Test("rise of that gap from the dial's lowest level to its highest", estimate_gap_rise),
}


# --- Tables ----------------------------------------------------------------------------------------------------------


def tabulate_task_gaps(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gap of each task with its complexity.

    Returns
    -------
    DataFrame
        task, code_length (bits an example, geometric mean over seeds and source languages; missing where it is not
        measured), gap, low, high (points), languages. Tasks that are not recorded in all their source languages are
        left out. Nothing is corrected.
    """
    lengths = evidence.complexity.groupby("task")[CODE_LENGTH].apply(lambda bits: 2 ** np.log2(bits).mean())
    rows = []
    for task in filter(evidence.recorded, evidence.conditions):
        result = estimate_mean_effect(evidence, evidence.gap(task), evidence.unseen, rules)
        rows.append(
            {"task": task, "code_length": float(lengths.get(task, np.nan)), "languages": result.rows}
            | result.row("gap")
        )
    return pd.DataFrame(rows, columns=["task", "code_length", "gap", "low", "high", "languages"])


def tabulate_source_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gain over no intermediate training of each task in each source language, in unseen test languages.

    Returns
    -------
    DataFrame
        task, source (name of the language), dev (score of the intermediate task itself, percent), gain, low, high
        (points). Nothing is corrected.
    """
    rows = []
    for task, own in evidence.conditions.items():
        for code, name in own.items():
            if find_missing(evidence.scores, [name, BASELINE]):
                continue
            result = estimate_mean_effect(evidence, weigh_gain(name), evidence.unseen, rules)
            dev = evidence.dev.get(name, np.nan)
            rows.append((task, get_language(code).name, dev, result.value, result.low, result.high))
    return pd.DataFrame(rows, columns=["task", "source", "dev", "gain", "low", "high"])


def tabulate_gaps_by_target(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gaps of tasks for each target by itself: target, task, gap, low, high; see `tabulate_task_gaps`."""
    columns = ["target", "task", "gap", "low", "high"]
    parts = [
        tabulate_task_gaps(evidence.of_target(target), rules).assign(target=target)[columns]
        for target in evidence.targets
    ]
    if not parts:
        return pd.DataFrame(columns=columns).astype(dict.fromkeys(columns[2:], float))
    return pd.concat(parts, ignore_index=True)


def tabulate_measures(evidence: Evidence) -> pd.DataFrame:
    """Return the measures of each task in each source language, means over seeds.

    Returns
    -------
    DataFrame
        Tasks with conditions first, and English first of the languages of each:
        task, language, the titles of `MEASURES` and of `LEARNED`, and at how many seeds nothing was learned, so that
        of the sample complexity no more is known than that it is higher than what stands there.
    """
    titles = MEASURES | LEARNED
    groups = evidence.complexity.groupby(["task", "language"], sort=False)
    table = groups[list(titles)].mean().rename(columns=titles)
    table[NOTHING_LEARNED] = groups["censored"].apply(lambda censored: int((censored == 1).sum()))
    places = {name: place for names in (evidence.conditions, evidence.sources) for place, name in enumerate(names)}
    in_order = {"key": lambda names: names.map(places), "ignore_index": True}  # what has no place comes last, as it was
    return table.reset_index().sort_values(["task", "language"], **in_order)


def tabulate_slopes(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the slope and the rank correlation of the gap with every measure of complexity, over tasks.

    Returns
    -------
    DataFrame
        measure, slope, low, high (points for a standard deviation), p (permutation of tasks), rank (Spearman), tasks.
        Nothing is corrected: only `gap-complexity` was chosen before looking.
    """
    from scipy.stats import spearmanr

    gaps, complexity = pair_gaps_with_complexity(evidence)
    rows = []
    for name, title in MEASURES.items():
        result = _slope(evidence, rules, gaps, complexity[name])
        rank = float(spearmanr(gaps.mean(axis=1), complexity[name]).statistic) if result.known else np.nan
        rows.append((title, result.value, result.low, result.high, result.p, rank, result.rows))
    return pd.DataFrame(rows, columns=["measure", "slope", "low", "high", "p", "rank", "tasks"])


def fit_line(evidence: Evidence) -> tuple[float, float] | None:
    """Return intercept and slope of the units' gaps on the logarithm (base 2) of the code length; None if too few."""
    gaps, complexity = pair_gaps_with_complexity(evidence)
    if len(gaps) < FEWEST_UNITS:
        return None
    fitted = np.polyfit(complexity[CODE_LENGTH], gaps.mean(axis=1), 1)
    return float(fitted[1]), float(fitted[0])


# --- Sentences -------------------------------------------------------------------------------------------------------


def answer_question(section: Section) -> Answer:
    """Answer the question from a study's records; without any it says how to make them."""
    evidence = gather(section.settings, section.analysis.records, section.analysis.store)
    return chapters.answer_from_scores(section, evidence, TESTS, summarize_gaps, describe_levels)


def describe_levels(evidence: Evidence, rules: Rules) -> str:
    """Say the gap at each level of the dials, to which the tests of rise fit a straight line; "" without dials."""
    gaps = tabulate_task_gaps(evidence, rules).set_index("task")
    said = [
        f"{title_task(task)} {format_effect(*gaps.loc[task, ['gap', 'low', 'high']], '')}"
        for tasks in evidence.dials.values()
        if set(tasks) <= set(gaps.index)
        for task in tasks
    ]
    return f"By level, uncorrected: {'; '.join(said)}; the test of the rise fits a straight line." if said else ""


def summarize_gaps(evidence: Evidence, rules: Rules) -> str:
    """Say between which tasks the gap is lowest and highest, and which sources are compared; "" without records."""
    table = tabulate_task_gaps(evidence, rules).dropna(subset=["gap"])
    table = table[~table["task"].isin(evidence.unlearned)]
    if table.empty:
        return ""
    low, high = table.loc[table["gap"].idxmin()], table.loc[table["gap"].idxmax()]
    return (
        f"English is set against {_other_sources(evidence)} as the language of {count(table, 'intermediate task')}, "
        f"by the scores in {count(evidence.unseen, 'language')} that are none of these. Its lead lies between "
        f"{format_signed(low['gap'])} points (`{low['task']}`) and {format_signed(high['gap'])} (`{high['task']}`)."
    )


def describe_unlearned(evidence: Evidence) -> str:
    """Say which tasks nothing was learned of, at any seed and in any language, from what they are measured on."""
    if evidence.complexity.empty:
        return "No task is measured yet."
    never = (evidence.complexity["censored"] == 1).groupby(evidence.complexity["task"], sort=False).all()
    unlearned = never[never].index.tolist()
    if not unlearned:
        return f"Of each of {count(never, 'task')} something was learned from the examples that it is measured on."
    were, them, their = ("was", "it", "Its") if len(unlearned) == 1 else ("were", "them", "Their")
    return (
        f"Of {count(never, 'task')}, {len(unlearned)} {were} not learned from the examples that measure {them}, at any "
        f"seed: {join_names(unlearned)}. {their} code length is then that of labels which the model cannot predict."
    )


def describe_dials(evidence: Evidence) -> str:
    """Say of each dial whether the measured complexity rises with its level, which it is meant to do."""
    lengths = evidence.complexity.groupby("task")[CODE_LENGTH].mean()
    lines = []
    for dial, tasks in evidence.dials.items():
        known = [task for task in tasks if task in lengths.index]
        if len(known) < len(tasks):
            unmeasured = f"- The code length of the levels of `{dial}` is not measured."
            lines.append(unmeasured + _learned_text(evidence, tasks))
            continue
        bits = ", ".join(f"{lengths[task]:.2f}" for task in tasks)
        rises = (np.diff(lengths[tasks]) > 0).all()
        lines.append(
            f"- Code length of `{dial}` from its lowest level to its highest, in bits an example: {bits}. "
            + ("The dial does what it is meant to." if rises else "It does not rise from each level to the next.")
            + _learned_text(evidence, tasks)
        )
    return "\n".join(lines) or "This study has no task with a dial."


def _learned_text(evidence: Evidence, tasks: Sequence[str]) -> str:
    """Say how well a dial's levels are learned, and what guessing gives; "" where nothing is trained yet."""
    levels = [[evidence.dev.get(name, np.nan) for name in evidence.conditions[task].values()] for task in tasks]
    scores = np.mean(levels, axis=1)
    if np.isnan(scores).any():
        return ""
    guessed = [np.mean([evidence.guessed[name] for name in evidence.conditions[task].values()]) for task in tasks]
    said, without = (", ".join(f"{score:.1f}" for score in values) for values in (scores, guessed))
    return f" Dev scores of these levels, mean over source languages: {said} percent, where guessing gives {without}."


def describe_targets(table: pd.DataFrame) -> str:
    """Say of `tabulate_gaps_by_target` in how many cells the interval excludes zero."""
    named = [f"{title_task(row['task'])} before {title_task(row['target'])}" for row in table.to_dict("records")]
    return describe_uncorrected(table, named, "Nothing can be compared yet.")
