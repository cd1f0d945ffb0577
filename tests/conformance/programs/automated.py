"""Automations of each kind on the events of one colour, and the events: `automated.py DEPLOYMENT OTHER`."""

import json
import sys
from datetime import timedelta
from uuid import UUID

from prefect.automations import (
    Automation,
    CompoundTrigger,
    EventTrigger,
    Posture,
    SequenceTrigger,
)
from prefect.events import emit_event
from prefect.events.actions import PauseAutomation, PauseDeployment, RunDeployment

deployment, other = map(UUID, sys.argv[1:])


def on(event, **more):
    """A trigger on an event of a colour."""
    return EventTrigger(expect={event}, match={"prefect.resource.id": "colour.*"}, **more)


def run_with(x, **more):
    parameters = {"x": x, **more}
    return RunDeployment(source="selected", deployment_id=deployment, parameters=parameters)


made = {
    "event": Automation(
        name="on an event",
        trigger=on("colour.asked", posture=Posture.Reactive, threshold=2, within=timedelta(minutes=1)),
        actions=[run_with("{{ event.payload.number }}")],
    ).create(),
    "both": Automation(
        name="on both",
        trigger=CompoundTrigger(
            require="all", within=timedelta(minutes=1), triggers=[on("colour.asked"), on("colour.mixed")]
        ),
        actions=[run_with(50)],
    ).create(),
    "sequence": Automation(
        name="in this order",
        trigger=SequenceTrigger(within=timedelta(minutes=1), triggers=[on("colour.asked"), on("colour.mixed")]),
        actions=[run_with(60)],
    ).create(),
    "silence": Automation(
        name="nobody says anything",
        trigger=EventTrigger(
            expect={"colour.never"}, posture=Posture.Proactive, threshold=1, within=timedelta(seconds=10)
        ),
        actions=[PauseDeployment(source="selected", deployment_id=other)],
    ).create(),
}
made["paused"] = Automation(
    name="pauses another",
    trigger=on("colour.gone"),
    actions=[PauseAutomation(source="selected", automation_id=made["silence"].id)],
    enabled=False,
).create()
read = Automation.read(id=made["both"].id)
assert read.trigger == made["both"].trigger and read.actions == made["both"].actions, read
assert Automation.read(name="on both").id == read.id
read.description = "written again"
read.update()
assert Automation.read(id=read.id).description == "written again"
read.disable()
assert not Automation.read(id=read.id).enabled
read.enable()

resource = {"prefect.resource.id": "colour.red"}
for number in (3, 4):
    emit_event("colour.asked", resource, payload={"number": number})
emit_event("colour.mixed", resource)
print("OUT" + json.dumps({name: str(automation.id) for name, automation in made.items()}))
