"""Flows, flow runs and their states, as a client of the API sees them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from .conftest import Api

LATER = "2099-01-01T00:00:00Z"
EARLIER = "2024-01-01T00:00:00Z"


def state(type: str, name: str | None = None, *, data: Any = None, **details: Any) -> dict[str, Any]:
    return {"state": {"type": type, "name": name or type.capitalize(), "data": data, "state_details": details}}


def make_flow(api: Api, name: str = "etl") -> str:
    return api("POST", "/flows/", {"name": name})["id"]


def make_run(api: Api, **fields: Any) -> dict[str, Any]:
    return api("POST", "/flow_runs/", {"flow_id": fields.pop("flow_id", None) or make_flow(api), **fields})


def set_state(api: Api, id: str, *args: Any, noun: str = "flow_runs", force: bool = False, **kwargs: Any) -> Any:
    return api("POST", f"/{noun}/{id}/set_state", {**state(*args, **kwargs), "force": force})


def test_a_flow_is_made_once(api: Api) -> None:
    made = api("POST", "/flows/", {"name": "etl", "tags": ["a"], "labels": {"team": "data"}}, status=201)
    assert api("POST", "/flows/", {"name": "etl", "tags": ["b"]}, status=200) == made
    assert api("GET", "/flows/name/etl") == made
    api("PATCH", f"/flows/{made['id']}", {"tags": ["z"]}, status=204)
    assert api("POST", "/flows/filter", {"flows": {"tags": {"all_": ["z"]}}})[0]["id"] == made["id"]
    page = api("POST", "/flows/paginate", {"limit": 1, "page": 1})
    assert (page["count"], page["pages"], page["page"], len(page["results"])) == (1, 1, 1, 1)
    api("DELETE", f"/flows/{made['id']}", status=204)
    api("DELETE", f"/flows/{made['id']}", status=404)


@pytest.mark.parametrize("body", [{}, {"name": "a/b"}, {"name": "x", "nope": 1}, {"name": 5}, {"name": ""}])
def test_a_flow_that_cannot_be_is_refused(api: Api, body: dict[str, Any]) -> None:
    api("POST", "/flows/", body, status=422)


def test_deleting_a_flow_deletes_its_runs(api: Api) -> None:
    run = make_run(api)
    api("POST", f"/flow_runs/{run['id']}/input", {"key": "k", "value": "1"}, status=201)
    assert api("POST", "/flows/bulk_delete", {"flows": {"name": {"any_": ["etl"]}}}) == {"deleted": [run["flow_id"]]}
    api("GET", f"/flow_runs/{run['id']}", status=404)


def test_a_run_begins_pending_and_is_made_once_for_a_key(api: Api) -> None:
    flow_id = make_flow(api)
    body = {"flow_id": flow_id, "name": "one", "parameters": {"x": [1]}, "idempotency_key": "k", "labels": {"a": 1}}
    made = api("POST", "/flow_runs/", body, status=201)
    assert (made["name"], made["state_type"], made["run_count"]) == ("one", "PENDING", 0)
    assert made["parameters"] == {"x": [1]}
    assert made["labels"] == {"prefect.flow.id": flow_id, "a": 1}
    assert made["state"]["state_details"]["flow_run_id"] == made["id"]
    assert made["expected_start_time"] == made["state"]["timestamp"]
    again = api("POST", "/flow_runs/", {**body, "name": "two"}, status=200)
    assert (again["id"], again["name"]) == (made["id"], "one")
    assert make_run(api, flow_id=flow_id)["name"]


def test_a_run_of_no_flow_is_a_conflict(api: Api) -> None:
    api("POST", "/flow_runs/", {"flow_id": str(uuid4())}, status=409)
    api("POST", "/flow_runs/", {"flow_id": "x"}, status=422)


def test_parameters_have_a_largest_size(api: Api) -> None:
    flow_id = make_flow(api)
    answer = api("POST", "/flow_runs/", {"flow_id": flow_id, "parameters": {"x": "a" * 600_000}}, status=422)
    assert "524288" in answer["detail"]


def test_the_life_of_a_run(api: Api) -> None:
    run_id = make_run(api, empirical_policy={"retries": 1, "retry_delay": 0})["id"]
    answer = set_state(api, run_id, "SCHEDULED", scheduled_time=EARLIER)
    assert (answer["status"], answer["details"]) == ("ACCEPT", {"type": "accept_details"})
    assert set_state(api, run_id, "PENDING")["state"]["state_details"]["scheduled_time"] == EARLIER
    answer = set_state(api, run_id, "PENDING")
    assert (answer["status"], answer["details"]["type"]) == ("ABORT", "abort_details")
    set_state(api, run_id, "RUNNING")
    answer = set_state(api, run_id, "FAILED")
    assert (answer["status"], answer["state"]["name"]) == ("REJECT", "AwaitingRetry")
    run = api("GET", f"/flow_runs/{run_id}")
    assert (run["run_count"], run["state_name"], run["empirical_policy"]["retry_type"]) == (
        1,
        "AwaitingRetry",
        "in_process",
    )
    set_state(api, run_id, "RUNNING")
    set_state(api, run_id, "COMPLETED")
    run = api("GET", f"/flow_runs/{run_id}")
    assert run["run_count"] == 2
    assert run["start_time"] < run["end_time"]
    assert run["total_run_time"] > 0
    states = api("GET", f"/flow_run_states/?flow_run_id={run_id}")
    names = ["Pending", "Scheduled", "Pending", "Running", "AwaitingRetry", "Running", "Completed"]
    assert [each["name"] for each in states] == names
    assert api("GET", f"/flow_run_states/{states[0]['id']}") == states[0]
    api("GET", f"/flow_run_states/{uuid4()}", status=404)


def test_a_run_waits_for_its_time(api: Api) -> None:
    run_id = make_run(api, **state("SCHEDULED", scheduled_time=LATER))["id"]
    answer = set_state(api, run_id, "RUNNING")
    assert answer["status"] == "WAIT"
    assert answer["details"]["delay_seconds"] > 1e9
    assert set_state(api, run_id, "RUNNING", force=True)["status"] == "ACCEPT"


def test_only_one_of_many_workers_claims_a_run(api: Api) -> None:
    run_id = make_run(api, **state("SCHEDULED", scheduled_time=EARLIER))["id"]
    answers: list[str] = []

    def claim() -> None:
        answers.append(set_state(api, run_id, "PENDING", transition_id=str(uuid4()))["status"])

    threads = [threading.Thread(target=claim) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["ABORT"] * 11 + ["ACCEPT"]


def test_a_state_of_no_run_or_of_no_kind(api: Api) -> None:
    api("POST", f"/flow_runs/{uuid4()}/set_state", state("RUNNING"), status=404)
    run_id = make_run(api)["id"]
    answer = api("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "NOPE"}}, status=422)
    assert answer["exception_detail"][0]["loc"] == ["body", "state", "type"]
    api("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "RUNNING", "timestamp": EARLIER}}, status=422)


def test_a_pause_and_its_input(api: Api) -> None:
    run_id = make_run(api, **state("RUNNING"))["id"]
    keys = {"schema": "pause-1-schema", "response": "pause-1-response"}
    set_state(api, run_id, "PAUSED", pause_key="1", pause_timeout=LATER, run_input_keyset=keys)
    assert api("GET", f"/flow_runs/{run_id}")["empirical_policy"]["pause_keys"] == ["1"]
    answer = api("POST", f"/flow_runs/{run_id}/resume", {"run_input": {"a": 1}}, status=200)
    assert (answer["status"], answer["details"]["reason"]) == ("REJECT", "Run input schema not found.")
    schema = '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
    api("POST", f"/flow_runs/{run_id}/input", {"key": "pause-1-schema", "value": schema}, status=201)
    for wrong in ({"run_input": {"a": "x"}}, {}):
        answer = api("POST", f"/flow_runs/{run_id}/resume", wrong, status=200)
        assert (answer["status"], answer["state"]["name"]) == ("REJECT", "Paused")
    answer = api("POST", f"/flow_runs/{run_id}/resume", {"run_input": {"a": 1}}, status=201)
    assert (answer["status"], answer["state"]["type"]) == ("ACCEPT", "RUNNING")
    assert api.client.get(f"/api/flow_runs/{run_id}/input/pause-1-response").text == '{"a":1}'
    answer = api("POST", f"/flow_runs/{run_id}/resume", {}, status=200)
    assert (answer["status"], answer["state"]) == ("ABORT", None)
    answer = set_state(api, run_id, "PAUSED", pause_key="1", pause_timeout=LATER)
    assert answer["details"]["reason"] == "This pause has already fired."


def test_inputs_of_a_run(api: Api) -> None:
    run_id = make_run(api)["id"]
    path = f"/flow_runs/{run_id}/input"
    for key in ("a-1", "a-2", "b-1"):
        api("POST", path, {"key": key, "value": '"v"', "sender": "me"}, status=201)
    api("POST", path, {"key": "a-1", "value": "2"}, status=409)
    api("POST", f"/flow_runs/{uuid4()}/input", {"key": "a", "value": "2"}, status=404)
    found = api("POST", f"{path}/filter", {"prefix": "a", "limit": 10, "exclude_keys": ["a-1"]})
    assert [(each["key"], each["value"], each["sender"]) for each in found] == [("a-2", '"v"', "me")]
    assert api("GET", f"{path}/a-1") == "v"
    api("DELETE", f"{path}/a-1", status=204)
    api("GET", f"{path}/a-1", status=404)
    api("DELETE", f"{path}/a-1", status=404)


def test_changing_a_run(api: Api) -> None:
    run_id = make_run(api)["id"]
    api("PATCH", f"/flow_runs/{run_id}", {"name": "new", "tags": ["t"], "parameters": {"x": 2}}, status=204)
    api("PATCH", f"/flow_runs/{run_id}/labels", {"b": "x"}, status=204)
    api("PATCH", f"/flow_runs/{run_id}", {"job_variables": {"x": 1}}, status=400)
    api("PATCH", f"/flow_runs/{uuid4()}", {"name": "x"}, status=404)
    api("PATCH", f"/flow_runs/{run_id}", {"nope": 1}, status=422)
    run = api("GET", f"/flow_runs/{run_id}")
    assert (run["name"], run["tags"], run["parameters"], run["labels"]["b"]) == ("new", ["t"], {"x": 2}, "x")
    set_state(api, run_id, "SCHEDULED", scheduled_time=LATER)
    api("PATCH", f"/flow_runs/{run_id}", {"job_variables": {"x": 1}}, status=204)
    assert api("GET", f"/flow_runs/{run_id}")["job_variables"] == {"x": 1}


def test_many_runs_at_once(api: Api) -> None:
    flow_id = make_flow(api)
    ids = {make_run(api, flow_id=flow_id, **state("RUNNING"))["id"] for _ in range(3)}
    of_flow = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    answer = api("POST", "/flow_runs/bulk_set_state", {**of_flow, **state("CANCELLING")})
    assert {(each["flow_run_id"], each["status"]) for each in answer["results"]} == {(id, "ACCEPT") for id in ids}
    assert api("POST", "/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": ["CANCELLING"]}}}}) == 3
    page = api("POST", "/flow_runs/paginate", {"limit": 2, "page": 2})
    assert (page["count"], page["pages"], len(page["results"])) == (3, 2, 1)
    assert set(api("POST", "/flow_runs/bulk_delete", {})["deleted"]) == ids
    api("POST", "/flow_runs/bulk_delete", {"limit": 51}, status=422)


def test_a_sub_flow_leads_the_task_run_that_stands_for_it(api: Api) -> None:
    parent = make_run(api, **state("RUNNING"))
    task = api("POST", "/task_runs/", {"flow_run_id": parent["id"], "task_key": "k", "dynamic_key": "0"})
    child = make_run(api, parent_task_run_id=task["id"], **state("RUNNING"))
    of_parent = {"flow_runs": {"parent_flow_run_id": {"any_": [parent["id"]]}}}
    assert [run["id"] for run in api("POST", "/flow_runs/filter", of_parent)] == [child["id"]]
    set_state(api, child["id"], "COMPLETED")
    task = api("GET", f"/task_runs/{task['id']}")
    assert (task["state_type"], task["run_count"]) == ("COMPLETED", 1)
    assert task["state"]["state_details"]["child_flow_run_id"] == child["id"]


def test_counts_over_time(api: Api) -> None:
    flow_id = make_flow(api)
    for hour in (1, 13, 14):
        due = f"2024-01-01T{hour:02}:00:00Z"
        run_id = make_run(api, flow_id=flow_id, **state("SCHEDULED", scheduled_time=due))["id"]
        if hour == 13:
            set_state(api, run_id, "CANCELLED")
    span = {"history_start": EARLIER, "history_end": "2024-01-02T00:00:00Z", "history_interval_seconds": 43_200}
    first, second = api("POST", "/flow_runs/history", span)
    assert (first["interval_start"], first["interval_end"]) == (EARLIER, "2024-01-01T12:00:00Z")
    assert [(each["state_type"], each["count_runs"]) for each in first["states"]] == [("SCHEDULED", 1)]
    assert [(each["state_name"], each["count_runs"]) for each in second["states"]] == [
        ("Cancelled", 1),
        ("Scheduled", 1),
    ]
    late = (datetime.now(UTC) - datetime(2024, 1, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert first["states"][0]["sum_estimated_lateness"] == pytest.approx(late, abs=60)
    assert second["states"][0]["sum_estimated_lateness"] == 0
    assert api("POST", "/flow_runs/lateness", {}) == pytest.approx(late * 2 / 3, rel=0.01)
    assert api("POST", "/flow_runs/lateness", {"flow_runs": {"name": {"any_": ["x"]}}}) is None
    api("POST", "/flow_runs/history", {**span, "history_interval_seconds": 0.1}, status=422)
    api(
        "POST",
        "/flow_runs/history",
        {**span, "history_start": "1900-01-01T00:00:00Z", "history_interval_seconds": 1},
        status=422,
    )
    assert api("POST", "/task_runs/history", span)[0]["states"] == []


def test_the_graph_of_a_run(api: Api) -> None:
    parent = make_run(api, **state("RUNNING"))
    ids = []
    for index in range(3):
        inputs = {"x": [{"input_type": "task_run", "id": id} for id in ids[-1:]]}
        body = {"flow_run_id": parent["id"], "task_key": "k", "dynamic_key": str(index), "name": f"t{index}"}
        ids.append(api("POST", "/task_runs/", {**body, "task_inputs": inputs})["id"])
        if index < 2:
            set_state(api, ids[-1], "RUNNING", noun="task_runs")
    child = make_run(api, parent_task_run_id=ids[2], name="sub", **state("RUNNING"))
    api(
        "POST",
        "/artifacts/",
        {"key": "a", "type": "markdown", "data": "x", "task_run_id": ids[0], "flow_run_id": parent["id"]},
    )
    graph = api("GET", f"/flow_runs/{parent['id']}/graph-v2")
    nodes = {node["label"]: node for _, node in graph["nodes"]}
    assert list(nodes) == ["t0", "t1", "etl / sub"]
    assert graph["root_node_ids"] == [ids[0]]
    assert nodes["t1"]["parents"] == [{"id": ids[0]}]
    assert nodes["t1"]["children"] == [{"id": child["id"]}]
    assert (nodes["etl / sub"]["kind"], nodes["etl / sub"]["id"]) == ("flow-run", child["id"])
    assert [each["key"] for each in nodes["t0"]["artifacts"]] == ["a"]
    assert [each["type"] for each in graph["states"]] == ["RUNNING"]
    assert len(api("GET", f"/flow_runs/{parent['id']}/graph-v2?since={LATER}")["nodes"]) == 3  # all of them still run
    dependencies = api("GET", f"/flow_runs/{parent['id']}/graph")
    assert [[each["id"] for each in one["upstream_dependencies"]] for one in dependencies] == [[], [ids[0]], [ids[1]]]
    api("GET", f"/flow_runs/{uuid4()}/graph-v2", status=404)


def test_logs(api: Api) -> None:
    run_id = make_run(api, name="amber otter")["id"]
    line = {"name": "n", "level": 20, "message": 'he, "said"', "timestamp": EARLIER, "flow_run_id": run_id}
    once = {**line, "id": str(uuid4())}
    for _ in range(2):
        assert api("POST", "/logs/", [once, line], status=201) is None
    found = api("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
    assert len(found) == 3, "the line with an id is there once"
    assert found[0]["created"] == found[0]["updated"]
    answer = api("POST", "/logs/", [{"name": "n", "level": "x"}], status=422)
    assert answer["exception_detail"][0]["loc"] == ["body", 0, "level"]
    table = api.client.get(f"/api/flow_runs/{run_id}/logs/download")
    assert table.headers["content-type"].startswith("text/csv")
    assert "amber%20otter" in table.headers["content-disposition"]
    assert table.text.splitlines()[1] == f'2024-01-01 00:00:00+00:00,20,{run_id},,"he, ""said"""'


def test_runs_of_a_work_pool(api: Api) -> None:
    flow_id = make_flow(api)
    for name in ("near", "far"):
        api("POST", "/work_pools/", {"name": name, "type": "process"})
    api("POST", "/work_pools/near/queues/", {"name": "quick"})
    plain = make_run(api, flow_id=flow_id)
    default = make_run(api, flow_id=flow_id, work_pool_name="near")
    quick = make_run(api, flow_id=flow_id, work_pool_name="near", work_queue_name="quick")
    assert (plain["work_pool_name"], default["work_pool_name"]) == (None, "near")
    assert (default["work_queue_name"], quick["work_queue_name"]) == ("default", "quick")
    for nowhere in ({"work_pool_name": "none"}, {"work_pool_name": "far", "work_queue_name": "quick"}):
        api("POST", "/flow_runs/", {"flow_id": flow_id, **nowhere}, status=404)

    def found(**filters: Any) -> set[str]:
        assert api("POST", "/flow_runs/count", filters) == len(api("POST", "/flow_runs/filter", filters))
        return {run["id"] for run in api("POST", "/flow_runs/filter", filters)}

    assert found(work_pools={"name": {"any_": ["near"]}}) == {default["id"], quick["id"]}
    assert found(work_pool_queues={"name": {"any_": ["quick"]}}) == {quick["id"]}
    assert found(work_pools={"name": {"any_": ["far"]}}) == set()


def test_runs_and_flows_of_a_deployment(api: Api) -> None:
    flow_id = make_flow(api)
    make_flow(api, "other")
    api("POST", "/work_pools/", {"name": "near", "type": "process"})
    made = api("POST", "/deployments/", {"name": "nightly", "flow_id": flow_id, "work_pool_name": "near"})
    run = make_run(api, flow_id=flow_id, deployment_id=made["id"], **state("RUNNING"))
    make_run(api, flow_id=flow_id)
    task = api("POST", "/task_runs/", {"flow_run_id": run["id"], "task_key": "k", "dynamic_key": "0"})
    api("POST", "/task_runs/", {"task_key": "k", "dynamic_key": "0"})
    for noun, expected in (("flows", flow_id), ("flow_runs", run["id"]), ("task_runs", task["id"])):
        nightly = {"deployments": {"name": {"any_": ["nightly"]}}}
        assert [each["id"] for each in api("POST", f"/{noun}/filter", nightly)] == [expected]
        assert api("POST", f"/{noun}/count", nightly) == 1
        assert api("POST", f"/{noun}/paginate", nightly)["count"] == 1
        assert api("POST", f"/{noun}/count", {"deployments": {"name": {"any_": ["x"]}}}) == 0
    assert [each["id"] for each in api("POST", "/flows/filter", {"work_pools": {"name": {"any_": ["near"]}}})] == [
        flow_id
    ]


def test_a_filter_that_is_not_known_is_refused(api: Api) -> None:
    for noun in ("flows", "task_runs"):
        for what in ("filter", "count", "paginate"):
            api("POST", f"/{noun}/{what}", {"work_pool_queues": {"name": {"any_": ["x"]}}}, status=422)
            api("POST", f"/{noun}/{what}", {"work_pool_queues": None})
