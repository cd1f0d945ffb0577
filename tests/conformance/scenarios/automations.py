"""Automations."""

from __future__ import annotations

from typing import Any

from conformance.script import DELETE, GET, NOBODY, PATCH, POST, PUT, Script, names

_TRIGGER: dict[str, Any] = {
    "type": "event", "expect": ["x.y"], "match": {"prefect.resource.id": "a.*"}, "posture": "Reactive", "threshold": 2,
    "within": 10,
}  # fmt: skip


def _body(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "enabled": True, "trigger": _TRIGGER, "actions": [{"type": "do-nothing"}], **more}


def automations() -> Script:
    made = yield POST, "/automations/", _body("uf-1", description="d", tags=["t"])
    at = f"/automations/{made['id']}"
    yield GET, at, None
    yield GET, f"/automations/{NOBODY}", None
    yield PATCH, at, {"enabled": False}
    yield PATCH, at, {"enabled": "maybe"}
    yield PATCH, at, {"name": "other"}
    yield PATCH, f"/automations/{NOBODY}", {"enabled": False}
    yield GET, at, None
    yield PUT, at, _body("uf-2", trigger={**_TRIGGER, "expect": ["z"]})
    yield PUT, at, {"name": "uf-3"}
    yield PUT, f"/automations/{NOBODY}", _body("uf-2")
    yield GET, at, None
    yield DELETE, at, None
    yield DELETE, at, None
    yield GET, at, None


def triggers_and_actions() -> Script:
    triggers: list[dict[str, Any]] = [
        {"type": "event", "posture": "Proactive", "within": 1},
        {"type": "event", "posture": "Proactive", "within": 30, "after": ["a"], "expect": ["b"]},
        {
            "type": "event",
            "posture": "Reactive",
            "for_each": ["prefect.resource.id"],
            "match_related": {"r": ["a", "b"]},
        },
        {"type": "event", "posture": "Reactive", "within": -1},
        {"type": "event", "posture": "Sideways"},
        {"type": "event"},
        {"posture": "Reactive", "expect": ["x"]},
        {"type": "compound", "require": "all", "within": 60, "triggers": [_TRIGGER, {**_TRIGGER, "expect": ["z"]}]},
        {"type": "compound", "require": 2, "within": 60, "triggers": [_TRIGGER, _TRIGGER]},
        {"type": "compound", "require": 3, "within": 60, "triggers": [_TRIGGER, _TRIGGER]},
        {"type": "compound", "require": 0, "within": 60, "triggers": [_TRIGGER, _TRIGGER]},
        {"type": "sequence", "within": 60, "triggers": [_TRIGGER, {**_TRIGGER, "expect": ["z"]}]},
        {"type": "nope"},
    ]
    for trigger in triggers:
        yield POST, "/automations/", _body("ut-trigger", trigger=trigger)
    actions: list[dict[str, Any]] = [
        {"type": "run-deployment", "source": "selected", "deployment_id": NOBODY},
        {"type": "run-deployment", "source": "selected"},
        {"type": "run-deployment", "source": "inferred"},
        {"type": "run-deployment", "source": "inferred", "deployment_id": NOBODY},
        {"type": "change-flow-run-state", "name": "X", "state": "FAILED", "message": "m"},
        {"type": "change-flow-run-state", "state": "NOPE"},
        {"type": "cancel-flow-run"},
        {"type": "suspend-flow-run"},
        {"type": "resume-flow-run"},
        {"type": "pause-automation", "source": "inferred"},
        {"type": "pause-work-queue", "source": "inferred"},
        {"type": "pause-work-pool", "source": "inferred"},
        {"type": "pause-deployment", "source": "inferred"},
        {"type": "nope"},
        {},
    ]
    for action in actions:
        yield POST, "/automations/", _body("ut-action", actions=[action], actions_on_resolve=[action])
    yield POST, "/automations/", _body("ut-nothing", actions=[])
    yield POST, "/automations/", {"trigger": _TRIGGER, "actions": []}


def automations_found() -> Script:
    for name, tags in (("ug-a", ["x"]), ("ug-b", ["x", "y"]), ("ug-c", [])):
        yield POST, "/automations/", _body(name, tags=tags)
    mine = {"name": {"any_": ["ug-a", "ug-b", "ug-c"]}}
    for sort in ("NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC", "NOPE"):
        yield POST, "/automations/filter", {"automations": mine, "sort": sort}, names
    conditions = [
        {**mine, "tags": {"all_": ["x"]}},
        {**mine, "tags": {"any_": ["y", "z"]}},
        {**mine, "tags": {"is_null_": True}},
        {**mine, "created": {"before_": "2020-01-01T00:00:00Z"}},
        {"operator": "or_", "name": {"any_": ["ug-c"]}, "tags": {"all_": ["y"]}},
        {"nope": 1},
    ]
    for condition in conditions:
        yield POST, "/automations/filter", {"automations": condition, "sort": "NAME_ASC"}, names
    yield POST, "/automations/filter", {"automations": mine, "sort": "NAME_ASC", "limit": 1, "offset": 1}, names
    yield POST, "/automations/count", {}, lambda answer: answer >= 3


def owned_automations() -> Script:
    owner = "prefect.deployment.99999999-9999-4999-8999-999999999999"
    yield POST, "/automations/", _body("uo-1", owner_resource=owner)
    yield GET, f"/automations/related-to/{owner}", None, names
    yield GET, "/automations/related-to/uo.none", None
    yield DELETE, f"/automations/owned-by/{owner}", None
    yield POST, "/automations/filter", {"automations": {"name": {"any_": ["uo-1"]}}}, names


def templates() -> Script:
    for path in ("/automations/templates/validate", "/templates/validate"):
        yield POST, path, "Flow run {{ flow_run.name }} {% if x %}a{% endif %}"
        yield POST, path, "{{ unclosed"
        yield POST, path, "{% nope %}"
        yield POST, path, ""
        yield POST, path, 3
