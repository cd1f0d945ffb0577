"""Where runs go to be run: work pools, queues, workers, deployments and their schedules."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._store.tables.columns import (
    created_column,
    flag_column,
    id_column,
    index_where_present,
    json_column,
    metadata,
    text_column,
    updated_column,
)
from prefect._store.types import Id, Json, Timestamp

work_pool = sa.Table(
    "work_pool",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    sa.Column("description", sa.Text),
    text_column("type"),
    json_column("base_job_template"),
    flag_column("is_paused"),
    sa.Column("concurrency_limit", sa.Integer),
    json_column("storage_configuration"),
    # no foreign key: the queue is made after the pool, which it refers to
    sa.Column("default_queue_id", Id),
    sa.UniqueConstraint("name"),
)

work_queue = sa.Table(
    "work_queue",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("work_pool_id", Id, sa.ForeignKey("work_pool.id", ondelete="CASCADE"), nullable=False),
    text_column("name"),
    text_column("description"),
    flag_column("is_paused"),
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
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("work_pool_id", Id, sa.ForeignKey("work_pool.id", ondelete="CASCADE"), nullable=False),
    text_column("name"),
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
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    sa.Column("flow_id", Id, sa.ForeignKey("flow.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Text),
    sa.Column("version_info", Json),
    sa.Column("description", sa.Text),
    flag_column("paused"),
    sa.Column("concurrency_options", Json),
    json_column("job_variables"),
    json_column("parameters"),
    json_column("parameter_openapi_schema"),
    flag_column("enforce_parameter_schema", True),
    json_column("pull_steps", list),
    json_column("tags", list),
    json_column("labels"),
    sa.Column("work_queue_id", Id, sa.ForeignKey("work_queue.id", ondelete="SET NULL")),
    sa.Column("work_queue_name", sa.Text),
    sa.Column("last_polled", Timestamp),
    sa.Column("path", sa.Text),
    sa.Column("entrypoint", sa.Text),
    sa.Column("storage_document_id", Id),
    sa.Column("infrastructure_document_id", Id),
    sa.Column("created_by", Json),
    sa.Column("updated_by", Json),
    # how many of its runs may be under way: a limit of its own, or one that others use too
    sa.Column("concurrency_limit_id", Id),
    # also finds the deployments of a flow
    sa.UniqueConstraint("flow_id", "name"),
)
# the deployments of a work queue; those that have a limit
index_where_present(deployment.c.work_queue_id)
index_where_present(deployment.c.concurrency_limit_id)

# what a deployment was after each change of it, from 1
deployment_version = sa.Table(
    "deployment_version",
    metadata,
    id_column(),
    created_column(),
    sa.Column("deployment_id", Id, sa.ForeignKey("deployment.id", ondelete="CASCADE"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    # the version number that it went back to
    sa.Column("restored", sa.Integer),
    json_column("content"),
    # also finds the versions of a deployment
    sa.UniqueConstraint("deployment_id", "number"),
)

deployment_schedule = sa.Table(
    "deployment_schedule",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("deployment_id", Id, sa.ForeignKey("deployment.id", ondelete="CASCADE"), nullable=False),
    json_column("schedule"),
    flag_column("active", True),
    sa.Column("max_scheduled_runs", sa.Integer),
    json_column("parameters"),
    sa.Column("slug", sa.Text),
    # what becomes of instants that passed while nobody looked; NULL: nothing special
    sa.Column("catch_up", sa.Text),
    # also finds the schedules of a deployment
    sa.UniqueConstraint("deployment_id", "slug"),
)
