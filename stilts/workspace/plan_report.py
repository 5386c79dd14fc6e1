"""The output of `stilts plan`: a study's runs, and the estimated time, memory and disk of those without a record."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stilts.study.provenance import describe_precision_mix, ran_on_gpu
from stilts.study.records import RECORDS, Record
from stilts.study.runs import PHASE_VERSIONS, Run
from stilts.workspace.devices import Speed
from stilts.workspace.disk import Disk, estimate_disk, format_size
from stilts.workspace.forecast import NOTEBOOK_SECONDS, Estimator, Forecast
from stilts.workspace.gpus import share_gpus
from stilts.workspace.plan import Plan, keep_with_ancestors
from stilts.workspace.scheduling import count_jobs_at_once

_TOO_MUCH = ", more than reserved: raise schedule.memory_mb"
Listing = tuple[tuple[str, ...], list[tuple[str, ...]]]  # headers, rows


class PlanReport:
    """A study's plan compared with its records."""

    def __init__(self, plan: Plan):
        records = {record.id: record for record in plan.checkout.store()}
        self.plan, self.checkout, self.study = plan, plan.checkout, plan.study
        self.recorded = {run.id for run in plan.runs} & records.keys()
        self._precisions = describe_precision_mix(records[name] for name in self.recorded)
        self.shape = plan.checkout.find_shape(plan.study.encoder)
        self.expect = self._estimate_from(records.values())
        # A run on a GPU notes the GPU's memory, which no schedule reserves.
        on_cpu = [each for each in records.values() if not ran_on_gpu(each.provenance)]
        self._expect_memory = self.expect if len(on_cpu) == len(records) else self._estimate_from(on_cpu)
        self.todo = [run for run in plan.runs if run.id not in self.recorded]
        self.notebooks = len(plan.pending(self.recorded))
        self.gpu_shares = share_gpus(plan)
        self.at_once = count_jobs_at_once(plan, self.gpu_shares)

    def _estimate_from(self, records: Iterable[Record]) -> Estimator:
        return Estimator(records, self.study, self.shape, self.checkout.find_shape)

    def summary(self) -> Listing:
        """Return one row for each phase and condition, with the expected time of its runs without a record."""
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in self.plan.runs:
            groups.setdefault((run.phase, run.condition), []).append(run)
        rows = []
        for (phase, condition), runs in sorted(groups.items(), key=lambda group: _PHASES.index(group[0][0])):
            todo = [run for run in runs if run.id not in self.recorded]
            seconds = sum(self.expect(run).seconds for run in todo)
            expected = format_duration(seconds) if todo else ""
            rows.append((phase, condition, str(len(runs)), str(len(runs) - len(todo)), expected))
        return ("phase", "condition", "runs", "recorded", "expected"), rows

    def listing(self) -> Listing:
        """Return one row for each run."""
        rows = []
        for run in self.plan.runs:
            done = run.id in self.recorded
            cost = "" if done else self._in_words(self.expect(run))
            state = "recorded" if done else "to do"
            rows.append((run.phase, run.condition, run.target or "", str(run.seed), state, cost, run.id))
        return ("phase", "condition", "target", "seed", "state", "expected", "run"), rows

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON types: its runs, each with its state and expected cost, and `lines`."""
        return {
            "study": self.study.name,
            "runs": [self._run_as_json(run) for run in self.plan.runs],
            "recorded": len(self.recorded),
            "to_do": len(self.todo),
            "notebooks": self.notebooks,
            "notes": list(self.lines()),
        }

    def _run_as_json(self, run: Run) -> dict[str, Any]:
        expected = None if run.id in self.recorded else self.expect(run)
        return {
            "id": run.id, "phase": run.phase, "condition": run.condition, "target": run.target, "seed": run.seed,
            "parents": list(run.parents), "recorded": expected is None,
            "expected_seconds": expected and expected.seconds, "measured": expected and expected.measured,
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """Yield lines about the whole plan."""
        if missing := self.plan.missing_data:
            yield f"{missing}: the plan assumes that all data are available, and the ids of the runs will change"
        yield (
            f"{len(self.plan.runs)} runs, {len(self.recorded)} recorded, {len(self.todo)} to do "
            f"in {self.notebooks} notebooks"
        )
        if earlier := self._earlier_records():
            also = f"results/{self.study.name} also has {earlier} committed records"
            if missing:
                yield f"{also}, which cannot be matched with these runs without the data folder"
            else:
                yield (
                    f"{also} that were made with other settings or another suite; pages show them until these runs "
                    "are recorded"
                )
        if self._precisions:
            yield f"precision: {self._precisions}"
        if self.todo:
            estimates = [self.expect(run) for run in self.todo]
            yield from self._time(estimates)
            yield self._memory()
            if self.gpu_shares:
                yield str(self.gpu_shares)
            yield self._disk()

    def _earlier_records(self) -> int:
        """Return how many committed records of the study belong to none of the planned runs."""
        committed = (self.checkout.results / self.study.name / RECORDS).glob("*.json")
        return sum(path.stem not in self.plan.by_id for path in committed)

    def _in_words(self, estimate: Forecast) -> str:
        if estimate.measured:
            return format_duration(estimate.seconds)
        return f"{format_duration(estimate.seconds)} ({'estimated' if self.expect.reckons else 'assumed'})"

    def _time(self, estimates: list[Forecast]) -> Iterator[str]:
        unlike = sum(not estimate.measured for estimate in estimates)
        if self.expect.reckons and self.expect.speeds[0].gpu:
            yield from (self._gpu_hours(speed) for speed in self.expect.speeds)
        else:
            seconds = sum(estimate.seconds for estimate in estimates) + NOTEBOOK_SECONDS * self.notebooks
            jobs = min(self.at_once, self.notebooks)
            yield (
                f"time: about {format_duration(seconds)} on one core, {format_duration(seconds / jobs)} on this "
                f"machine with {jobs} jobs at a time{self._source(unlike)}"
            )
        if self.expect.reckons:
            yield (
                f"estimated: {unlike} of the runs, from the sizes of the official data sets and the "
                f"{self.shape.layer_weights / 1e6:.0f} million weights in the encoder's layers"
            )

    def _source(self, unlike: int) -> str:
        if not unlike:
            return ""
        if self.expect.reckons:
            return f"; on {self.expect.speeds[0]}"
        return f"; assumed for {unlike} of the runs, since no similar run is recorded"

    def _gpu_hours(self, speed: Speed) -> str:
        hours = sum(self.expect(run, speed).seconds for run in self.todo) / 3600
        return f"time: {f'about {hours:,.0f} GPU-hours' if hours >= 1 else 'under 1 GPU-hour'} on {speed}"

    def _memory(self) -> str:
        reserved = self.study.schedule.memory_mb
        estimates = [self._expect_memory(run) for run in self.todo]
        memory = max((estimate.memory_mb for estimate in estimates if estimate.measured), default=0)
        known = f"similar runs used at most {memory:.0f} MB" if memory else "no similar run is recorded"
        known += _TOO_MUCH if memory > reserved else ""
        if search := max((estimate.memory_mb for estimate in estimates if not estimate.measured), default=0):
            known += f"; retrieval needs an estimated {search:.0f} MB"
            known += _TOO_MUCH if search > reserved else ""
        whole = format_size(reserved * self.at_once * 1e6)
        return f"memory: {reserved} MB reserved per job, {whole} in total; {known}"

    def _disk(self) -> str:
        if self.shape is None:
            return "disk: unknown, since the size of the encoder is unknown (it has no config.json here)"
        places = {"suite": self.plan.suite_folder, "encoder": self.checkout.encoder_folder(self.plan.runs[0])}
        standing = {name: _bytes_in(place) for name, place in places.items() if place.is_dir()}
        return _disk_in_words(estimate_disk(self._started(), self.study, self.shape, self.at_once, standing))

    def _started(self) -> list[Run]:
        """Return the runs without a record and all their ancestors, whose checkpoints may be missing."""
        return keep_with_ancestors(self.plan.runs, {run.id for run in self.todo})


_PHASES = tuple(PHASE_VERSIONS)


def format_duration(seconds: float) -> str:
    """Return a time in seconds (below ten minutes), in minutes (below three hours) or in hours."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 10800 else f"{seconds / 3600:,.0f} h"


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _disk_in_words(needed: Disk) -> str:
    if needed.passing > 1:
        most = f", at most {format_size(needed.most)} if all models are trained before any is evaluated"
    else:
        most = ""
    return (
        f"disk: about {format_size(needed.least)}{most}: checkpoints of {format_size(needed.checkpoint)} "
        f"each, {needed.kept} kept and {needed.passing} deleted after evaluation; saved states "
        f"{format_size(needed.states)}, suite {format_size(needed.suite)}, encoder {format_size(needed.encoder)}, "
        f"inputs {format_size(needed.inputs)}, records {format_size(needed.records)}"
    )
