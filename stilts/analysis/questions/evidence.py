"""What all five questions are answered from: scores of what was learned, with test items redrawn, and their level."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.opened import Analysis
from stilts.study.records import Record, tabulate_scores
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.registry import TARGETS

OUTCOME_COLUMNS = ("condition", "target", "language", "seed", "score", "n")
REDRAWN = 400  # draws of test items that tell how alike they move the rows of a table


class Redrawable(Protocol):
    """Evidence of a question, and the same with test items drawn anew."""

    @property
    def redrawn(self) -> Self | None:
        """The evidence with a column for each draw of the items that rows share, in place of seeds; None if none do."""


class Scored(Redrawable, Protocol):
    """Evidence with a table of scores as `tabulate_outcomes` returns it."""

    @property
    def scores(self) -> pd.DataFrame:
        """The scores."""


def tabulate_outcomes(records: Iterable[Record]) -> pd.DataFrame:
    """Return the zero-shot scores of records: condition, target, language, seed, score (percent) and n (examples)."""
    table = tabulate_scores(records)[list(OUTCOME_COLUMNS)]
    return table.astype({"seed": int, "score": float, "n": float}).reset_index(drop=True)


def tabulate_learned_outcomes(records: Collection[Record], failed: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Return the outcomes of records, without the conditions and targets of the cells that were not learned."""
    table = tabulate_outcomes(records)
    kept = [pair not in failed for pair in zip(table["condition"], table["target"], strict=True)]
    return table.loc[kept].reset_index(drop=True)


def redraw_outcomes(
    table: pd.DataFrame, analysis: Analysis, *, against_english: bool = False
) -> pd.DataFrame | None:
    """Return outcomes as they would be with other test items, where rows of a table share these.

    Items that are translations of one another are drawn together for all languages; and where every row is measured
    against English, the items of English are shared by all. What no two rows share stays as it is: its noise is in what
    sets the rows apart.

    Parameters
    ----------
    table : DataFrame
        As `tabulate_outcomes` returns it.
    analysis : Analysis
        Of the same records.
    against_english : bool
        Whether rows are gaps to English.

    Returns
    -------
    DataFrame or None
        condition, target, language, seed (the number of the draw), score (mean over the seeds of the condition); None
        where no items are shared.
    """
    kept = table[["condition", "target", "language"]].drop_duplicates()
    targets = list(kept["target"].unique())
    parallel = [target for target in targets if TARGETS[target].parallel]  # of others no replicates are needed
    if not targets or not (against_english or any(analysis.replicates[target].shares_items for target in parallel)):
        return None
    drawn = [_redrawn(analysis.replicates[target], against_english) for target in targets]
    return kept.merge(pd.concat(drawn), on=["condition", "target", "language"])


def _redrawn(part: Replicates, against_english: bool) -> pd.DataFrame:
    shared = [part.shares_items or against_english and name == SOURCE_LANGUAGE for name in part.languages]
    scores = np.where(np.array(shared)[:, None], part.items[:REDRAWN], part.scores)
    axes = [range(1, len(scores) + 1), part.languages, part.conditions]
    index = pd.MultiIndex.from_product(axes, names=["seed", "language", "condition"])
    return pd.DataFrame({"score": scores.ravel()}, index=index).reset_index().assign(target=part.target)


def add_redrawn_scores(evidence: Any, analysis: Analysis) -> Any:
    """Return evidence that has a table `scores`, with the same of redrawn items as its `redrawn`."""
    drawn = redraw_outcomes(evidence.scores, analysis)
    return evidence if drawn is None else replace(evidence, redrawn=replace(evidence, scores=drawn))


@dataclass(frozen=True)
class Level:
    """What models score before what a question is about, and what guessing would, in percent."""

    score: float
    guessed: float


def measure_level(table: pd.DataFrame, baselines: Sequence[str], floors: Mapping[str, float]) -> Level | None:
    """Return the level of conditions in languages other than English, mean over targets; None without their scores.

    Parameters
    ----------
    table : DataFrame
        As `tabulate_outcomes` returns it.
    floors : mapping
        Target -> what guessing scores; 0 where it is not named.
    """
    rows = table[table["condition"].isin(list(baselines)) & (table["language"] != SOURCE_LANGUAGE)]
    by_target = rows.groupby("target")["score"].mean()
    if by_target.empty:
        return None
    return Level(float(by_target.mean()), float(np.mean([floors.get(str(target), 0.0) for target in by_target.index])))
