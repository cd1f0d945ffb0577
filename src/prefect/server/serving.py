"""Serving the application over HTTP: in this process, or in several that share a port."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette

from prefect.server.api.server import create_app
from prefect.server.database import database_of
from prefect.server.services import enabled_loops
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect.settings import Settings

_log = logging.getLogger("prefect.server")

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 10.0

Changes = Mapping[str, Any]
"""Settings that are other than those of the profile and the environment, by name."""


class Server(uvicorn.Server):
    """uvicorn, which answers those who are kept waiting before it ends, and sleeps while there is nothing to do.

    Args:
        app: the application.
        config: how to serve it.
    """

    def __init__(self, app: Starlette, config: uvicorn.Config) -> None:
        self._ends = False
        self._wake: Callable[[], object] | None = None
        super().__init__(config)
        self._app = app

    @property
    def should_exit(self) -> bool:
        """Whether it is to end; set by signals, and from any thread."""
        return self._ends

    @should_exit.setter
    def should_exit(self, ends: bool) -> None:
        self._ends = ends
        if ends and self._wake is not None:
            self._wake()

    async def main_loop(self) -> None:
        """Go on until it is to end; look once a second, not ten times as uvicorn does."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        self._wake = functools.partial(loop.call_soon_threadsafe, told.set)
        begins = True
        try:
            while not await self.on_tick(0):  # what is due each second
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), 1.0)
                if begins:
                    gc.freeze()  # what is imported stays: to look through it for garbage takes 40 ms each time
                    begins = False
        finally:
            self._wake = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: nobody is kept waiting any more, what is being answered is answered."""
        self._app.state.waits.end()
        await super().shutdown(sockets)


def settings_with(changes: Changes) -> Settings:
    """The current settings with some changes."""
    return get_current_settings().copy_with_update(changes)


def serve(changes: Changes, options: Mapping[str, Any], *, services: bool) -> None:
    """Serve until this process is told to end.

    Args:
        changes: of the settings.
        options: of `uvicorn.Config`.
        services: whether the services run here too.
    """
    app = create_app(settings_with(changes), services=services)
    Server(app, uvicorn.Config(app, **options)).run()


def serve_side_by_side(changes: Changes, options: Mapping[str, Any], count: int, *, services: bool) -> None:
    """Serve in several processes until this one is told to end. One that dies is replaced.

    Args:
        changes: of the settings.
        options: of `uvicorn.Config`.
        count: how many processes answer requests.
        services: whether the services run, in this process.
    """
    settings = settings_with(changes)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    database = database_of(settings)
    database.open()  # the schema is there before anybody looks for it
    loops = enabled_loops(database, settings) if services else None
    listener = uvicorn.Config("", **options).bind_socket()
    workers = [_start(listener, changes, options) for _ in range(count)]
    try:
        if loops is not None:
            loops.start()
        while not ended.is_set():
            connection.wait([worker.sentinel for worker in workers], _LOOK_SECONDS)
            for index, worker in enumerate(workers):
                if not worker.is_alive() and not ended.is_set():
                    _log.error("Process %s of the server ended with code %s; another one takes its place.",
                               worker.pid, worker.exitcode)  # fmt: skip
                    ended.wait(_LOOK_SECONDS)  # one that cannot start does not start all the time
                    workers[index] = _start(listener, changes, options)
    finally:
        _end(workers)
        if loops is not None:
            loops.stop()
        database.close()
        listener.close()


def _start(listener: socket.socket, changes: Changes, options: Mapping[str, Any]) -> SpawnProcess:
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=_work, args=(listener, dict(changes), dict(options)), daemon=True)
    worker.start()
    return worker


def _work(listener: socket.socket, changes: Changes, options: Mapping[str, Any]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = create_app(settings_with(changes))
    Server(app, uvicorn.Config(app, **options)).run(sockets=[listener])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _end(workers: list[SpawnProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_STOP_SECONDS)
        if worker.is_alive():
            worker.kill()
            worker.join()
