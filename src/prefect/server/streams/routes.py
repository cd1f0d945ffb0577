"""The websockets of the API."""

from __future__ import annotations

from starlette.routing import WebSocketRoute

from prefect._operations.streams import EventStream, LogStream
from prefect._schemas.worker_channel import WORK_POOL_WORKER_CHANNEL_ROUTE
from prefect.server.database import Database
from prefect.server.streams.incoming import Incoming
from prefect.server.streams.outgoing import Outgoing, switched_off
from prefect.server.streams.sockets import Handler, Work, handled
from prefect.server.streams.task_runs import ScheduledTaskRuns
from prefect.server.streams.worker_channel import WorkerChannel
from prefect.settings import Settings


def routes(database: Database, *, prefix: str, settings: Settings) -> list[WebSocketRoute]:
    """The websockets, as routes."""
    work = Work(database, settings)
    events: Handler = Outgoing(work, EventStream()) if settings.server.events.stream_out_enabled else switched_off
    # off by default where lines must be published first; here they are read from the database, and cost nobody anything
    says_no = settings.source_of("server.logs.stream_out_enabled") and not settings.server.logs.stream_out_enabled
    logs: Handler = switched_off if says_no else Outgoing(work, LogStream())
    return [
        WebSocketRoute(f"{prefix}/events/in", handled(Incoming(work), authenticates=False)),
        WebSocketRoute(f"{prefix}/events/out", handled(events)),
        WebSocketRoute(f"{prefix}/logs/out", handled(logs)),
        WebSocketRoute(f"{prefix}/task_runs/subscriptions/scheduled", handled(ScheduledTaskRuns(work))),
        WebSocketRoute(
            f"{prefix}{WORK_POOL_WORKER_CHANNEL_ROUTE}",
            handled(WorkerChannel(work), authenticates=False, takes_old_clients=False),
        ),
    ]
