"""Attention and dropout on a CPU: they compute what PyTorch's do."""

import copy

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_backbones import configs
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModel, ModernBertConfig, XLMRobertaConfig

from stilts.models.backbones import Backbone
from stilts.models.cpu_layers import ATTENTION, CpuDropout, attend, drop, use_cpu_layers
from stilts.models.model import build_model
from stilts.tasks.formats import CLASSIFICATION

SIZES = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MORE = {
    "xlm-roberta": XLMRobertaConfig(**SIZES, pad_token_id=1),
    "modernbert": ModernBertConfig(**SIZES, pad_token_id=1, local_attention=8, attention_dropout=0.1, mlp_dropout=0.1),
}
FAMILIES = {name: config for name, (_, config) in configs(50).items()} | MORE
NOT_ATTENDING = ["xglm", "bloom"]  # with attention of their own


def build(config) -> nn.Module:
    torch.manual_seed(0)
    return AutoModel.from_config(copy.deepcopy(config))


def without_dropout(model: nn.Module) -> nn.Module:
    """The model in training, with every probability of dropout zero."""
    for part in model.modules():
        for name, value in vars(part).items():
            if "dropout" in name and isinstance(value, float):
                setattr(part, name, 0.0)
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model.train()


def batch(length: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of three sequences, of which two are padded."""
    torch.manual_seed(1)
    mask = torch.ones(3, length, dtype=torch.long)
    mask[1, -4:] = mask[2, -1:] = 0
    return torch.randint(5, 50, (3, length)), mask


@pytest.mark.parametrize("name", FAMILIES)
def test_every_architecture_has_the_same_states_and_gradients(name):
    ids, mask = batch()
    found = []
    for adapted in (False, True):
        model = without_dropout(build(FAMILIES[name]))
        if adapted:
            use_cpu_layers(model)
        states = Backbone(model).token_states(ids, mask)
        states[mask.bool()].pow(2).sum().backward()
        gradients = {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}
        found.append({"states": states[mask.bool()].detach()} | gradients)
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_prediction_is_pytorchs(name):
    ids, mask = batch()
    model = build(FAMILIES[name]).eval()
    with torch.inference_mode():
        before = Backbone(model).token_states(ids, mask)
        use_cpu_layers(model)
        assert torch.equal(Backbone(model).token_states(ids, mask), before)
    assert (model.config._attn_implementation == ATTENTION) == (name not in NOT_ATTENDING)
    assert not [part for part in model.modules() if type(part) is nn.Dropout]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_of_a_training_is_pytorchs(masked, dtype):
    torch.manual_seed(0)
    tensors = [torch.randn(2, 3, 7, 4, dtype=dtype, requires_grad=True) for _ in range(3)]
    mask = torch.rand(2, 1, 7, 7) < 0.5 if masked else None
    if masked:
        mask[..., 0] = True  # each token attends to one at least
    module = nn.Module().train()
    module.is_causal = False
    mine, _ = attend(module, *tensors, mask, scaling=0.3)
    known = scaled_dot_product_attention(*tensors, attn_mask=mask, scale=0.3).transpose(1, 2)
    weight = torch.randn_like(known)
    gradients = [torch.autograd.grad((each * weight).sum(), tensors) for each in (mine, known)]
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close((mine, gradients[0]), (known, gradients[1]), **close)


def test_attention_drops_a_share_of_its_weights():
    torch.manual_seed(0)
    query = key = torch.zeros(4, 2, 100, 8)
    module = nn.Module().train()
    module.is_causal = False
    found, _ = attend(module, query, key, torch.ones(4, 2, 100, 8), None, dropout=0.25)
    kept = found[..., 0] * 0.75 * 100  # of the hundred equal weights of each token
    torch.testing.assert_close(kept, kept.round(), rtol=0, atol=1e-3)
    assert abs(kept.mean() / 100 - 0.75) < 0.01  # 80,000 draws: a standard error of 0.0015
    assert kept.min() != kept.max()


@given(st.floats(0.01, 0.9), st.integers(1, 9), st.sampled_from([torch.float32, torch.bfloat16]))
def test_dropout_keeps_a_share_and_makes_up_for_the_rest(probability, width, dtype):
    torch.manual_seed(0)
    values = torch.ones(5000, width, dtype=dtype, requires_grad=True)
    found = drop(values, probability)
    factor = torch.tensor(1 / (1 - probability), dtype=dtype)
    kept = found != 0
    assert torch.equal(found, torch.where(kept, factor, torch.zeros_like(factor)))
    spread = (probability * (1 - probability) / kept.numel()) ** 0.5
    assert abs(kept.float().mean() - (1 - probability)) < 5 * spread + 2**-16
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_dropout_follows_the_random_stream():
    values, drawn = torch.ones(40, 3), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn += [drop(values, 0.5), drop(values, 0.5)]
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[1], drawn[3])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[4])


def test_without_dropout_values_are_as_they_were():
    values = torch.randn(3, 4)
    layer = CpuDropout(0.5)
    assert drop(values, 0.0) is values
    assert layer.eval()(values) is values
    assert not torch.equal(layer.train()(values), values)


def test_a_model_on_a_cpu_is_built_with_them(tmp_path):
    model = build_model(tiny.write_encoder(tmp_path / "encoder"), {"nli": (CLASSIFICATION, tiny.NLI)}, seed=0)
    assert model.encoder.config._attn_implementation == ATTENTION
    assert {type(part) for part in model.modules() if isinstance(part, nn.Dropout)} == {CpuDropout}
