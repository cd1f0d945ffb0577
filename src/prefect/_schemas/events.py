"""What happened, to what, and what had to do with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import ConfigDict, Field, RootModel, ValidationInfo, field_validator, model_validator

from prefect._clock import now
from prefect._defaults import new_list
from prefect._ids import new_uuid
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.labels import Labelled
from prefect._schemas.moments import DateTime
from prefect.settings import get_current_settings

RESOURCE_ID = "prefect.resource.id"
RESOURCE_NAME = "prefect.resource.name"
RESOURCE_ROLE = "prefect.resource.role"

STORED = {"stored": True}
"""Validation context of what was checked when it was recorded: limits that were lowered since do not hide it."""


def _is_stored(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("stored"))


class Resource(Labelled):
    """A thing that an event is about: its label `prefect.resource.id` identifies it, others describe it."""

    @model_validator(mode="after")
    def _limit_labels(self, info: ValidationInfo) -> Self:
        return self if _is_stored(info) else self.enforce_maximum_labels()

    def enforce_maximum_labels(self) -> Self:
        """Refuse more labels than `server.events.maximum_labels_per_resource`.

        Raises:
            ValueError: there are more.
        """
        maximum = get_current_settings().server.events.maximum_labels_per_resource
        if len(self.root) > maximum:
            raise ValueError(f"The maximum number of labels per resource is {maximum}")
        return self

    @model_validator(mode="after")
    def requires_resource_id(self) -> Self:
        """Refuse a resource without an id."""
        if RESOURCE_ID not in self.root:
            raise ValueError(f"Resources must include the {RESOURCE_ID} label")
        if not self.root[RESOURCE_ID]:
            raise ValueError(f"The {RESOURCE_ID} label must be non-empty")
        return self

    @property
    def id(self) -> str:
        """Identifies the resource among all, as in `prefect.flow-run.<uuid>` or `my-warehouse.orders`."""
        return self.root[RESOURCE_ID]

    @property
    def name(self) -> str | None:
        """What people call it."""
        return self.root.get(RESOURCE_NAME)

    def prefect_object_id(self, kind: str) -> UUID:
        """The id of the object that this resource stands for.

        Args:
            kind: the beginning of the resource's id, as in `prefect.flow-run`.

        Raises:
            ValueError: the resource is of another kind, or what follows is not a UUID.
        """
        prefix = kind if kind.endswith(".") else f"{kind}."
        if not self.id.startswith(prefix):
            raise ValueError(f"Resource ID {self.id} does not start with {prefix}")
        return UUID(self.id.removeprefix(prefix))


class RelatedResource(Resource):
    """A thing that has to do with an event; the label `prefect.resource.role` says what."""

    @model_validator(mode="after")
    def requires_resource_role(self) -> Self:
        """Refuse a related resource without a role."""
        if RESOURCE_ROLE not in self.root:
            raise ValueError(f"Related Resources must include the {RESOURCE_ROLE} label")
        if not self.root[RESOURCE_ROLE]:
            raise ValueError(f"The {RESOURCE_ROLE} label must be non-empty")
        return self

    @property
    def role(self) -> str:
        """What it has to do with the event, as in `flow-run` or `tag`."""
        return self.root[RESOURCE_ROLE]


class Event(PrefectBaseModel):
    """Something that happened to a resource.

    Attributes:
        occurred: when it happened.
        event: the name of what happened, as in `order.placed`.
        resource: what it happened to.
        related: what had to do with it.
        payload: anything that describes it further, JSON.
        id: identifies it; an event that is sent again is kept once.
        follows: the id of an event that is known to come before it, no more than minutes earlier.
    """

    occurred: DateTime = Field(default_factory=now, description="When it happened.")
    event: str = Field(description="The name of what happened.")
    resource: Resource = Field(description="What it happened to.")
    related: list[RelatedResource] = Field(default_factory=new_list, description="What had to do with it.")
    payload: dict[str, Any] = Field(default_factory=dict, description="What describes it further.")
    id: UUID = Field(default_factory=new_uuid, description="Identifies the event.")
    follows: UUID | None = Field(default=None, description="An event that comes before this one.")

    @field_validator("related")
    @classmethod
    def _enforce_maximum_related(cls, related: list[RelatedResource], info: ValidationInfo) -> list[RelatedResource]:
        maximum = get_current_settings().server.events.maximum_related_resources
        if len(related) > maximum and not _is_stored(info):
            raise ValueError(f"The maximum number of related resources is {maximum}")
        return related

    @property
    def involved_resources(self) -> Sequence[Resource]:
        """The resource and the related ones."""
        return [self.resource, *self.related]

    @property
    def resource_in_role(self) -> Mapping[str, RelatedResource]:
        """The first related resource of each role."""
        return {role: resources[0] for role, resources in self.resources_in_role.items()}

    @property
    def resources_in_role(self) -> Mapping[str, Sequence[RelatedResource]]:
        """The related resources of each role; none for a role that nothing has."""
        roles: dict[str, list[RelatedResource]] = defaultdict(list)
        for resource in self.related:
            roles[resource.role].append(resource)
        return roles

    def find_resource_label(self, label: str) -> str | None:
        """The value of a label of the resource, or of a related one as in `related:flow:prefect.resource.name`."""
        kind, _, rest = label.partition(":")
        role, _, name = rest.partition(":")
        if kind == "related" and name:
            return next((found[name] for found in self.related if found.role == role and name in found), None)
        return self.resource.get(label)

    @property
    def size_bytes(self) -> int:
        """The size of the event as JSON, in bytes."""
        return len(self.model_dump_json().encode())


class ReceivedEvent(Event):
    """An event as it is kept.

    Attributes:
        received: when it was recorded.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(from_attributes=True)

    received: DateTime = Field(description="When it was recorded.")


class EventPage(PrefectBaseModel):
    """A page of events."""

    events: list[ReceivedEvent]
    total: int = Field(description="How many events there are on all pages.")
    next_page: str | None = Field(description="Address of the next page; None on the last one.")


def matches(expected: str, value: str | None) -> bool:
    """Whether the value of a label is what is expected.

    Args:
        expected: the value; one that ends in `*` stands for all that begin like it, one that begins with `!` for all
            that it would not match without that.
        value: the value; None, for a label that is not there, never matches.
    """
    if value is None:
        return False
    negated = False
    while expected.startswith("!"):
        negated, expected = not negated, expected[1:]
    found = value.startswith(expected[:-1]) if expected.endswith("*") else value == expected
    return found is not negated


class ResourceSpecification(RootModel[dict[str, str | list[str]]]):
    """Which resources are meant: for each label, the value it must have, or a list of values it may have.

    Values are compared as in `matches`. No labels at all mean every resource.
    """

    model_config = ConfigDict(defer_build=True)

    root: dict[str, str | list[str]]

    def matches_every_resource(self) -> bool:
        """Whether every resource is meant."""
        return not self.root

    def matches_every_resource_of_kind(self, prefix: str) -> bool:
        """Whether every resource whose id begins with `prefix` and a dot is meant."""
        if self.matches_every_resource():
            return True
        return self.root.keys() == {RESOURCE_ID} and f"{prefix}.*" in self[RESOURCE_ID]

    def includes(self, candidates: Iterable[Resource]) -> bool:
        """Whether any of these resources is meant."""
        return self.matches_every_resource() or any(self.matches(candidate) for candidate in candidates)

    def matches(self, resource: Labelled) -> bool:
        """Whether this resource is meant."""
        return all(any(matches(expected, resource.get(label)) for expected in values) for label, values in self.items())

    def items(self) -> Iterable[tuple[str, list[str]]]:
        """The labels, each with the list of its values."""
        return [(label, _listed(values)) for label, values in self.root.items()]

    def __contains__(self, key: object) -> bool:
        return key in self.root

    def __getitem__(self, key: str) -> list[str]:
        return _listed(self.root[key])

    def __setitem__(self, key: str, value: str | list[str]) -> None:
        self.root[key] = value

    def __len__(self) -> int:
        return len(self.root)

    def get(self, key: str, default: str | list[str] | None = None) -> list[str] | None:
        """The values of a label as a list, or `default`, as a list too."""
        value = self.root.get(key, default)
        return None if value is None else _listed(value)

    def pop(self, key: str, default: str | list[str] | None = None) -> list[str] | None:
        """Take a label out; its values as in `get`."""
        value = self.root.pop(key, default)
        return None if value is None else _listed(value)

    def deepcopy(self) -> ResourceSpecification:
        """A copy that shares nothing with this one."""
        return self.model_copy(deep=True)


def _listed(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)
