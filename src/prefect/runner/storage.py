"""Where the code of flows is kept: git repositories, remote file systems, blocks, folders."""

from __future__ import annotations

from prefect._storage.folders import BlockStorageAdapter, LocalStorage, RemoteStorage, RunnerStorage
from prefect._storage.repositories import GitCredentials, GitRepository
from prefect._storage.sources import create_storage_from_source

__all__ = [
    "BlockStorageAdapter",
    "GitCredentials",
    "GitRepository",
    "LocalStorage",
    "RemoteStorage",
    "RunnerStorage",
    "create_storage_from_source",
]
