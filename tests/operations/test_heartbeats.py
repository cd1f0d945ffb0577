"""Signs of life of clients that know no leases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import events, leases
from prefect._schemas.leases import LeaseHolder, LeaseRequest
from prefect._store.tables import event, run_lease

from .test_claims import Pool


def beat(tx: sa.Connection, run: UUID | str, name: str = "prefect.flow-run.heartbeat") -> None:
    resource: Any = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    sent = events.SentEvent(event=name, resource=resource, occurred=now(), id=new_uuid())
    events.create_events(tx, [sent])


def pass_time(tx: sa.Connection, seconds: float) -> None:
    span = timedelta(seconds=seconds)
    for table, key, columns in ((event, "id", ["received", "occurred"]), (run_lease, "flow_run_id", ["renewed_at", "expires"])):  # fmt: skip
        for row in tx.execute(sa.select(table)).mappings().all():
            values = {column: row[column] - span for column in columns if row[column] is not None}
            tx.execute(sa.update(table).where(table.c[key] == row[key]).values(values))


@pytest.fixture
def pool(both: sa.Connection) -> Pool:
    return Pool(both)


def test_who_sends_two_is_missed_when_he_sends_no_more(pool: Pool) -> None:
    run = pool.world.flow_run(pool.flow, state="RUNNING", name="lion")
    beat(pool.tx, run)
    assert pool.lease(run) is None
    pass_time(pool.tx, 100)
    beat(pool.tx, run)
    assert 295 < (pool.lease(run)["expires"] - now()).total_seconds() < 305
    pass_time(pool.tx, 100)
    beat(pool.tx, run)
    assert pool.expire(run, 250) is None
    state = pool.expire(run, 320)
    assert state.type == "CRASHED"
    assert "The process of lion" in state.message


def test_who_comes_back_is_there_again(pool: Pool) -> None:
    run = pool.world.flow_run(pool.flow, state="RUNNING", start_time=now())
    beat(pool.tx, run)
    beat(pool.tx, run)
    assert pool.expire(run, 100).type == "CRASHED"
    beat(pool.tx, run)
    assert pool.state(run)["type"] == "RUNNING"
    assert pool.enter(run, "COMPLETED").status == "ACCEPT"
    beat(pool.tx, run)
    assert pool.lease(run) is None


def test_a_lease_is_better_than_signs_of_life(pool: Pool) -> None:
    run = pool.world.flow_run(pool.flow, state="RUNNING")
    holder = LeaseHolder(kind="process", id=new_uuid(), name="p")
    leases.lease_flow_run(pool.tx, run, LeaseRequest(holder=holder))
    before = pool.lease(run)
    beat(pool.tx, run)
    beat(pool.tx, run)
    assert pool.lease(run) == before


def test_other_events_and_other_runs_are_no_signs_of_life(pool: Pool) -> None:
    run = pool.world.flow_run(pool.flow, state="RUNNING")
    for _ in range(2):
        beat(pool.tx, run, "prefect.flow-run.other")
        beat(pool.tx, new_uuid())
        beat(pool.tx, "nothing")
    assert pool.lease(run) is None
