"""Retries of tasks and flows: counts, delays, conditions, the states a run goes through, what is repeated."""

import pytest

from prefect import flow, runtime, task
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from .support import Boom, Calls, both, ours_better


@both
@pytest.mark.parametrize(
    "retries, failures, outcome, attempts",
    [(0, 1, "Failed", 1), (1, 1, "Completed", 2), (3, 2, "Completed", 3), (2, 9, "Failed", 3), (None, 1, "Failed", 1)],
)
@pytest.mark.parametrize("how", ["call", "submit"])
async def test_tasks_are_tried_again(retries, failures, outcome, attempts, how, calls: Calls):
    @task(retries=retries)
    async def flaky():
        n = calls((runtime.task_run.run_count, TaskRunContext.get().task_run.state.name))
        if n <= failures:
            raise Boom(f"attempt {n}")
        return n

    @flow
    async def parent():
        state = await flaky(return_state=True) if how == "call" else flaky.submit(return_state=True)
        return state.name, state.state_details.flow_run_id == FlowRunContext.get().flow_run.id

    assert await parent() == (outcome, True)
    assert [count for count, _ in calls] == list(range(1, attempts + 1))
    assert [name for _, name in calls] == (["Running"] + ["Retrying"] * attempts)[:attempts]


@both
async def test_the_last_error_is_what_counts():
    seen = []

    @task(retries=2)
    async def flaky():
        seen.append(1)
        raise Boom(f"attempt {len(seen)}")

    with pytest.raises(Boom, match="attempt 3"):
        await flaky()


@both
@pytest.mark.parametrize(
    "delay", [0.01, [0.01, 0.02], (lambda retries: [0.01] * retries), exponential_backoff(backoff_factor=0.001)]
)
async def test_delays_come_in_many_forms(delay, calls: Calls):
    @task(retries=2, retry_delay_seconds=delay, retry_jitter_factor=0.1)
    async def flaky():
        if calls() < 3:
            raise Boom
        return "in the end"

    assert await flaky() == "in the end"
    assert len(calls) == 3


@both
async def test_a_run_that_waits_shows_awaiting_retry(logs, calls: Calls):
    @task(retries=1, retry_delay_seconds=0.01, task_run_name="waits")
    async def flaky():
        if calls() < 2:
            raise Boom("words")

    await flaky()
    assert any(
        text.startswith("Task run failed with exception: Boom('words') - Retry 1/1 will start 0.01 second(s) from now")
        for text in logs.messages
    )


@both
async def test_an_immediate_retry_says_so(logs, calls: Calls):
    @task(retries=2)
    async def flaky():
        if calls() < 2:
            raise Boom("words")

    await flaky()
    assert "Task run failed with exception: Boom('words') - Retry 1/2 will start immediately" in logs.messages


@both
async def test_exhausted_retries_say_so(logs):
    @task(retries=1)
    async def flaky():
        raise Boom("words")

    await flaky(return_state=True)
    assert "Task run failed with exception: Boom('words') - Retries are exhausted" in logs.messages


def test_exponential_backoff_values():
    assert exponential_backoff(backoff_factor=10)(3) == [10, 20, 40]
    assert exponential_backoff(backoff_factor=0)(2) == [0, 0]
    assert len(exponential_backoff(backoff_factor=1)(60)) in (50, 60)


def test_delay_callables_are_asked_at_definition():
    @task(retries=3, retry_delay_seconds=exponential_backoff(backoff_factor=2))
    def fn():
        pass

    assert fn.retry_delay_seconds == [2, 4, 8]


@both
async def test_retry_condition(calls: Calls):
    asked = []

    def condition(task, task_run, state):
        asked.append((task.name, task_run.name, state.type.value, "Boom" in state.message))
        return len(asked) < 2

    @task(retries=5, retry_condition_fn=condition, task_run_name="r")
    async def flaky():
        calls()
        raise Boom

    state = await flaky(return_state=True)
    assert state.name == "Failed"
    assert len(calls) == 2
    assert asked == [("flaky", "r", "FAILED", True)] * 2


@both
async def test_a_condition_that_fails_ends_the_retries(calls: Calls):
    def condition(task, task_run, state):
        raise RuntimeError("bad condition")

    @task(retries=3, retry_condition_fn=condition)
    async def flaky():
        calls()
        raise Boom("mine")

    with pytest.raises(Boom, match="mine"):
        await flaky()
    assert len(calls) == 1


@both
async def test_successful_retry_resolves_the_future(calls: Calls):
    @task(retries=1)
    async def flaky(x):
        if calls() < 2:
            raise Boom
        return x

    @task
    async def down(x):
        return x + 1

    @flow
    async def parent():
        return down.submit(flaky.submit(1)).result()

    assert await parent() == 2


@both
async def test_timeouts_are_retried(calls: Calls):
    @task(retries=1, timeout_seconds=30)
    async def slow():
        if calls() < 2:
            raise TimeoutError
        return "second"

    assert await slow() == "second"


@both
async def test_states_a_flaky_task_goes_through(calls: Calls):
    def hook(task, task_run, state):
        calls((state.type.value, state.name))

    attempts = []

    @task(retries=2, on_running=[hook], on_completion=[hook], on_failure=[hook])
    async def flaky():
        attempts.append(1)
        if len(attempts) < 3:
            raise Boom

    await flaky()
    assert calls == [
        ("RUNNING", "Running"),
        ("RUNNING", "Retrying"),
        ("RUNNING", "Retrying"),
        ("COMPLETED", "Completed"),
    ]


# --- flows --------------------------------------------------------------------------------------


@both
async def test_flows_are_tried_again(calls: Calls):
    @flow(retries=2)
    async def flaky():
        n = calls((runtime.flow_run.run_count, str(FlowRunContext.get().flow_run.id), runtime.flow_run.name))
        if n < 3:
            raise Boom(n)
        return n

    assert await flaky() == 3
    assert [count for count, _, _ in calls] == [1, 2, 3]
    assert len({call[1:] for call in calls}) == 1


@both
async def test_flows_that_never_succeed(calls: Calls):
    @flow(retries=1, retry_delay_seconds=0.01)
    async def flaky():
        raise Boom(calls())

    with pytest.raises(Boom, match="2"):
        await flaky()


@both
async def test_final_hooks_run_once_for_a_retried_flow(calls: Calls):
    seen = []

    def hook(flow, flow_run, state):
        seen.append(state.type.value)

    @flow(retries=2, on_completion=[hook], on_failure=[hook])
    async def flaky():
        if calls() < 2:
            raise Boom

    await flaky()
    assert seen == ["COMPLETED"]


@both
async def test_subflows_are_tried_again(calls: Calls):
    @flow(retries=1)
    async def child():
        if calls() < 2:
            raise Boom
        return "child"

    @flow
    async def parent():
        return await child()

    assert await parent() == "child"


@ours_better("the peer runs finished tasks again when their flow is retried, unless their results are persisted")
@both
async def test_a_retried_flow_does_not_repeat_finished_tasks(calls: Calls):
    attempts = Calls()

    @task
    async def once(x):
        calls(x)
        return x * 10

    @flow(retries=2)
    async def flaky():
        values = [await once(1), once.submit(2).result(), *once.map([3, 4]).result()]
        if attempts() < 3:
            raise Boom
        return values

    assert await flaky() == [10, 20, 30, 40]
    assert sorted(calls) == [1, 2, 3, 4]


@both
async def test_a_retried_flow_runs_failed_tasks_again(calls: Calls):
    @task
    async def flaky_task():
        if calls() < 2:
            raise Boom
        return "second"

    @flow(retries=1)
    async def parent():
        return await flaky_task()

    assert await parent() == "second"


@both
async def test_a_retried_flow_runs_tasks_with_new_inputs(calls: Calls):
    attempts = Calls()

    @task
    async def step(x):
        calls(x)
        return x

    @flow(retries=1)
    async def parent():
        n = attempts()
        value = await step(n)
        if n < 2:
            raise Boom
        return value

    assert await parent() == 2
    assert calls == [1, 2]


@both
async def test_a_returned_failed_state_is_retried_for_tasks_and_final_for_flows(calls: Calls):
    @flow(retries=1)
    async def parent():
        return Failed(message="not yet") if calls() < 2 else Completed(message="now")

    state = await parent(return_state=True)
    assert (state.message, len(calls)) == ("not yet", 1)

    @task(retries=1)
    async def inner():
        return Failed(message="not yet") if calls() < 3 else Completed(message="now")

    state = await inner(return_state=True)
    assert (state.message, len(calls)) == ("now", 3)
