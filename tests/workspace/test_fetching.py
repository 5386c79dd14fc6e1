"""`stilts fetch` against a server in this process that speaks what huggingface_hub asks of the Hub."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stilts.sources.suite import Request
from stilts.sources.xtreme import Suite
from stilts.sources.xtreme.folder import Place
from stilts.sources.xtreme.tags import NER
from stilts.study.errors import StiltsError
from stilts.study.settings import Study
from stilts.workspace.fetching import fetch, list_wanted, read_fetched

NAME = attrgetter("name")  # of an encoder that is no folder
COMMITS = {"main": "a" * 40, "refs/convert/parquet": "b" * 40}


def parquet(rows):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


SENTENCE = {"tokens": ["Anna", "left", "."], "ner_tags": [NER.index("B-PER"), 0, 0]}
CHOICE = {"ctx_a": "He sat.", "ctx_b": "He", "endings": ["ate", "slept", "ran", "sang"], "label": "1"}
FILES = {
    ("datasets", "google/xtreme", "main"): {
        **{f"PAN-X.en/{split}-00000-of-00001.parquet": parquet([SENTENCE] * (number + 1))
           for number, split in enumerate(("train", "validation", "test"))},
        "PAN-X.de/test-00000-of-00001.parquet": parquet([SENTENCE] * 4000),
        "README.md": b"not wanted",
    },
    ("datasets", "Rowan/hellaswag", "main"): {"hellaswag.py": b"not run"},
    ("datasets", "Rowan/hellaswag", "refs/convert/parquet"): {
        f"default/{split}/0000.parquet": parquet([CHOICE]) for split in ("train", "validation", "test")
    },
    ("models", "someone/encoder", "main"): {
        "config.json": b'{"model_type": "xlm-roberta"}',
        "model.safetensors": b"weights" * 1000,
        "pytorch_model.bin": b"not wanted",
        "onnx/config.json": b"not wanted",
    },
}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """The few endpoints of the Hub; `server.files` is what it has, `server.breaks` how often it hangs up half-way."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, path))
        if listed := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)/revision/(.+)", path):
            return self._info(*listed.groups())
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind = "datasets" if found[1] else "models"
            return self._file(kind, *found.groups()[1:])
        return self._refuse("EntryNotFound")

    def _info(self, kind, repo, revision):
        branch = {commit: branch for branch, commit in COMMITS.items()}.get(revision, revision)
        files = self.server.files.get((kind, repo, branch))
        if files is None:
            known = any(name == repo for _, name, _ in self.server.files)
            return self._refuse("RevisionNotFound" if known else "RepoNotFound")
        siblings = [self._sibling(name, content) for name, content in files.items()]
        return self._send(json.dumps({"id": repo, "sha": COMMITS[branch], "siblings": siblings}).encode())

    def _sibling(self, name, content):
        digest = self.server.claims.get(name, hashlib.sha256(content).hexdigest())
        blob = hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()
        large = {"size": len(content), "sha256": digest, "pointerSize": 1}
        lfs = {"lfs": large} if len(content) > 99 else {}
        return {"rfilename": name, "size": len(content), "blobId": blob, **lfs}

    def _file(self, kind, repo, commit, name):
        branch = {commit: branch for branch, commit in COMMITS.items()}[commit]
        content = self.server.files[kind, repo, branch].get(name)
        if content is None:
            return self._refuse("EntryNotFound")
        start = int(re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", "bytes=0-"))[1])
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.server.starts += [start] if self.command == "GET" else []
        cut = self.command == "GET" and len(content) > 5000 and self.server.breaks > 0
        self.server.breaks -= cut
        return self._send(content[start:], headers, 206 if start else 200, cut)

    def _refuse(self, code):
        return self._send(b"{}", {"X-Error-Code": code}, 404)

    def _send(self, content, headers=(), status=200, cut=False):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.files, server.asked, server.breaks, server.claims = {k: dict(v) for k, v in FILES.items()}, [], 0, {}
    server.starts = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def study(**changes):
    settings = {
        "name": "small", "title": "Small", "encoder": {"name": "multilingual-e5-small"},
        "data": {"suite": "xtreme", "languages": ["en", "de"]}, "intermediates": ["none"], "targets": ["pan-x"],
    }  # fmt: skip
    return Study.model_validate(settings | changes)


def fetched(of, folder, **options):
    said = []
    fetch(of, folder, report=said.append, name_encoder=NAME, **options)
    return said


def downloads(hub):
    return [path.rpartition("/resolve/")[2] for command, path in hub.asked if command == "GET" and "/resolve/" in path]


def standing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))


PANX = [
    "google/xtreme/PAN-X.de/test-00000-of-00001.parquet",
    *(f"google/xtreme/PAN-X.en/{split}-00000-of-00001.parquet" for split in ("test", "train", "validation")),
]


def test_wanted():
    needs = list_wanted(study(intermediates=["none", "hellaswag", "ccg"], encoder={"name": "someone/encoder"}), NAME)
    assert needs.places == (
        (Place("Rowan/hellaswag", "default", "train"),),
        (Place("Rowan/hellaswag", "default", "validation"),),
        *((Place("google/xtreme", "PAN-X.en", split),) for split in ("train", "validation", "test")),
        (Place("google/xtreme", "PAN-X.de", "test"),),
    )
    assert [str(file)[:13] for file in needs.files] == ["ccg/train.tsv", "ccg/validatio"]
    assert needs.encoders == (("someone/encoder", None),)


def test_tasks_by_source_language_are_wanted_in_theirs():
    stages = {"name": "x", "before": [["mnli.sw"]], "tasks": ["xnli-dev", "xnli-dev.sw", "mnli", "pan-x-train.ko"]}
    needs = list_wanted(study(intermediates=[stages]), NAME)
    found = {str(place) for need in needs.places for place in need}
    assert {place for place in found if not place.startswith("google/xtreme/PAN")} == {
        *(f"facebook/xnli/sw/{split}" for split in ("train", "validation")), "google/xtreme/XNLI/validation",
        *(f"nyu-mll/glue/mnli/{split}" for split in ("train", "validation_matched")),
    }  # fmt: skip
    assert (Place("google/xtreme", "PAN-X.ko", "train"),) in needs.places
    assert (Place("google/xtreme", "PAN-X.de", "train"),) not in needs.places


def test_a_task_that_is_only_measured_is_wanted_too():
    needs = list_wanted(study(intermediates=["none"], measures={"complexity": {}, "tasks": ["hellaswag"]}), NAME)
    assert (Place("Rowan/hellaswag", "default", "train"),) in needs.places


def test_a_study_of_the_pocket_suite_needs_nothing(tmp_path):
    needs = list_wanted(Study(name="p", title="P", encoder={"name": "multilingual-e5-small"}, intermediates=("none",),
                         targets=("intent",)), NAME)  # fmt: skip
    assert (needs.places, needs.files, needs.encoders) == ((), (), ())


def test_a_fetch_copies_what_is_needed_and_notes_where_from(hub, tmp_path):
    said = fetched(study(), tmp_path / "data")
    assert standing(tmp_path / "data") == PANX
    size = sum(len(FILES["datasets", "google/xtreme", "main"][name.removeprefix("google/xtreme/")]) for name in PANX)
    assert said == [f"4 files, {size / 1000:.0f} kB; to fetch: 4, {size / 1000:.0f} kB"]
    content = read_fetched(tmp_path / "data")
    assert content["repositories"] == {"google/xtreme": {"main": "a" * 40}}
    assert content["files"] == {
        name: hashlib.sha256((tmp_path / "data" / name).read_bytes()).hexdigest() for name in PANX
    }


def test_a_second_fetch_fetches_nothing_and_keeps_the_commit(hub, tmp_path):
    fetched(study(), tmp_path)
    hub.asked.clear()
    COMMITS["main"], before = "c" * 40, COMMITS["main"]
    try:
        hub.files["datasets", "google/xtreme", before] = hub.files["datasets", "google/xtreme", "main"]
        COMMITS[before] = before
        assert "to fetch: 0, 0 kB" in fetched(study(), tmp_path)[-1]
    finally:
        COMMITS["main"] = before
        del COMMITS[before]
    assert hub.asked == [("GET", f"/api/datasets/google/xtreme/revision/{'a' * 40}")]
    assert read_fetched(tmp_path)["repositories"] == {"google/xtreme": {"main": "a" * 40}}


def test_a_changed_file_is_fetched_again(hub, tmp_path):
    fetched(study(), tmp_path)
    (tmp_path / PANX[1]).write_bytes(b"spoilt")
    hub.asked.clear()
    fetched(study(), tmp_path)
    assert downloads(hub) == [f"{'a' * 40}/PAN-X.en/test-00000-of-00001.parquet"]


def test_a_dry_run_lists_and_fetches_nothing(hub, tmp_path):
    said = fetched(study(), tmp_path, dry_run=True)
    assert downloads(hub) == []
    assert not any(tmp_path.iterdir())
    assert len(said) == 5
    assert said[0].startswith("google/xtreme/PAN-X.en/train-00000-of-00001.parquet at aaaaaaaaaa, ")


def test_a_connection_that_breaks_goes_on_where_it_was(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    size = 9000
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.files["datasets", "google/xtreme", "main"]["PAN-X.de/test-00000-of-00001.parquet"] = os.urandom(size)
    hub.breaks = 1
    fetched(study(), tmp_path)
    assert (tmp_path / PANX[0]).stat().st_size == size
    assert downloads(hub).count(f"{'a' * 40}/PAN-X.de/test-00000-of-00001.parquet") == 2
    assert [start for start in hub.starts if start] == [4000]  # whole chunks are kept


def test_a_fetch_that_was_stopped_fetches_only_the_rest(hub, tmp_path):
    name = "PAN-X.de/test-00000-of-00001.parquet"
    hub.claims[name] = "0" * 64
    with pytest.raises(StiltsError, match=r"PAN-X.de/test.*: does not match its checksum on the Hub .*it was removed"):
        fetched(study(), tmp_path)
    assert standing(tmp_path) == PANX[1:]
    hub.claims.clear()
    hub.asked.clear()
    fetched(study(), tmp_path)
    assert downloads(hub) == [f"{'a' * 40}/{name}"]
    assert standing(tmp_path) == PANX


def test_the_converted_branch_helps_out_where_main_holds_a_script(hub, tmp_path):
    said = fetched(study(intermediates=["hellaswag"]), tmp_path)
    assert said[:2] == [
        f"Rowan/hellaswag/default/{split}: main has no parquet files of it; refs/convert/parquet is used"
        for split in ("train", "validation")
    ]
    assert standing(tmp_path) == [
        *(f"Rowan/hellaswag/default/{split}/0000.parquet" for split in ("train", "validation")), *PANX]  # fmt: skip
    assert read_fetched(tmp_path)["repositories"]["Rowan/hellaswag"] == {
        "main": "a" * 40, "refs/convert/parquet": "b" * 40}  # fmt: skip
    assert Suite(tmp_path).missing("hellaswag") is None


def test_what_the_hub_lacks_is_named(hub, tmp_path):
    with pytest.raises(StiltsError, match=r"the Hub has no tau/commonsense_qa/default/train; no tau/.*/validation"):
        fetched(study(intermediates=["commonsenseqa"]), tmp_path)


def test_what_the_hub_lacks_may_stand_in_the_folder(hub, tmp_path):
    for split in ("train", "validation"):
        path = tmp_path / "tau" / "commonsense_qa" / "data" / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet([SENTENCE]))
    said = fetched(study(intermediates=["commonsenseqa"]), tmp_path)
    assert said[:2] == [
        f"tau/commonsense_qa/default/{split}: not on the Hub; the copy in the data folder is used"
        for split in ("train", "validation")
    ]


def test_a_study_goes_without_what_is_only_welcome(hub, tmp_path):
    hub.files["datasets", "google/xtreme", "main"]["XNLI/validation-00000-of-00001.parquet"] = parquet([SENTENCE])
    said = fetched(study(intermediates=["mlm"]), tmp_path)
    assert [line for line in said if "continues without" in line] == [
        f"google/xtreme/{config}/{split}: not on the Hub; the study continues without it"
        for config, split in [
            ("PAN-X.de", "validation"), ("udpos.English", "validation"), ("udpos.German", "validation"),
            ("PAN-X.de", "train"), ("udpos.English", "train"), ("udpos.German", "train"),
        ]
    ]  # fmt: skip
    assert standing(tmp_path) == sorted([*PANX, "google/xtreme/XNLI/validation-00000-of-00001.parquet"])


def test_lines_of_json_are_fetched_where_a_repository_has_them(hub, tmp_path):
    names = ["candidate_entities.jsonl.tar.gz",
             *(f"wikipedia_pairs/{split}.jsonl.tar.gz" for split in ("train", "dev")),
             *(f"wikinews_mentions/{language}/test.jsonl" for language in ("en", "de"))]  # fmt: skip
    hub.files["datasets", "izhx/mewsli-x", "main"] = dict.fromkeys([*names, "raw.tar.gz"], b"{}")
    said = fetched(study(targets=["mewsli-x"]), tmp_path)
    assert said[-1].startswith("5 files, ")
    assert all((tmp_path / "izhx/mewsli-x" / name).is_file() for name in names)
    assert Suite(tmp_path).missing("mewsli-x") is None


def test_what_is_not_on_the_hub_is_named_with_where_to_get_it(hub, tmp_path):
    said = fetched(study(intermediates=["none", "ccg"]), tmp_path)
    assert [line for line in said if "by hand" in line] == [
        f"not on the Hub; put it into {tmp_path} by hand: ccg/{split}.tsv, to be made from CCGbank, LDC2005T13, "
        "https://catalog.ldc.upenn.edu/LDC2005T13"
        for split in ("train", "validation")
    ]


def test_the_encoder_goes_to_the_cache_that_transformers_reads(hub, tmp_path):
    from huggingface_hub import hf_hub_download

    of = study(encoder={"name": "someone/encoder"})
    said = fetched(of, tmp_path / "data")
    assert said[0] == f"encoder someone/encoder: the study pins no commit; add 'revision: {'a' * 40}'"
    assert downloads(hub)[-2:] == [f"{'a' * 40}/config.json", f"{'a' * 40}/model.safetensors"]
    path = hf_hub_download("someone/encoder", "model.safetensors", revision="a" * 40, local_files_only=True)
    with open(path, "rb") as file:
        assert file.read() == b"weights" * 1000
    assert "to fetch: 0" in fetched(of, tmp_path / "data")[1]


def test_every_encoder_of_a_study_is_fetched_once():
    others = {"again": {"name": "someone/encoder"}, "other": {"name": "someone/decoder", "revision": "refs/pr/4"},
              "own": {"name": "multilingual-e5-small"}}  # fmt: skip
    needs = list_wanted(study(encoder={"name": "someone/encoder"}, encoders=others), NAME)
    assert needs.encoders == (("someone/encoder", None), ("someone/decoder", "refs/pr/4"))


def test_an_encoder_without_safetensors_is_refused(hub, tmp_path):
    del hub.files["models", "someone/encoder", "main"]["model.safetensors"]
    with pytest.raises(StiltsError, match="someone/encoder has no safetensors weights"):
        fetched(study(encoder={"name": "someone/encoder"}), tmp_path)


@pytest.mark.parametrize(
    ("encoder", "sought"),
    [
        ({"name": "someone/encodr"}, "no model someone/encodr at revision main"),
        ({"name": "someone/encoder", "revision": "v2"}, "no model someone/encoder at revision v2"),
    ],
)
def test_an_encoder_that_the_hub_lacks_is_said_to_be_lacking(hub, tmp_path, encoder, sought):
    message = f"the Hub has {sought}; correct the study, or run `hf auth login` if the model is private"
    with pytest.raises(StiltsError, match=f"^{re.escape(message)}$"):
        fetched(study(encoder=encoder), tmp_path)


def test_a_missing_folder_an_offline_machine_and_a_dead_hub_are_said(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    with pytest.raises(StiltsError, match="neither data.folder nor STILTS_DATA is set"):
        fetched(study(), None)
    hub.server_close()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StiltsError, match="`stilts fetch small` resumes from here"):
        fetched(study(), tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StiltsError, match="HF_HUB_OFFLINE is set"):
        fetched(study(), tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"files": {}}'])
def test_a_spoilt_list_of_files_is_said(tmp_path, content):
    (tmp_path / "fetched.json").write_text(content)
    with pytest.raises(StiltsError, match=r"fetched\.json: not what `stilts fetch` writes"):
        read_fetched(tmp_path)


@contextmanager
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("something asked the network")

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", refuse)
        yield


def test_a_fetched_folder_makes_the_suite_without_the_network(hub, tmp_path, monkeypatch):
    fetched(study(), tmp_path / "data")
    with no_network(monkeypatch):
        suite = Suite(tmp_path / "data").build(tmp_path / "suite", Request(0, {}, ["de"]), report=lambda line: None)
    manifest = json.loads((suite / "suite.json").read_text())
    assert {config: manifest["rows"][config] for config in ("pan-x.en", "pan-x.de")} == {
        "pan-x.en": {"train": 1, "validation": 2, "test": 3}, "pan-x.de": {"test": 4000}}  # fmt: skip


def test_the_command(hub, tmp_path):
    """An encoder of the checkout is not on the Hub, in whichever of its folders the command is typed."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "_toc.yml").write_text("")
    (tmp_path / "encoders" / "own").mkdir(parents=True)
    settings = study(encoder={"name": "encoders/own"}).model_dump(mode="json")
    settings |= {"data": {"suite": "xtreme", "languages": ["de"], "folder": "data"}}
    (tmp_path / "studies" / "small.yml").write_text(json.dumps(settings))
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "STILTS_DATA": ""}
    for option, last in ((["--dry-run"], "to fetch: 4"), ([], "data: ")):
        done = subprocess.run([sys.executable, "-m", "stilts.cli", "fetch", "small", *option],
                              cwd=tmp_path / "studies", env=environment, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert last in done.stdout.splitlines()[-1]
    assert standing(tmp_path / "data") == PANX


