"""What the filters and sort orders of variables, artifacts and blocks mean in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from prefect._store.clauses import TAG_OPERATORS, Clause, Column, join, nested, on
from prefect._store.queries import where_flow_runs, where_task_runs
from prefect._store.tables import artifact, artifact_collection, flow_run, task_run, variable

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
