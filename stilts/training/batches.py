"""The schedule of a training: the examples of each update, and their split into passes."""

import math
import random
from collections.abc import Mapping, Sequence

from stilts.tasks.formats.base import EncodedSplit
from stilts.tasks.formats.inputs import Input

GROUP = 32  # batches sorted by length together: large enough for little padding, small enough to stay random


def group_batches(lengths: Sequence[int], batch_size: int, rng: random.Random) -> list[list[int]]:
    """Return the shuffled batches of one epoch, each with positions of inputs of similar length."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), GROUP * batch_size):
        group = sorted(order[start : start + GROUP * batch_size], key=lambda i: lengths[i])
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    rng.shuffle(batches)
    return batches


def schedule_updates(
    tasks: Mapping[str, EncodedSplit], batch_size: int, epochs: float, example_cap: int | None, seed: int
) -> list[tuple[str, list[int]]]:
    """Return the updates of a training: (task, positions of its inputs).

    Each task contributes min(size, cap) examples per epoch, sampled anew in each epoch, so that tasks are sampled in
    proportion to their capped sizes; without a cap, it contributes all. A fraction of an epoch is that fraction of its
    updates.
    """
    rng = random.Random(seed)
    updates: list[tuple[str, list[int]]] = []
    per_epoch = 0
    for epoch in range(math.ceil(epochs)):
        current = []
        for name, data in tasks.items():
            size = len(data.inputs)
            chosen = sorted(rng.sample(range(size), size if example_cap is None else min(size, example_cap)))
            lengths = [data.inputs[i].longest for i in chosen]
            batches = group_batches(lengths, batch_size, rng)
            current += [(name, [chosen[i] for i in batch]) for batch in batches]
        rng.shuffle(current)
        per_epoch = len(current)
        updates += current[: round(per_epoch * min(1.0, epochs - epoch))]
    return updates


def count_padded_tokens(parts: Sequence[Input]) -> int:
    """Return the number of tokens of a batch with padding: its sequences times the longest one."""
    return sum(len(part.sequences) for part in parts) * max(part.longest for part in parts)


def cut_by_tokens(parts: Sequence[Input], most: int) -> list[list[Input]]:
    """Split a batch, in order, into passes of at most `most` padded tokens; a longer input is alone.

    The batches of a training are sorted by length, so there is little padding.
    """
    passes: list[list[Input]] = []
    for part in parts:
        if passes and count_padded_tokens([*passes[-1], part]) <= most:
            passes[-1].append(part)
        else:
            passes.append([part])
    return passes


def cut_evenly(parts: Sequence[Input], count: int) -> list[Sequence[Input]]:
    """Split a batch, in order, into at most `count` passes of equal size; the last one may be smaller."""
    size = -(-len(parts) // count)
    return [parts[start : start + size] for start in range(0, len(parts), size)]
