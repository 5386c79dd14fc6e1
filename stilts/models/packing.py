"""Batches without padding: an encoder reads all sequences of a batch as one flat row of tokens.

A token attends to those of its own sequence alone, and positions start again with each sequence. On a GPU in half
precision, a kernel for sequences of different lengths computes the attention (Dao et al. 2022, arXiv:2205.14135);
elsewhere a block-diagonal mask gives the same, at the cost of all pairs of tokens in the row.

The attention is registered with `transformers`, so that encoders of the families of BERT, RoBERTa (with XLM-R) and
ModernBERT take it as they are. A class does not tell reliably whether it takes it, so that is tested: in one row, two
sequences must have the states that each has alone.
"""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from accelerate.utils import recursively_apply
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stilts.models.cpu_layers import ATTENTION as CPU_ATTENTION
from stilts.models.encoder_files import find_first_position
from stilts.tasks.formats.inputs import mark_filled

Fields = TypeVar("Fields", bound=tuple)

ATTENTION = "stilts_packed"  # name of the attention in `transformers`
# The operator behind torch.nn.attention.varlen.varlen_attn, which lacks the dropout of BERT's and RoBERTa's families.
KERNEL = torch.ops.aten._flash_attention_forward
WHOLE_SEQUENCE = -1  # its window without a bound
TOLERANCE = 1e-4  # of states in single precision, whose sums are in another order; other sequences would change more


class Packing(NamedTuple):
    """Where the tokens of a padded batch stand in its flat row.

    Attributes
    ----------
    places : Tensor (tokens,)
        Number of each token among the places of the padded batch, row by row.
    positions : Tensor (1, tokens)
        Position of each token in its own sequence, counted as the encoder does.
    starts : int32 Tensor (sequences + 1,)
        Where each sequence starts in the row, and the row's end.
    longest : int
        Tokens of the longest sequence.
    """

    places: torch.Tensor
    positions: torch.Tensor
    starts: torch.Tensor
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int], first: int) -> "Packing":
        """Return the packing of sequences of these numbers of tokens, each with the position `first` at its start."""
        sizes = np.asarray(lengths)
        filled = mark_filled(sizes)  # (sequences, longest)
        positions = first + filled.nonzero()[1][None]
        starts = np.concatenate([[0], sizes.cumsum()]).astype(np.int32)
        return cls(*map(torch.from_numpy, (np.flatnonzero(filled), positions, starts)), filled.shape[1])

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """Return the flat row, (1, tokens), of a padded batch, (sequences, longest)."""
        return padded.flatten()[self.places].unsqueeze(0)

    def unpack(self, row: torch.Tensor) -> torch.Tensor:
        """Return a flat row's states, (1, tokens, hidden), as (sequences, longest, hidden), with zeros for padding."""
        sequences, hidden = len(self.starts) - 1, row.shape[-1]
        padded = row.new_zeros(sequences * self.longest, hidden).index_copy(0, self.places, row[0])
        return padded.view(sequences, self.longest, hidden)


def move(tensors: Fields, device: torch.device) -> Fields:
    """Return a named tuple, and tuples in it, with tensors on a device; those that are pinned move without a wait."""
    return recursively_apply(lambda tensor: tensor.to(device, non_blocking=True), tensors)


def pin(tensors: Fields, device: torch.device) -> Fields:
    """Return a named tuple with its tensors in memory from which the device, if it is a GPU, copies without a wait."""
    if device.type != "cuda":
        return tensors
    with torch.cuda.device(device):  # a new thread begins with the first GPU
        return recursively_apply(torch.Tensor.pin_memory, tensors)


def takes_packing(model: PreTrainedModel) -> bool:
    """Return whether an encoder can read flat rows; its attention is then the one registered here, and stays it.

    Padded batches are computed as before.
    """
    usual = model.config._attn_implementation
    takes_rows = {"position_ids", "kwargs"} <= inspect.signature(model.forward).parameters.keys()
    if usual not in ("sdpa", CPU_ATTENTION) or not model._supports_attention_backend or not takes_rows:
        return False
    model.set_attn_implementation(ATTENTION)
    if _keeps_sequences_apart(model):
        return True
    model.set_attn_implementation(usual)
    return False


@torch.inference_mode()
def _keeps_sequences_apart(model: PreTrainedModel) -> bool:
    """Return whether two sequences have the states in one row that each has alone."""
    tokens = [token for token in range(8) if token != model.config.pad_token_id]
    sequences = [torch.tensor([part], device=model.device) for part in (tokens[:3], tokens[2:7])]
    packing = Packing.of([part.shape[1] for part in sequences], find_first_position(model.config.to_dict()))
    was_training = model.training
    model.eval()
    row = read_row(model, torch.cat(sequences, dim=1), move(packing, model.device))
    alone = [model(input_ids=part, attention_mask=torch.ones_like(part)).last_hidden_state for part in sequences]
    model.train(was_training)
    return torch.allclose(row, torch.cat(alone, dim=1), atol=TOLERANCE, rtol=TOLERANCE)


def read_row(model: PreTrainedModel, ids: torch.Tensor, packing: Packing) -> torch.Tensor:
    """Return an encoder's last hidden states, (1, tokens, hidden), for a flat row of ids, (1, tokens)."""
    # The names of the boundaries are those of `transformers` for its own kernels.
    boundaries = {"cu_seq_lens_q": packing.starts, "cu_seq_lens_k": packing.starts}
    lengths = {"max_length_q": packing.longest, "max_length_k": packing.longest}
    return model(input_ids=ids, position_ids=packing.positions, **boundaries, **lengths).last_hidden_state


# --- attention -------------------------------------------------------------------------------------------------------


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention of a flat row, or that of a padded batch if no boundaries are given.

    Parameters
    ----------
    query, key, value : Tensor (1, heads, tokens, width)
    sliding_window : int, optional
        One more than the greatest distance between tokens that see each other.
    cu_seq_lens_q : int32 Tensor (sequences + 1,), optional
        As `Packing.starts`.
    max_length_q : int, optional
        As `Packing.longest`.

    Returns
    -------
    Tensor (1, tokens, heads, width), None
    """
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    reach = None if sliding_window is None else sliding_window - 1
    if has_kernel(query):
        row = _attend_by_kernel(query, key, value, cu_seq_lens_q, max_length_q, dropout, scaling, reach)
        return row, None
    mask = mark_visible(cu_seq_lens_q, query.shape[2], reach)
    return sdpa_attention_forward(module, query, key, value, mask, dropout=dropout, scaling=scaling, is_causal=False)


def has_kernel(query: torch.Tensor) -> bool:
    """Return whether there is a kernel for sequences of different lengths: on a GPU, in half precision."""
    return query.is_cuda and query.dtype in (torch.bfloat16, torch.float16)


def _attend_by_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
    dropout: float,
    scaling: float | None,
    reach: int | None,
) -> torch.Tensor:
    window = WHOLE_SEQUENCE if reach is None else reach
    rows = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))  # (tokens, heads, width) each
    output, *_ = KERNEL(
        *rows, starts, starts, longest, longest, dropout, False, False,
        scale=scaling, window_size_left=window, window_size_right=window,
    )  # fmt: skip
    return output.unsqueeze(0)


def mark_visible(starts: torch.Tensor, tokens: int, reach: int | None) -> torch.Tensor:
    """Return which tokens of a flat row each token sees, bool (1, 1, tokens, tokens): a block for each sequence."""
    places = torch.arange(tokens, device=starts.device)
    sequence = torch.searchsorted(starts, places, right=True)
    visible = sequence[:, None] == sequence
    if reach is not None:
        visible &= (places[:, None] - places).abs() <= reach
    return visible[None, None]


def make_mask(*sizes: Any, attention_mask: torch.Tensor | None = None, **options: Any) -> torch.Tensor | None:
    """Return the mask of a padded batch. A flat row comes without one: its attention knows the boundaries."""
    return None if attention_mask is None else sdpa_mask(*sizes, attention_mask=attention_mask, **options)


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, make_mask)
