"""Sentences that all questions say, made from the table of their tests with verdicts, and of other effects."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from stilts.analysis.estimates import keep_clear
from stilts.analysis.questions.testing import Result, Rules, Test
from stilts.analysis.verdicts import ANSWERS, EVIDENT, Kind, Verdict
from stilts.analysis.wording import count, format_effect, format_p, join_words, title_task
from stilts.workspace.notebooks.markup import escape_text

POWERED = "80 percent power"


def describe_verdicts(table: pd.DataFrame) -> str:
    """Say of each row of `tabulate_verdicts` its hypothesis, effect, corrected p-value and verdict.

    A reason for which none of the tests could be made is said once, before them; what all rest on, after them.
    """
    if table.empty:
        return "No test was chosen."
    reason, shared = find_shared_obstacle(table), _find_shared_basis(table)
    rows = table.assign(**{"based on": ""} if shared else {}).to_dict("records")
    if reason:
        first = [f"None of the {len(rows)} tests could be made: {reason}."]
        said = [f"- *{row['hypothesis']}* {effect}" for row in rows for effect in [_effect(row)] if effect]
    else:
        first, said = [], [f"- {_answer(row)}" for row in rows]
    last = [f"Each number is from {shared}."] if shared and said else []
    return "\n\n".join(filter(None, map("\n".join, (first, said, last))))


def _find_shared_basis(table: pd.DataFrame) -> str:
    """Return what all of several effects rest on, "" where that differs."""
    bases = set(table.loc[table["estimate"].notna(), "based on"])
    return bases.pop() if len(bases) == 1 and len(table) > 1 else ""


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
    seen = "" if np.isnan(row["detectable"]) else f"; {POWERED} for {row['detectable']:.1f} or more"
    return f"The test that stands for the question: {_effect(row)} ({row['reason']}){seen}."


def describe_others(table: pd.DataFrame, test: str) -> str:
    """Say which of the tests beside one of `tabulate_verdicts` have an answer; "" if it is alone."""
    others = table[(table["test"] != test) & table["hypothesis"].ne("")]
    answered = others[others["verdict"].isin([str(each) for each in ANSWERS])]
    if others.empty:
        return ""
    said = [
        f"*{escape_text(row['hypothesis'])}* {row['verdict'].capitalize()}: {_name_effect(row)}{_say_size(row)}."
        for row in answered.to_dict("records")
    ]
    if len(others) == 1:
        start = f"The one other test has {'an' if said else 'no'} answer"
    else:
        number = f"{len(said) or 'none'} {'has' if len(said) <= 1 else 'have'} an answer"
        start = f"Of {count(others, 'other test')} {number}"
    return " ".join([f"{start}{':' if said else '.'}", *said])


class Evidence(Protocol):
    """What a question is answered from, where each target can be looked at by itself."""

    @property
    def targets(self) -> Sequence[str]:
        """Targets that effects average."""

    def of_target(self, target: str) -> Self:
        """Return the evidence of one target alone."""


def describe_by_target(evidence: Evidence, rules: Rules, test: Test) -> str:
    """Say what the effect of a test is on each target, nothing corrected; "" where fewer than two have one."""
    effects = {target: test.estimate(evidence.of_target(target), rules) for target in evidence.targets}
    said = [
        f"{title_task(target)} {format_effect(each.value, each.low, each.high, '')}"
        for target, each in effects.items()
        if each.known
    ]
    return f"By target, uncorrected: {'; '.join(said)}." if len(said) > 1 else ""


def _answer(row: Mapping[str, Any]) -> str:
    start = f"*{escape_text(row['hypothesis'])}* **{row['verdict'].capitalize()}**"
    if np.isnan(row["estimate"]):
        return f"{start}: {row['reason']}."
    reason = "" if row["reason"] in EVIDENT else f"; {row['reason']}"
    return f"{start}: {_effect(row)}{reason}."


def _effect(row: Mapping[str, Any]) -> str:
    """Say an effect and what it is from, "" where there is none."""
    if np.isnan(row["estimate"]):
        return ""
    basis = f", from {row['based on']}" if row["based on"] else ""
    return f"{_name_effect(row)}{_say_size(row)}{_say_p(row)}{basis}"


def _name_effect(row: Mapping[str, Any]) -> str:
    """Say what the number of a test is, where its hypothesis leaves the sign open."""
    return f"{row['effect']} " if row["asks"] == Kind.DIFFERS and row["effect"] else ""


def _say_size(row: Mapping[str, Any]) -> str:
    return format_effect(row["estimate"], row["low"], row["high"], row["unit"])


def _say_p(row: Mapping[str, Any]) -> str:
    """Say the corrected p-value of a verdict, and of which decision it is; "" where none was taken."""
    if row["verdict"] not in ANSWERS or np.isnan(row["p_holm"]):
        return ""
    of_what = " of equivalence" if row["verdict"] == Verdict.NO_EFFECT else ""
    return f", corrected p{of_what} {format_p(row['p_holm'])}"


def describe_power(table: pd.DataFrame, rules: Rules) -> str:
    """Say of the tests of `tabulate_verdicts` which effects they could see, beside the smallest that matters."""
    made = table[table["verdict"] != Verdict.UNTESTABLE]
    if table.empty:
        return "No test was chosen."
    said = [_seen(unit, rows.dropna(subset="detectable")) for unit, rows in made.groupby("unit", sort=False)]
    unknown = table[table["detectable"].isna()]
    if len(unknown):
        said.append(f"Power is unknown of: {'; '.join(unknown['effect'])}.")
    if len(made):
        said.append(
            "This takes the observed spread over languages and seeds for the true one, and the strictest step of the "
            f"correction for the {count(rules.together(len(made)), 'test')} that could be made."
        )
    return " ".join(filter(None, said))


def _seen(unit: str, rows: pd.DataFrame) -> str:
    """Say which effects the tests of one unit could see, and how many of them see the smallest that matters."""
    if rows.empty:
        return ""
    low, high = (f"{value:.1f}" for value in (rows["detectable"].min(), rows["detectable"].max()))
    sizes = f"{low}" if low == high else f"{low} to {high}"
    tests = f"{count(rows, 'test')} {'has' if len(rows) == 1 else 'have'}"
    said = f"{tests} {POWERED} for effects of at least {sizes} {unit}"
    known = rows.dropna(subset="smallest effect")
    if known.empty:
        return f"{said}."
    fine = int((known["detectable"] <= known["smallest effect"]).sum())
    least = join_words(sorted({f"{value:.1f}" for value in known["smallest effect"]}))
    seeing = f"{fine or 'none'} of them would see" if len(rows) > 1 else f"it would {'' if fine else 'not '}see"
    return f"{said}; {least} would matter, which {seeing}."


def describe_caveats(results: Sequence[Result]) -> str:
    """Say what the tests left out or do not cover, each note once with the tests that it is of."""
    tests: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            tests.setdefault(note, []).append(result.effect)
    said = [
        f"- {note[:1].upper()}{note[1:]} ({'all tests' if len(names) == len(results) > 1 else '; '.join(names)})."
        for note, names in tests.items()
    ]
    return "\n".join(said) or "No test has a note of its own."


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
