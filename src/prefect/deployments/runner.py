"""Deployments described in code: `RunnerDeployment`, and `deploy` for several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect._bridge import async_dispatch, run_coro_as_sync
from prefect._deploying import deploying
from prefect._deploying.applying import DeploymentApplyError
from prefect._deploying.runner_deployment import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

if TYPE_CHECKING:
    from prefect.docker.docker_image import DockerImage

__all__ = ["DeploymentApplyError", "EntrypointType", "RunnerDeployment", "adeploy", "deploy"]


async def adeploy(
    *deployments: RunnerDeployment,
    work_pool_name: str | None = None,
    image: str | DockerImage | None = None,
    build: bool = True,
    push: bool = True,
    print_next_steps_message: bool = True,
    ignore_warnings: bool = False,
) -> list[UUID]:
    """`deploy` for asynchronous code."""
    return await deploying.deploy(
        deployments, work_pool_name=work_pool_name, image=image, build=build, push=push,
        say=print_next_steps_message, ignore_warnings=ignore_warnings,
    )  # fmt: skip


@async_dispatch(adeploy)
def deploy(
    *deployments: RunnerDeployment,
    work_pool_name: str | None = None,
    image: str | DockerImage | None = None,
    build: bool = True,
    push: bool = True,
    print_next_steps_message: bool = True,
    ignore_warnings: bool = False,
) -> list[UUID]:
    """Make deployments whose runs are run by the workers of a work pool.

    Args:
        deployments: made with `flow.to_deployment(...)`; of flows from storage, or with an image.
        work_pool_name: the pool; default that of the setting `deployments.default_work_pool_name`.
        image: the image to run in: its name, or a `DockerImage` that says how it is built.
        build: build the image; otherwise it is expected to be there.
        push: push the image to its registry once it is built.
        print_next_steps_message: print what was done, and how to run the deployments.
        ignore_warnings: do not tell what may be unwise about it.

    Returns:
        The deployments' ids.

    Raises:
        ValueError: there is no such work pool, or the code is nowhere where a worker finds it.
        DeploymentApplyError: a deployment cannot be made. Those that can are made all the same.
    """
    return run_coro_as_sync(
        adeploy(
            *deployments, work_pool_name=work_pool_name, image=image, build=build, push=push,
            print_next_steps_message=print_next_steps_message, ignore_warnings=ignore_warnings,
        )
    )  # fmt: skip
