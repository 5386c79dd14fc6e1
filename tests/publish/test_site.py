"""The site: table of contents, build, check."""

import os
import re
import shutil
from html import unescape
from pathlib import Path

import nbformat
import pytest
import yaml
from browsing import hide_browsers
from fakes import make_run
from processes import largest_file
from small_book import ROOT, write_page

from stilts.publish.downloads import list_downloads, name_run_notebooks
from stilts.publish.one_page import Part
from stilts.publish.site import assemble, build, check, list_toc_pages, list_toc_parts
from stilts.study.errors import StiltsError
from stilts.study.runs import Job


def job(phase: str, condition: str, number: int) -> Job:
    run = make_run(phase, condition, seed=number)
    return Job(phase=phase, condition=condition, seed=number, runs=(run,))


JOBS = [job("target", "nli", 1), job("target", "nli", 2), job("zero-shot", "nli", 1)]
NAMES = ["target-nli-1.ipynb", "target-nli-2.ipynb", "zero-shot-nli-1.ipynb"]


# --- table of contents -----------------------------------------------------------------------------------------------


def test_prose_pages_of_the_table_of_contents_exist():
    prose = [page for page in list_toc_pages(ROOT) if not page.startswith("runs/")]
    assert [page for page in prose if not (ROOT / f"{page}.md").exists()] == []


def test_subpages_belong_to_the_part_of_their_page(tmp_path):
    (tmp_path / "_toc.yml").write_text(
        "root: index\nparts:\n- caption: A\n  chapters:\n  - file: a\n    sections:\n    - file: b\n  - file: c\n"
        "- chapters:\n  - file: d\n"
    )
    parts = [Part("", ("index",)), Part("A", ("a", "b", "c")), Part("", ("d",))]
    assert list_toc_parts(tmp_path) == parts


# --- notebooks of runs -----------------------------------------------------------------------------------------------


def test_notebooks_of_runs_are_numbered_by_phase_and_condition():
    assert name_run_notebooks(JOBS) == dict(zip(NAMES, JOBS, strict=True))


def test_executed_notebooks_are_copied_when_they_differ_and_stale_pages_go(tmp_path):
    analysis = tmp_path / "analyses" / "transfer-1a2b"
    analysis.mkdir(parents=True)
    (analysis / "explorer").mkdir()
    for name in ("transfer.ipynb", "gain.svg", "explorer/study.js"):
        (analysis / name).write_text(name)
    jobs = [tmp_path / f"job-{n}.ipynb" for n in range(2)]
    for number, source in enumerate(jobs):
        source.write_text(str(number))
    folder = tmp_path / "runs" / "book"
    assemble(tmp_path, {NAMES[0]: jobs[0], NAMES[1]: jobs[1]}, [analysis])
    contents = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.*")}
    assert contents == {
        "runs/target-nli-1.ipynb": "0",
        "runs/target-nli-2.ipynb": "1",
        "transfer.ipynb": "transfer.ipynb",
        "gain.svg": "gain.svg",
        "explorer/study.js": "explorer/study.js",
    }
    kept = folder / "runs" / "target-nli-1.ipynb"
    os.utime(kept, (1, 1))
    assemble(tmp_path, {NAMES[0]: jobs[0]}, [])
    assert [(path, path.stat().st_mtime) for path in folder.rglob("*.*")] == [(kept, 1)]


def test_a_disk_without_room_for_the_book_s_pages_is_said(tmp_path):
    source = tmp_path / "job.ipynb"
    source.write_text("x" * 5000)
    message = r"the book cannot be assembled: .*: File too large; free disk space or allow writing, then run the same"
    with largest_file(1000), pytest.raises(StiltsError, match=message):
        assemble(tmp_path, {NAMES[0]: source}, [])
    assert list((tmp_path / "runs" / "book" / "runs").iterdir()) == []
    assemble(tmp_path, {NAMES[0]: source}, [])
    (copied,) = (tmp_path / "runs" / "book" / "runs").iterdir()
    assert copied.read_text() == source.read_text()


@pytest.mark.parametrize("wrong", ["page", "analysis", "folder"])
def test_what_stands_in_the_way_of_the_book_s_pages_is_said(tmp_path, wrong):
    if wrong == "folder":
        (tmp_path / "runs").write_text("a file")
    (tmp_path / "job.ipynb").write_text("1")
    (tmp_path / "analysis").mkdir()
    page = tmp_path / ("gone.ipynb" if wrong == "page" else "job.ipynb")
    analysis = tmp_path / ("gone" if wrong == "analysis" else "analysis")
    with pytest.raises(StiltsError, match=r"the book cannot be assembled: /.*: (No such file|Not a directory)"):
        assemble(tmp_path, {NAMES[0]: page}, [analysis])


# --- build -----------------------------------------------------------------------------------------------------------


def test_a_book_of_the_real_prose_and_templates_builds_without_a_warning(book):
    html = book / "_build" / "html"
    assert [page for page in list_toc_pages(book) if not (html / f"{page}.html").is_file()] == []
    assert check(html) == []


def test_a_build_with_nothing_changed_does_nothing(book, caplog):
    caplog.set_level("INFO")
    written = (book / "_build" / "html" / "index.html").stat().st_mtime_ns
    assert build(book) == book / "_build" / "html"
    assert caplog.messages == ["book: nothing changed since it was built"]
    assert (book / "_build" / "html" / "index.html").stat().st_mtime_ns == written


def captions(html: str) -> list[str]:
    found = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.S)
    return [" ".join(unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in found]


@pytest.fixture
def tiny(tmp_path, tmp_path_factory, monkeypatch) -> Path:
    """A book of three pages with the real settings: quick to build, free to change, and not printed."""
    hide_browsers(monkeypatch, tmp_path_factory.mktemp("programs") / "bin")
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
    shutil.copy(ROOT / "book" / "references.bib", tmp_path / "book")
    (tmp_path / "notebooks").mkdir()
    chapters = [{"file": "runs/book/plain"}, {"file": "other"}]
    toc = {"format": "jb-book", "root": "index", "parts": [{"caption": "A", "numbered": True, "chapters": chapters}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    start = "# Start\n\n{cite:t}`phang2020english`\n\n## How to cite\n\n```{bibliography}\n```\n"
    (tmp_path / "index.md").write_text(start)
    (tmp_path / "other.md").write_text("# Other\n\n{numref}`tab-plain`\n")
    write_page(tmp_path, "runs/book/plain")
    return tmp_path


def test_figures_and_tables_are_numbered_apart_and_link_to_what_they_are_made_of(tiny):
    html = build(tiny)
    page = (html / "runs/book/plain.html").read_text()
    assert [text.rstrip("# ") for text in captions(page)] == [
        "Figure 1.1 A figure of pocket. data · notebook · source",
        "Table 1.1 A table of pocket. data · notebook · source",
    ]
    downloads = re.findall(r'<a class="reference download internal" download="" href="([^"]+)"', page)
    names = ["plain.csv", "plain.ipynb", "index.md"]
    assert [Path(link).name for link in downloads] == names * 2
    assert "Table 1.1" in (html / "other.html").read_text()
    assert 'title="Jason Phang, ' in (html / "index.html").read_text()
    assert check(html) == []
    changes_one_page_alone(tiny, html)
    fails_until_a_warning_is_mended(tiny)
    rebuilds_what_was_deleted(tiny, html)


def test_a_file_that_a_page_includes_from_the_root_is_part_of_the_page(tiny):
    (tiny / "CHANGELOG.md").write_text("Before.\n")
    (tiny / "other.md").write_text("# Other\n\n```{include} CHANGELOG.md\n```\n")
    html = build(tiny)
    (tiny / "CHANGELOG.md").write_text("After.\n")
    build(tiny)
    assert "After." in (html / "other.html").read_text()


def test_data_studies_and_notebooks_have_addresses_that_stay(tiny):
    (tiny / "studies").mkdir()
    (tiny / "studies" / "pocket.yml").write_text("name: pocket\n")
    notebook = tiny / "runs" / "book" / "runs" / "target-nli-1.ipynb"
    notebook.parent.mkdir()
    notebook.write_text("{}")
    html = build(tiny)
    addresses = ["data/plain.csv", "studies/pocket.yml", "notebooks/target-nli-1.ipynb"]
    assert list(list_downloads(tiny)) == addresses
    sources = [tiny / "runs" / "book" / "plain.csv", tiny / "studies" / "pocket.yml", notebook]
    assert [(html / name).read_text() for name in addresses] == [source.read_text() for source in sources]
    assert check(html) == []
    notebook.unlink()
    sources[1].write_text("name: pocket  # changed\n")
    build(tiny)
    assert (html / "studies" / "pocket.yml").read_text() == "name: pocket  # changed\n"
    assert not (html / "notebooks" / "target-nli-1.ipynb").exists()


def changes_one_page_alone(folder: Path, html: Path) -> None:
    written = (html / "other.html").stat().st_mtime_ns
    page = folder / "runs" / "book" / "plain.ipynb"
    content = nbformat.read(page, 4)
    content.cells[0].source += "\n\nA new sentence."
    nbformat.write(content, page)
    build(folder)
    assert "A new sentence." in (html / "runs/book/plain.html").read_text()
    assert (html / "other.html").stat().st_mtime_ns == written


def fails_until_a_warning_is_mended(folder: Path) -> None:
    page = folder / "other.md"
    sound = page.read_text()
    page.write_text(sound + "\n{numref}`fig-nowhere`\n")
    for _ in range(2):  # Sphinx alone would forget the warning the second time
        with pytest.raises(StiltsError, match=r"Jupyter Book failed:\n.*other.md:5: WARNING: .*fig-nowhere"):
            build(folder)
    page.write_text(sound)
    build(folder)


def rebuilds_what_was_deleted(folder: Path, html: Path) -> None:
    (html / "other.html").unlink()
    build(folder)
    assert (html / "other.html").is_file()


def test_a_page_that_does_not_exist_is_named_before_anything_is_built(tiny):
    (tiny / "other.md").unlink()
    with pytest.raises(StiltsError, match="pages of _toc.yml that do not exist: other; `make book` builds them"):
        build(tiny)
    assert not (tiny / "_build").exists()


# --- check -----------------------------------------------------------------------------------------------------------


def site(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text)
    return folder


def test_a_sound_site_has_no_problem(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.css").write_text("@import 'b.css'; i {background: url(data:x)} b {mask: url('#m')}")
    (tmp_path / "_static" / "b.css").touch()
    (tmp_path / "_static" / "theme.html").write_text("<img src='{{ template }}'>")
    (tmp_path / "a b.svg").touch()
    index = """<link rel=stylesheet href="_static/a.css?v=1"><link rel=canonical href="https://example.org/">
      <h1 id=top>T</h1> <a href="#top">t</a> <a href="other.html#x-%C3%A9">o</a> <a href="https://example.org">w</a>
      <a href="mailto:a@b.c">m</a> <img src="a%20b.svg" alt="A line"> <img src="data:image/gif,x" alt="Dot">"""
    assert check(site(tmp_path, index=index, other="<i id=x-é>")) == []


def test_each_problem_is_named(tmp_path):
    (tmp_path / "a.css").write_text("@import 'https://fonts.example.org/f.css'; i {background: url(gone.png)}")
    other = """<img src="gone.svg" alt="x"><img src="data:," alt=" "><script src="//cdn.example.org/x.js"></script>
      <link rel="preload stylesheet" href="https://cdn.example.org/y.css"> <iframe src="http://example.org"></iframe>
      <a href="gone.html">g</a> <a href="other.html#gone">g</a> <a href="#gone">g</a> <a href="javascript:x()">j</a>"""
    assert check(site(tmp_path, other=other)) == [
        "a.css: loads gone.png, which does not exist",
        "a.css: loads https://fonts.example.org/f.css from another host",
        "index.html does not exist",
        "other.html: image data:, has no alt text",
        "other.html: link #gone names an anchor that its page does not have",
        "other.html: link gone.html leads to no page",
        "other.html: link javascript:x() is neither local nor web",
        "other.html: link other.html#gone names an anchor that its page does not have",
        "other.html: loads //cdn.example.org/x.js from another host",
        "other.html: loads gone.svg, which does not exist",
        "other.html: loads http://example.org from another host",
        "other.html: loads https://cdn.example.org/y.css from another host",
    ]
