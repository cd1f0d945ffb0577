"""Work pools and their workers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate
from prefect._schemas.filters.work_pools import WorkerFilter, WorkPoolFilter
from prefect._schemas.work_pools import (
    Worker,
    WorkerFlowRunResponse,
    WorkerMetadata,
    WorkPool,
    WorkPoolConcurrencyStatus,
)
from prefect.client._methods.base import Asking
from prefect.client.wire import changes, given, read, read_all


class WorkPoolMethods(Asking):
    """Work pools: where runs go to be run by workers of one type."""

    async def create_work_pool(self, work_pool: WorkPoolCreate, overwrite: bool = False) -> WorkPool:
        """Make a work pool.

        Args:
            work_pool: the pool.
            overwrite: change the pool of this name when there is one; its type stays.

        Raises:
            ObjectAlreadyExists: there is a pool of this name, and it is not to be changed.
        """
        allow = {409} if overwrite else set[int]()
        body = changes(work_pool)
        reply = await self._call("POST", "/work_pools/", body, repeatable=False, allow=allow)
        if reply.status != 409:
            return read(WorkPool, reply)
        wanted = {name: value for name, value in body.items() if name in WorkPoolUpdate.model_fields}
        await self._call("PATCH", "/work_pools/{name}", wanted, name=work_pool.name)
        return await self.read_work_pool(work_pool.name)

    async def read_work_pool(self, work_pool_name: str) -> WorkPool:
        """The work pool of a name.

        Raises:
            ObjectNotFound: there is no such work pool.
        """
        return read(WorkPool, await self._call("GET", "/work_pools/{name}", name=work_pool_name))

    async def read_work_pools(
        self, limit: int | None = None, offset: int = 0, work_pool_filter: WorkPoolFilter | None = None
    ) -> list[WorkPool]:
        """The work pools that match, a page of them.

        Args:
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            offset: how many to leave out first.
            work_pool_filter: conditions on the pools.
        """
        body = given(limit=limit, offset=offset, work_pools=work_pool_filter)
        return read_all(WorkPool, await self._call("POST", "/work_pools/filter", body))

    async def update_work_pool(self, work_pool_name: str, work_pool: WorkPoolUpdate) -> None:
        """Change what an update gives of a work pool.

        Raises:
            ObjectNotFound: there is no such work pool.
        """
        await self._call("PATCH", "/work_pools/{name}", changes(work_pool), name=work_pool_name)

    async def delete_work_pool(self, work_pool_name: str) -> None:
        """Delete a work pool, with its queues.

        Raises:
            ObjectNotFound: there is no such work pool.
        """
        await self._call("DELETE", "/work_pools/{name}", name=work_pool_name)

    async def get_scheduled_flow_runs_for_work_pool(
        self,
        work_pool_name: str,
        work_queue_names: list[str] | None = None,
        scheduled_before: datetime | None = None,
    ) -> list[WorkerFlowRunResponse]:
        """The runs of a work pool that are due, the most urgent first.

        Args:
            work_pool_name: of the pool.
            work_queue_names: only those of these queues.
            scheduled_before: only those that are to start before this moment.

        Raises:
            ObjectNotFound: there is no such work pool or queue.
        """
        body = given(work_queue_names=work_queue_names, scheduled_before=scheduled_before)
        reply = await self._call(
            "POST", "/work_pools/{name}/get_scheduled_flow_runs", body, repeatable=False, name=work_pool_name
        )
        return read_all(WorkerFlowRunResponse, reply)

    async def read_work_pool_concurrency_status(
        self, work_pool_name: str, page: int = 1, limit: int | None = None, flow_run_limit: int = 10
    ) -> WorkPoolConcurrencyStatus:
        """Who holds the slots of a work pool, by queue.

        Args:
            work_pool_name: of the pool.
            page: of the queues, from 1.
            limit: queues on a page.
            flow_run_limit: how many runs of each queue are listed at most.

        Raises:
            ObjectNotFound: there is no such work pool.
        """
        body = given(page=page, limit=limit, flow_run_limit=flow_run_limit)
        reply = await self._call("POST", "/work_pools/{name}/concurrency_status", body, name=work_pool_name)
        return read(WorkPoolConcurrencyStatus, reply)

    async def send_worker_heartbeat(
        self,
        work_pool_name: str,
        worker_name: str,
        heartbeat_interval_seconds: float | None = None,
        get_worker_id: bool = False,
        worker_metadata: WorkerMetadata | None = None,
    ) -> UUID | None:
        """Say that a worker is alive.

        Args:
            work_pool_name: the pool that it works for.
            worker_name: of the worker.
            heartbeat_interval_seconds: when it will be heard of again.
            get_worker_id: ask for the worker's id; not every server gives it.
            worker_metadata: what it tells of itself.

        Returns:
            the worker's id, when it was asked for and given.
        """
        body = given(
            name=worker_name,
            heartbeat_interval_seconds=heartbeat_interval_seconds,
            metadata=worker_metadata,
            return_id=get_worker_id or None,
        )
        reply = await self._call("POST", "/work_pools/{name}/workers/heartbeat", body, name=work_pool_name)
        return read(UUID, reply) if get_worker_id and reply.content else None

    async def read_workers_for_work_pool(
        self,
        work_pool_name: str,
        worker_filter: WorkerFilter | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> list[Worker]:
        """The workers of a work pool that match, a page of them.

        Args:
            work_pool_name: of the pool.
            worker_filter: conditions on the workers.
            offset: how many to leave out first.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
        """
        body = given(workers=worker_filter, offset=offset, limit=limit)
        reply = await self._call("POST", "/work_pools/{name}/workers/filter", body, name=work_pool_name)
        return read_all(Worker, reply)
