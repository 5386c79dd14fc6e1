"""Span corruption: spans of a text are hidden, and an encoder-decoder writes them; accuracy on what it writes.

As T5 is trained (Raffel et al. 2020, arXiv:1910.10683, sections 3.1.4 and 3.3.4): 15 % of the tokens in spans of 3 on
average. Where a span was, the encoder reads a sentinel token; the decoder writes each sentinel and the tokens that it
stands for, and one more sentinel at the end.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from stilts.study.errors import StiltsError
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.language_model import LanguageModel

SHARE = 0.15  # of a text's tokens are hidden
SPAN = 3  # tokens of a span, on average
SENTINEL = "<extra_id_{number}>"  # as T5's tokenizers call them


class SpanCorruption(LanguageModel):
    """Of each text some tokens are hidden, at least one; the special tokens before it never are.

    Parameters
    ----------
    share : float
        Of a text's tokens, between 0 and 1.
    """

    name = "span_corruption"

    def __init__(self, share: float = SHARE):
        self.share = share

    def predict(
        self, sequences: Sequence[np.ndarray], tokenizer, generators: Iterable[np.random.Generator]
    ) -> list[Input]:
        """Hide spans of each sequence of two tokens or more.

        Raises
        ------
        StiltsError
            If the tokenizer has too few sentinel tokens.
        """
        special = np.array(tokenizer.all_special_ids)
        inputs = []
        for i, (ids, generator) in enumerate(zip(sequences, generators, strict=True)):
            first = int(np.argmin(np.isin(ids, special)))  # 0 too where all are special
            if len(ids) - first > 1:
                hidden = _hidden(len(ids) - first, self.share, generator)
                shown, written = _corrupted(ids[first:], hidden, _sentinels(tokenizer, len(hidden) + 1))
                positions = np.arange(len(written), dtype=np.int32)
                inputs.append(Input(i, [*ids[:first], *shown], written, positions=positions, written=written))
        return inputs


def _hidden(length: int, share: float, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Draw which spans (start, stop) of so many tokens are hidden: never the first token, always the last one."""
    count = max(1, round(share * length))
    spans = max(1, round(count / SPAN))
    kept, hidden = _parts(length - count, spans, generator), _parts(count, spans, generator)
    stops = np.cumsum(kept + hidden)
    return list(zip((stops - hidden).tolist(), stops.tolist(), strict=True))


def _parts(total: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw `count` whole numbers above 0 of a sum, (count,), every choice of them as likely."""
    # Nothing but uniform numbers is drawn: NumPy may change how it makes choices of them.
    cuts = 1 + np.sort(np.argsort(generator.random(total - 1))[: count - 1])
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _corrupted(
    ids: np.ndarray, hidden: Sequence[tuple[int, int]], sentinels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is read and what is written, (tokens,) each."""
    shown, written, end = [], [], 0
    for (start, stop), sentinel in zip(hidden, sentinels, strict=False):
        shown += [*ids[end:start], sentinel]
        written += [sentinel, *ids[start:stop]]
        end = stop
    return np.array([*shown, *ids[end:]], dtype=np.int32), np.array([*written, sentinels[-1]], dtype=np.int32)


def _sentinels(tokenizer, count: int) -> list[int]:
    """Return the ids of the first sentinel tokens; StiltsError if there are fewer."""
    names = [SENTINEL.format(number=number) for number in range(count)]
    ids = tokenizer.convert_tokens_to_ids(names)
    if tokenizer.unk_token_id in ids or None in ids:
        raise StiltsError(
            f"the encoder's tokenizer has not the {count} sentinel tokens {names[0]} to {names[-1]} that span "
            "corruption needs; shorten the texts, or leave this objective out of the study"
        )
    return ids
