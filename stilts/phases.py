"""The three phases: each takes a run, does it, and leaves its record.

A run whose record stands is not done again. Its checkpoint may be gone, since target checkpoints are kept only until
their evaluation is recorded; a child that needs it has it made again, with the same numbers.
"""

import logging
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from stilts import provenance
from stilts.adapters import has_adapters
from stilts.chance import LABELLED, balanced_accuracy, gold_labels, majority
from stilts.errors import StiltsError
from stilts.estimates import VECTOR_BYTES
from stilts.evaluation import counted, dev_counts, embed, head_outputs, predict
from stilts.formats import SpanQA, Tagging, get_format
from stilts.formats.base import Format, Input, subwords
from stilts.formats.passage_retrieval import POOL, QUERY_COLUMNS, check_pool
from stilts.launch import train_together
from stilts.measures import measure
from stilts.metrics import Counts, mining_counts, score
from stilts.model import MultiTaskModel, build_model, default_device, encoder_part, resolve_precision
from stilts.optimization import trained_count
from stilts.pretraining import pretrain
from stilts.processes import ALONE, Processes
from stilts.records import Record
from stilts.retrieval import Candidate, best_threshold, mine, nearest, nearest_counts, select
from stilts.sources.hub import load_split
from stilts.splits import Split, load, load_tokenizer
from stilts.study import EVALUATION_PRECISION, PretrainingSettings, Run, ScratchSettings, TrainingSettings
from stilts.tasks import SOURCE_LANGUAGE, Task, get_intermediate, get_target, languages
from stilts.training import Outcome, TaskData, train
from stilts.training_state import SavedStates

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerFast

    from stilts.workspace import Workspace

log = logging.getLogger(__name__)

State = dict[str, torch.Tensor]  # a model's weights by name
Key = TypeVar("Key", bound=Hashable)


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
        model = build_model(folder, dev.heads, run.seed, run.heads)
        draw = f"{run.phase} {run.seed}"
        model.begin(parent, settings, goes_on=_goes_on_with_adapters(run, parent), draw=draw)
        if parent is not None and run.phase == "intermediate":  # a stage goes on with what the one before it trained
            model.load_heads(parent)
        data = {
            name: TaskData(
                task.format,
                get_format(task.format, doc_stride=settings.doc_stride).encode(
                    splits[name].rows, tokenizer, settings.max_length
                ),
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
            name: get_format(task.format, doc_stride=settings.doc_stride).encode(
                self.splits[name].rows, tokenizer, settings.max_length
            )
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
            if len(own) == 1 and self.tasks[own[0]].format in LABELLED:
                found[language]["majority"] = majority(gold_labels(self.splits[own[0]]))
        return found


def _zero_shot(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    task = get_target(run.target)
    evaluate = _EVALUATIONS.get(task.format, _predict)
    with _measured(run, workspace) as measured:
        metrics, predictions = evaluate(run, workspace, task, parent, measured)
    return _record(run, workspace, metrics, measured, _precision(run), None, predictions)


def _precision(run: Run) -> str:
    """Return the precision that a run computes in; where it trains nothing it is the same on all machines."""
    if "training" in run.settings:
        return resolve_precision(run.settings["training"]["precision"], default_device())
    settings = run.settings["evaluation" if run.phase == "zero-shot" else "measure"]
    return settings.get("precision", EVALUATION_PRECISION)


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
    return _scored(task, form, splits, form.search(queries, candidates, pool["id"]))


def _passing(run: Run, workspace: "Workspace", model: MultiTaskModel, count: int) -> dict[str, Any]:
    """Return how an evaluation passes so many inputs through its model: options of `head_outputs` and `embed`."""
    return {
        "batch_tokens": run.settings["evaluation"]["batch_tokens"],
        "precision": _precision(run),
        "progress": counted(workspace.progress(run.id), count),
    }


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
        table = _prediction_table(language, range(len(own)), own, counts)
        tables.append(table.assign(item=[str(row["id"]) for row in split.rows]) if task.parallel else table)
        start += len(own)
    return metrics, _concat(tables)


def _retrieve(
    run: Run, workspace: "Workspace", task: Task, state: State | None, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Find the translation of each sentence by cosine, at every hidden layer."""
    suite = workspace.suite_folder(run)
    wanted = languages(task, suite, run.settings["languages"])
    splits = {language: load_split(suite, None, task.config_for(language), "test") for language in wanted}
    sides = ("source_sentence", "target_sentence")
    query, index = reversed(sides) if task.english_queries else sides
    embedder = _Embedder(run, workspace, state, sum(2 * len(split) for split in splits.values()), measured)
    chosen = embedder.layer_number(run.settings["evaluation"]["retrieval_layer"])
    metrics, tables = {}, []
    for group in embedder.groups({language: 2 * len(split) for language, split in splits.items()}, embedder.layers):
        texts = {language: splits[language].select_columns(list(sides)).to_dict() for language in group}
        found = _nearest_by_layer(embedder, texts, query, index)
        for language, by_layer in found.items():
            counts = {layer: nearest_counts(rows) for layer, rows in by_layer.items()}
            scores = {f"layer_{layer}": score(own) for layer, own in counts.items()}
            size = len(splits[language])
            metrics[language] = {"score": scores[f"layer_{chosen}"], "n": size, **scores}
            tables.append(_prediction_table(language, range(size), by_layer[chosen].astype(str), counts[chosen]))
    return metrics, _concat(tables)


def _nearest_by_layer(
    embedder: "_Embedder", texts: dict[str, dict[str, list[str]]], query: str, index: str
) -> dict[str, dict[int, np.ndarray]]:
    """Return language -> layer -> the row of the index that is nearest to each query, (queries,)."""
    found: dict[str, dict[int, np.ndarray]] = {language: {} for language in texts}
    every = [text for own in texts.values() for pair in zip(*own.values(), strict=True) for text in pair]
    for layers in embedder.layer_groups(every):
        vectors = embedder.vectors(every, layers)
        for language, own in texts.items():
            for layer in layers:
                found[language][layer], _ = nearest(vectors.of(own[query], layer), vectors.of(own[index], layer))
    return found


def _mine(
    run: Run, workspace: "Workspace", task: Task, state: State | None, measured: dict[str, float]
) -> tuple[dict, "pd.DataFrame"]:
    """Mine translation pairs by margin score, with the threshold that is best on the language's dev split."""
    suite = workspace.suite_folder(run)
    wanted = languages(task, suite, run.settings["languages"])
    splits = {
        (language, split): load_split(suite, None, task.config_for(language), split)
        for language in wanted
        for split in ("validation", "test")
    }
    sizes = {key: len(data) for key, data in splits.items()}
    embedder = _Embedder(run, workspace, state, sum(sizes.values()), measured)
    layer = embedder.layer_number(run.settings["evaluation"]["retrieval_layer"])
    metrics, tables, thresholds = {}, [], {}
    for group in embedder.groups(sizes, [layer]):
        rows = {key: splits[key].to_list() for key in group}
        vectors = embedder.vectors([row["sentence"] for own in rows.values() for row in own], [layer])
        for (language, split), own in rows.items():
            candidates, gold, sources = _candidates(own, language, vectors, layer)
            if split == "validation":
                thresholds[language] = best_threshold(candidates, gold).threshold
                continue
            pairs = select(candidates, thresholds[language])
            counts = mining_counts(gold, pairs, sources)
            metrics[language] = {"score": score(counts), "n": len(sources), "threshold": thresholds[language]}
            tables.append(_prediction_table(language, range(len(sources)), _partners(pairs, sources), counts))
    return metrics, _concat(tables)


def _candidates(rows: Sequence[dict], language: str, vectors: "_Vectors", layer: int):
    """Return mined candidates by sentence id, the gold pairs, and all foreign ids.

    A sentence that a side has several times is mined once, as XTREME's mine_bitext does (utils_retrieve.py), since its
    copies would take each other's place among the neighbours and in the pairs. A pair of sentences then stands for all
    pairs of their ids, as in jiant; XTREME leaves such pairs out, and so loses those that are right.
    """
    foreign, english = (_ids_by_sentence(rows, side) for side in (language, SOURCE_LANGUAGE))
    mined = mine(vectors.of(list(foreign), layer), vectors.of(list(english), layer))
    sources, targets = list(foreign.values()), list(english.values())
    named = [
        Candidate(source, target, candidate.score)
        for candidate in mined
        for source in sources[candidate.source]
        for target in targets[candidate.target]
    ]
    own = [row for row in rows if row["lang"] == language]
    gold = {(row["id"], partner) for row in own for partner in row["match"].split()}
    return named, gold, [row["id"] for row in own]


def _ids_by_sentence(rows: Iterable[dict], language: str) -> dict[str, list[str]]:
    """Return the different sentences of a language in the order of their first rows, and the ids of each."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row["lang"] == language:
            ids.setdefault(row["sentence"], []).append(row["id"])
    return ids


def _partners(pairs: Iterable[tuple[str, str]], sources: Sequence[str]) -> list[str]:
    """Return the partners that were found for each source, joined by spaces; "" where there is none."""
    found: dict[str, list[str]] = {source: [] for source in sources}
    for source, target in sorted(pairs):
        found[source].append(target)
    return [" ".join(found[source]) for source in sources]


class _Embedder:
    """The encoder as the parent run left it, and how much of what it makes of texts may be held at a time."""

    def __init__(
        self, run: Run, workspace: "Workspace", state: State | None, texts: int, measured: dict[str, float]
    ):
        folder = workspace.encoder_folder(run)
        model = build_model(folder, {}, run.seed)
        if state is not None:
            model.load_encoder(state)
        self.encoder, self.tokenizer = model.encoder, load_tokenizer(folder)
        self.layers = list(range(1, model.encoder.config.num_hidden_layers + 1))
        self._length, self._passing = run.settings["max_length"], _passing(run, workspace, model, texts)
        self._measured = measured
        measured.update(examples=0, tokens=0)

    def layer_number(self, layer: int) -> int:
        """Return a layer's number from 1, for a setting that may count from the end; StiltsError if there is none."""
        count = len(self.layers)
        if not 1 <= abs(layer) <= count:
            raise StiltsError(
                f"evaluation.retrieval_layer is {layer}; this encoder has the layers 1 to {count}, "
                f"or -{count} to -1 counted from the last"
            )
        return self.layers[layer if layer < 0 else layer - 1]

    def groups(self, sizes: dict[Key, int], layers: Sequence[int]) -> Iterator[list[Key]]:
        """Yield the keys of sets of texts of these sizes in their order, as many at a time as may be held together."""
        group: list[Key] = []
        held = 0
        for key, size in sizes.items():
            if group and self._bytes(held + size, layers) > VECTOR_BYTES:
                yield group
                group, held = [], 0
            group.append(key)
            held += size
        if group:
            yield group

    def layer_groups(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield the layers, as many at a time as may be held of these texts."""
        most = max(1, VECTOR_BYTES // self._bytes(len(set(texts)), [0]))
        for start in range(0, len(self.layers), most):
            yield self.layers[start : start + most]

    def vectors(self, texts: Iterable[str], layers: Sequence[int]) -> "_Vectors":
        """Return the pooled vectors of every distinct text at some layers."""
        different = list(dict.fromkeys(texts))
        ids = subwords(self.tokenizer, different, truncation=True, max_length=self._length)
        self._measured["examples"] += len(ids)
        self._measured["tokens"] += sum(map(len, ids))
        return _Vectors(different, layers, embed(self.encoder, ids, layers, **self._passing))

    def _bytes(self, texts: int, layers: Sequence[int]) -> int:
        return texts * len(layers) * self.encoder.config.hidden_size * np.dtype(np.float32).itemsize


class _Vectors:
    """Pooled vectors of texts by hidden layer."""

    def __init__(self, texts: Sequence[str], layers: Sequence[int], vectors: np.ndarray):
        self._place = {text: place for place, text in enumerate(texts)}
        self._layer = {layer: place for place, layer in enumerate(layers)}
        self._vectors = vectors  # (layers, texts, hidden)

    def of(self, texts: Sequence[str], layer: int) -> np.ndarray:
        """Return the vectors (texts, hidden) of one layer."""
        return self._vectors[self._layer[layer], [self._place[text] for text in texts]]


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
    return _record(run, workspace, metrics, measured, _precision(run), None, table)


_EVALUATIONS = {"retrieval": _retrieve, "mining": _mine, "passage_retrieval": _search}
_PHASES = {
    "pretraining": _train_phase, "intermediate": _train_phase, "target": _train_phase, "zero-shot": _zero_shot,
    "measure": _measure_tasks,
}  # fmt: skip
