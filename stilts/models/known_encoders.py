"""Facts about encoders that are known before a download: their sizes, and the licences on their Hub cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stilts.models.encoder_files import read_config
from stilts.study.errors import StiltsError


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that determine its cost.

    Attributes
    ----------
    layers : int
        Number of layers; in an encoder-decoder, of both halves, since both read an input.
    hidden, intermediate, vocabulary : int
    cross : int
        Number of layers with cross-attention, which are those of an encoder-decoder's decoder.
    matrices : int
        Matrices of a feed-forward layer: 2, or 3 if it is gated.
    """

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    cross: int = 0
    matrices: int = 2

    @property
    def layer_weights(self) -> int:
        """The number of weights in all layers, without embeddings, whose lookup costs almost no operations."""
        attention = 4 * self.hidden**2
        return (self.layers + self.cross) * attention + self.layers * self.matrices * self.hidden * self.intermediate

    @property
    def weights(self) -> int:
        """The number of all weights, including the embeddings of the whole vocabulary."""
        return self.layer_weights + self.vocabulary * self.hidden


def find_layer(asked: int | None, count: int) -> int:
    """Return the number, from 1, of the hidden layer that `evaluation.retrieval_layer` asks for; None is the last.

    Parameters
    ----------
    count : int
        Layers of the encoder.

    Raises
    ------
    StiltsError
        If the encoder does not have it.
    """
    layer = count if asked is None else asked
    if not 1 <= abs(layer) <= count:
        raise StiltsError(
            f"evaluation.retrieval_layer is {layer}; this encoder has layers 1 to {count}, or -{count} to -1 counted "
            "from the last"
        )
    return layer if layer > 0 else count + 1 + layer


@dataclass(frozen=True)
class KnownEncoder:
    """Facts about an encoder on the Hub.

    Attributes
    ----------
    id : str
    shape : Shape
    positions : int or None
        Maximum number of tokens of an input; None if unlimited or unknown.
    licence : str or None
        Licence on its card; None if unknown.
    """

    id: str
    shape: Shape
    positions: int | None = 512
    licence: str | None = None


OFFLINE_ENCODER = "multilingual-e5-small"

_OFFLINE = {OFFLINE_ENCODER: "intfloat/multilingual-e5-small"}  # name in studies -> id on the Hub
_KNOWN = {
    each.id: each
    for each in (
        KnownEncoder("intfloat/multilingual-e5-small", Shape(12, 384, 1536, 250037), licence="mit"),
        KnownEncoder("intfloat/multilingual-e5-base", Shape(12, 768, 3072, 250002), licence="mit"),
        KnownEncoder("intfloat/multilingual-e5-large", Shape(24, 1024, 4096, 250002), licence="mit"),
        KnownEncoder("FacebookAI/xlm-roberta-base", Shape(12, 768, 3072, 250002), licence="mit"),
        KnownEncoder("FacebookAI/xlm-roberta-large", Shape(24, 1024, 4096, 250002), licence="mit"),
        KnownEncoder("google-bert/bert-base-multilingual-cased", Shape(12, 768, 3072, 119547), licence="apache-2.0"),
        KnownEncoder("facebook/xglm-564M", Shape(24, 1024, 4096, 256008), None, "mit"),
        KnownEncoder("google/mt5-base", Shape(24, 768, 2048, 250112, cross=12, matrices=3), None, "apache-2.0"),
        KnownEncoder("google/mt5-large", Shape(48, 1024, 2816, 250112, cross=24, matrices=3), None),
        KnownEncoder("facebook/mbart-large-50", Shape(24, 1024, 4096, 250054, cross=12), 1024),
    )
}


def find_known_encoder(name: str) -> KnownEncoder | None:
    """Return the facts about an encoder by its name in a study, None if it is unknown."""
    return _KNOWN.get(_OFFLINE.get(name, name))


# The names of the sizes in config.json in the families of transformers, the most common name first.
_LAYERS = ("num_hidden_layers", "n_layer", "encoder_layers", "num_layers")
_DECODER_LAYERS = ("decoder_layers", "num_decoder_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_INTERMEDIATE = ("intermediate_size", "n_inner", "encoder_ffn_dim", "ffn_dim", "d_ff")


def find_encoder_shape(name: str) -> Shape | None:
    """Return the shape of a known encoder or of a folder, from its config.json; None if it is unknown."""
    if known := find_known_encoder(name):
        return known.shape
    try:
        return _shape_of(read_config(Path(name), name))
    except (StiltsError, KeyError, TypeError, StopIteration):
        return None


def _shape_of(config: Mapping[str, Any]) -> Shape:
    """Return the shape in a config.json; KeyError or StopIteration if a size is missing."""
    cross = _size(config, _DECODER_LAYERS) if config.get("is_encoder_decoder") else 0
    gated = config.get("hidden_act") == "silu" or "gated" in str(config.get("feed_forward_proj", ""))
    return Shape(
        _size(config, _LAYERS) + cross,
        _size(config, _HIDDEN),
        _size(config, _INTERMEDIATE),
        int(config["vocab_size"]),
        cross,
        3 if gated else 2,
    )


def _size(config: Mapping[str, Any], names: Sequence[str]) -> int:
    return int(next(config[name] for name in names if config.get(name) is not None))
