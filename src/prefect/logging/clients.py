"""Following the lines of logs as they are written."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect._transport.following import OVERLAP, Following
from prefect._transport.websocket import http_to_ws, socket_url
from prefect.settings import get_current_settings

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


def logs_out_socket_from_api_url(url: str) -> str:
    """The address of the websocket on which an API gives out lines of logs."""
    return socket_url(url, "/logs/out")


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


class PrefectLogsSubscriber:
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

    def __init__(
        self,
        api_url: str | None = None,
        filter: LogFilter | None = None,
        reconnection_attempts: int = 10,
        reconnect_on_clean_close: bool = False,
    ) -> None:
        self._api_url = api_url or get_current_settings().api.url
        self._filter = filter
        self._attempts = reconnection_attempts
        self._reconnect_on_clean_close = reconnect_on_clean_close
        self._headers: dict[str, str] = {}
        self._credential: str | None = None
        self._lines: AsyncGenerator[Log, None] | None = None

    @property
    def client_name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    async def __aenter__(self) -> Self:
        self._lines = self._follow()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            await lines.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Log:
        if self._lines is None:
            raise TypeError(f"{self.client_name} gives lines only inside `async with`.")
        return await self._lines.__anext__()

    def _follow(self) -> AsyncGenerator[Log, None]:
        following = Following("log", log_schemas.Log, self._wanted(now()))
        if self._api_url is None:
            return following.local()
        return following.server(
            logs_out_socket_from_api_url(self._api_url),
            headers=self._headers,
            credential=self._credential,
            attempts=self._attempts,
            reconnect_on_clean_close=self._reconnect_on_clean_close,
        )

    def _wanted(self, began: datetime) -> Any:
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

        return wanted


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
        settings = get_current_settings().api
        key = api_key or (settings.key.get_secret_value() if settings.key is not None else None)
        if not (api_url or settings.url) or not key:
            raise ValueError("Prefect Cloud needs an address and a key: set PREFECT_API_URL and PREFECT_API_KEY.")
        super().__init__(api_url, filter, reconnection_attempts, reconnect_on_clean_close)
        self._credential = key
        self._headers = {"Authorization": f"Bearer {key}"}
