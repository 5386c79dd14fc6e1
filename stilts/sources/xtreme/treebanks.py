"""Universal Dependencies 2.5 as XTREME reads it: fused forms of multiword tokens are kept.

XTREME runs `ud-conversion-tools/conllu_to_conll.py --replace_subtokens_with_fused_forms` on every treebank file whose
name begins with the language's code, and then `utils_preprocess.py` (google-research/xtreme,
`scripts/download_data.sh`):

- a fused form (``3-4  del``) takes the place of its words and gets the tag of that one of them that is nearest to the
  root; among several at the same height, the one whose tag comes first in a list of the language (`_PRECEDENCE`);
- a sentence in which all words, or all but one, are ``_`` (text withheld for its licence) is left out;
- zero-width non-joiners and spaces inside words are removed;
- files are taken in alphabetical order.

The height is counted here over the basic tree. XTREME's tool also walks over the enhanced dependencies where a treebank
has them, which can change the tag of a fused form there. Its lists of tags are those of the tool's public version. That
the outcome is the same word for word is not verified, since XTREME's own output is not public.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stilts.errors import StiltsError
from stilts.sources.xtreme.folder import DataFolder

CONVERSION = "fused forms of multiword tokens are kept, each with the tag of its word nearest to the root"
SOURCE = "Universal Dependencies 2.5, http://hdl.handle.net/11234/1-3105"

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
# coastalcph/ud-conversion-tools, conllu_to_conll.py; a tag that a list lacks comes after those that it has.
_DEFAULT = (
    "VERB", "NOUN", "PROPN", "PRON", "ADJ", "NUM", "ADV", "INTJ", "AUX", "ADP", "DET", "PART", "CCONJ", "SCONJ", "X",
    "PUNCT",
)  # fmt: skip
_PRECEDENCE: Mapping[str, Sequence[str]] = {
    "es": ["VERB", "AUX", "PRON", "ADP", "DET"],
    "fr": ["VERB", "AUX", "PRON", "NOUN", "ADJ", "ADV", "ADP", "DET", "PART", "SCONJ", "CONJ"],
    "it": ["VERB", "AUX", "ADV", "PRON", "ADP", "DET", "INTJ"],
}
_COLUMNS = 10
_NON_JOINER = "\u200c"

Sentence = tuple[list[str], list[str]]  # words, tags


class _Word(NamedTuple):
    form: str
    tag: str
    head: int


def files(data: DataFolder, code: str, language: str, split: str) -> list[Path]:
    """Return the .conllu files of a language and split under ``universal-dependencies/UD_<Language>-<Treebank>/``.

    XTREME goes by the file's code alone, which keeps Ancient Greek (grc) and Classical Chinese (lzh) out.
    """
    folders = data.folders(data.root / "universal-dependencies")
    held = (path for folder in folders if folder.match(f"UD_{language}*") for path in data.within(folder))
    name = f"{code}_*-ud-{_SPLITS[split]}*.conllu"
    return sorted((path for path in held if path.match(name)), key=lambda path: path.name)


def read(path: Path, code: str) -> Iterator[Sentence]:
    """Yield the sentences of a .conllu file as XTREME writes them.

    Raises
    ------
    StiltsError
        If a line is no line of CoNLL-U.
    """
    for words, spans in _blocks(path):
        tokens = [_token(words, span, code) for span in spans]
        withheld = sum(form == "_" for form, _ in tokens)
        if withheld == 0 or withheld < len(tokens) - 1:
            yield [form.replace(_NON_JOINER, "").replace(" ", "") for form, _ in tokens], [tag for _, tag in tokens]


def _blocks(path: Path) -> Iterator[tuple[dict[int, _Word], list[tuple[int, int, str]]]]:
    """Yield the words of each sentence by number, and its tokens as (first word, last word, form)."""
    words: dict[int, _Word] = {}
    spans: list[tuple[int, int, str]] = []
    for number, line in enumerate([*path.read_text(encoding="utf-8").split("\n"), ""], 1):
        if not line.strip():
            if words:
                yield words, spans
            words, spans = {}, []
        elif not line.startswith("#"):
            _add(line, words, spans, f"{path}, line {number}")


def _add(line: str, words: dict[int, _Word], spans: list[tuple[int, int, str]], place: str) -> None:
    parts = line.split("\t")
    if len(parts) != _COLUMNS:
        raise StiltsError(f"{place}: {len(parts)} columns instead of {_COLUMNS}; it is no CoNLL-U")
    name, form = parts[0], parts[1].strip()
    if "." in name:
        return  # an empty node of the enhanced dependencies stands for no word of the text
    first, _, last = name.partition("-")
    try:
        if last:
            spans.append((int(first), int(last), form))
            return
        words[int(first)] = _Word(form, parts[3].strip(), int(parts[6]) if parts[6].isdigit() else 0)
    except ValueError as error:
        raise StiltsError(f"{place}: {error}; it is no CoNLL-U") from error
    if not spans or int(first) > spans[-1][1]:
        spans.append((int(first), int(first), form))


def _token(words: Mapping[int, _Word], span: tuple[int, int, str], code: str) -> tuple[str, str]:
    first, last, form = span
    if first == last:
        return form, words[first].tag
    inside = range(first, last + 1)
    heights = [_height(words, number) for number in inside]
    nearest = [number for number, height in zip(inside, heights, strict=True) if height == min(heights)]
    order = _PRECEDENCE.get(code, _DEFAULT)
    tags = [words[number].tag for number in nearest]
    return form, min(tags, key=lambda tag: order.index(tag) if tag in order else len(order))


def _height(words: Mapping[int, _Word], number: int) -> int:
    """Steps to the root; a circle, which no tree has, ends after as many steps as there are words."""
    steps = 0
    while number in words and steps <= len(words):
        number, steps = words[number].head, steps + 1
    return steps
