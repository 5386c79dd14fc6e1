"""Retrieval and mining by the encoder's vectors of sentences, after each layer."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from stilts.models.model import build_model
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.recording import State, concatenate, passing, prediction_table
from stilts.sources.hub import load_split
from stilts.study.errors import StiltsError
from stilts.study.runs import Run
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.formats.base import subwords
from stilts.tasks.metrics import mining_counts, score
from stilts.tasks.neighbours import Candidate, best_threshold, mine, nearest, nearest_counts, select
from stilts.tasks.registry import Task, languages
from stilts.training.prediction import embed
from stilts.workspace.forecast import VECTOR_BYTES

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.checkout import Workspace

Key = TypeVar("Key", bound=Hashable)


def retrieve_sentences(
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
            tables.append(prediction_table(language, range(size), by_layer[chosen].astype(str), counts[chosen]))
    return metrics, concatenate(tables)


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


def mine_pairs(
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
            tables.append(prediction_table(language, range(len(sources)), _partners(pairs, sources), counts))
    return metrics, concatenate(tables)


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
        self.encoder, self.tokenizer = model.encoder, load_prepared_tokenizer(folder)
        self.layers = list(range(1, model.encoder.config.num_hidden_layers + 1))
        self._length, self._passing = run.settings["max_length"], passing(run, workspace, model, texts)
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
