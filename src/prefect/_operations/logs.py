"""The log lines of runs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from urllib.parse import quote
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._ids import new_ids
from prefect._operations import rows
from prefect._operations.registry import PlainText, operation
from prefect._schemas.actions.runs import LogCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.logs import LogFilter, LogFilterFlowRunId
from prefect._schemas.logs import Log
from prefect._schemas.sorting import LogSort
from prefect._store import bulk, queries
from prefect._store.announcements import announce
from prefect._store.tables import flow_run, log

_BATCH = 500
_COLUMNS = ("id", "created", "name", "level", "message", "timestamp", "flow_run_id", "task_run_id", "worker_id")


class LogQuery(PrefectBaseModel):
    """A page of log lines."""

    logs: LogFilter | None = None
    sort: LogSort = LogSort.TIMESTAMP_ASC
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many lines.")
    offset: int = Field(default=0, ge=0, description="Leave out so many lines first.")


def _select(logs: LogFilter | None, sort: LogSort) -> sa.Select[tuple[object, ...]]:
    where = sa.true() if logs is None else queries.log_matches(logs)
    return sa.select(log).where(where).order_by(*queries.LOG_ORDERS[sort.value])


@operation("POST", "/logs/filter")
def read_logs(tx: sa.Connection, body: LogQuery) -> list[Log]:
    """The log lines that match, a page of them."""
    statement = _select(body.logs, body.sort).limit(body.limit).offset(body.offset)
    return [_log(row) for row in tx.execute(statement).mappings()]


def _log(row: sa.RowMapping) -> Log:
    # a line never changes
    return Log.model_validate({**row, "updated": row["created"]})


class LogLine(LogCreate):
    """Write a line of a log."""

    id: UUID | None = Field(default=None, description="Made up unless given; a line that is sent again is kept once.")


@operation("POST", "/logs/", writes=True, one_statement=True, status=201)
def create_logs(tx: sa.Connection, body: list[LogLine]) -> None:
    """Write lines of logs."""
    moment = now()
    lines = [
        {**line.__dict__, "id": line.id or id, "created": moment}
        for line, id in zip(body, new_ids(len(body)), strict=True)
    ]
    bulk.insert_new(tx, log, _COLUMNS, lines)
    announce(tx, "logs")


@operation("GET", "/flow_runs/{id}/logs/download", lengthy=True)
def download_flow_run_logs(tx: sa.Connection, id: UUID) -> PlainText:
    """The log of a flow run as a table with commas (RFC 4180).

    Raises:
        NotFound: there is no such flow run.
    """
    name = rows.one(tx, sa.select(flow_run.c.name).where(flow_run.c.id == id), "flow run", id)["name"]
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("timestamp", "level", "flow_run_id", "task_run_id", "message"))
    for line in iterate_logs(tx, LogFilter(flow_run_id=LogFilterFlowRunId(any_=[id]))):
        writer.writerow((line.timestamp, line.level, line.flow_run_id, line.task_run_id, line.message))
    disposition = f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{quote(name)}-logs.csv"
    return PlainText(table.getvalue(), "text/csv", {"Content-Disposition": disposition})


def iterate_logs(
    tx: sa.Connection, logs: LogFilter, sort: LogSort = LogSort.TIMESTAMP_ASC, limit: int | None = None
) -> Iterator[Log]:
    """All log lines that match, read as they are used: memory does not grow with the log."""
    statement, left = _select(logs, sort), math.inf if limit is None else limit
    while left > 0:
        size = int(min(left, _BATCH))
        found = tx.execute(statement.limit(size)).mappings().all()
        for row in found:
            yield _log(row)
        if len(found) < size:
            return
        left -= size
        statement = _select(logs, sort).where(_comes_after(found[-1], sort))


def _comes_after(row: sa.RowMapping, sort: LogSort) -> sa.ColumnElement[bool]:
    """Of which lines a line that was read is followed."""
    ascends = sort is LogSort.TIMESTAMP_ASC
    time, id = row["timestamp"], row["id"]
    # the first part alone says where an index begins
    return sa.and_(
        log.c.timestamp >= time if ascends else log.c.timestamp <= time,
        sa.or_(log.c.timestamp != time, log.c.id > id if ascends else log.c.id < id),
    )
