"""What flow runs receive while they run, by key."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._defaults import new_list
from prefect._operations import edits, rows
from prefect._operations.errors import Conflict, NotFound
from prefect._operations.registry import NotYet, PlainText, operation
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.fields import FlowRunInputKey, Short
from prefect._schemas.flow_runs import FlowRunInput
from prefect._store import single
from prefect._store.announcements import announce
from prefect._store.tables import flow_run, flow_run_input


class CreateInput(PrefectBaseModel):
    """A value for a flow run."""

    key: Annotated[FlowRunInputKey, Short]
    value: str = Field(description="JSON.")
    sender: str | None = Field(default=None, description="The run that sends it.")


class InputQuery(PrefectBaseModel):
    """The values whose keys begin in a certain way, the oldest first."""

    prefix: str
    limit: int = Field(default=1, ge=0)
    exclude_keys: list[str] = Field(default_factory=new_list)
    wait_seconds: float = Field(default=0, ge=0, description="How long to wait while there is nothing.")


@operation("POST", "/flow_runs/{id}/input", writes=True, status=201)
def create_flow_run_input(tx: sa.Connection, id: UUID, body: CreateInput) -> None:
    """Send a value to a flow run.

    Raises:
        Conflict: it has one of that key already.
        NotFound: there is no such flow run.
    """
    if tx.execute(sa.select(flow_run.c.id).where(flow_run.c.id == id)).first() is None:
        raise NotFound("flow run", id)
    values = {"flow_run_id": id, "key": body.key, "value": body.value, "sender": body.sender}
    if single.insert_new(tx, flow_run_input, values) is None:
        raise Conflict("A flow run input with this key already exists.")
    announce(tx, _topic(id))


def _topic(id: UUID) -> str:
    return f"inputs:{id}"


def write(tx: sa.Connection, id: UUID, key: str, value: str) -> None:
    """Write the value of a key, over one that is there."""
    values = {"flow_run_id": id, "key": key, "value": value, "sender": None}
    edits.upsert(tx, flow_run_input, values, by=["flow_run_id", "key"], change=["value", "sender"])
    announce(tx, _topic(id))


@operation("POST", "/flow_runs/{id}/input/filter")
def filter_flow_run_input(tx: sa.Connection, id: UUID, body: InputQuery) -> list[FlowRunInput] | NotYet:
    """The values of a flow run whose keys begin with a prefix."""
    statement = (
        sa.select(flow_run_input)
        .where(flow_run_input.c.flow_run_id == id, flow_run_input.c.key.startswith(body.prefix, autoescape=True))
        .where(flow_run_input.c.key.not_in(body.exclude_keys))
        .order_by(flow_run_input.c.created, flow_run_input.c.id)
        .limit(body.limit)
    )
    found = [FlowRunInput.model_validate(row) for row in tx.execute(statement).mappings()]
    return found if found or body.wait_seconds == 0 else NotYet(found, (_topic(id),))


@operation("GET", "/flow_runs/{id}/input/{key}")
def read_flow_run_input(tx: sa.Connection, id: UUID, key: str) -> PlainText:
    """The value of a key, as it was sent.

    Raises:
        NotFound: there is none.
    """
    where = sa.and_(flow_run_input.c.flow_run_id == id, flow_run_input.c.key == key)
    row = rows.one(tx, sa.select(flow_run_input.c.value).where(where), "flow run input", key)
    return PlainText(row["value"])


@operation("DELETE", "/flow_runs/{id}/input/{key}", writes=True, status=204)
def delete_flow_run_input(tx: sa.Connection, id: UUID, key: str) -> None:
    """Delete the value of a key.

    Raises:
        NotFound: there is none.
    """
    where = sa.and_(flow_run_input.c.flow_run_id == id, flow_run_input.c.key == key)
    edits.delete(tx, flow_run_input, where, "flow run input", key)
