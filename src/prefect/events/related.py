"""Resources that have to do with an event."""

from __future__ import annotations

from typing import Any

from prefect._events.related import object_as_related_resource, of_current_run, tags_as_related_resources
from prefect._schemas.events import RelatedResource

__all__ = ["object_as_related_resource", "related_resources_from_run_context", "tags_as_related_resources"]


async def related_resources_from_run_context(client: Any, exclude: set[str] | None = None) -> list[RelatedResource]:
    """The current flow run, task run, flow and their tags as related resources; none outside a run.

    Args:
        client: an API client. It is not asked: the run itself knows all of this.
        exclude: ids of resources to leave out.
    """
    return of_current_run(exclude or ())
