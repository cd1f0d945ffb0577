"""Getting at the flow of a run: its code is pulled, then loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._bridge import run_coro_as_sync
from prefect._lazy import lazy_module
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect import _entrypoints, exceptions
    from prefect._schemas.deployments import DeploymentResponse
    from prefect._schemas.flow_runs import FlowRun
    from prefect.blocks import core as blocks
    from prefect.client import orchestration
    from prefect.client.orchestration import PrefectClient
    from prefect.deployments.steps import core as steps
    from prefect.flows import Flow
    from prefect.logging import loggers
else:
    _entrypoints = lazy_module("prefect._entrypoints")
    blocks = lazy_module("prefect.blocks.core")
    exceptions = lazy_module("prefect.exceptions")
    loggers = lazy_module("prefect.logging.loggers")
    orchestration = lazy_module("prefect.client.orchestration")
    steps = lazy_module("prefect.deployments.steps.core")

STORAGE_BASE_PATH = "$STORAGE_BASE_PATH"
"""Stands, in the path of a deployment, for the folder that its runner keeps storage in."""

_NO_DEPLOYMENT = "Flow run does not have an associated deployment: only those of deployments can be loaded."


class NotLoaded(Exception):
    """The flow of a run could not be had; the message says at which step, why, and what to do."""


async def load_flow_from_flow_run(
    client: PrefectClient,
    flow_run: FlowRun,
    ignore_storage: bool = False,
    storage_base_path: str | None = None,
    use_placeholder_flow: bool = True,
) -> Flow[..., Any]:
    """Load the flow of a run of a deployment.

    The deployment's pull steps are carried out first; they may change the working directory of this process. Then the
    entrypoint is loaded: the file is run as a module, never as `__main__`.

    Args:
        client: to read the deployment with.
        flow_run: the run.
        ignore_storage: the code is here already, in the working directory.
        storage_base_path: what `$STORAGE_BASE_PATH` in the deployment's path stands for.
        use_placeholder_flow: see `load_flow_from_entrypoint`.

    Raises:
        ValueError: the run belongs to no deployment, or the deployment has no entrypoint.
        StepExecutionError: a pull step failed.
        ScriptError, MissingFlowError, FileNotFoundError, ModuleNotFoundError: the code cannot be loaded.
    """
    if flow_run.deployment_id is None:
        raise ValueError(_NO_DEPLOYMENT)
    deployment = await client.read_deployment(flow_run.deployment_id)
    return await load_flow_of(deployment, flow_run, ignore_storage, storage_base_path, use_placeholder_flow)


async def load_flow_of(
    deployment: DeploymentResponse,
    flow_run: FlowRun,
    ignore_storage: bool = False,
    storage_base_path: str | None = None,
    use_placeholder_flow: bool = True,
) -> Flow[..., Any]:
    """Load the flow of a run of a deployment that was read already; see `load_flow_from_flow_run`."""
    _need_entrypoint(deployment)
    if not ignore_storage:
        if _is_elsewhere(deployment):
            await _pull(deployment, flow_run)
        else:
            _go_there(deployment, storage_base_path)
    return _load(deployment, flow_run, use_placeholder_flow)


def _need_entrypoint(deployment: DeploymentResponse) -> None:
    if not deployment.entrypoint:
        raise ValueError(
            f"Deployment {deployment.name!r} has no entrypoint and can not be run: deploy its flow again, with an "
            "entrypoint such as 'path/to/file.py:flow_function'."
        )


def _load(deployment: DeploymentResponse, flow_run: FlowRun, use_placeholder_flow: bool) -> Flow[..., Any]:
    entrypoint = deployment.entrypoint or ""
    loggers.flow_run_logger(flow_run).debug("Loading the flow from %r, in %s", entrypoint, Path.cwd())
    return _entrypoints.load_flow_from_entrypoint(entrypoint, use_placeholder_flow=use_placeholder_flow)


def _is_elsewhere(deployment: DeploymentResponse) -> bool:
    """Whether something has to be done to get at the code, beyond changing the directory."""
    return bool(deployment.pull_steps) or deployment.storage_document_id is not None


async def _pull(deployment: DeploymentResponse, flow_run: FlowRun) -> None:
    """Bring the code here."""
    logger: Any = loggers.flow_run_logger(flow_run)
    if deployment.pull_steps:
        logger.debug("Running %d deployment pull step(s)", len(deployment.pull_steps))
        output = await steps.run_steps(
            deployment.pull_steps, print_function=logger.info, deployment=deployment, flow_run=flow_run, logger=logger
        )
        if directory := output.get("directory"):
            logger.debug("Changing the working directory to %r", directory)
            os.chdir(directory)
    else:
        block: Any = await blocks.Block.aload_from_document_id(deployment.storage_document_id)  # type: ignore[attr-defined]
        await block.get_directory(from_path=deployment.path, local_path=".")


def _go_there(deployment: DeploymentResponse, base: str | None) -> None:
    """Bring this process to where the code is."""
    path = deployment.path
    if path and not module_path(deployment.entrypoint or ""):
        os.chdir(path.replace(STORAGE_BASE_PATH, base or str(Path.cwd())) if STORAGE_BASE_PATH in path else path)


def module_path(entrypoint: str) -> bool:
    """Whether an entrypoint names a module, not a file."""
    return not entrypoint.rpartition(":")[0].endswith(".py") and "/" not in entrypoint


def load_for_run(flow_run: FlowRun, deployment: DeploymentResponse | None, entrypoint: str | None) -> Flow[..., Any]:
    """Load the flow of a run that this process is to carry out.

    The code itself is loaded outside of any event loop, as it is when it is run by hand.

    Args:
        flow_run: the run.
        deployment: its deployment, if it was read already.
        entrypoint: where the flow is, if its code is here already.

    Raises:
        NotLoaded: it could not be loaded; the message says at which step, why, and what to do.
    """
    try:
        if entrypoint:
            return _entrypoints.load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
        deployment = deployment or _deployment_of(flow_run)
        _need_entrypoint(deployment)
        if _is_elsewhere(deployment):
            run_coro_as_sync(_pull(deployment, flow_run))
        else:
            _go_there(deployment, os.environ.get("PREFECT__STORAGE_BASE_PATH"))
        return _load(deployment, flow_run, use_placeholder_flow=False)
    except Exception as exc:
        get_logger("dispatch").debug("Loading the flow failed:", exc_info=exc)
        raise NotLoaded(_explanation(exc, deployment, entrypoint)) from exc


def _deployment_of(flow_run: FlowRun) -> DeploymentResponse:
    if flow_run.deployment_id is None:
        raise ValueError(_NO_DEPLOYMENT)
    with orchestration.get_client(sync_client=True) as client:
        return client.read_deployment(flow_run.deployment_id)


def _explanation(exc: Exception, deployment: DeploymentResponse | None, entrypoint: str | None) -> str:
    """What went wrong before the flow began, in words."""
    place = entrypoint or (deployment.entrypoint if deployment is not None else None)
    if isinstance(exc, exceptions.ScriptError):
        cause = exc.user_exc
        hint = ""
        if isinstance(cause, ModuleNotFoundError):
            hint = f" Install the package that has {cause.name!r} where the run is carried out, or check the import."
        return (
            f"The flow could not be loaded from {place!r}: its code raised {type(cause).__name__} when it was "
            f"imported: {cause}.{hint}"
        )
    if type(exc).__name__ == "StepExecutionError":
        return f"The code of the flow could not be pulled: {exc}"
    if isinstance(exc, (FileNotFoundError, NotADirectoryError)):
        return (
            f"The flow could not be loaded from {place!r} in {_cwd()}: {str(exc).rstrip('.')}. Deploy the flow with a "
            "place for its code that this machine reaches (`flow.from_source`, pull steps, or an image that has it)."
        )
    return f"The flow could not be loaded from {place!r}: {type(exc).__name__}: {exc}"


def _cwd() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "(deleted)"
