"""Span corruption: an encoder-decoder generates masked spans of a text; the metric is accuracy on its tokens.

As in T5 (Raffel et al. 2020, arXiv:1910.10683, sections 3.1.4 and 3.3.4), 15 % of the tokens are masked in spans of 3
tokens on average. A sentinel token replaces each span in the encoder's input. The decoder generates each sentinel with
the tokens that it replaced, and a final sentinel.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.errors import StiltsError
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SHARE = 0.15  # share of a text's tokens that are masked
SPAN = 3  # tokens of a span, on average
SENTINEL = "<extra_id_{number}>"  # the name in T5's tokenizers


class SpanCorruption(LanguageModel):
    """Masks some tokens of each text, at least one, but no special tokens before it.

    Parameters
    ----------
    share : float
        Share of a text's tokens to mask, between 0 and 1.
    """

    name = "span_corruption"

    def __init__(self, share: float = SHARE):
        self.share = share

    def predict(
        self,
        sequences: Sequence[np.ndarray],
        tokenizer: "PreTrainedTokenizerFast",
        generators: Iterable[np.random.Generator],
    ) -> list[Input]:
        """Mask spans of each sequence of at least two tokens.

        Raises
        ------
        StiltsError
            If the tokenizer has too few sentinel tokens.
        """
        special = np.array(tokenizer.all_special_ids)
        inputs = []
        for i, (ids, generator) in enumerate(zip(sequences, generators, strict=True)):
            first = int(np.argmin(np.isin(ids, special)))  # also 0 if all are special
            if len(ids) - first > 1:
                hidden = _hidden(len(ids) - first, self.share, generator)
                shown, written = _corrupted(ids[first:], hidden, _sentinels(tokenizer, len(hidden) + 1))
                positions = np.arange(len(written), dtype=np.int32)
                inputs.append(Input(i, [*ids[:first], *shown], written, positions=positions, written=written))
        return inputs


def _hidden(length: int, share: float, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Draw the spans (start, stop) to mask; the first token is never masked, the last one always."""
    count = max(1, round(share * length))
    spans = max(1, round(count / SPAN))
    kept, hidden = _parts(length - count, spans, generator), _parts(count, spans, generator)
    stops = np.cumsum(kept + hidden)
    return list(zip((stops - hidden).tolist(), stops.tolist(), strict=True))


def _parts(total: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw `count` positive integers with the sum `total`, (count,), uniformly among all possibilities."""
    # Only uniform numbers are drawn, since NumPy may change how its other methods use them.
    cuts = 1 + np.sort(np.argsort(generator.random(total - 1))[: count - 1])
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _corrupted(
    ids: np.ndarray, hidden: Sequence[tuple[int, int]], sentinels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoder's input and the decoder's target, (tokens,) each."""
    shown, written, end = [], [], 0
    for (start, stop), sentinel in zip(hidden, sentinels, strict=False):
        shown += [*ids[end:start], sentinel]
        written += [sentinel, *ids[start:stop]]
        end = stop
    return np.array([*shown, *ids[end:]], dtype=np.int32), np.array([*written, sentinels[-1]], dtype=np.int32)


def _sentinels(tokenizer: "PreTrainedTokenizerFast", count: int) -> list[int]:
    """Return the ids of the first `count` sentinel tokens; StiltsError if there are fewer."""
    names = [SENTINEL.format(number=number) for number in range(count)]
    ids = tokenizer.convert_tokens_to_ids(names)
    if tokenizer.unk_token_id in ids or None in ids:
        raise StiltsError(
            f"the encoder's tokenizer does not have the {count} sentinel tokens {names[0]} to {names[-1]} that span "
            "corruption needs; shorten the texts, or remove this objective from the study"
        )
    return ids
