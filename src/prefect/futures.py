"""Futures: handles to runs that have not finished yet.

```python
futures = [fetch.submit(url) for url in urls]
for future in as_completed(futures):
    print(future.result())
```
"""

from __future__ import annotations

import abc
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from prefect._collections import contains_only_plain
from prefect._engine import outcome
from prefect._engine.frames import TaskFrame
from prefect._lazy import lazy_module
from prefect._rules.states import RunState
from prefect.utilities.annotations import quote

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    import concurrent.futures as concurrent_futures
    import uuid
    from uuid import UUID

    from prefect import states
    from prefect._background import waiting
    from prefect._engine import reading
    from prefect._schemas.states import State
    from prefect.client import orchestration
    from prefect.utilities import collections
else:
    asyncio = lazy_module("asyncio")
    concurrent_futures = lazy_module("concurrent.futures")
    uuid = lazy_module("uuid")
    collections = lazy_module("prefect.utilities.collections")
    orchestration = lazy_module("prefect.client.orchestration")
    reading = lazy_module("prefect._engine.reading")
    states = lazy_module("prefect.states")
    waiting = lazy_module("prefect._background.waiting")

R = TypeVar("R")
F = TypeVar("F")

__all__ = [
    "DoneAndNotDoneFutures",
    "PrefectConcurrentFuture",
    "PrefectDistributedFuture",
    "PrefectFlowRunFuture",
    "PrefectFuture",
    "PrefectFutureList",
    "PrefectTaskRunFuture",
    "PrefectWrappedFuture",
    "as_completed",
    "resolve_futures_to_results",
    "resolve_futures_to_states",
    "wait",
]


def _as_uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


class PrefectFuture(abc.ABC, Generic[R]):
    """A handle to a run that may not have finished.

    Args:
        task_run_id: the run's id.
    """

    def __init__(self, task_run_id: UUID | str) -> None:
        self._task_run_id: UUID | str = task_run_id
        self._final_state: State[Any] | None = None

    @property
    def task_run_id(self) -> UUID:
        """The id of the task run."""
        return _as_uuid(self._task_run_id)

    @property
    def state(self) -> State[Any]:
        """The run's state now."""
        return self._final_state or states.Pending()

    @abc.abstractmethod
    def wait(self, timeout: float | None = None) -> None:
        """Wait until the run has finished, at most `timeout` seconds; say nothing if it has not."""

    @abc.abstractmethod
    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The run's result, waiting for it.

        Args:
            timeout: seconds to wait at most; None waits for ever.
            raise_on_failure: raise the exception of a failed run; with False, return it.

        Raises:
            TimeoutError: the run did not finish in time.
        """

    @abc.abstractmethod
    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        """Call `fn(future)` when the run has finished: at once if it has, else in the thread that finishes it."""


class PrefectTaskRunFuture(PrefectFuture[R]):
    """A handle to a task run."""


class PrefectWrappedFuture(PrefectTaskRunFuture[R], Generic[R, F]):
    """A handle to a task run that an executor's own future stands behind; what the executor returns is a state.

    Args:
        task_run_id: the run's id.
        wrapped_future: the executor's future; it results in the run's final state.
    """

    def __init__(self, task_run_id: UUID | str, wrapped_future: F) -> None:
        self._wrapped_future = wrapped_future
        super().__init__(task_run_id)

    @property
    def wrapped_future(self) -> F:
        """The executor's future."""
        return self._wrapped_future

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        if self._final_state is not None:
            fn(self)
            return
        self._wrapped_future.add_done_callback(lambda _: fn(self))  # type: ignore[attr-defined]


class PrefectConcurrentFuture(PrefectWrappedFuture[R, "concurrent.futures.Future[Any]"]):
    """A handle to a task run in a pool of threads or processes of this machine."""

    def wait(self, timeout: float | None = None) -> None:
        try:
            self._settle(timeout)
        except TimeoutError:
            return

    def _settle(self, timeout: float | None) -> None:
        if self._final_state is None:
            result = self._wrapped_future.result(timeout)
            if outcome.is_state(result):
                self._final_state = result
            elif isinstance(result, RunState):
                self._final_state = outcome.models.to_public(result)

    @property
    def state(self) -> State[Any]:
        if self._final_state is None and self._wrapped_future.done() and not self._wrapped_future.cancelled():
            self.wait()
        return super().state

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        try:
            self._settle(timeout)
        except TimeoutError as exc:
            raise TimeoutError(f"Task run {self.task_run_id} did not finish within {timeout} seconds.") from exc
        if self._final_state is None:
            return self._wrapped_future.result()
        return reading.read(self._final_state, raise_on_failure=raise_on_failure)


_log = logging.getLogger("prefect.task_runs")
_done_lock = threading.Lock()


def _after_fork_in_child() -> None:
    """Another thread may have held the lock."""
    global _done_lock
    _done_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ThreadFuture(PrefectConcurrentFuture[R]):
    """A handle to a task run in our own pool of threads: light, because there may be very many.

    It holds the run's frame; the public state and the standard library's future are made when asked for.
    """

    __slots__ = ("_callbacks", "_done", "_event", "_frame", "_pool")

    def __init__(self, frame: TaskFrame, pool: Any) -> None:
        self._frame = frame
        self._pool = pool
        self._done = False
        self._event: threading.Event | None = None
        self._callbacks: list[Callable[[Any], None]] | None = None

    @property
    def task_run_id(self) -> UUID:
        return uuid.UUID(self._frame.id)

    @property
    def frame(self) -> TaskFrame:
        """The engine's view of the run."""
        return self._frame

    @property
    def state(self) -> State[Any]:
        return outcome.public_state(self._frame)

    @property
    def wrapped_future(self) -> concurrent.futures.Future[Any]:
        """A standard future that results in the run's final state."""
        standard: concurrent.futures.Future[Any] = concurrent_futures.Future()
        standard.set_running_or_notify_cancel()
        self.add_done_callback(lambda future: standard.set_result(future.state))
        return standard

    def done(self) -> bool:
        return self._done

    def set_done(self) -> None:
        """Tell all who wait that the run has finished (called once, by the pool)."""
        with _done_lock:
            self._done = True
            event, callbacks = self._event, self._callbacks
            self._event = self._callbacks = None
        if event is not None:
            event.set()
        for callback in callbacks or ():
            try:
                callback(self)
            except Exception:
                _log.exception("A callback of the future of task run %r raised:", self._frame.name)

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        with _done_lock:
            if not self._done:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(fn)
                return
        fn(self)

    def _wait(self, timeout: float | None) -> bool:
        if self._done:
            return True
        with _done_lock:
            if self._done:
                return True
            event = self._event
            if event is None:
                event = self._event = threading.Event()
        with self._pool.giving_way():
            return event.wait(timeout)

    def wait(self, timeout: float | None = None) -> None:
        self._wait(timeout)

    async def wait_async(self, timeout: float | None = None) -> None:
        """`wait` for asynchronous code."""
        if self._done:
            return
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def tell(_: Any) -> None:
            try:
                loop.call_soon_threadsafe(finished.set)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits there any more
                pass

        self.add_done_callback(tell)
        with self._pool.giving_way():
            try:
                await asyncio.wait_for(finished.wait(), timeout)
            except TimeoutError:
                return

    async def result_async(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """`result` for asynchronous code."""
        await self.wait_async(timeout)
        return self.result(timeout=0 if timeout is not None else None, raise_on_failure=raise_on_failure)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        if not self._wait(timeout):
            raise TimeoutError(f"Task run {self._frame.name!r} did not finish within {timeout} seconds.")
        if raise_on_failure:
            return outcome.result_or_raise(self._frame)
        return reading.read(self.state, raise_on_failure=False)


class PrefectDistributedFuture(PrefectTaskRunFuture[R]):
    """A handle to a task run that another process carries out, followed in the database that records it."""

    @property
    def state(self) -> State[Any]:
        if self._final_state is None:
            now = waiting.state_now(str(self._task_run_id))
            if now is None:
                return states.Pending()
            if not now[1]:
                return now[0]
            self._final_state = now[0]
        return self._final_state  # type: ignore[return-value]

    def wait(self, timeout: float | None = None) -> None:
        if self._final_state is None:
            self._final_state = waiting.wait(str(self._task_run_id), timeout)

    async def wait_async(self, timeout: float | None = None) -> None:
        """`wait` for asynchronous code."""
        if self._final_state is None:
            self._final_state = await waiting.wait_async(str(self._task_run_id), timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        self.wait(timeout)
        state = self._ended(timeout)
        return reading.read(state, raise_on_failure=raise_on_failure)

    async def result_async(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """`result` for asynchronous code."""
        await self.wait_async(timeout)
        return await reading.aread(self._ended(timeout), raise_on_failure=raise_on_failure)

    def _ended(self, timeout: float | None) -> State[Any]:
        if self._final_state is None:
            raise TimeoutError(f"Task run {self.task_run_id} did not finish within {timeout} seconds.")
        return self._final_state

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        def told(state: State[Any]) -> None:
            self._final_state = state
            fn(self)

        if self._final_state is not None:
            fn(self)
        else:
            waiting.get_waiter().add(str(self._task_run_id), told)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrefectDistributedFuture) and self.task_run_id == other.task_run_id

    def __hash__(self) -> int:
        return hash(self.task_run_id)


class PrefectFlowRunFuture(PrefectFuture[R]):
    """A handle to a flow run that another process carries out, followed through the API.

    Args:
        flow_run_id: the run's id.
    """

    def __init__(self, flow_run_id: UUID | str) -> None:
        super().__init__(flow_run_id)

    @property
    def flow_run_id(self) -> UUID:
        """The id of the flow run."""
        return _as_uuid(self._task_run_id)

    def wait(self, timeout: float | None = None) -> None:
        asyncio.run(self.wait_async(timeout))

    async def wait_async(self, timeout: float | None = None) -> None:
        """`wait` for asynchronous code."""
        deadline = None if timeout is None else time.monotonic() + timeout
        async with orchestration.get_client() as client:
            while self._final_state is None:
                run = await client.read_flow_run(self.flow_run_id)
                if run.state is not None and run.state.is_final():
                    self._final_state = run.state
                    return
                if deadline is not None and time.monotonic() >= deadline:
                    return
                await asyncio.sleep(0.1)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        return asyncio.run(self.aresult(timeout, raise_on_failure))

    async def aresult(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """`result` for asynchronous code."""
        await self.wait_async(timeout)
        if self._final_state is None:
            raise TimeoutError(f"Flow run {self.flow_run_id} did not finish within {timeout} seconds.")
        return await reading.aread(self._final_state, raise_on_failure=raise_on_failure)

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        def follow() -> None:
            self.wait()
            fn(self)

        if self._final_state is not None:
            fn(self)
        else:
            threading.Thread(target=follow, name="prefect-future", daemon=True).start()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrefectFlowRunFuture) and self.flow_run_id == other.flow_run_id

    def __hash__(self) -> int:
        return hash(self.flow_run_id)


class PrefectFutureList(list[PrefectFuture[R]], Generic[R]):
    """The futures of a `map`: a list that can be waited for and read as one."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all runs have finished, at most `timeout` seconds in all."""
        wait(self, timeout=timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """The results, in the order of the list.

        Args:
            timeout: seconds to wait at most, in all.
            raise_on_failure: raise the exception of the first failed run; with False, return exceptions in their places.

        Raises:
            TimeoutError: not all runs finished in time.
        """
        if timeout is None:
            return [future.result(raise_on_failure=raise_on_failure) for future in self]
        deadline = time.monotonic() + timeout
        results = []
        for future in self:
            rest = deadline - time.monotonic()
            try:
                results.append(future.result(timeout=max(rest, 0), raise_on_failure=raise_on_failure))
            except TimeoutError as exc:
                if _is_done(future):
                    raise  # the run's own TimeoutError
                raise TimeoutError(f"Timed out waiting for all futures to complete within {timeout} seconds.") from exc
        return results


class DoneAndNotDoneFutures(NamedTuple):
    """What `wait` returns: the futures that have finished and those that have not."""

    done: set[Any]
    not_done: set[Any]


def _is_done(future: PrefectFuture[Any]) -> bool:
    if isinstance(future, ThreadFuture):
        return future.done()
    if isinstance(future, PrefectWrappedFuture) and hasattr(future.wrapped_future, "done"):
        return future.wrapped_future.done()
    return future._final_state is not None


def as_completed(futures: Iterable[PrefectFuture[R]], timeout: float | None = None) -> Generator[PrefectFuture[R]]:
    """Give out futures as their runs finish.

    Args:
        futures: the futures; each is given out once.
        timeout: seconds to wait at most, in all.

    Raises:
        TimeoutError: not all finished in time.
    """
    expected = list(dict.fromkeys(futures))
    total = len(expected)
    deadline = None if timeout is None else time.monotonic() + timeout
    finished: deque[PrefectFuture[R]] = deque()
    changed = threading.Event()

    def note(future: PrefectFuture[R]) -> None:
        finished.append(future)
        changed.set()

    for future in expected:
        future.add_done_callback(note)
    given = 0
    while given < total:
        while finished:
            given += 1
            yield finished.popleft()
        if given == total:
            return
        rest = None if deadline is None else deadline - time.monotonic()
        if (rest is not None and rest <= 0) or not _wait_event(changed, rest, expected):
            raise TimeoutError(f"{total - given} (of {total}) futures unfinished")
        changed.clear()


def _wait_event(event: threading.Event, timeout: float | None, futures: list[Any]) -> bool:
    """Wait, giving up the place in the pool while at it."""
    pool = next((future._pool for future in futures if isinstance(future, ThreadFuture)), None)
    if pool is None:
        return event.wait(timeout)
    with pool.giving_way():
        return event.wait(timeout)


def wait(futures: Iterable[PrefectFuture[R]], timeout: float | None = None) -> DoneAndNotDoneFutures:
    """Wait for futures.

    Args:
        futures: the futures.
        timeout: seconds to wait at most, in all; None waits until all have finished.

    Returns:
        The sets of those that have finished and those that have not.
    """
    expected = list(dict.fromkeys(futures))
    deadline = None if timeout is None else time.monotonic() + timeout
    for future in expected:
        if deadline is None:
            future.wait()
        elif not _is_done(future):
            rest = deadline - time.monotonic()
            if rest <= 0:
                break
            future.wait(timeout=rest)
    done = {future for future in expected if _is_done(future)}
    return DoneAndNotDoneFutures(done, set(expected) - done)


def resolve_futures_to_states(expr: Any) -> Any:
    """Replace the futures in a collection by their final states, waiting for them."""
    return _resolve(expr, lambda future: future.state)


def resolve_futures_to_results(expr: Any) -> Any:
    """Replace the futures in a collection by their results, waiting for them; a failed run's exception is raised."""

    def result(future: PrefectFuture[Any]) -> Any:
        if future.state.is_completed():
            return future.result()
        raise Exception("At least one result did not complete successfully") from reading.exception(future.state)

    return _resolve(expr, result)


def _resolve(expr: Any, replace: Callable[[PrefectFuture[Any]], Any]) -> Any:
    if contains_only_plain(expr):
        return expr
    if isinstance(expr, PrefectFuture):
        expr.wait()
        return replace(expr)
    found: list[PrefectFuture[Any]] = []

    def collect(value: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), quote):
            raise collections.StopVisiting()
        if isinstance(value, PrefectFuture):
            found.append(value)
        return value

    collections.visit_collection(expr, collect, return_data=False, context={})
    if not found:
        return expr
    for future in found:
        future.wait()

    def see(value: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), quote):
            raise collections.StopVisiting()
        return replace(value) if isinstance(value, PrefectFuture) else value

    return collections.visit_collection(expr, see, return_data=True, context={})
