"""What tables are made of: the metadata they belong to, and the columns that many of them have."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._store.types import Duration, Id, Json, Timestamp

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s__%(column_0_N_name)s",
        "ix": "ix_%(table_name)s__%(column_0_N_name)s",
        "uq": "uq_%(table_name)s__%(column_0_N_name)s",
    }
)


_CONDITION = "condition"


def id_column() -> sa.Column[Any]:
    return sa.Column("id", Id, primary_key=True, default=new_uuid)


def created_column() -> sa.Column[Any]:
    return sa.Column("created", Timestamp, nullable=False, default=now)


def updated_column() -> sa.Column[Any]:
    return sa.Column("updated", Timestamp, nullable=False, default=now, onupdate=now)


def json_column(name: str, empty: type[dict] | type[list] = dict) -> sa.Column[Any]:
    return sa.Column(name, Json, nullable=False, default=empty)


def run_columns() -> list[sa.Column[Any]]:
    """The columns flow runs and task runs share: the current state, copied from its row, and the times."""
    return [
        sa.Column("state_id", Id),
        sa.Column("state_type", sa.Text),
        sa.Column("state_name", sa.Text),
        sa.Column("state_timestamp", Timestamp),
        sa.Column("run_count", sa.Integer, nullable=False, default=0),
        sa.Column("expected_start_time", Timestamp),
        sa.Column("next_scheduled_start_time", Timestamp),
        sa.Column("start_time", Timestamp),
        sa.Column("end_time", Timestamp),
        # time spent Running before the current state; the running time of a run that runs now is not in it
        sa.Column("total_run_time", Duration, nullable=False, default=timedelta),
    ]


def state_columns(run_id: str, run_table: str) -> list[sa.schema.SchemaItem]:
    """A state history. Its rows are only ever read run by run, so they are kept together, run by run: the
    primary key begins with the run, and on SQLite the table *is* that index (a seventh less time and a fifth
    less space per task run than a table with its own key and an index on the run)."""
    return [
        sa.Column("id", Id, nullable=False, default=new_uuid),
        sa.Column(run_id, Id, sa.ForeignKey(f"{run_table}.id", ondelete="CASCADE"), nullable=False),
        sa.Column("timestamp", Timestamp, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("message", sa.Text),
        json_column("state_details"),
        sa.Column("data", Json),
        sa.PrimaryKeyConstraint(run_id, "id"),
    ]


class current_transaction(FunctionElement[int]):
    """The number of the transaction that is running, on PostgreSQL; NULL on SQLite, which has no use for it."""

    name = "current_transaction"
    inherit_cache = True


compiles(current_transaction, "sqlite")(lambda element, compiler, **kw: "NULL")
compiles(current_transaction, "postgresql")(lambda element, compiler, **kw: "(pg_current_xact_id()::text::bigint)")


def transaction_column() -> sa.Column[Any]:
    """Which transaction wrote a row: what `prefect._store.tail` reads new rows by. NULL on SQLite, which has rowids."""
    return sa.Column("xid", sa.BigInteger, server_default=current_transaction())


def text_column(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def flag_column(name: str, value: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, default=value)


def index_where_present(column: sa.Column[Any], *more: sa.Column[Any]) -> None:
    """An index that rows without a value in the first column cost nothing in."""
    partial_index(None, column, *more, where=column.is_not(None))


def partial_index(name: str | None, *expressions: sa.ColumnElement[Any], where: sa.ColumnElement[bool]) -> None:
    """An index of the rows that match.

    SQLAlchemy takes a condition for each dialect by its name, and imports that dialect, used or not.

    Args:
        name: its name; made of its table and columns when it is None.
        expressions: what it sorts by.
        where: the condition.
    """
    sa.Index(name, *expressions, info={_CONDITION: where})


@compiles(sa.schema.CreateIndex)
def _create_index(element: sa.schema.CreateIndex, compiler: Any, **options: Any) -> str:
    text = compiler.visit_create_index(element, **options)
    where = element.element.info.get(_CONDITION)
    if where is None:
        return text
    return f"{text} WHERE {compiler.sql_compiler.process(where, include_table=False, literal_binds=True)}"
