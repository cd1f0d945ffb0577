"""Variables: values with names that flows can read."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import edits, outbox, rows
from prefect._operations.errors import Conflict
from prefect._operations.registry import operation
from prefect._schemas.actions.records import VariableCreate, VariableUpdate
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.variables import VariableFilter
from prefect._schemas.sorting import VariableSort
from prefect._schemas.variables import Variable
from prefect._store import catalogue, single
from prefect._store.tables import variable


class VariableSelection(PrefectBaseModel):
    """Which variables."""

    variables: VariableFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.true() if self.variables is None else catalogue.variable_matches(self.variables)


class VariableQuery(VariableSelection):
    """A page of variables."""

    sort: VariableSort = VariableSort.NAME_ASC
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many variables.")
    offset: int = Field(default=0, ge=0, description="Leave out so many variables first.")


@operation("POST", "/variables/", writes=True, status=201)
def create_variable(tx: sa.Connection, body: VariableCreate) -> Variable:
    """Make a variable.

    Raises:
        Conflict: there is one of that name.
    """
    values = {"name": body.name, "value": body.value, "tags": body.tags or []}
    row = single.insert_new(tx, variable, values)
    if row is None:
        raise _taken(body.name)
    _tell(tx, row, "created")
    return Variable.model_validate(row)


@operation("GET", "/variables/{id}")
def read_variable(tx: sa.Connection, id: UUID) -> Variable:
    """One variable.

    Raises:
        NotFound: there is no such variable.
    """
    return Variable.model_validate(rows.one(tx, sa.select(variable).where(variable.c.id == id), "variable", id))


@operation("GET", "/variables/name/{name}")
def read_variable_by_name(tx: sa.Connection, name: str) -> Variable:
    """The variable of a name.

    Raises:
        NotFound: there is no such variable.
    """
    return Variable.model_validate(rows.one(tx, sa.select(variable).where(variable.c.name == name), "variable", name))


@operation("POST", "/variables/filter")
def read_variables(tx: sa.Connection, body: VariableQuery) -> list[Variable]:
    """The variables that match, a page of them."""
    statement = sa.select(variable).where(body.clause()).order_by(*catalogue.VARIABLE_ORDERS[body.sort.value])
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [Variable.model_validate(row) for row in found]


@operation("POST", "/variables/count")
def count_variables(tx: sa.Connection, body: VariableSelection) -> int:
    """How many variables match."""
    return rows.count(tx, variable, body.clause())


@operation("PATCH", "/variables/{id}", writes=True, status=204)
def update_variable(tx: sa.Connection, id: UUID, body: VariableUpdate) -> None:
    """Change a variable; what is not given stays as it is.

    Raises:
        NotFound: there is no such variable.
        Conflict: another one has the new name.
    """
    _update(tx, variable.c.id == id, id, body)


@operation("PATCH", "/variables/name/{name}", writes=True, status=204)
def update_variable_by_name(tx: sa.Connection, name: str, body: VariableUpdate) -> None:
    """Change the variable of a name; what is not given stays as it is.

    Raises:
        NotFound: there is no such variable.
        Conflict: another one has the new name.
    """
    _update(tx, variable.c.name == name, name, body)


@operation("DELETE", "/variables/{id}", writes=True, status=204)
def delete_variable(tx: sa.Connection, id: UUID) -> None:
    """Delete a variable.

    Raises:
        NotFound: there is no such variable.
    """
    _delete(tx, variable.c.id == id, id)


@operation("DELETE", "/variables/name/{name}", writes=True, status=204)
def delete_variable_by_name(tx: sa.Connection, name: str) -> None:
    """Delete the variable of a name.

    Raises:
        NotFound: there is no such variable.
    """
    _delete(tx, variable.c.name == name, name)


def _update(tx: sa.Connection, where: sa.ColumnElement[bool], key: UUID | str, body: VariableUpdate) -> None:
    taken = str(_taken(body.name or ""))
    id = rows.one(tx, sa.select(variable.c.id).where(where), "variable", key)["id"]
    edits.update(tx, variable, variable.c.id == id, edits.changes(variable, body), taken=taken)
    _tell(tx, rows.one(tx, sa.select(variable).where(variable.c.id == id), "variable", key), "updated")


def _delete(tx: sa.Connection, where: sa.ColumnElement[bool], key: UUID | str) -> None:
    row = rows.one(tx, sa.select(variable).where(where), "variable", key)
    edits.delete(tx, variable, variable.c.id == row["id"], "variable", key)
    _tell(tx, row, "deleted")


def _tell(tx: sa.Connection, row: sa.RowMapping, what: str) -> None:
    outbox.object_changed(tx, "variable", row, what, "name", "value", "tags")


def _taken(name: str) -> Conflict:
    return Conflict(f"A variable with the name {name!r} already exists. Change that one, or choose another name.")
