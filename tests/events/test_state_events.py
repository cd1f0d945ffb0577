"""Without a server, runs of deployments tell of their states; runs started by hand cost nothing more."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from prefect import flow
from prefect._schemas.events import ReceivedEvent
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder
from prefect.flow_engine import run_flow
from prefect.states import Pending


@flow
def greet(fails: bool = False) -> str:
    if fails:
        raise ValueError("no greeting")
    return "hello"


def told() -> list[ReceivedEvent]:
    wanted = EventFilter(event=EventNameFilter(prefix=["prefect.flow-run."]), order=EventOrder.ASC)
    with get_client(sync_client=True) as client:
        return client.read_events(wanted).events


def test_runs_of_deployments_tell_of_their_states(home: Path) -> None:
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(greet)
        deployment_id = client.create_deployment(flow_id, "by hand", tags=["nightly"])
        run = client.create_flow_run_from_deployment(deployment_id, state=Pending())
    run_flow(greet, flow_run=run)
    events = told()
    assert [one.event.rpartition(".")[2] for one in events] == ["Pending", "Running", "Completed"]
    for before, after in pairwise(events):
        assert after.follows == before.id
        assert after.payload["intended"]["from"] == before.resource["prefect.state-type"]
    last = events[-1]
    assert last.resource["prefect.run-count"] == "1" and last.resource.id == f"prefect.flow-run.{run.id}"
    assert [(one.role, one.name) for one in last.related] == [
        ("flow", "greet"), ("deployment", "by hand"), ("tag", None)
    ]  # fmt: skip


def test_runs_started_by_hand_tell_of_nothing(home: Path) -> None:
    greet()
    greet(fails=True, return_state=True)
    assert told() == []
