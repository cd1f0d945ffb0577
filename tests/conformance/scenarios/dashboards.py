"""What dashboards ask."""

from __future__ import annotations

from typing import Any

from conformance.scenarios.making import deployment, flow, flow_run, task_run
from conformance.script import FAR, NOBODY, POST, YESTERDAY, Script, each, nothing


def dashboards() -> Script:
    f = yield from flow("xf-flow")
    other = yield from flow("xf-other")
    run = yield from flow_run(f["id"], "xf-run", "RUNNING")
    empty = yield from flow_run(f["id"], "xf-empty", "COMPLETED")
    for name, type in (("xf-a", "RUNNING"), ("xf-b", "COMPLETED"), ("xf-c", "COMPLETED"), ("xf-d", "FAILED")):
        yield from task_run(run["id"], name, type)
    made = yield from deployment(f["id"], "xf-dep")
    later = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"scheduled_time": FAR}}
    yield POST, f"/deployments/{made['id']}/create_flow_run", {"name": "xf-next", "state": later}, nothing
    yield POST, "/ui/flow_runs/count-task-runs", {"flow_run_ids": [run["id"], empty["id"]]}
    yield POST, "/ui/flow_runs/count-task-runs", {"flow_run_ids": []}
    yield POST, "/ui/flow_runs/count-task-runs", {"flow_run_ids": [NOBODY]}
    yield POST, "/ui/flow_runs/count-task-runs", {}
    yield POST, "/ui/flows/count-deployments", {"flow_ids": [f["id"], other["id"]]}
    yield POST, "/ui/flows/count-deployments", {"flow_ids": ["x"]}
    yield POST, "/ui/flows/next-runs", {"flow_ids": [f["id"], other["id"]]}
    yield POST, "/ui/flows/next-runs", {}
    mine = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    yield POST, "/ui/task_runs/count", mine
    yield POST, "/ui/task_runs/count", {**mine, "task_runs": {"name": {"any_": ["xf-a", "xf-d"]}}}
    yield POST, "/ui/task_runs/count", {"flow_runs": {"nope": 1}}

    def total(answer: list[dict[str, Any]]) -> list[int]:
        return [sum(one["completed"] for one in answer), sum(one["failed"] for one in answer), len(answer)]

    span = {"task_runs": {"start_time": {"after_": YESTERDAY, "before_": FAR}}}
    yield POST, "/ui/task_runs/dashboard/counts", {**mine, **span}, total
    yield POST, "/ui/task_runs/dashboard/counts", mine
    ids = {"flow_runs": {"id": {"any_": [run["id"], empty["id"]]}}}
    shown = each("id", "state_type", "timestamp", "lateness")
    yield POST, "/ui/flow_runs/history", {**ids, "sort": "EXPECTED_START_TIME_ASC", "limit": 5}, shown
    yield POST, "/ui/flow_runs/history", {**ids, "limit": 5000}


def forms() -> Script:
    schema = {
        "type": "object", "required": ["a"],
        "properties": {
            "a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}},
            "c": {"type": "object", "properties": {"d": {"type": "boolean"}}},
        },
    }  # fmt: skip
    for values in ({"a": 1}, {"a": "x"}, {}, {"a": 1, "b": ["x", 2]}, {"a": 1, "c": {"d": "no"}}, {"a": 1, "z": 1}):
        yield POST, "/ui/schemas/validate", {"schema": schema, "values": values}, _where
    template = {"__prefect_kind": "jinja", "template": "{{ 1 }}"}
    yield POST, "/ui/schemas/validate", {"schema": schema, "values": {"a": template}}, _where
    broken = {"__prefect_kind": "json", "value": "{"}
    yield POST, "/ui/schemas/validate", {"schema": schema, "values": {"a": broken}}, _where
    yield POST, "/ui/schemas/validate", {"schema": {"type": "nope"}, "values": {}}, _where
    yield POST, "/ui/schemas/validate", {"values": {}}


def _where(answer: dict[str, Any]) -> Any:
    def shape(problem: Any) -> Any:
        if not isinstance(problem, dict):
            return "<text>"
        return {key: [shape(one) for one in value] if key == "errors" else value for key, value in problem.items()}

    return {"valid": answer["valid"], "errors": [shape(one) for one in answer["errors"]]}
