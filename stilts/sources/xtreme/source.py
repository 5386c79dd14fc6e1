"""The suite "xtreme": the targets of XTREME and XTREME-R and the paper's intermediate tasks, from one data folder."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt

from stilts.sources.suite import Card, Contents, Request, Table, choose, describe_size, read_sizes
from stilts.sources.texts import read_texts
from stilts.sources.xtreme.folder import DataFolder, stands
from stilts.sources.xtreme.languages import ALL
from stilts.sources.xtreme.pairs import limit_pairs
from stilts.sources.xtreme.pieces import Piece
from stilts.sources.xtreme.recipes import BY_SOURCE, FAMILIES, RECIPES, Recipe
from stilts.sources.xtreme.shared import Shared
from stilts.sources.xtreme.tables import list_decisive_tables
from stilts.study.errors import StiltsError, UnknownName
from stilts.tasks.configs import Config
from stilts.tasks.registry import list_text_columns

if TYPE_CHECKING:
    import pyarrow as pa

_Making = tuple[str, Recipe, Sequence[str]]  # a task, how it is made, in which languages

NOT_FETCHED = "not-fetched-"  # what the fingerprint of a suite starts with that cannot be built yet
VERSION = 2  # increase it when the same files and tables give other rows: a changed converter, order or layout
_CARD = Card(
    "XTREME with English intermediate tasks",
    "Targets of XTREME and XTREME-R and English intermediate tasks, brought to one form from copies of the data sets\n"
    "on the Hub. `suite.json` holds the settings, the row counts of the sources, what was left out and why, and the\n"
    "overlap between splits.",
    "other",
    "each-data-set-its-own",
    "Each data set keeps its own licence; see the cards of the repositories that `suite.json` names.",
)


class Sizes(BaseModel):
    """The maximum numbers of rows of a suite; None for all rows.

    Attributes
    ----------
    train, intermediate_train : int, optional
        Training rows of a target and of an intermediate task.
    validation : int, optional
        Dev rows of either.
    test : int, optional
        Test rows of a target per language.
    retrieval : int, optional
        Sentence pairs of `tatoeba` per language.
    mining : int, optional
        Gold pairs in each split of `bucc2018`, and also unpaired sentences of either side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: PositiveInt | None = None
    intermediate_train: PositiveInt | None = None
    validation: PositiveInt | None = None
    test: PositiveInt | None = None
    retrieval: PositiveInt | None = None
    mining: PositiveInt | None = None


class Suite:
    """The source of the suite.

    Parameters
    ----------
    folder : Path, optional
        Data folder with copies of Hub repositories. If it is not given or does not exist, the suite can be planned but
        not built.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder

    def fingerprint(self, request: Request) -> str:
        """Return a short hash of everything that the suite's rows depend on: request, constants, data files.

        Without data, the hash is marked as such and covers the rest; no suite can be built with it.

        Parameters
        ----------
        request : Request
            If it has source languages, the suite has intermediate tasks by source language, in these and English.

        Raises
        ------
        StiltsError
            If a size or a language is unknown, or a file of the data folder cannot be read.
        """
        return _fingerprint(request, self._data.fingerprints() if self._fetched else {})

    def build(self, folder: Path, request: Request, *, report: Callable[[str], None]) -> Path:
        """Write the suite to `folder`, or reuse an existing complete one.

        Parameters
        ----------
        folder : Path
        request : Request
        report : callable
            Called with a line for each task that was written or is left out, and one at the end.

        Raises
        ------
        StiltsError
            If there is no data folder, a file in it is invalid or changes meanwhile, or `folder` cannot be written.
        """
        files = self._checksums()
        chosen, wanted = _chosen(request.languages), read_sizes(request.sizes, Sizes)
        about = {"suite": "xtreme", "fingerprint": _fingerprint(request, files),
                 "request": Suite(None).fingerprint(request), "seed": request.seed,
                 "sizes": wanted.model_dump(), "languages": chosen, "version": VERSION,
                 **_additions(request)}  # fmt: skip
        data, whole = self._data, _all_languages(request)
        lacking = _lacking(data, whole, request.languages)
        made = chain(_whole(data, whole, chosen, lacking, report), _by_source(data, request))
        _make_contents(about, data, files, _tables(data, made, wanted, request.seed, report)).write(Path(folder))
        report(describe_size(folder))
        return Path(folder)

    def lend(self, tasks: Sequence[str], request: Request, *, report: Callable[[str], None]) -> Contents:
        """Return some intermediate tasks in English, to be written into another suite, whose `about` they leave to it.

        Parameters
        ----------
        tasks : sequence of str
        request : Request
            Its seed and its sizes count.
        report : callable
            Called with a line for each task that was written.

        Raises
        ------
        StiltsError
            As `build`; while the tables are consumed too.
        """
        files, data = self._checksums(), self._data
        english = _whole(data, {task: RECIPES[task] for task in tasks}, ["en"], {}, report)
        tables = _tables(data, english, read_sizes(request.sizes, Sizes), request.seed, report)
        return _make_contents({}, data, files, tables)

    def _checksums(self) -> dict[str, str]:
        """Return file -> checksum; StiltsError if there are no files."""
        if not self._fetched or not (files := self._data.fingerprints()):
            raise StiltsError(
                f"suite 'xtreme': {self._absent}; `stilts fetch STUDY` downloads the data on a machine with a "
                "network, or set data.folder or STILTS_DATA to a folder with copies of the Hub's repositories"
            )
        return files

    def texts(self, folder: Path) -> Iterator[str]:
        """Yield the texts of a suite, see `stilts.sources.texts.read_texts`."""
        return read_texts(folder, list_text_columns("xtreme"))

    def missing(self, task: str) -> str | None:
        """Return why a task is not available from the folder, None if it is.

        Parameters
        ----------
        task : str
            Name of a task, or of an intermediate task with a source language, such as `xnli-dev.de`.

        Raises
        ------
        UnknownName
            If the suite has no such task, or has it in English only.
        """
        name, _, language = task.partition(".")
        english = language in ("", "en")
        if english and name in RECIPES:
            return RECIPES[name].missing(self._data) if self._fetched else self._absent
        if name not in BY_SOURCE:
            kind = "task of the suite 'xtreme'" + ("" if english else " in other languages than English")
            raise UnknownName(kind, name, {**BY_SOURCE, **(RECIPES if english else {})})
        return BY_SOURCE[name].missing_in(self._data, language or "en") if self._fetched else self._absent

    def left_out(self, request: Request) -> dict[str, dict[str, str]]:
        """Return the explicitly requested languages that tasks do not have: task -> language -> reason.

        Without data, everything published is assumed to be available.

        Raises
        ------
        StiltsError
            If a language is unknown, or the data folder cannot be read.
        """
        _chosen(request.languages)
        return _lacking(self._data if self._fetched else None, _all_languages(request), request.languages)

    @property
    def _fetched(self) -> bool:
        return self.folder is not None and stands(self.folder)

    @property
    def _absent(self) -> str:
        return describe_missing_data(self.folder)

    @property
    def _data(self) -> DataFolder:
        return DataFolder(self.folder)


def describe_missing_data(folder: Path | None) -> str:
    """Return what is wrong with a data folder that nothing can be read from."""
    if folder is None:
        return "no data folder is given"
    return f"data folder {folder} {'holds no data' if stands(folder) else 'does not exist'}"


def _fingerprint(request: Request, files: Mapping[str, str]) -> str:
    decisive = {
        "version": VERSION,
        "tables": list_decisive_tables(),
        "text columns": list_text_columns("xtreme"),
        "seed": request.seed,
        "sizes": read_sizes(request.sizes, Sizes).model_dump(),
        "languages": _chosen(request.languages),
        **_additions(request),
    }
    digest = hashlib.sha256(json.dumps([decisive, dict(files)], sort_keys=True).encode()).hexdigest()[:12]
    return digest if files else f"{NOT_FETCHED}{digest}"


def _make_contents(
    about: dict[str, Any], data: DataFolder, files: Mapping[str, str], tables: Iterable[Table]
) -> Contents:
    shared = Shared()
    watched = _from_unchanged(data, files, shared.watch(tables))
    return Contents(about, watched, lambda: {**_told(data), **shared.summary()}, _CARD)


def _from_unchanged(data: DataFolder, files: Mapping[str, str], tables: Iterable[Table]) -> Iterator[Table]:
    """Yield tables, then hash every file of the folder again and compare the checksums with those of the fingerprint.

    Raises
    ------
    StiltsError
        If a file changed meanwhile, its cached checksum was wrong, or it differs from the fetched one.
    """
    yield from tables
    found = DataFolder(data.root).fingerprints(anew=True)
    if changed := sorted(name for name in {*found, *files} if found.get(name) != files.get(name)):
        raise StiltsError(
            f"{data.root / changed[0]}: not the file that the suite is named after; it changed meanwhile, or its "
            "cached checksum was wrong and is now corrected; run the command again"
        )
    data.check_copied(found)


def _chosen(languages: Sequence[str] | None) -> list[str]:
    """Return the languages of the test sets: English first, the others in the suite's order."""
    return choose("language of the suite 'xtreme'", None if languages is None else ["en", *languages], ALL)


def _additions(request: Request) -> dict[str, list[str]]:
    """Return what a request adds, after checking it; what is empty is omitted, as in older suites."""
    choose("source language of the suite 'xtreme'", request.source_languages, ALL)
    choose("task by source language of the suite 'xtreme'", request.source_tasks, list(BY_SOURCE))
    choose("family of the suite 'xtreme'", request.families, list(FAMILIES))
    return request.additions


def _all_languages(request: Request) -> dict[str, Recipe]:
    """Return the tasks that a suite has in all its languages, including those of requested families."""
    return {**RECIPES, **{name: FAMILIES[name] for name in request.families}}


def _lacking(
    data: DataFolder | None, recipes: Mapping[str, Recipe], wanted: Sequence[str] | None
) -> dict[str, dict[str, str]]:
    """Return task -> language -> reason, for explicitly requested languages that the task does not have."""
    found = {
        task: {language: reason for language in wanted or () if (reason := recipe.lacks(data, language))}
        for task, recipe in recipes.items()
    }
    return {task: reasons for task, reasons in found.items() if reasons}


def _whole(
    data: DataFolder,
    recipes: Mapping[str, Recipe],
    languages: Sequence[str],
    lacking: Mapping[str, Mapping[str, str]],
    report: Callable[[str], None],
) -> Iterator[_Making]:
    """Yield the available tasks with all languages of the suite; note the requested languages that are missing."""
    for task, recipe in recipes.items():
        if reason := recipe.missing(data):
            data.leave_out(task, "all", reason)
            report(f"{task}: skipped, {reason}")
            continue
        for language, reason in lacking.get(task, {}).items():
            if language != "en":  # some tasks cannot have an English test set
                data.leave_out(task, language, reason)
        yield task, recipe, languages


def _by_source(data: DataFolder, request: Request) -> Iterator[_Making]:
    """Yield the tasks by source language; those that every suite has in English, only in the other languages."""
    for task in request.source_tasks or BY_SOURCE if request.source_languages else ():
        recipe = BY_SOURCE[task]
        wanted = {*request.source_languages, "en"} - ({"en"} if task in RECIPES else set())
        held = [language for language in recipe.languages(data) if language in wanted]
        for language in sorted(wanted.difference(held)):
            data.leave_out(task, language, "the data folder lacks its training or its dev set")
        if held:
            yield task, recipe, held


def _tables(
    data: DataFolder, made: Iterable[_Making], sizes: Sizes, seed: int, report: Callable[[str], None]
) -> Iterator[Table]:
    for task, recipe, languages in made:
        count = 0
        for piece in recipe.make(data, languages):
            if not piece.rows.num_rows:
                data.leave_out(task, f"{piece.config} {piece.split}", "the data folder has too few rows for it")
                continue
            count += 1
            numbered = _numbered(piece)
            yield Table(piece.config, piece.split, numbered.features, _some_rows(numbered, sizes, seed))
        report(f"{task}: {count} splits")


def _numbered(piece: Piece) -> Piece:
    """Return a piece; test sets get an `id`, the row's number in the published file, which submissions need."""
    import pyarrow as pa
    from datasets import Features, Value

    if piece.split != "test" or "id" in piece.features:
        return piece
    numbers = pa.array(range(piece.rows.num_rows), pa.int64())
    return piece._replace(
        features=Features({**piece.features, "id": Value("int64")}), rows=piece.rows.append_column("id", numbers)
    )


def _some_rows(piece: Piece, sizes: Sizes, seed: int) -> "pa.Table":
    """Return rows in a seeded order, at most as many as the sizes allow."""
    order, most = _order(f"{piece.task} {piece.split}", piece.rows.num_rows, seed), _most(piece, sizes)
    if most is not None and "match" in piece.features:
        return limit_pairs(piece.rows, most, order.tolist())
    if piece.split in ("validation", "test") and "label" in piece.features:
        order = _stratified(order, piece.rows["label"].to_numpy())
    return _taken(piece.rows, order[:most])


def _stratified(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return an order in which the first rows, however many, have the same label distribution as all rows.

    Rows with the same label keep their order. Datasets with the same labels in the same rows get the same order, so
    that translations stay aligned.

    Parameters
    ----------
    order : int array (rows,)
    labels : array (rows,)
        Labels of the rows in their original order.
    """
    places = np.empty(len(order))
    for label in np.unique(labels):
        own = np.flatnonzero(labels[order] == label)
        places[own] = (np.arange(len(own)) + 0.5) / len(own)
    return order[np.argsort(places, kind="stable")]


def _taken(rows: "pa.Table", order: np.ndarray, at_once: int = 100_000) -> "pa.Table":
    """Return reordered rows in chunks: Arrow's string arrays hold at most 2 GiB, which translations can exceed."""
    import pyarrow as pa

    wide = pa.schema([(field.name, pa.large_string() if field.type == pa.string() else field.type)
                      for field in rows.schema])  # fmt: skip
    whole = rows.cast(wide).combine_chunks()
    parts = [whole.take(order[start : start + at_once]).cast(rows.schema) for start in range(0, len(order), at_once)]
    return pa.concat_tables(parts or [rows.slice(0, 0)])


def _order(name: str, count: int, seed: int) -> np.ndarray:
    """Return a permutation. NumPy guarantees this generator's stream (NEP 19), so suites are reproducible."""
    return np.random.RandomState([seed % 2**32, zlib.crc32(name.encode())]).permutation(count)


def _most(piece: Piece, sizes: Sizes) -> int | None:
    if "match" in piece.features:
        return sizes.mining
    if "lang" in piece.features:
        return None  # texts for pretraining and pools of candidates are complete
    if "source_sentence" in piece.features:
        return sizes.retrieval
    kind = "intermediate_train" if piece.split == "train" and Config.parse(piece.config).intermediate else piece.split
    return getattr(sizes, kind)


def _told(data: DataFolder) -> dict[str, Any]:
    return {
        "sources": dict(sorted(data.counts.items())),
        "revisions": data.revisions,
        "notes": data.notes,
        "left_out": data.left_out,
    }
