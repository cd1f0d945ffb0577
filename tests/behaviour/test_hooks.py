"""State hooks of flows and tasks: when they run, with what, in which order, and what happens when they fail."""

import pytest

from prefect import flow, task
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Crashed, Failed, State

from .support import Boom, Calls, both


def recording(calls, label):
    """A hook that records its label and the type of the state."""

    def hook(thing, run, state):
        calls((label, state.type.value))

    hook.__name__ = f"hook_{label}"
    return hook


ENDINGS = {
    "value": (lambda: 1, ["running", "completion"]),
    "error": (lambda: (_ for _ in ()).throw(Boom()), ["running", "failure"]),
    "failed state": (lambda: Failed(), ["running", "failure"]),
    "cancelled state": (lambda: Cancelled(), ["running"]),
    "crashed state": (lambda: Crashed(), ["running", "crashed"]),
}
TYPES = {"running": "RUNNING", "completion": "COMPLETED", "failure": "FAILED", "crashed": "CRASHED"}


@both
@pytest.mark.parametrize("label", ENDINGS)
async def test_which_flow_hooks_run(label, calls: Calls):
    body, expected = ENDINGS[label]

    @flow(**{f"on_{name}": [recording(calls, name)] for name in ("running", "completion", "failure", "crashed")})
    async def ends():
        return body()

    await ends(return_state=True)
    assert calls == [(name, TYPES[name]) for name in expected]


@both
@pytest.mark.parametrize("label", ["value", "error", "failed state"])
async def test_which_task_hooks_run(label, calls: Calls):
    body, expected = ENDINGS[label]

    @task(**{f"on_{name}": [recording(calls, name)] for name in ("running", "completion", "failure")})
    async def ends():
        return body()

    await ends(return_state=True)
    assert calls == [(name, TYPES[name]) for name in expected]


@both
async def test_hooks_get_the_thing_the_run_and_the_state(calls: Calls):
    def hook(thing, run, state):
        calls((thing, run, state))

    @task(on_completion=[hook], task_run_name="task-run")
    async def inner():
        return 1

    @flow(on_completion=[hook], flow_run_name="flow-run")
    async def outer():
        await inner()
        return str(FlowRunContext.get().flow_run.id)

    run_id = await outer()
    (seen_task, task_run, task_state), (seen_flow, flow_run, flow_state) = calls
    assert seen_task is inner and seen_flow is outer
    assert isinstance(task_run, TaskRun) and isinstance(flow_run, FlowRun)
    assert (task_run.name, flow_run.name, str(flow_run.id)) == ("task-run", "flow-run", run_id)
    assert str(task_run.flow_run_id) == run_id
    assert isinstance(task_state, State) and task_state.is_completed() and flow_state.is_completed()
    assert task_run.state.is_completed() and flow_run.state.is_completed()


@both
async def test_hooks_run_in_the_order_given_and_errors_do_not_stop_them(calls: Calls, logs):
    def broken(thing, run, state):
        calls("broken")
        raise ValueError("bad hook")

    first, last = recording(calls, "first"), recording(calls, "last")

    @task(on_completion=[first, broken, last])
    async def inner():
        return 1

    @flow(on_completion=[first, broken, last])
    async def outer():
        return await inner()

    assert await outer() == 1
    expected = [("first", "COMPLETED"), "broken", ("last", "COMPLETED")]
    assert calls == expected * 2
    assert any("Running hook 'hook_first'" in text for text in logs.of("prefect.task_runs"))
    assert any("Running hook 'hook_first'" in text for text in logs.of("prefect.flow_runs"))
    assert any("An error was encountered while running hook 'broken'" in text for text in logs.messages)
    assert "Hook 'hook_last' finished running successfully" in logs.messages


@both
async def test_decorator_form(calls: Calls):
    @task
    async def inner(ok):
        if not ok:
            raise Boom

    @flow
    async def outer(ok):
        await inner(ok)

    @inner.on_completion
    @inner.on_failure
    @inner.on_running
    def task_hook(task, run, state):
        calls(f"task {state.name}")

    @outer.on_completion
    @outer.on_failure
    @outer.on_running
    def flow_hook(flow, run, state):
        calls(f"flow {state.name}")

    await outer(True)
    await outer(False, return_state=True)
    assert calls == [
        *("flow Running", "task Running", "task Completed", "flow Completed"),
        *("flow Running", "task Running", "task Failed", "flow Failed"),
    ]
    assert callable(task_hook) and callable(flow_hook)


async def test_async_hooks(calls: Calls):
    async def hook(thing, run, state):
        calls(state.name)

    @task(on_completion=[hook])
    async def inner():
        pass

    @flow(on_completion=[hook])
    async def outer():
        await inner()

    await outer()
    assert calls == ["Completed", "Completed"]


def test_async_hooks_of_sync_runs(calls: Calls):
    async def hook(thing, run, state):
        calls(state.name)

    @task(on_completion=[hook])
    def inner():
        pass

    @flow(on_completion=[hook])
    def outer():
        inner()

    outer()
    assert calls == ["Completed", "Completed"]


@both
async def test_hooks_can_be_any_callable(calls: Calls):
    import functools

    class Hook:
        def __call__(self, flow, run, state):
            calls("object")

        def method(self, flow, run, state):
            calls("method")

    def partial(label, flow, run, state):
        calls(label)

    @flow(on_completion=[Hook(), Hook().method, functools.partial(partial, "partial")])
    async def outer():
        pass

    await outer()
    assert calls == ["object", "method", "partial"]


@both
async def test_hooks_of_a_subflow_are_its_own(calls: Calls):
    @flow(on_failure=[recording(calls, "child")])
    async def child():
        raise Boom

    @flow(on_failure=[recording(calls, "parent")], on_completion=[recording(calls, "parent done")])
    async def parent():
        await child(return_state=True)
        return 1

    await parent()
    assert calls == [("child", "FAILED"), ("parent done", "COMPLETED")]


@both
async def test_submitted_tasks_run_their_hooks(calls: Calls):
    @task(on_completion=[recording(calls, "hook")])
    async def item(x):
        return x

    @flow
    async def parent():
        return item.map([1, 2, 3]).result()

    await parent()
    assert calls == [("hook", "COMPLETED")] * 3


@both
async def test_with_options_replaces_hooks(calls: Calls):
    @flow(on_completion=[recording(calls, "old")])
    async def original():
        pass

    await original.with_options(on_completion=[recording(calls, "new")])()
    await original.with_options(retries=0)()
    assert calls == [("new", "COMPLETED"), ("old", "COMPLETED")]


@both
async def test_hooks_of_failed_validation(calls: Calls):
    @flow(on_failure=[recording(calls, "failure")], on_running=[recording(calls, "running")])
    async def takes(x: int):
        pass

    state = await takes("abc", return_state=True)
    assert state.is_failed()
    assert calls == [("failure", "FAILED")]


@both
async def test_on_commit_and_on_rollback(calls: Calls):
    from prefect.transactions import atransaction, transaction  # noqa: F401

    @task
    async def good():
        return "good"

    @good.on_commit
    def committed(txn):
        calls("commit")

    @good.on_rollback
    def rolled_back(txn):
        calls("rollback")

    await good()
    assert calls == ["commit"]
    calls.clear()

    @flow
    async def parent():
        async with atransaction():
            await good()
            raise Boom

    with pytest.raises(Boom):
        await parent()
    assert calls == ["rollback"]
