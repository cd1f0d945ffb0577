"""Git repositories as storage."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from prefect._storage.clone import Clone, Wanted
from prefect._storage.credentials import login_for, split_url, without_login
from prefect._storage.git import Git, GitError, check_directory, check_ref, check_sha, check_url
from prefect._storage.locking import destination_lock
from prefect._storage.pulling import Pulled
from prefect._storage.references import reference_to

_log = logging.getLogger("prefect.storage")
_PAUSES = (1.0, 3.0, None)
"""Seconds before a pull is tried again that failed for what may pass; None: no more."""


class GitCredentials(TypedDict, total=False):
    """What a private repository asks for; tokens may be saved `Secret` blocks."""

    username: str
    access_token: Any


class GitRepository(Pulled):
    """Pulls the code of flows from a git repository.

    ```python
    GitRepository("https://github.com/org/repo.git", branch="main", credentials={"access_token": Secret.load("token")})
    ```

    Args:
        url: the repository's address.
        credentials: for a private repository: `username` and `access_token`, or a credentials block of a git provider.
        name: of the folder that it is cloned to; made of the repository's and the branch's unless given.
        branch: a branch or tag; the default branch unless given.
        commit_sha: the commit, instead of a branch.
        include_submodules: fetch those, too.
        pull_interval: seconds between pulls of whoever serves flows from it; None: pull once.
        directories: check out only these folders (and the files beside them).

    Raises:
        ValueError: branch and commit are both given, a name would be taken for an option of git, or there is a user name
            without a token.
    """

    def __init__(
        self,
        url: str,
        credentials: GitCredentials | Any | None = None,
        name: str | None = None,
        branch: str | None = None,
        commit_sha: str | None = None,
        include_submodules: bool = False,
        pull_interval: int | None = 60,
        directories: list[str] | None = None,
    ) -> None:
        if branch and commit_sha:
            raise ValueError("Cannot provide both a branch and a commit SHA. Please provide only one.")
        if branch and branch.startswith("-"):
            raise ValueError("Branch names cannot start with '-'.")
        if isinstance(credentials, dict):
            credentials = {key: value for key, value in credentials.items() if value is not None}
            if credentials.get("username") and not any(
                credentials.get(k) for k in ("access_token", "token", "password")
            ):
                raise ValueError("If a username is provided, an access token or password must also be provided.")
        self._url = check_url(url)
        self._branch = check_ref(branch, "branch") if branch else None
        self._commit_sha = check_sha(commit_sha) if commit_sha else None
        self._credentials = credentials or None
        self._include_submodules = include_submodules
        self._directories = [check_directory(path) for path in directories or ()]
        super().__init__(pull_interval)
        self._named = name
        self._name = name or _folder_name(url, branch)
        if Path(self._name).is_absolute() or not {"..", ""}.isdisjoint({self._name, *Path(self._name).parts}):
            raise ValueError(f"{self._name!r} cannot be the name of the folder to clone to: it leads elsewhere.")

    @property
    def destination(self) -> Path:
        """The folder that the repository is cloned to."""
        return self._storage_base_path / self._name

    def _clone(self) -> Clone:
        address, login = split_url(self._url)
        if self._credentials is not None:
            if urlsplit(address).scheme in ("http", "https"):
                login = login_for(address, self._credentials)
            else:
                _log.warning(
                    "Credentials are for addresses by HTTP; %s is reached without them.", without_login(address)
                )
        return Clone(Git(address, login), self.destination)

    def _pull(self) -> None:
        wanted = Wanted(self._branch, self._commit_sha, self._include_submodules, self._directories)
        with destination_lock(self.destination):
            for pause in _PAUSES:
                try:
                    self._clone().pull(wanted)
                except GitError as error:
                    if pause is None or not error.may_pass:
                        raise
                    _log.warning("%s Trying again in %s s.", error, pause)
                    time.sleep(pause)
                else:
                    return

    async def pull_code(self) -> None:
        """Bring the destination to the newest commit of the branch, or to the commit; it is cloned if it is not there.

        What was changed in the destination is discarded. Pulls of the same destination, in this or other processes, wait for
        each other.

        Raises:
            RuntimeError: the repository, branch or commit cannot be had; the message has what git said, without
                secrets.
            ValueError: the destination is there and is something else.
        """
        await asyncio.to_thread(self._pull)

    async def is_current_commit(self) -> bool:
        """Whether the wanted commit is the one that is checked out.

        Raises:
            ValueError: no commit is wanted, but a branch.
        """
        if not self._commit_sha:
            raise ValueError("No commit SHA provided")
        commit = await asyncio.to_thread(self._clone().commit)
        return commit is not None and commit.startswith(self._commit_sha.lower())

    async def is_shallow_clone(self) -> bool:
        """Whether the history was left out of the clone."""
        return await asyncio.to_thread(self._clone().is_shallow)

    async def is_sparsely_checked_out(self) -> bool:
        """Whether only some folders are checked out."""
        return await asyncio.to_thread(self._clone().is_sparse)

    def to_pull_step(self) -> dict[str, Any]:
        """The pull step that clones this repository, with references to the blocks that hold its secrets.

        Raises:
            ValueError: a token, or a credentials block, is not saved, so a step cannot refer to it.
        """
        address, login = split_url(self._url)
        inputs: dict[str, Any] = {"repository": address, "branch": self._branch}
        if login is not None and self._credentials is None:
            raise ValueError(
                "The address of the repository holds a token, which everybody who sees the deployment could read. "
                "Save the token as a Secret block and give it as `credentials={'access_token': Secret.load(...)}`."
            )
        if self._named:
            inputs["clone_directory_name"] = self._named
        if self._commit_sha:
            inputs["commit_sha"] = self._commit_sha
        if self._credentials is not None:
            inputs["credentials"] = _reference(self._credentials)
        if self._directories:
            inputs["directories"] = list(self._directories)
        if self._include_submodules:
            inputs["include_submodules"] = True
        return {"prefect.deployments.steps.git_clone": inputs}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GitRepository):
            return NotImplemented
        return (self._url, self._branch, self._commit_sha, self._name, self._directories) == (
            other._url, other._branch, other._commit_sha, other._name, other._directories
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        at = f"commit_sha={self._commit_sha!r}" if self._commit_sha else f"branch={self._branch!r}"
        return f"GitRepository(name={self._name!r}, repository={without_login(self._url)!r}, {at})"


def _folder_name(url: str, branch: str | None) -> str:
    last = url.rstrip("/").replace("\\", "/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
    return f"{last}-{branch.replace('/', '-')}" if branch else last


def _reference(credentials: Any) -> Any:
    if not isinstance(credentials, dict):
        return reference_to(credentials)
    written = dict(credentials)
    for key in ("access_token", "token", "password"):
        if key not in written:
            continue
        try:
            written[key] = reference_to(written[key])
        except ValueError as error:
            raise ValueError(
                "Please save your access token as a Secret block before converting this storage object to a pull step."
            ) from error
    return written


__all__ = ["GitCredentials", "GitError", "GitRepository"]
