"""Events as a client without a server reads them."""

from __future__ import annotations

from prefect._engine.recorder import get_recorder
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.filters import EventFilter


def test_page_by_page(home):
    for number in range(5):
        emit_event(f"e.{number}", {"prefect.resource.id": "x"})
    get_recorder().flush()
    with get_client(sync_client=True) as client:
        page = client.read_events(EventFilter(event={"prefix": ["e."]}), limit=2)
        seen = [found.event for found in page.events]
        while page := page.get_next_page_sync(client):
            seen += [found.event for found in page.events]
    assert seen == ["e.4", "e.3", "e.2", "e.1", "e.0"]
