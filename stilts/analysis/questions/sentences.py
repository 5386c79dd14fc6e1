"""Sentences that all questions say, made from the table of their tests with verdicts, and of other effects."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stilts.analysis.estimates import keep_clear
from stilts.analysis.questions.testing import Result, Rules
from stilts.analysis.verdicts import ANSWERS, EVIDENT, Verdict
from stilts.analysis.wording import count, format_effect, format_p, join_words
from stilts.workspace.notebooks.markup import escape_text


def describe_verdicts(table: pd.DataFrame) -> str:
    """Say of each row of `tabulate_verdicts` its hypothesis, effect, corrected p-value and verdict.

    A reason for which none of the tests could be made is said once, before them.
    """
    reason, rows = find_shared_obstacle(table), table.to_dict("records")
    if reason:
        said = [f"- *{row['hypothesis']}* {effect}" for row in rows for effect in [_effect(row)] if effect]
        return "\n".join([f"None of the {len(rows)} tests could be made: {reason}.", *([""] if said else []), *said])
    return "\n".join(f"- {_answer(row)}" for row in rows) or "No test was chosen."


def find_shared_obstacle(table: pd.DataFrame) -> str:
    """Return the reason for which none of several tests could be made, "" where one could or reasons differ."""
    if len(table) > 1 and set(table["verdict"]) == {Verdict.UNTESTABLE} and table["reason"].nunique() == 1:
        return str(table["reason"].iloc[0])
    return ""


def describe_headline(table: pd.DataFrame, test: str) -> str:
    """Say of one row of `tabulate_verdicts` its effect, why its verdict, and which effect its design could see."""
    row = table.set_index("test").loc[test]
    if np.isnan(row["estimate"]):
        return f"The test that stands for the question could not be made: {row['reason']}."
    seen = "" if np.isnan(row["detectable"]) else f"; it would have found {row['detectable']:.1f} in four of five tries"
    return f"The test that stands for the question: {_effect(row)} ({row['reason']}){seen}."


def describe_others(table: pd.DataFrame, test: str) -> str:
    """Say which of the tests beside one of `tabulate_verdicts` have an answer; "" if it is alone."""
    others = table[(table["test"] != test) & table["hypothesis"].ne("")]
    answered = others[others["verdict"].isin([str(each) for each in ANSWERS])]
    if others.empty:
        return ""
    said = [
        f"*{escape_text(row['hypothesis'])}* {row['verdict'].capitalize()}: {_say_size(row)}."
        for row in answered.to_dict("records")
    ]
    number = f"{len(said) or 'none'} {'has' if len(said) <= 1 else 'have'} an answer"
    return " ".join([f"Of {count(others, 'other test')} {number}{':' if said else '.'}", *said])


def _answer(row: Mapping[str, Any]) -> str:
    start = f"*{escape_text(row['hypothesis'])}* **{row['verdict'].capitalize()}**"
    if np.isnan(row["estimate"]):
        return f"{start}: {row['reason']}."
    reason = "" if row["reason"] in EVIDENT else f"; {row['reason']}"
    return f"{start}: {_effect(row)}{reason}."


def _effect(row: Mapping[str, Any]) -> str:
    """Say an effect and what it is from, "" where there is none."""
    return "" if np.isnan(row["estimate"]) else f"{_say_size(row)}{_say_p(row)}, from {row['based on']}"


def _say_size(row: Mapping[str, Any]) -> str:
    return format_effect(row["estimate"], row["low"], row["high"], row["unit"])


def _say_p(row: Mapping[str, Any]) -> str:
    """Say the corrected p-value of a verdict, and of which decision it is; "" where none was taken."""
    if row["verdict"] not in ANSWERS or np.isnan(row["p_holm"]):
        return ""
    of_what = " of equivalence" if row["verdict"] == Verdict.NO_EFFECT else ""
    return f", corrected p{of_what} {format_p(row['p_holm'])}"


def describe_power(table: pd.DataFrame, rules: Rules) -> str:
    """Say of each row of `tabulate_verdicts` which effect its design could see, beside the smallest that matters."""
    if table.empty:
        return "No test was chosen."
    lines = [f"- `{row['test']}`{_seen(row)}." for row in table.to_dict("records")]
    made = int((table["verdict"] != Verdict.UNTESTABLE).sum())
    if made:
        lines.append(
            "\nThis takes the observed spread over languages and seeds for the true one, and the strictest step of the "
            f"correction for the {count(rules.together(made), 'test')} that could be made."
        )
    return "\n".join(lines)


def _seen(row: Mapping[str, Any]) -> str:
    seen, smallest = row["detectable"], row["smallest effect"]
    if np.isnan(seen):
        return ": no power can be reckoned for it"
    said = f" would find an effect of {seen:.1f} {row['unit']} in four of five tries"
    if np.isnan(smallest):
        return said
    fine = "fine enough" if seen <= smallest else "too coarse"
    return f"{said}: {fine} for {smallest:.1f}, the smallest that matters"


def describe_caveats(results: Sequence[Result]) -> str:
    """Say what the tests left out or do not cover, each note once with the tests that it is of."""
    tests: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            tests.setdefault(note, []).append(f"`{result.test}`")
    said = (f"- {note[:1].upper()}{note[1:]} ({join_words(names)})." for note, names in tests.items())
    return "\n".join(said) or "Nothing was left out."


def describe_uncorrected(table: pd.DataFrame, names: Sequence[str], nothing: str) -> str:
    """Say which rows of a table, by their names, have intervals that exclude zero; `nothing` is said of an empty one.

    Nothing is corrected for, and the sentence says so.
    """
    if table.empty:
        return nothing
    chosen = keep_clear(table.assign(name=list(names)))["name"]
    if chosen.empty:
        return f"None of {len(table)} intervals, which nothing is corrected for, excludes zero."
    return f"Of {len(table)} intervals, which nothing is corrected for, these exclude zero: {'; '.join(chosen)}."
