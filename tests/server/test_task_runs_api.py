"""Task runs, as a client of the API sees them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from .conftest import Api
from .test_runs_api import make_run, set_state, state


def make_task_run(api: Api, **fields: Any) -> dict[str, Any]:
    return api("POST", "/task_runs/", {"task_key": "k", "dynamic_key": "0", **fields})


def test_a_task_run_is_made_once_for_its_key(api: Api) -> None:
    run = make_run(api, **state("RUNNING"))
    inputs = {"a": [{"input_type": "parameter", "name": "p"}]}
    made = make_task_run(api, flow_run_id=run["id"], name="one", task_inputs=inputs, tags=["x"])
    assert (made["name"], made["state_type"], made["task_inputs"]) == ("one", "PENDING", inputs)
    assert made["labels"] == {"prefect.flow.id": run["flow_id"], "prefect.flow-run.id": run["id"]}
    again = api("POST", "/task_runs/", {"flow_run_id": run["id"], "task_key": "k", "dynamic_key": "0"}, status=200)
    assert again["id"] == made["id"]
    other = {"task_key": "other", "dynamic_key": "1"}
    api("POST", "/task_runs/", {**other, "id": made["id"]}, status=409)
    api("POST", "/task_runs/", {**other, "flow_run_id": str(uuid4())}, status=409)


def test_the_life_of_a_task_run(api: Api) -> None:
    run = make_run(api, **state("RUNNING"))
    id = make_task_run(api, flow_run_id=run["id"], empirical_policy={"retries": 1, "retry_delay": 0})["id"]
    answers = [
        set_state(api, id, type, noun="task_runs")
        for type in ("PENDING", "RUNNING", "FAILED", "RUNNING", "COMPLETED", "RUNNING")
    ]
    assert [answer["status"] for answer in answers] == ["ACCEPT", "ACCEPT", "REJECT", "ACCEPT", "ACCEPT", "ACCEPT"]
    names = ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed", "Running"]
    assert [answer["state"]["name"] for answer in answers] == names
    states = api("GET", f"/task_run_states/?task_run_id={id}")
    assert [each["name"] for each in states] == ["Pending", *names]
    assert states[0]["state_details"]["flow_run_id"] == run["id"]
    assert api("GET", f"/task_run_states/{states[1]['id']}") == states[1]
    task = api("GET", f"/task_runs/{id}")
    assert (task["run_count"], task["flow_run_run_count"]) == (1, 1)
    api("PATCH", f"/task_runs/{id}", {"name": "new"}, status=204)
    assert api("POST", "/task_runs/count", {"task_runs": {"name": {"any_": ["new"]}}}) == 1
    assert api("POST", "/task_runs/paginate", {"flow_runs": {"id": {"any_": [run["id"]]}}})["count"] == 1
    api("DELETE", f"/task_runs/{id}", status=204)
    api("GET", f"/task_runs/{id}", status=404)
    api("DELETE", f"/task_runs/{id}", status=404)
    api("PATCH", f"/task_runs/{id}", {"name": "x"}, status=404)


def test_a_task_does_not_begin_when_its_flow_does_not_run(api: Api) -> None:
    run = make_run(api, **state("RUNNING"))
    id = make_task_run(api, flow_run_id=run["id"])["id"]
    set_state(api, run["id"], "PAUSED", pause_timeout="2099-01-01T00:00:00Z")
    answer = set_state(api, id, "RUNNING", noun="task_runs")
    assert (answer["status"], answer["state"]["name"]) == ("REJECT", "NotReady")
    set_state(api, run["id"], "CANCELLED")
    assert set_state(api, id, "RUNNING", noun="task_runs")["status"] == "ABORT"


def record(flow_run_id: str | None, *states: tuple[str, int], **fields: Any) -> dict[str, Any]:
    made = [
        {"id": str(uuid4()), "type": type, "name": type.capitalize(), "timestamp": f"2024-01-01T00:00:{second:02}Z"}
        for type, second in states
    ]
    return {
        "id": str(uuid4()),
        "name": "t",
        "flow_run_id": flow_run_id,
        "task_key": "k",
        "dynamic_key": "0",
        "states": made,
        **fields,
    }


def test_records_may_come_twice_and_in_any_order(api: Api) -> None:
    run = make_run(api, **state("RUNNING"))
    whole = record(run["id"], ("PENDING", 1), ("RUNNING", 2), ("COMPLETED", 3), run_count=1, total_run_time=1.0)
    earlier = {**whole, "states": whole["states"][:2], "name": "old"}
    for sent in (whole, earlier, whole):
        assert api("POST", "/task_runs/record", {"task_runs": [sent]}) == {"recorded": 1, "orphans": [], "fenced": []}
    task = api("GET", f"/task_runs/{whole['id']}")
    assert (task["state_type"], task["name"], task["run_count"], task["total_run_time"]) == ("COMPLETED", "t", 1, 1.0)
    states = api("GET", f"/task_run_states/?task_run_id={whole['id']}")
    assert [each["id"] for each in states] == [each["id"] for each in whole["states"]]


def test_a_record_of_a_deleted_run_does_not_keep_the_others_out(api: Api) -> None:
    run = make_run(api, **state("RUNNING"))
    lost, alone, kept = (
        record(str(uuid4()), ("PENDING", 1)),
        record(None, ("PENDING", 1)),
        record(run["id"], ("PENDING", 1)),
    )
    answer = api("POST", "/task_runs/record", {"task_runs": [lost, alone, kept]})
    assert answer == {"recorded": 2, "orphans": [lost["id"]], "fenced": []}
    assert api("POST", "/task_runs/count", {}) == 2
    api("POST", "/task_runs/record", {"task_runs": [{**kept, "states": []}]}, status=422)
