"""Files that a user brings: regular ones alone, and text in UTF-8 whose lines end at line feeds.

`str.splitlines` breaks at U+2028, U+0085 and other marks that stand inside sentences; here lines end at line feeds
alone, with or without a carriage return before them.
"""

import codecs
import stat
from pathlib import Path

from stilts.study.errors import StiltsError

MOST_BYTES = 4 * 2**30  # of the texts of one file, so that a packed one cannot fill the memory
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


def check_regular(path: Path) -> int:
    """Return the size of a regular file, or of the one that a link names; never open anything else, which could hang.

    Raises
    ------
    StiltsError
        If nothing stands there, or something else.
    """
    try:
        state = path.stat()
    except OSError as error:
        what = "a link to nothing" if path.is_symlink() else f"cannot be read ({error.strerror or error})"
        raise StiltsError(f"{path}: {what}; put the file there, or take it away") from error
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "no file")
        raise StiltsError(f"{path}: {kind}, where a file should be; take it away, or put the file there")
    return state.st_size


def read_text(path: Path) -> str:
    """Return a file's text without its byte-order mark.

    Raises
    ------
    StiltsError
        If it is no regular file, cannot be read, is larger than `MOST_BYTES`, or is not UTF-8; it names the line.
    """
    if (size := check_regular(path)) > MOST_BYTES:
        raise StiltsError(f"{path}: {size} bytes; texts of at most {MOST_BYTES} are read")
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise StiltsError(f"{path}: cannot be read ({error.strerror or error}); may you read it?") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StiltsError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def read_lines(path: Path) -> list[str]:
    """Return a file's lines without their line ends; what is behind the last line feed is a line too, if it is any.

    Raises
    ------
    StiltsError
        As `read_text` does.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    return lines if lines[-1] else lines[:-1]
