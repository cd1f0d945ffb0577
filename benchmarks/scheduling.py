"""Schedules and queues in numbers: making the runs of many deployments, and finding what is due among many runs.

    python benchmarks/scheduling.py [--deployments 1000] [--waiting 100000] [--url URL]

Works on a new SQLite file, or on the empty PostgreSQL database of a URL. Prints seconds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="scheduling-")

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import deployments, queue_runs, work_pools
from prefect._schemas.actions.deployments import DeploymentCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._services import scheduler
from prefect._store.tables import flow, flow_run
from prefect.server.database import Database, make_database

T = TypeVar("T")


def timed(what: str, work: Callable[[], T]) -> T:
    begun = time.perf_counter()
    found = work()
    print(f"{what:60} {time.perf_counter() - begun:8.3f}")
    return found


def make_runs(database: Database, moment: datetime) -> int:
    made = 0
    while True:
        found = scheduler.run_once(database, moment)
        made += found.done
        if not found.more:
            return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--url", default=f"sqlite:///{os.environ['PREFECT_HOME']}/bench.db")
    options = parser.parse_args()
    database = make_database(options.url)
    database.open()
    flow_id = new_uuid()

    def found(tx):  # type: ignore[no-untyped-def]
        tx.execute(flow.insert().values(id=flow_id, name="f"))
        return work_pools.create_work_pool(tx, WorkPoolCreate(name="p", type="process"))

    pool = database.write(found)

    def deploy(number: int, **fields: object) -> None:
        body = {"name": f"d{number}", "flow_id": flow_id, "work_pool_name": "p", **fields}
        database.write(lambda tx: deployments.create_deployment(tx, DeploymentCreate.model_validate(body)))

    schedule = {"schedule": {"cron": "* * * * *"}, "slug": "minutely"}
    count = options.deployments
    timed(f"deploying {count} deployments", lambda: [deploy(each, schedules=[schedule]) for each in range(count)])
    moment = now()
    timed("making their runs for an hour", lambda: print(make_runs(database, moment), end=" "))
    for minute in range(1, 4):
        later = moment + timedelta(minutes=minute)
        timed(f"a minute later ({minute})", lambda later=later: print(make_runs(database, later), end=" "))

    def wait(tx):  # type: ignore[no-untyped-def]
        due = moment - timedelta(days=1)
        tx.execute(
            flow_run.insert(),
            [
                {
                    "id": new_uuid(), "name": "r", "flow_id": flow_id, "work_queue_id": pool.default_queue_id,
                    "state_type": "SCHEDULED", "state_name": "Scheduled", "expected_start_time": due,
                    "next_scheduled_start_time": due + timedelta(milliseconds=number),
                }
                for number in range(options.waiting)
            ],
        )  # fmt: skip

    timed(f"letting {options.waiting} runs wait", lambda: database.write(wait))
    scope = queue_runs.Scope(pool_id=pool.id)
    for number in range(3):
        timed(
            f"finding ten that may start ({number + 1})",
            lambda: database.write(lambda tx: queue_runs.find_due(tx, scope, limit=10, moment=now(), until=now())),
        )
    database.close()


if __name__ == "__main__":
    main()
