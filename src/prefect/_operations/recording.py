"""Recording what processes that run flows have to report: many things in one transaction, each of them once.

A process sends batches, one after the other: runs that it began, task runs, log lines, events, artifacts, and the states
that its flow runs are to enter. What is in a batch is written in this order, so that nobody sees the end of a flow run
before its task runs and its log. Everything has an id that its sender made, and what comes again changes nothing, so a
batch whose answer was lost is simply sent again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import AfterValidator, Field, TypeAdapter

from prefect._clock import from_us, now, now_us, to_us
from prefect._defaults import new_list
from prefect._operations import deferred_runs, outbox, task_run_deliveries
from prefect._operations.artifacts import ArtifactChangeRecord, ArtifactRecord, change_artifacts, keep_artifacts
from prefect._operations.errors import Conflict
from prefect._operations.events import SentEvent, create_events
from prefect._operations.flow_runs import policy_as_read
from prefect._operations.leases import as_row, lease_flow_run
from prefect._operations.logs import LogLine, create_logs
from prefect._operations.registry import operation
from prefect._operations.state_changes import (
    current_state,
    has_been_in,
    insert_flow_run,
    propose_flow_run_state,
    public_state,
)
from prefect._rules.states import CANCELLING, CRASHED, RUNNING, RunState
from prefect._schemas.base import ActionBaseModel, PrefectBaseModel
from prefect._schemas.enums import SetStateStatus
from prefect._schemas.fields import KeyValueLabelsField
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.leases import LEASE_SECONDS, LeaseHolder, LeaseRequest, Token
from prefect._schemas.moments import DateTime
from prefect._schemas.orchestration import OrchestrationResult, StateAbortDetails, StateAcceptDetails
from prefect._schemas.states import State, StateDetails, StateType, from_public
from prefect._schemas.task_runs import TaskRun
from prefect._store import bulk, leases, single
from prefect._store.announcements import announce
from prefect._store.dialects import insert
from prefect._store.prepared import sent_ahead
from prefect._store.tables import flow, flow_run, flow_run_state, task_run, task_run_state

_OWN_IDS = frozenset({"flow_run_id", "task_run_id"})


@cache
def _readable_as(model: type[PrefectBaseModel], field: str) -> TypeAdapter[Any]:
    annotation: Any = model.model_fields[field].annotation
    return TypeAdapter(annotation)


def _kept_as(
    model: type[PrefectBaseModel], field: str, as_read: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> AfterValidator:
    """Keep a document as it was sent, if a run that has it can be read again."""

    def check(document: dict[str, Any]) -> dict[str, Any]:
        if document:
            _readable_as(model, field).validate_python(as_read(document) if as_read else document)
        return document

    return AfterValidator(check)


_FlowRunPolicy = Annotated[dict[str, Any], _kept_as(FlowRun, "empirical_policy", policy_as_read)]


class StateRecord(ActionBaseModel):
    """A state that a run has been in, or is to enter."""

    id: UUID
    type: StateType
    name: str
    timestamp: DateTime
    message: str | None = None
    state_details: dict[str, Any] = Field(default_factory=dict)
    data: Any = None


class TaskRunRecord(ActionBaseModel):
    """A task run as its process knows it, with the states it has been in since it was recorded last."""

    id: UUID
    name: str
    created: DateTime | None = None
    flow_run_id: UUID | None = None
    task_key: str
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: DateTime | None = None
    task_version: str | None = None
    flow_run_run_count: int = 0
    empirical_policy: Annotated[dict[str, Any], _kept_as(TaskRun, "empirical_policy")] = Field(default_factory=dict)
    task_inputs: Annotated[dict[str, Any], _kept_as(TaskRun, "task_inputs")] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=new_list)
    labels: KeyValueLabelsField
    run_count: int = 0
    expected_start_time: DateTime | None = None
    next_scheduled_start_time: DateTime | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    total_run_time: timedelta = timedelta(0)
    lease_token: Token | None = Field(default=None, description="Of the claim under which it is carried out.")
    states: list[StateRecord] = Field(min_length=1, description="In the order in which they were entered.")


class RecordTaskRuns(ActionBaseModel):
    """Task runs to record."""

    task_runs: list[TaskRunRecord] = Field(max_length=5_000)


class Recorded(PrefectBaseModel):
    """What became of the records."""

    recorded: int
    orphans: list[UUID] = Field(
        default_factory=new_list, description="Task runs that were not recorded: their flow run has been deleted."
    )
    fenced: list[UUID] = Field(
        default_factory=new_list, description="Task runs that were not recorded: somebody else has claimed them since."
    )


class FlowRunRecord(ActionBaseModel):
    """A flow run that a process began by itself, and its flow."""

    id: UUID
    name: str
    created: DateTime
    flow_name: str
    flow_labels: KeyValueLabelsField
    flow_tags: list[str] = Field(default_factory=new_list)
    flow_version: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    empirical_policy: _FlowRunPolicy = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=new_list)
    labels: KeyValueLabelsField
    parent_task_run_id: UUID | None = None
    parent_flow_run_id: UUID | None = None
    state: StateRecord = Field(description="The first state of the run.")


class FlowRunProposal(ActionBaseModel):
    """A state that a flow run is to enter."""

    flow_run_id: UUID
    state: StateRecord
    force: bool = Field(default=False, description="Enter it whatever the rules say.")
    decided: bool = Field(
        default=False, description="The process could not ask and has gone on: the state is one that the run was in."
    )
    name: str | None = Field(default=None, description="The name of the run from now on, when it changes.")
    policy: _FlowRunPolicy | None = Field(
        default=None, description="How often the flow is tried again, where who made the run did not know."
    )
    holder: LeaseHolder | None = Field(
        default=None, description="Hold the run from now on; with a token, take over the claim of who started it."
    )
    lease_token: Token | None = Field(default=None, description="By which the process holds the run.")
    infrastructure_pid: str | None = Field(
        default=None, description="How the process that holds it from now on is known."
    )


class RecordRuns(RecordTaskRuns):
    """What a process has to report."""

    flow_runs: list[FlowRunRecord] = Field(default_factory=new_list, max_length=5_000)
    task_runs: list[TaskRunRecord] = Field(default_factory=new_list, max_length=5_000)
    logs: list[LogLine] = Field(default_factory=new_list, max_length=20_000)
    events: list[SentEvent] = Field(default_factory=new_list, max_length=5_000)
    artifacts: list[ArtifactRecord] = Field(default_factory=new_list, max_length=5_000)
    artifact_changes: list[ArtifactChangeRecord] = Field(default_factory=new_list, max_length=5_000)
    proposals: list[FlowRunProposal] = Field(default_factory=new_list, max_length=5_000)


class ProposalResult(OrchestrationResult[Any]):
    """The answer to a proposed state."""

    flow_run_id: UUID
    flow_run_status: Literal["known", "unknown"] = Field(
        default="known", description="Whether there is such a flow run; of an unknown one nothing is recorded."
    )
    lease_token: Token | None = Field(default=None, description="By which the run is held.")


class RunsRecorded(Recorded):
    """What became of what a process reported."""

    flow_ids: dict[str, UUID] = Field(description="The flows of the flow runs that were made, by the flow's name.")
    missing_artifacts: list[UUID] = Field(
        default_factory=new_list, description="Artifacts that were to be changed, and are not there."
    )
    proposals: list[ProposalResult] = Field(description="An answer to each proposed state, in the same order.")


_MANY = 50
"""Of so many task runs the database has some while the others are made ready for it."""


@operation("POST", "/task_runs/record", writes=True)
def record_task_runs(tx: sa.Connection, body: RecordTaskRuns) -> Recorded:
    """Record task runs whose states were decided by the process that runs them.

    A record may be sent again, and records may arrive in any order: a state is kept once, and the newest one counts.
    """
    return keep_task_runs(tx, body.task_runs, tell=True)


def keep_task_runs(tx: sa.Connection, reported: list[TaskRunRecord], *, tell: bool) -> Recorded:
    """As `record_task_runs`.

    Args:
        tell: write events of the states, too; no, when it is by events that they were reported.
    """
    wanted = {record.flow_run_id for record in reported if record.flow_run_id is not None}
    known = set(tx.execute(sa.select(flow_run.c.id).where(flow_run.c.id.in_(wanted))).scalars()) if wanted else set()
    records = [record for record in reported if record.flow_run_id is None or record.flow_run_id in known]
    orphans = {record.id for record in reported} - {record.id for record in records}
    tokens = {record.id: record.lease_token for record in records if record.lease_token is not None}
    fenced = deferred_runs.stale(tx, tokens)
    kept = [record for record in records if record.id not in fenced]
    around = outbox.around_task_runs(tx, kept) if tell else None
    with sent_ahead(tx) if len(kept) >= _MANY else contextlib.nullcontext():
        store_task_runs(tx, kept)
        if around is not None:
            outbox.task_runs_entered(tx, kept, around)
    if tokens:
        deferred_runs.recorded(tx, {each.id: each.states[-1].type.value for each in kept if each.id in tokens})
        announce(tx, deferred_runs.ENDED)
    return Recorded(recorded=len(kept), orphans=sorted(orphans), fenced=sorted(fenced))


@operation("POST", "/runs/record", writes=True)
def record_runs(tx: sa.Connection, body: RecordRuns) -> RunsRecorded:
    """Record what a process that runs flows has to report, all of it or nothing.

    What was recorded before is left as it is. A proposed state that was entered before is accepted.
    """
    flow_ids: dict[str, UUID] = {}
    made: set[UUID] = set()
    for begun in body.flow_runs:
        if begun.flow_name not in flow_ids:
            flow_ids[begun.flow_name] = _flow_id(tx, begun)
        if _create_flow_run(tx, begun, flow_ids[begun.flow_name]):
            made.add(begun.id)
    of_task_runs = record_task_runs(tx, body) if body.task_runs else Recorded(recorded=0)
    if body.logs:
        create_logs(tx, body.logs)
    if body.events:
        create_events(tx, body.events)
    keep_artifacts(tx, body.artifacts)
    missing_artifacts = change_artifacts(tx, body.artifact_changes)
    answers = [_propose(tx, proposal, proposal.flow_run_id in made) for proposal in body.proposals]
    return RunsRecorded(
        recorded=of_task_runs.recorded,
        orphans=of_task_runs.orphans,
        fenced=of_task_runs.fenced,
        flow_ids=flow_ids,
        missing_artifacts=missing_artifacts,
        proposals=answers,
    )


# -- task runs ---------------------------------------------------------------------------------------------------------

_CHANGES = (
    "name", "cache_key", "cache_expiration", "task_inputs", "tags", "state_id", "state_type", "state_name",
    "state_timestamp", "run_count", "expected_start_time", "next_scheduled_start_time", "start_time", "end_time",
    "total_run_time", "flow_run_run_count", "updated",
)  # fmt: skip
"""What a newer record changes."""
_COLUMNS = (
    *_CHANGES, "id", "created", "flow_run_id", "task_key", "dynamic_key", "task_version", "empirical_policy", "labels",
)  # fmt: skip
_STATE_COLUMNS = ("id", "task_run_id", "timestamp", "type", "name", "message", "state_details", "data")


def store_task_runs(tx: sa.Connection, records: list[TaskRunRecord]) -> None:
    """Write task runs, whose flow runs are there, and their states."""
    moment = now()
    newest: dict[UUID, dict[str, Any]] = {}
    states: dict[tuple[UUID, UUID], dict[str, Any]] = {}
    for record in records:
        row = record.__dict__.copy()
        entered = row.pop("states")
        row.pop("lease_token")
        last = entered[-1]
        if last.type == StateType.SCHEDULED and last.state_details.get("deferred"):
            announce(tx, task_run_deliveries.topic(record.task_key))
        row["state_id"], row["state_type"], row["state_name"] = last.id, last.type.value, last.name
        row["state_timestamp"], row["updated"] = last.timestamp, moment
        row["created"] = record.created or moment
        before = newest.get(record.id)
        if before is None or before["state_timestamp"] <= last.timestamp:
            newest[record.id] = row
        for state in entered:
            states.setdefault((record.id, state.id), _state_row(record.id, state))
    bulk.upsert_newer(tx, task_run, _COLUMNS, list(newest.values()), changes=_CHANGES, by="state_timestamp")
    bulk.insert_new(tx, task_run_state, _STATE_COLUMNS, list(states.values()))


def _state_row(run_id: UUID, record: StateRecord) -> dict[str, Any]:
    return {
        "id": record.id, "task_run_id": run_id, "timestamp": record.timestamp, "type": record.type.value,
        "name": record.name, "message": record.message, "state_details": _details(record), "data": _data(record),
    }  # fmt: skip


def _details(record: StateRecord) -> dict[str, Any]:
    """The details of a state as they are stored: those that say something."""
    if not record.state_details:
        return {}
    state = State(type=record.type, state_details=StateDetails.model_validate(record.state_details))
    return {name: value for name, value in from_public(state).details.items() if name not in _OWN_IDS}


def _data(record: StateRecord) -> Any:
    data = record.data
    return None if isinstance(data, dict) and data.get("type") == "unpersisted" else data


# -- flow runs ---------------------------------------------------------------------------------------------------------


_FLOW_BY_NAME = sa.select(flow.c.id).where(flow.c.name == sa.bindparam("name"))


def _flow_id(tx: sa.Connection, record: FlowRunRecord) -> UUID:
    named = {"name": record.flow_name}
    found = tx.execute(_FLOW_BY_NAME, named).scalar_one_or_none()
    if found is None:
        values = {"name": record.flow_name, "tags": record.flow_tags, "labels": record.flow_labels}
        made = single.insert_new(tx, flow, values)
        if made is not None:
            outbox.object_changed(tx, "flow", made, "created", "name", "tags", "labels")
        found = tx.execute(_FLOW_BY_NAME, named).scalar_one()
    return found


def _create_flow_run(tx: sa.Connection, record: FlowRunRecord, flow_id: UUID) -> bool:
    """Make a flow run; False when it is there already."""
    values = {
        "id": record.id, "created": record.created, "name": record.name, "flow_id": flow_id,
        "flow_version": record.flow_version, "parameters": record.parameters, "tags": record.tags,
        "empirical_policy": record.empirical_policy, "parent_task_run_id": record.parent_task_run_id,
        "parent_flow_run_id": record.parent_flow_run_id,
        "labels": {**record.flow_labels, "prefect.flow.id": str(flow_id), **record.labels},
    }  # fmt: skip
    return insert_flow_run(tx, values, _run_state(record.state)) is not None


def _run_state(record: StateRecord, after: RunState | None = None) -> RunState:
    """A state of a flow run; its moment is not in the future, and not before that of the state it follows."""
    moment = min(to_us(record.timestamp), now_us())
    if after is not None:
        moment = max(moment, after.timestamp)
    return RunState(
        record.type.value, record.name, record.message, _data(record), _details(record), moment, str(record.id)
    )


def _propose(tx: sa.Connection, proposal: FlowRunProposal, is_new: bool) -> ProposalResult:
    """Let a flow run enter a state; `is_new` when it was made in this transaction."""
    id = proposal.flow_run_id
    row = single.read(tx, flow_run, id, lock=True)
    if row is None:
        return _aborted(id, "This flow run has been deleted.", None)
    current = current_state(tx, flow_run, row)
    state = _run_state(proposal.state, current)
    changes: dict[str, Any] = {}
    if proposal.name is not None and proposal.name != row["name"]:
        changes["name"] = proposal.name
    if proposal.policy is not None:
        changes["empirical_policy"] = {**row["empirical_policy"], **proposal.policy}
    if changes:
        single.update(tx, flow_run, id, changes)
        row |= changes
    token = proposal.lease_token
    if current is not None and current.is_final and state.type == RUNNING and not proposal.force:
        return _aborted(id, f"This run has already finished in state {current.name}.", current)
    # who went on without an answer does not know of a lease, and would not renew it
    if proposal.holder is not None and not proposal.decided:
        try:
            token = _hold(tx, id, proposal.holder, token, is_new)
        except Conflict as exc:
            return _aborted(id, str(exc), current)
        if proposal.infrastructure_pid is not None:
            single.update(tx, flow_run, id, {"infrastructure_pid": proposal.infrastructure_pid})
    if (current is not None and current.id == state.id) or (
        not is_new and has_been_in(tx, flow_run, id, proposal.state.id)
    ):
        result = _accepted(id, current if current is not None and current.id == state.id else state)
    elif proposal.decided:
        state.timestamp = min(to_us(proposal.state.timestamp), now_us())
        result = _enter_decided(tx, id, current, state, token)
        if proposal.holder is not None and result.state is not None and result.state.id == proposal.state.id:
            token = _hold_late(tx, id, proposal.holder, token)
    else:
        proposed = propose_flow_run_state(
            tx, id, state, force=proposal.force, lease_token=token, found=(row, current)
        )  # fmt: skip
        result = _answer(id, proposed[0])
    result.lease_token = token
    return result


def _hold(tx: sa.Connection, id: UUID, holder: LeaseHolder, token: int | None, is_new: bool) -> int:
    """Let a process hold a run; returns the token.

    Raises:
        Conflict: somebody else does.
    """
    if not is_new:
        return lease_flow_run(tx, id, LeaseRequest(holder=holder, token=token)).token
    moment = now()
    expires = moment + timedelta(seconds=LEASE_SECONDS)
    return leases.take(tx, id, as_row(holder), moment, expires, claim=False, first=True)


def _hold_late(tx: sa.Connection, id: UUID, holder: LeaseHolder, token: int | None) -> int | None:
    """Let a process hold a run that it began while it could not ask, or it would never be missed; returns the token.

    It may be dead: then the lease ends. If it lives, it asks for the lease, or renews that of its claim.
    """
    found, moment = leases.read(tx, id), now()
    if found is not None and found["expires"] is not None and found["expires"] > moment:
        return token
    expires = moment + timedelta(seconds=LEASE_SECONDS)
    if token is None:
        return leases.take(tx, id, as_row(holder), moment, expires, claim=False)
    if found is not None and found["token"] == token:
        leases.hand_over(tx, id, as_row(holder), moment, expires)
    return token


def _accepted(id: UUID, state: RunState) -> ProposalResult:
    return ProposalResult(
        flow_run_id=id, status=SetStateStatus.ACCEPT, state=public_state(state, id, None), details=_ACCEPTED
    )


def _aborted(id: UUID, reason: str, current: RunState | None) -> ProposalResult:
    return ProposalResult(
        flow_run_id=id,
        flow_run_status="known" if current is not None else "unknown",
        status=SetStateStatus.ABORT,
        state=public_state(current, id, None) if current is not None else None,
        details=StateAbortDetails(reason=reason),
    )


def _answer(id: UUID, result: OrchestrationResult[Any]) -> ProposalResult:
    return ProposalResult(flow_run_id=id, status=result.status, state=result.state, details=result.details)


def _enter_decided(
    tx: sa.Connection, id: UUID, current: RunState | None, state: RunState, token: int | None
) -> ProposalResult:
    """Record a state that a run was in while its process could not ask.

    It is the run's state now, unless something happened to the run after it; being taken for dead does not count.
    A run that is to be cancelled is cancelled; one that somebody else has ended stays as it was ended.
    """
    if token is not None and leases.read(tx, id) is None:
        token = None  # it went when the run was ended; nobody has claimed it since
    if current is not None and current.type == CANCELLING:
        return _answer(id, propose_flow_run_state(tx, id, state, lease_token=token)[0])
    came_back = current is not None and current.type == CRASHED and state.is_final
    ended = current is not None and current.is_final and not came_back
    if not ended and (current is None or came_back or current.timestamp <= state.timestamp):
        if current is not None:
            state.timestamp = max(state.timestamp, current.timestamp)
        return _answer(id, propose_flow_run_state(tx, id, state, force=True, lease_token=token)[0])
    tx.execute(
        insert(tx, flow_run_state).values(
            id=state.id, flow_run_id=id, type=state.type, name=state.name, message=state.message, data=state.data,
            state_details=state.details, timestamp=from_us(state.timestamp),
        )
    )  # fmt: skip
    return _accepted(id, current or state)


_ACCEPTED = StateAcceptDetails()
