"""What automations do, once triggered."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

import orjson
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.states import StateType

Source = Literal["selected", "inferred"]
"""`selected`: the object with the id that is given; `inferred`: the one that the triggering event is about."""


class Action(PrefectBaseModel, abc.ABC):
    """Something that an automation does.

    Attributes:
        type: which kind of action.
    """

    type: Any  # each kind has a word of its own

    def model_post_init(self, context: Any, /) -> None:
        self.__pydantic_fields_set__.add("type")  # it is what tells actions apart, so it is always sent

    def describe_for_cli(self) -> str:
        """The action in a few words."""
        return self.type.replace("-", " ").capitalize()


class _Choice(Action):
    """An action on an object that is chosen by id, or found in the triggering event."""

    _key: ClassVar[str]
    _required: ClassVar[bool] = True
    source: Source = Field(default="selected", description="Whether the object is given by id, or that of the event.")

    def _checked(self) -> Self:
        id = getattr(self, self._key)
        if self.source == "selected" and id is None and self._required:
            raise ValueError(f"{self._key} is required")
        if self.source == "inferred" and id is not None:
            raise ValueError(f"{self._key} is not allowed")
        return self


class DoNothing(Action):
    """Do nothing; that the automation was triggered can be seen in the events."""

    type: Literal["do-nothing"] = "do-nothing"


class DeploymentAction(_Choice):
    """An action on a deployment.

    Attributes:
        source: whether it is the one with this id, or the one that the event is about.
        deployment_id: of the deployment.
    """

    _key: ClassVar[str] = "deployment_id"
    deployment_id: UUID | None = Field(default=None, description="Id of the deployment; with `selected` only.")

    @model_validator(mode="after")
    def selected_deployment_requires_id(self) -> Self:
        """Refuse a selection without an id, and an id without selection."""
        return self._checked()


class RunDeployment(DeploymentAction):
    """Make a run of a deployment.

    Attributes:
        parameters: put over those of the deployment; templates (`{"__prefect_kind": "jinja", "template": ...}`) are
            rendered with the triggering event.
        job_variables: put over those of the deployment.
        schedule_after: how long after the trigger the run is due.
    """

    type: Literal["run-deployment"] = "run-deployment"
    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of the run.")
    job_variables: dict[str, Any] | None = Field(default=None, description="Job variables of the run.")
    schedule_after: timedelta = Field(default=timedelta(0), description="Seconds until the run is due.")

    @field_validator("schedule_after")
    @classmethod
    def _not_negative(cls, span: timedelta) -> timedelta:
        if span < timedelta(0):
            raise ValueError("schedule_after must be non-negative")
        return span


class PauseDeployment(DeploymentAction):
    """Pause a deployment: no more runs by schedule."""

    type: Literal["pause-deployment"] = "pause-deployment"


class ResumeDeployment(DeploymentAction):
    """Let a deployment make runs by schedule again."""

    type: Literal["resume-deployment"] = "resume-deployment"


class ChangeFlowRunState(Action):
    """Set the state of the flow run that the event is about.

    Attributes:
        name: of the state; that of the type unless given.
        state: its type.
        message: why.
        force: whether the rules about states are passed by.
    """

    type: Literal["change-flow-run-state"] = "change-flow-run-state"
    name: str | None = Field(default=None, description="Name of the state.")
    state: StateType = Field(description="Type of the state.")
    message: str | None = Field(default=None, description="Why the state changes.")
    force: bool = Field(default=False, description="Whether the rules about states are passed by.")


class CancelFlowRun(Action):
    """Cancel the flow run that the event is about."""

    type: Literal["cancel-flow-run"] = "cancel-flow-run"


class DeleteFlowRun(Action):
    """Delete the flow run that the event is about."""

    type: Literal["delete-flow-run"] = "delete-flow-run"


class ResumeFlowRun(Action):
    """Resume the flow run that the event is about."""

    type: Literal["resume-flow-run"] = "resume-flow-run"


class SuspendFlowRun(Action):
    """Suspend the flow run that the event is about."""

    type: Literal["suspend-flow-run"] = "suspend-flow-run"


class CallWebhook(Action):
    """Call a webhook.

    Attributes:
        block_document_id: of the saved `Webhook` block.
        payload: what is sent, a template.
    """

    type: Literal["call-webhook"] = "call-webhook"
    block_document_id: UUID = Field(description="Id of the webhook block.")
    payload: str = Field(default="", description="What is sent; a template.")

    @field_validator("payload", mode="before")
    @classmethod
    def _as_text(cls, payload: Any) -> Any:
        if isinstance(payload, dict):  # JSON that was not written as text
            return orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode()
        return payload


class SendNotification(Action):
    """Send a notification.

    Attributes:
        block_document_id: of the saved notification block.
        subject: a template.
        body: a template.
    """

    type: Literal["send-notification"] = "send-notification"
    block_document_id: UUID = Field(description="Id of the notification block.")
    subject: str = Field(default="Prefect automated notification", description="The subject; a template.")
    body: str = Field(description="The text; a template.")


class WorkPoolAction(_Choice):
    """An action on a work pool.

    Attributes:
        source: whether it is the one with this id, or the one that the event is about.
        work_pool_id: of the work pool.
    """

    _key: ClassVar[str] = "work_pool_id"
    _required: ClassVar[bool] = False
    work_pool_id: UUID | None = Field(default=None, description="Id of the work pool; with `selected` only.")

    @model_validator(mode="after")
    def _selected_work_pool(self) -> Self:
        return self._checked()


class PauseWorkPool(WorkPoolAction):
    """Pause a work pool."""

    type: Literal["pause-work-pool"] = "pause-work-pool"


class ResumeWorkPool(WorkPoolAction):
    """Resume a work pool."""

    type: Literal["resume-work-pool"] = "resume-work-pool"


class WorkQueueAction(_Choice):
    """An action on a work queue.

    Attributes:
        source: whether it is the one with this id, or the one that the event is about.
        work_queue_id: of the work queue.
    """

    _key: ClassVar[str] = "work_queue_id"
    work_queue_id: UUID | None = Field(default=None, description="Id of the work queue; with `selected` only.")

    @model_validator(mode="after")
    def selected_work_queue_requires_id(self) -> Self:
        """Refuse a selection without an id, and an id without selection."""
        return self._checked()


class PauseWorkQueue(WorkQueueAction):
    """Pause a work queue."""

    type: Literal["pause-work-queue"] = "pause-work-queue"


class ResumeWorkQueue(WorkQueueAction):
    """Resume a work queue."""

    type: Literal["resume-work-queue"] = "resume-work-queue"


class AutomationAction(_Choice):
    """An action on an automation.

    Attributes:
        source: whether it is the one with this id, or the one that the event is about.
        automation_id: of the automation.
    """

    _key: ClassVar[str] = "automation_id"
    automation_id: UUID | None = Field(default=None, description="Id of the automation; with `selected` only.")

    @model_validator(mode="after")
    def selected_automation_requires_id(self) -> Self:
        """Refuse a selection without an id, and an id without selection."""
        return self._checked()


class PauseAutomation(AutomationAction):
    """Let an automation do nothing, until it is resumed."""

    type: Literal["pause-automation"] = "pause-automation"


class ResumeAutomation(AutomationAction):
    """Let an automation act again."""

    type: Literal["resume-automation"] = "resume-automation"


class DeclareIncident(Action):
    """Declare an incident. Only Prefect Cloud knows incidents; this server refuses the action."""

    type: Literal["declare-incident"] = "declare-incident"


def action_discriminator(value: Any) -> str | None:
    """The type of an action, as the union of actions is told apart by; None when it does not say."""
    return value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)


ServerActionTypes = Annotated[
    Annotated[DoNothing, Tag("do-nothing")]
    | Annotated[RunDeployment, Tag("run-deployment")]
    | Annotated[PauseDeployment, Tag("pause-deployment")]
    | Annotated[ResumeDeployment, Tag("resume-deployment")]
    | Annotated[CancelFlowRun, Tag("cancel-flow-run")]
    | Annotated[DeleteFlowRun, Tag("delete-flow-run")]
    | Annotated[ChangeFlowRunState, Tag("change-flow-run-state")]
    | Annotated[PauseWorkQueue, Tag("pause-work-queue")]
    | Annotated[ResumeWorkQueue, Tag("resume-work-queue")]
    | Annotated[SendNotification, Tag("send-notification")]
    | Annotated[CallWebhook, Tag("call-webhook")]
    | Annotated[PauseAutomation, Tag("pause-automation")]
    | Annotated[ResumeAutomation, Tag("resume-automation")]
    | Annotated[SuspendFlowRun, Tag("suspend-flow-run")]
    | Annotated[ResumeFlowRun, Tag("resume-flow-run")]
    | Annotated[PauseWorkPool, Tag("pause-work-pool")]
    | Annotated[ResumeWorkPool, Tag("resume-work-pool")],
    Discriminator(action_discriminator),
]
"""Every action that a server carries out."""

ActionTypes = Annotated[
    Annotated[DoNothing, Tag("do-nothing")]
    | Annotated[RunDeployment, Tag("run-deployment")]
    | Annotated[PauseDeployment, Tag("pause-deployment")]
    | Annotated[ResumeDeployment, Tag("resume-deployment")]
    | Annotated[CancelFlowRun, Tag("cancel-flow-run")]
    | Annotated[DeleteFlowRun, Tag("delete-flow-run")]
    | Annotated[ChangeFlowRunState, Tag("change-flow-run-state")]
    | Annotated[PauseWorkQueue, Tag("pause-work-queue")]
    | Annotated[ResumeWorkQueue, Tag("resume-work-queue")]
    | Annotated[SendNotification, Tag("send-notification")]
    | Annotated[CallWebhook, Tag("call-webhook")]
    | Annotated[PauseAutomation, Tag("pause-automation")]
    | Annotated[ResumeAutomation, Tag("resume-automation")]
    | Annotated[SuspendFlowRun, Tag("suspend-flow-run")]
    | Annotated[ResumeFlowRun, Tag("resume-flow-run")]
    | Annotated[PauseWorkPool, Tag("pause-work-pool")]
    | Annotated[ResumeWorkPool, Tag("resume-work-pool")]
    | Annotated[DeclareIncident, Tag("declare-incident")],
    Discriminator(action_discriminator),
]
"""Every action there is."""
