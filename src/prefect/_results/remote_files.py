"""Files of any storage that fsspec knows, by URL: paths that cannot leave their folder, and folders that are copied."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect._lazy import lazy_module
from prefect._results import files

if TYPE_CHECKING:
    import fsspec
else:
    fsspec = lazy_module("fsspec")


def connect(url: str, options: dict[str, Any]) -> Any:
    """The fsspec file system for a URL.

    Args:
        url: its scheme says which.
        options: for the file system.

    Raises:
        RuntimeError: a package that it needs is not installed.
    """
    scheme = urlsplit(url).scheme
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as exc:
        raise RuntimeError(
            f"The file system for {url!r} cannot be used: {exc}. Install the package that fsspec needs for the scheme "
            f"{scheme!r} (fsspec itself: `pip install fsspec`)."
        ) from exc


def resolve_within(base: str, path: str) -> str:
    """The full URL of a path, or of a URL of the same scheme, in the folder `base`.

    Raises:
        ValueError: the path leads out of the folder, or is a URL of another scheme.
    """
    scheme, _, location = base.rstrip("/").partition("://")
    given_scheme, slashes, given = str(path).partition("://")
    if slashes and given_scheme != scheme:
        raise ValueError(
            f"Path {path!r} with scheme {given_scheme!r} must use the same scheme as the base path {scheme!r}."
        )
    full = PurePosixPath(given) if slashes else PurePosixPath(location, str(path).lstrip("/"))
    normal = os.path.normpath(str(full)).replace(os.sep, "/")
    root = os.path.normpath(location).replace(os.sep, "/")
    if normal != root and not normal.startswith(root + "/"):
        raise ValueError(f"Path {path!r} is outside of the base path {base!r}.")
    return f"{scheme}://{normal}"


def read_file(system: Any, url: str) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        with system.open(url, "rb") as file:
            return file.read()
    except FileNotFoundError as exc:
        raise FileNotFoundError(f"Path {url} does not exist.") from exc


def write_file(system: Any, url: str, content: bytes) -> None:
    """Write a file; missing folders are made."""
    _make_parent(system, url)
    with system.open(url, "wb") as file:
        file.write(content)


def fetch_folder(system: Any, url: str, target: Path) -> None:
    """Copy a folder to one of this machine.

    Raises:
        ValueError: the storage names a file that would lie outside of the target.
    """
    target.mkdir(parents=True, exist_ok=True)
    # the form in which `find` names files: a file system's own, without a public name
    root = system._strip_protocol(url).rstrip("/")
    for remote in system.find(url):
        local = files.resolve_within(target, remote[len(root) :].lstrip("/"))
        local.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(remote, str(local))


def send_files(system: Any, source: Path, names: Iterable[str], url: str, *, overwrite: bool) -> int:
    """Copy files of a folder of this machine.

    Args:
        system: the file system.
        source: the folder.
        names: the files, relative to it.
        url: the folder where they go.
        overwrite: replace files that are there; otherwise they are left as they are.

    Returns:
        how many were copied.
    """
    count = 0
    for name in names:
        remote = resolve_within(url, Path(name).as_posix())
        if not overwrite and system.exists(remote):
            continue
        _make_parent(system, remote)
        system.put_file(str(source / name), remote)
        count += 1
    return count


def _make_parent(system: Any, url: str) -> None:
    system.makedirs(url.rpartition("/")[0], exist_ok=True)
