"""Automations as Python has them: written down, sent, read back."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from prefect import automations, get_client
from prefect.automations import Automation, AutomationCore, DoNothing, EventTrigger, RunDeployment
from prefect.events import (
    CompoundTrigger,
    DeploymentCompoundTrigger,
    DeploymentEventTrigger,
    DeploymentTriggerTypes,
    MetricTrigger,
    SequenceTrigger,
)

SOME = UUID(int=7)


def new(name: str = "x", **fields: object) -> Automation:
    return Automation.model_validate(
        {"name": name, "trigger": EventTrigger(expect={"e"}), "actions": [DoNothing()], **fields}
    )


def test_a_proactive_trigger_waits_ten_seconds_at_least() -> None:
    assert EventTrigger.model_validate({"posture": "Proactive"}).within == timedelta(seconds=10)
    with pytest.raises(ValidationError, match="10 seconds"):
        EventTrigger.model_validate({"posture": "Proactive", "within": 3})


def test_the_kind_of_a_trigger_can_be_told_from_its_fields() -> None:
    kinds = {
        EventTrigger: {"expect": ["e"]},
        CompoundTrigger: {"require": "all", "triggers": [{}]},
        SequenceTrigger: {"triggers": [{"posture": "Proactive"}]},
        MetricTrigger: {"posture": "Metric", "metric": {"name": "lateness", "operator": ">", "threshold": 1}},
    }
    for kind, trigger in kinds.items():
        assert type(AutomationCore.model_validate({"name": "x", "trigger": trigger, "actions": []}).trigger) is kind


def test_an_automation_can_be_written_as_yaml() -> None:
    text = """
    name: tell
    trigger: {posture: Reactive, expect: [prefect.flow-run.Failed], match: {prefect.resource.id: prefect.flow-run.*}}
    actions:
    - {type: run-deployment, source: inferred}
    """
    read = Automation.model_validate(yaml.safe_load(text))
    assert isinstance(read.trigger, EventTrigger)
    assert read.trigger.match["prefect.resource.id"] == ["prefect.flow-run.*"]
    assert Automation.model_validate_json(read.model_dump_json()) == read


def test_triggers_and_actions_in_a_few_words() -> None:
    trigger = CompoundTrigger(require="any", triggers=[EventTrigger(expect={"a"}), EventTrigger(threshold=2)])
    assert trigger.describe_for_cli() == "Any of:\n  Reactive: expecting 1 of 'a'\n  Reactive: expecting 2 of any event"
    assert RunDeployment(source="inferred").describe_for_cli() == "Run deployment"


def test_a_trigger_of_a_deployment_is_an_automation_that_runs_it() -> None:
    adapter: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)
    given = {"name": "n", "expect": ["a"], "parameters": {"x": 1}, "schedule_after": 5, "job_variables": {"j": 2}}
    trigger = adapter.validate_python(given)
    assert isinstance(trigger, DeploymentEventTrigger)
    with pytest.raises(ValueError, match="no deployment"):
        trigger.as_automation()
    trigger.set_deployment_id(SOME)
    made = trigger.as_automation().model_dump(mode="json")
    assert (made["name"], made["owner_resource"]) == ("n", f"prefect.deployment.{SOME}")
    assert made["trigger"]["expect"] == ["a"]
    assert "parameters" not in made["trigger"]
    assert made["actions"][0] == {
        "type": "run-deployment", "source": "selected", "deployment_id": str(SOME), "parameters": {"x": 1},
        "job_variables": {"j": 2}, "schedule_after": 5.0,
    }  # fmt: skip
    both = DeploymentCompoundTrigger(require="all", triggers=[EventTrigger()])
    both.set_deployment_id(SOME)
    assert both.as_automation().name == f"Automation for deployment {SOME}"


@pytest.mark.usefixtures("api")
def test_made_read_changed_deleted() -> None:
    made = new().create()
    assert Automation.read(name="x") == made
    assert isinstance(made.id, UUID)
    made.name, made.actions = "y", [RunDeployment(source="inferred")]
    made.update()
    assert Automation.read(id=made.id).actions == made.actions
    assert made.disable() is True
    assert Automation.read(id=made.id).enabled is False
    assert made.enable() is True
    assert made.delete() is True
    assert (made.delete(), made.enable()) == (False, False)
    with pytest.raises(ValueError, match="no automation"):
        made.update()
    with pytest.raises(ValueError, match="no automation"):
        Automation.read(name="y")
    with pytest.raises(ValueError, match="either"):
        Automation.read()
    with pytest.raises(ValueError, match="no id"):
        new().delete()


@pytest.mark.usefixtures("api")
async def test_in_asynchronous_code() -> None:
    made = await new().acreate()
    assert (await Automation.aread(name="x")).id == made.id
    await made.adisable()
    assert (await Automation.read(id=made.id)).enabled is False
    await made.aupdate()
    assert await made.adelete()


@pytest.mark.usefixtures("api")
def test_a_client_finds_them() -> None:
    made = new("Some Name").create()
    with get_client(sync_client=True) as client:
        for key in (made.id, str(made.id), "Some Name", "some name"):
            found = client.find_automation(key)
            assert found is not None
            assert found.id == made.id
        assert client.find_automation("other") is None
        assert client.read_automation(SOME) is None
        assert client.read_automations_by_name("other") == []
        assert client.read_resource_related_automations("prefect.deployment.x") == []
        assert [one.name for one in client.read_automations()] == ["Some Name"]


def test_every_name_of_the_module_is_there() -> None:
    assert all(hasattr(automations, name) for name in automations.__all__)
