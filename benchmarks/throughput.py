"""Training throughput, side by side: the study's loop, the XTREME scripts' recipe, and today's plain practice.

All three fine-tune the same encoder with the same head, rates, batch size, epochs and examples on one target task, one
after the other on this machine, and are scored on the same English dev set. They differ in what the recipes differ in:

- xtreme: fp32, every input padded to 128 tokens, the whole embedding trained (the scripts of google-research/xtreme)
- plain: Trainer with bf16, dynamic padding and grouping by length, the whole embedding trained
- stilts: the loop and the target settings of the study: trimmed vocabulary, frozen embedding and lowest layers

Run it on a quiet machine: `python benchmarks/throughput.py`; it writes results/benchmarks/throughput.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import Trainer, TrainingArguments, get_linear_schedule_with_warmup, set_seed

from stilts.models.encoders import load_encoder
from stilts.models.model import Batch, MultiTaskModel, build_model, pad, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.sources.splits import load
from stilts.study import provenance
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats.base import EncodedSplit, encode_split
from stilts.tasks.formats.inputs import Input
from stilts.tasks.metrics import Counts, score
from stilts.tasks.registry import TARGETS, Task
from stilts.training.loop import train
from stilts.training.prediction import count_predictions
from stilts.workspace.checkout import find_checkout
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import open_plan

PADDED_LENGTH = 128  # tokens of every input in the XTREME scripts' classification and tagging recipes
RESAMPLES = 2000


class WithLoss(nn.Module):
    """A model of the study as `Trainer` wants it: inputs and their numbers in, loss out."""

    def __init__(self, model: MultiTaskModel, task: Task, inputs: Sequence[Input]):
        super().__init__()
        self.model, self.task, self.inputs = model, task, inputs

    def forward(self, input_ids: torch.Tensor, mask: torch.Tensor, number: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the loss of a batch."""
        logits = self.model(self.task.name, Batch(input_ids, mask))
        parts, form = [self.inputs[i] for i in number.tolist()], self.task.format
        return {"loss": form.loss(logits.float(), parts) / form.weight(parts)}


def with_trainer(
    model: MultiTaskModel, task: Task, inputs: Sequence[Input], settings: TrainingSettings, *, bf16: bool, padded: bool
) -> None:
    """Fine-tune with `Trainer`: fixed padding in fp32, or dynamic padding grouped by length in bf16."""

    def collate(numbers: Sequence[dict]) -> dict[str, torch.Tensor]:
        parts = [inputs[item["number"]] for item in numbers]
        ids, mask = pad(parts, model.encoder.config.pad_token_id, torch.device("cpu"))
        if padded:
            missing = PADDED_LENGTH - ids.shape[1]
            ids = nn.functional.pad(ids, (0, missing), value=model.encoder.config.pad_token_id)
            mask = nn.functional.pad(mask, (0, missing))
        return {"input_ids": ids, "mask": mask, "number": torch.tensor([item["number"] for item in numbers])}

    examples = [{"number": i, "input_ids": part.input_ids} for i, part in enumerate(inputs)]
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
        Trainer(
            WithLoss(model, task, inputs), arguments, collate, train_dataset=examples, optimizers=(optimizer, rates)
        ).train()


def interval(counts: Counts, seed: int = 0) -> list[float]:
    """Return the bootstrap 95 % interval of a dev score over its examples, in percent."""
    rng = np.random.default_rng(seed)
    scores = [score(counts.take(rng.integers(len(counts), size=len(counts)))) for _ in range(RESAMPLES)]
    return [float(bound) for bound in np.percentile(scores, [2.5, 97.5])]


def measured(
    name: str,
    description: str,
    model: MultiTaskModel,
    task: Task,
    dev: EncodedSplit,
    examples: float,
    fit: Callable[[], None],
) -> dict:
    """Fine-tune once and return its time and its dev score."""
    set_seed(1)
    start = time.perf_counter()
    fit()
    seconds = time.perf_counter() - start
    precision = resolve_precision("auto", model.device)
    counts = count_predictions(model, task.name, dev, batch_tokens=4096, precision=precision)
    row = {
        "name": name, "description": description, "seconds": seconds, "examples": examples,
        "examples_per_second": examples / seconds, "dev_score": score(counts), "dev_interval": interval(counts),
        "trained_parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
    }  # fmt: skip
    print(json.dumps(row), flush=True)
    return row


def run(study_name: str, task_name: str, threads: int, examples: int, epochs: int) -> dict:
    """Return the three recipes' rows and where they were measured."""
    torch.set_num_threads(threads)
    plan, task = open_plan(find_checkout(), study_name), TARGETS[task_name]
    prepare(plan)
    suite, folder = plan.suite_folder, plan.checkout.encoder_folder(plan.runs[0])
    settings = plan.study.training("target", task_name).model_copy(update={"examples": examples, "epochs": epochs})
    train_split = load(suite, task, "en", "train", settings.examples)
    dev_split = load(suite, task, "en", "validation", 10**6)
    form = task.format
    rows = []
    for name, bf16, padded, description in (
        ("xtreme", False, True, "fp32, padded to 128 tokens, whole embedding (XTREME scripts)"),
        ("plain", True, False, "Trainer, bf16, dynamic padding, grouped by length, whole embedding"),
    ):
        encoder, tokenizer = load_encoder(plan.study.encoder.name, plan.study.encoder.revision)
        torch.manual_seed(1)
        model = MultiTaskModel(encoder, {task.name: form.head(encoder.config.hidden_size, train_split.labels)})
        inputs = form.encode(train_split.rows, tokenizer, settings.max_length)

        def fit(model=model, inputs=inputs, bf16=bf16, padded=padded) -> None:
            with_trainer(model, task, inputs, settings, bf16=bf16, padded=padded)

        dev = encode_split(form, dev_split, tokenizer, settings.max_length)
        rows.append(measured(name, description, model, task, dev, len(inputs) * epochs, fit))
        del model, encoder, fit
    tokenizer = load_prepared_tokenizer(folder)
    model = build_model(folder, {task.name: (task.format, train_split.labels)}, seed=1)
    data = {task.name: encode_split(form, train_split, tokenizer, settings.max_length)}
    rows.append(
        measured(
            "stilts",
            "the study's loop: bf16, grouped by length, trimmed and frozen embedding, lowest layers frozen",
            model,
            task,
            encode_split(form, dev_split, tokenizer, settings.max_length),
            len(data[task.name].inputs) * epochs,
            lambda: train(model, data, settings, seed=1, dev_scores=lambda: {task.name: 0.0}),
        )  # fmt: skip
    )
    return {
        "task": task_name, "study": study_name, "settings": settings.model_dump(mode="json"),
        "dev_examples": len(dev.rows), "device": provenance.device_name(), "packages": provenance.package_versions(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"), "rows": rows,
    }  # fmt: skip


def main() -> None:
    """Measure, and write the result beside the recorded studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="pocket-full", help="study whose target settings all recipes take")
    parser.add_argument("--task", default="intent", choices=[name for name, task in TARGETS.items() if task.trained])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each recipe")
    parser.add_argument("--examples", type=int, default=500, help="training examples")
    parser.add_argument("--epochs", type=int, default=2, help="passes over them")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/throughput.json"))
    options = parser.parse_args()
    result = run(options.study, options.task, options.threads, options.examples, options.epochs)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
