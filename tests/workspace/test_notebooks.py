"""Templates and the engine that runs them."""

import ast
import os
import re
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import get_args

import nbformat
import pytest
from fakes import wait_until
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.engines import papermill_engines
from papermill.execute import execute_notebook
from processes import lives
from small_book import ROOT

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import Phase
from stilts.workspace.notebooks.engine import Refused
from stilts.workspace.notebooks.execution import execute
from stilts.workspace.notebooks.pages import Page, read_book_pages
from stilts.workspace.notebooks.templates import (
    FINDING,
    check_parameters,
    drop_unshown,
    fill,
    read_defaults,
    state_findings,
    state_parameters,
)

TEMPLATES = sorted((ROOT / "notebooks").glob("*.ipynb"))
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def notebook(*cells: NotebookNode) -> NotebookNode:
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    return new_notebook(cells=list(cells), metadata=KERNEL)


def parameters(source: str) -> NotebookNode:
    return new_code_cell(source, metadata={"tags": ["parameters"]})


def figure(source: str, name: str, caption: str, alt: str) -> NotebookNode:
    shown = {"figure": {"name": name, "caption": caption}, "image": {"alt": alt}}
    return new_code_cell(source, metadata={"mystnb": shown})


def write(folder: Path, content: NotebookNode, name: str = "page") -> Path:
    (folder / "pyproject.toml").touch()
    (folder / "notebooks").mkdir(exist_ok=True)
    path = folder / "notebooks" / f"{name}.ipynb"
    nbformat.write(content, path)
    return path


# --- parameters ------------------------------------------------------------------------------------------------------


def test_defaults_are_the_literals_of_the_parameters_cell():
    cell = parameters('study = "pocket"  # a study\nseeds: list = [1, 2]\nrate = 2e-4\ncap = None')
    assert read_defaults(notebook(cell)) == {"study": "pocket", "seeds": [1, 2], "rate": 2e-4, "cap": None}


def test_a_notebook_without_parameters_has_no_defaults():
    assert read_defaults(notebook(new_code_cell("x = 1"))) == {}


@pytest.mark.parametrize("source", ["x = len('ab')", "print(1)", "a = b = 1", "a.b = 1", "x ="])
def test_a_parameters_cell_holds_literals_alone(source):
    with pytest.raises(StiltsError, match="page.ipynb: the parameters cell must hold only"):
        read_defaults(notebook(parameters(source)), "page.ipynb")


def test_an_unknown_parameter_is_rejected_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"parameter of page.ipynb 'sede'. Did you mean 'seed'\? Known: seed, study"):
        check_parameters({"seed": 1, "study": "pocket"}, {"sede": 2}, "page.ipynb")


@pytest.mark.parametrize("default, value", [(1, "one"), (1, True), (1, 1.5), ("a", None), ([1], 1), (True, 1)])
def test_a_parameter_of_another_type_is_rejected(default, value):
    with pytest.raises(StiltsError, match="page.ipynb: parameter x must be of type"):
        check_parameters({"x": default}, {"x": value}, "page.ipynb")


@pytest.mark.parametrize("default, value", [(None, "one"), (1.5, 1), ([1], (1, 2)), ((), [3]), ("a", ""), (1, -1)])
def test_a_parameter_of_a_fitting_type_is_taken(default, value):
    check_parameters({"x": default}, {"x": value})


def test_stated_parameters_keep_their_comments_and_replace_an_older_statement():
    content = notebook(parameters('study = "a"  # which study\nseeds = [\n    1,\n]  # "#" of runs\nplain = 1'))
    for value in ("b", "c"):
        state_parameters(content, {"study": value, "seeds": [2], "plain": 1})
    assert [cell.metadata.tags for cell in content.cells] == [["parameters"], ["injected-parameters", "hide-input"]]
    assert content.cells[1].source == "study = 'c'  # which study\nseeds = [2]  # \"#\" of runs\nplain = 1"


# --- text ------------------------------------------------------------------------------------------------------------


def test_text_captions_and_alt_texts_are_filled():
    content = notebook(
        new_markdown_cell("# ${study}: ${seeds}, $x^2$, $$y$$, {cite}`a`, ${other}"),
        figure("plot(study)", "fig-${study}", "Of ${study}", "Alt ${study}"),
        new_code_cell("print('${study}')"),
    )
    fill(content, {"study": "pocket", "seeds": [1, 2]})
    assert content.cells[0].source == "# pocket: 1, 2, $x^2$, $$y$$, {cite}`a`, ${other}"
    assert content.cells[1].metadata.mystnb == {
        "figure": {"name": "fig-pocket", "caption": "Of pocket"},
        "image": {"alt": "Alt pocket"},
    }
    assert content.cells[2].source == "print('${study}')"


def test_a_value_is_text_wherever_it_is_filled_in():
    content = notebook(
        new_markdown_cell("# ${title}\n\nSee {numref}`fig-${page}`."),
        figure("x", "fig-${page}", "Of ${title}", "Of ${title}"),
    )
    fill(content, {"title": "<b> {raw}`x`\n[a](b)", "page": "my_page-2"})
    escaped = r"\<b\> \{raw\}\`x\` \[a\](b)"
    assert content.cells[0].source == f"# {escaped}\n\nSee {{numref}}`fig-my_page-2`."
    assert content.cells[1].metadata.mystnb == {
        "figure": {"name": "fig-my_page-2", "caption": f"Of {escaped}"},
        "image": {"alt": "Of <b> {raw}`x`\n[a](b)"},
    }


def test_a_caption_begins_with_what_its_output_says_was_found():
    content = notebook(
        figure("plot()", "fig-a", "${finding} Of ${study}", "Alt"),
        figure("plot()", "fig-b", "${finding} Of pocket", "Alt"),
        figure("table()", "tab-c", "Of pocket", "Alt"),
    )
    fill(content, {"study": "pocket"})
    content.cells[0].outputs = [
        new_output("stream", text="loading"),
        new_output("display_data", {"image/svg+xml": "<svg/>"}, metadata={"finding": "None of 2 <b> gains."}),
    ]
    content.cells[2].outputs = [new_output("display_data", {"text/html": "<table/>"})]
    state_findings(content)
    assert [cell.metadata.mystnb.figure.caption for cell in content.cells] == [
        r"**None of 2 \<b\> gains.** Of pocket", "${finding} Of pocket", "Of pocket",
    ]  # fmt: skip


@given(st.text())
def test_text_without_a_known_name_is_left_as_it_is(text):
    content = notebook(new_markdown_cell(text))
    fill(content, {"a_name_that_no_text_has": 1})
    assert content.cells[0].source == text


# --- execution -------------------------------------------------------------------------------------------------------


@pytest.fixture
def template(tmp_path) -> Path:
    content = notebook(
        new_markdown_cell("# Page of ${study}"),
        parameters('study = "pocket"  # a study\ncount = 2  # lines'),
        new_code_cell("import os\nfor i in range(count):\n    print(study, i)\nos.getcwd()"),
    )
    return write(tmp_path, content)


def test_a_page_is_executed_in_the_repository_and_says_with_what(template, tmp_path):
    page = tmp_path / "runs" / "book" / "page.ipynb"
    execute(template, page, {"count": 1})
    executed = nbformat.read(page, 4)
    assert [cell.source for cell in executed.cells[:3]] == [
        "# Page of pocket",
        'study = "pocket"  # a study\ncount = 2  # lines',
        "study = 'pocket'  # a study\ncount = 1  # lines",
    ]
    printed, folder = executed.cells[3].outputs
    assert printed.text == "pocket 0\n"
    assert folder.data["text/plain"] == repr(str(tmp_path))
    assert executed.metadata.template == "notebooks/page.ipynb"
    assert [path.name for path in page.parent.iterdir()] == ["page.ipynb"]


def test_the_same_run_leaves_the_same_bytes(template, tmp_path):
    pages = [tmp_path / name / "page.ipynb" for name in "ab"]
    for page in pages:
        execute(template, page)
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert re.search(r"\d{4}-\d\d-\d\d|papermill", pages[0].read_text()) is None


def test_papermill_alone_makes_the_same_page(template, tmp_path):
    execute(template, tmp_path / "ours.ipynb", {"count": 1})
    options = {"engine_name": "stilts", "progress_bar": False, "cwd": tmp_path}
    execute_notebook(template, tmp_path / "theirs.ipynb", {"count": 1}, **options)
    assert (tmp_path / "ours.ipynb").read_bytes() == (tmp_path / "theirs.ipynb").read_bytes()


def test_papermill_rejects_an_unknown_parameter_through_the_engine(template, tmp_path):
    with pytest.raises(Refused, match="'cuont'. Did you mean 'count'"):
        execute_notebook(template, tmp_path / "x.ipynb", {"cuont": 1}, engine_name="stilts", progress_bar=False)


def test_the_engine_is_registered():
    assert papermill_engines.get_engine("stilts").__name__ == "BookEngine"


def test_an_unknown_parameter_starts_nothing(template, tmp_path):
    with pytest.raises(UnknownName, match="parameter of page.ipynb 'studdy'. Did you mean 'study'"):
        execute(template, tmp_path / "page.ipynb", {"studdy": "x"})
    assert not (tmp_path / "page.ipynb").exists()


def test_a_failing_cell_keeps_the_old_page_and_what_was_executed(tmp_path):
    content = notebook(new_code_cell("print('before')"), new_code_cell("# second\nraise ValueError('too small')"))
    template, page = write(tmp_path, content), tmp_path / "out.ipynb"
    page.write_text("old")
    with pytest.raises(StiltsError, match=r"page.ipynb: cell 2 \(# second\) failed: ValueError: too small. Executed"):
        execute(template, page)
    assert page.read_text() == "old"
    assert nbformat.read(tmp_path / "out.failed.ipynb", 4).cells[0].outputs[0].text == "before\n"
    nbformat.write(notebook(new_code_cell("1")), template)
    execute(template, page)
    assert not (tmp_path / "out.failed.ipynb").exists()


def test_a_kernel_that_dies_is_named(tmp_path):
    template = write(tmp_path, notebook(new_code_cell("import os\nos.kill(os.getpid(), 9)")))
    message = r"page.ipynb: the kernel died \(ended by SIGKILL \(signal 9: out of memory\?\)\); executed until then"
    with pytest.raises(StiltsError, match=message):
        execute(template, tmp_path / "out.ipynb")
    assert (tmp_path / "out.failed.ipynb").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_an_interrupted_run_leaves_no_page_and_no_kernel(name, tmp_path):
    started = tmp_path / "started"
    code = f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    template = write(tmp_path, notebook(new_code_cell(code)))
    script = (
        "import sys, pathlib\nfrom stilts.workspace.notebooks.execution import execute\n"
        "execute(*map(pathlib.Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, template, tmp_path / "page.ipynb"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: started.exists() and started.read_text())
    if name == "SIGINT":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -getattr(signal, name)
    wait_until(lambda: not lives(int(started.read_text())))
    assert list(tmp_path.glob("page*")) == []


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    (tmp_path / "x.ipynb").write_text("{")
    with pytest.raises(StiltsError, match="cannot read notebook .*x.ipynb"):
        execute(tmp_path / "x.ipynb", tmp_path / "y.ipynb")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_named(template, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StiltsError, match="cannot write notebook .*Permission denied"):
        execute(template, folder / "page.ipynb")


def test_a_page_that_cannot_be_replaced_is_named(template, tmp_path):
    (tmp_path / "page.ipynb").mkdir()
    with pytest.raises(StiltsError, match="cannot write notebook .*page.ipynb: Is a directory"):
        execute(template, tmp_path / "page.ipynb")
    assert list(tmp_path.glob("*.part-*")) == []


def test_a_folder_that_cannot_be_made_is_named_before_anything_runs(template, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(StiltsError, match="cannot create folder .*taken"):
        execute(template, tmp_path / "taken" / "page.ipynb")


# --- what is shown only where there is something ---------------------------------------------------------------------

SHOWN = {"tags": ["if-shown"]}
SECTIONS = (
    parameters("recorded = False  # whether the live study is"),
    new_markdown_cell("## Before"),
    new_code_cell("1"),
    new_markdown_cell("## Live", metadata=SHOWN),
    new_code_cell("if recorded:\n    display('scope')", metadata=SHOWN),
    new_code_cell("tested = recorded"),  # displays nothing, and is no part of what may go
    new_code_cell("if recorded:\n    display('tests')", metadata=SHOWN),
    new_markdown_cell("## After", metadata=SHOWN),
)


def test_a_section_is_on_the_page_only_where_it_was_computed(tmp_path):
    template = write(tmp_path, notebook(*SECTIONS))
    sources = [cell.source for cell in SECTIONS]
    for recorded, dropped in ((True, ()), (False, (3, 4, 6))):
        execute(template, tmp_path / "page.ipynb", {"recorded": recorded})
        cells = [cell for cell in nbformat.read(tmp_path / "page.ipynb", 4).cells if cell.id != "injected-parameters"]
        assert [cell.source for cell in cells] == [each for i, each in enumerate(sources) if i not in dropped]


def test_a_section_of_which_a_part_is_shown_keeps_its_text():
    text, empty, full = (
        new_markdown_cell("## Live", metadata=SHOWN),
        new_code_cell("None", metadata=SHOWN),
        new_code_cell("1", metadata=SHOWN, outputs=[new_output("stream", text="1")]),
    )
    content = notebook(text, empty, full, new_code_cell("plain"))
    drop_unshown(content)
    assert [cell.source for cell in content.cells] == ["## Live", "1", "plain"]


def test_a_page_that_failed_keeps_the_cells_that_were_not_executed(tmp_path):
    template = write(tmp_path, notebook(new_code_cell("1 / 0"), new_code_cell("1", metadata=SHOWN)))
    with pytest.raises(StiltsError, match="cell 1 .1 / 0. failed"):
        execute(template, tmp_path / "out.ipynb")
    assert len(nbformat.read(tmp_path / "out.failed.ipynb", 4).cells) == 2


# --- the templates of the repository ---------------------------------------------------------------------------------

every_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)


def names_in(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def texts(content: NotebookNode) -> str:
    shown = [str(cell.metadata.get("mystnb", "")) for cell in content.cells]
    return "\n".join([cell.source for cell in content.cells if cell.cell_type == "markdown"] + shown)


@every_template
def test_a_template_has_a_title_parameters_and_no_outputs(path):
    content = nbformat.read(path, 4)
    nbformat.validate(content)
    first, second = content.cells[:2]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert second.metadata.tags == ["parameters"]
    assert content.metadata.kernelspec.name == "python3"
    assert content.nbformat_minor >= 5
    assert len({cell.id for cell in content.cells}) == len(content.cells)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)


@every_template
def test_a_template_comments_and_uses_every_parameter(path):
    content = nbformat.read(path, 4)
    defaults = read_defaults(content, path.name)
    cell, *others = [cell for cell in content.cells if cell.cell_type == "code"]
    assert [line for line in cell.source.splitlines() if "  # " not in line] == []
    used = {name for other in others for name in names_in(other.source)}
    filled = set(re.findall(r"\$\{(\w+)\}", texts(content))) - {FINDING}
    assert set(defaults) - used - filled == set()
    assert filled - set(defaults) == set()


@every_template
def test_a_template_names_and_describes_every_figure(path):
    for cell in nbformat.read(path, 4).cells:
        shown = cell.metadata.get("mystnb", {})
        if "figure" not in shown:
            continue
        name, caption = shown["figure"]["name"], shown["figure"]["caption"]
        assert caption.rstrip().endswith(".")
        assert name.startswith(("fig-", "tab-"))
        if name.startswith("fig-"):
            assert len(shown["image"]["alt"]) > 20
            # The figures of a job are those of one run, and no page of the book.
            assert caption.startswith("${finding} ") or name.startswith("fig-run-")


@every_template
def test_a_section_that_may_lack_is_tagged_as_a_whole(path):
    cells = nbformat.read(path, 4).cells
    tagged = ["if-shown" in cell.metadata.get("tags", []) for cell in cells]
    for place, cell in enumerate(cells):
        if cell.cell_type == "code" and tagged[place]:
            assert re.search(r"^if .*:\n    .*display\(", cell.source, re.MULTILINE | re.DOTALL)
        if cell.cell_type == "markdown" and tagged[place]:
            after = list(takewhile(lambda other: cells[other].cell_type == "code", range(place + 1, len(cells))))
            assert after
            assert all(tagged[other] for other in after)


def test_no_label_is_used_twice():
    cells = []
    for page in [
        *read_book_pages(ROOT),
        *(Page(path.stem, path) for path in TEMPLATES if path.stem in get_args(Phase)),
    ]:
        content = nbformat.read(page.template, 4)
        fill(content, read_defaults(content) | {"page": page.name} | page.parameters)
        cells += content.cells
    labels = [cell.metadata.mystnb.figure.name for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    assert sorted(labels) == sorted(set(labels))
