"""What reports hold, as headers and rows of text for the terminal."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stilts.workspace.disk import format_size

if TYPE_CHECKING:  # importing pandas takes a third of a second
    from stilts.analysis.questions.power import Power
    from stilts.analysis.score_tables import Difference, Score
    from stilts.workspace.cleaning import Unneeded
    from stilts.workspace.studies import StudyState

Listing = tuple[tuple[str, ...], list[tuple[str, ...]]]  # headers, rows

NOT_LEARNED = "* not learned in English: the score says nothing about transfer"
FEWER_SEEDS = "~ mean over fewer seeds than another condition has"
ABOUT_SCORES = "percent, mean over languages besides English and over seeds"
ABOUT_LANGUAGES = "percent, mean over seeds"
ABOUT_DIFFERENCES = (
    "points, mean over languages besides English, over seeds that both have; 95 % intervals over languages, test items "
    "and seeds; p is not corrected for the number of targets"
)
ONE_SEED = "intervals from one seed say nothing of another seed's luck"


def show_studies(studies: Sequence["StudyState"]) -> Listing:
    """Return a row for each study."""
    rows = [
        (each.name, f"error: {each.error}", "", "", "")
        if each.error
        else (each.name, each.title, str(each.planned), str(each.recorded), str(each.here))
        for each in studies
    ]
    return ("study", "title", "runs", "in results/", "done here"), rows


def show_values(values: Mapping[str, Any], head: str) -> Listing:
    """Return a row for each named value."""
    return (head, "value"), [(name, _written(value)) for name, value in values.items()]


def show_metrics(metrics: Mapping[str, Mapping[str, float]], names: Mapping[str, str]) -> Listing:
    """Return a row for each language, with heads for the keys of some metrics."""
    heads, rows = _columns(list(metrics.values()), names)
    return ("language", *heads), [(code, *row) for code, row in zip(metrics, rows, strict=True)]


def show_dev_scores(history: Sequence[Mapping[str, float]], names: Mapping[str, str]) -> Listing:
    """Return a row for each evaluation during a training, with heads for some keys; losses by update are left out."""
    evaluations = [noted for noted in history if noted.keys() - {"update", "loss"}]
    return _columns(evaluations, names)


def _columns(rows: Sequence[Mapping[str, float]], heads: Mapping[str, str]) -> Listing:
    """Return rows that may lack some values; a column of whole numbers has no decimals."""
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    whole = {name for name in names if all(row.get(name, 0.0).is_integer() for row in rows)}
    return tuple(heads.get(name, name) for name in names), [
        tuple(_number(row[name], name in whole) if name in row else "" for name in names) for row in rows
    ]


def _number(value: float, whole: bool) -> str:
    if whole:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _number(value, value.is_integer()) if isinstance(value, float) else str(value)


def show_scores(scores: Sequence["Score"]) -> Listing:
    """Return scores with a row for each condition and a column for each target, or by language if they are so.

    By language there is a row for each target and language, and a column for each condition.
    """
    by_language = any(each.language for each in scores)
    cells = {
        ((each.target, each.language or "") if by_language else (each.condition,),
         each.condition if by_language else each.target): _percent(each)
        for each in scores
    }  # fmt: skip
    rows, columns = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    heads = ("target", "language") if by_language else ("condition",)
    return (*heads, *columns), [(*row, *(cells.get((row, column), "") for column in columns)) for row in rows]


def _percent(score: "Score") -> str:
    return f"{score.score:.1f}" + ("" if score.learned else "*") + ("~" if score.fewer_seeds else "")


def show_differences(differences: Sequence["Difference"], first: str, second: str) -> Listing:
    """Return a row for each target, and one for their mean."""
    from stilts.analysis.wording import format_p, format_signed

    rows = [
        (
            _name_difference(each),
            f"{each.first:.1f}" if each.target else "",
            f"{each.second:.1f}" if each.target else "",
            format_signed(each.difference),
            f"{format_signed(each.low)} to {format_signed(each.high)}",
            format_p(each.p),
            str(each.languages),
            str(each.seeds),
        )
        for each in differences
    ]
    difference = f"{first} \N{MINUS SIGN} {second}"
    return ("target", first, second, difference, "95 % interval", "p", "languages", "seeds"), rows


def _name_difference(found: "Difference") -> str:
    if found.target:
        return found.target + ("*" if found.uncounted else "") + (" (same task)" if found.same_task else "")
    return f"mean of {found.targets} targets" + (", same task included" if found.same_task else "")


def explain_differences(differences: Sequence["Difference"]) -> list[str]:
    """Return what a reader of `show_differences` must know, a line each."""
    lines = [ABOUT_DIFFERENCES]
    if any(each.seeds == 1 for each in differences):
        lines.append(ONE_SEED)
    return [*lines, *(f"* in no mean: {each.uncounted}" for each in differences if each.uncounted)]


def show_unneeded(found: Sequence["Unneeded"], runs: Path) -> Listing:
    """Return a row for each file or folder, with its path in the folder of runs."""
    rows = [(each.kind, format_size(each.size), str(each.path.relative_to(runs))) for each in found]
    return ("what", "size", "where"), rows


def show_power(tests: Sequence["Power"]) -> Listing:
    """Return a row for each test."""
    dash = "\N{EN DASH}"
    rows = [
        (
            each.test,
            dash if math.isnan(each.detectable) else f"{each.detectable:.1f}",
            dash if each.smallest_effect is None else f"{each.smallest_effect:.1f}",
            each.unit,
            str(each.seeds),
            dash if each.seeds_needed is None else str(each.seeds_needed),
            dash if each.hours_more is None else f"{each.hours_more:.1f}",
        )
        for each in tests
    ]
    return ("test", "sees now", "should see", "unit", "seeds now", "seeds needed", "hours more"), rows
