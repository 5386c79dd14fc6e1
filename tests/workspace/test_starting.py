"""How processes are started: by this Python, and without what a user keeps for other work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from stilts.study.errors import StiltsError
from stilts.workspace.notebooks.execution import execute
from stilts.workspace.starting import build_command, describe_signal, make_environment

TOLD = """
import json, os, sys
import matplotlib
shown = {
    "executable": sys.executable,
    "safe": sys.flags.safe_path,
    "marks": [name for name in ("startup", "python_startup", "config") if name in globals()],
    "width": matplotlib.rcParams["lines.linewidth"],
    "path": [entry for entry in sys.path if entry in ("", ".", os.getcwd())],
}
print(json.dumps(shown))
"""


@pytest.fixture
def messy(tmp_path, monkeypatch) -> Path:
    """A home and an environment with all that a user may have set up for other work; returns the home."""
    home = tmp_path / "home"
    profile = home / ".ipython" / "profile_default"
    files = {
        profile / "startup" / "00.py": "startup = 1",
        profile / "ipython_config.py": "c.InteractiveShellApp.exec_lines = ['config = 1']",
        profile / "ipython_kernel_config.py": "c.IPKernelApp.exec_lines = ['config = 1']",
        home / "start.py": "python_startup = 1",
        home / ".config" / "matplotlib" / "matplotlibrc": "lines.linewidth: 17",
        home / "elsewhere" / "matplotlibrc": "lines.linewidth: 18",
        home / "data" / "kernels" / "python3" / "kernel.json": json.dumps(
            {"argv": ["/bin/false"], "display_name": "another Python", "language": "python"}
        ),
        home / "cwd" / "json.py": "raise SystemExit('a module of the current folder')",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, value in {
        "HOME": home, "PYTHONSTARTUP": home / "start.py", "JUPYTER_PATH": home / "data",
        "JUPYTER_DATA_DIR": home / "data", "MATPLOTLIBRC": home / "elsewhere", "MPLBACKEND": "tkagg",
        "IPYTHONDIR": home / ".ipython", "PYTHONPATH": f":{home / 'none'}:", "PYTHONINSPECT": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    return home


def page(folder: Path, source: str) -> Path:
    (folder / "pyproject.toml").touch()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    template = folder / "page.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source, id="a")], metadata={"kernelspec": kernel}), template)
    return template


def test_a_kernel_is_of_this_python_and_knows_nothing_of_the_user(tmp_path, messy):
    root = messy / "cwd"
    execute(page(root, TOLD), tmp_path / "out.ipynb")
    printed = nbformat.read(tmp_path / "out.ipynb", 4).cells[0].outputs[0].text
    assert json.loads(printed) == {
        "executable": sys.executable, "safe": True, "marks": [], "width": 1.5, "path": []
    }  # fmt: skip


def test_a_kernel_named_as_no_kernel_here_is_of_this_python(tmp_path):
    template = page(tmp_path, "import sys\nprint(sys.executable)")
    template.write_text(template.read_text().replace('"python3"', '"conda-env-mine-py"'))
    execute(template, tmp_path / "out.ipynb")
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[0].outputs[0].text == f"{sys.executable}\n"


@pytest.fixture
def environment_from(monkeypatch):
    """Makes the environment of what is started from another one of this process."""

    def make(runs: Path, given: dict[str, str]) -> dict[str, str]:
        monkeypatch.setattr(os, "environ", given)
        return make_environment(runs)

    return make


def test_without_a_home_that_can_be_written_there_is_one_of_ours(tmp_path, environment_from):
    runs = tmp_path / "runs"
    (tmp_path / "mine").mkdir()
    (tmp_path / "file").touch()
    ours = str(runs / "home")
    for home in ({}, {"HOME": ""}, {"HOME": str(tmp_path / "file")}, {"HOME": str(tmp_path / "nowhere")}):
        assert environment_from(runs, {"XDG_CACHE_HOME": "/proc/cache", **home})["HOME"] == ours
        assert "XDG_CACHE_HOME" not in environment_from(runs, {"XDG_CACHE_HOME": "/proc/cache", **home})
    kept = {"HOME": str(tmp_path / "mine"), "XDG_CACHE_HOME": str(tmp_path)}
    found = environment_from(runs, {**kept, "PATH": "/bin"})
    assert kept.items() <= found.items()
    assert found["PATH"] == "/bin"


def test_relative_entries_of_pythonpath_are_left_out(tmp_path, environment_from):
    paths = {"": None, ":": None, "/a:": "/a", ":/a::b:/c/d": "/a:/c/d", ".": None}
    assert {given: environment_from(tmp_path, {"PYTHONPATH": given}).get("PYTHONPATH") for given in paths} == paths


def test_a_folder_for_the_environment_that_cannot_be_made_is_said(tmp_path, environment_from):
    (tmp_path / "file").touch()
    message = f"cannot create folder {tmp_path}/file/home/ipython: Not a directory; free disk space, or set STILTS_RUNS"
    with pytest.raises(StiltsError, match=message):
        environment_from(tmp_path / "file", {})


@pytest.mark.parametrize("module", ["yaml", "typer", "logging", "json"])
@pytest.mark.parametrize("start", [[sys.executable, "-m", "stilts.cli"], [Path(sys.executable).with_name("stilts")]])
def test_a_module_of_the_current_folder_is_not_run(tmp_path, module, start):
    (tmp_path / f"{module}.py").write_text("raise SystemExit('run')")
    done = subprocess.run([*start, "plan"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1, f"error: {tmp_path} is not inside a checkout of the study (no folder up to / has studies/ and _toc.yml)\n"
    )  # fmt: skip


def test_what_is_started_takes_no_module_of_its_folder(tmp_path, environment_from):
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    grandchild = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', 'import json'], check=True)"
    env = environment_from(tmp_path / "runs", {"PATH": os.environ["PATH"]})
    subprocess.run(build_command("-c", f"import json; {grandchild}"), cwd=tmp_path, env=env, check=True)


ENDS = {
    -9: "SIGKILL (signal 9: out of memory?)", 137: "SIGKILL (signal 9: out of memory?)", -15: "SIGTERM (signal 15)",
    143: "SIGTERM (signal 15)", -11: "SIGSEGV (signal 11)", 0: None, 1: None, 128: None, 255: None,
}  # fmt: skip


@pytest.mark.parametrize("code, said", ENDS.items())
def test_the_signal_that_ended_a_process_is_named(code, said):
    assert describe_signal(code) == said
