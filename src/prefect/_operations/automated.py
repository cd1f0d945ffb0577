"""What automations do to the objects of the API, and what their templates know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import sqlalchemy as sa

from prefect._clock import now, now_us, to_us
from prefect._operations import (
    automations,
    deployment_runs,
    deployments,
    flow_run_control,
    flow_runs,
    flows,
    rows,
    templates,
    work_pools,
    work_queues,
)
from prefect._operations.errors import NotFound
from prefect._operations.registry import Rendered
from prefect._operations.state_changes import propose_flow_run_state
from prefect._rules.states import CANCELLED, CANCELLING, PAUSED, SCHEDULED, RunState
from prefect._schemas import automation_actions as actions
from prefect._schemas.actions.runs import DeploymentFlowRunCreate, StateCreate
from prefect._schemas.actions.work_pools import WorkPoolUpdate, WorkQueueUpdate
from prefect._schemas.enums import SetStateStatus
from prefect._schemas.events import Event
from prefect._schemas.states import StateType
from prefect._store.tables import flow_run, work_pool

_PAUSE_SECONDS = 24 * 60 * 60
_KIND = "__prefect_kind"


class ActionFailed(Exception):
    """An action could not be carried out. The message says why.

    Args:
        reason: why.
        status: the HTTP status that said so.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(reason)


def involved(event: Event | None, kind: str) -> UUID | None:
    """The id of the first object of a kind that an event is about or that is related to it."""
    prefix = f"prefect.{kind}."
    for resource in event.involved_resources if event is not None else ():
        if resource.id.startswith(prefix):
            try:
                return UUID(resource.id.removeprefix(prefix))
            except ValueError:
                continue
    return None


_CHOSEN = {
    actions.DeploymentAction: ("deployment", "deployment_id"),
    actions.WorkPoolAction: ("work-pool", "work_pool_id"),
    actions.WorkQueueAction: ("work-queue", "work_queue_id"),
    actions.AutomationAction: ("automation", "automation_id"),
}
_ON_FLOW_RUNS = (
    actions.CancelFlowRun, actions.ChangeFlowRunState, actions.DeleteFlowRun, actions.ResumeFlowRun,
    actions.SuspendFlowRun,
)  # fmt: skip


def target(action: actions.Action, event: Event | None) -> tuple[str, UUID | None]:
    """The kind and the id of the object that an action is about; an empty kind when it is about none."""
    if isinstance(action, _ON_FLOW_RUNS):
        return "flow-run", involved(event, "flow-run")
    for base, (kind, field) in _CHOSEN.items():
        if isinstance(action, base):
            if getattr(action, "source", "selected") == "selected":
                return kind, getattr(action, field)
            return kind, involved(event, kind)
    return "", None


class Maker(NamedTuple):
    """The automation that does something.

    Attributes:
        key: identifies this action among all: a run that it makes is made once.
        automation_id: the automation.
        automation_name: what it is called.
    """

    key: str
    automation_id: UUID
    automation_name: str


def carry_out(tx: sa.Connection, action: actions.Action, event: Event | None, by: Maker) -> None:
    """Do what an action says, in a transaction.

    Args:
        tx: the transaction.
        action: what to do; templates in it are rendered already.
        event: what triggered it.
        by: who does it.

    Raises:
        ActionFailed: there is nothing to do it to, or the rules are against it.
        NotFound, Conflict, Invalid, Forbidden: as the operation that it comes to.
    """
    kind, id = target(action, event)
    if kind and id is None:
        raise ActionFailed(f"No {kind.replace('-', ' ')} could be inferred")
    does = _DOES.get(type(action))
    if does is not None:
        does(tx, id, action, by)


def _run_deployment(tx: sa.Connection, id: UUID, action: actions.RunDeployment, by: Maker) -> None:
    due = now() + action.schedule_after
    body = DeploymentFlowRunCreate.model_validate({
        "parameters": action.parameters or {},
        "job_variables": action.job_variables or {},
        "idempotency_key": by.key,
        "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": due}},
    })  # fmt: skip
    maker = {"id": str(by.automation_id), "type": "AUTOMATION", "display_value": by.automation_name}
    deployment_runs.make_run(tx, deployment_runs.deployment_row(tx, id), body, maker)


def _set_pool(paused: bool) -> Callable[..., None]:
    def set_paused(tx: sa.Connection, id: UUID, action: Any, by: Maker) -> None:
        pool = rows.one(tx, sa.select(work_pool.c.name).where(work_pool.c.id == id), "work pool", id)
        work_pools.update_work_pool(tx, pool["name"], WorkPoolUpdate(is_paused=paused))

    return set_paused


def _set_queue(paused: bool) -> Callable[..., None]:
    def set_paused(tx: sa.Connection, id: UUID, action: Any, by: Maker) -> None:
        work_queues.update_work_queue(tx, id, WorkQueueUpdate(is_paused=paused))

    return set_paused


def _propose(tx: sa.Connection, id: UUID, state: RunState, *, force: bool = False) -> None:
    result, _ = propose_flow_run_state(tx, id, state, force=force)
    if result.status != SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", None) or result.status.value
        raise ActionFailed(f"The flow run did not enter the state {state.name!r}: {reason}")


def _cancel(tx: sa.Connection, id: UUID, action: Any, by: Maker) -> None:
    current = rows.one(tx, sa.select(flow_run.c.state_type).where(flow_run.c.id == id), "flow run", id)["state_type"]
    # one that nothing carries out has nothing to be stopped
    type = CANCELLED if current in (None, SCHEDULED, PAUSED) else CANCELLING
    _propose(tx, id, RunState(type, message="Cancelled by an automation.", timestamp=now_us()))


def _suspend(tx: sa.Connection, id: UUID, action: Any, by: Maker) -> None:
    timeout = to_us(now() + timedelta(seconds=_PAUSE_SECONDS))
    details = {"pause_timeout": timeout, "pause_reschedule": True, "pause_key": by.key}
    _propose(tx, id, RunState(PAUSED, "Suspended", "Suspended by an automation.", details=details, timestamp=now_us()))


def _resume(tx: sa.Connection, id: UUID, action: Any, by: Maker) -> None:
    answer = flow_run_control.resume_flow_run(tx, id, flow_run_control.Resume()).value
    if answer.status != SetStateStatus.ACCEPT:
        raise ActionFailed(getattr(answer.details, "reason", None) or answer.status.value)


def _change_state(tx: sa.Connection, id: UUID, action: actions.ChangeFlowRunState, by: Maker) -> None:
    wanted = StateCreate(type=StateType(action.state), name=action.name, message=action.message)
    _propose(tx, id, flow_run_control.state_of(wanted), force=action.force)


_DOES: dict[type[actions.Action], Callable[..., None]] = {
    actions.RunDeployment: _run_deployment,
    actions.PauseDeployment: lambda tx, id, *_: deployments.pause_deployment(tx, id),
    actions.ResumeDeployment: lambda tx, id, *_: deployments.resume_deployment(tx, id),
    actions.PauseWorkPool: _set_pool(True),
    actions.ResumeWorkPool: _set_pool(False),
    actions.PauseWorkQueue: _set_queue(True),
    actions.ResumeWorkQueue: _set_queue(False),
    actions.PauseAutomation: lambda tx, id, *_: automations.set_enabled(tx, id, False),
    actions.ResumeAutomation: lambda tx, id, *_: automations.set_enabled(tx, id, True),
    actions.CancelFlowRun: _cancel,
    actions.SuspendFlowRun: _suspend,
    actions.ResumeFlowRun: _resume,
    actions.ChangeFlowRunState: _change_state,
    actions.DeleteFlowRun: lambda tx, id, *_: flow_runs.delete_flow_run(tx, id),
}


# -- templates ------------------------------------------------------------------------------------------------------


class Shown(dict[str, Any]):
    """An object of the API as templates see it: its fields. Methods of models are not for them."""

    kind = ""


def _shown(kind: str, model: Any) -> Shown:
    shown = Shown(orjson.loads(model.json) if isinstance(model, Rendered) else model.model_dump(mode="json"))
    shown.kind = kind
    return shown


_READS: dict[str, Callable[[sa.Connection, UUID], Any]] = {
    "flow-run": flow_runs.read_flow_run,
    "flow": flows.read_flow,
    "deployment": deployments.read_deployment,
    "work-queue": work_queues.read_work_queue,
    "work-pool": lambda tx, id: work_pools.read_work_pool(
        tx, rows.one(tx, sa.select(work_pool.c.name).where(work_pool.c.id == id), "work pool", id)["name"]
    ),
}


def context(tx: sa.Connection, invocation: Mapping[str, Any], event: Event | None) -> dict[str, Any]:
    """The names that templates can use: `event`, `automation`, `labels`, and the objects that the event is about.

    Those are `flow_run`, `flow`, `deployment`, `work_queue` and `work_pool`; one that the event has nothing to do with
    is None.
    """
    known: dict[str, Any] = {kind.replace("-", "_"): None for kind in _READS}
    for kind, read in _READS.items():
        id = involved(event, kind)
        if id is not None:
            try:
                known[kind.replace("-", "_")] = _shown(kind, read(tx, id))
            except NotFound:
                continue  # it is gone
    automation = Shown(invocation["automation"])
    automation.kind = "automation"
    return {
        **known,
        "event": None if event is None else _event(event),
        "automation": automation,
        "labels": dict(invocation["labels"]),
        "firing": {"triggered": invocation["triggered"], "triggering_labels": dict(invocation["labels"])},
    }


def _event(event: Event) -> dict[str, Any]:
    shown = event.model_dump(mode="json")
    shown["resource"] = _labelled(event.resource.root)
    shown["related"] = [_labelled(one.root) for one in event.related]
    return shown


def _labelled(labels: Mapping[str, str]) -> dict[str, str | None]:
    short = {name: labels.get(f"prefect.resource.{name}") for name in ("id", "name", "role")}
    return {**short, **labels}


def rendered(value: Any, names: Mapping[str, Any], *, plain: bool = False) -> Any:
    """A value with its templates rendered: `{"__prefect_kind": "jinja", "template": ...}` makes text.

    Args:
        value: the value.
        names: what templates know.
        plain: whether plain text is a template too. One that is a single expression makes the value of that: a number
            stays a number.

    Raises:
        TemplateFailed: one of them makes nothing.
    """
    if isinstance(value, str) and plain:
        return templates.evaluate(value, dict(names))
    if isinstance(value, Mapping):
        if value.get(_KIND) == "jinja" and isinstance(value.get("template"), str):
            return templates.render(value["template"], dict(names))
        inside = plain and _KIND not in value
        return {name: rendered(part, names, plain=inside) for name, part in value.items()}
    if isinstance(value, list):
        return [rendered(part, names, plain=plain) for part in value]
    return value
