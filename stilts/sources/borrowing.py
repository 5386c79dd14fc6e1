"""The pocket suite with intermediate tasks of the suite "xtreme" beside its own, read from the data folder."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from stilts.sources import xtreme
from stilts.sources.pocket import source as pocket
from stilts.sources.pocket.sizes import Sizes
from stilts.sources.suite import Contents, Request, describe_size, read_sizes
from stilts.sources.texts import read_texts
from stilts.tasks.registry import list_text_columns


@dataclass(frozen=True)
class BorrowingSuite:
    """The source of the suite.

    Attributes
    ----------
    lender : stilts.sources.xtreme.Suite
    borrowed : tuple of str
        Intermediate tasks of the lender, in English.
    """

    lender: xtreme.Suite
    borrowed: tuple[str, ...]

    def fingerprint(self, request: Request) -> str:
        """Return a short hash of everything that the suite's rows depend on; marked as such if data are missing.

        Raises
        ------
        StiltsError
            If a size or a language is unknown, or a file of the data folder cannot be read.
        """
        lent = self.lender.fingerprint(_request_of_lender(request))
        decisive = json.dumps([pocket.fingerprint(request), lent, sorted(self.borrowed)])
        digest = hashlib.sha256(decisive.encode()).hexdigest()[:12]
        return f"{xtreme.NOT_FETCHED}{digest}" if lent.startswith(xtreme.NOT_FETCHED) else digest

    def build(self, folder: Path, request: Request, *, report: Callable[[str], None]) -> Path:
        """Write the suite to `folder`, or reuse an existing complete one; `report` gets lines on what was written.

        Raises
        ------
        StiltsError
            If there is no data folder, a file in it is invalid or changes meanwhile, or `folder` cannot be written.
        """
        own = pocket.make_contents(request)
        lent = self.lender.lend(self.borrowed, _request_of_lender(request), report=report)
        without_files = BorrowingSuite(xtreme.Suite(None), self.borrowed).fingerprint(request)
        about = {**own.about, "fingerprint": self.fingerprint(request), "request": without_files,
                 "borrowed": list(self.borrowed)}  # fmt: skip
        licences = f"{own.card.licences}\n- {', '.join(self.borrowed)}: {lent.card.licences}"
        Contents(
            about, chain(own.tables, lent.tables), lambda: _join(own.summary(), lent.summary()),
            own.card._replace(licences=licences),
        ).write(Path(folder))  # fmt: skip
        report(describe_size(folder))
        return Path(folder)

    def texts(self, folder: Path) -> Iterator[str]:
        """Yield the texts of a suite, see `stilts.sources.texts.read_texts`."""
        return read_texts(folder, tuple(dict.fromkeys(chain(list_text_columns("pocket"), list_text_columns("xtreme")))))

    def missing(self, task: str) -> str | None:
        """Return why a borrowed task is not available from the data folder; None of others."""
        return self.lender.missing(task) if task in self.borrowed else pocket.missing(task)

    def left_out(self, request: Request) -> dict[str, dict[str, str]]:
        """Return task -> language that it leaves out -> reason, of the pocket suite's own tasks."""
        return pocket.left_out(request)


def _request_of_lender(request: Request) -> Request:
    """Return a request in English of as many rows as the pocket suite's own intermediate tasks have."""
    sizes = read_sizes(request.sizes, Sizes).model_dump(include={"intermediate_train", "validation"})
    return Request(request.seed, sizes, ("en",))


def _join(own: Mapping[str, Any], lent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two parts of a suite say of themselves, joined entry by entry."""
    joined = {**lent, **own}
    for name in own.keys() & lent.keys():
        joined[name] = {**own[name], **lent[name]} if isinstance(own[name], Mapping) else [*own[name], *lent[name]]
    return joined
