"""Plain and partial correlations over languages, with intervals from a bootstrap over languages."""

import numpy as np


def estimate_correlation(
    values: np.ndarray, resamples: int, generator: np.random.Generator, level: float, kind: str = "linear"
) -> tuple[float, float, float]:
    """Return the correlation of the first two columns with the others held constant, and its percentile interval.

    Parameters
    ----------
    values : array of shape (rows, columns)
        Rows are resampled with replacement.
    kind : str
        See `compute_partial_correlation`.

    Returns
    -------
    tuple of float
        The correlation and the ends of its interval; these are missing (NaN) if no replicate has a correlation.
    """
    draws = compute_partial_correlation(values[generator.integers(len(values), size=(resamples, len(values)))], kind)
    low, high = np.nan, np.nan
    if not np.isnan(draws).all():
        low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(compute_partial_correlation(values, kind)), low, high


def compute_partial_correlation(values: np.ndarray, kind: str = "linear") -> np.ndarray:
    """Return the correlation of the first two columns with the others held constant.

    Parameters
    ----------
    values : array of shape (..., rows, columns)
    kind : str
        `linear` (Pearson) or `rank` (Spearman, with mean ranks for ties).

    Returns
    -------
    array of shape (...)
        NaN where a column is constant or a linear combination of the others.
    """
    from scipy.stats import rankdata

    if kind == "rank":
        values = rankdata(values, axis=-2)
    centred = values - values.mean(axis=-2, keepdims=True)
    spread = np.sqrt((centred**2).sum(axis=-2, keepdims=True))
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    matrix = np.swapaxes(scaled, -1, -2) @ scaled
    usable = np.linalg.matrix_rank(matrix, tol=1e-9) == matrix.shape[-1]
    if matrix.shape[-1] == 2:  # two perfectly correlated columns give a singular matrix, but a valid correlation
        usable = np.diagonal(matrix, axis1=-1, axis2=-2).min(axis=-1) > 0.5
        return np.where(usable, matrix[..., 0, 1], np.nan)
    inverse = np.linalg.inv(np.where(usable[..., None, None], matrix, np.eye(matrix.shape[-1])))
    partial = -inverse[..., 0, 1] / np.sqrt(inverse[..., 0, 0] * inverse[..., 1, 1])
    return np.where(usable, partial, np.nan)
