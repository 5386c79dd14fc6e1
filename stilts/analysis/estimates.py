"""Effects with confidence intervals and p-values from Student's t, with variance from languages, test items and seeds.

There are too few seeds for a bootstrap. Their part of the variance is the variance of the effect between seeds, and the
interval is Student's with Satterthwaite's degrees of freedom, as in `stilts.analysis.questions.crossed`.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import Sample
from stilts.analysis.wording import format_signed

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """An effect with its interval and two-sided p-value, in points unless stated otherwise.

    Attributes
    ----------
    value, low, high, p : float
    se, df : float
        Standard error and degrees of freedom.
    seeds : int
        Number of seeds; if it is below 2, the standard error has no part of the seeds.
    """

    value: float
    low: float
    high: float
    p: float
    se: float = math.nan
    df: float = math.nan
    seeds: int = 1

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def row(self, name: str) -> dict[str, float | bool]:
        """Return a table row: the effect as column `name`, low, high, p, excludes_zero."""
        ends = {"low": self.low, "high": self.high}
        return {name: self.value, **ends, "p": self.p, "excludes_zero": self.excludes_zero}

    def ends(self, name: str) -> dict[str, float]:
        """Return the effect as columns `<name>`, `<name>_low`, `<name>_high`, for tables with several effects."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def __str__(self) -> str:
        return f"{format_signed(self.value)} [{format_signed(self.low)}, {format_signed(self.high)}]"


def estimate(sample: Sample, level: float = LEVEL) -> Estimate:
    """Return an effect with its interval and p-value.

    Its variance is that by languages and items (from the replicates) plus that by seeds (from the effects by seed),
    minus the residual, which both contain. The reference is Student's t with the degrees of freedom of `combine`. An
    effect of zero without variance has p = 1.
    """
    of_rows, free_rows = float(np.nanvar(sample.draws)), max(len(sample.rows) - 1, 0) or math.inf
    return _estimate(sample.value, of_rows, free_rows, sample.seeds, sample.deviations, level)


def _estimate(
    value: float, of_rows: float, free_rows: float, seeds: pd.Series | None, deviations: pd.DataFrame | None,
    level: float,
) -> Estimate:
    """Return an effect from its variance by rows and its values by seed; a single seed adds no variance."""
    count = 0 if seeds is None else len(seeds)
    if count < 2:
        return estimate_by_t(value, of_rows, free_rows, level, count)
    of_seeds = float(seeds.var()) / count
    variance, df = combine(of_rows, of_seeds, _residual(deviations), free_rows, count - 1)
    return estimate_by_t(value, variance, df, level, count)


def _residual(deviations: pd.DataFrame) -> float:
    """Return the residual variance (interaction of languages and seeds) of a mean over both."""
    rows, seeds = deviations.shape
    if rows < 2:
        return 0.0
    left = deviations.sub(deviations.mean(axis="columns"), axis="index").to_numpy()
    return float((left**2).sum() * rows / (rows - 1) / (seeds * (seeds - 1)))


def combine(
    of_rows: float, of_seeds: float, residual: float, free_rows: float, free_seeds: float
) -> tuple[float, float]:
    """Return the variance of an effect over crossed rows and seeds, and its degrees of freedom.

    The degrees of freedom are Satterthwaite's (1946), rounded down. They are at least the smaller of those of rows and
    of seeds, and at most their product, (rows - 1)(seeds - 1).

    Parameters
    ----------
    of_rows, of_seeds : float
        Variance by rows (languages) and by seeds; both contain the residual.
    residual : float
    free_rows, free_seeds : float
        Degrees of freedom of rows and of seeds.
    """
    seeds_alone, rows_alone = max(of_seeds - residual, 0.0), max(of_rows - residual, 0.0)
    variance = max(rows_alone + seeds_alone + residual, of_rows)
    uncertain, least, most = of_rows**2 / free_rows, min(free_rows, free_seeds), free_rows * free_seeds
    if seeds_alone:
        uncertain += of_seeds**2 / free_seeds + residual**2 / (free_rows * free_seeds)
    df = variance**2 / uncertain if uncertain else most
    return variance, float(most if df >= most else max(math.floor(df), least))


def estimate_by_t(value: float, variance: float, df: float, level: float, seeds: int) -> Estimate:
    """Return an effect with its interval and two-sided p-value by Student's t; `df` may be infinite."""
    from scipy.special import stdtr, stdtrit

    se = math.sqrt(variance)
    half = se * float(stdtrit(df, (1 + level) / 2))
    p = 2 * float(stdtr(df, -abs(value) / se)) if se else float(value == 0)
    return Estimate(float(value), float(value - half), float(value + half), p, se, float(df), seeds)


def tabulate_estimates(table: pd.DataFrame, level: float = LEVEL) -> Estimate:
    """Return the mean of a table of languages (rows) and seeds (columns), with its interval over both.

    As `estimate`, but the noise of items is contained in the variance between languages.
    """
    rows = len(table)
    of_rows = float(table.mean(axis="columns").var()) / rows if rows > 1 else 0.0
    deviations = (table - table.mean()) / rows
    return _estimate(table.to_numpy().mean(), of_rows, rows - 1 or math.inf, table.mean(), deviations, level)


def correct_by_holm(table: pd.DataFrame, level: float = LEVEL, *, correct: bool = True) -> pd.DataFrame:
    """Return the table with p_holm and survives_holm: Holm's step-down correction (1979) of p for all rows with one.

    A row without a p-value was not tested: its p_holm is missing too, and it does not survive. If `correct` is not set,
    p_holm is p.
    """
    from statsmodels.stats.multitest import multipletests

    p = table["p"].astype(float)
    corrected, survives, tested = p.copy(), p <= 1 - level, p.notna()
    if correct and tested.any():
        survives[tested], corrected[tested], *_ = multipletests(p[tested], alpha=1 - level, method="holm")
    return table.assign(p_holm=corrected, survives_holm=survives)


def keep_clear(table: pd.DataFrame, low: str = "low", high: str = "high") -> pd.DataFrame:
    """Return the rows whose interval (columns `low` and `high`) excludes zero."""
    return table[(table[low] > 0) | (table[high] < 0)]


def count_sides(table: pd.DataFrame, low: str = "low", high: str = "high") -> tuple[int, int]:
    """Return how many rows have an interval (columns `low` and `high`) above zero, and how many below it."""
    return int((table[low] > 0).sum()), int((table[high] < 0).sum())
