"""Triggers of deployments: an event becomes a run."""

from __future__ import annotations

from prefect import flow, get_client
from prefect._clock import now
from prefect._engine.recorder import database_path, flush_all
from prefect._operations.local import LocalDatabase
from prefect._services import actions, triggers
from prefect._services.local import LocalWork
from prefect.events import DeploymentEventTrigger, emit_event
from prefect.settings import get_current_settings


@flow
def bill(order: str) -> str:
    return order


def _work() -> None:
    flush_all()
    with LocalDatabase(database_path(get_current_settings())) as database:
        for service in (triggers, actions):
            service.run_once(LocalWork(database), now())


def test_an_event_makes_a_run_of_the_deployment(embedded: str) -> None:
    order = {"__prefect_kind": "jinja", "template": "{{ event.resource.id }}"}
    trigger = DeploymentEventTrigger(expect={"order.placed"}, parameters={"order": order})
    made = [bill.to_deployment("on-order", triggers=[trigger]).apply() for _ in range(2)]
    id = made[-1]  # applied twice, there is one automation
    with get_client(sync_client=True) as client:
        assert len(client.read_resource_related_automations(f"prefect.deployment.{id}")) == 1
        assert emit_event("order.placed", resource={"prefect.resource.id": "shop.order.17"}) is not None
        _work()
        (run,) = client.read_flow_runs()
    assert (run.deployment_id, run.parameters) == (id, {"order": "shop.order.17"})
