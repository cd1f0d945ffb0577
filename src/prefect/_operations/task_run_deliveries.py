"""Background task runs handed to those who subscribed to their tasks: each to one of them at a time.

A subscriber is a connection. What it was handed is its own while it is connected; when it goes away, or its server dies,
what it has not begun is handed to another.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._clock import now
from prefect._operations import task_runs
from prefect._operations.registry import operation
from prefect._rules.states import SCHEDULED
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.moments import DateTime
from prefect._schemas.task_runs import TaskRun
from prefect._store.announcements import announce
from prefect._store.dialects import insert, json_member
from prefect._store.tables import task_run, task_run_delivery, task_run_state, task_run_subscriber

LIFETIME = timedelta(seconds=60)
"""How long a subscriber lives after it was heard of last."""


class TaskWorkerFilter(PrefectBaseModel):
    """Which task workers."""

    task_keys: list[str] = Field(description="Those that run any of these tasks.")


class TaskWorkerQuery(PrefectBaseModel):
    """Which task workers; all, unless there is a filter."""

    task_worker_filter: TaskWorkerFilter | None = None


class TaskWorkerResponse(PrefectBaseModel):
    """A process that waits for task runs."""

    identifier: str
    task_keys: list[str]
    timestamp: DateTime


@operation("POST", "/task_workers/filter")
def read_task_workers(tx: sa.Connection, body: TaskWorkerQuery) -> list[TaskWorkerResponse]:
    """The processes that wait for task runs now, in the order in which they came."""
    live = sa.select(task_run_subscriber).where(task_run_subscriber.c.expires > now())
    wanted = None if body.task_worker_filter is None else set(body.task_worker_filter.task_keys)
    return [
        TaskWorkerResponse(identifier=row["identifier"], task_keys=row["task_keys"], timestamp=row["created"])
        for row in tx.execute(live.order_by(task_run_subscriber.c.id)).mappings()
        if wanted is None or not wanted.isdisjoint(row["task_keys"])
    ]


def topic(task_key: str) -> str:
    """What is announced when a run of a task is to begin."""
    return f"task_runs:{task_key}"


def subscribe(tx: sa.Connection, subscriber: UUID, identifier: str, task_keys: list[str], moment: datetime) -> None:
    """Write that somebody waits for runs of tasks; those that died long ago are forgotten."""
    tx.execute(sa.delete(task_run_subscriber).where(task_run_subscriber.c.expires < moment - 10 * LIFETIME))
    values = {"id": subscriber, "identifier": identifier, "task_keys": task_keys, "expires": moment + LIFETIME}
    tx.execute(task_run_subscriber.insert().values(**values))


def keep_alive(tx: sa.Connection, subscriber: UUID, moment: datetime) -> None:
    """Write that a subscriber is still there. What it has begun needs no delivery any more."""
    mine = task_run_delivery.c.subscriber_id == subscriber
    begun = sa.exists().where(task_run.c.id == task_run_delivery.c.task_run_id, task_run.c.state_type != SCHEDULED)
    tx.execute(sa.delete(task_run_delivery).where(mine, begun))
    tx.execute(
        sa.update(task_run_subscriber).where(task_run_subscriber.c.id == subscriber).values(expires=moment + LIFETIME)
    )


def unsubscribe(tx: sa.Connection, subscriber: UUID) -> None:
    """Write that a subscriber has gone; what it has not begun can be had by others."""
    held = (
        sa.select(task_run.c.task_key)
        .join(task_run_delivery, task_run_delivery.c.task_run_id == task_run.c.id)
        .where(task_run_delivery.c.subscriber_id == subscriber, task_run.c.state_type == SCHEDULED)
        .distinct()
    )
    keys = list(tx.execute(held).scalars())
    tx.execute(sa.delete(task_run_subscriber).where(task_run_subscriber.c.id == subscriber))
    announce(tx, *map(topic, keys))


def open_runs(task_keys: list[str], moment: datetime) -> list[Any]:
    """The conditions of task runs that can be handed out, now or when they are due."""
    held = sa.exists().where(
        task_run_delivery.c.task_run_id == task_run.c.id,
        task_run_subscriber.c.id == task_run_delivery.c.subscriber_id,
        task_run_subscriber.c.expires > moment,
    )
    # a retry of a task that runs in some process is scheduled, too, but is that process's
    deferred = sa.exists().where(
        task_run_state.c.task_run_id == task_run.c.id,
        task_run_state.c.id == task_run.c.state_id,
        sa.cast(json_member(task_run_state.c.state_details, "deferred"), sa.Text).in_(["true", "1"]),
    )
    return [
        task_run.c.task_key.in_(task_keys),
        task_run.c.next_scheduled_start_time.is_not(None),
        task_run.c.state_type == SCHEDULED,
        deferred,
        ~held,
    ]


def next_due(tx: sa.Connection, task_keys: list[str], moment: datetime) -> datetime | None:
    """When the next run of these tasks that nobody holds is due; None when there is none."""
    first = sa.func.min(task_run.c.next_scheduled_start_time)
    return tx.execute(sa.select(first).where(*open_runs(task_keys, moment))).scalar_one()


def reserve(tx: sa.Connection, subscriber: UUID, task_keys: list[str], moment: datetime) -> TaskRun | None:
    """Hand a run that is due to a subscriber; None when there is none. The longest due comes first."""
    due = (
        sa.select(task_run.c.id)
        .where(*open_runs(task_keys, moment), task_run.c.next_scheduled_start_time <= moment)
        .order_by(task_run.c.next_scheduled_start_time, task_run.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = tx.execute(due).scalar_one_or_none()
    if found is None:
        return None
    # on PostgreSQL somebody else may have had it between the look and the lock
    live = sa.select(task_run_subscriber.c.id).where(task_run_subscriber.c.expires > moment)
    statement = (
        insert(tx, task_run_delivery)
        .values(task_run_id=found, subscriber_id=subscriber)
        .on_conflict_do_update(
            index_elements=["task_run_id"],
            set_={"subscriber_id": subscriber},
            where=task_run_delivery.c.subscriber_id.not_in(live),
        )
        .returning(task_run_delivery.c.task_run_id)
    )
    if tx.execute(statement).first() is None:
        return None
    return task_runs.task_run_of(tx, found)
