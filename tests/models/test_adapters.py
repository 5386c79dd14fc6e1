"""Low-rank adapters: where they stand, what they leave alone, and how phases hand them on."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import tiny
import torch
from pydantic import ValidationError
from sessions import QUICK, ROWS, Session, same
from transformers import AutoModel, AutoTokenizer

from stilts.models import adapters
from stilts.models.adapters import find_layer_number, has_adapters, list_adaptable_layers, load_merged
from stilts.models.model import Batch, build_model, take_encoder
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.runner import complete
from stilts.publish.model_export import export
from stilts.study.errors import StiltsError
from stilts.study.runs import Run
from stilts.study.settings import LoraSettings, TrainingSettings
from stilts.tasks.formats import TAGGING
from stilts.tasks.formats.base import EncodedSplit
from stilts.training.optimization import count_trained, freeze, make_optimizer
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

LORA = LoraSettings(rank=2, alpha=3.0, dropout=0.1, learning_rate=1e-2)
WITH_LORA = QUICK.model_copy(update={"lora": LORA})
TASKS = {"classification": ("classification", ROWS["classification"][1])}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
T5_SIZES = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "feed_forward_proj": "gated-gelu"}


def bert():
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(vocab_size=50, **SIZES))


def xlmr():
    from transformers import XLMRobertaConfig, XLMRobertaModel

    return XLMRobertaModel(XLMRobertaConfig(vocab_size=50, **SIZES), add_pooling_layer=False)


def gpt2():
    from transformers import GPT2Config, GPT2Model

    return GPT2Model(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32))


def llama():
    from transformers import LlamaConfig, LlamaModel

    return LlamaModel(LlamaConfig(vocab_size=50, num_key_value_heads=1, **SIZES))


def mt5():
    from transformers import MT5Config, MT5Model

    return MT5Model(MT5Config(vocab_size=50, num_decoder_layers=1, **T5_SIZES))


def mt5_encoder():
    from transformers import MT5Config, MT5EncoderModel

    return MT5EncoderModel(MT5Config(vocab_size=50, **T5_SIZES))


_BERT = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
         "intermediate.dense", "output.dense")  # fmt: skip
_ATTENTION = ("q", "k", "v", "o")
_STACKS = [("encoder", 0), ("encoder", 1), ("decoder", 0)]
_GATED = ("wi_0", "wi_1", "wo")
# What a model's two blocks hold that takes an adapter.
ENCODERS = {
    bert: {f"encoder.layer.{i}.{part}" for i in range(2) for part in _BERT},
    xlmr: {f"encoder.layer.{i}.{part}" for i in range(2) for part in _BERT},
    gpt2: {f"h.{i}.{part}" for i in range(2) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")},
    llama: {
        f"layers.{i}.{part}_proj"
        for i in range(2)
        for part in (*(f"self_attn.{p}" for p in "qkvo"), "mlp.gate", "mlp.up", "mlp.down")
    },
    mt5_encoder: {
        f"encoder.block.{i}.layer.{part}"
        for i in range(2)
        for part in (*(f"0.SelfAttention.{p}" for p in _ATTENTION), *(f"1.DenseReluDense.{p}" for p in _GATED))
    },
    mt5: {
        *(f"{stack}.block.{i}.layer.0.SelfAttention.{p}" for stack, i in _STACKS for p in _ATTENTION),
        *(f"decoder.block.0.layer.1.EncDecAttention.{p}" for p in _ATTENTION),
        *(f"encoder.block.{i}.layer.1.DenseReluDense.{p}" for i in range(2) for p in _GATED),
        *(f"decoder.block.0.layer.2.DenseReluDense.{p}" for p in _GATED),
    },
}


@pytest.fixture(params=ENCODERS, ids=lambda make: make.__name__)
def make(request):
    """Makes an encoder of an architecture, of the same random weights each time."""

    def made():
        torch.manual_seed(0)
        return request.param().eval()

    made.layers = ENCODERS[request.param]
    return made


def outputs(encoder) -> torch.Tensor:
    """What an encoder without dropout makes of a batch."""
    ids = torch.arange(3, 33).reshape(3, 10)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if encoder.config.is_encoder_decoder and hasattr(encoder, "decoder"):
        inputs["decoder_input_ids"] = ids
    with torch.inference_mode():
        return encoder.eval()(**inputs).last_hidden_state


def moved(encoder):
    """The encoder after its adapters have been given values as if they had been trained."""
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if adapters.is_adapter(name):
                weight.normal_(std=0.3)
    return encoder


# --- any architecture ------------------------------------------------------------------------------------------------


def test_every_linear_layer_of_attention_and_feed_forward_takes_an_adapter(make):
    assert set(list_adaptable_layers(make(), 0)) == make.layers
    assert set(list_adaptable_layers(make(), 1)) == {name for name in make.layers if find_layer_number(name) == 1}
    assert list_adaptable_layers(make(), 2) == ()


def test_new_adapters_change_nothing_and_merged_ones_what_they_changed(make):
    encoder = make()
    plain, names = outputs(encoder), list(encoder.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it would land in notebooks
        adapters.begin(encoder, None, WITH_LORA, goes_on=False, draw="1")
        assert torch.equal(outputs(encoder), plain)
        state = moved(encoder).state_dict()
        merged = make()
        load_merged(merged, state)
    unmerged = outputs(encoder)
    assert not torch.allclose(unmerged, plain, atol=0.1)
    torch.testing.assert_close(outputs(merged), unmerged, rtol=1e-4, atol=1e-5)
    assert list(merged.state_dict()) == names
    assert not hasattr(merged, "peft_config")
    assert all(weight.requires_grad for weight in merged.parameters())


# --- what a training begins with -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> dict[str, EncodedSplit]:
    rows = ROWS["classification"][0]
    return {
        "classification": tiny.encoded("classification", rows)
    }


@pytest.fixture
def begun(encoder, data):
    """Makes a session whose model began from a state."""

    def begin(settings: TrainingSettings, state=None, goes_on: bool = False, draw: str = "intermediate 3") -> Session:
        session = Session(encoder, data, 3)
        session.model.begin(state, settings, goes_on=goes_on, draw=draw)
        return session

    return begin


@pytest.fixture(scope="module")
def trained(encoder, data) -> Session:
    """A session that trained adapters."""
    session = Session(encoder, data, 3)
    session.model.begin(None, WITH_LORA, goes_on=False, draw="intermediate 3")
    session.train(WITH_LORA)
    return session


def matrices(state) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if adapters.is_adapter(name)}


def others(state) -> dict[str, torch.Tensor]:
    return {
        name: value for name, value in state.items() if name.startswith("encoder") and not adapters.is_adapter(name)
    }


def hidden(session: Session) -> torch.Tensor:
    return outputs(session.model.encoder)


@pytest.mark.parametrize("frozen", [0, 1])
def test_adapters_and_heads_alone_are_trained(begun, frozen):
    settings = WITH_LORA.model_copy(update={"frozen_layers": frozen})
    session = begun(settings)
    before = session.state()
    session.train(settings)
    after = session.state()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    layers = [f"encoder.layer.{i}.{part}" for i in range(frozen, 2) for part in _BERT]
    own = {f"encoder.{layer}.lora_{letter}.default.weight" for layer in layers for letter in "AB"}
    assert changed == own | {name for name in before if name.startswith("heads.")}
    # Of each layer: rank x (inputs + outputs), four of 32 x 32 and two of 32 x 64.
    in_adapters = (2 - frozen) * 2 * (4 * (32 + 32) + 2 * (32 + 64))
    assert count_trained(session.model) == in_adapters + sum(w.numel() for w in session.model.heads.parameters())


def test_the_rate_of_the_adapters_is_their_own_and_heads_keep_theirs(begun):
    session = begun(WITH_LORA)
    freeze(session.model, WITH_LORA)
    optimizer, _ = make_optimizer(session.model, WITH_LORA, updates=10)
    rates = [(group["initial_lr"], len(group["params"])) for group in optimizer.param_groups]
    heads = list(session.model.heads.parameters())
    matrices_of_heads = sum(weight.dim() > 1 for weight in heads)
    assert rates == [(1e-2, 24), (2e-3, matrices_of_heads), (2e-3, len(heads) - matrices_of_heads)]


def test_a_draw_is_the_same_whatever_was_drawn_before_and_leaves_the_heads_as_they_are_without(begun):
    one = begun(WITH_LORA).state()
    torch.rand(7)
    again, plain, other = begun(WITH_LORA).state(), begun(QUICK).state(), begun(WITH_LORA, draw="target 3").state()
    assert same(one, again)
    heads = {name: value for name, value in plain.items() if name.startswith("heads.")}
    assert heads
    assert same(heads, one)
    drawn = [name for name in matrices(one) if ".lora_A." in name]
    assert len(drawn) == 12
    assert not any(torch.equal(one[name], other[name]) for name in drawn)
    assert all(value.eq(0).all() for name, value in matrices(one).items() if ".lora_B." in name)


def test_a_state_with_adapters_is_loaded_merged(trained, begun):
    with torch.inference_mode():
        trained.model.eval()
        batch = Batch(torch.arange(3, 23).reshape(2, 10), torch.ones(2, 10).long())
        expected = trained.model("classification", batch)
    loaded = begun(QUICK)
    loaded.model.load(trained.state())
    with torch.inference_mode():
        found = loaded.model.eval()("classification", batch)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(hidden(loaded), hidden(trained), rtol=1e-5, atol=1e-5)
    assert not has_adapters(take_encoder(loaded.state()))
    assert has_adapters(take_encoder(trained.state()))


def test_a_full_training_after_adapters_begins_with_the_merged_weights_and_trains_all(trained, begun):
    session = begun(QUICK, trained.state())
    torch.testing.assert_close(hidden(session), hidden(trained), rtol=1e-5, atol=1e-5)
    before = session.state()
    session.train(QUICK)
    after = session.state()
    untouched = {name for name in before if torch.equal(before[name], after[name]) and "key.bias" not in name}
    assert untouched == {"encoder.embeddings.word_embeddings.weight"}


def test_fresh_adapters_begin_where_the_merged_ones_end(trained, begun):
    merged, fresh = begun(QUICK, trained.state()), begun(WITH_LORA, trained.state(), draw="target 3")
    assert torch.equal(hidden(fresh), hidden(merged))
    assert all(value.eq(0).all() for name, value in matrices(fresh.state()).items() if ".lora_B." in name)
    below = {name.replace(".base_layer", ""): value for name, value in others(fresh.state()).items()}
    assert same(others(merged.state()), below)


def test_continued_adapters_begin_as_they_ended_and_are_trained_on(trained, begun):
    session = begun(WITH_LORA, trained.state(), goes_on=True, draw="target 3")
    before = session.state()
    assert same(matrices(trained.state()) | others(trained.state()), before)
    assert torch.equal(hidden(session), hidden(trained))
    session.train(WITH_LORA)
    after = session.state()
    assert not any(torch.equal(before[name], after[name]) for name in matrices(before))
    assert same(others(before), after)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rank": 4}, "rank of the trained adapters is 2, but the settings say 4; use the same value in both"),
        ({"alpha": 16.0}, "alpha of the trained adapters is 3.0, but the settings say 16.0"),
    ],
)
def test_adapters_of_other_settings_do_not_go_on(trained, begun, changes, message):
    settings = QUICK.model_copy(update={"lora": LORA.model_copy(update=changes)})
    with pytest.raises(StiltsError, match=message):
        begun(settings, trained.state(), goes_on=True)


def test_continued_adapters_of_frozen_layers_stay_and_are_not_trained(trained, begun):
    settings = WITH_LORA.model_copy(update={"frozen_layers": 1})
    session = begun(settings, trained.state(), goes_on=True)
    before = session.state()
    assert same(matrices(trained.state()) | others(trained.state()), before)
    session.train(settings)
    after = session.state()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    upper = {name for name in matrices(before) if ".layer.1." in name}
    assert len(upper) == 12
    assert changed == upper | {name for name in before if name.startswith("heads.")}


def test_adapters_that_layers_lack_do_not_go_on(begun):
    fewer = begun(WITH_LORA.model_copy(update={"frozen_layers": 1})).state()
    message = r"6 layers have no trained adapter, the first is encoder.layer.0.attention.output.dense; set frozen_"
    with pytest.raises(StiltsError, match=message):
        begun(WITH_LORA, fewer, goes_on=True)


def test_what_cannot_be_is_said(trained, begun):
    with pytest.raises(StiltsError, match="the checkpoint that this training starts from has no adapters"):
        begun(WITH_LORA, begun(QUICK).state(), goes_on=True)
    with pytest.raises(StiltsError, match="BertModel has no linear layer that could take an adapter .* from number 2"):
        begun(WITH_LORA.model_copy(update={"frozen_layers": 2}))
    with pytest.raises(ValidationError, match="train_embeddings is true, but lora trains adapters and heads alone"):
        TrainingSettings(**{**WITH_LORA.model_dump(), "train_embeddings": True})


# --- training --------------------------------------------------------------------------------------------------------


def test_a_training_with_adapters_is_learned_in_passes_and_repeats_to_the_bit(begun):
    settings = WITH_LORA.model_copy(update={"batch_tokens": 40, "epochs": 10.0})
    sessions = [begun(settings) for _ in range(2)]
    outcomes = [session.train(settings) for session in sessions]
    assert outcomes[0] == outcomes[1]
    assert same(sessions[0].state(), sessions[1].state())
    losses = [point["loss"] for point in outcomes[0].history if "loss" in point]
    assert losses[-1] < losses[0] / 3


def test_layers_that_are_computed_again_change_no_number_of_adapters(begun):
    states = []
    for again in (False, True):
        settings = WITH_LORA.model_copy(update={"gradient_checkpointing": again})
        session = begun(settings)
        session.train(settings)
        states.append(session.state())
    assert same(*states)


def test_a_training_with_adapters_ends_early_with_its_best_ones(begun):
    settings = WITH_LORA.model_copy(update={"evaluate_every": 1, "patience": 2})
    session = begun(settings)
    outcome = session.train(settings, [10.0, 30.0, 20.0, 20.0])
    assert (outcome.best_update, len(session.states)) == (2, 4)
    assert same(session.states[1], session.state())


# --- a study ---------------------------------------------------------------------------------------------------------

STUDY = {
    "lora": LORA.model_dump(),
    "targets": ["slots", "ui-retrieval"],
    "intermediates": [
        "none",
        *({"name": how, "tasks": ["nli"], "adapters": how} for how in ("then-full", "continued", "fresh")),
        {"name": "baseline", "tasks": [], "adapters": "fresh"},
        {"name": "stages", "before": [["slots"]], "tasks": ["nli"], "adapters": "then-full"},
    ],
    # Passes have a seed each, so that several processes draw what one draws.
    "intermediate_training": {**tiny.TRAINING, "batch_tokens": 40},
}
RANK_2 = 2 * 2 * (4 * (32 + 32) + 2 * (32 + 64))  # weights of all adapters
TEXTS = ["open kitchen 7", "schließe rotes zimmer 19", "fungua holi"]

# Does a run in a process of its own, which is killed before its sixth update.
CHILD = """
import os, signal, sys
sys.path[:0] = {folders!r}
import test_adapters
from stilts.training import loop
from stilts.tasks.formats.base import EncodedSplit
update = loop._update
def killed(state, *args):
    if state.done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(state, *args)
loop._update = killed
here, plan = test_adapters.opened({root!r}, state_minutes=0)
test_adapters.complete(plan.by_id[{run!r}], plan)
"""


def opened(root: str | Path, **how) -> tuple[Checkout, Plan]:
    SUITES["pocket"] = lambda folder: tiny.SOURCE
    here = Checkout(Path(root))
    return here, tiny.scheduled(open_plan(here, "tiny"), keep_checkpoints="all", **how)


@pytest.fixture(scope="module")
def done(tmp_path_factory, encoder):
    """The study, done: the checkout, and its runs by phase, condition and target; of several the first."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
        root = tmp_path_factory.mktemp("study") / "checkout"
        tiny.checkout(root, encoder, **STUDY)
        here, plan = opened(root)
        prepare(plan)
        for run in plan.runs:
            complete(run, plan)
        yield here, {(run.phase, run.condition, run.target): run for run in reversed(plan.runs)}


def state_of(done, run: Run) -> dict[str, torch.Tensor]:
    return take_encoder(done[0].checkpoints.load(run.id))


def public(done, run: Run) -> dict[str, torch.Tensor]:
    return build_model(done[0].encoder_folder(run), {}, 0).encoder.state_dict()


def merged(done, run: Run, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    encoder = build_model(done[0].encoder_folder(run), {}, 0).encoder
    load_merged(encoder, state)
    return encoder.state_dict()


def below(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An encoder's weights below its adapters, named as without them."""
    kept = {name: value for name, value in state.items() if not adapters.is_adapter(name) and name != adapters.ALPHA}
    return {name.replace(".base_layer", ""): value for name, value in kept.items()}


PHASE_1 = ("intermediate", "stage-nli-lora", None)


def test_three_conditions_share_the_adapters_of_phase_1(done):
    _, runs = done
    first = runs[PHASE_1]
    assert {runs["target", how, "slots"].parents for how in ("then-full", "continued", "fresh")} == {(first.id,)}
    state = state_of(done, first)
    assert has_adapters(state)
    assert same(below(state), public(done, first))


def test_phase_2_goes_on_as_its_condition_says(done):
    _, runs = done
    first = state_of(done, runs[PHASE_1])
    base = public(done, runs[PHASE_1])
    continued, fresh, full, baseline = (
        state_of(done, runs["target", how, "slots"]) for how in ("continued", "fresh", "then-full", "baseline")
    )
    assert same(below(continued), base)
    assert not same(matrices(continued), matrices(first))
    assert same(below(fresh), merged(done, runs[PHASE_1], first))
    assert same(below(baseline), base)
    for name in (name for name in matrices(first) if ".lora_A." in name):  # drawn anew, not as in phase 1
        alike = torch.cosine_similarity(fresh[name].flatten(), first[name].flatten(), dim=0)
        assert abs(alike) < 0.5
    assert [has_adapters(state) for state in (continued, fresh, full, baseline)] == [True, True, False, True]
    assert full.keys() == base.keys()


def test_records_have_the_number_of_trained_weights(done):
    here, runs = done
    counts = {key: here.store().get(run.id).provenance.trained_weights for key, run in runs.items()}
    heads = build_model(
        here.encoder_folder(runs["target", "none", "slots"]), {"slots": (TAGGING, tiny.TAGS)}, 0
    ).heads
    head = sum(weight.numel() for weight in heads.parameters())
    for how in ("continued", "fresh", "baseline"):
        assert counts["target", how, "slots"] == RANK_2 + head
    embeddings = public(done, runs["target", "none", "slots"])
    encoder = sum(value.numel() for name, value in embeddings.items() if "word_embeddings" not in name)
    assert counts["target", "none", "slots"] == counts["target", "then-full", "slots"] == encoder + head
    assert {counts[key] for key in counts if key[0] == "zero-shot"} == {None}


def test_stages_train_one_set_of_adapters(done):
    here, runs = done
    before, target = runs["intermediate", "stage-slots-lora", None], runs["target", "stages", "slots"]
    (last,) = (here.store().get(name).run for name in target.parents)
    assert last.parents == (before.id,)
    states = [state_of(done, run) for run in (before, last)]
    assert same(below(states[0]), below(states[1]))
    assert not same(matrices(states[0]), matrices(states[1]))


def test_retrieval_gets_the_merged_encoder_of_phase_1(done):
    here, runs = done
    metrics = [
        here.store().get(runs["zero-shot", how, "ui-retrieval"].id).metrics
        for how in ("none", "then-full", "continued", "fresh")
    ]
    assert metrics[1] == metrics[2] == metrics[3]
    assert metrics[0] != metrics[1]


def test_an_exported_checkpoint_is_merged_and_says_so(done, tmp_path):
    here, runs = done
    run = runs["target", "continued", "slots"]
    exported = export(here, run.id, tmp_path / "model")
    own = build_model(here.encoder_folder(run), {}, 0)
    own.begin(here.checkpoints.load(run.id), run.settings.training, goes_on=True, draw="")
    own.eval()
    batch = load_prepared_tokenizer(here.encoder_folder(run))(TEXTS, padding=True, return_tensors="pt")
    theirs = AutoTokenizer.from_pretrained(exported)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = own.encoder(**batch).last_hidden_state
        found = AutoModel.from_pretrained(exported).eval()(**theirs).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    said = "Trained with low-rank adapters (LoRA, rank 2, alpha 3), which are merged into the weights"
    assert said in (exported / "README.md").read_text()


def elsewhere(done, root: Path, encoder: Path, *runs: Run) -> Path:
    """A checkout of its own on the prepared data and encoder, in which these runs are done."""
    here = tiny.checkout(root, encoder, **STUDY)
    for name in ("records", "checkpoints"):
        (here.runs / name).mkdir(parents=True)
        for run in runs:
            for path in (done[0].runs / name).glob(f"{run.id}*"):
                (here.runs / name / path.name).symlink_to(path)
    for name in ("data", "encoders"):
        (here.runs / name).symlink_to(done[0].runs / name)
    return here.root


def test_a_training_with_adapters_that_was_killed_goes_on_to_equal_weights(done, encoder, tmp_path):
    run = done[1]["target", "continued", "slots"]
    root = elsewhere(done, tmp_path / "checkout", encoder, done[1][PHASE_1])
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = CHILD.format(folders=folders, root=str(root), run=run.id)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    here, plan = opened(root)
    assert [path.name for path in here.training_folder(run.id).iterdir()] == ["update-5"]
    record = complete(run, plan)
    expected = done[0].store().get(run.id)
    assert (record.metrics, record.history) == (expected.metrics, expected.history)
    weights, others = here.checkpoints.load(run.id), done[0].checkpoints.load(run.id)
    assert weights.keys() == others.keys()
    assert same(weights, others)


def test_two_processes_train_adapters_as_one_does(done, encoder, tmp_path):
    run = done[1][PHASE_1]
    here, plan = opened(elsewhere(done, tmp_path / "checkout", encoder), processes=2)
    record = complete(run, plan)
    alone = done[0].store().get(run.id)
    losses = [[point["loss"] for point in each.history if "loss" in point] for each in (record, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    weights, others = here.checkpoints.load(run.id), done[0].checkpoints.load(run.id)
    assert weights.keys() == others.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], rtol=1e-3, atol=1e-4)
