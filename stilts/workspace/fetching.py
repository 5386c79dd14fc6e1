"""`stilts fetch` downloads everything that a study reads from the Hub; no other command uses the network.

The copy has the Hub's layout, ``<folder>/<owner>/<name>/<config>/<split>-*.parquet``. The first call resolves branches
to commits. ``<folder>/fetched.json`` holds these commits and the SHA-256 of every file; later calls fetch missing files
from the same commits. The encoder goes to huggingface_hub's own cache, where `transformers` looks for it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stilts.models.encoders import is_on_hub
from stilts.sources.xtreme import folder as data_folder
from stilts.sources.xtreme import mewsli_x
from stilts.sources.xtreme.folder import FETCHED, Checksums, DataFolder, Place, stands
from stilts.sources.xtreme.languages import ALL
from stilts.sources.xtreme.recipes import BY_SOURCE, RECIPES, Files, Recipe
from stilts.study.errors import StiltsError
from stilts.study.settings import SOURCE_LANGUAGE, EncoderSettings, Study, split_reference
from stilts.study.storage import hash_file, replace_file
from stilts.tasks.registry import get_target, list_tasks_read
from stilts.workspace.disk import format_size

MAIN, CONVERTED = "main", "refs/convert/parquet"
_ENCODER_FILES = re.compile(r"[^/]+\.(json|safetensors|model|txt)")  # no weights that could run code, no subfolders
# Mewsli-X is on the Hub as JSON Lines.
_LINES = {part.place: part.lines for part in (*mewsli_x.PAIRS.values(), *mewsli_x.MENTIONS.values(), mewsli_x.ENTITIES)}
_UNNAMED = ("default", "data")  # a repository's only config, in the converted branch and in most main branches

Report = Callable[[str], None]
NameEncoder = Callable[[EncoderSettings], str]


@dataclass(frozen=True)
class Remote:
    """One file of a repository.

    Attributes
    ----------
    repo, kind : str
        "owner/name"; "dataset" or "model".
    commit, path : str
    size : int
        Bytes.
    sha256, blob : str, optional
        Checksum on the Hub: SHA-256 of a large file, git's SHA-1 of a small one.
    """

    repo: str
    kind: str
    commit: str
    path: str
    size: int
    sha256: str | None = None
    blob: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Data and encoders that a study needs.

    Attributes
    ----------
    places : tuple of tuple of Place
        One alternative of each inner tuple is enough.
    welcome : tuple of Place
        Optional data, used if the Hub has them.
    files : tuple of Files
        Files that the Hub does not have.
    encoders : tuple of (str, str or None)
        Encoders on the Hub: id, and commit or branch.
    """

    places: tuple[tuple[Place, ...], ...]
    welcome: tuple[Place, ...]
    files: tuple[Files, ...]
    encoders: tuple[tuple[str, str | None], ...]


def list_wanted(study: Study, name_encoder: NameEncoder) -> Wanted:
    """Return what a study needs from the Hub and from elsewhere.

    Parameters
    ----------
    name_encoder : callable
        Returns an encoder's name, or its path if it is a folder, as `Checkout.encoder_name` does.

    Raises
    ------
    UnknownName
        If the study names an unknown task.
    """
    recipes = list(_recipes(study)) if study.data.reads_folder else []
    places = dict.fromkeys(need for recipe, languages in recipes for need in recipe.hub_needs(languages))
    named = (study.encoder, *study.encoders.values())
    encoders = dict.fromkeys((name_encoder(each), each.revision) for each in named)
    return Wanted(
        tuple(places),
        tuple(dict.fromkeys(place for recipe, languages in recipes for place in recipe.hub_welcome(languages))),
        tuple(dict.fromkeys(file for recipe, _ in recipes for file in recipe.files())),
        tuple((name, revision) for name, revision in encoders if is_on_hub(name)),
    )


def _recipes(study: Study) -> Iterator[tuple[Recipe, Sequence[str]]]:
    """Yield the recipe of each task of a study, and its languages."""
    languages = ALL if study.data.languages == "all" else ("en", *study.data.languages)
    tasks = [*list_tasks_read(study), *(get_target(name, study.data.suite).name for name in study.targets)]
    for name, language in map(split_reference, dict.fromkeys(tasks)):
        if language in ("", SOURCE_LANGUAGE) and name in RECIPES:
            yield RECIPES[name], languages
        elif name in BY_SOURCE:
            yield BY_SOURCE[name], [language or SOURCE_LANGUAGE]


def fetch(
    study: Study,
    folder: Path | None,
    *,
    name_encoder: NameEncoder,
    report: Report,
    dry_run: bool = False,
) -> None:
    """Download what a study reads from the Hub, except for files that exist with the right checksum.

    Parameters
    ----------
    folder : Path, optional
        The study's data folder; required if the study reads data from the Hub.
    name_encoder : callable
        See `list_wanted`.
    report : callable
        Called with each line of the report. A terminal also shows a progress bar.
    dry_run : bool
        Only list what would be fetched.

    Raises
    ------
    StiltsError
        If the data folder is not set, a repository or a split is not on the Hub, the Hub cannot be reached, a file does
        not match its checksum, or the disk is full.
    """
    needs = list_wanted(study, name_encoder)
    if needs.places and folder is None:
        raise StiltsError(f"study '{study.name}': neither data.folder nor STILTS_DATA is set; set one to a folder")
    with _explained(study):
        session = _Session(folder)
        models = (each for encoder in needs.encoders for each in session.find_encoder(*encoder, report))
        remotes = [*session.find(needs, report), *models]
        lacking = [remote for remote in remotes if not session.stands(remote)]
        _announce(remotes, lacking, report, dry_run)
        if not dry_run:
            _download(session, lacking)
            session.keep()
    for file in needs.files:
        if folder is None or not stands(folder) or not file.stand(DataFolder(folder)):
            report(f"not on the Hub; put it into {folder} by hand: {file}")


class _Session:
    """Pinned commits, listings of repositories, and checksums of fetched files."""

    def __init__(self, folder: Path | None):
        from huggingface_hub import HfApi

        self.folder = folder
        self.api = HfApi(library_name="stilts")
        self.fetched = read_fetched(folder) if folder else {"repositories": {}, "files": {}}
        self._listed: dict[tuple[str, str, str], list[Remote]] = {}

    def find(self, needs: Wanted, report: Report) -> list[Remote]:
        """Return the files of all places; where there are alternatives, of the first one that the Hub has."""
        found: dict[Remote, None] = {}
        lost = []
        for need in (*needs.places, *((place,) for place in needs.welcome)):
            files = next((files for place in need for files in [self._files(place, report)] if files), [])
            if not files and self._stands_by_hand(need):
                report(f"{need[0]}: not on the Hub; the copy in the data folder is used")
            elif not files and need in needs.places:
                lost.append(" or ".join(map(str, need)))
            elif not files:
                report(f"{need[0]}: not on the Hub; the study continues without it")
            found |= dict.fromkeys(files)
        if lost:
            raise StiltsError(f"the Hub has no {'; no '.join(lost)}; name other languages or tasks in the study")
        return list(found)

    def _stands_by_hand(self, need: Sequence[Place]) -> bool:
        """Return whether the user has put one of these places, which are not on the Hub, into the data folder."""
        return self.folder is not None and stands(self.folder) and DataFolder(self.folder).first(need) is not None

    def find_encoder(self, name: str, revision: str | None, report: Report) -> list[Remote]:
        """Return the files of an encoder that `transformers` reads."""
        listed = self._list(name, "model", revision or MAIN)
        if not listed:
            cure = "correct the study, or run `hf auth login` if the model is private"
            raise StiltsError(f"the Hub has no model {name} at revision {revision or MAIN}; {cure}")
        files = [each for each in listed if _ENCODER_FILES.fullmatch(each.path)]
        if not any(each.path.endswith(".safetensors") for each in files):
            raise StiltsError(f"encoder {name} has no safetensors weights; other formats can run code")
        if not revision:
            report(f"encoder {name}: the study pins no commit; add 'revision: {files[0].commit}'")
        return files

    def stands(self, remote: Remote) -> bool:
        """Return whether a file was fetched before and is unchanged."""
        if remote.kind == "model":
            from huggingface_hub import try_to_load_from_cache

            return isinstance(try_to_load_from_cache(remote.repo, remote.path, revision=remote.commit), str)
        path, known = self.path(remote), self.fetched["files"].get(f"{remote.repo}/{remote.path}")
        return known is not None and path.is_file() and Checksums(self.folder).of([path]) == {_name(remote): known}

    def path(self, remote: Remote) -> Path:
        """Return the local path of a file of a dataset."""
        return self.folder / remote.repo / remote.path

    def note(self, remote: Remote, digest: str) -> None:
        """Note the checksum of a file that was fetched."""
        self.fetched["files"][_name(remote)] = digest

    def keep(self) -> None:
        """Write `fetched.json` atomically."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.fetched, indent=1, sort_keys=True) + "\n"
        replace_file(self.folder / FETCHED, lambda part: part.write_text(text, encoding="utf-8"))

    def _files(self, place: Place, report: Report) -> list[Remote]:
        found = [each for each in self._list(place.repo, "dataset", MAIN) if _is_of(each.path, place, MAIN)]
        if found:
            return found
        found = [each for each in self._list(place.repo, "dataset", CONVERTED) if _is_of(each.path, place, CONVERTED)]
        if found:
            report(f"{place}: main has no parquet files of it; {CONVERTED} is used")
        return found

    def _list(self, repo: str, kind: str, revision: str) -> list[Remote]:
        """Return the files of a repository at its pinned commit; empty if the repository or branch does not exist."""
        if (repo, kind, revision) not in self._listed:
            pinned = self.fetched["repositories"].get(repo, {}).get(revision)
            found = _ask(self.api, repo, kind, pinned or revision)
            if found:
                self.fetched["repositories"].setdefault(repo, {})[revision] = found[0].commit
            elif pinned:
                raise StiltsError(f"{repo}: commit {pinned} in {FETCHED} is no longer on the Hub; remove it there")
            self._listed[repo, kind, revision] = found
        return self._listed[repo, kind, revision]


def _ask(api: Any, repo: str, kind: str, revision: str) -> list[Remote]:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = api.repo_info(repo, repo_type=kind, revision=revision, files_metadata=True)
    except GatedRepoError as error:
        cure = "request access on its Hub page, then run `hf auth login`"
        raise StiltsError(f"{repo}: access is restricted; {cure}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return []
    return [_remote(repo, kind, info.sha, each) for each in info.siblings]


def read_fetched(folder: Path) -> dict[str, Any]:
    """Return the content of a data folder's `fetched.json`: repository -> branch -> commit, and path -> SHA-256.

    Raises
    ------
    StiltsError
        If the file exists but was not written by `stilts fetch`.
    """
    return data_folder.read_fetched(folder).model_dump()


def _remote(repo: str, kind: str, commit: str, sibling: Any) -> Remote:
    large = sibling.lfs.sha256 if sibling.lfs else None
    return Remote(repo, kind, commit, sibling.rfilename, sibling.size or 0, large, None if large else sibling.blob_id)


def _name(remote: Remote) -> str:
    return f"{remote.repo}/{remote.path}"


def _is_of(path: str, place: Place, revision: str) -> bool:
    """Return whether a path is one of a split's files on a branch."""
    if place in _LINES and revision == MAIN:
        return path in (f"{_LINES[place]}.jsonl", f"{_LINES[place]}.jsonl.tar.gz")
    configs = _UNNAMED if place.config in _UNNAMED else (place.config,)
    config, split = "|".join(map(re.escape, configs)), re.escape(place.split)
    name = rf"{split}(-\d+-of-\d+)?" if revision == MAIN else rf"{split}/\d+"
    return re.fullmatch(rf"({config})/{name}\.parquet", path) is not None


def _announce(remotes: Sequence[Remote], lacking: Sequence[Remote], report: Report, listed: bool) -> None:
    if listed:
        for remote in remotes:
            state = "to fetch" if remote in lacking else "present"
            report(f"{_name(remote)} at {remote.commit[:10]}, {format_size(remote.size)}, {state}")
    report(f"{len(remotes)} files, {format_size(sum(each.size for each in remotes))}; "
           f"to fetch: {len(lacking)}, {format_size(sum(each.size for each in lacking))}")  # fmt: skip


def _download(session: _Session, lacking: Sequence[Remote]) -> None:
    session.keep()  # save the commits first, so that an interrupted fetch continues with the same ones
    with _bar(sum(each.size for each in lacking)) as advance:
        try:
            for remote in lacking:
                _download_one(session, remote, advance)
        finally:
            session.keep()


def _download_one(session: _Session, remote: Remote, advance: Callable[[int], None]) -> None:
    """Fetch one file and verify its content; huggingface_hub resumes after a broken connection."""
    from huggingface_hub import hf_hub_download

    options = {"repo_type": remote.kind, "revision": remote.commit, "tqdm_class": _counting(advance)}
    if remote.kind == "model":
        path = Path(hf_hub_download(remote.repo, remote.path, **options))
    else:
        target = session.folder / remote.repo
        # A file that exists but is not in fetched.json is of unknown origin.
        path = Path(hf_hub_download(remote.repo, remote.path, local_dir=target, force_download=True, **options))
    digest = _checked(path, remote)
    if remote.kind == "dataset":
        session.note(remote, digest)


def _checked(path: Path, remote: Remote) -> str:
    """Return a file's SHA-256. Removes the file and raises StiltsError if it does not match the Hub's checksum."""
    content = path.read_bytes() if remote.sha256 is None else b""
    digest = hash_file(path)
    blob = hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()  # as git names small files
    if digest != remote.sha256 if remote.sha256 else remote.blob not in (None, blob):
        path.unlink()
        raise StiltsError(
            f"{path}: does not match its checksum on the Hub (SHA-256 {digest}); it was removed, fetch it again"
        )
    return digest


def _counting(advance: Callable[[int], None]) -> type:
    """Return a progress class for huggingface_hub that shows nothing and passes the bytes to `advance`."""
    from huggingface_hub.utils import tqdm

    class Counting(tqdm):
        def __init__(self, *arguments: Any, **options: Any):
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

    return Counting


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of bytes on standard error if it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal or not total:
        yield lambda count: None
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("fetch", *columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _explained(study: Study) -> Iterator[None]:
    """Turn errors of the Hub's client and of the disk into StiltsError."""
    import httpx2  # huggingface_hub's HTTP client, whose errors it does not catch
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    again = f"`stilts fetch {study.name}` resumes from here"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise StiltsError("HF_HUB_OFFLINE is set, so nothing can be fetched; unset it for `stilts fetch`") from error
    except HfHubHTTPError as error:
        raise StiltsError(f"the Hub refused a request ({error}); {again}") from error
    except (httpx2.HTTPError, OSError) as error:
        raise StiltsError(f"fetching stopped: {error}; free disk space or check the network; {again}") from error
