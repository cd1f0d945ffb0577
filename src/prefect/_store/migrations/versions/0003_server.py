"""What a server keeps beside runs: inputs of flow runs, CSRF tokens, its configuration."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "flow_run_input",
        *_common(),
        _required("flow_run_id", Id),
        _required("key", sa.Text),
        _required("value", sa.Text),
        sa.Column("sender", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_flow_run_input"),
        sa.UniqueConstraint("flow_run_id", "key", name="uq_flow_run_input__flow_run_id_key"),
        sa.ForeignKeyConstraint(
            ["flow_run_id"], ["flow_run.id"], name="fk_flow_run_input__flow_run_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "csrf_token",
        *_common(),
        _required("token", sa.Text),
        _required("client", sa.Text),
        _required("expiration", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_csrf_token"),
        sa.UniqueConstraint("client", name="uq_csrf_token__client"),
    )
    op.create_table(
        "configuration",
        *_common(),
        _required("key", sa.Text),
        _required("value", Json),
        sa.PrimaryKeyConstraint("id", name="pk_configuration"),
        sa.UniqueConstraint("key", name="uq_configuration__key"),
    )


def downgrade() -> None:
    for table in ("configuration", "csrf_token", "flow_run_input"):
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _common() -> list[sa.Column[Any]]:
    return [_required("id", Id), _required("created", Timestamp), _required("updated", Timestamp)]
