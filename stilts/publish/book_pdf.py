"""The whole book as `book.pdf`, printed by a browser, and the links to it.

Chromium sets the same HTML and the same style as the site's readers see, with figures as vectors. Nothing that pip
installs does: WeasyPrint wants Pango of the system, and TeX would set another book.
"""

import logging
import os
import re
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from pypdf import PdfReader

from stilts.publish.citation import describe_checkout, read_citation
from stilts.publish.one_page import Part, join_pages, number_contents
from stilts.study.storage import replace_file
from stilts.workspace.starting import describe_signal, find_browser, find_runs_folder, make_environment

log = logging.getLogger(__name__)

FILE = "book.pdf"
PLACE = '<span class="book-pdf"></span>'
"""Where a page links to the file, if there is one."""
TEXT = "The book as one PDF, for paper"
LONGEST = 600  # seconds of printing
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no other host is asked
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)


def make_book_pdf(root: Path, html: Path, parts: Sequence[Part]) -> None:
    """Print the book as `book.pdf` to its site, and link to it from every page.

    Without a browser that prints, the log says so in one line, and no page links to the file.

    Parameters
    ----------
    root : Path
        Checkout.
    html : Path
        Folder of the built site.
    parts : sequence of Part
        The book in its order, the landing page first.
    """
    with TemporaryDirectory(dir=html.parent) as folder:
        problem = _print_book(root, html, parts, Path(folder))
        if problem:
            log.warning("%s was not made, and the site does not link to it: %s", FILE, problem)
            (html / FILE).unlink(missing_ok=True)
        else:
            replace_file(html / FILE, partial(copyfile, Path(folder, FILE)))
    link_pages(html)


def _print_book(root: Path, html: Path, parts: Sequence[Part], folder: Path) -> str | None:
    """Write the file to a folder beside the site; return why it could not be made, None if it was."""
    browser = find_browser()
    if browser is None:
        return "there is no Chromium; install chromium and build the book again"
    document, first = folder / "book.html", folder / "without-numbers.pdf"
    environment = make_environment(find_runs_folder(root))
    joined = join_pages(html, parts, read_citation(root), describe_checkout(root))
    document.write_text(joined, encoding="utf-8")
    reason = _print(browser, document, first, environment)
    if not reason:  # Chromium's style sheets cannot ask for the sheet of a page: it is read from the first print
        document.write_text(number_contents(joined, _number_sheets(first)), encoding="utf-8")
        reason = _print(browser, document, folder / FILE, environment)
    return f"{browser} {reason}; `make clean book` tries again" if reason else None


def _number_sheets(pdf: Path) -> dict[str, int]:
    """Return the sheet, from 1, of each place of a document that a link leads to, by its id."""
    read = PdfReader(pdf)
    return {
        name.removeprefix("/"): read.get_destination_page_number(place) + 1
        for name, place in read.named_destinations.items()
    }


def _print(browser: str, document: Path, pdf: Path, environment: dict[str, str]) -> str | None:
    own = [f"--user-data-dir={pdf.parent / 'profile'}", f"--print-to-pdf={pdf}", document.as_uri()]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to start as root with one
    command = [browser, *FLAGS, *sandbox, *own]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace",
                              timeout=LONGEST, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"did not end in {LONGEST} s"
    except OSError as error:
        return f"does not start ({error.strerror})"
    if pdf.is_file():
        return None
    if ended := describe_signal(done.returncode):
        return f"was ended by {ended}"
    said = done.stderr.strip().split("\n")
    return f"wrote no file, but: {said[-1] or 'nothing'} (exit status {done.returncode})"


def link_pages(html: Path) -> None:
    """Link to `book.pdf` from every page of a site that has it, and from none of one that has not."""
    place = re.compile(PLACE.replace("><", ">.*?<"))
    there = (html / FILE).is_file()
    for page in html.rglob("*.html"):
        address = "../" * (len(page.relative_to(html).parts) - 1) + FILE
        link = f'<a href="{address}">{TEXT}</a>' if there else ""
        text = page.read_text(encoding="utf-8")
        mended = place.sub(PLACE.replace("><", f">{link}<"), text)
        if mended != text:
            page.write_text(mended, encoding="utf-8")
