"""What becomes of the states that are proposed."""

from __future__ import annotations

from typing import Any

from conformance.scenarios.making import flow, flow_run, state, task_run
from conformance.script import FAR, GET, NOBODY, POST, YESTERDAY, Script, each, only


def flow_run_proposals() -> Script:
    f = yield from flow("co-flow")
    run = yield from flow_run(f["id"], "co-run", empirical_policy={"retries": 1, "retry_delay": 0})
    at = f"/flow_runs/{run['id']}/set_state"
    proposals: list[dict[str, Any]] = [
        {"state": state("SCHEDULED", state_details={"scheduled_time": YESTERDAY})},
        {"state": state("PENDING")},
        {"state": state("PENDING")},
        {"state": state("RUNNING")},
        {"state": state("RUNNING")},
        {"state": state("FAILED")},
        {"state": state("RUNNING")},
        {"state": state("COMPLETED", data=None)},
        {"state": state("RUNNING")},
        {"state": state("RUNNING"), "force": True},
        {"state": state("CANCELLING")},
        {"state": state("RUNNING")},
        {"state": state("CANCELLED")},
        {"state": state("PENDING")},
    ]
    for proposal in proposals:
        yield POST, at, proposal
    yield POST, at, {"state": {"type": "NOPE"}}
    yield POST, at, {}
    yield POST, f"/flow_runs/{NOBODY}/set_state", {"state": state("RUNNING")}
    yield GET, f"/flow_runs/{run['id']}", None
    yield GET, f"/flow_run_states/?flow_run_id={run['id']}", None, each("type", "name")


def a_run_that_must_wait() -> Script:
    f = yield from flow("cp-flow")
    later = state("SCHEDULED", state_details={"scheduled_time": FAR})
    run = yield POST, "/flow_runs/", {"flow_id": f["id"], "name": "cp-run", "state": later}
    yield POST, f"/flow_runs/{run['id']}/set_state", {"state": state("PENDING")}, only("status")
    yield POST, f"/flow_runs/{run['id']}/set_state", {"state": state("RUNNING")}, only("status")
    yield GET, f"/flow_runs/{run['id']}", None


def pausing() -> Script:
    f = yield from flow("cz-flow")
    run = yield from flow_run(f["id"], "cz-run", "PENDING")
    at = f"/flow_runs/{run['id']}"
    pause = state("PAUSED", state_details={"pause_timeout": FAR, "pause_key": "1"})
    yield POST, f"{at}/resume", {}
    yield POST, f"{at}/set_state", {"state": pause}
    yield POST, f"{at}/set_state", {"state": state("RUNNING")}
    yield POST, f"{at}/set_state", {"state": pause}
    yield GET, at, None
    yield POST, f"{at}/set_state", {"state": state("RUNNING")}
    yield POST, f"{at}/resume", {}
    yield POST, f"{at}/set_state", {"state": pause}
    yield POST, f"/flow_runs/{NOBODY}/resume", {}
    yield GET, at, None


def a_resume_with_input() -> Script:
    f = yield from flow("cu-flow")
    run = yield from flow_run(f["id"], "cu-run", "RUNNING")
    at = f"/flow_runs/{run['id']}"
    keys = {"response": "cu-response", "schema": "cu-schema"}
    pause = state("PAUSED", state_details={"pause_timeout": FAR, "pause_key": "1", "run_input_keyset": keys})
    yield POST, f"{at}/set_state", {"state": pause}
    yield POST, f"{at}/resume", {"run_input": {"n": 1}}
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    yield POST, f"{at}/input", {"key": "cu-schema", "value": schema}
    yield POST, f"{at}/resume", {"run_input": {"n": "x"}}
    yield POST, f"{at}/resume", {"run_input": {"n": 1}}
    yield GET, f"{at}/input/cu-response", None


def task_run_proposals() -> Script:
    f = yield from flow("ct-flow")
    run = yield from flow_run(f["id"], "ct-run", "RUNNING")
    task = yield from task_run(run["id"], "ct-task", empirical_policy={"retries": 1, "retry_delay": 0})
    at = f"/task_runs/{task['id']}"
    for type in ("PENDING", "RUNNING", "FAILED", "RUNNING", "COMPLETED", "RUNNING", "PENDING"):
        yield POST, f"{at}/set_state", {"state": state(type)}
    yield POST, f"{at}/set_state", {"state": state("RUNNING"), "force": True}
    yield POST, f"{at}/set_state", {"state": {}}
    yield POST, f"/task_runs/{NOBODY}/set_state", {"state": state("RUNNING")}
    yield GET, at, None
    yield GET, f"/task_run_states/?task_run_id={task['id']}", None, each("type", "name")


def a_task_of_a_run_that_has_ended() -> Script:
    f = yield from flow("cx-flow")
    run = yield from flow_run(f["id"], "cx-run", "COMPLETED")
    task = yield from task_run(run["id"], "cx-task", "PENDING")
    yield POST, f"/task_runs/{task['id']}/set_state", {"state": state("RUNNING")}
    cancelled = yield from flow_run(f["id"], "cx-cancelled", "CANCELLED")
    task = yield from task_run(cancelled["id"], "cx-task-2", "PENDING")
    yield POST, f"/task_runs/{task['id']}/set_state", {"state": state("RUNNING")}


def a_result_in_the_cache() -> Script:
    f = yield from flow("ck-flow")
    run = yield from flow_run(f["id"], "ck-run", "RUNNING")
    first = yield from task_run(run["id"], "ck-1", "RUNNING")
    kept = state("COMPLETED", state_details={"cache_key": "ck-key"}, data={"result": 1})
    yield POST, f"/task_runs/{first['id']}/set_state", {"state": kept}
    second = yield from task_run(run["id"], "ck-2", "PENDING")
    ask = state("RUNNING", state_details={"cache_key": "ck-key"})
    yield POST, f"/task_runs/{second['id']}/set_state", {"state": ask}
    third = yield from task_run(run["id"], "ck-3", "PENDING")
    anew = state("RUNNING", state_details={"cache_key": "ck-key", "refresh_cache": True})
    yield POST, f"/task_runs/{third['id']}/set_state", {"state": anew}
