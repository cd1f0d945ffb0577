"""Values a run receives that other runs have yet to make.

Arguments may be, or contain, futures and states of other runs. They are found, waited for and replaced by their
results before the function is called, and the runs they came from become the run's recorded inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from prefect._collections import contains_only_plain
from prefect._engine.frames import FlowFrame
from prefect._engine.port import Port
from prefect._lazy import imported, lazy_module
from prefect._rules.states import COMPLETED, TERMINAL
from prefect.utilities.annotations import BaseAnnotation, allow_failure, opaque, quote

if TYPE_CHECKING:
    from prefect import futures
    from prefect._engine import reading
    from prefect.utilities import collections
else:
    futures = lazy_module("prefect.futures")
    reading = lazy_module("prefect._engine.reading")
    collections = lazy_module("prefect.utilities.collections")


class UpstreamNotReady(Exception):
    """A run that this one depends on did not complete."""


def is_state(value: Any) -> bool:
    """Whether a value is a public `State`, without importing the class for a program that never made one."""
    module = imported("prefect._schemas.states")
    return module is not None and isinstance(value, module.State)


def visit(expr: Any, see: Callable[..., Any], **options: Any) -> Any:
    return collections.visit_collection(expr, see, **options)


def find_futures(expressions: Iterable[Any]) -> list[Any]:
    """All futures in the expressions, also inside collections and annotations; quoted values are left alone."""
    found: list[Any] = []
    for expr in expressions:
        if contains_only_plain(expr):
            continue
        if isinstance(expr, futures.PrefectFuture):
            found.append(expr)
            continue

        def see(value: Any, context: dict[str, Any]) -> Any:
            if isinstance(context.get("annotation"), (quote, opaque)):
                raise collections.StopVisiting()
            if isinstance(value, futures.PrefectFuture):
                found.append(value)
            return value

        visit(expr, see, return_data=False, context={})
    return found


Made = list[tuple[Any, str, str]]
"""Objects that runs have made, each with the kind and the id of its run."""


def sources(expressions: Iterable[Any], flow_frame: FlowFrame | None) -> tuple[Made, set[str]]:
    """Where arguments come from: the objects in them that runs of the flow run have made, and the ids of all runs.

    Args:
        expressions: the arguments; in place of futures, the states of their runs.
        flow_frame: the flow run in which the call happens.
    """
    made: Made = []
    ids: set[str] = set()

    def see(value: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), (quote, opaque)):
            raise collections.StopVisiting()
        if flow_frame is not None and (origin := flow_frame.origin(value)):
            made.append((value, *origin))
            ids.add(origin[1])
        if is_state(value):
            ids.update(str(id) for id in (value.state_details.task_run_id, value.state_details.flow_run_id) if id)
        return value

    for expr in expressions:
        if contains_only_plain(expr):
            see(expr, {})
        else:
            visit(expr, see, return_data=False, context={})
    return made, ids


class Inputs:
    """The arguments of one run, on their way to being values."""

    __slots__ = ("links", "parameters")

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.links: dict[str, list[dict[str, str]]] | None = None

    def _link(self, name: str, kind: str, run_id: str) -> None:
        if self.links is None:
            self.links = {}
        entry = {"input_type": kind, "id": run_id}
        known = self.links.setdefault(name, [])
        if entry not in known:
            known.append(entry)


async def resolve(io: Port, parameters: dict[str, Any], wait_for: Any, flow_frame: FlowFrame | None) -> Inputs:
    """Replace futures and states in a run's parameters by results.

    Args:
        parameters: the arguments by name; not changed.
        wait_for: futures, states or values the run waits for without using them.
        flow_frame: the flow run in which the call happens; knows which values came from which runs.

    Raises:
        UpstreamNotReady: an upstream run did not complete and its use is not wrapped in `allow_failure`.
    """
    inputs = Inputs(parameters)
    for name, value in parameters.items():
        if contains_only_plain(value):
            if flow_frame is not None and (origin := flow_frame.origin(value)):
                inputs._link(name, *origin)
            continue
        resolved = await _resolve_one(io, inputs, name, value, flow_frame)
        if resolved is not value:
            if inputs.parameters is parameters:
                inputs.parameters = dict(parameters)
            inputs.parameters[name] = resolved
    if wait_for is not None:
        await _resolve_one(io, inputs, "wait_for", wait_for, flow_frame)
    return inputs


async def _resolve_one(io: Port, inputs: Inputs, name: str, expr: Any, flow_frame: FlowFrame | None) -> Any:
    for future in find_futures([expr]):
        await io.wait(future)

    def see(value: Any, context: dict[str, Any]) -> Any:
        annotation = context.get("annotation")
        if isinstance(annotation, (quote, opaque)):
            raise collections.StopVisiting()
        if flow_frame is not None and (origin := flow_frame.origin(value)):
            inputs._link(name, *origin)
        if isinstance(value, futures.PrefectFuture):
            is_flow = isinstance(value, futures.PrefectFlowRunFuture)
            run_id, kind = value.flow_run_id if is_flow else value.task_run_id, "flow_run" if is_flow else "task_run"
            state = value.state
        elif is_state(value):
            state, details = value, value.state_details
            run_id, kind = details.task_run_id or details.flow_run_id, "task_run" if details.task_run_id else "flow_run"
        else:
            return value
        result = _result(state, run_id, annotation)
        if run_id:
            inputs._link(name, kind, str(run_id))
            # it may have come from a storage or from another process: then it is another object than the run made
            if flow_frame is not None and flow_frame.origin(result) is None:
                flow_frame.link(result, str(run_id), kind)
        return result

    return visit(expr, see, return_data=True, context={}, remove_annotations=True)


def _result(state: Any, run_id: Any, annotation: BaseAnnotation | None) -> Any:
    if state.type.value != COMPLETED and not (isinstance(annotation, allow_failure) and state.type.value in TERMINAL):
        raise UpstreamNotReady(f"Upstream task run '{run_id}' did not reach a 'COMPLETED' state.")
    return reading.read(state, raise_on_failure=False)
