"""Prediction: the heads' outputs in batches of similar length, and pooled sentence vectors by layer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from stilts.models.backbones import Backbone
from stilts.models.model import MultiTaskModel, autocast, pad, resolve_precision
from stilts.tasks.formats.base import EncodedSplit, TrainedFormat
from stilts.tasks.formats.heads import mean_pool
from stilts.tasks.formats.inputs import Input
from stilts.tasks.metrics import Counts, score

BATCH_TOKENS = 4096  # default number of tokens in a padded batch

Progress = Callable[[int], Any]  # called with the number of newly processed examples


def count_progress(progress: Callable[[int, int], Any], total: int) -> Progress:
    """Return a callback for increments that reports (done, total); `total` may be an estimate and caps `done`."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done = min(total, done + count)
        progress(done, total)

    return more


def batch_by_tokens(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield batches of positions, sorted by length, with at most `most` padded tokens; a longer input is alone."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[position] > most:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


@torch.inference_mode()
def compute_outputs(
    model: MultiTaskModel,
    task: str,
    form: TrainedFormat,
    inputs: Sequence[Input],
    *,
    batch_tokens: int,
    precision: str,
    progress: Progress = lambda done: None,
) -> list[np.ndarray]:
    """Return the result of `TrainedFormat.outputs` for each input, in order. The model is put in eval mode."""
    model.eval()
    outputs: list[Any] = [None] * len(inputs)
    for batch in batch_by_tokens([part.longest * len(part.sequences) for part in inputs], batch_tokens):
        parts = [inputs[i] for i in batch]
        with autocast(precision, model.device):
            logits = model.logits(task, parts)
        for position, output in zip(batch, form.outputs(logits.float(), parts), strict=True):
            outputs[position] = output
        progress(len(batch))
    return outputs


def predict(model: MultiTaskModel, task: str, split: EncodedSplit, **options: Any) -> list[str]:
    """Return one prediction per row, as text. The options are those of `compute_outputs`."""
    return split.decode(compute_outputs(model, task, split.form, split.inputs, **options))


def count_predictions(model: MultiTaskModel, task: str, split: EncodedSplit, **options: Any) -> Counts:
    """Return the contribution of each row to the metric. The options are those of `compute_outputs`."""
    return split.counts(predict(model, task, split, **options))


def score_dev(model: MultiTaskModel, task: str, split: EncodedSplit, precision: str) -> float:
    """Return the score of a dev set in percent; `precision` may be "auto"."""
    computed = resolve_precision(precision, model.device)
    return score(count_predictions(model, task, split, batch_tokens=BATCH_TOKENS, precision=computed))


@torch.inference_mode()
def embed(
    encoder: Any,
    ids: Sequence[Sequence[int] | np.ndarray],
    layers: Sequence[int],
    *,
    batch_tokens: int,
    precision: str,
    progress: Progress = lambda done: None,
) -> np.ndarray:
    """Return sentence vectors by hidden layer: means of hidden states, including special tokens.

    The weights of the means, and the choice of states, depend on the architecture, see `stilts.models.backbones`.

    Parameters
    ----------
    ids : sequence of token ids
        Token ids of each text, with special tokens.
    layers : sequence of int
        Hidden layers: 1 is the first, -1 the last, 0 the embeddings.

    Returns
    -------
    float32 array (layers, texts, hidden)
    """
    encoder.eval()
    backbone = Backbone(encoder)
    inputs = [Input(i, tokens, None) for i, tokens in enumerate(ids)]
    vectors = np.empty((len(layers), len(ids), encoder.config.hidden_size), dtype=np.float32)
    for batch in batch_by_tokens([len(tokens) for tokens in ids], batch_tokens):
        padded, mask = pad([inputs[i] for i in batch], encoder.config.pad_token_id, encoder.device)
        with autocast(precision, encoder.device):
            states = backbone.layer_states(padded, mask)
        for row, layer in enumerate(layers):
            vectors[row, batch] = mean_pool(states[layer], backbone.text_weights(mask)).cpu().numpy()
        progress(len(batch))
    return vectors
