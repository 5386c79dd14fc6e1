"""Every analysis notebook, executed by papermill on records of a faked study with known effects."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from faked_study import EFFECTS, LANGUAGES, PILOT_SUITE, commit_pilot, fill
from fakes import make_record
from tiny_checkout import study_settings, write_checkout

from stilts.analysis import omissions, prose, published, score_report, suite_report
from stilts.analysis.costs import (
    Throughput,
    keep_main_device,
    read_throughput,
    sum_costs_by_phase,
    tabulate_run_costs,
    tabulate_throughput,
)
from stilts.analysis.effects import average_gains, average_language_gains
from stilts.analysis.gain_tables import estimate_study_gains, keep_condition, keep_well_covered, tabulate_retrieval
from stilts.analysis.opened import find_records, open_analysis, open_if_recorded, open_study
from stilts.analysis.verdicts import Verdict
from stilts.publish.data_dictionary import describe_data
from stilts.publish.tables import show
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.pocket.source import make_task_features
from stilts.sources.suite import Table, publish, read_manifest, write_suite
from stilts.sources.xtreme.folder import DataFolder
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record, Store
from stilts.study.records import publish as publish_records
from stilts.tasks.formats.tagging import name_chunks
from stilts.tasks.registry import INTERMEDIATES, TARGETS, keep_suite
from stilts.workspace.checkout import find_checkout
from stilts.workspace.notebooks.execution import execute, read_parameters
from stilts.workspace.notebooks.pages import read_book_pages
from stilts.workspace.resolution import open_plan

HERE = Path(__file__).parents[2]
ANALYSES = (
    "claims", "costs", "data", "explorer", "languages", "layers", "live", "pilot-conditions", "transfer",
)  # fmt: skip
PILOT_PAGES = [name for name in ANALYSES if name.startswith("pilot-")]
STUDY = {
    "title": "A faked study",
    "encoder": {"name": "multilingual-e5-small"},
    "seeds": [1, 2],
    "intermediates": ["none", "nli", "qa", "multi"],
    "targets": ["intent", "command-nli", "command-qa", "ui-retrieval", "ui-mining"],
}
LOOPS = {
    "device": "a processor",
    "peak": 4e12,
    "works": [
        {
            "name": work, "task": task, "settings": {"batch_size": 16}, "dev_examples": 200,
            "rows": [
                {"name": name, "description": "", "seconds": 1500 / speed, "examples": 1500,
                 "examples_per_second": speed, "operations": 3e13, "dev_score": score,
                 "dev_interval": [score - 5, score + 5], "trained_parameters": 10}
                for name, speed, score in (("stilts", own, 81.0), ("xtreme", 10.0, 80.0), ("plain", 40.0, 70.0))
            ],
        }
        for work, task, own in (("recipes", "intent", 95.0), ("layers", "xnli", 80.0), ("all", "xnli", 50.0))
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
    rate = {"intermediate_training": {"learning_rate": 5.0e-5}}
    for name, changes in (("pocket-full", {}), ("pocket-rate", rate), ("pocket", {"seeds": [3]}),
                          ("empty", {"data": {"seed": 9}})):  # fmt: skip
        (root / "studies" / f"{name}.yml").write_text(yaml.safe_dump({"name": name, **STUDY, **changes}))
    for path in (HERE / "studies").glob("*-*.yml"):  # of the questions; they have the faked studies' records, or none
        if not (root / "studies" / path.name).exists():
            shutil.copy(path, root / "studies")
    here = find_checkout(root)
    fill(here, "pocket-full")
    fill(here, "pocket-rate")
    fill(here, "pocket")
    commit_pilot(root)
    write_faked_suite(here.suite_folder(open_plan(here, "pocket-full").runs[0]))
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
    for name in (name for name, task in keep_suite(INTERMEDIATES, "pocket").items() if task.in_multi):
        tables += [Table(f"intermediate.{name}.en", "train", make_task_features(name), faked_rows(name))]
    for name, task in keep_suite(TARGETS, "pocket").items():
        if task.rows_of:
            continue
        tables += [Table(f"{name}.de", "test", make_task_features(name), faked_rows(name))]
        if task.trained:
            tables += [
                Table(f"{name}.en", split, make_task_features(name), faked_rows(name)) for split in ("train", "test")
            ]
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
    write_suite(tables, folder, about, POCKET_CARD)


@pytest.fixture(scope="module")
def pages(root):
    """Every analysis page, executed."""
    for page in read_book_pages(root):
        if page.name in ANALYSES:
            more = {"data": {"place": 1}, "languages": {"least_targets": 3}}.get(page.name, {})
            execute_page(page, root, "runs/book", **more)
    return {name: nbformat.read(root / "runs" / "book" / f"{name}.ipynb", 4) for name in ANALYSES}


def execute_page(page, root, out, **more):
    """Execute a page as the book does, with fewer replicates; return it."""
    taken = read_parameters(page.template)
    common = {"page": page.name, "out": out, "resamples": 200}
    given = {name: value for name, value in common.items() if name in taken} | page.parameters | more
    execute(page.template, root / out / f"{page.name}.ipynb", given)
    return nbformat.read(root / out / f"{page.name}.ipynb", 4)


def said(page):
    """The computed prose of an executed page."""
    outputs = [output for cell in page.cells for output in cell.get("outputs", [])]
    return [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]


def finding(page, name):
    """What the caption of a figure begins with, in bold type."""
    captions = {cell.metadata.mystnb.figure.name: cell.metadata.mystnb.figure.caption
                for cell in page.cells if "figure" in cell.metadata.get("mystnb", {})}  # fmt: skip
    return re.match(r"\*\*(.*?)\*\* ", captions[name])[1]


def figure_names(page):
    return [cell.metadata.mystnb.figure.name for cell in page.cells if "figure" in cell.metadata.get("mystnb", {})]


def test_these_are_all_analyses():
    # Chapters of the questions are made of the committed records, when a book is built; so are provenance and regime.
    chapters = {page.name for page in read_book_pages(HERE) if "stilts.analysis.questions" in page.template.read_text()}
    assert {page.name for page in read_book_pages(HERE)} - {"provenance", "regime"} - chapters <= set(ANALYSES)
    assert {"learned", "order", "distance", "architecture", "adapters", "complexity"} <= chapters


def test_each_figure_and_table_stands_with_its_data(pages, root):
    for page in pages.values():
        for name in figure_names(page):
            kind, _, stem = name.partition("-")
            assert (root / "runs" / "book" / f"{stem}.csv").exists(), name
            assert kind == "tab" or (root / "runs" / "book" / f"{stem}.svg").exists(), name


def test_every_column_of_every_table_is_described(pages, root):
    written = sorted(path.stem for path in (root / "runs" / "book").glob("*.csv"))
    assert [file.name for file in describe_data(root)] == written  # it names file and column if one is not described


def test_names_are_unique_over_all_pages(pages):
    names = [name for page in pages.values() for name in figure_names(page)]
    assert len(names) == len(set(names))


def test_every_figure_has_words_for_those_who_do_not_see_it(pages):
    for page in pages.values():
        for cell in page.cells:
            shown = cell.metadata.get("mystnb", {})
            figure = shown.get("figure", {"name": "", "caption": ""})
            if figure["name"].startswith("fig-"):
                assert len(shown["image"]["alt"]) > 60
            assert "${" not in figure["caption"]


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
    found, rests_on = said(pages["transfer"])[0].split("\n\n")
    assert found.startswith("**In short (9 languages besides English, 2 seeds), of 2 English intermediate tasks, none ")
    assert rests_on == (
        "This page rests on 38 zero-shot runs of study `pocket-full`: 4 conditions, 5 target tasks in up to 9 "
        "languages besides English, 2 seeds."
    )
    assert said(pages["transfer"])[2].startswith("A run has learned its task where ")
    assert said(pages["transfer"])[3].startswith("Of 9 cells, ")
    found = finding(pages["languages"], "fig-languages")
    assert "languages besides English" in found
    assert "8 languages" not in found
    assert said(pages["layers"])[1].startswith("Without an intermediate task layer 12 is best")
    assert said(pages["costs"])[0].startswith("68 runs took 0.2 hours")


def test_the_ledger_has_every_claim(pages):
    (ledger,), (statements,) = (
        [output.data["text/html"] for cell in pages["claims"].cells if cell.id == name for output in cell.outputs]
        for name in ("ledger", "statements")
    )
    assert re.findall(r">(C\d+|Q\d|Same task twice)</a></th>", ledger) == [
        *(f"C{number}" for number in range(1, 7)), "Same task twice", *(f"Q{number}" for number in range(1, 6)),
    ]  # fmt: skip
    verdicts = re.findall(r'class="verdict [a-z-]+">([^<]+)<', ledger)
    assert len(verdicts) == 2 * 12
    assert set(verdicts) <= set(Verdict)
    # Of the questions, for either study, nothing is recorded but of linguistic distance.
    reasons = re.findall(r'>could not be tested</span></p><p class="reason">([^<]+)<', ledger)
    assert reasons.count("nothing is recorded of it") == 2 * 4
    assert "Inference (MNLI) + Masked words − inference (MNLI), mean over " in ledger
    # The study at a second rate has the same effects; its targets are those that count, as in the first.
    assert any(text.startswith("Of 7 claims, 7 have the same verdict in both.") for text in said(pages["claims"]))
    assert re.findall(r"<td>(C\d+)</td>", statements) == ["C7", "C8", "C9", "C10"]


def test_the_live_study_is_set_beside_the_recorded_one(pages, root):
    assert said(pages["live"])[1].startswith("Study `pocket` takes ")
    agreed = finding(pages["live"], "fig-live")
    assert re.match(r"The intervals of the two studies overlap in \d+ of 15 shared cells; ", agreed)
    assert len(pd.read_csv(root / "runs" / "book" / "live.csv")) == 15


def test_a_live_study_without_records_is_a_sentence_and_no_failure(root):
    output = root / "runs" / "other" / "live.ipynb"
    execute(root / "notebooks" / "live.ipynb", output, {"live_study": "empty", "out": "runs/other", "resamples": 100})
    assert said(nbformat.read(output, 4)) == [
        "Study `empty` has no zero-shot record on this machine yet; `stilts run empty` computes it.",
    ]
    assert figure_names(nbformat.read(output, 4)) == []


def test_the_same_records_give_the_same_bytes(pages, root):
    again = root / "runs" / "again"
    execute(root / "notebooks" / "claims.ipynb", again / "claims.ipynb", {"out": "runs/again", "resamples": 200})
    for name in ("claims.svg", "claims.csv"):
        assert (again / name).read_bytes() == (root / "runs" / "book" / name).read_bytes()
    pages_text = [(root / "runs" / place / "claims.ipynb").read_text() for place in ("book", "again")]
    assert pages_text[0] == pages_text[1].replace("runs/again", "runs/book")


def test_examples_and_overlap_of_the_data_page(pages, root, monkeypatch):
    monkeypatch.chdir(root)
    suite = suite_report.open_suite(find_checkout(), "pocket-full")
    manifest = read_manifest(suite)
    assert suite_report.show_examples(suite, "slots", ["en", "hr", "de"], 0).to_numpy().tolist() == [
        ["English", "mach Küche hell", "area: Küche"],
        ["German", "mach Küche hell", "area: Küche"],
    ]
    assert suite_report.show_examples(suite, "ui-mining", ["de"], 1).to_numpy().tolist() == [["German", "Nein", "No"]]
    assert suite_report.tabulate_overlap(manifest).to_dict("records") == [
        {"target": "intent", "tested in": "English", "rows": 2, "own: template": 25.0,
         "own: values": 0.0, "own: meaning": 50.0, "own: text": 0.0,
         "intermediate: template": 25.0, "intermediate: values": 0.0, "intermediate: meaning": 75.0,
         "intermediate: text": 0.0}
    ]  # fmt: skip
    assert suite_report.tabulate_left_out(manifest).to_numpy().tolist() == [
        ["Croatian (hr)", "intent, slots", "too thin"]
    ]
    table = suite_report.tabulate_suite_languages(manifest).set_index("code")
    assert not set(keep_suite(TARGETS, "xtreme")) & set(table.columns)
    assert table[["intent", "ui-retrieval"]].to_numpy().tolist() == [[2, 0], [2, 2]]
    assert table.index.tolist() == ["en", "de"]
    with pytest.raises(StiltsError, match="test set intent.de has rows 0 to 1, but 'place' is 7"):
        suite_report.show_examples(suite, "intent", ["de"], 7)


def test_chunks_of_a_tagged_sentence():
    tags = ["O", "B-area", "I-area", "I-name", "B-name", "O", "I-area"]
    assert name_chunks("abcdefg", tags) == ["area: b c", "name: d", "name: e", "area: g"]


def test_a_study_without_records_says_what_to_run(root, monkeypatch):
    monkeypatch.chdir(root)
    assert open_if_recorded(find_checkout(), "empty") is None
    with pytest.raises(StiltsError, match="study 'empty' has no zero-shot records yet; run `stilts run empty` first"):
        open_analysis(find_checkout(), "empty")
    with pytest.raises(UnknownName, match="unknown study 'poket'. Did you mean 'pocket'"):
        open_analysis(find_checkout(), "poket")


def found_records(root: Path, study: str) -> tuple[list[Record], bool]:
    here = find_checkout(root)
    return find_records(here, here.study(study))


def test_committed_records_stand_in_for_a_plan_that_none_of_them_fits(root, tmp_path):
    for name in ("pyproject.toml", "_toc.yml"):
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "studies").mkdir()
    other = {"epochs": 7.0}
    changed = {**STUDY, "name": "pocket-full", "intermediate_training": other, "target_training": other}
    (tmp_path / "studies" / "pocket-full.yml").write_text(yaml.safe_dump(changed))
    planned_ones, planned = found_records(root, "pocket-full")
    assert planned
    assert len(planned_ones) == 68
    ids = [record.id for record in planned_ones]
    publish_records(find_checkout(root).store(), ids, tmp_path / "results" / "pocket-full")
    records, planned = found_records(tmp_path, "pocket-full")
    assert not planned
    assert sorted(record.id for record in records) == sorted(ids)
    assert [record.run.condition for record in records][0] == "none"


def test_committed_records_of_two_plans_are_not_mixed(tmp_path):
    """A part of a study that is recorded anew joins records of runs that the study has no longer."""
    here = write_checkout(tmp_path / "checkout", study_settings("multilingual-e5-small", intermediates=["nli"]))
    store = Store(here.results / "tiny" / "records")
    older, newer = (make_record().model_copy(update={"run": make_record().run.model_copy(update={"data": data})})
                    for data in ("older", "newer"))  # fmt: skip
    store.write(older)
    assert find_records(here, here.study("tiny")) == ([older], False)
    store.write(newer)
    first, second = sorted((older.id, newer.id))
    message = (
        f"{store.root}: {first} and {second} are records of the same condition, target and seed with other settings or "
        "data; remove those of the older plan"
    )
    with pytest.raises(StiltsError, match=f"^{re.escape(message)}$"):
        find_records(here, here.study("tiny"))


def test_what_a_page_asks_for_and_no_record_has(root, monkeypatch):
    monkeypatch.chdir(root)
    analysis = open_analysis(find_checkout(), "pocket", resamples=50)
    assert set(analysis.languages) == set(LANGUAGES)
    averages = average_language_gains(analysis.replicates)
    assert set(keep_well_covered(averages, 5)["language"]) == set(LANGUAGES) - {"en"}
    with pytest.raises(StiltsError, match="no language is in 9 target tasks; 'least_targets' can be at most 5"):
        keep_well_covered(averages, 9)
    with pytest.raises(UnknownName, match="unknown condition 'multy'. Did you mean 'multi'"):
        keep_condition(analysis.scores, "multy")
    analysis.__dict__["scores"] = analysis.scores.drop(columns=[f"layer_{n}" for n in range(1, 13)])
    with pytest.raises(StiltsError, match="study 'pocket' has no retrieval run yet"):
        tabulate_retrieval(analysis)


def test_costs_add_up(root, monkeypatch):
    monkeypatch.chdir(root)
    runs = tabulate_run_costs(open_analysis(find_checkout(), "pocket").records)
    table = sum_costs_by_phase(runs)
    assert table["seconds"].sum() == runs["seconds"].sum()
    assert table.iloc[:3][["condition", "phase", "runs"]].to_numpy().tolist() == [
        ["none", "target", 3], ["none", "zero-shot", 5], ["nli", "intermediate", 1],
    ]  # fmt: skip


def test_costs_of_two_devices_are_told_apart(root, monkeypatch):
    monkeypatch.chdir(root)
    runs = tabulate_run_costs(open_analysis(find_checkout(), "pocket").records)
    assert keep_main_device(runs).equals(runs)
    assert keep_main_device(runs[:0]).empty
    mixed = runs.assign(device=["a GPU"] + ["a processor"] * (len(runs) - 1), precision="bf16", seconds=3600.0)
    assert keep_main_device(mixed)["device"].unique().tolist() == ["a processor"]
    said = prose.describe_costs(mixed[:3].assign(**{"peak MB": 2000.0}))
    assert said == (
        "1 run took 1.0 hours of one process together, 3600 seconds each at the median, and no more than 2.0 GB of "
        "memory (a GPU, bf16). 2 runs took 2.0 hours of one process together, 3600 seconds each at the median, and no "
        "more than 2.0 GB of memory (a processor, bf16)."
    )


def test_throughput_is_read_and_held_to_its_form(root, tmp_path):
    measured = read_throughput(root / "results" / "benchmarks" / "throughput.json")
    table = tabulate_throughput(measured.works[0], measured.peak)
    assert table[["name", "times", "peak_share"]].to_numpy().tolist() == [
        ["xtreme", 1.0, 5.0], ["plain", 4.0, 20.0], ["stilts", 9.5, 47.5],
    ]  # fmt: skip
    with pytest.raises(StiltsError, match="no measurements of training loops .*run `python benchmarks/throughput.py`"):
        read_throughput(tmp_path / "throughput.json")
    (tmp_path / "bad.json").write_text(json.dumps({**LOOPS, "works": []}))
    with pytest.raises(StiltsError, match="bad.json: no measurements"):
        read_throughput(tmp_path / "bad.json")


def test_throughput_in_words(pages):
    from stilts.analysis.prose import describe_throughput

    *_, described, same = said(pages["costs"])
    assert described == describe_throughput(Throughput(**LOOPS))
    assert same == (
        "This study's loop is, with all layers trained and embeddings frozen 8.0 times as fast as XTREME's scripts and "
        "2.0 times as fast as plain Trainer; with all weights trained 5.0 times as fast as XTREME's scripts and 1.2 "
        "times as fast as plain Trainer."
    )
    assert finding(pages["costs"], "fig-throughput") == (
        "This study's loop is 9.5 times as fast as XTREME's scripts and 2.4 times as fast as plain Trainer, each with "
        "the weights that it trains; its dev score lies inside the interval of 1 of 2 others. Where all train the same "
        "weights, it is 8.0 and 2.0 times as fast with all layers trained and embeddings frozen and 5.0 and 1.2 times "
        "as fast with all weights trained."
    )


# --- the pilot on XTREME ---------------------------------------------------------------------------------------------


def test_the_page_of_gains_shows_the_study_on_xtreme_beside_the_other(pages, root):
    assert figure_names(pages["transfer"]) == [
        "fig-transfer", "fig-transfer-xtreme", "tab-transfer-averages", "tab-transfer-xtreme-averages",
        "tab-transfer-seeds", "tab-transfer-xtreme-seeds",
    ]  # fmt: skip
    found, rests_on = said(pages["transfer"])[1].split("\n\n")
    assert found.startswith("**In short (9 languages besides English, 1 seed), nothing can be concluded**: ")
    assert rests_on.startswith("This page rests on 48 zero-shot runs of study `pilot`: 8 cond")
    assert rests_on.endswith("each record says which.")
    cells = pd.read_csv(root / "runs" / "book" / "transfer-xtreme.csv").set_index(["condition", "target"])
    for cell, effect in {("squad", "tydiqa"): 25, ("mnli-mlm", "tatoeba"): -12, ("multi", "bucc2018"): 15}.items():
        row = cells.loc[cell]
        assert row["low"] - 2 <= effect <= row["high"] + 2, cell


def test_conditions_are_set_against_their_english_counterparts(pages, root):
    cells = pd.read_csv(root / "runs" / "book" / "pilot-conditions.csv").set_index(["comparison", "target"])
    minus = "−"
    planted = {
        (f"mnli-mlm {minus} mnli", "xquad"): -20, (f"squad-mlm {minus} squad", "xquad"): 0,
        (f"xnli-dev-translated {minus} mnli", "xnli"): 20, (f"multi {minus} single tasks", "mlqa"): 15 - 23 / 3,
    }  # fmt: skip
    for cell, effect in planted.items():
        row = cells.loc[cell]
        assert row["low"] - 3 <= effect <= row["high"] + 3, cell
    assert len(cells) == 4 * 4  # retrieval and mining are read after the last layer
    assert said(pages["pilot-conditions"])[0].startswith("Of 16 differences, ")
    right = [100 * (0.7 + EFFECTS.get(name, 0.0)) for name in ("mnli-mlm", "squad-mlm")]
    assert said(pages["pilot-conditions"])[1] == (
        "Of the masked words of English dev texts phase 1 leaves right "
        f"{right[0]:.1f} percent after inference (MNLI) + Masked words (1 updates in place of 1) and {right[1]:.1f} "
        "percent after questions (SQuAD) + Masked words (1 updates in place of 1), means over seeds."
    )


def test_what_a_study_leaves_out_is_said_with_its_reason(root, monkeypatch):
    monkeypatch.chdir(root)
    table = omissions.list_omissions(open_study(find_checkout(), "pilot"), PILOT_SUITE).set_index("name")["reason"]
    assert table["ccg"] == "no folder of CCGbank"
    assert table["anli"] == table["udpos"] == table["squad-translated"] == "the study's file does not name it"
    assert not {"mnli", "mlm", "xnli", "siqa", "none", "multi"} & set(table.index)
    part = open_study(find_checkout(), "pilot")
    kept = [record for record in part.records if (record.run.condition, record.run.target) != ("squad", "xnli")]
    part.__dict__["records"] = tuple(record for record in kept if record.run.condition != "mnli")
    table = omissions.list_omissions(part, {}).set_index("name")["reason"]
    assert table["squad"] == "no record yet of xnli"
    assert table["mnli"] == "no record yet of any target"
    assert table["ccg"] == "the study's file does not name it"


def test_scores_by_language_stand_beside_published_ones(root, monkeypatch):
    monkeypatch.chdir(root)
    analysis = open_study(find_checkout(), "pilot", resamples=100)
    table = score_report.tabulate_language_scores(analysis, "tatoeba").set_index("language")
    assert table.columns.tolist() == [
        "n", "none", "best single (squad)", "multi", "multi − none", "low", "high", "XLM-R Large, frozen",
    ]  # fmt: skip
    assert table.loc["German (de)", "XLM-R Large, frozen"] == 63.9
    assert table.loc["German (de)", "n"] == 30
    assert pd.isna(table.loc["Croatian (hr)", "XLM-R Large, frozen"])
    scores = analysis.scores.query("target == 'tatoeba' and condition == 'multi'").set_index("language")["score"]
    assert table.loc["German (de)", "multi"] == pytest.approx(scores["de"])
    assert table.loc["mean", "multi"] == pytest.approx(scores.mean())
    assert (table["low"] <= table["multi − none"])[1:].all()
    assert score_report.tabulate_language_scores(analysis, "xnli")["language"].iloc[:2].tolist() == [
        "mean",
        "English (en)",
    ]
    assert score_report.tabulate_language_scores(analysis, "udpos").empty


def test_the_best_single_task_is_chosen_on_the_dev_set_of_what_a_target_is_trained_as(root, monkeypatch):
    monkeypatch.chdir(root)
    analysis = open_study(find_checkout(), "pilot", resamples=100)
    # The dev score is that of a target's training, and MLQA is trained as XQuAD.
    assert score_report.find_best_single(analysis, "mlqa") == ("squad", "English dev")
    assert score_report.find_best_single(analysis, "tatoeba") == ("squad", "test")
    assert score_report.find_best_single(analysis, "udpos") is None
    averages = score_report.tabulate_target_averages(analysis).set_index("target")
    assert averages.loc["tydiqa", "which"] == "squad"
    assert averages.loc["xnli", ["XLM-R Large", "X-STILTs"]].tolist() == [79.2, 80.4]
    assert averages.loc["bucc2018", ["XLM-R Large", "X-STILTs"]].isna().all()


def test_published_scores_say_where_they_were_seen_and_are_percent():
    for series in published.read_published():
        values = [*series.averages.values(), *(score for part in series.languages.values() for score in part.values())]
        assert values
        assert all(5 < value < 100 for value in values)
        assert {*series.averages, *series.languages, *series.notes} <= set(keep_suite(TARGETS, "xtreme"))
        assert "seen in a stored thread, not checked against the paper" in series.describe()


def test_data_of_a_suite_that_is_not_here(pages, root, monkeypatch):
    monkeypatch.chdir(root)
    manifest = suite_report.read_recorded_manifest(find_checkout(), find_checkout().study("pilot"))
    assert manifest == PILOT_SUITE
    manifest = suite_report.keep_study(manifest, find_checkout(root).study("pilot"))
    assert suite_report.describe_suite(manifest) == (
        "This suite has 1,940 rows in 3 languages, English among them, of 2 families and in 1 scripts; 3 of the "
        "languages are XTREME's. It was generated with seed 0; its fingerprint is `0123456789ab`."
    )
    assert suite_report.tabulate_coverage(manifest).to_numpy().tolist() == [
        ["xnli", "en", 60], ["xnli", "de", 60], ["xnli", "sw", 20], ["tatoeba", "de", 200],
    ]  # fmt: skip
    assert suite_report.tabulate_origins(manifest).to_numpy().tolist() == [
        ["google/xtreme", "XNLI", "test", 75150, 75150, "0a1b2c"],
        ["google/xtreme", "tatoeba.deu", "validation", 500, 1000, "0a1b2c"],
    ]
    unknown = {"sources": {"google/xtreme/udpos.Yoruba/test": {"rows": 5, "published": 5}}}
    assert suite_report.tabulate_origins(unknown)["published"].isna().tolist() == [True]
    assert suite_report.tabulate_left_out(manifest).to_numpy().tolist() == [["Thai (th)", "xnli", "no file"]]
    assert suite_report.tabulate_left_out(PILOT_SUITE)["language"].tolist() == ["Thai (th)", "Thai (th)", "all"]
    assert suite_report.tabulate_notes(manifest).to_numpy().tolist() == [["xnli", "English trains on MNLI."]]
    assert suite_report.tabulate_shared_texts(manifest).to_numpy().tolist() == [
        ["intermediate.mnli.en", "xnli.en test", "example", 60, 3, 5.0],
    ]
    overview = suite_report.tabulate_tasks(manifest).set_index("task")
    assert overview.index.tolist() == ["mnli", "xnli", "tatoeba"]
    assert overview.loc["xnli", ["train (en)", "languages", "test rows each", "fewest"]].tolist() == [500, 3, 60, 20]
    assert finding(pages["data"], "fig-pilot-data-coverage") == (
        "2 target tasks have test sets in 3 languages together: Inference (XNLI) in 3, the most, and Retrieval "
        "(Tatoeba) in 1, the fewest."
    )


def test_a_suite_travels_with_the_records(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    suite = suite_report.open_suite(find_checkout(), "pocket-full")
    publish(suite, tmp_path)
    assert read_manifest(tmp_path) == read_manifest(suite)
    with pytest.raises(StiltsError, match="cannot write .*gone.*suite.json"):
        publish(suite, tmp_path / "gone")
    assert suite_report.read_recorded_manifest(find_checkout(), find_checkout().study("empty")) == {}


def test_pages_of_a_study_that_is_not_recorded_say_so_and_stand(root, tmp_path):
    for name in ("pyproject.toml", "_toc.yml"):
        shutil.copy(root / name, tmp_path / name)
    shutil.copytree(root / "notebooks", tmp_path / "notebooks")
    commit_pilot_without_records(tmp_path)
    for page in read_book_pages(tmp_path):
        if page.name in PILOT_PAGES:
            made = execute_page(page, tmp_path, "runs/book")
            first = said(made)[0]
            assert "not recorded yet" in first or "not on record yet" in first or first == "Nothing is recorded yet."


@pytest.mark.parametrize("name, own", [("data", {"place": 1}), ("languages", {"least_targets": 3, "resamples": 100})])
def test_a_page_of_both_studies_stands_where_one_is_not_recorded(root, name, own):
    output = root / "runs" / "other" / f"{name}.ipynb"
    execute(root / "notebooks" / f"{name}.ipynb", output, {"pilot": "empty", "out": "runs/other"} | own)
    lines = said(nbformat.read(output, 4))
    assert [line for line in lines if "not recorded yet" in line or "not on record yet" in line]


def commit_pilot_without_records(root):
    (root / "studies").mkdir()
    commit_pilot(root)
    shutil.rmtree(root / "results")


def test_a_study_that_has_begun_is_shown_as_far_as_it_is(root, tmp_path, monkeypatch):
    for name in ("pyproject.toml", "_toc.yml"):
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "studies").mkdir()
    commit_pilot(tmp_path)
    for path in (tmp_path / "results" / "pilot" / "records").glob("*"):
        if not re.search(r"-none|mnli\.xnli|squad\.tatoeba", path.name):
            path.unlink()
    monkeypatch.chdir(tmp_path)
    analysis = open_study(find_checkout(), "pilot", resamples=50)
    assert estimate_study_gains(analysis)[["condition", "target"]].to_numpy().tolist() == [
        ["mnli", "xnli"],
        ["squad", "tatoeba"],
    ]
    averages = average_gains(analysis.counted)
    assert averages[["condition", "targets"]].to_numpy().tolist() == [["mnli", 1]]
    assert prose.show_averages(averages)["excludes zero"].tolist() == ["no"]
    assert score_report.tabulate_target_averages(analysis)["target"].tolist() == PILOT_TARGETS
    alone = replace(analysis, records=tuple(analysis.phase("zero-shot")[:1]))
    assert prose.describe_scope(alone).startswith("This page rests on 1 zero-shot run of study `pilot`: 1 condition, ")
    assert "precision" not in prose.describe_scope(alone)
    records = [record.model_copy(deep=True) for record in analysis.phase("zero-shot")[:2]]
    records[0].provenance.precision, records[1].provenance.precision = "bf16", "fp32"
    assert "not all computed in one precision (1 in bf16, 1 in fp32;" in prose.describe_scope(
        replace(analysis, records=tuple(records))
    )


PILOT_TARGETS = ["xnli", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]


def test_a_suite_names_the_commits_that_its_data_were_fetched_at(tmp_path):
    assert DataFolder(tmp_path).revisions == {}
    commits = {"google/xtreme": {"main": "b", "refs/convert/parquet": "a"}, "tau/commonsense_qa": {"main": "c"}}
    (tmp_path / "fetched.json").write_text(json.dumps({"repositories": commits, "files": {}}))
    assert DataFolder(tmp_path).revisions == {"google/xtreme": "a, b", "tau/commonsense_qa": "c"}


def test_what_is_missing_is_a_dash_in_every_kind_of_column(tmp_path):
    table = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [-2.25, float("nan")], "c": ["x", None]})
    cells = re.findall("<td>(.*?)</td>", show(table, tmp_path / "new" / "table.csv").data)
    assert cells == ["1", "−2.2", "x", "–", "–", "–"]
    assert (tmp_path / "new" / "table.csv").read_text() == "a,b,c\n1,-2.25,x\n,,\n"


def test_a_number_that_rounds_to_zero_has_no_sign():
    cells = re.findall("<td>(.*?)</td>", show(pd.DataFrame({"a": [-0.04, 0.0, -0.05001, 1234.5]})).data)
    assert cells == ["0.0", "0.0", "−0.1", "1234.5"]


def test_ids_are_shown_in_words_and_kept_in_the_file(tmp_path):
    table = pd.DataFrame(
        {"condition": ["none", "squad-mlm", None], "target": ["qa.de", "mean", "dial-grain-2"],
         "comparison": ["squad-mlm − squad"] * 3, "gap_low": ["nli"] * 3, "slots": [1, 2, 3]}
    )  # fmt: skip
    titles = {"squad-mlm": "Questions (SQuAD) + masked words", "squad": "Questions (SQuAD)"}
    html = show(table, tmp_path / "table.csv", titles=titles).data
    assert re.findall("<th>(.*?)</th>", html) == ["condition", "target", "comparison", "gap: low", "Slots"]
    both = '<span title="squad-mlm − squad">Questions (SQuAD) + masked words − questions (SQuAD)</span>'
    assert re.findall("<td>(.*?)</td>", html) == [
        '<span title="none">No intermediate task</span>', '<span title="qa.de">Questions [de]</span>', both, "nli", "1",
        '<span title="squad-mlm">Questions (SQuAD) + masked words</span>', "mean", both, "nli", "2",
        "–", '<span title="dial-grain-2">Intents in 2 classes</span>', both, "nli", "3",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv", keep_default_na=False, na_values=""), table)
    shown = show(table, ids=True).data
    assert re.findall("<t[dh]>(.*?)</t[dh]>", shown)[:7] == [*table.columns, "none", "qa.de"]


def test_truth_and_p_values_are_said_for_readers(tmp_path):
    table = pd.DataFrame({"keeps": [True, False], "p": [0.0004, float("nan")], "p_alike": [0.0312, 1.0]})
    html = show(table, tmp_path / "table.csv", decimals=2).data
    assert re.findall("<td>(.*?)</td>", html) == ["yes", "&lt; 0.001", "0.031", "no", "\N{EN DASH}", "1.000"]
    assert (tmp_path / "table.csv").read_text().splitlines()[1] == "True,0.0004,0.0312"
    assert "<td>" not in show(table.iloc[:0]).data


def test_names_of_files_become_links_and_text_stays_text():
    table = pd.DataFrame({"a <b>": ["x & y"], "notebook": ["run-1.ipynb"]})
    html = show(table, links={"notebook": "../../notebooks"}).data
    assert re.findall("<t[dh]>(.*?)</t[dh]>", html) == [
        "a &lt;b&gt;", "notebook", "x &amp; y", '<a href="../../notebooks/run-1.ipynb">run-1.ipynb</a>',
    ]  # fmt: skip


def test_every_job_has_a_row_with_its_notebook(pages):
    assert figure_names(pages["live"]) == ["fig-live", "tab-executed"]
    shown = next(output["data"]["text/html"] for cell in pages["live"].cells for output in cell.get("outputs", [])
                 if "text/html" in output.get("data", {}))  # fmt: skip
    names = re.findall(r'<a href="../../notebooks/([^"]+)">', shown)
    assert names[0] == "target-none-1.ipynb"
    assert len(names) == len(set(names)) > 5
