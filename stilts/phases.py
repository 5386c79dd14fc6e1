"""The three phases: each takes a run, does it, and leaves its record.

A run whose record stands is not done again. Its checkpoint may be gone, since target checkpoints are kept only until
their evaluation is recorded; a child that needs it has it made again, with the same numbers.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stilts import provenance
from stilts.adapters import has_adapters
from stilts.errors import StiltsError
from stilts.evaluation import counted, dev_counts, embed, head_outputs, predict
from stilts.formats import SpanQA, Tagging, get_format
from stilts.formats.base import Format, Input
from stilts.formats.passage_retrieval import POOL, QUERY_COLUMNS, check_pool
from stilts.launch import train_together
from stilts.measures import measure
from stilts.metrics import DEFAULT_CHUNK_RULE, Counts, mining_counts, score
from stilts.model import MultiTaskModel, build_model, default_device, encoder_part, resolve_precision
from stilts.optimization import trained_count
from stilts.pretraining import pretrain
from stilts.processes import ALONE, Processes
from stilts.records import Record
from stilts.retrieval import best_threshold, mine, nearest, nearest_counts, select
from stilts.sources.hub import load_split
from stilts.splits import Split, load, load_tokenizer
from stilts.study import PretrainingSettings, Run, ScratchSettings, TrainingSettings
from stilts.tasks import SOURCE_LANGUAGE, Task, get_intermediate, get_target, languages
from stilts.training import Outcome, TaskData, train
from stilts.training_state import SavedStates

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerFast

    from stilts.workspace import Workspace

log = logging.getLogger(__name__)

State = dict[str, torch.Tensor]  # a model's weights by name


def complete(run: Run, workspace: "Workspace", plan: dict[str, Run]) -> Record:
    """Return a run's record; do the run first, and what it stands on, where there is none.

    Parameters
    ----------
    plan : dict of str to Run
        All runs by id, the parents of `run` among them.
    """
    store = workspace.store()
    with workspace.lock(run.id):
        if record := store.find(run.id):
            log.info("%s: recorded, not run again", run.id)
            return record
        log.info("%s: runs, since it has no record", run.id)
        return _do(run, workspace, plan)


def _do(run: Run, workspace: "Workspace", plan: dict[str, Run]) -> Record:
    """Do a run from the weights that its parent left, or from the public encoder where it has none."""
    state = _weights(plan[run.parents[0]], workspace, plan) if run.parents else None
    record = _PHASES[run.phase](run, workspace, state)
    if run.parents and not workspace.keep_checkpoints:
        _discard_spent(plan[run.parents[0]], workspace, plan)
    return record


def _discard_spent(parent: Run, workspace: "Workspace", plan: dict[str, Run]) -> None:
    """Remove a target checkpoint once every evaluation of it is recorded: one may serve several, as SQuAD's does."""
    store = workspace.store()
    children = [run for run in plan.values() if parent.id in run.parents]
    if parent.phase == "target" and all(child.id in store for child in children):
        with workspace.lock(parent.id):
            workspace.checkpoints.discard(parent.id)


def _weights(run: Run, workspace: "Workspace", plan: dict[str, Run]) -> State:
    """Return what a run left; do it again where that is gone. The lock keeps others from discarding it meanwhile."""
    with workspace.lock(run.id):
        if not workspace.checkpoints.intact(run.id):
            log.info("%s: runs, since the next phase needs its checkpoint and there is none", run.id)
            _do(run, workspace, plan)
        return workspace.checkpoints.load(run.id)


def _train_phase(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    """Train in this process, or in as many others as the study's schedule says; return the run's record."""
    if workspace.processes == 1:
        return train_run(run, workspace, parent)
    train_together(run, workspace)
    return workspace.store().get(run.id)


def train_run(run: Run, workspace: "Workspace", parent: State | None, processes: Processes = ALONE) -> Record | None:
    """Train, save the checkpoint, and record the English dev score (the mean over tasks where there are several).

    Of several processes the main one alone writes, and returns the record.
    """
    if run.phase == "pretraining":
        return _pretrain(run, workspace, processes)
    tasks, earlier = _trained_tasks(run), _earlier_tasks(run)
    settings = TrainingSettings(**run.settings["training"])
    suite, folder = workspace.suite_folder(run), workspace.encoder_folder(run)
    tokenizer = load_tokenizer(folder)
    saved = SavedStates(workspace.training_folder(run.id), workspace.state_minutes)
    with _measured(run, workspace) as measured:
        splits = {
            name: load(suite, task, task.source_language, "train", settings.examples) for name, task in tasks.items()
        }
        dev = _Dev({**tasks, **earlier}, suite, tokenizer, settings)
        model = build_model(folder, dev.heads, run.seed)
        draw = f"{run.phase} {run.seed}"
        model.begin(parent, settings, goes_on=_goes_on_with_adapters(run, parent), draw=draw)
        if parent is not None and run.phase == "intermediate":  # a stage goes on with what the one before it trained
            model.load_heads(parent)
        data = {
            name: TaskData(
                task.format, get_format(task.format).encode(splits[name].rows, tokenizer, settings.max_length)
            )
            for name, task in tasks.items()
        }
        outcome = train(
            model,
            data,
            settings,
            seed=run.seed,
            dev_scores=lambda: dev.scores(model, tasks),
            example_cap=run.settings["condition"]["example_cap"],
            progress=workspace.progress(run.id) if processes.is_main else lambda done, total: None,
            saved=saved,
            processes=processes,
        )
        measured.update(
            examples=outcome.examples,
            tokens=outcome.tokens,
            processes=processes.count,
            trained_weights=trained_count(model),
        )
    if not processes.is_main:
        return None
    metrics = dev.metrics({**outcome.best_scores, **dev.scores(model, earlier)})
    return _keep(run, workspace, model, metrics, measured, settings.precision, outcome, saved)


def _pretrain(run: Run, workspace: "Workspace", processes: Processes) -> Record | None:
    """Train an encoder with random weights on texts, save the checkpoint, and record the held-out loss."""
    settings = PretrainingSettings(**run.settings["pretraining"])
    saved = SavedStates(workspace.training_folder(run.id), workspace.state_minutes)
    with _measured(run, workspace) as measured:
        done = pretrain(
            workspace.suite_folder(run),
            workspace.encoder_folder(run),
            settings,
            ScratchSettings(**run.settings["encoder"]["scratch"]),
            seed=run.seed,
            progress=workspace.progress(run.id) if processes.is_main else lambda done, total: None,
            saved=saved,
            processes=processes,
        )
        measured.update(
            examples=done.outcome.examples,
            tokens=done.outcome.tokens,
            processes=processes.count,
            trained_weights=trained_count(done.model),
        )
    if not processes.is_main:
        return None
    return _keep(run, workspace, done.model, done.metrics, measured, settings.precision, done.outcome, saved)


def _keep(
    run: Run,
    workspace: "Workspace",
    model: MultiTaskModel,
    metrics: dict,
    measured: dict[str, Any],
    precision: str,
    outcome: Outcome,
    saved: SavedStates,
) -> Record:
    """Save the checkpoint that a training ends with, then its record, and only then forget how far it was."""
    workspace.checkpoints.save(run.id, model.state_dict())
    record = _record(run, workspace, metrics, measured, resolve_precision(precision, model.device), outcome)
    saved.forget()
    return record


def _goes_on_with_adapters(run: Run, parent: State | None) -> bool:
    """Whether a run trains the adapters of its parent on: all stages of phase 1 train the same ones."""
    if run.phase == "intermediate":
        return parent is not None and has_adapters(encoder_part(parent))
    return run.settings["condition"].get("adapters") == "continued"


def _trained_tasks(run: Run) -> dict[str, Task]:
    if run.phase == "intermediate":
        return {name: get_intermediate(name) for name in run.settings["condition"]["tasks"]}
    return {run.target: get_target(run.target)}


def _earlier_tasks(run: Run) -> dict[str, Task]:
    """Return the tasks of the stages before an intermediate run; what is left of them is scored at its end.

    Target training leaves the heads of intermediate tasks behind.
    """
    condition = run.settings["condition"]
    stages = condition.get("before", ()) if run.phase == "intermediate" else ()
    names = dict.fromkeys(name for stage in stages for name in stage)
    return {name: get_intermediate(name) for name in names if name not in condition["tasks"]}


class _Dev:
    """The dev sets of tasks in the languages that they train in, encoded once."""

    def __init__(
        self, tasks: dict[str, Task], suite: Path, tokenizer: "PreTrainedTokenizerFast", settings: TrainingSettings
    ):
        self.tasks, self.precision = tasks, settings.precision
        self.splits = {
            name: load(suite, task, task.source_language, "validation", settings.dev_examples)
            for name, task in tasks.items()
        }
        self.inputs: dict[str, list[Input]] = {
            name: get_format(task.format).encode(self.splits[name].rows, tokenizer, settings.max_length)
            for name, task in tasks.items()
        }

    @property
    def heads(self) -> dict[str, tuple[str, list[str]]]:
        """Format and labels of the heads that the tasks need, by name."""
        return {task.name: (task.format, self.splits[name].labels) for name, task in self.tasks.items()}

    def scores(self, model: MultiTaskModel, names: Iterable[str]) -> dict[str, float]:
        """Return a model's scores on some of the tasks, in percent."""
        return {name: self._score(model, name) for name in names}

    def _score(self, model: MultiTaskModel, name: str) -> float:
        split, task = self.splits[name], self.tasks[name]
        return score(
            dev_counts(
                model,
                name,
                task.format,
                split.rows,
                self.inputs[name],
                split.labels,
                task.source_language,
                batch_tokens=4096,
                precision=resolve_precision(self.precision, model.device),
            )
        )

    def metrics(self, scores: dict[str, float]) -> dict[str, dict[str, float]]:
        """Return a record's metrics: by language the mean over its tasks, and each where there are several."""
        found = {}
        for language in dict.fromkeys(task.source_language for task in self.tasks.values()):
            own = [name for name, task in self.tasks.items() if task.source_language == language]
            each = {f"score.{self.tasks[name].name}": scores[name] for name in own} if len(scores) > 1 else {}
            size = sum(len(self.splits[name].rows) for name in own)
            found[language] = {"score": float(np.mean([scores[name] for name in own])), "n": size, **each}
        return found


def _zero_shot(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    task = get_target(run.target)
    evaluate = _EVALUATIONS.get(task.format, _predict)
    with _measured(run, workspace) as measured:
        metrics, predictions = evaluate(run, workspace, task, parent, measured)
    return _record(run, workspace, metrics, measured, resolve_precision("auto", default_device()), None, predictions)


def _predict(
    run: Run, workspace: "Workspace", task: Task, state: State, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Predict the test sets of all languages in one pass, so that batches of like length fill up."""
    suite, folder = workspace.suite_folder(run), workspace.encoder_folder(run)
    most = run.settings["evaluation"]["examples"]
    wanted = languages(task, suite, run.settings["languages"])
    splits = {language: load(suite, task, language, "test", most) for language in wanted}
    labels = splits[wanted[0]].labels
    model = build_model(folder, {task.training_task: (task.format, labels)}, run.seed)
    model.load(state)
    form = get_format(task.format)
    if isinstance(form, Tagging):
        form = Tagging(run.settings["evaluation"].get("chunk_rule", DEFAULT_CHUNK_RULE))
    rows = [row for split in splits.values() for row in split.rows]
    inputs = form.encode(rows, load_tokenizer(folder), run.settings["max_length"])
    measured.update(examples=len(rows), tokens=sum(part.tokens for part in inputs))
    predictions = predict(
        model,
        task.training_task,
        task.format,
        rows,
        inputs,
        labels,
        **_passing(run, workspace, model, len(inputs)),
    )
    return _scored(form, splits, predictions)


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
    form, tokenizer = get_format(task.format), load_tokenizer(folder)
    inputs = [*form.encode(rows, tokenizer, length), *form.encode_pool(pool["passage"], tokenizer, length)]
    measured.update(examples=len(inputs), tokens=sum(part.tokens for part in inputs))
    vectors = head_outputs(
        model,
        task.training_task,
        task.format,
        inputs,
        **_passing(run, workspace, model, len(inputs)),
    )
    queries, candidates = np.concatenate(vectors[: len(rows)]), np.concatenate(vectors[len(rows) :])
    return _scored(form, splits, form.search(queries, candidates, pool["id"]))


def _passing(run: Run, workspace: "Workspace", model: MultiTaskModel, count: int) -> dict[str, Any]:
    """Return how an evaluation passes so many inputs through its model: options of `head_outputs` and `embed`."""
    return {
        "batch_tokens": run.settings["evaluation"]["batch_tokens"],
        "precision": resolve_precision("auto", model.device),
        "progress": counted(workspace.progress(run.id), count),
    }


def _scored(form: Format, splits: dict[str, Split], predictions: Sequence[str]) -> tuple[dict, "pd.DataFrame"]:
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
        tables.append(_prediction_table(language, range(len(own)), own, counts))
        start += len(own)
    return metrics, _concat(tables)


def _retrieve(
    run: Run, workspace: "Workspace", task: Task, state: State | None, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Find the translation of each sentence by cosine, at every hidden layer."""
    suite = workspace.suite_folder(run)
    wanted = languages(task, suite, run.settings["languages"])
    pairs = {language: load_split(suite, None, task.config_for(language), "test").to_list() for language in wanted}
    sides = ("source_sentence", "target_sentence")
    query, index = reversed(sides) if task.english_queries else sides
    texts = [row[side] for rows in pairs.values() for row in rows for side in sides]
    lookup = _Vectors(run, workspace, state, texts, measured)
    chosen = lookup.layer_number(run.settings["evaluation"]["retrieval_layer"])
    metrics, tables = {}, []
    for language, rows in pairs.items():
        by_layer = {}
        for layer in lookup.layers:
            found, _ = nearest(
                lookup.of([row[query] for row in rows], layer), lookup.of([row[index] for row in rows], layer)
            )
            by_layer[layer] = found
        scores = {f"layer_{layer}": score(nearest_counts(found)) for layer, found in by_layer.items()}
        metrics[language] = {"score": scores[f"layer_{chosen}"], "n": len(rows), **scores}
        found = by_layer[chosen]
        tables.append(_prediction_table(language, range(len(rows)), found.astype(str), nearest_counts(found)))
    return metrics, _concat(tables)


def _mine(
    run: Run, workspace: "Workspace", task: Task, state: State | None, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Mine translation pairs by margin score, with the threshold that is best on the language's dev split."""
    suite = workspace.suite_folder(run)
    wanted = languages(task, suite, run.settings["languages"])
    splits = {
        (language, split): load_split(suite, None, task.config_for(language), split).to_list()
        for language in wanted
        for split in ("validation", "test")
    }
    lookup = _Vectors(run, workspace, state, [row["sentence"] for rows in splits.values() for row in rows], measured)
    layer = lookup.layer_number(run.settings["evaluation"]["retrieval_layer"])
    metrics, tables = {}, []
    for language in wanted:
        candidates, gold, _ = _candidates(splits[language, "validation"], language, lookup, layer)
        threshold = best_threshold(candidates, gold).threshold
        candidates, gold, sources = _candidates(splits[language, "test"], language, lookup, layer)
        pairs = select(candidates, threshold)
        counts = mining_counts(gold, pairs, sources)
        metrics[language] = {"score": score(counts), "n": len(sources), "threshold": threshold}
        found = dict(pairs)
        tables.append(_prediction_table(language, range(len(sources)), [found.get(s, "") for s in sources], counts))
    return metrics, _concat(tables)


def _candidates(rows: Sequence[dict], language: str, lookup: "_Vectors", layer: int):
    """Return mined candidates by sentence id, the gold pairs, and all foreign ids."""
    foreign = [row for row in rows if row["lang"] == language]
    english = [row for row in rows if row["lang"] == SOURCE_LANGUAGE]
    mined = mine(
        lookup.of([row["sentence"] for row in foreign], layer), lookup.of([row["sentence"] for row in english], layer)
    )
    named = [
        candidate._replace(source=foreign[candidate.source]["id"], target=english[candidate.target]["id"])
        for candidate in mined
    ]
    return named, {(row["id"], row["match"]) for row in foreign if row["match"]}, [row["id"] for row in foreign]


class _Vectors:
    """Pooled vectors of every distinct text, by hidden layer, from the encoder as the parent run left it."""

    def __init__(
        self,
        run: Run,
        workspace: "Workspace",
        state: State | None,
        texts: Sequence[str],
        measured: dict[str, float],
    ):
        folder = workspace.encoder_folder(run)
        model = build_model(folder, {}, run.seed)
        if state is not None:
            model.load_encoder(state)
        self._place = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        self.layers = list(range(1, model.encoder.config.num_hidden_layers + 1))
        tokenizer = load_tokenizer(folder)
        self._vectors = embed(
            model.encoder,
            tokenizer,
            list(self._place),
            self.layers,
            max_length=run.settings["max_length"],
            **_passing(run, workspace, model, len(self._place)),
        )
        ids = tokenizer(list(self._place), truncation=True, max_length=run.settings["max_length"])["input_ids"]
        measured.update(examples=len(self._place), tokens=sum(map(len, ids)))

    def layer_number(self, layer: int) -> int:
        """Return a layer's number from 1, for a setting that may count from the end; StiltsError if there is none."""
        count = len(self.layers)
        if not 1 <= abs(layer) <= count:
            raise StiltsError(
                f"evaluation.retrieval_layer is {layer}; this encoder has the layers 1 to {count}, "
                f"or -{count} to -1 counted from the last"
            )
        return self.layers[layer if layer < 0 else layer - 1]

    def of(self, texts: Sequence[str], layer: int) -> np.ndarray:
        """Return the vectors (texts, hidden) of one layer."""
        return self._vectors[self.layers.index(layer), [self._place[text] for text in texts]]


def _prediction_table(
    language: str, numbers: Sequence[int], predictions: Sequence[str], counts: Counts
) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "language": language,
            "example": np.asarray(numbers, dtype=np.int32),
            "prediction": list(predictions),
            "matches": counts.matches.astype(np.float32),
            "predicted": counts.predicted.astype(np.float32),
            "gold": counts.gold.astype(np.float32),
        }
    )


def _concat(tables: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    import pandas as pd

    return pd.concat(tables, ignore_index=True).astype({"language": "category"})


@contextmanager
def _measured(run: Run, workspace: "Workspace"):
    """Yield a dict that holds start and wall clock afterwards; the body adds examples and tokens."""
    measured: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    torch.set_num_threads(workspace.threads)
    start = time.perf_counter()
    yield measured
    measured["seconds"] = time.perf_counter() - start


def _record(
    run: Run,
    workspace: "Workspace",
    metrics: dict,
    measured: dict[str, Any],
    precision: str,
    outcome: Outcome | None = None,
    predictions: "pd.DataFrame | None" = None,
) -> Record:
    record = Record(
        run=run,
        metrics=metrics,
        history=outcome.history if outcome else [],
        provenance=provenance.collect(workspace, precision=precision, **measured),
    )
    store = workspace.store()
    if run.id not in store:  # a run that is done again for its checkpoint keeps its first record
        record = store.write(record, predictions)
    workspace.forget_progress(run.id)
    return record


def _measure_tasks(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    with _measured(run, workspace) as measured:
        metrics, table = measure(run, workspace, parent, measured)
    return _record(run, workspace, metrics, measured, resolve_precision("auto", default_device()), None, table)


_EVALUATIONS = {"retrieval": _retrieve, "mining": _mine, "passage_retrieval": _search}
_PHASES = {
    "pretraining": _train_phase, "intermediate": _train_phase, "target": _train_phase, "zero-shot": _zero_shot,
    "measure": _measure_tasks,
}  # fmt: skip
