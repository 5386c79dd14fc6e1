"""The speed of devices: measured from records, or assumed."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from stilts.models.known_encoders import Shape, find_encoder_shape
from stilts.study.provenance import ran_on_gpu
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import EncoderSettings
from stilts.workspace.work import count_operations

FindShape = Callable[[EncoderSettings], Shape | None]

RECKONED_PHASES = ("intermediate", "target", "zero-shot")  # their work can be estimated from the sizes of the data


@dataclass(frozen=True)
class Speed:
    """Floating-point operations per second that a device sustains.

    Attributes
    ----------
    device : str
    training, prediction : float
    runs : int
        Records from which it was measured; 0 if it is assumed.
    update_seconds : float
        Overhead of an update; 0 if the rates are measured, since these include it.
    gpu : bool
        Whether the device is a GPU.
    """

    device: str
    training: float
    prediction: float
    runs: int = 0
    update_seconds: float = 0.0
    gpu: bool = True

    def of(self, run: Run) -> float:
        """Return the rate of a run's phase."""
        return self.prediction if run.phase == "zero-shot" else self.training

    def __str__(self) -> str:
        source = f"measured from {self.runs} runs" if self.runs else "assumed"
        besides = f" and {1000 * self.update_seconds:.0f} ms per update" if self.update_seconds else ""
        return f"{self.device} ({source}: {self.training / 1e12:.3g} TFLOP/s in training{besides})"


GPU_WEIGHTS = 50_000_000  # estimates for layers with more weights assume a GPU


# Assumed, not measured: 30 % of the data sheet's dense bf16 peak (A100: 312 TFLOP/s, H100 SXM: 989). The overhead of an
# update is the launch of some two thousand kernels and AdamW's pass over all weights, which small batches do not hide.
# One core of a server (AMD EPYC, bf16 in hardware) sustained 0.08 TFLOP/s in the records of study pocket-full.
ASSUMED_GPUS = (
    Speed("NVIDIA A100", 94e12, 94e12, update_seconds=0.04), Speed("NVIDIA H100", 297e12, 297e12, update_seconds=0.025)
)  # fmt: skip


ASSUMED_CORE = Speed("a processor core, 1 thread(s)", 0.08e12, 0.1e12, gpu=False)


def find_named_shape(encoder: EncoderSettings) -> Shape | None:
    """Return the shape of an encoder by its name alone."""
    return find_encoder_shape(encoder.name)


def estimate_speeds(
    records: Iterable[Record], shape: Shape, find_shape: FindShape = find_named_shape
) -> list[Speed]:
    """Return the speeds of devices suited to an encoder: the measured ones, most runs first, else the assumed ones."""
    large = shape.layer_weights >= GPU_WEIGHTS
    by_device: dict[str, list[Work]] = {}
    for record in records:
        if ran_on_gpu(record.provenance) == large and (work := _find_work(record, find_shape)):
            by_device.setdefault(record.provenance.device, []).append(work)
    found = [_measured_speed(device, own, large) for device, own in by_device.items()]
    assumed = list(ASSUMED_GPUS) if large else [ASSUMED_CORE]
    return sorted((speed for speed in found if speed), key=lambda speed: -speed.runs) or assumed


class Work(NamedTuple):
    """What a recorded run did: whether it trained, its floating-point operations, and its seconds."""

    training: bool
    operations: float
    seconds: float


def _find_work(record: Record, find_shape: FindShape) -> Work | None:
    """Return the work of a record; None if its time does not follow from its tokens and a known encoder's shape."""
    run, done = record.run, record.provenance
    if run.phase not in RECKONED_PHASES or not done.tokens or run.settings.encoder.pretrained is not None:
        return None
    shape = find_shape(run.settings.encoder)
    if shape is None:
        return None
    return Work(run.phase != "zero-shot", done.tokens * count_operations(run) * shape.layer_weights, done.seconds)


def _measured_speed(device: str, works: Sequence[Work], gpu: bool) -> Speed | None:
    """Return a device's rates, or None if no training is recorded."""
    trained, predicted = ([work for work in works if work.training == training] for training in (True, False))
    if not trained:
        return None
    rate = _find_rate(trained)
    return Speed(device, rate, _find_rate(predicted) if predicted else rate, len(works), gpu=gpu)


def _find_rate(works: Sequence[Work]) -> float:
    """Return the rate below which half of all operations were done.

    Short runs, whose time is that of loading a model, count little.
    """
    slowest_first = sorted(works, key=lambda work: work.operations / work.seconds)
    below = list(accumulate(work.operations for work in slowest_first))
    middle = slowest_first[bisect_left(below, below[-1] / 2)]
    return middle.operations / middle.seconds
