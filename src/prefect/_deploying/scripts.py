"""Steps that run commands."""

from __future__ import annotations

import io
import os
import shlex
import string
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from prefect._deploying.requirements import installer
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect.utilities import processutils
else:
    processutils = lazy_module("prefect.utilities.processutils")


class _Tee(io.TextIOBase):
    """Keeps what is written, and passes it on."""

    def __init__(self, onward: TextIO | None) -> None:
        self._onward = onward
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._parts.append(text)
        if self._onward is not None:
            self._onward.write(text)
        return len(text)

    def flush(self) -> None:
        if self._onward is not None:
            self._onward.flush()

    @property
    def text(self) -> str:
        return "".join(self._parts).strip()


def commands(script: str) -> Iterator[list[str]]:
    """The commands of a script, one a line, taken apart as a POSIX shell does (without running one).

    A line goes on after a backslash at its end, and while a quotation mark is open. Lines that begin with `#` are left out.

    Raises:
        ValueError: a quotation mark is never closed.
    """
    pending = ""
    problem: ValueError | None = None
    for line in script.splitlines():
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending += line
        if pending.endswith("\\") and sys.platform != "win32":
            pending = pending[:-1]
            continue
        try:
            parts = shlex.split(pending, posix=sys.platform != "win32")
        except ValueError as error:
            problem, pending = error, f"{pending}\n"
            continue
        pending = ""
        yield parts
    if pending.strip():
        raise ValueError(f"The script cannot be read, from {pending.strip().splitlines()[0]!r} on: {problem}")


async def run_commands(
    name: str,
    every: list[list[str]],
    directory: str | os.PathLike[str] | None,
    env: Mapping[str, str | None] | None,
    stream_output: bool,
) -> dict[str, str]:
    """Run commands one after the other, until one fails.

    Args:
        name: of the step, for messages.
        every: the commands.
        directory: to run them in; the working directory unless given.
        env: variables beside those of this process; None takes one away.
        stream_output: pass what they print on, too.

    Returns:
        What they printed, as `stdout` and `stderr`.

    Raises:
        RuntimeError: one failed, cannot be started, or there is no such directory.
    """
    _check_directory(name, directory)
    environment = environment_with(env)
    out, err = _Tee(sys.stdout if stream_output else None), _Tee(sys.stderr if stream_output else None)
    for command in every:
        if not command:
            continue
        try:
            async with processutils.open_process(command, cwd=directory, env=environment) as process:
                await processutils.consume_process_output(process, out, err)  # type: ignore[arg-type]
                code = await process.wait()
        except OSError as error:
            raise RuntimeError(f"`{name}` failed: {command[0]!r} cannot be run: {error.strerror or error}.") from error
        if code != 0:
            raise RuntimeError(f"`{name}` failed with error code {code}: {err.text or out.text}")
    return {"stdout": out.text, "stderr": err.text}


def _check_directory(name: str, directory: str | os.PathLike[str] | None) -> None:
    if directory is not None and not os.path.isdir(directory):
        raise RuntimeError(f"`{name}` cannot run in {directory}: there is no such directory.")


def environment_with(env: Mapping[str, str | None] | None) -> dict[str, str]:
    """This process's environment with changes."""
    merged: dict[str, Any] = {**os.environ, **(env or {})}
    return {name: str(value) for name, value in merged.items() if value is not None}


def expand(script: str, env: Mapping[str, str | None] | None) -> str:
    """Put environment variables in the place of `$NAME` and `${NAME}`; those that are not set stay as they are."""
    return string.Template(script).safe_substitute(environment_with(env))


def shell_command(script: str) -> list[str]:
    """The command that gives a script to the platform's shell."""
    if sys.platform == "win32":
        return [os.environ.get("COMSPEC", "cmd.exe"), "/d", "/s", "/c", script]
    return ["/bin/sh", "-c", script]


def install_command(requirements_file: str) -> list[str]:
    """The command that installs the packages of a file.

    Raises:
        ValueError: the file's name would be taken for an option.
    """
    if requirements_file.startswith("-"):
        raise ValueError(f"{requirements_file!r} is not the name of a file.")
    return [*installer(), "-r", requirements_file]
