"""Following the lines of logs as they are written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._transport.following import OVERLAP, Following, Subscriber
from prefect._transport.websocket import cloud_access, http_to_ws, socket_url

if TYPE_CHECKING:
    from prefect._schemas import logs as log_schemas
    from prefect._schemas.filters import logs as log_filters
    from prefect._schemas.filters.logs import LogFilter
    from prefect._schemas.logs import Log
else:
    log_schemas = lazy_module("prefect._schemas.logs")
    log_filters = lazy_module("prefect._schemas.filters.logs")

__all__ = [
    "PrefectCloudLogsSubscriber",
    "PrefectLogsSubscriber",
    "get_logs_subscriber",
    "http_to_ws",
    "logs_out_socket_from_api_url",
]


_OUT = "/logs/out"


def logs_out_socket_from_api_url(url: str) -> str:
    """The address of the websocket on which an API gives out lines of logs."""
    return socket_url(url, _OUT)


def get_logs_subscriber(
    filter: LogFilter | None = None, reconnection_attempts: int = 10, reconnect_on_clean_close: bool = False
) -> PrefectLogsSubscriber:
    """Follow the logs of the API that the settings name; of the local database when they name none.

    Args:
        filter: which lines; all, from a minute ago, unless it says otherwise.
        reconnection_attempts: failures to connect in a row after which to give up.
        reconnect_on_clean_close: go on when the server says that it has ended.
    """
    return PrefectLogsSubscriber(
        filter=filter,
        reconnection_attempts=reconnection_attempts,
        reconnect_on_clean_close=reconnect_on_clean_close,
    )


class PrefectLogsSubscriber(Subscriber["Log", "LogFilter"]):
    """Follows the logs of an API:

        async with PrefectLogsSubscriber(filter=...) as subscriber:
            async for line in subscriber: ...

    A connection that fails is made again, and the lines written meanwhile come then; no line comes twice.

    Args:
        api_url: the address of the API; unless given, that of the settings, or the local database.
        filter: which lines; all, from a minute ago, unless it says otherwise.
        reconnection_attempts: failures to connect in a row after which to give up.
        reconnect_on_clean_close: go on when the server says that it has ended.
    """

    _path = _OUT

    def _following(self, began: datetime) -> Following[Log]:
        filter = (self._filter or log_filters.LogFilter()).model_copy(deep=True)
        moments = filter.timestamp or log_filters.LogFilterTimestamp()
        if moments.after_ is None:
            moments.after_ = began - OVERLAP
        if moments.before_ is None:
            moments.before_ = began + timedelta(days=365)
        filter.timestamp = moments
        first = moments.after_

        def wanted(since: datetime | None) -> dict[str, Any]:
            assert first is not None
            moments.after_ = first if since is None else max(first, since)
            return filter.model_dump(mode="json")

        return Following("log", log_schemas.Log, wanted)


class PrefectCloudLogsSubscriber(PrefectLogsSubscriber):
    """Follows the logs of Prefect Cloud.

    Args:
        api_url: the address of the API; unless given, that of the settings.
        api_key: unless given, that of the settings.
        filter, reconnection_attempts, reconnect_on_clean_close: see `PrefectLogsSubscriber`.

    Raises:
        ValueError: there is no address or no key.
    """

    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | None = None,
        filter: LogFilter | None = None,
        reconnection_attempts: int = 10,
        reconnect_on_clean_close: bool = False,
    ) -> None:
        url, key = cloud_access(api_url, api_key)
        super().__init__(url, filter, reconnection_attempts, reconnect_on_clean_close)
        self._key = key
