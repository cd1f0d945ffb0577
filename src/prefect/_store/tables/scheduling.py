"""What the scheduler remembers: how far it has come, and the ranges in the past that are being made up for."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._store.tables.columns import (
    created_column,
    flag_column,
    id_column,
    json_column,
    metadata,
    text_column,
    updated_column,
)
from prefect._store.types import Id, Timestamp

# how far the runs of a schedule have been made; one without a row has not been looked at. Not columns of the schedule:
# who changes a schedule and who makes its runs would keep each other waiting
schedule_progress = sa.Table(
    "schedule_progress",
    metadata,
    sa.Column("schedule_id", Id, sa.ForeignKey("deployment_schedule.id", ondelete="CASCADE"), primary_key=True),
    # the last instant that was dealt with; NULL: none was
    sa.Column("made_until", Timestamp),
    sa.Column("looked_at", Timestamp, nullable=False),
    sa.Column("look_again", Timestamp, nullable=False),
)

# the instants of a range in the past, to be run so many at a time
backfill = sa.Table(
    "backfill",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("deployment_id", Id, sa.ForeignKey("deployment.id", ondelete="CASCADE"), nullable=False),
    # the schedule it follows, and what that was when the backfill was asked for
    sa.Column("schedule_id", Id),
    json_column("schedule"),
    sa.Column("range_start", Timestamp, nullable=False),
    sa.Column("range_end", Timestamp, nullable=False),
    sa.Column("concurrency", sa.Integer, nullable=False),
    flag_column("skip_existing", True),
    json_column("parameters"),
    # the last instant that was dealt with
    sa.Column("position", Timestamp),
    text_column("status"),
)
# the backfills of a deployment
sa.Index(None, backfill.c.deployment_id)

backfill_run = sa.Table(
    "backfill_run",
    metadata,
    sa.Column("backfill_id", Id, sa.ForeignKey("backfill.id", ondelete="CASCADE"), nullable=False),
    sa.Column("instant", Timestamp, nullable=False),
    sa.Column("flow_run_id", Id, sa.ForeignKey("flow_run.id", ondelete="CASCADE"), nullable=False),
    sa.PrimaryKeyConstraint("backfill_id", "instant"),
    sqlite_with_rowid=False,
)
# whether a run belongs to a backfill
sa.Index(None, backfill_run.c.flow_run_id)
