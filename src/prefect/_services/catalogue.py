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


_LEASED = sa.select(run_lease.c.flow_run_id).where(run_lease.c.expires.is_not(None))
_LEASED_TASK_RUNS = sa.select(task_run_lease.c.task_run_id)

SERVICES: tuple[Service, ...] = (
    _PartOf(
        name="actions",
        description="Does what automations say when they are triggered",
        run_once=Work("actions", "run_once", sa.select(automation_action.c.id)),
        topics=(ACTIONS,),
        rest=0.01,
        is_local=True,
        setting="triggers",
    ),
    _PartOf(
        name="backfills",
        description="Makes the runs of backfills",
        run_once=Work("backfills", "run_once", sa.select(backfill.c.id)),
        # a run that ends makes room, and is announced as `scheduled`
        topics=(BACKFILLS, "scheduled"),
        rest=0.1,
        is_local=True,
        setting="scheduler",
    ),
    Service(
        name="cancellation_cleanup",
        description="Cancels what cancelled runs had started, and runs that nobody stops",
        run_once=Work("cancellation_cleanup", "run_once", _in_state(CANCELLED, CANCELLING)),
        topics=("cancelled",),
        is_local=True,
    ),
    Service(
        name="db_vacuum",
        description="Removes old events, log lines and flow runs",
        run_once=Work(
            "db_vacuum", "run_once",
            *(sa.select(table.c.id) for table in (event, log, flow_run, csrf_token, cleanup_message, worker, owner)),
        ),
        every=3600.0,
        first_after=60.0,
        is_local=True,
    ),
    Service(
        name="foreman",
        description="Tells which work pools, queues and deployments are asked for runs",
        run_once=Work(
            "foreman", "run_once", sa.select(worker.c.id), sa.select(readiness.c.id),
            sa.select(work_queue.c.id).where(work_queue.c.last_polled.is_not(None)),
            sa.select(deployment.c.id).where(deployment.c.last_polled.is_not(None)),
        ),
        every=30.0,
        topics=("polled",),
        rest=0.5,
    ),
    Service(
        name="late_runs",
        description="Marks runs that did not start in time",
        run_once=Work("late_runs", "run_once", _in_state(SCHEDULED)),
        topics=("scheduled",),
        rest=1.0,
        is_local=True,
    ),
    Service(
        name="lease_expiry",
        description="Ends flow runs whose process is not heard of any more",
        run_once=Work("lease_expiry", "run_once", _LEASED),
        every=15.0,
        topics=("leases",),
        rest=0.2,
        begin=Work("lease_expiry", "begin", _LEASED),
        is_local=True,
    ),
    Service(
        name="pause_expirations",
        description="Fails runs whose pause has expired",
        run_once=Work("pause_expirations", "run_once", _in_state(PAUSED)),
        topics=("paused",),
        is_local=True,
    ),
    Service(
        name="repossessor",
        description="Takes back concurrency slots whose lease has ended",
        run_once=Work(
            "repossessor", "run_once", sa.select(concurrency_lease.c.id), sa.select(concurrency_waiter.c.waiter_id)
        ),
        every=30.0,  # no lease is shorter than a minute
        begin=Work("repossessor", "begin", sa.select(concurrency_lease.c.id)),
        is_local=True,
    ),
    Service(
        name="scheduler",
        description="Makes the runs of schedules",
        run_once=Work("scheduler", "run_once", sa.select(deployment_schedule.c.id)),
        topics=(SCHEDULES,),
        rest=0.05,
        is_local=True,
    ),
    Service(
        name="task_run_leases",
        description="Takes deferred task runs back from workers that are not heard of any more",
        run_once=Work("task_run_leases", "run_once", _LEASED_TASK_RUNS),
        every=60.0,
        topics=("task_run_leases",),
        rest=0.2,
        begin=Work("task_run_leases", "begin", _LEASED_TASK_RUNS),
    ),
    Service(
        name="task_run_reconciliation",
        description="Ends task runs that ended flow runs left open",
        run_once=Work(
            "task_run_reconciliation", "run_once",
            sa.select(task_run.c.id).where(task_run.c.flow_run_id.is_not(None), task_run.c.end_time.is_(None)),
        ),
        first_after=5.0,
    ),
    _PartOf(
        name="triggers",
        description="Evaluates the triggers of automations",
        run_once=Work("triggers", "run_once", sa.select(automation.c.id)),
        every=30.0,
        topics=("events", AUTOMATIONS),
        rest=0.02,
        is_local=True,
        setting="triggers",
    ),
)  # fmt: skip
"""Every service there is, by name."""
