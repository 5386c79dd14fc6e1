"""Heads of the style "pooler": those of jiant, over the pooler that the encoder brings along."""

from types import SimpleNamespace

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stilts.models.model import Batch, build_model, pad
from stilts.models.prepared import load_prepared_tokenizer, prepare_encoder
from stilts.phases.runner import complete
from stilts.publish.model_export import HEADS, export
from stilts.study.errors import StiltsError
from stilts.study.settings import EncoderSettings, LoraSettings, TrainingSettings
from stilts.tasks.formats import CLASSIFICATION, FORMATS, SPAN_QA, TAGGING
from stilts.training.optimization import freeze, make_optimizer
from stilts.workspace.checkout import Checkout
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

TEXTS = ["open kitchen 7", "schließe rotes zimmer 19"]


@pytest.fixture(scope="module", params=["", "roberta."], ids=["encoder", "with-a-head"])
def checkpoint(request, tmp_path_factory):
    """A checkpoint of XLM-R's form with its pooler, as a file of the encoder alone and of one with a head name it."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(0)
    size = {"vocab_size": len(tiny.tokenizer()), "max_position_embeddings": 130, "pad_token_id": 1, **tiny.ENCODER}
    model = XLMRobertaModel(XLMRobertaConfig(**size), add_pooling_layer=True).eval()
    folder = tmp_path_factory.mktemp("pooler") / "checkpoint"
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file({f"{request.param}{name}": value for name, value in weights.items()}, folder / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    prepare_encoder(str(folder), [], folder.parent / "prepared", trim=False)
    return folder.parent / "prepared", model


def classifier(encoder, seed=1):
    return build_model(encoder, {"nli": (CLASSIFICATION, tiny.NLI)}, seed, "pooler")


def linear(weights, layer: str, states: torch.Tensor) -> torch.Tensor:
    return nn.functional.linear(states, weights[f"{layer}.weight"], weights[f"{layer}.bias"])


@torch.inference_mode()
def test_an_input_is_classified_by_the_encoder_s_own_pooler(checkpoint):
    prepared, theirs = checkpoint
    batch = tiny.tokenizer()(TEXTS, padding=True, return_tensors="pt")
    mine = classifier(prepared).eval()
    head = mine.heads["nli"]
    expected = head.project(torch.tanh(head.dense(theirs(**batch).pooler_output)))
    torch.testing.assert_close(mine("nli", Batch(batch["input_ids"], batch["attention_mask"])), expected)


def test_a_pooler_that_the_encoder_lacks_begins_as_the_seed_says(tmp_path):
    encoder = tiny.write_encoder(tmp_path / "encoder")
    prepare_encoder(str(encoder), [], tmp_path / "prepared", trim=False)
    one, same, other = (classifier(tmp_path / "prepared", seed).pooler.dense.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_heads_of_tokens_are_a_linear_layer_alone(tmp_path):
    encoder = tiny.write_encoder(tmp_path / "encoder")
    model = build_model(encoder, {"slots": (TAGGING, tiny.TAGS), "qa": (SPAN_QA, ())}, 1, "pooler").eval()
    hidden = torch.randn(2, 3, tiny.ENCODER["hidden_size"])
    for head, outputs in ((model.heads["slots"], len(tiny.TAGS)), (model.heads["qa"], 2)):
        assert [name for name, _ in head.named_parameters()] == ["project.weight", "project.bias"]
        logits = head(SimpleNamespace(tokens=lambda: hidden))
        assert logits.shape == (2, 3, outputs)
        assert torch.equal(logits, head.project(hidden))


@pytest.mark.parametrize("lora", [None, LoraSettings()], ids=["all weights", "adapters"])
def test_the_pooler_trains_at_the_encoder_s_rate(tmp_path, lora):
    model = classifier(tiny.write_encoder(tmp_path / "encoder"))
    settings = TrainingSettings(learning_rate=0.125, head_learning_rate=0.5, warmup=0.0, frozen_layers=1, lora=lora)
    model.begin(None, settings, goes_on=False, draw="")
    freeze(model, settings)
    optimizer, _ = make_optimizer(model, settings, updates=10)
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert {rates[id(weight)] for weight in model.pooler.parameters()} == {0.125}
    assert {rates[id(weight)] for weight in model.heads.parameters()} == {0.5}


def test_a_decoder_has_no_use_for_it(tmp_path):
    from transformers import GPT2Config, GPT2Model

    tokenizer = tiny.tokenizer()
    GPT2Model(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(StiltsError, match="heads is 'pooler'.*not an encoder but a decoder.*remove heads"):
        classifier(tmp_path / "gpt2")
    with pytest.raises(ValueError, match="heads is 'pooler', which an encoder that is pretrained here"):
        EncoderSettings(name="x", heads="pooler", scratch={"architecture": "encoder"})


# --- a study ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A study of one condition and target, both classification, whose checkpoints are kept, done."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
        folder = tmp_path_factory.mktemp("pooled")
        encoder = tiny.write_encoder(folder / "encoder")
        training = tiny.TRAINING | {"epochs": 1, "evaluations": 1}
        here = tiny.checkout(
            folder / "checkout", encoder, intermediates=["nli"], targets=["intent", "slots"],
            intermediate_training=training, target_training=training, schedule={"keep_checkpoints": "all"},
        )  # fmt: skip
        study = here.root / "studies" / "tiny.yml"
        study.write_text(study.read_text().replace("encoder:\n", "encoder:\n  heads: pooler\n"))
        plan = open_plan(here, "tiny")
        prepare(plan)
        for run in plan.runs:
            complete(run, plan)
        yield here


def checkpoint_of(here: Checkout, phase: str, target: str | None = None):
    (run,) = (run for run in open_plan(here, "tiny").runs if (run.phase, run.target) == (phase, target))
    return run, here.checkpoints.load(run.id)


def test_it_is_carried_over_from_phase_to_phase(here):
    _, after_first = checkpoint_of(here, "intermediate")
    run, after_second = checkpoint_of(here, "target", "intent")
    _, tagger = checkpoint_of(here, "target", "slots")
    first = after_first["pooler.dense.weight"]
    assert not torch.equal(first, classifier(here.encoder_folder(run), run.seed).pooler.dense.weight)
    # Tagging reads no pooler, and its training leaves that of phase 1 as it was.
    assert torch.equal(tagger["pooler.dense.weight"], first)
    assert not torch.equal(after_second["pooler.dense.weight"], first)
    torch.testing.assert_close(after_second["pooler.dense.weight"], first, atol=0.1, rtol=0)


def test_it_is_exported_beside_the_heads(here, tmp_path):
    from transformers import AutoModel

    run, state = checkpoint_of(here, "target", "intent")
    folder = export(here, run.id, tmp_path / "model")
    heads = load_file(folder / HEADS)
    assert torch.equal(heads["pooler.dense.weight"], state["pooler.dense.weight"])
    assert "`pooler.dense`" in (folder / "README.md").read_text()
    labels = state["heads.intent.project.bias"].shape[0]
    own = build_model(here.encoder_folder(run), {"intent": (CLASSIFICATION, range(labels))}, 0, "pooler").eval()
    own.load_state_dict(state)
    tokenizer = load_prepared_tokenizer(here.encoder_folder(run))
    inputs = FORMATS["classification"].encode(tiny.intent_rows("de")[:4], tokenizer, 64)
    ids, mask = pad(inputs, 1, torch.device("cpu"))
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = torch.tanh(linear(heads, "pooler.dense", hidden[:, 0]))
        logits = linear(heads, "intent.project", torch.tanh(linear(heads, "intent.dense", pooled)))
        torch.testing.assert_close(logits, own("intent", Batch(ids, mask)))
