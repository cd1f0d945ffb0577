"""Which pools, queues and deployments are asked for runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "readiness",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("event_id", Id),
        sa.PrimaryKeyConstraint("id", name="pk_readiness"),
    )


def downgrade() -> None:
    op.drop_table("readiness")
