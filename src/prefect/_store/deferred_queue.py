"""The queue of deferred task runs: a small table beside the runs, in plain SQL for SQLite.

A run is in the table from the moment `.delay()` returns until it has ended, in the very transactions that write its
states: what is in the table has still to happen, what is not has happened or was never acknowledged. `owner` is the
process that has claimed the run (None: it can be had); `claims` counts the claims and is the fencing token: whoever
writes with an old one is refused.

When a claimed run's process dies, `reclaim` decides by what is on disk:

- the run had not begun (it is entered as running before the function is called): nothing has happened, so it goes back
  to the queue; but a run that took three workers with it before it began is marked crashed.
- it had begun: the attempt counts as a failed one. If the task has retries left, the run is scheduled again after the
  retry delay, else it is marked crashed.
- it waited for a retry: it goes on waiting, for any worker.

Who only looks at the database does that, too (`reconciling.reconcile`), and says so in the states. A run that it marked
crashed stays in the queue, ended, until the next worker or waiter tidies up: only those know where its parameters are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prefect._clock import now_us
from prefect._rules.retries import retry_delay
from prefect._rules.states import (
    CRASHED,
    PENDING,
    RUNNING,
    SCHEDULED,
    TERMINAL,
    RunState,
    awaiting_retry,
)
from prefect._store import owners
from prefect._store import statements as sql

MAX_UNBEGUN_CLAIMS: Final = 3
"""A run that was claimed so often by processes that died before it began is not tried again."""

_PUT: Final = """
INSERT INTO deferred_run (
    task_run_id, task_key, place, due, owner, claims, unbegun, waits_for, dependencies, parameters
) VALUES (?, ?, ?, ?, NULL, 0, 0, ?, ?, ?)
"""

# upstream runs that are still in the queue have not ended; the worker finds out how those that have ended did so
_CLAIMABLE: Final = """
FROM deferred_run q INDEXED BY ix_deferred_run__due
WHERE q.owner IS NULL AND (q.task_key IN ({keys}) OR q.place IN ({places}))
    AND (q.waits_for = '[]' OR NOT EXISTS (
        SELECT 1 FROM json_each(q.waits_for) upstream JOIN deferred_run u ON u.task_run_id = upstream.value
    ))
"""

_NEXT_DUE: Final = "SELECT q.due {claimable} ORDER BY q.due, q.task_run_id LIMIT 1"

_CLAIM: Final = "SELECT q.task_run_id {claimable} AND q.due <= ? ORDER BY q.due, q.task_run_id LIMIT ?"

_CLAIM_ONE: Final = "SELECT task_run_id FROM deferred_run WHERE task_run_id = ? AND owner IS NULL"

_TAKE: Final = "UPDATE deferred_run SET owner = ?, claims = claims + 1, unbegun = unbegun + 1 WHERE task_run_id = ?"

_RUN: Final = """
SELECT r.id, r.name, r.created, r.flow_run_id, r.dynamic_key, r.tags, r.run_count, r.start_time, r.total_run_time,
    r.expected_start_time, r.empirical_policy, r.state_type, r.state_timestamp, q.task_key, q.place, q.due, q.claims,
    q.unbegun, q.dependencies, q.parameters
FROM deferred_run q JOIN task_run r ON r.id = q.task_run_id WHERE q.task_run_id = ?
"""

_SET_STATE: Final = """
UPDATE task_run SET
    updated = :now, state_id = :state, state_type = :type, state_name = :name, state_timestamp = :now,
    end_time = CASE WHEN :final THEN :now ELSE NULL END,
    total_run_time = total_run_time + CASE WHEN state_type = 'RUNNING' THEN max(0, :now - state_timestamp) ELSE 0 END,
    next_scheduled_start_time = :due, expected_start_time = coalesce(:due, expected_start_time)
WHERE id = :id
"""

_IS_MINE: Final = "SELECT 1 FROM deferred_run WHERE task_run_id = ? AND owner = ? AND claims = ?"

_GIVE_BACK: Final = "UPDATE deferred_run SET owner = NULL, due = ?, unbegun = ? WHERE task_run_id = ?"

_REMOVE: Final = "DELETE FROM deferred_run WHERE task_run_id = ?"

_SOMEBODY_WAITS: Final = """
SELECT 1 FROM deferred_run q INDEXED BY ix_deferred_run__waiting, json_each(q.waits_for) upstream
WHERE q.waits_for <> '[]' AND upstream.value = ? LIMIT 1
"""

_OWNERS: Final = "SELECT DISTINCT owner FROM deferred_run WHERE owner IS NOT NULL"

_OWNERS_OF_OPEN_RUNS: Final = """
SELECT DISTINCT q.owner FROM deferred_run q JOIN task_run r ON r.id = q.task_run_id
WHERE q.owner IS NOT NULL AND r.state_type IN ('PENDING', 'RUNNING', 'SCHEDULED', 'CANCELLING', 'PAUSED')
"""

_OWNER: Final = "SELECT host, boot_id, pid FROM owner WHERE id = ?"

_CLAIMED_BY: Final = "SELECT task_run_id FROM deferred_run WHERE owner = ?"


class ClaimLost(Exception):
    """This process no longer holds the claim of a task run, so what it has to report is not written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A deferred task run and the right to carry it out.

    Attributes:
        id: the task run.
        token: the number of the claim, which every write of it must carry.
        owner: the process that holds it (None: nobody yet).
        task_key: what the run's task is called in records.
        place: where its function is defined; either of the two finds the task.
        due: when it may start, microseconds since the epoch.
        run_count: how many attempts have begun.
        unbegun: how many claims, this one included, there were since one last began or was given back.
        parameters: the key under which its parameters are kept; None: it has none.
        dependencies: runs it is said to depend on, as recorded inputs.
    """

    id: str
    token: int
    owner: str | None
    task_key: str
    place: str
    due: int
    name: str
    created_us: int
    flow_run_id: str | None
    dynamic_key: str
    tags: frozenset[str]
    run_count: int
    start_us: int | None
    total_us: int
    expected_us: int | None
    policy: dict[str, Any] = field(default_factory=dict)
    state_type: str = SCHEDULED
    state_us: int = 0
    unbegun: int = 0
    parameters: str | None = None
    dependencies: dict[str, list[dict[str, str]]] = field(default_factory=dict)


def put(
    connection: sqlite3.Connection,
    task_run_id: str,
    *,
    task_key: str,
    place: str,
    due: int,
    waits_for: Sequence[str] = (),
    dependencies: dict[str, Any] | None = None,
    parameters: str | None = None,
) -> None:
    """Queue a task run, whose row is there already. Runs in the caller's transaction, as do all functions below."""
    connection.execute(
        _PUT,
        (task_run_id, task_key, place, due, json.dumps(list(waits_for)), json.dumps(dependencies or {}), parameters),
    )


def next_due(connection: sqlite3.Connection, keys: Sequence[str], places: Sequence[str]) -> int | None:
    """When the next run of these tasks that nobody has claimed may start, or None when there is none."""
    row = connection.execute(_NEXT_DUE.format(claimable=_claimable(keys, places)), (*keys, *places)).fetchone()
    return row[0] if row is not None else None


def _claimable(keys: Sequence[str], places: Sequence[str]) -> str:
    return _CLAIMABLE.format(keys=", ".join("?" * len(keys)), places=", ".join("?" * len(places)))


def claim(
    connection: sqlite3.Connection, owner: str, keys: Sequence[str], places: Sequence[str], limit: int
) -> list[Claim]:
    """Claim runs of these tasks that are due, those due longest first; they are pending from now on."""
    statement = _CLAIM.format(claimable=_claimable(keys, places))
    found = connection.execute(statement, (*keys, *places, now_us(), limit)).fetchall()
    return [_take(connection, owner, task_run_id) for (task_run_id,) in found]


def claim_one(connection: sqlite3.Connection, owner: str, task_run_id: str) -> Claim | None:
    """Claim one run, due or not; None when it is not to be had."""
    row = connection.execute(_CLAIM_ONE, (task_run_id,)).fetchone()
    return _take(connection, owner, task_run_id) if row is not None else None


def _take(connection: sqlite3.Connection, owner: str, task_run_id: str) -> Claim:
    connection.execute(_TAKE, (owner, task_run_id))
    _set_state(connection, task_run_id, RunState(PENDING, "Pending"))
    return read(connection, task_run_id, owner)


def read(connection: sqlite3.Connection, task_run_id: str, owner: str | None = None) -> Claim:
    """The queued run of that id; it must be there."""
    (
        id, name, created, flow_run_id, dynamic_key, tags, run_count, start, total, expected, policy, state_type,
        state_us, task_key, place, due, claims, unbegun, dependencies, parameters,
    ) = connection.execute(_RUN, (task_run_id,)).fetchone()  # fmt: skip
    return Claim(
        id=id, token=claims, owner=owner, task_key=task_key, place=place, due=due, name=name, created_us=created,
        flow_run_id=flow_run_id, dynamic_key=dynamic_key, tags=frozenset(json.loads(tags)), run_count=run_count,
        start_us=start, total_us=total, expected_us=expected, policy=json.loads(policy), state_type=state_type,
        state_us=state_us, unbegun=unbegun, parameters=parameters, dependencies=json.loads(dependencies),
    )  # fmt: skip


def check(connection: sqlite3.Connection, claim: Claim) -> None:
    """Make sure that the claim still holds.

    Raises:
        ClaimLost: it does not: another process took the run over, or it was deleted.
    """
    if connection.execute(_IS_MINE, (claim.id, claim.owner, claim.token)).fetchone() is None:
        raise ClaimLost(
            f"Task run {claim.name!r} ({claim.id}) was taken away from this worker: it was claimed again elsewhere, or "
            "deleted. What this worker has to report of it is not recorded."
        )


def give_back(connection: sqlite3.Connection, claim: Claim, due: int, unbegun: int = 0) -> None:
    """Let any worker have the run, from `due` on. The token stays used: the next claim has a higher one."""
    connection.execute(_GIVE_BACK, (due, unbegun, claim.id))


def release(connection: sqlite3.Connection, claim: Claim, unbegun: int = 0) -> None:
    """Schedule a run that was claimed and has not begun again, for any worker, at once."""
    due = now_us()
    _set_state(connection, claim.id, RunState(SCHEDULED, None, None, None, scheduled_details(claim.parameters, due)))
    give_back(connection, claim, due, unbegun)


def end(connection: sqlite3.Connection, task_run_id: str) -> bool:
    """Take a run that has ended out of the queue; return whether another one waits for it."""
    connection.execute(_REMOVE, (task_run_id,))
    return connection.execute(_SOMEBODY_WAITS, (task_run_id,)).fetchone() is not None


def _set_state(connection: sqlite3.Connection, task_run_id: str, state: RunState) -> None:
    details = json.dumps(state.details)
    connection.execute(
        sql.INSERT_TASK_RUN_STATE,
        (state.id, task_run_id, state.timestamp, state.type, state.name, state.message, details, None),
    )
    connection.execute(
        _SET_STATE,
        {
            "id": task_run_id, "now": state.timestamp, "state": state.id, "type": state.type, "name": state.name,
            "final": state.type in TERMINAL, "due": state.details.get("scheduled_time"),
        },
    )  # fmt: skip


# -- runs whose process died -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reclaimed:
    """What came of the runs of dead processes.

    Attributes:
        ended: the ids of those marked crashed.
        parameters: the keys of parameters nobody needs any more.
        queued: how many can be had again.
    """

    ended: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    queued: int = 0


def dead_owners(
    connection: sqlite3.Connection, database_path: str, *, of_open_runs: bool = False
) -> list[tuple[str, int]]:
    """The owners (id, process id) of claimed runs that are no longer alive, among those of this machine.

    Args:
        of_open_runs: leave out those of which only runs are left that have ended.
    """
    dead = []
    for (owner,) in connection.execute(_OWNERS_OF_OPEN_RUNS if of_open_runs else _OWNERS).fetchall():
        host, boot, pid = connection.execute(_OWNER, (owner,)).fetchone() or (None, None, 0)
        if owners.is_dead(database_path, owner, host, boot):
            dead.append((owner, pid))
    return dead


def reclaim(connection: sqlite3.Connection, dead: Iterable[tuple[str, int]], *, tidy: bool = True) -> Reclaimed:
    """Queue again, or mark as crashed, the runs that dead processes had claimed: see above for the rule.

    Args:
        dead: the owners (id, process id).
        tidy: take those that have crashed out of the queue; only by who then forgets their parameters and tells those
            who wait.
    """
    outcome = Reclaimed()
    for owner, pid in dead:
        for (task_run_id,) in connection.execute(_CLAIMED_BY, (owner,)).fetchall():
            claim = read(connection, task_run_id, owner)
            if claim.state_type in TERMINAL:
                over = True  # somebody who only looked has marked it
            else:
                over = _reclaim_one(connection, claim, pid)
                outcome.queued += not over
            if over and tidy:
                end(connection, claim.id)
                outcome.ended.append(claim.id)
                if claim.parameters is not None:
                    outcome.parameters.append(claim.parameters)
    return outcome


def _reclaim_one(connection: sqlite3.Connection, claim: Claim, pid: int) -> bool:
    """Decide what becomes of a run; True when it is over."""
    died = f"The task worker that ran this task run (process {pid}) ended without reporting how it went"
    if claim.state_type == SCHEDULED:  # it was waiting for a retry
        give_back(connection, claim, claim.due)
        return False
    if claim.state_type == PENDING:
        if claim.unbegun < MAX_UNBEGUN_CLAIMS:
            release(connection, claim, claim.unbegun)
            return False
        died = f"{MAX_UNBEGUN_CLAIMS} task workers ended when they were about to begin this task run"
    elif claim.state_type == RUNNING and claim.run_count <= (claim.policy.get("retries") or 0):
        delay = retry_delay(
            claim.policy.get("retry_delay"), claim.run_count - 1, claim.policy.get("retry_jitter_factor")
        )
        due = now_us() + int(delay * 1e6)
        _set_state(connection, claim.id, awaiting_retry(due, f"{died}; it is tried again."))
        give_back(connection, claim, due)
        return False
    _set_state(connection, claim.id, RunState(CRASHED, None, f"{died}."))
    return True


def scheduled_details(parameters: str | None, due: int) -> dict[str, Any]:
    """The details of the state of a deferred run that is due at `due` (microseconds since the epoch)."""
    details: dict[str, Any] = {"scheduled_time": due, "deferred": True}
    if parameters is not None:
        details["task_parameters_id"] = parameters
    return details
