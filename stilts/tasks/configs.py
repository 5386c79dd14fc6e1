"""The names of a suite's configs, and their parts."""

from typing import NamedTuple, Self

MULTILINGUAL = "multilingual"
_INTERMEDIATE = "intermediate"


class Config(NamedTuple):
    """One config of a suite, such as `intent.de`, or `intermediate.nli.en` for an intermediate task.

    Attributes
    ----------
    task : str
    language : str
        ISO 639-1 code; `MULTILINGUAL` if the config has several languages; or another name, such as `candidates`.
    intermediate : bool
        Whether the task is an intermediate one. A target task of the same name has other rows.
    """

    task: str
    language: str
    intermediate: bool = False

    @classmethod
    def parse(cls, name: str) -> Self:
        """Return the parts of a config's name."""
        *before, task, language = name.split(".")
        return cls(task, language, before == [_INTERMEDIATE])

    def __str__(self) -> str:
        return ".".join([*([_INTERMEDIATE] if self.intermediate else []), self.task, self.language])
