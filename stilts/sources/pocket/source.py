"""The pocket suite: eight target tasks and six intermediate tasks, generated from installed packages.

`intent`, `slots`, `command-nli`, `command-para` and `command-qa` come from home-assistant-intents, `dates` from CLDR,
`ui-retrieval` and `ui-mining` from Django. English training sets, intermediate training sets and evaluation sets use
disjoint templates and values; any remaining overlap is counted in `suite.json`.

Intermediate tasks are English, and if there are source languages also in these, all parallel (`commands/parallel.py`).
Optional families of tasks are "grain", whose number of classes is a setting (`commands/grains.py`), and "text",
unlabelled texts in all languages (`texts.py`).
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stilts.sources.pocket import commands, dates, messages
from stilts.sources.pocket import texts as unlabelled
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.pocket.commands import grains, parallel
from stilts.sources.pocket.overlap import Census
from stilts.sources.pocket.sizes import Sizes
from stilts.sources.suite import (
    Contents,
    Request,
    Row,
    Table,
    add_texts,
    choose,
    describe_size,
    read_sizes,
)
from stilts.sources.texts import read_texts
from stilts.study.errors import UnknownName
from stilts.tasks.configs import Config
from stilts.tasks.registry import INTERMEDIATES, TARGETS, keep_suite, list_text_columns

if TYPE_CHECKING:
    from datasets import Features

SUITE_LANGUAGES = (
    "en", "af", "ar", "az", "be", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "es", "et", "eu", "fa", "fi", "fr",
    "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "jv", "ka", "kk", "kn", "ko", "ky", "lb",
    "lt", "lv", "mk", "ml", "mn", "mr", "ms", "my", "nb", "ne", "nl", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "sq",
    "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "yo", "zh",
)
TASKS = (*commands.TARGETS, "dates", "ui-retrieval", "ui-mining")
FAMILIES = (grains.FAMILY, "text")

_VERSION = 1  # increase it when the layout of the same rows changes
_PAIRS = ("nli", "para")
_SOURCE_TASKS = (*commands.INTERMEDIATES, "dates", grains.FAMILY)
TRACES = ("template", "meaning")  # ids of what a row was made from, for counting overlap


def list_languages() -> tuple[str, ...]:
    """Return the languages of the suite, English first; not every task has every language."""
    return SUITE_LANGUAGES


def fingerprint(request: Request) -> str:
    """Return a short hash of everything that the suite's rows depend on, without generating them.

    Raises
    ------
    StiltsError
        If a size or a language is unknown.
    """
    decisive = {
        "seed": request.seed,
        "sizes": read_sizes(request.sizes, Sizes).model_dump(),
        "languages": _chosen(request.languages),
        "packages": _packages(),
        "generators": [_VERSION, commands.compute_fingerprint(), dates.VERSION, messages.VERSION],
        **_additions(request),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def build(folder: Path, request: Request, report: Callable[[str], None] | None = None) -> Path:
    """Write the suite, or reuse an existing complete one; a terminal shows a progress bar.

    Parameters
    ----------
    folder : Path
        Folder of the suite.
    request : Request
    report : callable, optional
        Called with a line at the end.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    StiltsError
        If a size or a language is unknown, or `folder` has other content or cannot be written.
    """
    contents = make_contents(request)
    with _bar(lambda: _expected_tables(request)) as advance:
        contents.write(Path(folder), lambda config, split, rows: advance(f"{config} {split}"))
    if report:
        report(describe_size(folder))
    return Path(folder)


def make_contents(request: Request) -> Contents:
    """Return what the suite consists of; its rows are generated as its tables are consumed.

    Raises
    ------
    StiltsError
        If a size or a language is unknown.
    """
    about = {"suite": "pocket", "fingerprint": fingerprint(request), "seed": request.seed,
             "sizes": read_sizes(request.sizes, Sizes).model_dump(), "languages": _chosen(request.languages),
             "packages": _packages(), **request.additions}
    census = Census()

    def summarize() -> dict[str, Any]:
        return {"left_out": left_out(request), **census.summary()}

    return Contents(about, census.watch(_tables(request)), summarize, POCKET_CARD)


def texts(folder: Path) -> Iterator[str]:
    """Yield the distinct texts of a suite; see `stilts.sources.texts.read_texts`."""
    yield from dict.fromkeys(read_texts(folder, list_text_columns("pocket")))


def missing(task: str) -> str | None:
    """Return None: every task is available, since its data come with installed packages."""
    return None


def left_out(request: Request) -> dict[str, dict[str, str]]:
    """Return task -> language that it leaves out -> reason; for intermediate tasks, the languages are source languages.

    Raises
    ------
    StiltsError
        If a size or a language is unknown.
    """
    languages, sources = _chosen(request.languages), _sources(request)
    everywhere = list(dict.fromkeys([*languages, *sources]))
    reasons = {**{task: _without_commands(everywhere) for task in commands.TARGETS},
               "dates": dates.list_left_out(everywhere),
               "ui-retrieval": messages.list_left_out_of_retrieval(languages),
               "ui-mining": messages.list_left_out_of_mining(languages, read_sizes(request.sizes, Sizes))}
    if sources:
        reasons |= {task: _without_commands(sources) for task in commands.INTERMEDIATES if task not in reasons}
    if "grain" in request.families:
        spoken = [language for language in sources if language not in _without_commands(sources)]
        reasons["grain"] = _without_commands(sources) | grains.list_left_out(spoken)
    return reasons


def _without_commands(languages: Sequence[str]) -> dict[str, str]:
    return {language: reason for language in languages if (reason := commands.explain_lack(language))}


@cache
def make_task_features(name: str) -> "Features":
    """Return the features of a target ("command-nli"), an intermediate task ("nli", "dial-grain-2") or "text"."""
    if name in ("ui-retrieval", "ui-mining"):
        return TARGETS[name].format.features()
    if name == "text":
        return add_texts(INTERMEDIATES[name].format.features(), "lang")
    return add_texts(_labelled(commands.TARGETS.get(name, name)), *TRACES)


def _labelled(kind: str) -> "Features":
    known = keep_suite(INTERMEDIATES, "pocket")
    if kind not in known:
        raise UnknownName("task of the pocket suite", kind, {*TASKS, *known})
    if known[kind].level:
        return known[kind].format.features(grains.list_label_names(kind))
    labels = dates.TAGS if kind == "dates" else commands.list_label_names(kind)
    return known[kind].format.features(labels, pairs=kind in _PAIRS)


def _chosen(languages: Sequence[str] | None) -> list[str]:
    """Return the languages of the test sets: English first, the others in the suite's order."""
    return choose("language of the pocket suite", None if languages is None else ["en", *languages], SUITE_LANGUAGES)


def _sources(request: Request) -> list[str]:
    """Return the source languages besides English, in the suite's order."""
    return choose("source language of the pocket suite besides English", request.source_languages, SUITE_LANGUAGES[1:])


def _additions(request: Request) -> dict[str, Any]:
    """Return what source languages and families depend on; parts that are not requested are omitted."""
    versions = {"grain": grains.VERSION, "text": unlabelled.VERSION}
    families = choose("family of the pocket suite", request.families, FAMILIES)
    source_tasks = choose("task by source language of the pocket suite", request.source_tasks, _SOURCE_TASKS)
    added = {"source_languages": [parallel.VERSION, *_sources(request)] if request.source_languages else [],
             "source_tasks": source_tasks,
             "families": {family: versions[family] for family in families}}
    return {name: value for name, value in added.items() if value}


def _packages() -> dict[str, str]:
    return {name: version(name) for name in ("home-assistant-intents", "hassil", "Babel", "Django")}


def _tables(request: Request) -> Iterator[Table]:
    evaluated: set[str] = set()
    for config, split, rows in _made(request, evaluated):
        name = Config.parse(config).task
        table = Table(config, split, make_task_features(name), rows)
        if "text" in request.families:
            evaluated.update(unlabelled.list_evaluated_texts(table))
        yield table


def _made(request: Request, evaluated: Collection[str]) -> Iterator[tuple[str, str, list[Row]]]:
    """Yield configs, splits and rows; texts come last, when all evaluated texts are known."""
    languages, sizes, seed = _chosen(request.languages), read_sizes(request.sizes, Sizes), request.seed
    sources = _by_task(request)
    known = [language for language in languages if language in commands.list_languages()]
    yield from commands.generate(known, sizes, seed, {task: sources[task] for task in commands.INTERMEDIATES})
    yield from dates.generate(languages, sizes, seed, sources["dates"])
    yield from messages.generate(languages, sizes, seed)
    if "grain" in request.families:
        yield from grains.generate(["en", *sources[grains.FAMILY]], sizes, seed)
    if "text" in request.families:
        yield from unlabelled.generate(languages, sizes, seed, evaluated)


def _by_task(request: Request) -> dict[str, list[str]]:
    """Return intermediate task -> its source languages besides English."""
    absent, named = left_out(request), request.source_tasks or _SOURCE_TASKS
    return {task: [language for language in _sources(request) if language not in absent.get(task, {})]
            if task in named else [] for task in _SOURCE_TASKS}


def _expected_tables(request: Request) -> int:
    """Return the number of tables: besides test sets, English ones for training and dev, and dev sets for mining."""
    absent, languages, sources = left_out(request), _chosen(request.languages), _by_task(request)
    test = sum(language not in absent[task] for task in TASKS for language in languages)
    mining = sum(language not in absent["ui-mining"] for language in languages)
    trained = len(commands.TARGETS) + 1
    made = dict.fromkeys(_SOURCE_TASKS, 1) | {grains.FAMILY: len(grains.LEVELS) * (grains.FAMILY in request.families)}
    intermediate = sum(count * (1 + len(sources[task])) for task, count in made.items())
    return test + mining + 2 * (trained + intermediate + ("text" in request.families))


@contextmanager
def _bar(expected: Callable[[], int]) -> Iterator[Callable[[str], None]]:
    """Yield a callback that advances a progress bar on a terminal's standard error, or else does nothing.

    Counting the expected tables takes seconds, so it is delayed until the first table: a reused suite has none.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda description: None
        return
    with Progress(TextColumn("pocket suite"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
                  TextColumn("{task.description}"), console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def advance(description: str) -> None:
            if progress.tasks[task].total is None:
                progress.update(task, total=expected())
            progress.update(task, advance=1, description=description)

        yield advance
