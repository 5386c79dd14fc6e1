"""Tables that all questions show: their tests with verdicts, and gains by language."""

from collections.abc import Mapping

import pandas as pd

from stilts.analysis.wording import format_p


def show_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `testing.tabulate_verdicts` for readers: p-values that are not zero; no hypotheses."""
    columns = ["test", "estimate", "low", "high", "unit", "verdict", "based on", "detectable", "smallest effect"]
    found = table[columns].copy()
    for place, (name, title) in enumerate((("p", "p"), ("p_holm", "p (corrected)"))):
        found.insert(5 + place, title, [format_p(value) for value in table[name]])
    return found


def tabulate_language_means(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the mean over seeds of each group's gain in each language: group, language, gain (points).

    Parameters
    ----------
    groups : mapping
        Group -> its gains, a table of shape (languages, seeds).
    """
    rows = [(name, code, gain) for name, table in groups.items() for code, gain in table.mean(axis=1).items()]
    return pd.DataFrame(rows, columns=["group", "language", "gain"])
