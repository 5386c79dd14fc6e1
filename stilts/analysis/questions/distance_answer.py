"""Question 2, answered: what explains a gap besides the tested distance, in tables, and sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from stilts.analysis.contrasts import contrast_by_target
from stilts.analysis.correlations import estimate_correlation
from stilts.analysis.estimates import LEVEL, keep_clear
from stilts.analysis.languages.facts import DISTANCES, get_language, tabulate_languages
from stilts.analysis.questions import chapters
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.crossed import (
    Basis,
    estimate_coefficients,
    estimate_effect,
    fit_mixed_model,
    fit_mixed_model_by_target,
)
from stilts.analysis.questions.distance import (
    CHANGE,
    CONTROLS,
    GAP,
    OUTCOMES,
    RELATIVE,
    TESTS,
    Evidence,
    estimate_mean_outcome,
    estimate_slope,
    find_narrow_targets,
    gather,
    keep_learned_targets,
    measure_gap_to_english,
    standardise_predictors,
)
from stilts.analysis.questions.evidence import measure_level, redraw_outcomes
from stilts.analysis.questions.sentences import describe_by_target
from stilts.analysis.questions.testing import Result, Rules, Test, make_untested
from stilts.analysis.wording import count, format_effect, format_p, format_signed, join_names
from stilts.study.errors import StiltsError
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE

WIDELY_KNOWN = 0.75
LEAST_RELIABLE = 0.25
METHODS = ("linear", "rank")
_TITLES = {GAP: "gap", RELATIVE: "share that is lost", CHANGE: "change of the gap"}


def tabulate_language_means(evidence: Evidence) -> pd.DataFrame:
    """Return one row for each language: code, name, family, its outcomes (means over seeds) and its predictors."""
    facts = tabulate_languages(evidence.languages)[["code", "name", "family", "branch", "script"]].set_index("code")
    means = pd.DataFrame({name: evidence.outcome(name).mean(axis=1) for name in OUTCOMES})
    return facts.join(means).join(evidence.predictors).rename_axis("code").reset_index()


def tabulate_correlations(evidence: Evidence, rules: Rules, noise: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the correlation of each outcome with each predictor, plain and with the controls held constant.

    Intervals are percentile intervals of a bootstrap over languages. Each language is drawn with the noise of its test
    examples, so that the intervals hold that noise; what it takes off the correlation itself is given apart.

    Parameters
    ----------
    noise : DataFrame or None
        As `tabulate_example_noise` returns it.

    Returns
    -------
    DataFrame
        outcome, predictor, kind (linear: Pearson; rank: Spearman), r, low, high, languages, partial, partial_low,
        partial_high, partial_languages (missing for the controls themselves), and for the linear one `r_noise_free`:
        r over the square root of the share of the outcome's variance that is not noise (missing without `noise`, and
        where less than a quarter is not noise, since it then says nothing).
    """
    table = tabulate_language_means(evidence)
    rows = []
    for outcome in OUTCOMES:
        reliable = measure_reliability(evidence.outcome(outcome), None if noise is None else noise[outcome])
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


def measure_reliability(outcome: pd.DataFrame, noise: pd.Series | None) -> float:
    """Return the share of an outcome's variance over languages that is not the noise of test examples; NaN if unknown.

    0 where the noise explains all of it.
    """
    if noise is None:
        return float("nan")
    observed = outcome.mean(axis=1).var(ddof=1)
    return float(max(1 - noise.reindex(outcome.index).mean() / observed, 0.0)) if observed else 0.0


def _correlated(table: pd.DataFrame, rules: Rules, kind: str) -> dict[str, float | int]:
    values = table.dropna().to_numpy(dtype=float)
    r, low, high = np.nan, np.nan, np.nan
    if len(values) >= values.shape[1] + 2:
        r, low, high = estimate_correlation(values, rules.resamples, rules.generator(), rules.level, kind)
    return {"r": r, "low": low, "high": high, "languages": len(values)}


def fit_lines(evidence: Evidence, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return intercept and slope of the gap's least-squares line on each predictor; none where too few have it."""
    means, found = evidence.outcome(GAP).mean(axis=1), {}
    for name in names:
        known = evidence.predictors[name].dropna()
        if known.nunique() > 2:
            slope, intercept = np.polyfit(known, means.reindex(known.index), 1)
            found[name] = (float(intercept), float(slope))
    return found


def find_widely_known(evidence: Evidence) -> list[str]:
    """Return the distances that are known for the share `WIDELY_KNOWN` of the languages."""
    known = evidence.predictors[list(DISTANCES)].notna().mean()
    return [name for name in DISTANCES if known[name] >= WIDELY_KNOWN]


def tabulate_collinearity(evidence: Evidence) -> pd.DataFrame:
    """Return the linear correlations of the predictors with each other, each over the languages that have both.

    Columns: predictor, `known` (languages), `inflation` (variance inflation factor among the widely known distances and
    the controls; missing for the others), and one column for each predictor.
    """
    table = evidence.predictors
    inflation = compute_variance_inflation(table[[*find_widely_known(evidence), *CONTROLS]])
    shown = table.corr(min_periods=3)
    shown.insert(0, "inflation", inflation.reindex(shown.index))
    shown.insert(0, "known", table.notna().sum())
    return shown.rename_axis("predictor").reset_index()


def compute_variance_inflation(table: pd.DataFrame) -> pd.Series:
    """Return each predictor's variance inflation factor over the complete rows: 1 alone, infinite where it follows."""
    kept = table.dropna()
    matrix = kept.corr().to_numpy()
    if len(kept) < 3 or np.isnan(matrix).any():
        return pd.Series(np.nan, index=table.columns)
    if np.linalg.matrix_rank(matrix, tol=1e-9) < len(matrix):
        return pd.Series(np.inf, index=table.columns)
    return pd.Series(np.diag(np.linalg.inv(matrix)), index=table.columns)


def fit_joint_models(evidence: Evidence, rules: Rules) -> tuple[pd.DataFrame, tuple[str, ...]]:
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
    sets = {"widely known": find_widely_known(evidence), "all distances": list(DISTANCES)}
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
    chosen = standardise_predictors(evidence.predictors[list(names)])
    table = evidence.outcome(outcome).loc[chosen.index].dropna()
    chosen = chosen.loc[table.index]
    if len(table) < len(names) + 3:
        return pd.DataFrame(), (f"{len(table)} languages have all {len(names)} predictors, too few for the model",)
    try:
        primary = estimate_coefficients(
            table, chosen, rules.level, evidence.redrawn and evidence.redrawn.outcome(outcome)
        )
    except StiltsError as error:
        return pd.DataFrame(), (str(error),)
    fitted, notes = fit_mixed_model(table, chosen, level=rules.level)
    inflation = compute_variance_inflation(chosen)
    rows = [
        {"predictor": name, "slope": row.value, "low": row.low, "high": row.high, "p": row.p}
        | {"p_crossed": primary[name].p, "inflation": inflation[name], "languages": len(table)}
        for name, row in fitted.items()
        if name in inflation.index
    ]
    return pd.DataFrame(rows), notes


def group_by_family(codes: Sequence[str]) -> dict[str, list[str]]:
    """Return the languages of each family, and of each branch of Indo-European as "Indo-European: <branch>"."""
    groups: dict[str, list[str]] = {}
    for code in codes:
        known = get_language(code)
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
        codes = list(result.basis.table.index)
        for group, members in {"none": [], **group_by_family(codes)}.items():
            kept = [code for code in codes if code not in set(members)]
            again = _estimate_again(result.basis, kept, rules)
            rows.append(
                {"test": result.test, "without": group, "left_out": len(members), "languages": len(kept)}
                | again.row("slope")
                | {"keeps_sign": again.known and again.value * result.value > 0}
            )
    columns = ["test", "without", "left_out", "languages", "slope", "low", "high", "keeps_sign"]
    return pd.DataFrame(rows, columns=columns)


def _estimate_again(basis: Basis, codes: Sequence[str], rules: Rules) -> Result:
    """Return an effect again over some of its languages, for a standard deviation over these."""
    fewer = standardise_predictors(basis.predictors.loc[list(codes)])
    return estimate_effect(basis.table.loc[list(codes)], rules, fewer, basis.coefficient, redrawn=basis.redrawn)


def tabulate_slopes_by_target(
    table: pd.DataFrame, evidence: Evidence, rules: Rules, distance: str, redrawn: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the gap and its slope on a distance for each target and condition, the baseline first.

    Parameters
    ----------
    table : DataFrame
        As `stilts.analysis.questions.evidence.tabulate_outcomes` returns it.
    redrawn : DataFrame, optional
        The same of redrawn test items, as `stilts.analysis.questions.evidence.redraw_outcomes` returns it, against
        English: intervals then hold the noise of the English items, which moves all gaps alike.

    Returns
    -------
    DataFrame
        target, condition, english (percent), gap (mean over languages), slope, low, high, languages.
    """
    chosen = standardise_predictors(evidence.predictors[[distance]])
    names = (BASELINE, *evidence.conditions)
    scores = {name: contrast_by_target(table, {name: 1.0}) for name in names}
    again = {} if redrawn is None else {name: contrast_by_target(redrawn, {name: 1.0}) for name in names}
    rows = []
    for target in evidence.targets:
        for condition, own in scores.items():
            gap = measure_gap_to_english(own[target])
            english = own[target].loc[SOURCE_LANGUAGE].mean()
            moved = measure_gap_to_english(again[condition][target]) if again else None
            result = estimate_effect(gap, rules, chosen, distance, redrawn=moved)
            rows.append(
                {"target": target, "condition": condition, "english": english, "gap": gap.mean(axis=None)}
                | result.row("slope")
                | {"languages": result.rows}
            )
    columns = ["target", "condition", "english", "gap", "slope", "low", "high", "languages"]
    return pd.DataFrame(rows, columns=columns)


def fit_slopes_in_one_model(
    evidence: Evidence, rules: Rules, names: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the slope of each target's gap on predictors that are held constant for one another, by one mixed model.

    Languages, languages within targets and seeds within targets are crossed random effects; every target has an
    intercept and slopes of its own.

    Parameters
    ----------
    names : sequence of str
        Predictors.

    Returns
    -------
    table : DataFrame
        predictor, target, slope, low, high, p, p_alike (of the Wald test that all targets have the same slope; the same
        in all rows of a predictor), languages.
    notes : tuple of str
        What went wrong in the fit.
    """
    chosen = standardise_predictors(evidence.predictors[list(names)])
    parts = {name: own.loc[own.index.intersection(chosen.index)] for name, own in evidence.by_target[GAP].items()}
    fits, notes = fit_mixed_model_by_target(parts, chosen, rules.level)
    rows = [
        {"predictor": name, "target": target} | fits[name].slopes[target].row("slope")
        | {"p_alike": fits[name].p_alike, "languages": len(parts[target])}
        for name in names
        for target in evidence.targets
    ]  # fmt: skip
    columns = ["predictor", "target", "slope", "low", "high", "p", "p_alike", "languages"]
    return pd.DataFrame(rows, columns=columns), notes


def describe_slopes(table: pd.DataFrame, level: float = LEVEL) -> str:
    """Say of `fit_slopes_in_one_model` whether targets differ in their slopes, by tests of size one minus the level."""
    said = []
    for name, rows in table.groupby("predictor", sort=False):
        p = rows["p_alike"].iloc[0]
        verdict = "differ" if p < 1 - level else "are not told apart"
        slopes = [f"`{row['target']}` {format_signed(row['slope'])}" for row in rows.to_dict("records")]
        on = f"{name} distance" if name in DISTANCES else name
        said.append(f"On {on} the targets' slopes {verdict} (p {format_p(p)}): {', '.join(slopes)}.")
    return " ".join(said)


def describe_notes(notes: Sequence[str]) -> str:
    """Say what the fits of mixed models reported, a line for each note."""
    return "\n".join(["The fits reported:\n", *(f"- {note}." for note in notes)]) if notes else "Every fit converged."


# --- Sentences -------------------------------------------------------------------------------------------------------


NONE_LEARNED = "no target was learned in English under every condition"


def describe_design(evidence: Evidence, rules: Rules) -> str:
    """Say what the outcomes are averages of, how large they are, and whether there is a gap to explain at all."""
    gap, share, change = (estimate_mean_outcome(evidence, rules, name) for name in (GAP, RELATIVE, CHANGE))
    text = (
        f"The outcomes average {count(evidence.targets, 'target task')} ({join_names(evidence.targets)}) and "
        f"{count(evidence.conditions, 'condition')} ({join_names(evidence.conditions)}), over "
        f"{len(evidence.languages)} languages besides English and {count(evidence.outcome(GAP).shape[1], 'seed')}. "
        f"English scores {evidence.lead:.1f} points above guessing. The mean gap is {_in_points(gap)}, "
        f"{_in_points(share, 'percent')} of that; intermediate training changes the gap by {_in_points(change)}. "
        "These intervals are over languages, seeds and the test items of English, the same for all languages."
    )
    if gap.known and gap.low <= 0:
        text += " English is not clearly ahead, so that there is hardly a degradation that distance could explain."
    return text


def _in_points(result: Result, unit: str = "points") -> str:
    if not result.known:
        return "not known"
    return format_effect(result.value, result.low, result.high, unit)


def describe_noise(evidence: Evidence, noise: pd.DataFrame) -> str:
    """Say how much of the languages' differences is the noise of their test examples."""
    parts = []
    for name in (GAP, CHANGE):
        share = 1 - measure_reliability(evidence.outcome(name), noise[name])
        parts.append(f"{100 * share:.0f} percent of the variance of the {name}")
    return (
        f"The choice of test examples explains {' and '.join(parts)} over languages. It draws correlations towards "
        "zero; the column without noise says what they would be without it, where less than three quarters are noise."
    )


def describe_correlations(table: pd.DataFrame) -> str:
    """Say of each outcome which predictors have a linear correlation whose interval excludes zero."""
    lines = []
    for outcome in OUTCOMES:
        rows = table[(table["outcome"] == outcome) & (table["kind"] == "linear") & table["r"].notna()]
        plain = _clear(rows, "r", "low", "high")
        partial = _clear(rows[rows["partial"].notna()], "partial", "partial_low", "partial_high")
        lines.append(
            f"- The {_TITLES[outcome]}: of {len(rows)} predictors, with intervals that exclude zero: "
            f"{plain or 'none'}. With the controls held constant: {partial or 'none'}."
        )
    return "\n".join(lines)


def _clear(rows: pd.DataFrame, value: str, low: str, high: str) -> str:
    chosen = keep_clear(rows, low, high).to_dict("records")
    return ", ".join(f"{row['predictor']} ({format_signed(row[value], 2)})" for row in chosen)


def describe_collinearity(table: pd.DataFrame) -> str:
    """Say which predictors can hardly be told apart."""
    high = table[table["inflation"] > 5]
    if high.empty:
        return "No variance inflation factor is above 5: the predictors can be told apart."
    named = [f"{row['predictor']} ({row['inflation']:.0f})" for row in high.to_dict("records")]
    return (
        f"Variance inflation factors above 5: {', '.join(named)}. These distances say much the same of the languages, "
        "so the joint model cannot share an effect out among them, and their single slopes mean little."
    )


def describe_families(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Say of each test, by its title, whether its slope keeps its sign whichever family is left out."""
    lines = []
    for name, rows in table[table["without"] != "none"].groupby("test", sort=False):
        turned = rows[~rows["keeps_sign"]]["without"].tolist()
        verdict = f"changes its sign without {'; '.join(turned)}" if turned else "keeps its sign whichever is left out"
        low, high = rows["slope"].min(), rows["slope"].max()
        lines.append(
            f"- {titles[name]}: {verdict}; it lies between {format_signed(low)} and {format_signed(high)}."
        )
    return "\n".join(lines) or "There is no slope yet."


def answer_question(section: Section) -> Answer:
    """Answer the question from the records of an opened study, of which there may be none yet.

    Raises
    ------
    StiltsError
        If its records lack the baseline, or hold no intermediate condition.
    """
    analysis = section.analysis
    table = keep_learned_targets(analysis, _least_lead(section))
    if table.empty:
        reason = NONE_LEARNED if analysis.recorded else "nothing is recorded yet"
        untested = {name: replace(test, estimate=lambda *_: make_untested(reason)) for name, test in TESTS.items()}
        return chapters.answer_from_evidence(section, None, untested, "")
    redrawn = redraw_outcomes(table, analysis, against_english=True)
    evidence = gather(table, section.settings.encoder.name, redrawn=redrawn, guessed=analysis.floors)
    level = measure_level(table, [BASELINE], analysis.floors)
    return chapters.answer_from_evidence(
        section, evidence, TESTS, describe_mean_gap(evidence, section.rules), level=level,
        beside=partial(describe_slope_parts, evidence, section.rules),
    )  # fmt: skip


def describe_slope_parts(evidence: Evidence, rules: Rules, test: Test, result: Result) -> str:
    """Say what a slope is by target, over the languages that all targets have and without the family it rests on most.

    Last comes what intermediate training changes about the gap's slope on the same predictor.
    """
    basis = result.basis
    said = [describe_by_target(evidence, rules, test)]
    codes = [code for code in evidence.shared_languages if code in basis.table.index]
    if len(codes) < len(basis.table):
        shared = _estimate_again(basis, codes, rules)
        if shared.known:
            said.append(f"Over the {count(codes, 'language')} that all targets have it is {_in_unit(shared, result)}.")
    families = leave_one_family_out(evidence, [result], rules).dropna(subset="slope")
    families = families[families["without"].ne("none")]
    if len(families):
        least = families.loc[(families["slope"] * np.sign(result.value)).idxmin()]
        slope = format_effect(least["slope"], least["low"], least["high"], result.unit)
        said.append(f"Without {least['without']}, the family or branch that it rests on most, it is {slope}.")
    change = estimate_slope(evidence, rules, CHANGE, basis.coefficient)
    said.append(f"Intermediate training changes the slope of the gap by {_in_unit(change, change)}.")
    return " ".join(filter(None, said))


def _in_unit(found: Result, of: Result) -> str:
    return format_effect(found.value, found.low, found.high, of.unit)


def _least_lead(section: Section) -> float:
    return section.settings.question.least_lead or 0.0


def describe_left_out(answer: Answer) -> str:
    """Say which targets of a study are in no test, and why; "" if all are."""
    section, failed = answer.section, answer.section.analysis.failed
    narrow = find_narrow_targets(section.analysis.dev_scores, _least_lead(section))
    said = []
    for target in section.settings.targets:
        after = [name for name, lost in failed if lost == target]
        if after:
            said.append(f"{join_names([target])}, at chance after {join_names(after)}")
        elif target in narrow:
            said.append(
                f"{join_names([target])}, whose English dev score is {narrow[target]:.0f} points above guessing under "
                f"one condition, where {_least_lead(section):g} are asked for"
            )
    return f"In no test: {'; '.join(said)}." if said else ""


def describe_mean_gap(evidence: Evidence, rules: Rules) -> str:
    """Say how large the gap is on average, and how intermediate training changes it."""
    gap, change = (estimate_mean_outcome(evidence, rules, name) for name in (GAP, CHANGE))
    return (
        f"Over {len(evidence.languages)} languages, English is ahead by {_in_points(gap)} after intermediate training, "
        f"which changes that by {_in_points(change)}."
    )
