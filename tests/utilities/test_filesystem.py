"""Files, and what .gitignore patterns leave out: git is the judge."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.utilities.filesystem import (
    create_default_ignore_file,
    filename,
    filter_files,
    get_open_file_limit,
    is_local_path,
    relative_path_to_current_platform,
    tmpchdir,
    to_display_path,
)

FILES = ["a/b.py", "a/c/b.py", "a/c/d.txt", "b.py", "foo/bar/baz.txt", "foo/a.pyc", "x y", "#h", "[z]", "build/out"]


def _make(root: Path, files: list[str]) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.fixture(scope="module")
def repository() -> object:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        _make(Path(folder), FILES)
        yield Path(folder)


def _git_says(root: Path, patterns: list[str]) -> set[str]:
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "exclude").write_text("\n".join(patterns) + "\n")
    command = ["git", "-C", str(root), "-c", "core.excludesFile=", "ls-files", "-z", "-o", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    return set(filter(None, listed.split("\0")))


def _ours(root: Path, patterns: list[str]) -> set[str]:
    return filter_files(root, [*patterns, "/.git"], include_dirs=False)


@pytest.mark.parametrize(
    "patterns",
    [
        ["a/"],
        ["a"],
        ["/b.py"],
        ["b.py"],
        ["*.py", "!b.py"],
        ["*", "!a/", "!a/*.py"],
        ["a/*"],
        ["a/**"],
        ["**/c"],
        ["a/**/b.py"],
        ["**/bar/**"],
        ["foo/*/baz.txt"],
        ["*.py[co]"],
        ["[!a]*"],
        ["[a-b].py"],
        ["\\#h", "#x"],
        ["\\[z\\]"],
        ["x\\ y"],
        ["x y  "],
        ["?.py"],
        ["c/d.txt"],
        ["a/c/", "!a/c/d.txt"],
        ["build/", "!build/out"],
        ["", "  ", "!", "/"],
        ["["],
    ],
)
def test_patterns_are_read_as_git_reads_them(repository: Path, patterns: list[str]) -> None:
    assert _ours(repository, patterns) == _git_says(repository, patterns)


_pattern = st.lists(
    st.sampled_from(["a", "b", "c", "foo", "bar", ".py", "*", "**", "?", "/", "/", "[ab]", "[!a]", "!", "\\#"]),
    min_size=1,
    max_size=5,
).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(_pattern, min_size=1, max_size=3))
def test_random_patterns_are_read_as_git_reads_them(repository: Path, patterns: list[str]) -> None:
    assert _ours(repository, patterns) == _git_says(repository, patterns)


def test_folders_may_be_listed(tmp_path: Path) -> None:
    _make(tmp_path, ["a/b.py", "c.txt", "d/e"])
    assert filter_files(tmp_path, ["d/"]) == {"a", os.path.join("a", "b.py"), "c.txt"}
    assert filter_files(str(tmp_path), ["d/"], include_dirs=False) == {os.path.join("a", "b.py"), "c.txt"}


def test_the_default_ignore_file_is_written_once(tmp_path: Path) -> None:
    assert create_default_ignore_file(tmp_path) is True
    assert create_default_ignore_file(str(tmp_path)) is False
    _make(tmp_path, ["flow.py", "__pycache__/flow.pyc"])
    patterns = (tmp_path / ".prefectignore").read_text().splitlines()
    assert filter_files(tmp_path, patterns, include_dirs=False) == {"flow.py", ".prefectignore"}


def test_changing_the_working_directory(tmp_path: Path) -> None:
    before = os.getcwd()
    (tmp_path / "file").write_text("")
    with tmpchdir(tmp_path / "file") as folder:
        assert os.getcwd() == folder == str(tmp_path)
    assert os.getcwd() == before
    with pytest.raises(FileNotFoundError), tmpchdir(tmp_path / "nothing"):
        pass
    assert os.getcwd() == before


def test_threads_take_turns_in_the_working_directory(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    wrong = []

    def run(folder: Path) -> None:
        for _ in range(50):
            with tmpchdir(folder):
                if os.getcwd() != str(folder):
                    wrong.append(folder)

    for folder in folders:
        folder.mkdir()
    threads = [threading.Thread(target=run, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert filename("/a/b.txt") == "b.txt"
    assert filename("s3://x/y/z.q") == "z.q"
    assert [is_local_path(path) for path in ("/a", "file:///a", Path("x"), "C:\\x", "s3://b/k")] == [True] * 4 + [False]
    monkeypatch.chdir(tmp_path)
    assert to_display_path(tmp_path / "a" / "b") == os.path.join("a", "b")
    assert to_display_path("/") == "/"
    assert to_display_path(tmp_path / "a" / "b", tmp_path / "a") == "b"
    assert relative_path_to_current_platform("a\\b\\c.py") == Path("a", "b", "c.py")
    assert relative_path_to_current_platform("a/b") == Path("a", "b")
    assert get_open_file_limit() > 0
