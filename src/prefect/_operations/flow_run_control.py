"""Making flow runs, and saying which state they are to enter."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from pydantic import Field

from prefect import _names
from prefect._clock import now_us
from prefect._defaults import new_list
from prefect._ids import new_uuid
from prefect._operations import flow_run_inputs, flow_runs, outbox, rows
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._operations.registry import Answer, Rendered, operation
from prefect._operations.run_parameters import check_size, plain
from prefect._operations.state_changes import current_state as recorded_state
from prefect._operations.state_changes import (
    insert_flow_run,
    insert_flow_run_of_task_run,
    propose_flow_run_state,
    public_state,
    state_of,
)
from prefect._rules.states import PAUSED, PENDING, RUNNING, SCHEDULED, RunState
from prefect._schemas import json_schema
from prefect._schemas.actions.runs import FlowRunCreate, FlowRunUpdate, StateCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import SetStateStatus
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.leases import Token
from prefect._schemas.orchestration import OrchestrationResult, StateAbortDetails
from prefect._store import queries
from prefect._store.documents import json_text
from prefect._store.tables import flow_run, task_run, work_pool, work_queue


class WrongState(Invalid):
    """The run is in a state in which this cannot be done."""

    status = 400


class SetState(PrefectBaseModel):
    """A proposed state."""

    state: StateCreate
    force: bool = Field(default=False, description="Enter it whatever the rules say.")
    lease_token: Token | None = Field(
        default=None, description="Of the claim under which it is proposed, if there is one."
    )


class Resume(PrefectBaseModel):
    """That a paused run is to go on."""

    run_input: dict[str, Any] | None = Field(default=None, description="What the pause asked for.")


class BulkSetState(PrefectBaseModel):
    """A proposed state for many flow runs."""

    state: StateCreate
    force: bool = Field(default=False, description="Enter it whatever the rules say.")
    flow_runs: FlowRunFilter | None = None
    limit: int = Field(default=50, ge=1, le=50, description="At most so many runs.")


class FlowRunOrchestrationResult(OrchestrationResult[Any]):
    """The answer to the state proposed for one of many flow runs."""

    flow_run_id: UUID


class BulkSetStateResponse(PrefectBaseModel):
    """The answers, one for each run."""

    results: list[FlowRunOrchestrationResult] = Field(default_factory=new_list)


@operation("POST", "/flow_runs/", writes=True, status=201)
def create_flow_run(tx: sa.Connection, body: FlowRunCreate) -> Answer[Rendered[FlowRun]]:
    """Make a run of a flow; the run of the same flow with the same idempotency key, when there is one.

    Raises:
        Invalid: the parameters are larger than the server takes.
        Conflict: there is no such flow.
        NotFound: there is no such work pool, or no such queue in it.
    """
    check_size(body.parameters)
    values = body.model_dump(
        include={
            "flow_id", "deployment_id", "flow_version", "infrastructure_document_id", "parent_task_run_id", "tags",
            "idempotency_key", "parameters", "context", "work_queue_name",
        }
    ) | {"id": new_uuid(), "name": body.name or _names.generate_slug(2), "job_variables": body.job_variables or {}}  # fmt: skip
    values["parameters"] = plain(body.parameters)
    values["context"] = plain(body.context)
    values["empirical_policy"] = body.empirical_policy.model_dump(mode="json")
    if body.parent_task_run_id is not None:
        parent = sa.select(task_run.c.flow_run_id).where(task_run.c.id == body.parent_task_run_id)
        values["parent_flow_run_id"] = tx.execute(parent).scalar_one_or_none()
    if body.work_pool_name is not None:
        values |= _queue(tx, body.work_pool_name, body.work_queue_name)
    around = outbox.around_flow_run(tx, {"work_queue_id": None, **values}, is_new=True)
    if around is None:
        raise Conflict(f"There is no flow {body.flow_id}; make it first.")
    values["labels"] = {**around["flow_labels"], "prefect.flow.id": str(body.flow_id), **body.labels}
    state = RunState(PENDING) if body.state is None else state_of(body.state)
    if body.parent_task_run_id is None:
        made = insert_flow_run(tx, values, state, around)
        if made is not None:
            row, entered = made
            pool = {"work_pool_id": around["pool_id"], "work_pool_name": around["pool"]}
            return Answer(Rendered(flow_runs.reads().written(row | pool, entered)), 201)
    elif insert_flow_run_of_task_run(tx, values, state):
        return Answer(flow_runs.read_flow_run(tx, values["id"]), 201)
    where = sa.and_(flow_run.c.flow_id == body.flow_id, flow_run.c.idempotency_key == body.idempotency_key)
    return Answer(flow_runs.read_flow_run(tx, tx.execute(sa.select(flow_run.c.id).where(where)).scalar_one()), 200)


def _queue(tx: sa.Connection, pool: str, queue: str | None) -> dict[str, Any]:
    """The columns of a run that is sent to a queue of a pool; to its default queue, when none is named."""
    statement = sa.select(work_queue.c.id, work_queue.c.name).join(
        work_pool, work_queue.c.work_pool_id == work_pool.c.id
    )
    wanted = work_queue.c.id == work_pool.c.default_queue_id if queue is None else work_queue.c.name == queue
    kind, key = ("work pool", pool) if queue is None else ("work queue", f"{pool}/{queue}")
    row = rows.one(tx, statement.where(work_pool.c.name == pool, wanted), kind, key)
    return {"work_queue_id": row["id"], "work_queue_name": row["name"]}


@operation("PATCH", "/flow_runs/{id}", writes=True, status=204)
def update_flow_run(tx: sa.Connection, id: UUID, body: FlowRunUpdate) -> None:
    """Change a flow run; what is not given stays as it is.

    Raises:
        NotFound: there is no such flow run.
        WrongState: job variables are given for a run that is not scheduled: it has been picked up.
    """
    row = rows.one(
        tx, sa.select(flow_run.c.state_type, flow_run.c.empirical_policy).where(flow_run.c.id == id), "flow run", id
    )
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if given.get("job_variables") is not None and row["state_type"] != SCHEDULED:
        raise WrongState(f"Job variables for a flow run in state {row['state_type']} cannot be updated")
    if "empirical_policy" in given:
        given["empirical_policy"] = body.empirical_policy.model_dump(mode="json")
    values = {name: value for name, value in given.items() if value is not None}
    if values:
        tx.execute(sa.update(flow_run).where(flow_run.c.id == id).values(values))


@operation("PATCH", "/flow_runs/{id}/labels", writes=True, status=204)
def update_flow_run_labels(tx: sa.Connection, id: UUID, body: dict[str, bool | int | float | str]) -> None:
    """Add labels to a flow run, or change some.

    Raises:
        NotFound: there is no such flow run.
    """
    row = rows.one(tx, sa.select(flow_run.c.labels).where(flow_run.c.id == id).with_for_update(), "flow run", id)
    tx.execute(sa.update(flow_run).where(flow_run.c.id == id).values(labels={**row["labels"], **body}))


@operation("POST", "/flow_runs/{id}/set_state", writes=True, status=201)
def set_flow_run_state(tx: sa.Connection, id: UUID, body: SetState) -> Answer[OrchestrationResult[Any]]:
    """Propose a state for a flow run; the answer says whether it was entered, or what else is to be done.

    Raises:
        NotFound: there is no such flow run.
    """
    result, written = propose_flow_run_state(
        tx, id, state_of(body.state), force=body.force, lease_token=body.lease_token
    )
    return Answer(result, 201 if written else 200)


@operation("POST", "/flow_runs/bulk_set_state", writes=True)
def bulk_set_flow_run_state(tx: sa.Connection, body: BulkSetState) -> BulkSetStateResponse:
    """Propose a state for the flow runs that match, up to fifty at once."""
    where = sa.true() if body.flow_runs is None else queries.flow_run_matches(body.flow_runs)
    ids = tx.execute(sa.select(flow_run.c.id).where(where).order_by(flow_run.c.id.desc()).limit(body.limit)).scalars()
    results = []
    for id in ids.all():
        result, _ = propose_flow_run_state(tx, id, state_of(body.state), force=body.force)
        results.append(
            FlowRunOrchestrationResult(flow_run_id=id, state=result.state, status=result.status, details=result.details)
        )
    return BulkSetStateResponse(results=results)


@operation("POST", "/flow_runs/{id}/resume", writes=True, status=201)
def resume_flow_run(tx: sa.Connection, id: UUID, body: Resume) -> Answer[OrchestrationResult[Any]]:
    """Let a paused flow run go on, with the input that it waits for.

    Raises:
        NotFound: there is no such flow run.
    """
    row = rows.one(tx, sa.select(flow_run).where(flow_run.c.id == id), "flow run", id)
    current = recorded_state(tx, flow_run, row)
    if current is None or current.type != PAUSED:
        return _refused("Cannot resume a flow run that is not paused.")
    keys = current.details.get("run_input_keyset") or {}
    if keys:
        problem = _problem_with_input(tx, id, keys, body.run_input)
        if problem is not None:
            return _refused(problem, current, id)
    if current.details.get("pause_reschedule"):
        moment = now_us()
        state = RunState(SCHEDULED, "Resuming", details={"scheduled_time": moment}, timestamp=moment)
    else:
        state = RunState(RUNNING)
    result, written = propose_flow_run_state(tx, id, state)
    if keys and result.status == SetStateStatus.ACCEPT and body.run_input is not None and keys.get("response"):
        flow_run_inputs.write(tx, id, keys["response"], json_text(body.run_input))
    return Answer(result, 201 if written else 200)


def _refused(reason: str, current: RunState | None = None, id: UUID | None = None) -> Answer[OrchestrationResult[Any]]:
    status = SetStateStatus.ABORT if current is None else SetStateStatus.REJECT
    state = None if current is None else public_state(current, id, None)
    return Answer(OrchestrationResult(state=state, status=status, details=StateAbortDetails(reason=reason)), 200)


def _problem_with_input(tx: sa.Connection, id: UUID, keys: dict[str, str], given: dict[str, Any] | None) -> str | None:
    """What keeps a pause from ending with this input, or None."""
    try:
        schema = orjson.loads(str(flow_run_inputs.read_flow_run_input(tx, id, keys.get("schema", ""))))
    except NotFound:
        return "Run input schema not found."
    except orjson.JSONDecodeError:
        return "Run input schema is not valid JSON."
    try:
        json_schema.check_against_schema(given or {}, schema, "run input")
    except json_schema.SchemaMismatch as exc:
        return f"Reason: {exc}"
    return None
