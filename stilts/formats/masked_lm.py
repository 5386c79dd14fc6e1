"""Masked language modelling: some tokens of a text are hidden and predicted from the others; accuracy on them.

The masks are drawn once, when a text is encoded, and not anew in each epoch. What drawing anew is worth shows where
each text is seen dozens of times (Liu et al. 2019, arXiv:1907.11692, section 4.1, find even then little between ten
masks a text and one each time); mixed into an intermediate phase, a text is seen once to three times.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from stilts.errors import StiltsError
from stilts.formats.base import Input, Row, by_example, subwords
from stilts.metrics import Counts

SHARE = 0.15  # of a text's tokens are predicted (Devlin et al. 2019, arXiv:1810.04805)
MASKED = 0.8  # of these become the mask token
REPLACED = 0.1  # of these become any token; the rest stays as it is


class MaskedLM:
    """Rows `text`; a text that is too long loses its end.

    15 % of a text's tokens are predicted, at least one; special and unknown tokens never are. The text itself is the
    seed of its mask, so that it is the same wherever the text stands. Only what is predicted goes through the head.

    A checkpoint's own head for masked tokens is gone on with where `stilts.masked_heads` found one (XLM-R); else the
    head is new.
    """

    name = "mlm"
    columns = ("text",)
    label_column = None

    def encode(self, rows: Sequence[Row], tokenizer, max_length: int) -> list[Input]:
        """One input per row, none for a text without any token; target: the true ids at `positions`.

        Raises
        ------
        StiltsError
            If the tokenizer has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise StiltsError("the encoder's tokenizer has no mask token; leave task 'mlm' out of the study")
        special = np.array(tokenizer.all_special_ids)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)
        texts = [row["text"] for row in rows]
        inputs = []
        for i, ids in enumerate(subwords(tokenizer, texts, truncation=True, max_length=max_length)):
            eligible = np.flatnonzero(~np.isin(ids, special))
            if len(eligible):
                positions, shown = _mask(texts[i], ids, eligible, tokenizer.mask_token_id, ordinary)
                inputs.append(Input(i, shown, ids[positions], positions=positions))
        return inputs

    def head(self, hidden_size: int, labels: Sequence[str]):
        """A head over the vocabulary; `labels` are its tokens."""
        from stilts.formats.heads import MaskedTokenHead

        return MaskedTokenHead(hidden_size, len(labels))

    def loss(self, logits, inputs: Sequence[Input]):
        """Sum of cross entropies; logits (predicted tokens, vocabulary)."""
        import torch

        targets = torch.from_numpy(np.concatenate([part.target for part in inputs])).long().to(logits.device)
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    def weight(self, inputs: Sequence[Input]) -> int:
        """Number of predicted tokens."""
        return sum(len(part.target) for part in inputs)

    def outputs(self, logits, inputs: Sequence[Input]) -> list[np.ndarray]:
        """Most probable token of each that is predicted, (predicted,)."""
        best = logits.argmax(-1).cpu().numpy()
        return np.split(best, np.cumsum([len(part.target) for part in inputs])[:-1])

    def decode(self, rows, inputs: Sequence[Input], outputs, labels: Sequence[str]) -> list[str]:
        """For each predicted token `given:true`, ids of the vocabulary, joined by spaces: rows hold no gold tokens."""
        return [
            " ".join(f"{guess}:{true}" for part, best in example for guess, true in zip(best, part.target, strict=True))
            for example in by_example(len(rows), inputs, outputs)
        ]

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Predicted tokens of each text, and how many of them are right."""
        pairs = [[pair.split(":") for pair in prediction.split()] for prediction in predictions]
        right = [sum(guess == true for guess, true in own) for own in pairs]
        sizes = list(map(len, pairs))
        return Counts(np.array(right), np.array(sizes), np.array(sizes))


def _mask(
    text: str, ids: np.ndarray, eligible: np.ndarray, mask_id: int, ordinary: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (predicted,) that a text's tokens are predicted at, and the ids that are shown (tokens,)."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    # Nothing but uniform numbers is drawn: NumPy may change how it makes choices of them.
    order, kind, other = np.random.default_rng(int.from_bytes(digest, "little")).random((3, len(eligible)))
    chosen = np.argsort(order)[: max(1, round(SHARE * len(eligible)))]
    replacement = ordinary[(other * len(ordinary)).astype(int)]
    hidden = np.where(kind < MASKED, mask_id, np.where(kind < MASKED + REPLACED, replacement, ids[eligible]))
    shown = ids.copy()
    shown[eligible[chosen]] = hidden[chosen]
    return np.sort(eligible[chosen]).astype(np.int32), shown
