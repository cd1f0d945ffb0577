"""Which storage a text or path means."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from prefect._storage.folders import LocalStorage, RemoteStorage, RunnerStorage
from prefect._storage.repositories import GitRepository

_GIT_HOSTS = frozenset({"github.com", "gitlab.com", "bitbucket.org"})


def create_storage_from_source(source: str | Path, pull_interval: int | None = 60) -> RunnerStorage:
    """Storage for an address: a git repository, a remote file system, or a folder of this machine.

    Args:
        source: an address that ends in `.git`, or is of the form `git@host:path`, or begins with `git+`, is a
            repository, as is that of a project of a well-known git host; another with a scheme (`s3://`) is a remote file system; `file://` and plain paths are folders.
        pull_interval: seconds between pulls; None: pull once.
    """
    text = os.fspath(source)
    if text.startswith("git+"):
        return GitRepository(text.removeprefix("git+"), pull_interval=pull_interval)
    parts = urlsplit(text)
    is_address = bool(parts.scheme) and "://" in text
    is_repository = is_address and (parts.path.endswith(".git") or _is_of_a_git_host(parts.hostname, parts.path))
    if text.startswith("git@") or is_repository:
        return GitRepository(text, pull_interval=pull_interval)
    if parts.scheme in ("file", "local") and is_address:
        return LocalStorage(unquote(parts.path), pull_interval=pull_interval)
    if is_address:
        return RemoteStorage(text, pull_interval=pull_interval)
    return LocalStorage(text, pull_interval=pull_interval)


def _is_of_a_git_host(host: str | None, path: str) -> bool:
    """Whether an address is that of a project, which is what people copy from their browser."""
    return host in _GIT_HOSTS and len(path.strip("/").split("/")) == 2
