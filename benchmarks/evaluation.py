"""Zero-shot evaluation and the forward passes in it: what reading, tokenising, collating and decoding add to them.

    python benchmarks/evaluation.py pilot --targets xnli udpos xquad

The study's encoder with new heads predicts the test sets of all languages of a target twice: with rows that are
tokenised, and with inputs that were kept on disk. The share is the time of the forward passes in that of the whole, of
one and the same evaluation. Preparing suite and encoder is not timed.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from shared import wait

from stilts.models.model import build_model, find_default_device, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.sources.splits import SuiteSplits, list_covered_languages
from stilts.tasks.formats.base import UNLIMITED, Encode, TrainedFormat, encode_rows
from stilts.tasks.formats.kept_inputs import KeptInputs
from stilts.tasks.registry import get_target
from stilts.training.evaluated_model import EvaluatedModel
from stilts.workspace.checkout import find_checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import resolve


class Times(NamedTuple):
    """Seconds of an evaluation, and of its forward passes."""

    whole: float
    forward: float

    def __str__(self) -> str:
        return f"{self.whole:.1f} s, of which forward passes {self.forward / self.whole:.1%}"


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
        self.forward = 0.0
        self.model.register_forward_pre_hook(self._start)
        self.model.register_forward_hook(self._stop)

    def measure(self) -> dict[str, Times]:
        """Return the times with rows that are tokenised, and with inputs that are read."""
        with tempfile.TemporaryDirectory() as folder:
            kept = KeptInputs(Path(folder)).encode
            self.evaluate(kept)  # which keeps the inputs, and warms up
            return {"tokenised": self.evaluate(encode_rows), "kept": self.evaluate(kept)}

    def evaluate(self, encode: Encode) -> Times:
        """Score all test sets as a run does, and return the times."""
        evaluation = self.settings.evaluation
        model = EvaluatedModel(
            self.model, self.task.head, self.form, self.tokenizer, self.settings.max_length, encode=encode,
            batch_tokens=evaluation.batch_tokens, precision=resolve_precision(evaluation.precision, self.model.device),
        )  # fmt: skip
        self.forward, start = 0.0, self._now()
        list(self.form.evaluate(self.splits, model))
        return Times(self._now() - start, self.forward)

    def _start(self, *_: Any) -> None:
        self.forward -= self._now()

    def _stop(self, *_: Any) -> None:
        self.forward += self._now()

    def _now(self) -> float:
        wait(self.model.device)
        return time.perf_counter()


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
        for way, times in Evaluation(plan, target).measure().items():
            print(f"{target}, inputs {way}: {times} on {find_default_device()}", flush=True)


if __name__ == "__main__":
    main()
