"""A Dockerfile written line by line."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self, TextIO

from prefect._deploying.images import build_image


def to_run_command(command: Sequence[str]) -> str:
    """The line of a Dockerfile that runs a command; empty text for none."""
    return f"RUN {shlex.join(command)}" if command else ""


class ImageBuilder:
    """Writes a Dockerfile, gathers the files that it needs, and builds the image; used in a `with` block.

    Args:
        base_image: the image to begin with.
        base_directory: the folder that files to copy are relative to; that of the context, or the working directory.
        platform: such as `linux/amd64`.
        context: a folder to build from; a temporary one unless given.

    Raises:
        ValueError: the context has a Dockerfile already.
    """

    __module__ = "prefect.utilities.dockerutils"

    def __init__(
        self,
        base_image: str,
        base_directory: Path | None = None,
        platform: str | None = None,
        context: Path | None = None,
    ) -> None:
        self.base_directory = Path(base_directory or context or Path.cwd()).resolve()
        self.platform = platform
        self.context: Path | None = Path(context) if context is not None else None
        self._temporary = context is None
        if self.context is not None and (self.context / "Dockerfile").exists():
            raise ValueError(f"There is already a Dockerfile at {self.context / 'Dockerfile'}")
        self.dockerfile_lines: list[str] = []
        self.add_line(f"FROM {base_image}")

    def __enter__(self) -> Self:
        if self.context is None:
            self.context = Path(tempfile.mkdtemp(prefix="prefect-image-"))
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._temporary and self.context is not None:
            shutil.rmtree(self.context, ignore_errors=True)
            self.context = None

    def _folder(self) -> Path:
        if self.context is None:
            raise RuntimeError("An ImageBuilder is used in a `with` block: `with ImageBuilder(...) as image:`.")
        return self.context

    def add_line(self, line: str) -> None:
        """Add a line."""
        self.add_lines([line])

    def add_lines(self, lines: Iterable[str]) -> None:
        """Add lines."""
        self.dockerfile_lines.extend(lines)

    def copy(self, source: str | Path, destination: str | PurePosixPath) -> None:
        """Add a line that copies a file or folder, and take it into the context.

        Args:
            source: relative to the base directory.
            destination: where in the image.

        Raises:
            ValueError: it is outside of the base directory.
            FileNotFoundError: it is not there.
        """
        inner = (self.base_directory / source).resolve().relative_to(self.base_directory)
        if self._temporary:
            origin, target = self.base_directory / inner, self._folder() / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, target, dirs_exist_ok=True)
            else:
                shutil.copy2(origin, target)
        self.add_line(f"COPY {inner.as_posix()} {PurePosixPath(destination)}")

    def write_text(self, text: str, destination: str | PurePosixPath) -> None:
        """Add a line that copies a file with this text."""
        name = f".{hashlib.sha256(text.encode()).hexdigest()}"
        (self._folder() / name).write_text(text, encoding="utf-8")
        self.add_line(f"COPY {name} {PurePosixPath(destination)}")

    def build(self, pull: bool = False, stream_progress_to: TextIO | None = None) -> str:
        """Build the image; returns its id.

        Args:
            pull: look for a newer base image first.
            stream_progress_to: a file to write what the engine says to.

        Raises:
            BuildError: the engine refuses, or a line of the Dockerfile fails.
        """
        file = self._folder() / "Dockerfile"
        file.write_text("\n".join([*self.dockerfile_lines, ""]), encoding="utf-8")
        return build_image(self._folder(), platform=self.platform, pull=pull, stream_progress_to=stream_progress_to)

    # -- for tests of what builds images ---------------------------------------------------------------------------

    def assert_has_line(self, line: str) -> None:
        """Fail unless the Dockerfile has a line."""
        self._assert(line in self.dockerfile_lines, f"Expected {line!r} not in:")

    def assert_line_absent(self, line: str) -> None:
        """Fail if the Dockerfile has a line."""
        self._assert(line not in self.dockerfile_lines, f"Unexpected {line!r} in:")

    def assert_line_before(self, first: str, second: str) -> None:
        """Fail unless the Dockerfile has a line before another."""
        self.assert_has_line(first)
        self.assert_has_line(second)
        lines = self.dockerfile_lines
        self._assert(lines.index(first) < lines.index(second), f"Expected {first!r} before {second!r} in:")

    def assert_line_after(self, second: str, first: str) -> None:
        """Fail unless the Dockerfile has a line after another."""
        self.assert_line_before(first, second)

    def assert_has_file(self, source: Path, container_path: PurePosixPath) -> None:
        """Fail unless the context has a file like another, and the Dockerfile copies it somewhere."""
        found = [
            line for line in self.dockerfile_lines if line.endswith(f" {container_path}") and line.startswith("COPY ")
        ]
        self._assert(bool(found), f"Nothing is copied to {container_path} in:")
        mine = self._folder() / found[-1].split(" ")[1]
        self._assert(mine.read_bytes() == source.read_bytes(), f"{mine} is not like {source}:")

    def _assert(self, holds: bool, message: str) -> None:
        if not holds:
            raise AssertionError("\n".join([message, *(f"    {line}" for line in self.dockerfile_lines)]))
