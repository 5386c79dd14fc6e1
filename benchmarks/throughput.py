"""Training throughput, side by side: the study's loop, the XTREME scripts' recipe, and today's plain practice.

All three fine-tune the same encoder with the same head, rates, batch size, epochs and examples on one target task, one
after the other on this machine, and are scored on the same English dev set:

- xtreme: fp32, every input padded to 128 tokens (the scripts of google-research/xtreme)
- plain: Trainer with bf16, dynamic padding and grouping by length
- stilts: the loop of the study

They do so three times. In the work "recipes" each trains what its recipe trains: all weights, but for the study's loop,
which trims the vocabulary and freezes the embeddings, and layers where the study does. In the works "layers" and "all"
every recipe trains the same weights, on pairs of MNLI's lengths: those of all layers, or all and the whole vocabulary.

Run it on a quiet machine, with a data folder for MNLI: `python benchmarks/throughput.py`; it writes
results/benchmarks/throughput.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from shared import WithLoss, list_examples, measure_products
from transformers import Trainer, TrainingArguments, get_linear_schedule_with_warmup, set_seed

from stilts.models.encoders import load_encoder
from stilts.models.known_encoders import find_encoder_shape
from stilts.models.model import MultiTaskModel, build_model, find_default_device, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.sources.splits import load
from stilts.study import provenance
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats.base import EncodedSplit, encode_split
from stilts.tasks.formats.inputs import Input
from stilts.tasks.metrics import Counts, score
from stilts.tasks.registry import TARGETS, Task
from stilts.training.loop import train
from stilts.training.optimization import count_trained, freeze
from stilts.training.prediction import count_predictions
from stilts.workspace.checkout import find_checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import resolve

PADDED_LENGTH = 128  # tokens of every input in the XTREME scripts' classification and tagging recipes
RESAMPLES = 2000
SIDE = 2048  # of the square matrices whose product shows the device's peak


class Work(NamedTuple):
    """What all recipes do: examples of a study's target, and which weights they train.

    `weights` are those that each recipe trains ("recipe"), those of all layers, or all of them with the embeddings.
    """

    name: str
    study: str
    task: str
    examples: int
    epochs: int
    weights: Literal["recipe", "layers", "all"]


WORKS = (
    Work("recipes", "pocket-full", "intent", 500, 2, "recipe"),
    Work("layers", "pilot", "xnli", 384, 1, "layers"),
    Work("all", "pilot", "xnli", 384, 1, "all"),
)


def with_trainer(
    model: MultiTaskModel, task: Task, inputs: Sequence[Input], settings: TrainingSettings, *, bf16: bool, padded: bool
) -> None:
    """Fine-tune with `Trainer`: fixed padding in fp32, or dynamic padding grouped by length in bf16."""
    groups = [
        {"params": model.encoder.parameters(), "lr": settings.learning_rate},
        {"params": model.heads.parameters(), "lr": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, eps=1e-8)
    updates = int(-(-len(inputs) // settings.batch_size) * settings.epochs)
    rates = get_linear_schedule_with_warmup(optimizer, round(settings.warmup * updates), updates)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=settings.batch_size, num_train_epochs=settings.epochs, bf16=bf16,
            train_sampling_strategy="random" if padded else "group_by_length",
            max_grad_norm=settings.clip, save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
            remove_unused_columns=False, use_cpu=not torch.cuda.is_available(), dataloader_pin_memory=False,
        )  # fmt: skip
        given = WithLoss(model, task.name, task.format, PADDED_LENGTH if padded else None)
        Trainer(
            given, arguments, given.collate, train_dataset=list_examples(inputs), optimizers=(optimizer, rates)
        ).train()


def interval(counts: Counts, seed: int = 0) -> list[float]:
    """Return the bootstrap 95 % interval of a dev score over its examples, in percent."""
    rng = np.random.default_rng(seed)
    scores = [score(counts.take(rng.integers(len(counts), size=len(counts)))) for _ in range(RESAMPLES)]
    return [float(bound) for bound in np.percentile(scores, [2.5, 97.5])]


class Bench:
    """The data and settings of a work, and the measurement of a recipe.

    Parameters
    ----------
    work : Work
    plan : Plan
        Of the work's study, with its suite and its encoder prepared.
    """

    def __init__(self, work: Work, plan: Plan):
        self.work, self.plan, self.task = work, plan, TARGETS[work.task]
        changes: dict = {"examples": work.examples, "epochs": work.epochs}
        if work.weights != "recipe":
            changes |= {"frozen_layers": 0, "train_embeddings": work.weights == "all"}
        self.settings = plan.study.training("target", work.task).model_copy(update=changes)
        self.train_split = load(plan.suite_folder, self.task, "en", "train", work.examples)
        self.dev_split = load(plan.suite_folder, self.task, "en", "validation", self.settings.dev_examples)

    def run(self) -> dict:
        """Return the settings and the rows of all recipes."""
        rows = [*self._with_trainer(), self._with_stilts()]
        return {
            "name": self.work.name, "study": self.work.study, "task": self.work.task,
            "settings": self.settings.model_dump(mode="json"), "dev_examples": len(self.dev_split.rows), "rows": rows,
        }  # fmt: skip

    def _with_trainer(self) -> Iterator[dict]:
        """Yield the rows of the recipes by `Trainer`, with the whole vocabulary."""
        form = self.task.format
        for name, bf16, padded, description in (
            ("xtreme", False, True, "fp32, padded to 128 tokens (XTREME scripts)"),
            ("plain", True, False, "Trainer, bf16, dynamic padding, grouped by length"),
        ):
            encoder, tokenizer = load_encoder(self.plan.study.encoder.name, self.plan.study.encoder.revision)
            torch.manual_seed(1)
            head = form.head(encoder.config.hidden_size, self.train_split.labels)
            model = MultiTaskModel(encoder, {self.task.name: head})
            if self.work.weights != "recipe":
                freeze(model, self.settings)
            inputs = form.encode(self.train_split.rows, tokenizer, self.settings.max_length)
            fit = partial(with_trainer, model, self.task, inputs, self.settings, bf16=bf16, padded=padded)
            dev = encode_split(form, self.dev_split, tokenizer, self.settings.max_length)
            yield self._measure(name, description, model, inputs, dev, fit)

    def _with_stilts(self) -> dict:
        """Return the row of the study's loop."""
        form, folder = self.task.format, self.plan.checkout.encoder_folder(self.plan.runs[0])
        tokenizer = load_prepared_tokenizer(folder)
        model = build_model(folder, {self.task.name: (form, self.train_split.labels)}, seed=1)
        data = encode_split(form, self.train_split, tokenizer, self.settings.max_length)
        dev = encode_split(form, self.dev_split, tokenizer, self.settings.max_length)
        scores = {self.task.name: 0.0}

        def fit() -> None:
            train(model, {self.task.name: data}, self.settings, seed=1, dev_scores=lambda: scores)

        description, frozen = "the study's loop: bf16, grouped by length", self.settings.frozen_layers
        return self._measure("stilts", description, model, data.inputs, dev, fit, frozen_layers=frozen)

    def _measure(
        self,
        name: str,
        description: str,
        model: MultiTaskModel,
        inputs: Sequence[Input],
        dev: EncodedSplit,
        fit: Callable[[], None],
        frozen_layers: int = 0,
    ) -> dict:
        """Fine-tune once and return its time, the operations that it takes without padding, and its dev score."""
        set_seed(1)
        start = time.perf_counter()
        fit()
        seconds = time.perf_counter() - start
        precision = resolve_precision("auto", model.device)
        counts = count_predictions(model, self.task.name, dev, batch_tokens=4096, precision=precision)
        examples = len(inputs) * self.work.epochs
        shape = find_encoder_shape(self.plan.study.encoder.name)
        # A weight takes six operations a token, or two if its layer is not trained.
        per_token = (6 - 4 * frozen_layers / shape.layers) * shape.layer_weights
        row = {
            "name": name, "description": description, "seconds": seconds, "examples": examples,
            "examples_per_second": examples / seconds,
            "operations": per_token * sum(part.tokens for part in inputs) * self.work.epochs,
            "dev_score": score(counts), "dev_interval": interval(counts), "trained_parameters": count_trained(model),
        }  # fmt: skip
        print(json.dumps({"work": self.work.name} | row), flush=True)
        return row


def open_work(work: Work) -> Bench:
    """Return the bench of a work, with suite and encoder prepared; with the whole vocabulary if all is trained."""
    checkout = find_checkout()
    study = checkout.study(work.study)
    if work.weights == "all":
        study = study.model_copy(update={"encoder": study.encoder.model_copy(update={"trim_vocabulary": False})})
    plan = resolve(study, checkout)
    prepare(plan)
    return Bench(work, plan)


def main() -> None:
    """Measure, and write the result beside the recorded studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each recipe")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/throughput.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    benches = [open_work(work) for work in WORKS]  # all that is missing is said before anything is timed
    peak = measure_products(SIDE, torch.bfloat16, find_default_device())
    result = {
        "device": provenance.find_device_name(), "peak": peak, "packages": provenance.list_package_versions(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"), "works": [bench.run() for bench in benches],
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
