"""The log lines of runs."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import rows
from prefect._operations.registry import operation
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.logs import LogFilter
from prefect._schemas.logs import Log
from prefect._schemas.sorting import LogSort
from prefect._store import queries
from prefect._store.tables import log

_BATCH = 500


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
    return [Log.model_validate(row) for row in tx.execute(statement).mappings()]


def iterate_logs(
    tx: sa.Connection, logs: LogFilter, sort: LogSort = LogSort.TIMESTAMP_ASC, limit: int | None = None
) -> Iterator[Log]:
    """All log lines that match, read as they are used: memory does not grow with the log."""
    result = tx.execution_options(yield_per=_BATCH).execute(_select(logs, sort).limit(limit))
    for row in result.mappings():
        yield Log.model_validate(row)
