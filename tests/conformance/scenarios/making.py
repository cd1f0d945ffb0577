"""What many scenarios begin with."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from conformance.script import POST, Request, nothing

Made = Generator[Request, Any, dict[str, Any]]


def state(type: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": type, "name": name or type.title(), **more}


def _made(answer: dict[str, Any]) -> dict[str, Any]:
    assert "id" in answer, f"a scenario cannot begin: {answer}"
    return answer


def flow(name: str, **more: Any) -> Made:
    return _made((yield POST, "/flows/", {"name": name, **more}, nothing))


def flow_run(flow_id: str, name: str, type: str | None = None, **more: Any) -> Made:
    body = {"flow_id": flow_id, "name": name, **more}
    if type is not None:
        body["state"] = state(type)
    return _made((yield POST, "/flow_runs/", body, nothing))


def task_run(flow_run_id: str | None, name: str, type: str | None = None, **more: Any) -> Made:
    body = {"flow_run_id": flow_run_id, "name": name, "task_key": name, "dynamic_key": "0", **more}
    if type is not None:
        body["state"] = state(type)
    return _made((yield POST, "/task_runs/", body, nothing))


def pool(name: str, **more: Any) -> Made:
    return _made((yield POST, "/work_pools/", {"name": name, "type": "process", **more}, nothing))


def deployment(flow_id: str, name: str, **more: Any) -> Made:
    return _made((yield POST, "/deployments/", {"flow_id": flow_id, "name": name, **more}, nothing))
