"""The steps that come along, by the names that `prefect.yaml` and deployments use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.deployments.steps.core import run_step
    from prefect.deployments.steps.pull import (
        agit_clone,
        git_clone,
        pull_from_remote_storage,
        pull_with_block,
        set_working_directory,
    )
    from prefect.deployments.steps.utility import pip_install_requirements, run_shell_script

_PULL = "prefect.deployments.steps.pull"
_UTILITY = "prefect.deployments.steps.utility"
__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "agit_clone": _PULL,
        "git_clone": _PULL,
        "pip_install_requirements": _UTILITY,
        "pull_from_remote_storage": _PULL,
        "pull_with_block": _PULL,
        "run_shell_script": _UTILITY,
        "run_step": "prefect.deployments.steps.core",
        "set_working_directory": _PULL,
    },
)

__all__ = [
    "agit_clone",
    "git_clone",
    "pip_install_requirements",
    "pull_from_remote_storage",
    "pull_with_block",
    "run_shell_script",
    "run_step",
    "set_working_directory",
]
