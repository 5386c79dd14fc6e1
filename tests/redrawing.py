"""Outcomes with test items drawn anew that move all languages of a condition and target alike."""

import numpy as np
import pandas as pd

from stilts.analysis.questions.evidence import OUTCOME_COLUMNS


def redraw(table: pd.DataFrame, generator: np.random.Generator, spread: float = 20.0, draws: int = 50) -> pd.DataFrame:
    """Return outcomes as `stilts.analysis.questions.evidence.redraw_outcomes` does; `spread` is in points."""
    means = table.groupby(list(OUTCOME_COLUMNS[:3]), as_index=False)["score"].mean()
    parts = []
    for draw in range(1, draws + 1):
        moved = means.groupby(["condition", "target"])["score"].transform(lambda own: generator.normal(0, spread))
        parts.append(means.assign(seed=draw, score=means["score"] + moved))
    return pd.concat(parts, ignore_index=True)
