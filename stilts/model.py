"""One shared encoder and a head for each task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from stilts.encoders import load_encoder
from stilts.formats import get_format
from stilts.formats.base import Input


class MultiTaskModel(nn.Module):
    """An encoder that several tasks share, and their heads.

    Parameters
    ----------
    encoder : PreTrainedModel
        Any model of `transformers` whose output has `last_hidden_state`.
    heads : mapping of str to nn.Module
        Task -> head: (batch, tokens, hidden), mask (batch, tokens) -> logits.
    """

    def __init__(self, encoder: PreTrainedModel, heads: Mapping[str, nn.Module]):
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(heads)

    def forward(self, task: str, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return a task's logits for token ids and attention mask, both (batch, tokens)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        return self.heads[task](hidden, mask)

    def load_encoder(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take the encoder of another model's state and leave the heads; every encoder weight must be there."""
        prefix = "encoder."
        own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        self.encoder.load_state_dict(own)

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return self.encoder.device


def build_model(encoder_folder: Path, heads: Mapping[str, tuple[str, Sequence[str]]], seed: int) -> MultiTaskModel:
    """Load a prepared encoder and give it new heads, drawn from `seed`.

    Parameters
    ----------
    encoder_folder : Path
        Folder in the layout of `transformers`.
    heads : mapping of str to (format name, labels)
        Tasks that need a head.
    seed : int
        Decides the heads' first weights, and nothing else.
    """
    encoder, _ = load_encoder(str(encoder_folder))
    torch.manual_seed(seed)
    size = encoder.config.hidden_size
    modules = {task: get_format(form).head(size, labels) for task, (form, labels) in heads.items()}
    return MultiTaskModel(encoder, modules).to(default_device())


def default_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pad(inputs: Sequence[Input], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask of all sequences of a batch, both (sequences, longest sequence)."""
    sequences = [sequence for part in inputs for sequence in part.sequences]
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), pad_id)
    mask = torch.zeros((len(sequences), longest), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids.to(device), mask.to(device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bf16" or "fp32" for a setting that may be "auto": bf16 where the device computes it in hardware."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which a resolved precision computes; weights stay in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
