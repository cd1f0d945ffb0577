"""Every table, once. The ready schemas (`schema/*.sql`) are generated from here; migrations must arrive at the same.

Two habits, for the sake of the writer, which inserts task runs by the thousand:

- no server defaults: a row is complete when it is made, and says the same on both databases;
- an index must name the question it answers; each one costs on every insert. Ids are UUIDv7, so the primary
  keys are also "in the order made": keyset paging by id and retention by age need no index of their own.

Nothing on the path of a running flow imports this module (SQLAlchemy takes half a second to import).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._store.types import Duration, Id, Json, Timestamp

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s__%(column_0_N_name)s",
        "ix": "ix_%(table_name)s__%(column_0_N_name)s",
        "uq": "uq_%(table_name)s__%(column_0_N_name)s",
    }
)


def _id() -> sa.Column[Any]:
    return sa.Column("id", Id, primary_key=True, default=new_uuid)


def _created() -> sa.Column[Any]:
    return sa.Column("created", Timestamp, nullable=False, default=now)


def _updated() -> sa.Column[Any]:
    return sa.Column("updated", Timestamp, nullable=False, default=now, onupdate=now)


def _json(name: str, empty: type[dict] | type[list] = dict) -> sa.Column[Any]:
    return sa.Column(name, Json, nullable=False, default=empty)


def _run_columns() -> list[sa.Column[Any]]:
    """The columns flow runs and task runs share: the current state, copied from its row, and the times."""
    return [
        sa.Column("state_id", Id),
        sa.Column("state_type", sa.Text),
        sa.Column("state_name", sa.Text),
        sa.Column("state_timestamp", Timestamp),
        sa.Column("run_count", sa.Integer, nullable=False, default=0),
        sa.Column("expected_start_time", Timestamp),
        sa.Column("next_scheduled_start_time", Timestamp),
        sa.Column("start_time", Timestamp),
        sa.Column("end_time", Timestamp),
        # time spent Running before the current state; the running time of a run that runs now is not in it
        sa.Column("total_run_time", Duration, nullable=False, default=timedelta),
    ]


def _state_columns(run_id: str, run_table: str) -> list[sa.schema.SchemaItem]:
    """A state history. Its rows are only ever read run by run, so they are kept together, run by run: the
    primary key begins with the run, and on SQLite the table *is* that index (a seventh less time and a fifth
    less space per task run than a table with its own key and an index on the run)."""
    return [
        sa.Column("id", Id, nullable=False, default=new_uuid),
        sa.Column(run_id, Id, sa.ForeignKey(f"{run_table}.id", ondelete="CASCADE"), nullable=False),
        sa.Column("timestamp", Timestamp, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("message", sa.Text),
        _json("state_details"),
        sa.Column("data", Json),
        sa.PrimaryKeyConstraint(run_id, "id"),
    ]


flow = sa.Table(
    "flow",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("name", sa.Text, nullable=False),
    _json("tags", list),
    _json("labels"),
    sa.UniqueConstraint("name"),
)

flow_run = sa.Table(
    "flow_run",
    metadata,
    _id(),
    _created(),
    _updated(),
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
    _json("parameters"),
    _json("context"),
    _json("empirical_policy"),
    _json("tags", list),
    _json("labels"),
    _json("job_variables"),
    # the parents have no foreign key, as two tables cannot refer to each other without harm to the order of inserts
    sa.Column("parent_task_run_id", Id),
    sa.Column("parent_flow_run_id", Id),
    sa.Column("auto_scheduled", sa.Boolean, nullable=False, default=False),
    sa.Column("created_by", Json),
    *_run_columns(),
    # the process that runs it (`owner.id`); no foreign key, an owner's row goes when its process is gone
    sa.Column("owner", Id),
    # one run per key of a flow; also finds the runs of a flow
    sa.UniqueConstraint("flow_id", "idempotency_key"),
)
# the newest runs: what every list shows first
sa.Index(None, flow_run.c.expected_start_time)
# the newest runs in a state; and which runs are running, or scheduled, at all
sa.Index(None, flow_run.c.state_type, flow_run.c.expected_start_time)
# the sub-flow run of a task run, the sub-flow runs of a flow run; top-level runs cost nothing here
sa.Index(
    None,
    flow_run.c.parent_task_run_id,
    sqlite_where=flow_run.c.parent_task_run_id.is_not(None),
    postgresql_where=flow_run.c.parent_task_run_id.is_not(None),
)
sa.Index(
    None,
    flow_run.c.parent_flow_run_id,
    sqlite_where=flow_run.c.parent_flow_run_id.is_not(None),
    postgresql_where=flow_run.c.parent_flow_run_id.is_not(None),
)
# the unfinished runs of each process (a finished run has no owner), looked at whenever somebody looks at the database
sa.Index(
    None,
    flow_run.c.owner,
    sqlite_where=flow_run.c.owner.is_not(None),
    postgresql_where=flow_run.c.owner.is_not(None),
)

flow_run_state = sa.Table(
    "flow_run_state", metadata, *_state_columns("flow_run_id", "flow_run"), sqlite_with_rowid=False
)

task_run = sa.Table(
    "task_run",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("name", sa.Text, nullable=False),
    # NULL for a task run outside any flow
    sa.Column("flow_run_id", Id, sa.ForeignKey("flow_run.id", ondelete="CASCADE")),
    sa.Column("task_key", sa.Text, nullable=False),
    sa.Column("dynamic_key", sa.Text, nullable=False),
    sa.Column("cache_key", sa.Text),
    sa.Column("cache_expiration", Timestamp),
    sa.Column("task_version", sa.Text),
    sa.Column("flow_run_run_count", sa.Integer, nullable=False, default=0),
    _json("empirical_policy"),
    _json("task_inputs"),
    _json("tags", list),
    _json("labels"),
    *_run_columns(),
)
# the task runs of a flow run
sa.Index(None, task_run.c.flow_run_id)
# the newest task runs of all flows
sa.Index(None, task_run.c.expected_start_time)

task_run_state = sa.Table(
    "task_run_state", metadata, *_state_columns("task_run_id", "task_run"), sqlite_with_rowid=False
)

log = sa.Table(
    "log",
    metadata,
    _id(),
    _created(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("timestamp", Timestamp, nullable=False),
    # no foreign keys: a line may arrive before its run is recorded and is never refused
    sa.Column("flow_run_id", Id),
    sa.Column("task_run_id", Id),
    sa.Column("worker_id", Id),
)
# the log of a flow run, of a task run, in order
sa.Index(None, log.c.flow_run_id, log.c.timestamp)
sa.Index(
    None,
    log.c.task_run_id,
    log.c.timestamp,
    sqlite_where=log.c.task_run_id.is_not(None),
    postgresql_where=log.c.task_run_id.is_not(None),
)

owner = sa.Table(
    "owner",
    metadata,
    _id(),
    sa.Column("host", sa.Text, nullable=False),
    # the boot the pid belongs to: after a restart of the machine the same pid is another process
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    _created(),
)


# -- what people and runs leave in the catalogue --------------------------------------------------------------------


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def _flag(name: str, value: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, default=value)


def _where_present(column: sa.Column[Any], *more: sa.Column[Any]) -> None:
    """An index that rows without a value in the first column cost nothing in."""
    present = column.is_not(None)
    sa.Index(None, column, *more, sqlite_where=present, postgresql_where=present)


variable = sa.Table(
    "variable",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    sa.Column("value", Json),
    _json("tags", list),
    sa.UniqueConstraint("name"),
)

artifact = sa.Table(
    "artifact",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("key", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("data", Json),
    sa.Column("metadata_", Json),
    # no foreign keys: an artifact may arrive before its run is recorded, and outlives it
    sa.Column("flow_run_id", Id),
    sa.Column("task_run_id", Id),
)
# the versions of a key, the newest last; the artifacts of a flow run, of a task run
_where_present(artifact.c.key, artifact.c.id)
_where_present(artifact.c.flow_run_id)
_where_present(artifact.c.task_run_id)

artifact_collection = sa.Table(
    "artifact_collection",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("key"),
    # what the latest one holds is read from its own row
    sa.Column("latest_id", Id, sa.ForeignKey("artifact.id", ondelete="CASCADE"), nullable=False),
    sa.UniqueConstraint("key"),
    sa.UniqueConstraint("latest_id"),
)

saved_search = sa.Table(
    "saved_search",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    _json("filters", list),
    sa.UniqueConstraint("name"),
)

block_type = sa.Table(
    "block_type",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    _text("slug"),
    sa.Column("logo_url", sa.Text),
    sa.Column("documentation_url", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("code_example", sa.Text),
    _flag("is_protected"),
    sa.UniqueConstraint("name"),
    sa.UniqueConstraint("slug"),
)

block_schema = sa.Table(
    "block_schema",
    metadata,
    _id(),
    _created(),
    _updated(),
    # of the fields; with the version, the identity of a schema for every client
    _text("checksum"),
    _json("fields"),
    sa.Column("block_type_id", Id, sa.ForeignKey("block_type.id", ondelete="CASCADE"), nullable=False),
    _json("capabilities", list),
    _text("version"),
    sa.UniqueConstraint("checksum", "version"),
)
# the schemas of a type
sa.Index(None, block_schema.c.block_type_id)

block_document = sa.Table(
    "block_document",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    # its own values; the blocks inside it are rows of `block_document_reference`
    _json("data"),
    sa.Column("block_schema_id", Id, sa.ForeignKey("block_schema.id", ondelete="CASCADE"), nullable=False),
    sa.Column("block_type_id", Id, sa.ForeignKey("block_type.id", ondelete="CASCADE"), nullable=False),
    _flag("is_anonymous"),
    # also finds the documents of a type
    sa.UniqueConstraint("block_type_id", "name"),
)
# the documents of a schema
sa.Index(None, block_document.c.block_schema_id)

block_document_reference = sa.Table(
    "block_document_reference",
    metadata,
    sa.Column("parent_block_document_id", Id, sa.ForeignKey("block_document.id", ondelete="CASCADE"), nullable=False),
    # the path of the field that holds the other block, its parts joined by dots
    _text("name"),
    sa.Column(
        "reference_block_document_id", Id, sa.ForeignKey("block_document.id", ondelete="CASCADE"), nullable=False
    ),
    sa.PrimaryKeyConstraint("parent_block_document_id", "name"),
    sqlite_with_rowid=False,
)
# which blocks hold a block
sa.Index(None, block_document_reference.c.reference_block_document_id)

concurrency_limit = sa.Table(
    "concurrency_limit",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    sa.Column("limit", sa.Integer, nullable=False),
    _flag("active", True),
    # slots taken without a lease, as they were at a moment: of a limit with a decay they come free by themselves
    sa.Column("open_slots", sa.Double, nullable=False, default=0.0),
    sa.Column("open_slots_at", Timestamp, nullable=False, default=now),
    sa.Column("slot_decay_per_second", sa.Double, nullable=False, default=0.0),
    sa.Column("avg_slot_occupancy_seconds", sa.Double, nullable=False, default=2.0),
    sa.Column("denied_slots", sa.Integer, nullable=False, default=0),
    sa.UniqueConstraint("name"),
)

concurrency_lease = sa.Table(
    "concurrency_lease",
    metadata,
    _id(),
    _created(),
    # NULL: it lasts until it is given back
    sa.Column("expires", Timestamp),
    sa.Column("holder_type", sa.Text),
    sa.Column("holder_id", Id),
)
# the leases that have ended; what a run holds
_where_present(concurrency_lease.c.expires)
_where_present(concurrency_lease.c.holder_id)

concurrency_slot = sa.Table(
    "concurrency_slot",
    metadata,
    # the slots of a limit are counted together, so they are kept together
    sa.Column("limit_id", Id, sa.ForeignKey("concurrency_limit.id", ondelete="CASCADE"), nullable=False),
    sa.Column("lease_id", Id, sa.ForeignKey("concurrency_lease.id", ondelete="CASCADE"), nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("limit_id", "lease_id"),
    sqlite_with_rowid=False,
)
# what a lease holds
sa.Index(None, concurrency_slot.c.lease_id)

flow_run_input = sa.Table(
    "flow_run_input",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("flow_run_id", Id, sa.ForeignKey("flow_run.id", ondelete="CASCADE"), nullable=False),
    _text("key"),
    # JSON as it was sent; it is never looked into
    _text("value"),
    sa.Column("sender", sa.Text),
    # also finds the inputs of a run by the beginning of their keys
    sa.UniqueConstraint("flow_run_id", "key"),
)

csrf_token = sa.Table(
    "csrf_token",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("token"),
    _text("client"),
    sa.Column("expiration", Timestamp, nullable=False),
    sa.UniqueConstraint("client"),
)

# what is set for the whole server, by name
configuration = sa.Table(
    "configuration",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("key"),
    _json("value"),
    sa.UniqueConstraint("key"),
)


# -- where runs go to be run ----------------------------------------------------------------------------------------

work_pool = sa.Table(
    "work_pool",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    sa.Column("description", sa.Text),
    _text("type"),
    _json("base_job_template"),
    _flag("is_paused"),
    sa.Column("concurrency_limit", sa.Integer),
    _json("storage_configuration"),
    # no foreign key: the queue is made after the pool, which it refers to
    sa.Column("default_queue_id", Id),
    sa.UniqueConstraint("name"),
)

work_queue = sa.Table(
    "work_queue",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("work_pool_id", Id, sa.ForeignKey("work_pool.id", ondelete="CASCADE"), nullable=False),
    _text("name"),
    _text("description"),
    _flag("is_paused"),
    sa.Column("concurrency_limit", sa.Integer),
    sa.Column("priority", sa.Integer, nullable=False, default=1),
    sa.Column("filter", Json),
    sa.Column("last_polled", Timestamp),
    # also finds the queues of a pool
    sa.UniqueConstraint("work_pool_id", "name"),
)

worker = sa.Table(
    "worker",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("work_pool_id", Id, sa.ForeignKey("work_pool.id", ondelete="CASCADE"), nullable=False),
    _text("name"),
    sa.Column("heartbeat_interval_seconds", sa.Integer),
    sa.Column("last_heartbeat_time", Timestamp, nullable=False),
    # when it counts as offline, unless it is heard of again
    sa.Column("offline_at", Timestamp, nullable=False),
    # what it tells of itself
    sa.Column("metadata", Json),
    # also finds the workers of a pool
    sa.UniqueConstraint("work_pool_id", "name"),
)

deployment = sa.Table(
    "deployment",
    metadata,
    _id(),
    _created(),
    _updated(),
    _text("name"),
    sa.Column("flow_id", Id, sa.ForeignKey("flow.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Text),
    sa.Column("version_info", Json),
    sa.Column("description", sa.Text),
    _flag("paused"),
    sa.Column("concurrency_options", Json),
    _json("job_variables"),
    _json("parameters"),
    _json("parameter_openapi_schema"),
    _flag("enforce_parameter_schema", True),
    _json("pull_steps", list),
    _json("tags", list),
    _json("labels"),
    sa.Column("work_queue_id", Id, sa.ForeignKey("work_queue.id", ondelete="SET NULL")),
    sa.Column("work_queue_name", sa.Text),
    sa.Column("last_polled", Timestamp),
    sa.Column("path", sa.Text),
    sa.Column("entrypoint", sa.Text),
    sa.Column("storage_document_id", Id),
    sa.Column("infrastructure_document_id", Id),
    sa.Column("created_by", Json),
    sa.Column("updated_by", Json),
    # also finds the deployments of a flow
    sa.UniqueConstraint("flow_id", "name"),
)
# the deployments of a work queue
_where_present(deployment.c.work_queue_id)

deployment_schedule = sa.Table(
    "deployment_schedule",
    metadata,
    _id(),
    _created(),
    _updated(),
    sa.Column("deployment_id", Id, sa.ForeignKey("deployment.id", ondelete="CASCADE"), nullable=False),
    _json("schedule"),
    _flag("active", True),
    sa.Column("max_scheduled_runs", sa.Integer),
    _json("parameters"),
    sa.Column("slug", sa.Text),
    # also finds the schedules of a deployment
    sa.UniqueConstraint("deployment_id", "slug"),
)


# -- what happened --------------------------------------------------------------------------------------------------

event = sa.Table(
    "event",
    metadata,
    _id(),
    sa.Column("occurred", Timestamp, nullable=False),
    _text("event"),
    # of what it happened to; its labels are in `event_resource`
    _text("resource_id"),
    _json("payload"),
    sa.Column("follows", Id),
    sa.Column("received", Timestamp, nullable=False, default=now),
)
# the newest events; those of a name; those of a resource
sa.Index(None, event.c.occurred)
sa.Index(None, event.c.event, event.c.occurred)
sa.Index(None, event.c.resource_id, event.c.occurred)

event_resource = sa.Table(
    "event_resource",
    metadata,
    sa.Column("event_id", Id, sa.ForeignKey("event.id", ondelete="CASCADE"), nullable=False),
    # 0 is what the event happened to; what is related follows in the order it was given
    sa.Column("position", sa.Integer, nullable=False),
    _text("resource_id"),
    # empty for what the event happened to
    _text("role"),
    _json("labels"),
    # copied from the event, so that the newest events of a resource are found without looking at all of them
    sa.Column("occurred", Timestamp, nullable=False),
    sa.PrimaryKeyConstraint("event_id", "position"),
    sqlite_with_rowid=False,
)
# the events that have to do with a resource
sa.Index(None, event_resource.c.resource_id, event_resource.c.occurred)
