"""Published scores for comparison with a study's own, with their source and certainty."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stilts.study.yaml_files import read_yaml

TABLE = Path(__file__).with_name("published.yaml")
CERTAINTY = {
    "thread": "seen in a stored thread, not checked against the paper",
    "remembered": "remembered, not confirmed anywhere",
}


class Series(BaseModel):
    """Scores of one published model, in percent.

    Attributes
    ----------
    name, what : str
        The model, and what was scored.
    seen : str
        How certain the numbers are; a key of `CERTAINTY`.
    source : str
        Where they were seen.
    averages : dict
        Target -> mean over its languages, including English.
    languages : dict
        Target -> language -> score.
    notes : dict
        Target -> note on its numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    what: str
    seen: Literal["thread", "remembered"]
    source: str
    averages: dict[str, float] = Field(default_factory=dict)
    languages: dict[str, dict[str, float]] = Field(default_factory=dict)
    notes: dict[str, str] = Field(default_factory=dict)

    def describe(self) -> str:
        """Return a sentence that says what the numbers are, where they were seen and how certain they are."""
        noted = "".join(f"; `{target}`: {note}" for target, note in self.notes.items())
        return f"{self.name} ({self.what}{noted}): {self.source}; {CERTAINTY[self.seen]}."


@cache
def read_published() -> tuple[Series, ...]:
    """Return all series in the order of the file."""
    content = read_yaml(TABLE, "table of published scores")
    return tuple(TypeAdapter(list[Series]).validate_python(content))


def read_averages() -> list[Series]:
    """Return the series with averages over languages."""
    return [series for series in read_published() if series.averages]


def find_language_scores(target: str) -> Series | None:
    """Return the first series with scores of a target by language; None if there is none."""
    return next((series for series in read_published() if target in series.languages), None)
