"""Causal language modelling: each token of a text is predicted from those before it; accuracy on them."""

from collections.abc import Iterable, Sequence

import numpy as np

from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.language_model import LanguageModel


class CausalLM(LanguageModel):
    """Every token but the first is predicted, special ones included. It is of sense for decoders alone: an encoder sees
    what it should predict.
    """

    name = "causal_lm"

    def predict(
        self, sequences: Sequence[np.ndarray], tokenizer, generators: Iterable[np.random.Generator]
    ) -> list[Input]:
        """Make each sequence of two tokens or more an input; nothing is drawn."""
        return [
            Input(i, ids, ids[1:], positions=np.arange(len(ids) - 1, dtype=np.int32))
            for i, ids in enumerate(sequences)
            if len(ids) > 1
        ]
