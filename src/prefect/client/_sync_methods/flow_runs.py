"""Made from `_methods/flow_runs.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from prefect import states
from prefect._lazy import lazy_module
from prefect._schemas.actions.runs import FlowRunCreate, FlowRunUpdate
from prefect._schemas.fields import KeyValueLabels
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from prefect._schemas.flow_runs import FlowRun, FlowRunInput, FlowRunPolicy
from prefect._schemas.orchestration import OrchestrationResult
from prefect._schemas.sorting import FlowRunSort
from prefect._schemas.states import State
from prefect.client._sync_methods.flows import FlowMethods
from prefect.client.wire import changes, given, listed, read, read_all

if TYPE_CHECKING:
    import httpx

    from prefect.flows import Flow as FlowObject
else:
    httpx = lazy_module("httpx")

R = TypeVar("R")


class FlowRunMethods(FlowMethods):
    """Flow runs."""

    def create_flow_run(
        self,
        flow: FlowObject[Any, R],
        name: str | None = None,
        parameters: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        parent_task_run_id: UUID | None = None,
        state: State[R] | None = None,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
    ) -> FlowRun:
        """Make a run of an `@flow` function known, without running it.

        Args:
            flow: the flow; it is made known too.
            name: of the run; made up unless given.
            parameters: for the run, as the flow takes them.
            context: anything that is to be kept with the run.
            tags: of the run.
            parent_task_run_id: for a sub-flow: the task run that stands for it in its parent.
            state: the first state; `Pending` unless given.
            work_pool_name, work_queue_name: where it is to be run.
            job_variables: over the defaults of the work pool.
        """
        # a request of its own, not a condition within the next: there the flow must have an id
        flow_id = self.create_flow(flow)
        body = FlowRunCreate(
            flow_id=flow_id,
            flow_version=flow.version,
            name=name,
            parameters=flow.serialize_parameters(parameters or {}),
            context=context or {},
            tags=listed(tags),
            labels={},
            parent_task_run_id=parent_task_run_id,
            state=states.to_state_create(state or states.Pending()),
            empirical_policy=FlowRunPolicy(
                retries=flow.retries or 0,
                retry_delay=ceil(flow.retry_delay_seconds or 0),
            ),
            job_variables=job_variables or {},
        )
        if work_pool_name is not None:
            body.work_pool_name = work_pool_name
        if work_queue_name is not None:
            body.work_queue_name = work_queue_name
        reply = self._call("POST", "/flow_runs/", changes(body), repeatable=False)
        return read(FlowRun, reply)

    def update_flow_run(
        self,
        flow_run_id: UUID,
        flow_version: str | None = None,
        parameters: dict[str, Any] | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        empirical_policy: FlowRunPolicy | None = None,
        infrastructure_pid: str | None = None,
        job_variables: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """Change what is given of a flow run; None leaves a field as it is.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        fields = given(
            flow_version=flow_version,
            parameters=parameters,
            name=name,
            tags=None if tags is None else list(tags),
            infrastructure_pid=infrastructure_pid,
            job_variables=job_variables,
        )
        if empirical_policy is not None:
            fields["empirical_policy"] = changes(empirical_policy)
        body = changes(FlowRunUpdate.model_validate(fields))
        return self._respond("PATCH", "/flow_runs/{id}", body, id=flow_run_id)

    def set_flow_run_name(self, flow_run_id: UUID, name: str) -> httpx.Response:
        """Give a flow run another name.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        return self._respond("PATCH", "/flow_runs/{id}", {"name": name}, id=flow_run_id)

    def update_flow_run_labels(self, flow_run_id: UUID, labels: KeyValueLabels) -> None:
        """Add labels to a flow run, or change their values.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        self._call("PATCH", "/flow_runs/{id}/labels", labels, id=flow_run_id)

    def delete_flow_run(self, flow_run_id: UUID) -> None:
        """Delete a flow run, with its task runs and logs.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        self._call("DELETE", "/flow_runs/{id}", id=flow_run_id)

    def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        """One flow run.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        return read(FlowRun, self._call("GET", "/flow_runs/{id}", id=flow_run_id))

    def wait_for_flow_run(self, flow_run_id: UUID, seen: UUID | None = None, wait_seconds: float = 0) -> FlowRun:
        """One flow run, once it has ended or the time to wait is over. Only our servers know how.

        Args:
            flow_run_id: of the run.
            seen: the id of a state; another one than that ends the wait, too.
            wait_seconds: how long the API may keep the request.

        Raises:
            ObjectNotFound: there is no such flow run, or the server cannot wait.
        """
        query = given(seen=seen, wait_seconds=wait_seconds)
        return read(FlowRun, self._call("GET", "/flow_runs/{id}/wait", query=query, id=flow_run_id))

    def read_flow_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
        sort: FlowRunSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[FlowRun]:
        """The flow runs that match, a page of them.

        Args:
            flow_filter, flow_run_filter, task_run_filter, deployment_filter, work_pool_filter, work_queue_filter:
                conditions on the runs and on what they belong to; all must hold.
            sort: the order; the newest first unless given.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            offset: how many to leave out first.
        """
        body = given(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_pool_queues=work_queue_filter, sort=sort, limit=limit, offset=offset,
        )  # fmt: skip
        return read_all(FlowRun, self._call("POST", "/flow_runs/filter", body))

    def count_flow_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
    ) -> int:
        """How many flow runs match; the conditions are those of `read_flow_runs`."""
        body = given(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_pool_queues=work_queue_filter,
        )  # fmt: skip
        return read(int, self._call("POST", "/flow_runs/count", body))

    def set_flow_run_state(
        self, flow_run_id: UUID | str, state: State[R], force: bool = False
    ) -> OrchestrationResult[R]:
        """Propose a state for a flow run.

        Args:
            flow_run_id: of the run.
            state: the proposed state.
            force: set it without asking the rules of orchestration.

        Returns:
            whether the state was accepted, rejected for another, or is to be proposed again later.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        proposed = states.to_state_create(state)
        proposed.state_details = proposed.state_details.model_copy(update={"flow_run_id": UUID(str(flow_run_id))})
        body = {"state": proposed.model_dump(mode="json"), "force": force}
        reply = self._call("POST", "/flow_runs/{id}/set_state", body, id=flow_run_id)
        return read(OrchestrationResult[Any], reply)

    def resume_flow_run(
        self, flow_run_id: UUID, run_input: dict[str, Any] | None = None
    ) -> OrchestrationResult[Any]:
        """Let a paused flow run go on.

        Args:
            flow_run_id: of the run.
            run_input: what the pause asked for.

        Raises:
            ObjectNotFound: there is no such flow run.
        """
        reply = self._call("POST", "/flow_runs/{id}/resume", {"run_input": run_input}, id=flow_run_id)
        return read(OrchestrationResult[Any], reply)

    def read_flow_run_states(self, flow_run_id: UUID) -> list[State[Any]]:
        """The states that a flow run went through, oldest first."""
        reply = self._call("GET", "/flow_run_states/", query={"flow_run_id": flow_run_id})
        return read_all(State[Any], reply)

    def read_flow_run_state(self, flow_run_state_id: UUID) -> State[Any]:
        """One state of a flow run.

        Raises:
            ObjectNotFound: there is no such state.
        """
        return read(State[Any], self._call("GET", "/flow_run_states/{id}", id=flow_run_state_id))

    def create_flow_run_input(self, flow_run_id: UUID, key: str, value: str, sender: str | None = None) -> None:
        """Send something to a flow run.

        Args:
            flow_run_id: of the run.
            key: under which the run finds it.
            value: as JSON.
            sender: the run that sends it: `prefect.flow-run.<id>`.

        Raises:
            ObjectAlreadyExists: the run has something under this key.
        """
        body = {"key": key, "value": value, "sender": sender}
        self._call("POST", "/flow_runs/{id}/input", body, repeatable=False, id=flow_run_id)

    def filter_flow_run_input(
        self, flow_run_id: UUID, key_prefix: str, limit: int, exclude_keys: set[str], wait_seconds: float = 0
    ) -> list[FlowRunInput]:
        """What was sent to a flow run under keys that begin alike.

        Args:
            flow_run_id: of the run.
            key_prefix: how the keys begin.
            limit: how many at most.
            exclude_keys: leave these out.
            wait_seconds: how long the API may keep the request until there is something.
        """
        body = {"prefix": key_prefix, "limit": limit, "exclude_keys": sorted(exclude_keys)}
        body |= given(wait_seconds=wait_seconds or None)
        return read_all(FlowRunInput, self._call("POST", "/flow_runs/{id}/input/filter", body, id=flow_run_id))

    def read_flow_run_input(self, flow_run_id: UUID, key: str) -> str:
        """What was sent to a flow run under a key, as JSON.

        Raises:
            ObjectNotFound: there is nothing under this key.
        """
        reply = self._call("GET", "/flow_runs/{id}/input/{key}", id=flow_run_id, key=key)
        return reply.content.decode()

    def delete_flow_run_input(self, flow_run_id: UUID, key: str) -> None:
        """Delete what was sent to a flow run under a key.

        Raises:
            ObjectNotFound: there is nothing under this key.
        """
        self._call("DELETE", "/flow_runs/{id}/input/{key}", id=flow_run_id, key=key)
