"""What is streamed over websockets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from conformance.script import DELETE, FAR, NOBODY, POST, Script, nothing, only
from conformance.sockets import AUTH, COLLECT, CONNECT, END, LEAVE, PLAINLY, PROBE, RECEIVE, SEND

_EVENTS_IN, _EVENTS_OUT, _LOGS_OUT = "/events/in", "/events/out", "/logs/out"
_TASK_RUNS = "/task_runs/subscriptions/scheduled"


def _now(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _event(name: str, number: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()), "occurred": _now(), "event": name, "resource": {"prefect.resource.id": "st.thing"},
        "related": [], "payload": {"n": number}, **more,
    }  # fmt: skip


def _until_ever(since: float = -600, **filter: Any) -> dict[str, Any]:
    # without an end, the filter of the published server ends when the connection begins
    return {"type": "filter", "filter": {"occurred": {"since": _now(since), "until": FAR}, **filter}}


def _number(message: dict[str, Any]) -> Any:
    return message["event"]["payload"]["n"]


def _is_number(number: int) -> Callable[[dict[str, Any]], bool]:
    return lambda message: _number(message) == number


# -- events ----------------------------------------------------------------------------------------------------------


def events_that_come() -> Script:
    yield CONNECT, "in", _EVENTS_IN, AUTH
    yield RECEIVE, "in"
    yield CONNECT, "out", _EVENTS_OUT, AUTH, _until_ever(event={"prefix": ["sta."]})
    yield RECEIVE, "out"
    yield PROBE, "out", lambda: (POST, "/events", [_event("sta.probe")])
    yield SEND, "in", _event("sta.first", follows=NOBODY)
    yield RECEIVE, "out"
    yield SEND, "in", _event("stb.other")
    role = {"prefect.resource.id": "st.flow", "prefect.resource.role": "flow", "label": "x"}
    yield SEND, "in", _event("sta.second", related=[role], payload={"deep": {"list": [1, None, True]}})
    yield RECEIVE, "out"
    yield CONNECT, "plainly in", _EVENTS_IN + PLAINLY, _event("sta.third")
    yield RECEIVE, "out", lambda message: message["event"]["event"]
    yield POST, "/events", [_event("sta.fourth"), _event("stb.other"), _event("sta.fifth")]
    yield RECEIVE, "out", lambda message: message["event"]["event"]
    yield RECEIVE, "out", lambda message: message["event"]["event"]
    yield LEAVE, "out"
    yield LEAVE, "in"


_NAMED = {"prefect.resource.id": "st.other", "name": "alpha"}
_FLOW = {"prefect.resource.id": "st.flow.one", "prefect.resource.role": "flow", "name": "beta"}
_CONDITIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"event": {"name": ["stc.one", "stc.two"]}}, {"event": "stc.one"}),
    ({"event": {"prefix": ["stc."], "exclude_name": ["stc.one"]}}, {"event": "stc.end"}),
    ({"event": {"prefix": ["stc."], "exclude_prefix": ["stc.o", "stc.t"]}}, {"event": "stc.end"}),
    ({"resource": {"id": ["st.other"]}}, {"resource": _NAMED}),
    ({"resource": {"id_prefix": ["st.o"]}}, {"resource": _NAMED}),
    ({"resource": {"labels": {"name": ["alpha", "gamma"]}}}, {"resource": _NAMED}),
    ({"resource": {"labels": {"name": "al*"}}}, {"resource": _NAMED}),
    ({"resource": {"labels": {"name": "!beta"}}}, {"resource": _NAMED}),
    ({"related": {"id": ["st.flow.one"]}}, {"related": [_FLOW]}),
    ({"related": {"role": ["flow"]}}, {"related": [_FLOW]}),
    ({"related": {"resources_in_roles": [["st.flow.one", "flow"]]}}, {"related": [_FLOW]}),
    ({"related": {"labels": {"name": "beta"}}}, {"related": [_FLOW]}),
    ({"related": [{"role": ["flow"]}, {"id": ["st.queue"]}]},
     {"related": [_FLOW, {"prefect.resource.id": "st.queue", "prefect.resource.role": "queue"}]}),
    ({"any_resource": {"id": ["st.flow.one"]}}, {"related": [_FLOW]}),
    ({"any_resource": {"id_prefix": ["st.other", "st.flow.t"]}}, {"resource": _NAMED}),
    ({"text": {"query": "needle"}}, {"event": "stc.needle"}),
    ({"text": {"query": "beta -hay"}}, {"related": [_FLOW]}),
]  # fmt: skip
"""Conditions of a filter, each with what an event must have to meet it."""

_SENT: list[dict[str, Any]] = [
    {"event": "stc.one"},
    {"event": "stc.two", "related": [_FLOW]},
    {"event": "stc.three", "resource": _NAMED},
    {"event": "stc.four", "resource": {**_NAMED, "name": "beta"}},
    {"event": "stc.five", "related": [{**_FLOW, "prefect.resource.id": "st.flow.two", "name": "hay"}]},
    {"event": "stc.six", "related": [{**_FLOW, "prefect.resource.role": "creator"}]},
    {"event": "stc.seven", "related": [_FLOW, {"prefect.resource.id": "st.queue", "prefect.resource.role": "queue"}]},
    {"event": "stc.eight", "payload": {"n": 8, "text": "a Needle in the hay"}},
    {"event": "stc.nine", "resource": {"prefect.resource.id": "st.thing", "name": "Needles"}},
    {"event": "std.ten"},
]


def _all_sent(offset: int, **more: Any) -> list[dict[str, Any]]:
    sent = [
        _event("", **{"payload": {"n": number}, **one, **more}, occurred=_now(number / 1e6))
        for number, one in enumerate(_SENT, 1)
    ]
    for one in sent:
        one["payload"] = {**one["payload"], "n": one["payload"]["n"] + offset}
    return sent


def events_that_come_and_match() -> Script:
    for number, (condition, needed) in enumerate(_CONDITIONS):
        name = f"out {number}"
        yield CONNECT, name, _EVENTS_OUT, AUTH, _until_ever(0, **{"event": {"prefix": ["stc."]}, **condition})
        yield RECEIVE, name, nothing
        event = {"event": "stc.probe", **needed}
        yield PROBE, name, lambda event=event: (POST, "/events", [_event(**{"name": "", **event})])
        yield POST, "/events", [*_all_sent(0), _event(**{"name": "", **event}, number=99)]
        yield COLLECT, name, _is_number(99), _number
        yield LEAVE, name


def events_of_the_past() -> Script:
    sent = [{**one, "event": one["event"].replace("st", "su", 1)} for one in _all_sent(0)]
    yield POST, "/events", sent
    mine = {"occurred": {"since": _now(-600), "until": FAR}, "event": {"prefix": ["suc.", "sud."]}}
    yield POST, "/events/filter", {"filter": mine, "limit": 50}, nothing, lambda answer: answer["total"] == len(sent)
    ends: list[tuple[dict[str, Any], int]] = [
        ({}, 10),
        ({"order": "DESC"}, 10),
        ({"event": {"prefix": ["suc."], "exclude_name": ["suc.one"]}}, 9),
        ({"resource": {"labels": {"name": ["alpha", "Needles"]}}}, 9),
        ({"related": {"role": ["flow"]}}, 7),
        ({"any_resource": {"id": ["st.flow.one"]}}, 7),
        ({"id": {"id": [sent[3]["id"], sent[1]["id"]]}}, 4),
        ({"text": {"query": "needle"}}, 9),
        ({"occurred": {"since": sent[4]["occurred"], "until": FAR}}, 10),
        ({"occurred": {"since": _now(-600), "until": sent[4]["occurred"]}}, 5),
    ]
    for number, (condition, last) in enumerate(ends):
        name = f"past {number}"
        wanted = {"event": mine["event"], **condition}
        yield CONNECT, name, _EVENTS_OUT, AUTH, _until_ever(**wanted)
        yield RECEIVE, name, nothing
        yield COLLECT, name, _is_number(last), _number
        yield LEAVE, name
    yield CONNECT, "new", _EVENTS_OUT, AUTH, {**_until_ever(event=mine["event"]), "backfill": False}
    yield RECEIVE, "new", nothing
    yield PROBE, "new", lambda: (POST, "/events", [_event("suc.probe", 50)])
    yield POST, "/events", [_event("suc.end", 99)]
    yield COLLECT, "new", _is_number(99), _number
    yield CONNECT, "old client", _EVENTS_OUT + PLAINLY, _until_ever(event={"name": ["suc.one"]})
    yield RECEIVE, "old client", lambda message: [message["type"], _number(message)]


# -- logs ------------------------------------------------------------------------------------------------------------


def logs_that_come() -> Script:
    run, task = str(uuid4()), str(uuid4())
    line = {"name": "st.logger", "level": 20, "message": "", "timestamp": _now(), "flow_run_id": run}
    lines = [
        {**line, "message": "zero", "timestamp": "2024-01-01T00:00:00Z"},
        {**line, "message": "one"},
        {**line, "message": "two", "level": 40},
        {**line, "message": "three", "task_run_id": task},
        {**line, "message": "four", "flow_run_id": str(uuid4())},
        {**line, "message": "six of a needle", "level": 10},
    ]
    conditions: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"level": {"ge_": 20}}, {}),
        ({"level": {"ge_": 20, "le_": 30}}, {}),
        ({"task_run_id": {"any_": [task]}}, {"task_run_id": task}),
        ({"task_run_id": {"is_null_": True}}, {}),
        ({"timestamp": {"after_": "2025-01-01T00:00:00Z"}}, {}),
        ({"timestamp": {"before_": "2025-01-01T00:00:00Z"}}, {"timestamp": "2024-01-01T00:00:00Z"}),
        (
            {"operator": "or_", "level": {"ge_": 40}, "task_run_id": {"any_": [task]}},
            {"level": 50, "task_run_id": task},
        ),
    ]
    said = lambda message: message["log"]["message"]  # noqa: E731
    for number, (condition, needed) in enumerate(conditions):
        name = f"out {number}"
        wanted = condition if "operator" in condition else {"flow_run_id": {"any_": [run]}, **condition}
        # the published server streams nothing of the past, and does not know the word
        yield CONNECT, name, _LOGS_OUT, AUTH, {"type": "filter", "filter": wanted, "backfill": False}
        yield RECEIVE, name, nothing
        yield PROBE, name, lambda needed=needed: (POST, "/logs/", [{**line, "message": f"probe {uuid4()}", **needed}])
        yield POST, "/logs/", [*lines, {**line, "message": "end", **needed}]
        yield COLLECT, name, lambda message: said(message) == "end", said
        yield LEAVE, name
    yield (
        CONNECT,
        "whole",
        _LOGS_OUT,
        AUTH,
        {"type": "filter", "filter": {"flow_run_id": {"any_": [run]}}, "backfill": False},
    )
    yield RECEIVE, "whole"
    yield PROBE, "whole", lambda: (POST, "/logs/", [{**line, "message": f"probe {uuid4()}"}])
    yield POST, "/logs/", [{**line, "message": "whole", "task_run_id": task}]
    yield RECEIVE, "whole"


# -- background task runs --------------------------------------------------------------------------------------------


def _task_run(key: str, **details: Any) -> tuple[str, str, Any]:
    state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"deferred": True, **details}}
    body = {"name": key, "task_key": key, "dynamic_key": str(uuid4()), "flow_run_id": None, "state": state}
    return POST, "/task_runs/", body


def _subscribe(*keys: str) -> dict[str, Any]:
    return {"type": "subscribe", "keys": list(keys), "client_id": "st-client"}


def task_runs_that_are_to_run() -> Script:
    shown = only("name", "task_key", "flow_run_id", "state_type", "state_name", "run_count", "tags", "task_inputs")
    yield *_task_run("st-a"), nothing
    yield CONNECT, "one", _TASK_RUNS, AUTH, _subscribe("st-a", "st-b")
    yield RECEIVE, "one"
    yield RECEIVE, "one", shown
    yield *_task_run("st-other"), nothing
    yield *_task_run("st-b"), nothing
    yield SEND, "one", {"type": "ack"}
    yield RECEIVE, "one", shown
    yield SEND, "one", {"type": "ack"}
    yield *_task_run("st-b", deferred=False), nothing
    yield *_task_run("st-a"), nothing
    yield RECEIVE, "one", shown
    yield SEND, "one", {"type": "quit"}
    yield END, "one"
    yield CONNECT, "other", _TASK_RUNS, AUTH, _subscribe("st-other")
    yield RECEIVE, "other", nothing
    yield RECEIVE, "other", shown
    yield SEND, "other", {"type": "nope"}
    yield END, "other"
    yield CONNECT, "old client", _TASK_RUNS + PLAINLY, _subscribe("st-c")
    yield *_task_run("st-c"), nothing
    yield RECEIVE, "old client", shown
    yield SEND, "old client", {"type": "ack"}


# -- workers ---------------------------------------------------------------------------------------------------------

_REQUIRED = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
_CLEANING = ["pending_claim_teardown.v1"]


def _frame(type: str, **payload: Any) -> dict[str, Any]:
    return {"type": type, "id": str(uuid4()), "sent_at": _now(), "payload": payload}


def _hello(**more: Any) -> dict[str, Any]:
    return _frame("worker.hello.v1", **{
        "consumer_id": str(uuid4()), "worker_name": "st-worker", "worker_type": "process",
        "heartbeat_interval_seconds": 30, "supported_channel_versions": ["work_pool_worker_channel.v1"],
        "requested_capabilities": _REQUIRED, **more,
    })  # fmt: skip


def worker_channel() -> Script:
    yield POST, "/work_pools/", {"name": "st-pool", "type": "process"}, nothing
    yield POST, "/work_pools/st-pool/queues", {"name": "st-queue"}, nothing
    path = "/work_pools/st-pool/workers/connect"
    hello = _hello()
    who = {key: hello["payload"][key] for key in ("consumer_id", "worker_name", "heartbeat_interval_seconds")}
    yield CONNECT, "worker", path, AUTH, hello
    yield RECEIVE, "worker"
    yield RECEIVE, "worker"
    yield POST, "/work_pools/st-pool/workers/filter", {}
    yield SEND, "worker", _frame("worker.heartbeat.v1", **{**who, "heartbeat_interval_seconds": 17})
    heard = lambda found: found[0]["heartbeat_interval_seconds"] == 17  # noqa: E731
    yield POST, "/work_pools/st-pool/workers/filter", {}, None, heard
    yield SEND, "worker", _hello()
    yield END, "worker"
    welcome = [
        _hello(requested_capabilities=[*_REQUIRED, "flying.v1"]),
        _hello(requested_capabilities=[*_REQUIRED, "cleanup_delivery.v1"], handled_cleanup_kinds=_CLEANING),
        _hello(requested_capabilities=[*_REQUIRED, "cleanup_delivery.v1"]),
        _hello(worker_type="docker", work_queue_names=["st-queue"]),
    ]
    for number, greeting in enumerate(welcome):
        yield CONNECT, f"welcome {number}", path, AUTH, greeting
        yield RECEIVE, f"welcome {number}", nothing
        yield RECEIVE, f"welcome {number}"
        yield LEAVE, f"welcome {number}"
    unwelcome: list[Any] = [
        _hello(supported_channel_versions=["v9"]), _hello(work_queue_names=["default", "missing"]), _hello(bogus=1),
        _hello(requested_capabilities=["flying.v1"]), _hello(requested_capabilities=[]),
        _hello(heartbeat_interval_seconds=0), _hello(consumer_id="x"), _frame("worker.heartbeat.v1", **who),
        _frame("nope.v1"), "junk", "[]",
    ]  # fmt: skip
    for number, greeting in enumerate(unwelcome):
        yield CONNECT, f"unwelcome {number}", path, AUTH, greeting
        yield RECEIVE, f"unwelcome {number}", nothing
        yield END, f"unwelcome {number}"
    yield CONNECT, "silent", path, _hello()
    yield END, "silent"
    yield CONNECT, "old client", path + PLAINLY
    yield CONNECT, "lost", "/work_pools/st-none/workers/connect", AUTH, _hello()
    yield RECEIVE, "lost", nothing
    yield END, "lost"
    yield CONNECT, "maker", "/work_pools/st-made/workers/connect", AUTH, _hello(create_pool_if_not_found=True)
    yield RECEIVE, "maker", nothing
    yield RECEIVE, "maker"
    yield CONNECT, "stranger", path, AUTH, _hello()
    yield RECEIVE, "stranger", nothing
    yield RECEIVE, "stranger", nothing
    yield SEND, "stranger", _frame("worker.heartbeat.v1", **{**who, "consumer_id": NOBODY})
    yield END, "stranger"
    yield CONNECT, "last", path, AUTH, _hello()
    yield RECEIVE, "last", nothing
    yield RECEIVE, "last", nothing
    yield DELETE, "/work_pools/st-pool", None
    yield END, "last"


# -- what is refused -------------------------------------------------------------------------------------------------


def what_websockets_refuse() -> Script:
    wanted = _until_ever(event={"name": ["st.none"]})
    for number, (path, first) in enumerate((
        (_EVENTS_OUT, wanted), (_EVENTS_OUT, {"type": "hello"}), (_EVENTS_OUT, "junk"), (_EVENTS_OUT, "[1]"),
        (_EVENTS_IN, _event("st.nobody")), (_LOGS_OUT, wanted), (_TASK_RUNS, _subscribe("st-x")), (_TASK_RUNS, "junk"),
    )):  # fmt: skip
        yield CONNECT, f"stranger {number}", path, first
        yield END, f"stranger {number}"
    for number, (path, second) in enumerate((
        (_EVENTS_OUT, {"type": "other"}), (_EVENTS_OUT, {"type": "filter"}), (_EVENTS_OUT, "junk"),
        (_EVENTS_OUT, {"type": "filter", "filter": {"bogus": 1}}),
        (_EVENTS_OUT, {"type": "filter", "filter": {"event": {"prefix": 5}}}),
        (_LOGS_OUT, {"type": "other"}), (_LOGS_OUT, {"type": "filter"}), (_LOGS_OUT, "junk"),
        (_LOGS_OUT, {"type": "filter", "filter": {"bogus": 1}}),
        (_LOGS_OUT, {"type": "filter", "filter": {"level": {"ge_": "x"}}}),
        (_TASK_RUNS, {"type": "other"}), (_TASK_RUNS, {"type": "subscribe"}),
        (_TASK_RUNS, {"type": "subscribe", "keys": [], "client_id": "c"}),
        (_TASK_RUNS, {"type": "subscribe", "keys": ["st-x"]}), (_TASK_RUNS, "junk"),
        (_EVENTS_IN, "junk"), (_EVENTS_IN, {"event": 1}),
    )):  # fmt: skip
        name = f"{path.strip('/').replace('/', ' ')} {number}"
        yield CONNECT, name, path, AUTH, second
        yield RECEIVE, name
        if path == _EVENTS_IN:  # what comes after that which is no event is kept, or the connection is gone
            yield SEND, name, _event(f"stx.{number}")
            yield LEAVE, name
        else:
            yield END, name
    for number, path in enumerate((_EVENTS_OUT, _LOGS_OUT, _TASK_RUNS)):
        yield CONNECT, f"old client {number}", path + PLAINLY, AUTH
        yield END, f"old client {number}"
    yield CONNECT, "nowhere", "/events/sideways"
    yield CONNECT, "wrong token", _EVENTS_OUT, {"type": "auth", "token": "of another server"}
    yield RECEIVE, "wrong token"
    yield POST, "/events", [_event("stx.last")]
    mine = {"occurred": {"since": _now(-600), "until": FAR}, "event": {"prefix": ["stx.", "st.nobody"]}}
    kept = lambda answer: [one["event"] for one in answer["events"]]  # noqa: E731
    there = lambda answer: "stx.last" in kept(answer)  # noqa: E731
    yield POST, "/events/filter", {"filter": mine, "limit": 50}, kept, there
