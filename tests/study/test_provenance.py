"""What a record says of the commit that its run was computed by."""

import os
import resource
import subprocess

import pytest
from users import ONLY_ROOT, another_user

from stilts.study import provenance
from stilts.study.provenance import GitState, clocked, measure_peak_memory, read_git_state


def test_a_run_has_not_the_peak_memory_of_an_earlier_one_in_its_process():
    with clocked():
        large = bytearray(b"x") * (256 * 2**20)
        del large
    first = measure_peak_memory()
    with clocked():
        pass
    assert measure_peak_memory() < first - 200


def test_without_the_files_of_a_process_its_peak_memory_is_that_since_its_start(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_OWN_PROCESS", tmp_path / "none")
    with clocked():
        pass
    assert measure_peak_memory() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "a checkout"
    (root / "stilts").mkdir(parents=True)
    (root / "stilts" / "code.py").write_text("1")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def head(root):
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()


def test_a_checkout_has_its_commit_and_whether_it_was_changed(checkout):
    assert read_git_state(checkout) == GitState(head(checkout), dirty=False)
    (checkout / "stilts" / "code.py").write_text("2")
    assert read_git_state(checkout) == GitState(head(checkout), dirty=True)


@ONLY_ROOT
def test_a_checkout_of_another_owner_has_its_commit(checkout):
    commit = head(checkout)
    with another_user(checkout / "stilts"):
        assert read_git_state(checkout) == GitState(commit, dirty=False)


@pytest.mark.parametrize("link", [False, True], ids=["as it is", "by a link"])
def test_what_was_unpacked_inside_another_repository_has_none_of_its_commits(checkout, tmp_path, link):
    unpacked = checkout / "unpacked"
    (unpacked / "stilts").mkdir(parents=True)
    if link:
        (tmp_path / "link").symlink_to(unpacked)
        unpacked = tmp_path / "link"
    reason = f"the checkout has no git repository of its own, it lies in that of {checkout}"
    assert read_git_state(unpacked) == GitState(unknown=reason)


def test_a_linked_checkout_is_the_one_that_it_leads_to(checkout, tmp_path):
    (tmp_path / "link").symlink_to(checkout)
    assert read_git_state(tmp_path / "link") == GitState(head(checkout), dirty=False)


def test_the_repository_of_a_git_that_started_this_process_is_not_taken(checkout, tmp_path, monkeypatch):
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "plain"))
    assert read_git_state(tmp_path / "plain").commit is None


def test_why_a_commit_is_not_known_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "plain").mkdir()
    assert read_git_state(tmp_path / "plain").unknown.startswith("fatal: not a git repository")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "plain", check=True)
    assert "ambiguous argument 'HEAD'" in read_git_state(tmp_path / "plain").unknown
    monkeypatch.setenv("PATH", os.devnull)
    assert read_git_state(tmp_path / "plain").unknown.startswith("git cannot be run: No")
