"""A database with so many runs as years leave behind, made in minutes: what `reads.py` reads.

Rows go in as the two databases take them fastest (prepared statements, `COPY`) with the indexes put aside, but into our
own tables and in the form that the server writes. The world is skewed as real ones are: a few flows and deployments have
most of the runs, a few runs have most of the task runs, nearly all have completed, and the days have their hours.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa

from prefect._clock import now_us
from prefect._store import tables
from prefect._store.dialects import is_sqlite, parse_url, sqlite_path
from prefect._store.types import Timestamp
from prefect.server.database import make_database

SECOND = 1_000_000
DAY = 86_400 * SECOND
DAYS = 90

_AT_ONCE = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = (
    ("COMPLETED", "Completed"), ("FAILED", "Failed"), ("CRASHED", "Crashed"), ("CANCELLED", "Cancelled"),
    ("COMPLETED", "Cached"),
)  # fmt: skip
_WEIGHTS = (88, 7, 1, 2, 2)
_TAGS = ("prod", "daily", "etl", "ml", "eu", "us", *(f"team-{n}" for n in range(40)), "urgent")
_LEVELS = (10, 20, 20, 20, 20, 20, 20, 30, 40)
_HOURLY = '{"interval": 3600.0, "anchor_date": "2020-01-01T00:00:00+00:00", "timezone": "UTC"}'
_MESSAGES = {"FAILED": "Flow run encountered an exception: ValueError: no rows for this day", "CRASHED": "Killed"}


@dataclass(frozen=True)
class Sizes:
    """How many rows; `flows` and the like are few whatever the size."""

    flow_runs: int = 1_000_000
    task_runs: int = 2_000_000
    logs: int = 2_000_000
    events: int = 1_000_000
    flows: int = 200
    deployments: int = 1000
    waiting: int = 5000
    running: int = 400


@dataclass
class World:
    """What there is to ask for."""

    seed: int = 1
    flows: list[str] = field(default_factory=list)
    deployments: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    pools: list[str] = field(default_factory=list)


class Sink(Protocol):
    """Where rows go."""

    def write(self, table: sa.Table, rows: list[tuple[Any, ...]]) -> None: ...

    def finish(self) -> None: ...


class _SQLite:
    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"):
            self.connection.execute(f"PRAGMA {pragma}")
        found = self.connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        self._indexes = dict(found.fetchall())
        for name in self._indexes:
            self.connection.execute(f"DROP INDEX {name}")
        self.connection.execute("BEGIN")

    def write(self, table: sa.Table, rows: list[tuple[Any, ...]]) -> None:
        names = [column.name for column in table.columns if column.name != "xid"]
        columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
        self.connection.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)

    def finish(self) -> None:
        self.connection.execute("COMMIT")
        for statement in self._indexes.values():
            self.connection.execute(statement)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.close()


class _PostgreSQL:
    def __init__(self, url: sa.URL) -> None:
        self.connection = psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
        self.connection.execute("SET synchronous_commit = off")
        self.connection.execute("SET maintenance_work_mem = '512MB'")
        found = self.connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        ).fetchall()
        self._indexes = {name: text for name, text in found if name.startswith("ix_")}
        for name in self._indexes:
            self.connection.execute(f"DROP INDEX {name}")  # type: ignore[call-overload]
        self.connection.execute("SET session_replication_role = replica")  # foreign keys are not looked at

    def write(self, table: sa.Table, rows: list[tuple[Any, ...]]) -> None:
        columns = [column for column in table.columns if column.name != "xid"]
        moments = [number for number, column in enumerate(columns) if isinstance(column.type, Timestamp)]
        names = ", ".join(f'"{column.name}"' for column in columns)
        with self.connection.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:  # type: ignore[call-overload]
            copy.write("".join(_line(row, moments) for row in rows))

    def finish(self) -> None:
        for statement in self._indexes.values():
            self.connection.execute(statement)
        self.connection.commit()
        self.connection.autocommit = True
        self.connection.execute("VACUUM ANALYZE")
        self.connection.close()


def _line(row: tuple[Any, ...], moments: list[int]) -> str:
    values = list(row)
    for number in moments:
        if values[number] is not None:
            values[number] = (_EPOCH + timedelta(microseconds=values[number])).isoformat()
    return "\t".join("\\N" if value is None else str(value) for value in values) + "\n"


def fill(url: str, sizes: Sizes) -> float:
    """Make the schema in an empty database and fill it. Returns the seconds it took."""
    began = time.perf_counter()
    database = make_database(url)
    database.open()
    database.close()
    parsed = parse_url(url)
    sink: Sink = _SQLite(sqlite_path(parsed)) if is_sqlite(parsed) else _PostgreSQL(parsed)
    pending: dict[str, list[tuple[Any, ...]]] = {}
    for table, row in _Maker(sizes).rows():
        rows = pending.setdefault(table.name, [])
        rows.append(row)
        if len(rows) == _AT_ONCE:
            sink.write(table, rows)
            rows.clear()
    for name, rows in pending.items():
        sink.write(tables.metadata.tables[name], rows)
    sink.finish()
    return time.perf_counter() - began


def look(url: str) -> World:
    """What is in a database that was filled."""
    engine = make_database(url)
    engine.open()
    world = World()
    try:
        for column, found in (
            (tables.flow.c.id, world.flows), (tables.deployment.c.id, world.deployments),
            (tables.work_queue.c.id, world.queues), (tables.work_pool.c.name, world.pools),
        ):  # fmt: skip
            found += map(str, engine.read(lambda tx, c=column: tx.execute(sa.select(c).order_by(c)).scalars().all()))
    finally:
        engine.close()
    return world


class _Maker:
    """Makes the rows, in the order of their ids."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.random = random.Random(1)
        self.end = now_us()
        self.begin = self.end - DAYS * DAY
        self._bits = self.random.getrandbits
        self.flows = [self.id(self.begin) for _ in range(sizes.flows)]
        self.queues = [self.id(self.begin) for _ in range(30)]
        self.pools = [self.id(self.begin) for _ in range(10)]
        self.deployments = [
            (self.id(self.begin), self.skewed(self.flows), n % 30, self.tags()) for n in range(sizes.deployments)
        ]
        # some hundred flow runs each have a thousand task runs; the others share the rest
        self.many = max(1, sizes.task_runs // 10_000)
        self.per_run = sizes.task_runs * 0.9 / max(sizes.flow_runs, 1)

    def id(self, moment: int) -> str:
        h = f"{moment // 1000:012x}{self._bits(76) | 7 << 76:020x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"

    def skewed(self, values: list[Any]) -> Any:
        return values[int(len(values) * self.random.random() ** 3)]

    def tags(self) -> str:
        return json.dumps(sorted({self.skewed(list(_TAGS)) for _ in range(self.random.choice((0, 1, 1, 2, 3)))}))

    def rows(self) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        yield from self._places()
        yield from self._ended()
        yield from self._open()
        yield from self._events()

    def _places(self) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        at = self.begin
        for number, id in enumerate(self.flows):
            yield tables.flow, (id, at, at, f"flow-{number}", self.tags(), "{}")
        for number, id in enumerate(self.pools):
            limit = 50 if number % 3 == 0 else None
            values = {"name": f"pool-{number}", "type": "process", "concurrency_limit": limit}
            yield tables.work_pool, self._row(tables.work_pool, id, values | {"default_queue_id": self.queues[number]})
        for number, id in enumerate(self.queues):
            values = {"work_pool_id": self.pools[number % 10], "name": f"queue-{number}", "description": ""}
            more = {
                "priority": number // 10 + 1,
                "last_polled": self.end,
                "concurrency_limit": 20 if not number % 4 else None,
            }
            yield tables.work_queue, self._row(tables.work_queue, id, values | more)
        for number, (id, flow_id, queue, tags) in enumerate(self.deployments):
            limit_id = None
            if number % 10 == 0:
                limit_id = self.id(at)
                values = {
                    "name": f"deployment:{id}",
                    "limit": 10,
                    "open_slots_at": at,
                    "avg_slot_occupancy_seconds": 2.0,
                }
                yield tables.concurrency_limit, self._row(tables.concurrency_limit, limit_id, values)
            values = {
                "name": f"deployment-{number}", "flow_id": flow_id, "tags": tags, "concurrency_limit_id": limit_id,
                "work_queue_id": self.queues[queue], "work_queue_name": f"queue-{queue}", "last_polled": self.end,
            }  # fmt: skip
            yield tables.deployment, self._row(tables.deployment, id, values)
            schedule = {"deployment_id": id, "schedule": _HOURLY, "slug": "hourly"}
            schedule_id = self.id(at)
            yield tables.deployment_schedule, self._row(tables.deployment_schedule, schedule_id, schedule)
            yield tables.schedule_progress, (schedule_id, self.end, self.end, self.end + 600 * SECOND)

    def _row(self, table: sa.Table, id: str, values: dict[str, Any]) -> tuple[Any, ...]:
        usual: dict[str, Any] = {"id": id, "created": self.begin, "updated": self.begin}
        return tuple([
            values[c.name] if c.name in values else usual[c.name] if c.name in usual else _default(c)
            for c in table.columns
        ])  # fmt: skip

    def _ended(self) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        count = self.sizes.flow_runs - self.sizes.waiting - self.sizes.running
        span = (self.end - self.begin - 3600 * SECOND) / max(count, 1)
        parent: tuple[str, str] | None = None
        for number in range(count):
            expected = self.begin + int(number * span)
            kind, name = self.random.choices(_STATES, _WEIGHTS)[0]
            late = int(self.random.expovariate(1 / 3)) * SECOND + self.random.randrange(SECOND)
            took = int(self.random.expovariate(1 / 120) * SECOND) + 50_000
            started = expected + late
            states = [("SCHEDULED", "Scheduled", expected - 10 * SECOND), ("PENDING", "Pending", started - 300_000)]
            states += [("RUNNING", "Running", started), (kind, name, started + took)]
            run = self.id(expected - 10 * SECOND)
            of = parent if number % 10 == 0 else None
            yield from self._flow_run(run, number, states, expected, started, started + took, of)
            tasks = (
                1000 if number % (count // self.many + 1) == 7 else int(self.random.expovariate(1 / self.per_run) + 0.5)
            )
            last = None
            for task in range(tasks):
                last = self.id(started + task)
                yield from self._task_run(last, run, task, started, min(took, 20 * SECOND))
            parent = (run, last) if last is not None else None
            yield from self._lines(run, last, number, started)

    def _lines(self, run: str, task: str | None, number: int, at: int) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        per_run = self.sizes.logs * 0.9 / max(self.sizes.flow_runs, 1)
        many = max(1, self.sizes.logs // 50_000)
        lines = (
            5000
            if number % (self.sizes.flow_runs // many + 1) == 11
            else int(self.random.expovariate(1 / per_run) + 0.5)
        )
        for line in range(lines):
            moment = at + line * 1000
            level = self.random.choice(_LEVELS)
            text = f"Line {line}: wrote 4,711 rows to the table of orders, and went on with the next part"
            of_task = task if line % 3 else None
            logger = "prefect.task_runs" if of_task else "prefect.flow_runs"
            yield tables.log, (self.id(moment), moment, logger, level, text, moment, run, of_task, None)

    def _flow_run(
        self, run: str, number: int, states: list[tuple[str, str, int]], expected: int, started: int | None,
        ended: int | None, parent: tuple[str, str] | None = None, waits: bool = False,
    ) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:  # fmt: skip
        if parent is None and self.random.random() < 0.8:
            deployment, flow, queue, tags = self.skewed(self.deployments)
            queue_id, queue_name, key = self.queues[queue], f"queue-{queue}", f"scheduled {deployment} {run}"
            by = json.dumps({"id": deployment, "type": "DEPLOYMENT", "display_value": "hourly"})
        else:
            deployment, flow, tags = None, self.skewed(self.flows), self.tags()
            queue_id = queue_name = key = by = None
        last = None
        for kind, name, at in states:
            last = self.id(at)
            yield tables.flow_run_state, (last, run, at, kind, name, _MESSAGES.get(kind), "{}", None)
        kind, name, at = states[-1]
        made = states[0][2]
        yield tables.flow_run, (
            run, made, at, f"{_ADJECTIVES[number % 40]}-{_ANIMALS[number // 40 % 40]}", flow, "1", deployment, None,
            queue_id, queue_name, None, None, key, '{"day": "2026-01-01", "rows": 1000}', "{}",
            '{"retries": 1, "retry_delay": 0}', tags, "{}", "{}", parent[1] if parent else None,
            parent[0] if parent else None, 1 if by else 0, by, last, kind, name, at, 1 if started else 0,
            expected, expected if waits else None, started, ended, (ended - started) if started and ended else 0, None,
        )  # fmt: skip

    def _task_run(
        self, id: str, run: str, number: int, at: int, took: int
    ) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        kind, name = self.random.choices(_STATES, _WEIGHTS)[0]
        end = at + took
        last = None
        for state, state_name, moment in (
            ("PENDING", "Pending", at),
            ("RUNNING", "Running", at + 500),
            (kind, name, end),
        ):
            last = self.id(moment)
            yield tables.task_run_state, (last, id, moment, state, state_name, None, "{}", None)
        task = f"step_{number % 7}"
        yield tables.task_run, (
            id, at, end, f"{task}-{number}", run, f"{task}-1a2b3c4d", str(number), None, None, None, 1,
            '{"retries": 0}', "{}", "[]", "{}", last, kind, name, end, 1, at, None, at + 500, end, took,
        )  # fmt: skip

    def _open(self) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        """What runs, what is late, and what is to run in the hours to come."""
        kinds = itertools.cycle(("RUNNING",) * 12 + ("PENDING", "PAUSED", "CANCELLING"))
        for number, kind in zip(range(self.sizes.running), kinds, strict=False):
            at = self.end - (number + 1) * 5 * SECOND
            run = self.id(at)
            states = [
                ("SCHEDULED", "Scheduled", at),
                ("PENDING", "Pending", at + 100),
                (kind, kind.capitalize(), at + 200),
            ]
            yield from self._flow_run(run, number, states, at, at + 200, None)
            values = {
                "flow_run_id": run,
                "token": 1,
                "holder_kind": "worker",
                "holder_id": self.pools[0],
                "holder_name": "w",
            }
            times = {"claimed_at": at, "renewed_at": self.end, "expires": self.end + DAY}
            yield tables.run_lease, self._row(tables.run_lease, run, values | times)
        for number in range(self.sizes.waiting):
            due = self.end + (number - self.sizes.waiting // 10) * 10 * SECOND
            name = "Late" if due < self.end - 15 * SECOND else "Scheduled"
            states = [("SCHEDULED", name, self.end - DAY // 2)]
            yield from self._flow_run(self.id(self.end), number, states, due, None, None, waits=True)

    def _events(self) -> Iterator[tuple[sa.Table, tuple[Any, ...]]]:
        span = (self.end - self.begin) / max(self.sizes.events, 1)
        names = [f"prefect.flow-run.{name}" for _, name in _STATES] + [
            "prefect.flow-run.Running",
            "prefect.flow-run.Pending",
        ]
        names += ["prefect.task-run.Completed", "prefect.log.write", "prefect.worker.executed-flow-run"]
        run = "prefect.flow-run." + self.id(self.begin)
        for number in range(self.sizes.events):
            at = self.begin + int(number * span)
            if number % 3 == 0:
                run = "prefect.flow-run." + self.id(at)
            id, name = self.id(at), self.skewed(names)
            yield tables.event, (id, at, name, run, '{"validated_state": {"type": "COMPLETED"}}', None, at)
            subject = json.dumps({"prefect.resource.id": run, "prefect.resource.name": "brave-otter"})
            yield tables.event_resource, (id, 0, run, "", subject, at)
            deployment, flow, _, _ = self.skewed(self.deployments)
            for position, (kind, other) in enumerate((("flow", flow), ("deployment", deployment)), 1):
                resource = f"prefect.{kind}.{other}"
                labels = json.dumps({"prefect.resource.id": resource, "prefect.resource.role": kind})
                yield tables.event_resource, (id, position, resource, kind, labels, at)


def _default(column: sa.Column[Any]) -> Any:
    if column.default is None:
        return None
    value: Any = column.default
    if value.is_callable:
        made = value.arg(None)
        return json.dumps(made) if isinstance(made, (dict, list)) else 0
    return int(value.arg) if isinstance(value.arg, bool) else value.arg


_ADJECTIVES = [
    f"{a}{b}"
    for a in ("brave", "calm", "dark", "eager", "fast")
    for b in ("", "y", "er", "est", "ish", "ly", "ful", "less")
]
_ANIMALS = [
    f"{a}{b}"
    for a in ("otter", "heron", "lynx", "mole", "newt")
    for b in ("", "s", "let", "ling", "kin", "cub", "pup", "hawk")
]
