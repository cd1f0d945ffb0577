"""Events: what happens, to what, and what had to do with it.

from prefect.events import emit_event

emit_event("order.placed", resource={"prefect.resource.id": "shop.order.17"}, payload={"total": 42})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._events.emitting import emit_event
    from prefect._schemas.events import Event, ReceivedEvent, RelatedResource, Resource, ResourceSpecification

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "Event": "prefect._schemas.events",
        "ReceivedEvent": "prefect._schemas.events",
        "RelatedResource": "prefect._schemas.events",
        "Resource": "prefect._schemas.events",
        "ResourceSpecification": "prefect._schemas.events",
        "emit_event": "prefect._events.emitting",
        "clients": "prefect.events.clients:",
        "filters": "prefect.events.filters:",
        "related": "prefect.events.related:",
        "schemas": "prefect.events.schemas:",
        "subscribers": "prefect.events.subscribers:",
        "utilities": "prefect.events.utilities:",
        "worker": "prefect.events.worker:",
    },
)

__all__ = ["Event", "ReceivedEvent", "RelatedResource", "Resource", "ResourceSpecification", "emit_event"]
