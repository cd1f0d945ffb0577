"""Aggregates for pages, and what is set for the whole server."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from .conftest import Api, serve
from .test_runs_api import LATER, make_flow, make_run, state
from .test_task_runs_api import make_task_run, record


def test_flow_runs_as_points(api: Api) -> None:
    run = make_run(api, **state("SCHEDULED", scheduled_time=LATER))
    (point,) = api("POST", "/ui/flow_runs/history", {"sort": "EXPECTED_START_TIME_DESC"})
    assert point == {"id": run["id"], "state_type": "SCHEDULED", "timestamp": LATER, "duration": 0.0, "lateness": 0.0}
    api("POST", "/ui/flow_runs/history", {"limit": 1001}, status=422)


def test_task_runs_of_flow_runs(api: Api) -> None:
    run, other = make_run(api, **state("RUNNING")), make_run(api, flow_id=make_flow(api, "other"))
    make_task_run(api, flow_run_id=run["id"])
    stand_in = make_task_run(api, flow_run_id=run["id"], dynamic_key="1")
    make_run(api, parent_task_run_id=stand_in["id"])
    counts = api("POST", "/ui/flow_runs/count-task-runs", {"flow_run_ids": [run["id"], other["id"]]})
    assert counts == {run["id"]: 1, other["id"]: 0}
    shown = api("GET", f"/ui/task_runs/{stand_in['id']}")
    assert (shown["id"], shown["flow_run_name"]) == (stand_in["id"], run["name"])
    api("GET", f"/ui/task_runs/{uuid4()}", status=404)


def test_the_next_run_of_flows(api: Api) -> None:
    flow_id, idle = make_flow(api), make_flow(api, "idle")
    for due in (LATER, "2098-01-01T00:00:00Z"):
        make_run(api, flow_id=flow_id, name=due[:4], **state("SCHEDULED", scheduled_time=due))
    found = api("POST", "/ui/flows/next-runs", {"flow_ids": [flow_id, idle]})
    assert found[flow_id]["name"] == "2098"
    assert found[idle] is None


def test_counts_of_task_runs(api: Api) -> None:
    started = [("COMPLETED", "00:00:00"), ("FAILED", "00:05:59"), ("CRASHED", "00:06:00"), ("COMPLETED", "02:00:00")]
    records = [record(None, (type, 1), start_time=f"2024-01-01T{time}Z") for type, time in started]
    api("POST", "/task_runs/record", {"task_runs": [*records, record(None, ("PENDING", 1))]})
    counts = api("POST", "/ui/task_runs/count", {})
    assert {type: count for type, count in counts.items() if count} == {
        "COMPLETED": 2, "FAILED": 1, "CRASHED": 1, "PENDING": 1,
    }  # fmt: skip
    span = {"after_": "2024-01-01T00:00:00Z", "before_": "2024-01-01T02:00:00Z"}
    parts = api("POST", "/ui/task_runs/dashboard/counts", {"task_runs": {"start_time": span}})
    assert len(parts) == 20
    assert parts[0] == {"completed": 1, "failed": 1}
    assert parts[1] == {"completed": 0, "failed": 1}
    assert parts[19] == {"completed": 1, "failed": 0}
    api("POST", "/ui/task_runs/dashboard/counts", {"task_runs": {}}, status=422)
    api("POST", "/ui/task_runs/dashboard/counts", {}, status=422)


def test_lists_may_be_cut_by_null(api: Api) -> None:
    make_flow(api)
    nulls = {"flows": None, "deployments": None, "limit": None, "offset": None, "sort": None}
    assert len(api("POST", "/flows/filter", nulls)) == 1
    answer = api("POST", "/flows/filter", {**nulls, "flows": 5}, status=422)
    assert answer["exception_detail"][0]["loc"] == ["body", "flows"]


def test_where_results_are_stored(api: Api) -> None:
    nowhere = {"default_result_storage_block_id": None}
    assert api("GET", "/admin/storage") == nowhere
    api("PUT", "/admin/storage", {"default_result_storage_block_id": str(uuid4())}, status=404)
    api("PUT", "/admin/storage", {}, status=422)
    api("DELETE", "/admin/storage", status=204)
    assert api("GET", "/admin/storage") == nowhere


def test_without_csrf_protection_there_are_no_tokens(api: Api) -> None:
    assert api("GET", "/csrf-token?client=me", status=422) == {"detail": "CSRF protection is disabled."}


def test_changes_need_the_token_of_their_client(tmp_path: Path) -> None:
    protected = serve(tmp_path, PREFECT_SERVER_CSRF_PROTECTION_ENABLED=True)
    with protected as client:
        assert client.get("/api/health").status_code == 200
        assert client.post("/api/flows/filter", json={}).status_code == 403
        given = client.get("/api/csrf-token?client=me")
        assert given.status_code == 200, given.text
        token = given.json()["token"]

        def ask(who: str, token: str) -> int:
            headers = {"Prefect-Csrf-Client": who, "Prefect-Csrf-Token": token}
            return client.post("/api/flows/filter", json={}, headers=headers).status_code

        assert ask("me", token) == 200
        assert ask("you", token) == 403
        assert ask("me", "x" * 64) == 403
        newer = client.get("/api/csrf-token?client=me").json()["token"]
        assert (ask("me", token), ask("me", newer)) == (403, 200)
