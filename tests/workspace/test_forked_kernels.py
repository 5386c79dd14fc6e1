"""Kernels that are forked: what they leave is what others leave, and they end with whom they belong to."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from fakes import wait_until
from nbformat.v4 import new_code_cell, new_notebook
from processes import command_line, descendants, lives, parent

from stilts.study.errors import StiltsError
from stilts.workspace.gpus import VISIBLE
from stilts.workspace.notebooks import forked_kernels
from stilts.workspace.notebooks.execution import execute
from stilts.workspace.notebooks.forked_kernels import SOCKET, can_fork, serve_kernels
from stilts.workspace.starting import make_kernel_environment

pytestmark = pytest.mark.skipif(not can_fork(), reason="kernels of this machine cannot be forked")


def test_where_a_gpu_is_used_no_kernel_is_forked(monkeypatch, tmp_path):
    monkeypatch.setattr(forked_kernels, "GPUS", (str(tmp_path),))
    found = {}
    for visible in ("0", ""):
        monkeypatch.setenv(VISIBLE, visible)
        found[visible] = can_fork()
    assert found == {"0": False, "": True}


SERVER = "stilts.workspace.notebooks.kernel_server"
WHY = "kernel starts by itself, since the server of kernels cannot fork it: "
ENDED = "the server of kernels ended with exit code %s, so kernels started by themselves; its log: "
MODULES = ("matplotlib.pyplot", "pandas", "transformers.utils.logging")


def write_template(root: Path, *sources: str) -> Path:
    (root / "pyproject.toml").touch()
    (root / "notebooks").mkdir(exist_ok=True)
    cells = [new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = root / "notebooks" / "page.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@contextmanager
def server_of(root: Path, modules=()) -> Iterator[int]:
    """A server whose kernels work in a folder; its process id."""
    socket = root / "socket"
    socket.mkdir(mode=0o700)
    before = set(descendants(os.getpid()))
    with (
        pytest.MonkeyPatch.context() as patch,
        (root / "kernels.log").open("w") as output,
    ):
        patch.setenv(SOCKET, str(socket / "kernels"))
        environment = make_kernel_environment(root / "runs")
        with serve_kernels(socket / "kernels", "tiny", modules, output, cwd=root, env=environment):
            (server,) = (each for each in set(descendants(os.getpid())) - before if SERVER in command_line(each))
            yield server


# What a cell sees of its process: its folder, streams, signals, hashes, logs, figures, numbers and open files.
SIGHT = (
    "import logging, os, random, resource, signal, socket, sys, tempfile, threading, warnings",
    "import transformers\nlogging.getLogger('transformers').warning('logged')\nprint('printed')",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2, 4]);",
    "import pandas as pd\npd.DataFrame([[20 * 'word'] * 8] * 2)",
    "[pd.get_option(f'display.{name}') for name in ('max_columns', 'max_rows', 'width', 'encoding')]",
    "import torch\ntorch.get_num_threads(), hash('word'), list({'a', 'b', 'c', 'd'})",
    "os.getcwd(), sys.argv[0].endswith('ipynb'), sys.path[:2], __name__, os.getpgid(0) == os.getsid(0) == os.getpid()",
    "{str(each): str(signal.getsignal(each)).split(' at ')[0] for each in (signal.SIGINT, signal.SIGTERM)}",
    "own = {'JPY_PARENT_PID', 'JUPYTER_RUNTIME_DIR'}\n"
    "sorted(item for item in os.environ.items() if item[0] not in own and item[0] != 'STILTS_KERNELS')",
    "os.umask(0), resource.getrlimit(resource.RLIMIT_NOFILE), tempfile.gettempdir(), os.nice(0)",
    "import subprocess\nsubprocess.run(['sh', '-c', 'echo of a child'])",
    "def kind(file):\n    return os.readlink(f'/proc/self/fd/{file}').split(':')[0]\n"
    "kind(1), kind(2)",
    "files = (f'/proc/self/fd/{file}' for file in os.listdir('/proc/self/fd') if int(file) > 2)\n"
    "sorted(os.readlink(file).split(':')[0] for file in files if os.path.exists(file))",
)


def test_a_forked_kernel_leaves_the_same_page_as_one_that_starts_by_itself(tmp_path, caplog):
    template = write_template(tmp_path, *SIGHT)
    execute(template, tmp_path / "alone.ipynb")
    with server_of(tmp_path, MODULES) as server:
        execute(template, tmp_path / "forked.ipynb")
        execute(template, tmp_path / "again.ipynb")
        assert lives(server)
        assert stat.S_IMODE((tmp_path / "socket" / "kernels").stat().st_mode) == 0o600
    pages = [(tmp_path / f"{name}.ipynb").read_text() for name in ("alone", "forked", "again")]
    assert pages[1].splitlines() == pages[0].splitlines()
    assert pages[2] == pages[1]
    assert not lives(server)
    assert caplog.messages == []


DEATHS = {
    "os.kill(os.getpid(), signal.SIGKILL)": "SIGKILL (signal 9: out of memory?)",
    "os.kill(os.getpid(), signal.SIGABRT)": "SIGABRT (signal 6)",
    "os._exit(3)": "exit code 3",
}


def test_it_is_said_how_a_forked_kernel_ended(tmp_path):
    with server_of(tmp_path) as server:
        for code, ended in DEATHS.items():
            template = write_template(tmp_path, f"import os, signal\n{code}")
            told = re.escape(f"page.ipynb: the kernel died (ended by {ended}); executed")
            with pytest.raises(StiltsError, match=told):
                execute(template, tmp_path / "page.ipynb")
        assert descendants(server) == []


def test_kernels_draw_other_numbers(tmp_path):
    template = write_template(tmp_path, "import random\nimport numpy as np\nrandom.random(), np.random.rand()")
    with server_of(tmp_path, ["numpy"]):
        for name in "ab":
            execute(template, tmp_path / f"{name}.ipynb")
    drawn = [nbformat.read(tmp_path / f"{name}.ipynb", 4).cells[0].outputs[0].data["text/plain"] for name in "ab"]
    first, second = (set(text.strip("()").split(", ")) for text in drawn)
    assert first.isdisjoint(second)


def test_a_kernel_that_cannot_be_forked_starts_by_itself_and_the_log_says_why(tmp_path, caplog, monkeypatch):
    template = write_template(tmp_path, "1 + 1")
    with server_of(tmp_path) as server:
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        execute(template, tmp_path / "page.ipynb")
        assert caplog.messages == [f"{WHY}its environment differs: OMP_NUM_THREADS"]
        caplog.clear()
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: not lives(server))
        execute(template, tmp_path / "page.ipynb")
        assert caplog.messages == [f"{WHY}[Errno 111] Connection refused"]
        caplog.clear()
    assert caplog.messages == [f"{ENDED % -9}{tmp_path}/kernels.log"]


def test_a_module_that_cannot_be_imported_ends_the_server_alone(tmp_path, caplog):
    template = write_template(tmp_path, "1 + 1")
    with server_of(tmp_path, ["no_such_module"]):
        execute(template, tmp_path / "page.ipynb")
    first, second = caplog.messages
    assert first.startswith(WHY)
    assert second == f"{ENDED % 1}{tmp_path}/kernels.log"
    assert (tmp_path / "kernels.log").read_text().endswith("No module named 'no_such_module'\n")


EXECUTE = (
    "import sys, pathlib\nfrom stilts.workspace.notebooks.execution import execute\n"
    "execute(*map(pathlib.Path, sys.argv[1:]))"
)


@pytest.mark.parametrize("killed", ["the job by SIGINT", "the job by SIGKILL", "the server"])
def test_a_forked_kernel_ends_with_its_job_and_its_server(killed, tmp_path):
    started = tmp_path / "started"
    code = f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    template = write_template(tmp_path, code)
    command = [sys.executable, "-c", EXECUTE, template, tmp_path / "page.ipynb"]
    with server_of(tmp_path) as server:
        job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        wait_until(lambda: started.exists() and started.read_text())
        kernel = int(started.read_text())
        assert parent(kernel) == server
        if killed == "the server":
            os.kill(server, signal.SIGKILL)
        else:
            os.killpg(job.pid, signal.SIGINT if killed == "the job by SIGINT" else signal.SIGKILL)
        told = job.communicate(timeout=60)[1]
        wait_until(lambda: not lives(kernel))
        assert lives(server) == (killed != "the server")
    ends = {"the job by SIGINT": -signal.SIGINT, "the job by SIGKILL": -signal.SIGKILL, "the server": 1}
    assert job.returncode == ends[killed]
    assert ("the kernel died (ended by SIGKILL" in told) == (killed == "the server")
