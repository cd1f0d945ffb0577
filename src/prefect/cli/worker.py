"""`prefect worker`: carry out the runs of a work pool."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console
from prefect.cli._options import flag

if TYPE_CHECKING:
    import asyncio

    from prefect import exceptions
    from prefect._dispatch import claims
    from prefect._schemas.work_pools import WorkPool
    from prefect.workers import process
    from prefect.workers import types as _types
    from prefect.workers.base import BaseWorker
else:
    asyncio = lazy_module("asyncio")
    claims = lazy_module("prefect._dispatch.claims")
    exceptions = lazy_module("prefect.exceptions")
    _types = lazy_module("prefect.workers.types")
    process = lazy_module("prefect.workers.process")

app = App(name="worker", help="Carry out the runs of a work pool.")

_WAIT_SECONDS = 2.0

InstallPolicy = Literal["always", "if-not-present", "never", "prompt"]

PACKAGES = {
    "azure-container-instance": "prefect-azure",
    "cloud-run": "prefect-gcp",
    "cloud-run-v2": "prefect-gcp",
    "docker": "prefect-docker",
    "ecs": "prefect-aws",
    "kubernetes": "prefect-kubernetes",
    "modal": "prefect-modal",
    "snowpark": "prefect-snowflake",
    "vertex-ai": "prefect-gcp",
}
"""Where the types of workers come from that do not come with this package."""


@app.command
def start(
    *,
    name: Annotated[
        str | None, Parameter(name=["--name", "-n"], help="Name of the worker; made up unless given.")
    ] = None,
    pool: Annotated[str | None, Parameter(name=["--pool", "-p"], help="The work pool.")] = None,
    work_queue: Annotated[
        list[str] | None,
        Parameter(
            name=["--work-queue", "-q"], help="Only runs of this queue of the pool. May be repeated.", negative=()
        ),
    ] = None,
    type: Annotated[
        str | None, Parameter(name=["--type", "-t"], help="Type of the worker; that of the pool unless given.")
    ] = None,
    prefetch_seconds: Annotated[float | None, Parameter(help="Take runs so many seconds before they are due.")] = None,
    run_once: Annotated[bool, flag("Carry out what is due now, and return.")] = False,
    limit: Annotated[int | None, Parameter(name=["--limit", "-l"], help="How many runs at a time.")] = None,
    with_healthcheck: Annotated[bool, flag("Answer at /health, as the settings worker.webserver say.")] = False,
    install_policy: Annotated[
        InstallPolicy, Parameter(help="What to do when the package of the worker's type is not installed.")
    ] = "prompt",
    base_job_template: Annotated[
        Path | None, Parameter(help="JSON file with the job template of the pool, if the pool is made.")
    ] = None,
    create_pool_if_not_found: Annotated[
        bool, Parameter(help="Make the work pool if there is none of the name.")
    ] = True,
) -> None:
    """Carry out the runs of a work pool until stopped.

    Ctrl-C once lets the runs that go on end; twice ends them. A pool that is not there is made, of the type given.
    """
    if pool is None:
        _console.usage("Say which work pool to work for: --pool NAME.")
    if limit is not None and limit < 1:
        _console.usage(f"--limit must be 1 or more, not {limit}.")
    template = _template(base_job_template)
    cls = _worker_class(_type_for(pool, type, create_pool_if_not_found), install_policy)
    worker = cls(
        pool,
        work_queues=work_queue,
        name=name,
        prefetch_seconds=prefetch_seconds,
        limit=limit,
        base_job_template=template,
        create_pool_if_not_found=create_pool_if_not_found,
    )

    def say(message: str) -> None:
        print(message, flush=True)

    try:
        asyncio.run(worker.start(run_once=run_once, with_healthcheck=with_healthcheck, printer=say))
    except exceptions.ObjectNotFound:
        _console.fail(f"There is no work pool {pool!r}; `prefect work-pool create` makes one.")
    except OSError as problem:
        if not with_healthcheck:
            raise
        _console.fail(
            f"The health check cannot be answered: {problem}. Set PREFECT_WORKER_WEBSERVER_PORT to a free port."
        )


def _template(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        _console.fail(f"The job template cannot be read: {problem}")
    except ValueError as problem:
        _console.fail(f"The job template {str(file)!r} is not JSON: {problem}")


def _type_for(pool: str, given: str | None, may_make: bool) -> str:
    """The type that the worker must have for a pool."""
    found = _read_pool(pool)
    if found is None:
        if not may_make:
            _console.fail(f"There is no work pool {pool!r}; `prefect work-pool create` makes one.")
        return given or "process"
    if found.is_push_pool or found.is_managed_pool:
        _console.fail(
            f"Work pool {pool!r} is of type {found.type!r}: its runs are carried out without a worker, so none can work for it."
        )
    if found.is_paused:
        print(f"Work pool {pool!r} is paused: no runs are started until it is resumed.", file=sys.stderr)
    if given and given != found.type:
        _console.fail(f"Work pool {pool!r} is of type {found.type!r}; a worker of type {given!r} cannot work for it.")
    return found.type


def _read_pool(name: str) -> WorkPool | None:
    told = False
    while True:
        try:
            with _api.client() as api:
                return api.read_work_pool(name)
        except exceptions.ObjectNotFound:
            return None
        except Exception as problem:  # a worker may be started before its server
            if not claims.is_passing(problem):
                raise
            if not told:
                print(f"{problem} The worker starts when it answers.", file=sys.stderr, flush=True)
            told = True
            time.sleep(_WAIT_SECONDS)


def _worker_class(type_: str, policy: InstallPolicy) -> type[BaseWorker[Any, Any, Any]]:
    if type_ == process.ProcessWorker.type:
        return process.ProcessWorker
    found = None if policy == "always" else _types.find(type_)
    if found is None:
        package = PACKAGES.get(type_)
        if package is None:
            found = _types.find(type_) or _unknown(type_)
        elif _may_install(package, type_, policy):
            _install(package)
            found = _types.find(type_)
    if found is None:
        _console.fail(
            f"Workers of type {type_!r} come with the package {PACKAGES[type_]!r}, which is not installed: "
            f"pip install {PACKAGES[type_]}"
        )
    return found


def _unknown(type_: str) -> Any:
    known = ", ".join(sorted({*_types.names(), *PACKAGES, process.ProcessWorker.type}))
    _console.fail(f"There are no workers of type {type_!r}. Types are: {known}.")


def _may_install(package: str, type_: str, policy: InstallPolicy) -> bool:
    if policy == "prompt":
        return _console.confirm(f"Workers of type {type_!r} need the package {package}. Install it now?")
    return policy != "never"


def _install(package: str) -> None:
    _console.say(f"Installing {package}...")
    done = subprocess.run([sys.executable, "-m", "pip", "install", package], check=False)
    if done.returncode:
        _console.fail(f"{package} could not be installed: pip ended with status {done.returncode}; see above.")
    importlib.invalidate_caches()
    _types.forget()
