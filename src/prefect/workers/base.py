"""What workers are made of.

A worker claims the runs of a work pool and starts each on its kind of infrastructure. To make one:

```python
class MyConfiguration(BaseJobConfiguration):
    memory: int = Field(default=512, description="In megabytes.")

class MyWorker(BaseWorker[MyConfiguration, Any, BaseWorkerResult]):
    type = "my-infrastructure"
    job_configuration = MyConfiguration

    async def run(self, flow_run, configuration, task_status=None):
        ...  # start `configuration.command` with `configuration.env`; `task_status.started(id)` when it has begun
        return BaseWorkerResult(identifier=id, status_code=0)
```
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from uuid import UUID

from prefect._clock import now
from prefect._dispatch import environment, local_services, looping
from prefect._dispatch.claims import Claim, ClaimSource
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._schemas.flow_runs import FlowRun
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging.configuration import ensure_logging_setup
from prefect.logging.loggers import get_logger
from prefect.settings import get_current_settings
from prefect.workers._configuration import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorkerResult,
)
from prefect.workers._pool import Pool
from prefect.workers._runs import GRACE_SECONDS, Held, Runs
from prefect.workers._telling import Telling
from prefect.workers.types import WorkerType

if TYPE_CHECKING:
    import anyio
    import anyio.abc

    from prefect import states
    from prefect._dispatch import health
    from prefect._schemas.work_pools import WorkPool
    from prefect._schemas.worker_channel import CleanupKind
    from prefect.flows import Flow
    from prefect.futures import PrefectFlowRunFuture
    from prefect.workers import _adhoc, _cleanup
    from prefect.workers._cleanup import CleanupHandlers
else:
    _adhoc = lazy_module("prefect.workers._adhoc")
    _cleanup = lazy_module("prefect.workers._cleanup")
    anyio = lazy_module("anyio")
    health = lazy_module("prefect._dispatch.health")
    states = lazy_module("prefect.states")

__all__ = ["BaseJobConfiguration", "BaseVariables", "BaseWorker", "BaseWorkerResult"]

C = TypeVar("C", bound=BaseJobConfiguration)
V = TypeVar("V", bound=BaseVariables)
R = TypeVar("R", bound=BaseWorkerResult)

_NOT_ENTERED = "Worker has not been correctly initialized. Please use the worker class as an async context manager."
_GONE_LOOK_SECONDS = 2.0
"""How often a worker looks whether its pool, which has been deleted, is there again."""
_LOST_LOOK_SECONDS = 30.0
_AT_ONCE = 50


class BaseWorker(WorkerType, Telling, abc.ABC, Generic[C, V, R]):
    """Claims the runs of a work pool and starts them.

    Args:
        work_pool_name: the pool.
        work_queues: only runs of these queues of the pool.
        name: as people read it; made up unless given.
        prefetch_seconds: take runs so long before they are due, for infrastructure that is slow to start; default the
            setting `worker.prefetch_seconds`.
        create_pool_if_not_found: make the pool if there is none of the name.
        limit: how many runs at a time.
        heartbeat_interval_seconds: how often it says that it is there; default the setting `worker.heartbeat_seconds`.
        base_job_template: of the pool, if it is made.
    """

    def __init__(
        self,
        work_pool_name: str,
        work_queues: list[str] | None = None,
        name: str | None = None,
        prefetch_seconds: float | None = None,
        create_pool_if_not_found: bool = True,
        limit: int | None = None,
        heartbeat_interval_seconds: int | None = None,
        *,
        base_job_template: dict[str, Any] | None = None,
    ) -> None:
        if name and ("/" in name or "%" in name):
            raise ValueError(f"The worker's name {name!r} contains '/' or '%', which names must not.")
        settings = get_current_settings().worker
        self.name = name or f"{type(self).__name__} {new_uuid()}"
        self.backend_id: UUID | None = None
        self.is_setup = False
        self.heartbeat_interval_seconds = heartbeat_interval_seconds or settings.heartbeat_seconds
        self._given_prefetch = prefetch_seconds
        self._prefetch_seconds = settings.prefetch_seconds if prefetch_seconds is None else prefetch_seconds
        self._work_pool_name = work_pool_name
        self._work_queues = set(work_queues or ())
        self._create_pool_if_not_found = create_pool_if_not_found
        self._base_job_template = base_job_template
        self._limit = limit
        self._limiter: anyio.CapacityLimiter | None = None
        self._logger = get_logger(f"worker.{getattr(self, 'type', 'base')}.{self.name.lower()}")
        self._pool = Pool(self)
        self._client: PrefectClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._exit_stack = contextlib.AsyncExitStack()
        self._last_polled_time: datetime = now()
        self._source: ClaimSource = None  # type: ignore[assignment]
        self._runs: Runs = None  # type: ignore[assignment]
        self._cleanup_handlers: CleanupHandlers | None = None
        self._stop: asyncio.Event = None  # type: ignore[assignment]
        self._is_started = False
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def client(self) -> PrefectClient:
        """The client that the worker asks the API with.

        Raises:
            RuntimeError: the worker is not entered.
        """
        if self._client is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._client

    @property
    def work_pool(self) -> WorkPool:
        """The work pool, as it was read last.

        Raises:
            RuntimeError: it has not been read yet.
        """
        if self._pool.known is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._pool.known

    @property
    def _work_pool(self) -> WorkPool | None:
        return self._pool.known

    @_work_pool.setter
    def _work_pool(self, pool: WorkPool | None) -> None:
        self._pool.known = pool

    @property
    def cleanup_handler_registry(self) -> CleanupHandlers:
        """What the worker does when the server orders that infrastructure is taken down, by the kind of the order.

        A worker that has a `kill_infrastructure` uses it; more can be done by registering handlers before it starts.
        """
        if self._cleanup_handlers is None:
            self._cleanup_handlers = _cleanup.CleanupHandlers()
            if type(self).kill_infrastructure is not BaseWorker.kill_infrastructure:
                self._cleanup_handlers.register(_cleanup.Teardown(self))
        return self._cleanup_handlers

    @property
    def handled_cleanup_kinds(self) -> tuple[CleanupKind, ...]:
        """The kinds of orders that the worker can carry out."""
        return self.cleanup_handler_registry.handled_cleanup_kinds

    @property
    def max_cleanup_concurrency(self) -> int:
        """How many orders it carries out at a time; 0 when it can carry out none."""
        return int(bool(self.handled_cleanup_kinds))

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """How many runs at a time.

        Raises:
            RuntimeError: the worker is not entered.
        """
        if self._limiter is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._limiter

    def get_status(self) -> dict[str, Any]:
        """The worker's state, for people."""
        pool = self._work_pool
        return {
            "name": self.name,
            "work_pool": pool.model_dump(mode="json") if pool is not None else None,
            "settings": {"prefetch_seconds": self._prefetch_seconds},
        }

    def is_worker_still_polling(self, query_interval_seconds: float) -> bool:
        """Whether it has asked for runs lately.

        Args:
            query_interval_seconds: how often it should; thirty times as long ago counts as lately.
        """
        threshold = timedelta(seconds=max(query_interval_seconds, 1) * 30)
        alive = now() - self._last_polled_time < threshold
        if not alive:
            self._logger.error("Worker has not polled since %s. Worker may be unresponsive.", self._last_polled_time)
        return alive

    # -- its life ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Be ready to start runs."""
        self._logger.debug("Entering worker context...")
        await self.setup()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        try:
            await self.teardown(*exc_info)
        finally:
            self.is_setup = False

    async def setup(self) -> None:
        """Get ready: connect to the API, make sure that the work pool is there."""
        ensure_logging_setup()
        self._logger.debug("Setting up worker...")
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._limiter = anyio.CapacityLimiter(self._limit if self._limit is not None else float("inf"))
        client = await self._patiently(lambda: self._exit_stack.enter_async_context(get_client()))
        self._client = client
        settings = get_current_settings().worker
        self._source = ClaimSource(
            client, "worker", self.name, work_pool_name=self._work_pool_name,
            work_queue_names=sorted(self._work_queues) or None, prefetch_seconds=self._prefetch_seconds,
            query_seconds=settings.query_seconds,
        )  # fmt: skip
        self._runs = Runs(self, self._source)
        tend = asyncio.create_task(self._runs.tending.run())
        self._exit_stack.callback(tend.cancel)
        # entered last, and so left first: runs that are waited for are held on to
        self._exit_stack.push_async_callback(self._until_quiet)
        await self._patiently(self.sync_with_backend)
        self.is_setup = True

    async def _patiently(self, work: Callable[[], Any]) -> Any:
        """Do something that `start` does not give up for want of an API."""
        return await (looping.persistently(work, self._logger) if self._is_started else work())

    async def teardown(self, *exc_info: Any) -> None:
        """Wait for the runs that go on, and let go of everything."""
        self._logger.debug("Tearing down worker...")
        await self._exit_stack.__aexit__(*exc_info)
        self._exit_stack = contextlib.AsyncExitStack()
        self._client = None

    async def start(
        self, run_once: bool = False, with_healthcheck: bool = False, printer: Callable[..., Any] = print
    ) -> None:
        """Work until stopped by Ctrl-C or a termination signal.

        The first signal lets runs that go on end by themselves where they can be waited for; the second gives them up.

        Args:
            run_once: start what is due now, wait for it, and return.
            with_healthcheck: answer questions about its health over HTTP, as the settings `worker.webserver` say.
            printer: what is told to people is given to it.
        """
        self._begin_listening(with_healthcheck)
        self._is_started = not run_once
        async with self as worker:
            printer(f"Worker {worker.name!r} started!")
            if not run_once:
                await self._work(printer)
            else:
                while await self.get_and_submit_flow_runs():
                    await self._until_free()
                await self._until_quiet()
        printer(f"Worker {worker.name!r} stopped!")

    def _begin_listening(self, with_healthcheck: bool) -> None:
        if with_healthcheck:
            web = get_current_settings().worker.webserver
            query = get_current_settings().worker.query_seconds
            health.serve(web.host, web.port, {"/health": lambda: self.is_worker_still_polling(query)})

    async def _work(self, printer: Callable[..., Any]) -> None:
        with looping.signals(self._on_signal, printer), local_services.running():
            loops = [
                self._again_and_again(self._claim_and_submit, 0, "Runs cannot be claimed"),
                self._again_and_again(
                    self.sync_with_backend, self.heartbeat_interval_seconds, "No sign of life can be given"
                ),
                self._again_and_again(self._reconcile, _LOST_LOOK_SECONDS, "Cancelled runs cannot be looked for"),
            ]
            self._emit("prefect.worker.started")
            await self._warm_up()
            if get_current_settings().api.url:  # last: an advantage, for which no run has to wait
                loops.append(self._again_and_again(self._pool.stay_connected, 0, "The worker channel failed"))
            await self._stop.wait()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._leave_runs()
            self._emit("prefect.worker.stopped")

    def _again_and_again(self, work: Callable[[], Awaitable[Any]], seconds: float, trouble: str) -> asyncio.Task[None]:
        return asyncio.create_task(looping.forever(work, seconds, self._logger, trouble))

    async def _reconcile(self) -> None:
        """End what is left of runs that were to be cancelled and that no worker holds."""
        await self._runs.reconcile()

    async def _warm_up(self) -> None:
        """Get ready what the first run would have to wait for."""

    async def _leave_runs(self) -> None:
        """Called when the worker is to stop; runs that are left are waited for in `teardown`."""
        if self._runs:
            self._logger.info("Waiting for %d flow runs to end; interrupt again to stop at once.", len(self._runs))

    def stop(self) -> None:
        """Let `start` end, when the runs that go on have ended. May be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_signal, 1)

    def _on_signal(self, count: int) -> None:
        self._stop.set()
        if count > 1:
            for task in self._tasks:
                task.cancel()

    # -- claiming ----------------------------------------------------------------------------------------------------

    def _room(self) -> int:
        return _AT_ONCE if self._limit is None else self._limit - len(self._runs)

    async def _until_free(self) -> None:
        while self._room() <= 0:
            self._runs.freed.clear()
            await self._runs.freed.wait()

    async def _until_quiet(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _claim_and_submit(self) -> None:
        await self._until_free()
        if self._work_pool is None:
            await self.sync_with_backend()
        if self._pool.is_gone:
            await self._pool.look()
            if self._pool.is_gone:
                await asyncio.sleep(_GONE_LOOK_SECONDS)
                return
        try:
            claims = await self._source.take(self._room())
        except ObjectNotFound:
            await self._pool.look()
            if not self._pool.is_gone:
                raise
            return
        self._last_polled_time = now()
        self._runs.begin(claims)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Claim the runs that are due now and start them; does not wait for their end.

        Returns:
            the runs.
        """
        claims = await self._source.take(self._room(), 0) if self._room() > 0 else []
        self._last_polled_time = now()
        self._runs.begin(claims)
        return [claim.flow_run for claim in claims]

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that is waited for before the worker ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _configure(self, claim: Claim) -> Any:
        run, deployment, flow = claim.flow_run, claim.deployment, claim.flow
        if deployment is None and run.deployment_id is not None:
            deployment = await self.client.read_deployment(run.deployment_id)
        if flow is None:
            flow = await self.client.read_flow(run.flow_id)
        env = {} if claim.token is None else {environment.LEASE_TOKEN: str(claim.token)}
        return await self.job_configuration._of(
            run, self.client, self.work_pool, self.name, self.backend_id, deployment, flow, env
        )

    async def _introduce(self, held: Held) -> None:
        """Let the API know how the infrastructure of a run is known."""
        await self._source.introduce(held.claim, str(held.infrastructure))

    def _has_settled(self, result: R) -> bool:
        """Whether it is known, without looking, that the end of a run is recorded whose infrastructure has ended."""
        return False

    async def _after_end(self, held: Held, state: Any) -> None:
        """Called when the worker itself has put a run into a final state."""

    # -- ending runs ---------------------------------------------------------------------------------------------------

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: C, grace_seconds: int = GRACE_SECONDS
    ) -> None:
        """End the infrastructure of a run.

        Args:
            infrastructure_pid: what `run` told of it.
            configuration: what it was started with.
            grace_seconds: how long it may take to end by itself.

        Raises:
            InfrastructureNotFound: it is not there any more.
            InfrastructureNotAvailable: it cannot be reached from here.
            NotImplementedError: workers of this type cannot.
        """
        raise NotImplementedError(f"Workers of type {self.type!r} cannot end infrastructure that they have started.")

    # -- the API -----------------------------------------------------------------------------------------------------

    async def sync_with_backend(self) -> None:
        """Read the work pool, make it if it never was there, and say that the worker is."""
        await self._pool.sync()

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        """End a run as crashed, unless it has ended."""
        claim = self._runs.claim_of(flow_run.id) or Claim(flow_run)
        source = self._source if client is None else ClaimSource(client, "worker", self.name)
        try:
            state = await source.propose(claim, states.Crashed(message=message))
        except Exception:
            self.get_flow_run_logger(flow_run).error("The flow run could not be marked as crashed:", exc_info=True)
            return
        if state is not None and state.type.value == "CRASHED":
            self.get_flow_run_logger(flow_run).info("Reported flow run %r as crashed: %s", str(flow_run.id), message)

    # -- starting ----------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    async def run(self, flow_run: FlowRun, configuration: C, task_status: anyio.abc.TaskStatus[Any] | None = None) -> R:
        """Start the infrastructure of a run, and wait for its end where that is possible.

        Args:
            flow_run: the run.
            configuration: what to start.
            task_status: to be told the identifier of the infrastructure, by `task_status.started(identifier)`, as soon as
                it has begun.

        Returns:
            how it ended; status 0 as well for infrastructure that goes on by itself.
        """
        raise NotImplementedError

    async def _initiate_run(self, flow_run: FlowRun, configuration: C) -> None:
        """Start the infrastructure of a run without waiting for its end; where workers do not say how, it is waited for."""
        await self.run(flow_run, configuration)

    async def submit(
        self,
        flow: Flow[..., Any],
        parameters: dict[str, Any] | None = None,
        job_variables: dict[str, Any] | None = None,
        flow_run: FlowRun | None = None,
    ) -> PrefectFlowRunFuture[Any]:
        """Carry out a flow on the worker's infrastructure, without a deployment.

        Args:
            flow: the flow; it and what it refers to are sent along.
            parameters: its arguments by name.
            job_variables: over those of the work pool.
            flow_run: a run to be carried out again, instead of a new one.

        Returns:
            a future of the run.
        """
        return await _adhoc.submit(self, flow, parameters, job_variables, flow_run)

    async def _submit_adhoc_run(
        self,
        flow: Flow[..., Any],
        parameters: dict[str, Any] | None = None,
        job_variables: dict[str, Any] | None = None,
        task_status: anyio.abc.TaskStatus[FlowRun] | None = None,
        flow_run: FlowRun | None = None,
    ) -> None:
        """Make the run, put the flow where its infrastructure finds it, and start that."""
        await _adhoc.submit_by_storage(self, flow, parameters, job_variables, task_status, flow_run)
