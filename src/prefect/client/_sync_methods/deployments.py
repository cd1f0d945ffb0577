"""Made from `_methods/deployments.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from prefect import states
from prefect._schemas.actions.deployments import (
    DeploymentBranch,
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect._schemas.actions.runs import DeploymentFlowRunCreate
from prefect._schemas.concurrency import ConcurrencyOptions
from prefect._schemas.deployments import (
    CatchUp,
    DeploymentBranchingOptions,
    DeploymentResponse,
    DeploymentSchedule,
    VersionInfo,
)
from prefect._schemas.fields import KeyValueLabels
from prefect._schemas.filters.deployments import DeploymentFilter
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from prefect._schemas.flow_runs import FlowRun, FlowRunResponse
from prefect._schemas.schedules import SCHEDULE_TYPES
from prefect._schemas.service_levels import SlaMergeResponse, as_mapping
from prefect._schemas.sorting import DeploymentSort
from prefect._schemas.states import State
from prefect._transport.errors import error_of
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import as_uuid, changes, given, listed, read, read_all, read_id


class DeploymentMethods(Asking):
    """Deployments: flows that can be run from afar."""

    def create_deployment(
        self,
        flow_id: UUID,
        name: str,
        version: str | None = None,
        version_info: VersionInfo | None = None,
        schedules: list[DeploymentScheduleCreate] | None = None,
        concurrency_limit: int | None = None,
        concurrency_options: ConcurrencyOptions | None = None,
        parameters: dict[str, Any] | None = None,
        description: str | None = None,
        work_queue_name: str | None = None,
        work_pool_name: str | None = None,
        tags: list[str] | None = None,
        storage_document_id: UUID | None = None,
        path: str | None = None,
        entrypoint: str | None = None,
        infrastructure_document_id: UUID | None = None,
        parameter_openapi_schema: dict[str, Any] | None = None,
        paused: bool | None = None,
        pull_steps: list[dict[str, Any]] | None = None,
        enforce_parameter_schema: bool | None = None,
        job_variables: dict[str, Any] | None = None,
        branch: str | None = None,
        base: UUID | None = None,
        root: UUID | None = None,
    ) -> UUID:
        """Make a deployment of a flow, or change the one of this name; returns its id.

        Args:
            flow_id: of the flow.
            name: of the deployment.
            version, version_info: of its code.
            schedules: when runs are made.
            concurrency_limit, concurrency_options: how many runs at once, and what becomes of one more.
            parameters: defaults for its runs.
            description: for people, as Markdown.
            work_queue_name, work_pool_name: where its runs are run.
            tags: of its runs.
            path, entrypoint, pull_steps: where the code is, and how a worker gets it.
            storage_document_id, infrastructure_document_id: blocks of older versions.
            parameter_openapi_schema, enforce_parameter_schema: which parameters fit, and whether others are refused.
            paused: whether its schedules are.
            job_variables: over the defaults of the work pool.
            branch, base, root: for a branch: its name, what it was made from, and the deployment at the root.

        Raises:
            ObjectNotFound: there is no such flow, work pool or queue.
        """
        # what a deployment is without is told, so that it is without it after a change too
        body = DeploymentCreate(
            flow_id=flow_id, name=name, version=version, schedules=schedules or [],
            concurrency_limit=concurrency_limit, concurrency_options=concurrency_options,
            parameters=parameters or {}, description=description, work_queue_name=work_queue_name,
            tags=tags or [], labels={}, storage_document_id=storage_document_id, path=path, entrypoint=entrypoint,
            infrastructure_document_id=infrastructure_document_id, job_variables=job_variables or {},
            parameter_openapi_schema=parameter_openapi_schema or {},
        )  # fmt: skip
        only_if_known = given(
            version_info=version_info, work_pool_name=work_pool_name, paused=paused, pull_steps=pull_steps,
            enforce_parameter_schema=enforce_parameter_schema, branch=branch, base=base, root=root,
        )  # fmt: skip
        return read_id(self._call("POST", "/deployments/", changes(body) | only_if_known))

    def create_deployment_branch(
        self,
        deployment_id: UUID,
        branch: str,
        options: DeploymentBranchingOptions | None = None,
        overrides: DeploymentUpdate | None = None,
    ) -> UUID:
        """Make a branch of a deployment; returns its id. Only some servers know branches.

        Args:
            deployment_id: of the deployment.
            branch: the name of the branch.
            options: what becomes of its schedules.
            overrides: what is different in the branch.

        Raises:
            ObjectNotFound: there is no such deployment, or the server knows no branches.
        """
        body = DeploymentBranch(
            branch=branch, options=options or DeploymentBranchingOptions(), overrides=overrides
        ).model_dump(mode="json", exclude_unset=True)
        return read_id(self._call("POST", "/deployments/{id}/branch", body, repeatable=False, id=deployment_id))

    def update_deployment(self, deployment_id: UUID, deployment: DeploymentUpdate) -> None:
        """Change what an update gives of a deployment.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        self._call("PATCH", "/deployments/{id}", changes(deployment), id=deployment_id)

    def set_deployment_paused_state(self, deployment_id: UUID, paused: bool) -> None:
        """Pause the schedules of a deployment, or let them go on. `pause_deployment` and its twin read better."""
        self._call("PATCH", "/deployments/{id}", {"paused": paused}, id=deployment_id)

    def pause_deployment(self, deployment_id: UUID | str) -> None:
        """Pause the schedules of a deployment.

        Raises:
            ObjectNotFound: there is no such deployment.
            ValueError: the id is not one.
        """
        self._call("PATCH", "/deployments/{id}", {"paused": True}, id=as_uuid(deployment_id, "deployment"))

    def resume_deployment(self, deployment_id: UUID | str) -> None:
        """Let the schedules of a deployment go on.

        Raises:
            ObjectNotFound: there is no such deployment.
            ValueError: the id is not one.
        """
        self._call("PATCH", "/deployments/{id}", {"paused": False}, id=as_uuid(deployment_id, "deployment"))

    def read_deployment(self, deployment_id: UUID | str) -> DeploymentResponse:
        """One deployment.

        Raises:
            ObjectNotFound: there is no such deployment.
            ValueError: the id is not one.
        """
        reply = self._call("GET", "/deployments/{id}", id=as_uuid(deployment_id, "deployment"))
        return read(DeploymentResponse, reply)

    def read_deployment_by_name(self, name: str) -> DeploymentResponse:
        """The deployment of a name, which is that of its flow, a slash, and its own.

        Raises:
            ObjectNotFound: there is no such deployment.
            ValueError: there is no slash in the name.
        """
        flow_name, slash, deployment_name = name.partition("/")
        if not slash:
            raise ValueError(f"Deployment name {name!r} lacks its flow: it should look like 'flow-name/{name}'.")
        reply = self._call(
            "GET", "/deployments/name/{flow_name}/{deployment_name}",
            flow_name=flow_name, deployment_name=deployment_name,
        )  # fmt: skip
        return read(DeploymentResponse, reply)

    def read_deployments(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
        limit: int | None = None,
        sort: DeploymentSort | None = None,
        offset: int = 0,
    ) -> list[DeploymentResponse]:
        """The deployments that match, a page of them.

        Args:
            flow_filter, flow_run_filter, task_run_filter, deployment_filter, work_pool_filter, work_queue_filter:
                conditions on the deployments and on what belongs to them; all must hold.
            limit: how many at most; the API has its own limit (200 unless it is set otherwise).
            sort: the order; by name unless given.
            offset: how many to leave out first.
        """
        body = given(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_pool_queues=work_queue_filter, limit=limit, offset=offset, sort=sort,
        )  # fmt: skip
        return read_all(DeploymentResponse, self._call("POST", "/deployments/filter", body))

    def delete_deployment(self, deployment_id: UUID) -> None:
        """Delete a deployment, with the runs of it that are scheduled.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        self._call("DELETE", "/deployments/{id}", id=deployment_id)

    def apply_slas_for_deployment(
        self, deployment_id: UUID, slas: Sequence[Mapping[str, Any] | BaseModel]
    ) -> SlaMergeResponse:
        """Put service levels in the place of those that a deployment has. Prefect Cloud keeps them; servers do not.

        Args:
            deployment_id: of the deployment.
            slas: the service levels, each as a mapping or a model: `name`, `severity`, and what it demands, such as
                `duration` in seconds. None takes those away that there are.

        Returns:
            which were made, changed and taken away.

        Raises:
            PrefectHTTPStatusError: the API refuses, or has no service levels (status 404).
            OperationUnavailable: the same on the local database.
            TypeError: one of them is neither a mapping nor a model.
        """
        owner = f"prefect.deployment.{deployment_id}"
        body = [{**as_mapping(one), "owner_resource": owner} for one in slas]
        reply = self._call("POST", "/slas/apply-resource-slas/{owner}", body, allow=(404, 405), owner=owner)
        if reply.status >= 400:
            error = error_of(reply, self._transport.api_url)
            error.add_note("Service levels are kept by Prefect Cloud; a server has none.")
            raise error
        return read(SlaMergeResponse, reply)

    def create_flow_run_from_deployment(
        self,
        deployment_id: UUID,
        *,
        parameters: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        state: State[Any] | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        idempotency_key: str | None = None,
        parent_task_run_id: UUID | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        labels: KeyValueLabels | None = None,
    ) -> FlowRun:
        """Make a run of a deployment, for a worker to run.

        Args:
            deployment_id: of the deployment.
            parameters: over those of the deployment.
            context: anything that is to be kept with the run.
            state: the first state; `Scheduled` for now unless given.
            name: of the run; made up unless given.
            tags: beside those of the deployment.
            idempotency_key: a second run with the same key is not made; the first is returned.
            parent_task_run_id: for a sub-flow: the task run that stands for it in its parent.
            work_queue_name: instead of the deployment's.
            job_variables: over those of the deployment.
            labels: of the run.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        body = DeploymentFlowRunCreate(
            parameters=parameters or {},
            context=context or {},
            state=states.to_state_create(state or states.Scheduled()),
            tags=listed(tags),
            name=name,
            idempotency_key=idempotency_key,
            parent_task_run_id=parent_task_run_id,
            job_variables=job_variables,
            labels=labels or {},
        )
        if work_queue_name:
            body.work_queue_name = work_queue_name
        reply = self._call(
            "POST", "/deployments/{id}/create_flow_run", changes(body),
            repeatable=idempotency_key is not None, id=deployment_id,
        )  # fmt: skip
        return read(FlowRun, reply)

    def get_scheduled_flow_runs_for_deployments(
        self, deployment_ids: list[UUID], scheduled_before: datetime | None = None, limit: int | None = None
    ) -> list[FlowRunResponse]:
        """The runs of deployments that are due, the earliest first.

        Args:
            deployment_ids: of the deployments.
            scheduled_before: only those that are to start before this moment.
            limit: how many at most.
        """
        body = given(deployment_ids=deployment_ids, scheduled_before=scheduled_before, limit=limit)
        return read_all(FlowRunResponse, self._call("POST", "/deployments/get_scheduled_flow_runs", body))

    def create_deployment_schedules(
        self,
        deployment_id: UUID,
        schedules: list[tuple[SCHEDULE_TYPES, bool]] | list[DeploymentScheduleCreate],
        max_scheduled_runs: int | None = None,
        parameters: dict[str, Any] | None = None,
        slug: str | None = None,
    ) -> list[DeploymentSchedule]:
        """Add schedules to a deployment.

        Args:
            deployment_id: of the deployment.
            schedules: requests, or pairs of a schedule and whether it is active.
            max_scheduled_runs, parameters, slug: for the schedules that are given as pairs.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        shared = given(max_scheduled_runs=max_scheduled_runs, parameters=parameters, slug=slug)
        body = [
            changes(
                DeploymentScheduleCreate(schedule=one[0], active=one[1], **shared) if isinstance(one, tuple) else one
            )
            for one in schedules
        ]
        reply = self._call("POST", "/deployments/{id}/schedules", body, repeatable=False, id=deployment_id)
        return read_all(DeploymentSchedule, reply)

    def read_deployment_schedules(self, deployment_id: UUID) -> list[DeploymentSchedule]:
        """The schedules of a deployment.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        reply = self._call("GET", "/deployments/{id}/schedules", id=deployment_id)
        return read_all(DeploymentSchedule, reply)

    def update_deployment_schedule(
        self,
        deployment_id: UUID,
        schedule_id: UUID,
        active: bool | None = None,
        schedule: SCHEDULE_TYPES | None = None,
        max_scheduled_runs: int | None = None,
        parameters: dict[str, Any] | None = None,
        slug: str | None = None,
        catch_up: CatchUp | None = None,
    ) -> None:
        """Change what is given of a schedule; None leaves a field as it is.

        Raises:
            ObjectNotFound: there is no such deployment or schedule.
        """
        fields: dict[str, Any] = {
            "active": active, "schedule": schedule, "max_scheduled_runs": max_scheduled_runs,
            "parameters": parameters, "slug": slug, "catch_up": catch_up,
        }  # fmt: skip
        update = DeploymentScheduleUpdate(**{name: value for name, value in fields.items() if value is not None})
        self._call(
            "PATCH", "/deployments/{id}/schedules/{schedule_id}", changes(update),
            id=deployment_id, schedule_id=schedule_id,
        )  # fmt: skip

    def delete_deployment_schedule(self, deployment_id: UUID, schedule_id: UUID) -> None:
        """Delete a schedule of a deployment.

        Raises:
            ObjectNotFound: there is no such deployment or schedule.
        """
        self._call(
            "DELETE", "/deployments/{id}/schedules/{schedule_id}", id=deployment_id, schedule_id=schedule_id
        )
