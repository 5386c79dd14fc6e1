"""Fast bfloat16 matrix products on a CPU without instructions for them, where PyTorch is ten times slower.

The inputs are multiplied in single precision and the result is rounded. The instructions would give the same, since
they accumulate in single precision.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_PRODUCTS = frozenset(
    {
        _ATEN.linear.default,
        _ATEN.mm.default,
        _ATEN.addmm.default,
        _ATEN.bmm.default,
        _ATEN.baddbmm.default,
        _ATEN.matmul.default,
        _ATEN.scaled_dot_product_attention.default,
        _ATEN._scaled_dot_product_flash_attention_for_cpu.default,
        _ATEN._scaled_dot_product_flash_attention_for_cpu_backward.default,
    }
)


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu.get_capabilities().get("avx512_bf16", False)


class ProductsInSinglePrecision(TorchDispatchMode):
    """A context in which products of bfloat16 tensors are computed in single precision and rounded to bfloat16."""

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call an operator; see `torch.utils._python_dispatch.TorchDispatchMode`."""
        kwargs = kwargs or {}
        if function not in _PRODUCTS or not any(map(_is_rounded, (*args, *kwargs.values()))):
            return function(*args, **kwargs)
        found = function(*map(_widened, args), **{name: _widened(value) for name, value in kwargs.items()})
        # Besides its outputs, attention returns the logarithms of its sums, which are always in single precision.
        many = isinstance(found, tuple)
        if not many:
            return found.bfloat16()
        rounded = len(found) if function is _ATEN._scaled_dot_product_flash_attention_for_cpu_backward.default else 1
        return tuple(part.bfloat16() if place < rounded else part for place, part in enumerate(found))


def _is_rounded(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16


def _widened(value: Any) -> Any:
    return value.float() if _is_rounded(value) else value
