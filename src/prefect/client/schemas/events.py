"""What an API answers when it is asked for events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.events import ReceivedEvent

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient


class EventPage(PrefectBaseModel):
    """A page of events."""

    events: list[ReceivedEvent]
    total: int = Field(description="How many events there are on all pages.")
    next_page: str | None = Field(description="Address of the next page; None on the last one.")

    async def get_next_page(self, client: PrefectClient) -> EventPage | None:
        """The page after this one; None after the last."""
        return await client.read_events_page(self.next_page) if self.next_page else None

    def get_next_page_sync(self, client: SyncPrefectClient) -> EventPage | None:
        """The page after this one; None after the last."""
        return client.read_events_page(self.next_page) if self.next_page else None
