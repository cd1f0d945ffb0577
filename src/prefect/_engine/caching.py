"""Keys, results and transactions of task runs that keep their results. Loaded by the first one that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._clock import now, to_us
from prefect._engine.frames import FlowFrame, TaskFrame
from prefect._engine.wording import describe, made_by_engine, without_engine
from prefect._lazy import lazy_module
from prefect.results import ResultStore, get_default_result_store
from prefect.settings import get_current_settings
from prefect.transactions import AsyncTransaction, IsolationLevel, Transaction

if TYPE_CHECKING:
    from prefect import context
    from prefect._engine import task_run
else:
    context = lazy_module("prefect.context")
    task_run = lazy_module("prefect._engine.task_run")


def store_of_flow(frame: FlowFrame) -> ResultStore:
    """Where a flow run keeps results, made once."""
    if frame.result_store is None:
        base = store_of_flow(frame.parent) if frame.parent is not None else get_default_result_store()
        frame.result_store = base.update_for_flow(frame.flow)
    return frame.result_store


def store_of_task(frame: TaskFrame) -> ResultStore:
    """Where a task run keeps its result, made once."""
    if frame.result_store is None:
        if frame.parent is not None:
            base = store_of_task(frame.parent)
        elif frame.flow_frame is not None:
            base = store_of_flow(frame.flow_frame)
        else:
            base = get_default_result_store()
        frame.result_store = base.update_for_task(frame.task)
    return frame.result_store


def transaction_for(
    frame: TaskFrame, kind: type[Transaction] | type[AsyncTransaction]
) -> Transaction | AsyncTransaction:
    """The transaction of a task run that keeps its result, under the key of its cache policy."""
    task = frame.task
    store = store_of_task(frame)
    key = compute_key(frame)
    frame.cache_key = key
    policy = task.cache_policy
    isolation = getattr(policy, "isolation_level", None)
    overwrite = task.refresh_cache
    if overwrite is None:
        overwrite = get_current_settings().tasks.refresh_cache
    return kind(
        key=key,
        store=store,
        overwrite=bool(overwrite),
        write_on_commit=bool(frame.persist),
        isolation_level=IsolationLevel(isolation) if isolation else None,
        logger=task_run.run_logger(frame),
    )


def compute_key(frame: TaskFrame) -> str | None:
    """The key under which the run's result is found again; None when it is not to be.

    A key that cannot be made costs the cache and not the run: the reason is logged as an error.
    """
    task = frame.task
    if task.result_storage_key is not None:
        return store_of_task(frame).storage_key_fn()
    policy = task.cache_policy
    if policy is None or not hasattr(policy, "compute_key"):
        return None
    task_context = context.task_run_context(frame)
    flow_parameters = frame.flow_frame.parameters if frame.flow_frame is not None else {}
    try:
        key = policy.compute_key(
            task_ctx=task_context, inputs=frame.call_parameters, flow_parameters=flow_parameters or {}
        )
        if key is not None and not isinstance(key, str):
            raise TypeError(
                f"The key that was made is {key!r}, of type {type(key).__name__}. "
                "A cache key is text, or None where nothing is to be cached."
            )
    except Exception as exc:
        exc = without_engine(exc)
        task_run.run_logger(frame).error(
            "Error encountered when computing cache key - result will not be persisted. %s",
            describe(exc), exc_info=None if made_by_engine(exc) else exc,
        )  # fmt: skip
        return None
    return key


def record_for(frame: TaskFrame, value: Any) -> Any:
    """The result record of a task run's value, under its key."""
    task = frame.task
    expiration = now() + task.cache_expiration if task.cache_expiration is not None else None
    if expiration is not None:
        frame.cache_expiration_us = to_us(expiration)
    return store_of_task(frame).create_result_record(value, key=frame.cache_key, expiration=expiration)
