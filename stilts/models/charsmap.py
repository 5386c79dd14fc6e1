"""Compiles a map of characters into a `tokenizers` normaliser, as SentencePiece does.

`tokenizers.normalizers.Precompiled` reads SentencePiece's compiled format: a double-array trie (darts-clone layout),
followed by the zero-terminated replacements. This module writes that format.
"""

import struct
import unicodedata
from collections.abc import Mapping

from tokenizers.normalizers import Precompiled

# Units of the double array. A branch: bits 0-7 its byte, bit 8 "a key ends here", bits 10-30 the offset of its children
# (XOR with its own place). A leaf: bit 31 and the place of its replacement.
_KEY_ENDS = 1 << 8
_OFFSET_SHIFT = 10
_END = 1 << 31

# `Precompiled` looks up whole graphemes only if they have less than six bytes; their composed letters are below this.
_LAST_SHORT_COMPOSED = 0x3100
_LONGEST_GRAPHEME = 5


def list_composed_pairs() -> dict[str, str]:
    """Return letter + combining mark -> composed letter, for all pairs of at most five bytes; others are never used.

    The pairs follow from Unicode's canonical decompositions, which its stability policy freezes.
    """
    characters = [chr(point) for point in range(0x80, _LAST_SHORT_COMPOSED)]
    decomposed = {character: unicodedata.normalize("NFD", character) for character in characters}
    spellings: dict[str, list[str]] = {}
    for character, form in decomposed.items():
        if len(form) == 1:
            spellings.setdefault(form, []).append(character)
    pairs = {}
    for character, form in decomposed.items():
        if len(form) == 2 and unicodedata.normalize("NFC", form) == character:
            pairs.update({form[0] + mark: character for mark in spellings[form[1]]})
    return {pair: character for pair, character in pairs.items() if len(pair.encode()) <= _LONGEST_GRAPHEME}


def build_normaliser(replacements: Mapping[str, str]) -> Precompiled:
    """Return a normaliser that replaces keys by their values.

    It looks up single characters, and whole graphemes of at most five bytes (by the shortest key that begins one).
    """
    blob, places = bytearray(), {}
    for text in sorted(set(replacements.values())):
        places[text] = len(blob)
        blob += text.encode() + b"\0"
    trie = _trie({key.encode(): places[text] for key, text in replacements.items()})
    units = _double_array(trie)
    return Precompiled(struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(blob))


def _trie(keys: Mapping[bytes, int]) -> dict:
    """Return nested dictionaries byte -> child; byte 0 of a node where a key ends holds the value of that key."""
    root: dict = {}
    for key, value in keys.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = value
    return root


def _double_array(root: dict) -> list[int]:
    """Return the trie as a double array: children of a node are at `base ^ byte`, and no two nodes share a base."""
    units: dict[int, int] = {0: 0}
    bases: set[int] = {0}
    searched: dict[int, int] = {}  # number of children -> the base of the last node of that size
    waiting = [(0, root)]
    for place, node in waiting:
        base = searched.get(len(node), 1)
        while base in bases or any(base ^ byte in units for byte in node):
            base += 1
        searched[len(node)] = base
        bases.add(base)
        units[place] |= ((place ^ base) << _OFFSET_SHIFT) | (_KEY_ENDS if 0 in node else 0)
        for byte, child in node.items():
            units[base ^ byte] = (_END | child) if byte == 0 else byte
            if byte:
                waiting.append((base ^ byte, child))
    # Whole blocks of 256, so that no lookup of a byte is out of bounds.
    size = (max(units) | 0xFF) + 1
    return [units.get(place, 0) for place in range(size)]
