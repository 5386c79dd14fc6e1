"""Runs and jobs with their content-addressed names.

A run is a pure function of its resolved settings. Its id is a readable slug and a short hash of everything that decides
its outcome: the settings, the data's fingerprint, the parents' ids and the version of the phase's code.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import Field

from stilts.study.settings import Heads, Phase, Settings
from stilts.study.storage import digest

# Raise a phase's number when a change of its code changes what it computes; a mere clean-up keeps it, and the records.
PHASE_VERSIONS: Mapping[Phase, int] = {
    "pretraining": 1, "intermediate": 1, "target": 1, "zero-shot": 1, "measure": 1,
}  # fmt: skip


class Named(Settings):
    """Base of what has an id made from all that it holds; it is made once, a plan asks for it many times."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values, and so with an id of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        return copy


class Run(Named):
    """One run of one phase: everything that decides its outcome, and its name."""

    phase: Phase
    condition: str
    target: str | None = Field(None, description="target task; None in the intermediate phase")
    seed: int
    settings: dict[str, Any] = Field(description="resolved, flat enough to read, JSON types alone")
    parents: tuple[str, ...] = ()
    data: str = Field(description="fingerprint of the suite")

    @cached_property
    def id(self) -> str:
        """Readable slug and ten hexadecimal digits of a hash over all that decides the outcome."""
        decisive = {**self.model_dump(mode="json"), "version": PHASE_VERSIONS[self.phase]}
        subject = self.condition if self.target is None else f"{self.condition}.{self.target}"
        return f"{self.phase}-{subject}-s{self.seed}-{digest(decisive)[:10]}"

    @property
    def heads(self) -> Heads:
        """Style of the heads, see `EncoderSettings`."""
        return self.settings["encoder"].get("heads", "mean")


class Job(Named):
    """Runs of one phase, condition and seed that one notebook executes."""

    phase: Phase
    condition: str
    seed: int
    runs: tuple[Run, ...]

    @cached_property
    def id(self) -> str:
        """Readable slug and a hash of the ids of the job's runs."""
        ids = " ".join(run.id for run in self.runs)
        return f"{self.phase}-{self.condition}-s{self.seed}-{hashlib.sha256(ids.encode()).hexdigest()[:10]}"

    @property
    def targets(self) -> list[str]:
        """Target tasks of the job's runs, none in the intermediate phase."""
        return [run.target for run in self.runs if run.target is not None]
