"""Emitting an event: make it, say which run it came from, hand it to the recorder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic_core import to_jsonable_python

from prefect._clock import now, now_us, to_us
from prefect._engine.recorder import get_recorder
from prefect._events.related import of_current_run
from prefect._ids import new_uuid
from prefect._schemas.events import Event, RelatedResource, Resource
from prefect.settings import get_current_settings

_log = logging.getLogger("prefect.events")

TIGHT_TIMING = timedelta(minutes=5)
"""An event follows another one only when less than this lies between them."""


def wanted() -> bool:
    """Whether what is emitted is recorded: always, but for tests (`prefect.testing.fixtures.mock_should_emit_events`)."""
    return True


divert: Callable[[Event], None] | None = None
"""Takes the events instead of the recorder: see `prefect._events.worker`."""


def emit_event(
    event: str,
    resource: dict[str, str] | Resource,
    occurred: datetime | None = None,
    related: Sequence[dict[str, str] | RelatedResource] | None = None,
    payload: dict[str, Any] | None = None,
    id: UUID | None = None,
    follows: Event | None = None,
    **kwargs: Any,
) -> Event | None:
    """Record that something happened.

    In a run, the flow run, the task run, the flow and their tags are added to what is related.

    Args:
        event: the name of what happened, as in `order.placed`.
        resource: what it happened to: labels, among them `prefect.resource.id`.
        occurred: when it happened; now, unless given. A moment without a zone is taken as UTC.
        related: what had to do with it: labels, among them `prefect.resource.id` and `prefect.resource.role`.
        payload: anything that describes it further. Values that JSON does not know are kept as text.
        id: identifies the event; an event that is recorded again is kept once.
        follows: an event that comes before this one, if less than five minutes lie between them.
        kwargs: more of the payload, by name.

    Returns:
        The event as it is recorded; None when it is not a valid event: why is logged as an error, and the program goes on.
        None, too, in a test that says that nothing is to be emitted.

    Raises:
        ConfigurationError: the settings name a server, or a database that only a server opens.
    """
    recorder = get_recorder()
    if not wanted():
        return None
    try:
        content, text = _as_json({**kwargs, **_mapping(payload)})
        made = Event(
            occurred=occurred if occurred is not None else now(),
            event=event,
            resource=resource,  # type: ignore[arg-type]
            related=list(related or ()),  # type: ignore[arg-type]
            payload=content,
            id=id if id is not None else new_uuid(),
        )
        made.follows = _follows(made, follows)
        made.related += of_current_run(exclude=[involved.id for involved in made.involved_resources])
        _check_limits(made)
    except (TypeError, ValueError) as exc:
        _log.error("The event %r is not valid and was not recorded: %s", event, exc)
        return None
    if divert is not None:
        divert(made)
    else:
        recorder.event(_event_row(made, text), _resource_rows(made))
    return made


def _mapping(payload: Any) -> Mapping[str, Any]:
    if payload is None or isinstance(payload, Mapping):
        return payload or {}
    raise TypeError(f"the payload must be a dictionary, not {type(payload).__name__}")


def _as_json(payload: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A payload as JSON values, and as text."""
    if not payload:
        return {}, "{}"
    values = to_jsonable_python(payload, fallback=str)
    try:
        text = orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half a surrogate pair, an integer beyond 64 bits
        text = json.dumps(values, ensure_ascii=False).encode("utf-8", "replace").decode()
        values = json.loads(text)
    return values, text


def _follows(made: Event, other: Any) -> UUID | None:
    if other is None:
        return None
    if not isinstance(other, Event):
        raise TypeError(f"follows must be an Event, as emit_event returns it, not {type(other).__name__}")
    return other.id if abs(made.occurred - other.occurred) < TIGHT_TIMING else None


def _check_limits(made: Event) -> None:
    limits = get_current_settings().server.events
    if len(made.event) > limits.maximum_event_name_length:
        raise ValueError(
            f"its name has {len(made.event)} characters, {limits.maximum_event_name_length} are allowed "
            "(server.events.maximum_event_name_length)"
        )
    size = made.size_bytes
    if size > limits.maximum_size_bytes:
        raise ValueError(
            f"it has {size} bytes, {limits.maximum_size_bytes} are allowed (server.events.maximum_size_bytes)"
        )


def _event_row(made: Event, payload: str) -> tuple[Any, ...]:
    follows = str(made.follows) if made.follows is not None else None
    return (str(made.id), to_us(made.occurred), made.event, made.resource.id, payload, follows, now_us())


def _resource_rows(made: Event) -> list[tuple[Any, ...]]:
    """A row for what it happened to, then one for each related resource."""
    id, occurred = str(made.id), to_us(made.occurred)
    roles = ["", *(resource.role for resource in made.related)]
    return [
        (id, position, resource.id, role, orjson.dumps(resource.root).decode(), occurred)
        for position, (resource, role) in enumerate(zip(made.involved_resources, roles, strict=True))
    ]
