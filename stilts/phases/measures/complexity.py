"""How complex an intermediate task is: code length, sample complexity, input length and label entropy.

Code length is the prequential (online) one of Voita and Titov (2020, arXiv:2003.12298): labels are sent in portions
that grow; the first in a uniform code, each other one by the model that was trained on all before it. A task that is
learned from few examples is sent in few bits. Here the model is the study's own: encoder and head, fine-tuned as in the
intermediate phase, where they train a probe on a frozen encoder. Fine-tuned on few examples it is far too sure of what
it says, and wrong predictions would cost more than the uniform code; so the logits of each model are divided by one
temperature (Guo et al. 2017, arXiv:1706.04599), the one at which the dev set's labels cost least. The dev set stands
for what sender and receiver share.

The same trainings give the learning curve: the dev score by the number of training examples. Sample complexity is the
number at which the curve, interpolated, has come a stated share of the way from chance to its end.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from stilts.models.model import MultiTaskModel, autocast, build_model, default_device, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.sources.splits import load
from stilts.study.errors import StiltsError
from stilts.study.provenance import Work
from stilts.study.runs import Run
from stilts.study.settings import ComplexitySettings, TrainingSettings
from stilts.tasks.formats.base import EncodedSplit, TrainedFormat, encode_split
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.terms import label_entropy, uniform_bits
from stilts.tasks.metrics import score
from stilts.tasks.registry import get_intermediate
from stilts.training.loop import train
from stilts.training.prediction import batch_by_tokens

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.checkout import Checkout

Progress = Callable[[int, int], None]  # examples that went through, all examples

# Logits are divided by the one that suits the dev set: from twice as sure as trained to hardly sure at all.
TEMPERATURES = tuple(2 ** (step / 2) for step in range(-2, 15))
BATCH_TOKENS = 4096  # of one pass that codes or evaluates
STANDARD_ERRORS = 2  # by which a final score must exceed chance, or nothing counts as learned


class Reached(NamedTuple):
    """How many examples it took: `censored` is 1 where the curve's end is not enough, -1 where its start already was.

    Attributes
    ----------
    examples : float
        The number; at least that many where `censored` is 1, at most that many where it is -1.
    censored : int
    """

    examples: float
    censored: int


def complexity(
    run: Run, checkout: "Checkout", state: Mapping[str, torch.Tensor] | None
) -> "tuple[dict[str, dict[str, float]], pd.DataFrame, Work]":
    """Return the complexity of one intermediate task, and its learning curve.

    Metrics, under the language of the task's data:

    ========================== ========================================================================================
    n, labels                  examples that are coded, and terms of their labels (classes, tags, span ends)
    code_bits_per_example      prequential code length, bits
    code_bits_per_label        the same a term
    uniform_bits_per_label     length of the uniform code, bits
    compression                uniform code length through prequential code length
    examples_to_share          training examples after which the stated share of the final score over chance is reached
    censored                   of it: 1 never reached (at least so many), -1 from the first point on (at most so many)
    score, chance              dev score after all examples, and of a prediction that does not look at an input, percent
    tokens_per_example         length of an encoded example, all its windows and choices, special tokens included
    label_entropy              bits a term, see `stilts.tasks.formats.terms.label_entropy`
    ========================== ========================================================================================

    The table has a row for each training: `examples` trained on, `updates`, dev `score` (percent), `temperature`, and
    of the portion that the model then codes `block_examples`, `block_labels`, `block_bits` and `block_uniform_bits`.
    Its first row, of 0 examples, is the uniform code; the last model codes nothing.

    Raises
    ------
    StiltsError
        If the task's format chooses no labels, or there are fewer examples than two portions need.
    """
    import pandas as pd

    settings = run.settings.measure
    learner = _Learner(run, checkout, state, settings)
    ends = portions(learner.size, settings.first, settings.growth, learner.task.reference)
    rows = [learner.uncoded(ends[0])]
    note, visits = checkout.progress(run.id), [round(end * learner.training(end).epochs) for end in ends]
    for number, (end, stop) in enumerate(zip(ends, [*ends[1:], ends[-1]], strict=True)):
        rows.append(learner.learn(end, stop, _share_of(note, visits, number)))
    curve, work = pd.DataFrame(rows), Work(learner.examples, learner.tokens)
    return {learner.task.source_language: _metrics(learner, curve, settings.share)}, curve, work


def _share_of(note: Progress, visits: Sequence[int], number: int) -> Progress:
    """Return what notes the progress of one of several trainings, each of so many examples."""
    return lambda done, total: note(sum(visits[:number]) + visits[number] * done // total, sum(visits))


def portions(examples: int, first: int, growth: float, task: str = "") -> list[int]:
    """Return where the portions end: the first after `first` examples, the last after all, each about `growth` times
    the one before.

    Parameters
    ----------
    task : str
        What the message names.

    Raises
    ------
    StiltsError
        If there are no examples beyond the first portion.
    """
    if examples <= first:
        raise StiltsError(
            f"complexity of task '{task}': it has {examples} examples, and `first` of the measure takes {first} of "
            "them; lower it, or raise `examples`"
        )
    steps = max(1, round(math.log(examples / first) / math.log(growth)))
    return sorted({round(first * (examples / first) ** (step / steps)) for step in range(steps + 1)})


def examples_to_share(
    examples: Sequence[float], scores: Sequence[float], chance: float, share: float, noise: float = 0.0
) -> Reached:
    """Return the number of examples at which a learning curve has come a share of the way from chance to its end.

    The curve is made non-decreasing first (isotonic regression), so that a lucky training does not count, and is linear
    in the logarithm of the examples between its points.

    Parameters
    ----------
    examples : sequence of float (n,)
        Training examples, rising, above 0.
    scores : sequence of float (n,)
        Dev scores in percent.
    chance : float
        Score without any example.
    share : float
        Between 0 and 1.
    noise : float
        By how much the end must exceed chance for anything to be learned at all.
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


def chance_noise(chance: float, dev_examples: int) -> float:
    """Return `STANDARD_ERRORS` standard errors, in points, of an accuracy at chance on so many dev examples."""
    return STANDARD_ERRORS * math.sqrt(chance * (100 - chance) / dev_examples)


@torch.inference_mode()
def code_bits(
    model: MultiTaskModel, form: TrainedFormat, inputs: Sequence[Input], precision: str, temperatures: Sequence[float]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return what the true labels of all inputs cost by a model's predictions, and the head's outputs.

    Parameters
    ----------
    model : MultiTaskModel
        With the head `task`.
    temperatures : sequence of float
        What the logits are divided by.

    Returns
    -------
    float64 array (temperatures,)
        Bits.
    list of arrays
        What decoding needs of each input, see `stilts.tasks.formats.base.TrainedFormat.outputs`.
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
    """Trains the encoder and a new head on the first examples of a task, and codes those that follow.

    Attributes
    ----------
    task : Task
    terms : Terms
    size : int
        Training examples.
    inputs : list of Input
        Of all training examples, in the order in which they are sent.
    dev : EncodedSplit
    examples, tokens : int
        That went through the encoder in the trainings so far.
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
        self._precision = resolve_precision(self._training.precision, default_device())
        suite, self._folder = checkout.suite_folder(run), checkout.encoder_folder(run)
        tokenizer = load_prepared_tokenizer(self._folder)
        split = load(suite, task, task.source_language, "train", settings.examples)
        rows = random.Random(run.seed).sample(split.rows, len(split.rows))
        self.size, self._labels = len(rows), split.labels
        self.inputs = self._form.encode(rows, tokenizer, self._training.max_length)
        self._options = len(split.labels) or len(tokenizer)  # the head for masked tokens chooses among all tokens
        dev = load(suite, task, task.source_language, "validation", settings.dev_examples)
        self.dev = encode_split(self._form, dev, tokenizer, self._training.max_length)
        self.examples = self.tokens = 0

    @property
    def chance(self) -> float:
        """Score of a prediction that does not look at an input, in percent."""
        return self.terms.chance(self.inputs)

    def part(self, start: int, stop: int) -> list[Input]:
        """Return the inputs of the examples from `start` to before `stop`."""
        return [part for part in self.inputs if start <= part.example < stop]

    def training(self, size: int) -> TrainingSettings:
        """Return the study's settings for a training on the first `size` examples."""
        batches = -(-len(self.part(0, size)) // self._training.batch_size)
        epochs = max(self._training.epochs, self._least / batches)
        once = {"evaluations": 1, "evaluate_every": None, "patience": None}
        return self._training.model_copy(update={"examples": size, "epochs": epochs, **once})

    def learn(self, size: int, stop: int, progress: Progress) -> dict[str, float]:
        """Train on the first `size` examples, code those before `stop`; return a row of the curve's table."""
        heads = {"task": (self._form, self._labels)}
        model = build_model(self._folder, heads, self._seed, self._heads)
        if self._state is not None:
            model.load_encoder(self._state)
        outcome = train(
            model,
            {"task": EncodedSplit(self._form, self.part(0, size))},
            self.training(size),
            seed=self._seed,
            dev_scores=lambda: {"task": 0.0},  # the one evaluation is at the end: the last weights stay
            progress=progress,
        )
        self.examples += outcome.examples
        self.tokens += outcome.tokens
        dev_score, temperature = self._dev(model)
        trained = {"examples": size, "updates": outcome.best_update, "score": dev_score, "temperature": temperature}
        return {**trained, **self.block(size, stop, model, temperature)}

    def uncoded(self, stop: int) -> dict[str, float]:
        """Return the first row of the curve's table: what the examples before `stop` cost without any model."""
        return {
            "examples": 0, "updates": 0, "score": self.chance, "temperature": math.inf, **self.block(0, stop)
        }  # fmt: skip

    def block(
        self, start: int, stop: int, model: MultiTaskModel | None = None, temperature: float = math.inf
    ) -> dict[str, float]:
        """Return what the labels of some examples cost: by a model, or in a uniform code where there is none."""
        inputs = self.part(start, stop)
        uniform = uniform_bits(self.terms, inputs, self._options)
        return {
            "block_examples": stop - start,
            "block_labels": self._form.weight(inputs),
            "block_bits": self._bits(model, inputs, [temperature])[0][0] if model else uniform,
            "block_uniform_bits": uniform,
        }

    def _dev(self, model: MultiTaskModel) -> tuple[float, float]:
        """Return a model's dev score in percent, and the temperature at which the dev set's labels cost least."""
        bits, outputs = self._bits(model, self.dev.inputs, TEMPERATURES)
        return score(self.dev.counts(self.dev.decode(outputs))), TEMPERATURES[int(np.argmin(bits))]

    def _bits(
        self, model: MultiTaskModel, inputs: Sequence[Input], temperatures: Sequence[float]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        return code_bits(model, self._form, inputs, self._precision, temperatures)


def _metrics(learner: _Learner, curve: "pd.DataFrame", share: float) -> dict[str, float]:
    bits, labels = curve["block_bits"].sum(), curve["block_labels"].sum()
    uniform, trained = curve["block_uniform_bits"].sum(), curve[curve["examples"] > 0]
    noise = chance_noise(learner.chance, len(learner.dev.rows))
    reached = examples_to_share(trained["examples"].tolist(), trained["score"].tolist(), learner.chance, share, noise)
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
        "label_entropy": label_entropy(learner.terms, learner.inputs),
    }
    return {name: float(value) for name, value in found.items()}
