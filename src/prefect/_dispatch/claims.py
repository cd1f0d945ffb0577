"""Claiming runs: asking for those that are due, holding them while they are carried out, giving them back.

Our server and the local database answer a claim as soon as there is a run, and give it under a lease with a token. A server that
knows no claims is asked again and again, and a run is claimed by being the first to set it to pending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic import TypeAdapter

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._schemas.deployments import DeploymentResponse
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.flows import Flow
from prefect._schemas.orchestration import OrchestrationResult
from prefect._store.sqlite import DatabaseUnavailable
from prefect._transport.errors import OperationUnavailable, explanation
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect import states
    from prefect._dispatch.children import Child
    from prefect.client import operations
    from prefect.client import wire as wire
    from prefect.client.orchestration import PrefectClient
else:
    operations = lazy_module("prefect.client.operations")
    states = lazy_module("prefect.states")
    wire = lazy_module("prefect.client.wire")

WAIT_SECONDS = 25.0
"""How long a claim waits for a run before it is made again; below what proxies bear, and below the request's own limit."""
LEASE_SECONDS = 60.0
_CLAIM_LEASE_SECONDS = 20.0  # a claim whose answer is lost is noticed soon; the first renewal makes it longer
_PROCESS_ENDED = "/flow_runs/{id}/process_ended"
_NO_SUCH_OPERATION = (404, 405)
_UNKNOWN_ROUTE = ("Not Found", "Method Not Allowed")  # what a server says of a route, never of an object


@dataclass(frozen=True)
class Claim:
    """A run that is ours to start.

    Attributes:
        flow_run: the run as it was when it was claimed.
        token: to be shown with every state that is proposed; None where the server knows no leases.
        deployment, flow: what the run belongs to, where the server told.
    """

    flow_run: FlowRun
    token: int | None = None
    deployment: DeploymentResponse | None = None
    flow: Flow | None = None

    @property
    def id(self) -> UUID:
        return self.flow_run.id


@dataclass(frozen=True)
class News:
    """What is to be known of runs that are held: `lost` are held by somebody else, `cancelling` are to be cancelled."""

    lost: frozenset[UUID] = frozenset()
    cancelling: frozenset[UUID] = frozenset()


@dataclass
class ClaimSource:
    """The runs of a work pool, or of some deployments.

    Attributes:
        client: asks the API.
        kind, name: who claims, as people read it.
        id: the same for programs; made when the program starts.
        work_pool_name, work_queue_names, deployment_ids: which runs.
        prefetch_seconds: take runs so long before they are due.
        query_seconds: how often a server is asked that cannot be waited for.
    """

    client: PrefectClient
    kind: Literal["worker", "runner", "process"]
    name: str
    work_pool_name: str | None = None
    work_queue_names: Sequence[str] | None = None
    deployment_ids: Sequence[UUID] | None = None
    prefetch_seconds: float = 0.0
    query_seconds: float = 10.0
    id: UUID = field(default_factory=new_uuid)
    has_leases: bool | None = None
    """Whether the server knows claims; None until it was asked."""

    @property
    def is_served(self) -> bool:
        """Whether there is a server, not only a local database."""
        return get_current_settings().api.url is not None

    @property
    def holder(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": str(self.id), "name": self.name}

    async def take(self, limit: int, wait_seconds: float = WAIT_SECONDS) -> list[Claim]:
        """Claim runs that are due.

        Args:
            limit: how many at most.
            wait_seconds: how long to wait for the first one.

        Returns:
            the runs; none when the time was over.
        """
        if self.has_leases is not False:
            try:
                found = await self._claim(limit, wait_seconds)
            except _Unknown:
                self.has_leases = False
            else:
                self.has_leases = True
                return found
        claims = await self._poll(limit)
        if not claims and wait_seconds:
            await asyncio.sleep(min(self.query_seconds, wait_seconds))
        return claims

    async def _claim(self, limit: int, wait_seconds: float) -> list[Claim]:
        body = {
            "holder": self.holder, "limit": limit, "lease_seconds": _CLAIM_LEASE_SECONDS, "wait_seconds": wait_seconds,
            "prefetch_seconds": self.prefetch_seconds, "work_pool_name": self.work_pool_name,
            "work_queue_names": list(self.work_queue_names) if self.work_queue_names else None,
            "deployment_ids": list(self.deployment_ids) if self.deployment_ids is not None else None,
        }  # fmt: skip
        given = {name: value for name, value in body.items() if value is not None}
        reply = await ask(self.client, "POST", "/flow_runs/claim", given)
        return _CLAIMS.validate_json(reply.content)

    async def _poll(self, limit: int) -> list[Claim]:
        before = now() + timedelta(seconds=self.prefetch_seconds)
        if self.work_pool_name is not None:
            queues = list(self.work_queue_names) if self.work_queue_names else None
            found = await self.client.get_scheduled_flow_runs_for_work_pool(self.work_pool_name, queues, before)
            runs: list[Any] = [entry.flow_run for entry in found]
        else:
            ids = list(self.deployment_ids or ())
            runs = list(await self.client.get_scheduled_flow_runs_for_deployments(ids, before, limit)) if ids else []
        claimed = []
        for run in runs:
            if len(claimed) == limit:
                break
            if await self.make_pending(run):
                claimed.append(Claim(run))
        return claimed

    async def make_pending(self, run: FlowRun) -> bool:
        """Claim a run by being the first to set it to pending; False when somebody else was."""
        result = await self.client.set_flow_run_state(run.id, states.Pending())
        if result.status.value != "ACCEPT" or result.state is None:
            return False
        run.state, run.state_type, run.state_name = result.state, result.state.type, result.state.name
        return True

    async def give_back(self, claim: Claim) -> None:
        """Let a claimed run that was not started be started by others, at once."""
        if claim.token is None:
            due = claim.flow_run.next_scheduled_start_time or claim.flow_run.expected_start_time
            await self.client.set_flow_run_state(claim.id, states.Scheduled(scheduled_time=due), force=True)
        else:
            await ask(
                self.client, "POST", "/flow_runs/{id}/release", {"token": claim.token}, id=claim.id, allow={404, 409}
            )

    def introduces(self, claim: Claim, child: Child) -> bool:
        """Whether a process itself tells the server how it is known, with the first state of its run."""
        return child.introduces_itself and claim.token is not None and self.is_served

    async def introduce(self, claim: Claim, infrastructure: str) -> None:
        """Tell how the infrastructure of a run is known."""
        await self.client.update_flow_run(claim.id, infrastructure_pid=infrastructure)

    async def renew(
        self,
        held: Iterable[Claim],
        lease_seconds: float = LEASE_SECONDS,
        infrastructures: Mapping[UUID, str] | None = None,
    ) -> News:
        """Say that runs are still held, and hear what is to be done about them.

        Args:
            held: the runs.
            lease_seconds: for how long, unless this is said again.
            infrastructures: how that of some of them is known, if the server may not have been told.
        """
        every, named = list(held), infrastructures or {}
        leased = {claim.id: claim.token for claim in every if claim.token is not None}
        lost: set[UUID] = set()
        cancelling: set[UUID] = set()
        if leased:
            body = {
                "leases": [
                    {"flow_run_id": id, "token": token, **({"infrastructure_pid": named[id]} if id in named else {})}
                    for id, token in leased.items()
                ],
                "lease_seconds": lease_seconds,
            }
            reply = await ask(self.client, "POST", "/flow_runs/leases/renew", body)
            answer = _RENEWALS.validate_json(reply.content)
            lost.update(answer.get("lost", ()))
            cancelling.update(answer.get("cancelling", ()))
        others = [claim.id for claim in every if claim.token is None]
        if others:
            cancelling.update(await self._look_for_cancelled(others))
        return News(frozenset(lost), frozenset(cancelling))

    async def _look_for_cancelled(self, ids: list[UUID]) -> list[UUID]:
        matching = FlowRunFilter.model_validate({"id": {"any_": ids}, "state": {"type": {"any_": ["CANCELLING"]}}})
        return [run.id for run in await self.client.read_flow_runs(flow_run_filter=matching, limit=len(ids))]

    async def process_ended(self, claim: Claim, message: str) -> Any:
        """Say that the process of a held run has ended without an end of the run.

        Args:
            claim: the run.
            message: how it ended.

        Returns:
            the state that this put the run in; None when it is not ours any more.
        """
        if claim.token is not None:
            body = {"token": claim.token, "message": message}
            try:
                reply = await ask(self.client, "POST", _PROCESS_ENDED, body, id=claim.id, allow={409})
            except _Unknown:
                pass
            else:
                return wire.read(OrchestrationResult[Any], reply).state if reply.status != 409 else None
        return await self.propose(claim, states.Crashed(message=message))

    async def propose(self, claim: Claim, state: Any, force: bool = False) -> Any:
        """Propose a state for a run that is held; returns the state that it is in then, None when nothing was written."""
        if claim.token is None:
            return (await self.client.set_flow_run_state(claim.id, state, force)).state
        proposed = states.to_state_create(state)
        proposed.state_details = proposed.state_details.model_copy(update={"flow_run_id": claim.id})
        body = {"state": proposed.model_dump(mode="json"), "force": force, "lease_token": claim.token}
        reply = await ask(self.client, "POST", "/flow_runs/{id}/set_state", body, id=claim.id)
        return wire.read(OrchestrationResult[Any], reply).state


class _Unknown(Exception):
    """The server has no such operation."""


async def ask(client: PrefectClient, method: str, route: str, body: Any, **options: Any) -> Any:
    """Call an operation of ours for which clients have no method.

    Raises:
        _Unknown: the server has no such operation.
    """
    allow = set(options.pop("allow", ()))
    try:
        reply = await operations.call(
            client, method, route, body, repeatable=False, allow={*allow, *_NO_SUCH_OPERATION}, **options
        )
    except OperationUnavailable as exc:
        raise _Unknown from exc
    if reply.status in _NO_SUCH_OPERATION and explanation(reply) in _UNKNOWN_ROUTE:
        raise _Unknown
    if reply.status >= 400 and reply.status not in allow:
        raise operations.error(client, reply)
    return reply


def is_passing(exc: Exception) -> bool:
    """Whether an error of a request may be over when it is made again: the API is away, or has trouble."""
    if isinstance(exc, (ConnectionError, TimeoutError, DatabaseUnavailable)):
        return True
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if status is not None:
        return status >= 500 or status in (408, 425, 429)
    return type(exc).__module__.partition(".")[0] in ("httpx", "httpcore")


_CLAIMS: TypeAdapter[list[Claim]] = TypeAdapter(list[Claim])
_RENEWALS: TypeAdapter[dict[str, list[UUID]]] = TypeAdapter(dict[str, list[UUID]])
