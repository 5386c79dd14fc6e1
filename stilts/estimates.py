"""What a plan will cost: time, memory and disk of runs not done yet, from records where there are any.

Where no like run is recorded, the time is the run's floating-point operations over those that a device sustains: 6 a
training token and weight of the layers, 2 a token that is predicted (Kaplan et al. 2020, arXiv:2001.08361; attention
over the length and the embeddings left out), and what each update takes besides. How many a device sustains is measured
from its records, else assumed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from stilts.encoder_files import read_config
from stilts.errors import StiltsError
from stilts.official import BUCC_SENTENCES, TEST_ROWS, TOKENS, TRAIN_ROWS
from stilts.records import Record
from stilts.study import Run, Study, task_name
from stilts.tasks import TARGETS

# Stated wherever it is used: what one core of a small server does with a 12-layer encoder of width 384 in bf16.
ASSUMED_SECONDS = {"pretraining": 300.0, "intermediate": 45.0, "target": 30.0, "zero-shot": 20.0, "measure": 60.0}
RECKONED_PHASES = ("intermediate", "target", "zero-shot")  # whose work follows from the sizes of the data
NOTEBOOK_SECONDS = 6.0  # a kernel that loads torch and transformers, on one core


@dataclass(frozen=True)
class Estimate:
    """Expected cost of one run.

    Attributes
    ----------
    seconds : float
        Wall clock.
    memory_mb : float
        Peak memory; where no record tells, what a search of sentences is reckoned to take, and 0 for other runs.
    measured : bool
        Whether records of like runs stand behind it; else it is an assumption.
    """

    seconds: float
    memory_mb: float
    measured: bool


class Estimator:
    """Expects of a run what like runs on record took: the same phase, task, encoder and, for evaluation, test data.

    Their time is scaled by the number of examples and, for evaluation, of languages. Without any, the time is reckoned
    from a run's work, where that is known: of tasks of XTREME, with an encoder whose shape is known.

    Parameters
    ----------
    records : iterable of Record
    study : Study, optional
        The study whose runs are asked for; without it, work is not reckoned.
    shape : Shape, optional
        Of the study's encoder.
    """

    def __init__(self, records: Iterable[Record], study: Study | None = None, shape: "Shape | None" = None):
        records = list(records)
        self.study, self.shape = study, shape
        self.speeds = speeds(records, shape) if shape else []
        self._by_kind: dict[tuple[str, ...], list[Record]] = {}
        for record in records:
            self._by_kind.setdefault(_kind(record.run), []).append(record)
        self._known: dict[tuple[str, ...], tuple[float, float]] = {}

    def __call__(self, run: Run, speed: "Speed | None" = None) -> Estimate:
        """Return the expected cost of a run; where it is reckoned, at a speed, by default the first of `speeds`."""
        like = self._by_kind.get(_kind(run), [])
        if not like and self.reckons and run.phase in RECKONED_PHASES:
            seconds = self._reckoned(run, speed or self.speeds[0])
            return Estimate(seconds, search_memory_mb(run, self.study, self.shape), measured=False)
        if not like:
            return Estimate(ASSUMED_SECONDS[run.phase], 0.0, measured=False)
        per_unit, memory = self._measured(_kind(run))
        return Estimate(per_unit * _units(run) * _languages(run, like), memory, measured=True)

    def _measured(self, kind: tuple[str, ...]) -> tuple[float, float]:
        """Return the seconds a unit and the peak memory of the records of a kind; a plan asks for one many times."""
        if kind not in self._known:
            like = self._by_kind[kind]
            per_unit = median(record.provenance.seconds / _units(record.run) / _scored(record) for record in like)
            self._known[kind] = per_unit, max(record.provenance.peak_memory_mb for record in like)
        return self._known[kind]

    @property
    def reckons(self) -> bool:
        """Whether the time of runs without a like record is reckoned from their work."""
        return self.shape is not None and self.study is not None and self.study.data.suite == "xtreme"

    def _reckoned(self, run: Run, speed: "Speed") -> float:
        work = run_tokens(run, self.study) * _operations(run) * self.shape.layer_weights
        return work / speed.of(run) + run_updates(run, self.study) * speed.update_seconds


def _kind(run: Run) -> tuple[str, ...]:
    # The suite's fingerprint stands for the languages and sizes of the test sets.
    evaluated = run.data if run.phase == "zero-shot" else ""
    encoder, suite = run.settings["encoder"], run.settings.get("suite", "")
    built = json.dumps(encoder.get("scratch"), sort_keys=True)
    return run.phase, run.target or run.condition, encoder["name"], built, suite, evaluated


def _units(run: Run) -> float:
    """Training or measured examples, tokens of pretraining, test examples per language; 1 where the suite decides."""
    if run.phase == "measure":
        return run.settings["measure"]["examples"]
    if run.phase == "pretraining":
        return run.settings["pretraining"]["updates"] * run.settings["pretraining"]["batch_tokens"]
    if "training" in run.settings:
        return run.settings["training"]["examples"] * run.settings["training"]["epochs"]
    return run.settings["evaluation"].get("examples", 1)


def _languages(run: Run, like: Sequence[Record]) -> int:
    """Return how many languages a run will evaluate, as far as like records tell how many its task has."""
    wanted = run.settings.get("languages", "all")
    if wanted == "all":
        return max(map(_scored, like))
    return min([len(wanted), *(_scored(record) for record in like if record.run.settings.get("languages") == "all")])


def _scored(record: Record) -> int:
    """Return how many languages an evaluation has scores of; 1 for other runs, whose time has nothing to do with it."""
    return max(1, len(record.metrics)) if record.run.phase == "zero-shot" else 1


# --- work ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that decide what it costs.

    Attributes
    ----------
    layers : int
        Of both halves of an encoder-decoder together, which both read an input.
    hidden, intermediate, vocabulary : int
    cross : int
        Layers that have cross-attention too: those of an encoder-decoder's decoder.
    matrices : int
        Of a feed-forward layer: 2, or 3 where it is gated.
    """

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    cross: int = 0
    matrices: int = 2

    @property
    def layer_weights(self) -> int:
        """Weights of all layers; embeddings are looked up and cost no operations to speak of."""
        attention = 4 * self.hidden**2
        return (self.layers + self.cross) * attention + self.layers * self.matrices * self.hidden * self.intermediate

    @property
    def weights(self) -> int:
        """All weights, those of the whole vocabulary's embeddings included."""
        return self.layer_weights + self.vocabulary * self.hidden


SHAPES: Mapping[str, Shape] = {
    "multilingual-e5-small": Shape(12, 384, 1536, 250037),
    "intfloat/multilingual-e5-small": Shape(12, 384, 1536, 250037),
    "intfloat/multilingual-e5-base": Shape(12, 768, 3072, 250002),
    "intfloat/multilingual-e5-large": Shape(24, 1024, 4096, 250002),
    "FacebookAI/xlm-roberta-base": Shape(12, 768, 3072, 250002),
    "FacebookAI/xlm-roberta-large": Shape(24, 1024, 4096, 250002),
    "google-bert/bert-base-multilingual-cased": Shape(12, 768, 3072, 119547),
    "facebook/xglm-564M": Shape(24, 1024, 4096, 256008),
    "google/mt5-base": Shape(24, 768, 2048, 250112, cross=12, matrices=3),
    "google/mt5-large": Shape(48, 1024, 2816, 250112, cross=24, matrices=3),
    "facebook/mbart-large-50": Shape(24, 1024, 4096, 250054, cross=12),
}
# What the families of transformers call the sizes in config.json, the most common name first.
_LAYERS = ("num_hidden_layers", "n_layer", "encoder_layers", "num_layers")
_DECODER_LAYERS = ("decoder_layers", "num_decoder_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_INTERMEDIATE = ("intermediate_size", "n_inner", "encoder_ffn_dim", "ffn_dim", "d_ff")


def encoder_shape(name: str) -> Shape | None:
    """Return the shape of a known encoder, or of a folder by its config.json; None where neither tells."""
    if name in SHAPES:
        return SHAPES[name]
    try:
        return _shape_of(read_config(Path(name), name))
    except (StiltsError, KeyError, TypeError, StopIteration):
        return None


def _shape_of(config: Mapping[str, Any]) -> Shape:
    """Return the shape that a config.json tells; KeyError or StopIteration if it lacks a size."""
    cross = _size(config, _DECODER_LAYERS) if config.get("is_encoder_decoder") else 0
    gated = config.get("hidden_act") == "silu" or "gated" in str(config.get("feed_forward_proj", ""))
    return Shape(
        _size(config, _LAYERS) + cross,
        _size(config, _HIDDEN),
        _size(config, _INTERMEDIATE),
        int(config["vocab_size"]),
        cross,
        3 if gated else 2,
    )


def _size(config: Mapping[str, Any], names: Sequence[str]) -> int:
    return int(next(config[name] for name in names if config.get(name) is not None))


ASSUMED_ROWS = 2**17  # of a training set whose size is not known, such as texts for masked language modelling
ASSUMED_TEST_ROWS = 2000  # of a test set whose size is not known (udpos)
ASSUMED_TOKENS = 64
UNLIMITED = 10**12


def run_tokens(run: Run, study: Study) -> float:
    """Return the tokens that go through the encoder in a run of a study of XTREME, epochs counted."""
    if run.phase == "zero-shot":
        return sum(_test_rows(run, study).values()) * TOKENS.get(run.target, ASSUMED_TOKENS)
    rows = _training_rows(run, study)
    tokens = sum(count * TOKENS.get(task_name(task), ASSUMED_TOKENS) for task, count in rows.items())
    return run.settings["training"]["epochs"] * tokens


def run_updates(run: Run, study: Study) -> float:
    """Return the updates of a run of a study of XTREME; none where nothing is trained."""
    if run.phase == "zero-shot":
        return 0.0
    training = run.settings["training"]
    return training["epochs"] * sum(_training_rows(run, study).values()) / training["batch_size"]


def _training_rows(run: Run, study: Study) -> dict[str, int]:
    """Return the training examples of each task in an epoch; where several train together, the study's cap holds."""
    tasks = [run.target] if run.target else run.settings["condition"]["tasks"]
    size = study.data.sizes.get("train" if run.target else "intermediate_train", UNLIMITED)
    cap = min(run.settings["training"]["examples"], size)
    if len(tasks) > 1:
        cap = min(cap, run.settings["condition"]["example_cap"])
    return {task: min(cap, TRAIN_ROWS.get(task_name(task), ASSUMED_ROWS)) for task in tasks}


def _test_rows(run: Run, study: Study) -> dict[str, int]:
    """Return what is evaluated of each language: rows; pairs of Tatoeba; sentences of BUCC."""
    wanted, sizes = run.settings["languages"], study.data.sizes
    cap = min(run.settings["evaluation"].get("examples", UNLIMITED), sizes.get("test", UNLIMITED))
    rows = {language: min(cap, count or ASSUMED_TEST_ROWS) for language, count in TEST_ROWS.get(run.target, {}).items()}
    if TARGETS[run.target].format == "retrieval":
        rows = {language: min(sizes.get("retrieval", UNLIMITED), count) for language, count in rows.items()}
    if TARGETS[run.target].format == "mining":
        # Two splits of pairs and of as many sentences without a partner, on both sides.
        rows = {language: min(8 * sizes.get("mining", UNLIMITED), BUCC_SENTENCES[language]) for language in rows}
    return {language: count for language, count in rows.items() if wanted == "all" or language in wanted}


def _operations(run: Run) -> int:
    """Operations a token and weight."""
    return 2 if run.phase == "zero-shot" else 6


# --- memory ----------------------------------------------------------------------------------------------------------

VECTOR_BYTES = 2**30  # of sentence vectors that an evaluation makes of several languages, or layers, at a time
SEARCH_BYTES = 400_000_000  # of a process that searches, besides: libraries, and the cosines of a block of either side
ROW_BYTES = 1_500  # of a sentence: its row as Python holds it, its tokens, its place among the vectors


def search_memory_mb(run: Run, study: Study, shape: Shape) -> float:
    """Return the main memory that the evaluation of a retrieval task is reckoned to take; 0 for other runs.

    All sentences of a split of one language are held at once, as vectors of one layer: once as they were made, and once
    as the two sides that are searched. The weights are held twice while a model is loaded.
    """
    if run.phase != "zero-shot" or TARGETS[run.target].format not in ("retrieval", "mining"):
        return 0.0
    sides = 2 if TARGETS[run.target].format == "retrieval" else 1  # what is counted are pairs, or sentences
    texts = sides * max(_test_rows(run, study).values(), default=0)
    vectors = max(VECTOR_BYTES, texts * shape.hidden * BYTES_PER_WEIGHT)
    weights = shape.weights * BYTES_PER_WEIGHT
    return (2 * vectors + 2 * weights + texts * ROW_BYTES + SEARCH_BYTES) / 1e6


# --- devices ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """Floating-point operations a second that a device sustains.

    Attributes
    ----------
    device : str
    training, prediction : float
    runs : int
        Records that it was measured from; 0 if it is assumed.
    update_seconds : float
        What an update takes besides; 0 where it is measured, since the rates then hold it.
    """

    device: str
    training: float
    prediction: float
    runs: int = 0
    update_seconds: float = 0.0

    @property
    def gpu(self) -> bool:
        """Whether the device is no processor."""
        return _is_gpu(self.device)

    def of(self, run: Run) -> float:
        """Return the rate of a run's phase."""
        return self.prediction if run.phase == "zero-shot" else self.training

    def __str__(self) -> str:
        source = f"measured from {self.runs} runs" if self.runs else "assumed"
        besides = f" and {1000 * self.update_seconds:.0f} ms an update" if self.update_seconds else ""
        return f"{self.device} ({source}: {self.training / 1e12:.3g} TFLOP/s in training{besides})"


GPU_WEIGHTS = 50_000_000  # layers with more are reckoned on a GPU
# Assumed, not measured: 30 % of a data sheet's dense bf16 peak (A100: 312 TFLOP/s, H100 SXM: 989), and with each update
# the start of some two thousand kernels and AdamW's pass over all weights, which small batches do not hide. One core of
# a server (AMD EPYC, bf16 in hardware) sustained 0.08 TFLOP/s in the records of study pocket-full.
ASSUMED_GPUS = (
    Speed("NVIDIA A100", 94e12, 94e12, update_seconds=0.04), Speed("NVIDIA H100", 297e12, 297e12, update_seconds=0.025)
)  # fmt: skip
ASSUMED_CORE = Speed("a processor core, 1 thread(s)", 0.08e12, 0.1e12)


def speeds(records: Iterable[Record], shape: Shape) -> list[Speed]:
    """Return what devices that fit an encoder sustain: those on record, most runs first, else the assumed ones."""
    large = shape.layer_weights >= GPU_WEIGHTS
    by_device: dict[str, list[Record]] = {}
    for record in records:
        device, tokens = record.provenance.device, record.provenance.tokens
        if _tells_speed(record.run) and tokens and _is_gpu(device) == large:
            by_device.setdefault(device, []).append(record)
    found = [_measured_speed(device, own) for device, own in by_device.items()]
    assumed = list(ASSUMED_GPUS) if large else [ASSUMED_CORE]
    return sorted((speed for speed in found if speed), key=lambda speed: -speed.runs) or assumed


def _tells_speed(run: Run) -> bool:
    """Whether a run's time follows from its tokens and the shape of a known encoder."""
    encoder = run.settings["encoder"]
    known = "scratch" not in encoder and encoder_shape(encoder["name"]) is not None
    return known and run.phase in RECKONED_PHASES


def _is_gpu(device: str) -> bool:
    """Tell by the name that `stilts.provenance` gives: a processor's ends with its threads."""
    return not device.endswith("thread(s)")


def _measured_speed(device: str, records: list[Record]) -> Speed | None:
    """Return a device's median rates; None where no training is recorded."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    for record in records:
        weights = encoder_shape(record.run.settings["encoder"]["name"]).layer_weights
        operations = record.provenance.tokens * _operations(record.run) * weights
        rates[record.run.phase != "zero-shot"].append(operations / record.provenance.seconds)
    if not rates[True]:
        return None
    training = median(rates[True])
    return Speed(device, training, median(rates[False]) if rates[False] else training, len(records))


# --- disk ------------------------------------------------------------------------------------------------------------

BYTES_PER_WEIGHT = 4
STATE_COPIES = 3  # of the weights, in the saved state of a training: themselves and AdamW's two moments
SUITE_BYTES = {"xtreme": 1_500_000_000, "pocket": 20_000_000}  # assumed where the suite does not stand
RECORD_BYTES = 6_000  # of a JSON record; mean of study pocket-full
PREDICTION_BYTES = 15  # a row, compressed; study pocket-full has 5, tags and answers take more


@dataclass(frozen=True)
class Disk:
    """Bytes that a study takes at once.

    Attributes
    ----------
    checkpoint : float
        One checkpoint.
    kept : int
        Checkpoints that stay: of pretraining and phase 1, and of phase 2 where the study keeps them.
    passing : int
        Checkpoints of phase 2 that go once they are evaluated: so many if none is evaluated before all are trained.
    states : float
        Saved states of the trainings that run at a time.
    suite, encoder, records : float
    """

    checkpoint: float
    kept: int
    passing: int
    states: float
    suite: float
    encoder: float
    records: float

    @property
    def least(self) -> float:
        """Bytes if every checkpoint of phase 2 is evaluated at once."""
        stays = self.kept + min(1, self.passing)
        return stays * self.checkpoint + self.states + self.suite + self.encoder + self.records

    @property
    def most(self) -> float:
        """Bytes if none is evaluated before all are trained."""
        return self.least + max(0, self.passing - 1) * self.checkpoint


def disk(runs: Iterable[Run], study: Study, shape: Shape, at_once: int, standing: Mapping[str, int]) -> Disk:
    """Return the disk that a study takes.

    Parameters
    ----------
    at_once : int
        Jobs that run at a time.
    standing : mapping of str to int
        Bytes of "suite" and "encoder" where they stand already.
    """
    runs = list(runs)
    evaluated = [run for run in runs if run.phase == "zero-shot"]
    checkpoint = standing.get("encoder", shape.weights * BYTES_PER_WEIGHT)
    first = sum(run.phase in ("pretraining", "intermediate") for run in runs)
    second = sum(run.phase == "target" for run in runs)
    kept = study.schedule.keep_checkpoints
    rows = sum(sum(_test_rows(run, study).values()) for run in evaluated)
    return Disk(
        checkpoint=checkpoint,
        kept=first + (second if kept else 0),
        passing=0 if kept else second,
        states=min(at_once, first + second) * STATE_COPIES * checkpoint,
        suite=standing.get("suite", SUITE_BYTES.get(study.data.suite, 0)),
        encoder=checkpoint,
        records=len(runs) * RECORD_BYTES + rows * PREDICTION_BYTES,
    )
