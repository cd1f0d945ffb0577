"""Runs without a deployment: the flow itself is sent to the infrastructure of a work pool."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._ids import new_id
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect import bundles, context, futures, states
    from prefect._deploying import running
    from prefect._engine import frames
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.work_pools import WorkPool
    from prefect.bundles import launchers as launchers
    from prefect.client.orchestration import PrefectClient
    from prefect.flows import Flow
    from prefect.futures import PrefectFlowRunFuture
    from prefect.utilities import processutils
else:
    bundles = lazy_module("prefect.bundles")
    context = lazy_module("prefect.context")
    frames = lazy_module("prefect._engine.frames")
    futures = lazy_module("prefect.futures")
    launchers = lazy_module("prefect.bundles.launchers")
    running = lazy_module("prefect._deploying.running")
    processutils = lazy_module("prefect.utilities.processutils")
    states = lazy_module("prefect.states")

AnyFlow = Any


def steps_of(pool: WorkPool, flow: Flow[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How a flow is put into the storage of a work pool, and how it is carried out from there.

    Raises:
        RuntimeError: the pool has no storage.
    """
    storage = pool.storage_configuration
    upload, execution = storage.bundle_upload_step, storage.bundle_execution_step
    if upload is None or execution is None:
        raise RuntimeError(
            f"Storage is not configured for work pool {pool.name!r}, so flow {flow.name!r} cannot be sent to it. "
            "`prefect work-pool storage configure` chooses one."
        )
    launcher = getattr(flow, "launcher", None)
    return (
        launchers.resolve_bundle_step_with_launcher(upload, launcher, "upload"),
        launchers.resolve_bundle_step_with_launcher(execution, launcher, "execution"),
    )


async def upload(flow: Flow[..., Any], run: FlowRun, step: dict[str, Any], key: str) -> None:
    """Put a bundle, and its files, into storage."""
    made = bundles.create_bundle_for_flow_run(flow, run)
    with tempfile.TemporaryDirectory(prefix="prefect-bundle-") as name:
        folder = Path(name)
        (folder / key).write_text(json.dumps(made["bundle"]), encoding="utf-8")
        keys = [key]
        if made["zip_path"] is not None:
            files_key = str(made["bundle"].get("files_key"))
            (folder / files_key).parent.mkdir(parents=True, exist_ok=True)
            made["zip_path"].replace(folder / files_key)
            keys.append(files_key)
        for one in keys:
            # the file is an argument beside the key that it is to have
            command = [*bundles.step_command(step, one, sys.executable), one]
            await asyncio.to_thread(_run_command, command, folder)


def _run_command(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except OSError as exc:
        raise RuntimeError(f"The flow could not be put into storage: {command[0]!r} cannot be started: {exc}") from exc
    if done.returncode:
        raise RuntimeError(
            f"The flow could not be put into storage: {' '.join(command)} ended with status {done.returncode}: "
            f"{(done.stderr or done.stdout).strip()[-2000:]}"
        )


async def submit_to_pool(
    client: PrefectClient, flow: AnyFlow, parameters: dict[str, Any], links: dict[str, Any]
) -> PrefectFlowRunFuture[Any]:
    """Let the workers of a work pool carry out a flow that is bound to it; in a flow run as a sub-flow of it.

    Args:
        client: for the API.
        flow: bound to the pool.
        parameters: for the run.
        links: from which runs they come.

    Raises:
        RuntimeError: the pool has no storage, or the flow could not be put there.
        ObjectNotFound: there is no such pool.
    """
    pool = await client.read_work_pool(flow.work_pool)
    upload_step, execution = steps_of(pool, flow)
    key = new_id()
    command = processutils.command_to_string(bundles.step_command(execution, key))
    parent, stand = frames.current_flow.get(), None
    if parent is not None:
        name = f"{flow.fn.__module__}.{getattr(flow.fn, '__qualname__', flow.name)}"
        stand = await running.stand_for(client, parent, flow.name, name, flow.version, links)
    run = await client.create_flow_run(
        flow, parameters=parameters, state=states.Pending(message="The flow is being put into storage."),
        parent_task_run_id=stand,
        job_variables={**flow.job_variables, "command": command}, work_pool_name=pool.name,
        tags=context.TagsContext.get().current_tags,
    )  # fmt: skip
    try:
        await upload(flow, run, upload_step, key)
    except Exception as exc:
        await client.set_flow_run_state(run.id, states.Crashed(message=f"Flow run could not be submitted: {exc}"))
        raise
    await client.set_flow_run_state(run.id, states.Scheduled(), force=True)
    return futures.PrefectFlowRunFuture(run.id)
