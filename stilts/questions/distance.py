"""Question 2: does a language that lies far from English lose more, and does intermediate training change that?

Two outcomes, kept apart, for each language and seed, in points
----------------------------------------------------------------
`gap`
    English minus the language, averaged over the intermediate conditions: the degradation after intermediate training.
`change`
    That gap minus the gap without an intermediate task: what intermediate training does to it. Negative is closer.

Both are averaged over the targets. Where a language lacks a target, target and language are taken as additive, so that
a language is not far behind only because the targets that it has are hard ones.

A slope is in points for each standard deviation of the distance over the languages at hand; the English score is the
same for all languages, so that its noise moves no slope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stilts.analysis import Analysis, count, in_order, listed
from stilts.errors import StiltsError
from stilts.linguistics import DISTANCES, language, language_table
from stilts.questions import chapters
from stilts.questions.chapters import Answer, Section
from stilts.questions.common import (
    Result,
    Rules,
    Test,
    cells,
    clear,
    differences,
    level_of,
    outcomes,
    redrawn_outcomes,
    untested,
)
from stilts.questions.models import Basis, crossed, effect, effect_of, mixed_coefficients
from stilts.statistics import BASELINE, SOURCE_LANGUAGE, Replicates, in_words, signed
from stilts.tasks import TARGETS
from stilts.verdicts import Verdict

GAP, CHANGE = "gap", "change"
OUTCOMES = (GAP, CHANGE)
SHARE, FERTILITY = "pretraining text", "fertility"
CONTROLS = (SHARE, FERTILITY)
SMALLEST_SHARE = 0.1  # GiB: the table's own step; stands in for no text at all, which has no logarithm
UNIT = "points for a standard deviation"
WIDELY_KNOWN = 0.75
LEAST_RELIABLE = 0.25
METHODS = ("linear", "rank")
NONE_LEARNED = "no target was learned in English under every condition"
HEADLINE = "gap-syntactic"  # the test that stands for the question


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    gap, change : DataFrame of shape (languages, seeds)
        The outcomes in points.
    by_target : dict
        Outcome -> target -> such a table.
    predictors : DataFrame
        A row for each language: its distances to English, `pretraining text` (logarithm to base 2 of GiB) and
        `fertility`; missing where nothing is known.
    conditions : tuple of str
        Intermediate conditions that are averaged.
    redrawn : Evidence or None
        See `stilts.questions.models.Redrawable`.
    """

    gap: pd.DataFrame
    change: pd.DataFrame
    by_target: Mapping[str, Mapping[str, pd.DataFrame]]
    predictors: pd.DataFrame
    conditions: tuple[str, ...]
    redrawn: "Evidence | None" = None

    def outcome(self, name: str) -> pd.DataFrame:
        """Return `gap` or `change`."""
        return {GAP: self.gap, CHANGE: self.change}[name]

    @property
    def targets(self) -> list[str]:
        """Targets that are averaged."""
        return list(self.by_target[GAP])

    @property
    def languages(self) -> list[str]:
        """Languages besides English that have an outcome."""
        return list(self.gap.index)


# --- Evidence --------------------------------------------------------------------------------------------------------


def gather(
    table: pd.DataFrame,
    encoder: str,
    conditions: Sequence[str] | None = None,
    redrawn: pd.DataFrame | None = None,
) -> Evidence:
    """Return the evidence from outcomes.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.common.outcomes` returns it.
    encoder : str
        Whose tokenizer's fertility is the control.
    conditions : sequence of str or None
        Intermediate conditions to average; None for all that have the targets and seeds that the baseline has.
    redrawn : DataFrame, optional
        As `stilts.questions.common.redrawn_outcomes` returns it, against English.

    Raises
    ------
    StiltsError
        If there is no baseline or no intermediate condition, or no target that is tested in English.
    """
    known = set(table["condition"])
    chosen = tuple(conditions or _whole_conditions(table))
    if BASELINE not in known or not chosen:
        raise StiltsError(
            f"distance: needs condition '{BASELINE}' and an intermediate one with the same targets and seeds, found "
            f"scores of {', '.join(sorted(known)) or 'none'}"
        )
    english = table[table["language"] == SOURCE_LANGUAGE]
    targets = in_order(dict.fromkeys(english["target"]), TARGETS)
    if not targets:
        raise StiltsError("distance: no target task with records is tested in English")
    by_target = _by_target(table, targets, chosen)
    gap, change = (combine(by_target[name]) for name in OUTCOMES)
    evidence = Evidence(gap, change, by_target, predictors(gap.index, encoder), chosen)
    if redrawn is None:
        return evidence
    drawn = _by_target(redrawn, targets, chosen)
    gap, change = (combine(drawn[name]) for name in OUTCOMES)
    return replace(evidence, redrawn=replace(evidence, gap=gap, change=change, by_target=drawn))


def _by_target(
    table: pd.DataFrame, targets: Sequence[str], conditions: Sequence[str]
) -> dict[str, dict[str, pd.DataFrame]]:
    """Return `Evidence.by_target` from outcomes."""
    after = dict.fromkeys(conditions, 1 / len(conditions))
    return {
        GAP: {target: _gap(differences(table, after, [target])) for target in targets},
        CHANGE: {target: _gap(differences(table, {**after, BASELINE: -1}, [target])) for target in targets},
    }


def learned_targets(analysis: Analysis) -> pd.DataFrame:
    """Return the outcomes on targets that every condition of a study has learned in English.

    A gap averages conditions, so that a target which one of them has not learned would be one of other conditions.
    """
    table, failed = outcomes(analysis.records), {target for _, target in analysis.failed}
    return table[~table["target"].isin(failed)].reset_index(drop=True)


def _whole_conditions(table: pd.DataFrame) -> list[str]:
    """Conditions with a score wherever the baseline has one; one that is recorded in part would tilt the average."""
    runs = {name: set(zip(part["target"], part["seed"], strict=True)) for name, part in table.groupby("condition")}
    whole = runs.get(BASELINE, set())
    return [name for name in dict.fromkeys(table["condition"]) if name != BASELINE and runs[name] >= whole]


def _gap(scores: pd.DataFrame) -> pd.DataFrame:
    """English minus every other language, by seed."""
    return scores.loc[SOURCE_LANGUAGE] - scores.drop(index=SOURCE_LANGUAGE)


def combine(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the mean over targets of tables of shape (languages, seeds), targets and languages taken as additive.

    With every language in every target it is the plain mean. A language is left out of a target where a seed is
    missing. Seeds are those that all targets have.

    Raises
    ------
    StiltsError
        If the targets cannot be set beside each other, because too few languages take part in several.
    """
    long = pd.concat({name: part.dropna() for name, part in parts.items()}, names=["target", "language"], join="inner")
    target, target_names = pd.factorize(long.index.get_level_values("target"))
    place, names = pd.factorize(long.index.get_level_values("language"), sort=True)
    design = np.hstack([np.eye(len(target_names))[target], np.eye(len(names))[place]])
    if np.linalg.matrix_rank(design) < len(target_names) + len(names) - 1:
        raise StiltsError(f"targets {', '.join(map(str, target_names))} share too few languages to be averaged")
    solved = np.linalg.lstsq(design, long.to_numpy(), rcond=None)[0]
    values = solved[len(target_names) :] + solved[: len(target_names)].mean(axis=0)
    return pd.DataFrame(values, index=pd.Index(names, name="language"), columns=long.columns)


def predictors(codes: Sequence[str], encoder: str) -> pd.DataFrame:
    """Return the distances to English and the controls of languages, a row each, by code.

    A language that CC-100 does not list counts with the smallest size that its table can show, 0.1 GiB.
    """
    from stilts.fertility import fertility

    codes = list(codes)
    table = language_table(codes).set_index("code")[list(DISTANCES)]
    sizes = pd.Series({code: language(code).cc100 for code in codes}, dtype=float)
    table[SHARE] = np.log2(sizes.clip(lower=SMALLEST_SHARE))
    table[FERTILITY] = pd.Series(fertility(encoder), dtype=float).reindex(codes)
    return table


def example_noise(replicates: Mapping[str, Replicates], evidence: Evidence) -> pd.DataFrame:
    """Return the variance that the choice of test examples gives each language's outcomes, in squared points.

    The noise of the English score is not in it: it is the same for all languages.

    Returns
    -------
    DataFrame
        A row for each language; columns `gap` and `change`.
    """
    after = dict.fromkeys(evidence.conditions, 1 / len(evidence.conditions))
    weights = {GAP: after, CHANGE: {**after, BASELINE: -1}}
    rows = {}
    for code in evidence.languages:
        members = [replicates[name] for name in evidence.targets if code in replicates[name].languages]
        rows[code] = {
            name: float(np.mean([_draws(part, code, chosen) for part in members], axis=0).var())
            for name, chosen in weights.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(OUTCOMES))


def _draws(part: Replicates, code: str, weights: Mapping[str, float]) -> np.ndarray:
    return part.items[:, part.languages.index(code)] @ part.weights(weights)


# --- Tests -----------------------------------------------------------------------------------------------------------


def slope(evidence: Evidence, rules: Rules, outcome: str, distance: str, controls: Sequence[str] = ()) -> Result:
    """Return the slope of an outcome on a distance, with controls held constant if there are any."""
    expected = 1 if outcome == GAP else 0
    chosen = standardised(evidence.predictors[[distance, *controls]])
    options = {"predictors": chosen, "coefficient": distance, "expected": expected, "unit": UNIT}
    result = effect_of(evidence, lambda found: found.outcome(outcome), rules, **options)
    if result.known:
        return result
    return untested("; ".join(result.notes), UNIT, expected)


def mean_outcome(evidence: Evidence, rules: Rules, outcome: str) -> Result:
    """Return the mean of an outcome over languages."""
    return effect_of(evidence, lambda found: found.outcome(outcome), rules)


def standardised(table: pd.DataFrame) -> pd.DataFrame:
    """Return the complete rows of predictors with mean 0 and standard deviation 1; one that does not vary is zero."""
    kept = table.dropna()
    spread = kept.std(ddof=0)
    return (kept - kept.mean()) / spread.where(spread > 0, 1.0)


def _slope_test(outcome: str, distance: str, controls: Sequence[str]) -> Test:
    return lambda evidence, rules: slope(evidence, rules, outcome, distance, controls)


def _tests() -> dict[str, Test]:
    kinds: dict[str, Sequence[str]] = {"": (), "-controlled": CONTROLS}
    return {
        f"{outcome}-{distance}{suffix}": _slope_test(outcome, distance, controls)
        for outcome in OUTCOMES
        for distance in DISTANCES
        for suffix, controls in kinds.items()
    }


TESTS: dict[str, Test] = _tests()
"""`<outcome>-<distance>`, and the same with `-controlled` for pretraining text and fertility held constant."""


# --- Correlations ----------------------------------------------------------------------------------------------------


def language_means(evidence: Evidence) -> pd.DataFrame:
    """Return one row for each language: code, name, family, gap, change (points, over seeds), and its predictors."""
    facts = language_table(evidence.languages)[["code", "name", "family", "branch", "script"]].set_index("code")
    means = pd.DataFrame({name: evidence.outcome(name).mean(axis=1) for name in OUTCOMES})
    return facts.join(means).join(evidence.predictors).rename_axis("code").reset_index()


def correlations(evidence: Evidence, rules: Rules, noise: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the correlation of each outcome with each predictor, plain and with the controls held constant.

    Intervals are percentile intervals of a bootstrap over languages. Each language is drawn with the noise of its test
    examples, so that the intervals hold that noise; what it takes off the correlation itself is given apart.

    Parameters
    ----------
    noise : DataFrame or None
        As `example_noise` returns it.

    Returns
    -------
    DataFrame
        outcome, predictor, kind (linear: Pearson; rank: Spearman), r, low, high, languages, partial, partial_low,
        partial_high, partial_languages (missing for the controls themselves), and for the linear one `r_noise_free`:
        r over the square root of the share of the outcome's variance that is not noise (missing without `noise`, and
        where less than a quarter is not noise, since it then says nothing).
    """
    table = language_means(evidence)
    rows = []
    for outcome in OUTCOMES:
        reliable = reliability(evidence.outcome(outcome), None if noise is None else noise[outcome])
        for predictor in (*DISTANCES, *CONTROLS):
            for kind in METHODS:
                told = kind == "linear" and reliable >= LEAST_RELIABLE
                plain = _correlated(table[[outcome, predictor]], rules, kind)
                partial = dict.fromkeys(("r", "low", "high"), np.nan) | {"languages": 0}
                if predictor not in CONTROLS:
                    partial = _correlated(table[[outcome, predictor, *CONTROLS]], rules, kind)
                free = plain["r"] / np.sqrt(reliable) if told else np.nan
                rows.append(
                    {"outcome": outcome, "predictor": predictor, "kind": kind}
                    | plain
                    | {"r_noise_free": free, "partial": partial.pop("r")}
                    | {f"partial_{name}": value for name, value in partial.items()}
                )
    return pd.DataFrame(rows)


def reliability(outcome: pd.DataFrame, noise: pd.Series | None) -> float:
    """Return the share of an outcome's variance over languages that is not the noise of test examples; NaN if unknown.

    0 where the noise explains all of it.
    """
    if noise is None:
        return float("nan")
    observed = outcome.mean(axis=1).var(ddof=1)
    return float(max(1 - noise.reindex(outcome.index).mean() / observed, 0.0)) if observed else 0.0


def _correlated(table: pd.DataFrame, rules: Rules, kind: str) -> dict[str, float | int]:
    values = table.dropna().to_numpy(dtype=float)
    found: dict[str, float | int] = {"r": np.nan, "low": np.nan, "high": np.nan, "languages": len(values)}
    if len(values) < values.shape[1] + 2:
        return found
    drawn = values[rules.generator().integers(len(values), size=(rules.resamples, len(values)))]
    draws = partial_correlation(drawn, kind)
    found["r"] = float(partial_correlation(values, kind))
    if not np.isnan(draws).all():
        found["low"], found["high"] = np.nanquantile(draws, [(1 - rules.level) / 2, (1 + rules.level) / 2])
    return found


def partial_correlation(values: np.ndarray, kind: str = "linear") -> np.ndarray:
    """Return the correlation of the first two columns with the others held constant.

    Parameters
    ----------
    values : array of shape (..., rows, columns)
    kind : str
        `linear` (Pearson), or `rank`: of the ranks of all columns (Spearman), ties at their mean rank.

    Returns
    -------
    array of shape (...)
        NaN where a column does not vary or follows from the others.
    """
    from scipy.stats import rankdata

    if kind == "rank":
        values = rankdata(values, axis=-2)
    centred = values - values.mean(axis=-2, keepdims=True)
    spread = np.sqrt((centred**2).sum(axis=-2, keepdims=True))
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    matrix = np.swapaxes(scaled, -1, -2) @ scaled
    usable = np.linalg.matrix_rank(matrix, tol=1e-9) == matrix.shape[-1]
    if matrix.shape[-1] == 2:  # a perfect correlation of two columns is one
        usable = np.diagonal(matrix, axis1=-1, axis2=-2).min(axis=-1) > 0.5
        return np.where(usable, matrix[..., 0, 1], np.nan)
    inverse = np.linalg.inv(np.where(usable[..., None, None], matrix, np.eye(matrix.shape[-1])))
    partial = -inverse[..., 0, 1] / np.sqrt(inverse[..., 0, 0] * inverse[..., 1, 1])
    return np.where(usable, partial, np.nan)


def lines(evidence: Evidence, distance: str) -> dict[str, tuple[float, float]]:
    """Return intercept and slope of each outcome's least-squares line on a distance; none where too few have it."""
    known = evidence.predictors[distance].dropna()
    found = {}
    for outcome in OUTCOMES:
        means = evidence.outcome(outcome).mean(axis=1).reindex(known.index)
        if known.nunique() > 2:
            slope, intercept = np.polyfit(known, means, 1)
            found[outcome] = (float(intercept), float(slope))
    return found


# --- All distances at once -------------------------------------------------------------------------------------------


def widely_known(evidence: Evidence, share: float = WIDELY_KNOWN) -> list[str]:
    """Return the distances that are known for such a share of the languages."""
    known = evidence.predictors[list(DISTANCES)].notna().mean()
    return [name for name in DISTANCES if known[name] >= share]


def collinearity(evidence: Evidence) -> pd.DataFrame:
    """Return the linear correlations of the predictors with each other, each over the languages that have both.

    Columns: predictor, `known` (languages), `inflation` (variance inflation factor among the widely known distances and
    the controls; missing for the others), and one column for each predictor.
    """
    table = evidence.predictors
    inflation = variance_inflation(table[[*widely_known(evidence), *CONTROLS]])
    shown = table.corr(min_periods=3)
    shown.insert(0, "inflation", inflation.reindex(shown.index))
    shown.insert(0, "known", table.notna().sum())
    return shown.rename_axis("predictor").reset_index()


def variance_inflation(table: pd.DataFrame) -> pd.Series:
    """Return each predictor's variance inflation factor over the complete rows: 1 alone, infinite where it follows."""
    kept = table.dropna()
    matrix = kept.corr().to_numpy()
    if len(kept) < 3 or np.isnan(matrix).any():
        return pd.Series(np.nan, index=table.columns)
    if np.linalg.matrix_rank(matrix, tol=1e-9) < len(matrix):
        return pd.Series(np.inf, index=table.columns)
    return pd.Series(np.diag(np.linalg.inv(matrix)), index=table.columns)


def joint_models(evidence: Evidence, rules: Rules) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the slopes of all distances and controls at once, by the mixed model and by the primary test.

    Two models for each outcome: of the distances that are widely known, and of all, which fewer languages have.

    Returns
    -------
    table : DataFrame
        outcome, model, predictor, slope, low, high, p (mixed model), p_crossed (of the primary test, which counts the
        small number of seeds), inflation, languages.
    notes : tuple of str
        What went wrong in a fit, and which model too few languages allow.
    """
    sets = {"widely known": widely_known(evidence), "all distances": list(DISTANCES)}
    if sets["widely known"] == sets["all distances"]:
        del sets["all distances"]
    tables, notes = [], []
    for outcome in OUTCOMES:
        for name, distances in sets.items():
            found, said = _joint_model(evidence, rules, outcome, [*distances, *CONTROLS])
            notes += [f"{outcome}, {name}: {note}" for note in said]
            tables.append(found.assign(outcome=outcome, model=name))
    columns = ["outcome", "model", "predictor", "slope", "low", "high", "p", "p_crossed", "inflation", "languages"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns), tuple(notes)


def _joint_model(
    evidence: Evidence, rules: Rules, outcome: str, names: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    chosen = standardised(evidence.predictors[list(names)])
    table = evidence.outcome(outcome).loc[chosen.index].dropna()
    chosen = chosen.loc[table.index]
    if len(table) < len(names) + 3:
        return pd.DataFrame(), (f"{len(table)} languages have all {len(names)} predictors, too few for the model",)
    try:
        primary = crossed(table, chosen, rules.level, evidence.redrawn and evidence.redrawn.outcome(outcome))
    except StiltsError as error:
        return pd.DataFrame(), (str(error),)
    fitted, notes = mixed_coefficients(table, chosen, rules.level)
    inflation = variance_inflation(chosen)
    rows = [
        {"predictor": name, "slope": row.estimate, "low": row.low, "high": row.high, "p": row.p}
        | {"p_crossed": primary[name].p, "inflation": inflation[name], "languages": len(table)}
        for name, row in fitted.items()
        if name in inflation.index
    ]
    return pd.DataFrame(rows), notes


# --- Whom the answer hangs on ----------------------------------------------------------------------------------------


def families(codes: Sequence[str]) -> dict[str, list[str]]:
    """Return the languages of each family, and of each branch of Indo-European as "Indo-European: <branch>"."""
    groups: dict[str, list[str]] = {}
    for code in codes:
        known = language(code)
        name = f"{known.name} (isolate)" if known.family == "isolate" else known.family
        groups.setdefault(name, []).append(code)
        if known.branch:
            groups.setdefault(f"{name}: {known.branch}", []).append(code)
    return dict(sorted(groups.items()))


def leave_one_family_out(evidence: Evidence, results: Sequence[Result], rules: Rules) -> pd.DataFrame:
    """Return each test's slope again without the languages of one family, or of one branch of Indo-European.

    Returns
    -------
    DataFrame
        test, without, left_out and languages (their numbers), slope, low, high, keeps_sign. The first row of a test is
        the slope with all. A family whose removal leaves too few languages has a row without numbers.
    """
    rows = []
    for result in results:
        if not isinstance(result.basis, Basis):
            continue
        basis, table, chosen = result.basis, result.basis.table, result.basis.predictors
        for group, members in {"none": [], **families(list(table.index))}.items():
            kept = table.drop(index=members)
            fewer = standardised(chosen.loc[kept.index])
            again = effect(kept, rules, fewer, basis.coefficient, redrawn=basis.redrawn)
            rows.append(
                {"test": result.test, "without": group, "left_out": len(members), "languages": len(kept)}
                | {"slope": again.estimate, "low": again.low, "high": again.high}
                | {"keeps_sign": again.known and again.estimate * result.estimate > 0}
            )
    columns = ["test", "without", "left_out", "languages", "slope", "low", "high", "keeps_sign"]
    return pd.DataFrame(rows, columns=columns)


def slopes_by_target(table: pd.DataFrame, evidence: Evidence, rules: Rules, distance: str) -> pd.DataFrame:
    """Return the gap and its slope on a distance for each target and condition, the baseline first.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.common.outcomes` returns it.

    Returns
    -------
    DataFrame
        target, condition, english (percent), gap (mean over languages), slope, low, high, languages.
    """
    chosen = standardised(evidence.predictors[[distance]])
    rows = []
    for target in evidence.targets:
        for condition in (BASELINE, *evidence.conditions):
            scores = cells(table, condition, target)
            gap = _gap(scores)
            result = effect(gap, rules, chosen, distance)
            rows.append(
                {"target": target, "condition": condition, "english": scores.loc[SOURCE_LANGUAGE].mean()}
                | {"gap": gap.mean(axis=None)}
                | {"slope": result.estimate, "low": result.low, "high": result.high, "languages": result.rows}
            )
    return pd.DataFrame(rows)


# --- Sentences -------------------------------------------------------------------------------------------------------


def design_text(evidence: Evidence, rules: Rules) -> str:
    """Say what the outcomes are averages of, how large they are, and whether there is a gap to explain at all."""
    seeds = evidence.gap.shape[1]
    gap, change = (mean_outcome(evidence, rules, name) for name in OUTCOMES)
    text = (
        f"Both outcomes average {count(evidence.targets, 'target task')} ({listed(evidence.targets)}) and "
        f"{count(evidence.conditions, 'condition')} ({listed(evidence.conditions)}), over {len(evidence.languages)} "
        f"languages besides English and {seeds} seed{'' if seeds == 1 else 's'}. The mean gap is {_in_points(gap)}; "
        f"intermediate training changes it by {_in_points(change)}. These intervals are over languages, seeds and the "
        "test items of English, the same for all languages."
    )
    if gap.known and gap.low <= 0:
        text += " English is not clearly ahead, so that there is hardly a degradation that distance could explain."
    return text


def _in_points(result: Result) -> str:
    if not result.known:
        return "not known"
    return in_words(result.estimate, result.low, result.high)


def noise_text(evidence: Evidence, noise: pd.DataFrame) -> str:
    """Say how much of the languages' differences is the noise of their test examples."""
    parts = []
    for name in OUTCOMES:
        share = 1 - reliability(evidence.outcome(name), noise[name])
        parts.append(f"{100 * share:.0f} percent of the variance of the {name}")
    return (
        f"The choice of test examples explains {' and '.join(parts)} over languages. It draws correlations towards "
        "zero; the column without noise says what they would be without it, where less than three quarters are noise."
    )


def correlations_text(table: pd.DataFrame) -> str:
    """Say of each outcome which predictors have a linear correlation whose interval leaves zero out."""
    lines = []
    for outcome in OUTCOMES:
        rows = table[(table["outcome"] == outcome) & (table["kind"] == "linear") & table["r"].notna()]
        plain = _clear(rows, "r", "low", "high")
        partial = _clear(rows[rows["partial"].notna()], "partial", "partial_low", "partial_high")
        lines.append(
            f"- The {outcome}: of {len(rows)} predictors, with intervals that leave zero out: {plain or 'none'}. With "
            f"the controls held constant: {partial or 'none'}."
        )
    return "\n".join(lines)


def _clear(rows: pd.DataFrame, value: str, low: str, high: str) -> str:
    chosen = clear(rows, low, high).to_dict("records")
    return ", ".join(f"{row['predictor']} ({signed(row[value], 2)})" for row in chosen)


def collinearity_text(table: pd.DataFrame) -> str:
    """Say which predictors can hardly be told apart."""
    high = table[table["inflation"] > 5]
    if high.empty:
        return "No variance inflation factor is above 5: the predictors can be told apart."
    named = [f"{row['predictor']} ({row['inflation']:.0f})" for row in high.to_dict("records")]
    return (
        f"Variance inflation factors above 5: {', '.join(named)}. These distances say much the same of the languages, "
        "so the joint model cannot share an effect out among them, and their single slopes mean little."
    )


def family_text(table: pd.DataFrame) -> str:
    """Say of each test whether its slope keeps its sign whichever family is left out."""
    lines = []
    for name, rows in table[table["without"] != "none"].groupby("test", sort=False):
        turned = rows[~rows["keeps_sign"]]["without"].tolist()
        verdict = f"changes its sign without {'; '.join(turned)}" if turned else "keeps its sign whichever is left out"
        low, high = rows["slope"].min(), rows["slope"].max()
        lines.append(f"- `{name}`: the slope {verdict}; it lies between {signed(low)} and {signed(high)}.")
    return "\n".join(lines) or "There is no slope yet."


# --- The answer ------------------------------------------------------------------------------------------------------


def answer(section: Section) -> Answer:
    """Answer the question from the records of an opened study, of which there may be none yet.

    Raises
    ------
    StiltsError
        If its records lack the baseline, or hold no intermediate condition.
    """
    if not section.analysis.recorded:
        nothing = dict.fromkeys(TESTS, lambda evidence, rules: untested("nothing is recorded yet"))
        return chapters.answer(section, None, nothing, HEADLINE, "")
    table = learned_targets(section.analysis)
    if table.empty:
        nothing = dict.fromkeys(TESTS, lambda evidence, rules: untested(NONE_LEARNED))
        return chapters.answer(section, None, nothing, HEADLINE, "")
    redrawn = redrawn_outcomes(table, section.analysis, against_english=True)
    evidence = gather(table, section.settings.encoder.name, redrawn=redrawn)
    level = level_of(table, [BASELINE], section.analysis.floors)
    return chapters.answer(section, evidence, TESTS, HEADLINE, mean_text(evidence, section.rules), level=level)


def untested_text(answer: Answer) -> str:
    """Say of a study how many of its tests could not be made, and after which conditions a target was not learned."""
    lost = answer.verdicts[answer.verdicts["verdict"] == str(Verdict.UNTESTABLE)]
    name, targets = answer.section.settings.name, answer.section.settings.targets
    conditions, failed = answer.section.analysis.conditions, answer.section.analysis.failed
    after = {target: [each for each in conditions if (each, target) in failed] for target in targets}
    said = "; ".join(f"{listed([target])} after {listed(names)}" for target, names in after.items() if names)
    reason = f", since every condition must have learned a target; not learned were {said}" if said else ""
    return (
        f"Study `{name}` asks the same of {listed(targets)}, on rows of XTREME. Of {count(answer.verdicts, 'test')}, "
        f"{len(lost)} could not be made{reason}."
    )


def mean_text(evidence: Evidence, rules: Rules) -> str:
    """Say how large the gap is on average, and how intermediate training changes it."""
    gap, change = (mean_outcome(evidence, rules, name) for name in OUTCOMES)
    return (
        f"Over {len(evidence.languages)} languages, English is ahead by {_in_points(gap)} after intermediate training, "
        f"which changes that by {_in_points(change)}. For a standard deviation of the distance:"
    )
