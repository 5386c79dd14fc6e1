"""Every analysis notebook, executed by papermill on records of a faked study with known effects."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from faked_study import LANGUAGES, fill

from stilts import suite_report
from stilts.analysis import (
    find_records,
    open_analysis,
    open_if_recorded,
    retrieval_scores,
    rows_of,
    well_covered,
)
from stilts.costs import Throughput, costs_by_phase, read_throughput, run_costs, throughput_table
from stilts.errors import StiltsError, UnknownName
from stilts.notebooks import execute
from stilts.sources.pocket import task_features
from stilts.sources.suite import Table, write_suite
from stilts.statistics import average_language_gains
from stilts.study import Phase
from stilts.tasks import INTERMEDIATES, TARGETS
from stilts.workspace import workspace

HERE = Path(__file__).parent.parent
ANALYSES = ("claims", "costs", "data", "english-gap", "languages", "layers", "live", "throughput", "transfer")
STUDY = {
    "title": "A faked study",
    "encoder": {"name": "multilingual-e5-small"},
    "seeds": [1, 2],
    "intermediates": ["none", "nli", "qa", "multi"],
    "targets": ["intent", "command-nli", "command-qa", "ui-retrieval", "ui-mining"],
}
LOOPS = {
    "task": "intent",
    "settings": {"batch_size": 16},
    "dev_examples": 200,
    "device": "a processor",
    "rows": [
        {"name": name, "description": "", "seconds": 1500 / speed, "examples": 1500, "examples_per_second": speed,
         "dev_score": score, "dev_interval": [score - 5, score + 5], "trained_parameters": 10}
        for name, speed, score in (("stilts", 95.0, 81.0), ("xtreme", 10.0, 80.0), ("plain", 40.0, 70.0))
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A checkout with recorded, live and empty studies, a suite and a benchmark."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "_toc.yml"):
        shutil.copy(HERE / name, root / name)
    shutil.copytree(HERE / "notebooks", root / "notebooks")
    (root / "studies").mkdir()
    for name, changes in (("pocket-full", {}), ("pocket", {"seeds": [3]}), ("empty", {"data": {"seed": 9}})):
        (root / "studies" / f"{name}.yml").write_text(yaml.safe_dump({"name": name, **STUDY, **changes}))
    here = workspace(start=root)
    fill(here, "pocket-full")
    fill(here, "pocket")
    write_faked_suite(here.suite_folder(here.study("pocket-full")))
    (root / "results" / "benchmarks").mkdir(parents=True)
    (root / "results" / "benchmarks" / "throughput.json").write_text(json.dumps(LOOPS))
    return root


ROWS = {
    "classification": {"sentence1": "Licht an", "label": 0},
    "pairs": {"sentence1": "Licht an", "sentence2": "Licht aus", "label": 1},
    "slots": {"tokens": ["mach", "Küche", "hell"], "tags": [0, 1, 0]},
    "dates": {"tokens": ["Mai", "2013"], "tags": [1, 2]},
    "span_qa": {"id": "1", "context": "Licht an", "question": "was?",
                "answers": {"text": ["Licht"], "answer_start": [0]}},
    "retrieval": {"source_sentence": "Ja", "target_sentence": "Yes", "source_lang": "de", "target_lang": "en"},
}  # fmt: skip
KINDS = {"intent": "classification", "nli": "pairs", "para": "pairs", "command-nli": "pairs", "command-para": "pairs",
         "qa": "span_qa", "command-qa": "span_qa", "ui-retrieval": "retrieval"}  # fmt: skip


def faked_rows(name):
    """Two rows of a task, whatever the language."""
    if name == "ui-mining":
        return [{"id": "de-1", "sentence": "Ja", "lang": "de", "match": "en-1"},
                {"id": "en-1", "sentence": "Yes", "lang": "en", "match": "de-1"},
                {"id": "de-2", "sentence": "Nein", "lang": "de", "match": "en-2"},
                {"id": "en-2", "sentence": "No", "lang": "en", "match": "de-2"}]  # fmt: skip
    row = ROWS[KINDS.get(name, name)]
    return [row if name == "ui-retrieval" else row | {"template": "t", "meaning": "m"}] * 2


def write_faked_suite(folder):
    tables = []
    for name in INTERMEDIATES:
        tables += [Table(f"intermediate.{name}.en", "train", task_features(name), faked_rows(name))]
    for name, task in TARGETS.items():
        tables += [Table(f"{name}.de", "test", task_features(name), faked_rows(name))]
        if task.trained:
            tables += [Table(f"{name}.en", split, task_features(name), faked_rows(name)) for split in ("train", "test")]
    shares = {"rows": 2, "template": 0.25, "values": 0.0, "meaning": 0.5, "text": 0.0}
    rows = {}
    for table in tables:
        rows.setdefault(table.config, {})[table.split] = len(table.rows)
    about = {
        "suite": "pocket", "fingerprint": folder.name.removeprefix("pocket-"), "seed": 0, "rows": rows,
        "languages": ["en", "de", "hr"], "packages": {"Babel": "1"},
        "left_out": {"intent": {"hr": "too thin"}, "slots": {"hr": "too thin"}},
        "overlap": [
            {"training": "intent.en", "compared": "intent en test", **shares},
            {"training": "intermediate.nli.en", "compared": "intent en test", **shares, "meaning": 0.75},
            {"training": "intermediate.qa.en", "compared": "intent en test", **shares, "meaning": 0.25},
            {"training": "intermediate.qa.en", "compared": "intent en train", **shares},
        ],
    }  # fmt: skip
    write_suite(tables, folder, about)


@pytest.fixture(scope="module")
def pages(root):
    """Every analysis, executed."""
    for name in ANALYSES:
        given = {"out": "runs/book"}
        if name not in ("costs", "data", "throughput"):
            given["resamples"] = 200
        given |= {"data": {"place": 1}, "languages": {"least_targets": 3}}.get(name, {})
        execute(root / "notebooks" / f"{name}.ipynb", root / "runs" / "book" / f"{name}.ipynb", given)
    return {name: nbformat.read(root / "runs" / "book" / f"{name}.ipynb", 4) for name in ANALYSES}


def said(page):
    """The computed prose of an executed page."""
    outputs = [output for cell in page.cells for output in cell.get("outputs", [])]
    return [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]


def figure_names(page):
    return [cell.metadata.mystnb.figure.name for cell in page.cells if "mystnb" in cell.metadata]


def test_these_are_all_analyses():
    phases = set(Phase.__args__)
    found = {path.stem for path in (HERE / "notebooks").glob("*.ipynb")} - phases - {"provenance"}
    assert found == set(ANALYSES)


def test_each_figure_and_table_stands_with_its_data(pages, root):
    for page in pages.values():
        for name in figure_names(page):
            kind, _, stem = name.partition("-")
            assert (root / "runs" / "book" / f"{stem}.csv").exists(), name
            assert kind == "tab" or (root / "runs" / "book" / f"{stem}.svg").exists(), name


def test_names_are_unique_over_all_pages(pages):
    names = [name for page in pages.values() for name in figure_names(page)]
    assert len(names) == len(set(names))


def test_every_figure_has_words_for_those_who_do_not_see_it(pages):
    for page in pages.values():
        for cell in page.cells:
            shown = cell.metadata.get("mystnb", {})
            if shown.get("figure", {}).get("name", "").startswith("fig-"):
                assert len(shown["image"]["alt"]) > 60
            if shown:
                assert "${" not in shown["figure"]["caption"]


def test_nothing_failed_or_complained_or_names_the_machine(pages, root):
    for name, page in pages.items():
        for cell in page.cells:
            for output in cell.get("outputs", []):
                assert output.output_type in ("execute_result", "display_data"), (name, output)
        text = nbformat.writes(page)
        assert str(root) not in text
        assert not re.search(r"object at 0x", text)


def test_the_planted_effects_are_found(pages, root):
    cells = pd.read_csv(root / "runs" / "book" / "transfer.csv").set_index(["condition", "target"])
    planted = {("nli", "intent"): 10, ("nli", "command-nli"): 0, ("qa", "command-qa"): 25, ("multi", "ui-mining"): 15}
    for cell, effect in planted.items():
        row = cells.loc[cell]
        # Two points: the luck that the fake adds by seed, and rates that would pass one.
        assert row["low"] - 2 <= effect <= row["high"] + 2, cell
    assert cells.loc[("qa", "command-qa"), "survives_holm"]
    assert not cells.loc[("nli", "command-nli"), "survives_holm"]


def test_the_pages_say_what_they_rest_on(pages):
    assert said(pages["transfer"])[0] == (
        "This page rests on 38 zero-shot runs of study `pocket-full`: 4 conditions (`none`, `nli`, `qa` and `multi`), "
        "5 target tasks in up to 9 languages besides English, 2 seeds."
    )
    assert said(pages["transfer"])[1].startswith("Of 15 cells, ")
    assert "8 languages" not in said(pages["languages"])[1]
    assert "besides English" in said(pages["languages"])[1]
    assert said(pages["layers"])[1].startswith("Without an intermediate task layer 12 is best")
    assert said(pages["costs"])[0].startswith("68 runs took 0.2 hours")


def test_the_ledger_has_every_claim(pages):
    page = nbformat.writes(pages["claims"])
    assert [f"<td>C{number}</td>" in page for number in range(1, 11)] == [True] * 10
    assert "not tested here yet" in page


def test_the_live_study_is_set_beside_the_recorded_one(pages, root):
    assert said(pages["live"])[1].startswith("The two studies share 15 cells of the matrix.")
    assert len(pd.read_csv(root / "runs" / "book" / "live.csv")) == 15


def test_a_live_study_without_records_is_a_sentence_and_no_failure(root):
    output = root / "runs" / "other" / "live.ipynb"
    execute(root / "notebooks" / "live.ipynb", output, {"live_study": "empty", "out": "runs/other", "resamples": 100})
    assert said(nbformat.read(output, 4)) == [
        "Study `empty` has no zero-shot record on this machine yet; `stilts run empty` computes it.",
        "There is nothing to compare yet.",
    ]


def test_the_same_records_give_the_same_bytes(pages, root):
    again = root / "runs" / "again"
    execute(root / "notebooks" / "claims.ipynb", again / "claims.ipynb", {"out": "runs/again", "resamples": 200})
    for name in ("claims.svg", "claims.csv"):
        assert (again / name).read_bytes() == (root / "runs" / "book" / name).read_bytes()
    pages_text = [(root / "runs" / place / "claims.ipynb").read_text() for place in ("book", "again")]
    assert pages_text[0] == pages_text[1].replace("runs/again", "runs/book")


def test_examples_and_overlap_of_the_data_page(pages, root, monkeypatch):
    monkeypatch.chdir(root)
    suite = suite_report.open_suite("pocket-full")
    assert suite_report.examples(suite, "slots", ["en", "hr", "de"], 0).to_numpy().tolist() == [
        ["English", "mach Küche hell", "area: Küche"],
        ["German", "mach Küche hell", "area: Küche"],
    ]
    assert suite_report.examples(suite, "ui-mining", ["de"], 1).to_numpy().tolist() == [["German", "Nein", "No"]]
    assert suite_report.overlap(suite).to_dict("records") == [
        {"target": "intent", "tested in": "English", "rows": 2, "own: template": 25.0,
         "own: values": 0.0, "own: meaning": 50.0, "own: text": 0.0,
         "intermediate: template": 25.0, "intermediate: values": 0.0, "intermediate: meaning": 75.0,
         "intermediate: text": 0.0}
    ]  # fmt: skip
    assert suite_report.left_out(suite).to_numpy().tolist() == [["Croatian (hr)", "intent, slots", "too thin"]]
    table = suite_report.language_overview(suite).set_index("code")
    assert table[["intent", "ui-retrieval"]].to_numpy().tolist() == [[2, 0], [2, 2], [0, 0]]
    assert table.index.tolist() == ["en", "de", "hr"]
    with pytest.raises(StiltsError, match="test set intent.de has rows 0 to 1; 'place' asks for 7"):
        suite_report.examples(suite, "intent", ["de"], 7)


def test_chunks_of_a_tagged_sentence():
    tags = ["O", "B-area", "I-area", "I-name", "B-name", "O", "I-area"]
    assert suite_report.chunks("abcdefg", tags) == ["area: b c", "name: d", "name: e", "area: g"]


def test_a_study_without_records_says_what_to_run(root, monkeypatch):
    monkeypatch.chdir(root)
    assert open_if_recorded("empty") is None
    with pytest.raises(StiltsError, match="study 'empty' has no zero-shot records yet; run `stilts run empty` first"):
        open_analysis("empty")
    with pytest.raises(UnknownName, match="unknown study 'poket'. Did you mean 'pocket'"):
        open_analysis("poket")


def test_committed_records_stand_in_for_a_plan_that_none_of_them_fits(root, tmp_path):
    for name in ("pyproject.toml", "_toc.yml"):
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "studies").mkdir()
    other = {"epochs": 7.0}
    changed = {**STUDY, "name": "pocket-full", "intermediate_training": other, "target_training": other}
    (tmp_path / "studies" / "pocket-full.yml").write_text(yaml.safe_dump(changed))
    there = tmp_path / "results" / "pocket-full" / "records"
    shutil.copytree(root / "runs" / "records", there)
    records, planned = find_records(workspace(start=tmp_path), "pocket-full")
    assert not planned
    assert len(records) == len(list(there.glob("*.json")))
    assert [record.run.condition for record in records][0] == "none"
    planned_ones, planned = find_records(workspace(start=root), "pocket-full")
    assert planned
    assert len(planned_ones) == 68


def test_what_a_page_asks_for_and_no_record_has(root, monkeypatch):
    monkeypatch.chdir(root)
    analysis = open_analysis("pocket", resamples=50)
    assert set(analysis.languages) == set(LANGUAGES)
    averages = average_language_gains(analysis.replicates)
    assert set(well_covered(averages, 5)["language"]) == set(LANGUAGES) - {"en"}
    with pytest.raises(StiltsError, match="no language takes part in 9 target tasks; 'least_targets' can be 5 at most"):
        well_covered(averages, 9)
    with pytest.raises(UnknownName, match="unknown condition 'multy'. Did you mean 'multi'"):
        rows_of(analysis.scores, "multy")
    analysis.__dict__["scores"] = analysis.scores.drop(columns=[f"layer_{n}" for n in range(1, 13)])
    with pytest.raises(StiltsError, match="study 'pocket' has no retrieval run yet"):
        retrieval_scores(analysis)


def test_costs_add_up(root, monkeypatch):
    monkeypatch.chdir(root)
    runs = run_costs(open_analysis("pocket").records)
    table = costs_by_phase(runs)
    assert table["seconds"].sum() == runs["seconds"].sum()
    assert table.iloc[:3][["condition", "phase", "runs"]].to_numpy().tolist() == [
        ["none", "target", 3], ["none", "zero-shot", 5], ["nli", "intermediate", 1],
    ]  # fmt: skip


def test_throughput_is_read_and_held_to_its_form(root, tmp_path):
    measured = read_throughput(root / "results" / "benchmarks" / "throughput.json")
    table = throughput_table(measured)
    assert table[["name", "times"]].to_numpy().tolist() == [["xtreme", 1.0], ["plain", 4.0], ["stilts", 9.5]]
    with pytest.raises(StiltsError, match="no measurements of training loops .*run `python benchmarks/throughput.py`"):
        read_throughput(tmp_path / "throughput.json")
    (tmp_path / "bad.json").write_text(json.dumps({**LOOPS, "rows": []}))
    with pytest.raises(StiltsError, match="bad.json: no measurements"):
        read_throughput(tmp_path / "bad.json")


def test_throughput_in_words(pages):
    from stilts.prose import throughput

    lines = throughput(Throughput(**LOOPS)).splitlines()
    assert lines[2:] == [
        "- `stilts` handles 9.5 times as many training examples per second as `xtreme`; its English dev score, 81.0, "
        "lies inside the other's interval, 75.0 to 85.0.",
        "- `stilts` handles 2.4 times as many training examples per second as `plain`; its English dev score, 81.0, "
        "lies outside the other's interval, 65.0 to 75.0.",
    ]
    assert said(pages["throughput"]) == ["\n".join(lines)]
