"""What can be followed as it is written: events, and lines of logs.

A stream knows its table, reads what was written before one began to follow it, and says of what is new whether
somebody wants it: the same that its filter means in SQL, asked of an object in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa

from prefect._operations.events import load_events
from prefect._schemas.enums import Operator
from prefect._schemas.events import ReceivedEvent
from prefect._schemas.filters.conditions import REFUSE_UNKNOWN
from prefect._schemas.filters.events import EventFilter
from prefect._schemas.filters.logs import LogFilter, LogFilterTimestamp
from prefect._schemas.logs import Log
from prefect._store import tail
from prefect._store.documents import json_text
from prefect._store.events import as_written, event_matches
from prefect._store.queries import log_matches
from prefect._store.tables import event, log
from prefect._store.tail import Place
from prefect._store.text_query import parse_text_query

T = TypeVar("T")


class Wanted(Generic[T]):
    """What a follower wants.

    Args:
        key: the same for all who want the same.
        includes: whether something is wanted.
    """

    def __init__(self, key: Hashable, includes: Callable[[T], bool]) -> None:
        self.key = key
        self.includes = includes


class Stream(Protocol[T]):
    """What can be followed."""

    name: str
    """What one of them is called in a message."""
    table: sa.Table
    topic: str
    """What is announced when something was written."""

    def parse(self, filter: Any) -> Any:
        """A filter from JSON.

        Raises:
            pydantic.ValidationError: it is none.
        """
        ...

    def wanted(self, filter: Any) -> Wanted[T]:
        """What of all that is to come is wanted."""
        ...

    def page(
        self, tx: sa.Connection, filter: Any, since: datetime | None, until: Place, after: Any, limit: int
    ) -> tuple[list[T], Any]:
        """A page of what was written up to a place, the oldest first; and what to give as `after` for the next page."""
        ...

    def load(self, tx: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[T]:
        """What rows of the table stand for."""
        ...


class EventStream:
    """Events, as a `Stream`."""

    name, table, topic = "event", event, "events"

    def parse(self, filter: Any) -> EventFilter:
        return EventFilter.model_validate(filter)

    def wanted(self, filter: EventFilter) -> Wanted[ReceivedEvent]:
        return wanted_events(filter)

    def page(
        self, tx: sa.Connection, filter: EventFilter, since: datetime | None, until: Place, after: Any, limit: int
    ) -> tuple[list[ReceivedEvent], Any]:
        rows, after = _page(tx, event, event.c.occurred, event_matches(filter), since, until, after, limit)
        return load_events(tx, rows), after

    def load(self, tx: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[ReceivedEvent]:
        return load_events(tx, rows)


class LogStream:
    """Lines of logs, as a `Stream`."""

    name, table, topic = "log", log, "logs"

    def parse(self, filter: Any) -> LogFilter:
        return LogFilter.model_validate(filter, context=REFUSE_UNKNOWN)

    def wanted(self, filter: LogFilter) -> Wanted[Log]:
        return wanted_logs(filter)

    def page(
        self, tx: sa.Connection, filter: LogFilter, since: datetime | None, until: Place, after: Any, limit: int
    ) -> tuple[list[Log], Any]:
        asked = (filter.timestamp or LogFilterTimestamp()).after_
        since = max((one for one in (asked, since) if one is not None), default=None)
        rows, after = _page(tx, log, log.c.timestamp, log_matches(filter), since, until, after, limit)
        return self.load(tx, rows), after

    def load(self, tx: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[Log]:
        return [Log.model_validate({**row, "updated": row["created"]}) for row in rows]  # a line never changes


def _page(
    tx: sa.Connection,
    table: sa.Table,
    moment: sa.Column[Any],
    matches: sa.ColumnElement[bool],
    since: datetime | None,
    until: Place,
    after: Any,
    limit: int,
) -> tuple[Sequence[sa.RowMapping], Any]:
    where = [matches, tail.not_after(tx, table, until)]
    if since is not None:
        where.append(moment >= since)
    key = (moment, table.c.id)
    if after is not None:
        where.append(sa.tuple_(*key) > sa.tuple_(*(sa.literal(v, c.type) for v, c in zip(after, key, strict=True))))
    rows = tx.execute(sa.select(table).where(*where).order_by(*key).limit(limit)).mappings().all()
    return rows, (rows[-1][moment.name], rows[-1]["id"]) if rows else None


# -- what is wanted -------------------------------------------------------------------------------------------------


def wanted_events(wanted: EventFilter) -> Wanted[ReceivedEvent]:
    """The events of a filter. Unless it says until when, those to come are wanted, too."""
    ends = "until" in wanted.occurred.model_fields_set
    has_words = None if wanted.text is None else _event_words(wanted.text.query)

    def includes(event: ReceivedEvent) -> bool:
        # by name first: most events are ruled out by it
        if wanted.event is not None and not wanted.event.includes(event):
            return False
        if event.occurred < wanted.occurred.since or (ends and event.occurred > wanted.occurred.until):
            return False
        if not all(one.includes(event) for one in wanted.get_filters() if one is not wanted.occurred):
            return False
        return has_words is None or has_words(event)

    return Wanted((wanted.model_dump_json(), ends), includes)


def wanted_logs(wanted: LogFilter) -> Wanted[Log]:
    """The lines of a filter."""
    conditions = list(_log_conditions(wanted))
    joined = any if wanted.operator is Operator.or_ and conditions else all
    return Wanted(wanted.model_dump_json(), lambda line: joined(condition(line) for condition in conditions))


def _log_conditions(wanted: LogFilter) -> list[Callable[[Log], bool]]:
    conditions: list[Callable[[Log], bool]] = []
    level, moment, run, task = wanted.level, wanted.timestamp, wanted.flow_run_id, wanted.task_run_id
    if level is not None:
        if level.ge_ is not None:
            conditions.append(lambda line, least=level.ge_: line.level >= least)
        if level.le_ is not None:
            conditions.append(lambda line, most=level.le_: line.level <= most)
    if moment is not None:
        if moment.after_ is not None:
            conditions.append(lambda line, after=moment.after_: line.timestamp >= after)
        if moment.before_ is not None:
            conditions.append(lambda line, before=moment.before_: line.timestamp <= before)
    if run is not None and run.any_ is not None:
        conditions.append(lambda line, ids=frozenset(run.any_): line.flow_run_id in ids)
    if task is not None:
        if task.any_ is not None:
            conditions.append(lambda line, ids=frozenset(task.any_): line.task_run_id in ids)
        if task.is_null_ is not None:
            conditions.append(lambda line, null=task.is_null_: (line.task_run_id is None) is null)
    if wanted.text is not None:
        conditions.append(_words(wanted.text.query))
    return conditions


def _words(text: str) -> Callable[[Log], bool]:
    query = parse_text_query(text.lower())

    def includes(line: Log) -> bool:
        texts = (line.message.lower(), line.name.lower())
        return query.matches(lambda part: any(part in one for one in texts))

    return includes


def _event_words(text: str) -> Callable[[ReceivedEvent], bool]:
    """What `prefect._store.events` looks for in the database."""
    query = parse_text_query(text.lower())
    written = {part: as_written(part) for part in (*query.some, *query.all, *query.none)}

    def includes(event: ReceivedEvent) -> bool:
        name = event.event.lower()
        texts = [json_text(part).lower() for part in (event.payload, *(r.root for r in event.involved_resources))]
        return query.matches(lambda part: part in name or any(written[part] in one for one in texts))

    return includes
