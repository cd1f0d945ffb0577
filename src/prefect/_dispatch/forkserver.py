"""A process that has everything loaded which running a flow needs, and forks itself for each run.

    python -m prefect._dispatch.forkserver FD

A new interpreter needs most of a second before a flow's first line; a fork needs a hundredth, and shares the memory of
what was loaded before. The server has one thread and never runs a flow, opens a database or a connection itself, so a fork
of it is safe. It ends when the program that started it does; the runs it started go on.

It is asked with `{"id", "call": "module:function", "args", "env", "cwd"}` and three file descriptors (stdout, stderr, and one
from which the fork reads `wire.GO` before it begins: who asks may not hear of a fork whose server is killed at that moment),
and answers `{"id", "pid"}` or `{"id", "error"}`, and later `{"pid", "status", "settled"}` with the exit status (negative: the
signal), and whether the process has said that the end of its run is recorded.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

from prefect._dispatch import identity, lastword, wire
from prefect.settings import SettingsError, get_current_settings

PRELOADED = (
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.engine",
    "prefect.runtime.flow_run",
    "prefect._dispatch.execution",
    "prefect._dispatch.loading",
    "prefect._deploying.flow_methods",
    "prefect._engine.adopting",
    "prefect._engine.recording.served",
    "prefect._engine.recording.spool",
    "prefect._entrypoints",
    "prefect._engine.public",
    "prefect._engine.caching",
    "prefect._engine.recorder",
    "prefect._parameters.validation",
    "prefect._parameters.schema",
    "prefect._parameters.serialization",
    "prefect.client.orchestration",
    "prefect.flows",
    "prefect.tasks",
    "prefect._transport.direct",
    "prefect._transport.http",
    "prefect.deployments.steps.core",
    "prefect.deployments.steps.pull",
    "prefect.states",
    "prefect.logging.handlers",
    "prefect.logging.formatters",
    "prefect.logging.configuration",
    "prefect.task_runners",
    "asyncio",
    "cloudpickle",
    "concurrent.futures.thread",
    "encodings.idna",
    "http.client",
    "httpcore",
    "hashlib",
    "httpx",
    "inspect",
    "orjson",
    "pydantic",
    "uuid",
    "yaml",
)
"""Modules that nearly every run uses. Those that a version does not have are left out."""

OF_LOCAL_DATABASE = ("prefect._transport.embedded",)
"""What runs use besides where there is no server; with one, it would be a fifth of the memory that each fork is given."""

PREBUILT = (
    "prefect._schemas.flow_runs:FlowRun",
    "prefect._schemas.flows:Flow",
    "prefect._schemas.states:State",
    "prefect._schemas.states:StateDetails",
    "prefect._schemas.deployments:DeploymentResponse",
    "prefect._schemas.orchestration:OrchestrationResult",
    "prefect._schemas.actions.runs:StateCreate",
)
"""Models whose validators are made beforehand, too."""

REHEARSED = ("prefect.settings:get_current_settings", "prefect.logging.configuration:rehearse_logging_setup")
"""What every run does first, with settings of its own: the tables that it makes for that are kept."""


class _Fork(BaseException):
    """Raised in a child to leave the server's loop; what it is to do is in `job`."""

    def __init__(self, job: dict[str, Any], fds: list[int]) -> None:
        self.job = job
        self.fds = fds


def preload() -> None:
    """Load what runs will need, and keep it out of the way of the garbage collector, whose marks would copy it."""
    for name in (*PRELOADED, *(() if _is_served() else OF_LOCAL_DATABASE)):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for place in PREBUILT:
        module, _, name = place.partition(":")
        with contextlib.suppress(ImportError, AttributeError):
            getattr(importlib.import_module(module), name).model_rebuild()
    for place in REHEARSED:
        module, _, name = place.partition(":")
        with contextlib.suppress(SettingsError):  # who runs a flow with these settings is told
            getattr(importlib.import_module(module), name)()
    gc.collect()
    gc.freeze()


def _is_served() -> bool:
    try:
        return get_current_settings().api.url is not None
    except SettingsError:
        return False


class Server:
    """Forks and reaps.

    Args:
        sock: the connection to the program that asks.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._children: set[int] = set()
        self._ear = lastword.Ear()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def serve(self) -> NoReturn:
        """Answer until the program that asks is gone. Leaves a child by `_Fork`."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # the terminal's Ctrl-C goes to the whole foreground group: it is the program that decides what it means
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            wire.send(self._sock, {"ready": os.getpid()})
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._sock:
                        self._answer()
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._wake_read, 4096)
                        self._reap()

    def _answer(self) -> None:
        job, fds = wire.receive(self._sock)
        try:
            pid = os.fork()
        except OSError as exc:  # no memory, too many processes
            reply = {"id": job["id"], "error": f"The process could not be started: {exc}"}
        else:
            if pid == 0:
                self._leave()
                raise _Fork(job, fds)
            self._children.add(pid)
            reply = {"id": job["id"], "pid": pid}
        for fd in fds:
            os.close(fd)
        wire.send(self._sock, reply)

    def _leave(self) -> None:
        """What a child does first: it is no server, and a group of processes of its own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        self._sock.close()
        self._ear.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            ended = {"pid": pid, "status": os.waitstatus_to_exitcode(status), "settled": self._ear.heard_of(pid)}
            wire.send(self._sock, ended)


def become(job: dict[str, Any], fds: list[int]) -> int:
    """In a child: be the process that was asked for, once its program has heard of it. Returns its exit status."""
    *fds, goes = fds
    is_wanted = os.read(goes, len(wire.GO)) == wire.GO
    os.close(goes)
    if not is_wanted:
        return 0
    for number, fd in enumerate(fds, start=1):
        os.dup2(fd, number)
        os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(job["env"])
    if run := os.environ.get("PREFECT__FLOW_RUN_ID"):
        identity.mark(run)
        os.environ[identity.INFRASTRUCTURE] = identity.across_machines(os.getpid())
    try:
        os.chdir(job["cwd"])
    except OSError as exc:
        print(f"The process could not be started in {job['cwd']!r}: {exc.strerror}.", file=sys.stderr)
        return 1
    sys.path[0] = job["cwd"]
    sys.argv = ["prefect-run", *(str(argument) for argument in job.get("argv", ()))]
    context: Any = importlib.import_module("prefect.settings.context")
    context.put_settings_of_process(None)  # the settings are those of the new environment
    module, _, name = job["call"].partition(":")
    return getattr(importlib.import_module(module), name)(*job["args"])


def main(fd: int) -> int:
    """Serve on an inherited socket; in a child, run what was asked for."""
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    preload()
    try:
        Server(sock).serve()
    except wire.Closed:
        return 0
    except _Fork as fork:
        job, fds = fork.job, fork.fds
    _leave_as(_status(job, fds))  # outside the handler: the run's errors have nothing to do with the server
    return 0


def _status(job: dict[str, Any], fds: list[int]) -> int:
    """The exit status that an interpreter would end with."""
    try:
        return int(become(job, fds) or 0)
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print(exc.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1


def _leave_as(status: int) -> None:
    """End a child as an interpreter ends, but do not take down what it shares with its siblings."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    # as a module of its own name, so that what is pickled or compared is the same everywhere
    sys.exit(importlib.import_module("prefect._dispatch.forkserver").main(int(sys.argv[1])))
