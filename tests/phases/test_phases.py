"""The three phases on a tiny study: what they leave, and that nothing is lost or done twice."""

import logging
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from fakes import PREDICTIONS, change_settings
from processes import largest_file

from stilts.models import model as model_module
from stilts.models.encoders import load_encoder
from stilts.phases import training, zero_shot
from stilts.phases.runner import complete
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.splits import SuiteSplits, list_covered_languages, load
from stilts.sources.suite import Table, write_suite
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.tasks import formats, metrics, neighbours, registry
from stilts.tasks.formats import CLASSIFICATION, SPAN_QA_MLQA, mining
from stilts.tasks.formats.evaluation import Split
from stilts.tasks.metrics import Counts, score
from stilts.tasks.neighbours import Candidate
from stilts.tasks.registry import Task, get_target
from stilts.training import evaluated_model, loop
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

CHILD = ("zero-shot", "nli", "slots")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A checkout whose suite and encoder stand; its runs are done by no test."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
        folder = tmp_path_factory.mktemp("phases")
        here = tiny.checkout(folder / "checkout", tiny.write_encoder(folder / "encoder"))
        prepare(open_plan(here, "tiny"))
        yield here


def fresh(prepared: Checkout, folder: Path, **changes) -> tuple[Checkout, Plan]:
    """A checkout without runs, on the prepared suite and encoder."""
    encoder = Path(prepared.study("tiny").encoder.name)
    here = tiny.checkout(folder / "checkout", encoder, **changes)
    here.runs.mkdir()
    for name in ("data", "encoders"):
        (here.runs / name).symlink_to(prepared.runs / name)
    return here, open_plan(here, "tiny")


@pytest.fixture
def work(prepared, tmp_path):
    return fresh(prepared, tmp_path)


@pytest.fixture(scope="module")
def done(prepared, tmp_path_factory):
    """The whole study, done without a disturbance, in the order of the plan: checkout, plan, records by place."""
    here, plan = fresh(prepared, tmp_path_factory.mktemp("done"))
    records = {place(run): complete(run, plan) for run in plan.runs}
    return here, plan, records


def place(run: Run) -> tuple[str, str, str | None]:
    return run.phase, run.condition, run.target


def run_at(plan: Plan, where: tuple[str, str, str | None]) -> Run:
    (found,) = (run for run in plan.runs if place(run) == where)
    return found


def numbers(record: Record) -> tuple:
    """What a run computes: all of its record but where and how fast."""
    return record.run, record.metrics, record.history, record.predictions_sha256


# --- what a study leaves ---------------------------------------------------------------------------------------------


def test_every_run_of_a_study_leaves_its_record(done):
    here, plan, records = done
    assert len(plan.runs) == 17
    assert {record.id for record in here.store()} == {run.id for run in plan.runs}
    for run in plan.runs:
        record = records[place(run)]
        assert record.run == run
        assert record == here.store().get(run.id)
        provenance = record.provenance
        assert (provenance.study, provenance.packages["torch"]) == ("tiny", version("torch"))
        assert min(provenance.seconds, provenance.examples, provenance.tokens, provenance.peak_memory_mb) > 0
        # A tiny run takes some hundredths of a second, of which a record keeps thousandths.
        assert provenance.tokens / provenance.tokens_per_second == pytest.approx(provenance.seconds, abs=1e-3)


def test_only_checkpoints_that_others_may_need_are_left(done):
    here, plan, _ = done
    left = {path.name for path in here.checkpoints.root.iterdir()}
    assert left == {run.id for run in plan.runs if run.phase == "intermediate"}
    assert list((here.runs / "progress").iterdir()) == []


def test_a_training_run_records_its_curve_and_its_dev_score(done):
    *_, records = done
    for record in records.values():
        if record.run.phase == "zero-shot":
            assert record.history == []
            continue
        scores = [point["dev_score"] for point in record.history if "dev_score" in point]
        assert len(scores) == 2
        guessed = {} if record.run.target in ("slots", "command-qa") else {"majority": record.metrics["en"]["majority"]}
        assert record.metrics == {"en": {"score": max(scores), "n": 12, **guessed}}
        assert all(100 / 3 <= share < 100 for share in guessed.values())
        assert [point["update"] for point in record.history if "loss" in point] == list(range(1, 13))
        assert record.provenance.examples == 4 * 24
        assert record.predictions_sha256 is None


NO_RATE = {"learning_rate": 1e-12, "head_learning_rate": 1e-12}  # teaches nothing: dev scores are at chance
INTENT = ("target", "none", "intent")


def test_a_training_at_chance_is_repeated_from_other_seeds_and_says_so(prepared, tmp_path):
    found = []
    for restarts in (0, 2):
        _, plan = fresh(prepared, tmp_path / str(restarts), target_training={**tiny.TRAINING, **NO_RATE,
                                                                              "restarts": restarts})  # fmt: skip
        found.append(complete(run_at(plan, INTENT), plan))
    once, thrice = found
    assert (once.at_chance, len(thrice.at_chance)) == ([], 2)
    assert thrice.at_chance[0] == once.metrics["en"]["score"]
    assert thrice.history != once.history  # it is another seed's
    assert thrice.provenance.examples == 3 * once.provenance.examples
    assert Record(**thrice.model_dump(mode="json")) == thrice
    assert "at_chance" not in once.model_dump()  # records from before have no such field


def test_a_training_above_chance_is_not_repeated(prepared, tmp_path):
    found = []
    for restarts in (0, 2):
        settings = {**tiny.TRAINING, "epochs": 8, "restarts": restarts}
        _, plan = fresh(prepared, tmp_path / str(restarts), target_training=settings)
        found.append(complete(run_at(plan, INTENT), plan))
    once, thrice = found
    assert thrice.at_chance == []
    assert (thrice.metrics, thrice.history) == (once.metrics, once.history)


@pytest.mark.parametrize("takes", [True, False])
def test_a_record_says_whether_batches_had_no_padding(prepared, tmp_path, monkeypatch, caplog, takes):
    _, plan = fresh(prepared, tmp_path, schedule={"pack_batches": True})
    run = run_at(plan, INTENT)
    if not takes:
        monkeypatch.setattr(model_module, "takes_packing", lambda encoder: False)
    with caplog.at_level(logging.INFO):
        record = complete(run, plan)
    assert record.provenance.packed == takes
    said = f"{run.id}: batches are padded, since BertModel cannot read them in one row"
    assert (said in caplog.messages) != takes


def test_a_restart_that_is_interrupted_goes_on_where_it_was(prepared, tmp_path, monkeypatch):
    settings = {"target_training": {**tiny.TRAINING, **NO_RATE, "restarts": 1}, "schedule": {"state_minutes": 0}}
    _, plan = fresh(prepared, tmp_path / "whole", **settings)
    whole = complete(run_at(plan, INTENT), plan)
    here, plan = fresh(prepared, tmp_path / "interrupted", **settings)
    run, updates = run_at(plan, INTENT), []
    act = loop._update

    def fail_in_the_restart(*given):
        updates.append(len(updates))
        if len(updates) == 12 + 5:
            raise KeyboardInterrupt
        act(*given)

    monkeypatch.setattr(loop, "_update", fail_in_the_restart)
    with pytest.raises(KeyboardInterrupt):
        complete(run, plan)
    updates.clear()
    monkeypatch.setattr(loop, "_update", lambda *given: (updates.append(0), act(*given)))
    record = complete(run, plan)
    assert (numbers(record), record.at_chance) == (numbers(whole), whole.at_chance)
    assert len(updates) == 12 - 4  # of the first training none, of the restart those after its saved state
    assert not here.training_folder(run.id).exists()


def test_scores_are_those_of_the_counts_beside_them(done):
    here, plan, records = done
    for run in plan.runs:
        if run.phase != "zero-shot":
            continue
        predictions, metrics = here.store().predictions(run.id), records[place(run)].metrics
        assert list(predictions.columns) == list(PREDICTIONS.columns)
        for language, own in predictions.groupby("language", observed=True):
            counts = Counts(own["matches"], own["predicted"], own["gold"])
            assert metrics[language]["score"] == pytest.approx(score(counts), abs=1e-4)
            assert metrics[language]["n"] == len(own)
            assert own["example"].tolist() == list(range(len(own)))
        assert set(metrics) == set(predictions["language"])


def test_trained_tasks_are_evaluated_in_every_language_english_included(done):
    here, plan, records = done
    beside = {"intent": {"majority", "balanced"}, "slots": {"token_accuracy"}, "command-qa": {"exact_match"}}
    for target, extra in beside.items():
        metrics = records["zero-shot", "nli", target].metrics
        assert {language: own.keys() for language, own in metrics.items()} == dict.fromkeys(
            ("de", "en", "sw"), {"score", "n"} | extra
        )
        assert {own["n"] for own in metrics.values()} == {8}
    predictions = here.store().predictions(run_at(plan, CHILD).id)
    rows = predictions[predictions["language"] == "sw"]
    words = [len(row["tokens"]) for row in tiny.slot_rows("sw")[:8]]
    assert [len(tags.split()) for tags in rows["prediction"]] == words


def pooled(texts: list[str], prepared: Checkout, layer: int) -> np.ndarray:
    """Unit vectors of the untrained encoder, one text at a time."""
    model, tokenizer = load_encoder(str(prepared.encoder_folder(open_plan(prepared, "tiny").runs[0])))
    vectors = []
    for text in texts:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        vectors.append(torch.nn.functional.normalize(states[layer][0].mean(0), dim=0).numpy())
    return np.stack(vectors)


def test_retrieval_finds_the_nearest_english_sentence_at_every_layer(done, prepared):
    """In fp32, so that the other way of computing it may be compared."""
    here, plan, _ = done
    run = run_at(plan, ("zero-shot", "none", "ui-retrieval"))
    evaluation = run.settings.evaluation.model_copy(update={"precision": "fp32"})
    run = change_settings(run, evaluation=evaluation)
    suite, task = here.suite_folder(run), get_target("ui-retrieval")
    splits = SuiteSplits(suite, task, list_covered_languages(task, suite, "all"))
    model = zero_shot.open_model(run, here, splits, None)
    scored = {each.language: each for each in task.format.evaluate(splits, model)}
    metrics = {language: each.metrics for language, each in scored.items()}
    assert metrics.keys() == {"de", "sw"}
    for language in ("de", "sw"):
        rows = tiny.retrieval_rows(language)
        for layer in (1, 2):
            foreign, english = (
                pooled([row[f"{side}_sentence"] for row in rows], prepared, layer) for side in ("source", "target")
            )
            found = (foreign @ english.T).argmax(1)
            assert metrics[language][f"layer_{layer}"] == pytest.approx(100 * np.mean(found == np.arange(len(rows))))
        assert list(scored[language].predictions) == [str(i) for i in found]
        assert metrics[language]["score"] == metrics[language]["layer_2"]
        assert metrics[language]["n"] == len(rows) == 24


@pytest.mark.parametrize("target", ["intent", "ui-retrieval", "ui-mining"])
def test_an_evaluation_means_one_precision_whatever_the_machine(prepared, tmp_path, monkeypatch, target):
    found = {}
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able})
        here, plan = fresh(prepared, tmp_path / str(able))
        record = complete(run_at(plan, ("zero-shot", "none", target)), plan)
        assert record.provenance.precision == "bf16"
        found[able] = record
    assert found[True].id == found[False].id
    here, plan = fresh(prepared, tmp_path / "fp32", evaluation={"examples": 8, "precision": "fp32"})
    single = complete(run_at(plan, ("zero-shot", "none", target)), plan)
    assert single.provenance.precision == "fp32"
    assert single.id != found[True].id


def test_retrieval_reads_the_chosen_layer(prepared, tmp_path, done):
    *_, records = done
    by_layer = records["zero-shot", "none", "ui-retrieval"].metrics
    for layer in (1, -2):
        here, plan = fresh(prepared, tmp_path / str(layer), evaluation={"retrieval_layer": layer})
        record = complete(run_at(plan, ("zero-shot", "none", "ui-retrieval")), plan)
        assert {language: own["score"] for language, own in record.metrics.items()} == {
            language: own["layer_1"] for language, own in by_layer.items()
        }


@pytest.mark.parametrize("layer", [0, 3, -3])
def test_a_layer_that_the_encoder_has_not_is_named(prepared, tmp_path, layer):
    with pytest.raises(StiltsError, match=f"retrieval_layer is {layer}; this encoder has layers 1 to 2, or -2"):
        fresh(prepared, tmp_path, evaluation={"retrieval_layer": layer})


def test_mining_finds_pairs_above_the_threshold_of_the_dev_set(done):
    here, plan, records = done
    run = run_at(plan, ("zero-shot", "nli", "ui-mining"))
    metrics, predictions = records[place(run)].metrics, here.store().predictions(run.id)
    assert metrics.keys() == {"de", "sw"}
    for language in metrics:
        assert metrics[language].keys() == {"score", "n", "threshold"}
        assert metrics[language]["n"] == 18
        own = predictions[predictions["language"] == language]
        sources = [row for row in tiny.mining_rows(language) if row["lang"] == language]
        assert own["gold"].tolist() == [float(bool(row["match"])) for row in sources]
        assert own["predicted"].tolist() == [float(bool(found)) for found in own["prediction"]]
        assert own["matches"].tolist() == [
            float(bool(row["match"]) and row["match"] == found)
            for row, found in zip(sources, own["prediction"], strict=True)
        ]
        # The dev set has the sentences of the test set here, so the threshold is the best for both.
        assert own["matches"].sum() > 0


def test_mining_candidates_carry_the_ids_of_the_sentences(monkeypatch):
    rows = tiny.mining_rows("de")
    lookup = type("Lookup", (), {"of": lambda self, texts, layer: np.eye(len(texts), 40)})()
    candidates, gold, sources = mining.mine_candidates(rows, "de", lookup, 1)
    assert gold == {(f"de-{number}", f"en-{number}") for number in range(12)}
    assert sources == [f"de-{n}" for n in range(12)] + [f"de-{n}" for n in range(12, 24) if n % 2 == 0]
    assert candidates[:12] == [Candidate(f"de-{n}", f"en-{n}", candidates[0].score) for n in range(12)]


@pytest.mark.parametrize("target", ["ui-retrieval", "ui-mining"])
def test_what_is_held_at_a_time_changes_no_number(prepared, tmp_path, monkeypatch, target):
    """In fp32: in bf16 the company that a text has in its batch changes the last places."""
    found = []
    for texts in (10_000, 40, 1):
        monkeypatch.setattr(evaluated_model, "VECTOR_BYTES", texts * 32 * 4)  # vectors of one layer
        here, plan = fresh(prepared, tmp_path / str(texts), evaluation={"precision": "fp32"})
        record = complete(run_at(plan, ("zero-shot", "none", target)), plan)
        thresholds = [own.pop("threshold", 0) for own in record.metrics.values()]
        found.append((record.metrics, record.predictions_sha256, thresholds, record.provenance.tokens))
    first, *others = found
    for other in others:
        assert other[:2] == first[:2]
        assert other[2] == pytest.approx(first[2], rel=1e-5)
        assert other[3] >= first[3]  # a text that several languages share is read for each of them


class Vectors:
    """Each different sentence has a direction of its own, the same one in both languages."""

    def __init__(self, meanings: dict[str, int]):
        self.meanings = meanings

    def of(self, texts, layer):
        return np.eye(max(self.meanings.values()) + 1)[[self.meanings[text] for text in texts]]


def bucc_row(name: str, text: str, match: str = "") -> dict[str, str]:
    return {"id": name, "sentence": text, "lang": name[:2], "match": match}


MEANINGS = {"eins": 0, "one": 0, "zwei": 1, "two": 1, "drei": 2, "three": 2}


@pytest.mark.parametrize(
    ("repeated", "match"),
    [
        ([bucc_row("de-4", "eins", "en-1")], "de-1 de-4"),  # twice in German, both of one English sentence
        ([bucc_row("en-4", "one", "de-1")], "de-1"),  # twice in English: the German sentence has two partners
    ],
)
def test_repeated_sentences_are_mined_once_and_lose_no_pair(repeated, match):
    second = " en-4" if repeated[0]["lang"] == "en" else ""
    rows = [
        bucc_row("de-1", "eins", "en-1" + second), bucc_row("de-2", "zwei", "en-2"), bucc_row("de-3", "drei", "en-3"),
        bucc_row("en-1", "one", match), bucc_row("en-2", "two", "de-2"), bucc_row("en-3", "three", "de-3"), *repeated,
    ]  # fmt: skip
    candidates, gold, sources = mining.mine_candidates(rows, "de", Vectors(MEANINGS), 1)
    pairs = neighbours.select(candidates, neighbours.find_best_threshold(candidates, gold).threshold)
    assert len(gold) == 4
    assert pairs == gold
    assert score(metrics.count_mined_pairs(gold, pairs, sources)) == 100.0
    assert mining.join_partners(pairs, sources)[0] == "en-1" + second


def test_the_intermediate_phase_changes_what_follows(done):
    *_, records = done
    for target in ("intent", "slots", "command-qa"):
        histories = [records["target", condition, target].history for condition in ("none", "nli")]
        assert histories[0] != histories[1]
    assert len({str(records["zero-shot", condition, "ui-retrieval"].metrics) for condition in ("none", "nli")}) == 2


def test_a_target_is_predicted_by_the_head_of_an_intermediate_task(prepared, tmp_path, monkeypatch):
    """Its rows are those that the head was trained on, so that what it has learned shows."""
    asked = "stilts.sources.pocket.commands.questions.list_questions_on"
    monkeypatch.setattr(asked, lambda slot: frozenset(tiny.QUESTIONS.values()))
    here, plan = fresh(
        prepared, tmp_path, intermediates=["none", "qa", "nli"], targets=["command-qa-rooms"],
        per_task={"qa": {"epochs": 30}},
    )  # fmt: skip
    assert [place(run) for run in plan.runs if run.phase == "zero-shot"] == [("zero-shot", "qa", "command-qa-rooms")]
    run = run_at(plan, ("zero-shot", "qa", "command-qa-rooms"))
    record = complete(run, plan)
    assert record.metrics.keys() == {"en", "de", "sw"}
    trained = here.store().get(run.parents[0])
    assert record.metrics["en"]["score"] == pytest.approx(trained.metrics["en"]["score"], abs=0.1)
    assert record.metrics["en"]["score"] > 60


def test_tasks_that_train_together_are_recorded_each(prepared, tmp_path):
    pair = {"name": "pair", "tasks": ["nli", "slots"], "example_cap": 16}
    here, plan = fresh(prepared, tmp_path, intermediates=["none", pair])
    record = complete(run_at(plan, ("intermediate", "pair", None)), plan)
    own = record.metrics["en"]
    assert own.keys() == {"score", "n", "score.nli", "score.slots"}
    assert own["score"] == pytest.approx((own["score.nli"] + own["score.slots"]) / 2)
    assert (own["n"], record.provenance.examples) == (24, 4 * 32)
    complete(run_at(plan, ("zero-shot", "pair", "slots")), plan)


def test_a_task_that_trains_alone_has_all_its_examples(prepared, tmp_path):
    alone = {"name": "alone", "tasks": ["nli"], "example_cap": 16}
    here, plan = fresh(prepared, tmp_path, intermediates=["none", alone])
    for where in (("intermediate", "alone", None), ("target", "alone", "slots")):
        assert complete(run_at(plan, where), plan).provenance.examples == 4 * 24, where


def test_windows_are_laid_as_the_training_of_a_target_says(prepared, tmp_path):
    here, plan = fresh(prepared, tmp_path, target_training={**tiny.TRAINING, "max_length": 32, "doc_stride": 4})
    run = run_at(plan, ("zero-shot", "none", "command-qa"))
    assert run.settings.doc_stride == 4
    assert complete(run, plan).metrics.keys() == {"en", "de", "sw"}


def test_chosen_languages_alone_are_evaluated(prepared, tmp_path):
    here, plan = fresh(prepared, tmp_path)
    (here.root / "studies" / "tiny.yml").unlink()
    run = run_at(plan, ("zero-shot", "none", "ui-retrieval"))
    chosen = change_settings(run, languages=["sw", "fi"])
    assert complete(chosen, plan).metrics.keys() == {"sw"}
    none = change_settings(run, languages=["fi"])
    with pytest.raises(StiltsError, match="task 'ui-retrieval' has no test set in fi; its languages in .*: de, sw"):
        complete(none, plan)


# --- nothing is done twice -------------------------------------------------------------------------------------------


@contextmanager
def no_training():
    """Whoever trains meanwhile fails."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "train", None)
        yield


def test_a_run_does_what_it_stands_on_first_and_computes_the_same(done, work, caplog):
    *_, records = done
    here, plan = work
    with caplog.at_level(logging.INFO):
        assert numbers(complete(run_at(plan, CHILD), plan)) == numbers(records[CHILD])
    chain = [run_at(plan, where) for where in (("intermediate", "nli", None), ("target", "nli", "slots"), CHILD)]
    assert {record.id for record in here.store()} == {run.id for run in chain}
    for run in chain:
        assert numbers(here.store().get(run.id)) == numbers(records[place(run)])
    assert [message for message in caplog.messages if "starts, since" in message] == [
        f"{chain[2].id}: starts, since it has no record",
        f"{chain[1].id}: starts, since the next phase needs its checkpoint, which is missing",
        f"{chain[0].id}: starts, since the next phase needs its checkpoint, which is missing",
    ]


def test_a_recorded_run_is_not_done_again(done, caplog):
    here, plan, records = done
    before = {path: path.stat().st_mtime_ns for path in (here.runs / "records").iterdir()}
    with no_training(), caplog.at_level(logging.INFO):
        for run in plan.runs:
            assert complete(run, plan) == records[place(run)]
            assert f"{run.id}: already recorded, not run again" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in (here.runs / "records").iterdir()} == before


def test_a_committed_record_is_not_done_again(done, work):
    (recorded, _, records), (here, plan) = done, work
    shutil.copytree(recorded.runs / "records", here.root / "results" / "tiny" / "records")
    with no_training():
        assert complete(run_at(plan, CHILD), plan) == records[CHILD]
    assert not (here.runs / "records").exists()


def test_a_lost_checkpoint_is_made_again_and_the_record_of_its_run_kept(done, prepared, tmp_path):
    """The parents' records are committed ones; their checkpoints were made on another machine."""
    recorded, _, records = done
    here, plan = fresh(prepared, tmp_path)
    committed = here.root / "results" / "tiny" / "records"
    shutil.copytree(recorded.runs / "records", committed)
    child = run_at(plan, CHILD)
    for path in committed.glob(f"{child.id}.*"):
        path.unlink()
    assert numbers(complete(child, plan)) == numbers(records[CHILD])
    assert {path.stem for path in (here.runs / "records").iterdir()} == {child.id}


def test_rows_are_encoded_once_for_all_runs(done, prepared, tmp_path, monkeypatch):
    """With the inputs of other runs nothing is left for the formats to encode, and the numbers are the same."""
    recorded, _, records = done
    here, plan = fresh(prepared, tmp_path)
    shutil.copytree(recorded.inputs, here.inputs)
    for name in ("CLASSIFICATION", "TAGGING", "PASSAGE_RETRIEVAL"):
        monkeypatch.setattr(type(getattr(formats, name)), "encode", None)
    for target in ("intent", "slots", "ui-retrieval"):
        run = run_at(plan, ("zero-shot", "none", target))
        assert numbers(complete(run, plan)) == numbers(records[place(run)])


def test_two_at_once_do_a_run_once(work, monkeypatch):
    here, plan = work
    run, trained = run_at(plan, ("target", "none", "intent")), []

    def counted(*args, **options):
        trained.append(run.id)
        return loop.train(*args, **options)

    monkeypatch.setattr(training, "train", counted)
    with ThreadPoolExecutor(2) as pool:
        records = [job.result() for job in [pool.submit(complete, run, plan) for _ in range(2)]]
    assert records[0] == records[1]
    assert len(trained) == 1


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_target_checkpoints_are_kept_where_the_study_says_so(work, done):
    here, plan = work
    child = run_at(plan, ("zero-shot", "none", "intent"))
    complete(child, tiny.scheduled(plan, keep_checkpoints="all"))
    assert here.checkpoints.intact(child.parents[0])


def test_checkpoints_of_intermediate_training_go_once_all_that_starts_from_them_is_recorded(work):
    here, plan = work
    spent = tiny.scheduled(plan, keep_checkpoints="none")
    parent = run_at(plan, ("intermediate", "nli", None))
    children = [run for run in plan.runs if parent.id in run.parents]
    *first, last = children
    for run in first:
        complete(run, spent)
    assert here.checkpoints.intact(parent.id)
    complete(last, spent)
    assert not here.checkpoints.intact(parent.id)
    with no_training():
        assert complete(parent, spent).id == parent.id


class OthersRows(Task):
    """A target with the test sets of another one."""

    def config_for(self, language: str) -> str:
        return get_target("command-qa").config_for(language)


def test_a_checkpoint_that_serves_two_evaluations_outlives_the_first(prepared, tmp_path, monkeypatch):
    """As MLQA is answered by the model that is trained for XQuAD, in whichever order the two are evaluated."""
    again = OthersRows("again", "Again", SPAN_QA_MLQA, trained_as="command-qa")
    monkeypatch.setitem(registry.TARGETS, "again", again)
    targets = ["command-qa", "again"]
    for number, order in enumerate((targets, targets[::-1])):
        chosen = {"targets": targets, "intermediates": ["none"], "evaluation": {"examples": 8, "languages": ["de"]}}
        here, plan = fresh(prepared, tmp_path / str(number), **chosen)
        first, second = (run_at(plan, ("zero-shot", "none", target)) for target in order)
        assert len(plan.runs) == 3
        assert first.parents == second.parents
        complete(first, plan)
        assert here.checkpoints.intact(first.parents[0])
        with no_training():
            complete(second, plan)
        assert not here.checkpoints.intact(first.parents[0])
        scores = [here.store().get(run.id).metrics["de"] for run in (first, second)]
        assert [own.keys() for own in scores] == [{"score", "n", "exact_match"}] * 2


def flip_a_byte(folder: Path) -> None:
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(weights)


def cut_off(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])


@pytest.mark.parametrize(
    "harm",
    [
        flip_a_byte,
        cut_off,
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "checkpoint.json").unlink(),
        lambda folder: (folder / "checkpoint.json").write_text('{"sha256"'),
        lambda folder: (folder / "checkpoint.json").write_text("[]"),
    ],
    ids=["flipped", "cut off", "no weights", "no checksum", "half a checksum", "other JSON"],
)
def test_a_damaged_checkpoint_is_set_aside_said_and_made_again(done, work, caplog, harm):
    *_, records = done
    here, plan = work
    child = run_at(plan, ("zero-shot", "none", "intent"))
    parent = plan.by_id[child.parents[0]]
    complete(parent, plan)
    first = (here.runs / "records" / f"{parent.id}.json").read_bytes()
    harm(here.checkpoints.root / parent.id)
    with caplog.at_level(logging.INFO):
        assert numbers(complete(child, plan)) == numbers(records[place(child)])
    assert f"checkpoint {parent.id} is damaged; it was set aside as {parent.id}.corrupt-1" in caplog.text
    assert f"{parent.id}: starts, since the next phase needs its checkpoint" in caplog.text
    assert (here.runs / "records" / f"{parent.id}.json").read_bytes() == first
    assert [path.name for path in here.checkpoints.root.iterdir()] == [f"{parent.id}.corrupt-1"]


def test_a_checkpoint_is_read_back_whole(tmp_path):
    checkpoints, state = Checkpoints(tmp_path / "checkpoints"), {"a": torch.randn(3, 4).T, "b": torch.arange(3)}
    assert not checkpoints.intact("run")
    with pytest.raises(StiltsError, match="run run has no checkpoint in"):
        checkpoints.load("run")
    checkpoints.save("run", state)
    loaded = checkpoints.load("run")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    checkpoints.discard("run")
    checkpoints.discard("run")
    assert list(checkpoints.root.iterdir()) == []


def test_what_a_killed_process_left_of_a_checkpoint_is_removed(tmp_path):
    (tmp_path / ".run.part-1").mkdir()
    (tmp_path / ".run.part-1" / "model.safetensors").write_bytes(b"half")
    Checkpoints(tmp_path).save("run", {"a": torch.ones(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# --- interruptions ---------------------------------------------------------------------------------------------------


def killed(act: Callable[[], object]) -> None:
    """Do something in a process of its own, which must end by SIGKILL."""
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


class KillAt:
    """Stands for a function; at its nth call the process is killed."""

    def __init__(self, function: Callable, calls: int):
        self.function, self.left = function, calls

    def __call__(self, *args, **options):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.function(*args, **options)


@pytest.mark.parametrize("moment", range(1, 12))
def test_after_a_kill_the_same_command_finishes_with_the_same_numbers(done, work, moment, monkeypatch):
    """Eleven files get their names on the way to an evaluation: of each training two splits' inputs, a checkpoint and a
    record; then the test sets' inputs, predictions and a record. The kill comes before each of them."""
    *_, records = done
    here, plan = work
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", KillAt(os.replace, moment))
        killed(lambda: complete(run_at(plan, CHILD), plan))
    assert len(list((here.runs / "records").glob("*.json"))) == (moment - 1) // 4
    check_all_is_whole(here, plan, records)


@pytest.mark.parametrize("update", [1, 7, 14])
def test_after_a_kill_while_training_too(done, work, update, monkeypatch):
    *_, records = done
    here, plan = work
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_update", KillAt(loop._update, update))
        killed(lambda: complete(run_at(plan, CHILD), plan))
    check_all_is_whole(here, plan, records)


@pytest.mark.parametrize("moment", [1, 7, 14])
def test_after_ctrl_c_the_same_command_finishes_with_the_same_numbers(done, work, moment, monkeypatch):
    *_, records = done
    here, plan = work
    calls = iter(range(1, 100))

    def interrupted(*args):
        if next(calls) == moment:
            raise KeyboardInterrupt
        return update(*args)

    with monkeypatch.context() as patched:
        update = loop._update
        patched.setattr(loop, "_update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            complete(run_at(plan, CHILD), plan)
    check_all_is_whole(here, plan, records)


def check_all_is_whole(here: Checkout, plan: Plan, records: dict) -> None:
    """Complete the evaluation; its numbers and its parents' are those of an undisturbed study, and no part is left."""
    assert numbers(complete(run_at(plan, CHILD), plan)) == numbers(records[CHILD])
    for record in here.store():
        assert numbers(record) == numbers(records[place(record.run)])
    assert {path.name for path in here.checkpoints.root.iterdir()} == {
        run_at(plan, ("intermediate", "nli", None)).id
    }


@pytest.mark.parametrize(
    "where, size, message",
    [
        (("target", "none", "intent"), 10, "cannot write to .*/progress: File too large; free disk space"),
        (("target", "none", "intent"), 5_000, "cannot write checkpoint .*File too large.*; free disk space and run"),
        (("zero-shot", "none", "ui-mining"), 1_000, "cannot write record .*File too large"),
    ],
)
def test_a_full_disk_is_named_and_nothing_half_written_stays(done, work, where, size, message):
    *_, records = done
    here, plan = work
    run = run_at(plan, where)
    with largest_file(size), pytest.raises(StiltsError, match=message):
        complete(run, plan)
    assert run.id not in here.store()
    assert not any(".part-" in path.name for path in here.runs.glob("*/*"))
    assert numbers(complete(run, plan)) == numbers(records[where])


def test_a_place_that_cannot_be_written_is_named(work):
    here, plan = work
    (here.root / "file").write_text("")
    elsewhere = replace(plan, checkout=Checkout(here.root, runs=here.root / "file" / "runs"))
    with pytest.raises(StiltsError, match="cannot write to .*file/runs/locks: Not a directory; .*STILTS_RUNS"):
        complete(run_at(plan, CHILD), elsewhere)


# --- data ------------------------------------------------------------------------------------------------------------


def test_rows_are_the_first_of_the_split_with_the_names_of_their_labels(prepared):
    suite = prepared.suite_folder(open_plan(prepared, "tiny").runs[0])
    assert load(suite, get_target("intent"), "de", "test", 3) == Split(
        tiny.intent_rows("de")[:3], ["open", "close"], "de"
    )
    whole = load(suite, get_target("slots"), "en", "train", 10**6)
    assert (whole.rows, whole.labels) == (tiny.slot_rows("en"), tiny.TAGS)
    assert load(suite, get_target("command-qa"), "sw", "test", 1) == Split(tiny.qa_rows("sw")[:1], [], "sw")


def test_a_split_that_cannot_be_used_is_named(tmp_path):
    text = [{"sentence1": "a", "label": 0}]
    tables = [Table("slots.en", "train", CLASSIFICATION.features(["x"]), text)]
    suite = write_suite(tables, tmp_path / "suite", {"fingerprint": "f"}, POCKET_CARD)
    with pytest.raises(StiltsError, match="slots.en, train: column tags, tokens is missing; it has sentence1, label"):
        load(suite, get_target("slots"), "en", "train", 5)
    with pytest.raises(StiltsError, match="unknown split .* 'test'. Known: train"):
        load(suite, get_target("slots"), "en", "test", 5)
    empty = suite / "intent.en" / "train-00000-of-00001.parquet"
    empty.parent.mkdir()
    pd.DataFrame({"sentence1": [], "label": []}).to_parquet(empty)
    with pytest.raises(StiltsError, match="intent.en, train: no rows; a split needs at least one"):
        load(suite, get_target("intent"), "en", "train", 5)
