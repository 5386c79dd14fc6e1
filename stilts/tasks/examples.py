"""How an example of each format is shown to a reader."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stilts.sources.hub import load_split
from stilts.sources.suite import POOL
from stilts.study.errors import StiltsError
from stilts.tasks.registry import Task

if TYPE_CHECKING:
    from datasets import Dataset


Row = Mapping[str, Any]


def _test_set(suite: Path, task: Task, code: str) -> "Dataset":
    return load_split(suite, None, task.config_for(code), "test")


def _row(rows: Sequence[Row], place: int, task: Task, code: str) -> Row:
    if not 0 <= place < len(rows):
        raise StiltsError(f"test set {task.config_for(code)} has rows 0 to {len(rows) - 1}; 'place' asks for {place}")
    return rows[place]


def _classified(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    data = _test_set(suite, task, code)
    row = _row(data, place, task, code)
    texts = [row[column] for column in ("sentence1", "sentence2") if column in row]
    return {"example": " / ".join(texts), "answer": data.features["label"].int2str(row["label"])}


def _tagged(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    data = _test_set(suite, task, code)
    row = _row(data, place, task, code)
    tags = data.features["tags"].feature.int2str(row["tags"])
    return {"example": " ".join(row["tokens"]), "answer": "; ".join(chunks(row["tokens"], tags))}


def chunks(tokens: Sequence[str], tags: Iterable[str]) -> list[str]:
    """Return the labelled chunks of a BIO-tagged sentence as "label: its tokens"."""
    found: list[list[str]] = []
    inside = None
    for token, tag in zip(tokens, tags, strict=True):
        prefix, _, label = tag.partition("-")
        if prefix == "B" or (prefix == "I" and label != inside):
            found.append([f"{label}:", token])
        elif prefix == "I":
            found[-1].append(token)
        inside = label if prefix in "BI" else None
    return [" ".join(parts) for parts in found]


def _questioned(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    row = _row(_test_set(suite, task, code), place, task, code)
    answer, *_ = [*row["answers"]["text"], "(none)"]  # a question may have no answer in SQuAD 2.0's format
    return {"example": f"{row['context']} / {row['question']}", "answer": answer}


def _chosen(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    row = _row(_test_set(suite, task, code), place, task, code)
    return {"example": " / ".join([row["prompt"], *row["choices"]]), "answer": row["choices"][row["label"]]}


def _retrieved(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    """Show a query with its right candidate, of several the first in the query's language."""
    row = _row(_test_set(suite, task, code), place, task, code)
    pool = load_split(suite, None, task.config_for(POOL.config), POOL.split, columns=POOL.columns)
    right = [candidate for candidate in pool if candidate["id"] in row["gold"]]
    first = min(right, key=lambda candidate: candidate["lang"] != code)
    return {"example": row["query"], "answer": first["passage"]}


def _aligned(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    row = _row(_test_set(suite, task, code), place, task, code)
    return {"example": row["source_sentence"], "answer": row["target_sentence"]}


def _mined(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    data = _test_set(suite, task, code)
    sentences = dict(zip(data["id"], data["sentence"], strict=True))
    row = _row([row for row in data if row["match"] and row["lang"] == code], place, task, code)
    return {"example": row["sentence"], "answer": sentences[row["match"].split()[0]]}


# Format -> how a row of a test set is shown.
SHOWN: dict[str, Callable[[Path, Task, str, int], dict[str, str]]] = {
    "classification": _classified,
    "tagging": _tagged,
    "span_qa": _questioned,
    "span_qa_mlqa": _questioned,
    "span_qa_null": _questioned,
    "multiple_choice": _chosen,
    "passage_retrieval": _retrieved,
    "retrieval": _aligned,
    "mining": _mined,
}
