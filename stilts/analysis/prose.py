"""Sentences of the book that contain numbers, generated from tables."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from stilts.analysis import learning
from stilts.analysis.conditions import LANGUAGE_MODEL, pair_with_english
from stilts.analysis.costs import Throughput
from stilts.analysis.estimates import LEVEL, count_sides, keep_clear
from stilts.analysis.opened import Analysis, sort_by_order
from stilts.analysis.published import Series
from stilts.analysis.room import find_published_layer
from stilts.analysis.wording import (
    count,
    format_effect,
    format_p,
    format_signed,
    join_names,
    join_words,
    title_task,
)
from stilts.study.provenance import describe_precision_mix, ran_on_gpu
from stilts.study.records import Record
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE
from stilts.tasks.registry import TARGETS
from stilts.workspace.notebooks.markup import escape_text, mark_code

MOST_NAMED = 8  # differences that a sentence names; a longer list is not read


def describe_scope(analysis: Analysis) -> str:
    """State which runs a page is based on, or that there are none yet."""
    runs = analysis.phase("zero-shot")
    if not runs:
        name = analysis.study
        return f"Study `{name}` is not recorded yet: this page fills when `stilts run {name}` has run."
    trained = [record for record in runs if not record.run.untrained]
    seeds = {record.run.seed for record in trained or runs}
    conditions = list(dict.fromkeys(record.run.condition for record in runs))
    targets = sort_by_order({str(record.run.target) for record in runs}, TARGETS)
    others = [code for code in analysis.languages if code != SOURCE_LANGUAGE]
    text = (
        f"This page rests on {count(runs, 'zero-shot run')} of study `{analysis.study}`: "
        f"{count(conditions, 'condition')}, {count(targets, 'target task')} "
        f"in up to {count(others, 'language')} besides English, {count(seeds, 'seed')}."
    )
    if not analysis.planned:
        text += (
            " They were recorded with other settings, data or package versions than this machine's; each record says "
            "which."
        )
    if mix := describe_precision_mix(analysis.records):
        text += f" Mind that {mix}."
    return " ".join([text, *_count_single_seeds(trained), *_name_devices(analysis), *_count_failures(analysis)])


def _count_single_seeds(trained: Sequence[Record]) -> list[str]:
    """Say how many conditions have one seed where others have several, and so count nowhere."""
    seeds: dict[str, set[int]] = {}
    for record in trained:
        seeds.setdefault(record.run.condition, set()).add(record.run.seed)
    most = max(map(len, seeds.values()), default=0)
    alone = [name for name, own in seeds.items() if len(own) == 1 < most and name != BASELINE]
    if not alone:
        return []
    said = "has one seed and counts" if len(alone) == 1 else "have one seed and count"
    return [f"{len(alone)} of the conditions {said} nowhere."]


def _name_devices(analysis: Analysis) -> list[str]:
    """Say which seeds were trained on GPUs and which on processors, if there are both."""
    seeds: dict[bool, dict[int, str]] = {True: {}, False: {}}
    for record in analysis.records:
        if record.run.phase in ("intermediate", "target"):
            seeds[ran_on_gpu(record.provenance)][record.run.seed] = record.provenance.device
    if not all(seeds.values()):
        return []
    named = {on_gpu: f"{'seed' if len(own) == 1 else 'seeds'} {join_words([*map(str, sorted(own))])}"
             for on_gpu, own in seeds.items()}  # fmt: skip
    gpus = join_words(sorted({*seeds[True].values()}))
    return [f"It trained {named[False]} on processors, and {named[True]} on a GPU ({gpus})."]


def _count_failures(analysis: Analysis) -> list[str]:
    """Say how many trainings were repeated, and how many stayed at chance; `describe_failed_runs` says which."""
    repeated = [record for record in analysis.records if record.at_chance]
    dead = learning.find_dead_runs(analysis.dev_scores)
    said = []
    if repeated:
        said.append(f"{count(repeated, 'training')} at chance on English dev began again from another seed.")
    if len(dead):
        said.append(
            f"{count(dead, 'training')} of a target that the baseline has learned stayed at chance on the English dev "
            "set; such a training counts nowhere."
        )
    return said


def describe_failed_runs(analysis: Analysis) -> str:
    """State which trainings were repeated or stayed at chance, and what that means; "" if none."""
    return "\n\n".join(filter(None, [describe_restarts(analysis.records), describe_dead_runs(analysis)]))


def describe_matrix(cells: pd.DataFrame, single_seeds: Collection[tuple[str, str]] = ()) -> str:
    """State how many cells have an interval without zero, how many are expected by chance, and the extreme gains.

    Parameters
    ----------
    cells : DataFrame
        From `stilts.analysis.effects.estimate_gains`.
    single_seeds : collection of (str, str)
        Condition and target of the cells of one seed beside others of several, see `Analysis.single_seeds`.
    """
    if cells.empty:
        return "No condition can be compared with `none` yet."
    apart = _say_pale(cells[~cells["counts"]], single_seeds)
    cells = cells[cells["counts"]]
    if cells.empty:
        return f"No cell counts.{apart}"
    up, down = count_sides(cells)
    chance = (1 - LEVEL) / 2 * len(cells)
    return (
        f"Of {count(cells, 'cell')}, {up} have an interval above zero and {down} one below; were there no "
        f"effects at all, about {chance:.0f} of either kind would be expected. {_extreme(cells, 'largest', 'idxmax')} "
        f"{_extreme(cells, 'lowest', 'idxmin')}{apart}"
    )


def _say_pale(pale: pd.DataFrame, single_seeds: Collection[tuple[str, str]]) -> str:
    """State how many cells do not count, for which reasons; "" if all do."""
    single = np.array([(row.condition, row.target) in single_seeds for row in pale.itertuples()], dtype=bool)
    alone = pale["learned"] & single
    reasons = {
        "their target was not learned in English": int((~pale["learned"]).sum()),
        "they have one seed, where other conditions have several": int(alone.sum()),
        "their design left an effect no room (the layer that is read, frozen layers, or a full baseline)": int(
            (pale["learned"] & ~alone).sum()
        ),
    }
    said = [f"{number}, since {why}" for why, number in reasons.items() if number]
    return f" Pale cells count nowhere: {join_words(said)}." if said else ""


def describe_failures(table: pd.DataFrame) -> str:
    """State which mean gains change where trainings that stayed at chance count; "" if there are none.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.findings.estimate_gains_on_other_tasks`.
    """
    changed = table[~np.isclose(table["gain"], table["with_failures"])]
    if changed.empty:
        return ""
    said = [
        f"`{row.condition}` {format_signed(row.with_failures)} in place of {format_signed(row.gain)}"
        for row in changed.itertuples()
    ]
    return (
        "A training that stayed at chance may be what its intermediate task did. With such trainings counted, mean "
        f"gains on other targets are: {', '.join(said)}. A verdict stands only where it is the same either "
        "way."
    )


def describe_budgets(analysis: Analysis) -> str:
    """State how many examples intermediate training on one task reads, and that on several; "" without records."""
    budgets: dict[int, set[int]] = {}
    for record in analysis.phase("intermediate"):
        settings = record.run.settings
        tasks = len(settings.condition.tasks)
        budgets.setdefault(tasks, set()).add(tasks * settings.training.examples)
    single, several = budgets.pop(1, set()), budgets
    if not single or not several:
        return ""
    said = [f"{_span(found)} with {tasks} tasks" for tasks, found in sorted(several.items())]
    return f"Intermediate training reads {_span(single)} examples of one task, and {join_words(said)}."


def _span(numbers: Iterable[int]) -> str:
    fewest, most = min(numbers), max(numbers)
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


def describe_frozen_layers(frozen: Mapping[str, int]) -> str:
    """State that no condition can change the layers that intermediate training froze; "" if it froze none.

    Parameters
    ----------
    frozen : mapping
        Condition -> number of lowest layers, from `stilts.analysis.room.find_frozen_layers`.
    """
    fewest = min(frozen.values(), default=0)
    if not fewest:
        return ""
    return (
        f"Intermediate training froze the {fewest} lowest layers. After them no condition can differ from the "
        "baseline: gains of zero there are a matter of design, and a layer above has passed only the trained layers "
        "between."
    )


def describe_restarts(records: Iterable[Record]) -> str:
    """State which trainings were repeated from another seed since they were at chance; "" if none was."""
    repeated = [record for record in records if record.at_chance]
    if not repeated:
        return ""
    again = sum(len(record.at_chance) for record in repeated)
    cells: dict[str, int] = {}
    for run in (record.run for record in repeated):
        name = f"`{run.target}` after `{run.condition}`" if run.target else f"`{run.condition}`"
        cells[name] = cells.get(name, 0) + 1
    named = [f"{name} ({count(number, 'seed')})" for name, number in cells.items()]
    return (
        f"Repeated from another seed, since their English dev score was at chance: {count(repeated, 'training')}, "
        f"{count(again, 'time')} in all: {join_words(named)}. That leaves out what the failed ones would have scored."
    )


def describe_dead_runs(analysis: Analysis) -> str:
    """State which trainings stayed at chance on a target that the baseline has learned; "" if none did."""
    dead = learning.find_dead_runs(analysis.dev_scores)
    if dead.empty:
        return ""
    said = []
    for target, runs in dead.groupby("target", sort=False):
        cells = [
            f"`{condition}` (seed{'' if len(own) == 1 else 's'} {', '.join(map(str, sorted(own['seed'])))})"
            for condition, own in runs.groupby("condition", sort=False)
        ]
        scores = " to ".join(dict.fromkeys(f"{end:.1f}" for end in (runs["score"].min(), runs["score"].max())))
        said.append(f"`{target}` after {', '.join(cells)}, {scores} where guessing gives {runs['chance'].max():.1f}")
    return (
        f"{count(dead, 'training')} of a target that the baseline has learned stayed at chance on the English dev set: "
        f"{'; '.join(said)}. No average of gains, test or verdict holds such cells."
    )


def describe_not_learned(analysis: Analysis) -> str:
    """State which targets were not learned in English after which conditions."""
    after: dict[str, list[str]] = {}
    for condition, target in analysis.failed:
        after.setdefault(target, []).append(condition)
    if not after:
        return "Every target was learned in English under every condition."
    said = "; ".join(f"`{target}` after {join_names(names)}" for target, names in after.items())
    return f"These were not learned in English, so that their scores say nothing of transfer: {said}."


def _extreme(cells: pd.DataFrame, word: str, place: str) -> str:
    row = cells.loc[getattr(cells["gain"], place)()]
    return (
        f"The {word} gain is {format_effect(row['gain'], row['low'], row['high'])}, of "
        f"`{row['condition']}` on `{row['target']}`."
    )


def show_averages(table: pd.DataFrame) -> pd.DataFrame:
    """Return `average_gains` for readers: yes and no, and formatted p-values."""
    return _with_tests(table[["condition", "gain", "low", "high"]].copy(), table)


def _with_tests(shown: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    shown["excludes zero"] = table["excludes_zero"].map({True: "yes", False: "no"})
    shown["p (Holm)"] = [format_p(p) for p in table["p_holm"]]
    return shown.assign(targets=table["targets"])


def describe_layers(table: pd.DataFrame) -> str:
    """State the best layer without an intermediate task, the gains by layer, and the layer that the ledger uses."""
    baseline = table[table["condition"] == BASELINE]
    gained = table[table["gain"].notna()]
    parts = []
    if len(baseline):
        best = baseline.loc[baseline["score"].idxmax()]
        parts.append(f"Without an intermediate task layer {best['layer']} is best ({best['score']:.1f} percent).")
    if len(gained):
        parts.append(_say_gains_by_layer(gained))
    return "\n\n".join(parts) or "No condition can be compared with `none` yet."


def _say_gains_by_layer(gained: pd.DataFrame) -> str:
    """State the mean gain over conditions at the best layer, at the last one, and at the one that the ledger uses."""
    means = gained.groupby("layer")["gain"].mean()
    most, last = int(means.idxmax()), int(means.index.max())
    text = (
        f"Averaged over {count(gained['condition'].unique(), 'condition')}, the gain is highest at layer {most}, "
        f"{format_signed(means[most])} points; at the last it is {format_signed(means[last])}."
    )
    read = find_published_layer(last)
    return (
        f"{text} Claim C3 of the ledger is judged at layer {read}, which lies as deep as the paper's 14th of 24: there "
        f"the gain is {format_signed(means[read])}."
    )


def describe_costs(runs: pd.DataFrame) -> str:
    """State the time and memory of all runs, by device."""
    if runs.empty:
        return "Nothing is recorded yet."
    return " ".join(
        f"{count(own, 'run')} took {own['seconds'].sum() / 3600:.1f} hours of one process together, "
        f"{own['seconds'].median():.0f} seconds each at the median, and no more than {own['peak MB'].max() / 1000:.1f} "
        f"GB of memory ({escape_text(', '.join([device, *own['precision'].unique()]))})."
        for device, own in runs.groupby("device", sort=False)
    )


def describe_throughput(measured: Throughput) -> str:
    """State the benchmark's tasks, its device and the device's peak."""
    tasks = [
        f"target task `{work.task}`, {work.rows[0].examples} training examples with epochs counted, batches of "
        f"{work.settings['batch_size']}, {work.dev_examples} English dev examples"
        for work in measured.works
    ]
    return (
        f"The work: {'; '.join(dict.fromkeys(tasks))}, on {escape_text(measured.device)}, whose peak is "
        f"{measured.peak / 1e12:.2f} TFLOP/s, measured as a product of large matrices in bfloat16."
    )


def describe_live_scope(live: Analysis | None, study: str) -> str:
    """State what the live study has computed so far, or that there is nothing yet."""
    if live is None:
        return f"Study `{study}` has no zero-shot record on this machine yet; `stilts run {study}` computes it."
    return describe_scope(live)


def describe_differences(table: pd.DataFrame) -> str:
    """State how many differences of two conditions exclude zero, on which targets.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.conditions.estimate_differences`.
    """
    if table.empty:
        return "No two conditions can be compared yet."
    clear, kept = keep_clear(table), int(table["survives_holm"].sum())
    said = [
        f"{_mark_ids(row['comparison'])} on `{row['target']}` ({format_signed(row['difference'])})"
        for row in clear.to_dict("records")
    ]
    named = f" ({join_words(said)})" if 0 < len(said) <= MOST_NAMED else ""
    return (
        f"Of {count(table, 'difference')}, the own interval of {len(clear) or 'none'} excludes zero{named}, and that "
        f"of {kept or 'none'} after Holm's correction."
    )


def _mark_ids(comparison: str) -> str:
    """Mark the conditions of a comparison as code, and not words such as "single tasks" in the place of one."""
    sides = comparison.split(" \N{MINUS SIGN} ")
    return " \N{MINUS SIGN} ".join(side if " " in side else mark_code(side) for side in sides)


def describe_masked_words(analysis: Analysis) -> str:
    """State how many masked words are right after conditions with language modelling, and how many updates they made.

    Says nothing ("") of a study without records of them and of their English counterparts.
    """
    trained: dict[str, list[Record]] = {}
    for record in analysis.phase("intermediate"):
        trained.setdefault(record.run.condition, []).append(record)
    said = []
    for pair in pair_with_english(analysis.conditions):
        if LANGUAGE_MODEL in analysis.conditions[pair.condition] and {pair.condition, pair.against} <= set(trained):
            own, english = (trained[name] for name in (pair.condition, pair.against))
            right = np.mean([each.metrics[SOURCE_LANGUAGE][f"score.{LANGUAGE_MODEL}"] for each in own])
            updates = (f"{np.mean([each.history[-1]['update'] for each in group]):,.0f}" for group in (own, english))
            said.append(f"{right:.1f} percent after `{pair.condition}` ({' updates in place of '.join(updates)})")
    if not said:
        return ""
    return f"Of the masked words of English dev texts phase 1 leaves right {join_words(said)}, means over seeds."


def describe_rank_correlations(table: pd.DataFrame) -> str:
    """State with which distances each measure of languages goes, by the intervals of `effects.correlate_ranks`."""
    said = []
    for measure, rows in table.groupby("measure", sort=False):
        clear = keep_clear(rows).to_dict("records")
        named = [f"{row['by']} distance ({format_signed(row['rho'], 2)})" for row in clear]
        said.append(f"the {measure} goes with {join_words(named) or 'no distance'}")
    return f"By intervals that exclude zero, {'; '.join(said)}." if said else "No distance can be compared yet."


def show_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return `conditions.average_differences` for readers: yes and no, and formatted p-values."""
    return _with_tests(table[["comparison", "change", "difference", "low", "high"]].copy(), table)


def describe_coverage(table: pd.DataFrame) -> str:
    """State how many target tasks a suite tests in how many languages.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.suite_report.tabulate_coverage`.
    """
    if table.empty:
        return "Which languages are tested is not on record yet."
    sizes = table.groupby("task", sort=False)["language"].nunique()
    most, fewest = sizes.idxmax(), sizes.idxmin()
    return (
        f"{count(sizes, 'target task')} have test sets in {table['language'].nunique()} languages together: "
        f"{title_task(most)} in {sizes[most]}, the most, and {title_task(fewest)} in {sizes[fewest]}, the fewest."
    )


def describe_published(series: Sequence[Series]) -> str:
    """State for each published series what it is, where it was seen and how certain it is."""
    return "\n".join(f"- {each.describe()}" for each in series)
