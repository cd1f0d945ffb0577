"""Deferred task runs: those that task workers carry out."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._store.tables.columns import index_where_present, metadata, partial_index
from prefect._store.types import Id, Timestamp

# the queue of the local database, in which processes ask the operating system who lives: see `_store.deferred_queue`
deferred_run = sa.Table(
    "deferred_run",
    metadata,
    sa.Column("task_run_id", Id, sa.ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("task_key", sa.Text, nullable=False),
    # where its function is defined; either of the two finds the task
    sa.Column("place", sa.Text, nullable=False),
    # when it may start, microseconds since the epoch
    sa.Column("due", sa.BigInteger, nullable=False),
    # the process that has claimed it (`owner.id`); NULL: it can be had
    sa.Column("owner", sa.Text),
    # how often it was claimed, which is the fencing token; and how often since it last began
    sa.Column("claims", sa.Integer, nullable=False),
    sa.Column("unbegun", sa.Integer, nullable=False),
    # ids of deferred runs that must have ended, JSON
    sa.Column("waits_for", sa.Text, nullable=False),
    # what it is said to depend on, JSON
    sa.Column("dependencies", sa.Text, nullable=False),
    sa.Column("parameters", sa.Text),
    sqlite_with_rowid=False,
)
partial_index(
    "ix_deferred_run__due",
    deferred_run.c.due,
    deferred_run.c.task_run_id,
    where=deferred_run.c.owner.is_(None),
)
index_where_present(deferred_run.c.owner)
partial_index(
    "ix_deferred_run__waiting",
    deferred_run.c.task_run_id,
    where=deferred_run.c.waits_for != sa.literal_column("'[]'"),
)

# who carries out a run for a server, and for how long without being heard of
task_run_lease = sa.Table(
    "task_run_lease",
    metadata,
    sa.Column("task_run_id", Id, sa.ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True),
    # the fencing token: whoever holds an older one is not listened to any more
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("holder_name", sa.Text, nullable=False),
    # NULL: it has ended, and the row remembers the token
    sa.Column("expires", Timestamp),
    # how often it was claimed since it last began
    sa.Column("unbegun", sa.Integer, nullable=False),
)
index_where_present(task_run_lease.c.expires)
