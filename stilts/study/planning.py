"""The plan of a study: its runs with their parents, and the jobs that execute them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.runs import (
    UNTRAINED_SEED,
    ComplexityRunSettings,
    Job,
    PretrainingRunSettings,
    ResolvedEncoder,
    ResolvedEvaluation,
    Run,
    RunSettings,
    SimilarityRunSettings,
    TrainingRunSettings,
    ZeroShotRunSettings,
)
from stilts.study.settings import (
    MOST_NAME,
    Condition,
    EncoderSettings,
    EvaluationSettings,
    Phase,
    Study,
    TrainingSettings,
    strip_language,
)


def plan_runs(
    study: Study,
    conditions: Sequence[Condition],
    trained_as: Mapping[str, str],
    data: str,
    encoders: Mapping[str | None, str],
    measured: Sequence[Condition] = (),
    scored_by: Mapping[str, str] = MappingProxyType({}),
) -> list[Run]:
    """Return the runs of a study, parents before children. A run that several children share is repeated.

    Parameters
    ----------
    conditions : sequence of Condition
        The study's intermediates, resolved against the task registry.
    trained_as : mapping of str to str
        Target -> the task on which it is trained, usually itself. Targets that are missing here (retrieval, mining) are
        evaluated without target training.
    data : str
        Fingerprint of the suite.
    encoders : mapping
        Fingerprint of each encoder's files, by its key in the study's `encoders`; None for `encoder`.
    measured : sequence of Condition
        Conditions whose tasks are only measured, not trained.
    scored_by : mapping of str to str
        Target that the head of an intermediate task predicts -> this task. A condition without that task has no run.
    """
    runs: list[Run] = []
    for seed in study.seeds:
        for condition in conditions:
            line = _Line(study, condition, seed, data, encoders[condition.encoder])
            first = line.prepared()
            runs += first
            for target in study.targets:
                parent = first[-1] if first else None
                if target in scored_by:
                    runs += line.direct(target, scored_by[target], first)
                    continue
                trained = target in trained_as
                if trained:
                    parent = line.target(trained_as[target], parent)
                    runs.append(parent)
                runs.append(line.zero_shot(target, parent, line.target_training(target), has_head=trained))
        runs += _measures(study, [*conditions, *measured], trained_as, seed, data, encoders[None])
    return runs


def _measures(
    study: Study, conditions: Sequence[Condition], trained_as: Mapping[str, str], seed: int, data: str, encoder: str
) -> Iterator[Run]:
    """Yield the runs that measure tasks: one for the similarity of all, one per task for complexity."""
    base = _base(study, study.encoder, encoder)
    tasks = tuple(dict.fromkeys(task for each in conditions for task in each.all_tasks))
    if similarity := study.measures.similarity:
        settings = SimilarityRunSettings(
            **base, measure=similarity, intermediates=tasks, targets=tuple(trained_as)
        )
        yield Run(phase="measure", condition=similarity.kind, seed=seed, settings=settings, data=data)
    if complexity := study.measures.complexity:
        for task in tasks:
            training = study.training("intermediate", *_own_names(task))
            settings = ComplexityRunSettings(**base, measure=complexity, task=task, training=training)
            name = _that_fits(f"{complexity.kind}-{task.replace('.', '-')}")
            yield Run(phase="measure", condition=name, seed=seed, settings=settings, data=data)


def _own_names(task: str) -> tuple[str, str]:
    """Return the keys of `per_task` that apply to a task: its name without and with its language."""
    return strip_language(task), task


def _base(study: Study, encoder: EncoderSettings, fingerprint: str) -> dict[str, Any]:
    """Return the settings that all runs have."""
    return {"encoder": ResolvedEncoder(**encoder.model_dump(), fingerprint=fingerprint), "suite": study.data.suite}


@dataclass(frozen=True)
class _Line:
    """All runs of one condition and seed, where each starts from its parent's checkpoint."""

    study: Study
    condition: Condition
    seed: int
    data: str
    fingerprint: str

    def prepared(self) -> list[Run]:
        """Return the runs before target training: pretraining and the intermediate stages."""
        runs = [self._pretraining()] if self.encoder.pretrained else []
        for stage in self._stages():
            runs.append(self._intermediate(stage, runs[-1] if runs else None))
        return runs

    @property
    def encoder(self) -> EncoderSettings:
        return self.study.encoder_of(self.condition)

    def _pretraining(self) -> Run:
        return Run(
            phase="pretraining",
            condition=self.condition.encoder or self.encoder.pretrained,
            seed=self.seed,
            settings=PretrainingRunSettings(**self._base, pretraining=self.study.pretraining),
            data=self.data,
        )

    def _stages(self) -> list[Condition]:
        """Return each intermediate stage as a condition.

        A stage is named after its tasks, so that conditions share its run. The last stage is the condition itself,
        unless the condition changes how phase 2 trains (adapters, target settings): phase 1 does not depend on that.
        """
        condition, lora = self.condition, self.condition.adapters != "none"
        if not condition.tasks:
            return []
        names = (*condition.before, condition.tasks)
        stages = [_shared_stage(names[: number + 1], condition.example_cap, lora) for number in range(len(names))]
        return stages if lora or condition.target_training else [*stages[:-1], condition]

    def _intermediate(self, stage: Condition, parent: Run | None) -> Run:
        # Tasks that train together share one schedule, so a task's own settings apply only when it trains alone.
        alone = _own_names(stage.tasks[0]) if len(stage.tasks) == 1 else ()
        names = (*alone, self.condition.name)
        training = self._with_adapters(self.study.training("intermediate", *names), self.condition.adapters != "none")
        return self._training("intermediate", stage, None, parent, training)

    def target(self, task: str, parent: Run | None) -> Run:
        """Return the training of a target task."""
        training = self._with_adapters(self.target_training(task), self.condition.adapters in ("continued", "fresh"))
        return self._training("target", self.condition, task, parent, training)

    def _training(
        self, phase: Phase, condition: Condition, target: str | None, parent: Run | None, training: TrainingSettings
    ) -> Run:
        settings = TrainingRunSettings(**self._base, condition=_bare(condition), training=training)
        return self._run(phase, condition.name, target, parent, settings)

    def target_training(self, task: str) -> TrainingSettings:
        """Return how a target task is trained."""
        return self.study.training("target", task, changes=self.condition.target_training)

    def _with_adapters(self, training: TrainingSettings, wanted: bool) -> TrainingSettings:
        if not wanted:
            return training
        try:
            return TrainingSettings(**{**training.model_dump(), "lora": training.lora or self.study.lora})
        except ValidationError as error:
            raise StiltsError(f"condition {self.condition.name}: {describe_reasons(error)}") from None

    def direct(self, target: str, task: str, prepared: Sequence[Run]) -> list[Run]:
        """Return the evaluation of a target by the head of an intermediate task, none where no stage trained it.

        Its inputs are cut as in the last of the prepared stages that trained the head.
        """
        stages = [run.settings for run in prepared if isinstance(run.settings, TrainingRunSettings)]
        own = [each.training for each in stages if task in map(strip_language, each.condition.tasks)]
        return [self.zero_shot(target, prepared[-1], own[-1], has_head=True)] if own else []

    def zero_shot(self, target: str, parent: Run | None, training: TrainingSettings, *, has_head: bool) -> Run:
        """Return the evaluation of a target task in the study's languages, on inputs cut as in a training."""
        study = self.study
        wanted = study.data.languages if study.evaluation.languages == "all" else study.evaluation.languages
        settings = ZeroShotRunSettings(
            **self._base,
            condition=_bare(self.condition),
            evaluation=_tested(study.evaluation, target, has_head),
            languages=wanted,
            max_length=training.max_length,
            doc_stride=training.doc_stride if has_head else None,
        )
        return self._run("zero-shot", self.condition.name, target, parent, settings)

    @property
    def _base(self) -> dict[str, Any]:
        return _base(self.study, self.encoder, self.fingerprint)

    def _run(self, phase: Phase, condition: str, target: str | None, parent: Run | None, settings: RunSettings) -> Run:
        run = Run(
            phase=phase,
            condition=condition,
            target=target,
            seed=self.seed,
            settings=settings,
            parents=(parent.id,) if parent else (),
            data=self.data,
        )
        return run.model_copy(update={"seed": UNTRAINED_SEED}) if run.untrained else run


def _bare(condition: Condition) -> Condition:
    """Return a condition without encoder and target training, which the run's settings hold in resolved form."""
    return condition.model_copy(update={"encoder": None, "target_training": {}})


def _tested(evaluation: EvaluationSettings, target: str, has_head: bool) -> ResolvedEvaluation:
    """Return the evaluation settings that affect a target's run, so that the others do not change its id."""
    unread = {"retrieval_layer"} if has_head else {"examples", "chunk_rule"}
    own = {**evaluation.model_dump(), "examples": evaluation.per_target.get(target, evaluation.examples)}
    return ResolvedEvaluation(**{name: own[name] for name in own.keys() - {"languages", "per_target", *unread}})


def _shared_stage(stages: Sequence[tuple[str, ...]], example_cap: int, lora: bool) -> Condition:
    """Return the last of these stages, named after its tasks."""
    *before, tasks = stages
    names = ["stage", *(task.replace(".", "-") for task in tasks), *(["lora"] if lora else [])]
    return Condition(name=_that_fits("-".join(names)), tasks=tasks, example_cap=example_cap, before=tuple(before))


def _that_fits(name: str) -> str:
    """Return a name; one longer than `MOST_NAME` is truncated and gets a hash of the whole name."""
    if len(name) <= MOST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[: MOST_NAME - len(digest) - 1].rstrip('-')}-{digest}"


def drop_repeated(runs: Sequence[Run]) -> list[Run]:
    """Return the runs without duplicates, in order of first appearance."""
    return list({run.id: run for run in runs}.values())


def group_jobs(runs: Sequence[Run], runs_per_job: int) -> list[Job]:
    """Return jobs of at most `runs_per_job` runs of one phase, condition and seed, in the order of the plan."""
    groups: dict[tuple[Phase, str, int], list[Run]] = {}
    for run in drop_repeated(runs):
        groups.setdefault((run.phase, run.condition, run.seed), []).append(run)
    jobs = []
    for (phase, condition, seed), members in groups.items():
        for part in _even_parts(members, runs_per_job):
            jobs.append(Job(phase=phase, condition=condition, seed=seed, runs=tuple(part)))
    return jobs


def _even_parts(members: list[Run], most: int) -> Iterator[list[Run]]:
    """Yield the fewest parts of at most `most` members, as even as possible."""
    count = -(-len(members) // most)
    bounds = [round(i * len(members) / count) for i in range(count + 1)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        yield members[start:stop]
