"""Runs: what ran, the states it was in, what it logged, and the processes that run it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from prefect._store.tables.columns import (
    created_column,
    id_column,
    index_where_present,
    json_column,
    metadata,
    partial_index,
    run_columns,
    state_columns,
    transaction_column,
    updated_column,
)
from prefect._store.types import Id, Json, Timestamp

flow = sa.Table(
    "flow",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("name", sa.Text, nullable=False),
    json_column("tags", list),
    json_column("labels"),
    sa.UniqueConstraint("name"),
)

flow_run = sa.Table(
    "flow_run",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("flow_id", Id, sa.ForeignKey("flow.id", ondelete="CASCADE"), nullable=False),
    sa.Column("flow_version", sa.Text),
    sa.Column("deployment_id", Id),
    sa.Column("deployment_version", sa.Text),
    sa.Column("work_queue_id", Id),
    sa.Column("work_queue_name", sa.Text),
    sa.Column("infrastructure_document_id", Id),
    sa.Column("infrastructure_pid", sa.Text),
    sa.Column("idempotency_key", sa.Text),
    json_column("parameters"),
    json_column("context"),
    json_column("empirical_policy"),
    json_column("tags", list),
    json_column("labels"),
    json_column("job_variables"),
    # the parents have no foreign key, as two tables cannot refer to each other without harm to the order of inserts
    sa.Column("parent_task_run_id", Id),
    sa.Column("parent_flow_run_id", Id),
    sa.Column("auto_scheduled", sa.Boolean, nullable=False, default=False),
    sa.Column("created_by", Json),
    *run_columns(),
    # the process that runs it (`owner.id`); no foreign key, an owner's row goes when its process is gone
    sa.Column("owner", Id),
    # one run per key of a flow; also finds the runs of a flow
    sa.UniqueConstraint("flow_id", "idempotency_key"),
)
# the newest runs: what every list shows first, in the order of its pages. Whether they have a parent and which queue they
# were sent to is there for those who count; none of it changes while a run goes from state to state
sa.Index(
    "ix_flow_run__expected",
    flow_run.c.expected_start_time,
    flow_run.c.id,
    flow_run.c.parent_task_run_id,
    flow_run.c.work_queue_id,
)
# the newest runs in a state, and which runs are running, or scheduled, at all. The other columns are what histories and
# averages add up, and what counts ask for: they then read a tenth of the bytes
sa.Index(
    "ix_flow_run__by_state",
    flow_run.c.state_type,
    flow_run.c.expected_start_time,
    flow_run.c.state_name,
    flow_run.c.start_time,
    flow_run.c.total_run_time,
    flow_run.c.state_timestamp,
)
STARTED: sa.ColumnElement[Any] = sa.func.coalesce(flow_run.c.start_time, flow_run.c.expected_start_time)
"""When a flow run started, or was to start."""
# those that started last, and what started in a span of time
sa.Index("ix_flow_run__started", STARTED)
# those in a state that started last: pages of several states are merged from these (`_store.pages`). Its condition keeps
# it to them: for what only asks for a state, the index above reads no more and knows more
partial_index(
    "ix_flow_run__started_by_state",
    flow_run.c.state_type,
    STARTED,
    where=STARTED.is_not(None),
)
# those that ended last; those that ended long ago. One that has not ended costs nothing here
index_where_present(flow_run.c.end_time)
# the sub-flow run of a task run, the sub-flow runs of a flow run; top-level runs cost nothing here
partial_index(
    None,
    flow_run.c.parent_task_run_id,
    where=flow_run.c.parent_task_run_id.is_not(None),
)
partial_index(
    None,
    flow_run.c.parent_flow_run_id,
    where=flow_run.c.parent_flow_run_id.is_not(None),
)
# the runs of a deployment, and which of them are due
index_where_present(flow_run.c.deployment_id, flow_run.c.next_scheduled_start_time)
# what waits in a work queue, the earliest first; only scheduled runs have such a time. The deployment is there so that
# the runs of one that is full are passed over without being looked at
partial_index(
    "ix_flow_run__due",
    flow_run.c.work_queue_id,
    flow_run.c.next_scheduled_start_time,
    flow_run.c.deployment_id,
    where=flow_run.c.next_scheduled_start_time.is_not(None),
)
# the unfinished runs of each process (a finished run has no owner), looked at whenever somebody looks at the database
partial_index(
    None,
    flow_run.c.owner,
    where=flow_run.c.owner.is_not(None),
)

flow_run_state = sa.Table(
    "flow_run_state", metadata, *state_columns("flow_run_id", "flow_run"), sqlite_with_rowid=False
)

task_run = sa.Table(
    "task_run",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("name", sa.Text, nullable=False),
    # NULL for a task run outside any flow
    sa.Column("flow_run_id", Id, sa.ForeignKey("flow_run.id", ondelete="CASCADE")),
    sa.Column("task_key", sa.Text, nullable=False),
    sa.Column("dynamic_key", sa.Text, nullable=False),
    sa.Column("cache_key", sa.Text),
    sa.Column("cache_expiration", Timestamp),
    sa.Column("task_version", sa.Text),
    sa.Column("flow_run_run_count", sa.Integer, nullable=False, default=0),
    json_column("empirical_policy"),
    json_column("task_inputs"),
    json_column("tags", list),
    json_column("labels"),
    *run_columns(),
)
# the task runs of a flow run
sa.Index(None, task_run.c.flow_run_id)
# the task runs that have not ended; one that is written when it has ended costs nothing here
_open = sa.and_(task_run.c.flow_run_id.is_not(None), task_run.c.end_time.is_(None))
partial_index("ix_task_run__open", task_run.c.flow_run_id, where=_open)
# the task runs of a task that are to begin, the first of them; those that have begun cost nothing here
_scheduled = task_run.c.next_scheduled_start_time.is_not(None)
partial_index(
    "ix_task_run__scheduled",
    task_run.c.task_key,
    task_run.c.next_scheduled_start_time,
    where=_scheduled,
)
# what started in a span of time, and its state: what dashboards count
_started = task_run.c.start_time.is_not(None)
partial_index(
    "ix_task_run__started",
    task_run.c.start_time,
    task_run.c.state_type,
    where=_started,
)
# the newest task runs of all flows; the other columns are what histories add up, and what counts ask for
sa.Index(
    "ix_task_run__expected",
    task_run.c.expected_start_time,
    task_run.c.state_type,
    task_run.c.state_name,
    task_run.c.start_time,
    task_run.c.total_run_time,
    task_run.c.state_timestamp,
)

task_run_state = sa.Table(
    "task_run_state", metadata, *state_columns("task_run_id", "task_run"), sqlite_with_rowid=False
)

log = sa.Table(
    "log",
    metadata,
    id_column(),
    created_column(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("timestamp", Timestamp, nullable=False),
    # no foreign keys: a line may arrive before its run is recorded and is never refused
    sa.Column("flow_run_id", Id),
    sa.Column("task_run_id", Id),
    sa.Column("worker_id", Id),
    transaction_column(),
)
# what was written last, for those who follow
index_where_present(log.c.xid, log.c.timestamp, log.c.id)
# the log of a flow run, of a task run, in order
sa.Index(None, log.c.flow_run_id, log.c.timestamp)
partial_index(
    None,
    log.c.task_run_id,
    log.c.timestamp,
    where=log.c.task_run_id.is_not(None),
)

owner = sa.Table(
    "owner",
    metadata,
    id_column(),
    sa.Column("host", sa.Text, nullable=False),
    # the boot the pid belongs to: after a restart of the machine the same pid is another process
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    created_column(),
)
