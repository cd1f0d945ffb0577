"""The services there are, and when each of them is needed.

A server that was just installed has no schedules, no automations, nothing that is late. The module of a service, with all
the operations that it is made of, is imported when there is something for it: most servers need a few of them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from prefect._rules.states import CANCELLED, CANCELLING, PAUSED, SCHEDULED
from prefect._services.framework import Database, Round, Service
from prefect._store.announcements import ACTIONS, AUTOMATIONS, BACKFILLS, SCHEDULES
from prefect._store.tables import (
    automation,
    automation_action,
    backfill,
    cleanup_message,
    concurrency_lease,
    concurrency_waiter,
    csrf_token,
    deployment,
    deployment_schedule,
    event,
    flow_run,
    log,
    owner,
    readiness,
    run_lease,
    task_run,
    task_run_lease,
    work_queue,
    worker,
)

if TYPE_CHECKING:
    from prefect.settings import Settings


class Work:
    """A function of a module of this package, which is imported when there is a row that it is about.

    Args:
        module: the module.
        name: the function.
        rows: the rows, as statements; without any of them there is nothing to do.
    """

    def __init__(self, module: str, name: str, *rows: sa.Select[Any]) -> None:
        self._module = module
        self._name = name
        self._rows = [statement.limit(1) for statement in rows]
        self._function: Any = None

    def __call__(self, database: Database, now: datetime) -> Any:
        function = self._function
        if function is None:
            if not self.is_needed(database):
                return Round()
            function = getattr(importlib.import_module(f"{__package__}.{self._module}"), self._name)
            self._function = function
        return function(database, now)

    def is_needed(self, database: Database) -> bool:
        """Whether there are rows that it is about."""
        return any(database.read(lambda tx, one=one: tx.execute(one).first()) is not None for one in self._rows)


@dataclass(frozen=True)
class _PartOf(Service):
    """A service that is switched by the setting of another one.

    Attributes:
        setting: the name of that.
    """

    setting: str = ""

    def enabled(self, settings: Settings) -> bool:
        """Whether the settings want the other one."""
        return bool(getattr(settings.server.services, self.setting).enabled)


def _in_state(*types: str) -> sa.Select[Any]:
    return sa.select(flow_run.c.id).where(flow_run.c.state_type.in_(types))


def _service(
    name: str, description: str, *rows: sa.Select[Any], begins: bool = False, setting: str | None = None, **more: Any
) -> Service:
    """A service, whose module has its name.

    Args:
        name: of it.
        description: what it does, in a line.
        rows: what it is about.
        begins: whether its module has something to do once, when the services start.
        setting: the name of the service that switches it, when that is another one.
        more: other fields of `Service`.
    """
    more |= {"name": name, "description": description, "run_once": Work(name, "run_once", *rows)}
    if begins:
        more["begin"] = Work(name, "begin", *rows)
    return Service(**more) if setting is None else _PartOf(**more, setting=setting)


SERVICES: tuple[Service, ...] = (
    _service(
        "actions", "Does what automations say when they are triggered", sa.select(automation_action.c.id),
        topics=(ACTIONS,), rest=0.01, is_local=True, setting="triggers",
    ),
    _service(
        "backfills", "Makes the runs of backfills", sa.select(backfill.c.id),
        topics=(BACKFILLS, "scheduled"),  # a run that ends makes room, and is announced as `scheduled`
        rest=0.1, is_local=True, setting="scheduler",
    ),
    _service(
        "cancellation_cleanup", "Cancels what cancelled runs had started, and runs that nobody stops",
        _in_state(CANCELLED, CANCELLING), topics=("cancelled",), is_local=True,
    ),
    _service(
        "db_vacuum", "Removes old events, log lines and flow runs",
        *(sa.select(table.c.id) for table in (event, log, flow_run, csrf_token, cleanup_message, worker, owner)),
        every=3600.0, first_after=60.0, is_local=True,
    ),
    _service(
        "foreman", "Tells which work pools, queues and deployments are asked for runs",
        sa.select(worker.c.id), sa.select(readiness.c.id),
        sa.select(work_queue.c.id).where(work_queue.c.last_polled.is_not(None)),
        sa.select(deployment.c.id).where(deployment.c.last_polled.is_not(None)),
        every=30.0, topics=("polled",), rest=0.5,
    ),
    _service(
        "late_runs", "Marks runs that did not start in time", _in_state(SCHEDULED),
        topics=("scheduled",), rest=1.0, is_local=True,
    ),
    _service(
        "lease_expiry", "Ends flow runs whose process is not heard of any more",
        sa.select(run_lease.c.flow_run_id).where(run_lease.c.expires.is_not(None)),
        begins=True, every=15.0, topics=("leases",), rest=0.2, is_local=True,
    ),
    _service(
        "pause_expirations", "Fails runs whose pause has expired", _in_state(PAUSED),
        topics=("paused",), is_local=True,
    ),
    _service(
        "repossessor", "Takes back concurrency slots whose lease has ended",
        sa.select(concurrency_lease.c.id), sa.select(concurrency_waiter.c.waiter_id),
        begins=True, every=30.0, is_local=True,  # no lease is shorter than a minute
    ),
    _service(
        "scheduler", "Makes the runs of schedules", sa.select(deployment_schedule.c.id),
        topics=(SCHEDULES,), rest=0.05, is_local=True,
    ),
    _service(
        "task_run_leases", "Takes deferred task runs back from workers that are not heard of any more",
        sa.select(task_run_lease.c.task_run_id),
        begins=True, every=60.0, topics=("task_run_leases",), rest=0.2,
    ),
    _service(
        "task_run_reconciliation", "Ends task runs that ended flow runs left open",
        sa.select(task_run.c.id).where(task_run.c.flow_run_id.is_not(None), task_run.c.end_time.is_(None)),
        first_after=5.0,
    ),
    _service(
        "triggers", "Evaluates the triggers of automations", sa.select(automation.c.id),
        every=30.0, topics=("events", AUTOMATIONS), rest=0.02, is_local=True, setting="triggers",
    ),
)  # fmt: skip
"""Every service there is, by name."""
