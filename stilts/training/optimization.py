"""The optimizer: which weights are trained, AdamW, and the learning-rate schedule."""

import re
from collections.abc import Iterator

import torch

from stilts.models.adapters import find_layer_number, is_adapter
from stilts.models.model import MultiTaskModel
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings

_EMBEDDINGS = re.compile(r"embed|\bw[tp]e\b|\bshared\b")  # names in BERT, GPT-2 and T5


def make_optimizer(
    model: MultiTaskModel, settings: TrainingSettings, updates: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW with separate rates for encoder and heads, and a schedule with linear warm-up and decay.

    Weight decay applies to matrices only. If adapters are trained, their rate replaces the encoder's; a pooler always
    has the encoder's rate.
    """
    from transformers import get_linear_schedule_with_warmup

    encoder_rate = settings.lora.learning_rate if settings.lora else settings.learning_rate
    rates = {"encoder": encoder_rate, "pooler": settings.learning_rate, "heads": settings.head_learning_rate}
    groups = [
        {"params": weights, "lr": rates[part], "weight_decay": settings.weight_decay if decayed else 0.0}
        for part in rates
        for decayed in (True, False)
        if (weights := list(_weights(model, part, decayed)))
    ]
    optimizer = torch.optim.AdamW(groups, eps=1e-8, fused=True)
    return optimizer, get_linear_schedule_with_warmup(optimizer, round(settings.warmup * updates), updates)


def freeze(model: MultiTaskModel, settings: TrainingSettings) -> None:
    """Freeze what the settings do not train: word embeddings, the lowest layers, everything but the adapters."""
    for name, weight in model.encoder.named_parameters():
        adapts = is_adapter(name) or not settings.lora
        weight.requires_grad_(adapts and not _lies_below(name, settings.frozen_layers))
    if not settings.train_embeddings:
        model.encoder.get_input_embeddings().weight.requires_grad_(False)


def _lies_below(name: str, layer: int) -> bool:
    number = find_layer_number(name)
    return bool(_EMBEDDINGS.search(name)) and layer > 0 if number is None else number < layer


def checkpoint_gradients(model: MultiTaskModel) -> None:
    """Turn on gradient checkpointing, which recomputes activations instead of storing them.

    Raises
    ------
    StiltsError
        If the encoder's class does not support it.
    """
    if not model.encoder.supports_gradient_checkpointing:
        name = type(model.encoder).__name__
        raise StiltsError(f"gradient_checkpointing is true, which {name} does not support; set it to false")
    model.encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def copy_trained_weights(model: MultiTaskModel) -> dict[str, torch.Tensor]:
    """Return copies of the trained weights in CPU memory, by their names in the model's state."""
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items() if name in trained}


def count_trained(model: MultiTaskModel) -> int:
    """Return the number of trained weights, of the encoder or its adapters and of the heads."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def _weights(model: MultiTaskModel, part: str, decayed: bool) -> Iterator[torch.nn.Parameter]:
    for name, weight in model.named_parameters():
        # Biases and LayerNorm weights, which have no decay, are one-dimensional.
        if weight.requires_grad and name.startswith(part) and (weight.dim() > 1) == decayed:
            yield weight
