"""Limits of what may happen at once, and who holds how much of them."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._clock import now
from prefect._store.tables.columns import (
    created_column,
    flag_column,
    id_column,
    index_where_present,
    metadata,
    text_column,
    updated_column,
)
from prefect._store.types import Id, Timestamp

concurrency_limit = sa.Table(
    "concurrency_limit",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    sa.Column("limit", sa.Integer, nullable=False),
    flag_column("active", True),
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
    id_column(),
    created_column(),
    # NULL: it lasts until it is given back
    sa.Column("expires", Timestamp),
    sa.Column("holder_type", sa.Text),
    sa.Column("holder_id", Id),
)
# the leases that have ended; what a run holds
index_where_present(concurrency_lease.c.expires)
index_where_present(concurrency_lease.c.holder_id)

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

concurrency_waiter = sa.Table(
    "concurrency_waiter",
    metadata,
    # who waits for a limit is looked at together
    sa.Column("limit_id", Id, sa.ForeignKey("concurrency_limit.id", ondelete="CASCADE"), nullable=False),
    # a request that waits for several limits has a row for each
    sa.Column("waiter_id", Id, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    # its place in the line
    sa.Column("since", Timestamp, nullable=False),
    # one that does not ask again until then has gone
    sa.Column("expires", Timestamp, nullable=False),
    sa.PrimaryKeyConstraint("limit_id", "waiter_id"),
    sqlite_with_rowid=False,
)
# what a waiter waits for
sa.Index(None, concurrency_waiter.c.waiter_id)
