"""What deployments were: a version for each change, as a request that makes the deployment so again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._store.tables import (
    concurrency_limit,
    deployment,
    deployment_schedule,
    deployment_version,
    work_pool,
    work_queue,
)

MOST_KEPT = 100
"""Versions of a deployment that are kept; the oldest go."""

_FIELDS = (
    "version", "version_info", "description", "concurrency_options", "job_variables", "parameters",
    "parameter_openapi_schema", "enforce_parameter_schema", "pull_steps", "tags", "labels", "path", "entrypoint",
    "storage_document_id", "infrastructure_document_id",
)  # fmt: skip
_SCHEDULE_FIELDS = ("schedule", "active", "max_scheduled_runs", "parameters", "slug", "catch_up")


def record(tx: sa.Connection, deployment_id: UUID, *, restored: int | None = None) -> None:
    """Remember what a deployment is now, unless the last version says the same.

    Args:
        restored: the version that it went back to.
    """
    content = describe(tx, deployment_id)
    table = deployment_version
    newest = sa.select(table.c.number, table.c.content).where(table.c.deployment_id == deployment_id)
    last = tx.execute(newest.order_by(table.c.number.desc()).limit(1)).one_or_none()
    if last is not None and last.content == content and restored is None:
        return
    number = 1 if last is None else last.number + 1
    values = {"id": new_uuid(), "deployment_id": deployment_id, "number": number, "restored": restored}
    tx.execute(sa.insert(table).values(**values, content=content))
    if number > MOST_KEPT:
        tx.execute(sa.delete(table).where(table.c.deployment_id == deployment_id, table.c.number <= number - MOST_KEPT))


def describe(tx: sa.Connection, deployment_id: UUID) -> dict[str, Any]:
    """A deployment as the fields of a `DeploymentCreate`, all but its flow and name; JSON values."""
    statement = (
        sa.select(
            deployment,
            work_pool.c.name.label("pool"),
            work_queue.c.name.label("queue"),
            concurrency_limit.c.name.label("limit_name"),
            concurrency_limit.c.limit,
        )
        .select_from(deployment)
        .outerjoin(work_queue, deployment.c.work_queue_id == work_queue.c.id)
        .outerjoin(work_pool, work_queue.c.work_pool_id == work_pool.c.id)
        .outerjoin(concurrency_limit, deployment.c.concurrency_limit_id == concurrency_limit.c.id)
        .where(deployment.c.id == deployment_id)
    )
    row = tx.execute(statement).mappings().one()
    content: dict[str, Any] = {name: _json(row[name]) for name in _FIELDS}
    content |= {"work_pool_name": row["pool"], "work_queue_name": row["queue"]}
    if row["limit_name"] == f"deployment:{deployment_id}":
        content["concurrency_limit"] = row["limit"]
    else:
        content["global_concurrency_limit_id"] = _json(row["concurrency_limit_id"])
    table = deployment_schedule
    schedules = tx.execute(
        sa.select(table).where(table.c.deployment_id == deployment_id).order_by(table.c.id)
    ).mappings()
    content["schedules"] = [{name: schedule[name] for name in _SCHEDULE_FIELDS} for schedule in schedules]
    return content


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
