"""Events of flow runs that are recorded without a server: written with the state, in the same transaction.

They say what `prefect._operations.outbox` says of runs that a server records; this is the same in plain SQL for SQLite,
as the path of a running flow imports nothing large. Only runs of deployments have events: those are the runs that
somebody else waits for, and the events of a run double what it costs to record it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from prefect._clock import from_us, now_us
from prefect._lazy import lazy_module
from prefect._rules.states import PAUSED, RunState
from prefect._store import statements as sql

if TYPE_CHECKING:
    import json
else:
    json = lazy_module("json")

_RUN = """
SELECT r.name, r.run_count, r.tags, r.flow_id, f.name, f.tags, d.id, d.name, d.tags, q.id, q.name, p.id, p.name, p.type,
    r.parent_task_run_id, t.name
FROM flow_run r
JOIN deployment d ON d.id = r.deployment_id
JOIN flow f ON f.id = r.flow_id
LEFT JOIN work_queue q ON q.id = r.work_queue_id
LEFT JOIN work_pool p ON p.id = q.work_pool_id
LEFT JOIN task_run t ON t.id = r.parent_task_run_id
WHERE r.id = ? AND r.deployment_id IS NOT NULL
"""

_BEFORE = """
SELECT id, type, name, message FROM flow_run_state
WHERE flow_run_id = ? AND id <> ? AND timestamp <= ? ORDER BY timestamp DESC, id DESC LIMIT 1
"""

_LONGEST_MESSAGE = 100_000


def flow_run_entered(connection: sqlite3.Connection, flow_run_id: str, state: RunState) -> None:
    """Write that a run of a deployment entered a state, which is written already. The event's id is the state's.

    Args:
        connection: in a transaction.
        flow_run_id: the run.
        state: the state.
    """
    row = connection.execute(_RUN, (flow_run_id,)).fetchone()
    if row is None:
        return
    before = connection.execute(_BEFORE, (flow_run_id, state.id, state.timestamp)).fetchone()
    message = (state.message or "")[:_LONGEST_MESSAGE]
    subject = {
        "prefect.resource.id": f"prefect.flow-run.{flow_run_id}",
        "prefect.resource.name": row[0],
        "prefect.run-count": str(row[1]),
        "prefect.state-message": message,
        "prefect.state-name": state.name,
        "prefect.state-timestamp": from_us(state.timestamp).isoformat(),
        "prefect.state-type": state.type,
    }
    payload = {
        "intended": {"from": None if before is None else before[1], "to": state.type},
        "initial_state": None if before is None else _described(before[1], before[2], before[3]),
        "validated_state": _described(state.type, state.name, message)
        | (
            {"pause_reschedule": str(bool(state.details.get("pause_reschedule"))).lower()}
            if state.type == PAUSED
            else {}
        ),
    }
    follows = None if before is None else before[0]
    connection.execute(
        sql.INSERT_EVENT,
        (
            state.id, state.timestamp, _clean(f"prefect.flow-run.{state.name}"), subject["prefect.resource.id"],
            _json(payload), follows, now_us(),
        ),
    )  # fmt: skip
    connection.executemany(
        sql.INSERT_EVENT_RESOURCE,
        [
            (state.id, place, labels["prefect.resource.id"], labels["prefect.resource.role"] if place else "",
             _json(labels), state.timestamp)
            for place, labels in enumerate([subject, *_related(row)])
        ],
    )  # fmt: skip


def _described(type: str, name: str, message: str | None) -> dict[str, Any]:
    described = {"type": type, "name": name}
    if message:
        described["message"] = message[:_LONGEST_MESSAGE]
    return described


def _related(row: tuple[Any, ...]) -> list[dict[str, str]]:
    (_, _, tags, flow_id, flow, flow_tags, deployment_id, deployment, deployment_tags, queue_id, queue, pool_id, pool,
     pool_type, parent_id, parent) = row  # fmt: skip
    related = [_resource("flow", flow_id, flow)]
    if deployment_id is not None:
        related.append(_resource("deployment", deployment_id, deployment))
    if queue_id is not None:
        related.append(_resource("work-queue", queue_id, queue))
    if pool_id is not None:
        related.append(_resource("work-pool", pool_id, pool) | {"prefect.work-pool.type": pool_type})
    if parent is not None:
        related.append(_resource("task-run", parent_id, parent))
    all_tags = {tag for text in (tags, flow_tags, deployment_tags) if text and text != "[]" for tag in json.loads(text)}
    return related + [_resource("tag", tag, None) for tag in sorted(all_tags)]


def _resource(kind: str, id: str, name: str | None) -> dict[str, str]:
    labels = {"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.role": kind}
    return labels if name is None else {**labels, "prefect.resource.name": name}


def _json(value: Any) -> str:
    return _clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _clean(text: str) -> str:
    """Text that can be stored: without half surrogate pairs."""
    return text.encode("utf-8", "replace").decode()
