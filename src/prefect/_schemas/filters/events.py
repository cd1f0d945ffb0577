"""Which events: by time, name, resource, what is related, words.

A filter can be asked whether it includes an event in memory, as subscribers do; the database is asked by
`prefect._store.events`, which means the same by all of it. An empty list says nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field

from prefect._clock import now
from prefect._schemas.auto_enum import AutoEnum
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.events import Event, RelatedResource, Resource, ResourceSpecification
from prefect._schemas.moments import DateTime

DEFAULT_DAYS = 180
"""Without a beginning, this many days back."""


def _long_ago() -> datetime:
    return now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DEFAULT_DAYS)


class EventOrder(AutoEnum):
    """In which order of time."""

    ASC = AutoEnum.auto()
    DESC = AutoEnum.auto()


class EventDataFilter(PrefectBaseModel):
    """A condition on events; without conditions of its own, all that it holds must include an event."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def get_filters(self) -> list[EventDataFilter]:
        """The conditions that it holds."""
        held: list[EventDataFilter] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            held += [item for item in (value if isinstance(value, list) else [value]) if _is_filter(item)]
        return held

    def includes(self, event: Event) -> bool:
        """Whether an event is among those meant."""
        return all(condition.includes(event) for condition in self.get_filters())

    def excludes(self, event: Event) -> bool:
        """Whether an event is not among those meant."""
        return not self.includes(event)


def _is_filter(value: Any) -> bool:
    return isinstance(value, EventDataFilter)


class EventOccurredFilter(EventDataFilter):
    """On when an event happened; both ends are included."""

    since: DateTime = Field(default_factory=_long_ago, description="Not before this.")
    until: DateTime = Field(default_factory=now, description="Not after this.")

    def includes(self, event: Event) -> bool:
        return self.since <= event.occurred <= self.until


class EventNameFilter(EventDataFilter):
    """On the name of an event."""

    prefix: list[str] | None = Field(default=None, description="Begins with one of these.")
    exclude_prefix: list[str] | None = Field(default=None, description="Begins with none of these.")
    name: list[str] | None = Field(default=None, description="Is one of these.")
    exclude_name: list[str] | None = Field(default=None, description="Is none of these.")

    def includes(self, event: Event) -> bool:
        return (
            (not self.prefix or event.event.startswith(tuple(self.prefix)))
            and not (self.exclude_prefix and event.event.startswith(tuple(self.exclude_prefix)))
            and (not self.name or event.event in self.name)
            and not (self.exclude_name and event.event in self.exclude_name)
        )


class _ResourceConditions(EventDataFilter):
    """Conditions that one and the same resource must meet."""

    id: list[str] | None = Field(default=None, description="Is one of these.")
    id_prefix: list[str] | None = Field(default=None, description="Begins with one of these.")
    labels: ResourceSpecification | None = Field(default=None, description="Its labels.")

    def accepts(self, resource: Resource) -> bool:
        """Whether a resource meets them."""
        return (
            (not self.id or resource.id in self.id)
            and (not self.id_prefix or resource.id.startswith(tuple(self.id_prefix)))
            and (self.labels is None or self.labels.matches(resource))
        )


class EventResourceFilter(_ResourceConditions):
    """On what an event happened to."""

    distinct: bool = Field(default=False, description="Only the newest event of each resource.")

    def includes(self, event: Event) -> bool:
        return self.accepts(event.resource)


class EventRelatedFilter(EventDataFilter):
    """On what is related to an event: one of the related resources meets all that is said here."""

    id: list[str] | None = Field(default=None, description="Is one of these.")
    role: list[str] | None = Field(default=None, description="Its role is one of these.")
    resources_in_roles: list[tuple[str, str]] | None = Field(
        default=None, description="Is one of these, in the role beside it: pairs of id and role."
    )
    labels: ResourceSpecification | None = Field(default=None, description="Its labels.")

    def accepts(self, resource: RelatedResource) -> bool:
        """Whether a related resource meets it."""
        return (
            (not self.id or resource.id in self.id)
            and (not self.role or resource.role in self.role)
            and (not self.resources_in_roles or (resource.id, resource.role) in self.resources_in_roles)
            and (self.labels is None or self.labels.matches(resource))
        )

    def includes(self, event: Event) -> bool:
        return self.says_nothing() or any(map(self.accepts, event.related))

    def says_nothing(self) -> bool:
        """Whether every event meets it, also one to which nothing is related."""
        return not (self.id or self.role or self.resources_in_roles or self.labels)


class EventAnyResourceFilter(_ResourceConditions):
    """On what an event happened to or what is related to it: one of these resources meets all that is said here."""

    def includes(self, event: Event) -> bool:
        return any(map(self.accepts, event.involved_resources))


class EventIDFilter(EventDataFilter):
    """On the id of an event."""

    id: list[UUID] | None = Field(default=None, description="Is one of these.")

    def includes(self, event: Event) -> bool:
        return not self.id or event.id in self.id


class EventTextFilter(EventDataFilter):
    """On the words in an event: its name, its resources, its payload.

    Only the database looks at words; asked about an event in memory, this says yes.
    """

    query: str = Field(
        max_length=200,
        description="Words that must be in it; -word or !word must not, +word must, and double quotes hold a phrase",
        examples=["error", "order -test", '"connection lost"'],
    )


class EventFilter(EventDataFilter):
    """Which events."""

    occurred: EventOccurredFilter = Field(default_factory=EventOccurredFilter, description="When they happened.")
    event: EventNameFilter | None = Field(default=None, description="Their name.")
    resource: EventResourceFilter | None = Field(default=None, description="What they happened to.")
    related: EventRelatedFilter | list[EventRelatedFilter] | None = Field(
        default=None, description="What is related; each condition of a list must be met."
    )
    any_resource: EventAnyResourceFilter | list[EventAnyResourceFilter] | None = Field(
        default=None, description="What they happened to or what is related; each condition of a list must be met."
    )
    id: EventIDFilter = Field(default_factory=lambda: EventIDFilter(id=[]), description="Their ids.")
    text: EventTextFilter | None = Field(default=None, description="Words in them.")
    order: EventOrder = Field(default=EventOrder.DESC, description="In which order of time.")
