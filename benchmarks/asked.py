"""The reads that `reads.py` times: what lists, pages, filters, workers and services ask for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from many_runs import World

from prefect._operations import claims, scheduled_runs
from prefect._services import (
    cancellation_cleanup,
    db_vacuum,
    foreman,
    late_runs,
    lease_expiry,
    pause_expirations,
    repossessor,
    scheduler,
    task_run_leases,
    task_run_reconciliation,
)
from prefect.server.database import Database

Made = tuple[dict[str, Any], dict[str, Any] | None]


@dataclass(frozen=True)
class Sample:
    """Things to ask about, and the dice that choose among them."""

    dice: random.Random
    world: World
    first: datetime
    last: datetime
    runs: list[str]
    newest: list[str]
    large: list[str]

    def moment(self, until: float = 1.0) -> datetime:
        return self.first + (self.last - self.first) * self.dice.random() * until

    def span(self, days: float) -> dict[str, str]:
        after = max(self.moment() - timedelta(days=days), self.first)
        return {"after_": after.isoformat(), "before_": (after + timedelta(days=days)).isoformat()}

    def newest_days(self, days: float) -> dict[str, str]:
        return {"after_": (self.last - timedelta(days=days)).isoformat(), "before_": self.last.isoformat()}

    def one(self, values: list[str]) -> str:
        return values[int(len(values) * self.dice.random() ** 3)]


@dataclass(frozen=True)
class Read:
    """A read: an operation, and how its arguments are made (those of the path, and the body)."""

    title: str
    method: str
    path: str
    make: Callable[[Sample], Made]


def _post(title: str, path: str, body: Callable[[Sample], dict[str, Any]]) -> Read:
    return Read(title, "POST", path, lambda sample: ({}, body(sample)))


def _of_run(title: str, path: str, runs: str = "runs") -> Read:
    return Read(title, "GET", path, lambda sample: ({"id": sample.dice.choice(getattr(sample, runs))}, None))


_FILTERS: dict[str, Callable[[Sample], dict[str, Any]]] = {
    "state, frequent": lambda s: {"state": {"type": {"any_": ["COMPLETED"]}}},
    "state, rare": lambda s: {"state": {"type": {"any_": ["CRASHED"]}}},
    "states, two of them": lambda s: {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}},
    "state by name": lambda s: {"state": {"name": {"any_": ["Cached"]}}},
    "state by name, rare": lambda s: {"state": {"name": {"any_": ["Late"]}}},
    "state by name, none": lambda s: {"state": {"name": {"any_": ["AwaitingRetry"]}}},
    "running": lambda s: {"state": {"type": {"any_": ["RUNNING"]}}},
    "name like, frequent": lambda s: {"name": {"like_": "otter"}},
    "name like, none": lambda s: {"name": {"like_": "zebra"}},
    "tag, frequent": lambda s: {"tags": {"all_": ["prod"]}},
    "tag, rare": lambda s: {"tags": {"all_": ["urgent"]}},
    "tag, none": lambda s: {"tags": {"all_": ["nowhere"]}},
    "tags, any of two": lambda s: {"tags": {"any_": ["team-30", "team-31"]}},
    "deployment": lambda s: {"deployment_id": {"any_": [s.one(s.world.deployments)]}},
    "deployment, with few runs": lambda s: {"deployment_id": {"any_": [s.world.deployments[-1]]}},
    "time range of a day": lambda s: {"expected_start_time": s.span(1)},
    "start time, range of a day": lambda s: {"start_time": s.span(1)},
    "end time, range of a day": lambda s: {"end_time": s.span(1)},
    "no parent": lambda s: {"parent_task_run_id": {"is_null_": True}},
    "failed, of a deployment, of a week": lambda s: {
        "state": {"type": {"any_": ["FAILED"]}}, "deployment_id": {"any_": [s.one(s.world.deployments)]},
        "expected_start_time": s.span(7),
    },
    "or of state and name": lambda s: {
        "operator": "or_", "state": {"type": {"any_": ["CRASHED"]}}, "name": {"any_": ["calm-heron"]},
    },
}  # fmt: skip

_BESIDE: dict[str, Callable[[Sample], dict[str, Any]]] = {
    "flow": lambda s: {"flows": {"id": {"any_": [s.one(s.world.flows)]}}},
    "flow by name": lambda s: {"flows": {"name": {"any_": [f"flow-{s.dice.randrange(200)}"]}}},
    "flow, name like": lambda s: {"flows": {"name": {"like_": "flow-19"}}},
    "work pool": lambda s: {"work_pools": {"name": {"any_": [s.dice.choice(s.world.pools)]}}},
    "deployment by name": lambda s: {"deployments": {"name": {"any_": [f"deployment-{s.dice.randrange(1000)}"]}}},
    "task runs failed": lambda s: {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}},
}

_SORTS = (
    "ID_DESC", "START_TIME_ASC", "START_TIME_DESC", "EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC",
    "NAME_ASC", "NAME_DESC", "NEXT_SCHEDULED_START_TIME_ASC", "END_TIME_DESC",
)  # fmt: skip


def _history(s: Sample, days: float) -> dict[str, Any]:
    start = s.last - timedelta(days=days)
    return {
        "history_start": start.isoformat(), "history_end": s.last.isoformat(),
        "history_interval_seconds": days * 86_400 / 50,
    }  # fmt: skip


def _flow_run_reads() -> list[Read]:
    found = [_of_run("flow run: one", "/flow_runs/{id}")]
    found += [
        _post(f"flow runs: page by {sort}", "/flow_runs/filter", lambda s, o=sort: {"sort": o}) for sort in _SORTS
    ]
    for sort in ("ID_DESC", "EXPECTED_START_TIME_DESC", "START_TIME_DESC"):
        for offset in (10_000, 500_000):
            more = {"sort": sort, "offset": offset}
            found.append(_post(f"flow runs: page by {sort} from {offset:,}", "/flow_runs/filter", lambda s, m=more: m))
    newest = {"sort": "EXPECTED_START_TIME_DESC", "limit": 20}
    for title, make in _FILTERS.items():
        found.append(
            _post(f"flow runs: newest 20, {title}", "/flow_runs/filter", lambda s, m=make: newest | {"flow_runs": m(s)})
        )
    for title, make in _BESIDE.items():
        found.append(_post(f"flow runs: newest 20, {title}", "/flow_runs/filter", lambda s, m=make: newest | m(s)))
    found.append(_post("flow runs: 20 by START_TIME_DESC, failed", "/flow_runs/filter",
                       lambda s: {"sort": "START_TIME_DESC", "limit": 20, "flow_runs": _FILTERS["states, two of them"](s)}))  # fmt: skip
    found.append(_post("flow runs: 20 by START_TIME_DESC, of a flow", "/flow_runs/filter",
                       lambda s: {"sort": "START_TIME_DESC", "limit": 20} | _BESIDE["flow"](s)))  # fmt: skip
    found.append(_post("flow runs: count of all", "/flow_runs/count", lambda s: {}))
    for title, make in _FILTERS.items():
        found.append(_post(f"flow runs: count, {title}", "/flow_runs/count", lambda s, m=make: {"flow_runs": m(s)}))
    for title, make in _BESIDE.items():
        found.append(_post(f"flow runs: count, {title}", "/flow_runs/count", lambda s, m=make: m(s)))
    page = {"sort": "START_TIME_DESC", "limit": 20}
    found.append(_post("flow runs: paginate, page 1", "/flow_runs/paginate", lambda s: page))
    found.append(_post("flow runs: paginate, page 1,000", "/flow_runs/paginate", lambda s: page | {"page": 1000}))
    found.append(_post("flow runs: paginate, failed of a week", "/flow_runs/paginate", lambda s: page | {
        "flow_runs": _FILTERS["states, two of them"](s) | {"expected_start_time": s.newest_days(7)}}))  # fmt: skip
    for days in (1, 7, 30, 90):
        found.append(
            _post(f"flow runs: history of {days} days", "/flow_runs/history", lambda s, d=days: _history(s, d))
        )
    found.append(_post("flow runs: history of 7 days of a deployment", "/flow_runs/history",
                       lambda s: _history(s, 7) | {"flow_runs": _FILTERS["deployment"](s)}))  # fmt: skip
    found.append(_post("flow runs: lateness of a day", "/flow_runs/lateness",
                       lambda s: {"flow_runs": {"expected_start_time": s.newest_days(1)}}))  # fmt: skip
    found.append(_post("flow runs: lateness of all", "/flow_runs/lateness", lambda s: {}))
    return found


def _reads_of_a_run() -> list[Read]:
    def tasks(s: Sample, runs: list[str]) -> dict[str, Any]:
        return {"task_runs": {"flow_run_id": {"any_": [s.dice.choice(runs)]}}}

    def lines(s: Sample, **more: Any) -> dict[str, Any]:
        return {
            "logs": {"flow_run_id": {"any_": [s.dice.choice(s.large + s.runs[:5])]}, **more},
            "sort": "TIMESTAMP_ASC",
        }

    by_start = {"sort": "EXPECTED_START_TIME_DESC", "limit": 20}
    return [
        _of_run("a run: graph", "/flow_runs/{id}/graph-v2"),
        _of_run("a run: graph of a thousand task runs", "/flow_runs/{id}/graph-v2", "large"),
        Read("a run: states", "GET", "/flow_run_states/", lambda s: ({"flow_run_id": s.dice.choice(s.runs)}, None)),
        _post("a run: task runs", "/task_runs/filter", lambda s: tasks(s, s.runs)),
        _post("a run: task runs of a thousand", "/task_runs/filter", lambda s: tasks(s, s.large) | by_start),
        _post("a run: task runs of a thousand, paginate", "/task_runs/paginate", lambda s: tasks(s, s.large) | by_start),
        _post("a run: count of its task runs", "/task_runs/count", lambda s: tasks(s, s.large)),
        _post("a run: count of its task runs by flow run filter", "/task_runs/count",
              lambda s: {"flow_runs": {"id": {"any_": [s.dice.choice(s.large)]}}}),
        _post("a run: sub-flow runs", "/flow_runs/filter",
              lambda s: {"flow_runs": {"parent_flow_run_id": {"any_": [s.dice.choice(s.runs)]}}}),
        _post("a run: log, page", "/logs/filter", lines),
        _post("a run: log, from line 2,000", "/logs/filter", lambda s: lines(s) | {"offset": 2000}),
        _post("a run: log, errors", "/logs/filter", lambda s: lines(s, level={"ge_": 40})),
        _post("task runs: counts by flow run", "/ui/flow_runs/count-task-runs", lambda s: {"flow_run_ids": s.newest[:50]}),
        _post("task runs: newest 20", "/task_runs/filter", lambda s: by_start),
        _post("task runs: newest 20 failed", "/task_runs/filter",
              lambda s: by_start | {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}}),
        _post("task runs: newest 20 of a deployment", "/task_runs/filter",
              lambda s: by_start | {"deployments": {"id": {"any_": [s.one(s.world.deployments)]}}}),
        _post("task runs: page by END_TIME_DESC", "/task_runs/filter", lambda s: {"sort": "END_TIME_DESC", "limit": 20}),
        _post("task runs: count of all", "/task_runs/count", lambda s: {}),
        _post("task runs: count, failed", "/task_runs/count",
              lambda s: {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}}),
        _post("task runs: count of a day", "/task_runs/count", lambda s: {"task_runs": {"start_time": s.newest_days(1)}}),
        _post("task runs: history of a day", "/task_runs/history", lambda s: _history(s, 1)),
        _post("task runs: history of 7 days", "/task_runs/history", lambda s: _history(s, 7)),
        _post("dashboard: task runs by state, of a day", "/ui/task_runs/count",
              lambda s: {"task_runs": {"start_time": s.newest_days(1)}}),
        _post("dashboard: task runs of a day", "/ui/task_runs/dashboard/counts",
              lambda s: {"task_runs": {"start_time": s.newest_days(1)}}),
        _post("dashboard: task runs of 7 days", "/ui/task_runs/dashboard/counts",
              lambda s: {"task_runs": {"start_time": s.newest_days(7)}}),
        _post("dashboard: flow runs of a day", "/ui/flow_runs/history",
              lambda s: {"flow_runs": {"expected_start_time": s.newest_days(1)}, "limit": 1000}),
        _post("dashboard: failed flow runs of 7 days", "/ui/flow_runs/history", lambda s: {
            "flow_runs": {"expected_start_time": s.newest_days(7)} | _FILTERS["states, two of them"](s), "limit": 1000}),
        _post("dashboard: next runs of flows", "/ui/flows/next-runs", lambda s: {"flow_ids": s.world.flows[:50]}),
    ]  # fmt: skip


def _other_reads() -> list[Read]:
    def events(s: Sample, days: float = 7, **more: Any) -> dict[str, Any]:
        occurred = {"since": (s.last - timedelta(days=days)).isoformat(), "until": s.last.isoformat()}
        return {"filter": {"occurred": occurred, **more}}

    def counts(s: Sample, days: float) -> dict[str, Any]:
        return events(s, days) | {"time_unit": "hour"}

    pool = lambda s: ({"work_pool_name": s.dice.choice(s.world.pools)}, {})  # noqa: E731
    return [
        _post("events: page of a week", "/events/filter", events),
        _post("events: page of 90 days", "/events/filter", lambda s: events(s, 90)),
        _post("events: page, by name", "/events/filter", lambda s: events(s, event={"name": ["prefect.flow-run.Failed"]})),
        _post("events: page, by prefix", "/events/filter", lambda s: events(s, event={"prefix": ["prefect.flow-run."]})),
        _post("events: page, by resource", "/events/filter",
              lambda s: events(s, 90, any_resource={"id": [f"prefect.flow-run.{s.dice.choice(s.runs)}"]})),
        _post("events: page, by a frequent related resource", "/events/filter",
              lambda s: events(s, 90, related={"id": [f"prefect.deployment.{s.world.deployments[0]}"]})),
        Read("events: count by hour of a day", "POST", "/events/count-by/{countable}",
             lambda s: ({"countable": "time"}, counts(s, 1))),
        Read("events: count by day of 90 days", "POST", "/events/count-by/{countable}",
             lambda s: ({"countable": "day"}, counts(s, 90))),
        Read("events: count by name of a week", "POST", "/events/count-by/{countable}",
             lambda s: ({"countable": "event"}, counts(s, 7))),
        _post("flows: page", "/flows/filter", lambda s: {"sort": "NAME_ASC"}),
        _post("flows: paginate, with failed runs", "/flows/paginate",
              lambda s: {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}),
        _post("deployments: paginate", "/deployments/paginate", lambda s: {"limit": 50}),
        _post("deployments: paginate, name like", "/deployments/paginate",
              lambda s: {"limit": 50, "deployments": {"flow_or_deployment_name": {"like_": "flow-1"}}}),
        _post("deployments: of runs that failed", "/deployments/filter",
              lambda s: {"limit": 50, "flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}),
        _post("work pools: list", "/work_pools/filter", lambda s: {}),
        Read("work queues: of a pool, with their status", "POST", "/work_pools/{work_pool_name}/queues/filter", pool),
        Read("work queues: status", "GET", "/work_queues/{id}/status",
             lambda s: ({"id": s.dice.choice(s.world.queues)}, None)),
        Read("work pools: who holds slots", "POST", "/work_pools/{name}/concurrency_status",
             lambda s: ({"name": s.dice.choice(s.world.pools)}, {})),
    ]  # fmt: skip


READS: list[Read] = [*_flow_run_reads(), *_reads_of_a_run(), *_other_reads()]

# -- what workers and services do ------------------------------------------------------------------------------------

Round = Callable[[Database, Sample, datetime], Any]


def _service(module: Any) -> Round:
    return lambda database, sample, moment: module.run_once(database, moment)


def _scheduled(database: Database, sample: Sample, moment: datetime) -> None:
    body = scheduled_runs.ScheduledOfPool.model_validate({"limit": 10})
    pool = sample.dice.choice(sample.world.pools)
    database.write(lambda tx: scheduled_runs.read_scheduled_flow_runs_of_pool(tx, pool, body))


def _of_deployments(database: Database, sample: Sample, moment: datetime) -> None:
    ids = sample.dice.sample(sample.world.deployments, 20)
    body = scheduled_runs.ScheduledOfDeployments.model_validate({"deployment_ids": ids, "limit": 10})
    database.write(lambda tx: scheduled_runs.read_scheduled_flow_runs_of_deployments(tx, body))


def _claim(database: Database, sample: Sample, moment: datetime) -> None:
    holder = {"kind": "worker", "id": str(UUID(int=7)), "name": "bench"}
    asked = {"work_pool_name": sample.dice.choice(sample.world.pools), "holder": holder, "limit": 10}
    body = claims.ClaimRequest.model_validate(asked)
    database.write(lambda tx: claims.claim_flow_runs(tx, body))


def _retention(database: Database, sample: Sample, moment: datetime) -> None:
    db_vacuum.run_once(database, sample.first + timedelta(days=91, hours=12))


ROUNDS: list[tuple[str, Round]] = [
    ("workers: runs that are due in a pool", _scheduled),
    ("runners: runs that are due of 20 deployments", _of_deployments),
    ("workers: claim 10 runs", _claim),
    ("service: scheduler", _service(scheduler)),
    ("service: late_runs", _service(late_runs)),
    ("service: lease_expiry", _service(lease_expiry)),
    ("service: task_run_leases", _service(task_run_leases)),
    ("service: task_run_reconciliation", _service(task_run_reconciliation)),
    ("service: pause_expirations", _service(pause_expirations)),
    ("service: cancellation_cleanup", _service(cancellation_cleanup)),
    ("service: foreman", _service(foreman)),
    ("service: repossessor", _service(repossessor)),
    ("service: db_vacuum, one round of each class", _retention),
]
