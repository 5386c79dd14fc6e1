"""LAReQA: retrieving the sentences that answer XQuAD's questions from a pool in all languages.

A candidate is a sentence with its paragraph, as in XTREME-R: the passage is the sentence, a space, and the paragraph.
(XTREME-R separates the two by separator tokens in training and by nothing in evaluation.) The pool has every sentence
of every paragraph in every language of the suite. The relevant candidates are the sentences with the beginning of the
answer, in all these languages, and exact copies of them in the same paragraph. Ids are those of XTREME-R's
utils_lareqa.py: "<language>_<number of the paragraph>_<number of the sentence>", and "<question>_<language>" for a
question.

The authors' files contain the sentence boundaries (google-research-datasets/lareqa, `xquad-r/<language>.json`: SQuAD's
JSON with `sentence_breaks`, pairs of offsets, in each paragraph). The Hub's xquad_r does not; without those files
`find_sentence_spans` splits by rules, and the pool differs slightly from the published one. SQuAD, the English training
and dev set, is always split by the rules.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.sources.columns import format_value
from stilts.sources.files import read_text
from stilts.sources.xtreme.answers import ANSWERED, SQUAD, check_offsets
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import LAREQA
from stilts.sources.xtreme.passages import make_pair_piece, make_pool_piece, make_query_piece
from stilts.sources.xtreme.pieces import Piece
from stilts.study.errors import StiltsError, describe_reasons

TASK = "lareqa"
XQUAD_R = {language: Place("google-research-datasets/xquad_r", language, "validation") for language in LAREQA}
BREAKS = "google-research-datasets/lareqa/xquad-r"

_CLOSING = "\"'”’»)\\]」』）"
# A mark ends a sentence before white space; Chinese and Japanese ones do anywhere. The Greek question mark is a
# semicolon.
_END = re.compile(rf"[.!?؟…।॥]+[{_CLOSING}]*(?=\s)|[。！？]+[{_CLOSING}]*")
_GREEK_END = re.compile(rf"[.!?…;\u037e]+[{_CLOSING}]*(?=\s)")
_ORDINALS = ("de", "tr")  # "16. Jahrhundert", "16. yüzyıl": a full stop makes a number an ordinal
_THAI_LENGTH = 200  # characters; the mean of the published Thai sentences is 207


class _Given(BaseModel):
    """Base of the schema of the authors' files; other fields are ignored."""

    model_config = ConfigDict(strict=True)


class _Answer(_Given):
    answer_start: int


class _Asked(_Given):
    id: str
    question: str
    answers: list[_Answer] = Field(min_length=1)


class _Paragraph(_Given):
    context: str
    qas: list[_Asked]
    sentence_breaks: list[tuple[int, int]]


class _Article(_Given):
    paragraphs: list[_Paragraph]


class _Document(_Given):
    data: list[_Article]


class Question(NamedTuple):
    """A question and the offset of its answer in characters."""

    id: str
    text: str
    answer_start: int


class Paragraph(NamedTuple):
    """A paragraph, the (start, stop) of its sentences in characters, and its questions."""

    context: str
    sentences: Sequence[tuple[int, int]]
    questions: Sequence[Question]

    def texts(self) -> list[str]:
        """Return its sentences."""
        return [self.context[start:stop] for start, stop in self.sentences]

    def answers(self, question: Question) -> list[int]:
        """Return the numbers of the sentences with a question's answer; none if it begins between sentences."""
        texts = self.texts()
        spans = zip(texts, self.sentences, strict=True)
        answer = next((text for text, (start, stop) in spans if start <= question.answer_start < stop), None)
        return [i for i, text in enumerate(texts) if text == answer]

    def passage(self, sentence: int) -> str:
        """Return a sentence and the paragraph after it."""
        start, stop = self.sentences[sentence]
        return f"{self.context[start:stop]} {self.context}"


def read_lareqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield LAReQA's questions and pool, and SQuAD 1.1 as English training and dev set."""
    for split, places in SQUAD.items():
        paragraphs = _read_rows(data, data.first(places) or places[0], "en")
        rows = make_training_pairs(paragraphs)
        _note_lost(data, f"SQuAD, {split}", paragraphs, len(rows))
        yield make_pair_piece(TASK, split, rows)
    found = dict(_paragraphs(data, [language for language in LAREQA if language in languages]))
    for language, rows in make_queries(found).items():
        _note_lost(data, f"XQuAD-R, {language}", found[language], len(rows))
        yield make_query_piece(TASK, language, rows)
    if found:
        yield make_pool_piece(TASK, make_candidates(found))


def list_languages(data: DataFolder) -> list[str]:
    """Return the languages that a folder has, from the authors or from the Hub."""
    return [each for each in LAREQA if data.holds(find_breaks_file(data.root, each)) or data.has(XQUAD_R[each])]


def find_breaks_file(root: Path, language: str) -> Path:
    """Return the path of the authors' file of a language in a data folder."""
    return root / BREAKS / f"{language}.json"


# --- paragraphs in, rows out -----------------------------------------------------------------------------------------


def make_training_pairs(paragraphs: Iterable[Paragraph]) -> list[dict[str, str]]:
    """Return `query` and `passage` of each question whose answer begins in a sentence."""
    return [
        {"query": question.text, "passage": paragraph.passage(numbers[0])}
        for paragraph in paragraphs
        for question in paragraph.questions
        if (numbers := paragraph.answers(question))
    ]


def make_queries(paragraphs: Mapping[str, Sequence[Paragraph]]) -> dict[str, list[dict[str, Any]]]:
    """Return `id`, `query` and `gold` of each language's questions whose answer begins in a sentence.

    Parameters
    ----------
    paragraphs : mapping of str to sequence of Paragraph
        Language -> its paragraphs, in the order of the published file.
    """
    gold: dict[str, list[str]] = {}
    asked: dict[str, list[Question]] = {language: [] for language in paragraphs}
    for language, number, paragraph in _numbered(paragraphs):
        for question in paragraph.questions:
            found = [_candidate(language, number, sentence) for sentence in paragraph.answers(question)]
            if found:
                gold.setdefault(question.id, []).extend(found)
                asked[language].append(question)
    return {
        language: [{"id": f"{each.id}_{language}", "query": each.text, "gold": gold[each.id]} for each in questions]
        for language, questions in asked.items()
    }


def make_candidates(paragraphs: Mapping[str, Sequence[Paragraph]]) -> list[dict[str, str]]:
    """Return `id`, `passage` and `lang` of every sentence of all languages."""
    return [
        {"id": _candidate(language, number, sentence), "passage": paragraph.passage(sentence), "lang": language}
        for language, number, paragraph in _numbered(paragraphs)
        for sentence in range(len(paragraph.sentences))
    ]


def _numbered(paragraphs: Mapping[str, Sequence[Paragraph]]) -> Iterator[tuple[str, int, Paragraph]]:
    for language, own in paragraphs.items():
        for number, paragraph in enumerate(own, start=1):
            yield language, number, paragraph


def _candidate(language: str, paragraph: int, sentence: int) -> str:
    return f"{language}_{paragraph}_{sentence}"


# --- paragraphs from files -------------------------------------------------------------------------------------------


def _paragraphs(data: DataFolder, languages: Sequence[str]) -> Iterator[tuple[str, list[Paragraph]]]:
    """Yield the languages that the folder has, with the authors' sentence breaks if available."""
    for language in languages:
        path = find_breaks_file(data.root, language)
        if data.holds(path):
            yield language, read_breaks(path)
        elif data.has(XQUAD_R[language]):
            data.note(TASK, "sentences of XQuAD-R are cut by rule, since the authors' breaks are not in the data "
                            f"folder ({BREAKS}); scores are not quite those of the published candidates")  # fmt: skip
            yield language, _read_rows(data, XQUAD_R[language], language)
        else:
            data.leave_out(TASK, language, f"neither {XQUAD_R[language]} nor {BREAKS} has it in the data folder")


def read_breaks(path: Path) -> list[Paragraph]:
    """Read a file of the authors.

    Raises
    ------
    StiltsError
        If its format is invalid, or an offset is outside its paragraph.
    """
    try:
        document = _Document.model_validate_json(read_text(path))
    except ValidationError as error:
        raise StiltsError(
            f"{path}: not a file of google-research-datasets/lareqa ({describe_reasons(error)}); fetch it again"
        ) from error
    paragraphs = [paragraph for article in document.data for paragraph in article.paragraphs]
    _check_ids(path, [question.id for paragraph in paragraphs for question in paragraph.qas])
    for number, paragraph in enumerate(paragraphs, start=1):
        _check_offsets(f"{path}: paragraph {number}", paragraph)
    return [_given(paragraph) for paragraph in paragraphs]


def _check_ids(path: Path, ids: Iterable[str]) -> None:
    seen = set()
    for name in ids:
        if not name.strip() or name in seen:
            raise StiltsError(f"{path}: a question has the id {format_value(name)}, which is empty or repeated; ids "
                              "must be unique (field id)")  # fmt: skip
        seen.add(name)


def _check_offsets(place: str, paragraph: _Paragraph) -> None:
    length = len(paragraph.context)
    if any(not 0 <= start < stop <= length for start, stop in paragraph.sentence_breaks):
        raise StiltsError(f"{place} has a sentence outside its context; fetch the file again")
    for question in paragraph.qas:
        if not 0 <= (start := question.answers[0].answer_start) < length:
            raise StiltsError(f"{place}, question {question.id}: answer_start {start} lies outside its context, which "
                              f"has {length} characters; fetch the file again")  # fmt: skip


def _given(paragraph: _Paragraph) -> Paragraph:
    questions = [Question(each.id, each.question, each.answers[0].answer_start) for each in paragraph.qas]
    return Paragraph(paragraph.context, paragraph.sentence_breaks, questions)


def _read_rows(data: DataFolder, place: Place, language: str) -> list[Paragraph]:
    return cut_rows(check_offsets(data.read_split(place, ANSWERED)).rows.to_pylist(), language)


def cut_rows(rows: Iterable[Mapping[str, Any]], language: str) -> list[Paragraph]:
    """Group rows of the Hub by paragraph and split the paragraphs into sentences.

    Parameters
    ----------
    rows : iterable of mappings
        `id`, `context`, `question`, `answers` with `answer_start`, of which only the first is used. A context's rows
        need not be adjacent.
    language : str
        Language that determines the sentence marks.
    """
    questions: dict[str, list[Question]] = {}
    for row in rows:
        asked = Question(row["id"], row["question"], row["answers"]["answer_start"][0])
        questions.setdefault(row["context"], []).append(asked)
    return [Paragraph(context, find_sentence_spans(context, language), own) for context, own in questions.items()]


def _note_lost(data: DataFolder, what: str, paragraphs: Iterable[Paragraph], kept: int) -> None:
    count = sum(len(paragraph.questions) for paragraph in paragraphs)
    if kept < count:
        data.note(TASK, f"{what}: {count - kept} of {count} questions left out; their answers begin in no sentence")


# --- sentences -------------------------------------------------------------------------------------------------------


def find_sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """Return the (start, stop) of a text's sentences in characters, without surrounding white space.

    A sentence ends after full stops, question and exclamation marks or dandas, with closing quotes and brackets, before
    white space; after full-width marks of Chinese and Japanese anywhere. A full stop does not end a sentence before a
    lower-case letter, after a single capital letter ("J. Smith", "U.S. Congress"), and in German and Turkish after a
    number of one or two digits. Thai has no marks: a piece ends at the first white space after 200 characters. On
    XQuAD-R the number of sentences is within 3 % of the authors' (7 % more in Thai), but individual breaks differ.
    """
    cuts = _thai_cuts(text) if language == "th" else _marked_cuts(text, language)
    spans = []
    for start, stop in pairwise([0, *cuts, len(text)]):
        piece = text[start:stop]
        if bare := piece.strip():
            first = start + piece.index(bare)
            spans.append((first, first + len(bare)))
    return spans


def _marked_cuts(text: str, language: str) -> Iterator[int]:
    for mark in (_GREEK_END if language == "el" else _END).finditer(text):
        if text[mark.start()] != "." or not _goes_on(text, mark, language):
            yield mark.end()


def _goes_on(text: str, mark: re.Match[str], language: str) -> bool:
    word = re.search(r"\w*$", text[max(0, mark.start() - 3) : mark.start()])[0]
    after = text[mark.end() :].lstrip()[:1]
    ordinal = language in _ORDINALS and len(word) <= 2 and word.isdecimal()
    return after.islower() or (len(word) == 1 and word.isupper()) or ordinal


def _thai_cuts(text: str) -> Iterator[int]:
    start = 0
    for space in re.finditer(r"\s+", text):
        if space.start() - start >= _THAI_LENGTH:
            yield space.end()
            start = space.end()
