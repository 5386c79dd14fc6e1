"""Measures of tasks: what a similarity and a complexity must be where it is known beforehand."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from fakes import ORIGIN
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from stilts.models.model import build_model
from stilts.phases.measures import measure
from stilts.phases.measures.complexity import count_examples_to_share, estimate_chance_noise, list_portions
from stilts.phases.measures.samples import read_sample
from stilts.phases.measures.similarity import (
    MEASURES,
    Profile,
    compare,
    contrastive_loss,
    cosine,
    fisher_similarity,
    make_profile,
)
from stilts.publish.figures.measures import draw_measures
from stilts.publish.run_pages import summarize_run, tabulate_metrics
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.suite import Table, write_suite
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import ComplexitySettings, LoraSettings, SimilaritySettings, TrainingSettings
from stilts.tasks import registry
from stilts.tasks.formats import CLASSIFICATION, FORMATS, PASSAGE_RETRIEVAL, SPAN_QA, TAGGING
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.terms import draw_input, measure_label_entropy, measure_uniform_bits
from stilts.tasks.registry import Task, get_target

SIMILARITY = SimilaritySettings(examples=16, batch_size=8, layers=1, head_updates=4)
COMPLEXITY = ComplexitySettings(examples=64, first=8, growth=3.0, updates=48, dev_examples=24)
TRAINING = TrainingSettings(**{**tiny.TRAINING, "epochs": 8})
COLOURS = ("red", "green", "blue", "white")


def coloured(start: int, count: int, *, noise: bool) -> list[dict]:
    """Sentences whose label is their first word's, or has nothing to do with them."""
    rows = []
    for number in range(start, start + count):
        digest = number * 2654435761 % 2**32
        label = digest // 2**16 % 2
        shown = label if not noise else digest // 2**20 % 2
        rows.append({"sentence1": f"{('open', 'close')[shown]} {COLOURS[number % 4]} {number % 7}", "label": label})
    return rows


def qa(start: int, count: int) -> list[dict]:
    return [{**row, "id": str(number)} for number, row in enumerate(tiny.qa_rows("en")[start : start + count])]


def suite_tables():
    yield from tiny.tables()
    for name, noise in (("para", False), ("intent", True)):
        kind = CLASSIFICATION.features(["open", "close"], pairs=False)
        yield Table(f"intermediate.{name}.en", "train", kind, coloured(0, 64, noise=noise))
        yield Table(f"intermediate.{name}.en", "validation", kind, coloured(64, 24, noise=noise))
    for split in ("train", "validation"):
        yield Table("intermediate.qa.en", split, SPAN_QA.features(), qa(0, 24))
        yield Table("intermediate.slots.de", split, TAGGING.features(tiny.TAGS), tiny.slot_rows("de"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Stands for a checkout: a suite, an encoder, and the notes of progress."""
    folder = tmp_path_factory.mktemp("measures")
    suite = write_suite(suite_tables(), folder / "suite", {"fingerprint": "measures"}, POCKET_CARD)
    encoder = tiny.write_encoder(folder / "encoder")
    notes: list[tuple[int, int]] = []
    return SimpleNamespace(
        suite_folder=lambda run: suite,
        encoder_folder=lambda run: encoder,
        progress=lambda name: lambda done, total: notes.append((done, total)),
        suite=suite,
        encoder=encoder,
        notes=notes,
    )


HELD = {"encoder": {"name": "tiny", "fingerprint": "f"}, "suite": "pocket"}


def complexity_run(task: str, seed: int = 1, **changes) -> Run:
    settings = {
        **HELD,
        "measure": COMPLEXITY.model_copy(update=changes),
        "task": task,
        "training": TRAINING,
    }
    return Run(phase="measure", condition=f"complexity-{task}", seed=seed, settings=settings, data="measures")


def similarity_run(intermediates: list[str], targets: list[str], seed: int = 1) -> Run:
    settings = {**HELD, "measure": SIMILARITY, "intermediates": intermediates, "targets": targets}
    return Run(phase="measure", condition="similarity", seed=seed, settings=settings, data="measures")


# --- similarity ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def similar(place):
    run = similarity_run(["nli", "qa", "slots", "slots.de"], ["intent", "slots", "command-qa", "ui-retrieval"])
    return measure(run, place, None)


def test_every_pair_has_every_measure_that_its_tasks_allow(similar):
    metrics, table, work = similar
    assert list(table.columns) == ["measure", "intermediate", "target", "value"]
    assert metrics["en"]["n"] == 16
    counts = table.groupby("measure")["target"].value_counts().unstack(fill_value=0)
    assert counts.loc["fisher"].to_dict() == {"intent": 4, "slots": 4, "command-qa": 4, "ui-retrieval": 0}
    assert (counts.loc[["text", "gradient"]] == 4).all(axis=None)
    assert list(table["measure"].unique()) == list(MEASURES)
    assert table["value"].between(-1, 1).all()
    assert (table.loc[table["measure"] == "fisher", "value"] > 0).all()
    assert 5 * work.examples < work.tokens < 30 * work.examples


def test_the_same_examples_in_both_roles_have_similarity_one(similar):
    # The tiny suite has the same rows for slots and command-qa in both roles.
    values = similar[1].set_index(["measure", "intermediate", "target"])["value"]
    for name in MEASURES:
        assert values[name, "slots", "slots"] == pytest.approx(1, abs=1e-5)
        assert values[name, "qa", "command-qa"] == pytest.approx(1, abs=1e-5)
        assert values[name, "nli", "slots"] < 0.999


def test_similarities_are_summed_up_in_the_record(similar):
    metrics, table, _ = similar
    fisher = table.loc[table["measure"] == "fisher", "value"]
    assert metrics["en"]["mean_fisher"] == pytest.approx(fisher.mean())
    assert metrics["en"]["deviation_fisher"] == pytest.approx(np.std(fisher))
    assert set(metrics["en"]) == {"n", *(f"{what}_{name}" for what in ("mean", "deviation") for name in MEASURES)}


def test_a_seed_decides_every_similarity(place):
    tables = [measure(similarity_run(["nli"], ["intent", "slots"], seed), place, None)[1] for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    unlike = tables[0]["value"] != tables[2]["value"]
    assert dict(zip(tables[0]["measure"], unlike, strict=True)) == {"text": False, "fisher": True, "gradient": True}


def test_the_weights_to_start_from_can_be_given(place):
    run = similarity_run(["nli"], ["intent", "command-qa"])
    model = build_model(place.encoder, {}, 1)
    state = model.state_dict()
    pd.testing.assert_frame_equal(measure(run, place, state)[1], measure(run, place, None)[1])
    torch.manual_seed(3)
    other = {name: value + 0.1 * torch.randn_like(value) for name, value in state.items()}
    assert (measure(run, place, other)[1]["value"] != measure(run, place, None)[1]["value"]).all()


@pytest.mark.parametrize("name", ["ui-retrieval", "ui-mining"])
def test_the_texts_of_a_task_without_training_are_its_english_sentences(place, name):
    sample = read_sample(place.suite, get_target(name), tiny.tokenizer(), SIMILARITY)
    expected = tiny.tokenizer()(tiny.parallel("en")[:12])["input_ids"]
    assert sample.terms is None
    assert [part.input_ids.tolist() for part in sample.texts][:12] == expected


def test_the_text_of_a_long_context_is_its_first_window(place):
    long = SIMILARITY.model_copy(update={"max_length": 32})
    task = get_target("command-qa")
    sample = read_sample(place.suite, task, tiny.tokenizer(), long)
    inputs = task.format.encode(tiny.qa_rows("en")[:16], tiny.tokenizer(), 32)
    assert len(sample.texts) == 16
    assert sample.texts[0].input_ids.tolist() == inputs[0].input_ids.tolist()


def test_the_fisher_information_of_a_sure_head_is_small(place):
    """Where a prediction cannot be otherwise, its gradient is nothing: the bias says the same of every input."""
    sample = read_sample(place.suite, get_target("intent"), tiny.tokenizer(), SIMILARITY)
    heads = {"text": (PASSAGE_RETRIEVAL, ()), "task": (sample.split.form, sample.split.labels)}
    model = build_model(place.encoder, heads, 1)
    unsure = make_profile(model, sample, SIMILARITY, 1).fisher.sum()
    sure = SIMILARITY.model_copy(update={"head_learning_rate": 1e-9})
    with torch.no_grad():
        model.heads["task"].project.bias[0] = 60.0
    assert make_profile(model, sample, sure, 1).fisher.sum() < 1e-6 * unsure


def test_text_vectors_are_centred_over_all_tasks():
    def at(*text: float) -> Profile:
        return Profile(np.array(text), np.ones(2, np.float32), None)

    # Far from the origin all cosines would be near 1; about their mean (100, 100), a is opposite to b, at right
    # angles to c.
    tasks_ = {("intermediate", "a"): at(101, 100), ("target", "b"): at(99, 100), ("target", "c"): at(100, 101),
              ("intermediate", "d"): at(100, 99)}  # fmt: skip
    values = compare(tasks_).set_index(["measure", "intermediate", "target"])["value"]
    assert values["text"].to_dict() == pytest.approx({("a", "b"): -1, ("a", "c"): 0, ("d", "b"): 0, ("d", "c"): -1})
    assert values["gradient"].tolist() == pytest.approx([1] * 4)
    assert "fisher" not in values.index.get_level_values("measure")


embeddings = st.lists(st.floats(0, 10), min_size=3, max_size=3).map(np.array)


@given(embeddings, embeddings)
def test_fisher_similarity_is_symmetric_and_between_zero_and_one(first, second):
    value = fisher_similarity(first, second)
    assert value == pytest.approx(fisher_similarity(second, first))
    assert -1e-9 <= value <= 1 + 1e-9


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3).map(np.array), st.floats(0.1, 10))
def test_fisher_similarity_leaves_out_how_large_gradients_are(values, factor):
    assert fisher_similarity(values, values * factor) == pytest.approx(1)


def test_fisher_similarity_of_tasks_that_move_other_weights_is_zero():
    assert fisher_similarity(np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0])) == 0
    assert cosine(np.zeros(2), np.ones(2)) == 0


def test_the_objective_without_labels_is_the_cross_entropy_of_finding_the_same_text():
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert float(contrastive_loss(first, first, 0.5)) == pytest.approx(math.log(1 + math.exp(-2)))
    assert float(contrastive_loss(first, first.flip(0), 0.5)) == pytest.approx(math.log(1 + math.exp(2)))


# --- complexity ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def separable(place):
    place.notes.clear()
    return (*measure(complexity_run("para"), place, None), list(place.notes))


def test_a_separable_task_is_sent_in_few_bits_and_noise_in_as_many_as_uniform(place, separable):
    metrics, _, _, _ = separable
    noise = measure(complexity_run("intent"), place, None)[0]["en"]
    assert metrics["en"]["uniform_bits_per_label"] == noise["uniform_bits_per_label"] == 1
    assert metrics["en"]["code_bits_per_label"] < 0.3
    assert 0.9 < noise["code_bits_per_label"] < 1.2
    assert metrics["en"]["score"] == 100
    assert noise["censored"] == 1
    assert noise["examples_to_share"] == 64


def test_the_table_of_a_task_is_its_learning_curve_and_its_portions(separable):
    metrics, curve, work, _ = separable
    found = metrics["en"]
    assert curve["examples"].tolist() == [0, 8, 23, 64]
    assert curve["block_examples"].tolist() == [8, 15, 41, 0]
    assert curve["block_labels"].tolist() == [8, 15, 41, 0]
    assert curve["updates"].tolist() == [0, 48, 48, 64]  # at least 48, and 8 epochs
    assert curve["block_uniform_bits"].tolist() == [8, 15, 41, 0]
    assert curve.loc[0, ["block_bits", "temperature"]].tolist() == [8, math.inf]
    assert found["code_bits_per_example"] == pytest.approx(curve["block_bits"].sum() / 64)
    assert found["compression"] == pytest.approx(64 / curve["block_bits"].sum())
    assert found["score"] == curve["score"].iloc[-1]
    assert work.examples == 48 * 8 + 16 * 23 + 8 * 64
    assert work.tokens > 5 * work.examples


def test_what_needs_no_training_is_counted(separable):
    rows = coloured(0, 64, noise=False)
    ones = sum(row["label"] for row in rows) / 64
    lengths = [len(ids) for ids in tiny.tokenizer()([row["sentence1"] for row in rows])["input_ids"]]
    found = separable[0]["en"]
    assert found["label_entropy"] == pytest.approx(-ones * math.log2(ones) - (1 - ones) * math.log2(1 - ones))
    assert found["tokens_per_example"] == pytest.approx(np.mean(lengths))
    assert found["chance"] == pytest.approx(100 * max(ones, 1 - ones))
    assert (found["n"], found["labels"]) == (64, 64)


def test_progress_rises_to_all_examples(separable):
    notes = separable[3]
    assert len({total for _, total in notes}) == 1
    assert [done for done, _ in notes] == sorted(done for done, _ in notes)
    assert notes[-1][0] == notes[-1][1]


def test_a_seed_decides_a_complexity(place):
    few = {"examples": 24, "growth": 4.0, "updates": 8}
    first, again, other = (measure(complexity_run("para", seed, **few), place, None) for seed in (1, 1, 2))
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])
    assert first[0]["en"]["code_bits_per_example"] != other[0]["en"]["code_bits_per_example"]


def test_a_complexity_with_adapters_trains_them(place):
    few = {"examples": 24, "growth": 4.0, "updates": 8}

    def measure_with(rate: float) -> pd.DataFrame:
        adapters = TRAINING.model_copy(update={"lora": LoraSettings(rank=4, learning_rate=rate)})
        run = complexity_run("para", **few)
        settings = run.settings.model_copy(update={"training": adapters})
        return measure(run.model_copy(update={"settings": settings}), place, None)[1]

    slow, fast = measure_with(1e-6), measure_with(3e-2)
    pd.testing.assert_frame_equal(measure_with(3e-2), fast)
    assert (slow["block_bits"] != fast["block_bits"]).tolist() == [False, True, False]  # no model; nothing is left


@pytest.mark.parametrize("task, language, terms", [("qa", "en", 2), ("slots.de", "de", None)])
def test_spans_and_tags_are_coded_term_by_term(place, task, language, terms):
    (found,) = measure(complexity_run(task, examples=20, growth=4.0, updates=8), place, None)[0].items()
    assert found[0] == language
    if terms:
        assert found[1]["labels"] == terms * found[1]["n"]
    assert found[1]["code_bits_per_example"] == pytest.approx(
        found[1]["code_bits_per_label"] * found[1]["labels"] / found[1]["n"]
    )
    assert found[1]["chance"] == 0


def test_a_task_with_too_few_examples_is_refused():
    with pytest.raises(StiltsError, match=r"complexity of task 'para': `first` .* is 8, but the task has only 8"):
        list_portions(8, 8, 2.0, "para")


def test_a_task_that_ranks_and_chooses_nothing_has_no_complexity(place, monkeypatch):
    ranking = Task("ranks", "Ranks", PASSAGE_RETRIEVAL, intermediate=True)
    monkeypatch.setitem(registry.INTERMEDIATES, "ranks", ranking)
    with pytest.raises(StiltsError, match="task 'ranks': its format 'passage_retrieval' predicts no labels"):
        measure(complexity_run("ranks"), place, None)


# --- the page of a run -----------------------------------------------------------------------------------------------


def test_the_page_of_a_run_shows_its_numbers_and_its_table(similar, separable):
    settings = (similarity_run(["nli", "qa", "slots", "slots.de"], ["intent", "slots", "command-qa", "ui-retrieval"]),
                complexity_run("para"))  # fmt: skip
    records = [
        Record(run=run, metrics=found[0], provenance=ORIGIN)
        for run, found in zip(settings, (similar, separable), strict=True)
    ]
    tables = {record.id: found[1] for record, found in zip(records, (similar, separable), strict=True)}
    matrices, curve = draw_measures(records, SimpleNamespace(table=tables.get))
    assert [axis.get_title() for axis in matrices.axes] == list(MEASURES)
    assert [len(axis.texts) for axis in matrices.axes] == [16, 12, 16]  # no Fisher information of retrieval
    names = [label.get_text() for label in curve.axes[1].get_xticklabels()]
    assert names == ["1\N{EN DASH}8", "9\N{EN DASH}23", "24\N{EN DASH}64"]
    shown = tabulate_metrics(records)
    assert list(shown.columns) == ["similarity (en)", "complexity-para (en)"]
    assert shown.loc["n"].tolist() == [16, 64]
    assert summarize_run(records)["mean score"].tolist() == pytest.approx([math.nan, 100], nan_ok=True)
    plt.close("all")


# --- portions and curves ---------------------------------------------------------------------------------------------


@given(st.integers(1, 50), st.integers(1, 5000), st.floats(1.1, 10))
def test_portions_rise_from_the_first_to_all(first, more, growth):
    ends = list_portions(first + more, first, growth)
    assert (ends[0], ends[-1]) == (first, first + more)
    assert ends == sorted(set(ends))


def test_portions_grow_about_as_asked():
    assert list_portions(500, 16, 3.0) == [16, 50, 159, 500]
    assert list_portions(1000, 16, 2.0) == [16, 32, 63, 126, 252, 502, 1000]
    assert list_portions(20, 16, 3.0) == [16, 20]


def test_a_curve_is_interpolated_in_the_logarithm():
    # 25 % is chance and 75 % the end: 90 % of the way is 70, four fifths of the way from 50 to 75 on the last piece.
    reached = count_examples_to_share([10, 100, 1000], [25, 50, 75], 25, 0.9)
    assert reached.examples == pytest.approx(10 ** (2 + 4 / 5))
    assert reached.censored == 0


def test_a_curve_that_is_flat_is_reached_from_its_start_or_never():
    assert count_examples_to_share([10, 100], [80, 80], 25, 0.9) == (10.0, -1)
    assert count_examples_to_share([10, 100], [25, 25], 25, 0.9) == (100.0, 1)
    assert count_examples_to_share([10, 100], [25, 29], 25, 0.9, noise=5) == (100.0, 1)


def test_one_lucky_training_does_not_count():
    lucky = count_examples_to_share([10, 20, 40, 80], [80, 30, 40, 80], 25, 0.9)
    assert lucky.examples > 40


curves = st.lists(st.floats(0, 100), min_size=2, max_size=7)


@given(curves, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_larger_share_needs_no_fewer_examples(scores, one, other):
    sizes = [10.0 * 2**step for step in range(len(scores))]
    few, many = (count_examples_to_share(sizes, scores, 20, share) for share in sorted((one, other)))
    assert sizes[0] <= few.examples <= many.examples + 1e-6 <= sizes[-1] + 1e-5


@given(curves, st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_the_number_grows_with_the_sizes_and_not_with_the_scale_of_scores(scores, share, factor):
    sizes = [10.0 * 2**step for step in range(len(scores))]
    plain = count_examples_to_share(sizes, scores, 20, share)
    larger = count_examples_to_share([size * factor for size in sizes], scores, 20, share)
    assert larger.censored == plain.censored
    assert larger.examples == pytest.approx(plain.examples * factor)


def test_chance_on_few_dev_examples_is_noisy():
    assert estimate_chance_noise(50, 100) == pytest.approx(10)
    assert estimate_chance_noise(0, 100) == 0


# --- terms -----------------------------------------------------------------------------------------------------------

IDS = [0, 5, 6, 7, 2]
INPUTS = {
    "classification": Input(0, IDS, 2),
    "multiple_choice": Input(0, IDS, 1, alternatives=([0, 2], [0, 3, 2])),
    "tagging": Input(0, IDS, np.array([-100, 1, -100, 2, -100]), np.array([1, 3])),
    "span_qa": Input(0, IDS, (1, 3)),
    "mlm": Input(0, IDS, np.array([8, 9]), positions=np.array([1, 2])),
}
OUTPUTS = {"classification": (1, 4), "multiple_choice": (3, 1), "tagging": (1, 5, 4), "span_qa": (1, 5, 2),
           "mlm": (2, 12)}  # fmt: skip
SYMBOLS = {"classification": [2], "multiple_choice": [1], "tagging": [1, 2], "span_qa": [1, 3], "mlm": [8, 9]}
OPTIONS = {"classification": [4], "multiple_choice": [3], "tagging": [4, 4], "span_qa": [5, 5], "mlm": [12, 12]}
every_format = pytest.mark.parametrize("form", INPUTS)


@every_format
def test_terms_read_and_replace_an_inputs_symbols(form):
    terms, part = FORMATS[form].terms, INPUTS[form]
    labels = 12 if form == "mlm" else 4
    assert terms.symbols(part).tolist() == SYMBOLS[form]
    assert terms.options(part, labels).tolist() == OPTIONS[form]
    assert measure_uniform_bits(terms, [part, part], labels) == pytest.approx(2 * np.log2(OPTIONS[form]).sum())
    changed = terms.replaced(part, np.zeros(len(SYMBOLS[form]), dtype=int))
    assert terms.symbols(changed).tolist() == [0] * len(SYMBOLS[form])
    assert terms.symbols(part).tolist() == SYMBOLS[form]


@every_format
def test_the_loss_of_a_format_is_that_of_its_terms(form):
    terms, part = FORMATS[form].terms, INPUTS[form]
    logits = torch.randn(OUTPUTS[form], generator=torch.Generator().manual_seed(1))
    by_term = torch.nn.functional.cross_entropy(
        terms.logits(logits, part), torch.tensor(SYMBOLS[form]), reduction="sum"
    )
    assert float(FORMATS[form].loss(logits, [part])) == pytest.approx(float(by_term))
    assert FORMATS[form].weight([part]) == len(SYMBOLS[form])


@every_format
def test_drawn_symbols_follow_the_predictions(form):
    terms, part = FORMATS[form].terms, INPUTS[form]
    logits = torch.full(OUTPUTS[form], -50.0)
    axis = {"multiple_choice": 0, "span_qa": 1}.get(form, -1)  # of the options
    logits.moveaxis(axis, -1)[..., :2] = torch.tensor([math.log(3), 0.0])
    generator = torch.Generator().manual_seed(1)
    symbols = np.concatenate([terms.symbols(draw_input(terms, part, logits, generator)) for _ in range(400)])
    assert set(symbols) == {0, 1}
    assert np.mean(symbols == 0) == pytest.approx(0.75, abs=0.08)


def test_starts_and_ends_have_an_entropy_each():
    spans = [replace(INPUTS["span_qa"], target=target) for target in [(1, 4), (2, 4), (1, 4), (2, 4)]]
    # One bit for starts, none for ends.
    assert measure_label_entropy(FORMATS["span_qa"].terms, spans) == pytest.approx(0.5)
    assert measure_label_entropy(FORMATS["tagging"].terms, [INPUTS["tagging"]]) == pytest.approx(1)


def test_chance_is_what_a_blind_prediction_gets():
    classes = [replace(INPUTS["classification"], target=target) for target in (0, 0, 1, 0)]
    assert FORMATS["classification"].terms.chance(classes) == 75
    assert FORMATS["multiple_choice"].terms.chance([INPUTS["multiple_choice"]]) == pytest.approx(100 / 3)
    assert [FORMATS[form].terms.chance([INPUTS[form]]) for form in ("tagging", "span_qa")] == [0, 0]
    assert FORMATS["passage_retrieval"].terms is None
