"""Phase `pretraining`: an encoder with random weights is trained on texts, with the objective of its architecture.

Encoders of all architectures read the same number of tokens in the same number of updates. The objective decides how
many of these tokens they predict (some or all), and what an update costs. The texts of a language are joined, each with
the tokenizer's end token, and cut into blocks of equal length, so that there is no padding.

The weights, the order of the blocks and their masks depend on the run's seed, so two seeds share only the texts. The
held-out blocks and their masks are the same for all seeds.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from stilts.models.conversion import draw_new_weights
from stilts.models.encoder_files import find_position_limit
from stilts.models.model import MultiTaskModel, autocast, build_model, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.models.scratch import draw
from stilts.sources.hub import load_split
from stilts.study.errors import StiltsError
from stilts.study.settings import Architecture, EncoderSettings, PretrainingSettings, TrainingSettings
from stilts.tasks.formats.base import EncodedSplit
from stilts.tasks.formats.causal_lm import CausalLM
from stilts.tasks.formats.inputs import Input, Row
from stilts.tasks.formats.language_model import LanguageModel
from stilts.tasks.formats.masked_lm import MaskedLM
from stilts.tasks.formats.span_corruption import SpanCorruption
from stilts.tasks.formats.subwords import find_special_tokens, split_texts
from stilts.training.loop import train
from stilts.training.prediction import batch_by_tokens
from stilts.training.processes import ALONE, Processes
from stilts.training.state import Outcome, SavedStates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CONFIG = "intermediate.text.multilingual"  # of a suite, with columns `text`, and `lang` if the languages are known
TASK = "text"
ALL_LANGUAGES = "mul"  # ISO 639-2: multiple languages

DEV_BATCH_TOKENS = 1024  # their logits over the whole vocabulary are held in memory

Metrics = dict[str, dict[str, float]]


class Block(NamedTuple):
    """Token ids (length,) from joined texts of one language."""

    ids: np.ndarray
    language: str


class Loss(NamedTuple):
    """Loss on the predicted tokens of some blocks: total bits, and number of correct predictions."""

    blocks: int
    tokens: int
    bits: float
    right: int

    @property
    def bits_per_token(self) -> float:
        """Mean over the predicted tokens."""
        return self.bits / self.tokens


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model and its metrics.

    Attributes
    ----------
    model : MultiTaskModel
        With the weights of its lowest held-out loss, and a head for the objective.
    metrics : dict
        "mul" and every language of the held-out texts -> `score` (accuracy of the predicted tokens, percent),
        `bits_per_token` (of the predicted tokens), `n` (blocks), `tokens_predicted` (held out). "mul" also has
        `training_tokens_read`, `training_tokens_predicted`, `parameters` (the encoder's weights without its word
        embeddings) and `embeddings` (the weights of these).
    outcome : Outcome
        Its dev scores are negative bits per token.
    """

    model: MultiTaskModel
    metrics: Metrics
    outcome: Outcome


def pretrain(
    suite: Path,
    folder: Path,
    settings: PretrainingSettings,
    encoder: EncoderSettings,
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    saved: SavedStates | None = None,
    processes: Processes = ALONE,
) -> Pretrained:
    """Return a model whose encoder is trained on the texts of a suite, from new random weights.

    Parameters
    ----------
    suite : Path
        Has the config `CONFIG` with the splits train and validation.
    folder : Path
        A prepared encoder with random weights.
    encoder : EncoderSettings
        Its architecture determines the objective.
    progress, saved, processes
        As for `stilts.training.loop.train`. Of several processes only the main one computes the metrics.

    Raises
    ------
    StiltsError
        If the texts make no block, blocks are longer than the encoder's input, or as `stilts.training.loop.train`.
    """
    objective = make_objective(encoder.pretrained, settings)
    tokenizer = load_prepared_tokenizer(folder)
    model = build_model(folder, {TASK: (objective, ())}, seed)
    _check_length(settings, model)
    _draw_again(model, encoder, seed)
    inputs = make_training_inputs(cut_blocks(_rows(suite, "train"), tokenizer, settings.length), objective, tokenizer,
                                  settings, seed)  # fmt: skip
    held_out = _HeldOut(
        cut_blocks(_rows(suite, "validation"), tokenizer, settings.length), objective, tokenizer, settings
    )
    outcome = train(
        model,
        {TASK: EncodedSplit(objective, inputs)},
        _as_training(settings),
        seed=seed,
        dev_scores=lambda: {TASK: -held_out.losses(model)[ALL_LANGUAGES].bits_per_token},
        progress=progress,
        saved=saved,
        processes=processes,
    )
    metrics = _metrics(held_out.losses(model), model, inputs, settings.length) if processes.is_main else {}
    return Pretrained(model, metrics, outcome)


def make_objective(architecture: Architecture, settings: PretrainingSettings) -> LanguageModel:
    """Return the pretraining objective of an architecture."""
    if architecture == "decoder":
        return CausalLM()
    return MaskedLM(settings.hidden_share) if architecture == "encoder" else SpanCorruption(settings.hidden_share)


def _rows(suite: Path, split: str) -> list[Row]:
    return load_split(suite, CONFIG, split, columns=("text",)).to_list()


def _check_length(settings: PretrainingSettings, model: MultiTaskModel) -> None:
    positions = find_position_limit(model.encoder.config.to_dict())
    if positions is not None and settings.length > positions:
        raise StiltsError(
            f"pretraining.length is {settings.length}, but the encoder has {positions} positions; lower it, or raise "
            "scratch.positions"
        )


def _draw_again(model: MultiTaskModel, encoder: EncoderSettings, seed: int) -> None:
    # Another seed, since the head's weights were drawn from `seed` and the encoder's would repeat their numbers.
    own = random.Random(f"{seed} weights").getrandbits(63)
    if encoder.scratch:
        model.encoder.load_state_dict(draw(model.encoder.config, own).state_dict())
    else:
        draw_new_weights(model.encoder, own)


def _as_training(settings: PretrainingSettings) -> TrainingSettings:
    return TrainingSettings(
        epochs=1,
        batch_size=_batch_size(settings),
        learning_rate=settings.learning_rate,
        head_learning_rate=settings.learning_rate,
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        clip=settings.clip,
        max_length=settings.length,
        precision=settings.precision,
        train_embeddings=True,
        evaluations=settings.evaluations,
        batch_tokens=settings.pass_tokens,
    )


def _batch_size(settings: PretrainingSettings) -> int:
    return settings.batch_tokens // settings.length


# --- blocks ----------------------------------------------------------------------------------------------------------


def cut_blocks(rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", length: int) -> list[Block]:
    """Return blocks of exactly `length` tokens, language by language; the remaining tokens of a language are left out.

    A block starts with the tokenizer's start tokens, and each text in it ends with the tokenizer's end tokens.

    Parameters
    ----------
    rows : sequence of mappings
        With `text`, and `lang` if it is known.

    Raises
    ------
    StiltsError
        If the texts make no block.
    """
    texts: dict[str, list[str]] = {}
    for row in rows:
        texts.setdefault(row.get("lang", ALL_LANGUAGES), []).append(row["text"])
    found = [block for language, own in texts.items() for block in _cut(own, tokenizer, length, language)]
    if not found:
        raise StiltsError(f"{CONFIG}: {len(rows)} texts are too few for a block of {length} tokens; add more text")
    return found


def _cut(texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast", length: int, language: str) -> list[Block]:
    before, after = find_special_tokens(tokenizer)
    whole = split_texts(tokenizer, texts, add_special_tokens=False)
    stream = np.concatenate([part for ids in whole for part in (ids, after)])
    room = length - len(before)
    pieces = stream[: len(stream) // room * room].reshape(-1, room)
    return [Block(np.array([*before, *piece], dtype=np.int32), language) for piece in pieces]


def make_training_inputs(
    texts: Sequence[Block],
    objective: LanguageModel,
    tokenizer: "PreTrainedTokenizerFast",
    settings: PretrainingSettings,
    seed: int,
) -> list[Input]:
    """Return the inputs of all updates of a training: the blocks in random order, repeated as often as needed.

    Each repetition has a new order and new masks.
    """
    count = settings.updates * _batch_size(settings)
    rng = np.random.default_rng([seed, 0])
    order: list[int] = []
    while len(order) < count:
        order += np.argsort(rng.random(len(texts))).tolist()
    generators = (np.random.default_rng([seed, 1, number]) for number in range(count))
    return objective.predict([texts[number].ids for number in order[:count]], tokenizer, generators)


# --- held-out loss ---------------------------------------------------------------------------------------------------


class _HeldOut:
    """Held-out blocks, evenly spaced among all, with their masks."""

    def __init__(
        self,
        texts: Sequence[Block],
        objective: LanguageModel,
        tokenizer: "PreTrainedTokenizerFast",
        settings: PretrainingSettings,
    ):
        most = min(settings.dev_blocks, len(texts))
        chosen = [texts[number * len(texts) // most] for number in range(most)]
        generators = (np.random.default_rng([0, number]) for number in range(most))
        self.objective, self.precision = objective, settings.precision
        self.inputs = objective.predict([block.ids for block in chosen], tokenizer, generators)
        self.languages = [chosen[part.example].language for part in self.inputs]

    def losses(self, model: MultiTaskModel) -> dict[str, Loss]:
        """Return the loss on the blocks of each language, and of all languages."""
        each = self._each(model)
        by_language: dict[str, list[Loss]] = {ALL_LANGUAGES: each}
        for language, loss in zip(self.languages, each, strict=True):
            if language != ALL_LANGUAGES:
                by_language.setdefault(language, []).append(loss)
        return {language: _total(own) for language, own in by_language.items()}

    @torch.inference_mode()
    def _each(self, model: MultiTaskModel) -> list[Loss]:
        """Return the loss on each block."""
        model.eval()
        losses: dict[int, Loss] = {}
        precision = resolve_precision(self.precision, model.device)
        for batch in batch_by_tokens([part.tokens for part in self.inputs], DEV_BATCH_TOKENS):
            parts = [self.inputs[number] for number in batch]
            with autocast(precision, model.device):
                logits = model.logits(TASK, parts)
            own = logits.float().split([len(part.target) for part in parts])
            losses |= {number: self._loss(*pair) for number, *pair in zip(batch, own, parts, strict=True)}
        return [losses[number] for number in range(len(self.inputs))]

    def _loss(self, logits: torch.Tensor, part: Input) -> Loss:
        bits = self.objective.loss(logits, [part]).item() / math.log(2)
        (best,) = self.objective.outputs(logits, [part])
        return Loss(1, len(part.target), bits, int((best == part.target).sum()))


def _total(losses: Sequence[Loss]) -> Loss:
    return Loss(*map(sum, zip(*losses, strict=True)))


def _metrics(losses: dict[str, Loss], model: MultiTaskModel, inputs: Sequence[Input], length: int) -> Metrics:
    metrics = {
        language: {
            "score": 100 * loss.right / loss.tokens,
            "n": loss.blocks,
            "bits_per_token": loss.bits_per_token,
            "tokens_predicted": loss.tokens,
        }
        for language, loss in losses.items()
    }
    embeddings = model.encoder.get_input_embeddings().weight.numel()
    metrics[ALL_LANGUAGES] |= {
        "training_tokens_read": len(inputs) * length,
        "training_tokens_predicted": sum(len(part.target) for part in inputs),
        "parameters": sum(weight.numel() for weight in model.encoder.parameters()) - embeddings,
        "embeddings": embeddings,
    }
    return metrics
