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
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

import prefect
from prefect._clock import now
from prefect._dispatch import ending, environment, local_services, looping
from prefect._dispatch.claims import Claim, ClaimSource, is_passing
from prefect._dispatch.tending import Tending
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._schemas.actions.work_pools import WorkPoolCreate, WorkPoolUpdate
from prefect._schemas.events import RelatedResource
from prefect._schemas.flow_runs import FlowRun
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.logging.configuration import ensure_logging_setup
from prefect.logging.loggers import PrefectLogAdapter, flow_run_logger, get_logger
from prefect.settings import get_current_settings
from prefect.utilities.slugify import slugify
from prefect.workers import _types
from prefect.workers._configuration import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorkerResult,
    related_resource,
    variables_schema,
)

if TYPE_CHECKING:
    import anyio
    import anyio.abc

    from prefect import states
    from prefect._dispatch import adhoc, health
    from prefect._events import emitting
    from prefect._schemas.work_pools import WorkPool
    from prefect.flows import Flow
    from prefect.futures import PrefectFlowRunFuture
else:
    adhoc = lazy_module("prefect._dispatch.adhoc")
    anyio = lazy_module("anyio")
    emitting = lazy_module("prefect._events.emitting")
    health = lazy_module("prefect._dispatch.health")
    states = lazy_module("prefect.states")

__all__ = ["BaseJobConfiguration", "BaseVariables", "BaseWorker", "BaseWorkerResult"]

C = TypeVar("C", bound=BaseJobConfiguration)
V = TypeVar("V", bound=BaseVariables)
R = TypeVar("R", bound=BaseWorkerResult)

GRACE_SECONDS = 30
_NOT_ENTERED = "Worker has not been correctly initialized. Please use the worker class as an async context manager."
_LOST_LOOK_SECONDS = 30.0
_AT_ONCE = 50


class _Held:
    """A run that the worker has claimed.

    Attributes:
        claim: the run.
        configuration: what it is started with, once that is known.
        infrastructure: its identifier, once it has begun.
        cancelled: whether it is being ended because it is to be cancelled.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.configuration: Any = None
        self.infrastructure: Any = None
        self.begun = asyncio.Event()
        self.cancelled = False

    def started(self, value: Any = None) -> None:
        """What `run` calls when the infrastructure has begun."""
        if not self.begun.is_set():
            self.infrastructure = value
            self.begun.set()


class BaseWorker(abc.ABC, Generic[C, V, R]):
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

    type: ClassVar[str]
    job_configuration: ClassVar[type[BaseJobConfiguration]] = BaseJobConfiguration
    job_configuration_variables: ClassVar[type[BaseVariables] | None] = None
    _documentation_url: ClassVar[str] = ""
    _logo_url: ClassVar[str] = ""
    _description: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _types.register(cls)

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
        self._work_pool: WorkPool | None = None
        self._client: PrefectClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._exit_stack = contextlib.AsyncExitStack()
        self._last_polled_time: datetime = now()
        self._source: ClaimSource = None  # type: ignore[assignment]
        self._tending: Tending = None  # type: ignore[assignment]
        self._held: dict[UUID, _Held] = {}
        self._freed: asyncio.Event = None  # type: ignore[assignment]
        self._stop: asyncio.Event = None  # type: ignore[assignment]
        self._queues_made = False
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
        if self._work_pool is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._work_pool

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """How many runs at a time.

        Raises:
            RuntimeError: the worker is not entered.
        """
        if self._limiter is None:
            raise RuntimeError(_NOT_ENTERED)
        return self._limiter

    @classmethod
    def get_documentation_url(cls) -> str:
        """Where the type of workers is described."""
        return cls._documentation_url

    @classmethod
    def get_logo_url(cls) -> str:
        """A picture for the type of workers."""
        return cls._logo_url

    @classmethod
    def get_description(cls) -> str:
        """What the type of workers does."""
        return cls._description

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """The job template of a work pool of this type that was not given one."""
        return {
            "job_configuration": cls.job_configuration.json_template(),
            "variables": variables_schema(cls.job_configuration, cls.job_configuration_variables),
        }

    @staticmethod
    def get_worker_class_from_type(type: str) -> type[BaseWorker[Any, Any, Any]] | None:
        """The class of a type of workers; None if no installed package has it."""
        return _types.find(type)

    @staticmethod
    def get_all_available_worker_types() -> list[str]:
        """All types of workers that are installed."""
        return _types.names()

    def get_name_slug(self) -> str:
        """The name, as it fits into addresses and labels."""
        return slugify(self.name)

    def get_flow_run_logger(self, flow_run: FlowRun) -> PrefectLogAdapter:
        """A logger for what the worker does about a run."""
        more = {
            "worker_name": self.name,
            "work_pool_name": self._work_pool_name,
            "work_pool_id": str(self._work_pool.id) if self._work_pool is not None else "<unknown>",
        }
        if self.backend_id is not None:
            more["worker_id"] = str(self.backend_id)
        logger: Any = flow_run_logger(flow_run)
        return logger.getChild("worker", extra=more)

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
        self._freed, self._stop = asyncio.Event(), asyncio.Event()
        self._limiter = anyio.CapacityLimiter(self._limit if self._limit is not None else float("inf"))
        client = await self._patiently(lambda: self._exit_stack.enter_async_context(get_client()))
        self._client = client
        settings = get_current_settings().worker
        self._source = ClaimSource(
            client, "worker", self.name, work_pool_name=self._work_pool_name,
            work_queue_names=sorted(self._work_queues) or None, prefetch_seconds=self._prefetch_seconds,
            query_seconds=settings.query_seconds,
        )  # fmt: skip
        self._tending = Tending(self._source, self._cancel, self._lost)
        tend = asyncio.create_task(self._tending.run())
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
                asyncio.create_task(looping.forever(self._claim_and_submit, 0, self._logger, "Runs cannot be claimed")),
                asyncio.create_task(
                    looping.forever(
                        self.sync_with_backend,
                        self.heartbeat_interval_seconds,
                        self._logger,
                        "No sign of life can be given",
                    )
                ),
                asyncio.create_task(
                    looping.forever(
                        self._reconcile, _LOST_LOOK_SECONDS, self._logger, "Cancelled runs cannot be looked for"
                    )
                ),
            ]
            self._emit("prefect.worker.started")
            await self._warm_up()
            await self._stop.wait()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._leave_runs()
            self._emit("prefect.worker.stopped")

    async def _warm_up(self) -> None:
        """Get ready what the first run would have to wait for."""

    async def _leave_runs(self) -> None:
        """Called when the worker is to stop; runs that are left are waited for in `teardown`."""
        if self._held:
            self._logger.info("Waiting for %d flow runs to end; interrupt again to stop at once.", len(self._held))

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
        return _AT_ONCE if self._limit is None else self._limit - len(self._held)

    async def _until_free(self) -> None:
        while self._room() <= 0:
            self._freed.clear()
            await self._freed.wait()

    async def _until_quiet(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _claim_and_submit(self) -> None:
        await self._until_free()
        if self._work_pool is None:
            await self.sync_with_backend()
        claims = await self._source.take(self._room())
        self._last_polled_time = now()
        self._submit(claims)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Claim the runs that are due now and start them; does not wait for their end.

        Returns:
            the runs.
        """
        claims = await self._source.take(self._room(), 0) if self._room() > 0 else []
        self._last_polled_time = now()
        self._submit(claims)
        return [claim.flow_run for claim in claims]

    def _submit(self, claims: list[Claim]) -> None:
        for claim in claims:
            self._held[claim.id] = held = _Held(claim)
            self._tending.hold(claim)
            task = asyncio.create_task(self._carry_out(held))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, held: _Held) -> None:
        """Start the infrastructure of a run, wait for it, and see to it that the run ends as well."""
        claim, logger = held.claim, self.get_flow_run_logger(held.claim.flow_run)
        try:
            held.configuration = await self._configure(claim)
            logger.info("Worker %r submitting flow run %r", self.name, str(claim.id))
            telling = asyncio.create_task(self._tell_identifier(held))
            try:
                result = await self.run(claim.flow_run, held.configuration, task_status=held)  # type: ignore[arg-type]
            finally:
                held.started()
                await telling
            await self._see_to_end(held, result)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            logger.error("Flow run %r could not be started: %s", claim.flow_run.name, exc, exc_info=True)
            await self._propose_crashed_state(
                claim.flow_run, f"Flow run could not be submitted to infrastructure: {type(exc).__name__}: {exc}"
            )
        finally:
            if self._held.get(claim.id) is held:  # else it is tried again already
                del self._held[claim.id]
            self._tending.let_go(claim.id, claim)
            self._freed.set()

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

    async def _tell_identifier(self, held: _Held) -> None:
        """Let the API know how the infrastructure of a run is called, as soon as it is."""
        await held.begun.wait()
        if held.infrastructure is None:
            return
        try:
            await self.client.update_flow_run(held.claim.id, infrastructure_pid=str(held.infrastructure))
        except Exception as exc:
            self.get_flow_run_logger(held.claim.flow_run).warning(
                "The infrastructure of the flow run is %r, which could not be recorded: %s", held.infrastructure, exc
            )
        self._emit("prefect.worker.submitted-flow-run", held.configuration)

    async def _see_to_end(self, held: _Held, result: R) -> None:
        claim, logger = held.claim, self.get_flow_run_logger(held.claim.flow_run)
        if result.status_code == 0 and not held.cancelled:
            logger.debug("Infrastructure of flow run %r ended, or was handed over", claim.flow_run.name)
            await self._until_taken_over(claim)
        elif not held.cancelled:
            logger.info(
                "Infrastructure of flow run %r: %s. %s", claim.flow_run.name, ending.describe_status(result.status_code),
                ending.explain_status(result.status_code),
            )  # fmt: skip
        self._emit("prefect.worker.executed-flow-run", held.configuration)
        state = await looping.persistently(
            lambda: ending.settle(self._source, claim, result.status_code, cancelled=held.cancelled), self._logger
        )
        if state is not None:
            await self._after_end(held, state)

    async def _after_end(self, held: _Held, state: Any) -> None:
        """Called when the worker itself has put a run into a final state."""

    async def _until_taken_over(self, claim: Claim) -> None:
        """Infrastructure that goes on without us: hold the run until it has begun."""
        if claim.token is None:
            return
        while claim.id in self._tending and not self._stop.is_set():
            try:
                run = await self.client.read_flow_run(claim.id)
            except ObjectNotFound:
                return
            except Exception as exc:
                if not is_passing(exc):
                    raise
            else:
                if run.state is None or run.state.type.value != "PENDING":
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 5)

    # -- ending runs -------------------------------------------------------------------------------------------------

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

    async def _cancel(self, id: UUID) -> None:
        """End a run that is to be cancelled."""
        held = self._held.get(id)
        if held is None:
            return
        logger = self.get_flow_run_logger(held.claim.flow_run)
        logger.info("Cancelling flow run %r", held.claim.flow_run.name)
        await held.begun.wait()
        held.cancelled = True
        try:
            if held.infrastructure is not None:
                await self.kill_infrastructure(str(held.infrastructure), held.configuration, GRACE_SECONDS)
        except (NotImplementedError, InfrastructureNotAvailable) as problem:
            held.cancelled = False
            logger.warning("%s It is left to the flow run itself to stop.", problem)
            return
        except InfrastructureNotFound as problem:
            logger.info("%s", problem)
        await ending.settle(self._source, held.claim, None, cancelled=True)

    async def _lost(self, id: UUID) -> None:
        """End what belongs to a run that is somebody else's by now."""
        held = self._held.get(id)
        if held is None or held.infrastructure is None:
            return
        self.get_flow_run_logger(held.claim.flow_run).warning(
            "Flow run %r is not ours any more, or was ended by somebody: its infrastructure is stopped.",
            held.claim.flow_run.name,
        )
        with contextlib.suppress(NotImplementedError, InfrastructureNotAvailable, InfrastructureNotFound):
            await self.kill_infrastructure(str(held.infrastructure), held.configuration, GRACE_SECONDS)

    async def _reconcile(self) -> None:
        """End what is left of cancelled runs of the pool that no worker holds, such as after a worker's restart."""
        for run in await looping.cancelling_runs(self.client, self._work_pool_name):
            if run.id in self._held or run.infrastructure_pid is None:
                continue
            try:
                configuration = await self._configure(Claim(run))
                await self.kill_infrastructure(run.infrastructure_pid, configuration, GRACE_SECONDS)
            except (NotImplementedError, InfrastructureNotAvailable):
                continue
            except InfrastructureNotFound:
                pass
            await ending.settle(self._source, Claim(run), None, cancelled=True)

    # -- the API -----------------------------------------------------------------------------------------------------

    async def sync_with_backend(self) -> None:
        """Read the work pool, make it if it is not there, and say that the worker is."""
        await self._update_local_work_pool_info()
        id = await self.client.send_worker_heartbeat(
            self._work_pool_name,
            self.name,
            ceil(self.heartbeat_interval_seconds),
            get_worker_id=self.backend_id is None,
        )
        self.backend_id = id or self.backend_id

    async def _update_local_work_pool_info(self) -> None:
        try:
            pool = await self.client.read_work_pool(self._work_pool_name)
        except ObjectNotFound:
            if not self._create_pool_if_not_found:
                self._logger.warning("Work pool %r not found!", self._work_pool_name)
                raise
            wanted: dict[str, Any] = {"name": self._work_pool_name, "type": self.type}
            wanted["base_job_template"] = self._base_job_template or self.get_default_base_job_template()
            pool = await self.client.create_work_pool(WorkPoolCreate.model_validate(wanted))
            self._logger.info("Work pool %r created.", self._work_pool_name)
        if pool.type != self.type and self._work_pool is None:
            self._logger.warning(
                "Worker type %r does not match work pool type %r; job templates may not fit.", self.type, pool.type
            )
        if not pool.base_job_template:
            template = self._base_job_template or self.get_default_base_job_template()
            await self.client.update_work_pool(
                self._work_pool_name, WorkPoolUpdate.model_validate({"base_job_template": template})
            )
            pool.base_job_template = template
        await self._make_queues()
        self._work_pool = pool

    async def _make_queues(self) -> None:
        """Make the queues that the worker is to work for and that are not there."""
        if self._queues_made:
            return
        for name in self._work_queues:
            try:
                await self.client.read_work_queue_by_name(name, self._work_pool_name)
            except ObjectNotFound:
                await self.client.create_work_queue(name=name, work_pool_name=self._work_pool_name)
                self._logger.info("Work queue %r created in work pool %r.", name, self._work_pool_name)
        self._queues_made = True

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        """End a run as crashed, unless it has ended."""
        held = self._held.get(flow_run.id)
        claim = held.claim if held is not None else Claim(flow_run)
        source = self._source if client is None else ClaimSource(client, "worker", self.name)
        try:
            state = await source.propose(claim, states.Crashed(message=message))
        except Exception:
            self.get_flow_run_logger(flow_run).error("The flow run could not be marked as crashed:", exc_info=True)
            return
        if state is not None and state.type.value == "CRASHED":
            self.get_flow_run_logger(flow_run).info("Reported flow run %r as crashed: %s", str(flow_run.id), message)

    # -- events ------------------------------------------------------------------------------------------------------

    def _event_resource(self) -> dict[str, str]:
        return {
            "prefect.resource.id": f"prefect.worker.{self.type}.{self.get_name_slug()}",
            "prefect.resource.name": self.name,
            "prefect.version": prefect.__version__,
            "prefect.worker-type": self.type,
        }

    def _event_related_resources(
        self, configuration: BaseJobConfiguration | None = None, include_self: bool = False
    ) -> list[RelatedResource]:
        """What an event of the worker has to do with.

        Args:
            configuration: of the run that it is about.
            include_self: the worker too, for events about something else.
        """
        found = configuration._related_resources() if configuration is not None else []
        if self._work_pool is not None:
            found.append(related_resource("work-pool", self._work_pool.id, self._work_pool.name))
        if include_self:
            found.append(RelatedResource({**self._event_resource(), "prefect.resource.role": "worker"}))
        return found

    def _emit(self, event: str, configuration: BaseJobConfiguration | None = None) -> None:
        try:
            emitting.emit_event(event, self._event_resource(), related=self._event_related_resources(configuration))
        except Exception as exc:  # events tell of the work, they are not part of it
            self._logger.debug("The event %s could not be emitted: %s", event, exc)

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
        return await adhoc.submit(self, flow, parameters, job_variables, flow_run)

    async def _submit_adhoc_run(
        self,
        flow: Flow[..., Any],
        parameters: dict[str, Any] | None = None,
        job_variables: dict[str, Any] | None = None,
        task_status: anyio.abc.TaskStatus[FlowRun] | None = None,
        flow_run: FlowRun | None = None,
    ) -> None:
        """Make the run, put the flow where its infrastructure finds it, and start that."""
        await adhoc.submit_by_storage(self, flow, parameters, job_variables, task_status, flow_run)
