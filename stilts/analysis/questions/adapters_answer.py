"""Question 4, answered: tables and sentences."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from stilts.analysis.conditions import is_same_task
from stilts.analysis.opened import open_study
from stilts.analysis.questions import chapters
from stilts.analysis.questions.adapters import (
    COMBINED,
    FULL,
    GROUPS,
    MATCHES,
    NO_MATCH,
    TESTS,
    Evidence,
    average_similarities,
    estimate_mean_gain,
    explain_too_few,
    gather,
    list_conditions,
    make_task_orders,
    relate_gains,
)
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.evidence import measure_level, redraw_outcomes, tabulate_learned_outcomes
from stilts.analysis.questions.permutations import estimate_relation, predict_cells, remove_means, standardise_matrix
from stilts.analysis.questions.tables import tabulate_language_means
from stilts.analysis.questions.testing import Rules, make_untested
from stilts.analysis.wording import count, format_effect, format_signed, join_names
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.settings import Study


def tabulate_scheme_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return each scheme's mean gain, over pairs of two tasks and over pairs of the same task.

    Columns: group (the scheme), gain, low, high, p (not corrected), languages, same_gain, same_low, same_high.
    """
    alike = [pair for pair in evidence.pairs if is_same_task([pair[0]], pair[1])]
    rows = []
    for scheme in evidence.schemes if evidence.different else ():
        result = estimate_mean_gain(evidence, rules, scheme, evidence.different)
        beside = estimate_mean_gain(evidence, rules, scheme, alike) if alike else make_untested("no such pair")
        same = {"same_gain": beside.value, "same_low": beside.low, "same_high": beside.high}
        rows.append({"group": scheme, "languages": result.rows, **same} | result.row("gain"))
    columns = ["group", "gain", "low", "high", "p", "languages", "same_gain", "same_low", "same_high"]
    return pd.DataFrame(rows, columns=columns)


def tabulate_match_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return each scheme's mean gain over the pairs that match in what is asked, in the texts, in both, in nothing.

    Columns: group (the scheme), asks_the_same, of_such_texts (yes or no), pairs (their number), gain, low, high, p (not
    corrected).
    """
    rows = []
    for scheme in evidence.schemes:
        for match in (NO_MATCH, *MATCHES.values()):
            pairs = [pair for own in evidence.matching(match).values() for pair in own]
            if pairs:
                asks, texts = ("yes" if each else "no" for each in match)
                said = {"group": scheme, "asks_the_same": asks, "of_such_texts": texts, "pairs": len(pairs)}
                rows.append(said | estimate_mean_gain(evidence, rules, scheme, pairs).row("gain"))
    return pd.DataFrame(rows, columns=["group", "asks_the_same", "of_such_texts", "pairs", "gain", "low", "high", "p"])


def tabulate_language_gains(evidence: Evidence) -> pd.DataFrame:
    """Return each scheme's gain in each language, mean over pairs of two tasks and seeds: group, language, gain."""
    schemes = evidence.schemes if evidence.different else ()
    return tabulate_language_means({scheme: evidence.gain(scheme, evidence.different) for scheme in schemes})


def tabulate_pair_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gain of every scheme and pair with its interval over languages and seeds, and how alike the tasks are.

    Columns: scheme, intermediate, target, same, gain, low, high, excludes_zero, one for each measure, and `combined`
    (missing for pairs of the same task).
    """
    alike = {name: evidence.alike(name) for name in (*evidence.measures, COMBINED) if evidence.measures}
    rows = []
    for scheme in evidence.schemes:
        for first, second in evidence.pairs:
            result = estimate_mean_gain(evidence, rules, scheme, [(first, second)])
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


def tabulate_points_beyond_means(evidence: Evidence) -> pd.DataFrame:
    """Return gain and similarity of each pair of two tasks beyond the means of its tasks, for the figure.

    Columns: group (`full`, `adapters`), intermediate, target, similarity (standard deviations), gain (points).
    """
    columns = ["group", "intermediate", "target", "similarity", "gain"]
    groups = [group for group in (FULL, "adapters") if not explain_too_few(evidence, GROUPS[group], COMBINED)]
    if not groups:
        return pd.DataFrame(columns=columns)
    used = evidence.used()
    alike = standardise_matrix(remove_means(evidence.alike(COMBINED), used), used)
    rows = [
        (group, evidence.intermediates[row], evidence.targets[column], alike[row, column], gain[row, column])
        for group in groups
        for gain in [remove_means(evidence.matrix(group), used)]
        for row, column in np.argwhere(used)
    ]
    return pd.DataFrame(rows, columns=columns)


def tabulate_agreement(evidence: Evidence, rules: Rules) -> pd.DataFrame:
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
    over = make_task_orders(evidence, rules)
    rows = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            matrices = [evidence.alike(name) for name in (first, second)]
            ranks = estimate_relation(*(_ranked(matrix, used) for matrix in matrices), used, over)
            left = estimate_relation(*(remove_means(matrix, used) for matrix in matrices), used, over)
            rows.append((first, second, ranks.r, ranks.p, left.r, left.p))
    return pd.DataFrame(rows, columns=columns)


def _ranked(matrix: np.ndarray, used: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = np.zeros(used.shape)
    ranks[used] = rankdata(matrix[used])
    return ranks


def tabulate_measures(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return what each measure says of the gain of each scheme, and of all adapters; none of it corrected.

    Columns: group, measure, same_pairs (whether pairs of the same task are among them), slope, low, high, r, p, pairs.
    """
    columns = ["group", "measure", "same_pairs", "slope", "low", "high", "r", "p", "pairs"]
    rows = []
    for group, schemes in GROUPS.items():
        if explain_too_few(evidence, schemes, COMBINED):
            continue
        for with_same in (False, True) if len(evidence.different) < len(evidence.pairs) else (False,):
            left = remove_means(evidence.matrix(group), evidence.used(with_same))
            for measure in (COMBINED, *evidence.measures):
                if with_same and np.isnan(evidence.alike(measure, True)[evidence.used(True)]).any():
                    continue
                found = relate_gains(evidence, rules, left, measure, with_same)
                rows.append((group, measure, with_same, found.value, found.low, found.high, found.r, found.p,
                             found.cells))  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def tabulate_reliability(evidence: Evidence) -> pd.DataFrame:
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
        left = np.stack([remove_means(matrix, used)[used] for matrix in evidence.by_seed(group)])
        variance = float(left.mean(axis=0).var())
        noise = float(left.var(axis=0, ddof=1).mean() / len(left)) if len(left) > 1 else np.nan
        share = max(1 - noise / variance, 0.0) if variance else np.nan
        rows.append({"group": group, "spread": variance**0.5, "noise": noise**0.5, "share": share})
    return pd.DataFrame(rows, columns=["group", "spread", "noise", "share"])


HELD_OUT = ("pair", "intermediate", "target")


def tabulate_prediction(evidence: Evidence, rules: Rules) -> pd.DataFrame:
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
        if explain_too_few(evidence, GROUPS[group], COMBINED):
            continue
        gain = evidence.matrix(group)
        for held_out in HELD_OUT:
            plain = cross_validate(gain, None, used, held_out)
            for measure in (COMBINED, *evidence.measures):
                found = cross_validate(gain, evidence.alike(measure), used, held_out)
                rows.append({"group": group, "held_out": held_out, "measure": measure,
                             **_skill(gain, plain, found, used, rules)})  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def cross_validate(gain: np.ndarray, predictor: np.ndarray | None, used: np.ndarray, held_out: str) -> np.ndarray:
    """Return every cell's prediction from those that are not left out with it, (intermediates, targets).

    Parameters
    ----------
    held_out : str
        `pair`, `intermediate` (a whole row) or `target` (a whole column).
    """
    found = np.full(gain.shape, np.nan)
    for mask in _folds(used, held_out):
        found[mask & used] = predict_cells(gain, predictor, used, mask)
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


# --- Sentences -------------------------------------------------------------------------------------------------------


def describe_design(evidence: Evidence, beside: str | None = None) -> str:
    """Say which pairs there are, what the gains are averages of, and the study whose records stand beside, if any."""
    if not evidence.pairs:
        return "There are no gains yet."
    tested = [len(evidence.gain(evidence.schemes[0], [pair])) for pair in evidence.pairs]
    fewest, most, seeds = min(tested), max(tested), len(evidence.seeds)
    alike = [f"{first} before {second}" for first, second in evidence.pairs if is_same_task([first], second)]
    said = f" Of the same task twice, and left out of the tests: {', '.join(alike)}." if alike else ""
    full = f" Full fine-tuning is that of study {join_names([beside])}." if beside else ""
    span = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"{len(evidence.intermediates)} intermediate tasks ({join_names(evidence.intermediates)}) before "
        f"{len(evidence.targets)} target tasks ({join_names(evidence.targets)}), in {count(evidence.schemes, 'way')} "
        f"({join_names(evidence.schemes)}); each gain is over {span} languages besides English and {seeds} "
        f"seed{'' if seeds == 1 else 's'}.{said}{full}"
    )


def describe_schemes(table: pd.DataFrame) -> str:
    """Say what each way of training gains over pairs of two tasks."""
    if table.empty:
        return "There is nothing to compare yet."
    rows = table.to_dict("records")
    said = [f"{format_effect(row['gain'], row['low'], row['high'])} with `{row['group']}`" for row in rows]
    return f"Over pairs of two different tasks, the gain of intermediate training is {', '.join(said)}."


def describe_agreement(table: pd.DataFrame) -> str:
    """Say how far each two measures agree."""
    if table.empty:
        return "There are not two measures to compare yet."
    said = [
        f"`{row['first']}` and `{row['second']}` by {format_signed(row['rank'], 2)} (p {row['p']:.3f})"
        for row in table.to_dict("records")
    ]
    return f"Over pairs of two tasks the measures correlate by rank: {', '.join(said)}."


def describe_prediction(table: pd.DataFrame) -> str:
    """Say what similarity adds to the means of tasks, for pairs and for tasks that were not seen."""
    rows = table[table["measure"] == COMBINED]
    if rows.empty:
        return "There is nothing to predict yet."
    lines = [
        f"- `{row['group']}`, unseen {row['held_out']}: the error goes from {row['error_means']:.1f} to "
        f"{row['error']:.1f} points, {_percent(row['r2'])} of its square taken away ({_percent(row['low'])} to "
        f"{_percent(row['high'])})."
        for row in rows.to_dict("records")
    ]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "\N{MINUS SIGN}")


def answer_question(section: Section) -> Answer:
    """Answer the question from the records of an opened study, and of the study that its file sets beside it.

    Parameters
    ----------
    section : Section
        Of a study with conditions with adapters, and a measure of similarity; nothing may be recorded yet.

    Raises
    ------
    UnknownName
        If there is no study of the name that stands beside.
    StiltsError
        If the two studies differ in anything that scores depend on but conditions and languages.
    """
    name = section.settings.question.beside
    if name is None:
        return answer_from_records(section, None, ())
    beside = open_study(section.analysis.checkout, name)
    return answer_from_records(section, beside.settings, beside.records)


def answer_from_records(section: Section, beside: Study | None, other: Sequence[Record]) -> Answer:
    """Answer the question from the records of a section, and those of the study that stands beside it."""
    analysis = section.analysis
    records, conditions = list(analysis.records), list_conditions(section.settings)
    if beside is not None:
        check_comparable(section.settings, beside)
        full = {name: of for name, of in list_conditions(beside).items() if of[0] == FULL}
        wanted, there = set(section.settings.targets), {record.id for record in records}
        found = [each for each in other if each.run.condition in full and each.run.target in wanted]
        records += [record for record in found if record.id not in there]
        conditions = full | conditions
    joined = replace(analysis, records=tuple(records))
    table = tabulate_learned_outcomes(records, joined.failed)
    measured = average_similarities(analysis.phase("measure"), analysis.store)
    evidence = gather(table, conditions, measured, redraw_outcomes(table, joined))
    text = describe_schemes(tabulate_scheme_gains(evidence, section.rules)) if evidence.different else ""
    level = measure_level(table, [name for name, (_, task) in conditions.items() if task is None], joined.floors)
    return chapters.answer_from_evidence(section, evidence, TESTS, text, level=level)


def check_comparable(first: Study, second: Study) -> None:
    """Check that two studies differ in nothing that a score depends on but conditions and languages.

    Raises
    ------
    StiltsError
        If they do; says in what.
    """
    for what, one, other in (
        ("encoder", first.encoder, second.encoder),
        ("data", first.data, second.data),
        ("seeds", first.seeds, second.seeds),
        ("intermediate_training", first.intermediate_training, second.intermediate_training),
        ("evaluation.examples", first.evaluation.examples, second.evaluation.examples),
        *((f"training of {task}", first.training("target", task), second.training("target", task))
          for task in first.targets),
    ):  # fmt: skip
        if one != other:
            raise StiltsError(f"studies '{first.name}' and '{second.name}' differ in {what}: {one} and {other}")
