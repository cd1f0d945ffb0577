"""Events and the resources they are about."""

from prefect._schemas.events import Event, ReceivedEvent, RelatedResource, Resource, ResourceSpecification, matches

__all__ = ["Event", "ReceivedEvent", "RelatedResource", "Resource", "ResourceSpecification", "matches"]
