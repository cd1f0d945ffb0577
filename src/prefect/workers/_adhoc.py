"""Flows without a deployment that a worker of this process carries out: see `BaseWorker.submit`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._dispatch import adhoc, ending, identity
from prefect._dispatch.claims import Claim
from prefect._dispatch.starting import Job
from prefect._ids import new_id
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect import bundles, context, futures, states
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.work_pools import WorkPool
    from prefect.client.orchestration import PrefectClient
    from prefect.futures import PrefectFlowRunFuture
    from prefect.utilities import processutils
else:
    bundles = lazy_module("prefect.bundles")
    context = lazy_module("prefect.context")
    futures = lazy_module("prefect.futures")
    processutils = lazy_module("prefect.utilities.processutils")
    states = lazy_module("prefect.states")

_CALL = "prefect._dispatch.bundling:carry_out"


class _Told:
    """A task status that can be awaited."""

    def __init__(self) -> None:
        self.value: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def started(self, value: Any = None) -> None:
        if not self.value.done():
            self.value.set_result(value)


async def submit(
    worker: Any,
    flow: Any,
    parameters: dict[str, Any] | None,
    job_variables: dict[str, Any] | None,
    flow_run: FlowRun | None,
) -> PrefectFlowRunFuture[Any]:
    """Carry out a flow by a worker of this process; see `BaseWorker.submit`."""
    told = _Told()
    task = asyncio.create_task(worker._submit_adhoc_run(flow, parameters, job_variables, told, flow_run))
    worker._tasks.add(task)
    task.add_done_callback(worker._tasks.discard)
    await asyncio.wait({task, told.value}, return_when=asyncio.FIRST_COMPLETED)
    if not told.value.done():
        told.value.cancel()
        task.result()
        raise RuntimeError(f"The worker did not say which run of flow {flow.name!r} it has begun.")
    run = told.value.result()
    task.add_done_callback(lambda ended: _see_to_failure(worker, run, ended))
    return futures.PrefectFlowRunFuture(run.id)


def _see_to_failure(worker: Any, run: FlowRun, task: asyncio.Task[Any]) -> None:
    exc = None if task.cancelled() else task.exception()
    if exc is not None:
        worker._logger.error("Flow run %r could not be carried out:", run.name, exc_info=exc)


async def _run_for(
    worker: Any,
    flow: Any,
    parameters: dict[str, Any] | None,
    job_variables: dict[str, Any] | None,
    flow_run: FlowRun | None,
) -> FlowRun:
    """The run that is to be carried out: a new one, or one that is to be tried again."""
    client: PrefectClient = worker.client
    if flow_run is not None:
        await client.set_flow_run_state(flow_run.id, states.Pending(), force=True)
        return await client.read_flow_run(flow_run.id)
    return await client.create_flow_run(
        flow, parameters=parameters or {}, state=states.Pending(), job_variables=job_variables or {},
        work_pool_name=worker.work_pool.name, tags=context.TagsContext.get().current_tags,
    )  # fmt: skip


async def submit_to_process(
    worker: Any,
    flow: Any,
    parameters: dict[str, Any] | None,
    job_variables: dict[str, Any] | None,
    task_status: Any,
    flow_run: FlowRun | None,
) -> None:
    """Carry out a flow in a process of this machine."""
    run = await _run_for(worker, flow, parameters, job_variables, flow_run)
    if task_status is not None:
        task_status.started(run)
    claim = Claim(run)
    try:
        configuration = await _configuration(worker, run, job_variables or {})
        made = bundles.create_bundle_for_flow_run(flow, run)
        with tempfile.TemporaryDirectory(prefix="prefect-run-", ignore_cleanup_errors=True) as folder:
            _unzip(made["zip_path"], Path(folder))
            env = {name: value for name, value in configuration.env.items() if value is not None}
            cwd = str(configuration.working_dir or folder)
            child = await worker._starter.start(
                Job(env, cwd, call=_CALL, args=[made["bundle"]], stream_output=configuration.stream_output)
            )
            await worker.client.update_flow_run(run.id, infrastructure_pid=identity.across_machines(child.pid))
            status = await child.wait()
    except Exception as exc:
        await worker._propose_crashed_state(run, f"Flow run could not be submitted: {type(exc).__name__}: {exc}")
        raise
    await ending.settle(worker._source, claim, status)


def _unzip(zip_path: Path | None, folder: Path) -> None:
    if zip_path is not None:
        lazy_module("prefect.bundles.zip_extractor").ZipExtractor(zip_path).extract(folder)


async def _configuration(worker: Any, run: FlowRun, job_variables: dict[str, Any]) -> Any:
    pool: WorkPool = worker.work_pool
    run.job_variables = {**(run.job_variables or {}), **job_variables}
    flow = await worker.client.read_flow(run.flow_id)
    return await worker.job_configuration._of(run, worker.client, pool, worker.name, worker.backend_id, None, flow)


async def submit_by_storage(
    worker: Any,
    flow: Any,
    parameters: dict[str, Any] | None,
    job_variables: dict[str, Any] | None,
    task_status: Any,
    flow_run: FlowRun | None,
) -> None:
    """Put a flow where the work pool keeps such, and start infrastructure that takes it from there.

    Raises:
        RuntimeError: the pool has no storage, or the flow could not be put there.
    """
    upload, execution = adhoc.steps_of(worker.work_pool, flow)
    run = await _run_for(worker, flow, parameters, job_variables, flow_run)
    if task_status is not None:
        task_status.started(run)
    try:
        key = new_id()
        await adhoc.upload(flow, run, upload, key)
        command = processutils.command_to_string(bundles.step_command(execution, key))
        configuration = await _configuration(worker, run, {**(job_variables or {}), "command": command})
        await worker._initiate_run(run, configuration)
    except Exception as exc:
        await worker._propose_crashed_state(run, f"Flow run could not be submitted: {type(exc).__name__}: {exc}")
        raise
