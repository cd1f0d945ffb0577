"""The statements of a recording process, in plain SQL for SQLite.

They are the ones a run needs while it runs; everything that reads for people goes through `_operations`, on both
databases. Times are microseconds since the epoch, JSON is text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from prefect._clock import now_us
from prefect._rules.states import RUNNING, SCHEDULED, RunState, awaiting_retry

FLOW_ID_BY_NAME: Final = "SELECT id FROM flow WHERE name = ?"

INSERT_FLOW: Final = """
INSERT INTO flow (id, created, updated, name, tags, labels) VALUES (?, ?, ?, ?, ?, '{}')
ON CONFLICT (name) DO NOTHING
"""

INSERT_FLOW_RUN: Final = """
INSERT INTO flow_run (
    id, created, updated, name, flow_id, flow_version, parameters, context, empirical_policy, tags, labels,
    job_variables, parent_task_run_id, parent_flow_run_id, auto_scheduled, state_id, state_type, state_name,
    state_timestamp, run_count, expected_start_time, next_scheduled_start_time, total_run_time, owner, idempotency_key
) VALUES (?, ?, ?, ?, ?, ?, ?, '{}', ?, ?, ?, '{}', ?, ?, 0, ?, ?, ?, ?, 0, ?, NULL, 0, ?, NULL)
"""

UPDATE_FLOW_RUN_STATE: Final = """
UPDATE flow_run SET
    updated = ?, state_id = ?, state_type = ?, state_name = ?, state_timestamp = ?, run_count = ?, start_time = ?,
    end_time = ?, total_run_time = ?, next_scheduled_start_time = ?, owner = ?, name = ?
WHERE id = ?
"""

INSERT_FLOW_RUN_STATE: Final = """
INSERT INTO flow_run_state (id, flow_run_id, timestamp, type, name, message, state_details, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (flow_run_id, id) DO NOTHING
"""

SET_FLOW_RUN_STATE: Final = """
UPDATE flow_run SET
    updated = :now, state_id = :state, state_type = :type, state_name = :name,
    total_run_time = total_run_time + CASE WHEN :ran THEN max(0, :now - state_timestamp) ELSE 0 END,
    state_timestamp = :now, end_time = CASE WHEN :final THEN :now ELSE NULL END,
    next_scheduled_start_time = :scheduled
WHERE id = :id
"""

SET_PAUSE_KEYS: Final = """
UPDATE flow_run SET empirical_policy = json_set(empirical_policy, '$.pause_keys', json(?)) WHERE id = ?
"""

MERGE_POLICY: Final = "UPDATE flow_run SET empirical_policy = json_patch(empirical_policy, ?) WHERE id = ?"

SET_TASK_RUN_STATE: Final = """
UPDATE task_run SET
    updated = :now, state_id = :state, state_type = :type, state_name = :name,
    total_run_time = total_run_time + CASE WHEN state_type = 'RUNNING' THEN max(0, :now - state_timestamp) ELSE 0 END,
    run_count = run_count + (:type = 'RUNNING'),
    start_time = CASE WHEN :type = 'RUNNING' THEN coalesce(start_time, :now) ELSE start_time END,
    state_timestamp = :now, end_time = CASE WHEN :final THEN :now ELSE NULL END
WHERE id = :id
"""

FLOW_RUN_STATE: Final = """
SELECT s.type, s.name, s.message, s.state_details, s.timestamp, s.id
FROM flow_run r JOIN flow_run_state s ON s.flow_run_id = r.id AND s.id = r.state_id
WHERE r.id = ?
"""

# one row per task run, written with its newest values whenever a batch holds a change of it
UPSERT_TASK_RUN: Final = """
INSERT INTO task_run (
    id, created, updated, name, flow_run_id, task_key, dynamic_key, cache_key, cache_expiration, task_version,
    flow_run_run_count, empirical_policy, task_inputs, tags, labels, state_id, state_type, state_name, state_timestamp,
    run_count, expected_start_time, next_scheduled_start_time, start_time, end_time, total_run_time
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    updated = excluded.updated, name = excluded.name, cache_key = excluded.cache_key,
    cache_expiration = excluded.cache_expiration, task_inputs = excluded.task_inputs, tags = excluded.tags,
    state_id = excluded.state_id, state_type = excluded.state_type, state_name = excluded.state_name,
    state_timestamp = excluded.state_timestamp, run_count = excluded.run_count,
    expected_start_time = excluded.expected_start_time,
    next_scheduled_start_time = excluded.next_scheduled_start_time, start_time = excluded.start_time,
    end_time = excluded.end_time, total_run_time = excluded.total_run_time
WHERE excluded.state_timestamp >= task_run.state_timestamp OR task_run.state_timestamp IS NULL
"""

INSERT_TASK_RUN_STATE: Final = """
INSERT INTO task_run_state (id, task_run_id, timestamp, type, name, message, state_details, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_run_id, id) DO NOTHING
"""

INSERT_LOG: Final = """
INSERT INTO log (id, created, name, level, message, timestamp, flow_run_id, task_run_id, worker_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""

INSERT_EVENT: Final = """
INSERT INTO event (id, occurred, event, resource_id, payload, follows, received) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""

INSERT_EVENT_RESOURCE: Final = """
INSERT INTO event_resource (event_id, position, resource_id, role, labels, occurred) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id, position) DO NOTHING
"""

INSERT_OWNER: Final = (
    "INSERT INTO owner (id, host, boot_id, pid, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)

# of a run that is held under a lease tells its holder, who knows how its process ended
_UNHELD: Final = "NOT EXISTS (SELECT 1 FROM run_lease l WHERE l.flow_run_id = flow_run.id AND l.expires > ?)"

OWNERS_OF_UNFINISHED_RUNS: Final = f"""
SELECT DISTINCT o.id, o.host, o.boot_id, o.pid
FROM flow_run JOIN owner o ON o.id = flow_run.owner
WHERE flow_run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING', 'SCHEDULED', 'PAUSED')
    AND flow_run.owner IS NOT NULL AND {_UNHELD}
"""

_UNFINISHED_RUNS_OF_OWNER: Final = f"""
SELECT id, state_type, run_count, deployment_id IS NOT NULL OR work_queue_id IS NOT NULL,
    json_extract(empirical_policy, '$.retries'),
    coalesce(json_extract(empirical_policy, '$.retry_delay[0]'), json_extract(empirical_policy, '$.retry_delay'))
FROM flow_run
WHERE owner = ? AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING', 'SCHEDULED', 'PAUSED') AND {_UNHELD}
"""

# deferred ones are carried out by others, whatever becomes of the flow run that deferred them
_UNFINISHED_TASK_RUNS: Final = """
SELECT id FROM task_run
WHERE flow_run_id = ? AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING', 'SCHEDULED', 'PAUSED')
    AND id NOT IN (SELECT task_run_id FROM deferred_run)
"""

_CRASH_FLOW_RUN: Final = """
UPDATE flow_run SET
    updated = :now, state_id = :state, state_type = 'CRASHED', state_name = 'Crashed', state_timestamp = :now,
    end_time = :now, total_run_time = total_run_time + CASE
        WHEN state_type IN ('RUNNING', 'CANCELLING') THEN max(0, :now - state_timestamp) ELSE 0 END,
    next_scheduled_start_time = NULL, owner = NULL
WHERE id = :id
"""

_RETRY_FLOW_RUN: Final = """
UPDATE flow_run SET
    updated = :now, state_id = :state, state_type = 'SCHEDULED', state_name = 'AwaitingRetry', state_timestamp = :now,
    total_run_time = total_run_time + max(0, :now - state_timestamp), next_scheduled_start_time = :due, owner = NULL,
    empirical_policy = json_set(
        empirical_policy, '$.retry_type', 'reschedule', '$.resuming', json('false'), '$.pause_keys', json('[]'))
WHERE id = :id
"""

_LEAVE_FLOW_RUN: Final = "UPDATE flow_run SET owner = NULL WHERE id = ?"

_END_LEASE: Final = "UPDATE run_lease SET expires = NULL, token = token + 1 WHERE flow_run_id = ?"

_CRASH_TASK_RUN: Final = """
UPDATE task_run SET
    updated = :now, state_id = :state, state_type = 'CRASHED', state_name = 'Crashed', state_timestamp = :now,
    end_time = :now, next_scheduled_start_time = NULL
WHERE id = :id
"""


def crash_runs_of(
    connection: sqlite3.Connection, owner_id: str, message: str, tell: Callable[[str, RunState], None]
) -> int:
    """End the unfinished flow runs of an owner, and their unfinished task runs; return how many flow runs.

    They have crashed; those of deployments that may be tried again are there for whoever claims them.

    Args:
        tell: told of each flow run and the state that it entered.
    """
    runs = connection.execute(_UNFINISHED_RUNS_OF_OWNER, (owner_id, now_us())).fetchall()
    for flow_run_id, state_type, run_count, can_be_claimed, retries, delay in runs:
        for (task_run_id,) in connection.execute(_UNFINISHED_TASK_RUNS, (flow_run_id,)).fetchall():
            _crash(connection, _CRASH_TASK_RUN, INSERT_TASK_RUN_STATE, task_run_id, message)
        if can_be_claimed and state_type in (RUNNING, SCHEDULED) and run_count <= (retries or 0):
            connection.execute(_END_LEASE, (flow_run_id,))
            if state_type == SCHEDULED:  # its process was to try it again
                connection.execute(_LEAVE_FLOW_RUN, (flow_run_id,))
            else:
                tell(flow_run_id, _try_again(connection, flow_run_id, message, delay))
            continue
        tell(flow_run_id, _crash(connection, _CRASH_FLOW_RUN, INSERT_FLOW_RUN_STATE, flow_run_id, message))
    return len(runs)


def _try_again(connection: sqlite3.Connection, run_id: str, message: str, delay: float | None) -> RunState:
    state = awaiting_retry(now_us() + round((delay or 0) * 1e6), f"{message} It is tried again.")
    due = state.details["scheduled_time"]
    row = (
        state.id,
        run_id,
        state.timestamp,
        state.type,
        state.name,
        state.message,
        f'{{"scheduled_time": {due}}}',
        None,
    )
    connection.execute(INSERT_FLOW_RUN_STATE, row)
    connection.execute(_RETRY_FLOW_RUN, {"now": state.timestamp, "state": state.id, "due": due, "id": run_id})
    return state


def crash_task_run(connection: sqlite3.Connection, task_run_id: str, message: str) -> None:
    """Mark a task run as crashed."""
    _crash(connection, _CRASH_TASK_RUN, INSERT_TASK_RUN_STATE, task_run_id, message)


def _crash(connection: sqlite3.Connection, update: str, insert_state: str, run_id: str, message: str) -> RunState:
    state = RunState("CRASHED", "Crashed", message)
    connection.execute(insert_state, (state.id, run_id, state.timestamp, "CRASHED", "Crashed", message, "{}", None))
    connection.execute(update, {"now": state.timestamp, "state": state.id, "id": run_id})
    return state
