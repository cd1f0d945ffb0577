"""Arithmetic with moments gives on PostgreSQL what it gives on SQLite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as dialect

from prefect._store.dialects import make_engine
from prefect._store.intervals import estimated_run_time, interval_index, lateness
from prefect._store.tables import flow, flow_run, metadata

from .conftest import PostgreSQL

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
_FLOW = "018f0000-0000-7000-8000-000000000000"


def _runs() -> list[dict[str, object]]:
    def run(n: int, **values: object) -> dict[str, object]:
        id = f"018f0000-0000-7000-8000-{n:012}"
        common = {"created": NOON, "updated": NOON, "flow_id": _FLOW, "name": str(n), "parameters": {}, "context": {}}
        more = {"empirical_policy": {}, "tags": [], "labels": {}, "job_variables": {}, "auto_scheduled": False}
        return {"id": id, "run_count": 0, "total_run_time": timedelta(seconds=2), **common, **more, **values}

    due = NOON - timedelta(hours=1, microseconds=7)
    return [
        run(
            1,
            state_type="RUNNING",
            state_timestamp=NOON - timedelta(seconds=3),
            expected_start_time=due,
            start_time=NOON,
        ),
        run(2, state_type="SCHEDULED", state_timestamp=NOON, expected_start_time=due - timedelta(hours=23)),
        run(3, state_type="COMPLETED", state_timestamp=NOON, expected_start_time=NOON + timedelta(days=40)),
    ]


_START = datetime(2024, 5, 16, tzinfo=UTC)
_QUESTION = sa.select(
    flow_run.c.name,
    interval_index(flow_run.c.expected_start_time, _START, 3_600_000_000),
    estimated_run_time(flow_run, NOON),
    lateness(flow_run, NOON),
).order_by(flow_run.c.name)
_HOUR = 3_600_000_000
_ANSWER = [("1", 34, 5_000_000, _HOUR + 7), ("2", 11, 2_000_000, 24 * _HOUR + 7), ("3", 996, 2_000_000, 0)]


def test_on_sqlite() -> None:
    with make_engine("sqlite://").connect() as tx:
        metadata.create_all(tx)
        tx.execute(flow.insert().values(id=_FLOW, name="f"))
        for run in _runs():
            tx.execute(flow_run.insert().values(run))
        assert [tuple(row) for row in tx.execute(_QUESTION)] == _ANSWER


def test_on_postgresql(postgresql: PostgreSQL) -> None:
    def sql(statement: sa.ClauseElement) -> str:
        options = {"literal_binds": True}
        return str(statement.compile(dialect=dialect.dialect(paramstyle="named"), compile_kwargs=options))

    expected = " UNION ALL ".join(
        f"SELECT '{name}'::text, {index}::bigint, {run}::bigint, {late}::bigint" for name, index, run, late in _ANSWER
    )
    creation = "".join(
        f"{sa.schema.CreateTable(table).compile(dialect=dialect.dialect())};\n" for table in (flow, flow_run)
    )
    rows = "".join(
        "INSERT INTO flow_run (id, created, updated, flow_id, name, parameters, context, empirical_policy, tags, labels, "
        "job_variables, auto_scheduled, run_count, total_run_time, state_type, state_timestamp, expected_start_time, "
        f"start_time) VALUES ('{run['id']}', now(), now(), '{_FLOW}', '{run['name']}', '{{}}', '{{}}', '{{}}', '[]', "
        f"'{{}}', '{{}}', false, 0, 2000000, '{run['state_type']}', '{run['state_timestamp']}', "
        f"'{run['expected_start_time']}', {repr(str(run['start_time'])) if run.get('start_time') else 'NULL'});\n"
        for run in _runs()
    )
    made = f"INSERT INTO flow (id, created, updated, name, tags, labels) VALUES ('{_FLOW}', now(), now(), 'f', '[]', '{{}}');\n"
    question = sql(_QUESTION).partition(" ORDER BY")[0]
    same = (
        f"DO $$ BEGIN IF EXISTS ((SELECT * FROM ({question}) q) EXCEPT ({expected})) "
        f"OR (SELECT count(*) FROM ({question}) q) <> {len(_ANSWER)} THEN RAISE EXCEPTION 'differs'; END IF; END $$;"
    )
    postgresql.database("intervals", creation + made + rows + same)
