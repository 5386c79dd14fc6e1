"""What book/extending.md shows works as it stands."""

import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from datasets import ClassLabel, Features, Value
from format_rules import Example, check_format
from small_book import ROOT

from stilts.sources.hub import load_split
from stilts.sources.suite import Request, read_manifest
from stilts.sources.xtreme import Suite
from stilts.sources.xtreme.recipes import RECIPES
from stilts.study.errors import StiltsError
from stilts.study.settings import DataSettings
from stilts.tasks.formats import FORMATS
from stilts.tasks.registry import INTERMEDIATES, resolve_condition
from stilts.workspace.notebooks.execution import read_parameters
from stilts.workspace.notebooks.pages import read_book_pages

TEXT = (ROOT / "book" / "extending.md").read_text(encoding="utf-8")
COLUMNS = Features(
    sentence1=Value("string"), sentence2=Value("string"), label=ClassLabel(names=["entailment", "not_entailment"]),
    idx=Value("int32"),
)  # fmt: skip


def block(after: str, language: str) -> str:
    """The first block of a language after some words."""
    return re.search(rf"```{language}\n(.*?)```", TEXT[TEXT.index(after) :], flags=re.S).group(1)


@pytest.fixture
def registered():
    """Execute the example; take its entries out again."""
    before = {id(registry): dict(registry) for registry in (RECIPES, INTERMEDIATES)}
    code = block("### A data set of the Hub", "python")
    exec(compile(code, "extending.md", "exec"), {})
    yield code
    for registry in (RECIPES, INTERMEDIATES):
        registry.clear()
        registry.update(before[id(registry)])


def write_hub_copy(root, labels=(0, 1, 1)):
    for split in ("train", "validation"):
        path = root / "nyu-mll" / "glue" / "rte" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"sentence1": f"a {n}", "sentence2": f"{split} {n}", "label": label, "idx": n}
                for n, label in enumerate(labels)]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows, schema=COLUMNS.arrow_schema), path)
    return root


def test_a_data_set_of_the_hub_is_a_task_in_under_twenty_lines(registered, tmp_path):
    assert len([line for line in registered.splitlines() if line.strip()]) < 20
    source = Suite(write_hub_copy(tmp_path / "data"))
    assert source.missing("rte") is None
    suite = source.build(tmp_path / "suite", Request(0), report=lambda line: None)
    assert read_manifest(suite)["rows"] == {"intermediate.rte.en": {"train": 3, "validation": 3}}
    rows = load_split(suite, INTERMEDIATES["rte"].config_for("en"), "validation")
    assert sorted(zip(rows["sentence1"], rows["sentence2"], rows["label"], strict=True)) == [
        ("a 0", "validation 0", 0), ("a 1", "validation 1", 1), ("a 2", "validation 2", 1),
    ]  # fmt: skip
    assert rows.features["label"].names == ["entailment", "not_entailment"]
    assert resolve_condition("rte", DataSettings(suite="xtreme")).tasks == ("rte",)
    assert "rte" not in resolve_condition("multi", DataSettings(suite="xtreme")).tasks


def test_rows_with_other_labels_are_refused(registered, tmp_path):
    source = Suite(write_hub_copy(tmp_path / "data", labels=(0, -1)))
    with pytest.raises(StiltsError, match=r"rte/train-00000-of-00001.parquet"):
        source.build(tmp_path / "suite", Request(0), report=lambda line: None)


@pytest.fixture
def shown_format():
    """Execute the example of a new format; take its entry out again."""
    exec(compile(block("### A new format", "python"), "extending.md", "exec"), {})
    yield FORMATS["multi_label"]
    del FORMATS["multi_label"]


def test_a_new_format_keeps_the_promise_of_every_format(shown_format, tmp_path):
    def rows(language: str) -> list[dict]:
        intents = tiny.intent_rows(language)
        return [{"text": row["sentence1"], "labels": [row["label"], 2][: 1 + number % 2]} for number, row in
                enumerate(intents)]  # fmt: skip

    example = Example({key: rows(key)[:8] for key in ("en", "de")}, rows("en"), ["open", "close", "odd"])
    check_format(shown_format, example, tiny.write_encoder(tmp_path / "encoder"), tmp_path / "suite")


def test_the_shown_page_is_a_page_once_it_is_listed(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    before = [page.name for page in read_book_pages(tmp_path)]
    with (tmp_path / "notebooks" / "pages.yml").open("a", encoding="utf-8") as table:
        table.write(block("## Show a page for another study", "yaml"))
    (new,) = [page for page in read_book_pages(tmp_path) if page.name not in before]
    assert new.template.stem == "distance"
    assert read_parameters(new.template).keys() >= new.parameters.keys()
