"""Text in pages: what was not written here must come out as the text that it is, never as markup.

Pages are MyST: Markdown with raw HTML, roles `{name}` and directives, which can read files, and run scripts in the
browser of a reader. Whatever a study file, a suite, a record or a parameter holds enters a page through `plain` or
`code`; and what is computed passes `harmless`, which leaves lists, code type and emphasis, all that such prose has.
"""

import re

# Of meaning wherever it stands in a line, but for an underscore within a word.
_MEANING = re.compile(r"[\\`*{}\[\]<>&$~|^#!]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"[-+=:%(]|\d+(?=[.)])")  # of meaning where a line begins with it
_TOKEN = re.compile(
    r"(?P<kept>\\[!-/:-@\[-`{-~])"  # escaped
    r"|(?P<code>(?<!`)(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`))"  # in code type, within a line
    r"|(?P<markup>[\\`<>&{}\[\]$~|^!])"
    r"|(?P<fence>:(?=::))"
    r"|(?P<start>^[ \t>*+-]*?(?:[%#=(]|\+(?=\+\+)|-(?=-)))",
    re.MULTILINE,
)


def plain(text: object) -> str:
    """Return Markdown that comes out as this text, on one line: runs of white space become single spaces."""
    escaped = _MEANING.sub(lambda found: f"\\{found[0]}", _one_line(text))
    if start := _START.match(escaped):
        # A number is no list's where the point behind it is escaped.
        at = start.end() if start[0].isdigit() else 0
        escaped = f"{escaped[:at]}\\{escaped[at:]}"
    return escaped


def code(text: object) -> str:
    """Return Markdown that comes out as this text in code type, on one line."""
    line = _one_line(text)
    longest = max(map(len, re.findall("`+", line)), default=0)
    ticks = "`" * (longest + 1)
    space = " " if longest else ""  # a tick at either end would join the fence; one space is taken off there
    return f"{ticks}{space}{line}{space}{ticks}" if line else ""


def harmless(markdown: str) -> str:
    """Return Markdown without raw HTML, roles, directives, links, images and comments: they come out as their text."""
    return _TOKEN.sub(_without_meaning, markdown)


def _without_meaning(found: re.Match) -> str:
    if found["kept"] or found["code"]:
        return found[0]
    return f"{found[0][:-1]}\\{found[0][-1]}"


def _one_line(text: object) -> str:
    return " ".join(str(text).replace("\0", "\N{REPLACEMENT CHARACTER}").split())
