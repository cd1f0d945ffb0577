"""Start processes for runs: forked from a warm server where that is possible, as new interpreters elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect._dispatch import identity, wire
from prefect._dispatch.children import Child, gone
from prefect.logging.loggers import get_logger

_log = get_logger("dispatch")

CAN_FORK = sys.platform == "linux"
"""Elsewhere a fork is not safe (macOS: system libraries start threads) or not to be had (Windows)."""

_OF_INTERPRETER = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
_OF_EVERYBODY = frozenset({"PYTHONUNBUFFERED", "PYTHONASYNCIODEBUG"})  # these make no difference to a fork


@dataclass(frozen=True)
class Job:
    """A process that is wanted.

    Attributes:
        command: what to run; None for the function `call`, which is `module:function` of `args` (that JSON can carry) and
            returns the exit status.
        env: the whole environment.
        cwd: the directory that it starts in.
        stream_output: whether what it writes goes where the output of this process goes; else nowhere.
    """

    env: Mapping[str, str]
    cwd: str
    command: Sequence[str] | None = None
    call: str = ""
    args: Sequence[Any] = ()
    stream_output: bool = True
    argv: Sequence[str] = field(default=())


class StartError(RuntimeError):
    """A process could not be started; the message says why."""


class Starter:
    """Starts processes, and tells when they end.

    Belongs to the event loop it is first used on. `close` lets the fork server end; processes that run go on.
    """

    def __init__(self, warm: bool = CAN_FORK) -> None:
        self._warm = warm
        self._server: ForkServer | None = None
        self._one = asyncio.Lock()
        self._watching: set[asyncio.Task[None]] = set()

    async def warm_up(self) -> None:
        """Start the fork server, so that the first run need not wait for it."""
        if self._warm:
            await self._get_server()

    async def start(self, job: Job) -> Child:
        """Start a process.

        Raises:
            StartError: there is no such program or directory, or the system refused.
        """
        if job.command is None and self._warm and _same_interpreter(job.env):
            for _ in range(2):  # a server that was killed is replaced, once
                try:
                    return await (await self._get_server()).fork(job)
                except wire.Closed:
                    _log.warning("The fork server has ended unexpectedly; starting another one.")
                    self._server = None
        return await self._spawn(job)

    async def _get_server(self) -> ForkServer:
        async with self._one:
            if self._server is None or self._server.closed:
                self._server = ForkServer()
                await self._server.ready
            return self._server

    async def _spawn(self, job: Job) -> Child:
        command = list(job.command or ["python", "-m", "prefect._dispatch.spawned", job.call])
        # not in the command: everybody may read that, and there is not room for all
        given = None if job.command else json.dumps(list(job.args)).encode()
        if command[:2] == ["python", "-m"] and "".join(command[2:3]).startswith("prefect."):
            command[0] = sys.executable  # which has this package; who knows which `python` comes first in the path
        where = None if job.stream_output else subprocess.DEVNULL
        env = {name: value for name, value in job.env.items() if name != identity.INFRASTRUCTURE}  # of another process
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env=env, cwd=job.cwd, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=where, stderr=where,
                **_own_group(),
            )  # fmt: skip
        except OSError as exc:
            raise StartError(f"The command {command[0]!r} could not be started in {job.cwd!r}: {exc}") from exc
        if given is not None and process.stdin is not None:
            process.stdin.write(given)
            process.stdin.close()  # once it has read all
        child = Child(process.pid)
        watching = asyncio.create_task(self._watch(process, child))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return child

    async def _watch(self, process: asyncio.subprocess.Process, child: Child) -> None:
        child.has_ended(await process.wait())

    async def close(self) -> None:
        """Let the fork server end. What it started goes on."""
        if self._server is not None:
            self._server.close()
            self._server = None


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _same_interpreter(env: Mapping[str, str]) -> bool:
    """Whether a fork of this interpreter is what a new one with this environment would be."""

    def concerned(variables: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value
            for name, value in variables.items()
            if name.startswith(_OF_INTERPRETER) and name not in _OF_EVERYBODY
        }

    return concerned(env) == concerned(os.environ)


@dataclass(frozen=True)
class _Asked:
    """A process that a fork server was asked for.

    The server may be killed when it has forked, and before it says so; then another one is asked. So the process begins only when
    it hears, by a pipe, that it was heard of.

    Attributes:
        answer: the process, or why there is none.
        go: the end of the pipe that is written to.
    """

    answer: asyncio.Future[Child]
    go: int

    def let_begin(self) -> None:
        """Tell the process to begin."""
        with contextlib.suppress(BrokenPipeError):  # it has been killed
            os.write(self.go, wire.GO)
        os.close(self.go)

    def forget(self, why: Exception | None = None) -> None:
        """Have it not begin, if there is one.

        Args:
            why: what whoever waits for it is told.
        """
        os.close(self.go)
        if why is not None and not self.answer.done():
            self.answer.set_exception(why)


class ForkServer:
    """The program's end of a fork server; see `forkserver`.

    Attributes:
        ready: done when it has loaded everything.
        closed: whether it is gone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.closed = False
        self._ids = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._children: dict[int, Child] = {}
        self._frames = wire.Frames()
        self._watching: set[asyncio.Task[None]] = set()
        self._sock, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect._dispatch.forkserver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._loop.add_reader(self._sock, self._read)

    async def fork(self, job: Job) -> Child:
        """Have a process forked.

        Raises:
            Closed: the server is gone.
            StartError: the system refused.
        """
        if self.closed:
            raise wire.Closed
        number = next(self._ids)
        message = {
            "id": number, "call": job.call, "args": list(job.args), "env": dict(job.env), "cwd": job.cwd,
            "argv": list(job.argv),
        }  # fmt: skip
        nothing = None if job.stream_output else os.open(os.devnull, os.O_WRONLY)
        goes, go = os.pipe()
        asked = self._asked[number] = _Asked(self._loop.create_future(), go)
        try:
            wire.send(self._sock, message, [*((1, 2) if nothing is None else (nothing, nothing)), goes])
        except BaseException:
            self._asked.pop(number).forget()
            raise
        finally:
            os.close(goes)
            if nothing is not None:
                os.close(nothing)
        return await asked.answer

    def _read(self) -> None:
        try:
            data = self._sock.recv(1 << 16, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        for message in self._frames.feed(data):
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.ready.set_result(None)
        elif "status" in message:
            child = self._children.pop(message["pid"], None)
            if child is not None:
                child.has_ended(message["status"], settled=message["settled"])
        else:
            asked = self._asked.pop(message["id"])
            if "error" in message:
                asked.forget(StartError(message["error"]))
            elif asked.answer.done():  # nobody waits any more
                asked.forget()
            else:
                # known before anybody waits for it: it may have ended by the next message
                child = self._children[message["pid"]] = Child(message["pid"], introduces_itself=True)
                asked.let_begin()
                asked.answer.set_result(child)

    def _lost(self) -> None:
        """The server is gone. Its children go on without a parent, and only the system can tell when they end."""
        self._let_go()
        if not self.ready.done():
            self.ready.set_exception(wire.Closed())
        for asked in self._asked.values():
            asked.forget(wire.Closed())
        self._asked.clear()
        self._watch_orphans()

    def _watch_orphans(self) -> None:
        for child in self._children.values():
            watching = self._loop.create_task(_until_gone(child))
            self._watching.add(watching)
            watching.add_done_callback(self._watching.discard)
        self._children.clear()

    def close(self) -> None:
        """End the server. What it has started goes on."""
        if not self.closed:
            self._let_go()
        for asked in self._asked.values():
            asked.forget()  # who still waits is not told: it would ask another server
        self._asked.clear()
        self._watch_orphans()

    def _let_go(self) -> None:
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._sock.close()
        try:
            self._process.wait(timeout=5)  # it ends when the connection does
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def _until_gone(child: Child) -> None:
    await gone(child.pid)
    child.has_ended(None)
