"""A runner: serves deployments from this process, each run in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from prefect._bridge import async_dispatch, run_coro_as_sync
from prefect._clock import now
from prefect._dispatch import environment, looping
from prefect._dispatch.claims import Claim, ClaimSource
from prefect._dispatch.starting import Starter
from prefect._lazy import lazy_module
from prefect.client.orchestration import get_client
from prefect.logging.configuration import ensure_logging_setup
from prefect.logging.loggers import get_logger
from prefect.runner._runs import SHUTDOWN_GRACE, Run, Runs
from prefect.settings import get_current_settings
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    from prefect import states
    from prefect._dispatch import local_services
    from prefect.deployments import runner as deployments
    from prefect.deployments.runner import RunnerDeployment
    from prefect.flows import Flow
    from prefect.runner import server
else:
    deployments = lazy_module("prefect.deployments.runner")
    local_services = lazy_module("prefect._dispatch.local_services")
    server = lazy_module("prefect.runner.server")
    states = lazy_module("prefect.states")

__all__ = ["Runner"]


class Runner:
    """Serves deployments: waits for their runs and carries each out in a process of its own.

    ```python
    async with Runner(name="etl") as runner:
        await runner.aadd_flow(my_flow, name="nightly", cron="0 3 * * *")
        await runner.start()
    ```

    Args:
        name: as people read it; default `runner-<machine>`.
        query_seconds: how often a server is asked for runs that cannot be waited for; default the setting
            `runner.poll_frequency`. Our server and the local database are waited for: a run starts when it is due.
        prefetch_seconds: the same servers: take runs so long before they are due.
        heartbeat_seconds: accepted for compatibility; leases are renewed every few seconds in any case.
        limit: how many runs at a time; default the setting `runner.process_limit`, None for any number.
        pause_on_shutdown: pause the schedules of the deployments when the runner ends, so that no runs pile up.
        webserver: answer questions about its health over HTTP, as the settings `runner.server` say.
    """

    def __init__(
        self,
        name: str | None = None,
        query_seconds: float | None = None,
        prefetch_seconds: float = 10,
        heartbeat_seconds: float | None = None,
        limit: int | type[NotSet] | None = NotSet,
        pause_on_shutdown: bool = True,
        webserver: bool = False,
    ) -> None:
        settings = get_current_settings()
        if name and ("/" in name or "%" in name):
            raise ValueError(f"The runner's name {name!r} contains '/' or '%', which names must not.")
        self.name = Path(name).stem if name else f"runner-{socket.gethostname()}"
        self.limit: int | None = settings.runner.process_limit if limit is NotSet else limit  # type: ignore[assignment]
        self.pause_on_shutdown = pause_on_shutdown
        self.webserver = webserver
        self.query_seconds = query_seconds or settings.runner.poll_frequency
        self.prefetch_seconds = prefetch_seconds
        self.heartbeat_seconds = heartbeat_seconds
        self.started = False
        self.stopping = False
        self._last_polled: datetime = now()
        self._logger = get_logger("runner")
        self._deployments: dict[UUID, RunnerDeployment] = {}
        self._flows: dict[UUID, Any] = {}
        self._storage: list[Any] = []
        self._runs: Runs | None = None
        self._entered = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    # -- what is served ----------------------------------------------------------------------------------------------

    async def aadd_deployment(self, deployment: RunnerDeployment) -> UUID:
        """Make a deployment known to the API and serve it.

        Args:
            deployment: from `flow.to_deployment()` or `RunnerDeployment.from_...`.

        Returns:
            its id.
        """
        storage = deployment.storage
        if storage is not None:
            storage.set_base_path(self._base_path())
            await storage.pull_code()
            self._storage.append(storage)
        apply: Any = getattr(deployment, "aapply", None) or deployment.apply
        id: UUID = await apply()
        self._deployments[id] = deployment
        return id

    @async_dispatch(aadd_deployment)
    def add_deployment(self, deployment: RunnerDeployment) -> UUID:
        """Make a deployment known to the API and serve it; see `aadd_deployment`."""
        return run_coro_as_sync(self.aadd_deployment(deployment))

    async def aadd_flow(
        self,
        flow: Flow[Any, Any],
        name: str | None = None,
        interval: Iterable[int | float | timedelta] | int | float | timedelta | None = None,
        cron: Iterable[str] | str | None = None,
        rrule: Iterable[str] | str | None = None,
        paused: bool | None = None,
        schedule: Any = None,
        schedules: Any = None,
        concurrency_limit: Any = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        enforce_parameter_schema: bool = True,
        entrypoint_type: Any = None,
    ) -> UUID:
        """Make a deployment of a flow and serve it.

        Args:
            flow: the flow.
            name: of the deployment; default the name of this runner.
            interval, cron, rrule, schedule, schedules, paused, concurrency_limit, parameters, triggers, description, tags,
                version, enforce_parameter_schema, entrypoint_type: as of `flow.to_deployment`.

        Returns:
            the deployment's id.
        """
        more = {} if entrypoint_type is None else {"entrypoint_type": entrypoint_type}
        make: Any = getattr(flow, "ato_deployment", None)
        deployment = await make(
            name or self.name, interval=interval, cron=cron, rrule=rrule, paused=paused, schedule=schedule,
            schedules=schedules, concurrency_limit=concurrency_limit, parameters=parameters, triggers=triggers,
            description=description, tags=tags, version=version, enforce_parameter_schema=enforce_parameter_schema, **more,
        )  # fmt: skip
        id = await self.aadd_deployment(deployment)
        self._flows[id] = flow
        return id

    @async_dispatch(aadd_flow)
    def add_flow(self, flow: Flow[Any, Any], *args: Any, **kwargs: Any) -> UUID:
        """Make a deployment of a flow and serve it; see `aadd_flow`."""
        return run_coro_as_sync(self.aadd_flow(flow, *args, **kwargs))

    # -- its life ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Be ready to start processes; entering again inside is allowed."""
        self._entered += 1
        if self._entered > 1:
            return self
        ensure_logging_setup()
        self.started, self.stopping = True, False
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._client = get_client()
        await self._client.__aenter__()
        self._source = ClaimSource(
            self._client, "runner", self.name, query_seconds=self.query_seconds, prefetch_seconds=0
        )
        self._starter = Starter()
        self._runs = Runs(self._source, self._starter, self._base_path(), lambda: not self.stopping)
        self._tend = asyncio.create_task(self._runs.tending.run())
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        self._entered -= 1
        if self._entered:
            return
        self.stopping = True
        if self.pause_on_shutdown:
            await self._pause_schedules()
        await self._under_way.end_all(SHUTDOWN_GRACE)
        self._tend.cancel()
        await self._starter.close()
        await self._client.__aexit__(*exc_info)
        self.started = False
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Serve until stopped: by Ctrl-C, by a termination signal, or by `stop`.

        Args:
            run_once: carry out what is due now, and return.
            webserver: answer questions about its health over HTTP; default as the runner was made.
        """
        async with self:
            if webserver if webserver is not None else self.webserver:
                server.run_in_thread(self)
            with contextlib.ExitStack() as until_end:
                if run_once:
                    await self._claim_once()
                    return
                until_end.enter_context(looping.signals(self._on_signal))
                until_end.enter_context(local_services.running())
                await self._starter.warm_up()
                self._source.deployment_ids = list(self._deployments)
                claiming = looping.forever(self._claim_runs, 0, self._logger, "Runs cannot be claimed")
                loops = [asyncio.create_task(loop) for loop in (claiming, *map(_repull, self._storage))]
                try:
                    await self._stop.wait()
                finally:
                    for loop in loops:
                        loop.cancel()
                    await asyncio.gather(*loops, return_exceptions=True)

    async def _claim_once(self) -> None:
        self._source.deployment_ids = list(self._deployments)
        runs = self._under_way
        while claims := await self._take(0):
            for claim in claims:
                runs.begin(claim)
            await runs.until_one_has_ended()
        await runs.until_quiet()

    async def _claim_runs(self) -> None:
        runs = self._under_way
        runs.freed.clear()
        if not self.has_slots_available():
            await runs.freed.wait()
            return
        for claim in await self._take():
            runs.begin(claim)

    async def _take(self, wait_seconds: float | None = None) -> list[Claim]:
        limit = 50 if self.limit is None else self.limit - self.run_count
        wait = {} if wait_seconds is None else {"wait_seconds": wait_seconds}
        claims = await self._source.take(limit, **wait) if limit > 0 else []
        self._last_polled = now()
        return claims

    def stop(self) -> None:
        """Let `start` end. May be called from any thread."""
        if not self.started:
            raise RuntimeError("The runner has not yet started. Call start() first.")
        self.stopping = True
        self._loop.call_soon_threadsafe(self._stop.set)

    async def astop(self) -> None:
        """Let `start` end."""
        self.stop()

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """What the runner does when it is told to terminate: it ends its runs, and then itself."""
        self._logger.info("SIGTERM received: ending.")
        self.stop()

    def _on_signal(self, count: int) -> None:
        if count > 1:
            self._logger.warning("Killing %d flow runs.", self.run_count)
            self._under_way.kill_all()
        self.stopping = True
        self._stop.set()

    def execute_in_background(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function, of either kind, on a thread of its own; returns a future of its result."""
        return environment.in_background(func, *args, **kwargs)

    @property
    def last_polled(self) -> datetime:
        """When it last heard from the API what is due."""
        return self._last_polled

    @property
    def run_count(self) -> int:
        """How many runs it is carrying out."""
        return 0 if self._runs is None else len(self._runs)

    @property
    def _under_way(self) -> Runs:
        if self._runs is None:
            raise RuntimeError("The runner has not yet started. Call start() first, or enter it with `async with`.")
        return self._runs

    def has_slots_available(self) -> bool:
        """Whether it could carry out one more run now."""
        return self.limit is None or self.run_count < self.limit

    # -- one run -----------------------------------------------------------------------------------------------------

    async def execute_flow_run(
        self,
        flow_run_id: UUID,
        entrypoint: str | None = None,
        command: str | None = None,
        cwd: Path | str | None = None,
        env: Mapping[str, str | None] | None = None,
        task_status: Any = None,
        stream_output: bool = True,
    ) -> Any:
        """Carry out one run that exists already, in a process of its own.

        Args:
            flow_run_id: of the run.
            entrypoint: where its flow is; by default its deployment says.
            command: what to run instead, with `PREFECT__FLOW_RUN_ID` in its environment.
            cwd: the directory that the process starts in; default this one.
            env: variables on top of the environment of this process; None takes one out.
            task_status: told the process id.
            stream_output: whether what it writes is seen.

        Returns:
            the process that has ended, with `pid` and `returncode`; None if it could not be started.
        """
        async with self:
            claim = Claim(await self._client.read_flow_run(flow_run_id), environment.token_of(flow_run_id))
            if claim.flow_run.state is not None and claim.flow_run.state.is_scheduled():
                await self._source.make_pending(claim.flow_run)
            options = {
                "entrypoint": entrypoint, "command": environment.split(command) if command else None,
                "cwd": str(cwd) if cwd else None, "env": env or {}, "stream_output": stream_output,
            }  # fmt: skip
            run = Run(claim, options)
            await self._under_way.carry_out(run, task_status)
            return run

    async def execute_bundle(
        self, bundle: Any, cwd: Path | str | None = None, env: Mapping[str, str | None] | None = None
    ) -> None:
        """Carry out the run of a bundle from `prefect.bundles`, in a process of its own.

        Args:
            bundle: the flow and its run.
            cwd: the directory that the process starts in; default this one.
            env: variables on top of the environment of this process; None takes one out.
        """
        async with self:
            flow_run_id = UUID(bundle["flow_run"]["id"])
            claim = Claim(await self._client.read_flow_run(flow_run_id), environment.token_of(flow_run_id))
            options = {"cwd": str(cwd) if cwd else None, "env": env or {}, "bundle": bundle}
            await self._under_way.carry_out(Run(claim, options))

    async def cancel_all(self) -> None:
        """Cancel all runs that are being carried out, and wait for their end."""
        self.stopping = True
        await self._under_way.cancel_all()

    def reschedule_current_flow_runs(self) -> None:
        """Let others carry out the runs that are being carried out here: they are scheduled again, their processes end."""
        with get_client(sync_client=True) as client:
            for run in self._runs or ():
                client.set_flow_run_state(run.claim.id, states.AwaitingRetry(scheduled_time=now()), force=True)
                run.kill()

    async def _pause_schedules(self) -> None:
        """Pause what is served, so that nothing becomes due that nobody carries out."""
        if not self._deployments:
            return
        self._logger.info("Pausing all deployments...")
        for id in self._deployments:
            try:
                await self._client.set_deployment_paused_state(id, True)
            except Exception as exc:
                self._logger.warning("Deployment %s could not be paused: %s", id, exc)
        self._logger.info("All deployments have been paused!")

    def _base_path(self) -> Path:
        """The folder that the code of storages is kept in while the runner lives."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="runner-", ignore_cleanup_errors=True)
        return Path(self._folder.name)


async def _repull(storage: Any) -> None:
    """Keep the code of a storage up to date."""
    while storage.pull_interval:
        await asyncio.sleep(storage.pull_interval)
        try:
            await storage.pull_code()
        except Exception:
            get_logger("runner").warning(
                "Code could not be pulled from %r; the last state of it is used:", storage, exc_info=True
            )
