"""Automations: made, read, changed, deleted, found."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from prefect._ids import new_uuid
from prefect._operations import automations, templates
from prefect._operations.errors import Invalid, NotFound
from prefect._schemas.automation_requests import Automation, AutomationCreate, AutomationPartialUpdate, AutomationUpdate

EVENT: dict[str, Any] = {"type": "event", "posture": "Reactive", "expect": ["order.placed"]}
NOTHING = [{"type": "do-nothing"}]


def body(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"name": name, "trigger": EVENT, "actions": NOTHING, **fields}


def make(tx: sa.Connection, name: str = "a", **fields: Any) -> Automation:
    return automations.create_automation(tx, AutomationCreate.model_validate(body(name, **fields)))


def names(tx: sa.Connection, **query: Any) -> list[str]:
    return [one.name for one in automations.read_automations(tx, automations.AutomationQuery.model_validate(query))]


def test_an_automation_is_what_was_made_of_it(both: sa.Connection) -> None:
    compound = {"type": "compound", "require": "any", "within": 60, "triggers": [EVENT, {**EVENT, "expect": []}]}
    made = make(both, trigger=compound, tags=["t"], description="d", actions_on_resolve=NOTHING)
    read = automations.read_automation(both, made.id)
    assert read.model_dump() == made.model_dump()
    assert len({str(made.trigger.id), *(str(inner.id) for inner in made.trigger.triggers)}) == 3  # type: ignore[union-attr]
    assert (made.enabled, made.tags, made.trigger.within.total_seconds()) == (True, ["t"], 60)  # type: ignore[union-attr]


def test_they_are_found_by_name_time_and_tag(both: sa.Connection) -> None:
    b, _ = make(both, "b", tags=["x", "y"]), make(both, "a", tags=["x"])
    make(both, "c")
    assert names(both) == ["a", "b", "c"]
    assert names(both, sort="NAME_DESC", limit=2) == ["c", "b"]
    assert names(both, automations={"tags": {"all_": ["x", "y"]}}) == ["b"]
    assert names(both, automations={"tags": {"is_null_": True}}) == ["c"]
    assert names(both, automations={"name": {"any_": ["a", "c"]}}) == ["a", "c"]
    assert names(both, automations={"created": {"before_": b.created}}) == ["b"]
    wanted = automations.AutomationSelection.model_validate({"automations": {"tags": {"any_": ["x"]}}})
    assert automations.count_automations(both, wanted) == 2


def test_replacing_keeps_the_trigger_that_stays_the_same(both: sa.Connection) -> None:
    made = make(both)
    automations.update_automation(both, made.id, AutomationUpdate.model_validate(body("new", enabled=False)))
    same = automations.read_automation(both, made.id)
    assert (same.name, same.enabled, same.trigger) == ("new", False, made.trigger)
    other = AutomationUpdate.model_validate(body("new", trigger={**EVENT, "threshold": 2}))
    automations.update_automation(both, made.id, other)
    assert automations.read_automation(both, made.id).trigger.id != made.trigger.id


def test_switched_and_deleted(both: sa.Connection) -> None:
    made = make(both)
    automations.patch_automation(both, made.id, AutomationPartialUpdate(enabled=False))
    assert not automations.read_automation(both, made.id).enabled
    automations.delete_automation(both, made.id)
    for operation in (automations.read_automation, automations.delete_automation):
        with pytest.raises(NotFound, match="Automation"):
            operation(both, made.id)
    with pytest.raises(NotFound):
        automations.patch_automation(both, made.id, AutomationPartialUpdate(enabled=True))
    with pytest.raises(NotFound):
        automations.update_automation(both, made.id, AutomationUpdate.model_validate(body()))


def test_those_of_a_resource(both: sa.Connection) -> None:
    deployment, owner = new_uuid(), "prefect.deployment.x"
    run = [{"type": "run-deployment", "deployment_id": str(deployment)}]
    make(both, "acts", actions=run)
    make(both, "owned", owner_resource=owner)
    related = automations.read_automations_related_to_resource
    assert [one.name for one in related(both, f"prefect.deployment.{deployment}")] == ["acts"]
    assert [one.name for one in related(both, owner)] == ["owned"]
    automations.delete_automations_owned_by_resource(both, owner)
    assert names(both) == ["acts"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"trigger": {**EVENT, "posture": "Proactive", "within": 3}}, "10 seconds"),
        ({"trigger": {"type": "event", "expect": ["x"]}}, "posture"),
        ({"trigger": {**EVENT, "threshold": 0}}, "greater than or equal to 1"),
        ({"trigger": {**EVENT, "within": -1}}, "within"),
        ({"trigger": {"type": "metric"}}, "'metric'"),
        ({"trigger": {"type": "compound", "require": 2, "triggers": [EVENT]}}, "less than or equal"),
        ({"trigger": {"type": "sequence", "triggers": []}}, "at least 1"),
        ({"actions": [{"type": "declare-incident"}]}, "declare-incident"),
        ({"actions": [{}]}, "discriminator"),
        ({"actions": [{"type": "run-deployment"}]}, "deployment_id is required"),
        ({"actions": [{"type": "pause-automation", "source": "inferred", "automation_id": str(new_uuid())}]}, "not allowed"),
        ({"unknown": 1}, "unknown"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        AutomationCreate.model_validate(body(**fields))


def test_templates_are_checked_when_an_automation_is_made(both: sa.Connection) -> None:
    action = {"type": "send-notification", "block_document_id": str(new_uuid()), "body": "{{ event"}
    with pytest.raises(Invalid, match="The body of the action 'send-notification'"):
        make(both, actions=[action])


# -- templates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ event.id }}", "3"),
        ("plain", "plain"),
        ("{{ event.labels['a.b'] ~ '!' }}", "x!"),
        ("{% for one in list %}{{ loop.index }}{{ one }}{% endfor %}", "1a2b"),
        ("{{ missing }}{{ none }}", ""),
        ("{{ list | join(', ') }}", "a, b"),
    ],
)
def test_templates(template: str, made: str) -> None:
    context = {"event": {"id": 3, "labels": {"a.b": "x"}}, "list": ["a", "b"]}
    assert templates.render(template, context) == made


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ event.id }}", 3),
        (" {{ list }}\n", ["a", "b"]),
        ("{{ event.id }}{{ event.id }}", "33"),
        ("n={{ event.id }}", "n=3"),
        ("{{ '}}' ~ '{{' }}", "}}{{"),
        ("{{ {'a': {'b': event.id / 2}} }}", {"a": {"b": 1.5}}),
        ("{{ event.none }}", None),
        ("{{ '<&>' }}", "<&>"),
        ("4", "4"),
        ("{% if event.id %}5{% endif %}", "5"),
    ],
)
def test_a_template_that_is_one_expression_makes_its_value(template: str, made: object) -> None:
    context = {"event": {"id": 3, "none": None}, "list": ["a", "b"]}
    assert templates.evaluate(template, context) == made


@pytest.mark.parametrize(
    "template",
    [
        "{{ x ",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{{ range(100000000) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'a' | center(1000000000) }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% for a in b %}{% for c in d %}{% for e in f %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ list.append(1) }}",
        "{{ list.__class__.__mro__[1].__subclasses__() }}",
        "{% include 'x' %}",
        "(" * 3000 + "{{" + "(" * 3000,
    ],
)
def test_templates_can_do_no_harm(template: str) -> None:
    given = [1]
    for make_it in (templates.render, templates.evaluate):
        with pytest.raises(templates.TemplateFailed):
            make_it(template, {"list": given})
    assert given == [1]


def test_templates_are_validated(both: sa.Connection) -> None:
    assert templates.validate_template(both, "{{ x }}").status == 204
    refused = templates.validate_automation_template(both, "\n{{ x ")
    assert refused.status == 422
    assert refused.value is not None
    assert (refused.value.error.line, refused.value.error.source) == (2, "\n{{ x ")
