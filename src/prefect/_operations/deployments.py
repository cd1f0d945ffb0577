"""Deployments: flows that can be run from afar."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import deployment_history, edits, outbox, rows, slots
from prefect._operations.deployment_schedules import change_schedules, replace_schedules, schedules_of
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._operations.registry import Answer, operation
from prefect._operations.run_parameters import check_job_variables
from prefect._operations.scheduling import cancel_runs, take_back_runs
from prefect._operations.work_pools import make_pool, pool_row
from prefect._operations.work_queues import ensure_queue
from prefect._schemas.actions.deployments import DeploymentCreate, DeploymentUpdate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.concurrency import GlobalConcurrencyLimitResponse
from prefect._schemas.deployments import DeploymentResponse
from prefect._schemas.enums import DeploymentStatus
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from prefect._schemas.json_schema import check_against_schema
from prefect._schemas.sorting import DeploymentSort
from prefect._schemas.work_pools import DEFAULT_AGENT_WORK_POOL_NAME
from prefect._store import deployments as queries
from prefect._store import single
from prefect._store.announcements import SCHEDULES, announce
from prefect._store.tables import concurrency_limit, deployment, deployment_version, flow, work_pool, work_queue
from prefect.settings import get_current_settings

_MOST_DELETED = 50
# what is not a column of its own, or is written in another form
_APART = {"schedules", "concurrency_limit", "work_pool_name", "work_queue_name", "labels", "flow_id", "name"}
# what runs have from their deployment
_IN_RUNS = ("parameters", "tags", "labels", "version", "work_queue_id", "infrastructure_document_id")


class DeploymentSelection(PrefectBaseModel):
    """Which deployments: those that match, of flows, pools and queues that match, that have runs that match."""

    deployments: DeploymentFilter | None = None
    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return queries.where_deployments(
            deployments=self.deployments,
            flows=self.flows,
            flow_runs=self.flow_runs,
            task_runs=self.task_runs,
            work_pools=self.work_pools,
            work_queues=self.work_pool_queues,
        )


class DeploymentQuery(DeploymentSelection):
    """A page of deployments."""

    sort: DeploymentSort = DeploymentSort.NAME_ASC
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many deployments.")
    offset: int = Field(default=0, ge=0, description="Leave out so many deployments first.")


class DeploymentPages(DeploymentSelection, rows.Pages):
    """A page of deployments, by its number."""

    sort: DeploymentSort = DeploymentSort.NAME_ASC


class DeploymentPaginationResponse(PrefectBaseModel):
    """A page of deployments, and how many pages there are."""

    results: list[DeploymentResponse]
    count: int
    limit: int
    pages: int
    page: int


class DeploymentsToDelete(PrefectBaseModel):
    """Which deployments to delete."""

    deployments: DeploymentFilter | None = None
    limit: int = Field(default=_MOST_DELETED, ge=1, le=_MOST_DELETED, description="At most so many.")


# -- reading --------------------------------------------------------------------------------------------------------

_VERSION_ID = (
    sa.select(deployment_version.c.id)
    .where(deployment_version.c.deployment_id == deployment.c.id)
    .order_by(deployment_version.c.number.desc())
    .limit(1)
    .scalar_subquery()
)
_SELECT = (
    sa.select(deployment, work_pool.c.name.label("work_pool_name"), _VERSION_ID.label("version_id"))
    .outerjoin(work_queue, deployment.c.work_queue_id == work_queue.c.id)
    .outerjoin(work_pool, work_queue.c.work_pool_id == work_pool.c.id)
)


@operation("GET", "/deployments/{id}")
def read_deployment(tx: sa.Connection, id: UUID) -> DeploymentResponse:
    """One deployment.

    Raises:
        NotFound: there is no such deployment.
    """
    return _views(tx, [rows.one(tx, _SELECT.where(deployment.c.id == id), "deployment", id)])[0]


@operation("GET", "/deployments/name/{flow_name}/{deployment_name}")
def read_deployment_by_name(tx: sa.Connection, flow_name: str, deployment_name: str) -> DeploymentResponse:
    """The deployment of a flow and a name.

    Raises:
        NotFound: there is no such deployment.
    """
    named = sa.and_(flow.c.name == flow_name, deployment.c.name == deployment_name)
    statement = _SELECT.join(flow, deployment.c.flow_id == flow.c.id).where(named)
    return _views(tx, [rows.one(tx, statement, "deployment", f"{flow_name}/{deployment_name}")])[0]


@operation("POST", "/deployments/filter")
def read_deployments(tx: sa.Connection, body: DeploymentQuery) -> list[DeploymentResponse]:
    """The deployments that match, a page of them."""
    statement = _SELECT.where(body.clause()).order_by(*queries.DEPLOYMENT_ORDERS[body.sort.value])
    return _views(tx, list(tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()))


@operation("POST", "/deployments/paginate")
def paginate_deployments(tx: sa.Connection, body: DeploymentPages) -> DeploymentPaginationResponse:
    """The deployments that match, a page of them, and how many pages there are."""
    count = count_deployments(tx, body)
    statement = _SELECT.where(body.clause()).order_by(*queries.DEPLOYMENT_ORDERS[body.sort.value])
    results = _views(tx, list(tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()))
    return DeploymentPaginationResponse(
        results=results, count=count, limit=body.limit, pages=body.pages(count), page=body.page
    )


@operation("POST", "/deployments/count")
def count_deployments(tx: sa.Connection, body: DeploymentSelection) -> int:
    """How many deployments match."""
    return rows.count(tx, deployment, body.clause())


# -- writing --------------------------------------------------------------------------------------------------------


@operation("POST", "/deployments/", writes=True)
def create_deployment(tx: sa.Connection, body: DeploymentCreate) -> Answer[DeploymentResponse]:
    """Make a deployment (201), or change the one of that flow and name (200).

    Of one that is there, what is not given stays as it is, but for its parameters and schedules, which are replaced.

    Raises:
        NotFound: there is no such flow or work pool.
        Invalid: the parameters or the job variables do not fit their schemas.
    """
    id, made = put_deployment(tx, body)
    return Answer(read_deployment(tx, id), 201 if made else 200)


def put_deployment(tx: sa.Connection, body: DeploymentCreate, *, restored: int | None = None) -> tuple[UUID, bool]:
    """Make a deployment, or change the one of that flow and name.

    Args:
        restored: the version that it goes back to: then it is nothing but what is given.

    Returns:
        its id, and whether it was made now.

    Raises:
        NotFound, Invalid: as `create_deployment`.
        Conflict: others made and deleted it in this moment.
    """
    of_flow = rows.one(tx, sa.select(flow).where(flow.c.id == body.flow_id), "flow", body.flow_id)
    same = sa.and_(deployment.c.flow_id == body.flow_id, deployment.c.name == body.name)
    there = sa.select(deployment).where(same).with_for_update()
    before = tx.execute(there).mappings().one_or_none()
    nowhere = {"work_queue_id": None, "work_queue_name": None} if restored is not None else {}
    values = _values(body) | {"parameters": body.parameters} | (_place(tx, body) or nowhere)
    values["labels"] = {**of_flow["labels"], "prefect.flow.id": str(body.flow_id), **body.labels}
    _check_parameters({**(before or {}), **values})
    row = before or single.insert_new(tx, deployment, {**values, "flow_id": body.flow_id, "name": body.name})
    if row is None:  # somebody else made it in this moment
        row = before = tx.execute(there).mappings().one_or_none()
    if row is None:
        raise Conflict(f"Deployment {body.name!r} was made and deleted by others in this moment. Try again.")
    if before is not None:
        edits.update(tx, deployment, same, values, taken=f"Deployment {body.name!r} cannot be changed.")
        _renew_runs(tx, before, values)
    replace_schedules(tx, row["id"], body.schedules)
    _set_limit(tx, row["id"], body)
    deployment_history.record(tx, row["id"], restored=restored)
    if before is None:
        outbox.deployment_changed(tx, row, "created")
    else:
        _tell_changes(tx, before, values)
    return row["id"], before is None


@operation("PATCH", "/deployments/{id}", writes=True, status=204)
def update_deployment(tx: sa.Connection, id: UUID, body: DeploymentUpdate) -> None:
    """Change a deployment; what is not given stays as it is.

    Raises:
        NotFound: there is no such deployment or work pool.
        Invalid: the parameters or the job variables do not fit their schemas.
    """
    before = rows.one(tx, sa.select(deployment).where(deployment.c.id == id).with_for_update(), "deployment", id)
    values = _values(body) | _place(tx, body)
    _check_parameters({**before, **values})
    edits.update(tx, deployment, deployment.c.id == id, values, taken=f"Deployment '{id}' cannot be changed.")
    _renew_runs(tx, before, values)
    if body.schedules is not None:
        change_schedules(tx, id, body.schedules)
    _set_limit(tx, id, body)
    deployment_history.record(tx, id)
    _tell_changes(tx, before, values)


@operation("POST", "/deployments/{id}/pause_deployment", writes=True)
def pause_deployment(tx: sa.Connection, id: UUID) -> None:
    """Make no more runs by schedule; those that were made and have not begun are deleted.

    Raises:
        NotFound: there is no such deployment.
    """
    _set_paused(tx, id, True)
    take_back_runs(tx, [id])


@operation("POST", "/deployments/{id}/resume_deployment", writes=True)
def resume_deployment(tx: sa.Connection, id: UUID) -> None:
    """Make runs by schedule again.

    Raises:
        NotFound: there is no such deployment.
    """
    _set_paused(tx, id, False)
    announce(tx, SCHEDULES)


@operation("DELETE", "/deployments/{id}", writes=True, status=204)
def delete_deployment(tx: sa.Connection, id: UUID) -> None:
    """Delete a deployment with its schedules, its limit, and the runs made by schedule that have not begun.

    Runs that somebody asked for, and that have not begun, are cancelled.

    Raises:
        NotFound: there is no such deployment.
    """
    if not _delete(tx, [id]):
        raise NotFound("deployment", id)


@operation("POST", "/deployments/bulk_delete", writes=True)
def bulk_delete_deployments(tx: sa.Connection, body: DeploymentsToDelete) -> rows.Deleted:
    """Delete the deployments that match, as many as one call deletes."""
    where = queries.where_deployments(deployments=body.deployments)
    ids = list(
        tx.execute(sa.select(deployment.c.id).where(where).order_by(deployment.c.id).limit(body.limit)).scalars()
    )
    return rows.Deleted(deleted=_delete(tx, ids))


# -------------------------------------------------------------------------------------------------------------------


def _values(body: DeploymentCreate | DeploymentUpdate) -> dict[str, Any]:
    """The columns that a request gives."""
    given = body.model_dump(mode="json", include=body.model_fields_set - _APART)
    return {
        name: value
        for name, value in given.items()
        if name in deployment.c and (value is not None or deployment.c[name].nullable)
    }


def _place(tx: sa.Connection, body: DeploymentCreate | DeploymentUpdate) -> dict[str, Any]:
    """The work queue that a request names, as columns. A queue that is not there is made, a pool is not."""
    if body.work_pool_name is None and body.work_queue_name is None:
        return {}
    if body.work_pool_name is None:
        make_pool(tx, WorkPoolCreate(name=DEFAULT_AGENT_WORK_POOL_NAME))
    pool = pool_row(tx, body.work_pool_name or DEFAULT_AGENT_WORK_POOL_NAME)
    check_job_variables(body.job_variables or {}, pool["base_job_template"] or {}, "deployment")
    queue = ensure_queue(tx, pool, body.work_queue_name)
    return {"work_queue_id": queue["id"], "work_queue_name": queue["name"]}


def _check_parameters(values: dict[str, Any]) -> None:
    if not values.get("enforce_parameter_schema", True) or not values.get("parameter_openapi_schema"):
        return
    # a deployment need not give every parameter, and what is filled in later (`__prefect_kind`) is checked then
    schema = {name: part for name, part in values["parameter_openapi_schema"].items() if name != "required"}
    plain = {
        name: value
        for name, value in values["parameters"].items()
        if not (isinstance(value, dict) and "__prefect_kind" in value)
    }
    try:
        check_against_schema(plain, schema, what="parameters")
    except ValueError as exc:
        raise Invalid(str(exc)) from None


def _set_limit(tx: sa.Connection, id: UUID, body: DeploymentCreate | DeploymentUpdate) -> None:
    """Give a deployment a limit of its own, or one that others use too; or none."""
    given = body.model_fields_set & {"concurrency_limit", "global_concurrency_limit_id"}
    if body.concurrency_limit is not None and body.global_concurrency_limit_id is not None:
        raise Invalid("Give either concurrency_limit or global_concurrency_limit_id: a deployment has one limit.")
    if body.concurrency_limit is not None and body.concurrency_limit <= 0:
        raise Invalid(f"concurrency_limit must be above 0, but is {body.concurrency_limit}. Leave it out for no limit.")
    if not given:
        return
    name = f"{queries.LIMIT_PREFIX}{id}"
    limit_id = body.global_concurrency_limit_id
    if body.concurrency_limit is not None:
        values = {"name": name, "limit": body.concurrency_limit}
        limit_id = edits.upsert(tx, concurrency_limit, values, by=["name"], change=["limit"])["id"]
    elif limit_id is not None:
        shared = sa.select(concurrency_limit.c.id).where(concurrency_limit.c.id == limit_id)
        rows.one(tx, shared, "global concurrency limit", limit_id)
    of_deployment = deployment.c.id == id
    current = tx.execute(sa.select(deployment.c.concurrency_limit_id).where(of_deployment)).scalar_one()
    own = tx.execute(sa.select(concurrency_limit.c.id).where(concurrency_limit.c.name == name)).scalar_one_or_none()
    if limit_id is None and "global_concurrency_limit_id" not in given and current != own:
        return  # it is without a limit of its own, and keeps the shared one
    tx.execute(sa.update(deployment).where(of_deployment).values(concurrency_limit_id=limit_id))
    if own is not None and own != limit_id:
        tx.execute(sa.delete(concurrency_limit).where(concurrency_limit.c.id == own))
    announce(tx, "scheduled")


def _set_paused(tx: sa.Connection, id: UUID, paused: bool) -> None:
    where = deployment.c.id == id
    if tx.execute(sa.update(deployment).where(where).values(paused=paused)).rowcount == 0:
        raise NotFound("deployment", id)


def _delete(tx: sa.Connection, ids: list[UUID]) -> list[UUID]:
    # whoever makes runs of them is waited for, and makes no more
    locked = sa.select(deployment).where(deployment.c.id.in_(ids)).order_by(deployment.c.id).with_for_update()
    found = tx.execute(locked).mappings().all()
    take_back_runs(tx, ids)
    cancel_runs(tx, ids)
    for row in found:
        outbox.deployment_changed(tx, row, "deleted")
    limits = [f"{queries.LIMIT_PREFIX}{id}" for id in ids]
    tx.execute(sa.delete(concurrency_limit).where(concurrency_limit.c.name.in_(limits)))
    gone = sa.delete(deployment).where(deployment.c.id.in_(ids)).returning(deployment.c.id)
    return list(tx.execute(gone).scalars())


def _tell_changes(tx: sa.Connection, before: sa.RowMapping, values: dict[str, Any]) -> None:
    changed = outbox.changes(before, values)
    if changed["updated_fields"]:
        outbox.deployment_changed(tx, {**before, **values}, "updated", changed)


def _renew_runs(tx: sa.Connection, before: sa.RowMapping, values: dict[str, Any]) -> None:
    """Take back runs made by schedule that a change concerns; the scheduler makes them anew. What is due goes on."""
    if values.get("paused") and not before["paused"]:
        take_back_runs(tx, [before["id"]])
    elif any(name in values and values[name] != before[name] for name in _IN_RUNS):
        take_back_runs(tx, [before["id"]], due_after=now())
    elif before["paused"] and values.get("paused") is False:
        announce(tx, SCHEDULES)


def _views(tx: sa.Connection, found: list[sa.RowMapping]) -> list[DeploymentResponse]:
    moment = now()
    foreman = get_current_settings().server.services.foreman
    patience = timedelta(seconds=foreman.deployment_last_polled_timeout_seconds)
    schedules = schedules_of(tx, [row["id"] for row in found])
    ids = {row["concurrency_limit_id"] for row in found} - {None}
    of_these = sa.select(concurrency_limit).where(concurrency_limit.c.id.in_(ids))
    limits = {limit["id"]: limit for limit in tx.execute(of_these).mappings()} if ids else {}
    taken = slots.taken(tx, list(limits.values()), moment)
    views: list[DeploymentResponse] = []
    for row in found:
        limit = limits.get(row["concurrency_limit_id"])
        polled = row["last_polled"]
        lately = polled is not None and moment - polled < patience
        fields = {
            **row,
            "schedules": schedules[row["id"]],
            "status": DeploymentStatus.READY if lately else DeploymentStatus.NOT_READY,
        }
        if limit is not None:
            fields["global_concurrency_limit"] = GlobalConcurrencyLimitResponse.model_validate(
                {**limit, "active_slots": slots.shown(taken[limit["id"]])}
            )
        views.append(DeploymentResponse.model_validate(fields))
    return views
