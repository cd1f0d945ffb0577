"""Deploying to a work pool: images are built and pushed, deployments made known."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from prefect._deploying.applying import DeploymentApplyError
from prefect._deploying.references import client_or_new
from prefect._deploying.runner_deployment import RunnerDeployment
from prefect._lazy import lazy_module
from prefect._schemas.work_pools import WorkPool
from prefect._storage.folders import LocalStorage
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import rich.console as rich_console
    import rich.table as rich_table

    from prefect.docker import docker_image
    from prefect.docker.docker_image import DockerImage
else:
    docker_image = lazy_module("prefect.docker.docker_image")
    rich_console = lazy_module("rich.console")
    rich_table = lazy_module("rich.table")


async def deploy(
    deployments: Sequence[RunnerDeployment],
    *,
    work_pool_name: str | None = None,
    image: str | DockerImage | None = None,
    build: bool = True,
    push: bool = True,
    say: bool = True,
    ignore_warnings: bool = False,
) -> list[UUID]:
    """Make deployments for the workers of a pool; `prefect.deployments.deploy` describes the arguments."""
    if not deployments:
        return []
    name = work_pool_name or get_current_settings().deployments.default_work_pool_name
    if not name:
        raise ValueError(
            "No work pool name provided. Please provide a `work_pool_name` or set the "
            "`PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME` environment variable."
        )
    pool = await _read_pool(name)
    wanted = docker_image.DockerImage(name=image) if isinstance(image, str) else image
    _check_code(deployments, pool, wanted)
    if wanted is not None and build:
        _check_inside(deployments)
    if say and not ignore_warnings:
        _warn(deployments, pool)
    if wanted is not None and build:
        await asyncio.to_thread(_build, wanted, push, say)
    return await _apply_all(deployments, pool, wanted, say)


async def _read_pool(name: str) -> WorkPool:
    async with client_or_new(None) as client:
        try:
            return await client.read_work_pool(name)
        except ObjectNotFound as error:
            raise ValueError(
                f"Could not find work pool {name!r}. Please create it before deploying this flow: "
                f"`prefect work-pool create {name} --type process`."
            ) from error


def _has_images(pool: WorkPool) -> bool:
    return "image" in pool.base_job_template.get("variables", {}).get("properties", {})


def _check_code(deployments: Sequence[RunnerDeployment], pool: WorkPool, image: DockerImage | None) -> None:
    """Check that workers of the pool will find the code."""
    if image is not None and not _has_images(pool):
        raise ValueError(
            f"Work pool {pool.name!r} does not support custom Docker images. Please use a work pool with an `image` "
            "variable in its base job template."
        )
    for deployment in deployments:
        if image is None and deployment.storage is None and deployment.entrypoint_type.value != "module_path":
            raise ValueError(
                "Either an image or remote storage location must be provided when deploying a deployment: the workers of "
                f"{pool.name!r} would not find the code of {deployment.full_name!r}. Give an `image`, or load the flow with "
                "`flow.from_source(...)`; or use `flow.serve(...)` to run it where you are."
            )


def _check_inside(deployments: Sequence[RunnerDeployment]) -> None:
    """Check that the files of flows will be in an image of the working directory."""
    for deployment in deployments:
        entrypoint = deployment.entrypoint or ""
        if deployment.storage is None and (
            entrypoint.startswith("../") or os.path.isabs(entrypoint.rpartition(":")[0])
        ):
            raise ValueError(
                f"The flow of {deployment.full_name!r} is in {entrypoint.rpartition(':')[0]}, which is outside of the "
                "working directory, of which the image is built. Deploy from a folder that holds it."
            )


def _warn(deployments: Sequence[RunnerDeployment], pool: WorkPool) -> None:
    local = [one.full_name for one in deployments if isinstance(one.storage, LocalStorage)]
    if local and pool.type != "process":
        print(
            f"Note: {', '.join(local)} will look for code in a folder of this machine, which the workers of {pool.name!r} "
            "may not have. (`ignore_warnings=True` silences this.)"
        )


def _build(image: DockerImage, push: bool, say: bool) -> None:
    if say:
        print(f"Building image {image.reference}...", flush=True)
    image.build()
    if push:
        if say:
            print(f"Pushing image {image.reference}...", flush=True)
        image.push()


async def _apply_all(
    deployments: Sequence[RunnerDeployment], pool: WorkPool, image: DockerImage | None, say: bool
) -> list[UUID]:
    ids: list[UUID] = []
    failed: dict[str, Exception] = {}
    for deployment in deployments:
        try:
            ids.append(
                await deployment.aapply(work_pool_name=pool.name, image=image.reference if image is not None else None)
            )
        except (DeploymentApplyError, ValueError) as error:
            if len(deployments) == 1:
                raise
            failed[deployment.full_name] = error
    if say:
        _tell(deployments, failed, pool)
    if failed:
        listing = "\n".join(f"  {name}: {error}" for name, error in failed.items())
        raise DeploymentApplyError(f"{len(failed)} of {len(deployments)} deployments could not be made:\n{listing}")
    return ids


def _tell(deployments: Sequence[RunnerDeployment], failed: dict[str, Exception], pool: WorkPool) -> None:
    table = rich_table.Table("Deployment", "Status")
    for deployment in deployments:
        table.add_row(deployment.full_name, "failed" if deployment.full_name in failed else "applied")
    console = rich_console.Console(soft_wrap=True, highlight=False)
    console.print(table)
    done = [deployment.full_name for deployment in deployments if deployment.full_name not in failed]
    if not done:
        return
    lines = []
    if pool.type is None or (not pool.is_push_pool and not pool.is_managed_pool):
        lines += [
            "",
            "A worker carries out the runs; to start one:",
            "",
            f"    prefect worker start --pool '{pool.name}'",
        ]
    lines += ["", f"To make a run of {'it' if len(done) == 1 else 'one of them'}:", ""]
    lines += [f"    prefect deployment run '{name}'" for name in done]
    print("\n".join(lines), "\n", flush=True)
