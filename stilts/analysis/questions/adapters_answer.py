"""Question 4, answered: tables and sentences."""


import numpy as np
import pandas as pd

from stilts.analysis.conditions import is_same_task
from stilts.analysis.questions import chapters
from stilts.analysis.questions.adapters import (
    COMBINED,
    FULL,
    GROUPS,
    MATCH_TITLES,
    MATCHES,
    TESTS,
    Evidence,
    Pair,
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
from stilts.analysis.questions.permutations import estimate_relation, remove_means, standardise_matrix
from stilts.analysis.questions.sentences import describe_by_target
from stilts.analysis.questions.tables import tabulate_language_means
from stilts.analysis.questions.testing import Rules, make_untested
from stilts.analysis.wording import WAY_TITLES, count, format_effect, format_signed, join_names


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

    Columns: group (match and scheme in words), scheme, asks_the_same, of_such_texts (yes or no), pairs (their number),
    gain, low, high, excludes_zero, p (not corrected).
    """
    rows = []
    for match, scheme, pairs in _list_matches(evidence):
        asks, texts = ("yes" if each else "no" for each in match)
        said = {"scheme": scheme, "asks_the_same": asks, "of_such_texts": texts, "pairs": len(pairs)}
        result = estimate_mean_gain(evidence, rules, scheme, pairs)
        rows.append({"group": _title_match(match, scheme), **said} | result.row("gain"))
    columns = ["group", "scheme", "asks_the_same", "of_such_texts", "pairs", "gain", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def tabulate_match_language_gains(evidence: Evidence) -> pd.DataFrame:
    """Return the gain of each group of `tabulate_match_gains` in each language, mean over pairs and seeds.

    Columns: group, language, gain.
    """
    return tabulate_language_means(
        {_title_match(match, scheme): evidence.gain(scheme, pairs) for match, scheme, pairs in _list_matches(evidence)}
    )


def _list_matches(evidence: Evidence) -> list[tuple[tuple[bool, bool], str, list[Pair]]]:
    """Return each kind of match with each scheme, and the pairs that match so; none without pairs."""
    found = {
        match: [pair for own in evidence.matching(match).values() for pair in own] for match in MATCH_TITLES
    }
    return [(match, scheme, pairs) for match, pairs in found.items() if pairs for scheme in evidence.schemes]


def _title_match(match: tuple[bool, bool], scheme: str) -> str:
    return f"{MATCH_TITLES[match]}, {WAY_TITLES[scheme]}"


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
    groups = [group for group in (FULL, "adapters") if not explain_too_few(evidence, GROUPS[group])]
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
        if explain_too_few(evidence, schemes):
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


# --- Sentences -------------------------------------------------------------------------------------------------------


def describe_design(evidence: Evidence) -> str:
    """Say which pairs there are, and what the gains are averages of."""
    if not evidence.pairs:
        return "There are no gains yet."
    tested = [len(evidence.gain(evidence.schemes[0], [pair])) for pair in evidence.pairs]
    fewest, most, seeds = min(tested), max(tested), len(evidence.seeds)
    alike = [f"{first} before {second}" for first, second in evidence.pairs if is_same_task([first], second)]
    said = f" Of the same task twice, and left out of the tests: {', '.join(alike)}." if alike else ""
    span = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"{len(evidence.intermediates)} intermediate tasks ({join_names(evidence.intermediates)}) before "
        f"{len(evidence.targets)} target tasks ({join_names(evidence.targets)}), in {count(evidence.schemes, 'way')} "
        f"({join_names(evidence.schemes)}); each gain is over {span} languages besides English and {seeds} "
        f"seed{'' if seeds == 1 else 's'}.{said}"
    )


def describe_schemes(table: pd.DataFrame) -> str:
    """Say what each way of training gains over pairs of two tasks."""
    if table.empty:
        return "There is nothing to compare yet."
    rows = table.to_dict("records")
    said = [f"{format_effect(row['gain'], row['low'], row['high'])} with `{row['group']}`" for row in rows]
    languages = count(int(table["languages"].min()), "language")
    return (
        f"Over pairs of two different tasks, in the {languages} that all their targets have, the gain of intermediate "
        f"training is {', '.join(said)}."
    )


def describe_matches(table: pd.DataFrame) -> str:
    """Say what pairs gain that match in nothing, in what is asked and in their texts, with each way of training.

    Parameters
    ----------
    table : DataFrame
        From `tabulate_match_gains`.
    """
    different = table[table["asks_the_same"].ne("yes") | table["of_such_texts"].ne("yes")]
    said = [
        f"{row['group']} {format_effect(row['gain'], row['low'], row['high'])}" for row in different.to_dict("records")
    ]
    return f"Gain of intermediate training over pairs of two different tasks: {'; '.join(said)}."


def describe_agreement(table: pd.DataFrame) -> str:
    """Say how far each two measures agree."""
    if table.empty:
        return "There are not two measures to compare yet."
    said = [
        f"`{row['first']}` and `{row['second']}` by {format_signed(row['rank'], 2)} (p {row['p']:.3f})"
        for row in table.to_dict("records")
    ]
    return f"Over pairs of two tasks the measures correlate by rank: {', '.join(said)}."


def answer_question(section: Section) -> Answer:
    """Answer the question from the records of an opened study.

    Parameters
    ----------
    section : Section
        Of a study with conditions with adapters; nothing may be recorded yet.
    """
    analysis, conditions = section.analysis, list_conditions(section.settings)
    table = tabulate_learned_outcomes(analysis.records, analysis.failed)
    measured = average_similarities(analysis.phase("measure"), analysis.store)
    evidence = gather(table, conditions, measured, redraw_outcomes(table, analysis))
    if evidence.matching(MATCHES["task-match"]):
        text = describe_matches(tabulate_match_gains(evidence, section.rules))
    else:
        text = describe_schemes(tabulate_scheme_gains(evidence, section.rules)) if evidence.different else ""
    level = measure_level(table, [name for name, (_, task) in conditions.items() if task is None], analysis.floors)
    return chapters.answer_from_evidence(
        section, evidence, TESTS, text, level=level,
        beside=lambda test, _: describe_by_target(evidence, section.rules, test),
    )  # fmt: skip
