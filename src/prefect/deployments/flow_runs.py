"""Running deployments from code."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import async_dispatch, run_coro_as_sync
from prefect._bridge import run as run_now
from prefect._deploying import running
from prefect._engine.port import ASYNC, SYNC

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client.orchestration import PrefectClient

__all__ = ["arun_deployment", "run_deployment"]


async def arun_deployment(
    name: str | UUID,
    client: PrefectClient | None = None,
    parameters: dict[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float | None = 5,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool | None = True,
    job_variables: dict[str, Any] | None = None,
) -> FlowRun:
    """`run_deployment` for asynchronous code."""
    _check(timeout)
    values, links = await running.resolved(ASYNC, parameters)
    order = running.Order(
        name, values, links, scheduled_time, flow_run_name, tags, idempotency_key, work_queue_name, job_variables,
        bool(as_subflow),
    )  # fmt: skip
    return await running.run(order, client, timeout, poll_interval or 5)


@async_dispatch(arun_deployment)
def run_deployment(
    name: str | UUID,
    client: PrefectClient | None = None,
    parameters: dict[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float | None = 5,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool | None = True,
    job_variables: dict[str, Any] | None = None,
) -> FlowRun:
    """Make a run of a deployment, and wait until it has ended. Somebody has to run it: a worker, or who serves it.

    ```python
    flow_run = run_deployment("etl/nightly", parameters={"day": "2026-11-22"}, timeout=600)
    assert flow_run.state.is_completed()
    ```

    Args:
        name: `flow-name/deployment-name`, or the deployment's id.
        client: for the API; one of the current settings unless given.
        parameters: over those of the deployment; futures and states of other runs stand for their results.
        scheduled_time: when to run; now unless given.
        flow_run_name: of the run; made up unless given.
        timeout: seconds to wait at most; 0 for not at all, None for ever.
        poll_interval: seconds between two looks, for servers that do not answer by themselves when the run ends.
        tags: of the run, beside those of the deployment.
        idempotency_key: a second run with the same key is not made; the first is returned.
        work_queue_name: instead of the deployment's.
        as_subflow: called in a flow, make the run a sub-flow of its run.
        job_variables: over those of the deployment.

    Returns:
        The run: ended, or as it is when the time is over.

    Raises:
        ObjectNotFound: there is no such deployment.
        ParameterTypeError: the parameters do not fit those of the flow.
        UpstreamTaskError: a run that a parameter comes from did not complete.
        ValueError: the timeout is negative, or a parameter cannot be sent.
    """
    _check(timeout)
    values, links = run_now(running.resolved(SYNC, parameters))
    order = running.Order(
        name, values, links, scheduled_time, flow_run_name, tags, idempotency_key, work_queue_name, job_variables,
        bool(as_subflow),
    )  # fmt: skip
    return run_coro_as_sync(running.run(order, client, timeout, poll_interval or 5))


def _check(timeout: float | None) -> None:
    if timeout is not None and timeout < 0:
        raise ValueError("`timeout` cannot be negative")
