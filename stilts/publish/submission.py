"""A study's predictions in the layout of the XTREME leaderboard: a folder for each task, a file for each language.

The layout is that of google-research/xtreme's `mock_test_data/predictions`: ``<task>/test-<language>.tsv`` (``.json``
for question answering), in the order of the official test files. `manifest.json` names the runs that made them.

The intermediate task of each target is the one with the best English dev score, as in Phang et al. (2020). Test scores
and scores of other languages are not used for the choice.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from stilts.analysis.conditions import choose_best
from stilts.sources.splits import list_label_names
from stilts.sources.xtreme.official import FOLDERS, TEST_ROWS
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE
from stilts.study.storage import new_folder, require_new
from stilts.tasks.formats.inputs import Row
from stilts.tasks.formats.official_files import read_row_numbers
from stilts.tasks.registry import Task, get_target

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.plan import Plan

SUITE = "xtreme"
MANIFEST = "manifest.json"
# Task -> names of its labels in the official files, in the order of the suite's labels.
LABELS = {"xnli": ("entailment", "neutral", "contradiction"), "paws-x": ("0", "1")}
RULES = {
    "intermediate task": "for each target the one with the highest English dev score, the mean over seeds; no "
    "intermediate task at all does not stand for choice where there are others; of equal ones the study's first",
    "targets without training (bucc2018, tatoeba)": "they have no English dev score: the intermediate task with the "
    "highest mean of the English dev scores of all trained targets",
    "seed": "a submission holds one prediction a row, so one seed's: that with the highest English dev score (for "
    "targets without training: their mean), in which no test set has a part; the others' dev scores stand beside it",
}

AVERAGES = {
    "task": "as XTREME's evaluate.py: the mean over all languages of the task, English among them; of question "
    "answering the mean of exact match and F1",
    "group": "the mean over the tasks of a group, where all of them are there",
    "all tasks": "the mean over the nine tasks, where all of them are there",
}

HUB_TREEBANKS = (
    "its words are those of google/xtreme, not of XTREME's own test files; put the files of Universal Dependencies 2.5 "
    "into the data folder and build the suite again"
)

DevScores = dict[str, dict[int, float]]  # condition -> seed -> English dev score


@dataclass(frozen=True)
class Choice:
    """The run whose predictions are submitted for a target, and the scores by which it was chosen.

    Attributes
    ----------
    run : Run
        Of phase 3.
    dev_scores : dict
        Condition -> seed -> English dev score, for all candidates.
    """

    run: Run
    dev_scores: DevScores


@dataclass
class Submission:
    """Content of the submission folder.

    Attributes
    ----------
    choices : dict
        Target -> its choice.
    files : dict
        Path in the folder -> text.
    gaps : list of str
        What is missing from a complete submission.
    """

    choices: dict[str, Choice] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


def submit(plan: "Plan", folder: Path, *, partial: bool = False) -> Submission:
    """Write a study's predictions to a new folder in the leaderboard's layout, with a manifest.

    Parameters
    ----------
    partial : bool
        Whether to write an incomplete submission.

    Raises
    ------
    StiltsError
        If the study's suite is not xtreme or does not exist; if predictions are missing (the error lists them) and
        `partial` is not set, or there are none; if the folder exists or cannot be written.
    """
    if plan.study.data.suite != SUITE:
        raise StiltsError(f"the leaderboard needs tasks of suite '{SUITE}'; study '{plan.study.name}' uses suite "
                          f"'{plan.study.data.suite}'")  # fmt: skip
    require_new(folder)
    suite = plan.suite_folder
    if not suite.is_dir():
        raise StiltsError(f"suite {suite} does not exist; `stilts prepare {plan.reference}` builds it")
    submission = collect(plan, suite)
    if submission.gaps and not partial:
        listed = "\n".join(f"- {gap}" for gap in submission.gaps)
        raise StiltsError(f"the submission would be incomplete:\n{listed}\nUse --partial to write what exists.")
    if not submission.files:
        raise StiltsError(f"study '{plan.study.name}' has no predictions for any task of the leaderboard")
    about = _manifest(plan, submission, suite)
    _write(folder, {**submission.files, MANIFEST: json.dumps(about, indent=1, ensure_ascii=False) + "\n"})
    return submission


def collect(plan: "Plan", suite: Path) -> Submission:
    """Return the submission of a study: a chosen run for each target, and its files; missing parts become gaps."""
    store = plan.checkout.store()
    records = {run.id: record for run in plan.runs if (record := store.find(run.id))}
    submission = Submission()
    submission.gaps += [
        f"target run {run.id} has no record: the choice passes over it"
        for run in plan.runs
        if run.phase == "target" and run.id not in records
    ]
    for target in FOLDERS:
        if target not in plan.study.targets:
            submission.gaps.append(f"{target}: not among the targets of study '{plan.study.name}'")
            continue
        choice = choose(plan, records, target)
        if choice is None:
            submission.gaps.append(f"{target}: no English dev scores to choose an intermediate task by")
        elif choice.run.id not in records:
            submission.gaps.append(f"{target}: run {choice.run.id} has no record")
        else:
            submission.choices[target] = choice
            _lay_out(submission, get_target(target), store.predictions(choice.run.id), suite)
    if "udpos" in submission.choices and _treebanks_of_the_hub(suite):
        submission.gaps.append(f"udpos: {HUB_TREEBANKS}")
    return submission


def _treebanks_of_the_hub(suite: Path) -> bool:
    from stilts.sources.suite import read_manifest

    return any(source.startswith("google/xtreme/udpos.") for source in read_manifest(suite).get("sources", {}))


# --- choice ----------------------------------------------------------------------------------------------------------


def choose(plan: "Plan", records: Mapping[str, Record], target: str) -> Choice | None:
    """Return the run that `RULES` choose for a target; None if no dev score is recorded.

    Parameters
    ----------
    records : mapping of str to Record
        Records of the plan's runs by id.
    """
    task = get_target(target)
    by_target = _dev_scores(plan.runs, records)
    dev = by_target.get(task.training_task, {}) if task.trained else _over_targets(by_target)
    if not dev:
        return None
    eligible = [name for name in dev if name != BASELINE] or list(dev)
    condition = choose_best({name: dev[name].values() for name in eligible})
    seed = max(dev[condition], key=dev[condition].__getitem__)
    found = [run for run in plan.runs if (run.phase, run.condition, run.target) == ("zero-shot", condition, target)]
    # Without training there is one run for all seeds.
    run = next(run for run in found if run.seed == seed or run.untrained)
    return Choice(run, dev)


def _dev_scores(runs: Iterable[Run], records: Mapping[str, Record]) -> dict[str, DevScores]:
    """Return target -> condition -> seed -> English dev score, in the order of the plan."""
    scores: dict[str, DevScores] = {}
    for run in runs:
        if run.phase == "target" and run.id in records:
            score = records[run.id].metrics[SOURCE_LANGUAGE]["score"]
            scores.setdefault(run.target, {}).setdefault(run.condition, {})[run.seed] = score
    return scores


def _over_targets(by_target: Mapping[str, DevScores]) -> DevScores:
    """Return the means over all trained targets, for the conditions and seeds that have all of them."""
    means: DevScores = {}
    for condition, seeds in next(iter(by_target.values()), {}).items():
        for seed in seeds:
            each = [scores.get(condition, {}).get(seed) for scores in by_target.values()]
            if None not in each:
                means.setdefault(condition, {})[seed] = mean(each)
    return means


# --- files -----------------------------------------------------------------------------------------------------------


def _lay_out(submission: Submission, task: Task, predictions: "pd.DataFrame", suite: Path) -> None:
    """Add a target's files and gaps to a submission."""
    parts = dict(iter(predictions.groupby("language", observed=True)))
    for language, official in TEST_ROWS[task.name].items():
        place = f"{task.name}, {language}"
        if language not in parts:
            submission.gaps.append(f"{place}: no predictions")
            continue
        test = _read_test_set(suite, task, language)
        given = parts[language].sort_values("example")["prediction"].tolist()
        submission.gaps += [f"{place}: {gap}" for gap in _gaps(test, len(given), official)]
        if test.has_ids:
            path = f"{FOLDERS[task.name]}/test-{language}.{task.format.suffix}"
            submission.files[path] = _text(test, given, place)


def _text(test: "_TestSet", predictions: Sequence[str], place: str) -> str:
    official = LABELS.get(test.task.name)
    names = dict(zip(test.labels, official, strict=True)) if official else {}
    try:
        return test.task.format.write_predictions(test.asked, predictions, names)
    except StiltsError as error:
        raise StiltsError(f"{place}: {error}") from None


@dataclass(frozen=True)
class _TestSet:
    """One language's test set in the suite; each row of `asked` has a prediction, in the same order."""

    task: Task
    asked: list[Row]
    labels: list[str]
    pairs: int | None

    @property
    def has_ids(self) -> bool:
        return "id" in self.asked[0]


def _read_test_set(suite: Path, task: Task, language: str) -> _TestSet:
    from stilts.sources.hub import load_split

    data = load_split(suite, task.config_for(language), "test")
    form = task.format
    labels = list_label_names(data.features, form) if form.trained else []
    return _TestSet(task, form.asked_rows(data, language), labels, form.true_pairs(data, language))


def _gaps(test: _TestSet, given: int, official: int | None) -> Iterator[str]:
    """Yield what a language's test set is missing compared with the official one."""
    asked = len(test.asked)
    if not test.has_ids:
        yield "the suite does not say where a row stands in the official file (no column 'id'); build it again"
        return
    if given != asked:
        yield f"{given:,} predictions for the {asked:,} rows of the suite (evaluation.examples cuts them)"
    if test.pairs is not None and all(row["match"] for row in test.asked):
        yield "every sentence has a partner: the corpora that pairs are mined from are not in the suite"
    held, what = (asked, "rows") if test.pairs is None else (test.pairs, "true pairs")
    missing = 1 + max(read_row_numbers(test.asked)) - asked if test.task.format.numbered else 0
    if official not in (None, held):
        yield f"{held:,} {what} in the suite, {official:,} in the official test set (data.sizes, or the data folder)"
    elif missing:
        yield f"{missing:,} rows before the last one are not in the suite (data.sizes, or the data folder)"


# --- manifest --------------------------------------------------------------------------------------------------------


def _manifest(plan: "Plan", submission: Submission, suite: Path) -> dict[str, Any]:
    from stilts.sources.suite import read_manifest
    from stilts.study.provenance import list_package_versions

    store, notes = plan.checkout.store(), read_manifest(suite).get("notes", {})
    targets = {
        target: _about(choice, store.get(choice.run.id), submission, target) | {"notes": notes.get(target, [])}
        for target, choice in submission.choices.items()
    }
    return {
        "benchmark": "XTREME (arXiv:2003.11080)",
        "study": plan.study.name,
        "encoder": plan.study.encoder.name,
        "suite": suite.name,
        "whole": not submission.gaps,
        "gaps": submission.gaps,
        "rules": RULES,
        "not checked": [f"{target}: the number of rows, which is not published in this form"
                        for target in submission.choices if None in TEST_ROWS[target].values()],
        "averages": {
            "rules": AVERAGES,
            **average_scores({name: about["XTREME's score"] for name, about in targets.items()}),
        },
        "targets": targets,
        "packages": list_package_versions(),
    }  # fmt: skip


def average_scores(scores: Mapping[str, float | None]) -> dict[str, Any]:
    """Return XTREME's averages of task scores in percent, by group and over all tasks; None if a task is missing.

    Parameters
    ----------
    scores : mapping of str to float
        Target -> XTREME's score, None if a language is missing.
    """
    groups: dict[str, list[str]] = {}
    for target in FOLDERS:
        groups.setdefault(get_target(target).group, []).append(target)
    return {
        "groups": {group: _mean_of(scores.get(target) for target in targets) for group, targets in groups.items()},
        "all tasks": _mean_of(scores.get(target) for target in FOLDERS),
    }


def _mean_of(scores: Iterable[float | None]) -> float | None:
    found = list(scores)
    return None if None in found else mean(found)


def _about(choice: Choice, record: Record, submission: Submission, target: str) -> dict[str, Any]:
    run, folder = choice.run, FOLDERS[target]
    written = {path.rpartition("-")[2].partition(".")[0] for path in submission.files if path.startswith(f"{folder}/")}
    scores = {language: own["score"] for language, own in record.metrics.items() if language in written}
    exact = {
        language: own["exact_match"]
        for language, own in record.metrics.items()
        if language in written and "exact_match" in own
    }
    return {
        "folder": folder,
        "intermediate task": run.condition,
        "seed": run.seed,
        "run": run.id,
        "parents": list(run.parents),
        "dev score": mean(choice.dev_scores[run.condition].values()),
        "dev scores": {
            condition: {str(seed): score for seed, score in seeds.items()}
            for condition, seeds in choice.dev_scores.items()
        },
        "metric": get_target(target).format.rule,
        **_scoring_options(record, target),
        "score": mean(scores.values()) if scores else None,
        "scores": scores,
        **({"exact match": exact} if exact else {}),
        "XTREME's score": _official(target, scores, exact),
    }


def _scoring_options(record: Record, target: str) -> dict[str, str]:
    """Return further options of the metric of a run."""
    rule = record.run.settings.evaluation.chunk_rule
    return get_target(target).format.with_options(chunk_rule=rule).scoring_options()


def _official(target: str, scores: Mapping[str, float], exact: Mapping[str, float]) -> float | None:
    """Return XTREME's score of a task; None if one of its languages is missing."""
    if scores.keys() != TEST_ROWS[target].keys():
        return None
    return mean([*scores.values(), *exact.values()])  # equally many of both, so this is the mean of both means


def _write(folder: Path, files: Mapping[str, str]) -> None:
    with new_folder(folder, "submission") as part:
        for name, text in files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
