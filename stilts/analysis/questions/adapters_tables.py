"""The tables of question 4."""

import numpy as np
import pandas as pd

from stilts.analysis.conditions import is_same_task
from stilts.analysis.questions.adapters import COMBINED, FULL, GROUPS, Evidence
from stilts.analysis.questions.adapters_tests import mean_gain, orders_of, relation_to, why_too_few
from stilts.analysis.questions.permutations import beyond_means, predicted, relation, standardised
from stilts.analysis.questions.testing import Rules, untested


def scheme_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return each scheme's mean gain, over pairs of two tasks and over pairs of the same task.

    Columns: group (the scheme), gain, low, high, p (not corrected), languages, same_gain, same_low, same_high.
    """
    alike = [pair for pair in evidence.pairs if is_same_task([pair[0]], pair[1])]
    rows = []
    for scheme in evidence.schemes if evidence.different else ():
        result = mean_gain(evidence, rules, scheme, evidence.different)
        beside = mean_gain(evidence, rules, scheme, alike) if alike else untested("no such pair")
        same = {"same_gain": beside.value, "same_low": beside.low, "same_high": beside.high}
        rows.append({"group": scheme, "languages": result.rows, **same} | result.row("gain"))
    columns = ["group", "gain", "low", "high", "p", "languages", "same_gain", "same_low", "same_high"]
    return pd.DataFrame(rows, columns=columns)


def language_gains(evidence: Evidence) -> pd.DataFrame:
    """Return each scheme's gain in each language, mean over pairs of two tasks and seeds: group, language, gain."""
    rows = [
        {"group": scheme, "language": code, "gain": value}
        for scheme in (evidence.schemes if evidence.different else ())
        for code, value in evidence.gain(scheme, evidence.different).mean(axis=1).items()
    ]
    return pd.DataFrame(rows, columns=["group", "language", "gain"])


def pair_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gain of every scheme and pair with its interval over languages and seeds, and how alike the tasks are.

    Columns: scheme, intermediate, target, same, gain, low, high, excludes_zero, one for each measure, and `combined`
    (missing for pairs of the same task).
    """
    alike = {name: evidence.alike(name) for name in (*evidence.measures, COMBINED) if evidence.measures}
    rows = []
    for scheme in evidence.schemes:
        for first, second in evidence.pairs:
            result = mean_gain(evidence, rules, scheme, [(first, second)])
            row, column = evidence.intermediates.index(first), evidence.targets.index(second)
            values = {name: float(matrix[row, column]) for name, matrix in alike.items()}
            if is_same_task([first], second) and values:
                values[COMBINED] = np.nan
            rows.append(
                {"scheme": scheme, "intermediate": first, "target": second, "same": is_same_task([first], second)}
                | values
                | result.row("gain")
            )
    columns = ["scheme", "intermediate", "target", "same", "gain", "low", "high", "excludes_zero", *alike]
    return pd.DataFrame(rows, columns=columns)


def beyond_means_points(evidence: Evidence) -> pd.DataFrame:
    """Return gain and similarity of each pair of two tasks beyond the means of its tasks, for the figure.

    Columns: group (`full`, `adapters`), intermediate, target, similarity (standard deviations), gain (points).
    """
    columns = ["group", "intermediate", "target", "similarity", "gain"]
    groups = [group for group in (FULL, "adapters") if not why_too_few(evidence, GROUPS[group], COMBINED)]
    if not groups:
        return pd.DataFrame(columns=columns)
    used = evidence.used()
    alike = standardised(beyond_means(evidence.alike(COMBINED), used), used)
    rows = [
        (group, evidence.intermediates[row], evidence.targets[column], alike[row, column], gain[row, column])
        for group in groups
        for gain in [beyond_means(evidence.matrix(group), used)]
        for row, column in np.argwhere(used)
    ]
    return pd.DataFrame(rows, columns=columns)


def agreement(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return how far the measures agree on which pairs are alike, over pairs of two tasks.

    Returns
    -------
    DataFrame
        first, second (measures), rank (Spearman's correlation of the matrices), p, beyond_means (Pearson's, without
        the means of tasks), p_beyond_means. The p-values are of permutations of tasks, not corrected.
    """
    columns = ["first", "second", "rank", "p", "beyond_means", "p_beyond_means"]
    names, used = evidence.measures, evidence.used()
    if not names:
        return pd.DataFrame(columns=columns)
    over = orders_of(evidence, rules)
    rows = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            matrices = [evidence.alike(name) for name in (first, second)]
            ranks = relation(*(_ranked(matrix, used) for matrix in matrices), used, over)
            left = relation(*(beyond_means(matrix, used) for matrix in matrices), used, over)
            rows.append((first, second, ranks.r, ranks.p, left.r, left.p))
    return pd.DataFrame(rows, columns=columns)


def _ranked(matrix: np.ndarray, used: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = np.zeros(used.shape)
    ranks[used] = rankdata(matrix[used])
    return ranks


def by_measure(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return what each measure says of the gain of each scheme, and of all adapters; none of it corrected.

    Columns: group, measure, same_pairs (whether pairs of the same task are among them), slope, low, high, r, p, pairs.
    """
    columns = ["group", "measure", "same_pairs", "slope", "low", "high", "r", "p", "pairs"]
    rows = []
    for group, schemes in GROUPS.items():
        if why_too_few(evidence, schemes, COMBINED):
            continue
        for with_same in (False, True) if len(evidence.different) < len(evidence.pairs) else (False,):
            left = beyond_means(evidence.matrix(group), evidence.used(with_same))
            for measure in (COMBINED, *evidence.measures):
                if with_same and np.isnan(evidence.alike(measure, True)[evidence.used(True)]).any():
                    continue
                found = relation_to(evidence, rules, left, measure, with_same)
                rows.append((group, measure, with_same, found.slope, found.low, found.high, found.r, found.p,
                             found.cells))  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def reliability(evidence: Evidence) -> pd.DataFrame:
    """Return how much of the differences between pairs is the luck of seeds, for each group.

    Returns
    -------
    DataFrame
        group, spread (standard deviation over pairs of two tasks of the mean gain beyond the means of tasks, points),
        noise (that which seeds alone give it), share (of the variance that is not noise; 0 where noise explains all).
        With one seed the last two are missing.
    """
    used = evidence.used()
    rows = []
    for group, schemes in GROUPS.items():
        if not evidence.different or any(name not in evidence.schemes for name in schemes):
            continue
        left = np.stack([beyond_means(matrix, used)[used] for matrix in evidence.by_seed(group)])
        variance = float(left.mean(axis=0).var())
        noise = float(left.var(axis=0, ddof=1).mean() / len(left)) if len(left) > 1 else np.nan
        share = max(1 - noise / variance, 0.0) if variance else np.nan
        rows.append({"group": group, "spread": variance**0.5, "noise": noise**0.5, "share": share})
    return pd.DataFrame(rows, columns=["group", "spread", "noise", "share"])


HELD_OUT = ("pair", "intermediate", "target")


def prediction(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return how well similarity predicts the gain of pairs that were not seen, against means of tasks alone.

    Each pair, or all pairs of an intermediate or of a target task, are left out in turn and predicted from the others:
    by means of rows and columns, and by these and a slope on similarity. Intervals draw intermediate and target tasks.

    Returns
    -------
    DataFrame
        group, held_out (pair, intermediate or target), measure, error_means and error (root mean square in points,
        without and with similarity), r2, low, high (share of the squared error that similarity takes away; negative
        where it adds to it), rank (Spearman's correlation of predicted and observed gains, with similarity).
    """
    columns = ["group", "held_out", "measure", "error_means", "error", "r2", "low", "high", "rank"]
    used = evidence.used()
    rows = []
    for group in (FULL, "adapters"):
        if why_too_few(evidence, GROUPS[group], COMBINED):
            continue
        gain = evidence.matrix(group)
        for held_out in HELD_OUT:
            plain = cross_validated(gain, None, used, held_out)
            for measure in (COMBINED, *evidence.measures):
                found = cross_validated(gain, evidence.alike(measure), used, held_out)
                rows.append({"group": group, "held_out": held_out, "measure": measure,
                             **_skill(gain, plain, found, used, rules)})  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def cross_validated(gain: np.ndarray, predictor: np.ndarray | None, used: np.ndarray, held_out: str) -> np.ndarray:
    """Return every cell's prediction from those that are not left out with it, (intermediates, targets).

    Parameters
    ----------
    held_out : str
        `pair`, `intermediate` (a whole row) or `target` (a whole column).
    """
    found = np.full(gain.shape, np.nan)
    for mask in _folds(used, held_out):
        found[mask & used] = predicted(gain, predictor, used, mask)
    return found


def _folds(used: np.ndarray, held_out: str) -> list[np.ndarray]:
    rows, columns = np.indices(used.shape)
    if held_out == "intermediate":
        return [rows == place for place in range(used.shape[0])]
    if held_out == "target":
        return [columns == place for place in range(used.shape[1])]
    return [(rows == row) & (columns == column) for row, column in np.argwhere(used)]


def _skill(
    gain: np.ndarray, plain: np.ndarray, found: np.ndarray, used: np.ndarray, rules: Rules
) -> dict[str, float]:
    from scipy.stats import spearmanr

    errors = [np.where(used, (gain - each) ** 2, 0.0) for each in (plain, found)]
    generator = rules.generator()
    drawn = [generator.multinomial(size, np.full(size, 1 / size), size=rules.resamples) for size in used.shape]
    sums = [np.einsum("br,rc,bc->b", drawn[0], each, drawn[1]) for each in errors]
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.where(sums[0] > 0, 1 - sums[1] / sums[0], np.nan)
    low, high = np.nanquantile(draws, [(1 - rules.level) / 2, (1 + rules.level) / 2])
    means = [each.sum() / used.sum() for each in errors]
    r2 = 1 - means[1] / means[0] if means[0] else np.nan
    varies = gain[used].std() > 0 and found[used].std() > 0
    rank = float(spearmanr(gain[used], found[used]).statistic) if varies else np.nan
    return {"error_means": means[0] ** 0.5, "error": means[1] ** 0.5, "r2": float(r2), "low": float(low),
            "high": float(high), "rank": rank}  # fmt: skip
