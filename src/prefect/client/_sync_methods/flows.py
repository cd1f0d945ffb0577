"""Made from `_methods/flows.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from prefect._schemas.flows import Flow
from prefect._schemas.sorting import FlowSort
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import given, read, read_all, read_id

if TYPE_CHECKING:
    from prefect.flows import Flow as FlowObject


class FlowMethods(Asking):
    """Flows: what runs are runs of."""

    def create_flow(self, flow: FlowObject[Any, Any]) -> UUID:
        """Make the flow of an `@flow` function known, or find it; returns its id."""
        return self.create_flow_from_name(flow.name)

    def create_flow_from_name(self, flow_name: str) -> UUID:
        """Make a flow of this name known, or find it; returns its id."""
        return read_id(self._call("POST", "/flows/", {"name": flow_name}))

    def read_flow(self, flow_id: UUID) -> Flow:
        """One flow.

        Raises:
            ObjectNotFound: there is no such flow.
        """
        return read(Flow, self._call("GET", "/flows/{id}", id=flow_id))

    def read_flow_by_name(self, flow_name: str) -> Flow:
        """The flow of a name.

        Raises:
            ObjectNotFound: there is no such flow.
        """
        return read(Flow, self._call("GET", "/flows/name/{name}", name=flow_name))

    def read_flows(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
        sort: FlowSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Flow]:
        """The flows that match, a page of them.

        Args:
            flow_filter, flow_run_filter, task_run_filter, deployment_filter, work_pool_filter, work_queue_filter:
                conditions on the flows and on what belongs to them; all must hold.
            sort: the order; by name unless given.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            offset: how many to leave out first.
        """
        body = given(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_queues=work_queue_filter, sort=sort, limit=limit, offset=offset,
        )  # fmt: skip
        return read_all(Flow, self._call("POST", "/flows/filter", body))

    def delete_flow(self, flow_id: UUID) -> None:
        """Delete a flow, with its runs and deployments.

        Raises:
            ObjectNotFound: there is no such flow.
        """
        self._call("DELETE", "/flows/{id}", id=flow_id)
