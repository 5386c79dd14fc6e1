"""The zero-shot phase: a target's test sets in all languages, predicted and scored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.models.model import build_model
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.recording import State, concatenate, measuring, passing, precision_of, prediction_table, write_record
from stilts.phases.sentence_retrieval import mine_pairs, retrieve_sentences
from stilts.sources.hub import load_split
from stilts.sources.suite import POOL
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.tasks.formats import SpanQA, Tagging, get_format
from stilts.tasks.formats.base import Format
from stilts.tasks.formats.passage_retrieval import QUERY_COLUMNS, check_pool
from stilts.tasks.guessing import LABELLED, balanced_accuracy, gold_labels, majority
from stilts.tasks.metrics import score
from stilts.tasks.registry import Task, get_target, languages
from stilts.tasks.splits import Split, load
from stilts.training.prediction import head_outputs, predict

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.checkout import Workspace


def evaluate_zero_shot(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    """Predict, score and record a target task in all languages, from the weights that the parent run left."""
    task = get_target(run.target)
    evaluate = _EVALUATIONS.get(task.format, _predict)
    with measuring(run, workspace) as measured:
        metrics, predictions = evaluate(run, workspace, task, parent, measured)
    return write_record(run, workspace, metrics, measured, precision_of(run), None, predictions)


def _predict(
    run: Run, workspace: "Workspace", task: Task, state: State, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Predict the test sets of all languages in one pass, so that batches of like length fill up."""
    suite, folder = workspace.suite_folder(run), workspace.encoder_folder(run)
    most = run.settings["evaluation"]["examples"]
    wanted = languages(task, suite, run.settings["languages"])
    splits = {language: load(suite, task, language, "test", most) for language in wanted}
    labels = splits[wanted[0]].labels
    model = build_model(folder, {task.training_task: (task.format, labels)}, run.seed, run.heads)
    model.load(state)
    form = get_format(
        task.format,
        chunk_rule=run.settings["evaluation"].get("chunk_rule"),
        doc_stride=run.settings.get("doc_stride"),
    )
    rows = [row for split in splits.values() for row in split.rows]
    inputs = form.encode(rows, load_prepared_tokenizer(folder), run.settings["max_length"])
    measured.update(examples=len(rows), tokens=sum(part.tokens for part in inputs))
    predictions = predict(
        model,
        task.training_task,
        task.format,
        rows,
        inputs,
        labels,
        **passing(run, workspace, model, len(inputs)),
    )
    return _scored(task, form, splits, predictions)


def _search(
    run: Run, workspace: "Workspace", task: Task, state: State, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Rank the candidates of all languages, one pool, for the queries of each language."""
    suite, folder = workspace.suite_folder(run), workspace.encoder_folder(run)
    most, length = run.settings["evaluation"]["examples"], run.settings["max_length"]
    wanted = languages(task, suite, run.settings["languages"])
    splits = {language: load(suite, task, language, "test", most, QUERY_COLUMNS) for language in wanted}
    rows = [row for split in splits.values() for row in split.rows]
    pool = load_split(suite, None, task.config_for(POOL.config), POOL.split, columns=POOL.columns)
    check_pool(rows, pool["id"], f"{suite}, task '{task.name}'")
    model = build_model(folder, {task.training_task: (task.format, ())}, run.seed)
    model.load(state)
    form, tokenizer = get_format(task.format), load_prepared_tokenizer(folder)
    inputs = [*form.encode(rows, tokenizer, length), *form.encode_pool(pool["passage"], tokenizer, length)]
    measured.update(examples=len(inputs), tokens=sum(part.tokens for part in inputs))
    vectors = head_outputs(
        model,
        task.training_task,
        task.format,
        inputs,
        **passing(run, workspace, model, len(inputs)),
    )
    queries, candidates = np.concatenate(vectors[: len(rows)]), np.concatenate(vectors[len(rows) :])
    return _scored(task, form, splits, form.search(queries, candidates, pool["id"]))


def _scored(
    task: Task, form: Format, splits: dict[str, Split], predictions: Sequence[str]
) -> tuple[dict, "pd.DataFrame"]:
    """Score the predictions of all languages' rows, which follow each other."""
    metrics, tables, start = {}, [], 0
    for language, split in splits.items():
        own = predictions[start : start + len(split.rows)]
        counts = form.counts(split.rows, own, split.labels, language)
        metrics[language] = {"score": score(counts), "n": len(own)}
        if isinstance(form, SpanQA):
            metrics[language]["exact_match"] = score(form.exact_match(split.rows, own, language))
        if isinstance(form, Tagging):
            metrics[language]["token_accuracy"] = form.token_accuracy(split.rows, own, split.labels)
        if task.format in LABELLED:
            gold = gold_labels(split)
            metrics[language] |= {"majority": majority(gold), "balanced": balanced_accuracy(gold, own)}
        table = prediction_table(language, range(len(own)), own, counts)
        tables.append(table.assign(item=[str(row["id"]) for row in split.rows]) if task.parallel else table)
        start += len(own)
    return metrics, concatenate(tables)


_EVALUATIONS = {"retrieval": retrieve_sentences, "mining": mine_pairs, "passage_retrieval": _search}
