"""Making task runs, saying which state they are to enter, and recording what a client decided itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect import _names
from prefect._ids import new_uuid
from prefect._operations import edits, rows, task_runs
from prefect._operations.errors import Conflict
from prefect._operations.flow_run_control import SetState
from prefect._operations.registry import Answer, Rendered, operation
from prefect._operations.state_changes import enter_first_state, propose_task_run_state, state_of
from prefect._rules.states import PENDING, RunState
from prefect._schemas.actions.runs import TaskRunCreate, TaskRunUpdate
from prefect._schemas.orchestration import OrchestrationResult
from prefect._schemas.task_runs import TaskRun
from prefect._store import single
from prefect._store.tables import flow_run, task_run


@operation("POST", "/task_runs/", writes=True, status=201)
def create_task_run(tx: sa.Connection, body: TaskRunCreate) -> Answer[Rendered[TaskRun]]:
    """Make a task run; the one of the same flow run, task and dynamic key, when there is one.

    Raises:
        Conflict: there is no such flow run, or the id is that of another task run.
    """
    same = sa.select(task_run.c.id).where(
        task_run.c.flow_run_id == body.flow_run_id if body.flow_run_id else task_run.c.flow_run_id.is_(None),
        task_run.c.task_key == body.task_key,
        task_run.c.dynamic_key == body.dynamic_key,
    )
    found = tx.execute(same.limit(1)).scalar_one_or_none()
    if found is not None:
        return Answer(task_runs.read_task_run(tx, found), 200)
    values = body.model_dump(exclude={"state", "empirical_policy", "task_inputs"})
    values["id"] = body.id or new_uuid()
    values["name"] = body.name or _names.generate_slug(2)
    values["empirical_policy"] = body.empirical_policy.model_dump(mode="json")
    values["task_inputs"] = body.model_dump(mode="json", include={"task_inputs"})["task_inputs"]
    values["labels"] = {**_labels_of_flow(tx, body.flow_run_id), **body.labels}
    taken = f"There is a task run {values['id']} already, or no flow run {body.flow_run_id}."
    with edits.conflicts(tx, taken):
        made = single.insert_new(tx, task_run, values)
    if made is None:
        raise Conflict(taken)
    enter_first_state(tx, made, RunState(PENDING) if body.state is None else state_of(body.state))
    return Answer(task_runs.read_task_run(tx, values["id"]), 201)


def _labels_of_flow(tx: sa.Connection, flow_run_id: UUID | None) -> dict[str, Any]:
    if flow_run_id is None:
        return {}
    row = tx.execute(sa.select(flow_run.c.labels, flow_run.c.flow_id).where(flow_run.c.id == flow_run_id)).first()
    if row is None:
        return {}
    return {**row.labels, "prefect.flow.id": str(row.flow_id), "prefect.flow-run.id": str(flow_run_id)}


@operation("PATCH", "/task_runs/{id}", writes=True, status=204)
def update_task_run(tx: sa.Connection, id: UUID, body: TaskRunUpdate) -> None:
    """Change a task run; what is not given stays as it is.

    Raises:
        NotFound: there is no such task run.
    """
    rows.one(tx, sa.select(task_run.c.id).where(task_run.c.id == id), "task run", id)
    if body.name is not None:
        tx.execute(sa.update(task_run).where(task_run.c.id == id).values(name=body.name))


@operation("POST", "/task_runs/{id}/set_state", writes=True, status=201)
def set_task_run_state(tx: sa.Connection, id: UUID, body: SetState) -> Answer[OrchestrationResult[Any]]:
    """Propose a state for a task run; the answer says whether it was entered, or what else is to be done.

    Raises:
        NotFound: there is no such task run.
    """
    result, written = propose_task_run_state(
        tx, id, state_of(body.state), force=body.force, lease_token=body.lease_token
    )
    return Answer(result, 201 if written else 200)
