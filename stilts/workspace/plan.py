"""The plan of a study: its runs, the jobs that execute them, and their checkout."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from stilts.sources.xtreme import NOT_FETCHED, describe_missing_data
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.planning import group_jobs
from stilts.study.runs import PHASE_VERSIONS, Job, Run
from stilts.study.settings import Study
from stilts.study.storage import list_names
from stilts.workspace.checkout import Checkout


@dataclass(frozen=True)
class Selection:
    """A part of a study's runs, by name; what is empty selects all.

    Attributes
    ----------
    conditions, targets : tuple of str
    seeds : tuple of int
    """

    conditions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions or self.targets or self.seeds)

    def matches(self, run: Run) -> bool:
        """Return whether a run is of the conditions, targets and seeds; what is not trained belongs to every seed."""
        return (
            (not self.conditions or run.condition in self.conditions)
            and (not self.targets or run.target in self.targets)
            and (not self.seeds or run.untrained or run.seed in self.seeds)
        )

    def options(self) -> list[str]:
        """Return the options of the command line that select the same."""
        named = (("--only", self.conditions), ("--target", self.targets), ("--seed", self.seeds))
        return [part for option, values in named for value in values for part in (option, str(value))]


@dataclass(frozen=True)
class Plan:
    """The runs of a study and the jobs that execute them.

    Attributes
    ----------
    study : Study
    runs : tuple of Run
        Parents come before their children.
    reference : str
        The study's name, or the path of its file; other processes open the study by it.
    checkout : Checkout
    selection : Selection
        Which of the study's runs these are, with what they start from.
    """

    study: Study
    runs: tuple[Run, ...]
    reference: str
    checkout: Checkout
    selection: Selection = Selection()

    @cached_property
    def by_id(self) -> dict[str, Run]:
        """Runs by their id."""
        return {run.id: run for run in self.runs}

    @cached_property
    def jobs(self) -> list[Job]:
        """Jobs, each with as many runs as the study's schedule says."""
        return group_jobs(self.runs, self.study.schedule.runs_per_job)

    def parents(self, job: Job) -> list[Job]:
        """Return the jobs that hold the parents of a job's runs."""
        parents: list[Job] = []
        for name in (parent for run in job.runs for parent in run.parents):
            if self._job_of[name] not in parents:
                parents.append(self._job_of[name])
        return parents

    @cached_property
    def _job_of(self) -> dict[str, Job]:
        return {run.id: job for job in self.jobs for run in job.runs}

    def narrow(self, selection: Selection) -> "Plan":
        """Return the plan of a selection's runs and of all that these start from.

        Raises
        ------
        UnknownName
            If the study has no run of a condition, target or seed.
        StiltsError
            If it has none of all of them together.
        """
        if not selection:
            return self
        asked = {
            "condition": (selection.conditions, [run.condition for run in self.runs]),
            "target task": (selection.targets, [run.target for run in self.runs if run.target]),
            "seed": (map(str, selection.seeds), map(str, self.study.seeds)),
        }
        for kind, (names, known) in asked.items():
            known = list(dict.fromkeys(known))
            for name in names:
                if name not in known:
                    raise UnknownName(f"{kind} of study '{self.study.name}'", name, known)
        kept = keep_with_ancestors(self.runs, {run.id for run in self.runs if selection.matches(run)})
        if not kept:
            raise StiltsError(f"study '{self.study.name}' has no run of {' '.join(selection.options())} together")
        return replace(self, runs=tuple(kept), selection=selection)

    def select(self, phase: str, condition: str, seed: int, targets: list[str] | None = None) -> list[Run]:
        """Return the runs of a phase, condition, seed and these targets.

        Raises
        ------
        UnknownName
            If the study has no run of that condition.
        StiltsError
            If it has none of that phase, condition, seed and target together.
        """
        known = list(dict.fromkeys(run.condition for run in self.runs))
        if condition not in known:
            raise UnknownName(f"condition of study '{self.study.name}'", condition, known)
        found = [
            run
            for run in self.runs
            if (run.phase, run.condition) == (phase, condition)
            and (run.untrained or run.seed == seed)
            and (targets is None or run.target in targets)
        ]
        if not found:
            raise StiltsError(
                f"study '{self.study.name}' has no {phase} run of condition '{condition}' with seed {seed}"
                + (f" and target {', '.join(targets)}" if targets else "")
            )
        return found

    def priority(self, job: Job) -> int:
        """Return how early a job should start: seed by seed, and of a seed later phases first.

        So one seed of everything is there before the next, and few checkpoints wait on the disk for their evaluation.
        """
        seeds, phases = self.study.seeds, tuple(PHASE_VERSIONS)
        place = seeds.index(job.seed) if job.seed in seeds else 0  # what is not trained has no seed of the study
        return (len(seeds) - place) * len(phases) + phases.index(job.phase)

    @cached_property
    def others(self) -> set[str]:
        """Ids of runs of other studies that this machine has a record of, as they were when first asked for.

        A command names pages by them, and so must not see those that another command adds meanwhile.
        """
        return list_names(self.checkout.records, ".json", "folder of records") - self.by_id.keys()

    @property
    def suite_folder(self) -> Path:
        """Folder of the suite that all runs read."""
        return self.checkout.suite_folder(self.runs[0])

    @property
    def missing_data(self) -> str:
        """What is wrong with the data folder of a plan that was made without data; empty for any other plan."""
        if not self.runs[0].data.startswith(NOT_FETCHED):
            return ""
        return describe_missing_data(self.checkout.data_folder(self.study))

    def recorded(self) -> set[str]:
        """Return the ids of the runs that have a record; corrupt records are set aside and do not count."""
        store = self.checkout.store()
        return {run_id for run_id in self.by_id.keys() & store.names() if run_id in store}

    def pending(self, recorded: Collection[str]) -> list[Job]:
        """Return the jobs with at least one run that has no record."""
        return [job for job in self.jobs if any(run.id not in recorded for run in job.runs)]


def keep_with_ancestors(runs: Sequence[Run], wanted: Collection[str]) -> list[Run]:
    """Return the wanted runs and all that they start from, in the order of a plan: parents before their children."""
    kept = set(wanted)
    for run in reversed(runs):
        if run.id in kept:
            kept.update(run.parents)
    return [run for run in runs if run.id in kept]
