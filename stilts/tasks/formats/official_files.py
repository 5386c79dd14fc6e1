"""Lines of the files in which the XTREME leaderboard takes predictions."""

from collections.abc import Iterable, Sequence

from stilts.tasks.formats.inputs import Row


def join_lines(lines: Iterable[str]) -> str:
    """Return lines as one text."""
    return "".join(f"{line}\n" for line in lines)


def restore_official_order(rows: Sequence[Row], lines: Iterable[str]) -> list[str]:
    """Undo the suite's order: as many of the first rows as there are lines, by their numbers in the official file."""
    return [line for _, line in sorted(zip(read_row_numbers(rows), lines, strict=False))]


def read_row_numbers(rows: Iterable[Row]) -> list[int]:
    """Return where rows stand in the official file."""
    return [int(row["id"]) for row in rows]
