"""What `stilts doctor` looks at: whether this machine has what runs, the book and the tests need."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path

from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout
from stilts.workspace.starting import build_command, find_browser

LEAST_FREE = 5e9  # bytes; the pocket study and its book take 2 GB, the environment another 2
INDEX_SECONDS = 3  # for an answer of the package index


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    ok : bool
    found : str
    advice : str
        What to do, if it is not well.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""

    def __str__(self) -> str:
        said = f"{self.name}: {self.found}"
        return f"ok       {said}" if self.ok else f"warning  {said}; {self.advice}"


def examine(checkout: Checkout, fonts: Iterable[str]) -> Iterator[Check]:
    """Yield what this machine has, one check after the other; nothing is changed.

    Parameters
    ----------
    fonts : iterable of str
        Families that figures are drawn with.
    """
    yield check_python(sys.version_info[:2])
    yield check_studies(checkout)
    yield check_disk(checkout.runs)
    yield from check_devices()
    yield check_index()
    yield check_fonts(fonts)
    yield from check_data(checkout)
    yield check_browser()


def check_python(version: tuple[int, int]) -> Check:
    """Check a version of Python against what the package requires."""
    required = metadata("stilts")["Requires-Python"].removeprefix(">=")
    fits = version >= tuple(map(int, required.split(".")))
    written = f"{'.'.join(map(str, version))} in {sys.prefix}"
    return Check("Python", fits, written, "" if fits else f"use Python {required} or newer: make book PYTHON=...")


def check_studies(checkout: Checkout) -> Check:
    """Check that all study files can be read."""
    wrong = []
    for name in checkout.studies():
        try:
            checkout.study(name)
        except StiltsError as error:
            wrong.append(str(error))
    found = f"{len(checkout.studies())} studies in {checkout.root / 'studies'}"
    return Check("studies", not wrong, found, "; ".join(wrong))


def check_disk(folder: Path, free_of: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free) -> Check:
    """Check whether a folder can be written, and the free space where it lies or will lie.

    `free_of` returns the space in bytes.
    """
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = free_of(place)
    found = f"{free / 1e9:.1f} GB free for {folder}"
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return Check("disk", False, f"{place} cannot be written", "set STILTS_RUNS to a folder that can be written")
    if free >= LEAST_FREE:
        return Check("disk", True, found)
    return Check("disk", False, found, "free disk space, or set STILTS_RUNS to a folder on another disk")


def check_devices() -> Iterator[Check]:
    """Check which device trains, and in which precision."""
    import torch

    from stilts.models.bfloat16 import computes_bfloat16

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    unused = shutil.which("nvidia-smi") is not None and not gpus
    found = ", ".join(gpus) or f"none; runs use {len(os.sched_getaffinity(0))} processor cores"
    advice = f"PyTorch {torch.__version__} does not see this machine's GPU: install a build for its driver"
    yield Check("GPU", not unused, found, advice if unused else "")
    fast = computes_bfloat16(torch.device("cuda" if gpus else "cpu"))
    yield Check("precision", True, "bf16, which the device computes" if fast else "fp32, as the device has no bf16")


def check_index(timeout: int = INDEX_SECONDS) -> Check:
    """Check, by pip and with its settings, that a package index answers within so many seconds."""
    command = build_command(
        "-m", "pip", "index", "versions", "pip", "--timeout", str(timeout), "--retries", "0",
        "--disable-pip-version-check",
    )  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=3 * timeout, check=False)
        reached = done.returncode == 0
    except subprocess.TimeoutExpired:
        reached = False
    if reached:
        return Check("package index", True, "answers")
    advice = "only installing needs it: see to the network, or set PIP_INDEX_URL to an index that can be reached"
    return Check("package index", False, f"no answer in {timeout} s", advice)


def check_fonts(families: Iterable[str]) -> Check:
    """Check that figures find their fonts."""
    from matplotlib import font_manager

    families = list(families)
    known = {font.name for font in font_manager.fontManager.ttflist}
    missing = [family for family in families if family not in known]
    advice = f"install {', '.join(missing)}, or matplotlib anew, which brings it" if missing else ""
    return Check("fonts", not missing, ", ".join(families), advice)


def check_data(checkout: Checkout) -> Iterator[Check]:
    """Check that the data folders that studies read exist and hold something."""
    folders: dict[Path, str] = {}
    for name in checkout.studies():
        try:
            study = checkout.study(name)
        except StiltsError:
            continue  # `check_studies` says why
        if study.data.reads_folder and (folder := checkout.data_folder(study)):
            folders.setdefault(folder, name)
    for folder, name in folders.items():
        if not (fault := _find_fault(folder)):
            yield Check("data", True, str(folder))
        else:
            advice = f"only studies on XTREME need it: `stilts fetch {name}`, or set STILTS_DATA to where it is"
            yield Check("data", False, f"{folder} {fault}", advice)


def _find_fault(folder: Path) -> str:
    """Return why nothing can be read from a data folder; empty if it holds something."""
    if not folder.is_dir():
        return "does not exist"
    try:
        return "" if any(folder.iterdir()) else "is empty"
    except OSError:
        return "cannot be read"


def check_browser() -> Check:
    """Check that there is a browser, which prints the book, and that tests can drive it."""
    browser = find_browser()
    driver = shutil.which("chromedriver")
    missing = [name for name, path in (("chromium", browser), ("chromedriver", driver)) if path is None]
    found = f"{browser}, {driver}" if not missing else f"no {' and no '.join(missing)}"
    advice = "only book.pdf and tests of the book's pages need them: install chromium and chromium-driver"
    return Check("browser", not missing, found, advice if missing else "")
