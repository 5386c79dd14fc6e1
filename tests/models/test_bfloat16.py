"""bfloat16 on a processor without it: the same products, and one precision for one run id."""

from types import SimpleNamespace

import pytest
import torch

from stilts.models.bfloat16 import ProductsInSinglePrecision
from stilts.models.model import autocast
from stilts.study.provenance import describe_precision_mix

CPU = torch.device("cpu")
PRODUCTS = {
    "linear": lambda a, b: torch.nn.functional.linear(a, b, b[:, 0]),
    "matmul": lambda a, b: a @ b.T,
    "batched": lambda a, b: a.unsqueeze(0) @ b.T.unsqueeze(0),
    "einsum": lambda a, b: torch.einsum("ij,kj->ik", a, b),
    "attention": lambda a, b: torch.nn.functional.scaled_dot_product_attention(
        *(part.view(1, 2, -1, 16) for part in (a, b, b)), attn_mask=torch.zeros(1, 1, 24, 32, dtype=a.dtype)
    ),
}


@pytest.fixture
def without(monkeypatch):
    """A processor that has no instructions for bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_the_one_of_the_instructions_but_for_the_last_place(name, mode):
    torch.manual_seed(0)
    first, second = torch.randn(24, 32).bfloat16(), torch.randn(32, 32).bfloat16()
    with mode():
        expected = PRODUCTS[name](first, second)
        with ProductsInSinglePrecision():
            found = PRODUCTS[name](first, second)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=2**-7)


def test_other_numbers_and_operators_are_left_alone():
    values = torch.randn(4, 4)
    with ProductsInSinglePrecision():
        assert torch.equal(values @ values, torch.mm(values, values))
        assert (values.bfloat16() + 1).dtype == torch.bfloat16
        assert torch.equal(torch.arange(4) @ torch.arange(4), torch.tensor(14))


def test_a_layer_computes_and_learns_as_with_instructions(monkeypatch):
    layer = torch.nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
    inputs = torch.randn(3, 7, 32)
    outputs, gradients = [], []
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able})
        layer.zero_grad()
        with autocast("bf16", CPU):
            found = layer(inputs)
        found.float().square().sum().backward()
        outputs.append(found.detach().float())
        gradients.append(torch.cat([weight.grad.flatten() for weight in layer.parameters()]))
    torch.testing.assert_close(*outputs, rtol=0.05, atol=0.05)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999


def test_single_precision_stays_what_it_is(without):
    layer, inputs = torch.nn.Linear(8, 8), torch.randn(2, 8)
    expected = layer(inputs)
    with autocast("fp32", CPU):
        assert torch.equal(layer(inputs), expected)
    with autocast("bf16", CPU):
        assert layer(inputs).dtype == torch.bfloat16


def records(*precisions: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(provenance=SimpleNamespace(precision=each)) for each in precisions]


def test_runs_in_several_precisions_are_told_apart():
    assert describe_precision_mix([]) == describe_precision_mix(records("bf16", "bf16", "")) == ""
    assert describe_precision_mix(records("fp32", "bf16", "bf16")).startswith(
        "these runs were not all computed in one precision (2 in bf16, 1 in fp32;"
    )
