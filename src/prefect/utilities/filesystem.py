"""Helpers for files and paths."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

_IGNORED = """\
# What `prefect deploy` and storage uploads leave out; same patterns as in .gitignore

# Python
__pycache__/
*.py[cod]
*.egg-info/
.venv/
venv/
.ipynb_checkpoints/
.mypy_cache/
.pytest_cache/
.ruff_cache/

# version control, editors, systems
.git/
.idea/
.vscode/
.DS_Store

# Prefect
.prefect/
"""

_chdir_lock = threading.RLock()


def create_default_ignore_file(path: str | os.PathLike[str]) -> bool:
    """Write a `.prefectignore` with the usual patterns, unless there is one.

    Args:
        path: the folder.

    Returns:
        Whether it was written.
    """
    try:
        with open(Path(path) / ".prefectignore", "x", encoding="utf-8") as file:
            file.write(_IGNORED)
    except FileExistsError:
        return False
    return True


def filter_files(
    root: str | os.PathLike[str] = ".", ignore_patterns: Iterable[str] | None = None, include_dirs: bool = True
) -> set[str]:
    """Find the files of a folder that are not ignored.

    Args:
        root: the folder.
        ignore_patterns: patterns as in `.gitignore` (gitignore(5)): later ones win, `!` takes back.
        include_dirs: whether to name folders too.

    Returns:
        Paths relative to the folder.
    """
    rules = [rule for rule in map(_IgnoreRule.parse, ignore_patterns or ()) if rule is not None]
    found: set[str] = set()
    pending = [("", os.fspath(root))]
    while pending:
        prefix, folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                is_dir = entry.is_dir(follow_symlinks=False)
                # of an ignored folder nothing can be taken back, so there is no need to look into it
                if _is_ignored(rules, path, is_dir):
                    continue
                if is_dir:
                    pending.append((path + "/", entry.path))
                if include_dirs or not entry.is_dir():
                    found.add(path.replace("/", os.sep))
    return found


class _IgnoreRule:
    """One line of a `.gitignore`."""

    __slots__ = ("folders_only", "matches", "negated")

    def __init__(self, expression: re.Pattern[str], negated: bool, folders_only: bool) -> None:
        self.matches = expression.fullmatch
        self.negated = negated
        self.folders_only = folders_only

    @classmethod
    def parse(cls, line: str) -> _IgnoreRule | None:
        pattern = re.sub(r"(?<!\\)((?:\\\\)*) +$", r"\1", line.rstrip("\r\n"))
        if not pattern or pattern.startswith("#"):
            return None
        negated = pattern.startswith("!")
        pattern = pattern[negated:]
        folders_only = pattern.endswith("/")
        pattern = pattern.removesuffix("/")
        if not pattern:
            return None
        # with a slash in it, it is about a path from the root on, else about a name anywhere
        prefix = "" if "/" in pattern else "(?:.*/)?"
        try:
            return cls(re.compile(prefix + _translate(pattern.removeprefix("/")), re.DOTALL), negated, folders_only)
        except re.error:
            return None  # as git does: what is no pattern matches nothing


def _translate(pattern: str) -> str:
    """The regular expression for a pattern of gitignore(5)."""
    out = []
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        at_start = position == 0 or pattern[position - 1] == "/"
        stars = len(rest) - len(rest.lstrip("*"))
        if at_start and stars > 1 and rest[stars:].startswith("/"):
            out.append("(?:.*/)?")
            position += stars + 1
        elif at_start and stars > 1 and stars == len(rest):
            out.append(".+")
            position += stars
        elif stars:
            out.append("[^/]*")
            position += stars
        elif rest[0] == "?":
            out.append("[^/]")
            position += 1
        elif rest[0] == "[" and (found := re.match(r"\[([!^]?)(\]?[^\]]*)\]", rest)):
            inside = re.sub(r"([\[&~|])", r"\\\1", found[2])
            inside = "\\" + inside if inside.startswith("]") else inside
            out.append(f"(?!/)[{'^' if found[1] else ''}{inside}]")
            position += len(found[0])
        elif rest[0] == "\\" and len(rest) > 1:
            out.append(re.escape(rest[1]))
            position += 2
        else:
            out.append(re.escape(rest[0]))
            position += 1
    return "".join(out)


def _is_ignored(rules: list[_IgnoreRule], path: str, is_dir: bool) -> bool:
    for rule in reversed(rules):
        if (is_dir or not rule.folders_only) and rule.matches(path):
            return not rule.negated
    return False


@contextmanager
def tmpchdir(path: str | os.PathLike[str]) -> Iterator[str]:
    """Change the working directory for the duration of a `with` block; other threads wait their turn.

    The working directory belongs to the whole process: code in other threads that does not use this sees the change.

    Args:
        path: the folder, or a file in it.

    Yields:
        The folder.
    """
    target = os.path.abspath(path)
    if os.path.isfile(target):
        target = os.path.dirname(target)
    with _chdir_lock:
        before = os.getcwd()
        os.chdir(target)
        try:
            yield target
        finally:
            os.chdir(before)


def filename(path: str | os.PathLike[str]) -> str:
    """The last part of a path or address, without what precedes the last slash."""
    text = os.fspath(path)
    return re.split(r"[/\\]" if os.sep == "\\" else "/", text)[-1]


def is_local_path(path: str | os.PathLike[str] | Any) -> bool:
    """Whether a path is one of this machine's file system, and no address such as `s3://bucket/key`."""
    if isinstance(path, os.PathLike) and not hasattr(path, "fs"):
        return True
    scheme = urlsplit(str(path)).scheme
    return scheme in ("", "file", "local") or len(scheme) == 1  # one letter: a Windows drive


def to_display_path(path: str | os.PathLike[str], relative_to: str | os.PathLike[str] | None = None) -> str:
    """The shortest way to show a path: relative to a folder if it is in it, or absolute if that is shorter.

    Args:
        path: the path.
        relative_to: the folder; default the working directory.
    """
    absolute = Path(path).absolute()
    relative = os.path.relpath(absolute, Path(relative_to or Path.cwd()).absolute())
    outside = relative == os.pardir or relative.startswith(os.pardir + os.sep)
    return str(absolute) if outside or len(str(absolute)) < len(relative) else relative


def relative_path_to_current_platform(path_str: str) -> Path:
    """A relative path written on any platform, as a path of this one."""
    return Path(*PureWindowsPath(path_str).parts) if "\\" in path_str else Path(PurePosixPath(path_str))


def get_open_file_limit() -> int:
    """How many files this process may have open at once."""
    try:
        import resource  # not there on Windows
    except ImportError:
        return 8192 if os.name != "nt" else _windows_open_file_limit()
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _windows_open_file_limit() -> int:
    import ctypes

    return ctypes.cdll.ucrtbase._getmaxstdio()
