"""Effects over languages and seeds: a t-test that counts both, and its checks by a mixed model and a bootstrap.

The table
---------
Every effect is estimated from a table of paired differences: a row for each language (or task), a column for each
seed. Its mean, or its slope on a predictor of the rows, is meant for languages and for seeds beyond those of the table,
so both count as drawn at random, and crossed: each seed met every language.

The primary test
----------------
Least squares on the rows' means over seeds. The variance of a coefficient has a part of the languages (from the spread
of the rows about the fit), a part of the seeds (from the spread of the coefficient that each seed has by itself), and
the residual that both of these contain, which is subtracted once; a part that comes out below zero counts as zero. The
reference is Student's t with Satterthwaite's (1946) degrees of freedom, rounded down, but no fewer than those of the
rows or of the seeds by themselves, and no more than (rows - 1)(seeds - 1): with three seeds they fall to two where the
seeds decide, which a Wald test forgets.
For a mean this is the quasi-F of crossed random effects (Clark 1973). Its size is proved by simulation in
`tests/analysis/test_questions_shared.py`.

Test items that rows share (translations of one another; the English ones, where rows are gaps to English) move these
rows alike, which their spread does not show. The covariance that drawing such items anew gives to different rows is
added to the variance; the checks do not have it.

The checks
----------
A mixed model with crossed random effects, fitted by REML with statsmodels, and a bootstrap that draws languages and,
apart from them, one seed fewer than there are (Rao and Wu 1988). Both are reported beside the test; neither decides.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import chi2

from stilts.analysis.contrasts import Weights, contrast, find_missing, keep_languages
from stilts.analysis.estimates import Estimate, combine, estimate_by_t
from stilts.analysis.languages.facts import read_languages
from stilts.analysis.questions.evidence import Redrawable, Scored
from stilts.analysis.questions.testing import Result, Rules, make_unrecorded, make_untested
from stilts.study.errors import StiltsError

MEAN = "mean"
PRIMARY, MIXED, BOOTSTRAP = "crossed t-test", "mixed model", "cluster bootstrap"
NOT_CONVERGED = "the fit did not converge"
OPTIMIZERS = ("bfgs", "lbfgs", "cg", "powell", "nm")
_RETRY, _FAILED = "Retrying MixedLM optimization with ", "Maximum Likelihood optimization failed"
ONE_SEED = "with one seed the interval says nothing of the variance between seeds"


@dataclass(frozen=True)
class Basis:
    """What `estimate_effect` estimates an effect from: table, predictors of its rows, coefficient, redrawn items."""

    table: pd.DataFrame
    predictors: pd.DataFrame | None
    coefficient: str
    redrawn: pd.DataFrame | None = None


def estimate_coefficients(
    table: pd.DataFrame,
    predictors: pd.DataFrame | None = None,
    level: float = 0.95,
    redrawn: pd.DataFrame | None = None,
) -> dict[str, Estimate]:
    """Return the primary test of every coefficient, by name.

    Parameters
    ----------
    table : DataFrame of shape (rows, seeds)
        Without gaps, as `keep_complete` leaves it.
    predictors : DataFrame or None
        A row for each row of the table, by index; None for the mean alone. They are centred here, so that `mean` is the
        mean of the rows whatever the predictors.
    level : float
        Of the intervals.
    redrawn : DataFrame of shape (rows, draws) or None
        The rows' means over seeds with the test items drawn anew that rows share; None where they share none.

    Raises
    ------
    StiltsError
        If a gap is left, there are too few rows for the predictors, or a predictor says nothing that others do not.
    """
    values, design, names = _arrays(table, predictors)
    rows, seeds = values.shape
    if names == [MEAN] and rows == 1 and seeds > 1:  # its seeds alone
        return {MEAN: estimate_by_t(values[0].mean(), values[0].var(ddof=1) / seeds, seeds - 1, level, seeds)}
    if rows - len(names) < 1:
        raise StiltsError(f"{rows} rows are too few for {len(names)} coefficients ({', '.join(names)})")
    parts = split_variance(values, design, table.index, redrawn)
    estimates = np.linalg.pinv(design) @ values.mean(axis=1)
    found = {}
    for i, (name, own) in enumerate(zip(names, parts, strict=True)):
        variance, df = own.combine()
        found[name] = estimate_by_t(estimates[i], variance, df, level, seeds)
    return found


@dataclass(frozen=True)
class Parts:
    """The parts of a coefficient's variance.

    Attributes
    ----------
    rows, seeds, residual : float
        By rows and by seeds, which both contain the residual; with one seed the last two are 0.
    shared : float
        Of the test items that rows share.
    free_rows : int
        Degrees of freedom of the rows.
    count : int
        Number of seeds.
    """

    rows: float
    seeds: float
    residual: float
    shared: float
    free_rows: int
    count: int

    def combine(self) -> tuple[float, float]:
        """Return the variance of the coefficient and its degrees of freedom, see `estimates.combine`.

        The shared items' part leaves the degrees of freedom as they are: hundreds of items stand behind it.
        """
        if self.count == 1:
            return self.rows + self.shared, self.free_rows
        variance, df = combine(self.rows, self.seeds, self.residual, self.free_rows, self.count - 1)
        return variance + self.shared, df

    def with_seeds(self, count: int) -> "Parts":
        """Return the parts of a design with so many seeds that are like those at hand; what rows alone bring stays."""
        scale = self.count / count
        rows_alone = max(self.rows - self.residual, 0.0)
        residual = self.residual * scale
        return replace(self, rows=rows_alone + residual, seeds=self.seeds * scale, residual=residual, count=count)


def project(basis: Basis, seeds: int) -> tuple[float, float]:
    """Return the variance and the degrees of freedom of an effect, had its design so many seeds like those at hand.

    The variance between seeds, and that of languages and seeds together, falls with their number; that between
    languages stays. The table must have at least two seeds, since one shows no spread between them.
    """
    values, design, names = _arrays(basis.table, basis.predictors)
    if names == [MEAN] and len(values) == 1:
        return float(values[0].var(ddof=1)) / seeds, seeds - 1
    parts = split_variance(values, design, basis.table.index, basis.redrawn)[names.index(basis.coefficient)]
    return parts.with_seeds(seeds).combine()


def split_variance(
    values: np.ndarray, design: np.ndarray, index: pd.Index, redrawn: pd.DataFrame | None
) -> list[Parts]:
    """Return the parts of each coefficient's variance.

    Parameters
    ----------
    values : array of shape (rows, seeds)
    design : array of shape (rows, coefficients)
    index : Index
        Names of the rows.
    redrawn : DataFrame or None
        See `estimate_coefficients`.
    """
    seeds, free = values.shape[1], len(values) - design.shape[1]
    solve = np.linalg.pinv(design)  # coefficients x rows
    spread = (solve**2).sum(axis=1)
    means = values.mean(axis=1)
    estimates = solve @ means
    by_rows = ((means - design @ estimates) ** 2).sum() / free * spread
    shared = _shared_noise(solve, index, redrawn)
    if seeds == 1:
        by_seeds = residual = np.zeros(len(solve))
    else:
        by_seed = solve @ values  # coefficients x seeds
        by_seeds = by_seed.var(axis=1, ddof=1) / seeds
        left = values - means[:, None] - design @ (by_seed - estimates[:, None])
        residual = (left**2).sum() / (free * (seeds - 1)) / seeds * spread
    return [Parts(*each, free, seeds) for each in zip(by_rows, by_seeds, residual, shared, strict=True)]


def _shared_noise(solve: np.ndarray, rows: pd.Index, redrawn: pd.DataFrame | None) -> np.ndarray:
    """Return what the covariance of different rows over draws of items adds to each coefficient's variance.

    Each row's own noise is left out: it is in what sets the rows apart.
    """
    if redrawn is None:
        return np.zeros(len(solve))
    covariance = np.cov(redrawn.loc[rows].to_numpy(dtype=float))
    np.fill_diagonal(covariance, 0.0)
    return np.maximum(np.einsum("cr,rs,cs->c", solve, covariance, solve), 0.0)


def _arrays(table: pd.DataFrame, predictors: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the values, the design with its column of ones, and the names of its columns."""
    values = table.to_numpy(dtype=float)
    if not values.size or np.isnan(values).any():
        raise StiltsError("the table of differences is empty or has gaps; take its complete rows")
    if predictors is None:
        return values, np.ones((len(values), 1)), [MEAN]
    columns = predictors.loc[table.index].to_numpy(dtype=float)
    design = np.column_stack([np.ones(len(values)), columns - columns.mean(axis=0)])
    names = [MEAN, *map(str, predictors.columns)]
    if np.isnan(design).any() or np.linalg.matrix_rank(design) < len(names):
        raise StiltsError(f"the predictors {', '.join(names[1:])} have gaps, do not vary, or follow from one another")
    return values, design, names


def keep_complete(table: pd.DataFrame, predictors: pd.DataFrame | None = None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows of a table that have every seed and every predictor, and a note that names the others."""
    whole = table.notna().all(axis=1)
    if predictors is not None:
        whole &= predictors.reindex(table.index).notna().all(axis=1)
    known = read_languages()
    left_out = [known[name].name if name in known else str(name) for name in table.index[~whole]]
    note = f"left out, since a score or a predictor is missing: {', '.join(left_out)}"
    return table[whole], (note,) if left_out else ()


def estimate_effect(
    table: pd.DataFrame,
    rules: Rules,
    predictors: pd.DataFrame | None = None,
    coefficient: str = MEAN,
    expected: int = 0,
    unit: str = "points",
    row_kind: str = "language",
    redrawn: pd.DataFrame | None = None,
) -> Result:
    """Return the result of the primary test of one coefficient.

    Parameters
    ----------
    table : DataFrame of shape (rows, seeds)
        Paired differences in points, a contrast say; rows with gaps are
        left out, and the result says which.
    predictors : DataFrame or None
        A row for each row of the table, by index.
    coefficient : str
        `mean`, or a column of the predictors.
    expected : int
        Sign that the hypothesis says; 0 for either. The test is two-sided all the same.
    unit, row_kind : str
        Of the result.
    redrawn : DataFrame of shape (rows, draws) or None
        See `estimate_coefficients`.

    Returns
    -------
    Result
        With no numbers, and the reason as a note, where too few rows are left.
    """
    kept, notes = keep_complete(table, predictors)
    needed = 2 if predictors is None else predictors.shape[1] + 2
    if len(kept) < needed and not (predictors is None and kept.size > 1):
        reason = f"{len(kept)} of {len(table)} rows have all that the test needs, of {needed} at least"
        return make_untested("; ".join((reason, *notes)), unit, expected)
    fit = estimate_coefficients(kept, predictors, rules.level, redrawn)[coefficient]
    rows, seeds = kept.shape
    notes += (ONE_SEED,) if seeds == 1 else ()
    return Result.of(
        fit, rows, unit=unit, row_kind=row_kind, expected=expected, notes=notes, is_t_test=True,
        method=f"{PRIMARY}, {fit.df:.0f} degrees of freedom",
        basis=Basis(kept, None if predictors is None else predictors.loc[kept.index], coefficient, redrawn),
    )  # fmt: skip


Gathered = TypeVar("Gathered", bound=Redrawable)


def estimate_from_evidence(
    evidence: Gathered, build: Callable[[Gathered], pd.DataFrame], rules: Rules, **options: Any
) -> Result:
    """Return the effect in the table that is built from evidence, with the noise of the items that its rows share."""
    redrawn = None if evidence.redrawn is None else build(evidence.redrawn)
    return estimate_effect(build(evidence), rules, redrawn=redrawn, **options)


def estimate_mean_effect(
    evidence: Scored,
    weights: Weights,
    languages: Sequence[str],
    rules: Rules,
    notes: Sequence[str] = (),
    expected: int = 0,
) -> Result:
    """Return the primary test of a contrast of conditions over languages, or why there is none yet."""
    if not weights:
        return make_untested("the study has no conditions for it", expected=expected)
    if absent := find_missing(evidence.scores, weights):
        return make_unrecorded(absent, expected)
    result = estimate_from_evidence(
        evidence, lambda found: keep_languages(contrast(found.scores, weights), languages), rules, expected=expected
    )
    return replace(result, notes=(*result.notes, *notes)) if result.known else result


# --- Checks ----------------------------------------------------------------------------------------------------------


def bootstrap_coefficients(
    table: pd.DataFrame, predictors: pd.DataFrame | None, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Return replicates of the coefficients, an array of shape (resamples, coefficients), NaN where one has no fit.

    Rows are drawn with replacement, and with their predictors; seeds, apart from them, one fewer than there are.
    """
    values, design, names = _arrays(table, predictors)
    rows, seeds = values.shape
    drawn_rows = generator.multinomial(rows, np.full(rows, 1 / rows), size=resamples).astype(float)
    share = np.full((resamples, seeds), 1 / seeds)
    if seeds > 1:
        share = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=resamples) / (seeds - 1)
    targets = share @ values.T  # resamples x rows
    left = np.einsum("rp,br,rq->bpq", design, drawn_rows, design)
    right = np.einsum("rp,br,br->bp", design, drawn_rows, targets)
    solvable = np.linalg.matrix_rank(left) == len(names)
    replicates = np.full((resamples, len(names)), np.nan)
    replicates[solvable] = np.linalg.solve(left[solvable], right[solvable][..., None])[..., 0]
    return replicates


def fit_mixed_model(
    table: pd.DataFrame, predictors: pd.DataFrame | None = None, varying: str | None = None, level: float = 0.95
) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """Fit a mixed model with rows and seeds as crossed random effects, by REML; return every coefficient, and notes.

    Seeds differ in level; the slope of the predictor `varying`, if one is named, varies with the seed as well, apart
    from the level. Every warning of the fit is among the notes; so is a variance that is estimated as zero. A fit that
    fails gives no numbers, and its reason as a note.
    """
    values, design, names = _arrays(table, predictors)
    rows, seeds = values.shape
    row_of, seed_of = np.repeat(np.arange(rows), seeds), np.tile(np.arange(seeds), rows)
    groups = {}
    if seeds > 1:  # with one seed, what rows and seeds add is the residual
        by_seed = np.eye(seeds)[seed_of]
        groups = {"rows": np.eye(rows)[row_of], "seeds": by_seed}
        if varying is not None:
            groups["slopes"] = by_seed * design[row_of, names.index(varying)][:, None]
    scale = float(values.std()) or 1.0  # the optimizers want values of about one
    try:
        fit, notes = _fit_mixed(values.ravel() / scale, design[row_of], groups)
    except (np.linalg.LinAlgError, ValueError) as error:
        return dict.fromkeys(names, Estimate(*4 * (float("nan"),))), (f"the mixed model could not be fitted: {error}",)
    residual = scale * float(np.sqrt(fit.scale))
    sds = dict(zip(groups, scale * np.sqrt(np.maximum(fit.vcomp, 0.0)), strict=True)) if groups else {}
    zero = [name for name, sd in sds.items() if sd < residual / 100]
    notes += tuple(f"the variance of the {name} is estimated as zero" for name in zero)
    intervals = scale * np.asarray(fit.conf_int(alpha=1 - level))
    return {
        name: Estimate(
            scale * float(fit.params[i]), *map(float, intervals[i]), float(fit.pvalues[i]), scale * float(fit.bse[i])
        )
        for i, name in enumerate(names)
    }, notes


@dataclass(frozen=True)
class TargetSlopes:
    """Slopes on a predictor, one for each target, and the p-value of the test that they are the same."""

    slopes: Mapping[str, Estimate]
    p_alike: float


def fit_mixed_model_by_target(
    tables: Mapping[str, pd.DataFrame], predictors: pd.DataFrame, level: float = 0.95
) -> tuple[dict[str, TargetSlopes], tuple[str, ...]]:
    """Fit one mixed model with an intercept and slopes for each target, by REML; return the slopes, and notes.

    Rows (languages), rows within targets and seeds within targets are crossed random effects.

    Parameters
    ----------
    tables : mapping
        Target -> table of shape (rows, seeds); cells may be missing.
    predictors : DataFrame
        A row for each row of the tables, by index.
    """
    long = pd.concat({name: part.stack() for name, part in tables.items()}, names=["target", "row", "seed"])
    long = long.dropna().rename("value").reset_index()
    targets = pd.get_dummies(long["target"], dtype=float)[list(tables)]
    of_rows = predictors.loc[long["row"]].to_numpy(dtype=float)
    design = np.hstack([targets, *(targets.to_numpy() * column[:, None] for column in of_rows.T)])
    groups = {"rows": pd.get_dummies(long["row"], dtype=float).to_numpy()}
    if long["seed"].nunique() > 1:  # with one seed, what rows and seeds add is the residual
        for name in ("row", "seed"):
            pairs = long["target"] + " " + long[name].astype(str)
            groups[f"{name}s within targets"] = pd.get_dummies(pairs, dtype=float).to_numpy()
    scale = float(long["value"].std()) or 1.0  # the optimizers want values of about one
    try:
        fit, notes = _fit_mixed(long["value"].to_numpy() / scale, design, groups)
    except (np.linalg.LinAlgError, ValueError) as error:
        missing = TargetSlopes(dict.fromkeys(tables, Estimate(*4 * (float("nan"),))), float("nan"))
        return dict.fromkeys(predictors, missing), (f"the mixed model could not be fitted: {error}",)
    covariance, intervals = np.asarray(fit.cov_params()), np.asarray(fit.conf_int(alpha=1 - level))
    found = {}
    for number, name in enumerate(predictors, 1):
        places = number * len(tables) + np.arange(len(tables))
        slopes = np.asarray(fit.params)[places]
        found[str(name)] = TargetSlopes(
            {
                target: Estimate(
                    *(scale * np.array([slopes[i], *intervals[place]])), float(fit.pvalues[place]),
                    scale * float(fit.bse[place]),
                )
                for i, (target, place) in enumerate(zip(tables, places, strict=True))
            },
            _p_of_equality(slopes, covariance[np.ix_(places, places)]),
        )  # fmt: skip
    return found, notes


def _p_of_equality(values: np.ndarray, covariance: np.ndarray) -> float:
    """Return the p-value of the Wald test that estimates are the same; NaN for one alone."""
    if len(values) < 2:
        return float("nan")
    contrasts = np.eye(len(values))[1:] - np.eye(len(values))[0]
    apart = contrasts @ values
    distance = apart @ np.linalg.solve(contrasts @ covariance @ contrasts.T, apart)
    return float(chi2.sf(distance, len(apart)))


def _fit_mixed(
    values: np.ndarray, design: np.ndarray, groups: dict[str, np.ndarray]
) -> tuple[Any, tuple[str, ...]]:
    """Fit by REML; return the fit and the warnings. Without groups it is least squares."""
    from statsmodels.regression.linear_model import OLS
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    if not groups:
        return OLS(values, design).fit(), ()
    columns = [[[f"{name}{i}" for i in range(matrix.shape[1])]] for name, matrix in groups.items()]
    components = VCSpec(list(groups), columns, [[matrix] for matrix in groups.values()])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # One group for all: rows and seeds cross, so that no two observations are independent.
        fit = MixedLM(values, design, np.ones(len(values)), exog_vc=components).fit(reml=True, method=list(OPTIMIZERS))
    said = list(dict.fromkeys(str(each.message).rstrip(".") for each in caught))
    if not fit.converged:
        return fit, (*said, NOT_CONVERGED)
    retried = [note.removeprefix(_RETRY) for note in said if note.startswith(_RETRY)]
    kept = [note for note in said if not note.startswith((_RETRY, _FAILED))]
    return fit, (*([f"converged with the optimizer {retried[-1]}, not with the first"] if retried else []), *kept)


def tabulate_checks(results: Sequence[Result], rules: Rules) -> pd.DataFrame:
    """Return each tested effect by the primary test, the mixed model and the cluster bootstrap.

    Returns
    -------
    DataFrame
        test, method, estimate, low, high, p, agrees ("yes", or in what it differs from the primary test: another
        conclusion about zero, or an interval half as wide again or narrower by a third; "no fit" where it failed or
        did not converge), note.
    """
    rows = []
    for result in results:
        if not isinstance(result.basis, Basis):
            continue
        rows += [{"test": result.test, **row} for row in _checked(result, result.basis, rules)]
    return pd.DataFrame(rows, columns=["test", "method", "estimate", "low", "high", "p", "agrees", "note"])


def _checked(result: Result, basis: Basis, rules: Rules) -> list[dict]:
    first = {"method": PRIMARY} | result.row("estimate")
    varying = None if basis.coefficient == MEAN else basis.coefficient
    fits, said = fit_mixed_model(basis.table, basis.predictors, varying, rules.level)
    second = {"method": MIXED} | fits[basis.coefficient].row("estimate")
    names = [MEAN, *(basis.predictors.columns if basis.predictors is not None else ())]
    drawn = bootstrap_coefficients(basis.table, basis.predictors, rules.resamples, rules.generator())
    draws = drawn[:, names.index(basis.coefficient)]
    third = {"method": BOOTSTRAP, "estimate": result.value, **_bootstrap_interval(result.value, draws, rules)}
    lost = int(np.isnan(draws).sum())
    notes = ("; ".join(result.notes), "; ".join(said), f"{lost} replicates without a fit" if lost else "")
    if NOT_CONVERGED in said:
        second = {**second, **dict.fromkeys(("low", "high", "p"), np.nan)}
    return [
        {**row, "agrees": _agreement(first, row), "note": note}
        for row, note in zip((first, second, third), notes, strict=True)
    ]


def _bootstrap_interval(value: float, draws: np.ndarray, rules: Rules) -> dict[str, float]:
    """Return the percentile interval, and the p-value of a Wald test with the replicates' spread."""
    low, high = np.nanquantile(draws, [(1 - rules.level) / 2, (1 + rules.level) / 2])
    spread = float(np.nanstd(draws))
    p = 2 * float(ndtr(-abs(value) / spread)) if spread else float(value == 0)
    return {"low": float(low), "high": float(high), "p": p}


def _agreement(first: dict, other: dict) -> str:
    """Say whether two intervals conclude the same about zero and are about as wide."""
    if np.isnan(other["low"]):
        return "no fit"
    if _side(first) != _side(other):
        return "no: another conclusion about zero"
    own, width = first["high"] - first["low"], other["high"] - other["low"]
    if own and not 2 / 3 <= width / own <= 3 / 2:
        return f"in the conclusion; its interval is {width / own:.1f} times as wide"
    return "yes"


def _side(row: dict) -> int:
    return int(row["low"] > 0) - int(row["high"] < 0)


def describe_disagreements(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Say of `tabulate_checks` where the mixed model or the bootstrap differs from the primary test.

    Parameters
    ----------
    titles : mapping
        Test -> what its number is, in words.
    """
    others = table[(table["method"] != PRIMARY) & (table["agrees"] != "yes")]
    if table.empty:
        return "There is nothing to check yet."
    if others.empty:
        return "The mixed model and the cluster bootstrap agree with every test, in the conclusion and in the width."
    return "\n".join(
        f"- {titles[row['test']]}, {row['method']}: {row['agrees']}." for row in others.to_dict("records")
    )
