"""What is said to a server about runs: dictionaries that become the JSON of `POST /runs/record`, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect._clock import from_us, to_us
from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._engine.recording.values import clean
from prefect._lazy import lazy_module
from prefect._rules.states import RUNNING, RunState, Value
from prefect._rules.transitions import Verdict
from prefect.logging.sink import LogRow

if TYPE_CHECKING:
    import json

    import orjson

    from prefect._parameters import serialization
else:
    json = lazy_module("json")
    orjson = lazy_module("orjson")
    serialization = lazy_module("prefect._parameters.serialization")

Message = dict[str, list[dict[str, Any]]]
"""Lists of records by kind; a server takes the kinds in the order of `KINDS`, and each list as it is."""

KINDS = ("flow_runs", "task_runs", "logs", "events", "artifacts", "artifact_changes", "proposals")

TaskItem = tuple[TaskFrame, RunState, int, int | None, int | None, int, int | None]
"""A frame, the state it entered, and its attempts, start, end, time spent running and expected start at that moment."""

_MOMENTS = ("scheduled_time", "cache_expiration", "pause_timeout")
_OWN_IDS = ("flow_run_id", "task_run_id")


def encode(message: Any) -> bytes:
    """A message as JSON; what JSON does not know is told as text."""
    try:
        return orjson.dumps(message, default=str, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):  # half a surrogate pair, an integer beyond 64 bits, nesting without end
        plain = json.dumps(_plain(message), default=str, skipkeys=True, ensure_ascii=False)
        return plain.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """A value whose moments and fragments are what the slower writer of JSON knows."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, orjson.Fragment):
        return orjson.loads(orjson.dumps(value))
    return value


_NOUNS = {
    "flow_runs": "flow runs begun",
    "task_runs": "task runs",
    "logs": "log lines",
    "events": "events",
    "artifacts": "artifacts",
    "artifact_changes": "changes of artifacts",
    "proposals": "states of flow runs",
}


def contents(lines: Iterable[bytes]) -> str:
    """What is in some messages, in words: how many of which kind."""
    counts = dict.fromkeys(KINDS, 0)
    for line in lines:
        message = orjson.loads(line)
        for kind in KINDS:
            counts[kind] += len(message.get(kind, ()))
    return ", ".join(f"{_NOUNS[kind]}: {count}" for kind, count in counts.items() if count)


def moment(microseconds: int | None) -> datetime | None:
    """A moment as it is sent."""
    return from_us(microseconds) if microseconds is not None else None


# -- what is sent ------------------------------------------------------------------------------------------------------


def state(entered: RunState) -> dict[str, Any]:
    """A state."""
    said: dict[str, Any] = {
        "id": entered.id,
        "type": entered.type,
        "name": clean(entered.name),
        "timestamp": from_us(entered.timestamp),
    }
    if entered.message is not None:
        said["message"] = clean(entered.message)
    if entered.details:
        said["state_details"] = {
            name: from_us(value) if name in _MOMENTS and isinstance(value, int) else value
            for name, value in entered.details.items()
        }
    if type(entered.data) is Value and entered.data.record is not None:
        said["data"] = entered.data.stored_reference()
    return said


def task_runs(items: Iterable[TaskItem]) -> list[dict[str, Any]]:
    """Task runs as they are after the last of the states that each has entered, with all these states."""
    newest: dict[TaskFrame, dict[str, Any]] = {}
    states: dict[TaskFrame, list[dict[str, Any]]] = {}
    last: dict[TaskFrame, TaskItem] = {}
    for item in items:
        frame = item[0]
        last[frame] = item
        states.setdefault(frame, []).append(state(item[1]))
    for frame, item in last.items():
        newest[frame] = _task_run(*item)
        newest[frame]["states"] = states[frame]
    return list(newest.values())


def _task_run(
    frame: TaskFrame,
    entered: RunState,
    run_count: int,
    start_us: int | None,
    end_us: int | None,
    total_us: int,
    expected_us: int | None,
) -> dict[str, Any]:
    task, flow_frame = frame.task, frame.flow_frame
    said: dict[str, Any] = {
        "id": frame.id,
        "name": clean(frame.name),
        "created": from_us(frame.created_us),
        "flow_run_id": frame.flow_run_id,
        "task_key": task.task_key,
        "dynamic_key": frame.dynamic_key,
        "task_version": task.version,
        "empirical_policy": orjson.Fragment(task.policy_json),
        "flow_run_run_count": flow_frame.run_count if flow_frame is not None else 0,
        "run_count": run_count,
        "expected_start_time": moment(expected_us),
        "start_time": moment(start_us),
        "end_time": moment(end_us),
        "total_run_time": total_us / 1e6,
    }
    if frame.inputs:
        said["task_inputs"] = frame.inputs
    if frame.tags:
        said["tags"] = sorted(frame.tags)
    if frame.cache_key is not None:
        said["cache_key"], said["cache_expiration"] = frame.cache_key, moment(frame.cache_expiration_us)
    if "scheduled_time" in entered.details:
        said["next_scheduled_start_time"] = moment(entered.details["scheduled_time"])
    return said


def flow_run(frame: FlowFrame, first: RunState) -> dict[str, Any]:
    """A flow run that begins in the state `first`, and its flow."""
    flow = frame.flow
    return {
        "id": frame.id,
        "name": clean(frame.name),
        "created": from_us(frame.created_us),
        "flow_name": clean(flow.name),
        "flow_version": clean(flow.version),
        "parameters": serialization.dump_parameters(frame.parameters) if frame.parameters else {},
        "empirical_policy": orjson.Fragment(flow.policy_json),
        "tags": sorted(frame.tags),
        "labels": frame.labels,
        "parent_task_run_id": frame.parent_task_run_id,
        "parent_flow_run_id": frame.parent_flow_run_id,
        "state": state(first),
    }


def proposal(frame: FlowFrame, proposed: RunState, force: bool) -> dict[str, Any]:
    """A state that a flow run is to enter."""
    said = {"flow_run_id": frame.id, "state": state(proposed), "force": force, "name": clean(frame.name)}
    if frame.lease_token is not None:
        said["lease_token"] = frame.lease_token
    if frame.adopted is not None and proposed.type == RUNNING:
        said["policy"] = orjson.Fragment(frame.flow.policy_json)  # who made the run did not know the flow
    return said


def log(row: LogRow, id: str) -> dict[str, Any]:
    """A log line."""
    name, level, message, timestamp, flow_run_id, task_run_id, worker_id = row
    said = {
        "id": id,
        "name": name,
        "level": level,
        "message": clean(message),
        "timestamp": from_us(timestamp),
        "flow_run_id": flow_run_id,
        "task_run_id": task_run_id,
    }
    if worker_id is not None:
        said["worker_id"] = worker_id
    return said


def event(row: tuple[Any, ...], resources: list[tuple[Any, ...]]) -> dict[str, Any]:
    """An event: a row of `event` and its rows of `event_resource`."""
    id, occurred, name, _, payload, follows, _ = row
    labels = [orjson.Fragment(resource[4]) for resource in resources]
    said = {
        "id": id,
        "occurred": from_us(occurred),
        "event": name,
        "resource": labels[0],
        "related": labels[1:],
        "payload": orjson.Fragment(payload),
    }
    if follows is not None:
        said["follows"] = follows
    return said


# -- what is answered --------------------------------------------------------------------------------------------------


def read_state(said: dict[str, Any]) -> RunState:
    """A state as a server tells it."""
    details: dict[str, Any] = {}
    for name, value in (said.get("state_details") or {}).items():
        if value is None or value is False or name in _OWN_IDS:
            continue
        details[name] = to_us(datetime.fromisoformat(value)) if name in _MOMENTS else value
    timestamp = to_us(datetime.fromisoformat(said["timestamp"]))
    return RunState(said["type"], said["name"], said.get("message"), said.get("data"), details, timestamp, said["id"])


def read_verdict(said: dict[str, Any], proposed: RunState) -> Verdict:
    """The answer to a proposed state."""
    kind, details = said["status"], said.get("details") or {}
    entered = read_state(said["state"]) if said.get("state") else None
    if kind == "ACCEPT" and (entered is None or (entered.type, entered.name) == (proposed.type, proposed.name)):
        entered = proposed  # which knows its value
    return Verdict(kind, entered, details.get("reason") or "", details.get("delay_seconds") or 0.0)
