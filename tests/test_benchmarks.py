"""The benchmarks of training: what they count, and that they run."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import tiny
import torch
from torch.utils.flop_counter import FlopCounterMode

from stilts.study.settings import TrainingSettings
from stilts.tasks.formats import FORMATS
from stilts.tasks.registry import Task
from stilts.workspace.resolution import SUITES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu")


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_operations_are_those_of_the_matrix_products(gpu):
    shape, workload = gpu.TINY.shape, gpu.WORKLOADS[0]
    model = gpu.build_model(shape, workload, torch.device("cpu"))
    model.encoder.set_attn_implementation("eager")  # whose products are counted one by one
    ids = torch.randint(3, shape.vocabulary, (5, 16))
    with FlopCounterMode(display=False) as counter:
        model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    forward = gpu.count_operations(shape, [16] * 5) / gpu.FORWARD_AND_BACKWARD
    assert forward == counter.get_total_flops()


def test_the_roofline_adds_products_and_what_is_moved(gpu):
    assert gpu.find_roofline(6e12, 10**9, gpu.Limits(operations=3e12, bytes=16e9)) == pytest.approx(2 + 2)


def test_inputs_have_the_lengths_of_their_task(gpu):
    for workload in gpu.WORKLOADS:
        lengths = pd.Series([len(part.input_ids) for part in workload.draw(gpu.WHOLE)])
        deciles = lengths.quantile([0.1, 0.5, 0.9]).tolist()
        assert deciles == pytest.approx([workload.deciles[place] for place in (1, 5, 9)], rel=0.05, abs=1)
        assert min(workload.deciles) <= lengths.min() <= lengths.max() <= max(workload.deciles)


def test_the_clock_times_the_updates_after_the_first(gpu, monkeypatch):
    now = iter([10.0, 16.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    clock = gpu.Clock(torch.device("cpu"), gpu.TINY)
    for _ in range(gpu.TINY.skipped + gpu.TINY.timed):
        assert clock.seconds is None
        clock.tick()
    assert clock.seconds == 6.0 / gpu.TINY.timed


def test_a_tiny_shape_is_measured_anywhere_and_what_is_not_is_said(gpu, without_gpu, tmp_path, capsys):
    out = tmp_path / "new" / "gpu.json"
    gpu.main(["--tiny", "--workloads", "tagging", "--out", str(out)])
    result, table, said = json.loads(out.read_text()), pd.read_csv(out.with_suffix(".csv")), capsys.readouterr().out
    recipes = ["trainer", "trainer-best", "padded", "packed", "packed-frozen"]
    assert [(row["workload"], row["recipe"]) for row in result["rows"]] == [("tagging", name) for name in recipes]
    assert table["recipe"].tolist() == recipes
    for row in result["rows"]:
        assert row["roofline_share"] == pytest.approx(row["roofline_seconds"] / row["seconds_per_update"])
        assert 0 < row["roofline_share"] < 1
    assert table["times_trainer"][0] == 1
    trained = table["trained_weights"]
    assert trained[:4].nunique() == 1
    assert trained[0] - trained[4] == gpu.TINY.shape.vocabulary * gpu.TINY.shape.hidden
    begins = ["no GPU", "not XLM-R Large", "torch.compile: not asked for", "CUDA graphs"]
    assert len(result["not_measured"]) == len(begins)
    assert all(map(str.startswith, result["not_measured"], begins))
    assert all(f"not measured: {sentence}" in said for sentence in result["not_measured"])


@pytest.mark.parametrize("name", ["mnli", "squad"])
def test_inputs_padded_to_one_length_have_the_same_loss(gpu, name):
    (workload,) = (each for each in gpu.WORKLOADS if each.name == name)
    model = gpu.build_model(gpu.TINY.shape, workload, torch.device("cpu")).eval()
    examples = gpu.list_examples(workload.draw(gpu.TINY)[:4])
    short, long = (gpu.WithLoss(model, gpu.TASK, FORMATS[workload.form], length) for length in (None, 64))
    assert long.collate(examples)["ids"].shape == (4, 64)
    losses = [each(**each.collate(examples))["loss"].item() for each in (short, long)]
    assert losses[1] == pytest.approx(losses[0])


@pytest.mark.parametrize("padded", [True, False])
def test_both_recipes_by_trainer_train(gpu, without_gpu, padded):
    throughput = importlib.import_module("throughput")
    workload = gpu.WORKLOADS[0]
    model = gpu.build_model(replace(gpu.TINY.shape, positions=160), workload, torch.device("cpu"))
    before = [weight.detach().clone() for weight in model.parameters()]
    task = Task(gpu.TASK, gpu.TASK, FORMATS[workload.form])
    settings = TrainingSettings(batch_size=2, epochs=1, warmup=0)
    throughput.with_trainer(model, task, workload.draw(gpu.TINY)[:4], settings, bf16=False, padded=padded)
    assert all((weight != old).any() for weight, old in zip(model.parameters(), before, strict=True))


def test_what_does_not_fit_has_no_number(gpu, monkeypatch):
    def overflow(training):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def tick(training):
        for _ in range(gpu.TINY.skipped + gpu.TINY.timed):
            training.clock.tick()

    recipes = [gpu.Recipe("trainer", "all of it", overflow), gpu.Recipe("less", "some of it", tick)]
    result = gpu.measure_all(gpu.WORKLOADS[:1], recipes, gpu.TINY, torch.device("cpu"))
    assert result["not_measured"] == ["mnli, trainer: out of memory: CUDA out of memory. Tried to allocate 2 GiB"]
    assert [row.keys() & {"seconds_per_update", "times_trainer"} for row in result["rows"]] == [
        set(), {"seconds_per_update"},
    ]  # fmt: skip
    assert gpu.format_table(result).count("not measured") == 6 + 1


@pytest.mark.parametrize(
    "arguments, message",
    [([], "there is no GPU; --tiny shows"), (["--tiny", "--workloads", "mnil"], "no workload is called mnil")],
)
def test_what_cannot_be_measured_is_refused(gpu, without_gpu, capsys, arguments, message):
    with pytest.raises(SystemExit):
        gpu.main(arguments)
    assert message in capsys.readouterr().err


def test_an_evaluation_is_timed_beside_its_forward_passes(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    evaluation = importlib.import_module("evaluation")
    monkeypatch.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
    here = tiny.checkout(tmp_path / "checkout", tiny.write_encoder(tmp_path / "encoder"))
    monkeypatch.chdir(here.root)
    evaluation.main(["tiny", "--targets", "intent", "slots"])
    lines = capsys.readouterr().out.splitlines()
    form = r"(\w+), inputs (\w+): [\d.]+ s, of which forward passes ([\d.]+)% on cpu"
    found = [re.fullmatch(form, line) for line in lines]
    ways = [(task, way) for task in ("intent", "slots") for way in ("tokenised", "kept")]
    assert [(each[1], each[2]) for each in found] == ways
    assert all(0 < float(each[3]) < 100 for each in found)
    with pytest.raises(SystemExit):
        evaluation.main(["tiny", "--targets", "ui-retrieval"])
    assert "tiny trains no target 'ui-retrieval'" in capsys.readouterr().err
