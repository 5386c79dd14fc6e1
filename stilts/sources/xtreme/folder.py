"""The data folder: copies of Hub repositories in the Hub's layout, and a few files that the Hub does not have."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stilts.errors import StiltsError
from stilts.sources.hub import read_tables, split_files
from stilts.sources.xtreme import published
from stilts.sources.xtreme.languages import BUCC

if TYPE_CHECKING:
    import pyarrow as pa

FETCHED = "fetched.json"  # written by `stilts fetch`: commits and checksums
# Folders whose files decide what a suite holds; anything else in the data folder does not.
OTHER_SOURCES = ("universal-dependencies", "bucc2018", "ccg")
_SUFFIXES = (".parquet", ".conllu", ".tsv", ".json", ".jsonl", ".gz")


class Place(NamedTuple):
    """One split of one config of a repository, as the Hub names them."""

    repo: str
    config: str
    split: str

    def __str__(self) -> str:
        return f"{self.repo}/{self.config}/{self.split}"


class DataFolder:
    """What stands in a data folder, and a note of all that was read from it.

    Parameters
    ----------
    root : Path
        ``<root>/<owner>/<name>/<config>/<split>-*.parquet``.

    Attributes
    ----------
    counts : dict of str to str
        Place -> its number of rows, "n of N published" where they differ.
    notes : dict of str to list of str
        Task -> what a reader of its numbers must know about its data.
    left_out : dict of str to dict of str to str
        Task -> language -> why it is not there.
    revisions : dict of str to str
        Repository -> the commits that `stilts fetch` copied; empty in a folder of another origin.

    Raises
    ------
    StiltsError
        If `root` is no folder.
    """

    def __init__(self, root: Path):
        if not root.is_dir():
            raise StiltsError(f"{root}: no such data folder; `stilts fetch` makes one, or name a copy of one")
        self.root = root
        self.counts: dict[str, str] = {}
        self.notes: dict[str, list[str]] = {}
        self.left_out: dict[str, dict[str, str]] = {}
        self.revisions = _fetched_revisions(root)

    def files(self, place: Place) -> list[Path]:
        """Return the parquet files of a place, none where it does not stand."""
        return split_files(self.root / place.repo, place.config, place.split)

    def has(self, place: Place) -> bool:
        """Whether a place stands here."""
        return bool(self.files(place))

    def first(self, places: Iterable[Place]) -> Place | None:
        """Return the first of some places that stands here."""
        return next((place for place in places if self.has(place)), None)

    def read(self, place: Place, columns: Sequence[str]) -> "pa.Table":
        """Return some columns of a place, all rows in their order.

        Raises
        ------
        StiltsError
            If the place does not stand here or has no rows, a column is missing, or the number of rows is not as
            published in a repository that `stilts fetch` copied; copies of another origin may hold a part.
        """
        paths = self.files(place)
        if not paths:
            raise StiltsError(
                f"{self.root / place.repo / place.config}: no split '{place.split}'; `stilts fetch` gets it"
            )
        table = read_tables(paths, columns)
        if not table.num_rows:
            raise StiltsError(f"{paths[0]}: no rows; fetch it again")
        self._count(place, table.num_rows, paths[0])
        return table

    def label_names(self, place: Place, column: str) -> list[str] | None:
        """Return the names that a place's files give to label numbers, None where they give none."""
        import pyarrow.parquet as pq

        metadata = pq.read_schema(self.files(place)[0]).metadata or {}
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        feature = features.get(column, {})
        return feature.get("names") or feature.get("feature", {}).get("names")

    def each(self, task: str, places: Mapping[str, Place]) -> Iterator[tuple[str, Place]]:
        """Yield languages and their places that stand here; the others are noted as left out of the task."""
        for language, place in places.items():
            if self.has(place):
                yield language, place
            else:
                self.leave_out(task, language, f"{place} is not in the data folder")

    def leave_out(self, task: str, language: str, reason: str) -> None:
        """Note that a task lacks a language."""
        self.left_out.setdefault(task, {})[language] = reason

    def note(self, task: str, text: str) -> None:
        """Note what a reader of a task's numbers must know."""
        noted = self.notes.setdefault(task, [])
        if text not in noted:
            noted.append(text)

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of every file that a suite may be made of, by its path in the folder."""
        paths = [path for folder in _source_folders(self.root) for path in folder.rglob("*")
                 if _is_data(path.relative_to(self.root)) and path.is_file()]  # fmt: skip
        return Checksums(self.root).of(sorted(paths))

    def _count(self, place: Place, rows: int, path: Path) -> None:
        wanted = published.rows(*place)
        if wanted not in (None, rows) and place.repo in self.revisions:
            raise StiltsError(f"{path}: {rows} rows, but {wanted} were published for {place}; fetch it again")
        self.counts[str(place)] = str(rows) if wanted in (None, rows) else f"{rows} of {wanted} published"


class Checksums:
    """SHA-256 of files, kept between processes as long as a file's size and time of change stay.

    They are kept in the user's cache folder, since a data folder may be shared and not writable; where that cannot be
    written either, every process computes them anew.
    """

    def __init__(self, root: Path):
        self.root = root
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stilts"
        self._file = cache / f"sha256-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.json"

    def of(self, paths: Iterable[Path]) -> dict[str, str]:
        """Return the checksums of files below the root, by their relative paths."""
        known = self._known()
        found = {}
        for path in paths:
            name, state = path.relative_to(self.root).as_posix(), path.stat()
            kept = known.get(name)
            if not kept or kept[:2] != [state.st_size, state.st_mtime_ns]:
                kept = [state.st_size, state.st_mtime_ns, sha256(path)]
            found[name] = kept
        if found != known:
            self._keep(found)
        return {name: kept[2] for name, kept in found.items()}

    def _known(self) -> dict[str, list]:
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # nothing is lost but time

    def _keep(self, found: Mapping[str, list]) -> None:
        part = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(found), encoding="utf-8")
            os.replace(part, self._file)
        except OSError:
            part.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_data(path: Path) -> bool:
    # BUCC's files end with their language; the folders' hidden files are those of huggingface_hub.
    named = path.suffix in _SUFFIXES or path.suffix[1:] in (*BUCC, "en", "gold")
    return named and not any(part.startswith(".") for part in path.parts)


def _source_folders(root: Path) -> list[Path]:
    owners = {repo.partition("/")[0] for repo in published.REPOSITORIES}
    return [folder for name in sorted({*owners, *OTHER_SOURCES}) if (folder := root / name).is_dir()]


def _fetched_revisions(root: Path) -> dict[str, str]:
    """Repositories that `stilts fetch` copied, so that every row must be there, and their commits."""
    path = root / FETCHED
    if not path.is_file():
        return {}
    try:
        repositories = json.loads(path.read_text(encoding="utf-8"))["repositories"]
        return {repo: ", ".join(sorted(set(commits.values()))) for repo, commits in repositories.items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise StiltsError(f"{path}: not what `stilts fetch` writes ({error}); delete it and fetch again") from error
