"""The names of a suite's configs, which say what a config holds."""

from typing import NamedTuple, Self

MULTILINGUAL = "multilingual"
_INTERMEDIATE = "intermediate"


class Config(NamedTuple):
    """One config of a suite: `intent.de`, or of an intermediate task `intermediate.nli.en`.

    Attributes
    ----------
    task : str
    language : str
        ISO 639-1 code; `MULTILINGUAL` where one config holds many, or what else stands in its place.
    intermediate : bool
        Whether the task is an intermediate one: a target of the same name has other rows.
    """

    task: str
    language: str
    intermediate: bool = False

    @classmethod
    def parse(cls, name: str) -> Self:
        """Return what a config's name says."""
        *before, task, language = name.split(".")
        return cls(task, language, before == [_INTERMEDIATE])

    def __str__(self) -> str:
        return ".".join([*([_INTERMEDIATE] if self.intermediate else []), self.task, self.language])
