"""Flows, runs, their states and logs, and the processes that run them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Duration, Id, Json, Timestamp

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_flow()
    _create_log()
    _create_owner()
    _create_flow_run()
    _create_states("flow_run")
    _create_task_run()
    _create_states("task_run")


def downgrade() -> None:
    for table in ("task_run_state", "task_run", "flow_run_state", "flow_run", "owner", "log", "flow"):
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _run_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("state_id", Id),
        sa.Column("state_type", sa.Text),
        sa.Column("state_name", sa.Text),
        sa.Column("state_timestamp", Timestamp),
        _required("run_count", sa.Integer),
        sa.Column("expected_start_time", Timestamp),
        sa.Column("next_scheduled_start_time", Timestamp),
        sa.Column("start_time", Timestamp),
        sa.Column("end_time", Timestamp),
        _required("total_run_time", Duration),
    ]


def _create_flow() -> None:
    op.create_table(
        "flow",
        _required("id", Id),
        _required("created", Timestamp),
        _required("updated", Timestamp),
        _required("name", sa.Text),
        _required("tags", Json),
        _required("labels", Json),
        sa.PrimaryKeyConstraint("id", name="pk_flow"),
        sa.UniqueConstraint("name", name="uq_flow__name"),
    )


def _create_log() -> None:
    op.create_table(
        "log",
        _required("id", Id),
        _required("created", Timestamp),
        _required("name", sa.Text),
        _required("level", sa.Integer),
        _required("message", sa.Text),
        _required("timestamp", Timestamp),
        sa.Column("flow_run_id", Id),
        sa.Column("task_run_id", Id),
        sa.Column("worker_id", Id),
        sa.PrimaryKeyConstraint("id", name="pk_log"),
    )
    op.create_index("ix_log__flow_run_id_timestamp", "log", ["flow_run_id", "timestamp"])
    _create_partial_index(
        "ix_log__task_run_id_timestamp", "log", ["task_run_id", "timestamp"], "task_run_id IS NOT NULL"
    )


def _create_owner() -> None:
    op.create_table(
        "owner",
        _required("id", Id),
        _required("host", sa.Text),
        _required("boot_id", sa.Text),
        _required("pid", sa.Integer),
        _required("created", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_owner"),
    )


def _create_flow_run() -> None:
    op.create_table(
        "flow_run",
        _required("id", Id),
        _required("created", Timestamp),
        _required("updated", Timestamp),
        _required("name", sa.Text),
        _required("flow_id", Id),
        sa.Column("flow_version", sa.Text),
        sa.Column("deployment_id", Id),
        sa.Column("deployment_version", sa.Text),
        sa.Column("work_queue_id", Id),
        sa.Column("work_queue_name", sa.Text),
        sa.Column("infrastructure_document_id", Id),
        sa.Column("infrastructure_pid", sa.Text),
        sa.Column("idempotency_key", sa.Text),
        _required("parameters", Json),
        _required("context", Json),
        _required("empirical_policy", Json),
        _required("tags", Json),
        _required("labels", Json),
        _required("job_variables", Json),
        sa.Column("parent_task_run_id", Id),
        sa.Column("parent_flow_run_id", Id),
        _required("auto_scheduled", sa.Boolean),
        sa.Column("created_by", Json),
        *_run_columns(),
        sa.Column("owner", Id),
        sa.PrimaryKeyConstraint("id", name="pk_flow_run"),
        sa.UniqueConstraint("flow_id", "idempotency_key", name="uq_flow_run__flow_id_idempotency_key"),
        sa.ForeignKeyConstraint(["flow_id"], ["flow.id"], name="fk_flow_run__flow_id", ondelete="CASCADE"),
    )
    op.create_index("ix_flow_run__expected_start_time", "flow_run", ["expected_start_time"])
    op.create_index("ix_flow_run__state_type_expected_start_time", "flow_run", ["state_type", "expected_start_time"])
    for reference in ("parent_task_run_id", "parent_flow_run_id", "owner"):
        _create_partial_index(f"ix_flow_run__{reference}", "flow_run", [reference], f"{reference} IS NOT NULL")


def _create_task_run() -> None:
    op.create_table(
        "task_run",
        _required("id", Id),
        _required("created", Timestamp),
        _required("updated", Timestamp),
        _required("name", sa.Text),
        sa.Column("flow_run_id", Id),
        _required("task_key", sa.Text),
        _required("dynamic_key", sa.Text),
        sa.Column("cache_key", sa.Text),
        sa.Column("cache_expiration", Timestamp),
        sa.Column("task_version", sa.Text),
        _required("flow_run_run_count", sa.Integer),
        _required("empirical_policy", Json),
        _required("task_inputs", Json),
        _required("tags", Json),
        _required("labels", Json),
        *_run_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_task_run"),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], name="fk_task_run__flow_run_id", ondelete="CASCADE"),
    )
    op.create_index("ix_task_run__flow_run_id", "task_run", ["flow_run_id"])
    op.create_index("ix_task_run__expected_start_time", "task_run", ["expected_start_time"])


def _create_states(run: str) -> None:
    op.create_table(
        f"{run}_state",
        _required("id", Id),
        _required(f"{run}_id", Id),
        _required("timestamp", Timestamp),
        _required("type", sa.Text),
        _required("name", sa.Text),
        sa.Column("message", sa.Text),
        _required("state_details", Json),
        sa.Column("data", Json),
        sa.PrimaryKeyConstraint(f"{run}_id", "id", name=f"pk_{run}_state"),
        sa.ForeignKeyConstraint([f"{run}_id"], [f"{run}.id"], name=f"fk_{run}_state__{run}_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
