"""Whether a cell of condition and target had room for an effect; averages and verdicts hold none that had not.

Retrieval and mining read the vectors after one hidden layer. Above the paper's depth they lose whatever the task, since
heads are trained there; and where intermediate training froze most of the layers up to the one that is read, it could
hardly change them. A baseline at its ceiling leaves a gain no room.
"""

from collections.abc import Iterable, Mapping

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.stages import trace_stages
from stilts.study.records import Record
from stilts.study.runs import ZeroShotRunSettings
from stilts.study.settings import BASELINE
from stilts.tasks.registry import TARGETS

CEILING = 98.0
"""Percent; a baseline above it has less room than the 2 points that a large gain must have (`claims.LARGE`)."""

PUBLISHED_DEPTH = 14 / 24
"""Relative depth of the layer of XLM-R Large whose vectors the paper uses for retrieval: the 14th of 24."""

RULE = (
    "Retrieval and mining count where they are read after the layer that lies as deep as the paper's, and intermediate "
    f"training moved at least half of the layers up to it. No target counts whose baseline exceeds {CEILING:g} percent."
)


def find_frozen_layers(records: Iterable[Record]) -> dict[str, int]:
    """Return for each intermediate condition the number of lowest layers that none of its stages moved."""
    return {
        name: min(stage.run.settings.training.frozen_layers for line in lines for stage in line)
        for name, lines in trace_stages(records).items()
    }


def find_read_layers(records: Iterable[Record]) -> dict[str, int]:
    """Return for each target without training the hidden layer after which it is read: 1 the first, -1 the last."""
    found = {
        str(record.run.target): record.run.settings.evaluation.retrieval_layer
        for record in records
        if isinstance(record.run.settings, ZeroShotRunSettings) and not TARGETS[str(record.run.target)].trained
    }
    return {target: -1 if layer is None else layer for target, layer in found.items()}


def find_published_layer(layers: int) -> int:
    """Return the layer of an encoder at the same relative depth as the paper's 14th of 24."""
    return round(PUBLISHED_DEPTH * layers)


def explain_depth(read: int, layers: int) -> str:
    """Return a clause that says that a layer is not the one of the paper's depth; "" if it is, or if nothing is known.

    Parameters
    ----------
    read : int
        From 1; -1 is the last; 0 where no layer is read.
    layers : int
        Number of the encoder's hidden layers; 0 if it is not known.
    """
    layer = layers if read == -1 else read
    if not layers or not read or layer == find_published_layer(layers):
        return ""
    return f"it is read after layer {layer}, not after layer {find_published_layer(layers)}, as deep as the paper's"


def explain_frozen(frozen: int, layer: int) -> str:
    """Return a clause that says how few of the layers up to one were trained; "" if at least half were.

    Parameters
    ----------
    frozen : int
        Number of lowest layers that were not trained.
    layer : int
        From 1; none above 0 if it is not known, which explains nothing.
    """
    if 2 * frozen <= layer or layer <= 0:
        return ""
    return f"intermediate training moved {max(layer - frozen, 0)} of the {layer} layers up to the one that is read"


def find_without_room(
    replicates: Mapping[str, Replicates], frozen: Mapping[str, int], read: Mapping[str, int], layers: int
) -> dict[tuple[str, str], str]:
    """Return condition and target of the cells that had no room for an effect, with the reason, a clause.

    Parameters
    ----------
    replicates : mapping
        Target -> replicates.
    frozen, read : mapping
        From `find_frozen_layers` and `find_read_layers`.
    layers : int
        Number of the encoder's hidden layers; 0 if it is not known.
    """
    found = {}
    for target, part in replicates.items():
        layer = read.get(target, 0)
        whole = _explain_ceiling(part) or explain_depth(layer, layers)
        for condition in part.conditions:
            why = whole or explain_frozen(frozen.get(condition, 0), layer)
            if why:
                found[condition, target] = f"{target}: {why}"
    return found


def _explain_ceiling(part: Replicates) -> str:
    if BASELINE not in part.conditions:
        return ""
    score = float(part.scores[part.others, part.conditions.index(BASELINE)].mean())
    return f"the baseline has {score:.1f}, above the ceiling of {CEILING:g}" if score > CEILING else ""
