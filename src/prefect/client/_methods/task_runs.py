"""Task runs and their states."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import states
from prefect._lazy import lazy_module
from prefect._schemas.actions.runs import TaskRunCreate
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.orchestration import OrchestrationResult
from prefect._schemas.sorting import TaskRunSort
from prefect._schemas.states import State
from prefect._schemas.task_runs import Constant, FlowRunResult, Parameter, TaskRun, TaskRunPolicy, TaskRunResult
from prefect.client._methods.base import Asking
from prefect.client.wire import changes, given, read, read_all

if TYPE_CHECKING:
    import httpx

    from prefect.tasks import Task as TaskObject
else:
    httpx = lazy_module("httpx")


class TaskRunMethods(Asking):
    """Task runs."""

    async def create_task_run(
        self,
        task: TaskObject[Any, Any],
        flow_run_id: UUID | None,
        dynamic_key: str,
        id: UUID | None = None,
        name: str | None = None,
        extra_tags: Iterable[str] | None = None,
        state: State[Any] | None = None,
        task_inputs: dict[str, list[TaskRunResult | FlowRunResult | Parameter | Constant]] | None = None,
    ) -> TaskRun:
        """Make a run of an `@task` function known, without running it.

        Args:
            task: the task.
            flow_run_id: the flow run it belongs to.
            dynamic_key: tells it from the other runs of the task in the flow run.
            id: of the run; made up unless given.
            name: of the run; made up unless given.
            extra_tags: beside those of the task.
            state: the first state; `Pending` unless given.
            task_inputs: where its inputs come from, by parameter.
        """
        body = TaskRunCreate(
            id=id,
            name=name,
            flow_run_id=flow_run_id,
            task_key=task.task_key,
            dynamic_key=str(dynamic_key),
            task_version=task.version,
            tags=sorted({*task.tags, *(extra_tags or ())}),
            labels={},
            state=states.to_state_create(state or states.Pending()),
            empirical_policy=TaskRunPolicy(
                retries=task.retries,
                retry_delay=_whole_seconds(task.retry_delay_seconds),
                retry_jitter_factor=task.retry_jitter_factor,
            ),
            task_inputs=task_inputs or {},
        )
        # with an id of ours, or by its key within the flow run, it is the same run when it is sent twice
        return read(TaskRun, await self._call("POST", "/task_runs/", changes(body, exclude_none=True)))

    async def read_task_run(self, task_run_id: UUID) -> TaskRun:
        """One task run.

        Raises:
            ObjectNotFound: there is no such task run.
        """
        return read(TaskRun, await self._call("GET", "/task_runs/{id}", id=task_run_id))

    async def read_task_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        sort: TaskRunSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[TaskRun]:
        """The task runs that match, a page of them.

        Args:
            flow_filter, flow_run_filter, task_run_filter, deployment_filter: conditions on the runs and on what they
                belong to; all must hold.
            sort: the order; the newest first unless given.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            offset: how many to leave out first.
        """
        body = given(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            sort=sort, limit=limit, offset=offset,
        )  # fmt: skip
        return read_all(TaskRun, await self._call("POST", "/task_runs/filter", body))

    async def delete_task_run(self, task_run_id: UUID) -> None:
        """Delete a task run.

        Raises:
            ObjectNotFound: there is no such task run.
        """
        await self._call("DELETE", "/task_runs/{id}", id=task_run_id)

    async def set_task_run_name(self, task_run_id: UUID, name: str) -> httpx.Response:
        """Give a task run another name.

        Raises:
            ObjectNotFound: there is no such task run.
        """
        return await self._respond("PATCH", "/task_runs/{id}", {"name": name}, id=task_run_id)

    async def set_task_run_state(
        self, task_run_id: UUID, state: State[Any], force: bool = False
    ) -> OrchestrationResult[Any]:
        """Propose a state for a task run.

        Args:
            task_run_id: of the run.
            state: the proposed state.
            force: set it without asking the rules of orchestration.

        Raises:
            ObjectNotFound: there is no such task run.
        """
        proposed = states.to_state_create(state)
        proposed.state_details = proposed.state_details.model_copy(update={"task_run_id": UUID(str(task_run_id))})
        body = {"state": proposed.model_dump(mode="json"), "force": force}
        reply = await self._call("POST", "/task_runs/{id}/set_state", body, id=task_run_id)
        return read(OrchestrationResult[Any], reply)

    async def read_task_run_states(self, task_run_id: UUID) -> list[State[Any]]:
        """The states that a task run went through, oldest first."""
        reply = await self._call("GET", "/task_run_states/", query={"task_run_id": task_run_id})
        return read_all(State[Any], reply)


def _whole_seconds(delay: Any) -> Any:
    """A delay, or one for each attempt, as the API has them: rather too late than too early."""
    if isinstance(delay, (list, tuple)):
        return [ceil(one) for one in delay]
    return ceil(delay or 0)
