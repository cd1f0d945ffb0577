"""Deployments: flows that run on schedule, or when asked, in other processes and on other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.deployments.base import initialize_project
    from prefect.deployments.flow_runs import arun_deployment, run_deployment
    from prefect.deployments.runner import RunnerDeployment, deploy

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "RunnerDeployment": "prefect.deployments.runner",
        "arun_deployment": "prefect.deployments.flow_runs",
        "deploy": "prefect.deployments.runner",
        "initialize_project": "prefect.deployments.base",
        "run_deployment": "prefect.deployments.flow_runs",
    },
)

__all__ = ["RunnerDeployment", "arun_deployment", "deploy", "initialize_project", "run_deployment"]
