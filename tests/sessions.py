"""Trainings of tiny models whose every state is kept."""

import tiny
import torch

from stilts.models.model import build_model
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.base import EncodedSplit
from stilts.training.loop import train

ROWS = {
    "classification": (tiny.intent_rows("en"), ["open", "close"]),
    "tagging": (tiny.slot_rows("en"), tiny.TAGS),
    "span_qa": (tiny.qa_rows("en"), ()),
}


QUICK = TrainingSettings(batch_size=8, learning_rate=1e-3, precision="fp32", evaluations=1)


class Session:
    """A new model and what its training saw."""

    def __init__(self, encoder, tasks: dict[str, EncodedSplit], model_seed: int = 0, packs: bool = False):
        self.tasks = tasks
        self.model = build_model(encoder, {name: (FORMATS[name], ROWS[name][1]) for name in tasks}, model_seed)
        assert not packs or self.model.pack_batches()
        self.states: list[dict[str, torch.Tensor]] = []
        self.progress: list[tuple[int, int]] = []

    def train(self, settings: TrainingSettings, dev_scores=(), seed: int = 1, **options):
        """Train with scripted dev scores, one for each evaluation; 50 where none is left."""
        script = iter(dev_scores)

        def scores() -> dict[str, float]:
            self.states.append(self.state())
            return {name: next(script, 50.0) for name in self.tasks}

        return train(self.model, self.tasks, settings, seed=seed, dev_scores=scores,
                     progress=lambda *done: self.progress.append(done), **options)  # fmt: skip

    def state(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


class SmallMemory(torch.nn.Module):
    """A layer in front of an encoder's, on a device that holds so many tokens at a time."""

    def __init__(self, layer: torch.nn.Module, tokens: int):
        super().__init__()
        self.layer, self.tokens, self.held = layer, tokens, []

    def forward(self, hidden: torch.Tensor, *args, **options):
        held = hidden.shape[0] * hidden.shape[1]
        if held > self.tokens:
            raise torch.OutOfMemoryError(f"CUDA out of memory. {held} tokens")
        self.held.append(held)
        return self.layer(hidden, *args, **options)


def shrink_memory(session: Session, tokens: int) -> SmallMemory:
    layers = session.model.encoder.encoder.layer
    layers[0] = SmallMemory(layers[0], tokens)
    return layers[0]
