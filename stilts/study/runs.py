"""Runs and jobs with their content-addressed names.

A run is a pure function of its resolved settings. Its id is a readable slug and a short hash of everything that
determines its result: the settings, the data's fingerprint, the parents' ids and the version of the phase's code.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag

from stilts.study.settings import (
    EVALUATION_PRECISION,
    ChunkRule,
    ComplexitySettings,
    Condition,
    Count,
    EncoderSettings,
    Heads,
    Languages,
    Length,
    Phase,
    Precision,
    PretrainingSettings,
    Settings,
    SimilaritySettings,
    Tokens,
    TrainingSettings,
    make_later_field,
)
from stilts.study.storage import hash_json

# Increase a phase's number only when a change of its code changes its results: its existing records become invalid.
PHASE_VERSIONS: Mapping[Phase, int] = {
    "pretraining": 1, "intermediate": 1, "target": 1, "zero-shot": 1, "measure": 1,
}  # fmt: skip

UNTRAINED_SEED = 0
"""Seed of the runs without training, which no study may list among its own."""


# --- resolved settings, one class per kind of run --------------------------------------------------------------------


class ResolvedEncoder(EncoderSettings):
    """The encoder that a run starts from, identified by its files."""

    fingerprint: str = Field(description="of the encoder's files")


class RunSettings(Settings):
    """The settings that all runs have."""

    encoder: ResolvedEncoder
    suite: str = Field(description="name of the suite")


class PretrainingRunSettings(RunSettings):
    """Settings of a run that pretrains a randomly initialised encoder on texts."""

    pretraining: PretrainingSettings


class TrainingRunSettings(RunSettings):
    """Settings of a training run in phase 1 or 2."""

    condition: Condition
    training: TrainingSettings


class ResolvedEvaluation(Settings):
    """How test sets are read and processed; None for settings that do not affect a run."""

    examples: Count | None = make_later_field(None, "test examples per language, at most; None where all are read")
    batch_tokens: Tokens = Field(description="tokens of one padded batch, at most")
    retrieval_layer: int | None = make_later_field(None, "hidden layer that is pooled for retrieval")
    chunk_rule: ChunkRule = make_later_field("seqeval-0.0.12", "how tags are read as chunks")
    precision: Precision = make_later_field(EVALUATION_PRECISION, "of the evaluation")


class ZeroShotRunSettings(RunSettings):
    """Settings of an evaluation run in phase 3."""

    condition: Condition
    evaluation: ResolvedEvaluation
    languages: Languages
    max_length: Length = Field(description="tokens of one encoder input, at most")
    doc_stride: int | None = make_later_field(None, "subwords from the start of one window to that of the next")


class SimilarityRunSettings(RunSettings):
    """Settings of a run that measures the similarity of a study's tasks."""

    measure: SimilaritySettings
    intermediates: tuple[str, ...] = Field(description="task references")
    targets: tuple[str, ...]


class ComplexityRunSettings(RunSettings):
    """Settings of a run that measures the complexity of a task."""

    measure: ComplexitySettings
    task: str = Field(description="task reference")
    training: TrainingSettings


def _kind(settings: Any) -> str:
    """Return the tag of a kind of settings in `AnyRunSettings`."""
    held = settings if isinstance(settings, dict) else settings.__dict__
    if "measure" in held:
        measure = held["measure"]
        return measure.get("kind", "") if isinstance(measure, dict) else measure.kind
    return next((name for name in ("pretraining", "evaluation", "training") if name in held), "")


AnyRunSettings = Annotated[
    Annotated[PretrainingRunSettings, Tag("pretraining")]
    | Annotated[TrainingRunSettings, Tag("training")]
    | Annotated[ZeroShotRunSettings, Tag("evaluation")]
    | Annotated[SimilarityRunSettings, Tag("similarity")]
    | Annotated[ComplexityRunSettings, Tag("complexity")],
    Discriminator(_kind),
]


# --- runs and jobs ---------------------------------------------------------------------------------------------------


class Named(Settings):
    """Base of models whose id is a cached hash of their content."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with updated values and a new id."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        return copy


class Run(Named):
    """One run of one phase: everything that determines its result, and its id."""

    phase: Phase
    condition: str
    target: str | None = Field(None, description="target task; None in the intermediate phase")
    seed: int
    settings: AnyRunSettings = Field(description="resolved")
    parents: tuple[str, ...] = ()
    data: str = Field(description="fingerprint of the suite")

    @cached_property
    def id(self) -> str:
        """A readable slug and ten hexadecimal digits of a hash of everything that determines the result."""
        decisive = {**self.model_dump(mode="json"), "version": PHASE_VERSIONS[self.phase]}
        return f"{self.slug}-{hash_json(decisive)[:10]}"

    @property
    def slug(self) -> str:
        """The readable part of the id."""
        subject = self.condition if self.target is None else f"{self.condition}.{self.target}"
        return f"{self.phase}-{subject}-s{self.seed}"

    @property
    def untrained(self) -> bool:
        """Whether nothing was trained for it: it tests the public encoder, and is the same for every seed."""
        return self.phase == "zero-shot" and not self.parents

    @property
    def heads(self) -> Heads:
        """The style of the heads, see `EncoderSettings`."""
        return self.settings.encoder.heads


class Job(Named):
    """Runs of one phase, condition and seed that one notebook executes."""

    phase: Phase
    condition: str
    seed: int
    runs: tuple[Run, ...]

    @cached_property
    def id(self) -> str:
        """A readable slug and a hash of the ids of the job's runs."""
        ids = " ".join(run.id for run in self.runs)
        return f"{self.phase}-{self.condition}-s{self.seed}-{hashlib.sha256(ids.encode()).hexdigest()[:10]}"

    @property
    def targets(self) -> list[str]:
        """The target tasks of the job's runs; empty in the intermediate phase."""
        return [run.target for run in self.runs if run.target is not None]
