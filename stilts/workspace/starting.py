"""Command, environment and exit status of the processes that this package starts.

The user's other files must not affect a result: modules in the current folder, registered kernels, start-up files of
IPython, settings of matplotlib. No process needs a home folder.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from stilts.study.errors import StiltsError

HOME = "home"  # subfolder of the runs folder that replaces the user's home, for settings and caches of programs
OF_THE_USER = (
    "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONHOME", "PYTHONBREAKPOINT", "PYTHONPLATLIBDIR",
    "JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "JUPYTER_RUNTIME_DIR", "MATPLOTLIBRC", "MPLBACKEND",
)  # fmt: skip
OWN_FOLDERS = {  # variable -> folder that replaces the user's
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter",
    "JUPYTER_DATA_DIR": "jupyter",
    "MPLCONFIGDIR": "matplotlib",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
KERNEL_ENVIRONMENT = {
    # Progress bars would be saved as widgets, whose scripts a page loads from two other hosts.
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    # The order of a set of strings must not differ from one run to the next.
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # tqdm's warning, with a path of the machine, if no widgets are installed.
    "PYTHONWARNINGS": "ignore:IProgress not found",
}
USER_FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


def build_command(*arguments: str) -> list[str]:
    """Return a command for this process's Python, without modules from the current folder (-P)."""
    return [sys.executable, "-P", *arguments]


def find_browser() -> str | None:
    """Return the path of the browser that prints the book and that tests drive; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def find_runs_folder(root: Path) -> Path:
    """Return the folder of this machine's results: STILTS_RUNS if set, else `runs`; relative to the checkout."""
    return root / (os.environ.get("STILTS_RUNS") or "runs")


def make_environment(runs: Path) -> dict[str, str]:
    """Return the environment for child processes, derived from that of this process.

    Parameters
    ----------
    runs : Path
        Runs folder, in which the folders that replace the user's are created.

    Raises
    ------
    StiltsError
        If those folders cannot be created.
    """
    home = runs / HOME
    found = {name: value for name, value in os.environ.items() if name not in OF_THE_USER}
    found |= {name: str(home / folder) for name, folder in OWN_FOLDERS.items()}
    found |= {"PYTHONSAFEPATH": "1"}  # for the children of those processes
    _drop_relative_modules(found)
    _replace_unusable_home(found, home)
    _make(home / folder for folder in OWN_FOLDERS.values())
    return found


def make_kernel_environment(runs: Path) -> dict[str, str]:
    """Return the environment of a notebook's kernel, see `make_environment`."""
    return make_environment(runs) | KERNEL_ENVIRONMENT


def _drop_relative_modules(found: dict[str, str]) -> None:
    """Keep only absolute entries of PYTHONPATH; an empty entry would be the current folder."""
    entries = [entry for entry in found.pop("PYTHONPATH", "").split(os.pathsep) if Path(entry).is_absolute()]
    if entries:
        found["PYTHONPATH"] = os.pathsep.join(entries)


def _replace_unusable_home(found: dict[str, str], home: Path) -> None:
    """Set another home folder if there is none or it is not writable: Snakemake and other programs need one."""
    own = found.get("HOME")
    for name in USER_FOLDERS:
        if name in found and not _is_usable(found[name]):
            del found[name]
    if _is_usable(own):
        return
    found["HOME"] = str(home)
    hub = Path(own or "/nonexistent") / ".cache" / "huggingface"
    if hub.is_dir() and "XDG_CACHE_HOME" not in found:
        found.setdefault("HF_HOME", str(hub))  # its cached files can still be read
    found.setdefault("LOGNAME", f"user-{os.getuid()}")  # a container's user may have no name


def _is_usable(folder: str | None) -> bool:
    return bool(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _make(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StiltsError(
                f"cannot create folder {folder}: {error.strerror}; free disk space, or set STILTS_RUNS "
                "to another folder"
            ) from error


def describe_signal(code: int) -> str | None:
    """Return a description of the signal that ended a process; None if it was not ended by a signal.

    Parameters
    ----------
    code : int
        Exit code as subprocess states it (-n) or as a shell states it (128 + n).
    """
    number = -code if code < 0 else code - 128
    if number not in set(signal.Signals):
        return None
    why = ": out of memory?" if number == signal.SIGKILL else ""
    return f"{signal.Signals(number).name} (signal {number}{why})"
