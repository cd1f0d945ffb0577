"""Local files: paths that cannot leave their folder, and writes that are whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


def resolve_within(base: str | Path | None, path: str | Path) -> Path:
    """The absolute path of `path` in the folder `base` (None: the working directory).

    `..`, absolute paths and symbolic links are followed before the check.

    Raises:
        ValueError: the path leads out of the folder.
    """
    root = os.path.realpath(os.path.expanduser(base)) if base is not None else os.path.realpath(os.getcwd())
    full = os.path.realpath(os.path.join(root, os.path.expanduser(path)))
    if full != root and not full.startswith(root if root.endswith(os.sep) else root + os.sep):
        raise ValueError(
            f"Provided path {full} is outside of the base path {root}. Use a path inside it, or another file system."
        )
    return Path(full)


def read_file(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        ValueError: there is no such file, or it is a folder.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise ValueError(f"Path {path} does not exist.") from None
    except IsADirectoryError:
        raise ValueError(f"Path {path} is not a file.") from None


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new, whatever happens to the writer.

    The content goes to a new file beside it, which then takes its name. Missing folders are made.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{os.getpid():x}-{os.urandom(6).hex()}.tmp")
    try:
        descriptor = _create(temporary)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        descriptor = _create(temporary)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
        os.replace(temporary, os.path.join(folder, name))
    except BaseException:
        os.unlink(temporary)
        raise


def copy_folder(source: Path, target: Path, names: Iterable[str] | None = None) -> None:
    """Copy what is in a folder into another one, which may be inside it; files that are there are replaced.

    Args:
        source: the folder.
        target: where to; made as needed. The same folder: nothing is done.
        names: the files to copy, relative to the folder; None: all.
    """
    if source == target:
        return
    if names is None:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=_all_but(target))
        return
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def _all_but(left_out: Path) -> Callable[[str, list[str]], list[str]]:
    def ignore(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name) == left_out]

    return ignore


def _create(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags, 0o666)
