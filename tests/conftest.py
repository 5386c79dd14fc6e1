"""Settings of all tests."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings
from small_book import write_book

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the network, so that none depends on it
os.environ["MPLBACKEND"] = "agg"
if "STILTS_TEST_GPU" not in os.environ:  # what tests expect are numbers of a processor, the same on all machines
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# What `nohup` or a job in the background ignores, the commands that tests start would ignore too, and some are stopped.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number is signal.SIGINT else signal.SIG_DFL)

settings.register_profile("any-machine", deadline=None)  # a busy machine must not fail a test that is right
settings.load_profile("any-machine")


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """The root logger is as before after a test: the product, made to be alone in its process, sets it up."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    """The folder of a tiny encoder with random weights; read it, do not change it."""
    from tiny import write_encoder

    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """The folder of a small book, built once for all processes of a test run; read it, do not change it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared
    folder = shared / "book"
    with FileLock(shared / "book.lock"):
        if not folder.exists():
            from stilts.publish import site

            folder.mkdir()
            write_book(folder)
            site.build(folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator["Chrome"]:
    """A headless browser."""
    from browsing import start_browser

    with start_browser(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
