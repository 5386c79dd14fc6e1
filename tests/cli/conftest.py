"""A checkout as the current folder, and the command line called in this process."""

import signal
import sys
import warnings

import pytest
from faked_study import fill
from tiny_checkout import ENCODER, study_settings, write_checkout

from stilts import cli
from stilts.workspace.checkout import Checkout, find_checkout


@pytest.fixture
def here(tmp_path, monkeypatch) -> Checkout:
    """A checkout with a tiny study, as the current folder."""
    write_checkout(tmp_path / "checkout", study_settings(ENCODER))
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.delenv("STILTS_RUNS", raising=False)
    return find_checkout()


@pytest.fixture
def filled(tmp_path, monkeypatch) -> Checkout:
    """A checkout with a recorded study of two conditions and two targets, as the current folder."""
    languages = ("en", "de", "fi")
    settings = study_settings(
        ENCODER, intermediates=["none", "nli"], targets=["intent", "slots"], seeds=[1, 2],
        data={"suite": "pocket", "languages": list(languages)},
    )  # fmt: skip
    here = write_checkout(tmp_path / "checkout", settings)
    monkeypatch.chdir(here.root)
    monkeypatch.delenv("STILTS_RUNS", raising=False)
    fill(here, "tiny", languages=languages)
    return find_checkout()


@pytest.fixture
def door(monkeypatch, capsys):
    """Call the command line in this process; returns exit code, standard output and standard error."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.delenv("COLUMNS", raising=False)  # what is captured has no width

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stilts", *map(str, arguments)])
        try:
            cli.app()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
