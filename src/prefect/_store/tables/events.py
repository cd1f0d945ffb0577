"""What happened."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._clock import now
from prefect._store.tables.columns import (
    id_column,
    index_where_present,
    json_column,
    metadata,
    text_column,
    transaction_column,
)
from prefect._store.types import Id, Timestamp

event = sa.Table(
    "event",
    metadata,
    id_column(),
    sa.Column("occurred", Timestamp, nullable=False),
    text_column("event"),
    # of what it happened to; its labels are in `event_resource`
    text_column("resource_id"),
    json_column("payload"),
    sa.Column("follows", Id),
    sa.Column("received", Timestamp, nullable=False, default=now),
    transaction_column(),
)
# the newest events; those of a name; those of a resource
sa.Index(None, event.c.occurred)
sa.Index(None, event.c.event, event.c.occurred)
sa.Index(None, event.c.resource_id, event.c.occurred)
# what was written last, for those who follow
index_where_present(event.c.xid, event.c.occurred, event.c.id)

event_resource = sa.Table(
    "event_resource",
    metadata,
    # written and removed together with the event: a foreign key would look that up once more for each
    sa.Column("event_id", Id, nullable=False),
    # 0 is what the event happened to; what is related follows in the order it was given
    sa.Column("position", sa.Integer, nullable=False),
    text_column("resource_id"),
    # empty for what the event happened to
    text_column("role"),
    json_column("labels"),
    # copied from the event, so that the newest events of a resource are found without looking at all of them
    sa.Column("occurred", Timestamp, nullable=False),
    sa.PrimaryKeyConstraint("event_id", "position"),
    sqlite_with_rowid=False,
)
# the events that have to do with a resource
sa.Index(None, event_resource.c.resource_id, event_resource.c.occurred)
