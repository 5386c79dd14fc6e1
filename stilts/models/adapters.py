"""Low-rank adapters (LoRA) of an encoder: new ones, those that an earlier training left, and their merging.

An adapter stands beside each linear layer of the encoder's blocks and adds ``alpha / rank * B A x`` to what that gives
for x; A and B are trained, the layer is not (Hu et al. 2022, arXiv:2106.09685). `peft` computes and merges them. The
state of an encoder with adapters tells all of them: the weights below, A and B of each layer, and `ALPHA`.
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
_NAME = "default"  # what peft calls adapters that have no other name
_A, _B = (f".lora_{letter}.{_NAME}.weight" for letter in "AB")


def begin(
    encoder: "PreTrainedModel", state: State | None, settings: TrainingSettings, *, goes_on: bool, draw: str
) -> None:
    """Give a public encoder the weights that a training starts from, and the adapters that it trains, if any.

    Parameters
    ----------
    state : mapping of str to Tensor, optional
        Of the encoder as an earlier training left it. Its adapters are merged, if they do not go on.
    goes_on : bool
        Whether a training with adapters goes on with those of the state, not with new ones. Those in frozen layers
        stay, and are not trained.
    draw : str
        Decides the first values of new adapters, which change nothing of what the encoder computes. Two phases should
        differ in it: new adapters after merged ones would else begin in the space that those were trained in.

    Raises
    ------
    StiltsError
        If the encoder has no layer that takes an adapter, or those that should go on are not there or are others than
        the settings say.
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
    """Give an encoder without adapters the weights of a state, in which those of its adapters are added up."""
    if not has_adapters(state):
        encoder.load_state_dict(state)
        return
    tuner = _add(encoder, _held(state), dropout=0.0)
    encoder.load_state_dict(state)
    tuner.merge_and_unload()
    delattr(encoder, ALPHA)
    encoder.requires_grad_(True)  # peft has frozen it


def has_adapters(state: State) -> bool:
    """Whether a state is of an encoder with adapters that are not merged."""
    return ALPHA in state


def is_adapter(name: str) -> bool:
    """Whether a weight of this name is one of an adapter's matrices."""
    return name.endswith((_A, _B))


def layer_number(name: str) -> int | None:
    """Return the number of the block that a module or weight of an encoder is in, from 0; None outside of them.

    Blocks stand in a list, whatever its name is ("encoder.layer.3", "h.3"); where lists hold lists, as in T5
    ("encoder.block.3.layer.0"), the outermost counts.
    """
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def adaptable_layers(encoder: nn.Module, frozen_layers: int) -> tuple[str, ...]:
    """Return the linear layers of all blocks from number `frozen_layers` on: of attention and feed-forward.

    GPT-2's are of the class Conv1D, which is linear too.
    """
    from transformers.pytorch_utils import Conv1D

    linear = (name for name, module in encoder.named_modules() if isinstance(module, nn.Linear | Conv1D))
    return tuple(name for name in linear if (number := layer_number(name)) is not None and number >= frozen_layers)


@dataclass(frozen=True)
class _Adapters:
    """The layers that have one, and the settings that all share."""

    layers: frozenset[str]
    rank: int
    alpha: float


def _wanted(encoder: "PreTrainedModel", settings: TrainingSettings) -> _Adapters:
    """Return the adapters that the settings ask for."""
    lora: LoraSettings = settings.lora
    layers = adaptable_layers(encoder, settings.frozen_layers)
    if not layers:
        raise StiltsError(
            f"lora is set, but {type(encoder).__name__} has no linear layer that could take an adapter in its blocks "
            f"from number {settings.frozen_layers} on; lower frozen_layers, or leave lora out"
        )
    return _Adapters(frozenset(layers), lora.rank, lora.alpha)


def _held(state: State) -> _Adapters:
    """Return the adapters that a state holds."""
    if not has_adapters(state):
        raise StiltsError("the checkpoint that this training goes on from has no adapters; train it with lora first")
    layers = [name.removesuffix(_A) for name in state if name.endswith(_A)]
    return _Adapters(frozenset(layers), len(state[layers[0] + _A]), state[ALPHA].item())


def _check(held: _Adapters, wanted: _Adapters) -> None:
    """Refuse to go on with adapters that are not what the settings say."""
    for what, there, asked in (("rank", held.rank, wanted.rank), ("alpha", held.alpha, wanted.alpha)):
        if there != asked:
            raise StiltsError(
                f"a training cannot go on with adapters of which {what} is {there}, when its settings say {asked}; "
                "give both phases the same, or choose adapters 'fresh'"
            )
    if lacking := sorted(wanted.layers - held.layers):
        raise StiltsError(
            f"a training cannot go on with adapters that {len(lacking)} layers lack, the first is {lacking[0]}; give "
            "it no fewer frozen_layers than the training before, or choose adapters 'fresh'"
        )


def _add(encoder: "PreTrainedModel", adapters: _Adapters, dropout: float) -> "LoraModel":
    """Put new adapters, which add nothing yet, beside layers of an encoder, and freeze the rest of it."""
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
