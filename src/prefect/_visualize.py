"""Draw which tasks of a flow depend on which, without running them.

The flow function itself is run, with a tracker in place of the engine: each call of a task or sub-flow is noted and answered
with its `viz_return_value`, or with a stand-in. A value that comes from one call and goes into another is an arrow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from importlib import import_module
from types import EllipsisType, NotImplementedType, TracebackType
from typing import TYPE_CHECKING, Any

from prefect._bridge import async_dispatch, run_coro_as_sync
from prefect._collections import visit_collection
from prefect._lazy import lazy_module
from prefect.utilities.annotations import BaseAnnotation, unmapped

if TYPE_CHECKING:
    import tempfile
    from typing import Self

    import graphviz

    from prefect.flows import Flow
else:
    tempfile = lazy_module("tempfile")

_ADVICE = (
    "The flow may use the result of a task, which is not run while a flow is drawn. "
    "Say what the task is to be taken to return: `@task(viz_return_value=[1, 2, 3])`."
)
_COMMON_INTEGERS = range(-5, 257)  # one object each in the whole program; they tell nothing about where they come from


class FlowVisualizationError(Exception):
    """A flow could not be drawn."""


class VisualizationUnsupportedError(Exception):
    """A flow uses what has no meaning while it is drawn."""


class GraphvizImportError(Exception):
    """The Python package `graphviz` is not installed; it is in the extra `prefect[graphviz]`."""


class GraphvizExecutableNotFoundError(Exception):
    """The program `dot` of Graphviz is not installed or not on the PATH; get it from https://graphviz.org/download."""


class VizTask:
    """A call of a task or sub-flow in a picture, and the stand-in for its result.

    Args:
        name: the task's name and how many calls of it came before: `extract-0`.
        upstream_tasks: the calls whose results it was given.
    """

    def __init__(self, name: str, upstream_tasks: list[VizTask] | None = None) -> None:
        self.name = name
        self.upstream_tasks = upstream_tasks or []

    def __repr__(self) -> str:
        return f"VizTask({self.name!r})"


class VizFuture(VizTask):
    """The stand-in for the future of a submitted task: its result is known at once."""

    def __init__(self, task: VizTask, value: Any) -> None:
        super().__init__(task.name, task.upstream_tasks)
        self.task = task
        self._value = value

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """What the task is taken to return, or its stand-in."""
        return self._value

    def wait(self, timeout: float | None = None) -> None:
        """Return at once."""

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self._value


class VizFutureList(list[VizFuture]):
    """The stand-in for the futures of a mapped task: one for each run, all of the same place in the picture."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[Any]:
        """The result of each future."""
        return [future.result() for future in self]

    def wait(self, timeout: float | None = None) -> None:
        """Return at once."""


class TaskVizTrackerState:
    """Where the present tracker is kept."""

    current: ContextVar[TaskVizTracker | None] = ContextVar("prefect_task_viz_tracker", default=None)


class TaskVizTracker:
    """Notes the calls of tasks made within its block.

    Attributes:
        tasks: the calls, in order.
    """

    def __init__(self) -> None:
        self.tasks: list[VizTask] = []
        self.dynamic_task_counter: dict[str, int] = {}
        self.object_id_to_task: dict[int, VizTask] = {}
        self._kept: list[Any] = []  # so that no other object gets the identity of a result

    def __enter__(self) -> Self:
        self._token = TaskVizTrackerState.current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        TaskVizTrackerState.current.reset(self._token)

    def add_task(self, task: VizTask) -> None:
        """Note a call; its name gets a number at the end."""
        number = self.dynamic_task_counter.get(task.name, -1) + 1
        self.dynamic_task_counter[task.name] = number
        task.name = f"{task.name}-{number}"
        self.tasks.append(task)

    def link_viz_return_value_to_viz_task(self, viz_return_value: Any, viz_task: VizTask) -> None:
        """Remember which call a value comes from; values that are the same object everywhere are left out."""
        if isinstance(viz_return_value, (bool, type(None), EllipsisType, NotImplementedType)):
            return
        if type(viz_return_value) is int and viz_return_value in _COMMON_INTEGERS:
            return
        self._kept.append(viz_return_value)
        self.object_id_to_task[id(viz_return_value)] = viz_task

    def sources(self, value: Any) -> list[VizTask]:
        """The calls that a value, or what is inside it, comes from."""
        found: dict[int, VizTask] = {}

        def look(item: Any) -> Any:
            source = item if isinstance(item, VizTask) else self.object_id_to_task.get(id(item))
            if source is not None:
                source = source.task if isinstance(source, VizFuture) else source
                found[id(source)] = source
            return item

        visit_collection(value, look)
        return list(found.values())


def get_task_viz_tracker() -> TaskVizTracker | None:
    """The tracker of the flow that is being drawn, or None."""
    return TaskVizTrackerState.current.get()


def _track(name: str, parameters: Mapping[str, Any], viz_return_value: Any) -> tuple[VizTask, Any]:
    tracker = get_task_viz_tracker()
    if tracker is None:
        raise FlowVisualizationError(f"The call of {name!r} cannot be noted: no flow is being drawn.")
    task = VizTask(name, tracker.sources(list(parameters.values())))
    tracker.add_task(task)
    if viz_return_value is None:
        return task, task
    tracker.link_viz_return_value_to_viz_task(viz_return_value, task)
    return task, viz_return_value


def track_viz_task(
    is_async: bool, task_name: str, parameters: Mapping[str, Any], viz_return_value: Any | None = None
) -> Any | Coroutine[Any, Any, Any]:
    """Note a call of a task or sub-flow.

    Args:
        is_async: the caller will await the answer.
        task_name: the name.
        parameters: the arguments by name.
        viz_return_value: what the call is taken to return.

    Returns:
        `viz_return_value`, or the `VizTask` if there is none; in a coroutine if `is_async`.
    """
    _, value = _track(task_name, parameters, viz_return_value)
    return _later(value) if is_async else value


async def _later(value: Any) -> Any:
    return value


def track_viz_submit(task_name: str, parameters: Mapping[str, Any], viz_return_value: Any | None = None) -> VizFuture:
    """Note a call by `Task.submit`; the answer stands for the future."""
    return VizFuture(*_track(task_name, parameters, viz_return_value))


def track_viz_map(task_name: str, parameters: Mapping[str, Any], viz_return_value: Any | None = None) -> VizFutureList:
    """Note a call by `Task.map`, as one place in the picture; the answers stand for the futures, one for each run.

    How many runs there are is told by the first iterable of known length; if there is none, there is one.
    """
    task, value = _track(task_name, parameters, viz_return_value)
    lengths = [length for argument in parameters.values() if (length := _length(argument)) is not None]
    return VizFutureList(VizFuture(task, value) for _ in range(lengths[0] if lengths else 1))


def _length(argument: Any) -> int | None:
    if isinstance(argument, unmapped):
        return None
    if isinstance(argument, BaseAnnotation):
        return _length(argument.unwrap())
    if isinstance(argument, (str, bytes)) or not hasattr(argument, "__iter__") or not hasattr(argument, "__len__"):
        return None
    return len(argument)


# ── drawing ──


def build_mermaid_dependencies(task_run_tracker: TaskVizTracker) -> str:
    """The picture as the text of a Mermaid flowchart."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    lines = ["flowchart TD"]
    for task in task_run_tracker.tasks:
        name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in task.name)
        while name in taken:
            name += "_"
        taken.add(name)
        names[id(task)] = name
        label = task.name.replace("&", "#38;").replace('"', "#quot;").replace("\n", " ")
        lines.append(f'    {name}["{label}"]')
    lines.extend(
        f"    {names[id(upstream)]} --> {names[id(task)]}"
        for task in task_run_tracker.tasks
        for upstream in task.upstream_tasks
        if id(upstream) in names
    )
    return "\n".join(lines)


def _import_graphviz() -> Any:
    # an optional package, asked for only when a picture is drawn
    try:
        import graphviz
    except ImportError as error:
        raise GraphvizImportError(
            "A picture needs the package `graphviz`: pip install 'prefect[graphviz]'. "
            "`generate_mermaid_graph` draws without it."
        ) from error
    return graphviz


def build_task_dependencies(task_run_tracker: TaskVizTracker) -> graphviz.Digraph:
    """The picture as a `graphviz.Digraph`.

    Raises:
        GraphvizImportError: the package is not installed.
    """
    graph = _import_graphviz().Digraph()
    for task in task_run_tracker.tasks:
        graph.node(task.name)
    for task in task_run_tracker.tasks:
        for upstream in task.upstream_tasks:
            graph.edge(upstream.name, task.name)
    return graph


def visualize_task_dependencies(graph: graphviz.Digraph, flow_run_name: str) -> None:
    """Write a graph to an image file and open it; in a notebook, show it there.

    Args:
        graph: the graph.
        flow_run_name: the name of the file, which is in a new temporary directory.

    Raises:
        GraphvizExecutableNotFoundError: the program that draws is not installed.
    """
    backend = _import_graphviz().backend
    try:
        if "ipykernel" in sys.modules:
            # the notebook has it
            from IPython.display import display  # type: ignore[import-not-found]

            display(graph)
            return
        directory = tempfile.mkdtemp(prefix="prefect-visualize-")
        graph.render(filename=flow_run_name, directory=directory, view=True, format="png", cleanup=True)
    except backend.ExecutableNotFound as error:
        raise GraphvizExecutableNotFoundError(
            "The program `dot` of Graphviz was not found. Install it (https://graphviz.org/download) and see that it is on the "
            "PATH; the Python package alone is not enough. `generate_mermaid_graph` draws without it."
        ) from error


async def _trace(flow: Flow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskVizTracker:
    """Run the flow function under a tracker."""
    args, kwargs = flow.spec.call_args(flow.spec.bind(args, kwargs))
    # flows and tasks ask that module for a tracker if it is loaded: a program that draws nothing never loads it
    import_module("prefect.utilities.visualization")
    with TaskVizTracker() as tracker:
        try:
            result = flow.fn(*args, **kwargs)
            if flow.isasync and flow.isgenerator:
                async for _ in result:
                    pass
            elif flow.isasync:
                await result
            elif flow.isgenerator:
                for _ in result:
                    pass
        except (VisualizationUnsupportedError, FlowVisualizationError):
            raise
        except Exception as error:
            error.add_note(_ADVICE)
            raise
    return tracker


def _finish(flow: Flow[..., Any], trace: Coroutine[Any, Any, TaskVizTracker]) -> TaskVizTracker:
    """Finish a trace from synchronous code; without an event loop if the flow needs none."""
    if flow.isasync:
        return run_coro_as_sync(trace)
    try:
        trace.send(None)
    except StopIteration as done:
        return done.value
    finally:
        trace.close()
    raise FlowVisualizationError(f"Flow {flow.name!r} is not asynchronous and yet waits for something.")


def _show(flow: Flow[..., Any]) -> Callable[[TaskVizTracker], None]:
    return lambda tracker: visualize_task_dependencies(build_task_dependencies(tracker), flow.name)


async def agenerate_mermaid_graph(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> str:
    """Draw a flow, called with these arguments, as the text of a Mermaid flowchart."""
    return build_mermaid_dependencies(await _trace(flow, args, kwargs))


@async_dispatch(agenerate_mermaid_graph)
def generate_mermaid_graph(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> str:
    """`agenerate_mermaid_graph`, to be awaited only where an event loop runs."""
    return build_mermaid_dependencies(_finish(flow, _trace(flow, args, kwargs)))


async def avisualize(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> None:
    """Draw a flow, called with these arguments, and open the picture."""
    _show(flow)(await _trace(flow, args, kwargs))


@async_dispatch(avisualize)
def visualize(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> None:
    """`avisualize`, to be awaited only where an event loop runs."""
    _show(flow)(_finish(flow, _trace(flow, args, kwargs)))
