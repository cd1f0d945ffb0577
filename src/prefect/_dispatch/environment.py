"""The environment that the process of a run is started with."""

from __future__ import annotations

import concurrent.futures
import inspect
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prefect._bridge import run_coro_as_sync
from prefect._dispatch.claims import Claim
from prefect._lazy import lazy_module
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect.utilities import processutils
else:
    processutils = lazy_module("prefect.utilities.processutils")

LEASE_TOKEN = "PREFECT__FLOW_RUN_LEASE_TOKEN"


def of_run(claim: Claim, deployment: Any = None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment, its settings, and what is to be known of a run.

    Args:
        claim: the run.
        deployment: its deployment; variables among its job variables (and the run's own, which win) are put on top.
        more: further variables.
    """
    env = dict(os.environ)
    env.update(get_current_settings().to_environment_variables(exclude_unset=True))
    env["PREFECT__FLOW_RUN_ID"] = str(claim.id)
    env.pop(LEASE_TOKEN, None)
    if claim.token is not None:
        env[LEASE_TOKEN] = str(claim.token)
    env.update(more or {})
    for owner in (deployment, claim.flow_run):
        put(env, (getattr(owner, "job_variables", None) or {}).get("env") or {})
    return env


def token_of(flow_run_id: Any) -> int | None:
    """The token of the claim under which this very process was started for a run, if it was."""
    token = os.environ.get(LEASE_TOKEN)
    return int(token) if token and os.environ.get("PREFECT__FLOW_RUN_ID") == str(flow_run_id) else None


def put(env: dict[str, str], changes: Mapping[str, Any]) -> None:
    """Put variables on top of an environment; None takes one out."""
    for name, value in changes.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = str(value)


def split(command: str) -> list[str]:
    """The parts of a command line."""
    return processutils.command_from_string(command)


def in_background(func: Callable[..., Any], *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
    """Call a function of either kind on a thread of its own."""

    def call() -> Any:
        value = func(*args, **kwargs)
        return run_coro_as_sync(value) if inspect.iscoroutine(value) else value

    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="prefect-runner")
    try:
        return pool.submit(call)
    finally:
        pool.shutdown(wait=False)
