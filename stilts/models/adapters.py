"""Low-rank adapters (LoRA) of an encoder: adding new ones, continuing with trained ones, and merging.

An adapter adds ``alpha / rank * B A x`` to the output of a linear layer in the encoder's blocks for input x; A and B
are trained, the layer is frozen (Hu et al. 2022, arXiv:2106.09685). `peft` computes and merges them. The state of an
encoder with adapters contains the base weights, A and B of each layer, and `ALPHA`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from stilts.study.errors import StiltsError
from stilts.study.settings import LoraSettings, TrainingSettings

if TYPE_CHECKING:
    from peft.tuners.lora import LoraModel
    from transformers import PreTrainedModel

State = Mapping[str, torch.Tensor]  # an encoder's weights, by their names in it

ALPHA = "adapter_alpha"
_NAME = "default"  # peft's default name of an adapter
_A, _B = (f".lora_{letter}.{_NAME}.weight" for letter in "AB")


def begin(
    encoder: "PreTrainedModel", state: State | None, settings: TrainingSettings, *, goes_on: bool, draw: str
) -> None:
    """Load the weights from which a training starts into a public encoder, and add adapters if the settings do.

    Parameters
    ----------
    state : mapping of str to Tensor, optional
        State of the encoder after an earlier training. Its adapters are merged unless they are continued.
    goes_on : bool
        Whether a training with adapters continues with those of the state instead of new ones. Adapters in frozen
        layers are kept, but not trained.
    draw : str
        Seed of new adapters, whose initial output is zero. Two phases should use different seeds: otherwise, new
        adapters start in the subspace in which the merged ones were trained.

    Raises
    ------
    StiltsError
        If no layer of the encoder can take an adapter, or the adapters to continue are missing or do not match the
        settings.
    """
    if settings.lora and goes_on:
        held = _held(state or {})
        _check(held, _wanted(encoder, settings))
        _add(encoder, held, settings.lora.dropout)
        encoder.load_state_dict(state)
        return
    if state is not None:
        load_merged(encoder, state)
    if settings.lora:
        torch.manual_seed(random.Random(f"adapters {draw}").getrandbits(63))
        _add(encoder, _wanted(encoder, settings), settings.lora.dropout)


def load_merged(encoder: "PreTrainedModel", state: State) -> None:
    """Load a state, with its adapters merged, into an encoder without adapters."""
    if not has_adapters(state):
        encoder.load_state_dict(state)
        return
    tuner = _add(encoder, _held(state), dropout=0.0)
    encoder.load_state_dict(state)
    tuner.merge_and_unload()
    delattr(encoder, ALPHA)
    encoder.requires_grad_(True)  # peft has frozen it


def has_adapters(state: State) -> bool:
    """Return whether a state contains unmerged adapters."""
    return ALPHA in state


def is_adapter(name: str) -> bool:
    """Return whether a weight of this name belongs to an adapter."""
    return name.endswith((_A, _B))


def find_layer_number(name: str) -> int | None:
    """Return the number, from 0, of the block to which a module or weight belongs; None outside of blocks.

    It is the first number in the name ("encoder.layer.3", "h.3", in T5 "encoder.block.3.layer.0").
    """
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def list_blocks(encoder: nn.Module) -> list[nn.Module]:
    """Return the encoder's blocks, in their order; those of both halves of an encoder-decoder."""
    named = ((name.rpartition("."), module) for name, module in encoder.named_modules())
    return [module for (before, _, last), module in named if last.isdigit() and find_layer_number(before) is None]


def list_adaptable_layers(encoder: nn.Module, frozen_layers: int) -> tuple[str, ...]:
    """Return the names of the linear layers (GPT-2's Conv1D included) in all blocks from `frozen_layers` on."""
    from transformers.pytorch_utils import Conv1D

    linear = (name for name, module in encoder.named_modules() if isinstance(module, nn.Linear | Conv1D))
    return tuple(name for name in linear if (number := find_layer_number(name)) is not None and number >= frozen_layers)


@dataclass(frozen=True)
class _Adapters:
    """The layers with an adapter, and the adapters' common settings."""

    layers: frozenset[str]
    rank: int
    alpha: float


def _wanted(encoder: "PreTrainedModel", settings: TrainingSettings) -> _Adapters:
    lora: LoraSettings = settings.lora
    layers = list_adaptable_layers(encoder, settings.frozen_layers)
    if not layers:
        raise StiltsError(
            f"lora is set, but {type(encoder).__name__} has no linear layer that could take an adapter in its blocks "
            f"from number {settings.frozen_layers} on; lower frozen_layers, or remove lora"
        )
    return _Adapters(frozenset(layers), lora.rank, lora.alpha)


def _held(state: State) -> _Adapters:
    if not has_adapters(state):
        raise StiltsError("the checkpoint that this training starts from has no adapters; train it with lora first")
    layers = [name.removesuffix(_A) for name in state if name.endswith(_A)]
    return _Adapters(frozenset(layers), len(state[layers[0] + _A]), state[ALPHA].item())


def _check(held: _Adapters, wanted: _Adapters) -> None:
    """Raise StiltsError if adapters to continue do not match the settings."""
    for what, there, asked in (("rank", held.rank, wanted.rank), ("alpha", held.alpha, wanted.alpha)):
        if there != asked:
            raise StiltsError(
                f"{what} of the trained adapters is {there}, but the settings say {asked}; use the same value in both "
                "phases, or set adapters to 'fresh'"
            )
    if lacking := sorted(wanted.layers - held.layers):
        raise StiltsError(
            f"{len(lacking)} layers have no trained adapter, the first is {lacking[0]}; set frozen_layers at least as "
            "high as in the training before, or set adapters to 'fresh'"
        )


def _add(encoder: "PreTrainedModel", adapters: _Adapters, dropout: float) -> "LoraModel":
    """Add new adapters, whose output is zero at first, to an encoder and freeze its other weights."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel
    from transformers.pytorch_utils import Conv1D

    kinds = {type(encoder.get_submodule(layer)) for layer in adapters.layers}
    config = LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,
        lora_dropout=dropout,
        target_modules=sorted(adapters.layers),
        fan_in_fan_out=Conv1D in kinds,
    )
    tuner = LoraModel(encoder, config, _NAME)
    alpha = torch.tensor(adapters.alpha, dtype=torch.float64, device=encoder.device)
    encoder.register_buffer(ALPHA, alpha)
    return tuner
