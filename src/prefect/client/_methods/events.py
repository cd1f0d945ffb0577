"""Events."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pydantic

from prefect.client._methods.base import Asking
from prefect.client.schemas.events import EventPage
from prefect.client.wire import given, read

_TOKEN = "page-token"


class EventMethods(Asking):
    """Events: what happened."""

    async def read_events(self, filter: pydantic.BaseModel | None = None, limit: int = 100) -> EventPage:
        """The events that match, a page of them, the newest first.

        Args:
            filter: conditions on the events; those of today unless given.
            limit: events on a page.
        """
        return read(EventPage, await self._call("POST", "/events/filter", given(filter=filter, limit=limit)))

    async def read_events_page(self, next_page_url: str) -> EventPage:
        """Another page of events.

        Args:
            next_page_url: what the page before gives as `next_page`. Only its token is used: the request goes to the
                API of this client, whatever host the address names.

        Raises:
            ValueError: there is no token in the address.
        """
        tokens = parse_qs(urlsplit(str(next_page_url)).query).get(_TOKEN)
        if not tokens:
            raise ValueError(f"{next_page_url!r} has no {_TOKEN!r}: it should be the `next_page` of a page of events.")
        return read(EventPage, await self._call("GET", "/events/filter/next", query={_TOKEN: tokens[0]}))
