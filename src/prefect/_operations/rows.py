"""From rows to the objects of the API, and the pieces that reads have in common."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now, to_us
from prefect._defaults import new_list
from prefect._operations.errors import NotFound
from prefect._rules.states import RUNNING, TERMINAL, RunState
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.states import State, to_public
from prefect._store.tables import task_run, task_run_state

DEFAULT_LIMIT = 200

_NONE = timedelta(0)
_STATE_COLUMNS = ("id", "timestamp", "type", "name", "message", "state_details", "data")


class Cut(PrefectBaseModel):
    """Which part of a list to read."""

    limit: int = Field(default=DEFAULT_LIMIT, ge=0, description="At most so many objects.")
    offset: int = Field(default=0, ge=0, description="Leave out so many objects first.")


class Pages(PrefectBaseModel):
    """Which page of a list to read."""

    page: int = Field(default=1, ge=1, description="Which page, from 1.")
    limit: int = Field(default=DEFAULT_LIMIT, ge=0, description="So many objects on a page.")

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit

    def pages(self, count: int) -> int:
        """How many pages there are of so many objects."""
        return -(-count // self.limit) if self.limit else 0


class Deleted(PrefectBaseModel):
    """What was deleted."""

    deleted: list[UUID] = Field(default_factory=new_list)


@functools.cache
def runs_with_states(run: sa.Table, states: sa.Table) -> sa.Select[Any]:
    """Runs, each with its current state as columns named `state__*`."""
    run_id = states.primary_key.columns.values()[0]
    state_columns = (states.c[name].label(f"state__{name}") for name in _STATE_COLUMNS)
    current = sa.and_(run_id == run.c.id, states.c.id == run.c.state_id)
    return sa.select(run, *state_columns).select_from(run.outerjoin(states, current))


def state_from(row: sa.RowMapping, *, flow_run_id: UUID | None, task_run_id: UUID | None, prefix: str = "") -> State:
    """The state that a row describes."""
    data = row[f"{prefix}data"]
    state = RunState(
        type=row[f"{prefix}type"],
        name=row[f"{prefix}name"],
        message=row[f"{prefix}message"],
        data=data,
        details={"deferred": False, **row[f"{prefix}state_details"]},
        timestamp=to_us(row[f"{prefix}timestamp"]),
        id=str(row[f"{prefix}id"]),
    )
    return to_public(
        state,
        flow_run_id=None if flow_run_id is None else str(flow_run_id),
        task_run_id=None if task_run_id is None else str(task_run_id),
    )


def run_fields(row: sa.RowMapping, *, flow_run_id: UUID | None, task_run_id: UUID | None) -> dict[str, Any]:
    """The fields of a run, made of a row of `runs_with_states`."""
    fields = {name: value for name, value in row.items() if not name.startswith("state__")}
    if row["state__id"] is not None:
        fields["state"] = state_from(row, flow_run_id=flow_run_id, task_run_id=task_run_id, prefix="state__")
    moment = now()
    fields["estimated_run_time"] = estimated_run_time(row, moment)
    fields["estimated_start_time_delta"] = estimated_start_time_delta(row, moment)
    return fields


def estimated_run_time(run: sa.RowMapping, moment: datetime) -> timedelta:
    """How long a run has been running, up to `moment` when it runs now."""
    if run["state_type"] == RUNNING and run["state_timestamp"] is not None:
        return run["total_run_time"] + max(moment - run["state_timestamp"], _NONE)
    return run["total_run_time"]


def estimated_start_time_delta(run: sa.RowMapping, moment: datetime) -> timedelta:
    """How late a run started, or how late it is by now when it should have."""
    expected = run["expected_start_time"]
    if expected is None:
        return _NONE
    if run["start_time"] is not None:
        return max(run["start_time"] - expected, _NONE)
    return _NONE if run["state_type"] in TERMINAL else max(moment - expected, _NONE)


def one(
    tx: sa.Connection,
    statement: sa.Select[Any],
    kind: str,
    key: UUID | str,
    parameters: dict[str, Any] | None = None,
) -> sa.RowMapping:
    """The only row of a statement.

    Raises:
        NotFound: there is none.
    """
    row = tx.execute(statement, parameters).mappings().one_or_none()
    if row is None:
        raise NotFound(kind, key)
    return row


def state_history(tx: sa.Connection, states: sa.Table, run_id: UUID) -> list[State]:
    """The states that a run went through, oldest first."""
    run_column = states.primary_key.columns.values()[0]
    statement = sa.select(states).where(run_column == run_id).order_by(states.c.timestamp, states.c.id)
    flow_run_id, task_run_id = run_id, None
    if states is task_run_state:
        task_run_id = run_id
        flow_run_id = tx.execute(sa.select(task_run.c.flow_run_id).where(task_run.c.id == run_id)).scalar_one_or_none()
    return [
        state_from(row, flow_run_id=flow_run_id, task_run_id=task_run_id) for row in tx.execute(statement).mappings()
    ]


def count(tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    """How many rows of a table match."""
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar_one()
