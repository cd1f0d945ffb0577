"""Cloning and pulling, with real repositories."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from prefect._storage.credentials import login_for
from prefect.runner.storage import GitRepository

from .conftest import GitServer, Repository, damage, git


def storage(url: str, base: Path, **options: object) -> GitRepository:
    made = GitRepository(url, **options)  # type: ignore[arg-type]
    made.set_base_path(base)
    return made


def pull(made: GitRepository) -> Path:
    asyncio.run(made.pull_code())
    return made.destination


# ── what is fetched ──


def test_the_default_branch_is_cloned_without_history(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path / "code")
    folder = pull(made)
    assert folder == tmp_path / "code" / "flows"
    assert (folder / "flow.py").read_text() == "ONE = 1\n"
    assert git(folder, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert asyncio.run(made.is_shallow_clone())
    assert not asyncio.run(made.is_sparsely_checked_out())


def test_a_pull_brings_the_newest_commit_and_discards_changes(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path)
    folder = pull(made)
    (folder / "flow.py").write_text("MINE\n")
    repository.commit({"flow.py": "ONE = 2\n"})
    assert (pull(made) / "flow.py").read_text() == "ONE = 2\n"


def test_a_rewritten_branch_is_followed(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path)
    pull(made)
    git(repository.work, "commit", "--quiet", "--amend", "--message", "another story")
    assert (pull(made) / "flow.py").exists()
    repository.commit({"flow.py": "ONE = 3\n"})
    assert (pull(made) / "flow.py").read_text() == "ONE = 3\n"


def test_branches_and_tags_in_the_same_folder(repository: Repository, tmp_path: Path):
    repository.commit({"flow.py": "BRANCH\n"}, branch="feature/one", tag="v1")
    repository.commit({"flow.py": "LATER\n"}, branch="feature/one")
    assert storage(repository.url, tmp_path, branch="feature/one").destination.name == "flows-feature-one"
    one = storage(repository.url, tmp_path, branch="feature/one", name="code")
    assert (pull(one) / "flow.py").read_text() == "LATER\n"
    assert git(one.destination, "rev-parse", "--abbrev-ref", "HEAD") == "feature/one"
    tag = storage(repository.url, tmp_path, branch="v1", name="code")
    assert (pull(tag) / "flow.py").read_text() == "BRANCH\n"
    main = storage(repository.url, tmp_path, name="code")
    assert (pull(main) / "flow.py").read_text() == "ONE = 1\n"


@pytest.mark.parametrize("length", [40, 10])
def test_a_commit(repository: Repository, tmp_path: Path, length: int):
    first = git(repository.work, "rev-parse", "HEAD")
    repository.commit({"flow.py": "ONE = 2\n"})
    made = storage(repository.url, tmp_path, commit_sha=first[:length])
    assert (pull(made) / "flow.py").read_text() == "ONE = 1\n"
    assert asyncio.run(made.is_current_commit())
    pull(made)  # it is there: nothing to fetch


def test_from_a_branch_to_a_commit_and_back(repository: Repository, tmp_path: Path):
    first = git(repository.work, "rev-parse", "HEAD")
    repository.commit({"flow.py": "ONE = 2\n"})
    repository.commit({"flow.py": "ONE = 3\n"})
    pull(storage(repository.url, tmp_path))
    assert (pull(storage(repository.url, tmp_path, commit_sha=first)) / "flow.py").read_text() == "ONE = 1\n"
    assert (pull(storage(repository.url, tmp_path)) / "flow.py").read_text() == "ONE = 3\n"


def test_only_some_folders(git_server: GitServer, repository: Repository, tmp_path: Path):
    url = f"{git_server.url}/flows.git"
    made = storage(url, tmp_path, directories=["a"])
    folder = pull(made)
    assert (folder / "a" / "x.py").exists() and not (folder / "b").exists()
    assert asyncio.run(made.is_sparsely_checked_out())
    other = storage(url, tmp_path, directories=["b"])
    assert (pull(other) / "b" / "y.py").exists() and not (folder / "a").exists()
    assert (pull(storage(url, tmp_path)) / "a" / "x.py").exists()


def test_submodules(git_server: GitServer, repository: Repository, tmp_path: Path):
    library = Repository(tmp_path / "origin", "library")
    library.commit({"lib.py": "LIB\n"})
    git(repository.work, "submodule", "--quiet", "add", f"{git_server.url}/library.git", "lib")
    repository.commit({})
    url = f"{git_server.url}/flows.git"
    assert not (pull(storage(url, tmp_path / "without")) / "lib" / "lib.py").exists()
    made = storage(url, tmp_path / "with", include_submodules=True)
    assert (pull(made) / "lib" / "lib.py").read_text() == "LIB\n"
    library.commit({"lib.py": "LIB 2\n"})
    git(repository.work, "submodule", "--quiet", "update", "--remote")
    repository.commit({})
    assert (pull(made) / "lib" / "lib.py").read_text() == "LIB 2\n"


# ── logins ──


@pytest.mark.parametrize(
    "credentials, login",
    [
        ({"access_token": "t0ps3cret"}, "t0ps3cret:"),
        ({"access_token": SecretStr("t0ps3cret"), "username": "me"}, "me:t0ps3cret"),
        ({"token": "t0ps3cret", "username": "me"}, "me:t0ps3cret"),
    ],
)
def test_a_private_repository(
    git_server: GitServer, repository: Repository, tmp_path: Path, credentials: object, login: str
):
    git_server.login = login
    folder = pull(storage(f"{git_server.url}/flows.git", tmp_path, credentials=credentials))
    assert (folder / "flow.py").exists()
    for file in (folder / ".git").rglob("*"):
        assert not file.is_file() or b"t0ps3cret" not in file.read_bytes()


def test_a_token_in_the_address_is_taken_out_of_it(git_server: GitServer, repository: Repository, tmp_path: Path):
    git_server.login = "me:t0p%s3cret"
    url = git_server.url.replace("://", "://me:t0p%25s3cret@") + "/flows.git"
    folder = pull(storage(url, tmp_path))
    assert "t0p" not in (folder / ".git" / "config").read_text()
    assert "t0p" not in repr(storage(url, tmp_path))


def test_a_token_is_never_among_the_arguments(
    git_server: GitServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = tmp_path / "arguments"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    git_server.login = "me:t0ps3cret"
    pull(storage(f"{git_server.url}/flows.git", tmp_path, credentials={"username": "me", "password": "t0ps3cret"}))
    assert "fetch" in seen.read_text() and "t0ps3cret" not in seen.read_text()


def test_a_login_is_not_for_other_servers(git_server: GitServer, repository: Repository, tmp_path: Path):
    made = storage("http://localhost:9/flows.git", tmp_path, credentials={"access_token": "t0ps3cret"})
    environment = made._clone().git._environment()
    assert [key for key in environment.values() if key.startswith("credential.http")] == [
        "credential.http://localhost:9.helper"
    ]


def test_a_wrong_token_is_an_error_that_does_not_show_it(git_server: GitServer, repository: Repository, tmp_path: Path):
    git_server.login = "right:right"
    with pytest.raises(RuntimeError, match="failed with exit code") as caught:
        pull(storage(f"{git_server.url}/flows.git", tmp_path, credentials={"access_token": "t0ps3cret"}))
    assert "t0ps3cret" not in str(caught.value)


# ── faults ──


def test_a_damaged_clone_is_replaced(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path)
    damage(pull(made))
    repository.commit({"flow.py": "ONE = 2\n"})
    assert (pull(made) / "flow.py").read_text() == "ONE = 2\n"
    assert sorted(path.name for path in tmp_path.iterdir() if "flows" in path.name) == ["flows"]


def test_a_lock_that_a_killed_pull_left_is_no_obstacle(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path)
    (pull(made) / ".git" / "index.lock").touch()
    repository.commit({"flow.py": "ONE = 2\n"})
    assert (pull(made) / "flow.py").read_text() == "ONE = 2\n"


@pytest.mark.faults
def test_a_pull_that_is_killed_leaves_nothing_in_the_way(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path / "code")
    program = (
        "import asyncio, os, pathlib, sys\n"
        "from prefect._storage import clone\n"
        "from prefect.runner.storage import GitRepository\n"
        "clone.Clone._check_out = lambda *_: os.kill(os.getpid(), 9)\n"
        "made = GitRepository(sys.argv[1])\n"
        "made.set_base_path(pathlib.Path(sys.argv[2]))\n"
        "asyncio.run(made.pull_code())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, repository.url, str(tmp_path / "code")], check=False)
    assert done.returncode == -signal.SIGKILL and len(list((tmp_path / "code").iterdir())) == 1
    assert (pull(made) / "flow.py").exists()
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["flows"]


def test_a_repository_that_is_gone_leaves_the_clone(repository: Repository, tmp_path: Path):
    made = storage(repository.url, tmp_path / "code")
    folder = pull(made)
    shutil.rmtree(repository.bare)
    with pytest.raises(RuntimeError, match=r"file://.*flows\.git failed"):
        pull(made)
    assert (folder / "flow.py").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["flows"]


def test_a_bad_moment_of_the_server_passes(
    git_server: GitServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("prefect._storage.repositories._PAUSES", (0.01, 0.01, None))
    git_server.bad_moments = 2
    assert (pull(storage(f"{git_server.url}/flows.git", tmp_path)) / "flow.py").exists()
    git_server.bad_moments = 3
    with pytest.raises(RuntimeError, match="503"):
        pull(storage(f"{git_server.url}/flows.git", tmp_path / "other"))


def test_a_branch_that_is_not_there(repository: Repository, tmp_path: Path):
    with pytest.raises(RuntimeError, match="has no branch or tag 'nope'"):
        pull(storage(repository.url, tmp_path, branch="nope"))


def test_a_folder_that_is_something_else_is_left_alone(repository: Repository, tmp_path: Path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already and is no clone"):
        pull(storage(repository.url, tmp_path))
    other = Repository(tmp_path / "other", "flows")
    other.commit({"other.py": ""})
    pull(storage(other.url, tmp_path / "code"))
    with pytest.raises(ValueError, match="does not match the configured repository"):
        pull(storage(repository.url, tmp_path / "code"))
    assert (tmp_path / "flows" / "precious.txt").read_text() == "mine"


def test_many_pulls_at_once(repository: Repository, tmp_path: Path):
    async def everybody() -> None:
        await asyncio.gather(*(storage(repository.url, tmp_path).pull_code() for _ in range(6)))

    asyncio.run(everybody())
    assert git(tmp_path / "flows", "status", "--porcelain") == ""


# ── arguments that are no arguments ──


@pytest.mark.parametrize(
    "options",
    [
        {"url": "--upload-pack=touch /tmp/x"},
        {"url": "ext::sh -c touch% /tmp/x"},
        {"url": "https://x/y.git", "branch": "--upload-pack=x"},
        {"url": "https://x/y.git", "branch": "a b"},
        {"url": "https://x/y.git", "branch": "a\n--x"},
        {"url": "https://x/y.git", "commit_sha": "--exec=x"},
        {"url": "https://x/y.git", "commit_sha": "main"},
        {"url": "https://x/y.git", "directories": ["--stdin"]},
        {"url": "https://x/y.git", "directories": ["../../etc"]},
        {"url": "https://x/y.git", "name": "../../somewhere"},
        {"url": "https://x/y.git", "name": "/etc"},
        {"url": "https://x/.."},
        {"url": "https://x/y.git", "branch": "a", "commit_sha": "abcd"},
        {"url": "https://x/y.git", "credentials": {"username": "me"}},
    ],
)
def test_what_git_could_misread_is_refused(options: dict[str, object]):
    with pytest.raises(ValueError):
        GitRepository(**options)  # type: ignore[arg-type]


def test_there_is_no_git(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="There is no program `git`"):
        pull(storage(repository.url, tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="hooks are shell scripts")
def test_a_pull_in_a_git_hook_is_not_confused_by_it(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_DIR", str(repository.work / ".git"))
    folder = pull(storage(repository.url, tmp_path))
    monkeypatch.delenv("GIT_DIR")
    assert (folder / "flow.py").exists()


class FormattingCredentials:
    """As the blocks of git providers are, which know how their addresses look."""

    def format_git_credentials(self, url: str) -> str:
        return url.replace("://", "://me:t0p%2Fs3cret@")


def test_credentials_that_put_themselves_into_the_address(
    git_server: GitServer, repository: Repository, tmp_path: Path
):
    git_server.login = "me:t0p/s3cret"
    folder = pull(storage(f"{git_server.url}/flows.git", tmp_path, credentials=FormattingCredentials()))
    assert "t0p" not in (folder / ".git" / "config").read_text()


@pytest.mark.parametrize(
    "url, credentials, login",
    [
        ("https://github.com/o/r.git", {"access_token": "t"}, ("x-access-token", "t")),
        ("https://gitlab.example.com/o/r.git", {"access_token": "t"}, ("oauth2", "t")),
        ("https://gitlab.example.com/o/r.git", {"token": "deploy:t"}, ("deploy", "t")),
        ("https://bitbucket.org/o/r.git", {"token": "t"}, ("x-token-auth", "t")),
        ("https://bitbucketserver.example.com/r.git", {"token": "t", "username": "u"}, ("u", "t")),
        ("https://git.example.com/r.git", {"password": "t", "username": "u"}, ("u", "t")),
        ("https://git.example.com/r.git", {"access_token": "t"}, ("t", "")),
    ],
)
def test_the_form_that_each_kind_of_server_wants(url: str, credentials: object, login: tuple[str, str]):
    assert login_for(url, credentials) == login


def test_credentials_without_a_token():
    with pytest.raises(ValueError, match="hold no token"):
        login_for("https://git.example.com/r.git", {"username": None})
    with pytest.raises(ValueError, match="wants a user name"):
        login_for("https://bitbucketserver.example.com/r.git", {"token": "t"})
