"""What is done when something happens: automations, what they have counted, and what is to be done."""

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
from prefect._store.types import Id, Timestamp

automation = sa.Table(
    "automation",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    text_column("description"),
    flag_column("enabled", True),
    json_column("tags", list),
    json_column("trigger"),
    json_column("actions", list),
    json_column("actions_on_trigger", list),
    json_column("actions_on_resolve", list),
    # the resource that it is deleted with
    sa.Column("owner_resource", sa.Text),
    # where the events began that it is about (`_store.tail`): those before it was made or enabled do not count
    text_column("place"),
    # when that was: what is expected of all resources is waited for from then on
    sa.Column("enabled_at", Timestamp, nullable=False),
)
# the automations of a name; those of an owner
sa.Index(None, automation.c.name)
index_where_present(automation.c.owner_resource)

# the resources that an automation acts on or belongs to
automation_resource = sa.Table(
    "automation_resource",
    metadata,
    sa.Column("automation_id", Id, sa.ForeignKey("automation.id", ondelete="CASCADE"), nullable=False),
    text_column("resource_id"),
    sa.PrimaryKeyConstraint("automation_id", "resource_id"),
    sqlite_with_rowid=False,
)
# the automations that have to do with a resource
sa.Index(None, automation_resource.c.resource_id)

# how far the events have been looked at; one row, which is locked by who looks
automation_progress = sa.Table(
    "automation_progress",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    text_column("place"),
)

# what a trigger has counted, for each combination of the labels that it counts by
automation_count = sa.Table(
    "automation_count",
    metadata,
    sa.Column("automation_id", Id, sa.ForeignKey("automation.id", ondelete="CASCADE"), nullable=False),
    sa.Column("trigger_id", Id, nullable=False),
    text_column("key"),
    json_column("state"),
    # when a proactive trigger fires unless something happens
    sa.Column("due", Timestamp),
    # when it says nothing any more
    sa.Column("expires", Timestamp),
    sa.PrimaryKeyConstraint("automation_id", "trigger_id", "key"),
    sqlite_with_rowid=False,
)
# what fires next; what can be forgotten
index_where_present(automation_count.c.due)
index_where_present(automation_count.c.expires)

# actions that are to be carried out
automation_action = sa.Table(
    "automation_action",
    metadata,
    id_column(),
    sa.Column("automation_id", Id, nullable=False),
    # what fired, and when: `prefect._schemas.firings`
    json_column("invocation"),
    # when it is to be carried out, or tried again if whoever carries it out is not heard of any more
    sa.Column("due", Timestamp, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
)
# what is to be done next
sa.Index(None, automation_action.c.due)
