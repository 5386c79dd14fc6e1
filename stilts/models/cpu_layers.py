"""Dropout and attention of models that train on a CPU, where PyTorch's take as long as the products of all layers.

PyTorch draws a random number of its own for each element that dropout may set to zero, five nanoseconds each; here one
draw of 64 bits serves four. Its attention has no fused kernel with dropout on a CPU and falls back to single precision;
here the products have the precision of the others. In prediction, where there is no dropout, its kernel is the fastest.
"""

import math
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "stilts_cpu"  # name of the attention in `transformers`
_STEPS = 2**16  # of a probability: a dropout of 0.1 sets 6,554 of 65,536 elements to zero


class _Dropout(torch.autograd.Function):
    """Dropout that keeps an element by a random integer of 16 bits."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, probability: float) -> torch.Tensor:
        """Return the values (any shape), with some set to zero and the others divided by their share."""
        kept = _draw(values.shape) >= round(probability * _STEPS) - _STEPS // 2
        factors = kept.to(values.dtype).mul_(1 / (1 - probability))
        ctx.save_for_backward(factors)
        return values * factors

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of the values."""
        (factors,) = ctx.saved_tensors
        return gradient * factors, None


def _draw(shape: torch.Size) -> torch.Tensor:
    """Return random integers of 16 bits in a shape, from PyTorch's default generator."""
    count = math.prod(shape)
    draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return draws.view(torch.int16)[:count].view(shape)


def drop(values: torch.Tensor, probability: float) -> torch.Tensor:
    """Return values (any shape) after dropout, as in training; in compiled layers it is the compiler's."""
    if torch.compiler.is_compiling():
        return nn.functional.dropout(values, probability)
    return _Dropout.apply(values, probability) if probability > 0 else values


class CpuDropout(nn.Dropout):
    """`torch.nn.Dropout` on a CPU."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values, after dropout while the model is trained."""
        return drop(values, self.p) if self.training else values


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention's output, (sequences, tokens, heads, width), as `transformers` calls it.

    Parameters
    ----------
    query, key, value : Tensor (sequences, heads, tokens, width)
    attention_mask : bool Tensor (sequences, 1, tokens, tokens), optional
        Whether a token (row) attends to another (column).
    scaling : float, optional
        Factor of the products; by default the inverse root of the width.
    """
    if not module.training or _has_more(module, query, key, attention_mask, options):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **options)
    scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = drop(torch.softmax(scores, -1, dtype=torch.float32).to(value.dtype), dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


def _has_more(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, options: dict[str, Any]
) -> bool:
    """Return whether an attention is of another kind than `attend` computes: causal without a mask, or with a bias."""
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    biased = options.get("position_bias") is not None or (mask is not None and mask.dtype != torch.bool)
    return (mask is None and causal) or biased or query.shape[1] != key.shape[1]


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def use_cpu_layers(model: nn.Module) -> None:
    """Give a model this module's dropout, and encoders in it whose attention is PyTorch's this module's attention."""
    for part in list(model.modules()):
        if isinstance(part, PreTrainedModel) and part.config._attn_implementation == "sdpa":
            part.set_attn_implementation(ATTENTION)
        for name, child in part.named_children():
            if type(child) is nn.Dropout:
                setattr(part, name, CpuDropout(child.p).train(child.training))
