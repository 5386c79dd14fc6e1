import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value
from mirror import MIRROR, needs_mirror

from stilts.sources.hub import list_configs, load_split, read_features
from stilts.study.errors import StiltsError, UnknownName

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})


def put(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{"text": text, "label": label} for text, label in rows], FEATURES.arrow_schema)
    pq.write_table(table, path)


@pytest.fixture
def root(tmp_path):
    put(tmp_path / "nli.de" / "train-00000-of-00002.parquet", ("a", 0))
    put(tmp_path / "nli.de" / "train-00001-of-00002.parquet", ("b", 1))
    put(tmp_path / "nli.de" / "train_matched-00000-of-00001.parquet", ("c", 1))
    put(tmp_path / "nli.en" / "test.parquet", ("d", 0))
    put(tmp_path / "data" / "test-00000-of-00001.parquet", ("e", 1))
    put(tmp_path / "nli.fr" / "test-00000-of-00001.parquet")
    put(tmp_path / "nli.sw" / "train" / "0000.parquet", ("f", 0))
    put(tmp_path / "nli.sw" / "train" / "0001.parquet", ("g", 1))
    return tmp_path


def test_available(root):
    assert list_configs(root) == {
        "default": ["test"], "nli.de": ["train", "train_matched"], "nli.en": ["test"], "nli.fr": ["test"],
        "nli.sw": ["train"]}


@pytest.mark.parametrize("config, split, texts", [
    ("nli.de", "train", ["a", "b"]),
    ("nli.de", "train_matched", ["c"]),
    ("nli.en", "test", ["d"]),
    ("default", "test", ["e"]),
    ("nli.sw", "train", ["f", "g"]),
])
def test_the_files_of_one_split_are_read_in_order(root, config, split, texts):
    loaded = load_split(root, config, split, columns=("text", "label"))
    assert loaded.features == FEATURES
    assert loaded["text"][:] == texts


@pytest.mark.parametrize("given, message", [
    (("nli.ed", "test"), r"unknown config of .* 'nli\.ed'\. Did you mean 'nli\.(en|de)'\? Known: default, nli\.de"),
    (("nli.de", "test"), r"unknown split of .*, config 'nli\.de', 'test'\..* Known: train, train_matched"),
    (("nli.fr", "test"), r"nli\.fr, test: no rows"),
])
def test_what_is_missing_is_named(root, given, message):
    with pytest.raises(StiltsError, match=message):
        load_split(root, *given)


def test_a_missing_column_is_named(root):
    with pytest.raises(StiltsError, match=r"nli\.de, train: column premise is missing; it has text, label"):
        load_split(root, "nli.de", "train", columns=("text", "premise"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1"])
def test_a_corrupt_file_is_named(root, content):
    (root / "nli.en" / "test.parquet").write_bytes(content)
    with pytest.raises(StiltsError, match=r"nli\.en/test\.parquet: cannot be read as parquet"):
        load_split(root, "nli.en", "test")


def test_a_truncated_file_is_named(root):
    path = root / "nli.en" / "test.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StiltsError, match=r"test\.parquet: cannot be read as parquet.*fetch or build it again"):
        load_split(root, "nli.en", "test")


def test_files_of_one_split_must_agree(root):
    pq.write_table(pa.table({"other": [1]}), root / "nli.de" / "train-00001-of-00002.parquet")
    with pytest.raises(StiltsError, match="the files of one split differ in their columns"):
        load_split(root, "nli.de", "train")


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(StiltsError, match="no such folder"):
        list_configs(tmp_path / "nothing")
    with pytest.raises(StiltsError, match="no data set in the Hub's layout"):
        list_configs(tmp_path)



def test_the_columns_of_a_split_are_known_without_its_rows(root):
    assert read_features(root, "nli.en", "test") == load_split(root, "nli.en", "test").features
    with pytest.raises(UnknownName, match="Known: test"):
        read_features(root, "nli.en", "train")
    (root / "nli.en" / "test.parquet").write_text("no parquet")
    with pytest.raises(StiltsError, match="cannot be read as parquet .*; fetch or build it again"):
        read_features(root, "nli.en", "test")


def test_only_one_file_of_a_folder_is_read(root):
    shutil.copy(root / "nli.en" / "test.parquet", root / "nli.en" / "notes.parquet")
    assert len(load_split(root, "nli.en", "test")) == 1
    with pytest.raises(UnknownName, match="Known: notes, test"):
        load_split(root, "nli.en", "train")


@needs_mirror
def test_pieces_of_xtreme():
    pairs = load_split(MIRROR / "google" / "xtreme", "tatoeba.deu", "validation",
                       columns=("source_sentence", "target_sentence"))
    assert len(pairs) == 1000
    tagged = load_split(MIRROR / "google" / "xtreme", "udpos.Finnish", "test")
    assert tagged.features["pos_tags"].feature.names[7] == "NOUN"
    assert "default" in list_configs(MIRROR / "tau" / "commonsense_qa")
