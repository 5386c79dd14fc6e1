"""Estimated time and memory of runs that are not done yet.

The estimates come from records of similar runs. Without such records, the time is the run's number of floating-point
operations divided by the device's speed, plus an overhead per update. A weight of the layers takes 6 operations per
training token and 2 per predicted token (Kaplan et al. 2020, arXiv:2001.08361; the embeddings and the part of attention
that grows with the length are left out). The device's speed is measured from its records, else assumed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from stilts.models.known_encoders import Shape
from stilts.study.records import Record
from stilts.study.runs import (
    ComplexityRunSettings,
    PretrainingRunSettings,
    Run,
    SimilarityRunSettings,
    TrainingRunSettings,
    ZeroShotRunSettings,
)
from stilts.study.settings import Languages, Study
from stilts.tasks.formats.evaluation import VECTOR_BYTES
from stilts.tasks.registry import TARGETS
from stilts.workspace.devices import RECKONED_PHASES, FindShape, Speed, estimate_speeds, find_named_shape
from stilts.workspace.disk import BYTES_PER_WEIGHT
from stilts.workspace.work import cap_examples, count_operations, count_run_tokens, count_run_updates, count_tested_rows

# One core of a small server with a 12-layer encoder of hidden size 384 in bf16. Reports mark these as assumed.
ASSUMED_SECONDS = {"pretraining": 300.0, "intermediate": 45.0, "target": 30.0, "zero-shot": 20.0, "measure": 60.0}
NOTEBOOK_SECONDS = 6.0  # start of a kernel that loads torch and transformers, on one core


@dataclass(frozen=True)
class Forecast:
    """Expected cost of one run.

    Attributes
    ----------
    seconds : float
        Wall-clock time.
    memory_mb : float
        Peak memory. Without records of similar runs: an estimate for sentence retrieval, 0 for other runs.
    measured : bool
        Whether the forecast is based on records of similar runs.
    """

    seconds: float
    memory_mb: float
    measured: bool


class Estimator:
    """Estimates the cost of runs from the records of similar ones.

    Similar runs have the same phase, task, encoder and, for evaluation, test data. Of these the ones whose number of
    examples and, for evaluation, of languages is nearest count, and their time is scaled by it: a run of few examples
    takes its time to begin. Without similar runs, the time of XTREME's tasks with an encoder of known shape is
    estimated from their work; for others it is assumed.

    Parameters
    ----------
    records : iterable of Record
    study : Study, optional
        The study of the runs; without it, nothing is estimated from work.
    shape : Shape, optional
        Shape of the study's encoder.
    find_shape : callable
        Returns the shape of a record's encoder, None if it is unknown.
    """

    def __init__(
        self,
        records: Iterable[Record],
        study: Study | None = None,
        shape: "Shape | None" = None,
        find_shape: FindShape = find_named_shape,
    ):
        records = list(records)
        self.study, self.shape = study, shape
        self.speeds = estimate_speeds(records, shape, find_shape) if shape else []
        self._by_kind: dict[tuple[str, ...], list[Record]] = {}
        self._evaluations: dict[tuple[str, ...], list[Record]] = {}  # evaluations, whatever their test sets
        for record in records:
            kind = _kind(record.run)
            self._by_kind.setdefault(kind, []).append(record)
            if record.run.phase == "zero-shot":
                self._evaluations.setdefault(kind[:-1], []).append(record)
        self._known: dict[tuple[tuple[str, ...], str, float], tuple[float, float]] = {}

    def __call__(self, run: Run, speed: "Speed | None" = None) -> Forecast:
        """Return the forecast of a run; `speed`, by default the first of `speeds`, is used if there are no records."""
        like = self._by_kind.get(_kind(run), [])
        if not like and self.reckons and run.phase in RECKONED_PHASES:
            seconds = self._reckoned(run, speed or self.speeds[0])
            return Forecast(seconds, self._search_memory(run), measured=False)
        if not like:
            return Forecast(ASSUMED_SECONDS[run.phase], 0.0, measured=False)
        seconds, memory = self._measured(run, self._units(run, run.data) * _languages(run, like))
        return Forecast(seconds, memory, measured=True)

    def _measured(self, run: Run, work: float) -> tuple[float, float]:
        """Return the seconds of an amount of work, and the peak memory, by the records of a run's kind."""
        key = (_kind(run), run.data, work)
        if key not in self._known:  # a plan has many runs of a kind
            like = self._by_kind[_kind(run)]
            done = [self._units(record.run, run.data) * _scored(record) for record in like]
            nearest = min(done, key=lambda known: abs(math.log(known / work)))
            took = median(
                record.provenance.seconds for record, known in zip(like, done, strict=True) if known == nearest
            )
            memory = max(record.provenance.peak_memory_mb for record in like)
            self._known[key] = took * work / nearest, memory
        return self._known[key]

    def _units(self, run: Run, data: str) -> float:
        """Return training or measured examples, pretraining tokens, or test examples per language (1 if all are used).

        Of examples there are no more than the study's suite has, whose fingerprint is `data`; what others have is not
        known.
        """
        capped = self.study is not None and run.data == data
        match run.settings:
            case SimilarityRunSettings(measure=measure) | ComplexityRunSettings(measure=measure):
                return measure.examples
            case PretrainingRunSettings(pretraining=pretraining):
                return pretraining.updates * pretraining.batch_tokens
            case TrainingRunSettings(training=training):
                examples = cap_examples(training.examples, run, self.study) if capped else training.examples
                return examples * training.epochs
            case ZeroShotRunSettings(evaluation=evaluation):
                asked = evaluation.examples or 1
                return cap_examples(asked, run, self.study) if capped else asked

    def _search_memory(self, run: Run) -> float:
        """Return the estimated memory, in MB, of a retrieval: no more than records with other test sets let expect."""
        reckoned = estimate_search_memory(run, self.study, self.shape)
        like = [record for record in self._evaluations.get(_kind(run)[:-1], []) if record.provenance.examples]
        if not reckoned or not like:
            return reckoned
        texts = TARGETS[run.target].format.searched_sides * sum(count_tested_rows(run, self.study).values())
        more = max(0, texts - max(record.provenance.examples for record in like))
        peak = max(record.provenance.peak_memory_mb for record in like)
        return min(reckoned, peak + more * _search_bytes(self.shape) / 1e6)

    @property
    def reckons(self) -> bool:
        """Whether the time of runs without similar records is estimated from their work."""
        return self.shape is not None and self.study is not None and self.study.data.suite == "xtreme"

    def _reckoned(self, run: Run, speed: "Speed") -> float:
        work = count_run_tokens(run, self.study) * count_operations(run) * self.shape.layer_weights
        return work / speed.of(run) + count_run_updates(run, self.study) * speed.update_seconds


def _kind(run: Run) -> tuple[str, ...]:
    # The suite's fingerprint stands for the languages and sizes of the test sets.
    evaluated = run.data if run.phase == "zero-shot" else ""
    encoder = run.settings.encoder
    made = repr((encoder.scratch, encoder.convert_to))
    return run.phase, run.target or run.condition, encoder.name, made, run.settings.suite, evaluated


def _languages(run: Run, like: Sequence[Record]) -> int:
    """Return how many languages a run will evaluate, at most as many as similar records show the task to have."""
    wanted = _languages_asked(run)
    if wanted == "all":
        return max(map(_scored, like))
    return min([len(wanted), *(_scored(record) for record in like if _languages_asked(record.run) == "all")])


def _languages_asked(run: Run) -> Languages:
    return run.settings.languages if isinstance(run.settings, ZeroShotRunSettings) else "all"


def _scored(record: Record) -> int:
    """Return the number of languages that an evaluation has scores of; 1 for other runs."""
    return max(1, len(record.metrics)) if record.run.phase == "zero-shot" else 1


# --- memory ----------------------------------------------------------------------------------------------------------

SEARCH_BYTES = 400_000_000  # per retrieval process: libraries, and the cosines of a block of either side
ROW_BYTES = 1_500  # per sentence: its row in Python, its tokens, its index among the vectors


def _search_bytes(shape: Shape) -> int:
    """Return the bytes that a sentence takes: its row, and its vector as computed and as one side of the search."""
    return 2 * shape.hidden * BYTES_PER_WEIGHT + ROW_BYTES


def estimate_search_memory(run: Run, study: Study, shape: Shape) -> float:
    """Return the estimated main memory, in MB, of the evaluation of a retrieval task; 0 for other runs.

    The vectors of all sentences of one language's split are held twice: as computed, and as the two sides of the
    search. The weights are held twice while a model is loaded.
    """
    if run.phase != "zero-shot" or TARGETS[run.target].format.trained:
        return 0.0
    texts = TARGETS[run.target].format.searched_sides * max(count_tested_rows(run, study).values(), default=0)
    vectors = max(VECTOR_BYTES, texts * shape.hidden * BYTES_PER_WEIGHT)
    weights = shape.weights * BYTES_PER_WEIGHT
    return (2 * vectors + 2 * weights + texts * ROW_BYTES + SEARCH_BYTES) / 1e6
