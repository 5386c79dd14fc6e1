"""The data folder: copies of Hub repositories in the Hub's layout, and a few files from elsewhere."""

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
from stilts.sources.hub import list_split_files
from stilts.sources.tables import Split, read_split
from stilts.sources.xtreme.official import find_published_rows
from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.storage import hash_file, hash_json, replace_file

if TYPE_CHECKING:
    import pyarrow as pa

FETCHED = "fetched.json"  # written by `stilts fetch`: commits and checksums
_SETTLED_SECONDS = 2.0  # a file that changed more recently may change again without a visible change of its times


class Place(NamedTuple):
    """One split of one config of a repository on the Hub."""

    repo: str
    config: str
    split: str

    def __str__(self) -> str:
        return f"{self.repo}/{self.config}/{self.split}"


class DataFolder:
    """The files of a data folder, and notes about what was read from it.

    Files are listed once, following links. All look-ups use this list, and `fingerprints` covers all of it, so nothing
    can be read that is not hashed.

    Parameters
    ----------
    root : Path
        Folder with ``<root>/<owner>/<name>/<config>/<split>-*.parquet``.

    Attributes
    ----------
    counts : dict of str to dict
        Place -> its number of `rows`, and the `published` number where it is known.
    notes : dict of str to list of str
        Task -> facts about its data that readers of its scores must know.
    left_out : dict of str to dict of str to str
        Task -> missing language -> reason.
    revisions : dict of str to str
        Repository -> the commits that `stilts fetch` copied; empty for a folder of another origin.

    Raises
    ------
    StiltsError
        If `root` is not a folder, or contains a broken or circular link or something unreadable.
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
        """Return the files directly in a subfolder, sorted by name."""
        return self._within.get(folder, [])

    def folders(self, folder: Path) -> list[Path]:
        """Return the folders directly in a subfolder that contain files, sorted."""
        return sorted(each for each in self._within if each.parent == folder)

    def holds(self, path: Path) -> bool:
        """Return whether a path is a file of the data folder."""
        return path in self.within(path.parent)

    def files(self, place: Place) -> list[Path]:
        """Return the Parquet files of a place, none if it is missing."""
        return list_split_files(self.root / place.repo, place.config, place.split, self.within)

    def has(self, place: Place) -> bool:
        """Return whether the folder has a place."""
        return bool(self.files(place))

    def first(self, places: Iterable[Place]) -> Place | None:
        """Return the first of some places that the folder has, None if it has none."""
        return next((place for place in places if self.has(place)), None)

    def read(self, place: Place, schema: Schema) -> "pa.Table":
        """Return the columns of a schema for all rows of a place, in order; StiltsError as in `read_split`."""
        return self.read_split(place, schema).rows

    def read_split(self, place: Place, schema: Schema) -> Split:
        """Return the columns of a schema for all rows of a place, in order, with the file of each row.

        Raises
        ------
        StiltsError
            If the place is missing or has no rows, a column is missing or invalid, or a repository copied by
            `stilts fetch` has another number of rows than published. Copies of another origin may be partial.
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
        """Yield the languages whose places the folder has, with these; others are noted as left out of the task."""
        for language, place in places.items():
            if self.has(place):
                yield language, place
            else:
                self.leave_out(task, language, f"{place} is not in the data folder")

    def leave_out(self, task: str, language: str, reason: str) -> None:
        """Note that a task is missing in a language."""
        self.left_out.setdefault(task, {})[language] = reason

    def note(self, task: str, text: str) -> None:
        """Note a fact that readers of a task's scores must know."""
        noted = self.notes.setdefault(task, [])
        if text not in noted:
            noted.append(text)

    def fingerprints(self, *, anew: bool = False) -> dict[str, str]:
        """Return the SHA-256 of every file of the folder by relative path.

        Parameters
        ----------
        anew : bool
            Whether to ignore cached checksums.

        Raises
        ------
        StiltsError
            If a file cannot be read or changes meanwhile.
        """
        paths = [path for folder in self._within.values() for path in folder]
        return Checksums(self.root).of(sorted(paths), anew=anew)

    def check_copied(self, digests: Mapping[str, str]) -> None:
        """Check that the files copied by `stilts fetch` are unchanged, since the suite names their commits.

        Raises
        ------
        StiltsError
            If a fetched file does not match its checksum in `fetched.json`.
        """
        for name, found in digests.items():
            if self._copied.get(name, found) != found:
                raise StiltsError(
                    f"{self.root / name}: not the file that `stilts fetch` copied (its SHA-256 is {found[:12]}..., "
                    f"{FETCHED} says {self._copied[name][:12]}...); fetch it again"
                )

    def _count(self, place: Place, rows: int, path: Path) -> None:
        wanted = find_published_rows(*place)
        if wanted not in (None, rows) and place.repo in self.revisions:
            raise StiltsError(f"{path}: {rows} rows, but {wanted} were published for {place}; fetch it again")
        self.counts[str(place)] = {"rows": rows} | ({} if wanted is None else {"published": wanted})


class _Kept(BaseModel):
    """A cache entry: the `_state` of a file, and its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: tuple[StrictInt, StrictInt, StrictInt, StrictInt, StrictInt]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Memory(BaseModel):
    """The cache file; its seal is a hash of all entries, which reveals changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, _Kept]
    seal: str

    def intact(self) -> bool:
        """Return whether the seal matches the entries."""
        return self.seal == _seal(self.files)


class Checksums:
    """SHA-256 of files, cached between processes as long as the files are unchanged.

    A file is unchanged if its device, inode, size, mtime and ctime are, where programs cannot set the ctime. The cache
    is in the user's cache folder, since a data folder may be shared and not writable. If the cache is damaged or not
    writable, every process computes the checksums again.
    """

    def __init__(self, root: Path):
        self.root = root
        self._file = _memory_file(root)

    def of(self, paths: Iterable[Path], *, anew: bool = False) -> dict[str, str]:
        """Return the checksums of files below the root by relative path.

        Parameters
        ----------
        anew : bool
            Whether to ignore cached checksums.

        Raises
        ------
        StiltsError
            If a file cannot be read or changes meanwhile.
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
            return {}  # the checksums are computed again
        return memory.files if memory.intact() else {}

    def _remember(self, files: Mapping[str, _Kept]) -> None:
        if self._file is None:
            return
        text = _Memory(files=files, seal=_seal(files)).model_dump_json()
        with suppress(OSError):  # without a cache, they are computed again next time
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, lambda part: part.write_text(text, encoding="utf-8"))


def _memory_file(root: Path) -> Path | None:
    """Return the cache file for a folder's checksums, None for a user without a home."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return cache / "stilts" / f"sha256-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"


def _seal(files: Mapping[str, _Kept]) -> str:
    content = {name: [*kept.state, kept.sha256] for name, kept in files.items()}
    return hash_json(content)


def _state(path: Path) -> tuple[int, int, int, int, int]:
    """Return device, inode, size, mtime and ctime (ns) of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _hashed(path: Path) -> _Kept:
    before = _state(path)
    try:
        found = hash_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if _state(path) != before:
        raise StiltsError(f"{path}: it changed while it was read; wait until it is whole, then run the command again")
    return _Kept(state=before, sha256=found)


# --- existing files --------------------------------------------------------------------------------------------------


def stands(root: Path) -> bool:
    """Return whether a data folder exists.

    Raises
    ------
    StiltsError
        If it is a file, or a broken or circular link.
    """
    if not os.path.lexists(root):
        return False
    if not stat.S_ISDIR(_mode(root)):
        raise StiltsError(f"{root}: the data folder is a file; name the folder with the copies of the Hub")
    return True


def _files_below(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """Yield the files below a folder, sorted by name, following links.

    Hidden files, which belong to huggingface_hub and git, and descriptions of data are skipped.
    """
    device, inode, *_ = _state(folder)
    if (device, inode) in above:
        raise StiltsError(f"{folder}: this link leads to a folder that contains it; remove it")
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
            raise StiltsError(f"{path}: this link is broken ({os.readlink(path)}); repair or remove it") from error
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> StiltsError:
    if error.errno == errno.ELOOP:
        return StiltsError(f"{path}: this link is circular; repair or remove it")
    return StiltsError(f"{path}: cannot be read ({error.strerror or error}); repair or remove it")


# --- fetched files ---------------------------------------------------------------------------------------------------


class Fetched(BaseModel):
    """The content of `fetched.json`.

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
    """Return what `stilts fetch` has copied into a data folder; empty for a folder of another origin.

    Raises
    ------
    StiltsError
        If `fetched.json` exists but is invalid.
    """
    path = root / FETCHED
    if not os.path.lexists(path):
        return Fetched(repositories={}, files={})
    try:
        return Fetched.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        reason = describe_reasons(error) if isinstance(error, ValidationError) else error
        raise StiltsError(f"{path}: not what `stilts fetch` writes ({reason}); delete it and fetch again") from error
