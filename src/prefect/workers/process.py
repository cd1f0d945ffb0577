"""The worker that carries out runs in processes of its own machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from pydantic import Field, PrivateAttr, field_validator

from prefect._clock import now
from prefect._dispatch import ending, identity, looping
from prefect._dispatch.children import Child, end_group, is_alive
from prefect._dispatch.starting import Job, Starter
from prefect._schemas.flow_runs import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.utilities.processutils import command_from_string
from prefect.workers import _adhoc
from prefect.workers._configuration import DEFAULT_COMMAND
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

if TYPE_CHECKING:
    import anyio.abc

    from prefect._schemas.deployments import DeploymentResponse
    from prefect._schemas.flows import Flow as APIFlow
    from prefect._schemas.work_pools import WorkPool
    from prefect.flows import Flow
    from prefect.workers._runs import Held

__all__ = ["ProcessJobConfiguration", "ProcessVariables", "ProcessWorker", "ProcessWorkerResult"]

_CALL = "prefect._dispatch.execution:carry_out"
_HOOKS = "prefect._dispatch.execution:tell_hooks"

_LOOKS_BACK = timedelta(days=1)
_TIME_TO_LEAVE = timedelta(minutes=1)
"""So long a process may go on after its run was cancelled, as with hooks."""


class ProcessJobConfiguration(BaseJobConfiguration):
    """What is needed to start the process of a run.

    Attributes:
        stream_output: show what it writes where the worker shows what it writes.
        working_dir: the directory that it starts in; a new one unless given.
    """

    stream_output: bool = Field(default=True, description="Show the output of the process in that of the worker.")
    working_dir: Path | None = Field(
        default=None, title="Working Directory", description="Where the process starts; a new directory unless given."
    )

    @field_validator("working_dir")
    @classmethod
    def validate_working_dir(cls, v: Path | str | None) -> Path | None:
        """Take a path as text, too."""
        return Path(v) if isinstance(v, str) else v

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: APIFlow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Add what belongs to a run, over the environment of the worker."""
        super().prepare_for_flow_run(flow_run, deployment, flow, work_pool, worker_name, worker_id)
        over_worker = {**os.environ, **self.env}
        self.env = {name: value for name, value in over_worker.items() if value is not None}


class ProcessVariables(BaseVariables):
    """The variables of job templates of process workers."""

    stream_output: bool = Field(default=True, description="Show the output of the process in that of the worker.")
    working_dir: Path | None = Field(
        default=None, title="Working Directory", description="Where the process starts; a new directory unless given."
    )


class ProcessWorkerResult(BaseWorkerResult):
    """How the process of a run ended: its identifier is `host:pid`."""

    _settled: bool = PrivateAttr(default=False)


class ProcessWorker(BaseWorker[ProcessJobConfiguration, ProcessVariables, ProcessWorkerResult]):
    """Carries out runs in processes of its own machine, forked from a warm one where the system allows it."""

    type: ClassVar[str] = "process"
    job_configuration: ClassVar[type[BaseJobConfiguration]] = ProcessJobConfiguration
    job_configuration_variables: ClassVar[type[BaseVariables] | None] = ProcessVariables
    _description: ClassVar[str] = (
        "Starts each flow run as a process of its own, on the machine of the worker. The simplest kind; good to begin with."
    )

    async def setup(self) -> None:
        """Get ready to start processes."""
        self._starter = Starter()
        self._exit_stack.push_async_callback(self._starter.close)
        self._processes: dict[int, tuple[UUID, Child]] = {}
        self._has_looked_back = False
        await super().setup()
        if self._given_prefetch is None:
            self._source.prefetch_seconds = 0  # a process starts faster than that

    async def _warm_up(self) -> None:
        await self._starter.warm_up()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> ProcessWorkerResult:
        """Start the process of a run and wait for its end.

        Args:
            flow_run: the run.
            configuration: its command, environment and directory.
            task_status: told `host:pid` when it has begun.

        Raises:
            StartError: the process could not be started.
        """
        with tempfile.TemporaryDirectory(prefix="prefect-run-", ignore_cleanup_errors=True) as folder:
            job = self._job(flow_run, configuration, str(configuration.working_dir or folder))
            child = await self._starter.start(job)
            identifier = identity.across_machines(child.pid)
            self._processes[child.pid] = (flow_run.id, child)
            if task_status is not None:
                task_status.started(identifier)
            try:
                status = await child.wait()
            finally:
                del self._processes[child.pid]
        result = ProcessWorkerResult(identifier=identifier, status_code=-1 if status is None else status)
        result._settled = child.settled
        return result

    def _has_settled(self, result: ProcessWorkerResult) -> bool:
        return result._settled

    async def _introduce(self, held: Held) -> None:
        _, pid = ending.parse_identifier(held.infrastructure)
        _, child = self._processes.get(pid, (None, None))
        if child is not None and self._source.introduces(held.claim, child):
            self._runs.tending.introduce(held.claim.id, held.infrastructure)
        else:
            await super()._introduce(held)

    def _job(self, flow_run: FlowRun, configuration: ProcessJobConfiguration, folder: str) -> Job:
        env = {name: value for name, value in configuration.env.items() if value is not None}
        if configuration.command and configuration.command != DEFAULT_COMMAND:
            return Job(
                env,
                folder,
                command=command_from_string(configuration.command),
                stream_output=configuration.stream_output,
            )
        return Job(
            env,
            folder,
            call=_CALL,
            args=self._known(flow_run, configuration),
            stream_output=configuration.stream_output,
        )

    @staticmethod
    def _known(flow_run: FlowRun, configuration: ProcessJobConfiguration) -> list[Any]:
        """What the process need not ask the API for."""
        deployment = configuration._related_objects.get("deployment")
        return [str(flow_run.id), ending.as_json(flow_run), ending.as_json(deployment)]

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: ProcessJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """End the process of a run, and those that it has started.

        Args:
            infrastructure_pid: `host:pid`.
            configuration: says of which run; a process that carries out something else is left alone.
            grace_seconds: how long it may take before it is killed.

        Raises:
            InfrastructureNotAvailable: it is a process of another machine.
            InfrastructureNotFound: there is no such process any more.
        """
        host, pid = ending.parse_identifier(infrastructure_pid)
        if host != socket.gethostname():
            raise InfrastructureNotAvailable(
                f"Unable to kill process {pid}: it runs on {host!r}, and this worker on {socket.gethostname()!r}."
            )
        run: FlowRun | None = configuration._related_objects.get("flow-run")
        own, child = self._processes.get(pid, (None, None))
        if child is not None and (run is None or run.id == own):
            await child.end(grace_seconds)
        elif child is None and is_alive(pid) and (run is None or _carries_out(pid, run)):
            await end_group(pid, grace_seconds)
        else:
            raise InfrastructureNotFound(f"Unable to kill process {pid}: it was not found.")

    async def _reconcile(self) -> None:
        await super()._reconcile()
        if not self._has_looked_back:
            await self._look_back()
            self._has_looked_back = True

    async def _look_back(self) -> None:
        """End processes of this machine whose runs were cancelled while no worker was there to end them."""
        moment = now()
        runs = await looping.cancelled_runs(
            self.client, self._work_pool_name, moment - _LOOKS_BACK, moment - _TIME_TO_LEAVE
        )
        left = [run for run in runs if (pid := _pid_here(run)) is not None and is_alive(pid) and _carries_out(pid, run)]
        await asyncio.gather(*(self._end_left(run) for run in left))

    async def _end_left(self, run: FlowRun) -> None:
        self.get_flow_run_logger(run).info("Ending the process %s, which was left of it", run.infrastructure_pid)
        configuration = ProcessJobConfiguration()
        configuration._related_objects["flow-run"] = run
        with contextlib.suppress(InfrastructureNotFound):  # it ends meanwhile
            await self.kill_infrastructure(str(run.infrastructure_pid), configuration)

    async def _after_end(self, held: Any, state: Any) -> None:
        """Call the hooks that the process could not call any more."""
        configuration: ProcessJobConfiguration = held.configuration
        if not state.is_final() or not configuration.is_using_a_runner:
            return
        run = await self.client.read_flow_run(held.claim.id)
        with tempfile.TemporaryDirectory(prefix="prefect-run-", ignore_cleanup_errors=True) as folder:
            env = {name: value for name, value in configuration.env.items() if value is not None}
            job = Job(env, str(configuration.working_dir or folder), call=_HOOKS, args=self._known(run, configuration))
            await (await self._starter.start(job)).wait()

    def _on_signal(self, count: int) -> None:
        super()._on_signal(count)
        if count > 1:
            for _, child in self._processes.values():
                child.signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    async def _submit_adhoc_run(
        self,
        flow: Flow[..., Any],
        parameters: dict[str, Any] | None = None,
        job_variables: dict[str, Any] | None = None,
        task_status: anyio.abc.TaskStatus[FlowRun] | None = None,
        flow_run: FlowRun | None = None,
    ) -> None:
        """Make the run, and carry it out in a process of this machine: nothing needs to be stored."""
        await _adhoc.submit_to_process(self, flow, parameters, job_variables, task_status, flow_run)


def _pid_here(run: FlowRun) -> int | None:
    """The process of a run, if it is one of this machine."""
    try:
        host, pid = ending.parse_identifier(run.infrastructure_pid or "")
    except ValueError:
        return None
    return pid if host == socket.gethostname() else None


def _carries_out(pid: int, run: FlowRun) -> bool:
    state = run.state
    return identity.carries_out(pid, run.id, state.timestamp if state is not None else now())
