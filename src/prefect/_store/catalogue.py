"""What the filters and sort orders of variables, artifacts and blocks mean in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import TAG_OPERATORS, Clause, Column, join, nested, on
from prefect._store.queries import where_flow_runs, where_task_runs
from prefect._store.tables import (
    artifact,
    artifact_collection,
    block_document,
    block_schema,
    block_type,
    flow_run,
    task_run,
    variable,
)

variable_matches = nested(
    {
        "id": on(variable.c.id),
        "name": on(variable.c.name),
        "tags": on(variable.c.tags, TAG_OPERATORS),
    }
)
"""The clause of a `VariableFilter`."""

artifact_matches = nested(
    {
        "id": on(artifact.c.id),
        "latest_id": on(artifact.c.id),
        "key": on(artifact.c.key),
        "flow_run_id": on(artifact.c.flow_run_id),
        "task_run_id": on(artifact.c.task_run_id),
        "type": on(artifact.c.type),
    }
)
"""The clause of an `ArtifactFilter`, and, on the latest artifact of each key, of an `ArtifactCollectionFilter`."""

block_type_matches = nested(
    {
        "name": on(block_type.c.name),
        "slug": on(block_type.c.slug),
    }
)
"""The clause of a `BlockTypeFilter`."""

block_schema_matches = nested(
    {
        "block_type_id": on(block_schema.c.block_type_id),
        "block_capabilities": on(block_schema.c.capabilities, TAG_OPERATORS),
        "id": on(block_schema.c.id),
        "version": on(block_schema.c.version),
    }
)
"""The clause of a `BlockSchemaFilter`."""

block_document_matches = nested(
    {
        "id": on(block_document.c.id),
        "is_anonymous": on(block_document.c.is_anonymous),
        "block_type_id": on(block_document.c.block_type_id),
        "name": on(block_document.c.name),
    }
)
"""The clause of a `BlockDocumentFilter`."""


def where_block_types(*, block_types: Any = None, block_schemas: Any = None) -> Clause:
    """The block types that match, and that have a schema that matches."""
    clauses = [] if block_types is None else [block_type_matches(block_types)]
    if block_schemas is not None:
        of_type = block_schema.c.block_type_id == block_type.c.id
        clauses.append(sa.exists().where(of_type, block_schema_matches(block_schemas)))
    return join("and_", clauses)


def where_block_documents(*, block_documents: Any = None, block_types: Any = None, block_schemas: Any = None) -> Clause:
    """The block documents that match, of types and schemas that match."""
    clauses = [] if block_documents is None else [block_document_matches(block_documents)]
    if block_types is not None:
        types = sa.select(block_type.c.id).where(block_type_matches(block_types))
        clauses.append(block_document.c.block_type_id.in_(types))
    if block_schemas is not None:
        schemas = sa.select(block_schema.c.id).where(block_schema_matches(block_schemas))
        clauses.append(block_document.c.block_schema_id.in_(schemas))
    return join("and_", clauses)


def where_artifacts(
    *, artifacts: Any = None, flows: Any = None, flow_runs: Any = None, task_runs: Any = None
) -> Clause:
    """The artifacts that match, left by flow runs and task runs that match."""
    clauses = [] if artifacts is None else [artifact_matches(artifacts)]
    if flows is not None or flow_runs is not None:
        of_runs = where_flow_runs(flows=flows, flow_runs=flow_runs)
        clauses.append(artifact.c.flow_run_id.in_(sa.select(flow_run.c.id).where(of_runs)))
    if task_runs is not None:
        of_task_runs = where_task_runs(task_runs=task_runs)
        clauses.append(artifact.c.task_run_id.in_(sa.select(task_run.c.id).where(of_task_runs)))
    return join("and_", clauses)


# -- sort orders ----------------------------------------------------------------------------------------------------
# Each ends in something unique, so that pages neither repeat nor miss a row.


def _newest(table: sa.Table) -> dict[str, list[Column]]:
    return {
        "CREATED_DESC": [table.c.created.desc(), table.c.id.desc()],
        "UPDATED_DESC": [table.c.updated.desc(), table.c.id.desc()],
    }


VARIABLE_ORDERS: Mapping[str, list[Column]] = _newest(variable) | {
    "NAME_ASC": [variable.c.name],
    "NAME_DESC": [variable.c.name.desc()],
}
ARTIFACT_ORDERS: Mapping[str, list[Column]] = _newest(artifact) | {
    "ID_DESC": [artifact.c.id.desc()],
    "KEY_ASC": [artifact.c.key.asc().nulls_last(), artifact.c.id],
    "KEY_DESC": [artifact.c.key.desc().nulls_last(), artifact.c.id.desc()],
}
ARTIFACT_COLLECTION_ORDERS: Mapping[str, list[Column]] = _newest(artifact_collection) | {
    "ID_DESC": [artifact_collection.c.id.desc()],
    "KEY_ASC": [artifact_collection.c.key],
    "KEY_DESC": [artifact_collection.c.key.desc()],
}
BLOCK_DOCUMENT_ORDERS: Mapping[str, list[Column]] = {
    "NAME_ASC": [block_document.c.name, block_document.c.id],
    "NAME_DESC": [block_document.c.name.desc(), block_document.c.id.desc()],
    # beside the type of the document, which the statement joins
    "BLOCK_TYPE_AND_NAME_ASC": [block_type.c.name, block_document.c.name],
}
