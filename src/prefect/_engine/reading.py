"""Reading what a state carries: the result of a run, or the exception that it ended with.

The data of a state is the value itself, a value with the record under which it is stored, such a record, or only its
metadata, by which it is fetched from where it is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._bridge import in_async_context, run
from prefect._engine.outcome import is_state_collection, unfinished
from prefect._engine.port import ASYNC, SYNC, Port
from prefect._lazy import lazy_module
from prefect._rules.states import GONE, Value
from prefect._schemas.states import State
from prefect.exceptions import CancelledRun, CrashedRun, FailedRun, MissingResult, PausedRun, UnfinishedRun

if TYPE_CHECKING:
    from prefect._results import records, store
else:
    records = lazy_module("prefect._results.records")
    store = lazy_module("prefect._results.store")


def read(state: State[Any], *, raise_on_failure: bool = True, retry: bool = True) -> Any:
    """The result of the run in a state, here and now.

    Args:
        state: the state.
        raise_on_failure: raise the exception of a run that did not end well; with False, return it.
        retry: try again for some seconds when a stored result cannot be read at once.

    Raises:
        MissingResult: the run has no result that could be read.
        UnfinishedRun: the run has not finished.
    """
    return run(_read(SYNC, state, raise_on_failure, retry))


async def aread(state: State[Any], *, raise_on_failure: bool = True, retry: bool = True) -> Any:
    """`read` for asynchronous code."""
    return await _read(ASYNC, state, raise_on_failure, retry)


def read_here(state: State[Any], *, raise_on_failure: bool, retry: bool, sync: bool | None) -> Any:
    """`read`; in asynchronous code, unless `sync` is said, a coroutine that does it."""
    if sync or (sync is None and not in_async_context()):
        return read(state, raise_on_failure=raise_on_failure, retry=retry)
    return aread(state, raise_on_failure=raise_on_failure, retry=retry)


def exception(state: State[Any]) -> BaseException:
    """The exception of a run that failed, crashed or was cancelled.

    Raises:
        ValueError: the run ended otherwise.
    """
    _kind(state)
    return _exception_in(state, _quiet_value(state))


async def aexception(state: State[Any]) -> BaseException:
    """`exception` for asynchronous code."""
    _kind(state)
    return _exception_in(state, await aread(state, raise_on_failure=False))


async def _read(io: Port, state: State[Any], raise_on_failure: bool, retry: bool) -> Any:
    data = state.data
    if isinstance(data, dict) and "storage_key" in data:
        data = records.ResultRecordMetadata.model_validate(data)
    location = _location(data)
    value = await _load(io, location, retry) if location is not None else _in_memory(state, data)
    return _checked(state, value, raise_on_failure)


def _location(data: Any) -> Any:
    """The metadata of a stored result that is not in memory, or None."""
    if isinstance(data, Value):
        return data.record.metadata if data.value is GONE else None
    if data is not None and type(data).__name__ == "ResultRecordMetadata":
        return data
    return None


def _in_memory(state: State[Any], data: Any) -> Any:
    if isinstance(data, Value):
        return data.value
    if type(data).__name__ == "ResultRecord" and hasattr(data, "metadata"):
        return data.result
    if data is None:
        if state.is_failed() or state.is_crashed() or state.is_cancelled() or state.is_paused():
            return None
        if not state.is_final():
            raise UnfinishedRun(unfinished(state.type.value, state.message))
        raise MissingResult(
            "The result of this run is not available: it was not stored, and it is not in this process's memory. "
            "Set persist_result=True on the flow or task (or PREFECT_RESULTS_PERSIST_BY_DEFAULT=true) to keep results."
        )
    return data


async def _load(io: Port, metadata: Any, retry: bool) -> Any:
    """Read a stored result; a storage that shows writes late gets a few seconds."""
    read = store.ResultStore.from_metadata if io is SYNC else store.ResultStore.afrom_metadata
    delay = 0.05
    while True:
        try:
            record = await io.call(read, (metadata,), {})
            return record.result
        except (FileNotFoundError, ValueError) as exc:
            if not retry or delay > 2:
                raise MissingResult(
                    f"The result stored under {metadata.storage_key!r} could not be read: {exc}. It may have been "
                    "deleted, or its storage may not be reachable from here."
                ) from exc
            await io.sleep(delay)
            delay *= 2


def _checked(state: State[Any], value: Any, raise_on_failure: bool) -> Any:
    """Raise for a run that did not end well, where the caller wants that."""
    if state.is_paused():
        raise PausedRun("Run is paused, its result is not available.", state=state)
    if not state.is_final():
        raise UnfinishedRun(unfinished(state.type.value, state.message))
    if state.is_completed():
        return value
    if raise_on_failure:
        raise _exception_in(state, value)
    return value


def _kind(state: State[Any]) -> tuple[type[Exception], str]:
    """The exception for runs that ended like this one, and what it says of one that left no message."""
    if state.is_failed():
        return FailedRun, "Run failed."
    if state.is_crashed():
        return CrashedRun, "Run crashed."
    if state.is_cancelled():
        return CancelledRun, "Run cancelled."
    raise ValueError(f"Expected a failed, crashed or cancelled state, got {state!r}.")


def _exception_in(state: State[Any], value: Any) -> BaseException:
    """The exception that a run ended with, made up from its message where none was kept."""
    if isinstance(value, BaseException):
        return value
    wrapper, default = _kind(state)
    if isinstance(value, str):
        return wrapper(value)
    if isinstance(value, State):
        return _exception_in(value, _quiet_value(value))
    if is_state_collection(value):
        bad = next((member for member in value if not member.is_completed()), None)
        if bad is not None and bad.is_final():
            return _exception_in(bad, _quiet_value(bad))
    return wrapper(state.message or default)


def _quiet_value(state: State[Any]) -> Any:
    try:
        return read(state, raise_on_failure=False)
    except MissingResult:
        return None
