"""What people, pages and workers read, in a database with a million flow runs: p50 and p99 of each read.

    uv run benchmarks/reads.py [--database URL] [--flow-runs 1000000] [--task-runs 2000000] [--keep FILE]
                               [--repeat 20] [--only WORDS] [--http] [--plans MILLISECONDS]

Without `--database` the rows go into an SQLite file, which `--keep` names and keeps for the next time; a PostgreSQL
database is filled when it is empty. Each read is made many times with other arguments: by calling the operation (`ms`),
and, with `--http`, by asking a server of its own for it. `--plans 20` prints the plans of the statements of the reads
whose median is above 20 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="reads-"))

import many_runs
import pydantic
import sqlalchemy as sa
from asked import READS, ROUNDS, Read, Sample

from prefect._clock import now
from prefect._operations import registry
from prefect._store.dialects import is_sqlite, parse_url, sqlite_path
from prefect._store.tables import flow_run, task_run
from prefect.server.database import Database, make_database
from served import ask, server


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))] * 1000


def measured(work: Callable[[], Any], repeat: int, most: float = 20.0) -> list[float]:
    """Seconds of each call; fewer calls than asked for when they take long."""
    taken: list[float] = []
    while len(taken) < repeat and sum(taken) < most:
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


@functools.cache
def adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)


def call(database: Database, read: Read, sample: Sample) -> None:
    operation = registry.BY_ROUTE[read.method, read.path]  # type: ignore[index]
    given, body = read.make(sample)
    kinds = operation.path_parameters | operation.query_parameters
    arguments = {name: adapter(kinds[name]).validate_python(value) for name, value in given.items()}
    if operation.body is not None:
        arguments["body"] = adapter(operation.body).validate_python(body or {})
    database.read(lambda tx: operation.call(tx, **arguments))


def request(port: int, read: Read, sample: Sample) -> None:
    arguments, body = read.make(sample)
    query = urlencode({name: value for name, value in arguments.items() if f"{{{name}}}" not in read.path})
    ask(port, read.method, f"{read.path.format(**arguments)}?{query}", body if read.method == "POST" else None)


def look_around(database: Database, world: many_runs.World) -> Sample:
    """Runs to ask about: some anywhere in time, the newest ones, and some with many task runs."""
    dice = random.Random(2)

    def find(tx: sa.Connection) -> Sample:
        first = tx.execute(sa.select(sa.func.min(flow_run.c.expected_start_time))).scalar_one()
        last = tx.execute(sa.select(sa.func.max(task_run.c.expected_start_time))).scalar_one()
        some = []
        for _ in range(100):
            moment = first + (last - first) * dice.random()
            some.append(tx.execute(sa.select(flow_run.c.id).where(flow_run.c.expected_start_time >= moment)
                        .order_by(flow_run.c.expected_start_time).limit(1)).scalar_one())  # fmt: skip
        newest = tx.execute(sa.select(flow_run.c.id).order_by(flow_run.c.id.desc()).limit(200)).scalars().all()
        large = (
            tx.execute(sa.select(task_run.c.flow_run_id).where(task_run.c.dynamic_key == "999").limit(5))
            .scalars()
            .all()
        )
        return Sample(
            dice, world, first, last, [*map(str, some)], [*map(str, newest)], [*map(str, large)] or [str(some[0])]
        )

    return database.read(find)


@contextlib.contextmanager
def statements() -> Iterator[list[tuple[str, Any, Any]]]:
    """The statements that are executed meanwhile, with their parameters."""
    seen: list[tuple[str, Any, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "DELETE", "UPDATE")):
            seen.append((statement, parameters, connection))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def explain(database: Database, work: Callable[[], Any]) -> None:
    """Print the plan of every statement that some work executes."""
    with statements() as seen:
        work()
    for statement, parameters, connection in seen:
        sqlite = connection.dialect.name == "sqlite"
        prefix = (
            "EXPLAIN QUERY PLAN "
            if sqlite
            else "EXPLAIN (ANALYZE, BUFFERS) "
            if statement[:6] == "SELECT"
            else "EXPLAIN "
        )
        found = database.read(lambda tx, s=prefix + statement, p=parameters: tx.exec_driver_sql(s, p).all())
        print("      " + re.sub(r"\s+", " ", statement)[:2000])
        for row in found:
            print("        " + (f"{row[3]}" if sqlite else str(row[0])))


def say(title: str, *columns: list[float]) -> None:
    figures = "".join("{:>10.1f} {:>9.1f}".format(*percentiles(taken)) for taken in columns if taken)
    print(f"{title:<64}{figures}", flush=True)


def prepared(options: argparse.Namespace) -> str:
    """The URL of a database that is filled."""
    url = options.database or f"sqlite:///{os.path.abspath(options.keep or os.environ['PREFECT_HOME'] + '/reads.db')}"
    there = is_sqlite(parse_url(url)) and Path(sqlite_path(url)).exists()
    if not there and not is_sqlite(parse_url(url)):
        engine = sa.create_engine(parse_url(url))
        there = sa.inspect(engine).has_table("flow_run")
        engine.dispose()
    if not there:
        sizes = many_runs.Sizes(options.flow_runs, options.task_runs, options.task_runs, options.flow_runs)
        print(f"filling {options.flow_runs:,} flow runs took {many_runs.fill(url, sizes):.0f} s", flush=True)
    return url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database")
    parser.add_argument("--flow-runs", type=int, default=1_000_000)
    parser.add_argument("--task-runs", type=int, default=2_000_000)
    parser.add_argument("--keep")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--only", default="")
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--plans", type=float)
    options = parser.parse_args()
    logging.disable()  # services tell of every run that they change
    url = prepared(options)
    registry.all_operations()
    world = many_runs.look(url)
    database = make_database(url)
    database.open()
    with server(url, "--no-services") if options.http else contextlib.nullcontext(0) as port:
        sample = look_around(database, world)
        print(f"{'':<64}{'p50 ms':>10} {'p99 ms':>9}" + (f"{'HTTP p50':>10} {'p99':>9}" if port else ""))
        for read in READS:
            if options.only not in read.title:
                continue
            direct = measured(lambda read=read: call(database, read, sample), options.repeat)
            by_http = measured(lambda read=read: request(port, read, sample), options.repeat) if port else []
            say(read.title, direct, by_http)
            if options.plans is not None and percentiles(direct)[0] > options.plans:
                explain(database, lambda read=read: call(database, read, sample))
        for title, work in ROUNDS:
            if options.only not in title:
                continue
            taken = measured(lambda work=work: work(database, sample, now()), min(options.repeat, 5))
            say(title, taken)
            if options.plans is not None and percentiles(taken)[0] > options.plans:
                explain(database, lambda work=work: work(database, sample, now()))
    database.close()
    if is_sqlite(parse_url(url)):
        size = sum(p.stat().st_size for p in Path(sqlite_path(url)).parent.glob(Path(sqlite_path(url)).name + "*"))
        print(f"the file has {size / 1e9:.1f} GB")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
