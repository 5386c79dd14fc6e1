"""Which texts a trimmed vocabulary covers, and the refusal of all others where texts are encoded."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerFast


_BATCH = 4096


def hash_texts(texts: Iterable[str]) -> "np.ndarray":
    """The texts' 64-bit digests (BLAKE2b), ascending, without repetition; shape (n,), uint64."""
    import numpy as np

    return np.unique(np.fromiter((hash_text(text) for text in texts), np.uint64))


def assert_covered(keys: "np.ndarray", texts: Iterable[str]) -> None:
    """Check that every text is among those for which a vocabulary was trimmed.

    Cheaper than `assert_same_pieces` and stricter: it needs no whole tokenizer and refuses every text not named before.

    Parameters
    ----------
    keys : numpy.ndarray
        As `hash_texts` gives them.
    texts : iterable of str
        What is about to be encoded; of a text that is given as words, each word.

    Raises
    ------
    StiltsError
        The first text that is not among them.
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
    """Note on a tokenizer for which texts its vocabulary was trimmed, by `hash_texts`; None: for any text."""
    tokenizer.covered_texts = keys


def check_covered(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> None:
    """Refuse what a tokenizer's vocabulary was not trimmed for, see `cover`: it would become other or unknown tokens.

    Everything that encodes a study's texts asks it first.

    Raises
    ------
    StiltsError
        As `assert_covered`.
    """
    keys = getattr(tokenizer, "covered_texts", None)
    if keys is not None:
        assert_covered(keys, texts)


def hash_text(text: str) -> int:
    """Return the digest by which a text is known, 64 bits."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def shorten_text(text: str) -> str:
    """Return a text as a message shows it, cut where it is long."""
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
