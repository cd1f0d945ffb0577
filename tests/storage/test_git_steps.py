"""The step that clones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from prefect.blocks.core import Block
from prefect.deployments.steps import git_clone
from prefect.deployments.steps.core import StepExecutionError, run_steps

from .conftest import GitServer, Repository

CLONE = "prefect.deployments.steps.git_clone"


@pytest.fixture(autouse=True)
def in_a_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def clone(**inputs: Any) -> dict[str, Any]:
    return asyncio.run(run_steps([{CLONE: inputs}], print_function=lambda text: None))


def test_cloning(repository: Repository, in_a_folder: Path):
    assert clone(repository=repository.url, branch="main") == {"directory": "flows-main"}
    assert clone(repository=repository.url, clone_directory_name="x") == {"directory": "x"}
    assert (in_a_folder / "x" / "flow.py").exists()
    with pytest.raises(StepExecutionError, match="either an access token or credentials"):
        clone(repository=repository.url, access_token="a", credentials={"token": "b"})


def test_cloning_in_synchronous_code(repository: Repository):
    assert git_clone(repository.url) == {"directory": "flows"}


def test_a_repository_that_is_gone(tmp_path: Path):
    with pytest.raises(
        StepExecutionError, match=r"Encountered error while running prefect.deployments.steps.git_clone"
    ):
        clone(repository=f"file://{tmp_path}/gone.git")


class GitlabLikeCredentials(Block):
    """A block as those of git providers are."""

    token: str
    username: str | None = None


def test_credentials_of_a_block(git_server: GitServer, repository: Repository, in_a_folder: Path):
    git_server.login = "me:t0ps3cret"
    GitlabLikeCredentials(token="t0ps3cret", username="me").save("mine")
    reference = "{{ prefect.blocks.gitlablikecredentials.mine }}"
    assert clone(repository=f"{git_server.url}/flows.git", credentials=reference) == {"directory": "flows"}
