"""Conditions on task runs."""

from __future__ import annotations

from pydantic import Field

from prefect._schemas.filters.conditions import (
    AllTags,
    AnyId,
    AnyName,
    AnyText,
    Condition,
    Exists,
    IsNull,
    Moments,
    OperatorMixin,
)
from prefect._schemas.states import StateType


class TaskRunFilterId(AnyId):
    """On the id of a task run."""


class TaskRunFilterName(AnyName):
    """On the name of a task run."""


class TaskRunFilterTags(OperatorMixin, AllTags, IsNull):
    """On the tags of a task run."""


class TaskRunFilterStateType(Condition):
    """On the type of the state of a task run."""

    any_: list[StateType] | None = Field(default=None, description="Is one of these")


class TaskRunFilterStateName(AnyText):
    """On the name of the state of a task run."""


class TaskRunFilterState(OperatorMixin):
    """On the state of a task run."""

    type: TaskRunFilterStateType | None = None
    name: TaskRunFilterStateName | None = None


class TaskRunFilterSubFlowRuns(Exists):
    """On whether a task run stands for a sub-flow."""


class TaskRunFilterStartTime(Moments, IsNull):
    """On when a task run began."""


class TaskRunFilterEndTime(Moments, IsNull):
    """On when a task run ended."""


class TaskRunFilterExpectedStartTime(Moments):
    """On when a task run was to begin."""


class TaskRunFilterFlowRunId(OperatorMixin, AnyId):
    """On the flow run of a task run."""

    is_null_: bool = Field(default=False, description="Ran outside a flow")


class TaskRunFilter(OperatorMixin):
    """Which task runs."""

    id: TaskRunFilterId | None = None
    name: TaskRunFilterName | None = None
    tags: TaskRunFilterTags | None = None
    state: TaskRunFilterState | None = None
    start_time: TaskRunFilterStartTime | None = None
    end_time: TaskRunFilterEndTime | None = None
    expected_start_time: TaskRunFilterExpectedStartTime | None = None
    subflow_runs: TaskRunFilterSubFlowRuns | None = None
    flow_run_id: TaskRunFilterFlowRunId | None = None
