"""The catalogue: variables, artifacts, saved searches, blocks, and limits on concurrency."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from prefect._store.types import Id, Json, Timestamp

revision = "0002"
down_revision = "0001"

_TABLES = (
    "concurrency_slot",
    "concurrency_lease",
    "concurrency_limit",
    "block_document_reference",
    "block_document",
    "block_schema",
    "block_type",
    "saved_search",
    "artifact_collection",
    "artifact",
    "variable",
)


def upgrade() -> None:
    _create_variables()
    _create_artifacts()
    _create_block_types()
    _create_block_documents()
    _create_concurrency_limits()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _identity() -> list[sa.Column[Any]]:
    return [_required("id", Id), _required("created", Timestamp), _required("updated", Timestamp)]


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}__{'_'.join(columns)}")


def _refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}__{column}", ondelete="CASCADE")


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*(columns or ("id",)), name=f"pk_{table}")


def _index(table: str, *columns: str, present: bool = False) -> None:
    where = sa.column(columns[0]).is_not(None) if present else None
    op.create_index(f"ix_{table}__{'_'.join(columns)}", table, columns, sqlite_where=where, postgresql_where=where)


def _create_variables() -> None:
    op.create_table(
        "variable",
        *_identity(),
        _required("name", sa.Text),
        sa.Column("value", Json),
        _required("tags", Json),
        _key("variable"),
        _unique("variable", "name"),
    )
    op.create_table(
        "saved_search",
        *_identity(),
        _required("name", sa.Text),
        _required("filters", Json),
        _key("saved_search"),
        _unique("saved_search", "name"),
    )


def _create_artifacts() -> None:
    op.create_table(
        "artifact",
        *_identity(),
        sa.Column("key", sa.Text),
        sa.Column("type", sa.Text),
        sa.Column("description", sa.Text),
        sa.Column("data", Json),
        sa.Column("metadata_", Json),
        sa.Column("flow_run_id", Id),
        sa.Column("task_run_id", Id),
        _key("artifact"),
    )
    _index("artifact", "key", "id", present=True)
    _index("artifact", "flow_run_id", present=True)
    _index("artifact", "task_run_id", present=True)
    op.create_table(
        "artifact_collection",
        *_identity(),
        _required("key", sa.Text),
        _required("latest_id", Id),
        _key("artifact_collection"),
        _unique("artifact_collection", "key"),
        _unique("artifact_collection", "latest_id"),
        _refers("artifact_collection", "latest_id", "artifact"),
    )


def _create_block_types() -> None:
    op.create_table(
        "block_type",
        *_identity(),
        _required("name", sa.Text),
        _required("slug", sa.Text),
        sa.Column("logo_url", sa.Text),
        sa.Column("documentation_url", sa.Text),
        sa.Column("description", sa.Text),
        sa.Column("code_example", sa.Text),
        _required("is_protected", sa.Boolean),
        _key("block_type"),
        _unique("block_type", "name"),
        _unique("block_type", "slug"),
    )
    op.create_table(
        "block_schema",
        *_identity(),
        _required("checksum", sa.Text),
        _required("fields", Json),
        _required("block_type_id", Id),
        _required("capabilities", Json),
        _required("version", sa.Text),
        _key("block_schema"),
        _unique("block_schema", "checksum", "version"),
        _refers("block_schema", "block_type_id", "block_type"),
    )
    _index("block_schema", "block_type_id")


def _create_block_documents() -> None:
    op.create_table(
        "block_document",
        *_identity(),
        _required("name", sa.Text),
        _required("data", Json),
        _required("block_schema_id", Id),
        _required("block_type_id", Id),
        _required("is_anonymous", sa.Boolean),
        _key("block_document"),
        _unique("block_document", "block_type_id", "name"),
        _refers("block_document", "block_schema_id", "block_schema"),
        _refers("block_document", "block_type_id", "block_type"),
    )
    _index("block_document", "block_schema_id")
    op.create_table(
        "block_document_reference",
        _required("parent_block_document_id", Id),
        _required("name", sa.Text),
        _required("reference_block_document_id", Id),
        _key("block_document_reference", "parent_block_document_id", "name"),
        _refers("block_document_reference", "parent_block_document_id", "block_document"),
        _refers("block_document_reference", "reference_block_document_id", "block_document"),
        sqlite_with_rowid=False,
    )
    _index("block_document_reference", "reference_block_document_id")


def _create_concurrency_limits() -> None:
    op.create_table(
        "concurrency_limit",
        *_identity(),
        _required("name", sa.Text),
        _required("limit", sa.Integer),
        _required("active", sa.Boolean),
        _required("open_slots", sa.Double),
        _required("open_slots_at", Timestamp),
        _required("slot_decay_per_second", sa.Double),
        _required("avg_slot_occupancy_seconds", sa.Double),
        _required("denied_slots", sa.Integer),
        _key("concurrency_limit"),
        _unique("concurrency_limit", "name"),
    )
    op.create_table(
        "concurrency_lease",
        _required("id", Id),
        _required("created", Timestamp),
        sa.Column("expires", Timestamp),
        sa.Column("holder_type", sa.Text),
        sa.Column("holder_id", Id),
        _key("concurrency_lease"),
    )
    _index("concurrency_lease", "expires", present=True)
    _index("concurrency_lease", "holder_id", present=True)
    op.create_table(
        "concurrency_slot",
        _required("limit_id", Id),
        _required("lease_id", Id),
        _required("slots", sa.Integer),
        _key("concurrency_slot", "limit_id", "lease_id"),
        _refers("concurrency_slot", "limit_id", "concurrency_limit"),
        _refers("concurrency_slot", "lease_id", "concurrency_lease"),
        sqlite_with_rowid=False,
    )
    _index("concurrency_slot", "lease_id")
