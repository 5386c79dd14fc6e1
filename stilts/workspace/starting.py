"""The one way in which this package starts processes: by which Python, in which environment, and how they ended.

Nothing that a user keeps for other work decides a result: no module of the current folder, no kernel registered under
the name of ours, no start-up file of IPython, no settings of matplotlib. And nothing needs a home folder.
"""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from stilts.study.errors import StiltsError

HOME = "home"  # folder below that of the runs: stands for the user's, where programs keep settings and caches
OF_THE_USER = (
    "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONHOME", "PYTHONBREAKPOINT", "PYTHONPLATLIBDIR",
    "JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "JUPYTER_RUNTIME_DIR", "MATPLOTLIBRC", "MPLBACKEND",
)  # fmt: skip
OWN_FOLDERS = {  # variable -> folder of ours in place of the user's
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter",
    "JUPYTER_DATA_DIR": "jupyter",
    "MPLCONFIGDIR": "matplotlib",
}
USER_FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


def build_command(*arguments: str) -> list[str]:
    """Return a command of the Python that runs this; it takes no module from the current folder."""
    return [sys.executable, "-P", *arguments]


def find_runs_folder(root: Path) -> Path:
    """Return the folder of what this machine has made: `runs` of a checkout, or what STILTS_RUNS says, from there."""
    return root / (os.environ.get("STILTS_RUNS") or "runs")


def make_environment(runs: Path) -> dict[str, str]:
    """Return the environment of every process that is started, made from that of this one.

    Parameters
    ----------
    runs : Path
        Folder of what this machine has made; folders that stand for the user's own are made in it.

    Raises
    ------
    StiltsError
        If those folders cannot be made.
    """
    home = runs / HOME
    found = {name: value for name, value in os.environ.items() if name not in OF_THE_USER}
    found |= {name: str(home / folder) for name, folder in OWN_FOLDERS.items()}
    found |= {"PYTHONSAFEPATH": "1"}  # for what those processes start
    _drop_relative_modules(found)
    _replace_unusable_home(found, home)
    _make(home / folder for folder in OWN_FOLDERS.values())
    return found


def _drop_relative_modules(found: dict[str, str]) -> None:
    """Leave entries of PYTHONPATH alone that name a folder whole; an empty one would be the current folder."""
    entries = [entry for entry in found.pop("PYTHONPATH", "").split(os.pathsep) if Path(entry).is_absolute()]
    if entries:
        found["PYTHONPATH"] = os.pathsep.join(entries)


def _replace_unusable_home(found: dict[str, str], home: Path) -> None:
    """Give a home folder to processes that have none, or one that cannot be written: Snakemake and others need it."""
    own = found.get("HOME")
    for name in USER_FOLDERS:
        if name in found and not _is_usable(found[name]):
            del found[name]
    if _is_usable(own):
        return
    found["HOME"] = str(home)
    hub = Path(own or "/nonexistent") / ".cache" / "huggingface"
    if hub.is_dir() and "XDG_CACHE_HOME" not in found:
        found.setdefault("HF_HOME", str(hub))  # what was fetched there can still be read
    found.setdefault("LOGNAME", f"user-{os.getuid()}")  # a container's user may have no name


def _is_usable(folder: str | None) -> bool:
    return bool(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _make(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StiltsError(
                f"cannot make folder {folder}: {error.strerror}; free space, or set STILTS_RUNS to another folder"
            ) from error


def ended_by_signal(code: int) -> str | None:
    """Name the signal that ended a process, None if none did.

    Parameters
    ----------
    code : int
        What subprocess says, -n, or what a shell says of its child, 128 + n.
    """
    number = -code if code < 0 else code - 128
    if number not in set(signal.Signals):
        return None
    why = ": out of memory?" if number == signal.SIGKILL else ""
    return f"{signal.Signals(number).name} (signal {number}{why})"
