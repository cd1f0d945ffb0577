"""Helpers for child processes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, TextIO

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import anyio
    import anyio.abc
    import anyio.streams.text as anyio_text

    Sink = anyio.AsyncFile[Any] | TextIO | IO[Any]
else:
    anyio = lazy_module("anyio")
    anyio_text = lazy_module("anyio.streams.text")

_WINDOWS = sys.platform == "win32"
_GRACE = 10.0  # seconds that a process which is to end has for it


def command_to_string(command: Sequence[str]) -> str:
    """Write the parts of a command as one line, quoted so that `command_from_string` gives them back."""
    if isinstance(command, str):
        return command
    return subprocess.list2cmdline(command) if _WINDOWS else shlex.join(command)


def command_from_string(command: str) -> list[str]:
    """Take a command line apart, by the rules of the platform.

    Raises:
        ValueError: a quotation mark is not closed.
    """
    if not _WINDOWS:
        return shlex.split(command)
    # POSIX rules would take the backslashes of Windows paths for escapes
    return [part.strip("\"'") for part in shlex.split(command, posix=False)]


def get_sys_executable() -> str:
    """The Python interpreter to start another process with, quoted where the platform needs that."""
    return f'"{sys.executable}"' if os.name == "nt" else sys.executable


def sanitize_subprocess_env(
    env: Mapping[str, str | None] | None, *, remove_from: MutableMapping[str, str] | None = None
) -> dict[str, str]:
    """Make an environment of what may hold None, which the operating system does not take.

    Args:
        env: variables; None stands for one that is not to be set.
        remove_from: the environment that these are to be put on top of; loses those that are None.
    """
    clean: dict[str, str] = {}
    for name, value in (env or {}).items():
        if value is not None:
            clean[name] = value
        elif remove_from is not None:
            remove_from.pop(name, None)
    return clean


@asynccontextmanager
async def open_process(command: Sequence[str], **kwargs: Any) -> AsyncIterator[anyio.abc.Process]:
    """Start a process for the duration of an `async with` block; it is terminated if it still runs at the end.

    Args:
        command: the parts of the command; a single string is refused, since it would need a shell.
        **kwargs: as of `anyio.open_process`.

    Raises:
        TypeError: the command is a string.
        FileNotFoundError: there is no such program.
    """
    if isinstance(command, (str, bytes)):
        raise TypeError(
            "The command passed to open_process must be a list of strings; "
            "take a command line apart with command_from_string."
        )
    if _WINDOWS:
        command = [command[0].strip('"'), *command[1:]]
    process = await anyio.open_process(command, **kwargs)
    try:
        yield process
    finally:
        if process.returncode is None:
            await _end(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _end(process: anyio.abc.Process) -> None:
    """Ask a process to end, and make it end when it does not. It is waited for even if the caller is cancelled."""
    try:
        process.terminate()
        with anyio.move_on_after(_GRACE, shield=True) as patience:
            await process.wait()
        if patience.cancelled_caught:
            process.kill()
    except ProcessLookupError:  # it has ended by itself meanwhile
        pass


async def run_process(
    command: Sequence[str],
    *,
    stream_output: bool | tuple[Sink | None, Sink | None] = False,
    task_status: anyio.abc.TaskStatus[Any] | None = None,
    task_status_handler: Callable[[anyio.abc.Process], Any] | None = None,
    **kwargs: Any,
) -> anyio.abc.Process:
    """Run a process to its end.

    Args:
        command: the parts of the command.
        stream_output: pass its output on to this process's output, or to a pair of files for stdout and stderr.
        task_status: told when the process has started.
        task_status_handler: makes of the process what `task_status` is told; default its id.
        **kwargs: as of `anyio.open_process`.

    Returns:
        The process, with its `returncode`.
    """
    if stream_output is True:
        stream_output = (sys.stdout, sys.stderr)
    async with open_process(
        command,
        stdout=subprocess.PIPE if stream_output else subprocess.DEVNULL,
        stderr=subprocess.PIPE if stream_output else subprocess.DEVNULL,
        **kwargs,
    ) as process:
        if task_status is not None:
            task_status.started(task_status_handler(process) if task_status_handler else process.pid)
        if stream_output:
            await consume_process_output(process, *stream_output)
        await process.wait()
    return process


async def consume_process_output(
    process: anyio.abc.Process, stdout_sink: Sink | None = None, stderr_sink: Sink | None = None
) -> None:
    """Read the output of a process to its end, both streams at once, so that it never waits for a reader.

    Args:
        process: the process, started with pipes.
        stdout_sink: where its output goes; None to drop it.
        stderr_sink: where its error output goes; None to drop it.
    """
    async with anyio.create_task_group() as group:
        for source, sink in ((process.stdout, stdout_sink), (process.stderr, stderr_sink)):
            if source is not None:
                text = anyio_text.TextReceiveStream(source, errors="replace")
                group.start_soon(partial(stream_text, text, *((sink,) if sink is not None else ())))


async def stream_text(source: Any, *sinks: Sink) -> None:
    """Write everything a stream of text gives to some files.

    Args:
        source: an asynchronous iterable of text.
        *sinks: files, of the usual kind or asynchronous ones.
    """
    async for text in source:
        for sink in sinks:
            if isinstance(sink, anyio.AsyncFile):
                await sink.write(text)
                await sink.flush()
            else:
                sink.write(text)
                sink.flush()


def forward_signal_handler(
    pid: int, signum: int, *signums: int, process_name: str, print_fn: Callable[..., Any]
) -> None:
    """From the next time this process gets a signal on, pass signals on to a child process.

    Args:
        pid: the child.
        signum: the signal to handle.
        *signums: what to send the first time, the second time, ... ; of the last one on, always that one.
        process_name: how to call the child in messages.
        print_fn: what to print messages with.
    """
    first, *rest = signums
    original = signal.getsignal(signum)

    def handler(received: int, frame: FrameType | None) -> None:
        print_fn(f"Received {signal.Signals(received).name}. Sending {signal.Signals(first).name} to {process_name}...")
        try:
            os.kill(pid, first)
        except ProcessLookupError:
            # it has ended: the signal is for this process
            signal.signal(signum, original)
            os.kill(os.getpid(), signum)
            return
        if rest:
            forward_signal_handler(pid, signum, *rest, process_name=process_name, print_fn=print_fn)

    signal.signal(signum, handler)


def _forward_interrupts(pid: int, process_name: str, print_fn: Callable[..., Any], gently: Sequence[int]) -> None:
    """Pass interruption and termination on to a child: a few times gently, then for good."""
    if _WINDOWS:
        for received in (signal.SIGINT, signal.SIGBREAK):  # type: ignore[attr-defined]
            forward_signal_handler(
                pid, received, signal.CTRL_BREAK_EVENT, process_name=process_name, print_fn=print_fn  # type: ignore[attr-defined]
            )  # fmt: skip
        return
    for received, sent in (
        (signal.SIGINT, (*gently, signal.SIGKILL)),
        (signal.SIGTERM, (*gently[-1:], signal.SIGKILL)),
    ):
        forward_signal_handler(pid, received, *sent, process_name=process_name, print_fn=print_fn)


def setup_signal_handlers_server(pid: int, process_name: str, print_fn: Callable[..., Any]) -> None:
    """Pass interruption and termination on to a server: Ctrl-C interrupts it, then terminates it, then kills it.

    Args:
        pid: its process.
        process_name: how to call it in messages.
        print_fn: what to print messages with.
    """
    _forward_interrupts(pid, process_name, print_fn, (signal.SIGINT, signal.SIGTERM))


def setup_signal_handlers_agent(pid: int, process_name: str, print_fn: Callable[..., Any]) -> None:
    """Pass interruption and termination on to an agent: the first time it may finish its work, the second it is killed.

    Args:
        pid: its process.
        process_name: how to call it in messages.
        print_fn: what to print messages with.
    """
    _forward_interrupts(pid, process_name, print_fn, (signal.SIGINT,))


def setup_signal_handlers_worker(pid: int, process_name: str, print_fn: Callable[..., Any]) -> None:
    """Pass interruption and termination on to a worker: the first time it may finish its work, the second it is killed.

    Args:
        pid: its process.
        process_name: how to call it in messages.
        print_fn: what to print messages with.
    """
    _forward_interrupts(pid, process_name, print_fn, (signal.SIGINT,))
