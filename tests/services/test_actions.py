"""What automations do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import block_documents, block_schemas, block_types, outbox
from prefect._operations.automations import create_automation
from prefect._operations.events import load_events
from prefect._schemas.actions.blocks import BlockDocumentCreate
from prefect._schemas.automation_requests import AutomationCreate
from prefect._services import actions, triggers
from prefect._services.loops import Loops
from prefect._store.tables import automation, automation_action, deployment, event, flow_run, work_pool, work_queue
from prefect.settings import get_current_settings

from .conftest import Town
from .named import named


class Does:
    """A town in which automations act at once."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def __call__(self, *wanted: dict[str, Any], of: str = "shop.1", related: Any = (), **parts: Any) -> list[str]:
        """Let something happen, to which these actions are the answer; what became of each."""
        body = {
            "name": "act",
            "trigger": {"type": "event", "posture": "Reactive", "expect": ["happened"]},
            "actions": list(wanted),
            **parts,
        }
        town, before = self.town, len(self.told())
        id = town.database.write(lambda tx: create_automation(tx, AutomationCreate.model_validate(body))).id
        payload = {"total": 42}
        subject = {"prefect.resource.id": of, "prefect.resource.name": "the one"}
        town.database.write(lambda tx: outbox.emit(tx, "happened", subject, related, payload))
        triggers.run_once(town.database, now())
        for _ in range(3):
            actions.run_once(town.database, now())
        assert town.rows(sa.select(automation_action)) == []
        town.execute(sa.update(automation).where(automation.c.id == id).values(enabled=False))
        return [row["event"].rpartition(".")[2] for row in self.told()[before:]]

    def told(self) -> list[Any]:
        ended = [f"prefect.automation.action.{what}" for what in ("executed", "failed")]
        return self.town.rows(sa.select(event).where(event.c.event.in_(ended)).order_by(event.c.occurred, event.c.id))

    @property
    def reason(self) -> str:
        return self.told()[-1]["payload"]["reason"]


@pytest.fixture
def does(town: Town) -> Does:
    return Does(town)


def test_a_deployment_is_run_with_what_the_event_says(town: Town, does: Does) -> None:
    jinja = {"__prefect_kind": "jinja", "template": "{{ event.resource.name }}: {{ event.payload.total }}"}
    nested = {"__prefect_kind": "json", "value": {"__prefect_kind": "jinja", "template": "[{{ event.payload.total }}]"}}
    action = {
        "type": "run-deployment",
        "deployment_id": str(town.deployment),
        "parameters": {"text": jinja, "numbers": nested, "plain": 1},
        "job_variables": {"env": {"A": "b"}},
        "schedule_after": 3600,
    }
    assert does(action) == ["executed"]
    (run,) = town.rows(sa.select(flow_run).where(flow_run.c.deployment_id == town.deployment))
    assert run["parameters"] == {"text": "the one: 42", "numbers": [42], "plain": 1}
    assert run["job_variables"] == {"env": {"A": "b"}}
    assert timedelta(minutes=59) < run["next_scheduled_start_time"] - now() < timedelta(minutes=61)


def test_parameters_are_templates_that_keep_their_types(town: Town, does: Does) -> None:
    wanted = {
        "number": "{{ event.payload.total }}",
        "text": "total: {{ event.payload.total }}",
        "all": "{{- event.payload -}}",
        "inside": {"list": ["{{ event.payload.total > 1 }}", 7, "as it is"]},
        "as text": {"__prefect_kind": "jinja", "template": "{{ event.payload.total }}"},
    }
    action = {"type": "run-deployment", "deployment_id": str(town.deployment), "parameters": wanted}
    assert does(action) == ["executed"]
    (run,) = town.rows(sa.select(flow_run).where(flow_run.c.deployment_id == town.deployment))
    assert run["parameters"] == {
        "number": 42, "text": "total: 42", "all": {"total": 42}, "inside": {"list": [True, 7, "as it is"]},
        "as text": "42",
    }  # fmt: skip
    (made,) = town.rows(sa.select(automation.c.id, automation.c.name))
    maker = {"id": str(made["id"]), "type": "AUTOMATION", "display_value": made["name"]}
    assert run["created_by"] == maker


def test_what_an_event_carries_is_not_carried_out(town: Town, does: Does) -> None:
    taken = "{{ {'__prefect' ~ '_kind': 'workspace_variable', 'variable_name': 'secret'} }}"
    action = {"type": "run-deployment", "deployment_id": str(town.deployment), "parameters": {"a": taken}}
    assert does(action) == ["failed"]
    assert "__prefect_kind" in does.reason
    action["parameters"] = {"a": "{{ event.payload.nothing }}"}
    assert does(action) == ["failed"]
    assert "'{{ event.payload.nothing }}' has no value" in does.reason


def test_the_news_say_what_was_done_and_why(town: Town, does: Does) -> None:
    does({"type": "pause-deployment", "deployment_id": str(town.deployment)})
    (told,) = does.told()
    statement = sa.select(event.c.id).where(event.c.event == "prefect.automation.triggered")
    triggered = town.rows(statement)[0]["id"]

    (read,) = town.database.read(lambda tx: load_events(tx, [told]))
    roles = {role: one.id for role, one in read.resource_in_role.items()}
    assert roles["target"] == f"prefect.deployment.{town.deployment}"
    assert roles["automation-triggered-event"] == f"prefect.event.{triggered}"
    assert read.resource["prefect.posture"] == "Reactive"
    assert read.payload["action_type"] == "pause-deployment"


@pytest.mark.parametrize("chosen", ["selected", "inferred"])
def test_what_can_be_paused(town: Town, does: Does, chosen: str) -> None:
    for kind, table, id, column in (
        ("deployment", deployment, town.deployment, "paused"),
        ("work-pool", work_pool, town.pool, "is_paused"),
        ("work-queue", work_queue, town.queue, "is_paused"),
    ):
        key = f"{kind.replace('-', '_')}_id"
        for verb, paused in (("pause", True), ("resume", False)):
            action: dict[str, Any] = {"type": f"{verb}-{kind}", "source": chosen}
            related: list[dict[str, str]] = []
            if chosen == "selected":
                action[key] = str(id)
            else:
                related = [outbox.resource(kind, id, None, kind)]
            assert does(action, related=related) == ["executed"]
            assert town.rows(sa.select(table.c[column]).where(table.c.id == id))[0][column] is paused


def test_automations_can_be_switched(town: Town, does: Does) -> None:
    body = AutomationCreate.model_validate(
        {"name": "b", "trigger": {"type": "event", "posture": "Reactive", "expect": ["never"]}, "actions": []}
    )
    id = town.database.write(lambda tx: create_automation(tx, body)).id
    for verb, enabled in (("pause", False), ("resume", True)):
        assert does({"type": f"{verb}-automation", "automation_id": str(id)}) == ["executed"]
        assert town.rows(sa.select(automation.c.enabled).where(automation.c.id == id))[0]["enabled"] is enabled


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ({"type": "cancel-flow-run"}, "SCHEDULED", "CANCELLED"),
        ({"type": "cancel-flow-run"}, "RUNNING", "CANCELLING"),
        ({"type": "suspend-flow-run"}, "RUNNING", "PAUSED"),
        ({"type": "change-flow-run-state", "state": "CRASHED", "name": "Bad", "message": "so"}, "RUNNING", "CRASHED"),
        ({"type": "change-flow-run-state", "state": "RUNNING", "force": True}, "COMPLETED", "RUNNING"),
    ],
)
def test_what_can_be_done_to_flow_runs(town: Town, does: Does, action: Any, before: str, after: str) -> None:
    run = town.run(before, deployment_id=town.deployment)
    assert does(action, of=f"prefect.flow-run.{run}") == ["executed"], does.reason
    assert town.state(run)["type"] == after


def test_a_suspended_run_can_be_resumed_and_one_can_be_deleted(town: Town, does: Does) -> None:
    run = town.run("RUNNING", deployment_id=town.deployment)
    for action, after in (("suspend", "PAUSED"), ("resume", "SCHEDULED")):
        assert does({"type": f"{action}-flow-run"}, of=f"prefect.flow-run.{run}") == ["executed"]
        assert town.state(run)["type"] == after
    assert does({"type": "delete-flow-run"}, of=f"prefect.flow-run.{run}") == ["executed"]
    assert town.rows(sa.select(flow_run).where(flow_run.c.id == run)) == []


def test_what_cannot_be_done_is_told_and_does_not_keep_the_rest(town: Town, does: Does) -> None:
    gone = {"type": "run-deployment", "deployment_id": str(new_uuid())}
    assert does(gone, {"type": "do-nothing"}) == ["failed", "executed"]
    failed = does.told()[0]["payload"]
    assert (failed["status_code"], failed["action_index"]) == (404, 0)
    assert does({"type": "cancel-flow-run"}) == ["failed"]
    assert does.reason == "No flow run could be inferred"
    run = town.run("COMPLETED")
    assert does({"type": "suspend-flow-run"}, of=f"prefect.flow-run.{run}") == ["failed"]
    template = {"__prefect_kind": "jinja", "template": "{{ 'x' * 999999999 }}"}
    run_it = {"type": "run-deployment", "deployment_id": str(town.deployment), "parameters": {"a": template}}
    assert does(run_it) == ["failed"]
    assert "250,000" in does.reason


def test_what_else_is_done_knows_of_the_firing(town: Town, does: Does) -> None:
    nothing = {"type": "do-nothing"}
    assert does(nothing, actions_on_trigger=[nothing]) == ["executed", "executed"]
    assert [one["payload"]["action_index"] for one in does.told()] == [0, 1]


# -- outside --------------------------------------------------------------------------------------------------------


class Listener:
    """Somebody who is called."""

    def __init__(self, status: int = 200) -> None:
        self.heard: list[Any] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
                heard.append(json.loads(text) if text[:1] == "{" else text)
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def make(status: int = 200) -> Listener:
        made.append(Listener(status))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def block(town: Town, slug: str, **data: Any) -> str:
    def make(tx: sa.Connection) -> UUID:
        block_types.install_system_block_types(tx)
        kind = block_types.read_block_type_by_slug(tx, slug)
        wanted = block_schemas.BlockSchemaQuery.model_validate(
            {"block_schemas": {"block_type_id": {"any_": [str(kind.id)]}}}
        )
        schema = block_schemas.read_block_schemas(tx, wanted)[0]
        body = BlockDocumentCreate(
            name=f"b-{new_uuid().hex[-8:]}", data=data, block_schema_id=schema.id, block_type_id=kind.id
        )
        return block_documents.create_block_document(tx, body).id

    return str(town.database.write(make))


def test_a_webhook_is_called(town: Town, does: Does, listen: Callable[..., Listener]) -> None:
    listener = listen()
    id = block(town, "webhook", url=listener.url)
    payload = '{"order": "{{ event.resource.id }}", "by": "{{ automation.name }}"}'
    assert does({"type": "call-webhook", "block_document_id": id, "payload": payload}) == ["executed"], does.reason
    assert listener.heard == [{"order": "shop.1", "by": "act"}]


def test_a_notification_is_sent(town: Town, does: Does, listen: Callable[..., Listener]) -> None:
    listener = listen()
    said = {"title": "{{subject}}", "text": "{{body}}"}
    id = block(town, "custom-webhook", name="hook", url=listener.url, json_data=said)
    run = town.run("FAILED", name="brave-fox")
    action = {
        "type": "send-notification",
        "block_document_id": id,
        "subject": "{{ flow.name }}",
        "body": "{{ flow_run.name }} is {{ flow_run.state.name }} {{ deployment.name }}",
    }
    related = [outbox.resource("flow", town.flow, "etl", "flow")]
    result = does({**action, "body": action["body"].replace("deployment.name", "event.follows")},
                  of=f"prefect.flow-run.{run}", related=related)  # fmt: skip
    assert result == ["executed"], does.reason
    assert listener.heard == [{"title": "etl", "text": "brave-fox is Failed "}]


def test_a_call_that_fails_is_told(town: Town, does: Does, listen: Callable[..., Listener]) -> None:
    listener = listen(500)
    id = block(town, "webhook", url=listener.url)
    assert does({"type": "call-webhook", "block_document_id": id}) == ["failed"]
    assert "500" in does.reason
    inside = block(town, "webhook", url=listener.url, allow_private_urls=False)
    assert does({"type": "call-webhook", "block_document_id": inside}) == ["failed"]
    assert len(listener.heard) == 1, "an address in a private network is refused"
    assert does({"type": "call-webhook", "block_document_id": str(new_uuid())}) == ["failed"]
    assert does({"type": "send-notification", "block_document_id": id, "body": "b"}) == ["failed"]


def test_many_act_and_each_action_is_carried_out_once(town: Town, listen: Callable[..., Listener]) -> None:
    listener = listen()
    id = block(town, "webhook", url=listener.url)
    body = AutomationCreate.model_validate({
        "name": "act",
        "trigger": {"type": "event", "posture": "Reactive", "expect": ["happened"]},
        "actions": [
            {"type": "call-webhook", "block_document_id": id, "payload": "{{ event.payload.n }}"},
            {"type": "run-deployment", "deployment_id": str(town.deployment)},
        ],
    })  # fmt: skip
    town.database.write(lambda tx: create_automation(tx, body))
    for number in range(15):
        subject, payload = {"prefect.resource.id": "x"}, {"n": number}
        town.database.write(lambda tx, s=subject, p=payload: outbox.emit(tx, "happened", s, (), p))
    triggers.run_once(town.database, now())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: actions.run_once(town.database, now()), range(12)))
    assert town.rows(sa.select(automation_action)) == []
    assert sorted(map(int, listener.heard)) == list(range(15))
    assert len(town.rows(sa.select(flow_run).where(flow_run.c.deployment_id == town.deployment))) == 15


def test_services_are_woken_by_what_happens(town: Town) -> None:
    loops = Loops(town.database, named("triggers", "actions"), get_current_settings())
    loops.start()
    try:
        body = AutomationCreate.model_validate({
            "name": "act",
            "trigger": {"type": "event", "posture": "Reactive", "expect": ["happened"]},
            "actions": [{"type": "do-nothing"}],
        })  # fmt: skip
        with town.database.bus.subscribe("events") as told:
            town.database.write(lambda tx: create_automation(tx, body))
            town.database.write(lambda tx: outbox.emit(tx, "happened", {"prefect.resource.id": "x"}))
            end = now() + timedelta(seconds=20)
            while "prefect.automation.action.executed" not in town.events() and now() < end:
                told.wait(1)
        assert "prefect.automation.action.executed" in town.events()
    finally:
        loops.stop()
