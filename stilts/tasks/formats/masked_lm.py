"""Masked language modelling: some tokens of a text are hidden and predicted from the others; accuracy on them.

As an intermediate task, the masks are drawn once, when a text is encoded, and not anew in each epoch. What drawing
anew is worth shows where each text is seen dozens of times (Liu et al. 2019, arXiv:1907.11692, section 4.1, find even
then little between ten masks a text and one each time); mixed into an intermediate phase, a text is seen once to three
times.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from stilts.study.errors import StiltsError
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.language_model import LanguageModel

SHARE = 0.15  # of a text's tokens are predicted (Devlin et al. 2019, arXiv:1810.04805)
MASKED = 0.8  # of these become the mask token
REPLACED = 0.1  # of these become any token; the rest stays as it is


class MaskedLM(LanguageModel):
    """Some of a text's tokens are predicted, at least one; special and unknown tokens never are.

    A checkpoint's own head for masked tokens is gone on with where `stilts.models.own_heads` found one (XLM-R); else
    the head is new.

    Parameters
    ----------
    share : float
        Of a text's tokens, between 0 and 1.
    """

    name = "mlm"
    takes_checkpoint_head = True

    def __init__(self, share: float = SHARE):
        self.share = share

    def predict(
        self, sequences: Sequence[np.ndarray], tokenizer, generators: Iterable[np.random.Generator]
    ) -> list[Input]:
        """Hide tokens of each sequence; StiltsError if the tokenizer has no mask token."""
        if tokenizer.mask_token_id is None:
            raise StiltsError("the encoder's tokenizer has no mask token; leave task 'mlm' out of the study")
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
        """The text's own tokens in the places of the hidden ones."""
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
    """Return the positions (predicted,) that a text's tokens are predicted at, and the ids that are shown (tokens,)."""
    # Nothing but uniform numbers is drawn: NumPy may change how it makes choices of them.
    order, kind, other = generator.random((3, len(eligible)))
    chosen = np.argsort(order)[: max(1, round(share * len(eligible)))]
    replacement = ordinary[(other * len(ordinary)).astype(int)]
    hidden = np.where(kind < MASKED, mask_id, np.where(kind < MASKED + REPLACED, replacement, ids[eligible]))
    shown = ids.copy()
    shown[eligible[chosen]] = hidden[chosen]
    return np.sort(eligible[chosen]).astype(np.int32), shown
