"""The zero-shot phase: predictions and scores on a target's test sets in all languages."""

from typing import TYPE_CHECKING

from stilts.models.model import build_model
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.recording import State, clocked, concatenate, find_precision, tabulate_predictions, write_record
from stilts.sources.splits import SuiteSplits, list_covered_languages
from stilts.study.provenance import Work
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.tasks.formats.base import UNLIMITED
from stilts.tasks.registry import get_target
from stilts.training.evaluated_model import EvaluatedModel

if TYPE_CHECKING:
    from stilts.workspace.checkout import Checkout
    from stilts.workspace.plan import Plan


def evaluate_zero_shot(run: Run, plan: "Plan", parent: State | None) -> Record:
    """Evaluate the parent run's checkpoint on a target task in all languages, and return the record."""
    task, evaluation = get_target(run.target), run.settings.evaluation
    suite = plan.checkout.suite_folder(run)
    form = task.format.with_options(chunk_rule=evaluation.chunk_rule, doc_stride=run.settings.doc_stride)
    languages = list_covered_languages(task, suite, run.settings.languages)
    splits = SuiteSplits(suite, task, languages, evaluation.examples or UNLIMITED)
    with clocked(plan) as clock:
        model = open_model(run, plan.checkout, splits, parent)
        scored = list(form.evaluate(splits, model))
    metrics = {each.language: each.metrics for each in scored}
    table = concatenate([tabulate_predictions(each) for each in scored])
    return write_record(run, plan, metrics, clock, Work(model.examples, model.tokens), table=table)


def open_model(run: Run, checkout: "Checkout", splits: SuiteSplits, state: State | None) -> EvaluatedModel:
    """Return the encoder with the parent run's weights, and with the task's head if it has one."""
    task, folder = splits.task, checkout.encoder_folder(run)
    if task.format.trained:
        model = build_model(folder, {task.head: (task.format, splits.labels())}, run.seed, run.heads)
        model.load(state)
    else:
        model = build_model(folder, {}, run.seed)
        if state is not None:
            model.load_encoder(state)
    settings = run.settings
    return EvaluatedModel(
        model,
        task.head,
        task.format,
        load_prepared_tokenizer(folder),
        settings.max_length,
        retrieval_layer=settings.evaluation.retrieval_layer,
        batch_tokens=settings.evaluation.batch_tokens,
        precision=find_precision(run),
        progress=checkout.progress(run.id),
        encode=checkout.kept_inputs(run).encode,
    )
