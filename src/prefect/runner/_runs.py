"""The runs that a runner carries out: each has a process, is held on to, is ended when it is to be, and told of when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._dispatch import ending, environment, identity, looping
from prefect._dispatch.children import Child
from prefect._dispatch.claims import Claim, ClaimSource
from prefect._dispatch.starting import Job, Starter, StartError
from prefect._dispatch.tending import Tending
from prefect._lazy import lazy_module
from prefect.logging.loggers import flow_run_logger, get_logger

if TYPE_CHECKING:
    from prefect import states
else:
    states = lazy_module("prefect.states")

GRACE_SECONDS = 30.0
"""How long a run that is cancelled may take to end before it is killed."""
SHUTDOWN_GRACE = 10.0
_CALL = "prefect._dispatch.execution:carry_out"
_HOOKS = "prefect._dispatch.execution:tell_hooks"
_BUNDLE = "prefect._dispatch.bundling:carry_out"


class Run:
    """A run that the runner carries out.

    Args:
        claim: the run.
        options: what is different from a run of a deployment: `entrypoint`, `command`, `cwd`, `env`, `stream_output`,
            `bundle`.

    Attributes:
        child: its process, when it has begun.
        returncode: how that ended.
        cancelled: whether it was ended because the run was to be cancelled.
    """

    def __init__(self, claim: Claim, options: dict[str, Any] | None = None) -> None:
        self.claim = claim
        self.options = options or {}
        self.child: Child | None = None
        self.returncode: int | None = None
        self.cancelled = False
        self.asked_to_end = False
        self._ending: asyncio.Task[Any] | None = None

    @property
    def pid(self) -> int | None:
        """Of its process."""
        return self.child.pid if self.child is not None else None

    def end(self, grace_seconds: float) -> None:
        """Ask its process to end, and make it after a while."""
        self.asked_to_end = True
        if self.child is not None and self._ending is None:
            self._ending = asyncio.create_task(self.child.end(grace_seconds))

    def kill(self) -> None:
        """End its process at once."""
        if self.child is not None:
            self.child.signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


class Runs:
    """What a runner carries out.

    Args:
        source: where runs are claimed.
        starter: starts their processes.
        storage_base: the folder that the code of storages is kept in.
        calls_hooks: whether hooks are called of runs whose process could not; asked when one has ended.

    Attributes:
        freed: set when a run has ended.
        tending: holds on to them.
    """

    def __init__(
        self, source: ClaimSource, starter: Starter, storage_base: Path, calls_hooks: Callable[[], bool]
    ) -> None:
        self._source = source
        self._starter = starter
        self._storage_base = storage_base
        self._calls_hooks = calls_hooks
        self._logger = get_logger("runner")
        self._running: dict[UUID, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.tending = Tending(source, self._cancel, self._end_lost)
        self.freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Any:
        return iter(list(self._running.values()))

    def begin(self, claim: Claim) -> None:
        """Carry out a run, and see to it until it has ended."""
        task = asyncio.create_task(self._carry_out(self._take_on(Run(claim))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def carry_out(self, run: Run, task_status: Any = None) -> None:
        """Carry out a run, and wait for its end.

        Args:
            run: the run.
            task_status: told the process id.
        """
        await self._carry_out(self._take_on(run), task_status)

    def _take_on(self, run: Run) -> Run:
        self._running[run.claim.id] = run
        self.tending.hold(run.claim)
        return run

    async def until_one_has_ended(self) -> None:
        """Wait until one of those that were begun has ended, if there is one."""
        if self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def until_quiet(self) -> None:
        """Wait until all of those that were begun have ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- one run -----------------------------------------------------------------------------------------------------

    async def _carry_out(self, run: Run, task_status: Any = None) -> None:
        """Start the process of a run, wait for its end, and see to it that the run ends as well."""
        claim, logger = run.claim, flow_run_logger(run.claim.flow_run)
        try:
            job = await self._job(run)
            try:
                child = run.child = await self._starter.start(job)
            except StartError as problem:
                logger.error("%s", problem)
                await self._source.propose(claim, states.Crashed(message=str(problem)))
                return
            if task_status is not None:
                task_status.started(child.pid)
            logger.debug("Process %d carries out flow run %r", child.pid, claim.flow_run.name)
            if run.asked_to_end:  # while it was being started
                run.end(GRACE_SECONDS)
            if self._source.introduces(claim, child):
                self.tending.introduce(claim.id, identity.across_machines(child.pid))
            else:
                await self._source.introduce(claim, identity.across_machines(child.pid))
            run.returncode = await child.wait()
            self._report(run, logger)
            if not child.settled:
                await self._settle(run, job)
        except Exception:
            logger.error("Flow run %r is out of control of its runner:", claim.flow_run.name, exc_info=True)
        finally:
            if self._running.get(claim.id) is run:  # else it is tried again already
                del self._running[claim.id]
            self.tending.let_go(claim.id, claim)
            self.freed.set()

    def _report(self, run: Run, logger: Any) -> None:
        if run.returncode == 0:
            logger.debug("Process for flow run %r ended", run.claim.flow_run.name)
        else:
            why = "" if run.cancelled else f" {ending.explain_status(run.returncode)}"
            logger.info(
                "Process for flow run %r: %s.%s", run.claim.flow_run.name, ending.describe_status(run.returncode), why
            )

    async def _settle(self, run: Run, job: Job) -> None:
        """Let the API know of an end that the process could not tell, and call the hooks that it could not."""
        if unknown := self.tending.introduction(run.claim.id):
            await looping.persistently(lambda: self._source.introduce(run.claim, unknown), self._logger)
        state = await looping.persistently(
            lambda: ending.settle(self._source, run.claim, run.returncode, cancelled=run.cancelled), self._logger
        )
        if state is not None and state.is_final() and job.call == _CALL and self._calls_hooks():
            known = await self._source.client.read_flow_run(run.claim.id)
            told = Job(job.env, job.cwd, call=_HOOKS, args=[job.args[0], ending.as_json(known), *job.args[2:]])
            await (await self._starter.start(told)).wait()

    async def _job(self, run: Run) -> Job:
        claim, options = run.claim, run.options
        deployment = claim.deployment
        if deployment is None and claim.flow_run.deployment_id is not None and "bundle" not in options:
            deployment = await self._source.client.read_deployment(claim.flow_run.deployment_id)
        env = environment.of_run(claim, deployment, {"PREFECT__STORAGE_BASE_PATH": str(self._storage_base)})
        environment.put(env, options.get("env", {}))
        cwd, stream = options.get("cwd") or os.getcwd(), options.get("stream_output", True)
        if options.get("command"):
            return Job(env, cwd, command=options["command"], stream_output=stream)
        if "bundle" in options:
            return Job(env, cwd, call=_BUNDLE, args=[options["bundle"]], stream_output=stream)
        known = [str(claim.id), ending.as_json(claim.flow_run), ending.as_json(deployment), options.get("entrypoint")]
        return Job(env, cwd, call=_CALL, args=known, stream_output=stream)

    # -- ending runs -------------------------------------------------------------------------------------------------

    async def _cancel(self, id: UUID) -> None:
        run = self._running.get(id)
        if run is not None:
            flow_run_logger(run.claim.flow_run).info("Cancelling flow run %r", run.claim.flow_run.name)
            run.cancelled = True
            run.end(GRACE_SECONDS)

    async def _end_lost(self, id: UUID) -> None:
        run = self._running.get(id)
        if run is not None:
            flow_run_logger(run.claim.flow_run).warning(
                "Flow run %r is not ours any more, or was ended by somebody: its process is stopped.",
                run.claim.flow_run.name,
            )
            run.end(SHUTDOWN_GRACE)

    async def cancel_all(self) -> None:
        """Cancel all of them, and wait for their end."""
        for run in self:
            await self._source.propose(run.claim, states.Cancelling(message="The runner was told to cancel its runs."))
            run.cancelled = True
        await self.end_all(GRACE_SECONDS)

    async def end_all(self, grace_seconds: float) -> None:
        """Ask all processes to end, make them after a while, and wait for their end."""
        for run in self:
            run.end(grace_seconds)
        await self.until_quiet()

    def kill_all(self) -> None:
        """End all processes at once."""
        for run in self:
            run.kill()
