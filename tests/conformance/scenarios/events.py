"""Events."""

from __future__ import annotations

from typing import Any

from conformance.script import GET, POST, Script

_SPAN = {"since": "2024-03-01T00:00:00Z", "until": "2024-03-08T00:00:00Z"}


def _event(number: int, day: int, name: str, resource: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{number:08d}-5555-4555-8555-555555555555", "occurred": f"2024-03-0{day}T06:00:00Z", "event": name,
        "resource": {"prefect.resource.id": resource, "prefect.resource.name": f"name {number}"}, "related": [],
        "payload": {"n": number}, **more,
    }  # fmt: skip


def _shown(answer: dict[str, Any]) -> dict[str, Any]:
    return {"events": [one["payload"]["n"] for one in answer["events"]], "total": answer["total"]}


def events() -> Script:
    role = {"prefect.resource.id": "ev.flow.1", "prefect.resource.role": "flow", "prefect.resource.name": "etl"}
    sent = [
        _event(1, 1, "ev.made", "ev.thing.a"),
        _event(2, 2, "ev.changed", "ev.thing.a", related=[role]),
        _event(3, 3, "ev.changed", "ev.thing.b", follows="00000002-5555-4555-8555-555555555555"),
        _event(4, 4, "ev.gone", "ev.other.a", related=[{**role, "prefect.resource.id": "ev.flow.2"}]),
    ]
    yield POST, "/events", sent
    yield POST, "/events", []
    yield POST, "/events", [{"event": "x"}]
    yield POST, "/events", [{**sent[0], "resource": {"name": "no id"}}]
    yield POST, "/events", [{**sent[0], "related": [{"prefect.resource.id": "no role"}]}]
    mine = {"occurred": _SPAN, "event": {"prefix": ["ev."]}}
    yield POST, "/events/filter", {"filter": mine, "limit": 50}, None, lambda answer: answer["total"] == 4
    conditions: list[dict[str, Any]] = [
        {"event": {"name": ["ev.made", "ev.gone"]}},
        {"event": {"prefix": ["ev."], "exclude_name": ["ev.made"]}},
        {"event": {"prefix": ["ev."], "exclude_prefix": ["ev.ch", "ev.g"]}},
        {"order": "ASC"},
        {"resource": {"id": ["ev.thing.a"]}},
        {"resource": {"id_prefix": ["ev.thing."]}},
        {"resource": {"labels": {"prefect.resource.name": ["name 1", "name 4"]}}},
        {"resource": {"labels": {"prefect.resource.name": "name*"}}},
        {"resource": {"id_prefix": ["ev.thing."], "distinct": True}},
        {"related": {"id": ["ev.flow.1"]}},
        {"related": {"role": ["flow"]}},
        {"related": {"resources_in_roles": [["ev.flow.2", "flow"]]}},
        {"related": {"labels": {"prefect.resource.name": "etl"}}},
        {"any_resource": {"id": ["ev.flow.1"]}},
        {"any_resource": {"id_prefix": ["ev.thing.", "ev.flow.2"]}},
        {"id": {"id": [sent[2]["id"]]}},
        {"text": {"query": "changed"}},
        {"text": {"query": "etl -gone"}},
        {"occurred": {**_SPAN, "since": "2024-03-02T12:00:00Z"}},
        {"occurred": {**_SPAN, "until": "2024-03-02T12:00:00Z"}},
        {"order": "SIDEWAYS"},
        {"nope": 1},
    ]
    for condition in conditions:
        yield POST, "/events/filter", {"filter": {**mine, **condition}, "limit": 50}, _shown
    first = yield POST, "/events/filter", {"filter": mine, "limit": 3}, _shown
    token = first["next_page"].partition("page-token=")[2]
    second = yield GET, f"/events/filter/next?page-token={token}", None, _shown
    assert second["next_page"] is None
    yield GET, "/events/filter/next?page-token=nope", None
    yield GET, "/events/filter/next", None
    yield POST, "/events/filter", {"filter": mine, "limit": 1000}


def counts_of_events() -> Script:
    sent = [
        _event(11, 1, "ew.made", "ew.thing.a"),
        _event(12, 1, "ew.made", "ew.thing.b"),
        _event(13, 3, "ew.changed", "ew.thing.a"),
    ]
    yield POST, "/events", sent
    mine = {"occurred": _SPAN, "event": {"prefix": ["ew."]}}
    yield POST, "/events/filter", {"filter": mine, "limit": 50}, _shown, lambda answer: answer["total"] == 3
    yield POST, "/events/count-by/event", {"filter": mine}
    yield POST, "/events/count-by/resource", {"filter": mine}
    yield POST, "/events/count-by/day", {"filter": mine}
    yield POST, "/events/count-by/time", {"filter": mine, "time_unit": "day", "time_interval": 2}
    yield POST, "/events/count-by/time", {"filter": mine, "time_unit": "week"}
    yield POST, "/events/count-by/time", {"filter": mine, "time_unit": "second"}
    yield POST, "/events/count-by/time", {"filter": mine, "time_unit": "nope"}
    yield POST, "/events/count-by/time", {"filter": mine, "time_unit": "day", "time_interval": 0.001}
    yield POST, "/events/count-by/nope", {"filter": mine}
    yield POST, "/events/count-by/event", {}
