"""Whether a subscriber wants something that was just written: what filters mean in SQL, asked of an object in memory."""

from __future__ import annotations

from collections.abc import Callable

from prefect._schemas.enums import Operator
from prefect._schemas.events import ReceivedEvent
from prefect._schemas.filters.events import EventFilter
from prefect._schemas.filters.logs import LogFilter
from prefect._schemas.logs import Log
from prefect._store.text_query import parse_text_query
from prefect.server.streams.feeds import Wanted


def wanted_events(wanted: EventFilter) -> Wanted[ReceivedEvent]:
    """The events of a filter. Unless it says until when, those to come are wanted, too."""
    ends = "until" in wanted.occurred.model_fields_set

    def includes(event: ReceivedEvent) -> bool:
        # by name first: most events are ruled out by it
        if wanted.event is not None and not wanted.event.includes(event):
            return False
        if event.occurred < wanted.occurred.since or (ends and event.occurred > wanted.occurred.until):
            return False
        return all(one.includes(event) for one in wanted.get_filters() if one is not wanted.occurred)

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

        def contains(part: str) -> bool:
            return any(part in one for one in texts)

        return (
            all(map(contains, query.all))
            and not any(map(contains, query.none))
            and (not query.some or any(map(contains, query.some)))
        )

    return includes
