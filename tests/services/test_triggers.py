"""Automations fire, once for each reason, whoever looks and whatever is restarted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now
from prefect._operations import automations, outbox
from prefect._schemas.automation_requests import AutomationCreate, AutomationUpdate
from prefect._services import triggers
from prefect._store.tables import automation_action, automation_count, event

from .conftest import Town

SECOND = timedelta(seconds=1)


class Watch:
    """A town with automations, and a clock."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.start = now()

    def make(
        self, name: str = "a", *, trigger: dict[str, Any] | None = None, actions: Any = None, **event: Any
    ) -> UUID:
        body = AutomationCreate.model_validate({
            "name": name,
            "trigger": trigger or {"type": "event", "posture": "Reactive", **event},
            "actions": actions or [{"type": "do-nothing"}],
            "actions_on_resolve": [{"type": "do-nothing"}],
        })  # fmt: skip
        return self.town.database.write(lambda tx: automations.create_automation(tx, body)).id

    def emit(self, name: str, of: str = "x", second: float = 0, related: Any = ()) -> UUID:
        occurred = self.start + second * SECOND
        resource = {"prefect.resource.id": of}
        return self.town.database.write(lambda tx: outbox.emit(tx, name, resource, related, occurred=occurred))

    def look(self, second: float = 0) -> list[str]:
        """What is told when somebody looks at a second."""
        before = self.told()
        for _ in range(100):
            if not triggers.run_once(self.town.database, self.start + second * SECOND).more:
                break
        return self.told()[len(before) :]

    def told(self) -> list[str]:
        names = ["prefect.automation.triggered", "prefect.automation.resolved"]
        statement = sa.select(event.c.event).where(event.c.event.in_(names)).order_by(event.c.received, event.c.id)
        return [row["event"].rpartition(".")[2] for row in self.town.rows(statement)]

    def events(self, name: str) -> list[Any]:
        statement = sa.select(event.c.payload).where(event.c.event == name).order_by(event.c.id)
        return [row["payload"] for row in self.town.rows(statement)]


def test_it_fires_for_what_happens_from_now_on(town: Town) -> None:
    watch = Watch(town)
    watch.emit("order.placed")
    id = watch.make(expect=["order.*"])
    assert watch.look() == []
    placed = watch.emit("order.placed")
    watch.emit("other")
    assert watch.look() == ["triggered"]
    assert watch.look() == []
    told = watch.events("prefect.automation.triggered")[0]["triggering_event"]
    assert (told["id"], told["event"]) == (str(placed), "order.placed")
    (action,) = town.rows(sa.select(automation_action))
    assert (action["automation_id"], action["invocation"]["action"]) == (id, {"type": "do-nothing"})


def test_of_disabled_ones_nothing_is_counted(town: Town) -> None:
    watch = Watch(town)
    id = watch.make(expect=["e"], threshold=2)
    watch.emit("e")
    watch.look()
    for enabled in (False, True):
        town.database.write(lambda tx, enabled=enabled: automations.set_enabled(tx, id, enabled))
        watch.emit("e") if not enabled else None
    watch.emit("e")
    assert watch.look() == []
    watch.emit("e")
    assert watch.look() == ["triggered"]


def test_what_matches(town: Town) -> None:
    watch = Watch(town)
    watch.make(
        expect=["e"],
        match={"prefect.resource.id": "shop.*"},
        match_related=[{"prefect.resource.role": "tag"}, {"prefect.resource.id": "prefect.tag.x"}],
    )
    tag = {"prefect.resource.id": "prefect.tag.x", "prefect.resource.role": "tag"}
    watch.emit("e", "shop.1")
    watch.emit("e", "house.1", related=[tag])
    assert watch.look() == []
    watch.emit("e", "shop.1", related=[tag])
    assert watch.look() == ["triggered"]


def test_each_resource_by_itself(town: Town) -> None:
    watch = Watch(town)
    watch.make(expect=["e"], threshold=2, within=60, for_each=["prefect.resource.id"])
    for second, of in enumerate("abcab"):
        watch.emit("e", of, second)
        watch.look(second)
    told = watch.events("prefect.automation.triggered")
    assert [one["triggering_labels"] for one in told] == [{"prefect.resource.id": "a"}, {"prefect.resource.id": "b"}]


def test_silence(town: Town) -> None:
    watch = Watch(town)
    watch.make(posture="Proactive", after=["begin"], expect=["end"], within=10, for_each=["prefect.resource.id"])
    begun = watch.emit("begin", "1", 0)
    watch.emit("begin", "2", 0)
    watch.emit("end", "2", 5)
    found = triggers.run_once(town.database, watch.start)
    assert found.next_at is not None
    assert abs(found.next_at - (watch.start + 11 * SECOND)) < SECOND / 100
    assert watch.look(9) == []
    assert watch.look(11) == ["triggered"]
    told = watch.events("prefect.automation.triggered")[0]
    assert (told["triggering_labels"], told["triggering_event"]["id"]) == ({"prefect.resource.id": "1"}, str(begun))
    assert watch.look(100) == []
    watch.emit("end", "1", 101)
    assert watch.look(101) == ["resolved"]
    assert len(town.rows(sa.select(automation_action))) == 2


def test_silence_of_everything_is_waited_for_without_any_event(town: Town) -> None:
    watch = Watch(town)
    watch.make(posture="Proactive", expect=["heartbeat"], within=10)
    assert watch.look(5) == []
    assert watch.look(12) == ["triggered"]
    watch.emit("heartbeat", second=13)
    assert watch.look(13) == ["resolved"]
    assert watch.look(22) == []
    assert watch.look(30) == ["triggered"]


def test_events_that_are_known_late_count_when_they_happened(town: Town) -> None:
    watch = Watch(town)
    watch.make(posture="Proactive", after=["begin"], expect=["end"], within=10)
    watch.emit("end", second=5)
    watch.look(5)
    watch.emit("begin", second=0)
    assert watch.look(60) == []


def test_triggers_of_triggers(town: Town) -> None:
    watch = Watch(town)
    one, two = ({"type": "event", "posture": "Reactive", "expect": [name]} for name in ("one", "two"))
    watch.make(trigger={"type": "sequence", "within": 60, "triggers": [one, two]})
    inner = {"type": "compound", "require": "all", "within": 60, "triggers": [one, two]}
    watch.make(trigger={"type": "compound", "require": 1, "within": None, "triggers": [inner]})
    for second, name, expected in [(0, "two", 0), (1, "one", 1), (2, "two", 1), (3, "one", 1), (90, "two", 0)]:
        watch.emit(name, second=second)
        assert len(watch.look(second)) == expected, (second, name)


def test_what_was_counted_survives_a_change_of_name_and_not_one_of_the_trigger(town: Town) -> None:
    watch = Watch(town)
    id = watch.make(expect=["e"], threshold=2)
    watch.emit("e")
    watch.look()
    trigger: dict[str, Any] = {"type": "event", "posture": "Reactive", "expect": ["e"], "threshold": 2}
    for changed, counts in ((trigger, 1), ({**trigger, "threshold": 3}, 0)):
        body = AutomationUpdate.model_validate({"name": "b", "trigger": changed, "actions": []})
        town.database.write(lambda tx, body=body: automations.update_automation(tx, id, body))
        assert len(town.rows(sa.select(automation_count))) == counts


def test_it_does_not_trigger_itself(town: Town) -> None:
    watch = Watch(town)
    watch.make(expect=[])
    watch.emit("e")
    assert watch.look() == ["triggered"]
    assert watch.look() == []


def test_many_look_and_each_firing_happens_once(town: Town) -> None:
    watch = Watch(town)
    watch.make(expect=["e"], for_each=["prefect.resource.id"], threshold=2)
    moment = now()

    def emit(number: int) -> None:
        watch.emit("e", f"r.{number % 20}")

    def look(_: int) -> None:
        triggers.run_once(town.database, moment)

    with ThreadPoolExecutor(6) as pool:
        looks = [pool.submit(look, number) for number in range(40)]
        list(pool.map(emit, range(80)))
        for one in looks:
            one.result()
    watch.look()
    assert watch.told() == ["triggered"] * 40


def test_long_ago(town: Town) -> None:
    watch = Watch(town)
    watch.make(expect=["e"], within=10, for_each=["prefect.resource.id"])
    for number in range(5):
        watch.emit("e", str(number))
    assert len(watch.look()) == 5
    watch.look(600)
    assert town.rows(sa.select(automation_count)) == []
