"""The examples by which tasks are compared.

A task's examples are the first ones of its training set, in its training language; a target that is trained on another
target's data also has its examples. A text is an example's first sequence: the first window of a context, the first
choice of a question, a query without its passage. Retrieval and mining have no training set. Their texts are the
English sentences of their first language, from the dev set if there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stilts.sources.hub import list_configs, load_split
from stilts.sources.splits import list_covered_languages, load
from stilts.study.settings import SimilaritySettings
from stilts.tasks.formats.base import EncodedSplit, encode_split
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.subwords import split_texts
from stilts.tasks.formats.terms import Terms
from stilts.tasks.registry import Task, get_target

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Sample:
    """The examples of one task.

    Attributes
    ----------
    texts : list of Input
        One sequence per example, without a target.
    split : EncodedSplit, optional
        Training data of the task's head, if it has one.
    """

    texts: list[Input]
    split: EncodedSplit | None = None

    @property
    def terms(self) -> Terms | None:
        """Terms of the head's labels; None if there is no head or it predicts no labels."""
        return self.split.form.terms if self.split else None


def read_sample(suite: Path, task: Task, tokenizer: "PreTrainedTokenizerFast", settings: SimilaritySettings) -> Sample:
    """Return the examples by which a task is compared with others."""
    if not task.trained:
        sentences = _english_sentences(suite, task, settings.examples)
        return Sample(_as_inputs(split_texts(tokenizer, sentences, truncation=True, max_length=settings.max_length)))
    source = get_target(task.training_task) if task.trained_as else task
    split = load(suite, source, source.source_language, "train", settings.examples)
    encoded = encode_split(source.format, split, tokenizer, settings.max_length)
    first = {part.example: part for part in reversed(encoded.inputs)}
    return Sample(_as_inputs([source.format.read_tokens(first[example]) for example in sorted(first)]), encoded)


def _english_sentences(suite: Path, task: Task, most: int) -> list[str]:
    config = task.config_for(list_covered_languages(task, suite, "all")[0])
    split = "validation" if "validation" in list_configs(suite)[config] else "test"
    return task.format.english_sentences(load_split(suite, config, split))[:most]


def _as_inputs(sequences: Sequence[np.ndarray]) -> list[Input]:
    return [Input(i, ids, None) for i, ids in enumerate(sequences)]
