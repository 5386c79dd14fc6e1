"""What the data page shows of a suite: its languages, what was left out, what its sets share, and real examples."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stilts.errors import StiltsError
from stilts.linguistics import DISTANCES, by_distance, language, language_table
from stilts.sources.hub import load_split
from stilts.sources.suite import MANIFEST, read_manifest
from stilts.tasks import INTERMEDIATES, SOURCE_LANGUAGE, TARGETS, Task, get_target
from stilts.workspace import workspace

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]


def open_suite(study: str) -> Path:
    """Return the folder of a study's suite; one that is not there yet is built first, which takes minutes."""
    here = workspace()
    settings = here.study(study)
    folder = here.suite_folder(settings)
    if not (folder / MANIFEST).exists():
        here.prepare(settings)
    return folder


def summary(suite: Path) -> str:
    """Say how large a suite is and which package versions it was generated from."""
    manifest = read_manifest(suite)
    known = [language(code) for code in manifest["languages"]]
    rows = sum(sum(splits.values()) for splits in manifest["rows"].values())
    versions = ", ".join(f"{name} {version}" for name, version in manifest["packages"].items())
    return (
        f"This suite has {rows:,} rows in {len(known)} languages, {sum(each.xtreme for each in known)} of them "
        f"XTREME's, of {len({each.family for each in known})} families and in {len({each.script for each in known})} "
        f"scripts. It was generated with seed {manifest['seed']} from {versions}; its fingerprint is "
        f"`{manifest['fingerprint']}`."
    )


def language_overview(suite: Path) -> pd.DataFrame:
    """Return one row per language, the nearest to English first: names, script, distances, test rows by target."""
    manifest = read_manifest(suite)
    codes = by_distance(manifest["languages"])
    facts = language_table(codes)
    facts["family"] = [f"{row.family}: {row.branch}" if row.branch else row.family for row in facts.itertuples()]
    facts["xtreme"] = facts["xtreme"].map({True: "yes", False: ""})
    for name, task in TARGETS.items():
        facts[name] = [_test_rows(manifest, task, code) for code in codes]
    columns = ["code", "name", "family", "script", "xtreme", *DISTANCES, *TARGETS]
    return facts[columns].rename(columns={"name": "language", "xtreme": "in XTREME"})


def _test_rows(manifest: Mapping[str, Any], task: Task, code: str) -> int:
    return manifest["rows"].get(task.config_for(code), {}).get("test", 0)


def task_overview(suite: Path) -> pd.DataFrame:
    """Return one row per task: kind, group, metric, English training and dev rows, languages, test rows of each."""
    rows = read_manifest(suite)["rows"]
    overview = []
    for kind, registry in (("intermediate", INTERMEDIATES), ("target", TARGETS)):
        for name, task in registry.items():
            tested = [splits["test"] for config, splits in rows.items() if _is_of(config, task) and "test" in splits]
            english = rows.get(task.config_for(SOURCE_LANGUAGE), {})
            overview.append(
                {"task": name, "kind": kind, "group": task.group, "metric": task.metric}
                | {"train (en)": english.get("train"), "dev (en)": english.get("validation")}
                | {"languages": len(tested) or None, "test rows each": max(tested, default=None)}
            )
    counts = dict.fromkeys(("train (en)", "dev (en)", "languages", "test rows each"), "Int64")
    return pd.DataFrame(overview).astype(counts)


def _is_of(config: str, task: Task) -> bool:
    return config == task.config_for(config.rpartition(".")[2])


def left_out(suite: Path) -> pd.DataFrame:
    """Return the languages besides English that tasks leave out: language, tasks, reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for task, missing in read_manifest(suite)["left_out"].items():
        for code, reason in missing.items():
            if code != SOURCE_LANGUAGE:
                reasons.setdefault((code, reason), []).append(task)
    rows = [
        {"language": f"{language(code).name} ({code})", "tasks": ", ".join(tasks), "reason": reason}
        for (code, reason), tasks in reasons.items()
    ]
    table = pd.DataFrame(rows, columns=["language", "tasks", "reason"])
    return table.sort_values(["language", "tasks"], ignore_index=True)


def overlap(suite: Path) -> pd.DataFrame:
    """Return what each test set shares with English training sets, in percent of its rows.

    One row per target and place (English, the other languages): rows, and the shares of rows whose template, pair of
    slot values, meaning or whole text occurs in the target's own training set, or in some intermediate one (the largest
    share of any).
    """
    table = pd.DataFrame(read_manifest(suite)["overlap"])
    tests = table[table["compared"].str.endswith(" test")].copy()
    tests["target"] = tests["compared"].str.split(" ").str[0]
    tests["tested in"] = tests["compared"].str.split(" ").str[1:-1].str.join(" ").replace({SOURCE_LANGUAGE: "English"})
    own = tests[tests["training"] == tests["target"] + f".{SOURCE_LANGUAGE}"]
    other = tests[tests["training"].str.startswith("intermediate.")]
    kinds, key = ["template", "values", "meaning", "text"], ["target", "tested in", "rows"]
    shares = [
        (100 * part.groupby(key, sort=False)[kinds].max()).add_prefix(f"{name} ")
        for name, part in (("own:", own), ("intermediate:", other))
    ]
    return pd.concat(shares, axis=1).reset_index()


def examples(suite: Path, target: str, codes: Sequence[str], place: int = 0) -> pd.DataFrame:
    """Return one real test example per language that has the target: language, example, answer.

    Parameters
    ----------
    codes : sequence of str
        Languages, in the order of the rows; those without a test set are passed over.
    place : int
        Which row of the test set.
    """
    task = get_target(target)
    tested = read_manifest(suite)["rows"]
    rows = [
        {"language": language(code).name} | _SHOWN[task.format](suite, task, code, place)
        for code in codes
        if "test" in tested.get(task.config_for(code), {})
    ]
    return pd.DataFrame(rows, columns=["language", "example", "answer"])


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
    return {"example": f"{row['context']} / {row['question']}", "answer": row["answers"]["text"][0]}


def _aligned(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    row = _row(_test_set(suite, task, code), place, task, code)
    return {"example": row["source_sentence"], "answer": row["target_sentence"]}


def _mined(suite: Path, task: Task, code: str, place: int) -> dict[str, str]:
    data = _test_set(suite, task, code)
    sentences = dict(zip(data["id"], data["sentence"], strict=True))
    row = _row([row for row in data if row["match"] and row["lang"] == code], place, task, code)
    return {"example": row["sentence"], "answer": sentences[row["match"]]}


_SHOWN: dict[str, Callable[[Path, Task, str, int], dict[str, str]]] = {
    "classification": _classified,
    "tagging": _tagged,
    "span_qa": _questioned,
    "retrieval": _aligned,
    "mining": _mined,
}
