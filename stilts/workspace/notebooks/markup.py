"""Escaping of text in pages: text from outside this package must appear as it is, never as markup.

Pages are MyST: Markdown with raw HTML, roles `{name}` and directives, which can read files and run scripts in a
reader's browser. Text from study files, suites, records and parameters enters a page through `escape_text` or
`mark_code`. Generated prose passes through `disarm_markdown`, which keeps lists, code and emphasis.
"""

import re

# Markup anywhere in a line, except for an underscore within a word.
_MEANING = re.compile(r"[\\`*{}\[\]<>&$~|^#!]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"[-+=:%(]|\d+(?=[.)])")  # markup at the start of a line
_TOKEN = re.compile(
    r"(?P<kept>\\[!-/:-@\[-`{-~])"  # escaped
    r"|(?P<code>(?<!`)(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`))"  # inline code
    r"|(?P<markup>[\\`<>&{}\[\]$~|^!])"
    r"|(?P<fence>:(?=::))"
    r"|(?P<start>^[ \t>*+-]*?(?:[%#=(]|\+(?=\+\+)|-(?=-)))",
    re.MULTILINE,
)


def escape_text(text: object) -> str:
    """Return Markdown that is rendered as this text, on one line: runs of white space become single spaces."""
    escaped = _MEANING.sub(lambda found: f"\\{found[0]}", _one_line(text))
    if start := _START.match(escaped):
        # Of a number, the character behind it is escaped, so that it starts no list.
        at = start.end() if start[0].isdigit() else 0
        escaped = f"{escaped[:at]}\\{escaped[at:]}"
    return escaped


def mark_code(text: object) -> str:
    """Return Markdown that is rendered as this text in inline code, on one line."""
    line = _one_line(text)
    longest = max(map(len, re.findall("`+", line)), default=0)
    ticks = "`" * (longest + 1)
    space = " " if longest else ""  # keeps backticks apart from the fence; Markdown removes one space at each end
    return f"{ticks}{space}{line}{space}{ticks}" if line else ""


def disarm_markdown(markdown: str) -> str:
    """Return Markdown whose raw HTML, roles, directives, links, images and comments are rendered as text."""
    return _TOKEN.sub(_without_meaning, markdown)


def _without_meaning(found: re.Match) -> str:
    if found["kept"] or found["code"]:
        return found[0]
    return f"{found[0][:-1]}\\{found[0][-1]}"


def _one_line(text: object) -> str:
    return " ".join(str(text).replace("\0", "\N{REPLACEMENT CHARACTER}").split())
