"""Flows that are carried out on the infrastructure of a work pool when they are called."""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect._bridge import run as run_now
from prefect._bridge import run_coro_as_sync
from prefect._engine.port import SYNC
from prefect._lazy import lazy_module
from prefect.bundles.launchers import BundleLauncher, normalize_launcher
from prefect.flows import Flow
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    import asyncio

    from prefect import futures
    from prefect._deploying import running
    from prefect._dispatch import adhoc
    from prefect._schemas.flow_runs import FlowRun
    from prefect.client import orchestration
    from prefect.futures import PrefectFlowRunFuture
    from prefect.workers.base import BaseWorker
else:
    adhoc = lazy_module("prefect._dispatch.adhoc")
    asyncio = lazy_module("asyncio")
    futures = lazy_module("prefect.futures")
    running = lazy_module("prefect._deploying.running")
    orchestration = lazy_module("prefect.client.orchestration")

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

_OWN_OPTIONS = ("job_variables", "launcher", "include_files", "include_files_base_dir")


class InfrastructureBoundFlow(Flow[P, R]):
    """A flow that is sent to the infrastructure of a work pool when it is called.

    Made by decorators of worker packages, or by `bind_flow_to_infrastructure`.

    Args:
        args, kwargs: as of `Flow`.
        work_pool: name of the pool.
        job_variables: over those of the pool.
        worker_cls: starts the infrastructure, from this process.
        launcher: program that uploads and carries out bundles, or one for each.
        include_files: files to send along: paths or glob patterns.
        include_files_base_dir: what these are relative to; the folder of the flow's file unless given.
    """

    def __init__(
        self,
        *args: Any,
        work_pool: str,
        job_variables: dict[str, Any],
        worker_cls: type[BaseWorker[Any, Any, Any]],
        launcher: BundleLauncher | None = None,
        include_files: Sequence[str] | None = None,
        include_files_base_dir: Path | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.work_pool = work_pool
        self.job_variables = job_variables
        self.worker_cls = worker_cls
        normalize_launcher(launcher)
        self.launcher = launcher
        self.include_files = list(include_files) if include_files is not None else None
        self.include_files_base_dir = include_files_base_dir

    def __call__(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Carry the flow out on its infrastructure, and wait for its end.

        Args:
            return_state: return the final state instead of the result.
            wait_for: futures or states to wait for first.
        """
        parameters = self._resolved(self.spec.bind(args, kwargs), wait_for)
        ended = self._call(parameters, return_state)
        return ended if self.isasync else run_coro_as_sync(ended)

    async def _call(self, parameters: dict[str, Any], return_state: bool) -> Any:
        async with self.worker_cls(work_pool_name=self.work_pool) as worker:
            future = await worker.submit(self._keeping(), parameters, self.job_variables)
            await future.wait_async()
        if return_state:
            return future.state
        return await asyncio.to_thread(future.result)

    def submit(self, *args: Any, **kwargs: Any) -> PrefectFlowRunFuture[R]:
        """Start the infrastructure of a run from this process; does not wait for its end.

        Args:
            args, kwargs: the flow's arguments; `wait_for` may be among them.

        Returns:
            a future of the run.
        """
        wait_for = kwargs.pop("wait_for", None)
        parameters = self._resolved(self.spec.bind(args, kwargs), wait_for)
        return self._in_background(parameters, None)

    def retry(self, flow_run: FlowRun) -> Any:
        """Carry out a run again that has ended, on the flow's infrastructure, and wait for its end.

        Args:
            flow_run: the run.

        Returns:
            its result; for an asynchronous flow a coroutine.
        """

        async def wait() -> Any:
            future = await asyncio.to_thread(self._in_background, dict(flow_run.parameters), flow_run)
            return await asyncio.to_thread(future.result)

        return wait() if self.isasync else run_coro_as_sync(wait())

    def submit_to_work_pool(self, *args: Any, **kwargs: Any) -> PrefectFlowRunFuture[R]:
        """Let a worker of the work pool carry the flow out: the flow goes to the pool's storage, the run to its queue.

        Called in a flow, it makes a sub-flow run.

        Args:
            args, kwargs: the flow's arguments; `wait_for` may be among them.

        Returns:
            a future of the run.

        Raises:
            RuntimeError: the pool has no storage, or the flow could not be put there.
        """
        wait_for = kwargs.pop("wait_for", None)
        arguments = self.spec.bind(args, kwargs)
        parameters = self._resolved(arguments, wait_for)
        _, links = run_now(running.resolved(SYNC, arguments))  # all that they come from has ended

        async def send() -> PrefectFlowRunFuture[Any]:
            async with orchestration.get_client() as client:
                return await adhoc.submit_to_pool(client, self._keeping(), parameters, links)

        return run_coro_as_sync(send())

    def _in_background(self, parameters: dict[str, Any], flow_run: FlowRun | None) -> PrefectFlowRunFuture[Any]:
        """Start a run by a worker on a thread of its own, which lives until the run has ended."""
        begun: concurrent.futures.Future[Any] = concurrent.futures.Future()

        async def work() -> None:
            async with self.worker_cls(work_pool_name=self.work_pool) as worker:
                begun.set_result(await worker.submit(self._keeping(), parameters, self.job_variables, flow_run))

        def run() -> None:
            try:
                asyncio.run(work())
            except BaseException as exc:
                if not begun.done():
                    begun.set_exception(exc)
                else:
                    raise

        here = contextvars.copy_context()  # settings and tags that are in force
        threading.Thread(target=here.run, args=(run,), name=f"submit-{self.name}").start()
        return begun.result()

    @staticmethod
    def _resolved(parameters: dict[str, Any], wait_for: Any) -> dict[str, Any]:
        for future in wait_for or ():
            if hasattr(future, "wait"):
                future.wait()
        return {name: futures.resolve_futures_to_results(value) for name, value in parameters.items()}

    def _keeping(self) -> InfrastructureBoundFlow[P, R]:
        """This flow, with results that are kept: else nobody but its own process would have them."""
        return self if self.persist_result is not None else self.with_options(persist_result=True)

    def with_options(  # type: ignore[override]
        self,
        *,
        job_variables: dict[str, Any] | None = None,
        launcher: BundleLauncher | type[NotSet] | None = NotSet,
        include_files: Sequence[str] | type[NotSet] | None = NotSet,
        include_files_base_dir: Path | str | type[NotSet] | None = NotSet,
        **options: Any,
    ) -> InfrastructureBoundFlow[P, R]:
        """A flow like this one with some options changed.

        Args:
            job_variables: over those it has.
            launcher, include_files, include_files_base_dir: as of this class.
            options: as of `Flow.with_options`.
        """
        plain = Flow(fn=self.fn)
        plain.__dict__.update({name: value for name, value in vars(self).items() if name in vars(plain)})
        given = {"launcher": launcher, "include_files": include_files, "include_files_base_dir": include_files_base_dir}
        own = {name: getattr(self, name) if value is NotSet else value for name, value in given.items()}
        return bind_flow_to_infrastructure(
            plain.with_options(**options), self.work_pool, self.worker_cls,
            {**self.job_variables, **(job_variables or {})}, **own,  # type: ignore[arg-type]
        )  # fmt: skip


def bind_flow_to_infrastructure(
    flow: Flow[P, R],
    work_pool: str,
    worker_cls: type[BaseWorker[Any, Any, Any]],
    job_variables: dict[str, Any] | None = None,
    launcher: BundleLauncher | None = None,
    include_files: Sequence[str] | None = None,
    *,
    include_files_base_dir: Path | str | None = None,
) -> InfrastructureBoundFlow[P, R]:
    """Let a flow be carried out on the infrastructure of a work pool when it is called.

    Args:
        flow: the flow.
        work_pool: name of the pool.
        worker_cls: starts the infrastructure.
        job_variables: over those of the pool.
        launcher: program that uploads and carries out bundles, or one for each.
        include_files: files to send along: paths or glob patterns.
        include_files_base_dir: what these are relative to; the folder of the flow's file unless given.
    """
    bound: InfrastructureBoundFlow[P, R] = InfrastructureBoundFlow(
        flow.fn, work_pool=work_pool, job_variables=job_variables or {}, worker_cls=worker_cls, launcher=launcher,
        include_files=include_files, include_files_base_dir=include_files_base_dir,
    )  # fmt: skip
    bound.__dict__.update(vars(flow))
    return bound
