"""Zero-shot evaluation beside pure forward passes: what reading, tokenising, collating and decoding add to them.

    python benchmarks/evaluation.py pilot-full --targets xnli udpos xquad

The study's encoder with new heads predicts the test sets of all languages of a target three times: with rows that are
tokenised, with inputs that were kept on disk, and by forward passes alone, over batches that are ready on the device.
The share is the time of the forward passes in that of the whole. Preparing suite and encoder is not timed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from shared import wait

from stilts.models.model import autocast, build_model, find_default_device, move, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.sources.splits import SuiteSplits, list_covered_languages
from stilts.tasks.formats.base import UNLIMITED, Encode, TrainedFormat, encode_rows
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.kept_inputs import KeptInputs
from stilts.tasks.registry import get_target
from stilts.training.evaluated_model import EvaluatedModel
from stilts.training.prediction import batch_by_tokens
from stilts.workspace.checkout import find_checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import resolve


class Evaluation:
    """The evaluation of one target of a plan."""

    def __init__(self, plan: Plan, target: str):
        run = next(run for run in plan.runs if run.phase == "zero-shot" and run.target == target)
        self.settings, self.task = run.settings, get_target(target)
        evaluation, suite = self.settings.evaluation, plan.checkout.suite_folder(run)
        options = {"chunk_rule": evaluation.chunk_rule, "doc_stride": self.settings.doc_stride}
        self.form: TrainedFormat = self.task.format.with_options(**options)
        languages = list_covered_languages(self.task, suite, self.settings.languages)
        self.splits = SuiteSplits(suite, self.task, languages, evaluation.examples or UNLIMITED)
        folder = plan.checkout.encoder_folder(run)
        self.tokenizer = load_prepared_tokenizer(folder)
        self.model = build_model(folder, {self.task.head: (self.form, self.splits.labels())}, seed=1)
        self.precision = resolve_precision(evaluation.precision, self.model.device)

    def measure(self) -> dict[str, float]:
        """Return the number of inputs, and the seconds of the whole evaluation with rows and with kept inputs, and of
        the forward passes alone."""
        with tempfile.TemporaryDirectory() as folder:
            kept = KeptInputs(Path(folder)).encode
            self.evaluate(kept)
            seconds = {
                "rows": self._time(lambda: self.evaluate(encode_rows)), "kept": self._time(lambda: self.evaluate(kept)),
            }  # fmt: skip
        inputs = self.encode()
        batches = [move(self.model.collate(parts), self.model.device) for parts in self._group(inputs)]
        return {"inputs": len(inputs), **seconds, "forward": self._time(lambda: self.predict(batches))}

    def evaluate(self, encode: Encode) -> None:
        """Score all test sets as a run does."""
        model = EvaluatedModel(
            self.model, self.task.head, self.form, self.tokenizer, self.settings.max_length,
            batch_tokens=self.settings.evaluation.batch_tokens, precision=self.precision, encode=encode,
        )  # fmt: skip
        list(self.form.evaluate(self.splits, model))

    def encode(self) -> Sequence[Input]:
        """Return the inputs of all test sets."""
        rows = [row for language in self.splits.languages for row in self.splits.read(language).rows]
        return self.form.encode(rows, self.tokenizer, self.settings.max_length)

    @torch.inference_mode()
    def predict(self, batches: Sequence[Any]) -> None:
        """Compute the logits of batches that are on the device."""
        self.model.eval()
        with autocast(self.precision, self.model.device):
            for batch in batches:
                self.model(self.task.head, batch)

    def _group(self, inputs: Sequence[Input]) -> list[list[Input]]:
        lengths = [part.longest * len(part.sequences) for part in inputs]
        most = self.settings.evaluation.batch_tokens
        return [[inputs[place] for place in batch] for batch in batch_by_tokens(lengths, most)]

    def _time(self, call: Callable[[], Any]) -> float:
        wait(self.model.device)
        start = time.perf_counter()
        call()
        wait(self.model.device)
        return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure targets of a study, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--targets", nargs="+", help="by default all that are trained")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    checkout = find_checkout()
    plan = resolve(checkout.study(options.study), checkout)
    prepare(plan)
    known = [name for name in plan.study.targets if get_target(name).format.trained]
    for target in options.targets or known:
        if target not in known:
            parser.error(f"{options.study} trains no target '{target}' (it trains {', '.join(known)})")
        found = Evaluation(plan, target).measure()
        shares = {way: found["forward"] / found[way] for way in ("kept", "rows")}
        print(f"{target}: {found['inputs']:,} inputs, forward passes {found['forward']:.1f} s on "
              f"{find_default_device()}; with kept inputs {found['kept']:.1f} s (share {shares['kept']:.0%}), "
              f"with rows {found['rows']:.1f} s (share {shares['rows']:.0%})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
