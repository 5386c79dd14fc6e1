"""The pocket suite with tasks of the suite "xtreme", built from packages and a small data folder."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value

from stilts.sources import xtreme
from stilts.sources.borrowing import BorrowingSuite
from stilts.sources.hub import load_split
from stilts.sources.pocket import source as pocket
from stilts.sources.suite import Request, find_faults, read_manifest
from stilts.study.errors import StiltsError

NLI = ["entailment", "neutral", "contradiction"]
FEATURES = Features({"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=NLI)})
SIZES = {"train": 12, "intermediate_train": 10, "validation": 4, "test": 4, "retrieval": 150, "mining": 12}
REQUEST = Request(0, SIZES, ["de"])


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def put_mnli(root, count=30):
    for split in ("train", "validation_matched"):
        path = root / "nyu-mll/glue/mnli" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"premise": f"{split} {number}", "hypothesis": "h", "label": number % 3} for number in range(count)]
        pq.write_table(pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema), path)
    return root


def suite_of(root):
    return BorrowingSuite(xtreme.Suite(root), ("mnli",))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return put_mnli(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def built(data, tmp_path_factory):
    said = []
    folder = suite_of(data).build(tmp_path_factory.mktemp("suites") / "suite", REQUEST, report=said.append)
    return folder, said


def test_a_suite_holds_its_own_tasks_and_as_many_rows_of_the_borrowed_one(built, tmp_path):
    folder, said = built
    own = pocket.build(tmp_path / "own", REQUEST)
    manifest, alone = read_manifest(folder), read_manifest(own)
    assert find_faults(folder) == []
    lent = {"intermediate.mnli.en": {"train": 10, "validation": 4}}
    assert manifest["rows"] == {**alone["rows"], **lent}
    assert {name: manifest[name] for name in ("suite", "borrowed", "overlap", "left_out", "packages")} == {
        **{name: alone[name] for name in ("suite", "overlap", "left_out", "packages")}, "borrowed": ["mnli"],
    }  # fmt: skip
    assert manifest["sources"]["nyu-mll/glue/mnli/train"]["rows"] == 30
    assert load_split(folder, "command-nli.de", "test").to_list() == load_split(own, "command-nli.de", "test").to_list()
    row = load_split(folder, "intermediate.mnli.en", "train")[0]
    assert row["sentence1"].startswith("train ")
    assert row["sentence2"] == "h"
    assert said == ["mnli: 2 splits", f"suite suite: {len(manifest['rows'])} configs, "
                    f"{sum(sum(each.values()) for each in manifest['rows'].values())} rows"]  # fmt: skip
    card = (folder / "README.md").read_text()
    assert "home-assistant-intents: CC BY 4.0" in card
    assert "- mnli: Each data set keeps its own licence" in card


def test_its_texts_are_those_of_both(built):
    texts = set(suite_of(None).texts(built[0]))
    read = {row["sentence1"] for row in load_split(built[0], "intermediate.mnli.en", "train")}
    assert {*read, "h"} < texts
    assert set(pocket.texts(built[0])) <= texts


def test_a_fingerprint_follows_the_data_and_the_tasks(data, tmp_path):
    first = suite_of(data).fingerprint(REQUEST)
    put_mnli(tmp_path, 31)
    others = [
        pocket.fingerprint(REQUEST),
        suite_of(tmp_path).fingerprint(REQUEST),
        BorrowingSuite(xtreme.Suite(data), ("mnli", "qqp")).fingerprint(REQUEST),
        suite_of(data).fingerprint(Request(1, SIZES, ["de"])),
        suite_of(data).fingerprint(Request(0, {**SIZES, "test": 5}, ["de"])),
    ]
    assert len({first, *others}) == 6
    assert suite_of(data).fingerprint(REQUEST) == first == first.removeprefix("not-fetched-")


def test_without_data_it_can_be_planned_and_not_built(tmp_path):
    suite = suite_of(None)
    assert suite.fingerprint(REQUEST).startswith("not-fetched-")
    assert suite.missing("nli") is None
    assert "no data folder" in suite.missing("mnli")
    assert suite.left_out(REQUEST) == pocket.left_out(REQUEST)
    with pytest.raises(StiltsError, match="`stilts fetch STUDY` downloads the data"):
        suite.build(tmp_path / "suite", REQUEST, report=print)
