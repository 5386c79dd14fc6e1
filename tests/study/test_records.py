"""Records: written whole or not at all, held to their checksums, made into tables."""

import json
import logging
import os

import numpy as np
import pandas as pd
import pytest
from fakes import PREDICTIONS, PROVENANCE, RECORD, make_record, make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import largest_file

from stilts.study import runs
from stilts.study.errors import StiltsError
from stilts.study.records import (
    SCORES,
    CorruptRecord,
    Record,
    Store,
    publish,
    read_record,
    tabulate_scores,
)
from stilts.study.storage import hash_file


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "records")
    store.write(RECORD, PREDICTIONS)
    return store


def names(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


# --- round trip ------------------------------------------------------------------------------------------------------


def test_a_record_is_read_back_whole(store):
    found = Store(store.root).find(RECORD.id)
    assert found == RECORD.model_copy(update={"predictions_sha256": found.predictions_sha256})
    assert len(found.predictions_sha256) == 64
    assert RECORD.id in store
    assert store.get(RECORD.id) == found
    assert list(store) == [found]
    assert names(store) == [f"{RECORD.id}.json", f"{RECORD.id}.parquet"]


def test_predictions_are_read_back_whole(store):
    pd.testing.assert_frame_equal(store.predictions(RECORD.id), PREDICTIONS)


@pytest.mark.parametrize("column", [["a", None], [1.5, None], [True, False], pd.Categorical(["de", "en"])])
def test_a_column_of_predictions_keeps_its_type(tmp_path, column):
    table = pd.DataFrame({"language": column, "example": np.array([0, 1], dtype="int32")})
    store = Store(tmp_path)
    store.write(RECORD, table)
    pd.testing.assert_frame_equal(store.table(RECORD.id), table)


def test_predictions_take_less_room_than_pandas_gives_them(store, tmp_path):
    PREDICTIONS.to_parquet(tmp_path / "pandas.parquet", compression="zstd", index=False)
    own, other = store.root / f"{RECORD.id}.parquet", tmp_path / "pandas.parquet"
    assert own.stat().st_size < 0.75 * other.stat().st_size


def test_a_record_without_predictions(tmp_path):
    store = Store(tmp_path)
    store.write(RECORD)
    assert store.find(RECORD.id) == RECORD
    with pytest.raises(StiltsError, match=f"run {RECORD.id} has no record with predictions"):
        store.predictions(RECORD.id)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.builds(
    Record,
    run=st.builds(
        make_run,
        st.sampled_from(["pretraining", "intermediate", "target", "zero-shot", "measure"]),
        st.sampled_from(["none", "nli"]),
        target=st.none() | st.just("slots"),
        seed=st.integers(-5, 10**20),
        parents=st.lists(st.text("ab-", min_size=1), max_size=2).map(tuple),
        data=st.text("abc@"),
        suite=TEXT,
    ),
    metrics=st.dictionaries(st.sampled_from(["en", "de"]), st.dictionaries(st.sampled_from(["score", "n"]), NUMBERS)),
    history=st.lists(st.dictionaries(st.sampled_from(["update", "loss"]), NUMBERS), max_size=3),
    provenance=st.just(PROVENANCE),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(RECORDS)
def test_every_record_is_read_back_whole(tmp_path, record):
    store = Store(tmp_path)
    store.write(record)
    assert Store(tmp_path).find(record.id) == record


def test_a_run_without_a_record_is_named(store):
    assert store.find("target-x-s1-0000000000") is None
    with pytest.raises(StiltsError, match=f"run target-x has no record in {store.root}; run its study first"):
        store.get("target-x")
    with pytest.raises(StiltsError, match="run target-x has no record with predictions"):
        store.predictions("target-x")


def test_no_records_are_no_error(tmp_path):
    store = Store(tmp_path / "none", [tmp_path / "neither"])
    assert list(store) == []
    assert "target-x" not in store
    assert not (tmp_path / "none").exists()


# --- corrupt records -------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_a_cut_or_changed_file_never_counts_as_another_record(tmp_path, data):
    """Whatever is cut off or flipped: the record is as it was written, or none."""
    store = Store(tmp_path / "records")
    store.write(RECORD, PREDICTIONS)
    written = store.find(RECORD.id)
    path = store.root / f"{RECORD.id}{data.draw(st.sampled_from(['.json', '.parquet']))}"
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytes([content[place] ^ (1 << data.draw(st.integers(0, 7)))])
    changed = data.draw(st.sampled_from([content[:place], content[:place] + flipped + content[place + 1 :]]))
    path.write_bytes(changed)
    found = Store(store.root).find(RECORD.id)
    assert found in (None, written)
    if path.suffix == ".parquet":
        assert found is None


@pytest.mark.parametrize(
    "harm, reason",
    [
        (lambda path: path.write_text(path.read_text()[:300]), r"cannot be read \(JSONDecodeError\)"),
        (lambda path: path.write_bytes(b""), r"cannot be read \(JSONDecodeError\)"),
        (lambda path: path.write_bytes(b"\xff\xfe"), r"cannot be read \(UnicodeDecodeError\)"),
        (lambda path: path.write_text("[]"), r"cannot be read \(TypeError\)"),
        (lambda path: path.write_text("{}"), r"cannot be read \(KeyError\)"),
        (lambda path: path.write_text(path.read_text().replace("50.0", "51.0")), "does not match its checksum"),
        (lambda path: path.with_suffix(".parquet").unlink(), "predictions .* are missing or do not match"),
        (lambda path: path.with_suffix(".parquet").write_bytes(b"PAR1"), "predictions .* are missing or do not match"),
    ],
)  # fmt: skip
def test_a_corrupt_record_is_set_aside_said_and_counts_as_not_done(store, caplog, harm, reason):
    path = store.root / f"{RECORD.id}.json"
    harm(path)
    harmed = {file.name: file.read_bytes() for file in store.root.iterdir()}
    with pytest.raises(CorruptRecord, match=reason):
        read_record(path)
    with caplog.at_level(logging.WARNING):
        assert RECORD.id not in store
    assert f"set aside as {RECORD.id}.json.corrupt-1" in caplog.text
    assert "the run will be repeated" in caplog.text
    assert {file.name: file.read_bytes() for file in store.root.iterdir()} == {
        f"{name}.corrupt-1": content for name, content in harmed.items()
    }
    assert list(store) == []
    store.write(RECORD, PREDICTIONS)
    assert RECORD.id in store


def test_what_was_set_aside_before_stays(store):
    for n in (1, 2):
        (store.root / f"{RECORD.id}.json").write_text(f"broken {n}")
        assert store.find(RECORD.id) is None
        store.write(RECORD, PREDICTIONS)
    assert [(store.root / f"{RECORD.id}.json.corrupt-{n}").read_text() for n in (1, 2)] == ["broken 1", "broken 2"]


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_corrupt_committed_record_is_left_and_its_remedy_named(store, tmp_path, suffix):
    path = store.root / f"{RECORD.id}{suffix}"
    path.write_bytes(path.read_bytes()[:-5])
    joined = Store(tmp_path / "own", [store.root])
    with pytest.raises(StiltsError, match=rf"restore the committed files: git checkout -- '.*/{RECORD.id}\.\*'"):
        joined.find(RECORD.id)
    assert names(store) == [f"{RECORD.id}.json", f"{RECORD.id}.parquet"]


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / f"{RECORD.id}.json").mkdir()
    with pytest.raises(StiltsError, match=f"record {tmp_path / RECORD.id}.json cannot be read: Is a directory"):
        Store(tmp_path).find(RECORD.id)


def test_a_record_of_an_earlier_version_of_the_code_is_none_of_this(store, monkeypatch):
    monkeypatch.setattr(runs, "PHASE_VERSIONS", {**runs.PHASE_VERSIONS, "zero-shot": 99})
    assert list(store) == []
    assert RECORD.id not in store
    assert len(names(store)) == 2


def test_a_record_under_another_name_is_not_that_run(store):
    other = make_record(seed=2)
    (store.root / f"{RECORD.id}.json").rename(store.root / f"{other.id}.json")
    (store.root / f"{RECORD.id}.parquet").rename(store.root / f"{other.id}.parquet")
    assert other.id not in store
    assert list(store) == []


# --- several folders -------------------------------------------------------------------------------------------------


def test_records_of_this_machine_come_before_committed_ones(tmp_path):
    own, committed = Store(tmp_path / "own"), Store(tmp_path / "committed")
    kept, other = make_record(seed=5), make_record(seed=6)
    own.write(kept, PREDICTIONS.head(1))
    committed.write(kept.model_copy(update={"history": []}), PREDICTIONS)
    committed.write(other, PREDICTIONS.head(2))
    joined = Store(own.root, [committed.root])
    assert [(record.id, bool(record.history)) for record in joined] == [
        (run_id, True) for run_id in sorted([kept.id, other.id])
    ]
    assert [len(joined.predictions(record.id)) for record in (kept, other)] == [1, 2]


def test_predictions_are_those_of_the_record_that_was_found(tmp_path):
    """A process that was killed between the two files left predictions of its own beside no record."""
    own, committed = Store(tmp_path / "own"), Store(tmp_path / "committed")
    own.write(RECORD, PREDICTIONS.head(1))
    (own.root / f"{RECORD.id}.json").unlink()
    committed.write(RECORD, PREDICTIONS)
    assert len(Store(own.root, [committed.root]).predictions(RECORD.id)) == 3


def test_a_corrupt_record_of_this_machine_is_replaced_by_the_committed_one(store, tmp_path):
    own = Store(tmp_path / "own", [store.root])
    own.root.mkdir()
    (own.root / f"{RECORD.id}.json").write_text("{")
    assert own.find(RECORD.id) == store.find(RECORD.id)
    assert names(own) == [f"{RECORD.id}.json.corrupt-1"]


# --- writing ---------------------------------------------------------------------------------------------------------


def test_nothing_half_written_is_left_on_a_full_disk(tmp_path):
    store, long = Store(tmp_path / "records"), RECORD.model_copy(update={"history": RECORD.history * 99})
    for size in (0, 100, 1000, 3000):
        with largest_file(size), pytest.raises(StiltsError, match=f"write record {RECORD.id} to .*File too large"):
            store.write(long, PREDICTIONS)
        assert RECORD.id not in store
        # Whole predictions without a record are no harm; the next write replaces them.
        assert {path.suffix for path in store.root.iterdir()} <= {".parquet"}
        for path in store.root.iterdir():
            pd.testing.assert_frame_equal(pd.read_parquet(path), PREDICTIONS)
    store.write(RECORD, PREDICTIONS)
    assert RECORD.id in store


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StiltsError, match=f"cannot write record {RECORD.id} to .*file/records: .*; finished runs|Free"):
        Store(tmp_path / "file" / "records").write(RECORD, PREDICTIONS)


def test_a_write_that_is_interrupted_leaves_no_record(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("stilts.study.storage.os.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write(RECORD, PREDICTIONS)
    assert names(store) == []


def test_the_record_comes_after_its_predictions(tmp_path, monkeypatch):
    order, replace = [], os.replace

    def noted(part, path):
        order.append(path.suffix)
        replace(part, path)

    monkeypatch.setattr("stilts.study.storage.os.replace", noted)
    Store(tmp_path).write(RECORD, PREDICTIONS)
    assert order == [".parquet", ".json"]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_tidy_table_has_a_row_for_each_run_and_language():
    retrieval = make_record("ui-retrieval", seed=0, de={"score": 10.0, "n": 4, "layer_1": 20.0})
    records = [RECORD, make_record(phase="target", en={"score": 99.0, "n": 5}), retrieval]
    expected = pd.DataFrame(
        [
            [RECORD.id, "a-study", "nli", "slots", 1, "de", 50.0, 2.0, np.nan],
            [RECORD.id, "a-study", "nli", "slots", 1, "sw", 100 / 3, 1.0, np.nan],
            [retrieval.id, "a-study", "nli", "ui-retrieval", 0, "de", 10.0, 4.0, 20.0],
        ],
        columns=["run", "study", "condition", "target", "seed", "language", "score", "n", "layer_1"],
    )
    pd.testing.assert_frame_equal(tabulate_scores(records), expected)
    trained = tabulate_scores(records, "target")
    assert trained[["language", "score", "n"]].values.tolist() == [["en", 99.0, 5.0]]


def test_the_tidy_table_of_nothing_has_its_columns():
    assert tabulate_scores([]).columns.tolist() == [
        "run",
        "study",
        "condition",
        "target",
        "seed",
        "language",
        "score",
        "n",
    ]


def test_published_records_are_those_of_the_store(store, tmp_path):
    trained = make_record(phase="target", en={"score": 200 / 3, "n": 3})
    store.write(trained)
    folder = tmp_path / "results" / "a-study"
    publish(store, [RECORD.id, trained.id], folder)
    committed = Store(folder / "records")
    assert list(committed) == list(store)
    pd.testing.assert_frame_equal(committed.predictions(RECORD.id), PREDICTIONS)
    assert json.loads((folder / "records" / f"{RECORD.id}.json").read_text()).keys() == {"sha256", "record"}
    pd.testing.assert_frame_equal(pd.read_csv(folder / SCORES), tabulate_scores(store).round(4))
    for name in (f"{RECORD.id}.json", f"{RECORD.id}.parquet", f"{trained.id}.json"):
        assert (folder / "records" / name).read_bytes() == (store.root / name).read_bytes()
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    publish(store, [RECORD.id, trained.id], folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_a_record_that_was_published_is_copied_as_it_is_and_never_replaced(store, tmp_path):
    written = store.root / f"{RECORD.id}.parquet"
    PREDICTIONS.to_parquet(written, compression="gzip", index=False)  # as another version of pandas might write it
    store.write(RECORD.model_copy(update={"predictions_sha256": hash_file(written)}))
    folder = tmp_path / "results" / "a-study"
    publish(store, [RECORD.id], folder)
    committed = folder / "records" / f"{RECORD.id}.parquet"
    assert committed.read_bytes() == written.read_bytes()
    store.write(RECORD, PREDICTIONS)
    with pytest.raises(StiltsError, match=r"a-study/records/.*\.parquet differs from .*: remove the one"):
        publish(store, [RECORD.id], folder)
    assert Store(folder / "records").get(RECORD.id).predictions_sha256 == hash_file(committed)


def test_an_unfinished_study_is_not_published(store, tmp_path):
    with pytest.raises(StiltsError, match="run target-x has no record"):
        publish(store, [RECORD.id, "target-x"], tmp_path / "results")
    assert not (tmp_path / "results").exists()
