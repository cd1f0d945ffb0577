"""Claims of flow runs, and the leases they are held under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from prefect._schemas.leases import LEASE_SECONDS, ClaimedRun, Lease, LeaseHolder, RenewedLeases
from prefect.client._methods.base import Asking
from prefect.client.wire import given, read, read_all
from prefect.settings import get_current_settings


class LeaseMethods(Asking):
    """Taking runs that are due, holding them, giving them back. A server of Prefect 3 does not have these."""

    async def claim_flow_runs(
        self,
        holder: LeaseHolder,
        *,
        work_pool_name: str | None = None,
        work_queue_names: Sequence[str] | None = None,
        deployment_ids: Iterable[UUID] | None = None,
        limit: int = 1,
        lease_seconds: float = LEASE_SECONDS,
        prefetch_seconds: float = 0,
        wait_seconds: float = 0,
    ) -> list[ClaimedRun]:
        """Take runs that are due, of a work pool or of deployments; they are Pending, and nobody else gets them.

        Args:
            holder: who takes them.
            work_pool_name: the pool.
            work_queue_names: only these queues of it.
            deployment_ids: only runs of these deployments.
            limit: at most so many runs.
            lease_seconds: until the claims must be renewed.
            prefetch_seconds: also runs that are due so soon.
            wait_seconds: how long to wait for the first one; less when requests may not take so long.

        Raises:
            ObjectNotFound: there is no such work pool; or the server does not know claims.
        """
        body = given(
            holder=holder.model_dump(mode="json"),
            work_pool_name=work_pool_name,
            work_queue_names=None if work_queue_names is None else list(work_queue_names),
            deployment_ids=None if deployment_ids is None else list(deployment_ids),
            limit=limit,
            lease_seconds=lease_seconds,
            prefetch_seconds=prefetch_seconds,
            wait_seconds=_bearable(wait_seconds),
        )
        return read_all(ClaimedRun, await self._call("POST", "/flow_runs/claim", body, repeatable=False))

    async def lease_flow_run(
        self,
        flow_run_id: UUID,
        holder: LeaseHolder,
        *,
        token: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> Lease:
        """Hold a run that one starts oneself; with a token, take over the claim of who started this process.

        Args:
            flow_run_id: the run.
            holder: who is to hold it.
            token: of the claim that is taken over.
            lease_seconds: until it must be renewed.

        Raises:
            ObjectNotFound: there is no such run; or the server does not know leases.
            ObjectAlreadyExists: somebody else holds it.
        """
        body = given(holder=holder.model_dump(mode="json"), token=token, lease_seconds=lease_seconds)
        return read(Lease, await self._call("POST", "/flow_runs/{id}/lease", body, id=flow_run_id))

    async def renew_flow_run_leases(
        self, tokens: Mapping[UUID, int], *, lease_seconds: float = LEASE_SECONDS, wait_seconds: float = 0
    ) -> RenewedLeases:
        """Say that runs are still held; the answer says which are not any more, and which are to be cancelled.

        Args:
            tokens: by run.
            lease_seconds: until they must be renewed again.
            wait_seconds: how long to wait until one is lost or to be cancelled; they are renewed meanwhile.
        """
        leases = [{"flow_run_id": str(id), "token": token} for id, token in tokens.items()]
        body = {"leases": leases, "lease_seconds": lease_seconds, "wait_seconds": _bearable(wait_seconds)}
        return read(RenewedLeases, await self._call("POST", "/flow_runs/leases/renew", body))

    async def release_flow_run(self, flow_run_id: UUID, token: int) -> None:
        """Give a claimed run back that was not started; it is scheduled again at once.

        Raises:
            ObjectAlreadyExists: somebody else holds it by now.
        """
        await self._call("POST", "/flow_runs/{id}/release", {"token": token}, id=flow_run_id)


_MARGIN_SECONDS = 10


def _bearable(wait_seconds: float) -> float:
    """How long a request may wait without being given up."""
    return min(wait_seconds, max(get_current_settings().api.request_timeout - _MARGIN_SECONDS, 0))
