"""The lines of prediction files for the XTREME leaderboard."""

from collections.abc import Iterable, Sequence

from stilts.tasks.formats.inputs import Row


def join_lines(lines: Iterable[str]) -> str:
    """Return the text of a file with these lines."""
    return "".join(f"{line}\n" for line in lines)


def restore_official_order(rows: Sequence[Row], lines: Iterable[str]) -> list[str]:
    """Return the lines of the first rows, sorted by the rows' numbers in the official file."""
    return [line for _, line in sorted(zip(read_row_numbers(rows), lines, strict=False))]


def read_row_numbers(rows: Iterable[Row]) -> list[int]:
    """Return the numbers of rows in the official file."""
    return [int(row["id"]) for row in rows]
