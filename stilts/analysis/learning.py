"""Whether a target was learned in English, its training language; scores of other runs say nothing about transfer.

An exact binomial test over the dev examples compares the score on the English dev set with guessing. If answers are
labels, guessing is the share of the dev set's most frequent label. For chunk F1 and answer F1 no constant answer scores
above 0, so guessing is set to `stilts.tasks.guessing.GUESSED_F1`.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.chance import find_task
from stilts.analysis.stages import trace_stages
from stilts.study.records import Record, tabulate_scores
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE, Phase
from stilts.tasks.guessing import GUESSED_F1, SIZE, find_p_of_guessing
from stilts.tasks.registry import TARGETS, Task

if TYPE_CHECKING:
    import pandas as pd

RULE = (
    f"A run has learned its task where its score on the English dev set is above chance by an exact binomial test at "
    f"{SIZE:g}: above the share of the set's most frequent label, or above {GUESSED_F1:g} percent in F1. A target "
    "counts where all runs of the baseline have learned it, and under a condition where all runs of the condition "
    "have. Of a target that an intermediate task's head predicts it is the score on the English test set. A condition "
    "with one seed counts nowhere where others have several."
)


def tabulate_dev_scores(records: Iterable[Record], noted: "pd.DataFrame", phase: Phase = "target") -> "pd.DataFrame":
    """Return the dev score of each training, with the score by guessing.

    Parameters
    ----------
    noted : DataFrame
        From `stilts.analysis.chance.read_guessing_notes`: run, language, majority.
    phase : str
        `target`, or `intermediate` for the trainings on one task.

    Returns
    -------
    DataFrame
        run, condition, target (the task), seed, score, n (dev examples), chance (percent; missing if it was not
        recorded), p (of the binomial test), learned.
    """
    own = [(record, task) for record in records if record.run.phase == phase and (task := find_task(record.run))]
    return _compare_with_guessing(own, noted)


def tabulate_head_scores(records: Iterable[Record], noted: "pd.DataFrame") -> "pd.DataFrame":
    """Return the same of the targets that an intermediate task's head predicts, which have no English dev set.

    The score is that on the English test set, and n is its size. Where a study has no English test set, there is none.
    """
    tested = [record for record in records if record.run.phase == "zero-shot" and SOURCE_LANGUAGE in record.metrics]
    own = [(record, task) for record in tested if (task := find_task(record.run)) and task.scored_by]
    return _compare_with_guessing(own, noted)


def _compare_with_guessing(scored: Iterable[tuple[Record, Task]], noted: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    guessed = noted.set_index(["run", "language"])["majority"].to_dict()
    rows = [
        {"run": record.id, "condition": record.run.condition, "target": task.reference, "seed": record.run.seed}
        | {"score": own["score"], "n": int(own["n"])}
        | {"chance": guessed.get((record.id, task.source_language), _without_labels(task))}
        for record, task in scored
        for own in [record.metrics[task.source_language]]
    ]
    table = pd.DataFrame(rows, columns=["run", "condition", "target", "seed", "score", "n", "chance"])
    p = [find_p_of_guessing(row.score, row.n, row.chance) for row in table.itertuples()]
    return table.assign(p=p, learned=[each < SIZE for each in p])


def _without_labels(task: Task) -> float:
    """Return the score by guessing if answers are not labels; NaN if they are, since the record should contain it."""
    return math.nan if task.format.answers_are_labels else GUESSED_F1


def average_intermediate_scores(records: Iterable[Record]) -> dict[str, float]:
    """Return the dev score of each condition's last intermediate training in percent, averaged over seeds."""
    return {
        name: float(tabulate_scores((line[0] for line in lines), "intermediate")["score"].mean())
        for name, lines in trace_stages(records).items()
    }


def find_weakest_runs(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Return for each condition and target the run closest to chance, which decides whether the cell is learned."""
    return scores.loc[scores.groupby(["condition", "target"], sort=False)["p"].idxmax()].reset_index(drop=True)


def find_not_learned(scores: "pd.DataFrame", split: str = "dev") -> dict[tuple[str, str], str]:
    """Return condition and target of the cells whose target was not learned, with a clause that gives the reason.

    A target that is trained as another one (MLQA as XQuAD) counts as learned if that one does. Retrieval and mining,
    which nothing is trained for, have no such score and count as learned.

    Parameters
    ----------
    scores : DataFrame
        From `tabulate_dev_scores` or `tabulate_head_scores`.
    split : str
        The English set that they are of, as the reason calls it.
    """
    cells = find_weakest_runs(scores)
    return {
        (row.condition, name): _reason(name, row, split)
        for row in cells[~cells["learned"]].itertuples()
        for name, task in TARGETS.items()
        if task.training_task == row.target
    }


def _reason(target: str, run: Any, split: str) -> str:
    if math.isnan(run.chance):
        return f"whether {target} was learned is not known: the records do not note what guessing scores"
    reached = f"English {split} {run.score:.1f} with seed {run.seed}, {run.chance:.1f} by guessing"
    return f"{target} was not learned: {reached}"


def find_dead_runs(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Return the trainings that are at chance on a target that the baseline has learned."""
    cells = find_weakest_runs(scores)
    learned = set(cells.loc[cells["learned"] & (cells["condition"] == BASELINE), "target"])
    return scores[~scores["learned"] & scores["target"].isin(learned)].reset_index(drop=True)


def find_single_seeds(replicates: Mapping[str, Replicates]) -> dict[tuple[str, str], str]:
    """Return condition and target of the cells of one seed beside others of several, with the reason, a clause.

    The baseline is none of them: a target without training has one run of it, whatever the seeds.
    """
    found = {}
    for target, part in replicates.items():
        seeds = Counter(condition for condition, _ in part.runs)
        most = max(seeds.values())
        for condition in part.conditions:
            if seeds[condition] == 1 < most and condition != BASELINE:
                found[condition, target] = f"{target}: one seed, where other conditions have {most}"
    return found


def keep_counted(
    replicates: Mapping[str, Replicates], uncounted: Collection[tuple[str, str]], baseline: str = BASELINE
) -> dict[str, Replicates]:
    """Return the replicates of the targets and conditions that count.

    A target is left out where the baseline does not count, and where no other condition of several does.

    Parameters
    ----------
    uncounted : collection of (str, str)
        Condition and target of the cells that do not.
    """
    found = {}
    for target, part in replicates.items():
        kept = [name for name in part.conditions if (name, target) not in uncounted]
        alone = kept == [baseline] and len(part.conditions) > 1
        if (baseline, target) not in uncounted and not alone:
            found[target] = part.only(kept)
    return found
