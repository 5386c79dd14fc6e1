"""What a run is expected to cost."""

import shutil
from dataclasses import replace

import pytest
from fakes import change_settings, make_provenance, make_run, record_runs
from small_book import ROOT
from transformers import AutoModel, BertConfig, GPT2Config, LlamaConfig, MBartConfig, MT5Config, XGLMConfig

from stilts.models import adapters
from stilts.models.known_encoders import Shape, find_encoder_shape
from stilts.sources.xtreme.official import BUCC_SENTENCES, EVALUATED_ROWS
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import DataSettings, Study
from stilts.tasks.registry import TARGETS
from stilts.workspace.checkout import Checkout
from stilts.workspace.devices import ASSUMED_CORE, ASSUMED_GPUS, Speed, estimate_speeds
from stilts.workspace.disk import estimate_disk, format_size
from stilts.workspace.forecast import ASSUMED_SECONDS, Estimator, Forecast, estimate_search_memory
from stilts.workspace.plan_report import PlanReport, format_duration
from stilts.workspace.resolution import resolve
from stilts.workspace.work import count_run_tokens


def run_of(phase="target", condition="nli", target="slots", encoder="small", data="suite@1", **settings) -> Run:
    if phase in ("intermediate", "target"):
        settings = settings or training(100, 2.0)
    return make_run(phase, condition, target, data=data, encoder={"name": encoder}, **settings)


def record(run: Run, seconds: float, memory: float = 500, languages: int = 1) -> Record:
    metrics = {f"language {number}": {"score": 50.0} for number in range(languages)}
    return Record(run=run, metrics=metrics, provenance=make_provenance(seconds=seconds, peak_memory_mb=memory))


def training(examples: int, epochs: float) -> dict:
    return {"training": {"examples": examples, "epochs": epochs}}


def test_memory_of_a_search_is_that_of_the_language_with_most_sentences():
    study = Checkout(ROOT).study("paper")
    large = find_encoder_shape("FacebookAI/xlm-roberta-large")
    settings = {"evaluation": {"examples": 10**7}, "languages": "all"}
    runs = {target: run_of("zero-shot", target=target, **settings) for target in ("bucc2018", "tatoeba", "xnli")}
    reckoned = {target: estimate_search_memory(run, study, large) for target, run in runs.items()}
    sentences = BUCC_SENTENCES["ru"]
    assert reckoned["xnli"] == 0
    assert reckoned["bucc2018"] > 2 * sentences * 1024 * 4 / 1e6  # of one layer, made and searched
    assert reckoned["tatoeba"] < reckoned["bucc2018"] < study.schedule.memory_mb
    few = change_settings(runs["bucc2018"], languages=["zh"])
    assert estimate_search_memory(few, study, large) < reckoned["bucc2018"]


def test_memory_of_a_search_is_no_more_than_records_with_other_test_sets_show(here):
    study = paper(encoder={"name": "multilingual-e5-small"}, targets=["tatoeba", "bucc2018"])
    runs = {target: runs_at(here, study, "zero-shot", "none", target) for target in study.targets}
    before = record(runs["tatoeba"].model_copy(update={"data": "suite@2"}), 5, memory=1500)
    noted = before.provenance.model_copy(update={"examples": 60_000})
    expect = Estimator([before.model_copy(update={"provenance": noted})], study, SMALL)
    sentences = 2 * (28 * 1000 + 205 + 746 + 575 + 687 + 390 + 307 + 234 + 548)
    assert expect(runs["tatoeba"]).memory_mb == 1500 + (sentences - 60_000) * (2 * 384 * 4 + 1500) / 1e6
    assert expect(runs["bucc2018"]).memory_mb == estimate_search_memory(runs["bucc2018"], study, SMALL)


@pytest.mark.parametrize(
    ("used", "device", "said"),
    [
        (3900, "a processor, 1 thread(s)", "similar runs used at most 3900 MB"),
        (4100, "a processor, 1 thread(s)",
         "similar runs used at most 4100 MB, more than reserved: raise schedule.memory_mb"),
        (4100, "NVIDIA L4", "no similar run is recorded"),
    ],
)  # fmt: skip
def test_more_memory_on_record_than_is_reserved_is_said(here, used, device, said):
    study = paper(encoder={"name": "multilingual-e5-small"}, targets=["xnli"], schedule={"memory_mb": 4000})
    plan = resolve(study, here, provisional=True)
    record_runs(here, [run for run in plan.runs if run.phase == "target"][:1], device=device, peak_memory_mb=used)
    (line,) = [line for line in PlanReport(plan).lines() if line.startswith("memory: ")]
    assert line.partition(" in total; ")[2] == said


@pytest.mark.parametrize("phase", ASSUMED_SECONDS)
def test_without_a_like_record_a_cost_is_assumed(phase):
    run = run_of(phase)
    assert Estimator([])(run) == Forecast(ASSUMED_SECONDS[phase], 0.0, measured=False)


def test_training_is_scaled_by_examples_and_epochs():
    expect = Estimator([record(run_of(), 10, memory=700)])
    assert expect(run_of()) == Forecast(10, 700, measured=True)
    assert expect(run_of(**training(300, 2.0))).seconds == pytest.approx(30)
    assert expect(run_of(**training(100, 0.5))).seconds == pytest.approx(2.5)


def test_no_more_examples_count_than_the_suite_has():
    def asking(examples: int) -> list[Run]:
        first = run_of("intermediate", "nli", None, **training(examples, 2.0))
        return [
            run_of(**training(examples, 2.0)),
            change_settings(first, condition={"name": "nli", "tasks": ["nli"]}),
            run_of("zero-shot", evaluation={"examples": examples}),
        ]

    pocket = Checkout(ROOT).study("pocket")
    sizes = {"train": 400, "intermediate_train": 500, "test": 300}
    study = pocket.model_copy(update={"data": DataSettings(sizes=sizes)})
    expect = Estimator([record(run, 10) for run in asking(100)], study)
    assert [expect(run).seconds for run in asking(10_000)] == [40, 50, 30]
    expect = Estimator([record(run, 10) for run in asking(10_000)], study)
    assert [expect(run).seconds for run in asking(200)] == [5, 4, pytest.approx(20 / 3)]


def test_pretraining_is_scaled_by_the_tokens_that_it_reads():
    def pretraining(updates: int, tokens: int) -> Run:
        return run_of("pretraining", "decoder", None, pretraining={"updates": updates, "batch_tokens": tokens})

    expect = Estimator([record(pretraining(100, 512), 10)])
    assert [expect(pretraining(*each)).seconds for each in ((100, 512), (300, 512), (300, 2048))] == [10, 30, 120]


def test_evaluation_is_scaled_by_examples_and_retrieval_is_not():
    run = run_of("zero-shot", evaluation={"examples": 10})
    assert Estimator([record(run, 5)])(run_of("zero-shot", evaluation={"examples": 40})).seconds == pytest.approx(20)
    retrieval = run_of("zero-shot", target="ui-retrieval", evaluation={"retrieval_layer": -1})
    other = run_of("zero-shot", target="ui-retrieval", evaluation={"retrieval_layer": 3})
    assert Estimator([record(retrieval, 5)])(other) == Forecast(5, 500, measured=True)


def test_evaluation_is_scaled_by_languages():
    def evaluation(languages: str | list[str]) -> Run:
        return run_of("zero-shot", languages=languages, evaluation={"examples": 10})

    whole = record(evaluation("all"), 30, languages=6)
    few = record(evaluation(["en", "de"]), 10, languages=2)
    assert [Estimator([whole, few])(evaluation(wanted)).seconds for wanted in ("all", ["en"])] == [30, 5]
    assert Estimator([few])(evaluation(["en", "de", "sw"])).seconds == 15
    assert Estimator([whole])(evaluation([*"abcdefgh"])).seconds == 30  # the task has six languages


def test_records_of_the_nearest_amount_of_work_count():
    runs = {examples: run_of("zero-shot", evaluation={"examples": examples}) for examples in (8, 60, 300)}
    records = [record(runs[8], 16, memory=900), record(runs[8], 24), record(runs[60], 30), record(runs[60], 90)]
    expect = Estimator(records)
    assert {examples: expect(run).seconds for examples, run in runs.items()} == {8: 20, 60: 60, 300: 300}
    assert expect(runs[300]).memory_mb == 900


def test_of_several_records_the_median_time_and_the_most_memory_count():
    records = [record(run_of(), seconds, memory) for seconds, memory in ((1, 900), (3, 500), (99, 600))]
    assert Estimator(records)(run_of()) == Forecast(3, 900, measured=True)


def test_a_condition_does_not_change_what_its_targets_cost():
    assert Estimator([record(run_of(), 10)])(run_of(condition="qa")).seconds == 10


@pytest.mark.parametrize(
    "other",
    [
        {"phase": "intermediate"},
        {"target": "intent"},
        {"encoder": "large"},
        {"phase": "zero-shot", "data": "suite@2", "evaluation": {"examples": 100}},
    ],
    ids=str,
)
def test_unlike_runs_tell_nothing(other):
    records = [record(run_of(), 10), record(run_of("zero-shot", evaluation={"examples": 100}), 10)]
    assert not Estimator(records)(run_of(**other)).measured


def test_intermediate_runs_are_told_apart_by_their_condition():
    runs = {condition: run_of("intermediate", condition, None) for condition in ("nli", "qa")}
    expect = Estimator([record(runs["nli"], 10), record(runs["qa"], 20)])
    assert expect(runs["qa"]).seconds == 20
    assert not expect(run_of("intermediate", "multi", None)).measured


def test_training_data_of_another_suite_take_as_long():
    assert Estimator([record(run_of(), 10)])(run_of(data="suite@2")).seconds == 10


def test_runs_of_another_suite_are_unlike():
    recorded = run_of(**training(100, 2.0) | {"suite": "pocket"})
    assert not Estimator([record(recorded, 10)])(run_of(**training(100, 2.0) | {"suite": "xtreme"})).measured


# --- reckoned from work ----------------------------------------------------------------------------------------------

LARGE = find_encoder_shape("FacebookAI/xlm-roberta-large")
SMALL = find_encoder_shape("multilingual-e5-small")


def paper(**changes) -> Study:
    """A small study of the paper's kind."""
    settings = {"examples": 10**7, "epochs": 2, "batch_size": 32, "train_embeddings": True}
    return Study.model_validate(
        {
            "name": "small-paper",
            "title": "A small study of the paper's kind",
            "encoder": {"name": "FacebookAI/xlm-roberta-large", "trim_vocabulary": False},
            "data": {"suite": "xtreme", "folder": "no-data"},
            "seeds": [1, 2],
            "intermediates": ["none", "mnli", {"name": "mnli-mlm", "tasks": ["mnli", "mlm"]}],
            "targets": ["xnli", "xquad", "mlqa", "udpos", "bucc2018", "tatoeba"],
            "intermediate_training": settings,
            "target_training": settings,
            "evaluation": {"examples": 10**7},
        }
        | changes
    )


@pytest.fixture
def here(tmp_path) -> Checkout:
    """A checkout without data, encoder and records."""
    return Checkout(tmp_path)


def runs_at(here: Checkout, study: Study, phase: str, condition: str, target: str | None = None) -> Run:
    plan = resolve(study, here, provisional=True)
    return next(run for run in plan.runs if (run.phase, run.condition, run.target) == (phase, condition, target))


def test_the_shape_of_xlmr_large_has_its_weights():
    assert LARGE.layer_weights == 24 * 12 * 1024**2 == 301_989_888
    assert LARGE.weights == pytest.approx(558e6, rel=0.01)  # 560 million with biases, norms and positions


CONFIGS = {
    "bert": BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=50),
    "gpt2": GPT2Config(n_embd=16, n_layer=2, n_head=2, n_inner=24, vocab_size=50),
    "llama": LlamaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                         vocab_size=50),
    "xglm": XGLMConfig(d_model=16, num_layers=2, attention_heads=2, ffn_dim=24, vocab_size=50),
    "mt5": MT5Config(d_model=16, num_layers=2, num_decoder_layers=3, num_heads=2, d_kv=8, d_ff=24, vocab_size=50),
    "mbart": MBartConfig(d_model=16, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2,
                         decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, vocab_size=50),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shape_of_every_family_has_the_matrices_of_its_layers(tmp_path, name):
    CONFIGS[name].save_pretrained(tmp_path)
    model = AutoModel.from_config(CONFIGS[name])
    matrices = [weight.numel() for key, weight in model.named_parameters()
                if weight.dim() == 2 and adapters.find_layer_number(key) is not None and "bias" not in key]  # fmt: skip
    assert find_encoder_shape(str(tmp_path)).layer_weights == sum(matrices)


def test_a_shape_is_read_from_a_folder(tmp_path):
    assert find_encoder_shape(str(tmp_path)) is None
    (tmp_path / "config.json").write_text(
        '{"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 100}'
    )
    assert find_encoder_shape(str(tmp_path)) == Shape(2, 8, 16, 100)
    assert Shape(2, 8, 16, 100).weights == 2 * (4 * 64 + 2 * 128) + 800


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "5", '{"model_type": "bert"}', '{"model_type": "bert", "hidden_size": [8]}']
)
def test_a_folder_that_tells_no_shape_has_none(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    assert find_encoder_shape(str(tmp_path)) is None


def test_tokens_of_runs_are_those_of_the_official_sets(here):
    study = paper()
    tokens = {
        ("intermediate", "mnli", None): 2 * 392702 * 48,
        ("intermediate", "mnli-mlm", None): 2 * 2**17 * (48 + 128),  # the cap holds where several tasks train together
        ("target", "none", "xquad"): 2 * 87599 * 258,
        ("zero-shot", "none", "xnli"): 15 * 5010 * 45,
        ("zero-shot", "none", "udpos"): 33 * 2000 * 32,
        ("zero-shot", "none", "tatoeba"): (28 * 1000 + 205 + 746 + 575 + 687 + 390 + 307 + 234 + 548) * 25,
        ("zero-shot", "none", "bucc2018"): 2657642 * 35,
    }
    assert {place: count_run_tokens(runs_at(here, study, *place), study) for place in tokens} == tokens


def test_evaluations_of_xtreme_r_read_their_test_sets_and_pools(here):
    study = paper(targets=["xcopa", "lareqa", "mewsli-x"], intermediates=["none"])
    tokens = {"xcopa": 11 * 500 * 43, "lareqa": (11 * 1190 + 13014) * 64, "mewsli-x": (11 * 2000 + 10**6) * 64}
    runs = {target: runs_at(here, study, "zero-shot", "none", target) for target in tokens}
    assert {target: count_run_tokens(run, study) for target, run in runs.items()} == tokens
    assert {name for name, task in TARGETS.items() if task.suite == "xtreme"} == EVALUATED_ROWS.keys()


def test_a_task_in_another_language_is_as_long_as_in_english(here):
    mixed = {"name": "mixed", "tasks": ["xquad-test", "xquad-test.de"]}
    study = paper(intermediates=[{"name": "sw", "tasks": ["mnli.sw"]}, mixed],
                  data={"suite": "xtreme", "folder": "no-data", "source_languages": ["de", "sw"]},
                  targets=["mlqa"])  # fmt: skip
    assert count_run_tokens(runs_at(here, study, "intermediate", "sw", None), study) == 2 * 392702 * 48
    assert count_run_tokens(runs_at(here, study, "intermediate", "mixed", None), study) == 2 * 2 * 1190 * 258


def test_caps_and_chosen_languages_make_runs_smaller(here):
    study = paper(
        data={"suite": "xtreme", "folder": "no-data", "sizes": {"train": 50, "retrieval": 10, "mining": 5}},
        evaluation={"examples": 20, "languages": ["en", "de"]},
    )
    tokens = {
        ("target", "none", "xnli"): 2 * 50 * 45,
        ("zero-shot", "none", "xnli"): 2 * 20 * 45,
        ("zero-shot", "none", "tatoeba"): 10 * 25,
        ("zero-shot", "none", "bucc2018"): 8 * 5 * 35,
    }
    assert {place: count_run_tokens(runs_at(here, study, *place), study) for place in tokens} == tokens


def test_time_without_a_like_record_is_work_over_speed(here):
    study = paper()
    expect = Estimator([], study, LARGE)
    trained = runs_at(here, study, "intermediate", "mnli")
    gpu = ASSUMED_GPUS[0]
    seconds = 6 * 2 * 392702 * 48 * LARGE.layer_weights / gpu.training + 2 * 392702 / 32 * gpu.update_seconds
    assert expect(trained).seconds == pytest.approx(seconds)
    assert not expect(trained).measured
    evaluated = runs_at(here, study, "zero-shot", "mnli", "xnli")
    fast = Speed("a GPU", 1e12, 2e12)
    assert expect(evaluated, fast).seconds == pytest.approx(2 * 15 * 5010 * 45 * LARGE.layer_weights / 2e12)


def on(device: str, run: Run, tokens: int, seconds: float) -> Record:
    made = record(run, seconds)
    where = made.provenance.model_copy(update={"device": device, "tokens": tokens})
    return made.model_copy(update={"provenance": where})


def test_what_a_gpu_sustains_is_measured_from_its_records():
    trained, evaluated = (run_of(phase, encoder="multilingual-e5-small") for phase in ("target", "zero-shot"))
    records = [
        *(on("NVIDIA L4", trained, 1000, seconds) for seconds in (1, 2, 9)),
        on("NVIDIA L4", evaluated, 1000, 1),
        on("NVIDIA T4", evaluated, 1000, 1),  # no training there to measure
        on("a processor, 2 thread(s)", trained, 1000, 1),
        on("NVIDIA L4", run_of(encoder="unknown"), 1000, 1),
    ]
    work = 1000 * SMALL.layer_weights
    assert estimate_speeds(records, LARGE) == [Speed("NVIDIA L4", 6 * work / 2, 2 * work, 4)]
    assert estimate_speeds(records, SMALL) == [Speed("a processor, 2 thread(s)", 6 * work, 6 * work, 1, gpu=False)]
    assert estimate_speeds([], LARGE) == list(ASSUMED_GPUS)
    assert estimate_speeds([], SMALL) == [ASSUMED_CORE]


def test_speed_is_measured_with_an_encoder_of_the_checkout_from_any_folder(here, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    BertConfig(vocab_size=100, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
               ).save_pretrained(here.root / "models" / "own")  # fmt: skip
    trained = run_of("target", encoder="models/own")
    shape = here.find_shape(trained.settings.encoder)
    assert shape == Shape(2, 8, 16, 100)
    records = [on("a processor, 2 thread(s)", trained, 1000, 2)]
    assert estimate_speeds(records, shape, here.find_shape) == [
        Speed("a processor, 2 thread(s)", *2 * [6 * 1000 * shape.layer_weights / 2], 1, gpu=False)
    ]
    assert estimate_speeds(records, shape) == [ASSUMED_CORE]


def test_the_start_of_many_short_runs_is_not_taken_for_the_speed_of_a_device():
    trained, evaluated = (run_of(phase, encoder="multilingual-e5-small") for phase in ("target", "zero-shot"))
    short = [on("NVIDIA L4", run, 10, 2) for run in (trained, evaluated) for _ in range(50)]
    long = [on("NVIDIA L4", run, 1000, seconds) for run in (trained, evaluated) for seconds in (3, 4, 5)]
    work = 1000 * SMALL.layer_weights
    assert estimate_speeds(short + long, LARGE) == [Speed("NVIDIA L4", 6 * work / 4, 2 * work / 4, 106)]


@pytest.mark.parametrize("keep", ["none", "intermediate", "all"])
def test_disk_holds_what_stands_at_once(here, keep):
    study = paper(schedule={"keep_checkpoints": keep})
    runs = resolve(study, here, provisional=True).runs
    needed = estimate_disk(runs, study, LARGE, 4, {"suite": 7})
    first, second = 2 * 2, 3 * 2 * 3  # conditions that train, seeds; conditions, seeds, trained models
    checkpoint = 4 * LARGE.weights
    kept = {"none": 0, "intermediate": first, "all": first + second}[keep]
    assert (needed.kept, needed.passing) == (kept, first + second - kept)
    assert (needed.states, needed.suite, needed.encoder) == (4 * 3 * checkpoint, 7, checkpoint)
    assert needed.most - needed.least == max(0, needed.passing - 1) * checkpoint
    assert needed.least > (needed.kept + 4 * 3 + 1) * checkpoint


def test_the_inputs_of_a_task_are_counted_once_for_all_conditions_and_seeds():
    study = paper()
    runs = [make_run("zero-shot", name, target="xnli", seed=seed) for name in ("none", "mnli") for seed in (1, 2)]
    assert estimate_disk(runs, study, LARGE, 1, {}).inputs == 15 * count_run_tokens(runs[0], study) > 0


def test_disk_holds_the_checkpoints_of_pretraining():
    runs = [make_run("pretraining", "decoder", seed=seed) for seed in (1, 2)]
    assert estimate_disk(runs, paper(), LARGE, 1, {}).kept == 2


def test_a_large_study_is_planned_without_data_and_encoder(here):
    study = paper(seeds=list(range(1, 41)))
    report = PlanReport(resolve(study, here, provisional=True))
    headers, rows = report.summary()
    assert headers == ("phase", "condition", "runs", "recorded", "expected")
    assert [row[:4] for row in rows] == [
        ("intermediate", "mnli", "40", "0"), ("intermediate", "mnli-mlm", "40", "0"), ("target", "none", "120", "0"),
        ("target", "mnli", "120", "0"), ("target", "mnli-mlm", "120", "0"), ("zero-shot", "none", "162", "0"),
        ("zero-shot", "mnli", "240", "0"), ("zero-shot", "mnli-mlm", "240", "0"),
    ]  # fmt: skip
    lines = list(report.lines())
    assert lines[0].endswith(
        "no-data does not exist: the plan assumes that all data are available, and the ids of the runs will change"
    )
    assert lines[1].startswith("1082 runs, 0 recorded, 1082 to do in ")
    hours = sum(report.expect(run).seconds for run in report.plan.runs) / 3600
    assert lines[2] == f"time: about {hours:,.0f} GPU-hours on {ASSUMED_GPUS[0]}"
    assert lines[3].startswith("time: about ")
    assert lines[3].endswith("GPU-hours on NVIDIA H100 (assumed: 297 TFLOP/s in training and 25 ms per update)")
    assert lines[4] == (
        "estimated: 1082 of the runs, from the sizes of the official data sets and the 302 million weights in the "
        "encoder's layers"
    )
    assert lines[6].startswith("disk: about ")
    assert "checkpoints of 2.2 GB each, 80 kept and 360 deleted after evaluation" in lines[6]


def test_committed_records_of_an_earlier_suite_are_said(here):
    committed = here.root / "results" / "pilot" / "records"
    committed.mkdir(parents=True)
    for path in sorted((ROOT / "results" / "pilot" / "records").glob("intermediate-*.json"))[:2]:
        shutil.copy(path, committed)
    study = Checkout(ROOT).study("pilot").model_copy(update={"data": DataSettings(suite="xtreme")})
    report = PlanReport(resolve(study, here, provisional=True))
    assert list(report.lines())[2] == (
        "results/pilot also has 2 committed records, which cannot be matched with these runs without the data folder"
    )
    known = [run.model_copy(update={"data": "suite@1"}) for run in report.plan.runs]
    lines = list(PlanReport(replace(report.plan, runs=tuple(known))).lines())
    assert lines[1] == (
        "results/pilot also has 2 committed records that were made with other settings or another suite; pages show "
        "them until these runs are recorded"
    )


def test_a_data_folder_that_holds_nothing_is_said(here):
    (here.root / "no-data").mkdir()
    assert next(PlanReport(resolve(paper(), here, provisional=True)).lines()) == (
        f"data folder {here.root}/no-data holds no data: the plan assumes that all data are available, and the ids of "
        "the runs will change"
    )


@pytest.mark.parametrize(("seconds", "words"), [(42, "42 s"), (900, "15 min"), (36000, "10 h"), (3.6e7, "10,000 h")])
def test_durations_read_well(seconds, words):
    assert format_duration(seconds) == words


def test_sizes_read_well():
    written = {0: "0 kB", 159e3: "159 kB", 20e6: "20 MB", 2.25e9: "2.2 GB", 1234e9: "1,234.0 GB"}
    assert {size: format_size(size) for size in written} == written
