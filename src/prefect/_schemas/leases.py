"""Who holds which flow run, as it goes over the wire."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from prefect._schemas.base import ActionBaseModel, PrefectBaseModel
from prefect._schemas.deployments import DeploymentResponse
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.flows import Flow
from prefect._schemas.moments import DateTime
from prefect._schemas.work_pools import WorkQueue

LEASE_SECONDS = 60.0
"""How long a lease lasts unless it is renewed, when nothing else is asked for."""

Token = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""The number of a claim."""

_SHORTEST, _LONGEST = 1.0, 86_400.0
_MOST_RENEWED = 1_000
_MOST_CLAIMED = 200


class LeaseHolder(PrefectBaseModel):
    """Who holds a lease."""

    kind: Literal["worker", "runner", "process"]
    id: UUID = Field(description="Of the worker, runner or process; it chooses one when it starts.")
    name: str | None = Field(default=None, description="As people know it.")


class LeaseRequest(ActionBaseModel):
    """That a run is to be held."""

    holder: LeaseHolder
    token: Token | None = Field(
        default=None, description="Of the claim that is taken over; none for a lease of one's own."
    )
    lease_seconds: float = Field(
        default=LEASE_SECONDS, ge=_SHORTEST, le=_LONGEST, description="Until it must be renewed."
    )


class Lease(PrefectBaseModel):
    """A run that is held."""

    token: Token = Field(description="To be shown with every state that is proposed.")
    expires: DateTime


class HeldRun(PrefectBaseModel):
    """A run, and the token it is held by."""

    flow_run_id: UUID
    token: Token
    infrastructure_pid: str | None = Field(
        default=None, description="How its infrastructure is known, where the server may not have been told."
    )


class LeaseRenewals(ActionBaseModel):
    """The runs that somebody still holds."""

    leases: list[HeldRun] = Field(max_length=_MOST_RENEWED)
    lease_seconds: float = Field(default=LEASE_SECONDS, ge=_SHORTEST, le=_LONGEST, description="Until renewed again.")
    wait_seconds: float = Field(
        default=0, ge=0, description="How long to wait until one of them is lost or to be cancelled, if none is now."
    )


class RenewedLeases(PrefectBaseModel):
    """What became of the runs that somebody holds."""

    renewed: list[UUID] = Field(description="Held on, those to be cancelled among them.")
    lost: list[UUID] = Field(description="Held by somebody else, or ended: stop them.")
    cancelling: list[UUID] = Field(description="To be cancelled.")


class LeaseReturn(ActionBaseModel):
    """That a claimed run is given back."""

    token: Token


class LostProcess(ActionBaseModel):
    """That the process of a run has ended without an end of the run."""

    token: Token
    message: str = Field(description="How it ended, as people read it.")


class ClaimRequest(ActionBaseModel):
    """Which runs somebody is ready to run: those of a work pool, or of deployments."""

    holder: LeaseHolder
    work_pool_name: str | None = None
    work_queue_names: list[str] | None = Field(default=None, description="Only these queues of the pool.")
    deployment_ids: list[UUID] | None = None
    limit: int = Field(default=1, ge=1, le=_MOST_CLAIMED, description="At most so many runs.")
    lease_seconds: float = Field(
        default=LEASE_SECONDS, ge=_SHORTEST, le=_LONGEST, description="Until the claims must be renewed."
    )
    prefetch_seconds: float = Field(default=0, ge=0, le=86_400, description="Also runs that are due so soon.")
    wait_seconds: float = Field(default=0, ge=0, description="How long to wait for a run.")


class ClaimedRun(PrefectBaseModel):
    """A run that is claimed, with what one needs to know to start it."""

    flow_run: FlowRun
    token: Token = Field(description="To be shown with every state that is proposed.")
    expires: DateTime = Field(description="When somebody else may have the run, unless the claim is renewed.")
    flow: Flow
    deployment: DeploymentResponse | None = None
    work_queue: WorkQueue | None = None
