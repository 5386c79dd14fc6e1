"""Causal language modelling: each token of a text is predicted from those before it; the metric is accuracy."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class CausalLM(LanguageModel):
    """Predicts every token but the first, including special ones. For decoders only: an encoder sees its targets."""

    name = "causal_lm"

    def predict(
        self,
        sequences: Sequence[np.ndarray],
        tokenizer: "PreTrainedTokenizerFast",
        generators: Iterable[np.random.Generator],
    ) -> list[Input]:
        """One input per sequence of at least two tokens; the generators are unused."""
        return [
            Input(i, ids, ids[1:], positions=np.arange(len(ids) - 1, dtype=np.int32))
            for i, ids in enumerate(sequences)
            if len(ids) > 1
        ]
