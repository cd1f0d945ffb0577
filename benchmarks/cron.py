"""A thousand deployments that are due every minute: is every instant carried out, once, and how late does it begin?

    python benchmarks/cron.py [--deployments 1000] [--minutes 3] [--limit 16] [--url URL]

Starts a server (on a new SQLite file, or on the empty PostgreSQL database of a URL) and a process worker. The first line of
the flow writes down which instant it is for and what time it is. A thousand runs a minute are 17 processes a second: on
a small machine the delay says how many a second it manages, so the load is printed as well.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta

os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="cron-")

from dispatch import ended, server

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import deployments, work_pools
from prefect._schemas.actions.deployments import DeploymentCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._store.tables import flow
from prefect.server.database import make_database
from prefect.workers.process import ProcessWorker

HOME = pathlib.Path(os.environ["PREFECT_HOME"])
MARKS = HOME / "marks"
SOURCE = f"""
import os, time
from prefect import flow, runtime

@flow
def f():
    at = time.time()
    line = f"{{runtime.deployment.id}} {{runtime.flow_run.scheduled_start_time.isoformat()}} {{at}}\\n"
    fd = os.open({str(MARKS)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line.encode())
    os.close(fd)
"""
ANCHOR = "2024-01-01T00:00:00Z"
MIX = (
    ({"cron": "* * * * *"}, 60), ({"cron": "* * * * *"}, 60), ({"interval": 60.0, "anchor_date": ANCHOR}, 60),
    ({"cron": "*/2 * * * *", "timezone": "Europe/Berlin"}, 120), ({"rrule": "DTSTART:20240101T000000Z\nRRULE:FREQ=MINUTELY"}, 60),
)  # fmt: skip
"""Schedules, and the seconds between two of their instants."""


def deploy(url: str, count: int) -> dict[str, int]:
    """Deployments of the flow; returns the seconds between two instants of each, by its id."""
    (HOME / "flows.py").write_text(SOURCE)
    database = make_database(url)
    database.open()
    flow_id, found = new_uuid(), {}
    database.write(lambda tx: tx.execute(flow.insert().values(id=flow_id, name="f")))
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name="bench", type="process", base_job_template=template)
    database.write(lambda tx: work_pools.create_work_pool(tx, pool))
    for number in range(count):
        schedule, seconds = MIX[number % len(MIX)]
        body = DeploymentCreate.model_validate({
            "name": f"d{number}", "flow_id": flow_id, "work_pool_name": "bench", "path": str(HOME),
            "entrypoint": "flows.py:f", "schedules": [{"schedule": schedule}],
        })  # fmt: skip
        found[str(database.write(lambda tx, body=body: deployments.create_deployment(tx, body)).value.id)] = seconds
    database.close()
    return found


def instants(seconds: int, begin: datetime, end: datetime) -> list[datetime]:
    """The instants of a schedule after a moment, until another one."""
    first = datetime.fromtimestamp((begin.timestamp() // seconds + 1) * seconds, begin.tzinfo)
    return [
        first + timedelta(seconds=seconds * each) for each in range(int((end - first).total_seconds() // seconds) + 1)
    ]


def marks() -> list[tuple[str, datetime, float]]:
    """What the flows have written down: the deployment, the instant, and when the first line ran."""
    lines = [line.split() for line in MARKS.read_text().splitlines()] if MARKS.exists() else []
    return [(id, datetime.fromisoformat(due), float(at)) for id, due, at in lines]


def report(wanted: dict[str, int], begin: datetime, end: datetime) -> None:
    """Print what the flows wrote down of the instants between two moments."""
    seen: Counter[tuple[str, datetime]] = Counter()
    delays: dict[datetime, list[float]] = defaultdict(list)
    for id, due, at in marks():
        seen[id, due] += 1
        if begin < due <= end:
            delays[due].append(at - due.timestamp())
    expected = [(id, each) for id, seconds in wanted.items() for each in instants(seconds, begin, end)]
    missing = [each for each in expected if not seen[each]]
    twice = [each for each, count in seen.items() if count > 1]
    print(f"{len(expected)} instants: {len(missing)} missing, {len(twice)} more than once")
    for instant, found in [*sorted(delays.items()), ("all", [delay for each in delays.values() for delay in each])]:
        ordered = sorted(found)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        shown = instant if isinstance(instant, str) else f"{instant:%H:%M}"
        print(
            f"{shown:>6}: {len(found):5} begun, delay p50 {statistics.median(found):6.2f} s, "
            f"p99 {p99:6.2f} s, last {ordered[-1]:6.2f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--url", default=f"sqlite:///{HOME}/pluperfect.db")
    options = parser.parse_args()
    os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = options.url
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    wanted = deploy(options.url, options.deployments)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "bench", "--limit", str(options.limit)]
    with ended(server()), ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)):
        time.sleep(30)  # the runs that come next are made of every schedule
        begin = now()
        end = begin.replace(second=0, microsecond=0) + timedelta(minutes=options.minutes)
        while now() < end:
            time.sleep(1)
        expected = sum(len(instants(seconds, begin, end)) for seconds in wanted.values())
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and sum(begin < due <= end for _, due, _ in marks()) < expected:
            time.sleep(1)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    report(wanted, begin, end)


if __name__ == "__main__":
    main()
