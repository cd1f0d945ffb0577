"""Events: what happens, to what, and what had to do with it.

from prefect.events import emit_event

emit_event("order.placed", resource={"prefect.resource.id": "shop.order.17"}, payload={"total": 42})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._events.emitting import emit_event
    from prefect._schemas.automation_actions import (
        Action,
        ActionTypes,
        CallWebhook,
        CancelFlowRun,
        ChangeFlowRunState,
        DeclareIncident,
        DeleteFlowRun,
        DoNothing,
        PauseAutomation,
        PauseDeployment,
        PauseWorkPool,
        PauseWorkQueue,
        ResumeAutomation,
        ResumeDeployment,
        ResumeFlowRun,
        ResumeWorkPool,
        ResumeWorkQueue,
        RunDeployment,
        SendNotification,
        SuspendFlowRun,
    )
    from prefect._schemas.automations import (
        Automation,
        AutomationCore,
        CompositeTrigger,
        CompoundTrigger,
        EventTrigger,
        MetricTrigger,
        MetricTriggerOperator,
        MetricTriggerQuery,
        Posture,
        ResourceTrigger,
        SequenceTrigger,
        Trigger,
        TriggerTypes,
    )
    from prefect._schemas.events import (
        Event,
        ReceivedEvent,
        RelatedResource,
        Resource,
        ResourceSpecification,
    )
    from prefect.events.clients import get_events_client, get_events_subscriber
    from prefect.events.schemas.deployment_triggers import (
        DeploymentCompoundTrigger,
        DeploymentEventTrigger,
        DeploymentMetricTrigger,
        DeploymentSequenceTrigger,
        DeploymentTriggerTypes,
    )
    from prefect.events.subscribers import FlowRunSubscriber

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._events.emitting": "emit_event",
    "prefect._schemas.automation_actions": (
        "Action ActionTypes CallWebhook CancelFlowRun ChangeFlowRunState DeclareIncident DeleteFlowRun DoNothing "
        "PauseAutomation PauseDeployment PauseWorkPool PauseWorkQueue ResumeAutomation ResumeDeployment "
        "ResumeFlowRun ResumeWorkPool ResumeWorkQueue RunDeployment SendNotification SuspendFlowRun"
    ),
    "prefect._schemas.automations": (
        "Automation AutomationCore CompositeTrigger CompoundTrigger EventTrigger MetricTrigger "
        "MetricTriggerOperator MetricTriggerQuery Posture ResourceTrigger SequenceTrigger Trigger TriggerTypes"
    ),
    "prefect._schemas.events": "Event ReceivedEvent RelatedResource Resource ResourceSpecification",
    "prefect.events.clients": "get_events_client get_events_subscriber",
    "prefect.events.subscribers": "FlowRunSubscriber",
    "prefect.events.schemas.deployment_triggers": (
        "DeploymentCompoundTrigger DeploymentEventTrigger DeploymentMetricTrigger DeploymentSequenceTrigger "
        "DeploymentTriggerTypes"
    ),
}

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        **{name: module for module, names in _WHERE.items() for name in names.split()},
        "actions": "prefect.events.actions:",
        "clients": "prefect.events.clients:",
        "filters": "prefect.events.filters:",
        "related": "prefect.events.related:",
        "schemas": "prefect.events.schemas:",
        "subscribers": "prefect.events.subscribers:",
        "utilities": "prefect.events.utilities:",
    },
)

__all__ = [
    "Action",
    "ActionTypes",
    "Automation",
    "AutomationCore",
    "CallWebhook",
    "CancelFlowRun",
    "ChangeFlowRunState",
    "CompositeTrigger",
    "CompoundTrigger",
    "DeclareIncident",
    "DeleteFlowRun",
    "DeploymentCompoundTrigger",
    "DeploymentEventTrigger",
    "DeploymentMetricTrigger",
    "DeploymentSequenceTrigger",
    "DeploymentTriggerTypes",
    "DoNothing",
    "Event",
    "EventTrigger",
    "FlowRunSubscriber",
    "MetricTrigger",
    "MetricTriggerOperator",
    "MetricTriggerQuery",
    "PauseAutomation",
    "PauseDeployment",
    "PauseWorkPool",
    "PauseWorkQueue",
    "Posture",
    "ReceivedEvent",
    "RelatedResource",
    "Resource",
    "ResourceSpecification",
    "ResourceTrigger",
    "ResumeAutomation",
    "ResumeDeployment",
    "ResumeFlowRun",
    "ResumeWorkPool",
    "ResumeWorkQueue",
    "RunDeployment",
    "SendNotification",
    "SequenceTrigger",
    "SuspendFlowRun",
    "Trigger",
    "TriggerTypes",
    "emit_event",
    "get_events_client",
    "get_events_subscriber",
]
