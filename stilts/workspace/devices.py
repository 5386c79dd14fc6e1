"""The speed of devices: measured from records, or assumed."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from stilts.models.known_encoders import Shape, find_encoder_shape
from stilts.study.provenance import ran_on_gpu
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.workspace.work import count_operations

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


def estimate_speeds(records: Iterable[Record], shape: Shape) -> list[Speed]:
    """Return the speeds of devices suited to an encoder: the measured ones, most runs first, else the assumed ones."""
    large = shape.layer_weights >= GPU_WEIGHTS
    by_device: dict[str, list[Record]] = {}
    for record in records:
        device, tokens = record.provenance.device, record.provenance.tokens
        if _tells_speed(record.run) and tokens and ran_on_gpu(record.provenance) == large:
            by_device.setdefault(device, []).append(record)
    found = [_measured_speed(device, own, large) for device, own in by_device.items()]
    assumed = list(ASSUMED_GPUS) if large else [ASSUMED_CORE]
    return sorted((speed for speed in found if speed), key=lambda speed: -speed.runs) or assumed


def _tells_speed(run: Run) -> bool:
    """Return whether a run's time follows from its tokens and the shape of a known encoder."""
    encoder = run.settings.encoder
    known = encoder.pretrained is None and find_encoder_shape(encoder.name) is not None
    return known and run.phase in RECKONED_PHASES


def _measured_speed(device: str, records: list[Record], gpu: bool) -> Speed | None:
    """Return a device's rates, or None if no training is recorded."""
    done: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for record in records:
        weights = find_encoder_shape(record.run.settings.encoder.name).layer_weights
        operations = record.provenance.tokens * count_operations(record.run) * weights
        done[record.run.phase != "zero-shot"].append((operations, record.provenance.seconds))
    if not done[True]:
        return None
    training = _find_rate(done[True])
    return Speed(device, training, _find_rate(done[False]) if done[False] else training, len(records), gpu=gpu)


def _find_rate(done: Sequence[tuple[float, float]]) -> float:
    """Return the rate below which half of all operations were done, from the operations and seconds of each run.

    Short runs, whose time is that of loading a model, count little.
    """
    slowest_first = sorted(done, key=lambda each: each[0] / each[1])
    below = list(accumulate(operations for operations, _ in slowest_first))
    operations, seconds = slowest_first[bisect_left(below, below[-1] / 2)]
    return operations / seconds
