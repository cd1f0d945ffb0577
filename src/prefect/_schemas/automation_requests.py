"""Automations as the API takes and gives them: with ids of triggers, and only with what a server can do."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Discriminator, Field, Tag

from prefect._defaults import new_list
from prefect._ids import new_uuid
from prefect._schemas import automations
from prefect._schemas.automation_actions import ServerActionTypes
from prefect._schemas.automations import Posture, trigger_discriminator
from prefect._schemas.base import ActionBaseModel, ObjectBaseModel, PrefectBaseModel
from prefect._schemas.fields import ShortText


class EventTrigger(automations.EventTrigger):
    """Fires when events happen, or when they do not."""

    id: UUID = Field(default_factory=new_uuid, description="Identity of the trigger.")
    posture: Literal[Posture.Reactive, Posture.Proactive] = Field(  # type: ignore[assignment]  # no default here
        description="Whether it fires when they happen, or when they do not."
    )
    threshold: int = Field(default=1, ge=1, description="How many events it takes.")


class CompoundTrigger(automations.CompoundTrigger):
    """Fires when enough of its triggers have fired, in whatever order."""

    id: UUID = Field(default_factory=new_uuid, description="Identity of the trigger.")
    triggers: list[ServerTriggerTypes] = Field(  # type: ignore[assignment]
        min_length=1, description="The triggers that belong together."
    )


class SequenceTrigger(automations.SequenceTrigger):
    """Fires when all of its triggers have fired, in their order."""

    id: UUID = Field(default_factory=new_uuid, description="Identity of the trigger.")
    triggers: list[ServerTriggerTypes] = Field(  # type: ignore[assignment]
        min_length=1, description="The triggers that belong together."
    )


ServerTriggerTypes = Annotated[
    Annotated[EventTrigger, Tag("event")]
    | Annotated[CompoundTrigger, Tag("compound")]
    | Annotated[SequenceTrigger, Tag("sequence")],
    Discriminator(trigger_discriminator),
]
"""Every trigger that a server evaluates."""


class _Parts(PrefectBaseModel):
    name: ShortText = Field(description="What people call it.")
    description: str = Field(default="", description="What it is for.")
    enabled: bool = Field(default=True, description="Whether it does anything.")
    tags: list[ShortText] = Field(default_factory=new_list, description="To find it by.")
    trigger: ServerTriggerTypes = Field(description="What it waits for.")
    actions: list[ServerActionTypes] = Field(description="What is done when the trigger fires.")
    actions_on_trigger: list[ServerActionTypes] = Field(default_factory=new_list, description="What else is done then.")
    actions_on_resolve: list[ServerActionTypes] = Field(
        default_factory=new_list, description="What is done when the reason for a firing has gone."
    )


class AutomationCreate(_Parts, ActionBaseModel):
    """A new automation."""

    owner_resource: str | None = Field(default=None, description="The resource that it belongs to.")


class AutomationUpdate(_Parts, ActionBaseModel):
    """What takes the place of an automation."""


class AutomationPartialUpdate(ActionBaseModel):
    """Whether an automation does anything."""

    enabled: bool = Field(default=True, description="Whether it does anything.")


class Automation(_Parts, ObjectBaseModel):
    """An automation."""

    model_config: ClassVar[ConfigDict] = ConfigDict(from_attributes=True)
