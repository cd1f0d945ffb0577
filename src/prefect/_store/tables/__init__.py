"""Every table, once. The ready schemas (`schema/*.sql`) are generated from here; migrations must arrive at the same.

Two habits, for the sake of the writer, which inserts task runs by the thousand:

- no server defaults: a row is complete when it is made, and says the same on both databases (but for the number of
  its transaction, which only PostgreSQL knows);
- an index must name the question it answers; each one costs on every insert. Ids are UUIDv7, so the primary
  keys are also "in the order made": keyset paging by id and retention by age need no index of their own.

Nothing on the path of a running flow imports this module (SQLAlchemy takes half a second to import).
"""

from __future__ import annotations

from prefect._store.tables.automations import (
    automation,
    automation_action,
    automation_count,
    automation_progress,
    automation_resource,
)
from prefect._store.tables.catalogue import (
    artifact,
    artifact_collection,
    block_document,
    block_document_reference,
    block_schema,
    block_type,
    configuration,
    csrf_token,
    flow_run_input,
    saved_search,
    variable,
)
from prefect._store.tables.columns import metadata
from prefect._store.tables.concurrency import (
    concurrency_lease,
    concurrency_limit,
    concurrency_slot,
    concurrency_waiter,
)
from prefect._store.tables.deferred import deferred_run, task_run_lease
from prefect._store.tables.delivery import cleanup_message, task_run_delivery, task_run_subscriber
from prefect._store.tables.events import event, event_resource
from prefect._store.tables.leases import readiness, run_lease
from prefect._store.tables.runs import STARTED, flow, flow_run, flow_run_state, log, owner, task_run, task_run_state
from prefect._store.tables.scheduling import backfill, backfill_run, schedule_progress
from prefect._store.tables.work import (
    deployment,
    deployment_schedule,
    deployment_version,
    work_pool,
    work_queue,
    worker,
)

__all__ = [
    "STARTED",
    "artifact",
    "artifact_collection",
    "automation",
    "automation_action",
    "automation_count",
    "automation_progress",
    "automation_resource",
    "backfill",
    "backfill_run",
    "block_document",
    "block_document_reference",
    "block_schema",
    "block_type",
    "cleanup_message",
    "concurrency_lease",
    "concurrency_limit",
    "concurrency_slot",
    "concurrency_waiter",
    "configuration",
    "csrf_token",
    "deferred_run",
    "deployment",
    "deployment_schedule",
    "deployment_version",
    "event",
    "event_resource",
    "flow",
    "flow_run",
    "flow_run_input",
    "flow_run_state",
    "log",
    "metadata",
    "owner",
    "readiness",
    "run_lease",
    "saved_search",
    "schedule_progress",
    "task_run",
    "task_run_delivery",
    "task_run_lease",
    "task_run_state",
    "task_run_subscriber",
    "variable",
    "work_pool",
    "work_queue",
    "worker",
]
