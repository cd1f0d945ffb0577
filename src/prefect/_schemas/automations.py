"""Automations: what is done when something happens, and what it is that happens."""

from __future__ import annotations

import abc
import textwrap
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Discriminator, Field, PrivateAttr, Tag, field_validator, model_validator

from prefect._defaults import new_list
from prefect._schemas.auto_enum import AutoEnum
from prefect._schemas.automation_actions import ActionTypes, RunDeployment
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.events import ResourceSpecification

SHORTEST_PROACTIVE = timedelta(seconds=10)
"""How long a proactive trigger waits at least."""
SHORTEST_RANGE = timedelta(minutes=5)
"""Over how long a metric is looked at, at least."""


class Posture(AutoEnum):
    """What makes a trigger fire."""

    Reactive = "Reactive"
    """The expected events happen."""
    Proactive = "Proactive"
    """The expected events do not happen in time."""
    Metric = "Metric"
    """A measure is beyond a bound."""


class Trigger(PrefectBaseModel, abc.ABC):
    """What an automation waits for.

    A trigger of a deployment (a `Deployment...Trigger`) also says which run is made; see `as_automation`.
    """

    _deployment_id: UUID | None = PrivateAttr(default=None)

    type: Any  # each kind has a word of its own

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self.__pydantic_fields_set__.add("type")  # it is what tells triggers apart, so it is always sent

    @abc.abstractmethod
    def describe_for_cli(self, indent: int = 0) -> str:
        """The trigger in a few words, indented by so many spaces."""

    def set_deployment_id(self, deployment_id: UUID) -> None:
        """Say which deployment is run when it fires."""
        self._deployment_id = deployment_id

    def owner_resource(self) -> str | None:
        """The resource that the automation of this trigger belongs to: its deployment."""
        return f"prefect.deployment.{self._deployment_id}"

    def actions(self) -> list[ActionTypes]:
        """What is done when it fires: its deployment is run.

        Raises:
            ValueError: it has no deployment.
        """
        if self._deployment_id is None:
            raise ValueError("This trigger has no deployment to run; call set_deployment_id() first.")
        return [
            RunDeployment(
                source="selected",
                deployment_id=self._deployment_id,
                parameters=getattr(self, "parameters", None),
                job_variables=getattr(self, "job_variables", None),
                schedule_after=getattr(self, "schedule_after", timedelta(0)),
            )
        ]

    def as_automation(self) -> AutomationCore:
        """The automation that runs the deployment when this trigger fires.

        Raises:
            ValueError: it has no deployment.
        """
        actions = self.actions()
        return AutomationCore(
            name=getattr(self, "name", None) or f"Automation for deployment {self._deployment_id}",
            description=getattr(self, "description", ""),
            enabled=getattr(self, "enabled", True),
            trigger=self,  # type: ignore[arg-type]  # each concrete one is a member of the union
            actions=actions,
            owner_resource=self.owner_resource(),
        )


class ResourceTrigger(Trigger, abc.ABC):
    """A trigger about resources.

    Attributes:
        match: labels of what the event happened to.
        match_related: labels of what is related to the event; each member of a list must be met.
    """

    match: ResourceSpecification = Field(
        default_factory=lambda: ResourceSpecification.model_validate({}), description="What events must be about."
    )
    match_related: ResourceSpecification | list[ResourceSpecification] = Field(
        default_factory=lambda: ResourceSpecification.model_validate({}), description="What must be related to events."
    )

    @field_validator("match", mode="before")
    @classmethod
    def coerce_match(cls, v: Any) -> Any:
        """Accept plain labels."""
        return _specification(v)

    @field_validator("match_related", mode="before")
    @classmethod
    def coerce_match_related(cls, v: Any) -> Any:
        """Accept plain labels, or a list of them."""
        return [_specification(one) for one in v] if isinstance(v, list) else _specification(v)


def _specification(value: Any) -> Any:
    return ResourceSpecification.model_validate(value) if isinstance(value, Mapping) else value


class EventTrigger(ResourceTrigger):
    """Fires when events happen, or when they do not.

    Attributes:
        after: events after which the expected ones are waited for; any event may start the wait if there are none.
        expect: names of the events; one that ends in `*` stands for all that begin like it. None: every event.
        for_each: labels; events are counted for each combination of their values by itself.
        posture: `Reactive`, when they happen, or `Proactive`, when they do not.
        threshold: how many it takes.
        within: in what time; at least ten seconds for proactive triggers.
    """

    type: Literal["event"] = "event"
    after: set[str] = Field(default_factory=set, description="Events after which the expected ones are waited for.")
    expect: set[str] = Field(default_factory=set, description="Names of the expected events.")
    for_each: set[str] = Field(default_factory=set, description="Labels by whose values events are counted apart.")
    posture: Literal[Posture.Reactive, Posture.Proactive] = Field(
        default=Posture.Reactive, description="Whether it fires when they happen, or when they do not."
    )
    threshold: int = Field(default=1, description="How many events it takes.")
    within: timedelta = Field(
        default=timedelta(0), ge=timedelta(0), description="Seconds within which they happen, or should."
    )

    @model_validator(mode="before")
    @classmethod
    def enforce_minimum_within_for_proactive_triggers(cls, data: Any) -> Any:
        """Give a proactive trigger without a time ten seconds."""
        if isinstance(data, Mapping) and data.get("posture") == Posture.Proactive and not data.get("within"):
            return {**data, "within": SHORTEST_PROACTIVE}
        return data

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.posture == Posture.Proactive and self.within < SHORTEST_PROACTIVE:
            raise ValueError("`within` for Proactive triggers must be greater than or equal to 10 seconds")
        return self

    def describe_for_cli(self, indent: int = 0) -> str:
        names = ", ".join(map(repr, sorted(self.expect))) or "any event"
        if self.posture == Posture.Reactive:
            text = f"Reactive: expecting {self.threshold} of {names}"
        else:
            text = f"Proactive: expecting {self.threshold} of {names} within {self.within}"
        return textwrap.indent(text, " " * indent)


class MetricTriggerOperator(Enum):
    """How a metric is compared with the threshold."""

    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="


class PrefectMetric(Enum):
    """What is measured."""

    lateness = "lateness"
    duration = "duration"
    successes = "successes"


class MetricTriggerQuery(PrefectBaseModel):
    """A bound on a metric.

    Attributes:
        name: of the metric.
        threshold: the bound.
        operator: how it is compared with.
        range: over how long the metric is taken; five minutes at least.
        firing_for: how long it must be beyond the bound; five minutes at least.
    """

    name: PrefectMetric = Field(description="What is measured.")
    threshold: float = Field(description="What it is compared with.")
    operator: MetricTriggerOperator = Field(description="How it is compared.")
    range: timedelta = Field(default=SHORTEST_RANGE, description="Seconds over which it is taken.")
    firing_for: timedelta = Field(default=SHORTEST_RANGE, description="Seconds that it must be beyond the bound.")

    @field_validator("range", "firing_for")
    @classmethod
    def enforce_minimum_range(cls, value: timedelta) -> timedelta:
        """Refuse less than five minutes."""
        if value < SHORTEST_RANGE:
            raise ValueError("The minimum range is 300 seconds (5 minutes)")
        return value


class MetricTrigger(ResourceTrigger):
    """Fires when a metric is beyond a bound. Only Prefect Cloud measures; this server refuses the trigger.

    Attributes:
        metric: which bound.
    """

    type: Literal["metric"] = "metric"
    posture: Literal[Posture.Metric] = Field(default=Posture.Metric, description="Always `Metric`.")
    metric: MetricTriggerQuery = Field(description="Which bound on which metric.")

    def describe_for_cli(self, indent: int = 0) -> str:
        m = self.metric
        text = f"Metric: {m.name.value} {m.operator.value} {m.threshold} for {m.range}"
        return textwrap.indent(text, " " * indent)


class CompositeTrigger(Trigger, abc.ABC):
    """Triggers that belong together.

    Attributes:
        triggers: which.
        within: in what time all of them must fire; None: however long it takes.
    """

    triggers: list[TriggerTypes] = Field(description="The triggers that belong together.")
    within: timedelta | None = Field(default=None, description="Seconds within which they must fire.")

    def _described(self, headline: str, indent: int) -> str:
        inner = [trigger.describe_for_cli(indent=2) for trigger in self.triggers]
        return textwrap.indent("\n".join([headline, *inner]), " " * indent)


class CompoundTrigger(CompositeTrigger):
    """Fires when enough of its triggers have fired, in whatever order.

    Attributes:
        require: `any`, `all`, or how many.
    """

    type: Literal["compound"] = "compound"
    require: int | Literal["any", "all"] = Field(description="How many of them it takes.")

    @model_validator(mode="after")
    def validate_require(self) -> Self:
        """Refuse a number that cannot be reached, or below one."""
        if isinstance(self.require, int):
            if self.require < 1:
                raise ValueError("require must be at least 1")
            if self.require > len(self.triggers):
                raise ValueError("require must be less than or equal to the number of triggers")
        return self

    def describe_for_cli(self, indent: int = 0) -> str:
        return self._described(f"{str(self.require).capitalize()} of:", indent)


class SequenceTrigger(CompositeTrigger):
    """Fires when all of its triggers have fired, in their order."""

    type: Literal["sequence"] = "sequence"

    def describe_for_cli(self, indent: int = 0) -> str:
        return self._described("In this order:", indent)


def trigger_discriminator(value: Any) -> str:
    """Which kind of trigger a value describes: what it says, or what its fields tell."""
    if not isinstance(value, Mapping):
        return getattr(value, "type", "event")
    if value.get("type"):
        return value["type"]
    if value.get("posture") == "Metric":
        return "metric"
    if "triggers" in value:
        return "compound" if "require" in value else "sequence"
    return "event"


TriggerTypes = Annotated[
    Annotated[EventTrigger, Tag("event")]
    | Annotated[MetricTrigger, Tag("metric")]
    | Annotated[CompoundTrigger, Tag("compound")]
    | Annotated[SequenceTrigger, Tag("sequence")],
    Discriminator(trigger_discriminator),
]
"""Every trigger there is."""


class AutomationCore(PrefectBaseModel):
    """What is done when something happens.

    Attributes:
        name: what people call it.
        description: what it is for.
        enabled: whether it does anything.
        tags: to find it by.
        trigger: what it waits for.
        actions: what is done when the trigger fires.
        actions_on_trigger: what else is done then.
        actions_on_resolve: what is done when the reason for a firing has gone.
        owner_resource: the resource that it belongs to, and is deleted with.
    """

    name: str = Field(description="What people call it.")
    description: str = Field(default="", description="What it is for.")
    enabled: bool = Field(default=True, description="Whether it does anything.")
    tags: list[str] = Field(default_factory=new_list, description="To find it by.")
    trigger: TriggerTypes = Field(description="What it waits for.")
    actions: list[ActionTypes] = Field(description="What is done when the trigger fires.")
    actions_on_trigger: list[ActionTypes] = Field(default_factory=new_list, description="What else is done then.")
    actions_on_resolve: list[ActionTypes] = Field(
        default_factory=new_list, description="What is done when the reason for a firing has gone."
    )
    owner_resource: str | None = Field(default=None, description="The resource that it belongs to.")


class Automation(AutomationCore):
    """An automation that an API holds."""

    _reset_fields: ClassVar[set[str]] = {"id"}

    id: UUID = Field(description="Identity of the automation.")
