"""The data folder: copies of Hub repositories in the Hub's layout, and a few files that the Hub does not have."""

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from stilts.sources.columns import Schema
from stilts.sources.hub import split_files
from stilts.sources.tables import Split, read_split
from stilts.sources.xtreme.official import published_rows
from stilts.study.errors import StiltsError, reasons
from stilts.study.storage import digest, replace_file, sha256

if TYPE_CHECKING:
    import pyarrow as pa

FETCHED = "fetched.json"  # written by `stilts fetch`: commits and checksums
_SETTLED_SECONDS = 2.0  # a file that changed less long ago may change again without its times telling


class Place(NamedTuple):
    """One split of one config of a repository, as the Hub names them."""

    repo: str
    config: str
    split: str

    def __str__(self) -> str:
        return f"{self.repo}/{self.config}/{self.split}"


class DataFolder:
    """What stands in a data folder, and a note of all that was read from it.

    Its files are listed once, links followed. Whatever is looked for is looked for in that list, and `fingerprints` are
    those of the whole list: so nothing can be read that is not hashed.

    Parameters
    ----------
    root : Path
        ``<root>/<owner>/<name>/<config>/<split>-*.parquet``.

    Attributes
    ----------
    counts : dict of str to dict
        Place -> `rows` that it holds, and how many were `published`.
    notes : dict of str to list of str
        Task -> what a reader of its numbers must know about its data.
    left_out : dict of str to dict of str to str
        Task -> language -> why it is not there.
    revisions : dict of str to str
        Repository -> the commits that `stilts fetch` copied; empty in a folder of another origin.

    Raises
    ------
    StiltsError
        If `root` is no folder, or a link in it leads nowhere or in a circle, or something in it cannot be read.
    """

    def __init__(self, root: Path):
        if not stands(root):
            raise StiltsError(f"{root}: no such data folder; `stilts fetch` makes one, or name a copy of one")
        self.root = root
        self._within: dict[Path, list[Path]] = {}
        for path in _files_below(root):
            self._within.setdefault(path.parent, []).append(path)
        self.counts: dict[str, dict[str, int]] = {}
        self.notes: dict[str, list[str]] = {}
        self.left_out: dict[str, dict[str, str]] = {}
        fetched = read_fetched(root)
        self.revisions = {
            repo: ", ".join(sorted(set(commits.values()))) for repo, commits in fetched.repositories.items()
        }
        self._copied = fetched.files

    def within(self, folder: Path) -> list[Path]:
        """Return the files that lie directly in a folder of the data folder, in the order of their names."""
        return self._within.get(folder, [])

    def folders(self, folder: Path) -> list[Path]:
        """Return the folders that lie directly in a folder of the data folder and have files, in order."""
        return sorted(each for each in self._within if each.parent == folder)

    def holds(self, path: Path) -> bool:
        """Whether a path is that of a file of the data folder."""
        return path in self.within(path.parent)

    def files(self, place: Place) -> list[Path]:
        """Return the parquet files of a place, none where it does not stand."""
        return split_files(self.root / place.repo, place.config, place.split, self.within)

    def has(self, place: Place) -> bool:
        """Whether a place stands here."""
        return bool(self.files(place))

    def first(self, places: Iterable[Place]) -> Place | None:
        """Return the first of some places that stands here."""
        return next((place for place in places if self.has(place)), None)

    def read(self, place: Place, schema: Schema) -> "pa.Table":
        """Return the columns of a schema, all rows of a place in their order; StiltsError as of `read_split`."""
        return self.read_split(place, schema).rows

    def read_split(self, place: Place, schema: Schema) -> Split:
        """Return the same, and from which file each row is.

        Raises
        ------
        StiltsError
            If the place does not stand here or has no rows, a column is missing or holds what the schema does not
            allow, or the number of rows is not as published in a repository that `stilts fetch` copied; copies of
            another origin may hold a part.
        """
        paths = self.files(place)
        if not paths:
            raise StiltsError(
                f"{self.root / place.repo / place.config}: no split '{place.split}'; `stilts fetch` gets it"
            )
        split = read_split(paths, schema)
        if not split.rows.num_rows:
            raise StiltsError(f"{paths[0]}: no rows; fetch it again")
        self._count(place, split.rows.num_rows, paths[0])
        return split

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

    def fingerprints(self, *, anew: bool = False) -> dict[str, str]:
        """Return the SHA-256 of every file of the folder, by its path in it.

        Parameters
        ----------
        anew : bool
            Whether to read every file, whatever is remembered of it.

        Raises
        ------
        StiltsError
            If a file cannot be read, or changes while it is.
        """
        paths = [path for folder in self._within.values() for path in folder]
        return Checksums(self.root).of(sorted(paths), anew=anew)

    def check_copied(self, digests: Mapping[str, str]) -> None:
        """Check that what `stilts fetch` copied is still what it was, since the suite names the commits of it.

        Raises
        ------
        StiltsError
            If a file of a repository that was fetched differs from its checksum in `fetched.json`.
        """
        for name, found in digests.items():
            if self._copied.get(name, found) != found:
                raise StiltsError(
                    f"{self.root / name}: not the file that `stilts fetch` copied (its SHA-256 is {found[:12]}..., "
                    f"{FETCHED} says {self._copied[name][:12]}...); fetch it again"
                )

    def _count(self, place: Place, rows: int, path: Path) -> None:
        wanted = published_rows(*place)
        if wanted not in (None, rows) and place.repo in self.revisions:
            raise StiltsError(f"{path}: {rows} rows, but {wanted} were published for {place}; fetch it again")
        self.counts[str(place)] = {"rows": rows, "published": wanted or rows}


class _Kept(BaseModel):
    """What is remembered of a file: what `_state` said of it, and its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: tuple[StrictInt, StrictInt, StrictInt, StrictInt, StrictInt]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Memory(BaseModel):
    """The file of remembered checksums; its seal is a hash of all of them, so that none is changed unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, _Kept]
    seal: str

    def intact(self) -> bool:
        """Whether the seal is that of the files."""
        return self.seal == _seal(self.files)


class Checksums:
    """SHA-256 of files, remembered between processes as long as a file is the same and was not touched.

    Same and untouched means: its device, inode, size, and times of change of content and of inode, of which no program
    can set the last. They are kept in the user's cache folder, since a data folder may be shared and not writable;
    where that cannot be written either, or what is there is damaged, every process computes them anew.
    """

    def __init__(self, root: Path):
        self.root = root
        self._file = _memory_file(root)

    def of(self, paths: Iterable[Path], *, anew: bool = False) -> dict[str, str]:
        """Return the checksums of files below the root, by their relative paths.

        Parameters
        ----------
        anew : bool
            Whether to read every file, whatever is remembered of it.

        Raises
        ------
        StiltsError
            If a file cannot be read, or changes while it is.
        """
        known = self._remembered()
        started, found, settled = time.time(), {}, dict(known)
        for path in paths:
            name = path.relative_to(self.root).as_posix()
            kept = known.get(name)
            if anew or kept is None or kept.state != _state(path):
                kept = _hashed(path)
            found[name] = kept.sha256
            settled.pop(name, None)
            if started - kept.state[4] / 1e9 > _SETTLED_SECONDS:
                settled[name] = kept
        if settled != known:
            self._remember(settled)
        return found

    def _remembered(self) -> dict[str, _Kept]:
        if self._file is None:
            return {}
        try:
            memory = _Memory.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return {}  # nothing is lost but time
        return memory.files if memory.intact() else {}

    def _remember(self, files: Mapping[str, _Kept]) -> None:
        if self._file is None:
            return
        text = _Memory(files=files, seal=_seal(files)).model_dump_json()
        with suppress(OSError):  # nothing is lost but time
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, lambda part: part.write_text(text, encoding="utf-8"))


def _memory_file(root: Path) -> Path | None:
    """Return where the checksums of a folder's files are remembered, None for a user without a home."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return cache / "stilts" / f"sha256-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"


def _seal(files: Mapping[str, _Kept]) -> str:
    content = {name: [*kept.state, kept.sha256] for name, kept in files.items()}
    return digest(content)


def _state(path: Path) -> tuple[int, int, int, int, int]:
    """Return device, inode, size, and the times of change of content and of inode, in nanoseconds."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _hashed(path: Path) -> _Kept:
    before = _state(path)
    try:
        found = sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if _state(path) != before:
        raise StiltsError(f"{path}: it changes while it is read; wait until it is whole, and give the command again")
    return _Kept(state=before, sha256=found)


# --- what stands -----------------------------------------------------------------------------------------------------


def stands(root: Path) -> bool:
    """Whether a data folder is there.

    Raises
    ------
    StiltsError
        If something else is there: a file, or a link that leads nowhere or in a circle.
    """
    if not os.path.lexists(root):
        return False
    if not stat.S_ISDIR(_mode(root)):
        raise StiltsError(f"{root}: the data folder is a file; name the folder with the copies of the Hub")
    return True


def _files_below(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, links followed, in the order of their names.

    Hidden ones are left out, in which huggingface_hub and git keep their own, and what only describes data.
    """
    device, inode, *_ = _state(folder)
    if (device, inode) in above:
        raise StiltsError(f"{folder}: this link leads in a circle, to a folder that it lies in; remove it")
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error
    for name in names:
        path = folder / name
        if name.startswith(".") or name.endswith(".md") or (name == FETCHED and not above):
            continue
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            yield from _files_below(path, (*above, (device, inode)))
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise StiltsError(f"{path}: neither a file nor a folder; remove it from the data folder")


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        if path.is_symlink() and isinstance(error, FileNotFoundError):
            raise StiltsError(f"{path}: this link leads nowhere ({os.readlink(path)}); mend or remove it") from error
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> StiltsError:
    if error.errno == errno.ELOOP:
        return StiltsError(f"{path}: this link leads in a circle; mend or remove it")
    return StiltsError(f"{path}: cannot be read ({error.strerror or error}); mend or remove it")


# --- what was fetched ------------------------------------------------------------------------------------------------


class Fetched(BaseModel):
    """What `fetched.json` holds.

    Attributes
    ----------
    repositories : dict of str to dict
        Repository -> branch -> commit.
    files : dict of str to str
        Path in the data folder -> SHA-256.
    """

    repositories: dict[StrictStr, dict[StrictStr, StrictStr]]
    files: dict[StrictStr, StrictStr]


def read_fetched(root: Path) -> Fetched:
    """Return what `stilts fetch` has copied into a data folder; nothing in one of another origin.

    Raises
    ------
    StiltsError
        If the list of it is there but not what `stilts fetch` writes.
    """
    path = root / FETCHED
    if not os.path.lexists(path):
        return Fetched(repositories={}, files={})
    try:
        return Fetched.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        reason = reasons(error) if isinstance(error, ValidationError) else error
        raise StiltsError(f"{path}: not what `stilts fetch` writes ({reason}); delete it and fetch again") from error
