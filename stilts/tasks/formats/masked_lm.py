"""Masked language modelling: some tokens of a text are masked and predicted; the metric is accuracy on them.

Masks are static: drawn once, when a text is encoded. Liu et al. (2019, arXiv:1907.11692, section 4.1) find little gain
from dynamic masks even if each text is seen dozens of times; in an intermediate phase it is seen one to three times.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.errors import StiltsError
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SHARE = 0.15  # share of a text's tokens that are predicted (Devlin et al. 2019, arXiv:1810.04805)
MASKED = 0.8  # share of these that become the mask token
REPLACED = 0.1  # share of these that become a random token; the others are unchanged


class MaskedLM(LanguageModel):
    """Predicts some tokens of each text, at least one, but no special and unknown tokens.

    The head is initialised from the checkpoint's own if `stilts.models.own_heads` found one (XLM-R); else it is new.

    Parameters
    ----------
    share : float
        Share of a text's tokens to predict, between 0 and 1.
    """

    name = "mlm"
    takes_checkpoint_head = True

    def __init__(self, share: float = SHARE):
        self.share = share

    def predict(
        self,
        sequences: Sequence[np.ndarray],
        tokenizer: "PreTrainedTokenizerFast",
        generators: Iterable[np.random.Generator],
    ) -> list[Input]:
        """Mask tokens of each sequence; StiltsError if the tokenizer has no mask token."""
        if tokenizer.mask_token_id is None:
            raise StiltsError("the encoder's tokenizer has no mask token; remove task 'mlm' from the study")
        special = np.array(tokenizer.all_special_ids)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)
        inputs = []
        for i, (ids, generator) in enumerate(zip(sequences, generators, strict=True)):
            eligible = np.flatnonzero(~np.isin(ids, special))
            if len(eligible):
                positions, shown = _mask(ids, eligible, self.share, tokenizer.mask_token_id, ordinary, generator)
                inputs.append(Input(i, shown, ids[positions], positions=positions))
        return inputs

    def read_tokens(self, part: Input) -> np.ndarray:
        """The input's tokens with the masked ones restored."""
        ids = part.input_ids.copy()
        ids[part.positions] = part.target
        return ids


def _mask(
    ids: np.ndarray,
    eligible: np.ndarray,
    share: float,
    mask_id: int,
    ordinary: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (predicted,) of the tokens to predict, and the masked ids (tokens,)."""
    # Only uniform numbers are drawn, since NumPy may change how its other methods use them.
    order, kind, other = generator.random((3, len(eligible)))
    chosen = np.argsort(order)[: max(1, round(share * len(eligible)))]
    replacement = ordinary[(other * len(ordinary)).astype(int)]
    hidden = np.where(kind < MASKED, mask_id, np.where(kind < MASKED + REPLACED, replacement, ids[eligible]))
    shown = ids.copy()
    shown[eligible[chosen]] = hidden[chosen]
    return np.sort(eligible[chosen]).astype(np.int32), shown
