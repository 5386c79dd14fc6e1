"""Checks that texts are covered by a trimmed vocabulary before they are encoded."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerFast


_BATCH = 4096


def hash_texts(texts: Iterable[str]) -> "np.ndarray":
    """Return the distinct 64-bit digests (BLAKE2b) of texts, ascending, as uint64 of shape (n,)."""
    import numpy as np

    return np.unique(np.fromiter((hash_text(text) for text in texts), np.uint64))


def assert_covered(keys: "np.ndarray", texts: Iterable[str]) -> None:
    """Check that every text is among those for which a vocabulary was trimmed.

    This is cheaper than `assert_same_pieces`, since it needs no untrimmed tokenizer, and stricter.

    Parameters
    ----------
    keys : numpy.ndarray
        Digests of the texts, from `hash_texts`.
    texts : iterable of str
        The texts to encode; for a text given as words, each word.

    Raises
    ------
    StiltsError
        If a text is not covered; the message names the first one.
    """
    import numpy as np

    for batch in batch_texts(texts):
        own = np.fromiter((hash_text(text) for text in batch), np.uint64, len(batch))
        places = np.minimum(np.searchsorted(keys, own), max(0, len(keys) - 1))
        unknown = np.flatnonzero(keys[places] != own) if len(keys) else range(len(batch))
        if len(unknown):
            raise StiltsError(
                f"the text {shorten_text(batch[unknown[0]])} is not among those for which the encoder's vocabulary was "
                "trimmed; prepare the encoder with it, or set trim_vocabulary: false"
            )


def cover(tokenizer: "PreTrainedTokenizerFast", keys: "np.ndarray | None") -> None:
    """Store on a tokenizer the digests of the texts for which its vocabulary was trimmed; None allows any text."""
    tokenizer.covered_texts = keys


def check_covered(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> None:
    """Refuse texts for which a tokenizer's vocabulary was not trimmed, since they would get wrong or unknown tokens.

    All code that encodes a study's texts calls this first. See `cover`.

    Raises
    ------
    StiltsError
        As in `assert_covered`.
    """
    keys = getattr(tokenizer, "covered_texts", None)
    if keys is not None:
        assert_covered(keys, texts)


def hash_text(text: str) -> int:
    """Return the 64-bit digest of a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def shorten_text(text: str) -> str:
    """Return the `repr` of a text for a message, truncated if it is long."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def batch_texts(texts: Iterable[str]) -> Iterable[list[str]]:
    """Yield texts in lists of at most `_BATCH`."""
    batch = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
