"""Events handed to a client, and whether and where events go."""

from __future__ import annotations

from prefect._events import emitting
from prefect._events.worker import EventsWorker
from prefect.settings import get_current_settings

__all__ = [
    "EventsWorker",
    "emit_events_to_cloud",
    "should_emit_events",
    "should_emit_events_to_ephemeral_server",
    "should_emit_events_to_running_server",
]


def should_emit_events() -> bool:
    """Whether events are recorded: always, by a server or in the local database."""
    return emitting.wanted()


def emit_events_to_cloud() -> bool:
    """Whether events go to Prefect Cloud."""
    settings = get_current_settings()
    url = settings.api.url
    return url is not None and url.startswith(settings.cloud.api_url)


def should_emit_events_to_running_server() -> bool:
    """Whether events go to a server."""
    return bool(get_current_settings().api.url)


def should_emit_events_to_ephemeral_server() -> bool:
    """Whether events go into the local database."""
    return not get_current_settings().api.url
