"""Making task runs, saying which state they are to enter, and recording what a client decided itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect import _names
from prefect._ids import new_uuid
from prefect._operations import edits, rows, task_runs
from prefect._operations.flow_run_control import SetState
from prefect._operations.registry import Answer, operation
from prefect._operations.state_changes import enter_first_state, propose_task_run_state, state_of
from prefect._rules.states import PENDING, RunState
from prefect._schemas.actions.runs import TaskRunCreate, TaskRunUpdate
from prefect._schemas.base import ActionBaseModel, PrefectBaseModel
from prefect._schemas.fields import KeyValueLabelsField
from prefect._schemas.moments import DateTime
from prefect._schemas.orchestration import OrchestrationResult
from prefect._schemas.states import State, StateType, from_public
from prefect._schemas.task_runs import TaskRun
from prefect._store.dialects import insert
from prefect._store.tables import flow_run, task_run, task_run_state


class StateRecord(ActionBaseModel):
    """A state that a task run has been in."""

    id: UUID
    type: StateType
    name: str
    timestamp: DateTime
    message: str | None = None
    state_details: dict[str, Any] = Field(default_factory=dict)
    data: Any = None


class TaskRunRecord(ActionBaseModel):
    """A task run as its process knows it, with the states it has been in since it was recorded last."""

    id: UUID
    name: str
    flow_run_id: UUID | None = None
    task_key: str
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: DateTime | None = None
    task_version: str | None = None
    flow_run_run_count: int = 0
    empirical_policy: dict[str, Any] = Field(default_factory=dict)
    task_inputs: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    labels: KeyValueLabelsField
    run_count: int = 0
    expected_start_time: DateTime | None = None
    next_scheduled_start_time: DateTime | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    total_run_time: timedelta = timedelta(0)
    states: list[StateRecord] = Field(min_length=1, description="In the order in which they were entered.")


class RecordTaskRuns(ActionBaseModel):
    """Task runs to record."""

    task_runs: list[TaskRunRecord] = Field(max_length=5_000)


class Recorded(PrefectBaseModel):
    """What became of the records."""

    recorded: int
    orphans: list[UUID] = Field(
        default_factory=list, description="Task runs that were not recorded: their flow run has been deleted."
    )


@operation("POST", "/task_runs/", writes=True, status=201)
def create_task_run(tx: sa.Connection, body: TaskRunCreate) -> Answer[TaskRun]:
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
    with edits.conflicts(tx, f"There is a task run {values['id']} already, or no flow run {body.flow_run_id}."):
        tx.execute(task_run.insert().values(values))
    enter_first_state(tx, task_run, values["id"], RunState(PENDING) if body.state is None else state_of(body.state))
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
    result, written = propose_task_run_state(tx, id, state_of(body.state), force=body.force)
    return Answer(result, 201 if written else 200)


@operation("POST", "/task_runs/record", writes=True)
def record_task_runs(tx: sa.Connection, body: RecordTaskRuns) -> Recorded:
    """Record task runs whose states were decided by the process that runs them.

    A record may be sent again, and records may arrive in any order: a state is kept once, and the newest one counts.
    """
    wanted = {record.flow_run_id for record in body.task_runs if record.flow_run_id is not None}
    known = set(tx.execute(sa.select(flow_run.c.id).where(flow_run.c.id.in_(wanted))).scalars())
    records = [record for record in body.task_runs if record.flow_run_id is None or record.flow_run_id in known]
    for record in records:
        _upsert(tx, record)
    states = [_state_row(record.id, state) for record in records for state in record.states]
    if states:
        tx.execute(insert(tx, task_run_state).on_conflict_do_nothing(), states)
    kept = {record.id for record in records}
    return Recorded(recorded=len(records), orphans=[record.id for record in body.task_runs if record.id not in kept])


_OF_THE_RUN = (
    "name", "cache_key", "cache_expiration", "task_inputs", "tags", "state_id", "state_type", "state_name",
    "state_timestamp", "run_count", "expected_start_time", "next_scheduled_start_time", "start_time", "end_time",
    "total_run_time", "flow_run_run_count",
)  # fmt: skip
"""What a newer record changes."""


def _upsert(tx: sa.Connection, record: TaskRunRecord) -> None:
    last = record.states[-1]
    values = {name: value for name, value in record if name != "states"}
    values |= {
        "state_id": last.id,
        "state_type": last.type.value,
        "state_name": last.name,
        "state_timestamp": last.timestamp,
    }
    statement = insert(tx, task_run).values(values)
    newer = statement.excluded.state_timestamp >= task_run.c.state_timestamp
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={name: statement.excluded[name] for name in (*_OF_THE_RUN, "updated")},
            where=sa.or_(newer, task_run.c.state_timestamp.is_(None)),
        )
    )


def _state_row(run_id: UUID, record: StateRecord) -> dict[str, Any]:
    state = from_public(
        State(
            id=record.id, type=record.type, name=record.name, message=record.message, data=record.data,
            timestamp=record.timestamp, state_details=record.state_details,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    return {
        "id": record.id, "task_run_id": run_id, "timestamp": record.timestamp, "type": state.type, "name": state.name,
        "message": state.message, "state_details": state.details, "data": state.data,
    }  # fmt: skip
