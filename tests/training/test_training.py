"""The training loop: its data order, what it trains and leaves, and that it learns."""

import logging
import random
from collections import Counter
from itertools import pairwise

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from sessions import QUICK, ROWS, Session, same, shrink_memory
from torch.utils._python_dispatch import TorchDispatchMode

from stilts.models.model import (
    Batch,
    MultiTaskModel,
    autocast,
    build_model,
    find_default_device,
    pad,
    resolve_precision,
)
from stilts.study.errors import StiltsError
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.base import EncodedSplit
from stilts.tasks.formats.inputs import Input
from stilts.tasks.metrics import score
from stilts.training.batches import (
    GROUP,
    count_padded_tokens,
    cut_by_tokens,
    cut_evenly,
    group_batches,
    schedule_updates,
)
from stilts.training.gradients import Gradients
from stilts.training.loop import train
from stilts.training.optimization import freeze, make_optimizer
from stilts.training.prediction import batch_by_tokens, count_predictions
from stilts.training.processes import Processes

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300)


def data_of(size: int, length: int = 3) -> EncodedSplit:
    return EncodedSplit(FORMATS["classification"], [Input(i, [0] * length, 0) for i in range(size)])


# --- data order ------------------------------------------------------------------------------------------------------


@given(LENGTHS, st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_holds_every_position_once(lengths, batch_size, seed):
    batches = group_batches(lengths, batch_size, random.Random(seed))
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    # Only the last batch of a group may be short.
    assert sum(len(batch) < batch_size for batch in batches) <= 1 + len(lengths) // (GROUP * batch_size)


def test_batches_hold_inputs_of_like_length_in_no_order_of_length():
    rng = random.Random(0)
    lengths = [rng.randint(5, 60) for _ in range(2_000)]
    batches = group_batches(lengths, 16, random.Random(1))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
    assert 0.3 < sum(a < b for a, b in pairwise(longest)) / len(longest) < 0.7


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 80), min_size=1),
    st.integers(1, 9),
    st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0]),
    st.integers(1, 100),
    st.integers(0, 3),
)
def test_tasks_take_part_in_proportion_to_their_capped_sizes(sizes, batch_size, epochs, cap, seed):
    tasks = {name: data_of(size) for name, size in sizes.items()}
    updates = schedule_updates(tasks, batch_size, epochs, cap, seed)
    capped = {name: min(size, cap) for name, size in sizes.items()}
    per_epoch = sum(-(-size // batch_size) for size in capped.values())
    assert len(updates) == sum(round(per_epoch * min(1.0, epochs - epoch)) for epoch in range(3) if epochs > epoch)
    for epoch in range(int(epochs)):
        part = updates[epoch * per_epoch : (epoch + 1) * per_epoch]
        seen = {name: [i for task, batch in part for i in batch if task == name] for name in sizes}
        assert {name: len(positions) for name, positions in seen.items()} == capped
        for name, positions in seen.items():
            assert len(set(positions)) == len(positions)
            assert set(positions) <= set(range(sizes[name]))


def test_what_a_cap_leaves_out_changes_from_epoch_to_epoch():
    updates = schedule_updates({"a": data_of(100)}, 10, 2.0, 50, 0)
    first, second = ({i for _, batch in part for i in batch} for part in (updates[:5], updates[5:]))
    assert first != second
    assert len(first | second) > 60


def test_without_a_cap_an_epoch_has_all_examples():
    updates = schedule_updates({"a": data_of(100)}, 10, 1.0, None, 0)
    assert sorted(i for _, batch in updates for i in batch) == list(range(100))


def test_tasks_of_a_training_take_turns():
    updates = schedule_updates({"a": data_of(200), "b": data_of(100)}, 10, 1.0, 10**6, 0)
    assert Counter(task for task, _ in updates) == {"a": 20, "b": 10}
    assert sum(one != other for (one, _), (other, _) in pairwise(updates)) > 6


def test_the_order_is_the_seeds():
    tasks = {"a": data_of(50), "b": data_of(30)}
    assert schedule_updates(tasks, 8, 2.0, 40, 1) == schedule_updates(tasks, 8, 2.0, 40, 1)
    assert schedule_updates(tasks, 8, 2.0, 40, 1) != schedule_updates(tasks, 8, 2.0, 40, 2)


@given(LENGTHS, st.integers(1, 300))
def test_batches_for_prediction_hold_every_input_once_and_few_tokens(lengths, most):
    batches = list(batch_by_tokens(lengths, most))
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) * max(lengths[i] for i in batch) <= most or len(batch) == 1
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest)


def test_no_input_makes_no_batch():
    assert list(batch_by_tokens([], 10)) == []


# --- training --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tasks() -> dict[str, EncodedSplit]:
    return {name: tiny.encoded(name, rows, labels) for name, (rows, labels) in ROWS.items()}


@pytest.fixture
def session(encoder, tasks) -> Session:
    return Session(encoder, {"classification": tasks["classification"]})


@pytest.mark.parametrize("name", ROWS)
def test_every_format_is_learned(encoder, tasks, name):
    session = Session(encoder, {name: tasks[name]})

    def dev() -> dict[str, float]:
        return {name: score(count_predictions(session.model, name, tasks[name], batch_tokens=4096, precision="fp32"))}

    before = dev()[name]
    settings = QUICK.model_copy(update={"epochs": 20.0, "learning_rate": 3e-3, "head_learning_rate": 1e-2})
    outcome = train(session.model, session.tasks, settings, seed=1, dev_scores=dev)
    losses = [point["loss"] for point in outcome.history if "loss" in point]
    assert losses[-1] < losses[0] / 3
    assert before < 80
    assert outcome.best_score > 95
    assert outcome.best_score == dev()[name]


def test_two_trainings_with_one_seed_are_equal_to_the_bit(encoder, tasks):
    sessions = [Session(encoder, tasks) for _ in range(2)]
    outcomes = [session.train(QUICK) for session in sessions]
    assert outcomes[0] == outcomes[1]
    assert same(sessions[0].state(), sessions[1].state())


def test_another_seed_is_another_training(encoder, tasks):
    sessions = [Session(encoder, {"tagging": tasks["tagging"]}) for _ in range(2)]
    histories = [session.train(QUICK, seed=seed).history for session, seed in zip(sessions, (1, 2), strict=True)]
    assert histories[0] != histories[1]
    assert not same(sessions[0].state(), sessions[1].state())


def test_what_was_drawn_before_changes_nothing(encoder, tasks):
    first = Session(encoder, {"tagging": tasks["tagging"]})
    first.train(QUICK)
    torch.manual_seed(99)
    torch.rand(7)
    second = Session(encoder, {"tagging": tasks["tagging"]})
    second.train(QUICK)
    assert same(first.state(), second.state())


def test_looking_at_the_dev_set_changes_nothing(encoder, tasks):
    """Neither how often it is looked at nor what random numbers prediction draws."""
    states = []
    for evaluations in (1, 3):
        session = Session(encoder, {"tagging": tasks["tagging"]})

        def scores(session=session) -> dict[str, float]:
            session.model.eval()
            return {"tagging": float(torch.rand(3).numel())}

        train(session.model, session.tasks, QUICK.model_copy(update={"evaluations": evaluations}), seed=1,
              dev_scores=scores)  # fmt: skip
        states.append(session.state())
    assert same(*states)


def test_an_outcome_tells_what_was_done(session):
    outcome = session.train(QUICK.model_copy(update={"epochs": 1.5, "evaluations": 2}), dev_scores=[30, 40])
    inputs = session.tasks["classification"].inputs
    assert (outcome.best_score, outcome.best_scores, outcome.best_update) == (40, {"classification": 40}, 7)
    assert len(inputs) == 36
    assert session.progress == [(done, 7) for done in range(1, 8)]
    assert 36 < outcome.examples < 72
    assert outcome.tokens > sum(len(part.input_ids) for part in inputs)
    scores = [point for point in outcome.history if "dev_score" in point]
    assert scores == [{"update": 4, "dev_score": 30}, {"update": 7, "dev_score": 40}]
    assert [point["update"] for point in outcome.history if "loss" in point] == list(range(1, 8))


@pytest.mark.parametrize(
    "scores, best", [([1, 2, 3], 2), ([3, 2, 1], 0), ([2, 3, 1], 1), ([2, 2, 1], 1), ([1, 1, 1], 2)]
)
def test_the_weights_of_the_best_dev_score_are_left_of_equal_ones_the_last(session, scores, best):
    settings = QUICK.model_copy(update={"epochs": 2.0, "evaluations": 3})
    outcome = session.train(settings, dev_scores=scores)
    assert len(session.states) == 3
    assert not same(session.states[0], session.states[1])
    assert same(session.state(), session.states[best])
    assert outcome.best_score == scores[best]


def test_several_tasks_are_chosen_by_the_mean_of_their_scores(encoder, tasks):
    session = Session(encoder, {name: tasks[name] for name in ("classification", "tagging")})
    outcome = session.train(QUICK.model_copy(update={"evaluations": 2}), dev_scores=[90, 20, 30, 60])
    assert outcome.best_scores == {"classification": 90, "tagging": 20}
    assert same(session.state(), session.states[0])


@pytest.mark.parametrize(
    "changes, frozen",
    [
        ({}, ["embeddings.word_embeddings"]),
        ({"train_embeddings": True}, []),
        ({"frozen_layers": 1}, ["embeddings", "encoder.layer.0."]),
        ({"frozen_layers": 2, "train_embeddings": True}, ["embeddings", "encoder.layer"]),
    ],
    ids=str,
)
def test_what_is_frozen_stays_and_all_else_is_trained(session, changes, frozen):
    before = session.state()
    session.train(QUICK.model_copy(update=changes))
    after = session.state()
    # Attention is the same whatever is added to every key, so the keys' biases are left out.
    untouched = {name for name in before if torch.equal(before[name], after[name]) and "key.bias" not in name}
    prefixes = tuple(f"encoder.{part}" for part in frozen)
    assert untouched == {name for name in before if name.startswith(prefixes) and "key.bias" not in name}


def test_decay_and_rates_are_those_of_the_settings(session):
    settings = QUICK.model_copy(update={"weight_decay": 0.1, "head_learning_rate": 0.5, "warmup": 0.2})
    freeze(session.model, settings)
    optimizer, rates = make_optimizer(session.model, settings, updates=10)
    names = {id(weight): name for name, weight in session.model.named_parameters()}
    groups = {
        (group["initial_lr"], group["weight_decay"]): {names[id(weight)] for weight in group["params"]}
        for group in optimizer.param_groups
    }
    assert groups.keys() == {(1e-3, 0.1), (1e-3, 0.0), (0.5, 0.1), (0.5, 0.0)}
    assert groups[0.5, 0.1] == {"heads.classification.project.weight"}
    assert all("LayerNorm" not in name and "bias" not in name for name in groups[1e-3, 0.1])
    assert all("LayerNorm" in name or "bias" in name for name in groups[1e-3, 0.0])
    trained = {name for name, weight in session.model.named_parameters() if weight.requires_grad}
    assert set.union(*groups.values()) == trained
    assert sum(map(len, groups.values())) == len(trained)
    shares = []
    for _ in range(10):
        shares.append(optimizer.param_groups[0]["lr"] / 1e-3)
        optimizer.step()
        rates.step()
    assert shares == pytest.approx([0, 0.5, *(1 - i / 8 for i in range(8))])


def test_a_second_training_frees_what_the_first_froze(session):
    """The target phase may freeze other parts than the intermediate phase did."""
    freeze(session.model, QUICK.model_copy(update={"frozen_layers": 2}))
    freeze(session.model, QUICK.model_copy(update={"train_embeddings": True}))
    assert all(weight.requires_grad for weight in session.model.parameters())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(session, value):
    with torch.no_grad():
        session.model.heads["classification"].project.bias[0] = value
    with pytest.raises(StiltsError, match="loss of task 'classification' is (nan|inf); lower the learning rate"):
        session.train(QUICK)


def test_a_training_without_an_update_is_refused(session):
    with pytest.raises(StiltsError, match="0.05 epochs are less than one update of 8 examples; raise epochs"):
        session.train(QUICK.model_copy(update={"epochs": 0.05}))


def test_more_evaluations_than_updates_are_one_after_each(session):
    outcome = session.train(QUICK.model_copy(update={"epochs": 0.4, "evaluations": 10}))
    assert [point["update"] for point in outcome.history if "dev_score" in point] == [1, 2]


def test_half_precision_keeps_whole_weights(session):
    outcome = session.train(QUICK.model_copy(update={"precision": "bf16"}))
    assert {value.dtype for value in session.state().values() if value.is_floating_point()} == {torch.float32}
    assert all(point["loss"] > 0 for point in outcome.history if "loss" in point)


# --- passes ----------------------------------------------------------------------------------------------------------

INPUTS = st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=4), min_size=1, max_size=40)


@given(INPUTS, st.integers(1, 300), st.integers(1, 5))
def test_a_batch_is_cut_in_its_order_into_as_few_passes_as_that_allows(lengths, most, count):
    parts = [
        Input(i, [0] * own[0], None, alternatives=tuple([0] * n for n in own[1:])) for i, own in enumerate(lengths)
    ]
    passes = cut_by_tokens(parts, most)
    assert [part for passed in passes for part in passed] == parts
    assert all(count_padded_tokens(passed) <= most or len(passed) == 1 for passed in passes)
    assert all(count_padded_tokens([*one, other[0]]) > most for one, other in pairwise(passes))
    for passed in passes:
        assert count_padded_tokens(passed) == pad(passed, 1, torch.device("cpu"))[0].numel()
    shares = cut_evenly(parts, count)
    assert [part for share in shares for part in share] == parts
    assert len(shares) <= count
    assert len({len(share) for share in shares[:-1]}) <= 1


def choice_inputs() -> list[Input]:
    """Questions with two to four choices of different lengths."""
    ids = [part.input_ids for part in FORMATS["classification"].encode(tiny.intent_rows("en"), tiny.tokenizer(), 64)]
    inputs = []
    for number in range(8):
        choices = ids[number : number + 2 + number % 3]
        inputs.append(Input(number, choices[0], number % 2, alternatives=tuple(choices[1:])))
    return inputs


def inputs_of(form: str) -> list[Input]:
    if form == "multiple_choice":
        return choice_inputs()
    rows = ROWS["span_qa" if form.startswith("span_qa") else form][0]
    return FORMATS[form].encode(rows, tiny.tokenizer(), 64)[:8]


def without_dropout(encoder, form: str) -> MultiTaskModel:
    labels = ROWS.get(form, ((), ()))[1]
    model = build_model(encoder, {"task": (FORMATS[form], labels)}, 0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.encoder.set_attn_implementation("eager")  # whose dropout is a module
    return model.train()


CUT = ("classification", "tagging", "span_qa", "span_qa_mlqa", "span_qa_null", "multiple_choice")


def gradients_of(model: MultiTaskModel, form: str, parts: list[Input], **options):
    model.zero_grad()
    gradients = Gradients(model, "fp32", 1, **options)
    loss = gradients.compute(gradients.collate("task", FORMATS[form], parts, 1)).item()
    return loss, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("form", CUT)
@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_several_passes_add_up_to_the_gradients_of_one(encoder, form, batch_tokens):
    model, parts = without_dropout(encoder, form), inputs_of(form)
    loss, gradients = gradients_of(model, form, parts)
    in_passes, added = gradients_of(model, form, parts, batch_tokens=batch_tokens)
    assert in_passes == pytest.approx(loss, rel=1e-5)
    assert added.keys() == gradients.keys()
    for name in gradients:
        torch.testing.assert_close(added[name], gradients[name], rtol=1e-4, atol=1e-5)


@pytest.fixture
def compared(monkeypatch) -> str:
    """A format whose loss compares the inputs of a batch with each other."""
    monkeypatch.setattr(type(FORMATS["classification"]), "whole_batches", True, raising=False)
    return "classification"


def test_a_batch_whose_inputs_are_compared_with_each_other_is_never_cut(encoder, compared):
    model, parts = without_dropout(encoder, compared), inputs_of(compared)
    loss, gradients = gradients_of(model, compared, parts)
    again, same_gradients = gradients_of(model, compared, parts, batch_tokens=1)
    assert again == loss
    assert same(gradients, same_gradients)


class CountCasts(TorchDispatchMode):
    """Counts how often weights are cast to half precision."""

    def __init__(self, model: MultiTaskModel):
        super().__init__()
        self.weights, self.count = {weight.data_ptr() for weight in model.parameters()}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.ops.aten._to_copy.default and kwargs.get("dtype") == torch.bfloat16:
            self.count += args[0].data_ptr() in self.weights
        return function(*args, **kwargs)


def test_a_weight_is_cast_once_an_update_whatever_its_passes(encoder):
    counts = []
    for batch_tokens in (None, 40):
        model = without_dropout(encoder, "tagging")
        gradients = Gradients(model, "bf16", 1, batch_tokens)
        update = gradients.collate("task", FORMATS["tagging"], inputs_of("tagging"), 1)
        with CountCasts(model) as casts:
            gradients.compute(update)
        counts.append((len(update.passes), casts.count))
    (one, own), (several, theirs) = counts
    assert one == 1
    assert several > 1
    assert own == theirs > 0


def test_gradients_are_clipped_once_an_update_whatever_its_passes(session, monkeypatch):
    calls = []
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *args: (calls.append(args[1]), clip(*args)))
    session.train(QUICK.model_copy(update={"batch_tokens": 20, "clip": 0.5}))
    assert calls == [0.5] * 5


def test_a_training_in_passes_is_learned_and_repeats_to_the_bit(encoder, tasks):
    settings = QUICK.model_copy(update={"batch_tokens": 40, "epochs": 10.0, "learning_rate": 3e-3})
    sessions = [Session(encoder, {"tagging": tasks["tagging"]}) for _ in range(2)]
    outcomes = [session.train(settings) for session in sessions]
    assert outcomes[0] == outcomes[1]
    assert same(sessions[0].state(), sessions[1].state())
    losses = [point["loss"] for point in outcomes[0].history if "loss" in point]
    assert losses[-1] < losses[0] / 3


def test_layers_that_are_computed_again_change_no_number(encoder, tasks):
    states = []
    for again in (False, True):
        session = Session(encoder, {"tagging": tasks["tagging"]})
        session.train(QUICK.model_copy(update={"gradient_checkpointing": again}))
        assert session.model.encoder.is_activation_checkpointing == again
        states.append(session.state())
    assert same(*states)


def test_an_encoder_that_cannot_compute_layers_again_is_named(session, monkeypatch):
    monkeypatch.setattr(type(session.model.encoder), "supports_gradient_checkpointing", False)
    with pytest.raises(StiltsError, match="gradient_checkpointing is true, which BertModel does not support"):
        session.train(QUICK.model_copy(update={"gradient_checkpointing": True}))


# --- memory ----------------------------------------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_goes_through_in_smaller_passes(session, caplog):
    parts = session.tasks["classification"].inputs
    longest = max(part.longest for part in parts)
    memory = shrink_memory(session, 3 * longest)
    with caplog.at_level(logging.WARNING):
        outcome = session.train(QUICK)
    assert max(memory.held) <= 3 * longest
    lowered = [point for point in outcome.history if "batch_tokens" in point]
    assert [point["update"] for point in lowered] == [1]
    assert longest <= lowered[0]["batch_tokens"] <= 3 * longest
    assert outcome.examples == len(parts)
    bound = int(lowered[0]["batch_tokens"])
    assert caplog.messages[-1] == (
        f"the memory of cpu is full; from update 1 on, a pass has at most {bound} tokens"
    )


@pytest.mark.parametrize("packs", [False, True])
def test_an_update_that_did_not_fit_is_done_again_as_if_it_never_had_begun(encoder, tasks, packs):
    only = {"classification": tasks["classification"]}
    crowded = Session(encoder, only, packs=packs)
    memory = shrink_memory(crowded, 40)
    bound = [point for point in crowded.train(QUICK).history if "batch_tokens" in point][-1]["batch_tokens"]
    roomy = Session(encoder, only, packs=packs)
    shrink_memory(roomy, 10**6)
    roomy.train(QUICK.model_copy(update={"batch_tokens": int(bound)}))
    assert same(crowded.state(), roomy.state())
    assert memory.held


def test_an_example_that_alone_does_not_fit_is_named(session):
    shrink_memory(session, 4)
    message = r"task 'classification': one input of up to \d+ tokens does not fit .*; lower max_length, set"
    with pytest.raises(StiltsError, match=message):
        session.train(QUICK)


def test_a_batch_that_must_not_be_cut_and_does_not_fit_is_named(session, compared):
    shrink_memory(session, 4)
    with pytest.raises(StiltsError, match="a batch of 8 inputs, which its loss compares .*; lower batch_size, set"):
        session.train(QUICK)


class FirstOfTwo(Processes):
    """The main process of two, of which the other can hold 20 tokens in a pass."""

    def all_reduce_min(self, bound: int | None) -> int | None:
        return min(bound or 20, 20)

    def all_reduce(self, loss: torch.Tensor, weights) -> torch.Tensor:
        return loss


def test_what_another_process_can_hold_is_what_all_hold(encoder, caplog):
    model, parts = without_dropout(encoder, "tagging"), inputs_of("tagging")
    gradients = Gradients(model, "fp32", 1, None, FirstOfTwo(count=2, rank=0))
    share = gradients.compute(gradients.collate("task", FORMATS["tagging"], parts, 1)).item()
    assert gradients.batch_tokens == 20
    assert "from update 1 on, a pass has at most 20 tokens" in caplog.text
    mine = [part for passed in cut_by_tokens(parts, 20)[::2] for part in passed]
    expected, _ = gradients_of(model, "tagging", mine)
    weight = FORMATS["tagging"].weight
    assert share == pytest.approx(expected * weight(mine) / weight(parts), rel=1e-5)


# --- early end -------------------------------------------------------------------------------------------------------


def points(outcome, kind: str) -> list[float]:
    return [point["update"] for point in outcome.history if kind in point]


def test_the_dev_set_is_looked_at_every_so_many_updates_and_at_the_end(session):
    outcome = session.train(QUICK.model_copy(update={"epochs": 1.5, "evaluate_every": 3}))
    assert points(outcome, "dev_score") == [3, 6, 7]


@pytest.mark.parametrize(
    "scores, last, best",
    [
        ([10, 20, 15, 20, 30], 4, 4),  # of equal scores the later one holds, but it is no gain
        ([10, 9, 11, 10, 9], 5, 3),
        ([10, 9, 8, 30, 40], 3, 1),
        ([1, 2, 3, 4, 5, 6, 7], 7, 7),
    ],
)
def test_a_training_without_gain_ends_early_with_its_best_weights(session, scores, last, best):
    settings = QUICK.model_copy(update={"epochs": 1.5, "evaluate_every": 1, "patience": 2})
    outcome = session.train(settings, dev_scores=scores)
    assert points(outcome, "dev_score") == list(range(1, last + 1))
    assert (outcome.best_update, outcome.best_score) == (best, scores[best - 1])
    assert same(session.state(), session.states[best - 1])


def test_the_curve_of_a_training_that_ends_early_ends_with_it(session):
    settings = QUICK.model_copy(update={"epochs": 20.0, "evaluate_every": 3, "patience": 1})
    outcome = session.train(settings, dev_scores=[2, 1])
    assert points(outcome, "loss") == [5, 6]
    assert outcome.examples <= 6 * 8


# --- batches and precision -------------------------------------------------------------------------------------------


def test_a_batch_is_padded_at_the_end():
    ids, mask = pad([Input(0, [5, 6, 7], None), Input(1, [8], None)], 1, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_precision_is_what_is_set_or_what_the_device_computes(monkeypatch):
    cpu = torch.device("cpu")
    assert [resolve_precision(each, cpu) for each in ("fp32", "bf16")] == ["fp32", "bf16"]
    for able, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able})
        assert resolve_precision("auto", cpu) == expected


def test_half_precision_is_used_where_it_is_set(session):
    ids, mask = pad(session.tasks["classification"].inputs[:2], 1, find_default_device())
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(precision, find_default_device()):
            assert session.model("classification", Batch(ids, mask)).dtype == dtype
