"""What is handed out over websockets: who has it, and until when."""

from __future__ import annotations

import sqlalchemy as sa

from prefect._store.tables.columns import created_column, id_column, json_column, metadata, text_column
from prefect._store.types import Id, Timestamp

task_run_subscriber = sa.Table(
    "task_run_subscriber",
    metadata,
    # of this connection
    id_column(),
    created_column(),
    # what the client calls itself
    text_column("identifier"),
    json_column("task_keys", list),
    # its server keeps it alive; when it has died, the runs it held are handed out again after this
    sa.Column("expires", Timestamp, nullable=False),
)

task_run_delivery = sa.Table(
    "task_run_delivery",
    metadata,
    # a scheduled task run is handed to one subscriber at a time, and is its own until it goes away
    sa.Column("task_run_id", Id, sa.ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("subscriber_id", Id, sa.ForeignKey("task_run_subscriber.id", ondelete="CASCADE"), nullable=False),
    sqlite_with_rowid=False,
)
# what a subscriber holds
sa.Index(None, task_run_delivery.c.subscriber_id)

cleanup_message = sa.Table(
    "cleanup_message",
    metadata,
    id_column(),
    created_column(),
    sa.Column("work_pool_id", Id, sa.ForeignKey("work_pool.id", ondelete="CASCADE"), nullable=False),
    # no foreign key: the order stands although the queue is gone
    sa.Column("work_queue_id", Id),
    text_column("kind"),
    # one order of a kind for each run, whoever asks for it again
    sa.Column("flow_run_id", Id, nullable=False),
    json_column("target"),
    json_column("data"),
    sa.Column("delivery_count", sa.Integer, nullable=False, default=0),
    # whoever holds it, until then, is the one to do it
    sa.Column("reservation_token", sa.Text),
    sa.Column("reserved_until", Timestamp),
    # given up: it was handed out too often
    sa.Column("dead_since", Timestamp),
    # also finds the orders for a pool
    sa.UniqueConstraint("work_pool_id", "kind", "flow_run_id"),
)
