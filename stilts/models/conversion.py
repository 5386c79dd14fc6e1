"""A public encoder as an encoder, a decoder or an encoder-decoder: the same weights in another architecture.

================== ======================= ==========================================================================
architecture       class of transformers   weights
================== ======================= ==========================================================================
encoder            that of the encoder     all of the encoder's
decoder            that of the encoder     all of the encoder's; the attention mask is causal
encoder-decoder    BART                    the lower half of the layers in the encoder, the upper half in the decoder
================== ======================= ==========================================================================

The decoder of an encoder-decoder also attends to the encoder. These layers are new, as are the embeddings of the
sentinel tokens of span corruption, which all three architectures have; both are drawn anew for each seed of
pretraining. BART has the blocks of BERT, LayerNorm after attention and after the feed-forward layer, so that its
encoder computes what the lower half of the public encoder does.
"""

from typing import TYPE_CHECKING

import torch

from stilts.models.encoder_files import find_position_limit
from stilts.models.scratch import SENTINELS, size_halves
from stilts.study.errors import StiltsError
from stilts.study.settings import Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

CONVERTIBLE = ("bert", "roberta", "xlm-roberta")
_OFFSET = 2  # rows of BART's position embeddings before the first
_CROSS_ATTENTION = ".encoder_attn"
# Names of a block's parts in BERT and in BART.
_PARTS = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "self_attn_layer_norm",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "output.LayerNorm": "final_layer_norm",
}

State = dict[str, torch.Tensor]


def convert(
    model: "PreTrainedModel", architecture: Architecture, tokenizer: "PreTrainedTokenizerFast"
) -> "PreTrainedModel":
    """Return an encoder in an architecture, in evaluation mode.

    Parameters
    ----------
    model : PreTrainedModel
        Without a head and a pooler.
    tokenizer : PreTrainedTokenizerFast
        The encoder's, from `stilts.models.scratch.make_tokenizer`.

    Raises
    ------
    StiltsError
        If the encoder is not of a kind that can be converted, or has an odd number of layers to halve.
    """
    kind = model.config.model_type
    if kind not in CONVERTIBLE:
        raise StiltsError(f"a model of type {kind} cannot be converted; these can: {', '.join(CONVERTIBLE)}")
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if architecture == "encoder-decoder":
        converted = _halve(model, tokenizer)
    else:
        converted = _with_mask(model, architecture == "decoder")
    draw_new_weights(converted, 0)
    return converted.eval()


def draw_new_weights(model: "PreTrainedModel", seed: int) -> None:
    """Draw the weights that a converted model does not have from the public encoder: sentinels, cross-attention."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        known = embeddings[:-SENTINELS]
        noise = torch.randn(SENTINELS, known.shape[1], generator=generator)
        embeddings[-SENTINELS:] = known.mean(dim=0) + noise * known.std(dim=0)
        for name, weight in model.named_parameters():
            if _CROSS_ATTENTION + "." in name and name.endswith("weight"):
                weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))


def _with_mask(model: "PreTrainedModel", causal: bool) -> "PreTrainedModel":
    """Return a model of the same class and weights whose attention is causal or not."""
    config = type(model.config).from_dict({**model.config.to_dict(), "is_decoder": causal, "use_cache": False})
    made = type(model)(config, add_pooling_layer=False)
    made.load_state_dict(model.state_dict())
    return made


def _halve(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedModel":
    """Return an encoder-decoder whose halves have the layers of an encoder."""
    from transformers import BartConfig, BartModel

    config, layers = model.config, model.config.num_hidden_layers
    if layers % 2:
        raise StiltsError(f"the encoder has {layers} layers; an encoder-decoder has half of them in each half")
    state = model.state_dict()
    positions = _add_token_type(state, find_position_limit(config.to_dict()))
    made = BartModel(
        BartConfig(
            **size_halves(layers, config.num_attention_heads, config.intermediate_size),
            vocab_size=config.vocab_size,
            d_model=config.hidden_size,
            max_position_embeddings=len(positions),
            activation_function=config.hidden_act,
            dropout=config.hidden_dropout_prob,
            attention_dropout=config.attention_probs_dropout_prob,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.eos_token_id,
            forced_eos_token_id=None,
            use_cache=False,
        )
    )
    own: State = {"shared.weight": state["embeddings.word_embeddings.weight"]}
    for half, first in (("encoder", 0), ("decoder", layers // 2)):
        own |= {
            f"{half}.embed_tokens.weight": own["shared.weight"],
            f"{half}.embed_positions.weight": torch.cat([torch.zeros(_OFFSET, config.hidden_size), positions]),
            f"{half}.layernorm_embedding.weight": state["embeddings.LayerNorm.weight"],
            f"{half}.layernorm_embedding.bias": state["embeddings.LayerNorm.bias"],
        }
        for layer in range(layers // 2):
            own |= {
                f"{half}.layers.{layer}.{theirs}.{kind}": state[f"encoder.layer.{first + layer}.{ours}.{kind}"]
                for ours, theirs in _PARTS.items()
                for kind in ("weight", "bias")
            }
    missing, unexpected = made.load_state_dict(own, strict=False)
    if unexpected or any(_CROSS_ATTENTION not in name for name in missing):
        raise StiltsError(f"the encoder cannot be converted: {', '.join([*missing, *unexpected])} do not match")
    return made


def _add_token_type(state: State, positions: int) -> torch.Tensor:
    """Return the embeddings of the positions that tokens have, the last rows, with that of the token type added."""
    token_type = state["embeddings.token_type_embeddings.weight"][0]
    return state["embeddings.position_embeddings.weight"][-positions:] + token_type
