"""Randomly initialised encoders of three architectures and equal size, with the tokenizer of another encoder.

All three have the same blocks (LayerNorm before attention and before a feed-forward layer with GELU), learned absolute
positions, and word embeddings that are also the decoder's output layer. They differ in the attention mask and in an
encoder-decoder's cross-attention:

================== ======================= ==========================================================
architecture       class of transformers   objective
================== ======================= ==========================================================
encoder            RobertaPreLayerNorm     masked tokens (Devlin et al. 2019, arXiv:1810.04805)
decoder            GPT-2                   the next token (Radford et al. 2019)
encoder-decoder    mBART                   span corruption (Raffel et al. 2020, arXiv:1910.10683)
================== ======================= ==========================================================

The width of the feed-forward layers is chosen so that all have the same number of parameters.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError
from stilts.study.settings import ScratchSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

SENTINELS = 16  # enough for blocks of 256 tokens, in which span corruption masks 13 spans
TOLERANCE = 0.01  # accepted relative deviation from the settings' number of parameters
_STEP = 8  # the width of the feed-forward layers is a multiple of this, for fast matrix products


def make_tokenizer(tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedTokenizerFast":
    """Append the sentinel tokens of span corruption, for all architectures, to a tokenizer in place and return it.

    Raises
    ------
    StiltsError
        If the tokenizer has no beginning, end, padding or mask token.
    """
    from stilts.tasks.formats.span_corruption import SENTINEL

    needed = ("bos_token", "eos_token", "pad_token", "mask_token")
    if lacking := [name for name in needed if getattr(tokenizer, name) is None]:
        raise StiltsError(
            f"tokenizer {tokenizer.name_or_path} has no {' and no '.join(lacking)}, which an encoder with random "
            "weights needs; name another encoder to take the tokenizer from"
        )
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [SENTINEL.format(number=number) for number in range(SENTINELS)]}
    )
    return tokenizer


def build(settings: ScratchSettings, tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedModel":
    """Return a model without a head, initialised with seed 0, for a tokenizer from `make_tokenizer`.

    Raises
    ------
    StiltsError
        As in `make_config`.
    """
    return draw(make_config(settings, tokenizer), 0)


def draw(config: "PretrainedConfig", seed: int) -> "PreTrainedModel":
    """Return a randomly initialised model of a config, in evaluation mode."""
    import torch
    from transformers import AutoModel

    torch.manual_seed(seed)
    return AutoModel.from_config(config, **_without_pooler(config)).eval()


def make_config(settings: ScratchSettings, tokenizer: "PreTrainedTokenizerFast") -> "PretrainedConfig":
    """Return the config of a model with the settings' number of parameters.

    Raises
    ------
    StiltsError
        If no width of the feed-forward layers gives that number.
    """
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    sizes = {"vocab_size": len(tokenizer), **special}
    return _CONFIGS[settings.architecture](settings, _width(settings), sizes)


def count_parameters(config: "PretrainedConfig") -> int:
    """Return the number of weights of a model without its word embeddings; no memory is allocated for it."""
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        model = AutoModel.from_config(config, **_without_pooler(config))
    return sum(weight.numel() for weight in model.parameters()) - model.get_input_embeddings().weight.numel()


def _without_pooler(config: "PretrainedConfig") -> dict[str, bool]:
    return {"add_pooling_layer": False} if config.model_type == "roberta-prelayernorm" else {}


def _width(settings: ScratchSettings) -> int:
    """Return the width of the feed-forward layers that gives the settings' number of parameters."""
    sizes = {"vocab_size": 8, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    counts = [
        count_parameters(_CONFIGS[settings.architecture](settings, width, sizes)) for width in (_STEP, 2 * _STEP)
    ]
    step = counts[1] - counts[0]
    steps = max(1, 1 + round((settings.parameters - counts[0]) / step))
    got = counts[0] + (steps - 1) * step
    if abs(got - settings.parameters) > TOLERANCE * settings.parameters:
        raise StiltsError(
            f"scratch.parameters is {settings.parameters}, but an {settings.architecture} of {settings.layers} layers "
            f"and hidden size {settings.hidden} has at least {counts[0]}, in steps of {step}; raise it, or lower hidden"
        )
    return steps * _STEP


def _encoder(settings: ScratchSettings, width: int, sizes: Mapping[str, int]) -> "PretrainedConfig":
    from transformers import RobertaPreLayerNormConfig

    return RobertaPreLayerNormConfig(
        **sizes,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=width,
        # Its positions are counted from the padding token's id.
        max_position_embeddings=settings.positions + sizes["pad_token_id"] + 1,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )


def _decoder(settings: ScratchSettings, width: int, sizes: Mapping[str, int]) -> "PretrainedConfig":
    from transformers import GPT2Config

    return GPT2Config(
        **sizes,
        n_embd=settings.hidden,
        n_layer=settings.layers,
        n_head=settings.heads,
        n_inner=width,
        n_positions=settings.positions,
        activation_function="gelu",
        resid_pdrop=settings.dropout,
        embd_pdrop=settings.dropout,
        attn_pdrop=settings.dropout,
        use_cache=False,
    )


def size_halves(layers: int, heads: int, width: int) -> dict[str, int]:
    """Return the sizes of both halves of an encoder-decoder as BART's config names them, half of the layers in each."""
    sizes = {"layers": layers // 2, "attention_heads": heads, "ffn_dim": width}
    return {f"{half}_{name}": size for half in ("encoder", "decoder") for name, size in sizes.items()}


def _encoder_decoder(settings: ScratchSettings, width: int, sizes: Mapping[str, int]) -> "PretrainedConfig":
    from transformers import MBartConfig

    return MBartConfig(
        **sizes,
        **size_halves(settings.layers, settings.heads, width),
        d_model=settings.hidden,
        max_position_embeddings=settings.positions,
        activation_function="gelu",
        dropout=settings.dropout,
        attention_dropout=settings.dropout,
        decoder_start_token_id=sizes["eos_token_id"],
        forced_eos_token_id=None,
        use_cache=False,
    )


_CONFIGS: Mapping[str, Callable[[ScratchSettings, int, Mapping[str, int]], "PretrainedConfig"]] = {
    "encoder": _encoder, "decoder": _decoder, "encoder-decoder": _encoder_decoder,
}  # fmt: skip
