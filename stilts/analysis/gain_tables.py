"""Tables of gains that several notebooks show."""

from typing import TYPE_CHECKING

from stilts.analysis.conditions import is_same_task
from stilts.analysis.effects import average_baseline, estimate_gains, pivot_language_gains
from stilts.analysis.languages.facts import tabulate_languages
from stilts.analysis.opened import Analysis
from stilts.analysis.wording import title_conditions, title_task
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import SOURCE_LANGUAGE, split_reference

if TYPE_CHECKING:
    import pandas as pd


def estimate_study_gains(analysis: Analysis | None) -> "pd.DataFrame":
    """Return the gains of an analysis, see `estimate_gains`; an empty table without an analysis.

    Further columns are same_task, whether the target is the same task as one of the condition's, and several, whether
    the condition has several tasks.
    """
    table, tasks = estimate_gains({}), {}
    if analysis:
        table = estimate_gains(analysis.replicates, analysis.failed, analysis.set_aside)
        tasks = analysis.conditions
    pairs = list(zip(table["condition"], table["target"], strict=True))
    same_task = [is_same_task(tasks[condition], target) for condition, target in pairs]
    return table.assign(same_task=same_task, several=[len(tasks[condition]) > 1 for condition, _ in pairs])


def append_means(cells: "pd.DataFrame", means: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """Return the cells of a matrix and, as those of a further target, its column of means, for the table behind it.

    Parameters
    ----------
    cells : DataFrame
        From `estimate_study_gains`.
    means : DataFrame
        condition, gain, low, high and further columns, of which those that cells have are kept.
    name : str
        Of the further target.
    """
    import pandas as pd

    rows = means.assign(target=name, learned=True, counts=True, same_task=False, several=False)
    return pd.concat([cells, rows[[column for column in cells if column in rows]]], ignore_index=True)


def list_titles(analysis: Analysis) -> dict[str, str]:
    """Return the names in words of an analysis's conditions, of their intermediate tasks, and of its targets."""
    trained = {split_reference(task)[0] for task in analysis.trained_tasks}
    targets = {str(record.run.target) for record in analysis.phase("zero-shot")}
    return {task: title_task(task) for task in sorted(trained | targets)} | title_conditions(analysis.conditions)


def tabulate_retrieval(analysis: Analysis) -> "pd.DataFrame":
    """Return the scores of the retrieval task with accuracy by layer, without conditions of a single seed.

    Those are conditions of one seed where others have several. Raises StiltsError if no run has such scores.
    """
    places = zip(analysis.scores["condition"], analysis.scores["target"], strict=True)
    scores = analysis.scores[[place not in analysis.single_seeds for place in places]]
    layers = [name for name in scores.columns if name.startswith("layer_")]
    found = scores.dropna(subset=layers) if layers else scores.iloc[:0]
    if found.empty:
        raise StiltsError(f"study '{analysis.study}' has no retrieval run yet; run `stilts run {analysis.study}` first")
    return found


def keep_condition(table: "pd.DataFrame", condition: str) -> "pd.DataFrame":
    """Return the rows of one condition. Raises UnknownName if there are none."""
    known = list(dict.fromkeys(table["condition"]))
    if condition not in known:
        raise UnknownName("condition", condition, known)
    return table[table["condition"] == condition].reset_index(drop=True)


def keep_well_covered(averages: "pd.DataFrame", least: int) -> "pd.DataFrame":
    """Return the languages of `average_language_gains` with at least `least` target tasks.

    An average over one task is not comparable with one over seven. Raises StiltsError if no language is left.
    """
    kept = averages[averages["targets"] >= least].reset_index(drop=True)
    if kept.empty:
        most = int(averages["targets"].max())
        raise StiltsError(f"no language is in {least} target tasks; 'least_targets' can be at most {most}")
    return kept


def add_distances(averages: "pd.DataFrame", cells: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per language other than English: score without intermediate task, gain, distances to English.

    Parameters
    ----------
    averages, cells : DataFrame
        Rows of one condition of `average_language_gains` and of `estimate_language_gains`.
    """
    scores = average_baseline(cells).rename(columns={"baseline_score": "score without"})
    table = averages.merge(scores, on="language")
    table = table[table["language"] != SOURCE_LANGUAGE]
    facts = tabulate_languages(table["language"])
    return table[["language", "score without", "gain"]].merge(facts, left_on="language", right_on="code")


def tabulate_language_matrix(averages: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per language with its facts and its gain in each condition."""
    wide = pivot_language_gains(averages)
    facts = tabulate_languages(wide["language"])[["name", "code", "family", "script"]]
    return facts.join(wide.drop(columns="language")).rename(columns={"name": "language"})
