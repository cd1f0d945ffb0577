"""Conditions on lines of logs."""

from __future__ import annotations

from pydantic import Field

from prefect._schemas.filters.conditions import AnyId, AnyText, Condition, IsNull, Moments, NumberRange, OperatorMixin


class LogFilterName(AnyText):
    """On the logger of a line."""


class LogFilterLevel(NumberRange):
    """On the level of a line."""


class LogFilterTimestamp(Moments):
    """On when a line was written."""


class LogFilterFlowRunId(AnyId):
    """On the flow run that wrote a line."""


class LogFilterTaskRunId(AnyId, IsNull):
    """On the task run that wrote a line."""


class LogFilterTextSearch(Condition):
    """On the words in a line."""

    query: str = Field(
        max_length=200,
        description="Words that must be in it; -word or !word must not, +word must, and double quotes hold a phrase",
        examples=["error", "timeout -debug", '"connection lost"'],
    )


class LogFilter(OperatorMixin):
    """Which lines of logs."""

    level: LogFilterLevel | None = None
    timestamp: LogFilterTimestamp | None = None
    flow_run_id: LogFilterFlowRunId | None = None
    task_run_id: LogFilterTaskRunId | None = None
    text: LogFilterTextSearch | None = None
