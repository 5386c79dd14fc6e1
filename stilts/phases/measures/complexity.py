"""The complexity of an intermediate task: code length, sample complexity, input length and label entropy.

Code length is the prequential (online) one of Voita and Titov (2020, arXiv:2003.12298). The labels are sent in portions
of growing size: the first in a uniform code, every other one with a model that is trained on all portions before it.
The labels of a task that is learned from few examples take few bits. Voita and Titov train a probe on a frozen encoder;
here the encoder, or its adapters, and a head are fine-tuned as in the intermediate phase, but never again from another
seed: a training at chance is a point of the curve. A model that is fine-tuned on few examples is overconfident, and its
wrong predictions would cost more than the uniform code. Therefore the logits of each model are divided by the
temperature (Guo et al. 2017, arXiv:1706.04599) at which the dev set's labels take the fewest bits. Sender and receiver
are assumed to share the dev set.

The same trainings give the learning curve: the dev score by the number of training examples. Sample complexity is the
number at which the interpolated curve has risen by a given share of the difference between chance and its last value.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from stilts.models.model import MultiTaskModel, autocast, build_model, find_default_device, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.sources.splits import load
from stilts.study.errors import StiltsError
from stilts.study.provenance import Work
from stilts.study.runs import Run
from stilts.study.settings import ComplexitySettings, TrainingSettings
from stilts.tasks.formats.base import EncodedSplit, TrainedFormat, encode_split
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.terms import measure_label_entropy, measure_uniform_bits
from stilts.tasks.metrics import score
from stilts.tasks.registry import get_intermediate
from stilts.training.loop import train
from stilts.training.prediction import batch_by_tokens

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.checkout import Checkout

Progress = Callable[[int, int], None]  # examples done, all examples

TEMPERATURES = tuple(2 ** (step / 2) for step in range(-2, 15))  # 0.5 (more confident than trained) to 128
BATCH_TOKENS = 4096  # per forward pass that codes or evaluates
STANDARD_ERRORS = 2  # a final score must exceed chance by so many, or the task counts as not learned


class Reached(NamedTuple):
    """Number of examples at which a learning curve reaches a level.

    Attributes
    ----------
    examples : float
    censored : int
        0 if the number is exact; 1 if the curve does not reach the level (`examples` is a lower bound); -1 if its first
        point is above the level already (`examples` is an upper bound).
    """

    examples: float
    censored: int


def measure_complexity(
    run: Run, checkout: "Checkout", state: Mapping[str, torch.Tensor] | None
) -> "tuple[dict[str, dict[str, float]], pd.DataFrame, Work]":
    """Return the complexity of one intermediate task, and its learning curve.

    The metrics are under the language of the task's data:

    ========================== ========================================================================================
    n, labels                  coded examples, and terms of their labels (classes, tags, span ends)
    code_bits_per_example      prequential code length, bits
    code_bits_per_label        prequential code length per term, bits
    uniform_bits_per_label     length of the uniform code per term, bits
    compression                uniform code length divided by prequential code length
    examples_to_share          training examples at which the given share of the final gain over chance is reached
    censored                   1: never reached (lower bound), -1: reached at the first point (upper bound), else 0
    score, chance              dev score after all examples, and of predictions that ignore the input, percent
    tokens_per_example         tokens of an encoded example: all its windows and choices, with special tokens
    label_entropy              bits per term, see `stilts.tasks.formats.terms.measure_label_entropy`
    ========================== ========================================================================================

    The table has a row for each training: `examples` trained on, `updates`, dev `score` (percent), `temperature`, and
    for the portion that the model then codes `block_examples`, `block_labels`, `block_bits` and `block_uniform_bits`.
    Its first row, with 0 examples, is the uniform code; the last model codes nothing.

    Raises
    ------
    StiltsError
        If the task's format predicts no labels, or there are too few examples for two portions.
    """
    import pandas as pd

    settings = run.settings.measure
    learner = _Learner(run, checkout, state, settings)
    ends = list_portions(learner.size, settings.first, settings.growth, learner.task.reference)
    rows = [learner.uncoded(ends[0])]
    note, visits = checkout.progress(run.id), [round(end * learner.training(end).epochs) for end in ends]
    for number, (end, stop) in enumerate(zip(ends, [*ends[1:], ends[-1]], strict=True)):
        rows.append(learner.learn(end, stop, _share_of(note, visits, number)))
    curve, work = pd.DataFrame(rows), Work(learner.examples, learner.tokens)
    return {learner.task.source_language: _metrics(learner, curve, settings.share)}, curve, work


def _share_of(note: Progress, visits: Sequence[int], number: int) -> Progress:
    """Return a callable that reports one training's progress as a share of all trainings' examples (`visits`)."""
    return lambda done, total: note(sum(visits[:number]) + visits[number] * done // total, sum(visits))


def list_portions(examples: int, first: int, growth: float, task: str = "") -> list[int]:
    """Return the end of each portion: the first is `first`, each next one about `growth` times as much, the last all.

    Parameters
    ----------
    task : str
        Name of the task in the error.

    Raises
    ------
    StiltsError
        If there are no examples beyond the first portion.
    """
    if examples <= first:
        raise StiltsError(
            f"complexity of task '{task}': `first` of the measure is {first}, but the task has only {examples} "
            "examples; lower it, or raise `examples`"
        )
    steps = max(1, round(math.log(examples / first) / math.log(growth)))
    return sorted({round(first * (examples / first) ** (step / steps)) for step in range(steps + 1)})


def count_examples_to_share(
    examples: Sequence[float], scores: Sequence[float], chance: float, share: float, noise: float = 0.0
) -> Reached:
    """Return the number of examples at which a learning curve reaches a share of its final gain over chance.

    The curve is first made non-decreasing (isotonic regression), so that a lucky training does not count. Between its
    points it is linear in the logarithm of the examples.

    Parameters
    ----------
    examples : sequence of float (n,)
        Training examples, increasing, above 0.
    scores : sequence of float (n,)
        Dev scores in percent.
    chance : float
        Score without training, in percent.
    share : float
        Between 0 and 1.
    noise : float
        Gain over chance, in points, up to which the task counts as not learned.
    """
    from scipy.optimize import isotonic_regression

    curve = isotonic_regression(scores).x
    if curve[-1] <= chance + noise:
        return Reached(float(examples[-1]), 1)
    level = chance + share * (curve[-1] - chance)
    place = int(np.argmax(curve >= level))
    if place == 0:
        return Reached(float(examples[0]), -1)
    low, high = curve[place - 1], curve[place]
    logs = np.log(examples[place - 1 : place + 1])
    return Reached(float(np.exp(logs[0] + (logs[1] - logs[0]) * (level - low) / (high - low))), 0)


def estimate_chance_noise(chance: float, dev_examples: int) -> float:
    """Return `STANDARD_ERRORS` standard errors, in points, of a chance-level accuracy on `dev_examples` examples."""
    return STANDARD_ERRORS * math.sqrt(chance * (100 - chance) / dev_examples)


@torch.inference_mode()
def measure_code_bits(
    model: MultiTaskModel, form: TrainedFormat, inputs: Sequence[Input], precision: str, temperatures: Sequence[float]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the code length of the true labels of all inputs under a model, and the head's outputs.

    Parameters
    ----------
    model : MultiTaskModel
        With the head `task`.
    temperatures : sequence of float
        Divisors of the logits.

    Returns
    -------
    float64 array (temperatures,)
        Bits.
    list of arrays
        Output for each input, see `stilts.tasks.formats.base.TrainedFormat.outputs`.
    """
    model.eval()
    nats, outputs = np.zeros(len(temperatures)), dict[int, np.ndarray]()
    for batch in batch_by_tokens([part.longest * len(part.sequences) for part in inputs], BATCH_TOKENS):
        parts = [inputs[i] for i in batch]
        with autocast(precision, model.device):
            logits = model.logits("task", parts)
        logits = logits.float()
        nats += [float(form.loss(logits / temperature, parts)) for temperature in temperatures]
        outputs |= zip(batch, form.outputs(logits, parts), strict=True)
    return nats / math.log(2), [outputs[place] for place in range(len(inputs))]


class _Learner:
    """Trains the encoder and a new head on the first examples of a task, and codes the next ones.

    Attributes
    ----------
    task : Task
    terms : Terms
    size : int
        Training examples.
    inputs : list of Input
        Inputs of all training examples, in the order in which they are sent.
    dev : EncodedSplit
    examples, tokens : int
        Examples and tokens that the encoder has read in the trainings so far.
    """

    def __init__(
        self,
        run: Run,
        checkout: "Checkout",
        state: Mapping[str, torch.Tensor] | None,
        settings: ComplexitySettings,
    ):
        self.task = task = get_intermediate(run.settings.task)
        self._training = run.settings.training
        self._form = task.format.with_options(doc_stride=self._training.doc_stride)
        if self._form.terms is None:
            raise StiltsError(
                f"complexity of task '{task.reference}': its format '{self._form.name}' predicts no labels"
            )
        self.terms = self._form.terms
        self._seed, self._heads, self._state, self._least = run.seed, run.heads, state, settings.updates
        self._draw = f"{run.phase} {run.seed}"
        self._precision = resolve_precision(self._training.precision, find_default_device())
        suite, self._folder = checkout.suite_folder(run), checkout.encoder_folder(run)
        tokenizer = load_prepared_tokenizer(self._folder)
        split = load(suite, task, task.source_language, "train", settings.examples)
        rows = random.Random(run.seed).sample(split.rows, len(split.rows))
        self.size, self._labels = len(rows), split.labels
        self.inputs = self._form.encode(rows, tokenizer, self._training.max_length)
        self._options = len(split.labels) or len(tokenizer)  # a masked-language-modelling head chooses among all tokens
        dev = load(suite, task, task.source_language, "validation", settings.dev_examples)
        self.dev = encode_split(self._form, dev, tokenizer, self._training.max_length)
        self.examples = self.tokens = 0

    @property
    def chance(self) -> float:
        """Score of predictions that ignore the input, in percent."""
        return self.terms.chance(self.inputs)

    def part(self, start: int, stop: int) -> list[Input]:
        """Return the inputs of the examples from `start` (inclusive) to `stop` (exclusive)."""
        return [part for part in self.inputs if start <= part.example < stop]

    def training(self, size: int) -> TrainingSettings:
        """Return the study's settings for a training on the first `size` examples."""
        batches = -(-len(self.part(0, size)) // self._training.batch_size)
        epochs = max(self._training.epochs, self._least / batches)
        once = {"evaluations": 1, "evaluate_every": None, "patience": None}
        return self._training.model_copy(update={"examples": size, "epochs": epochs, **once})

    def learn(self, size: int, stop: int, progress: Progress) -> dict[str, float]:
        """Train on the first `size` examples, code the next ones up to `stop`, and return a row of the table."""
        heads = {"task": (self._form, self._labels)}
        model, how = build_model(self._folder, heads, self._seed, self._heads), self.training(size)
        model.begin(self._state, how, goes_on=False, draw=self._draw)
        outcome = train(
            model,
            {"task": EncodedSplit(self._form, self.part(0, size))},
            how,
            seed=self._seed,
            dev_scores=lambda: {"task": 0.0},  # the only evaluation is at the end, so the last weights are kept
            progress=progress,
        )
        self.examples += outcome.examples
        self.tokens += outcome.tokens
        dev_score, temperature = self._dev(model)
        trained = {"examples": size, "updates": outcome.best_update, "score": dev_score, "temperature": temperature}
        return {**trained, **self.block(size, stop, model, temperature)}

    def uncoded(self, stop: int) -> dict[str, float]:
        """Return the first row of the table: the code length of the examples before `stop` without a model."""
        return {
            "examples": 0, "updates": 0, "score": self.chance, "temperature": math.inf, **self.block(0, stop)
        }  # fmt: skip

    def block(
        self, start: int, stop: int, model: MultiTaskModel | None = None, temperature: float = math.inf
    ) -> dict[str, float]:
        """Return the code length of some examples' labels under a model, or in a uniform code without one."""
        inputs = self.part(start, stop)
        uniform = measure_uniform_bits(self.terms, inputs, self._options)
        return {
            "block_examples": stop - start,
            "block_labels": self._form.weight(inputs),
            "block_bits": self._bits(model, inputs, [temperature])[0][0] if model else uniform,
            "block_uniform_bits": uniform,
        }

    def _dev(self, model: MultiTaskModel) -> tuple[float, float]:
        """Return a model's dev score in percent, and the temperature with the shortest code of the dev labels."""
        bits, outputs = self._bits(model, self.dev.inputs, TEMPERATURES)
        return score(self.dev.counts(self.dev.decode(outputs))), TEMPERATURES[int(np.argmin(bits))]

    def _bits(
        self, model: MultiTaskModel, inputs: Sequence[Input], temperatures: Sequence[float]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        return measure_code_bits(model, self._form, inputs, self._precision, temperatures)


def _metrics(learner: _Learner, curve: "pd.DataFrame", share: float) -> dict[str, float]:
    bits, labels = curve["block_bits"].sum(), curve["block_labels"].sum()
    uniform, trained = curve["block_uniform_bits"].sum(), curve[curve["examples"] > 0]
    noise = estimate_chance_noise(learner.chance, len(learner.dev.rows))
    reached = count_examples_to_share(
        trained["examples"].tolist(), trained["score"].tolist(), learner.chance, share, noise
    )
    found = {
        "n": learner.size,
        "labels": labels,
        "code_bits_per_example": bits / learner.size,
        "code_bits_per_label": bits / labels,
        "uniform_bits_per_label": uniform / labels,
        "compression": uniform / bits,
        "examples_to_share": reached.examples,
        "censored": reached.censored,
        "score": trained["score"].iloc[-1],
        "chance": learner.chance,
        "tokens_per_example": sum(part.tokens for part in learner.inputs) / learner.size,
        "label_entropy": measure_label_entropy(learner.terms, learner.inputs),
    }
    return {name: float(value) for name, value in found.items()}
