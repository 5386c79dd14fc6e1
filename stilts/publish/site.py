"""The site: its table of contents, the build by Jupyter Book, and a check of the result."""

import logging
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from stilts.publish import data_dictionary
from stilts.publish.book_pdf import make_book_pdf
from stilts.publish.citation import FILE as CITATION
from stilts.publish.downloads import BOOK_FOLDER, RUNS_FOLDER, copy_downloads, list_downloads
from stilts.publish.one_page import Part
from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.leftovers import is_part
from stilts.study.provenance import read_git_state
from stilts.study.storage import hash_file, hash_json, replace_file
from stilts.study.yaml_files import read_yaml
from stilts.workspace.starting import build_command, describe_signal, find_browser, find_runs_folder, make_environment

log = logging.getLogger(__name__)

EXTENSION = (  # what every page passes through
    "sphinxext.py", "citation.py", "data_dictionary.py", "inline_svg.py", "book_pdf.py", "one_page.py",
)  # fmt: skip
BUILDERS = ("jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme", "sphinxcontrib-bibtex")
LOADING_RELS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest"}


# --- table of contents -----------------------------------------------------------------------------------------------


def list_toc_pages(root: Path) -> list[str]:
    """Return the pages of `_toc.yml` in their order, without suffix."""
    return [page for part in list_toc_parts(root) for page in part.pages]


def list_toc_parts(root: Path) -> list[Part]:
    """Return the parts of `_toc.yml` in their order; the first is the landing page."""
    toc = _read_toc(root)
    listed = [Part(part.caption, tuple(page for entry in part.chapters for page in entry.pages)) for part in toc.parts]
    return [Part("", (toc.root,)), *listed]


class _Entry(BaseModel):
    """A page of the table of contents, with its subpages; other keys belong to Jupyter Book."""

    file: Annotated[str, Field(min_length=1, pattern=r"^[^/\\]")]
    sections: list["_Entry"] = []

    @property
    def pages(self) -> list[str]:
        """The page and its subpages, in their order."""
        return [self.file, *(page for section in self.sections for page in section.pages)]


class _Part(BaseModel):
    caption: str = ""
    chapters: list[_Entry]


class _Toc(BaseModel):
    root: Annotated[str, Field(min_length=1)]
    parts: list[_Part]


def _read_toc(root: Path) -> _Toc:
    path = root / "_toc.yml"
    content = read_yaml(path, "table of contents")
    try:
        return _Toc.model_validate(content)
    except ValidationError as error:
        raise StiltsError(
            f"table of contents {path}: {describe_reasons(error)}; it needs a root and parts with chapters, each with "
            f"its file; restore it: git checkout -- {path.name}"
        ) from None


# --- build -----------------------------------------------------------------------------------------------------------


def assemble(root: Path, executed: Mapping[str, Path], analyses: Sequence[Path]) -> None:
    """Copy executed notebooks, and the figures and tables of analyses, to the book's folder.

    Files that belong to no page are removed; files with the same content are not written again.

    Parameters
    ----------
    executed : mapping of str to Path
        Name, as in `stilts.publish.downloads.name_run_notebooks` -> executed notebook.
    analyses : sequence of Path
        Folders of executed analyses, each with the notebook and the files and folders that it wrote.

    Raises
    ------
    StiltsError
        If a file cannot be read or written.
    """
    with _said():
        _copy(root, executed, analyses)


def _copy(root: Path, executed: Mapping[str, Path], analyses: Sequence[Path]) -> None:
    wanted = {root / RUNS_FOLDER / name: source for name, source in executed.items()}
    for folder in analyses:
        wanted |= {root / BOOK_FOLDER / file.relative_to(folder): file for file in _list_files(folder)}
    (root / RUNS_FOLDER).mkdir(parents=True, exist_ok=True)
    present = {path for path in (root / BOOK_FOLDER).rglob("*") if path.is_file()}
    for stale in present - set(wanted):
        stale.unlink()
    for target, source in wanted.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            replace_file(target, partial(shutil.copyfile, source))


def _list_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():  # unlike `rglob`, an error if there is no folder
        yield from _list_files(path) if path.is_dir() else [path]


@contextmanager
def _said() -> Iterator[None]:
    """Turn OSError into StiltsError."""
    try:
        yield
    except OSError as error:
        place = error.filename2 or error.filename or "its folder"
        raise StiltsError(
            f"the book cannot be assembled: {place}: {error.strerror or error}; free disk space or allow writing, then "
            "run the same command again"
        ) from error


def build(root: Path) -> Path:
    """Build the book unless nothing changed, and return the folder of its HTML. Warnings are errors.

    Raises
    ------
    StiltsError
        If a page of `_toc.yml` is missing, a column of a data file has no description, Jupyter Book warns or fails, or
        it did not write a page.
    """
    _require_sources(root)
    html, state = root / "_build" / "html", root / "_build" / "state.json"
    digests = _settings_digest(root), _pages_digest(root)
    known = _built(state)
    if known and (known.settings, known.pages) == digests and not _changed_files(html, known.files):
        log.info("book: nothing changed since it was built")
        return html
    package = data_dictionary.make_package(root)  # before the book is built, which takes minutes
    state.unlink(missing_ok=True)
    if known is None or known.settings != digests[0] or _changed_files(html, known.files):
        # Sphinx would keep pages that left the table of contents, outdated side bars, and files that others changed.
        shutil.rmtree(root / "_build", ignore_errors=True)
    _run_jupyter_book(root)
    with _said():
        copy_downloads(root, html)
        data_dictionary.write_package(package, html)
    if missing := [f"{page}.html" for page in list_toc_pages(root) if not (html / f"{page}.html").exists()]:
        raise StiltsError(f"Jupyter Book reported no error but wrote no {', '.join(missing)} in {html}")
    with _said():
        make_book_pdf(root, html, list_toc_parts(root))
    files = _checksums(html, (path for path in html.rglob("*") if path.is_file()))
    built = _Built(settings=digests[0], pages=digests[1], files=files)
    with _said():
        state.write_text(built.model_dump_json(), encoding="utf-8")
    return html


class _Built(BaseModel):
    """Digests of a book's sources, and the checksum of each file of its HTML."""

    settings: str
    pages: str
    files: dict[str, str]


def _built(state: Path) -> _Built | None:
    """Return the state of the last build; None if it is unknown, and the book must be rebuilt."""
    try:
        return _Built.model_validate_json(state.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s has no usable state of a build (%s); the book is built from scratch", state, _kind(error))
        return None


def _kind(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else "it is empty or of another shape"


def _changed_files(html: Path, files: Mapping[str, str]) -> list[str]:
    """Return the files of a built site that are missing or were changed."""
    return [name for name, known in files.items() if not (html / name).is_file() or hash_file(html / name) != known]


def _source(root: Path, page: str) -> Path | None:
    return next((path for end in (".md", ".ipynb") if (path := root / f"{page}{end}").exists()), None)


def _require_sources(root: Path) -> None:
    missing = [page for page in list_toc_pages(root) if _source(root, page) is None]
    if missing:
        raise StiltsError(f"pages of _toc.yml that do not exist: {', '.join(missing)}; `make book` builds them")


def _run_jupyter_book(root: Path) -> None:
    main = "from jupyter_book.cli.main import main; main()"  # the installed script may use another Python
    command = build_command("-c", main, "build", str(root), "-W", "-n", "--keep-going")
    where = make_environment(find_runs_folder(root))
    done = subprocess.run(command, cwd=root, env=where, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        # Sphinx reports warnings only for pages that it reads, so the next build must read all pages again.
        shutil.rmtree(root / "_build" / ".doctrees", ignore_errors=True)
        if ended := describe_signal(done.returncode):
            raise StiltsError(f"Jupyter Book was ended by {ended}; run the same command again")
        raise StiltsError(f"Jupyter Book failed:\n{_complaints(done.stdout + done.stderr)}")


def _complaints(output: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    lines = [line for line in plain.split("\n") if re.search(r"\b(WARNING|ERROR|CRITICAL|Error:)", line)]
    return "\n".join(lines) or plain[-2000:]


def _settings_digest(root: Path) -> str:
    own = [*(Path(__file__).with_name(name) for name in EXTENSION), data_dictionary.TABLE]
    files = [root / name for name in ("_config.yml", "_toc.yml", CITATION)] + own
    state = read_git_state(root)  # every page states it
    versions = {name: version(name) for name in BUILDERS}
    return hash_json([versions, _checksums(root, files), [state.commit, state.dirty], find_browser()])


def _pages_digest(root: Path) -> str:
    folders = [root / "book", root / "notebooks", root / "runs" / "book"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    no_page = re.compile(r"\.failed\.ipynb$|\.ipynb_checkpoints")
    kept = [file for file in files if not (is_part(file) or no_page.search(str(file)))]
    kept += [*root.glob("*.md"), *list_downloads(root).values()]  # pages include the first, as the changelog
    return hash_json(_checksums(root, {_source(root, page) for page in list_toc_pages(root)} | set(kept)))


def _checksums(root: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return each file's checksum by its path relative to the root; files outside the root by their name."""
    return {str(file.relative_to(root)) if file.is_relative_to(root) else file.name: hash_file(file) for file in files}


# --- check -----------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Content of an HTML page: anchors, links, loaded resources, and images without alt text."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.resources: set[str] = set()
        self.unnamed_images: list[str] = []
        self.elements = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Collect the content of one tag."""
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.elements += 1
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if tag == "link" and LOADING_RELS & set(values.get("rel", "").split()):
            self.resources.add(values.get("href", ""))
        if tag != "a":
            self.resources |= {values[name] for name in ("src", "poster", "data") if values.get(name)}
        if tag == "img" and not values.get("alt", "").strip():
            self.unnamed_images.append(values.get("src", "?"))


def check(html: Path) -> list[str]:
    """Return the problems of a built site, a sentence for each.

    No file may be changed since the build, and no page or CSV file may be empty. Every image, local link and anchor
    must exist, and every image must have alt text. Pages and style sheets may not load anything from another host.
    Links to other hosts are not followed.
    """
    written = [path for path in html.rglob("*.html") if not path.relative_to(html).parts[0].startswith("_")]
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in written}
    problems = [] if (html / "index.html").exists() else ["index.html does not exist"]
    built = _built(html.parent / "state.json")
    changed = _changed_files(html, built.files) if built else []
    problems += [f"{name}: is missing or not as it was built" for name in changed]
    problems += [f"{path.relative_to(html.resolve())}: is empty" for path, page in pages.items() if not page.elements]
    empty = [path for path in html.rglob("*.csv") if not path.read_bytes().strip()]
    problems += [f"{path.relative_to(html)}: holds no data" for path in empty]
    for path, page in pages.items():
        name = path.relative_to(html.resolve())
        problems += [f"{name}: image {source} has no alt text" for source in page.unnamed_images]
        problems += [f"{name}: {problem}" for source in page.resources if (problem := _load_problem(path, source))]
        problems += [f"{name}: {problem}" for link in page.links if (problem := _link_problem(path, link, pages))]
    for sheet in html.rglob("*.css"):
        for source in re.findall(r"(?:url\(|@import\s+)['\"]?([^'\")\s;]+)", sheet.read_text(encoding="utf-8")):
            if problem := _load_problem(sheet, source):
                problems.append(f"{sheet.relative_to(html)}: {problem}")
    return sorted(problems)


def _load_problem(path: Path, source: str) -> str | None:
    parts = urlsplit(source)
    if parts.scheme == "data" or source.startswith("#"):
        return None
    if parts.scheme or parts.netloc:
        return f"loads {source} from another host"
    return None if (path.parent / unquote(parts.path)).is_file() else f"loads {source}, which does not exist"


def _link_problem(path: Path, link: str, pages: Mapping[Path, _Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None if parts.scheme in ("http", "https", "mailto") else f"link {link} is neither local nor web"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if not target.is_file():
        return f"link {link} leads to no page"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"link {link} names an anchor that its page does not have"
    return None
