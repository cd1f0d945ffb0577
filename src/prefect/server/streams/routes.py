"""The websockets of the API."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from prefect._lazy import lazy_module
from prefect._schemas.worker_channel_route import WORK_POOL_WORKER_CHANNEL_ROUTE
from prefect.server.calls import Calls
from prefect.server.streams.sockets import Handler, Socket, Work, handled, switched_off
from prefect.settings import Settings

if TYPE_CHECKING:
    from prefect._operations import streams
    from prefect.server.streams import incoming, outgoing, task_runs, worker_channel
else:
    streams = lazy_module("prefect._operations.streams")
    incoming = lazy_module("prefect.server.streams.incoming")
    outgoing = lazy_module("prefect.server.streams.outgoing")
    task_runs = lazy_module("prefect.server.streams.task_runs")
    worker_channel = lazy_module("prefect.server.streams.worker_channel")


class _Later:
    """A handler that is made, and imported, for the first connection.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], Handler]) -> None:
        self._make = make
        self._made: Handler | None = None
        self._lock = threading.Lock()

    async def __call__(self, socket: Socket, websocket: WebSocket) -> None:
        await (self._made or await run_in_threadpool(self._handler))(socket, websocket)

    def _handler(self) -> Handler:
        with self._lock:
            self._made = self._made or self._make()
            return self._made


def routes(calls: Calls, *, prefix: str, settings: Settings) -> list[WebSocketRoute]:
    """The websockets, as routes."""
    work = Work(calls, settings)
    events: Handler = switched_off
    if settings.server.events.stream_out_enabled:
        events = _Later(lambda: outgoing.Outgoing(work, streams.EventStream()))
    # off by default where lines must be published first; here they are read from the database, and cost nobody anything
    says_no = settings.source_of("server.logs.stream_out_enabled") and not settings.server.logs.stream_out_enabled
    logs: Handler = switched_off if says_no else _Later(lambda: outgoing.Outgoing(work, streams.LogStream()))
    scheduled = _Later(lambda: task_runs.ScheduledTaskRuns(work))
    workers = handled(
        _Later(lambda: worker_channel.WorkerChannel(work)), authenticates=False, takes_old_clients=False
    )  # fmt: skip
    return [
        WebSocketRoute(f"{prefix}/events/in", handled(_Later(lambda: incoming.Incoming(work)), authenticates=False)),
        WebSocketRoute(f"{prefix}/events/out", handled(events)),
        WebSocketRoute(f"{prefix}/logs/out", handled(logs)),
        WebSocketRoute(f"{prefix}/task_runs/subscriptions/scheduled", handled(scheduled)),
        WebSocketRoute(f"{prefix}{WORK_POOL_WORKER_CHANNEL_ROUTE}", workers),
    ]
