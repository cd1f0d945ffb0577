"""Values come back from the database as they went in, and sort there as in Python."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from prefect._store.types import Duration, Id, Json, Timestamp

table = sa.Table(
    "value", sa.MetaData(), sa.Column("id", Id), sa.Column("moment", Timestamp), sa.Column("duration", Duration), sa.Column("document", Json)
)  # fmt: skip
engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
table.metadata.create_all(engine)

moments = st.datetimes(
    datetime(2, 1, 1),
    datetime(9998, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=5.5))]),
)
durations = st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def stored(**values: object) -> sa.Row[tuple[object, ...]]:
    with engine.begin() as connection:
        connection.execute(table.delete())
        connection.execute(table.insert().values(**values))
        return connection.execute(table.select()).one()


@given(st.uuids(), moments, durations, documents)
def test_values_come_back(identity: UUID, moment: datetime, duration: timedelta, document: object) -> None:
    assert stored(id=identity, moment=moment, duration=duration, document=document) == (
        identity,
        moment,
        duration,
        document,
    )
    back = stored(id=str(identity), moment=moment).moment
    assert back.tzinfo is UTC


@given(st.lists(moments, min_size=2, max_size=6))
def test_moments_sort_in_the_database_as_in_python(values: list[datetime]) -> None:
    with engine.begin() as connection:
        connection.execute(table.delete())
        connection.execute(table.insert(), [{"moment": value} for value in values])
        assert list(connection.execute(sa.select(table.c.moment).order_by(table.c.moment)).scalars()) == sorted(values)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert stored(moment=datetime(2024, 1, 2, 3, 4, 5, 6)).moment == datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_nothing_is_null() -> None:
    with engine.begin() as connection:
        stored(id=None, moment=None, duration=None, document=None)
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        assert raw.execute("SELECT * FROM value").fetchall() == [(None,) * 4]


def test_ids_are_stored_in_one_form() -> None:
    identity = uuid4()
    assert stored(id=str(identity).upper()).id == identity
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT id FROM value").scalar_one() == str(identity)


def test_a_text_that_is_no_id_is_an_error() -> None:
    with pytest.raises(sa.exc.StatementError, match="badly formed"):
        stored(id="nonsense")
