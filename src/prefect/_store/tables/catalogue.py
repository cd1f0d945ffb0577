"""What people and runs leave in the catalogue."""

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
from prefect._store.types import Id, Json, Timestamp

variable = sa.Table(
    "variable",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    sa.Column("value", Json),
    json_column("tags", list),
    sa.UniqueConstraint("name"),
)

artifact = sa.Table(
    "artifact",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("key", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("data", Json),
    sa.Column("metadata_", Json),
    # no foreign keys: an artifact may arrive before its run is recorded, and outlives it
    sa.Column("flow_run_id", Id),
    sa.Column("task_run_id", Id),
)
# the versions of a key, the newest last; the artifacts of a flow run, of a task run
index_where_present(artifact.c.key, artifact.c.id)
index_where_present(artifact.c.flow_run_id)
index_where_present(artifact.c.task_run_id)

artifact_collection = sa.Table(
    "artifact_collection",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("key"),
    # what the latest one holds is read from its own row
    sa.Column("latest_id", Id, sa.ForeignKey("artifact.id", ondelete="CASCADE"), nullable=False),
    sa.UniqueConstraint("key"),
    sa.UniqueConstraint("latest_id"),
)

saved_search = sa.Table(
    "saved_search",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    json_column("filters", list),
    sa.UniqueConstraint("name"),
)

block_type = sa.Table(
    "block_type",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    text_column("slug"),
    sa.Column("logo_url", sa.Text),
    sa.Column("documentation_url", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("code_example", sa.Text),
    flag_column("is_protected"),
    sa.UniqueConstraint("name"),
    sa.UniqueConstraint("slug"),
)

block_schema = sa.Table(
    "block_schema",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    # of the fields; with the version, the identity of a schema for every client
    text_column("checksum"),
    json_column("fields"),
    sa.Column("block_type_id", Id, sa.ForeignKey("block_type.id", ondelete="CASCADE"), nullable=False),
    json_column("capabilities", list),
    text_column("version"),
    sa.UniqueConstraint("checksum", "version"),
)
# the schemas of a type
sa.Index(None, block_schema.c.block_type_id)

block_document = sa.Table(
    "block_document",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("name"),
    # its own values; the blocks inside it are rows of `block_document_reference`
    json_column("data"),
    sa.Column("block_schema_id", Id, sa.ForeignKey("block_schema.id", ondelete="CASCADE"), nullable=False),
    sa.Column("block_type_id", Id, sa.ForeignKey("block_type.id", ondelete="CASCADE"), nullable=False),
    flag_column("is_anonymous"),
    # also finds the documents of a type
    sa.UniqueConstraint("block_type_id", "name"),
)
# the documents of a schema
sa.Index(None, block_document.c.block_schema_id)

block_document_reference = sa.Table(
    "block_document_reference",
    metadata,
    sa.Column("parent_block_document_id", Id, sa.ForeignKey("block_document.id", ondelete="CASCADE"), nullable=False),
    # the path of the field that holds the other block, its parts joined by dots
    text_column("name"),
    sa.Column(
        "reference_block_document_id", Id, sa.ForeignKey("block_document.id", ondelete="CASCADE"), nullable=False
    ),
    sa.PrimaryKeyConstraint("parent_block_document_id", "name"),
    sqlite_with_rowid=False,
)
# which blocks hold a block
sa.Index(None, block_document_reference.c.reference_block_document_id)

flow_run_input = sa.Table(
    "flow_run_input",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    sa.Column("flow_run_id", Id, sa.ForeignKey("flow_run.id", ondelete="CASCADE"), nullable=False),
    text_column("key"),
    # JSON as it was sent; it is never looked into
    text_column("value"),
    sa.Column("sender", sa.Text),
    # also finds the inputs of a run by the beginning of their keys
    sa.UniqueConstraint("flow_run_id", "key"),
)

csrf_token = sa.Table(
    "csrf_token",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("token"),
    text_column("client"),
    sa.Column("expiration", Timestamp, nullable=False),
    sa.UniqueConstraint("client"),
)

# what is set for the whole server, by name
configuration = sa.Table(
    "configuration",
    metadata,
    id_column(),
    created_column(),
    updated_column(),
    text_column("key"),
    json_column("value"),
    sa.UniqueConstraint("key"),
)
