"""Conditions on flow runs."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from prefect._schemas.filters.conditions import (
    AllTags,
    AnyId,
    AnyName,
    AnyTags,
    AnyText,
    IsNull,
    Moments,
    NotAnyText,
    OperatorMixin,
    Strict,
)
from prefect._schemas.states import StateType


class FlowRunFilterId(AnyId, Strict):
    """On the id of a flow run."""

    not_any_: list[UUID] | None = Field(default=None, description="Has none of these ids")


class FlowRunFilterName(AnyName, Strict):
    """On the name of a flow run."""


class FlowRunFilterTags(OperatorMixin, AllTags, AnyTags, IsNull, Strict):
    """On the tags of a flow run."""


class FlowRunFilterDeploymentId(OperatorMixin, AnyId, IsNull, Strict):
    """On the deployment of a flow run."""


class FlowRunFilterWorkQueueName(OperatorMixin, AnyText, IsNull, Strict):
    """On the work queue of a flow run."""


class FlowRunFilterStateType(Strict):
    """On the type of the state of a flow run."""

    any_: list[StateType] | None = Field(default=None, description="Is one of these")
    not_any_: list[StateType] | None = Field(default=None, description="Is none of these")


class FlowRunFilterStateName(NotAnyText, Strict):
    """On the name of the state of a flow run."""


class FlowRunFilterState(OperatorMixin, Strict):
    """On the state of a flow run."""

    type: FlowRunFilterStateType | None = None
    name: FlowRunFilterStateName | None = None


class FlowRunFilterFlowVersion(AnyText, Strict):
    """On the version of the flow that ran."""


class FlowRunFilterStartTime(Moments, IsNull, Strict):
    """On when a flow run began."""


class FlowRunFilterEndTime(Moments, IsNull, Strict):
    """On when a flow run ended."""


class FlowRunFilterExpectedStartTime(Moments, Strict):
    """On when a flow run was to begin."""


class FlowRunFilterNextScheduledStartTime(Moments, Strict):
    """On when a flow run is to begin, or to be tried again."""


class FlowRunFilterParentFlowRunId(OperatorMixin, AnyId, Strict):
    """On the flow run that a sub-flow belongs to."""


class FlowRunFilterParentTaskRunId(OperatorMixin, AnyId, IsNull, Strict):
    """On the task run that stands for a sub-flow in its parent."""


class FlowRunFilterIdempotencyKey(NotAnyText, Strict):
    """On the idempotency key of a flow run."""


class FlowRunFilterCreatedBy(OperatorMixin, IsNull, Strict):
    """On who made a flow run."""

    id_: list[UUID] | None = Field(default=None, description="Was made by one of these ids")
    type_: list[str] | None = Field(default=None, description="Was made by one of these kinds, such as SCHEDULE")


class FlowRunFilter(OperatorMixin, Strict):
    """Which flow runs."""

    id: FlowRunFilterId | None = None
    name: FlowRunFilterName | None = None
    tags: FlowRunFilterTags | None = None
    deployment_id: FlowRunFilterDeploymentId | None = None
    work_queue_name: FlowRunFilterWorkQueueName | None = None
    state: FlowRunFilterState | None = None
    flow_version: FlowRunFilterFlowVersion | None = None
    start_time: FlowRunFilterStartTime | None = None
    end_time: FlowRunFilterEndTime | None = None
    expected_start_time: FlowRunFilterExpectedStartTime | None = None
    next_scheduled_start_time: FlowRunFilterNextScheduledStartTime | None = None
    parent_flow_run_id: FlowRunFilterParentFlowRunId | None = None
    parent_task_run_id: FlowRunFilterParentTaskRunId | None = None
    idempotency_key: FlowRunFilterIdempotencyKey | None = None
    created_by: FlowRunFilterCreatedBy | None = None
