"""Made from `_methods/scheduling.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect._schemas.actions.runs import DeploymentFlowRunCreate
from prefect._schemas.backfills import Backfill, BackfillCreate
from prefect._schemas.deployments import DeploymentResponse, DeploymentVersion
from prefect._schemas.moments import DateTime
from prefect._schemas.schedules import SCHEDULE_TYPES
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import changes, given, read, read_all


class SchedulingMethods(Asking):
    """Previews, backfills, versions of deployments. A server of Prefect itself knows none but `create_flow_runs...`."""

    def create_flow_runs_from_deployment(
        self, deployment_id: UUID, runs: Sequence[DeploymentFlowRunCreate]
    ) -> list[UUID | str]:
        """Make many runs of a deployment in one request.

        Args:
            deployment_id: of the deployment.
            runs: what each is to be; 1,000 at most.

        Returns:
            for each the id of the run, or as text why it was not made.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        body = [changes(run) for run in runs]
        reply = self._call(
            "POST", "/deployments/{id}/create_flow_run/bulk", body,
            repeatable=all(run.idempotency_key is not None for run in runs), id=deployment_id,
        )  # fmt: skip
        results = read(dict[str, list[dict[str, Any]]], reply)["results"]
        return [UUID(one["flow_run_id"]) if one["flow_run_id"] else str(one["error"]) for one in results]

    def schedule_deployment(
        self,
        deployment_id: UUID,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        min_runs: int | None = None,
        max_runs: int | None = None,
    ) -> None:
        """Make the runs of a deployment's active schedules ahead of time; those that are there are not made again.

        Args:
            deployment_id: of the deployment.
            start_time, end_time: the range; from now on, as far as the server usually looks.
            min_runs, max_runs: how many of each schedule.
        """
        body = given(start_time=start_time, end_time=end_time, min_runs=min_runs, max_runs=max_runs)
        self._call("POST", "/deployments/{id}/schedule", body, id=deployment_id)

    def preview_schedule(
        self, schedule: SCHEDULE_TYPES, after: datetime | None = None, count: int = 5
    ) -> list[datetime]:
        """The next instants of a schedule, which need not belong to a deployment.

        Args:
            schedule: the schedule.
            after: from when on; now unless given.
            count: how many at most; up to 1,000.

        Raises:
            PrefectHTTPStatusError: the schedule cannot be followed.
        """
        body = given(schedule=schedule, after=after, count=count)
        return read_all(DateTime, self._call("POST", "/schedules/preview", body))

    # -- backfills --------------------------------------------------------------------------------------------------

    def create_backfill(
        self,
        deployment_id: UUID,
        start: datetime,
        end: datetime,
        *,
        schedule_id: UUID | None = None,
        slug: str | None = None,
        schedule: SCHEDULE_TYPES | None = None,
        concurrency: int = 1,
        skip_existing: bool = True,
        parameters: dict[str, Any] | None = None,
    ) -> Backfill:
        """Run a deployment for the instants of a schedule in a range of the past, the earliest first.

        Args:
            deployment_id: of the deployment.
            start, end: the range; both ends belong to it.
            schedule_id, slug: which of the deployment's schedules, when it has several.
            schedule: one that is not the deployment's.
            concurrency: so many runs are under way at once.
            skip_existing: leave out the instants for which the schedule made a run.
            parameters: over those of the deployment and the schedule.

        Raises:
            ObjectNotFound: there is no such deployment or schedule.
            PrefectHTTPStatusError: it is not clear which schedule, or the range is not past.
        """
        fields = given(schedule_id=schedule_id, slug=slug, schedule=schedule, parameters=parameters)
        body = BackfillCreate(start=start, end=end, concurrency=concurrency, skip_existing=skip_existing, **fields)
        reply = self._call(
            "POST", "/deployments/{id}/backfills", changes(body), repeatable=False, id=deployment_id
        )
        return read(Backfill, reply)

    def read_backfill(self, backfill_id: UUID) -> Backfill:
        """One backfill, and how far it has come.

        Raises:
            ObjectNotFound: there is no such backfill.
        """
        return read(Backfill, self._call("GET", "/backfills/{id}", id=backfill_id))

    def read_backfills(self, deployment_id: UUID, limit: int | None = None, offset: int = 0) -> list[Backfill]:
        """The backfills of a deployment, the newest first.

        Args:
            deployment_id: of the deployment.
            limit: how many at most; 200 unless given.
            offset: how many to leave out first.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        query = given(limit=limit, offset=offset)
        return read_all(Backfill, self._call("GET", "/deployments/{id}/backfills", query=query, id=deployment_id))

    def cancel_backfill(self, backfill_id: UUID) -> Backfill:
        """Make no more runs of a backfill and cancel those that have not begun; those under way end by themselves.

        Raises:
            ObjectNotFound: there is no such backfill.
        """
        return read(Backfill, self._call("POST", "/backfills/{id}/cancel", id=backfill_id))

    # -- versions of deployments ------------------------------------------------------------------------------------

    def read_deployment_versions(
        self, deployment_id: UUID, limit: int | None = None, offset: int = 0
    ) -> list[DeploymentVersion]:
        """What a deployment was after each change of it, the newest first.

        Args:
            deployment_id: of the deployment.
            limit: how many at most; 100 unless given.
            offset: how many to leave out first.

        Raises:
            ObjectNotFound: there is no such deployment.
        """
        query = given(limit=limit, offset=offset)
        reply = self._call("GET", "/deployments/{id}/versions", query=query, id=deployment_id)
        return read_all(DeploymentVersion, reply)

    def roll_back_deployment(self, deployment_id: UUID, version: int) -> DeploymentResponse:
        """Make a deployment what it was in an earlier version, its schedules and limit included.

        Args:
            deployment_id: of the deployment.
            version: the number of the version.

        Raises:
            ObjectNotFound: there is no such deployment or version.
            PrefectHTTPStatusError: what the version says does not fit any more.
        """
        reply = self._call("POST", "/deployments/{id}/rollback", {"version": version}, id=deployment_id)
        return read(DeploymentResponse, reply)
