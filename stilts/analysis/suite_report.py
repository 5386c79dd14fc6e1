"""Tables of a suite for the data page: languages, omissions, overlap between splits, and real examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stilts.analysis.languages.facts import DISTANCES, get_language, sort_by_distance, tabulate_languages
from stilts.analysis.wording import join_names, title_task
from stilts.sources.splits import SuiteSplits
from stilts.sources.suite import MANIFEST, read_manifest
from stilts.sources.xtreme.official import find_published_rows
from stilts.study.settings import SOURCE_LANGUAGE, Study, strip_language
from stilts.tasks.configs import Config
from stilts.tasks.registry import INTERMEDIATES, TARGETS, Task, get_target, keep_suite, list_tasks_read
from stilts.workspace.checkout import Checkout
from stilts.workspace.notebooks.markup import escape_text
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import open_plan

EVERY = "all"
COUNTS = ("train (en)", "dev (en)", "languages", "test rows each", "fewest")

Manifest = Mapping[str, Any]
"""Content of `suite.json`; empty if nothing is known about a suite."""


def open_suite(checkout: Checkout, study: str) -> Path:
    """Return the folder of a study's suite; if it does not exist it is built first, which takes minutes."""
    plan = open_plan(checkout, study)
    if not (plan.suite_folder / MANIFEST).exists():
        prepare(plan)
    return plan.suite_folder


def read_recorded_manifest(checkout: Checkout, study: Study) -> Manifest:
    """Return the manifest that was committed with a study's records; empty if there is none."""
    folder = checkout.results / study.name
    cure = f"restore the committed one (`git checkout -- {folder.relative_to(checkout.root) / MANIFEST}`)"
    return read_manifest(folder, cure) if (folder / MANIFEST).exists() else {}


def keep_study(manifest: Manifest, study: Study) -> Manifest:
    """Return a suite's manifest restricted to a study's tasks; the suite itself has all tasks of its sources."""
    named = {strip_language(task) for task in list_tasks_read(study)}
    named |= {name for target in study.targets for name in (target, TARGETS[target].training_task)}
    rows = {config: splits for config, splits in manifest.get("rows", {}).items() if Config.parse(config).task in named}
    own = {
        key: {task: said for task, said in manifest[key].items() if task in named}
        for key in ("left_out", "notes")
        if key in manifest
    }
    shared = [entry for entry in manifest.get("overlap", []) if entry["training"] in rows]
    kept = [entry for entry in shared if entry.get("evaluation", "").partition(" ")[0] in rows]
    return {**manifest, **own, "rows": rows, "overlap": kept} if manifest else {}


def describe_suite(manifest: Manifest) -> str:
    """State the size, origin and fingerprint of a suite."""
    if not manifest:
        return "What this study's suite holds is not on record yet; `stilts record` writes it with the study's records."
    known = [get_language(code) for code in _languages(manifest)]
    rows = sum(sum(splits.values()) for splits in manifest["rows"].values())
    versions = ", ".join(escape_text(f"{name} {version}") for name, version in manifest.get("packages", {}).items())
    made = f" with seed {escape_text(manifest['seed'])}" if "seed" in manifest else ""
    made += f" from {versions}" if versions else ""
    made = f"It was generated{made}; its" if made else "Its"
    return (
        f"This suite has {rows:,} rows in {len(known)} languages, English among them, of "
        f"{len({each.family for each in known})} families and in {len({each.script for each in known})} scripts; "
        f"{sum(each.xtreme for each in known)} of the languages are XTREME's. {made} fingerprint is "
        f"`{manifest['fingerprint']}`."
    )


def _languages(manifest: Manifest) -> list[str]:
    """Return the languages with a test set, and English."""
    return sorted(set(tabulate_coverage(manifest)["language"]) | {SOURCE_LANGUAGE})


def describe_tasks(manifest: Manifest) -> str:
    """State in how many languages besides English each target task has a test set."""
    table = tabulate_coverage(manifest)
    sizes = table[table["language"] != SOURCE_LANGUAGE].groupby("task", sort=False)["language"].nunique()
    said = [f"{size} in {join_names(list(tasks.index))}" for size, tasks in sizes.groupby(sizes, sort=False)]
    return f"Languages besides English with a test set: {'; '.join(said)}."


def _registry(manifest: Manifest, registry: Mapping[str, Task]) -> dict[str, Task]:
    """Return the tasks of a suite that have rows of their own."""
    known = keep_suite(registry, manifest.get("suite", "pocket"))
    known |= {name: registry[name] for name in manifest.get("borrowed", []) if name in registry}
    return {name: task for name, task in known.items() if task.rows_of is None}


def tabulate_suite_languages(manifest: Manifest) -> pd.DataFrame:
    """Return one row per language, the nearest to English first: names, script, distances, test rows by target."""
    codes = sort_by_distance(_languages(manifest))
    facts = tabulate_languages(codes)
    facts["family"] = [f"{row.family}: {row.branch}" if row.branch else row.family for row in facts.itertuples()]
    facts["xtreme"] = facts["xtreme"].map({True: "yes", False: ""})
    targets = _registry(manifest, TARGETS)
    for name, task in targets.items():
        facts[name] = [manifest["rows"].get(task.config_for(code), {}).get("test", 0) for code in codes]
    columns = ["code", "name", "family", "script", "xtreme", *DISTANCES, *targets]
    return facts[columns].rename(columns={"name": "language", "xtreme": "in XTREME"})


def tabulate_coverage(manifest: Manifest) -> pd.DataFrame:
    """Return one row per target and language with a test set: task, language, rows; tasks in the registry's order."""
    rows = [
        {"task": name, "language": Config.parse(config).language, "rows": splits["test"]}
        for name, task in _registry(manifest, TARGETS).items()
        for config, splits in manifest.get("rows", {}).items()
        if _is_of(config, task) and "test" in splits
    ]
    return pd.DataFrame(rows, columns=["task", "language", "rows"])


def tabulate_tasks(manifest: Manifest) -> pd.DataFrame:
    """Return a row for each task of a suite: name in words, kind, group, metric, numbers of rows and languages.

    Test rows are those of the language with the most rows; fewest are those of the language with the fewest.
    """
    rows = manifest.get("rows", {})
    overview = []
    for kind, registry in (("intermediate", INTERMEDIATES), ("target", TARGETS)):
        for name, task in _registry(manifest, registry).items():
            tested = [splits["test"] for config, splits in rows.items() if _is_of(config, task) and "test" in splits]
            english = rows.get(task.config_for(SOURCE_LANGUAGE), {})
            if not tested and not english:
                continue
            overview.append(
                {"task": name, "name": title_task(name), "kind": kind, "group": task.group, "metric": task.metric}
                | {"train (en)": english.get("train"), "dev (en)": english.get("validation")}
                | {"languages": len(tested) or None, "test rows each": max(tested, default=None)}
                | {"fewest": min(tested, default=None)}
            )
    columns = ["task", "name", "kind", "group", "metric", *COUNTS]
    return pd.DataFrame(overview, columns=columns).astype(dict.fromkeys(COUNTS, "Int64"))


def _is_of(config: str, task: Task) -> bool:
    return config == task.config_for(Config.parse(config).language)


def tabulate_left_out(manifest: Manifest) -> pd.DataFrame:
    """Return the languages besides English that tasks leave out: language ("all" for a whole task), tasks, reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for task, missing in manifest.get("left_out", {}).items():
        for code, reason in missing.items():
            if code != SOURCE_LANGUAGE:
                reasons.setdefault((code, reason), []).append(task)
    rows = [
        {"language": EVERY if code == EVERY else f"{get_language(code).name} ({code})"}
        | {"tasks": ", ".join(tasks), "reason": reason}
        for (code, reason), tasks in reasons.items()
    ]
    table = pd.DataFrame(rows, columns=["language", "tasks", "reason"])
    return table.sort_values(["language", "tasks"], ignore_index=True)


def tabulate_origins(manifest: Manifest) -> pd.DataFrame:
    """Return one row per split that a suite was read from: repository, config, split, rows, published, revision.

    The published number is missing where it is not known, the revision if the folder was copied by hand.
    """
    revisions = manifest.get("revisions", {})
    rows = []
    for place, held in manifest.get("sources", {}).items():
        repository, config, split = place.rsplit("/", 2)
        named = {"repository": repository, "config": config, "split": split, "rows": held["rows"]}
        # Manifests of earlier versions hold the rows of the copy where the published number is not known.
        published = find_published_rows(repository, config, split)
        rows.append({**named, "published": published, "revision": revisions.get(repository)})
    table = pd.DataFrame(rows, columns=["repository", "config", "split", "rows", "published", "revision"])
    return table.astype({"published": "Int64"})


def tabulate_notes(manifest: Manifest) -> pd.DataFrame:
    """Return notes on the data of tasks: task, note."""
    rows = [{"task": task, "note": note} for task, noted in manifest.get("notes", {}).items() for note in noted]
    return pd.DataFrame(rows, columns=["task", "note"])


def tabulate_shared_texts(manifest: Manifest) -> pd.DataFrame:
    """Return the overlap of dev and test sets of suite "xtreme" with training sets of the same language.

    Returns
    -------
    DataFrame
        training, evaluation, compared ("example": all texts of a row; "context"), rows of evaluation, shared, percent.
    """
    table = pd.DataFrame(manifest.get("overlap", []), columns=["training", "evaluation", "compared", "rows", "shared"])
    return table.assign(percent=100 * table["shared"] / table["rows"])


def tabulate_overlap(manifest: Manifest) -> pd.DataFrame:
    """Return the overlap of each test set with training sets, in percent of its rows.

    There is one row for each target and place: English, the other languages, and each of these with training sets of
    its own. Columns are the rows, and the shares of rows whose template, pair of slot values, meaning or whole text
    occurs in the target's own training set, or in an intermediate one (the largest share of any).
    """
    table = pd.DataFrame(manifest["overlap"])
    tests = table[table["compared"].str.endswith(" test")].copy()
    tests["target"] = tests["compared"].str.split(" ").str[0]
    tests["tested in"] = tests["compared"].str.split(" ").str[1:-1].str.join(" ").map(_place)
    own = tests[tests["training"] == tests["target"] + f".{SOURCE_LANGUAGE}"]
    other = tests[[Config.parse(config).intermediate for config in tests["training"]]]
    kinds, key = ["template", "values", "meaning", "text"], ["target", "tested in", "rows"]
    shares = [
        (100 * part.groupby(key, sort=False)[kinds].max()).add_prefix(f"{name} ")
        for name, part in (("own:", own), ("intermediate:", other))
    ]
    return pd.concat(shares, axis=1).reset_index()


def _place(tested: str) -> str:
    return tested if tested == "other languages" else get_language(tested).name


def show_examples(suite: Path, target: str, codes: Sequence[str], place: int = 0) -> pd.DataFrame:
    """Return one real test example per language that has the target: language, example, answer.

    Parameters
    ----------
    codes : sequence of str
        Languages in the order of the rows; those without a test set are skipped.
    place : int
        Index of the example in the test set.
    """
    task = get_target(target)
    tested, splits = read_manifest(suite)["rows"], SuiteSplits(suite, task)
    rows = [
        {"language": get_language(code).name} | task.format.show(splits, code, place)
        for code in codes
        if "test" in tested.get(task.config_for(code), {})
    ]
    return pd.DataFrame(rows, columns=["language", "example", "answer"])
