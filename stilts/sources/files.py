"""Reading user-provided files: only regular ones, with texts in UTF-8.

Lines end with a line feed, or a carriage return and a line feed. `str.splitlines` would also split at U+2028, U+0085
and other characters that occur inside sentences.
"""

import codecs
import stat
from pathlib import Path

from stilts.study.errors import StiltsError

MOST_BYTES = 4 * 2**30  # of text per file, so that a compressed one cannot fill the memory
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


def check_regular(path: Path) -> int:
    """Return the size of a regular file, following links. Opening anything else could block forever.

    Raises
    ------
    StiltsError
        If there is no regular file.
    """
    try:
        state = path.stat()
    except OSError as error:
        what = "a link to nothing" if path.is_symlink() else f"cannot be read ({error.strerror or error})"
        raise StiltsError(f"{path}: {what}; put the file there, or remove it") from error
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "no file")
        raise StiltsError(f"{path}: {kind}, where a file should be; remove it, or put the file there")
    return state.st_size


def read_text(path: Path) -> str:
    """Return a file's text without its byte-order mark.

    Raises
    ------
    StiltsError
        If it is not a regular file, cannot be read, is larger than `MOST_BYTES`, or is not UTF-8.
    """
    if (size := check_regular(path)) > MOST_BYTES:
        raise StiltsError(f"{path}: {size} bytes; texts of at most {MOST_BYTES} are read")
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise StiltsError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StiltsError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def read_lines(path: Path) -> list[str]:
    """Return a file's lines without their line ends; the last line need not have one.

    Raises
    ------
    StiltsError
        As in `read_text`.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    return lines if lines[-1] else lines[:-1]
