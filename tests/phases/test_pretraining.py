"""Phase pretraining: blocks of text, equal budgets, independent seeds, and runs that go on from it."""

import math
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import tiny
import torch
from datasets import Features, Value
from transformers import AutoModel, AutoTokenizer

from stilts.models import scratch
from stilts.models.model import build_model, take_encoder
from stilts.phases import pretraining
from stilts.phases.pretraining import cut_blocks, make_objective, make_training_inputs, pretrain
from stilts.phases.runner import complete
from stilts.publish.model_export import export
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.suite import Table, write_suite
from stilts.study.errors import StiltsError
from stilts.study.settings import Architecture, PretrainingSettings
from stilts.training.state import SavedStates
from stilts.workspace.checkout import Checkout
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

LENGTH = 32
SETTINGS = {"updates": 12, "batch_tokens": 128, "length": LENGTH, "learning_rate": 1e-2, "precision": "fp32",
            "dev_blocks": 6, "evaluations": 2}  # fmt: skip
SIZES = {"hidden": 32, "layers": 2, "heads": 2, "parameters": 60_000, "positions": 128}
ENCODERS = {
    architecture: {"architecture": architecture, **SIZES} for architecture in ("encoder", "decoder", "encoder-decoder")
}


def text_rows(language: str, number: int) -> list[dict]:
    """Sentences in the language, each with a number of its own."""
    return [{"text": f"{tiny.sentence(language, command)} {number}", "lang": language}
            for command in tiny.commands(language)]  # fmt: skip


def text_tables() -> list[Table]:
    layout = Features({"text": Value("string"), "lang": Value("string")})
    return [
        Table(pretraining.CONFIG, split, layout, [row for language in tiny.LANGUAGES for number in numbers
                                                  for row in text_rows(language, number)])
        for split, numbers in (("train", range(3)), ("validation", range(5, 7)))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.tokenizer().save_pretrained(folder)
    return scratch.make_tokenizer(AutoTokenizer.from_pretrained(folder))


def test_blocks_hold_joined_texts_of_one_language(tokenizer):
    rows = [row for language in ("en", "de") for row in text_rows(language, 0)]
    made = cut_blocks(rows, tokenizer, LENGTH)
    assert [block.language for block in made] == sorted((block.language for block in made), reverse=True)
    for language in ("en", "de"):
        own = [block.ids for block in made if block.language == language]
        ended = [ids[1:] for ids in tokenizer([row["text"] for row in rows if row["lang"] == language])["input_ids"]]
        stream = [token for ids in ended for token in ids]
        assert {len(ids) for ids in own} == {LENGTH}
        assert {int(ids[0]) for ids in own} == {tokenizer.bos_token_id}
        cut = [token for ids in own for token in ids[1:].tolist()]
        assert cut == stream[: len(cut)]
        assert len(stream) - len(cut) < LENGTH


def test_texts_without_languages_are_joined_all(tokenizer):
    made = cut_blocks([{"text": row["text"]} for row in text_rows("en", 0)], tokenizer, LENGTH)
    assert {block.language for block in made} == {"mul"}


def test_too_little_text_is_named(tokenizer):
    with pytest.raises(StiltsError, match="1 texts are too few for a block of 32 tokens; add more text"):
        cut_blocks([{"text": "a"}], tokenizer, LENGTH)


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_inputs_are_as_many_as_the_updates_take_and_come_again_after_all_others(tokenizer, architecture):
    texts = cut_blocks([row for number in range(2) for row in text_rows("en", number)], tokenizer, LENGTH)
    settings = PretrainingSettings(**SETTINGS)
    objective = make_objective(architecture, settings)
    made = [make_training_inputs(texts, objective, tokenizer, settings, seed) for seed in (1, 1, 2)]
    assert [len(inputs) for inputs in made] == [12 * 4] * 3
    one, same, other = ([tuple(part.input_ids.tolist()) for part in inputs] for inputs in made)
    assert one == same
    assert one != other
    if architecture == "decoder":  # whose inputs are the blocks themselves
        whole = {tuple(block.ids.tolist()) for block in texts}
        assert len(texts) < 48
        assert set(one[: len(texts)]) == whole == set(one[len(texts) : 2 * len(texts)])
    else:
        assert len(set(one)) > 40  # a block that comes again is hidden in other places, or rarely in the same


@pytest.mark.parametrize("share, written", [(0.15, 5 + 2 + 1), (0.4, 12 + 4 + 1)])
def test_what_is_hidden_of_a_text_is_a_setting(tokenizer, share, written):
    texts = cut_blocks(text_rows("en", 0), tokenizer, LENGTH)
    settings = PretrainingSettings(**SETTINGS, hidden_share=share)
    masked, causal, spans = (
        make_training_inputs(texts, make_objective(architecture, settings), tokenizer, settings, 1)
        for architecture in ("encoder", "decoder", "encoder-decoder")
    )
    ordinary = {len(block.ids) - int(np.isin(block.ids, tokenizer.all_special_ids).sum()) for block in texts}
    assert {len(part.target) for part in masked} == {round(share * count) for count in ordinary}
    assert {len(part.target) for part in causal} == {LENGTH - 1}
    assert {len(part.target) for part in spans} == {written}  # hidden tokens, a sentinel for each span, one at the end


# --- runs ------------------------------------------------------------------------------------------------------------


def build(folder, request, report=None):
    about = {"fingerprint": tiny.SOURCE.fingerprint(request)}
    return write_suite([*tiny.tables(), *text_tables()], folder, about, POCKET_CARD)


def checkout(root, encoder) -> Checkout:
    """A checkout whose study pretrains three encoders and fine-tunes them, with and without an intermediate task."""
    conditions = [
        {"name": f"{name}-{kind}", "tasks": tasks, "encoder": name}
        for name in ENCODERS
        for kind, tasks in (("none", []), ("nli", ["nli"]))
    ]
    return tiny.checkout(
        root,
        encoder,
        encoders={name: {"name": str(encoder), "scratch": settings} for name, settings in ENCODERS.items()},
        intermediates=conditions,
        targets=["intent", "slots", "ui-retrieval"],
        pretraining=SETTINGS,
        seeds=[1, 2],
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        source = SimpleNamespace(**vars(tiny.SOURCE) | {"build": build})
        patched.setitem(SUITES, "pocket", lambda folder: source)
        root = tmp_path_factory.mktemp("pretraining")
        made = checkout(root / "x", tiny.write_encoder(root / "encoder"))
        prepare(open_plan(made, "tiny"))
        yield made


@pytest.fixture(scope="module")
def done(here):
    """All pretraining runs and all that stands on those of seed 1: plan, records by phase, condition, target, seed."""
    plan = open_plan(here, "tiny")
    runs = [run for run in plan.runs if run.phase == "pretraining" or run.seed == 1]
    return plan, {(run.phase, run.condition, run.target, run.seed): complete(run, plan) for run in runs}


def test_every_encoder_is_pretrained_once_a_seed_for_all_that_start_from_it(done):
    plan, records = done
    found = {(run.condition, run.seed): run.id for run in plan.runs if run.phase == "pretraining"}
    assert found.keys() == {(name, seed) for name in ENCODERS for seed in (1, 2)}
    for name in ENCODERS:
        parent = (found[name, 1],)
        assert records["intermediate", f"{name}-nli", None, 1].run.parents == parent
        assert records["target", f"{name}-none", "intent", 1].run.parents == parent
        assert records["zero-shot", f"{name}-none", "ui-retrieval", 1].run.parents == parent


def test_all_architectures_read_the_same_tokens_and_have_the_same_size(done):
    _, records = done
    metrics = {name: records["pretraining", name, None, 1].metrics for name in ENCODERS}
    whole = {name: own["mul"] for name, own in metrics.items()}
    assert {own["training_tokens_read"] for own in whole.values()} == {12 * 128}
    assert len({own["embeddings"] for own in whole.values()}) == 1
    assert [own["parameters"] for own in whole.values()] == pytest.approx([60_000] * 3, rel=0.01)
    predicted = {name: own["training_tokens_predicted"] / (12 * 128) for name, own in whole.items()}
    # 15 % of 31 tokens, fewer where texts end in a block; all but the first; 4 or 5 in 1 or 2 spans, and the sentinels.
    assert 0.1 < predicted["encoder"] < 0.16
    assert predicted["decoder"] == 31 / 32
    assert 6 / 32 < predicted["encoder-decoder"] <= 8 / 32
    for own in metrics.values():
        assert own.keys() == {"mul", *tiny.LANGUAGES}
        parts = [own[language] for language in tiny.LANGUAGES]
        assert own["mul"]["n"] == sum(part["n"] for part in parts) == 6
        bits = sum(part["bits_per_token"] * part["tokens_predicted"] for part in parts)
        assert own["mul"]["bits_per_token"] == pytest.approx(bits / own["mul"]["tokens_predicted"])


def test_the_weights_of_the_least_held_out_loss_are_kept(done):
    _, records = done
    for name in ENCODERS:
        record = records["pretraining", name, None, 1]
        scores = [point["dev_score"] for point in record.history if "dev_score" in point]
        assert len(scores) == 2
        assert record.metrics["mul"]["bits_per_token"] == pytest.approx(-max(scores), rel=1e-5)
        assert record.metrics["mul"]["bits_per_token"] < math.log2(record.metrics["mul"]["embeddings"] / 32)


def test_two_seeds_share_no_weights_at_the_start(here, done):
    plan, _ = done
    ids = {run.seed: run.id for run in plan.runs if run.phase == "pretraining" and run.condition == "decoder"}
    one, other = (here.checkpoints.load(ids[seed])["encoder.h.0.attn.c_attn.weight"].flatten() for seed in (1, 2))
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 0.1


def test_what_was_pretrained_is_what_target_training_starts_from(here, done):
    plan, records = done
    run = records["zero-shot", "encoder-decoder-none", "ui-retrieval", 1].run
    state = here.checkpoints.load(run.parents[0])
    model = build_model(here.encoder_folder(run), {}, 1)
    model.load_encoder(state)
    assert torch.equal(model.encoder.decoder.embed_tokens.weight, state["encoder.shared.weight"])
    scores = records["zero-shot", "encoder-decoder-none", "ui-retrieval", 1].metrics["de"]
    assert {"layer_1", "score"} <= scores.keys()


def test_a_pretraining_repeats_to_the_bit_and_goes_on_where_it_was_interrupted(here, done, tmp_path):
    plan, records = done
    record = records["pretraining", "encoder-decoder", None, 1]
    settings = record.run.settings.pretraining
    where = here.suite_folder(record.run), here.encoder_folder(record.run), settings, record.run.settings.encoder

    def stop(number: int, total: int) -> None:
        if number == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(*where, seed=1, saved=SavedStates(tmp_path / "state", 0), progress=stop)
    again = pretrain(*where, seed=1, saved=SavedStates(tmp_path / "state", 0))
    assert again.metrics == record.metrics
    assert again.outcome.history == record.history


def test_blocks_longer_than_the_encoder_takes_are_named(here, done):
    _, records = done
    run = records["pretraining", "encoder", None, 1].run
    settings, encoder = PretrainingSettings(**SETTINGS | {"length": 130, "batch_tokens": 130}), run.settings.encoder
    with pytest.raises(StiltsError, match="pretraining.length is 130, but the encoder has 128 positions"):
        pretrain(here.suite_folder(run), here.encoder_folder(run), settings, encoder, seed=1)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_pretrained_encoder_is_exported_as_transformers_loads_it(here, done, tmp_path, name):
    (run,) = (run for run in done[0].runs if (run.phase, run.condition, run.seed) == ("pretraining", name, 1))
    folder = export(here, run.id, tmp_path / name)
    state = take_encoder(here.checkpoints.load(run.id))
    held = AutoModel.from_pretrained(folder).state_dict()
    assert state.keys() & held.keys()
    assert all(torch.equal(held[key], state[key]) for key in state.keys() & held.keys())
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"# {name}, pretraining, seed 1" in text
    assert "- Held-out tokens predicted, mul: " in text


@pytest.mark.parametrize("name", ENCODERS)
def test_a_public_encoder_in_another_architecture_is_pretrained_further(here, tmp_path, name):
    """Its own weights are where it starts from: with no update to speak of, they are what it ends with."""
    encoder = here.study("tiny").encoder.name
    own = tiny.checkout(
        tmp_path / "checkout",
        encoder,
        encoders={name: {"name": encoder, "convert_to": name}},
        intermediates=[{"name": "converted", "tasks": [], "encoder": name}],
        targets=["intent", "ui-retrieval"],
        pretraining=SETTINGS | {"learning_rate": 1e-9},
    )
    own.runs.mkdir()
    (own.runs / "data").symlink_to(here.runs / "data")
    plan = open_plan(own, "tiny")
    prepare(plan)
    records = [complete(run, plan) for run in plan.runs]
    assert [record.run.phase for record in records] == ["pretraining", "target", "zero-shot", "zero-shot"]
    state = take_encoder(own.checkpoints.load(records[0].id))
    public = AutoModel.from_pretrained(encoder).state_dict()
    first = "encoder.layers.0.self_attn.q_proj" if name == "encoder-decoder" else "encoder.layer.0.attention.self.query"
    kept = public["encoder.layer.0.attention.self.query.weight"]
    assert torch.allclose(state[f"{first}.weight"], kept, atol=1e-5)
    assert {"score", "layer_1"} <= records[-1].metrics["de"].keys()
