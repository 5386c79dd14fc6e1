"""What a plan refuses of its runs: settings that each fit alone, but not the encoder or the size of the training.

A run that passed here would end in an error hours later, or would do in silence something else than was asked for.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from stilts.models.known_encoders import Shape
from stilts.study.errors import StiltsError
from stilts.study.runs import Run
from stilts.study.settings import ScratchSettings
from stilts.tasks.registry import get_intermediate, get_target

MOST_RUNS = 10**6  # of a study
# Formats that make one input of one example: of the others a training may have more updates than examples tell.
ONE_INPUT = ("classification", "multiple_choice")


def check_number(seeds: int, conditions: int, targets: int) -> None:
    """Raise StiltsError where seeds, conditions and targets make more runs than a plan can hold."""
    count = seeds * conditions * (1 + 2 * targets)
    if count > MOST_RUNS:
        raise StiltsError(
            f"the study has about {count:,} runs ({seeds} seeds, {conditions} conditions, {targets} targets), more "
            f"than {MOST_RUNS:,}; make several studies of it"
        )


def check_runs(runs: Iterable[Run], shapes: Mapping[str, Shape], positions: Mapping[str, int]) -> None:
    """Check runs against the shapes of their encoders, by the encoder's name; one that is not known is passed over.

    Parameters
    ----------
    positions : mapping of str to int
        Tokens that an input may have, by the encoder's name; none of an encoder that takes any number.

    Raises
    ------
    StiltsError
        If an encoder with random weights has sizes that do not go together; a run wants more layers than its encoder
        has, or positions, or adapters wider than it; or a training has no update, or fewer than evaluations.
    """
    checked = set()
    for run in runs:
        # Thousands of runs may share their settings.
        decisive = (run.phase, run.target, repr({**run.settings, "languages": None}))
        if decisive not in checked:
            checked.add(decisive)
            _check(run, shapes, positions)


def _check(run: Run, shapes: Mapping[str, Shape], positions: Mapping[str, int]) -> None:
    settings, encoder = run.settings, run.settings["encoder"]
    scratch = ScratchSettings(**encoder["scratch"]) if encoder.get("scratch") else None
    where = f"{run.phase} run of {run.target or run.condition}"
    try:
        if scratch:
            _check_scratch(scratch, settings)
        elif encoder["name"] in positions:
            _check_positions(settings, encoder["name"], positions[encoder["name"]])
        shape = _shape_of(scratch) if scratch else shapes.get(encoder["name"])
        if shape:
            _check_shape(settings, shape)
        if run.phase in ("intermediate", "target"):
            _check_updates(run)
        if "first" in settings.get("measure", {}):
            _check_portions(settings["measure"])
    except StiltsError as error:
        raise StiltsError(f"{where}: {error}") from None


def _shape_of(scratch: ScratchSettings) -> Shape:
    halves = scratch.layers // 2 if scratch.architecture == "encoder-decoder" else 0
    return Shape(scratch.layers, scratch.hidden, 0, 0, cross=halves)


def _check_scratch(scratch: ScratchSettings, settings: Mapping[str, Any]) -> None:
    if scratch.hidden % scratch.heads:
        raise StiltsError(f"scratch.heads is {scratch.heads}, which does not divide scratch.hidden, {scratch.hidden}")
    if scratch.architecture == "encoder-decoder" and scratch.layers % 2:
        raise StiltsError(f"scratch.layers is {scratch.layers}; an encoder-decoder has half of them in each half")
    block = settings.get("pretraining", {})
    lengths = {"pretraining.length": block.get("length"), **_lengths(settings)}
    for name, length in lengths.items():
        if length is not None and length > scratch.positions:
            raise StiltsError(
                f"{name} is {length}, but the encoder has {scratch.positions} positions; lower it, or raise "
                "scratch.positions"
            )
    if block and block["batch_tokens"] < block["length"]:
        raise StiltsError(
            f"pretraining.batch_tokens is {block['batch_tokens']}, less than one block of {block['length']} tokens"
        )
    if block and block["evaluations"] > block["updates"]:
        raise StiltsError(f"pretraining.evaluations is {block['evaluations']}, of {block['updates']} updates")


def _check_positions(settings: Mapping[str, Any], encoder: str, positions: int) -> None:
    for name, length in _lengths(settings).items():
        if length is not None and length > positions:
            raise StiltsError(
                f"{name} is {length}, but encoder {encoder} has positions for {positions} tokens; lower it to "
                f"{positions}"
            )


def _lengths(settings: Mapping[str, Any]) -> dict[str, int | None]:
    """Return all settings that bound the tokens of one input, by their names."""
    return {
        "max_length": settings.get("max_length", settings.get("training", {}).get("max_length")),
        "measures.similarity.max_length": settings.get("measure", {}).get("max_length"),
    }


def _check_shape(settings: Mapping[str, Any], shape: Shape) -> None:
    training, evaluation, hidden = settings.get("training", {}), settings.get("evaluation", {}), shape.hidden
    # The halves of an encoder-decoder are counted each from their first layer; vectors are those of the encoder's.
    read = shape.layers - shape.cross
    layers = max(read, shape.cross)
    lora, frozen = training.get("lora"), training.get("frozen_layers", 0)
    if frozen > layers:
        raise StiltsError(f"frozen_layers is {frozen}, but the encoder has {layers} layers")
    if lora and frozen == layers:
        raise StiltsError(f"frozen_layers is {frozen}, all that the encoder has, which leaves no layer for adapters")
    if lora and lora["rank"] > hidden:
        raise StiltsError(f"lora.rank is {lora['rank']}, but the encoder's hidden size is {hidden}; lower the rank")
    compared = settings.get("measure", {}).get("layers", 0)
    if compared > read:
        raise StiltsError(f"measures.similarity.layers is {compared}, but the encoder has {read} layers")
    layer = evaluation.get("retrieval_layer")
    if layer is not None and not 1 <= abs(layer) <= read:
        raise StiltsError(
            f"evaluation.retrieval_layer is {layer}; this encoder has the layers 1 to {read}, or -{read} to -1 "
            "counted from the last"
        )


def _check_portions(measure: Mapping[str, Any]) -> None:
    if measure["examples"] <= measure["first"]:
        raise StiltsError(
            f"measures.complexity.first is {measure['first']}, and leaves none of {measure['examples']} examples; "
            "lower it, or raise examples"
        )


def _check_updates(run: Run) -> None:
    training = run.settings["training"]
    most = _most_updates(run)
    if most is None:
        return
    given = (
        f"{training['epochs']:g} epochs of at most {training['examples']} examples in batches of "
        f"{training['batch_size']}"
    )
    if not most:
        raise StiltsError(f"{given} are less than one update; raise epochs")
    if not training.get("evaluate_every") and training["evaluations"] > most:
        raise StiltsError(f"evaluations is {training['evaluations']}, but {given} are {most} updates; lower it")


def _most_updates(run: Run) -> int | None:
    """Return the updates that a training has if its data have as many examples as it takes; None if not known."""
    training, condition = run.settings["training"], run.settings["condition"]
    tasks = [get_target(run.target)] if run.target else [get_intermediate(name) for name in condition["tasks"]]
    if any(task.format not in ONE_INPUT for task in tasks):
        return None
    examples = min(training["examples"], condition["example_cap"]) if len(tasks) > 1 else training["examples"]
    per_epoch = len(tasks) * math.ceil(examples / training["batch_size"])
    whole = math.floor(training["epochs"])
    return whole * per_epoch + round(per_epoch * (training["epochs"] - whole))
