"""Checks of a plan's runs: settings that are valid on their own, but not with the encoder or the training's size.

Without these checks a run would fail hours later, or silently do something else than its settings say.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from stilts.models.known_encoders import Shape, find_layer
from stilts.study.errors import StiltsError
from stilts.study.runs import (
    ComplexityRunSettings,
    PretrainingRunSettings,
    Run,
    RunSettings,
    SimilarityRunSettings,
    TrainingRunSettings,
    ZeroShotRunSettings,
)
from stilts.study.settings import ScratchSettings, TrainingSettings
from stilts.tasks.registry import get_intermediate, get_target

MOST_RUNS = 10**6  # per study


def check_number(seeds: int, conditions: int, targets: int) -> None:
    """Raise StiltsError if seeds, conditions and targets make more runs than a plan can hold."""
    count = seeds * conditions * (1 + 2 * targets)
    if count > MOST_RUNS:
        raise StiltsError(
            f"the study has about {count:,} runs ({seeds} seeds, {conditions} conditions, {targets} targets), more "
            f"than {MOST_RUNS:,}; split it into several studies"
        )


def check_runs(runs: Iterable[Run], shapes: Mapping[str, Shape], positions: Mapping[str, int]) -> None:
    """Check the settings of runs against their encoders.

    Parameters
    ----------
    shapes : mapping of str to Shape
        Known shapes by the encoder's name; runs of other encoders are not checked against a shape.
    positions : mapping of str to int
        Maximum number of tokens of an input by the encoder's name, for encoders that have one.

    Raises
    ------
    StiltsError
        If a run asks for more layers or positions than its encoder has, or for a LoRA rank above its hidden size; an
        intermediate training freezes all layers; a training has no update, or fewer than evaluations; or a measure of
        complexity has restarts.
    """
    checked = set()
    for run in runs:
        # Thousands of runs may share their settings.
        decisive = (run.phase, run.target, run.settings.model_dump_json(exclude={"languages"}))
        if decisive not in checked:
            checked.add(decisive)
            _check(run, shapes, positions)


def _check(run: Run, shapes: Mapping[str, Shape], positions: Mapping[str, int]) -> None:
    settings, encoder = run.settings, run.settings.encoder
    scratch = encoder.scratch
    where = f"{run.phase} run of {run.target or run.condition}"
    try:
        if scratch:
            _check_scratch_positions(scratch, settings)
        elif encoder.name in positions:
            _check_positions(settings, encoder.name, positions[encoder.name])
        shape = Shape(scratch.layers, scratch.hidden, 0, 0) if scratch else shapes.get(encoder.name)
        if shape and "encoder-decoder" in (encoder.convert_to, scratch and scratch.architecture):
            shape = replace(shape, cross=shape.layers // 2)
        if shape:
            _check_shape(run, shape)
        if isinstance(settings, TrainingRunSettings):
            _check_updates(run)
        if isinstance(settings, ComplexityRunSettings):
            _check_restarts(settings.training)
    except StiltsError as error:
        raise StiltsError(f"{where}: {error}") from None


def _check_scratch_positions(scratch: ScratchSettings, settings: RunSettings) -> None:
    for name, length in _lengths(settings).items():
        if length > scratch.positions:
            raise StiltsError(
                f"{name} is {length}, but the encoder has {scratch.positions} positions; lower it, or raise "
                "scratch.positions"
            )


def _check_positions(settings: RunSettings, encoder: str, positions: int) -> None:
    for name, length in _lengths(settings).items():
        if length > positions:
            raise StiltsError(
                f"{name} is {length}, but encoder {encoder} has positions for {positions} tokens; lower it to "
                f"{positions}"
            )


def _lengths(settings: RunSettings) -> dict[str, int]:
    """Return the name and value of the setting that limits the tokens of one input."""
    match settings:
        case PretrainingRunSettings(pretraining=pretraining):
            return {"pretraining.length": pretraining.length}
        case SimilarityRunSettings(measure=measure):
            return {"measures.similarity.max_length": measure.max_length}
        case ZeroShotRunSettings(max_length=most):
            return {"max_length": most}
        case _:
            return {"max_length": settings.training.max_length}


def _check_shape(run: Run, shape: Shape) -> None:
    # Each half of an encoder-decoder numbers its layers from its first one; vectors come from the encoder's half.
    read = shape.layers - shape.cross
    layers = max(read, shape.cross)
    match run.settings:
        case TrainingRunSettings(training=training) | ComplexityRunSettings(training=training):
            _check_trained_layers(training, layers, shape.hidden)
            if run.phase == "intermediate" and training.frozen_layers == layers:
                # a phase hands on the encoder, and not its heads
                raise StiltsError(f"frozen_layers is {layers}, all layers of the encoder, so that nothing is handed on")
        case SimilarityRunSettings(measure=measure) if measure.layers > read:
            raise StiltsError(f"measures.similarity.layers is {measure.layers}, but the encoder has {read} layers")
        case ZeroShotRunSettings(evaluation=evaluation):
            find_layer(evaluation.retrieval_layer, read)


def _check_trained_layers(training: TrainingSettings, layers: int, hidden: int) -> None:
    lora, frozen = training.lora, training.frozen_layers
    if frozen > layers:
        raise StiltsError(f"frozen_layers is {frozen}, but the encoder has {layers} layers")
    if lora and frozen == layers:
        raise StiltsError(f"frozen_layers is {frozen}, all layers of the encoder, which leaves none for adapters")
    if lora and lora.rank > hidden:
        raise StiltsError(f"lora.rank is {lora.rank}, but the encoder's hidden size is {hidden}; lower the rank")


def _check_restarts(training: TrainingSettings) -> None:
    if training.restarts:
        raise StiltsError(
            f"restarts is {training.restarts}, which a measure of complexity would ignore: its trainings are points of "
            "a learning curve, also those at chance; set it to 0"
        )


def _check_updates(run: Run) -> None:
    training = run.settings.training
    most = _most_updates(run)
    if most is None:
        return
    given = (
        f"{training.epochs:g} epochs of at most {training.examples} examples in batches of {training.batch_size}"
    )
    if not most:
        raise StiltsError(f"{given} are less than one update; raise epochs")
    if not training.evaluate_every and training.evaluations > most:
        raise StiltsError(f"evaluations is {training.evaluations}, but {given} give only {most} updates; lower it")


def _most_updates(run: Run) -> int | None:
    """Return a training's number of updates if its data have as many examples as it may use; None if unknown."""
    training, condition = run.settings.training, run.settings.condition
    tasks = [get_target(run.target)] if run.target else [get_intermediate(name) for name in condition.tasks]
    if not all(task.format.one_input for task in tasks):  # an example may make several inputs
        return None
    examples = min(training.examples, condition.example_cap) if len(tasks) > 1 else training.examples
    per_epoch = len(tasks) * math.ceil(examples / training.batch_size)
    whole = math.floor(training.epochs)
    return whole * per_epoch + round(per_epoch * (training.epochs - whole))
