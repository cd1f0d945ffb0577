"""Events: written down, found, counted."""

from __future__ import annotations

import base64
from collections import defaultdict
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, ValidationError, field_validator

from prefect._lazy import lazy_module
from prefect._operations.address import api_url
from prefect._operations.errors import Forbidden, Invalid
from prefect._operations.registry import SentAs, operation
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.events import STORED, Event, EventPage, ReceivedEvent
from prefect._schemas.filters.events import EventFilter, EventOrder
from prefect._schemas.moments import DateTime
from prefect._store import intervals
from prefect._store.events import event_matches, newest_of_each_resource
from prefect._store.tables import event, event_resource
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect._operations import task_run_events
else:
    task_run_events = lazy_module("prefect._operations.task_run_events")  # which writes task runs, and events with them

_PAGE = 50
_MOST = 200
_MOST_SPANS = 1000


class SentEvent(Event):
    """An event as a client sends it."""

    occurred: DateTime = Field(description="When it happened.")
    id: UUID = Field(description="Identifies the event; one that is sent again is kept once.")

    @field_validator("event")
    @classmethod
    def _short_enough(cls, name: str) -> str:
        maximum = get_current_settings().server.events.maximum_event_name_length
        if len(name) > maximum:
            raise ValueError(f"Event name must be at most {maximum} characters")
        return name


@operation("POST", "/events", writes=True, status=204)
def create_events(tx: sa.Connection, body: list[SentEvent]) -> None:
    """Write events down, and the task runs that they report.

    Raises:
        Invalid: one of them is larger than `server.events.maximum_size_bytes`.
    """
    maximum = get_current_settings().server.events.maximum_size_bytes
    for one in body:
        if one.size_bytes > maximum:
            raise Invalid(f"The event {one.event!r} ({one.id}) has more than {maximum} bytes; put less in its payload.")
    task_run_events.receive_events(tx, body)


# -- reading --------------------------------------------------------------------------------------------------------


class EventQuery(PrefectBaseModel):
    """The first page of a list of events."""

    filter: EventFilter | None = Field(default=None, description="Which events.")
    limit: int = Field(default=_PAGE, ge=0, le=_MOST, description="At most so many on a page.")


class _Place(PrefectBaseModel):
    """Where a page begins: after the last event of the page before."""

    filter: EventFilter
    limit: int = Field(ge=1, le=_MOST)
    total: int
    occurred: DateTime
    id: UUID

    def token(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()

    @classmethod
    def from_token(cls, token: str) -> Self:
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(token.encode()))
        except (ValueError, ValidationError) as exc:
            raise Forbidden("This page-token was not made by this API; use the next_page of a page of events.") from exc


_ROUTE = "/events/filter"


@operation("POST", _ROUTE)
def read_events(tx: sa.Connection, body: EventQuery) -> EventPage:
    """The events that match, the newest first unless asked otherwise: the first page of them."""
    wanted = body.filter if body.filter is not None else EventFilter()
    total = tx.execute(sa.select(sa.func.count()).select_from(event).where(_where(wanted))).scalar_one()
    return _page(tx, wanted, body.limit, total, None)


@operation("GET", f"{_ROUTE}/next")
def read_next_events(tx: sa.Connection, page_token: Annotated[str, SentAs("page-token")]) -> EventPage:
    """The page of events after another one.

    Raises:
        Forbidden: the token is not one of ours.
    """
    place = _Place.from_token(page_token)
    return _page(tx, place.filter, place.limit, place.total, place)


def _where(wanted: EventFilter) -> sa.ColumnElement[bool]:
    where = event_matches(wanted)
    distinct = wanted.resource is not None and wanted.resource.distinct
    return newest_of_each_resource(where) if distinct else where


def _page(tx: sa.Connection, wanted: EventFilter, limit: int, total: int, after: _Place | None) -> EventPage:
    where, key = _where(wanted), (event.c.occurred, event.c.id)
    descending = wanted.order == EventOrder.DESC
    if after is not None:
        place = sa.tuple_(sa.literal(after.occurred, event.c.occurred.type), sa.literal(after.id, event.c.id.type))
        where = sa.and_(where, sa.tuple_(*key) < place if descending else sa.tuple_(*key) > place)
    order = [column.desc() if descending else column.asc() for column in key]
    rows = tx.execute(sa.select(event).where(where).order_by(*order).limit(limit + 1)).mappings().all()
    events = load_events(tx, rows[:limit])
    more = len(rows) > limit and limit > 0
    next_page = None
    if more:
        last = events[-1]
        token = _Place(filter=wanted, limit=limit, total=total, occurred=last.occurred, id=last.id).token()
        next_page = f"{api_url(_ROUTE)}{_ROUTE}/next?page-token={token}"
    return EventPage(events=events, total=total, next_page=next_page)


def load_events(tx: sa.Connection, rows: Any) -> list[ReceivedEvent]:
    """The events of these rows, each with its resources."""
    found: defaultdict[UUID, list[dict[str, str]]] = defaultdict(list)
    columns = (event_resource.c.event_id, event_resource.c.labels)
    ids = [row["id"] for row in rows]
    statement = sa.select(*columns).where(event_resource.c.event_id.in_(ids)).order_by(event_resource.c.position)
    for event_id, labels in tx.execute(statement) if ids else ():
        found[event_id].append(labels)
    return [
        ReceivedEvent.model_validate(
            {**row, "resource": found[row["id"]][0], "related": found[row["id"]][1:]}, context=STORED
        )
        for row in rows
    ]


# -- counting -------------------------------------------------------------------------------------------------------


class Countable(str, Enum):  # noqa: UP042 - as the other enumerations of the API
    """What events are counted by."""

    day = "day"
    time = "time"
    event = "event"
    resource = "resource"


class TimeUnit(str, Enum):  # noqa: UP042 - as the other enumerations of the API
    """Units of spans of time."""

    week = "week"
    day = "day"
    hour = "hour"
    minute = "minute"
    second = "second"

    @property
    def length(self) -> timedelta:
        return timedelta(**{f"{self.value}s": 1})

    def floor(self, moment: datetime) -> datetime:
        """The beginning of the unit that a moment is in; weeks begin on Monday."""
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        if self is TimeUnit.week:
            return day - timedelta(days=day.weekday())
        return day + (moment - day) // self.length * self.length


class EventCounts(PrefectBaseModel):
    """Which events to count, and in what spans of time."""

    filter: EventFilter
    time_unit: TimeUnit = TimeUnit.day
    time_interval: float = Field(default=1.0, ge=0.01, description="Units in a span.")


class EventCount(PrefectBaseModel):
    """How many events there are of a kind or in a span of time."""

    value: str = Field(description="The name or the resource; of a span, its number.")
    label: str = Field(description="The same for people; of a span, when it begins.")
    count: int
    start_time: DateTime = Field(description="The first of them; of a span, its beginning.")
    end_time: DateTime = Field(description="The last of them; of a span, its end.")


@operation("POST", "/events/count-by/{countable}")
def count_events(tx: sa.Connection, countable: Countable, body: EventCounts) -> list[EventCount]:
    """How many events match, by name or resource (the most frequent first) or by spans of time (in order, 0 included).

    Raises:
        Invalid: there would be more than a thousand spans.
    """
    if countable is Countable.event:
        return _count_by(tx, event.c.event, body.filter)
    if countable is Countable.resource:
        return _named(tx, _count_by(tx, event.c.resource_id, body.filter), body.filter)
    unit, interval = (TimeUnit.day, 1.0) if countable is Countable.day else (body.time_unit, body.time_interval)
    return _count_by_time(tx, body.filter, unit, unit.length * interval)


def _count_by(tx: sa.Connection, column: sa.ColumnElement[str], wanted: EventFilter) -> list[EventCount]:
    count, moment = sa.func.count(), event.c.occurred
    statement = (
        sa.select(column.label("value"), count, sa.func.min(moment), sa.func.max(moment))
        .where(_where(wanted))
        .group_by(column)
        .order_by(count.desc(), column)
    )
    return [
        EventCount(value=value, label=value, count=number, start_time=first, end_time=last)
        for value, number, first, last in tx.execute(statement)
    ]


def _named(tx: sa.Connection, counts: list[EventCount], wanted: EventFilter) -> list[EventCount]:
    """Counts of resources, labelled with the name that each had last."""
    labels = (
        sa.select(event_resource.c.resource_id, event_resource.c.labels)
        .join_from(event_resource, event, event.c.id == event_resource.c.event_id)
        .where(event_resource.c.position == 0, newest_of_each_resource(_where(wanted)))
    )
    names = {id: given.get("prefect.resource.name") for id, given in tx.execute(labels)}
    return [one.model_copy(update={"label": names.get(one.value) or one.value}) for one in counts]


def _count_by_time(tx: sa.Connection, wanted: EventFilter, unit: TimeUnit, width: timedelta) -> list[EventCount]:
    start, until = unit.floor(wanted.occurred.since), wanted.occurred.until
    spans = max(0, -((start - until) // width))  # rounded up: a span that begins when the last one ends is none of them
    if spans > _MOST_SPANS:
        raise Invalid(
            f"The given interval would create {spans} buckets, which is too many. Please increase the interval or "
            f"reduce the time range to produce {_MOST_SPANS} buckets or fewer."
        )
    microsecond = timedelta(microseconds=1)
    counts = _numbers_of_events(tx, wanted, start, width // microsecond, spans)
    beginnings = [start + width * span for span in range(spans)]
    return [
        EventCount(
            value=str(span),
            label=beginning.isoformat(),
            count=counts.get(span, 0),
            start_time=beginning,
            end_time=beginning + width - microsecond,
        )
        for span, beginning in enumerate(beginnings)
    ]


def _numbers_of_events(
    tx: sa.Connection, wanted: EventFilter, start: datetime, width_us: int, spans: int
) -> dict[int, int]:
    """How many events match in each span, by its number."""
    if tx.dialect.name == "sqlite" and wanted == EventFilter(occurred=wanted.occurred, order=wanted.order):
        # SQLite would sort the events to group them: each span is counted in turn, from the index
        number = intervals.numbers(spans)
        span = wanted.occurred
        within = intervals.within_interval(
            event.c.occurred, start, width_us, number.c.n, since=span.since, until=span.until
        )
        count = sa.select(sa.func.count()).select_from(event).where(within).scalar_subquery()
        statement = sa.select(number.c.n, count)
    else:
        index = intervals.interval_index(event.c.occurred, start, width_us).label("number")
        statement = sa.select(index, sa.func.count()).where(_where(wanted)).group_by(index)
    return {int(span): count for span, count in tx.execute(statement).tuples()}
