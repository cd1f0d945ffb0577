"""Steps that fetch the code of a flow to where it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._bridge import async_dispatch, run_coro_as_sync
from prefect._lazy import lazy_module
from prefect._storage.folders import BlockStorageAdapter, RemoteStorage
from prefect._storage.repositories import GitRepository

if TYPE_CHECKING:
    from prefect.blocks import core as blocks
else:
    blocks = lazy_module("prefect.blocks.core")

__all__ = ["agit_clone", "git_clone", "pull_from_remote_storage", "pull_with_block", "set_working_directory"]


def set_working_directory(directory: str) -> dict[str, str]:
    """Go to a directory.

    Args:
        directory: where the flow's entrypoint is looked for, and the flow runs.

    Returns:
        `directory`.

    Raises:
        FileNotFoundError, NotADirectoryError: there is none.
    """
    os.chdir(directory)
    return {"directory": directory}


async def agit_clone(
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    include_submodules: bool = False,
    access_token: str | None = None,
    credentials: Any | None = None,
    directories: list[str] | None = None,
    clone_directory_name: str | None = None,
) -> dict[str, str]:
    """`git_clone` for asynchronous code."""
    if access_token and credentials:
        raise ValueError("Please provide either an access token or credentials but not both.")
    storage = GitRepository(
        url=repository,
        credentials={"access_token": access_token} if access_token else credentials,
        name=clone_directory_name,
        branch=branch,
        commit_sha=commit_sha,
        include_submodules=include_submodules,
        directories=directories,
    )
    await storage.pull_code()
    return {"directory": str(storage.destination.relative_to(Path.cwd()))}


@async_dispatch(agit_clone)
def git_clone(
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    include_submodules: bool = False,
    access_token: str | None = None,
    credentials: Any | None = None,
    directories: list[str] | None = None,
    clone_directory_name: str | None = None,
) -> dict[str, str]:
    """Clone a git repository into the working directory, or bring the clone there up to date.

    Args:
        repository: its address.
        branch: a branch or tag; the default branch unless given.
        commit_sha: a commit, instead of a branch.
        include_submodules: fetch those, too.
        access_token: for a private repository; write `{{ prefect.blocks.secret.<name> }}`.
        credentials: instead of a token: a block of a git provider, or `username` and `access_token`.
        directories: check out only these.
        clone_directory_name: of the folder; made of the repository's and the branch's name unless given.

    Returns:
        `directory`, relative to the working directory.

    Raises:
        RuntimeError: git failed.
        ValueError: the arguments contradict each other, or the folder is there and is something else.
    """
    return run_coro_as_sync(
        agit_clone(
            repository, branch, commit_sha, include_submodules, access_token, credentials, directories,
            clone_directory_name,
        )
    )  # fmt: skip


async def pull_from_remote_storage(url: str, **settings: Any) -> dict[str, str]:
    """Copy a folder of a remote file system into the working directory.

    Args:
        url: its address, such as `s3://bucket/folder`.
        **settings: for the file system (`fsspec`).

    Returns:
        `directory`, relative to the working directory.

    Raises:
        PrefectImportError: a package that reads such addresses is not installed.
        RuntimeError: it cannot be read.
    """
    storage = RemoteStorage(url, **settings)
    await storage.pull_code()
    return {"directory": str(storage.destination.relative_to(Path.cwd()))}


async def pull_with_block(block_document_name: str, block_type_slug: str) -> dict[str, str]:
    """Copy what a saved storage block holds into the working directory.

    Args:
        block_document_name: its name.
        block_type_slug: its type, such as `s3-bucket`.

    Returns:
        `directory`, relative to the working directory.

    Raises:
        ValueError: there is no such block, or it is no storage.
    """
    block = await blocks.Block.aload(f"{block_type_slug}/{block_document_name}")
    storage = BlockStorageAdapter(block)
    await storage.pull_code()
    return {"directory": str(storage.destination.relative_to(Path.cwd()))}
