"""Public encoders in other architectures: the same weights compute the same where the architecture lets them."""

import pytest
import tiny
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from stilts.models.backbones import Backbone, find_architecture
from stilts.models.conversion import convert, draw_new_weights
from stilts.models.scratch import make_tokenizer
from stilts.study.errors import StiltsError

WORDS = len(tiny.tokenizer())
SIZES = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32,
         "vocab_size": WORDS, "max_position_embeddings": 24, "pad_token_id": 1, "bos_token_id": 0,
         "eos_token_id": 2}  # fmt: skip
IDS = torch.tensor([[0, 7, 9, 30, 4, 2], [0, 5, 6, 2, 1, 1]])
MASK = (IDS != 1).long()


def public(kind: str) -> torch.nn.Module:
    """An encoder with random weights that are far enough from their initial ones to be told apart."""
    torch.manual_seed(0)
    if kind == "bert":
        made = BertModel(BertConfig(**SIZES), add_pooling_layer=False)
    else:
        made = XLMRobertaModel(XLMRobertaConfig(**SIZES), add_pooling_layer=False)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    return made.eval()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.tokenizer().save_pretrained(folder)
    return make_tokenizer(AutoTokenizer.from_pretrained(folder))


@pytest.fixture(params=["bert", "xlm-roberta"])
def kind(request) -> str:
    return request.param


@torch.inference_mode()
def test_an_encoder_stays_what_it_is(kind, tokenizer):
    before = public(kind)(input_ids=IDS, attention_mask=MASK).last_hidden_state
    made = convert(public(kind), "encoder", tokenizer)
    assert find_architecture(made) == "encoder"
    assert torch.equal(made(input_ids=IDS, attention_mask=MASK).last_hidden_state, before)


@torch.inference_mode()
def test_a_decoder_has_the_encoder_s_weights_and_sees_no_later_token(kind, tokenizer):
    made = convert(public(kind), "decoder", tokenizer)
    assert find_architecture(made) == "decoder"
    states = made(input_ids=IDS, attention_mask=MASK).last_hidden_state
    alone = public(kind)(input_ids=IDS[:, :1], attention_mask=MASK[:, :1]).last_hidden_state
    assert torch.allclose(states[:, :1], alone, atol=1e-5)


@torch.inference_mode()
def test_the_encoder_of_an_encoder_decoder_is_the_lower_half(kind, tokenizer):
    made = convert(public(kind), "encoder-decoder", tokenizer)
    assert find_architecture(made) == "encoder-decoder"
    assert (made.config.encoder_layers, made.config.decoder_layers) == (2, 2)
    whole = public(kind)(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
    half = made.get_encoder()(input_ids=IDS, attention_mask=MASK).last_hidden_state
    # LayerNorm's epsilon is 1e-12 in BERT and 1e-5 in BART.
    assert torch.allclose(half[MASK.bool()], whole.hidden_states[2][MASK.bool()], atol=1e-3)
    upper = public(kind).state_dict()["encoder.layer.3.attention.self.key.weight"]
    assert torch.equal(made.state_dict()["decoder.layers.1.self_attn.k_proj.weight"], upper)


@pytest.mark.parametrize("name", ["encoder", "decoder", "encoder-decoder"])
def test_a_seed_draws_new_weights_alone(kind, tokenizer, name, tmp_path):
    made = convert(public(kind), name, tokenizer)
    made.save_pretrained(tmp_path)
    first, second = AutoModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)
    draw_new_weights(second, 5)
    changed = {
        key for key, weight in first.state_dict().items()
        if "pooler" not in key and not torch.equal(weight, second.state_dict()[key])
    }  # fmt: skip
    cross = {key for key in first.state_dict() if ".encoder_attn." in key and key.endswith("weight")}
    embeddings = {key for key in changed if "word_embeddings" in key or "embed_tokens" in key or key == "shared.weight"}
    assert changed == cross | embeddings
    assert bool(cross) == (name == "encoder-decoder")
    rows = [model.get_input_embeddings().weight for model in (first, second)]
    assert torch.equal(rows[0][:WORDS], rows[1][:WORDS])
    assert not torch.equal(rows[0][WORDS:], rows[1][WORDS:])
    assert Backbone(second).architecture == name


def test_what_cannot_be_converted_is_said(tokenizer):
    other = DistilBertModel(DistilBertConfig(vocab_size=WORDS, dim=16, n_heads=2, n_layers=2, hidden_dim=32))
    with pytest.raises(StiltsError, match="type distilbert cannot be converted; these can: bert, roberta, xlm-rob"):
        convert(other, "decoder", tokenizer)
    odd = BertModel(BertConfig(**SIZES | {"num_hidden_layers": 3}), False)
    with pytest.raises(StiltsError, match="the encoder has 3 layers; an encoder-decoder has half of them"):
        convert(odd, "encoder-decoder", tokenizer)
