"""What the filters and sort orders of the API mean in SQL.

One table per noun says which column a condition of its filter is about; what an operator means is said in
`prefect._store.clauses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import (
    OPERATORS,
    TAG_OPERATORS,
    Clause,
    Column,
    contains,
    has_words,
    is_null,
    join,
    nested,
    on,
)
from prefect._store.dialects import json_member
from prefect._store.pages import Order
from prefect._store.tables import STARTED, deployment, flow, flow_run, log, task_run


def _creator(member: str) -> Column:
    return json_member(flow_run.c.created_by, sa.bindparam(None, member, sa.Text))


def _created_by(condition: Any) -> Clause:
    clauses = []
    if condition.id_ is not None:
        clauses.append(_creator("id").in_([str(value) for value in condition.id_]))
    if condition.type_ is not None:
        clauses.append(_creator("type").in_(condition.type_))
    if condition.is_null_ is not None:
        clauses.append(is_null(flow_run.c.created_by, condition.is_null_))
    return join(condition.operator, clauses)


def _start_time(condition: Any) -> Clause:
    # a moment that a run started at is also when it started or was to: that is what there is an index of
    bounds = [
        OPERATORS[name](STARTED, value)
        for name in ("after_", "before_")
        if (value := getattr(condition, name, None)) is not None
    ]
    return sa.and_(on(flow_run.c.start_time)(condition), *bounds)


def _task_run_flow_run_id(condition: Any) -> Clause:
    # `is_null_` is False by default; beside `any_` it must not turn an `or_` into "every task run of a flow"
    clauses = []
    if condition.any_ is not None:
        clauses.append(task_run.c.flow_run_id.in_(condition.any_))
    if condition.is_null_ or (condition.is_null_ is not None and condition.any_ is None):
        clauses.append(is_null(task_run.c.flow_run_id, condition.is_null_))
    return join(getattr(condition, "operator", None), clauses)


def _sub_flow_runs(condition: Any) -> Clause:
    if condition.exists_ is None:
        return sa.true()
    sub_flow_run = flow_run.alias("sub_flow_run")
    exists = sa.exists().where(sub_flow_run.c.parent_task_run_id == task_run.c.id)
    return exists if condition.exists_ else ~exists


def _flow_deployment(condition: Any) -> Clause:
    if condition.is_null_ is None:
        return sa.true()
    exists = sa.exists().where(deployment.c.flow_id == flow.c.id)
    return ~exists if condition.is_null_ else exists


def _log_text(condition: Any) -> Clause:
    return has_words(condition.query, lambda part: sa.or_(contains(log.c.message, part), contains(log.c.name, part)))


flow_matches = nested(
    {
        "id": on(flow.c.id),
        "name": on(flow.c.name),
        "tags": on(flow.c.tags, TAG_OPERATORS),
        "deployment": _flow_deployment,
    }
)
"""The clause of a `FlowFilter`."""

flow_run_matches = nested(
    {
        "id": on(flow_run.c.id),
        "name": on(flow_run.c.name),
        "tags": on(flow_run.c.tags, TAG_OPERATORS),
        "deployment_id": on(flow_run.c.deployment_id),
        "work_queue_name": on(flow_run.c.work_queue_name),
        "state": nested({"type": on(flow_run.c.state_type), "name": on(flow_run.c.state_name)}),
        "flow_version": on(flow_run.c.flow_version),
        "start_time": _start_time,
        "end_time": on(flow_run.c.end_time),
        "expected_start_time": on(flow_run.c.expected_start_time),
        "next_scheduled_start_time": on(flow_run.c.next_scheduled_start_time),
        "parent_flow_run_id": on(flow_run.c.parent_flow_run_id),
        "parent_task_run_id": on(flow_run.c.parent_task_run_id),
        "idempotency_key": on(flow_run.c.idempotency_key),
        "created_by": _created_by,
    }
)
"""The clause of a `FlowRunFilter`."""

task_run_matches = nested(
    {
        "id": on(task_run.c.id),
        "name": on(task_run.c.name),
        "tags": on(task_run.c.tags, TAG_OPERATORS),
        "state": nested({"type": on(task_run.c.state_type), "name": on(task_run.c.state_name)}),
        "start_time": on(task_run.c.start_time),
        "end_time": on(task_run.c.end_time),
        "expected_start_time": on(task_run.c.expected_start_time),
        "subflow_runs": _sub_flow_runs,
        "flow_run_id": _task_run_flow_run_id,
    }
)
"""The clause of a `TaskRunFilter`."""

log_matches = nested(
    {
        "level": on(log.c.level),
        "timestamp": on(log.c.timestamp),
        "flow_run_id": on(log.c.flow_run_id),
        "task_run_id": on(log.c.task_run_id),
        "text": _log_text,
    }
)
"""The clause of a `LogFilter`."""


# -- several nouns at once ------------------------------------------------------------------------------------------
# Filters of different nouns are joined by "and". Towards the parent, `IN (SELECT ...)` lets the database begin with
# the few parents; towards the children, `EXISTS` stops at the first one.


def where_flows(*, flows: Any = None, flow_runs: Any = None, task_runs: Any = None) -> Clause:
    """The flows that match, and that have a flow run and a task run that match."""
    clauses = [] if flows is None else [flow_matches(flows)]
    if flow_runs is not None or task_runs is not None:
        of_flow = where_flow_runs(flow_runs=flow_runs, task_runs=task_runs)
        clauses.append(sa.exists().where(flow_run.c.flow_id == flow.c.id, of_flow))
    return join("and_", clauses)


def where_flow_runs(*, flows: Any = None, flow_runs: Any = None, task_runs: Any = None) -> Clause:
    """The flow runs that match, of flows that match, that have a task run that matches."""
    clauses = [] if flow_runs is None else [flow_run_matches(flow_runs)]
    if flows is not None:
        clauses.append(flow_run.c.flow_id.in_(sa.select(flow.c.id).where(flow_matches(flows))))
    if task_runs is not None:
        clauses.append(sa.exists().where(task_run.c.flow_run_id == flow_run.c.id, task_run_matches(task_runs)))
    return join("and_", clauses)


def where_task_runs(*, flows: Any = None, flow_runs: Any = None, task_runs: Any = None) -> Clause:
    """The task runs that match, of flow runs and flows that match."""
    clauses = [] if task_runs is None else [task_run_matches(task_runs)]
    if flows is not None or flow_runs is not None:
        of_task = where_flow_runs(flows=flows, flow_runs=flow_runs)
        clauses.append(task_run.c.flow_run_id.in_(sa.select(flow_run.c.id).where(of_task)))
    return join("and_", clauses)


# -- sort orders ----------------------------------------------------------------------------------------------------
# Each ends in the primary key, so that pages neither repeat nor miss a row. Rows without a value come last.


def _run_orders(table: sa.Table) -> dict[str, Order]:
    id = table.c.id
    return {
        "ID_DESC": Order(id, id, descending=True, optional=False),
        "EXPECTED_START_TIME_ASC": Order(id, table.c.expected_start_time),
        "EXPECTED_START_TIME_DESC": Order(id, table.c.expected_start_time, descending=True),
        "NAME_ASC": Order(id, table.c.name, optional=False),
        "NAME_DESC": Order(id, table.c.name, descending=True, optional=False),
        "NEXT_SCHEDULED_START_TIME_ASC": Order(id, table.c.next_scheduled_start_time),
        "END_TIME_DESC": Order(id, table.c.end_time, descending=True),
    }


FLOW_ORDERS: Mapping[str, list[Column]] = {
    "CREATED_DESC": [flow.c.created.desc(), flow.c.id.desc()],
    "UPDATED_DESC": [flow.c.updated.desc(), flow.c.id.desc()],
    "NAME_ASC": [flow.c.name],
    "NAME_DESC": [flow.c.name.desc()],
}
FLOW_RUN_ORDERS: Mapping[str, Order] = _run_orders(flow_run) | {
    f"{name}_{direction}": Order(flow_run.c.id, key, direction == "DESC", by_part=True)
    for name, key in {"START_TIME": STARTED, "EXPECTED_START_TIME": flow_run.c.expected_start_time}.items()
    for direction in ("ASC", "DESC")
}
TASK_RUN_ORDERS: Mapping[str, Order] = _run_orders(task_run)
LOG_ORDERS: Mapping[str, list[Column]] = {
    "TIMESTAMP_ASC": [log.c.timestamp, log.c.id],
    "TIMESTAMP_DESC": [log.c.timestamp.desc(), log.c.id.desc()],
}
