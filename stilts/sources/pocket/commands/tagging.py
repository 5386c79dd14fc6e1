"""Tokens of a text and their slots."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from stilts.sources.pocket.commands.sampling import Span, Unfit
from stilts.sources.pocket.commands.values import UNSPACED

_ASCII_RUN = re.compile(r"[0-9A-Za-z]+")


def find_token_places(text: str, language: str) -> list[tuple[int, int]]:
    """Return start and end of every token.

    Tokens are separated by white space. In Chinese, Japanese and Thai, which have no spaces between words, a token is a
    character with its combining marks, or a run of ASCII letters and digits.
    """
    return list(_characters(text) if language in UNSPACED else _words(text))


def _words(text: str) -> Iterator[tuple[int, int]]:
    return ((match.start(), match.end()) for match in re.finditer(r"\S+", text))


def _characters(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = _end_of_character(text, start)
        if not text[start].isspace():
            yield start, end
        start = end


def _end_of_character(text: str, start: int) -> int:
    run = _ASCII_RUN.match(text, start)
    if run:
        return run.end()
    end = start + 1
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    return end


def tag_tokens(places: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[str]:
    """Return the BIO tag of every token; one that overlaps with a span belongs to its slot, including affixes.

    Raises
    ------
    Unfit
        If two spans overlap with one token.
    """
    tags = []
    previous = None
    for start, end in places:
        touching = [span for span in spans if span.start < end and start < span.end]
        if len(touching) > 1:
            raise Unfit("two values in one token")
        span = touching[0] if touching else None
        tags.append("O" if span is None else f"{'I' if span is previous else 'B'}-{span.slot}")
        previous = span
    return tags
