"""Who runs a flow run, and for how long without being heard of."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._store.tables.columns import id_column, index_where_present, metadata, text_column
from prefect._store.types import Id, Timestamp

run_lease = sa.Table(
    "run_lease",
    metadata,
    sa.Column("flow_run_id", Id, sa.ForeignKey("flow_run.id", ondelete="CASCADE"), primary_key=True),
    # the fencing token: whoever holds an older one is not listened to any more
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("holder_kind", sa.Text, nullable=False),
    sa.Column("holder_id", Id, nullable=False),
    sa.Column("holder_name", sa.Text),
    sa.Column("claimed_at", Timestamp, nullable=False),
    sa.Column("renewed_at", Timestamp, nullable=False),
    # NULL: it has ended, and the row remembers the token
    sa.Column("expires", Timestamp),
    # how often the run was claimed without being started
    sa.Column("claims", sa.Integer, nullable=False, default=0),
)
# the leases that have ended, and the next one to end
index_where_present(run_lease.c.expires)

# the pools, queues and deployments that are known to be asked for runs, as of the last time that somebody looked
readiness = sa.Table(
    "readiness",
    metadata,
    # of the pool, queue or deployment
    id_column(),
    text_column("kind"),
    # the event that told of it, which the next one follows
    sa.Column("event_id", Id),
)
