"""A suite that was built elsewhere: a source for machines without the files that it was made from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from stilts.sources.suite import MANIFEST, Request, describe_size, find_faults, read_manifest
from stilts.study.errors import StiltsError
from stilts.study.storage import list_names
from stilts.tasks.configs import Config
from stilts.tasks.registry import TARGETS


class Original(Protocol):
    """The source that built a suite, see `stilts.workspace.resolution.Source`."""

    def texts(self, folder: Path) -> Iterable[str]:
        """Return all texts of a suite that may be encoded."""

    def left_out(self, request: Request) -> dict[str, dict[str, str]]:
        """Return the requested languages that tasks do not have."""


@dataclass(frozen=True)
class PreparedSuite:
    """The source of a suite that is there already.

    Attributes
    ----------
    folder : Path
        Folder of the suite.
    original : Original
        The source that built it, without its files.
    """

    folder: Path
    original: Original

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.folder)  # a plan asks for each of its tasks

    def fingerprint(self, request: Request) -> str:
        """Return the fingerprint of the suite, which is that of its rows on the machine that built it."""
        return self._manifest["fingerprint"]

    def build(self, folder: Path, request: Request, *, report: Callable[[str], None]) -> Path:
        """Check the suite, which is in its place already. Raises StiltsError if it is damaged or not in `folder`."""
        faults = find_faults(folder)
        if faults:
            raise StiltsError(
                f"{folder}: incomplete or damaged suite ({faults[0]}), and there are no files to build it from; "
                "remove it and unpack it again"
            )
        report(describe_size(folder))
        return folder

    def texts(self, folder: Path) -> Iterable[str]:
        """Return all texts that may be encoded."""
        return self.original.texts(folder)

    def missing(self, task: str) -> str | None:
        """Return why the suite does not have a task, None if it does."""
        name, _, language = task.partition(".")
        name = TARGETS[name].data_task if name in TARGETS else name
        held = {(config.task, config.language) for config in map(Config.parse, self._manifest["rows"])}
        if any(name == each and (not language or language == of) for each, of in held):
            return None
        return f"the prepared suite {self.folder} does not hold it"

    def left_out(self, request: Request) -> dict[str, dict[str, str]]:
        """Return the requested languages that tasks do not have: task -> language -> reason.

        The original knows what is published nowhere; the suite, what its files lacked as well.
        """
        found = {task: dict(reasons) for task, reasons in self.original.left_out(request).items()}
        named = {*(request.languages or ()), *request.source_languages}
        for task, reasons in self._manifest.get("left_out", {}).items():
            found.setdefault(task, {}).update((code, reasons[code]) for code in named & reasons.keys())
        return found


def find_prepared(folder: Path, request_key: str) -> Path | None:
    """Return the only suite in a folder of suites that was built for a request, None if there is none.

    Parameters
    ----------
    request_key : str
        Fingerprint of the request by a source without files; `suite.json` holds it as "request".

    Raises
    ------
    StiltsError
        If there are several: their files differed, and it is not known which of them the study is to read.
    """
    suites = [folder / name for name in sorted(list_names(folder, "", "folder of suites")) if not name.startswith(".")]
    found = [
        suite
        for suite in suites
        if (suite / MANIFEST).is_file() and read_manifest(suite).get("request") == request_key
    ]
    if len(found) > 1:
        raise StiltsError(
            f"{folder} holds several suites for this study ({', '.join(each.name for each in found)}), made from "
            "different files; remove all but one, or set STILTS_DATA to the files"
        )
    return found[0] if found else None
