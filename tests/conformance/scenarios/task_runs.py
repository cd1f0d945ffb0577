"""Task runs."""

from __future__ import annotations

from typing import Any

from conformance.scenarios.making import flow, flow_run, state, task_run
from conformance.script import DELETE, GET, NOBODY, PATCH, POST, TODAY, YESTERDAY, Script, only, page


def task_runs() -> Script:
    f = yield from flow("cm-flow")
    run = yield from flow_run(f["id"], "cm-run", "RUNNING")
    body = {
        "flow_run_id": run["id"], "task_key": "cm-key", "dynamic_key": "0", "name": "cm-1", "tags": ["b", "a"],
        "task_inputs": {
            "p": [{"input_type": "parameter", "name": "x"}], "c": [{"input_type": "constant", "type": "int"}],
            "t": [{"input_type": "task_run", "id": NOBODY}], "r": [{"input_type": "flow_run", "id": NOBODY}],
        },
        "empirical_policy": {"retries": 1, "retry_delay": [1, 2], "retry_jitter_factor": 0.5},
        "cache_key": "c", "task_version": "v", "labels": {"l": 1},
    }  # fmt: skip
    made = yield POST, "/task_runs/", body
    yield POST, "/task_runs/", {**body, "name": "again"}
    yield GET, f"/task_runs/{made['id']}", None
    yield PATCH, f"/task_runs/{made['id']}", {"name": "cm-renamed"}
    yield PATCH, f"/task_runs/{made['id']}", {"nope": 1}
    yield PATCH, f"/task_runs/{NOBODY}", {"name": "x"}
    yield GET, f"/task_runs/{made['id']}", None
    yield POST, "/task_runs/", {"task_key": "cm-alone", "dynamic_key": "1", "name": "cm-alone", "flow_run_id": None}
    yield POST, "/task_runs/", {"flow_run_id": run["id"], "task_key": "k"}
    bad = {**body, "dynamic_key": "9", "task_inputs": {"x": [{"input_type": "nope"}]}}
    yield POST, "/task_runs/", bad
    yield POST, "/task_runs/", {**body, "dynamic_key": "8", "empirical_policy": {"retry_delay": "soon"}}
    yield GET, f"/task_runs/{NOBODY}", None
    yield GET, "/task_runs/no-id", None
    yield DELETE, f"/task_runs/{made['id']}", None
    yield DELETE, f"/task_runs/{made['id']}", None


def task_run_states() -> Script:
    f = yield from flow("cn-flow")
    run = yield from flow_run(f["id"], "cn-run", "RUNNING")
    task = yield from task_run(run["id"], "cn-task", "PENDING")
    yield POST, f"/task_runs/{task['id']}/set_state", {"state": state("RUNNING", "Going", message="m")}
    states = yield GET, f"/task_run_states/?task_run_id={task['id']}", None
    yield GET, f"/task_run_states/{states[-1]['id']}", None
    yield GET, f"/task_run_states/{NOBODY}", None
    yield GET, f"/task_run_states/?task_run_id={NOBODY}", None
    yield GET, "/task_run_states/", None
    yield GET, f"/ui/task_runs/{task['id']}", None
    yield GET, f"/ui/task_runs/{NOBODY}", None


def history_of_task_runs() -> Script:
    f = yield from flow("cv-flow")
    run = yield from flow_run(f["id"], "cv-run", "RUNNING")
    for number in range(3):
        first = state("SCHEDULED", state_details={"scheduled_time": f"2024-01-01T{number * 5:02}:00:00Z"})
        body = {
            "flow_run_id": run["id"], "task_key": "cv", "dynamic_key": str(number), "name": f"cv-{number}", "state": first,
        }  # fmt: skip
        yield POST, "/task_runs/", body, only("expected_start_time")
    mine: dict[str, Any] = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    span = {"history_start": YESTERDAY, "history_end": TODAY}

    def counted(answer: list[dict[str, Any]]) -> list[Any]:
        keys = ("state_type", "state_name", "count_runs")
        return [
            [one["interval_start"], one["interval_end"], sorted([part[key] for key in keys] for part in one["states"])]
            for one in answer
        ]

    yield POST, "/task_runs/history", {**span, "history_interval_seconds": 21600, **mine}, counted
    yield POST, "/task_runs/history", {**span, "history_interval_seconds": 0.5, **mine}
    yield POST, "/task_runs/history", {**span, **mine}
    yield POST, "/task_runs/paginate", {**mine, "limit": 2, "sort": "NAME_ASC"}, page
    yield POST, "/task_runs/paginate", {**mine, "limit": 2, "page": 2, "sort": "NAME_ASC"}, page
    yield POST, "/task_runs/paginate", {**mine, "page": 0}
    yield POST, "/task_runs/count", mine
    yield POST, "/task_runs/filter", {**mine, "limit": 201}


def task_workers() -> Script:
    yield POST, "/task_workers/filter", {"task_worker_filter": {"task_keys": ["none-such"]}}
    yield POST, "/task_workers/filter", {"task_worker_filter": {"task_keys": 3}}
