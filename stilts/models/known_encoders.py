"""What is known of encoders before they are here: their sizes, and what their cards on the Hub state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stilts.models.encoder_files import read_config
from stilts.study.errors import StiltsError


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that decide what it costs.

    Attributes
    ----------
    layers : int
        Of both halves of an encoder-decoder together, which both read an input.
    hidden, intermediate, vocabulary : int
    cross : int
        Layers that have cross-attention too: those of an encoder-decoder's decoder.
    matrices : int
        Of a feed-forward layer: 2, or 3 where it is gated.
    """

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    cross: int = 0
    matrices: int = 2

    @property
    def layer_weights(self) -> int:
        """Weights of all layers; embeddings are looked up and cost no operations to speak of."""
        attention = 4 * self.hidden**2
        return (self.layers + self.cross) * attention + self.layers * self.matrices * self.hidden * self.intermediate

    @property
    def weights(self) -> int:
        """All weights, those of the whole vocabulary's embeddings included."""
        return self.layer_weights + self.vocabulary * self.hidden


@dataclass(frozen=True)
class KnownEncoder:
    """What is known of an encoder of the Hub.

    Attributes
    ----------
    id : str
    shape : Shape
    positions : int or None
        Tokens of an input, at most; None where they have no end, or where nothing is noted.
    licence : str or None
        As its card states it; None where nothing is noted.
    """

    id: str
    shape: Shape
    positions: int | None = 512
    licence: str | None = None


OFFLINE_ENCODER = "multilingual-e5-small"

_OFFLINE = {OFFLINE_ENCODER: "intfloat/multilingual-e5-small"}  # what a study calls it -> its id on the Hub
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


def known_encoder(name: str) -> KnownEncoder | None:
    """Return what is known of an encoder by the name that a study has for it, None if nothing is."""
    return _KNOWN.get(_OFFLINE.get(name, name))


# What the families of transformers call the sizes in config.json, the most common name first.
_LAYERS = ("num_hidden_layers", "n_layer", "encoder_layers", "num_layers")
_DECODER_LAYERS = ("decoder_layers", "num_decoder_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_INTERMEDIATE = ("intermediate_size", "n_inner", "encoder_ffn_dim", "ffn_dim", "d_ff")


def encoder_shape(name: str) -> Shape | None:
    """Return the shape of a known encoder, or of a folder by its config.json; None where neither tells."""
    if known := known_encoder(name):
        return known.shape
    try:
        return _shape_of(read_config(Path(name), name))
    except (StiltsError, KeyError, TypeError, StopIteration):
        return None


def _shape_of(config: Mapping[str, Any]) -> Shape:
    """Return the shape that a config.json tells; KeyError or StopIteration if it lacks a size."""
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
