"""Universal Dependencies 2.5, converted as in XTREME: fused forms of multiword tokens are kept.

XTREME runs `ud-conversion-tools/conllu_to_conll.py --replace_subtokens_with_fused_forms` on every treebank file whose
name begins with the language's code, and then `utils_preprocess.py` (google-research/xtreme,
`scripts/download_data.sh`):

- a fused form (``3-4  del``) replaces its words and gets the tag of the word nearest to the root; in a tie, the tag
  that comes first in a list for the language (`_PRECEDENCE`);
- sentences in which all words, or all but one, are ``_`` (text withheld for its licence) are dropped;
- zero-width non-joiners and spaces inside words are removed;
- files are read in alphabetical order.

Distances to the root are computed here on the basic tree. XTREME's tool also follows enhanced dependencies if a
treebank has them, which can change the tag of a fused form. The lists of tags are those of the tool's public version.
Whether the results are identical is not verified, since XTREME's own output is not public.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stilts.sources.columns import format_value
from stilts.sources.files import read_lines
from stilts.sources.xtreme.folder import DataFolder
from stilts.study.errors import StiltsError

UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X",
)  # fmt: skip
CONVERSION = "fused forms of multiword tokens are kept, each with the tag of its word nearest to the root"
SOURCE = "Universal Dependencies 2.5, http://hdl.handle.net/11234/1-3105"

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
# coastalcph/ud-conversion-tools, conllu_to_conll.py; tags missing in a list come last.
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
    line: int


class _Span(NamedTuple):
    """A token: the numbers of its first and last word, its form, its line."""

    first: int
    last: int
    form: str
    line: int


def list_files(data: DataFolder, code: str, language: str, split: str) -> list[Path]:
    """Return the .conllu files of a language and split under ``universal-dependencies/UD_<Language>-<Treebank>/``.

    As in XTREME, the code in the file's name counts, which excludes Ancient Greek (grc) and Classical Chinese (lzh).
    """
    folders = data.folders(data.root / "universal-dependencies")
    held = (path for folder in folders if folder.match(f"UD_{language}*") for path in data.within(folder))
    name = f"{code}_*-ud-{_SPLITS[split]}*.conllu"
    return sorted((path for path in held if path.match(name)), key=lambda path: path.name)


def read(path: Path, code: str) -> Iterator[Sentence]:
    """Yield the sentences of a .conllu file, converted as in XTREME.

    Raises
    ------
    StiltsError
        If a line is not valid CoNLL-U, a word's tag is not in `UPOS`, or there is no sentence.
    """
    empty = True
    for words, spans in _blocks(path):
        empty = False
        tokens = [_token(words, span, code) for span in spans]
        withheld = sum(form == "_" for form, _ in tokens)
        if withheld == 0 or withheld < len(tokens) - 1:
            _check_tags(path, (word for _, word in tokens))
            forms = [form.replace(_NON_JOINER, "").replace(" ", "") for form, _ in tokens]
            yield forms, [word.tag for _, word in tokens]
    if empty:
        raise StiltsError(f"{path}: no sentence; it is not CoNLL-U")


def _check_tags(path: Path, words: Iterable[_Word]) -> None:
    for word in words:
        if word.tag not in UPOS:
            raise StiltsError(
                f"{path}, line {word.line}: tag {format_value(word.tag)}; it should be one of {', '.join(UPOS)}"
            )


def _blocks(path: Path) -> Iterator[tuple[dict[int, _Word], list[_Span]]]:
    """Yield the words of each sentence by number, and its tokens."""
    words: dict[int, _Word] = {}
    spans: list[_Span] = []
    for number, line in enumerate([*read_lines(path), ""], 1):
        if not line.strip(" "):
            if words or spans:
                _check_spans(path, words, spans)
                yield words, spans
            words, spans = {}, []
        elif not line.startswith("#"):
            _add(line, words, spans, path, number)


def _check_spans(path: Path, words: Mapping[int, _Word], spans: Iterable[_Span]) -> None:
    for span in spans:
        missing = next((number for number in range(span.first, span.last + 1) if number not in words), None)
        if missing is not None:
            raise StiltsError(f"{path}, line {span.line}: no word {missing} in its sentence; it is not CoNLL-U")


def _add(line: str, words: dict[int, _Word], spans: list[_Span], path: Path, number: int) -> None:
    place, parts = f"{path}, line {number}", line.split("\t")
    if len(parts) != _COLUMNS:
        raise StiltsError(f"{place}: {len(parts)} columns instead of {_COLUMNS}; it is not CoNLL-U")
    name, form = parts[0], parts[1].strip()
    if "." in name:
        return  # an empty node of the enhanced dependencies is not a word of the text
    if not parts[1]:
        raise StiltsError(f"{place}: no form; CoNLL-U writes _ for a missing value")
    first, _, last = name.partition("-")
    try:
        span = _Span(int(first), int(last or first), form, number)
        head = int(parts[6]) if parts[6].isdigit() else 0
    except ValueError as error:
        raise StiltsError(f"{place}: {error}; it is not CoNLL-U") from error
    if last:
        if span.last < span.first:
            raise StiltsError(f"{place}: {name} ends before it begins; it is not CoNLL-U")
        spans.append(span)
        return
    if span.first in words:
        raise StiltsError(f"{place}: a second word {span.first} in its sentence; it is not CoNLL-U")
    words[span.first] = _Word(form, parts[3].strip(), head, number)
    if not spans or span.first > spans[-1].last:
        spans.append(span)


def _token(words: Mapping[int, _Word], span: _Span, code: str) -> tuple[str, _Word]:
    """Return a token's form and the word that provides its tag."""
    if span.first == span.last:
        return span.form, words[span.first]
    inside = range(span.first, span.last + 1)
    heights = [_height(words, number) for number in inside]
    nearest = [number for number, height in zip(inside, heights, strict=True) if height == min(heights)]
    order = _PRECEDENCE.get(code, _DEFAULT)
    candidates = [words[number] for number in nearest]
    return span.form, min(candidates, key=lambda word: order.index(word.tag) if word.tag in order else len(order))


def _height(words: Mapping[int, _Word], number: int) -> int:
    """Return the number of steps to the root; in an invalid cyclic tree, the walk stops after all words."""
    steps = 0
    while number in words and steps <= len(words):
        number, steps = words[number].head, steps + 1
    return steps
