"""No update waits for its device: nothing is read from it, and what it needs was made ahead, in pinned memory."""

import threading
from contextlib import nullcontext

import pytest
import torch
from encoders import FORMS, TAKING, build_task, draw_inputs
from torch.utils._python_dispatch import TorchDispatchMode

from stilts.models import packing
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats import FORMATS
from stilts.training import collation, loop
from stilts.training import gradients as gradients_module
from stilts.training.collation import AHEAD, make_ahead
from stilts.training.gradients import Gradients
from stilts.training.optimization import freeze, make_optimizer
from stilts.training.state import Losses, TrainingState

ATEN = torch.ops.aten
READING = {
    ATEN._local_scalar_dense.default, ATEN.nonzero.default, ATEN.is_nonzero.default, ATEN.equal.default,
    ATEN.masked_select.default, ATEN._unique2.default,
}  # fmt: skip
SETTINGS = TrainingSettings(precision="bf16", train_embeddings=True)


class NoReading(TorchDispatchMode):
    """A device whose values cannot be read: what would wait for it raises."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in READING:
            raise AssertionError(f"{function} waits for the device")
        return function(*args, **kwargs or {})


def begin(form: str, family: str, batch_tokens: int | None = None) -> TrainingState:
    model = build_task(TAKING[family], form)
    assert model.pack_batches()
    freeze(model, SETTINGS)
    return TrainingState(model, *make_optimizer(model, SETTINGS, 10), Gradients(model, "bf16", 1, batch_tokens))


@pytest.mark.parametrize("read", [torch.Tensor.item, bool, torch.Tensor.nonzero])
def test_what_reads_a_value_raises(read):
    with NoReading(), pytest.raises(AssertionError, match="waits for the device"):
        read(torch.ones(1))


@pytest.mark.parametrize("batch_tokens", [None, 30])
@pytest.mark.parametrize("family", TAKING)
@pytest.mark.parametrize("form", FORMS)
def test_an_update_reads_nothing(form, family, batch_tokens):
    """Two updates, so that the optimizer has a state; what they read is read afterwards."""
    state = begin(form, family, batch_tokens)
    updates = [state.gradients.collate("task", FORMATS[form], draw_inputs(form), number) for number in (1, 2)]
    with NoReading():
        for update in updates:
            loop._update(state, update, 1.0)
    assert [loss > 0 for loss in state.losses.read()] == [True, True]


class OnlyPinned(TorchDispatchMode):
    """Copies to a device are made from pinned memory and without a wait."""

    def __init__(self, pinned: set[int]):
        super().__init__()
        self.pinned, self.copied = pinned, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is ATEN._to_copy.default and args[0].device.type == "cpu" and str(kwargs.get("device")) != "cpu":
            assert args[0].data_ptr() in self.pinned, f"{tuple(args[0].shape)} is copied from memory that is not pinned"
            assert kwargs["non_blocking"]
            self.copied += 1
        return function(*args, **kwargs)


@pytest.mark.parametrize("family", TAKING)
@pytest.mark.parametrize("form", FORMS)
def test_a_pass_needs_nothing_but_what_was_made_ahead(form, family, monkeypatch):
    """On the device without values every way to read one fails, and the kernel of GPUs tells its shapes."""
    pinned: dict[int, torch.Tensor] = {}

    def pin(tensors, device):
        return packing.recursively_apply(lambda tensor: pinned.setdefault(tensor.data_ptr(), tensor), tensors)

    monkeypatch.setattr(collation, "pin", pin)
    monkeypatch.setattr(packing, "has_kernel", lambda query: query.is_meta)
    for name in ("autocast", "keep_casts"):  # which do not know the device without values
        monkeypatch.setattr(gradients_module, name, lambda *given: nullcontext())
    model = build_task(TAKING[family], form)
    assert model.pack_batches()
    model.to("meta")
    gradients = Gradients(model, "fp32", 1)
    update = gradients.collate("task", FORMATS[form], draw_inputs(form), 1)
    with OnlyPinned(set(pinned)) as copies:
        loss = gradients.compute(update)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert (loss.shape, loss.device.type, copies.copied) == ((), "meta", len(pinned))
    with pytest.raises(RuntimeError, match="meta"):
        loss.item()


def test_tensors_are_pinned_for_the_gpu_of_their_model_alone(monkeypatch):
    """Numbers beside them stay as they are."""
    gpus, pinned = [], []
    monkeypatch.setattr(torch.cuda, "device", lambda device: gpus.append(device) or nullcontext())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())
    packed = packing.Packing.of([2, 1], first=0)
    assert packing.pin(packed, torch.device("cpu")) is packed
    assert (gpus, pinned) == ([], [])
    found = packing.pin(packed, torch.device("cuda:1"))
    assert gpus == [torch.device("cuda:1")]
    assert [id(tensor) for tensor in pinned] == [id(tensor) for tensor in packed[:3]]
    assert (type(found), found.longest) == (packing.Packing, 2)


def test_a_loss_that_is_not_finite_is_named_when_it_is_read():
    losses = Losses([3.0])
    losses.add("first", torch.tensor(0.5))
    assert losses.read() == [3.0, 0.5]
    losses.add("first", torch.tensor(0.25))
    losses.add("second", torch.tensor(torch.nan))
    assert len(losses) == 4
    with pytest.raises(StiltsError, match="loss of task 'second' is nan"):
        losses.read()


# --- ahead -----------------------------------------------------------------------------------------------------------


def test_items_are_made_in_order_ahead_of_their_use_in_a_thread():
    made: list[int] = []
    threads = set()

    def make(item: int) -> int:
        threads.add(threading.get_ident())
        made.append(item)
        return -item

    found = make_ahead(make, range(10))
    assert next(found) == 0
    assert found.gi_frame is not None
    assert len(made) <= AHEAD + 1
    assert list(found) == [-item for item in range(1, 10)]
    assert made == list(range(10))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_is_raised_where_its_item_is_due():
    found = make_ahead(lambda item: 1 // (2 - item), range(4))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_training_that_ends_early_leaves_no_thread():
    before = threading.active_count()
    found = make_ahead(abs, range(100))
    next(found)
    assert threading.active_count() == before + 1
    found.close()
    assert threading.active_count() == before
