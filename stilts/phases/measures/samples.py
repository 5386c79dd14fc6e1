"""The examples by which tasks are compared.

A task's examples are the first of its training set, in the language that it trains in; a target that shares another's
training shares its examples too. A text is an example's first sequence: the first window of a context, the first choice
of a question, a query without its passage. Retrieval and mining have no training set: their English sentences in the
first of their languages are taken, from the dev set where there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stilts.sources.hub import available, load_split
from stilts.study.settings import SOURCE_LANGUAGE, SimilaritySettings
from stilts.tasks.formats import MaskedLM, get_format
from stilts.tasks.formats.base import Input, subwords
from stilts.tasks.formats.terms import Terms, terms_of
from stilts.tasks.registry import Task, get_target, languages
from stilts.tasks.splits import load

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Sample:
    """The examples of one task.

    Attributes
    ----------
    texts : list of Input
        One sequence an example, without a target.
    form : str, optional
        The task's format, where it has a head.
    labels : list of str
    inputs : list of Input
        What the head is trained on; none without a head.
    """

    texts: list[Input]
    form: str | None = None
    labels: Sequence[str] = ()
    inputs: Sequence[Input] = ()

    @property
    def terms(self) -> Terms | None:
        """What the head chooses; None where it has none or chooses no labels."""
        return terms_of(self.form) if self.form else None


def read_sample(suite: Path, task: Task, tokenizer: "PreTrainedTokenizerFast", settings: SimilaritySettings) -> Sample:
    """Return the examples by which a task is compared with others."""
    if not task.trained:
        sentences = _english_sentences(suite, task, settings.examples)
        return Sample(_as_inputs(subwords(tokenizer, sentences, truncation=True, max_length=settings.max_length)))
    source = get_target(task.training_task) if task.trained_as else task
    split = load(suite, source, source.source_language, "train", settings.examples)
    inputs = get_format(source.format).encode(split.rows, tokenizer, settings.max_length)
    first = {part.example: part for part in reversed(inputs)}
    texts = _as_inputs([_shown(source.format, first[example]) for example in sorted(first)])
    return Sample(texts, source.format, split.labels, inputs)


def _english_sentences(suite: Path, task: Task, most: int) -> list[str]:
    config = task.config_for(languages(task, suite, "all")[0])
    split = "validation" if "validation" in available(suite)[config] else "test"
    rows = load_split(suite, None, config, split)
    if task.format == "retrieval":
        return rows["target_sentence"][:most]
    return [row["sentence"] for row in rows if row["lang"] == SOURCE_LANGUAGE][:most]


def _shown(form: str, part: Input) -> np.ndarray:
    """Return the first sequence of an input, (tokens,); of a text whose tokens are hidden, the text itself."""
    if form != MaskedLM.name:
        return part.input_ids
    ids = part.input_ids.copy()
    ids[part.positions] = part.target
    return ids


def _as_inputs(sequences: Sequence[np.ndarray]) -> list[Input]:
    return [Input(i, ids, None) for i, ids in enumerate(sequences)]
