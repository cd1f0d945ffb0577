"""The work pool of a worker: found or made, with the queues that it asks for runs; kept up to date by its channel.

A worker makes its pool when it starts. One that is deleted later was deleted on purpose: it is not made again.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect._schemas.work_pools import WorkPool
    from prefect.workers import _channel
    from prefect.workers._channel import Channel
    from prefect.workers.base import BaseWorker
else:
    _channel = lazy_module("prefect.workers._channel")


class Pool:
    """What a worker knows of its work pool.

    Args:
        worker: works for it.

    Attributes:
        known: the pool as it was heard of last; None before that.
        is_gone: whether it has been deleted since.
    """

    def __init__(self, worker: BaseWorker[Any, Any, Any]) -> None:
        self._worker = worker
        self._queues_made = False
        self._channel: Channel | None = None
        self.known: WorkPool | None = None
        self.is_gone = False

    @property
    def may_be_made(self) -> bool:
        """Whether the worker makes the pool if it is not there."""
        return self._worker._create_pool_if_not_found and self.known is None

    async def sync(self) -> None:
        """Read the pool, make it if it never was there, and say that the worker is; the channel does that while it stands."""
        if not self._is_told:
            await self.look()

    @property
    def _is_told(self) -> bool:
        return self._channel is not None and self._channel.healthy

    async def look(self) -> None:
        """`sync`, whatever the channel says.

        Raises:
            ObjectNotFound: there is no pool, and the worker is not to make one.
        """
        try:
            pool = await self._read()
            if not self._is_told:  # the channel, which began meanwhile, knows better
                self._found(pool)
                await self._beat()
        except ObjectNotFound:
            if self.known is None:
                raise
            self._tell_that_it_is_gone()

    async def _beat(self) -> None:
        worker = self._worker
        id = await worker.client.send_worker_heartbeat(
            worker._work_pool_name,
            worker.name,
            ceil(worker.heartbeat_interval_seconds),
            get_worker_id=worker.backend_id is None,
        )
        worker.backend_id = id or worker.backend_id

    def _found(self, pool: WorkPool) -> None:
        self.known = pool
        if self.is_gone:
            self.is_gone = False
            self._worker._logger.info("Work pool %r is there again.", pool.name)

    def _tell_that_it_is_gone(self) -> None:
        if not self.is_gone:
            self.is_gone, self._queues_made = True, False
            self._worker._logger.error(
                "Work pool %r has been deleted. This worker takes no more runs; those that it has go on. Stop it, or make "
                "a work pool of that name again, for which it will work then.",
                self._worker._work_pool_name,
            )

    async def stay_connected(self) -> None:
        """Keep a channel to the pool until this is cancelled."""
        url = get_current_settings().api.url
        assert url is not None
        self._channel = _channel.Channel(self._worker, url, self._seen)
        try:
            await self._channel.run()
        finally:
            self._channel = None

    def _seen(self, pool: WorkPool) -> None:
        assert self._channel is not None
        self._worker.backend_id = self._channel.worker_id or self._worker.backend_id
        if not pool.base_job_template:
            pool.base_job_template = self.wanted_template()
        self._found(pool)

    def wanted_template(self) -> dict[str, Any]:
        """The job template of the pool, if it has none."""
        worker = self._worker
        return worker._base_job_template or worker.get_default_base_job_template()

    async def _read(self) -> WorkPool:
        worker, client, name = self._worker, self._worker.client, self._worker._work_pool_name
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            if not self.may_be_made:
                if self.known is None:
                    worker._logger.warning("Work pool %r not found!", name)
                raise
            wanted: dict[str, Any] = {"name": name, "type": worker.type, "base_job_template": self.wanted_template()}
            pool = await client.create_work_pool(WorkPoolCreate.model_validate(wanted))
            worker._logger.info("Work pool %r created.", name)
        if pool.type != worker.type and self.known is None:
            worker._logger.warning(
                "Worker type %r does not match work pool type %r; job templates may not fit.", worker.type, pool.type
            )
        if not pool.base_job_template:
            template = self.wanted_template()
            await client.update_work_pool(name, WorkPoolUpdate.model_validate({"base_job_template": template}))
            pool.base_job_template = template
        await self._make_queues()
        return pool

    async def _make_queues(self) -> None:
        """Make the queues that the worker is to work for and that are not there."""
        if self._queues_made:
            return
        worker = self._worker
        for name in worker._work_queues:
            try:
                await worker.client.read_work_queue_by_name(name, worker._work_pool_name)
            except ObjectNotFound:
                await worker.client.create_work_queue(name=name, work_pool_name=worker._work_pool_name)
                worker._logger.info("Work queue %r created in work pool %r.", name, worker._work_pool_name)
        self._queues_made = True
