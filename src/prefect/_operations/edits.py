"""Making and changing rows: what writing operations have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy import exc as sa_exc

from prefect._clock import now
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._store.dialects import insert


def upsert(
    tx: sa.Connection, table: sa.Table, values: Mapping[str, Any], *, by: Iterable[str], change: Iterable[str]
) -> sa.RowMapping:
    """Insert a row, or give the one with the same unique values new ones; return it, complete.

    Args:
        by: the columns that are unique together.
        change: the columns that a row which is there already gets from `values`; `updated` comes by itself.
    """
    statement = insert(tx, table).values(**values)
    changed = {name: statement.excluded[name] for name in (*change, "updated")}
    statement = statement.on_conflict_do_update(index_elements=list(by), set_=changed).returning(*table.c)
    return tx.execute(statement).mappings().one()


def changes(table: sa.Table, body: BaseModel) -> dict[str, Any]:
    """What a request changes: the fields that it gives, and only those.

    Raises:
        Invalid: it gives no value to a column that must have one.
    """
    given = {name: getattr(body, name) for name in body.model_fields_set if name in table.c}
    empty = sorted(name for name, value in given.items() if value is None and not table.c[name].nullable)
    if empty:
        raise Invalid(f"{', '.join(empty)} cannot be null: leave the field out to keep its value.")
    return given


def update(
    tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], values: Mapping[str, Any], *, taken: str
) -> int:
    """Change rows and return how many; without values, only their `updated`.

    Args:
        taken: the message of the conflict, when another row has the new unique values.

    Raises:
        Conflict: another row has the new unique values, or a row that they refer to is missing.
    """
    values = dict(values) or {"updated": now()}
    with conflicts(tx, taken):
        return tx.execute(sa.update(table).where(where).values(**values)).rowcount


@contextlib.contextmanager
def conflicts(tx: sa.Connection, message: str) -> Iterator[None]:
    """Turn a violated constraint into a `Conflict`; the transaction goes on as before."""
    try:
        with tx.begin_nested():
            yield
    except sa_exc.IntegrityError as exc:
        raise Conflict(message) from exc


def delete(tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], kind: str, key: UUID | str) -> None:
    """Delete a row.

    Raises:
        NotFound: there is none.
    """
    if tx.execute(sa.delete(table).where(where)).rowcount == 0:
        raise NotFound(kind, key)
