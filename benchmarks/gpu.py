"""How near one update of XLM-R Large comes to the roofline of a GPU, beside `Trainer`, on the same inputs.

    python benchmarks/gpu.py

All recipes train an encoder of XLM-R Large's shape with random weights, at the lengths of MNLI, SQuAD and tagging of
parts of speech, one after the other in one process. The first updates of each are not timed. It prints a table, and
writes results/benchmarks/gpu.json and gpu.csv.

The roofline of an update is the least time that it could take here. Its matrix products, counted without padding, run
at the speed of the fastest matrix product that this device showed; what clipping and AdamW read and write in single
precision moves at the speed of its fastest copy; neither hides the other, since AdamW waits for all gradients.
Everything else (LayerNorms, dropout, activations, the head, casts of weights) is taken to be free, so that a share of
100 % cannot be reached.

`--tiny` does the same with a tiny shape on any machine: that it runs, not how fast.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from shared import WithLoss, list_examples, measure_products, time_fastest, wait
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaModel,
    set_seed,
)

from stilts.models.model import MultiTaskModel, find_default_device, resolve_precision
from stilts.study import provenance
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.base import EncodedSplit
from stilts.tasks.formats.inputs import Input
from stilts.training.loop import train
from stilts.training.optimization import count_trained

TASK = "task"
RATE = 1e-5
# An update in single precision reads each gradient to clip it; then AdamW reads gradient, weight and two moments, and
# writes the last three.
BYTES_PER_WEIGHT = 4 * (1 + 4 + 3)
FORWARD_AND_BACKWARD = 3  # times the operations of a forward pass
OUT = Path("results/benchmarks/gpu.json")


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder; those of XLM-R Large by default."""

    layers: int = 24
    hidden: int = 1024
    heads: int = 16
    feed_forward: int = 4096
    vocabulary: int = 250_002
    positions: int = 514


@dataclass(frozen=True)
class Scale:
    """What one measurement is made of.

    Attributes
    ----------
    matrix : int
        Rows and columns of the matrices whose product is timed.
    copied : int
        Bytes of the tensor whose copy is timed.
    longest : int
        Tokens of an input, at most.
    skipped, timed : int
        Updates.
    """

    shape: Shape
    matrix: int
    copied: int
    longest: int
    skipped: int
    timed: int


WHOLE = Scale(Shape(), matrix=8192, copied=2**31, longest=512, skipped=10, timed=50)
TINY = Scale(Shape(2, 32, 2, 64, 100, 130), matrix=256, copied=2**20, longest=24, skipped=1, timed=3)


@dataclass(frozen=True)
class Workload:
    """Inputs like those of a task.

    Attributes
    ----------
    deciles : sequence of int
        Of the numbers of tokens by XLM-R's tokenizer, from shortest to longest. They were measured on 2,000 rows of
        each training set: MNLI with at most 128 tokens, SQuAD with 384 and a stride of 128, UD's English treebanks.
    """

    name: str
    form: str
    labels: int
    batch_size: int
    deciles: Sequence[int]

    def draw(self, scale: Scale) -> list[Input]:
        """Return random inputs for all updates, of lengths with these deciles."""
        generator = np.random.default_rng(0)
        count = (scale.skipped + scale.timed) * self.batch_size
        lengths = np.interp(generator.random(count), np.linspace(0, 1, len(self.deciles)), self.deciles)
        fitting = lengths.round().clip(max=scale.longest).astype(int).tolist()
        return [self._input(number, length, scale.shape.vocabulary, generator) for number, length in enumerate(fitting)]

    def _input(self, number: int, length: int, vocabulary: int, generator: np.random.Generator) -> Input:
        ids = generator.integers(3, vocabulary, length)
        labels = generator.integers(0, self.labels, length)
        targets = {"classification": labels[0], "tagging": labels, "span_qa": (1, length - 1)}
        return Input(number, ids, targets[self.form])


WORKLOADS = (
    Workload("mnli", "classification", 3, 32, (10, 23, 28, 34, 39, 44, 49, 55, 62, 74, 128)),
    Workload("squad", "span_qa", 2, 16, (45, 102, 124, 145, 168, 189, 210, 240, 278, 324, 384)),
    Workload("tagging", "tagging", 17, 32, (3, 8, 11, 14, 18, 21, 25, 29, 35, 44, 137)),
)


# --- the roofline ----------------------------------------------------------------------------------------------------


class Limits(NamedTuple):
    """What a device showed: operations of a matrix product and bytes of a copy, read and written, in a second."""

    operations: float
    bytes: float


def measure_limits(scale: Scale, device: torch.device) -> Limits:
    """Time a matrix product, in the precision in which the loop trains here, and a copy."""
    half = resolve_precision("auto", device) == "bf16"
    source = torch.zeros(scale.copied, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return Limits(
        operations=measure_products(scale.matrix, torch.bfloat16 if half else torch.float32, device),
        bytes=2 * scale.copied / time_fastest(lambda: target.copy_(source), device),
    )


def count_operations(shape: Shape, lengths: Sequence[int]) -> int:
    """Return the operations of the encoder's matrix products for sequences of these lengths, forward and backward."""
    sizes = np.asarray(lengths)
    weights = 4 * shape.hidden**2 + 2 * shape.hidden * shape.feed_forward
    layer = 2 * weights * int(sizes.sum()) + 4 * shape.hidden * int((sizes**2).sum())
    return FORWARD_AND_BACKWARD * shape.layers * layer


def find_roofline(operations: float, weights: int, limits: Limits) -> float:
    """Return the least seconds of an update with so many operations that trains so many weights."""
    return operations / limits.operations + BYTES_PER_WEIGHT * weights / limits.bytes


# --- recipes ---------------------------------------------------------------------------------------------------------


class Clock:
    """Times the updates of a training after the first ones."""

    def __init__(self, device: torch.device, scale: Scale):
        self.seconds: float | None = None  # of an update; None until the last one is done
        self._device, self._scale, self._done, self._start = device, scale, 0, 0.0

    def tick(self) -> None:
        """Note that an update was given to the device."""
        self._done += 1
        if self._done == self._scale.skipped:
            wait(self._device)
            self._start = time.perf_counter()
        if self._done == self._scale.skipped + self._scale.timed:
            wait(self._device)
            self.seconds = (time.perf_counter() - self._start) / self._scale.timed


@dataclass(frozen=True)
class Training:
    """What a recipe is given: a new model, its inputs, and the clock that it lets tick."""

    model: MultiTaskModel
    workload: Workload
    inputs: Sequence[Input]
    clock: Clock


@dataclass(frozen=True)
class Recipe:
    """A way to train."""

    name: str
    description: str
    fit: Callable[[Training], None]


class Ticking(TrainerCallback):
    """Lets a clock tick after each update of `Trainer`."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def on_step_end(self, *given: Any, **options: Any) -> None:
        """Tick."""
        self.clock.tick()


def fit_by_trainer(training: Training, **options: Any) -> None:
    """Fine-tune with `Trainer`; the options are those of its arguments that are not its defaults."""
    model = WithLoss(training.model, TASK, FORMATS[training.workload.form])
    examples = list_examples(training.inputs)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=training.workload.batch_size, num_train_epochs=1, learning_rate=RATE,
            save_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
            use_cpu=not torch.cuda.is_available(), **options,
        )  # fmt: skip
        trainer = Trainer(model, arguments, model.collate, examples, callbacks=[Ticking(training.clock)])
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def fit_by_trainer_at_its_best(training: Training, **options: Any) -> None:
    """Fine-tune with `Trainer`: bf16, groups of like length, the fused optimizer, batches that others make."""
    workers = 4 if torch.cuda.is_available() else 0
    fit_by_trainer(
        training, bf16=resolve_precision("auto", training.model.device) == "bf16", optim="adamw_torch_fused",
        train_sampling_strategy="group_by_length", dataloader_num_workers=workers,
        dataloader_pin_memory=torch.cuda.is_available(), **options,
    )  # fmt: skip


def fit_by_loop(
    training: Training, *, packs: bool = False, embeddings: bool = True, compiled: str | None = None
) -> None:
    """Fine-tune with the study's loop.

    Parameters
    ----------
    packs : bool
        Whether batches have no padding.
    embeddings : bool
        Whether the word embeddings are trained.
    compiled : str, optional
        Mode of `torch.compile` for the layers.
    """
    model, workload = training.model, training.workload
    if packs and not model.pack_batches():
        raise RuntimeError(f"{type(model.encoder).__name__} does not take batches without padding")
    if compiled:
        model.compile_layers(mode=compiled)
    settings = TrainingSettings(batch_size=workload.batch_size, learning_rate=RATE, head_learning_rate=RATE,
                                train_embeddings=embeddings, evaluations=1)  # fmt: skip
    train(
        model,
        {TASK: EncodedSplit(FORMATS[workload.form], training.inputs)},
        settings,
        seed=1,
        dev_scores=lambda: {TASK: 0.0},
        progress=lambda done, total: training.clock.tick(),
    )


DEFAULTS = Recipe("trainer", "Trainer with its defaults", fit_by_trainer)
RECIPES = (
    DEFAULTS,
    Recipe("trainer-best", "Trainer: bf16, groups of like length, fused AdamW, workers, pinned memory",
           fit_by_trainer_at_its_best),
    Recipe("padded", "the study's loop, bf16, padded batches", fit_by_loop),
    Recipe("packed", "the study's loop, bf16, batches without padding", lambda given: fit_by_loop(given, packs=True)),
    Recipe("packed-frozen", "the same with frozen word embeddings, the studies' default",
           lambda given: fit_by_loop(given, packs=True, embeddings=False)),
)  # fmt: skip


def compile_recipes(mode: str) -> tuple[Recipe, ...]:
    """Return the recipes that compile, in a mode of `torch.compile`."""
    return (
        Recipe("trainer-compiled", f"Trainer at its best and torch.compile ({mode})",
               lambda given: fit_by_trainer_at_its_best(given, torch_compile=True, torch_compile_mode=mode)),
        Recipe("packed-compiled", f"the study's loop without padding, its layers by torch.compile ({mode})",
               lambda given: fit_by_loop(given, packs=True, compiled=mode)),
    )  # fmt: skip


# --- measuring -------------------------------------------------------------------------------------------------------


def build_model(shape: Shape, workload: Workload, device: torch.device) -> MultiTaskModel:
    """Return an encoder of a shape with random weights, and the workload's head."""
    config = XLMRobertaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, intermediate_size=shape.feed_forward, type_vocab_size=1,
        max_position_embeddings=shape.positions, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    set_seed(1)
    with device:
        encoder = XLMRobertaModel(config, add_pooling_layer=False)
        head = FORMATS[workload.form].head(shape.hidden, range(workload.labels))
        return MultiTaskModel(encoder, {TASK: head}).to(device)


def measure(recipe: Recipe, workload: Workload, scale: Scale, limits: Limits, device: torch.device) -> dict[str, Any]:
    """Train by one recipe and return its row; one that does not fit into memory has no numbers but a note."""
    row = {"workload": workload.name, "recipe": recipe.name, "description": recipe.description}
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    inputs, clock = workload.draw(scale), Clock(device, scale)
    try:
        model = build_model(scale.shape, workload, device)
        recipe.fit(Training(model, workload, inputs, clock))
    except torch.OutOfMemoryError as error:
        return row | {"not_measured": f"out of memory: {str(error).splitlines()[0]}"}
    lengths = [len(part.input_ids) for part in inputs]
    operations = count_operations(scale.shape, lengths) / (scale.skipped + scale.timed)
    least, weights = find_roofline(operations, count_trained(model), limits), count_trained(model)
    return row | {
        "seconds_per_update": clock.seconds,
        "examples_per_second": workload.batch_size / clock.seconds,
        "tokens_per_second": workload.batch_size * float(np.mean(lengths)) / clock.seconds,
        "operations_per_update": operations,
        "trained_weights": weights,
        "roofline_seconds": least,
        "roofline_share": least / clock.seconds,
        "peak_memory_mb": provenance.measure_peak_memory(),
    }


def measure_all(
    workloads: Sequence[Workload], recipes: Sequence[Recipe], scale: Scale, device: torch.device
) -> dict[str, Any]:
    """Return the limits of a device and the rows of all recipes, each compared with `Trainer`'s defaults."""
    limits = measure_limits(scale, device)
    rows = []
    for workload in workloads:
        own = [measure(recipe, workload, scale, limits, device) for recipe in recipes]
        slowest = next(row for row in own if row["recipe"] == DEFAULTS.name).get("seconds_per_update")
        for row in own:
            if slowest and "seconds_per_update" in row:
                row["times_trainer"] = slowest / row["seconds_per_update"]
        rows += own
    return {
        "device": provenance.find_device_name(),
        "precision": resolve_precision("auto", device),
        "packages": provenance.list_package_versions(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "scale": asdict(scale),
        "limits": limits._asdict(),
        "rows": rows,
        "not_measured": [f"{row['workload']}, {row['recipe']}: {row['not_measured']}" for row in rows
                         if "not_measured" in row],
    }  # fmt: skip


def say_what_is_missing(scale: Scale, compiled: str | None, device: torch.device) -> list[str]:
    """Return what a measurement does not tell, by how it was asked for."""
    missing = []
    if device.type != "cuda":
        missing.append("no GPU: every number is of this machine's processor and says nothing about a GPU, nor does "
                       "the attention, which is a block-diagonal mask here and a kernel there")  # fmt: skip
    if scale is not WHOLE:
        missing.append("not XLM-R Large: the shape is tiny, and its shares say nothing about a large one")
    if compiled is None:
        missing.append("torch.compile: not asked for (--compile)")
    missing.append("CUDA graphs over a few numbers of tokens: not built; --compile reduce-overhead records one for "
                   "each number")  # fmt: skip
    return missing


def format_table(result: dict[str, Any]) -> str:
    """Return the rows as a table to read."""
    columns = {
        "seconds_per_update": ("ms", lambda value: f"{1000 * value:.1f}"),
        "roofline_seconds": ("roofline ms", lambda value: f"{1000 * value:.1f}"),
        "roofline_share": ("share", lambda value: f"{value:.1%}"),
        "examples_per_second": ("examples/s", lambda value: f"{value:,.0f}"),
        "times_trainer": ("x Trainer", lambda value: f"{value:.2f}"),
        "peak_memory_mb": ("peak MB", lambda value: f"{value:,.0f}"),
    }
    table = pd.DataFrame(
        {
            "workload": row["workload"],
            "recipe": row["recipe"],
            **{name: show(row[key]) if key in row else "not measured" for key, (name, show) in columns.items()},
        }
        for row in result["rows"]
    )
    limits = result["limits"]
    return (
        f"{result['device']}: {limits['operations'] / 1e12:.1f} tera-operations a second ({result['precision']}), "
        f"{limits['bytes'] / 1e9:.0f} GB a second\n{table.to_string(index=False)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, to see that it runs")
    parser.add_argument("--workloads", nargs="+", default=[each.name for each in WORKLOADS], help="some of them")
    parser.add_argument("--compile", choices=["default", "reduce-overhead"], help="measure torch.compile too")
    parser.add_argument("--out", type=Path, help=f"JSON file, beside it a CSV file; without --tiny {OUT}")
    options = parser.parse_args(arguments)
    device, scale = find_default_device(), TINY if options.tiny else WHOLE
    if device.type != "cuda" and not options.tiny:
        parser.error("there is no GPU; --tiny shows that the benchmark runs")
    if unknown := sorted({*options.workloads} - {each.name for each in WORKLOADS}):
        parser.error(f"no workload is called {unknown[0]}; there are {', '.join(each.name for each in WORKLOADS)}")
    recipes = RECIPES + (compile_recipes(options.compile) if options.compile else ())
    result = measure_all([each for each in WORKLOADS if each.name in options.workloads], recipes, scale, device)
    result["not_measured"] += say_what_is_missing(scale, options.compile, device)
    print(format_table(result))
    print(*(f"not measured: {missing}" for missing in result["not_measured"]), sep="\n")
    if out := options.out or (None if options.tiny else OUT):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")
        pd.DataFrame(result["rows"]).to_csv(out.with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
