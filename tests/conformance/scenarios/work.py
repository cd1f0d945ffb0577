"""Work pools, their queues and workers."""

from __future__ import annotations

from conformance.scenarios.making import deployment, flow, pool
from conformance.script import DELETE, FAR, GET, NOBODY, PATCH, POST, YESTERDAY, Script, each, names, nothing, only

_TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "n": "{{ n }}"},
    "variables": {
        "type": "object", "required": [],
        "properties": {"command": {"type": "string"}, "n": {"type": "integer", "default": 3}},
    },
}  # fmt: skip


def work_pools() -> Script:
    body = {
        "name": "wf-pool", "type": "kubernetes", "base_job_template": _TEMPLATE, "concurrency_limit": 5,
        "description": "d",
    }  # fmt: skip
    made = yield POST, "/work_pools/", body
    yield POST, "/work_pools/", {"name": "wf-pool", "type": "process"}
    yield POST, "/work_pools/", {"name": "Prefect Foo", "type": "process"}
    yield POST, "/work_pools/", {"name": "wf/slash", "type": "process"}
    yield POST, "/work_pools/", {"name": "wf-bad", "type": "process", "base_job_template": {"foo": 1}}
    unknown = {"job_configuration": {"c": "{{ nope }}"}, "variables": {"properties": {}}}
    yield POST, "/work_pools/", {"name": "wf-bad", "type": "process", "base_job_template": unknown}
    yield POST, "/work_pools/", {"name": "wf-bad", "type": "process", "concurrency_limit": -1}
    yield POST, "/work_pools/", {"type": "process"}
    yield GET, "/work_pools/wf-pool", None
    yield GET, "/work_pools/wf-none", None
    yield PATCH, "/work_pools/wf-pool", {"is_paused": True, "concurrency_limit": 7, "description": "new"}
    yield GET, "/work_pools/wf-pool", None
    yield PATCH, "/work_pools/wf-pool", {"is_paused": False, "concurrency_limit": None}
    yield PATCH, "/work_pools/wf-pool", {"base_job_template": {"foo": 1}}
    yield PATCH, "/work_pools/wf-pool", {"name": "other"}
    yield PATCH, "/work_pools/wf-none", {"is_paused": True}
    yield GET, "/work_pools/wf-pool", None
    two = {"any_": ["wf-pool", "wf-second"]}
    yield from pool("wf-second")
    yield POST, "/work_pools/filter", {"work_pools": {"name": two, "type": {"any_": ["kubernetes"]}}}, names
    yield POST, "/work_pools/filter", {"work_pools": {"id": {"any_": [made["id"]]}}}, names
    either = {"operator": "or_", "id": {"any_": [made["id"]]}, "name": {"any_": ["wf-second"]}}
    yield POST, "/work_pools/filter", {"work_pools": either}, lambda answer: sorted(names(answer))
    yield POST, "/work_pools/filter", {"work_pools": {"name": two}, "limit": 1}, lambda answer: len(answer)
    yield POST, "/work_pools/filter", {"work_pools": {"nope": 1}}
    yield POST, "/work_pools/count", {"work_pools": {"name": two}}
    yield POST, "/work_pools/count", {"work_pools": {"name": {"any_": ["wf-none"]}}}
    yield DELETE, "/work_pools/wf-pool", None
    yield DELETE, "/work_pools/wf-pool", None
    yield GET, "/work_pools/wf-pool", None


def work_pool_queues() -> Script:
    yield from pool("wq-pool")
    at = "/work_pools/wq-pool/queues"
    made = yield POST, at, {"name": "wq-1", "priority": 1, "concurrency_limit": 2, "description": "d"}
    yield POST, at, {"name": "wq-1"}
    yield POST, at, {"name": "wq-2"}
    yield POST, at, {"name": "wq-3", "priority": 0}
    yield POST, at, {"name": "wq/4"}
    yield POST, at, {}
    yield POST, "/work_pools/wq-none/queues", {"name": "x"}
    yield GET, f"{at}/wq-1", None
    yield GET, f"{at}/default", None
    yield GET, f"{at}/none", None
    yield GET, "/work_pools/wq-none/queues/x", None
    yield PATCH, f"{at}/wq-1", {"is_paused": True, "description": "x", "priority": 2}
    yield PATCH, f"{at}/none", {"is_paused": True}
    yield PATCH, f"{at}/wq-1", {"priority": -1}
    yield (
        POST,
        f"{at}/filter",
        {},
        lambda answer: sorted([one["name"], one["priority"], one["status"]] for one in answer),
    )
    yield POST, f"{at}/filter", {"work_queues": {"name": {"startswith_": ["wq"]}}}, names
    yield POST, f"{at}/filter", {"work_queues": {"name": {"any_": ["wq-2", "zz"]}}}, names
    yield POST, f"{at}/filter", {"work_queues": {"nope": 1}}
    yield POST, f"{at}/filter", {"limit": 1, "offset": 5}
    yield GET, f"/work_queues/{made['id']}", None
    yield DELETE, f"{at}/wq-1", None
    yield DELETE, f"{at}/wq-1", None
    yield DELETE, f"{at}/default", None


def work_queues() -> Script:
    made = yield POST, "/work_queues/", {"name": "wu-1", "description": "d", "concurrency_limit": 3}
    yield POST, "/work_queues/", {"name": "wu-1"}
    yield POST, "/work_queues/", {"name": "wu/2"}
    at = f"/work_queues/{made['id']}"
    yield GET, at, None
    yield GET, f"/work_queues/{NOBODY}", None
    yield GET, "/work_queues/name/wu-1", None
    yield GET, "/work_queues/name/wu-none", None
    yield GET, f"{at}/status", None
    yield GET, f"/work_queues/{NOBODY}/status", None
    yield PATCH, at, {"name": "wu-renamed", "is_paused": True}
    yield PATCH, at, {"nope": 1}
    yield PATCH, f"/work_queues/{NOBODY}", {"is_paused": True}
    yield GET, at, None
    yield POST, "/work_queues/filter", {"work_queues": {"name": {"any_": ["wu-renamed"]}}}
    yield POST, "/work_queues/filter", {"work_queues": {"id": {"any_": [made["id"]]}}}, names
    yield POST, "/work_queues/filter", {"work_queues": {"name": {"startswith_": ["wu-"]}}, "limit": 5}, names
    either = {"operator": "or_", "id": {"any_": [NOBODY]}, "name": {"any_": ["wu-renamed"]}}
    yield POST, "/work_queues/filter", {"work_queues": either}, names
    yield POST, "/work_queues/filter", {"limit": -1}
    yield POST, f"{at}/get_runs", {"limit": 1}
    yield POST, f"/work_queues/{NOBODY}/get_runs", {}
    yield POST, f"{at}/concurrency_status", {}
    yield POST, f"/work_queues/{NOBODY}/concurrency_status", {}
    yield DELETE, at, None
    yield DELETE, at, None


def workers() -> Script:
    yield from pool("wk-pool")
    at = "/work_pools/wk-pool/workers"
    yield POST, f"{at}/heartbeat", {"name": "wk-1", "heartbeat_interval_seconds": 30}
    yield POST, f"{at}/heartbeat", {"name": "wk-2"}
    yield POST, f"{at}/heartbeat", {"name": "wk-1", "heartbeat_interval_seconds": 60}
    yield POST, f"{at}/heartbeat", {}
    yield POST, "/work_pools/wk-none/workers/heartbeat", {"name": "x"}
    shown = each("name", "heartbeat_interval_seconds", "status")
    by_name = lambda answer: sorted(shown(answer))  # noqa: E731
    yield POST, f"{at}/filter", {}, by_name
    yield POST, f"{at}/filter", {"workers": {"status": {"any_": ["ONLINE"]}}}, by_name
    yield POST, f"{at}/filter", {"workers": {"status": {"not_any_": ["ONLINE"]}}}, by_name
    yield POST, f"{at}/filter", {"workers": {"last_heartbeat_time": {"after_": YESTERDAY, "before_": FAR}}}, by_name
    yield POST, f"{at}/filter", {"workers": {"last_heartbeat_time": {"before_": YESTERDAY}}}
    yield POST, f"{at}/filter", {"workers": {"status": {"any_": ["NOPE"]}}}
    yield POST, f"{at}/filter", {"limit": 1}, lambda answer: len(answer)
    yield POST, "/work_pools/wk-none/workers/filter", {}
    yield GET, "/work_pools/wk-pool", None
    yield DELETE, f"{at}/wk-1", None
    yield DELETE, f"{at}/wk-1", None
    yield POST, f"{at}/filter", {}, by_name


def runs_that_are_due() -> Script:
    f = yield from flow("wd-flow")
    yield from pool("wd-pool", concurrency_limit=10)
    yield POST, "/work_pools/wd-pool/queues", {"name": "wd-q", "priority": 2}, nothing
    first = yield from deployment(f["id"], "wd-1", work_pool_name="wd-pool")
    second = yield from deployment(f["id"], "wd-2", work_pool_name="wd-pool", work_queue_name="wd-q")
    for number, (made, when) in enumerate([(first, FAR), (first, YESTERDAY), (second, YESTERDAY)]):
        state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"scheduled_time": when}}
        body = {"name": f"wd-{number}", "state": state}
        yield POST, f"/deployments/{made['id']}/create_flow_run", body, nothing

    def due(answer: list[dict[str, object]]) -> list[str]:
        return sorted(str(one["flow_run"]["name"]) for one in answer)  # type: ignore[index]

    at = "/work_pools/wd-pool/get_scheduled_flow_runs"
    yield POST, at, {"scheduled_before": "2030-01-01T00:00:00Z"}, due
    yield POST, at, {"work_queue_names": ["wd-q"]}, due
    yield POST, at, {"work_queue_names": ["none"]}
    yield POST, at, {"scheduled_before": "2020-01-01T00:00:00Z"}
    yield POST, at, {"limit": 1}, lambda answer: len(answer)
    yield POST, at, {"limit": "x"}
    yield POST, "/work_pools/wd-none/get_scheduled_flow_runs", {}
    yield POST, "/work_pools/wd-pool/concurrency_status", {}
    yield POST, "/work_pools/wd-none/concurrency_status", {}
    queue = yield GET, "/work_pools/wd-pool/queues/wd-q", None, only("name", "priority", "is_paused")
    yield POST, f"/work_queues/{queue['id']}/concurrency_status", {}
    yield PATCH, "/work_pools/wd-pool/queues/wd-q", {"is_paused": True}
    yield POST, at, {"work_queue_names": ["wd-q"]}
    yield PATCH, "/work_pools/wd-pool", {"is_paused": True}
    yield POST, at, {}
