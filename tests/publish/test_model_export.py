"""A checkpoint outside the study: plain `transformers` loads it and gets the study's hidden states."""

import json
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import tiny
import torch
from fakes import change_settings
from huggingface_hub import ModelCard
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from stilts.models.known_encoders import find_known_encoder
from stilts.models.model import build_model, pad
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.runner import complete
from stilts.publish.model_export import HEADS, export, find_checkpoint, make_card
from stilts.study.errors import StiltsError, UnknownName
from stilts.tasks.formats import FORMATS, TAGGING
from stilts.workspace.checkout import Checkout
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

TEXTS = ["open kitchen 7", "schließe rotes zimmer 19", "fungua holi"]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A study of one target whose checkpoints are kept, done."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
        folder = tmp_path_factory.mktemp("export")
        training = tiny.TRAINING | {"epochs": 1, "evaluations": 1}
        here = tiny.checkout(
            folder / "checkout", tiny.write_encoder(folder / "encoder"), intermediates=["nli"], targets=["slots"],
            intermediate_training=training, target_training=training, schedule={"keep_checkpoints": "all"},
        )  # fmt: skip
        plan = open_plan(here, "tiny")
        prepare(plan)
        for run in plan.runs:
            complete(run, plan)
        yield here


def run_of(here: Checkout, phase: str):
    (found,) = (run for run in open_plan(here, "tiny").runs if run.phase == phase)
    return found


@pytest.fixture(scope="module")
def exported(here, tmp_path_factory):
    return export(here, "target-nli", tmp_path_factory.mktemp("model") / "slots")


def test_plain_transformers_gets_the_hidden_states_of_the_study(here, exported):
    run = run_of(here, "target")
    own = build_model(here.encoder_folder(run), {"slots": (TAGGING, tiny.TAGS)}, 0)
    own.load_state_dict(here.checkpoints.load(run.id))
    own.eval()
    batch = load_prepared_tokenizer(here.encoder_folder(run))(TEXTS, padding=True, return_tensors="pt")
    theirs = AutoTokenizer.from_pretrained(exported)(TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(theirs["input_ids"], batch["input_ids"])
    with torch.inference_mode():
        expected = own.encoder(**batch, output_hidden_states=True).hidden_states
        found = AutoModel.from_pretrained(exported).eval()(**theirs, output_hidden_states=True).hidden_states
    assert len(found) == len(expected) == 3
    for layer, hidden in zip(found, expected, strict=True):
        assert torch.equal(layer, hidden)


def test_the_head_beside_it_gives_the_logits_of_the_study(here, exported):
    run, form = run_of(here, "target"), FORMATS["tagging"]
    own = build_model(here.encoder_folder(run), {"slots": (TAGGING, tiny.TAGS)}, 0)
    own.load_state_dict(here.checkpoints.load(run.id))
    own.eval()
    head = form.head(tiny.ENCODER["hidden_size"], tiny.TAGS)
    head.load_state_dict({name.removeprefix("slots."): tensor for name, tensor in load_file(exported / HEADS).items()})
    inputs = form.encode(tiny.slot_rows("de")[:4], load_prepared_tokenizer(here.encoder_folder(run)), 64)
    ids, mask = pad(inputs, 1, torch.device("cpu"))
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(exported).eval()(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.equal(head.eval()(SimpleNamespace(tokens=lambda: hidden)), own.logits("slots", inputs))
    with safe_open(exported / HEADS, "pt") as file:
        assert json.loads(file.metadata()["slots"]) == {"format": "tagging", "labels": tiny.TAGS}


def test_the_card_carries_the_record(here, exported):
    run = run_of(here, "target")
    record = here.store().get(run.id)
    card = ModelCard.load(exported / "README.md")
    front, text = card.data.to_dict(), card.text
    held = front["stilts"]
    assert held["settings"] == run.settings.model_dump(mode="json")
    assert (held["id"], held["data"], held["metrics"]) == (run.id, run.data, record.metrics)
    assert held["provenance"]["packages"]["torch"] == version("torch")
    assert held["limits"][0].startswith("The vocabulary is trimmed to the texts of the study")
    assert "de, en, sw" in " ".join(held["limits"])
    assert (front["license"], front["library_name"]) == ("other", "transformers")
    results = front["model-index"][0]["results"]
    assert [result["dataset"]["config"] for result in results] == ["slots.en", "slots.de", "slots.en", "slots.sw"]
    dev = results[0]["metrics"][0]
    assert dev == {"type": "chunk F1", "value": round(record.metrics["en"]["score"], 4)}
    assert card.data.model_name == run.id
    scores = {(each.dataset_config, each.dataset_split): each.metric_value for each in card.data.eval_results}
    tested = here.store().get(run_of(here, "zero-shot").id).metrics
    assert scores == {("slots.en", "validation"): dev["value"]} | {
        (f"slots.{language}", "test"): round(own["score"], 4) for language, own in tested.items()
    }
    assert all(part in text for part in ("## Use", "## Scores", "## Limits", "## Licence and origin", run.id))


def test_an_intermediate_checkpoint_has_the_heads_of_its_tasks(here, tmp_path):
    folder = export(here, run_of(here, "intermediate").id, tmp_path / "nli")
    assert {name.partition(".")[0] for name in load_file(folder / HEADS)} == {"nli"}
    with safe_open(folder / HEADS, "pt") as file:
        assert json.loads(file.metadata()["nli"]) == {"format": "classification", "labels": tiny.NLI}
    assert "Evaluated on dev data alone." in (folder / "README.md").read_text()


def test_the_offline_encoder_is_named_with_its_licence():
    known = find_known_encoder("multilingual-e5-small")
    assert (known.id, known.licence) == ("intfloat/multilingual-e5-small", "mit")


def test_a_checkpoint_is_found_by_the_beginning_of_its_id(here):
    assert find_checkpoint(here, "inter") == run_of(here, "intermediate").id
    with pytest.raises(UnknownName, match=r"unknown checkpoint in .* Did you mean 'target-nli\.slots"):
        find_checkpoint(here, "targt-nli.slots-s1")
    with pytest.raises(StiltsError, match="'' begins the ids of 2 checkpoints; give more of it: intermediate-nli-s1"):
        find_checkpoint(here, "")


def test_a_run_without_weights_is_told_from_one_whose_weights_are_gone(here, tmp_path):
    evaluated, trained = run_of(here, "zero-shot"), run_of(here, "target")
    with pytest.raises(StiltsError, match=f"is an evaluation and has no weights; export its parent.*{trained.id}"):
        find_checkpoint(here, evaluated.id)
    elsewhere = Checkout(here.root, runs=tmp_path)
    (tmp_path / "records").symlink_to(here.runs / "records")
    with pytest.raises(StiltsError, match="does not exist; .* sets schedule.keep_checkpoints to all"):
        find_checkpoint(elsewhere, trained.id)
    (tmp_path / "checkpoints").symlink_to(here.runs / "checkpoints")
    with pytest.raises(StiltsError, match="does not exist; `stilts prepare tiny` builds it"):
        export(elsewhere, trained.id, tmp_path / "model")


def test_a_folder_that_stands_or_cannot_be_written_is_left_alone(here, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StiltsError, match="already exists"):
        export(here, "target", tmp_path / "file")
    with pytest.raises(StiltsError, match="cannot write model .*; free disk space or name another folder"):
        export(here, "target", tmp_path / "file" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_stage_in_another_language_is_said_with_its_own_dev_scores(here):
    record = here.store().get(run_of(here, "intermediate").id)
    stages = {"before": (("nli",),), "tasks": ("nli.de", "slots.sw")}
    run = change_settings(record.run, condition=record.run.settings.condition.model_copy(update=stages))
    metrics = {
        "de": {"score": 60.0, "n": 5, "score.nli": 60.0}, "sw": {"score": 50.0, "n": 4, "score.slots": 50.0},
        "en": {"score": 70.0, "n": 6, "score.nli": 70.0},
    }  # fmt: skip
    card = make_card(here, record.model_copy(update={"run": run, "metrics": metrics}))
    assert [(each.dataset_name, each.metric_value) for each in card.data.eval_results] == [
        ("nli, en", 70.0), ("nli, de", 60.0), ("slots, sw", 50.0)
    ]  # fmt: skip
    assert "- Dev score, de: 60.0 percent (5 examples)\n- Dev score, sw: 50.0 percent (4 examples)" in card.text
    assert "- Trained on data in de, en, sw, but where the task's name says otherwise." in card.text
