"""Made from `_methods/work_queues.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from prefect._clock import now
from prefect._schemas.actions.work_pools import WorkQueueCreate, WorkQueueUpdate
from prefect._schemas.filters.work_pools import WorkQueueFilter, WorkQueueFilterName
from prefect._schemas.flow_runs import FlowRun
from prefect._schemas.work_pools import WorkQueue, WorkQueueConcurrencyStatus, WorkQueueStatusDetail
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import changes, given, read, read_all

_MATCHED_AT_ONCE = 100


class WorkQueueMethods(Asking):
    """The queues of work pools."""

    def create_work_queue(
        self,
        name: str,
        description: str | None = None,
        is_paused: bool | None = None,
        concurrency_limit: int | None = None,
        priority: int | None = None,
        work_pool_name: str | None = None,
    ) -> WorkQueue:
        """Make a queue.

        Args:
            name: of the queue.
            description: for people.
            is_paused: whether its runs wait.
            concurrency_limit: how many of its runs at once.
            priority: the lower the sooner; after all others unless given.
            work_pool_name: the pool; that of agents unless given.

        Raises:
            ObjectAlreadyExists: the pool has a queue of this name.
            ObjectNotFound: there is no such work pool.
        """
        fields = given(
            name=name, description=description, is_paused=is_paused, concurrency_limit=concurrency_limit,
            priority=priority,
        )  # fmt: skip
        body = changes(WorkQueueCreate.model_validate(fields))
        if work_pool_name is None:
            reply = self._call("POST", "/work_queues/", body, repeatable=False)
        else:
            reply = self._call("POST", "/work_pools/{pool}/queues", body, repeatable=False, pool=work_pool_name)
        return read(WorkQueue, reply)

    def read_work_queue(self, id: UUID) -> WorkQueue:
        """One queue.

        Raises:
            ObjectNotFound: there is no such queue.
        """
        return read(WorkQueue, self._call("GET", "/work_queues/{id}", id=id))

    def read_work_queue_by_name(self, name: str, work_pool_name: str | None = None) -> WorkQueue:
        """The queue of a name.

        Args:
            name: of the queue.
            work_pool_name: the pool; that of agents unless given.

        Raises:
            ObjectNotFound: there is no such queue.
        """
        if work_pool_name is None:
            return read(WorkQueue, self._call("GET", "/work_queues/name/{name}", name=name))
        reply = self._call("GET", "/work_pools/{pool}/queues/{name}", pool=work_pool_name, name=name)
        return read(WorkQueue, reply)

    def read_work_queues(
        self,
        work_pool_name: str | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[WorkQueue]:
        """The queues that match, a page of them.

        Args:
            work_pool_name: only those of this pool.
            work_queue_filter: conditions on the queues.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            offset: how many to leave out first.

        Raises:
            ObjectNotFound: there is no such work pool.
        """
        body = given(work_queues=work_queue_filter, limit=limit, offset=offset)
        if work_pool_name is None:
            reply = self._call("POST", "/work_queues/filter", body)
        else:
            reply = self._call("POST", "/work_pools/{pool}/queues/filter", body, pool=work_pool_name)
        return read_all(WorkQueue, reply)

    def match_work_queues(self, prefixes: list[str], work_pool_name: str | None = None) -> list[WorkQueue]:
        """All queues whose names begin with one of the prefixes.

        Args:
            prefixes: of the names.
            work_pool_name: only those of this pool.
        """
        condition = WorkQueueFilter(name=WorkQueueFilterName(startswith_=prefixes))
        found: list[WorkQueue] = []
        while True:
            page = self.read_work_queues(work_pool_name, condition, _MATCHED_AT_ONCE, len(found))
            found += page
            if len(page) < _MATCHED_AT_ONCE:
                return found

    def update_work_queue(self, id: UUID, **kwargs: Any) -> None:
        """Change a queue.

        Args:
            id: of the queue.
            **kwargs: the fields of `WorkQueueUpdate` that are to change.

        Raises:
            ValueError: there are none.
            ObjectNotFound: there is no such queue.
        """
        if not kwargs:
            raise ValueError("No fields provided to update.")
        self._call("PATCH", "/work_queues/{id}", changes(WorkQueueUpdate(**kwargs)), id=id)

    def delete_work_queue_by_id(self, id: UUID) -> None:
        """Delete a queue.

        Raises:
            ObjectNotFound: there is no such queue.
        """
        self._call("DELETE", "/work_queues/{id}", id=id)

    def get_runs_in_work_queue(
        self, id: UUID, limit: int = 10, scheduled_before: datetime | None = None
    ) -> list[FlowRun]:
        """The runs of a queue that are due, the earliest first.

        Args:
            id: of the queue.
            limit: how many at most.
            scheduled_before: only those that are to start before this moment; now unless given.

        Raises:
            ObjectNotFound: there is no such queue.
        """
        body = {"limit": limit, "scheduled_before": scheduled_before or now()}
        return read_all(FlowRun, self._call("POST", "/work_queues/{id}/get_runs", body, id=id))

    def read_work_queue_status(self, id: UUID) -> WorkQueueStatusDetail:
        """How a queue does.

        Raises:
            ObjectNotFound: there is no such queue.
        """
        return read(WorkQueueStatusDetail, self._call("GET", "/work_queues/{id}/status", id=id))

    def read_work_queue_concurrency_status(
        self, id: UUID, page: int = 1, limit: int | None = None
    ) -> WorkQueueConcurrencyStatus:
        """Who holds the slots of a queue.

        Args:
            id: of the queue.
            page: of the runs, from 1.
            limit: runs on a page.

        Raises:
            ObjectNotFound: there is no such queue.
        """
        body = given(page=page, limit=limit)
        reply = self._call("POST", "/work_queues/{id}/concurrency_status", body, id=id)
        return read(WorkQueueConcurrencyStatus, reply)
