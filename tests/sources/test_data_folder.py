"""What is read from a data folder is what is hashed: links, owners, remembered checksums, and the tables of recipes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stilts.sources.columns import TEXT, Schema
from stilts.sources.suite import Request, read_manifest
from stilts.sources.xtreme import Suite, folder, languages, source, tags, unlabelled
from stilts.sources.xtreme.folder import DataFolder, Place, read_fetched
from stilts.sources.xtreme.pieces import Piece
from stilts.sources.xtreme.recipes import RECIPES, Recipe
from stilts.study.errors import StiltsError
from stilts.tasks.formats import MASKED_LM

GERMAN = "google/xtreme/tatoeba.deu/validation-00000-of-00001.parquet"


@pytest.fixture(autouse=True)
def memory(monkeypatch, tmp_path_factory):
    """A cache of checksums of one's own, in which files that were just written are kept too."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(folder, "_SETTLED_SECONDS", -1e9)
    return lambda: next((cache / "stilts").glob("sha256-*.json"))


def put(root: Path, text: str, name: str = GERMAN) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"source_sentence": text, "target_sentence": "One.", "source_lang": "", "target_lang": ""}
    pq.write_table(pa.Table.from_pylist([row]), path)
    return path


@pytest.fixture
def root(tmp_path):
    put(tmp_path / "data", "Eins.")
    return tmp_path / "data"


def named(root: Path) -> str:
    return Suite(root).fingerprint(Request(0, {}, ["de"]))


def built(root: Path, name: str = "suite") -> list[str]:
    place = root.parent / name
    Suite(root).build(place, Request(0, {}, ["de"]), report=lambda line: None)
    assert read_manifest(place)["fingerprint"] == named(root)
    return pq.read_table(place / "tatoeba.de" / "test-00000-of-00001.parquet")["source_sentence"].to_pylist()


# --- links -----------------------------------------------------------------------------------------------------------

LINKED = (GERMAN, "google/xtreme/tatoeba.deu", "google/xtreme", "google", ".")


@pytest.mark.parametrize("name", LINKED)
def test_what_a_link_leads_to_is_read_and_hashed(root, tmp_path, name):
    copies = {text: tmp_path / text / "data" for text in ("Eins.", "Zwei")}
    for text, copy in copies.items():
        put(copy, text)
    plain = {text: named(copy) for text, copy in copies.items()}
    found = {}
    for text, copy in copies.items():
        here = root / name
        here.unlink() if here.is_symlink() or here.is_file() else shutil.rmtree(here)
        here.symlink_to(copy / name)
        found[text] = named(root), built(root, f"suite of {text}")
    assert found == {text: (plain[text], [text]) for text in copies}
    assert plain["Eins."] != plain["Zwei"]


@pytest.mark.parametrize("name", LINKED[1:])
def test_a_circle_of_links_is_said(root, name):
    circle = root / name / "again"
    circle.symlink_to(root / name)
    with pytest.raises(StiltsError, match=f"{circle}: this link leads to a folder that contains it"):
        named(root)


@pytest.mark.parametrize("name", ["google/xtreme/gone.parquet", "google/xtreme/tatoeba.fra", "rajpurkar", "any"])
def test_a_link_to_nothing_is_said_whatever_is_asked(root, name):
    link = root / name
    link.symlink_to("/nowhere/at/all")
    for ask in (lambda: named(root), lambda: Suite(root).missing("tatoeba"), lambda: built(root)):
        with pytest.raises(StiltsError, match=f"{link}: this link is broken .*/nowhere/at/all.*; repair or"):
            ask()


def test_a_link_to_itself_is_said(root):
    link = root / "rajpurkar"
    link.symlink_to(link)
    with pytest.raises(StiltsError, match=f"{link}: this link is circular; repair or remove it"):
        named(root)


def test_a_data_folder_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "self").symlink_to("self")
    for name, message in (("file", "is a file"), ("gone", "is broken"), ("self", "is circular")):
        with pytest.raises(StiltsError, match=f"{tmp_path / name}: .*{message}"):
            named(tmp_path / name)


def test_a_pipe_is_said_and_not_waited_for(root):
    os.mkfifo(root / "google" / "xtreme" / "pipe.parquet")
    with pytest.raises(StiltsError, match=r"pipe\.parquet: neither a file nor a folder; remove it"):
        named(root)


def test_a_link_in_what_is_hidden_or_described_is_nobodys_business(root):
    before = named(root)
    for name in (".cache", "google/.gone", "google/README.md"):
        (root / name).symlink_to("/nowhere/at/all")
    assert named(root) == before


# --- owners ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "somebody/else/config/train.parquet", "somebody/else/notes.csv", "single.parquet", "ccg/extra.txt",
])  # fmt: skip
def test_a_file_of_any_owner_is_hashed(root, name):
    before = named(root)
    put(root, "a", name)
    first = named(root)
    put(root, "b", name)
    assert len({before, first, named(root)}) == 3


def test_a_recipe_reads_what_is_hashed_whoever_owns_it(root, monkeypatch):
    place = Place("somebody/else", "config", "train")

    def read(data, languages):
        yield Piece("mlm", "intermediate.mlm.multilingual", "train", MASKED_LM.features(),
                    data.read(place, Schema({"source_sentence": TEXT})).rename_columns(["text"]))  # fmt: skip

    monkeypatch.setitem(RECIPES, "mlm", Recipe(read, ((place,),)))
    put(root, "theirs", "somebody/else/config/train-00000-of-00001.parquet")
    first = named(root)
    built(root)
    put(root, "others", "somebody/else/config/train-00000-of-00001.parquet")
    assert named(root) != first


def test_what_is_hidden_is_not_read(root):
    for name in ("first", ".second"):
        path = root / "wikimedia/wikipedia/2023.de" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": [name]}), path)
    assert [path.name for path in unlabelled.list_wikipedia_files(DataFolder(root), "de")] == ["first.parquet"]


# --- remembered checksums --------------------------------------------------------------------------------------------


def test_checksums_are_remembered(root, memory, monkeypatch):
    before = named(root)
    monkeypatch.setattr(folder, "hash_file", lambda path: pytest.fail(f"{path} is read again"))
    assert named(root) == before
    assert list(json.loads(memory().read_text())["files"]) == [GERMAN]


def test_a_file_of_equal_size_and_time_is_another_file(root):
    before, status = named(root), (root / GERMAN).stat()
    put(root, "Zwei.")
    os.utime(root / GERMAN, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = (root / GERMAN).stat()
    assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert named(root) != before


def test_a_file_that_just_changed_is_not_remembered(root, memory, monkeypatch):
    monkeypatch.setattr(folder, "_SETTLED_SECONDS", 2.0)
    named(root)
    assert not memory.__closure__[0].cell_contents.joinpath("stilts").exists()


def wrong_digest(content):
    next(iter(content["files"].values()))["sha256"] = "0" * 64
    return content


def wrong_state(content):
    next(iter(content["files"].values()))["state"][2] += 1
    return content


@pytest.mark.parametrize("harm", [
    wrong_digest, wrong_state, lambda content: {**content, "seal": "0" * 64}, lambda content: {**content, "files": {}},
    lambda content: content["files"], lambda content: [], lambda content: None, lambda content: {"files": None},
    lambda content: {**content, "files": {GERMAN: [1, 2, "0" * 64]}}, lambda content: "text", lambda content: 5,
])  # fmt: skip
def test_a_damaged_memory_changes_no_name(root, memory, harm):
    before, right = named(root), memory().read_bytes()
    memory().write_text(json.dumps(harm(json.loads(right))))
    assert named(root) == before
    assert memory().read_bytes() == right


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"\0" * 100])
def test_a_memory_that_is_no_json_changes_no_name(root, memory, content):
    before = named(root)
    memory().write_bytes(content)
    assert named(root) == before


def test_a_memory_that_cannot_be_written_is_done_without(root, monkeypatch, tmp_path):
    before = named(root)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", Path("/proc/nothing")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        assert named(root) == before


def test_a_wrong_memory_with_a_right_seal_is_found_before_a_suite_is_made(root, memory):
    before = named(root)
    content = folder._Memory.model_validate(wrong_digest(json.loads(memory().read_text())))
    sealed = content.model_copy(update={"seal": folder._seal(content.files)})
    memory().write_text(sealed.model_dump_json())
    assert named(root) != before
    message = "the suite is named after; .* cached checksum was wrong and is now corrected; run the command"
    with pytest.raises(StiltsError, match=message):
        built(root)
    assert not (root.parent / "suite").exists()
    assert named(root) == before
    assert built(root) == ["Eins."]


def test_a_file_that_changes_while_a_suite_is_made_is_said(root, monkeypatch):
    def change(data, languages):
        put(root, "Zwei.")
        return iter(())

    monkeypatch.setitem(RECIPES, "siqa", Recipe(change))
    with pytest.raises(StiltsError, match=f"{root / GERMAN}: not the file that the suite is named after; it changed"):
        built(root)
    assert not (root.parent / "suite").exists()


def test_a_folder_without_data_is_not_built_from(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(StiltsError, match="data folder .*data holds no data; `stilts fetch STUDY` downloads the data"):
        built(tmp_path / "data")


# --- what was fetched ------------------------------------------------------------------------------------------------


def fetched(root: Path, **files: str) -> None:
    content = {"repositories": {"google/xtreme": {"main": "a" * 40}}, "files": files}
    (root / "fetched.json").write_text(json.dumps(content))


def test_a_suite_names_no_commit_of_a_file_that_is_not_of_it(root, monkeypatch):
    monkeypatch.setattr(folder, "find_published_rows", lambda *place: None)
    fetched(root, **{GERMAN: folder.hash_file(root / GERMAN)})
    assert built(root) == ["Eins."]
    put(root, "Zwei.")
    with pytest.raises(StiltsError, match=f"{root / GERMAN}: not the file that `stilts fetch` copied .*fetch it"):
        built(root, "other")
    assert not (root.parent / "other").exists()


def test_the_list_of_what_was_fetched_is_no_data(root):
    before = named(root)
    fetched(root)
    assert named(root) == before


@pytest.mark.parametrize("content", [
    "", "{", "[]", "5", "null", '{"files": {}}', '{"repositories": {}}', '{"repositories": [], "files": {}}',
    '{"repositories": {"a/b": "main"}, "files": {}}', '{"repositories": {"a/b": {"main": null}}, "files": {}}',
    '{"repositories": {}, "files": {"a": 5}}', '{"repositories": {}, "files": null}',
])  # fmt: skip
def test_a_list_of_another_shape_is_said(root, content):
    (root / "fetched.json").write_text(content)
    for ask in (lambda: read_fetched(root), lambda: named(root)):
        with pytest.raises(StiltsError, match=r"fetched\.json: not what `stilts fetch` writes .*; delete it and fetch"):
            ask()


# --- tables ----------------------------------------------------------------------------------------------------------


def other_needs(monkeypatch):
    monkeypatch.setitem(RECIPES, "qqp", Recipe(RECIPES["qqp"].make, RECIPES["mnli"].needs))


def other_converter(monkeypatch):
    monkeypatch.setitem(RECIPES, "qqp", Recipe(RECIPES["mnli"].make, RECIPES["qqp"].needs))


@pytest.mark.parametrize("change", [
    other_needs, other_converter,
    lambda patch: patch.setitem(languages.TATOEBA, "ro", "ron"),
    lambda patch: patch.setattr(languages, "XQUAD", (*languages.XQUAD, "ro")),
    lambda patch: patch.setattr(languages, "UNSPACED", ("ja",)),
    lambda patch: patch.setattr(tags, "UPOS", tags.UPOS[::-1]),
    lambda patch: patch.setattr(unlabelled, "WIKIPEDIA_LINES", 5),
    lambda patch: patch.setattr(source, "VERSION", source.VERSION + 1),
    lambda patch: patch.setitem(RECIPES, "rte", RECIPES["mnli"]),
])  # fmt: skip
def test_a_suite_of_other_tables_has_another_name(root, monkeypatch, change):
    before = named(root), Suite(None).fingerprint(Request(0))
    change(monkeypatch)
    after = named(root), Suite(None).fingerprint(Request(0))
    assert all(left != right for left, right in zip(before, after, strict=True))


def test_the_name_is_the_same_in_every_process(root):
    code = "import sys, pathlib; from stilts.sources.xtreme import Suite; from stilts.sources.suite import Request; " \
           f"print(Suite(pathlib.Path({str(root)!r})).fingerprint(Request(0, {{}}, ['de'])))"  # fmt: skip
    names = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
                       capture_output=True, text=True).stdout.strip() for seed in ("1", "2")
    }  # fmt: skip
    assert names == {named(root)}
