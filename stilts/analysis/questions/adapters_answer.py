"""The answer to question 4, in tables' and tests' words."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from stilts.analysis.conditions import is_same_task
from stilts.analysis.opened import open_study
from stilts.analysis.questions import chapters
from stilts.analysis.questions.adapters import COMBINED, FULL, Evidence, conditions_of, gather, similarities
from stilts.analysis.questions.adapters_tables import scheme_gains
from stilts.analysis.questions.adapters_tests import TESTS
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.evidence import learned_outcomes, level_of, redrawn_outcomes
from stilts.analysis.wording import count, in_words, listed, signed
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.settings import Study
from stilts.workspace.checkout import workspace


def design_text(evidence: Evidence, beside: str | None = None) -> str:
    """Say which pairs there are, what the gains are averages of, and the study whose records stand beside, if any."""
    if not evidence.pairs:
        return "There are no gains yet."
    tested = [len(evidence.gain(evidence.schemes[0], [pair])) for pair in evidence.pairs]
    fewest, most, seeds = min(tested), max(tested), len(evidence.seeds)
    alike = [f"{first} before {second}" for first, second in evidence.pairs if is_same_task([first], second)]
    said = f" Of the same task twice, and left out of the tests: {', '.join(alike)}." if alike else ""
    full = f" Full fine-tuning is that of study {listed([beside])}." if beside else ""
    span = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"{len(evidence.intermediates)} intermediate tasks ({listed(evidence.intermediates)}) before "
        f"{len(evidence.targets)} target tasks ({listed(evidence.targets)}), in {count(evidence.schemes, 'way')} "
        f"({listed(evidence.schemes)}); each gain is over {span} languages besides English and {seeds} "
        f"seed{'' if seeds == 1 else 's'}.{said}{full}"
    )


def schemes_text(table: pd.DataFrame) -> str:
    """Say what each way of training gains over pairs of two tasks."""
    if table.empty:
        return "There is nothing to compare yet."
    rows = table.to_dict("records")
    said = [f"{in_words(row['gain'], row['low'], row['high'])} with `{row['group']}`" for row in rows]
    return f"Over pairs of two different tasks, the gain of intermediate training is {', '.join(said)}."


def agreement_text(table: pd.DataFrame) -> str:
    """Say how far each two measures agree."""
    if table.empty:
        return "There are not two measures to compare yet."
    said = [
        f"`{row['first']}` and `{row['second']}` by {signed(row['rank'], 2)} (p {row['p']:.3f})"
        for row in table.to_dict("records")
    ]
    return f"Over pairs of two tasks the measures correlate by rank: {', '.join(said)}."


def prediction_text(table: pd.DataFrame) -> str:
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


def answer(section: Section) -> Answer:
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
        return from_records(section, None, ())
    return from_records(section, workspace().study(name), open_study(name).records)


def from_records(section: Section, beside: Study | None, other: Sequence[Record]) -> Answer:
    """Answer the question from the records of a section, and those of the study that stands beside it."""
    analysis = section.analysis
    records, conditions = list(analysis.records), conditions_of(section.settings)
    if beside is not None:
        check_comparable(section.settings, beside)
        full = {name: of for name, of in conditions_of(beside).items() if of[0] == FULL}
        wanted, there = set(section.settings.targets), {record.id for record in records}
        found = [each for each in other if each.run.condition in full and each.run.target in wanted]
        records += [record for record in found if record.id not in there]
        conditions = full | conditions
    joined = replace(analysis, records=tuple(records))
    table = learned_outcomes(records, joined.failed)
    measured = similarities(analysis.phase("measure"), analysis.store)
    evidence = gather(table, conditions, measured, redrawn_outcomes(table, joined))
    text = schemes_text(scheme_gains(evidence, section.rules)) if evidence.different else ""
    level = level_of(table, [name for name, (_, task) in conditions.items() if task is None], joined.floors)
    return chapters.answer(section, evidence, TESTS, text, level=level)


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
