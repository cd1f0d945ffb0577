"""Log lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect._schemas.actions.runs import LogCreate
from prefect._schemas.filters.logs import LogFilter
from prefect._schemas.logs import Log
from prefect._schemas.sorting import LogSort
from prefect.client._methods.base import Asking
from prefect.client.wire import given, read_all


class LogMethods(Asking):
    """Log lines of runs."""

    async def create_logs(self, logs: Iterable[LogCreate | dict[str, Any]]) -> None:
        """Keep log lines.

        Args:
            logs: the lines, as requests or as mappings with the same fields.
        """
        lines = [line.model_dump(mode="json") if isinstance(line, LogCreate) else line for line in logs]
        await self._call("POST", "/logs/", lines, repeatable=False)

    async def read_logs(
        self,
        log_filter: LogFilter | None = None,
        limit: int | None = None,
        offset: int | None = None,
        sort: LogSort | None = None,
    ) -> list[Log]:
        """The log lines that match, a page of them; oldest first unless told otherwise.

        Args:
            log_filter: conditions on the lines.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            offset: how many to leave out first.
            sort: the order.
        """
        body = given(logs=log_filter, limit=limit, offset=offset, sort=sort or LogSort.TIMESTAMP_ASC)
        return read_all(Log, await self._call("POST", "/logs/filter", body))
