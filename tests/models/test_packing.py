"""Batches without padding: the same losses and gradients as with it, in every family that takes them."""

import numpy as np
import pytest
import torch
from encoders import ALSO_TAKING, FORMS, LABELS, PADDED, TAKING, build, build_task, draw_inputs
from torch._dynamo.testing import CompileCounter

from stilts.models import packing
from stilts.models.model import MultiTaskModel, autocast
from stilts.models.packing import Packing, attend, make_mask, mark_visible
from stilts.tasks.formats import FORMATS
from stilts.training.gradients import Gradients
from stilts.training.optimization import checkpoint_gradients
from stilts.training.prediction import compute_outputs, embed


def measure(model: MultiTaskModel, form: str, **options) -> tuple[float, dict[str, torch.Tensor]]:
    """Return loss and gradients of an update."""
    model.zero_grad()
    gradients = Gradients(model, "fp32", 1, **options)
    loss = gradients.compute(gradients.collate("task", FORMATS[form], draw_inputs(form), 1)).item()
    return loss, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same_update(one: tuple[float, dict], other: tuple[float, dict]) -> None:
    assert other[0] == pytest.approx(one[0], rel=1e-5)
    assert other[1].keys() == one[1].keys()
    for name, gradient in one[1].items():
        torch.testing.assert_close(other[1][name], gradient, rtol=1e-4, atol=2e-5, msg=name)


# --- the same numbers ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", TAKING)
def test_losses_and_gradients_are_those_of_padded_batches(family, form):
    model = build_task(TAKING[family], form)
    padded = measure(model, form)
    assert model.pack_batches()
    assert_same_update(padded, measure(model, form))


@pytest.mark.parametrize("family", ALSO_TAKING)
def test_relatives_take_them_too(family):
    model = build_task(ALSO_TAKING[family], "tagging")
    padded = measure(model, "tagging")
    assert model.pack_batches()
    assert_same_update(padded, measure(model, "tagging"))


def test_the_pooler_reads_the_first_token_of_each_sequence():
    model = build_task(TAKING["XLM-R"], "multiple_choice", "pooler")
    padded = measure(model, "multiple_choice")
    assert model.pack_batches()
    assert_same_update(padded, measure(model, "multiple_choice"))


def test_several_passes_add_up_to_one():
    model = build_task(TAKING["ModernBERT"], "tagging")
    assert model.pack_batches()
    assert_same_update(measure(model, "tagging"), measure(model, "tagging", batch_tokens=30))


def test_layers_that_are_computed_again_give_the_same():
    model = build_task(TAKING["ModernBERT"], "tagging")
    assert model.pack_batches()
    once = measure(model, "tagging")
    checkpoint_gradients(model)
    assert_same_update(once, measure(model, "tagging"))


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("family", TAKING)
def test_compiled_layers_give_the_same(family, packs):
    """What is translated is held here, by a backend that runs it as it is; translating it takes a minute."""
    model = build_task(TAKING[family], "tagging")
    assert not packs or model.pack_batches()
    once, names = measure(model, "tagging"), list(model.state_dict())
    graphs = CompileCounter()
    model.compile_layers(backend=graphs)
    assert_same_update(once, measure(model, "tagging"))
    assert (list(model.state_dict()), model.compiled) == (names, True)
    assert graphs.frame_count > 0


def test_half_precision_gives_the_same_but_for_its_rounding():
    model = build_task(TAKING["XLM-R"], "classification").eval()
    batches = []
    for _ in range(2):
        with autocast("bf16", model.device), torch.inference_mode():
            batches.append(model.logits("task", draw_inputs("classification")))
        assert model.pack_batches()
    torch.testing.assert_close(batches[1], batches[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("family", TAKING)
def test_an_encoder_that_packs_reads_padded_batches_to_the_same_bits(family):
    """Sentence vectors are computed from padded batches."""
    model = build_task(TAKING[family], "classification")
    ids = [part.input_ids for part in draw_inputs("classification")]
    options = {"batch_tokens": 10**4, "precision": "fp32"}
    before = embed(model.encoder, ids, [1, 2], **options)
    assert model.pack_batches()
    assert np.array_equal(embed(model.encoder, ids, [1, 2], **options), before)


@pytest.mark.parametrize("family", TAKING)
def test_an_input_has_the_same_output_whatever_shares_its_row(family):
    model = build_task(TAKING[family], "classification")
    assert model.pack_batches()
    inputs = draw_inputs("classification")
    options = {"batch_tokens": 10**4, "precision": "fp32"}
    together = compute_outputs(model, "task", FORMATS["classification"], inputs, **options)
    alone = [compute_outputs(model, "task", FORMATS["classification"], [part], **options)[0] for part in inputs]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


# --- who takes them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", PADDED)
def test_other_families_keep_padding(family):
    encoder = build(PADDED[family])
    usual = encoder.config._attn_implementation
    model = MultiTaskModel(encoder, {"task": FORMATS["classification"].head(32, range(LABELS))})
    assert not model.pack_batches()
    assert encoder.config._attn_implementation == usual
    assert model.collate(draw_inputs("classification")).packing is None


def test_an_encoder_whose_positions_are_counted_otherwise_keeps_padding(monkeypatch):
    """What decides is the states, not the class."""
    monkeypatch.setattr(packing, "find_first_position", lambda config: 0)
    encoder = build(TAKING["XLM-R"])
    assert not packing.takes_packing(encoder)
    assert encoder.config._attn_implementation == "sdpa"


def test_an_encoder_whose_attention_was_chosen_keeps_it():
    encoder = build(TAKING["BERT"])
    encoder.set_attn_implementation("eager")
    assert not packing.takes_packing(encoder)
    assert encoder.config._attn_implementation == "eager"


# --- rows and masks --------------------------------------------------------------------------------------------------


def test_a_row_has_every_token_once_and_comes_back_padded():
    found = Packing.of([2, 3, 1], first=2)
    assert found.places.tolist() == [0, 1, 3, 4, 5, 6]
    assert found.positions.tolist() == [[2, 3, 2, 3, 4, 2]]
    assert (found.starts.tolist(), found.starts.dtype, found.longest) == ([0, 2, 5, 6], torch.int32, 3)
    ids = torch.tensor([[5, 6, 1], [7, 8, 9], [4, 1, 1]])
    row = found.pack(ids)
    assert row.tolist() == [[5, 6, 7, 8, 9, 4]]
    back = found.unpack(row.unsqueeze(-1).float())
    assert back.squeeze(-1).tolist() == [[5, 6, 0], [7, 8, 9], [4, 0, 0]]


def test_a_token_sees_its_own_sequence_as_far_as_it_reaches():
    starts = torch.tensor([0, 3, 5], dtype=torch.int32)
    whole, near = (mark_visible(starts, 5, reach)[0, 0].int().tolist() for reach in (None, 1))
    assert whole == [[1, 1, 1, 0, 0]] * 3 + [[0, 0, 0, 1, 1]] * 2
    assert near == [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]


def test_a_flat_row_has_no_mask():
    assert make_mask(1, 5, 5, attention_mask=None) is None


# --- the kernel of GPUs, which no test can run -----------------------------------------------------------------------


def attend_by_reference(query, key, value, starts, starts_of_keys, longest, longest_of_keys, dropout, causal, debug, *,
                        scale, window_size_left, window_size_right):  # fmt: skip
    """The operator's documented meaning: (tokens, heads, width), sequence by sequence."""
    assert starts.dtype == torch.int32
    assert torch.equal(starts, starts_of_keys)
    assert longest == longest_of_keys == int(starts.diff().max())
    assert (dropout, causal, debug, window_size_left) == (0.0, False, False, window_size_right)
    parts = []
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        own = [states[start:stop].transpose(0, 1) for states in (query, key, value)]
        places = torch.arange(stop - start)
        distance = (places[:, None] - places).abs()
        near = None if window_size_left == packing.WHOLE_SEQUENCE else distance <= window_size_left
        parts.append(torch.nn.functional.scaled_dot_product_attention(*own, attn_mask=near, scale=scale))
    return torch.cat(parts, dim=1).transpose(0, 1), None, None, None, None


@pytest.mark.parametrize("family", TAKING)
def test_the_kernel_is_given_what_it_needs(family, monkeypatch):
    model = build_task(TAKING[family], "tagging")
    padded = measure(model, "tagging")
    assert model.pack_batches()
    monkeypatch.setattr(packing, "has_kernel", lambda query: True)
    monkeypatch.setattr(packing, "KERNEL", attend_by_reference)
    assert_same_update(padded, measure(model, "tagging"))


@pytest.mark.parametrize("reach", [None, 4])
def test_the_kernel_has_gradients_and_takes_dropout_and_windows(reach, monkeypatch):
    """On the device without values the real operator tells the shapes of its outputs and gradients."""
    monkeypatch.setattr(packing, "has_kernel", lambda query: True)
    states = [torch.empty(1, 2, 9, 16, device="meta", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    starts = torch.empty(3, device="meta", dtype=torch.int32)
    row, _ = attend(torch.nn.Module(), *states, None, dropout=0.1, scaling=0.25, cu_seq_lens_q=starts, max_length_q=5,
                    sliding_window=None if reach is None else reach + 1)  # fmt: skip
    assert (row.shape, row.dtype) == ((1, 9, 2, 16), torch.bfloat16)
    row.sum().backward()
    assert [state.grad.shape for state in states] == [(1, 2, 9, 16)] * 3


def test_a_cpu_has_no_kernel():
    assert not packing.has_kernel(torch.zeros(1, dtype=torch.bfloat16))
