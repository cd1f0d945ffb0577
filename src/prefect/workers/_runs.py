"""The runs that a worker has claimed: started, held on to, ended when they are to be cancelled, told of when they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._dispatch import ending, looping
from prefect._dispatch.claims import Claim, ClaimSource, is_passing
from prefect._dispatch.tending import Tending
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.workers._configuration import BaseWorkerResult
    from prefect.workers.base import BaseWorker

GRACE_SECONDS = 30
_LOOK_SECONDS = 5.0
"""How often one looks whether infrastructure that goes on by itself has taken its run over."""


class Held:
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


class Runs:
    """The runs of a worker.

    Args:
        worker: starts and ends their infrastructure.
        source: where they were claimed.

    Attributes:
        freed: set when a run has ended.
    """

    def __init__(self, worker: BaseWorker[Any, Any, Any], source: ClaimSource) -> None:
        self._worker = worker
        self._source = source
        self._held: dict[UUID, Held] = {}
        self.tending = Tending(source, self._cancel, self._lost)
        self.freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def claim_of(self, id: UUID) -> Claim | None:
        """The claim of a run; None when the worker does not hold it."""
        held = self._held.get(id)
        return None if held is None else held.claim

    def begin(self, claims: Iterable[Claim]) -> None:
        """Start the infrastructure of runs, and see to them until they have ended."""
        for claim in claims:
            self._held[claim.id] = held = Held(claim)
            self.tending.hold(claim)
            self._worker._in_background(self._carry_out(held))

    async def _carry_out(self, held: Held) -> None:
        """Start the infrastructure of a run, wait for it, and see to it that the run ends as well."""
        claim, logger = held.claim, self._worker.get_flow_run_logger(held.claim.flow_run)
        try:
            held.configuration = await self._worker._configure(claim)
            logger.info("Worker %r submitting flow run %r", self._worker.name, str(claim.id))
            telling = asyncio.create_task(self._tell_identifier(held))
            try:
                result = await self._worker.run(claim.flow_run, held.configuration, task_status=held)  # type: ignore[arg-type]
            finally:
                held.started()
                await telling
            await self._see_to_end(held, result)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            logger.error("Flow run %r could not be started: %s", claim.flow_run.name, exc, exc_info=True)
            await self._worker._propose_crashed_state(
                claim.flow_run, f"Flow run could not be submitted to infrastructure: {type(exc).__name__}: {exc}"
            )
        finally:
            if self._held.get(claim.id) is held:  # else it is tried again already
                del self._held[claim.id]
            self.tending.let_go(claim.id, claim)
            self.freed.set()

    async def _tell_identifier(self, held: Held) -> None:
        """Let the API know how the infrastructure of a run is called, as soon as it is."""
        await held.begun.wait()
        if held.infrastructure is None:
            return
        try:
            await self._worker._introduce(held)
        except Exception as exc:
            self._worker.get_flow_run_logger(held.claim.flow_run).warning(
                "The infrastructure of the flow run is %r, which could not be recorded: %s", held.infrastructure, exc
            )
        self._worker._emit("prefect.worker.submitted-flow-run", held.configuration)

    async def _see_to_end(self, held: Held, result: BaseWorkerResult) -> None:
        claim, logger = held.claim, self._worker.get_flow_run_logger(held.claim.flow_run)
        settled = self._worker._has_settled(result)
        if result.status_code == 0 and not held.cancelled and not settled:
            logger.debug("Infrastructure of flow run %r ended, or was handed over", claim.flow_run.name)
            await self._until_taken_over(claim)
        elif result.status_code != 0 and not held.cancelled:
            logger.info(
                "Infrastructure of flow run %r: %s. %s", claim.flow_run.name, ending.describe_status(result.status_code),
                ending.explain_status(result.status_code),
            )  # fmt: skip
        self._worker._emit("prefect.worker.executed-flow-run", held.configuration)
        if settled:
            return
        if unknown := self.tending.introduction(claim.id):
            await looping.persistently(lambda: self._source.introduce(claim, unknown), self._worker._logger)
        state = await looping.persistently(
            lambda: ending.settle(self._source, claim, result.status_code, cancelled=held.cancelled),
            self._worker._logger,
        )
        if state is not None:
            await self._worker._after_end(held, state)

    async def _until_taken_over(self, claim: Claim) -> None:
        """Infrastructure that goes on without us: hold the run until it has begun."""
        if claim.token is None:
            return
        while claim.id in self.tending and not self._worker._stop.is_set():
            try:
                run = await self._worker.client.read_flow_run(claim.id)
            except ObjectNotFound:
                return
            except Exception as exc:
                if not is_passing(exc):
                    raise
            else:
                if run.state is None or run.state.type.value != "PENDING":
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._worker._stop.wait(), _LOOK_SECONDS)

    async def _cancel(self, id: UUID) -> None:
        """End a run that is to be cancelled."""
        held = self._held.get(id)
        if held is None:
            return
        logger = self._worker.get_flow_run_logger(held.claim.flow_run)
        logger.info("Cancelling flow run %r", held.claim.flow_run.name)
        await held.begun.wait()
        held.cancelled = True
        try:
            if held.infrastructure is not None:
                await self._worker.kill_infrastructure(str(held.infrastructure), held.configuration, GRACE_SECONDS)
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
        self._worker.get_flow_run_logger(held.claim.flow_run).warning(
            "Flow run %r is not ours any more, or was ended by somebody: its infrastructure is stopped.",
            held.claim.flow_run.name,
        )
        with contextlib.suppress(NotImplementedError, InfrastructureNotAvailable, InfrastructureNotFound):
            await self._worker.kill_infrastructure(str(held.infrastructure), held.configuration, GRACE_SECONDS)

    async def reconcile(self) -> None:
        """End what is left of runs of the pool that are to be cancelled and that the worker does not hold.

        Such as after its restart. What cannot be ended from here is left to others.
        """
        runs = await looping.cancelling_runs(self._worker.client, self._worker._work_pool_name)
        left = [run for run in runs if run.id not in self._held and run.infrastructure_pid is not None]
        await asyncio.gather(*(self._end(run) for run in left))

    async def _end(self, run: FlowRun) -> None:
        try:
            configuration = await self._worker._configure(Claim(run))
            await self._worker.kill_infrastructure(str(run.infrastructure_pid), configuration, GRACE_SECONDS)
        except (NotImplementedError, InfrastructureNotAvailable):
            return
        except InfrastructureNotFound:
            pass
        except Exception:  # the others are ended nevertheless
            self._worker.get_flow_run_logger(run).exception("What is left of flow run %r cannot be ended:", run.name)
            return
        await ending.settle(self._source, Claim(run), None, cancelled=True)
