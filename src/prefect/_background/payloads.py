"""The parameters of deferred runs: pickled, kept until the run has ended.

They lie in the storage for task scheduling: the block of `tasks.scheduling.default_storage_block`, or the folder of
local results. Only task workers read them; nothing else ever unpickles what it did not write.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._bridge import run_coro_as_sync
from prefect._collections import StopVisiting
from prefect._engine import inputs, transfer
from prefect._engine.frames import current_flow, current_tags, current_task
from prefect._lazy import lazy_module
from prefect._results.storage import LocalStorage
from prefect.exceptions import SerializationError
from prefect.logging.loggers import get_logger
from prefect.results import ResultStore, get_or_create_default_task_scheduling_storage
from prefect.settings import get_current_settings
from prefect.utilities.annotations import opaque, quote

if TYPE_CHECKING:
    import cloudpickle

    from prefect import futures
else:
    cloudpickle = lazy_module("cloudpickle")
    futures = lazy_module("prefect.futures")

FOLDER = "parameters"

_log = get_logger("task_worker")


def storage() -> ResultStore:
    """Where the current settings say that parameters are kept."""
    settings = get_current_settings()
    if settings.tasks.scheduling.default_storage_block or settings.results.default_storage_block:
        kept: Any = run_coro_as_sync(get_or_create_default_task_scheduling_storage())
    else:
        kept = LocalStorage(settings.results.local_storage_path)  # the same, without the block that stands for it
    return ResultStore(result_storage=kept, serializer="pickle", cache_result_in_memory=False)


def key_of(identifier: Any) -> str:
    """The key of the parameters with that identifier."""
    return f"{FOLDER}/{identifier}"


def keep(task: Any, identifier: str, parameters: dict[str, Any], wait_for: Any) -> None:
    """Keep a call until its run has ended: its parameters, what it waits for, and what is current here.

    Raises:
        TypeError: a parameter cannot be pickled; the message names it.
    """
    call = {"parameters": parameters, "wait_for": wait_for, "context": _context(task)}
    try:
        storage().write(call, key=key_of(identifier))
    except OSError:
        raise
    except Exception as exc:
        raise _unpicklable(task, parameters, exc) from exc


def _unpicklable(task: Any, parameters: dict[str, Any], exc: Exception) -> TypeError:
    for name, value in parameters.items():
        try:
            cloudpickle.dumps(value)
        except Exception as cause:
            return TypeError(
                f"Parameter {name!r} of task {task.name!r} (a {type(value).__name__}) cannot be kept for a task worker: "
                f"{cause}. Pass something that pickles, such as a path or an id."
            )
    return TypeError(f"The call of task {task.name!r} cannot be kept for a task worker: {exc}.")


def _context(task: Any) -> dict[str, Any]:
    """What is current here and should be in the worker: the runs it is called in and the tags.

    Settings stay: they tell about a process, and the worker has its own. The runs are pickled on their own, as a flow
    may not pickle, or not unpickle where nobody can import it, and the call does not depend on that.
    """
    context: dict[str, Any] = {"tags": sorted(current_tags.get())}
    if current_flow.get() is not None or current_task.get() is not None:
        runs = transfer.pack()
        del runs["settings_context"]
        try:
            context["runs"] = cloudpickle.dumps(runs)
        except Exception as exc:  # anything can be a parameter of a flow
            _log.warning(
                "The flow run that defers task %r cannot be shown to the task worker, where `prefect.runtime` and the "
                "context will not tell of it: %s",
                task.name, exc,
            )  # fmt: skip
    return context


def read(key: str) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """The call kept under a key: its parameters, what it waits for, and what was current, for `transfer.unpacked`.

    Raises:
        Exception: it cannot be read or unpickled, in whatever way its parameters say so.
    """
    try:
        call = storage().read(key_of(key)).result
    except SerializationError as exc:
        raise (exc.__cause__ if isinstance(exc.__cause__, Exception) else exc) from None
    context = call.get("context") or {}
    runs: dict[str, Any] = {"tags_context": {"current_tags": context.get("tags") or ()}}
    if "runs" in context:
        try:
            runs = pickle.loads(context["runs"])
        except Exception as exc:  # unpickling runs whatever the flow says
            _log.warning("The flow run that deferred a task run cannot be shown here: %s: %s", type(exc).__name__, exc)
    return call["parameters"], call["wait_for"], runs


def forget(identifier: str) -> None:
    """Remove parameters that nobody needs any more. A block cannot remove anything: there they stay."""
    settings = get_current_settings()
    if not (settings.tasks.scheduling.default_storage_block or settings.results.default_storage_block):
        try:
            os.unlink(Path(settings.results.local_storage_path, FOLDER, identifier))
        except OSError:
            pass  # removed before


def portable(expr: Any) -> tuple[Any, list[str]]:
    """An argument as it can be kept, and the ids of the deferred runs it waits for.

    Futures of deferred runs stay futures: the worker looks up what became of them. Those of runs in this process are
    waited for and replaced by the states of their runs, as nobody else can ask for them.
    """
    upstream: list[str] = []
    local = False
    for future in inputs.find_futures([expr]):
        if isinstance(future, futures.PrefectDistributedFuture):
            upstream.append(str(future.task_run_id))
        else:
            local = True
            future.wait()
    if not upstream and not local:
        return expr, upstream

    def see(value: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), (quote, opaque)):
            raise StopVisiting()
        if isinstance(value, futures.PrefectDistributedFuture):
            return type(value)(value.task_run_id)  # without what it has learnt here
        return value.state if isinstance(value, futures.PrefectFuture) else value

    return inputs.visit(expr, see, return_data=True, context={}), upstream
