"""What an API answers when it is asked for events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._schemas.events import EventPage as _EventPage
from prefect._schemas.events import ReceivedEvent as ReceivedEvent

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient


class EventPage(_EventPage):
    """A page of events."""

    async def get_next_page(self, client: PrefectClient) -> EventPage | None:
        """The page after this one; None after the last."""
        return await client.read_events_page(self.next_page) if self.next_page else None

    def get_next_page_sync(self, client: SyncPrefectClient) -> EventPage | None:
        """The page after this one; None after the last."""
        return client.read_events_page(self.next_page) if self.next_page else None
