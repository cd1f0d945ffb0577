"""Flows: decorators, options, names, methods, generators, sub-flows, and which final state follows from what is returned."""

import datetime
import itertools
import time
import uuid

import pytest

from prefect import Flow, State, flow, runtime, task
from prefect.context import FlowRunContext
from prefect.exceptions import CancelledRun, CrashedRun, FailedRun, InvalidNameError
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Crashed, Failed, Paused, Pending, Running, Scheduled
from prefect.task_runners import ThreadPoolTaskRunner

from .support import PEER, Boom, Calls, acollect, asleep, both, collect, ours_better, sleep  # noqa: F401

# --- decorators and options ---------------------------------------------------------------------


@both
async def test_bare_and_called_decorators_return_the_value():
    @flow
    async def bare(x, y=2):
        return x + y

    @flow(name="called")
    async def called(x, y=2):
        return x * y

    assert isinstance(bare, Flow) and isinstance(called, Flow)
    assert (bare.name, called.name) == ("bare", "called")
    assert await bare(1) == 3
    assert await called(3, y=5) == 15
    assert await bare.fn(1, y=1) == 2


def test_options_and_defaults_are_readable():
    def fn(x: int = 1):
        """Adds.

        More words.
        """

    plain = flow(fn)
    assert plain.fn is fn
    assert plain.name == "fn"
    assert plain.description == "Adds.\n\nMore words."
    assert plain.retries == 0
    assert plain.retry_delay_seconds == 0
    assert plain.timeout_seconds is None
    assert plain.flow_run_name is None
    assert plain.persist_result is None
    assert plain.log_prints is None
    assert plain.isasync is False and plain.isgenerator is False
    assert isinstance(plain.version, str) and plain.version
    assert isinstance(plain.task_runner, ThreadPoolTaskRunner)

    runner = ThreadPoolTaskRunner(max_workers=3)
    full = flow(
        name="My flow",
        version="v7",
        description="words",
        retries=2,
        retry_delay_seconds=0.5,
        timeout_seconds=9,
        flow_run_name="run-{x}",
        task_runner=runner,
        persist_result=True,
        log_prints=True,
    )(fn)
    assert (full.name, full.version, full.description, full.retries) == ("My flow", "v7", "words", 2)
    assert (full.retry_delay_seconds, full.timeout_seconds, full.flow_run_name) == (0.5, 9.0, "run-{x}")
    assert full.task_runner is runner
    assert full.persist_result is True and full.log_prints is True


def test_wraps_keeps_name_doc_and_module():
    @flow(name="other name")
    def documented():
        "The doc."

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "The doc."
    assert documented.__module__ == __name__


@pytest.mark.parametrize("name", ["a/b", "50%", "a&b", "<x>"])
def test_names_with_reserved_characters_are_refused(name):
    with pytest.raises(InvalidNameError, match=r"contains an invalid character"):
        flow(name=name)(lambda: 1)


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(InvalidNameError, match=r"'a\\ud800' cannot be stored: its character 2 "):
        flow(name="a\ud800")(lambda: 1)


def test_lambdas():
    assert flow(lambda: 1).name == "unknown-lambda"
    assert flow(lambda: 1, name="named")() == 1


def test_what_is_not_callable_is_refused():
    with pytest.raises(TypeError, match="callable"):
        Flow(fn=3, name="x")  # pyright: ignore


def test_with_options_copies_and_leaves_the_original():
    @flow(name="first", retries=1, description="d", version="1")
    def original(x=1):
        return x

    copy = original.with_options(name="second", retries=0, retry_delay_seconds=3, log_prints=True)
    assert copy is not original
    assert (copy.name, copy.retries, copy.retry_delay_seconds, copy.description) == ("second", 0, 3, "d")
    assert copy.log_prints is True
    assert (original.name, original.retries, original.log_prints) == ("first", 1, None)
    assert copy(4) == 4


def test_with_options_can_unset_persist_result():
    on = flow(persist_result=True, name="p")(lambda: 1)
    assert on.with_options(persist_result=False).persist_result is False
    assert on.with_options().persist_result is True


# --- names of runs ------------------------------------------------------------------------------


@both
async def test_run_name_is_made_up_when_not_given():
    @flow
    async def unnamed():
        return runtime.flow_run.name

    first, second = await unnamed(), await unnamed()
    assert first and second and first != second
    assert "-" in first


@pytest.mark.parametrize(
    "template, expected",
    [
        ("plain", "plain"),
        ("{x}-{y}", "1-two"),
        ("{x:03d}", "001"),
        ("{date:%Y}", "2024"),
        (lambda: "from-callable", "from-callable"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_run_names(template, expected, is_async):
    if is_async:

        @flow(flow_run_name=template)
        async def named(x=1, y="two", date=datetime.date(2024, 1, 2)):
            return runtime.flow_run.name, FlowRunContext.get().flow_run.name

        assert await named() == (expected, expected)
    else:

        @flow(flow_run_name=template)
        def named_sync(x=1, y="two", date=datetime.date(2024, 1, 2)):
            return runtime.flow_run.name, FlowRunContext.get().flow_run.name

        assert named_sync() == (expected, expected)


@both
async def test_run_name_template_sees_coerced_nested_parameters_and_the_flow():
    @flow(flow_run_name="{data[key]}-{n}-{flow}")
    async def named(data: dict, n: int, flow: str = "f"):
        return runtime.flow_run.name

    assert await named({"key": "k"}, "5") == "k-5-f"


def test_run_name_must_be_text_or_callable():
    with pytest.raises(TypeError, match="flow_run_name"):
        flow(flow_run_name=3, name="n")(lambda: 1)


def test_run_name_callable_must_return_text():
    @flow(flow_run_name=lambda: 5)
    def named():
        return 1

    with pytest.raises(TypeError, match="flow_run_name"):
        named()


# --- what a flow can be -------------------------------------------------------------------------


@both
async def test_methods():
    class Thing:
        factor = 10

        @flow
        async def method(self, x: int):
            return self.factor * x

        @flow
        @classmethod
        async def klass(cls, x: int):
            return cls.__name__, x

        @flow
        @staticmethod
        async def static(x: int):
            return x

    thing = Thing()
    assert await thing.method("2") == 20
    assert await Thing.klass("2") == ("Thing", 2)
    assert await thing.klass(3) == ("Thing", 3)
    assert await Thing.static("2") == 2
    if not PEER:  # the peer passes the instance to a static method reached through it
        assert await thing.static(3) == 3
    assert thing.method.ismethod is True
    assert Thing.klass.isclassmethod is True
    assert Thing.static.isstaticmethod is True


@both
async def test_methods_with_called_decorator_and_state():
    class Thing:
        @flow(name="m", validate_parameters=False)
        async def method(self, x):
            return x

    state = await Thing().method(x=4, return_state=True)
    assert state.is_completed()
    assert await state.aresult() == 4


@both
async def test_generators_yield_lazily(calls: Calls):
    @flow
    async def count(n: int):
        for i in range(n):
            calls(i)
            yield i

    generator = count("3")
    assert await anext(generator) == 0
    assert calls == [0]
    assert await acollect(generator) == [1, 2]
    assert await acollect(count(0)) == []
    assert count.isgenerator is True


@both
async def test_generator_that_fails_raises_after_what_it_gave():
    @flow
    async def count():
        yield 1
        raise Boom("midway")

    generator = count()
    assert await anext(generator) == 1
    with pytest.raises(Boom, match="midway"):
        await anext(generator)


@both
async def test_generator_runs_tasks_and_has_a_context():
    @task
    async def double(x):
        return 2 * x

    @flow
    async def count():
        for i in range(3):
            yield await double(i), runtime.flow_run.flow_name

    assert await acollect(count()) == [(0, "count"), (2, "count"), (4, "count")]


@ours_better("the peer does not pass values sent into generators")
@both
async def test_generator_send_throw_close(calls: Calls):
    @flow
    async def echo():
        got = None
        while True:
            try:
                got = yield got
            except Boom:
                got = "caught"
            except GeneratorExit:
                calls("closed")
                raise

    generator = echo()
    assert await anext(generator) is None
    assert await generator.asend("a") == "a"
    assert await generator.athrow(Boom()) == "caught"
    await generator.aclose()
    assert calls == ["closed"]
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


# --- what a flow returns ------------------------------------------------------------------------


@task
def fails():
    raise Boom("task failed")


@task
def gives(x=1):
    return x


ALL = "All states completed."
C = lambda data=None: Completed(data=data)  # noqa: E731

RETURNS = {
    # label: (body, type, message, what .result() gives or raises, what .result(raise_on_failure=False) gives)
    # STATE and STATES stand for a state, and for a collection of states, as the flow's own result.
    "value": (lambda: 5, "COMPLETED", None, 5, 5),
    "none": (lambda: None, "COMPLETED", None, None, None),
    "mapping": (lambda: {"a": 1}, "COMPLETED", None, {"a": 1}, {"a": 1}),
    "empty list": (list, "COMPLETED", None, [], []),
    "completed state": (lambda: Completed(message="custom", data=7), "COMPLETED", "custom", 7, 7),
    "named state": (
        lambda: Completed(name="Skipped", message="nothing to do"),
        "COMPLETED",
        "nothing to do",
        None,
        None,
    ),
    "failed state": (lambda: Failed(message="by hand"), "FAILED", "by hand", FailedRun, None),
    "failed with error": (lambda: Failed(message="m", data=Boom("d")), "FAILED", "m", Boom, Boom),
    "failed with text": (lambda: Failed(message="m", data="text"), "FAILED", "m", FailedRun, "text"),
    "cancelled state": (lambda: Cancelled(message="stop"), "CANCELLED", "stop", CancelledRun, None),
    "crashed state": (lambda: Crashed(message="crash"), "CRASHED", "crash", CrashedRun, None),
    "state of a task": (lambda: gives(return_state=True), "COMPLETED", ALL, "STATE", "STATE"),
    "state of a failed task": (lambda: fails(return_state=True), "FAILED", "1/1 states failed.", Boom, "STATE"),
    "future": (lambda: gives.submit(4), "COMPLETED", ALL, "STATE", "STATE"),
    "failed future": (lambda: fails.submit(), "FAILED", "1/1 states failed.", Boom, "STATE"),
    "list of futures": (lambda: [gives.submit(1), gives.submit(2)], "COMPLETED", ALL, "STATES", "STATES"),
    "tuple of futures": (lambda: (gives.submit(1), gives.submit(2)), "COMPLETED", ALL, "STATES", "STATES"),
    "mapped": (lambda: gives.map([1, 2]), "COMPLETED", ALL, "STATES", "STATES"),
    "one of two failed": (lambda: [gives.submit(1), fails.submit()], "FAILED", "1/2 states failed.", Boom, "STATES"),
    "one of three failed": (
        lambda: [gives.submit(), gives.submit(), fails.submit()],
        "FAILED",
        "1/3 states failed.",
        Boom,
        "STATES",
    ),
    "all failed": (lambda: [fails.submit(), fails.submit()], "FAILED", "2/2 states failed.", Boom, "STATES"),
    "states": (lambda: [C(1), C(2)], "COMPLETED", ALL, "STATES", "STATES"),
    "set of states": (lambda: {C(1)}, "COMPLETED", ALL, "STATES", "STATES"),
    "failed among states": (lambda: [C(1), Failed(message="no")], "FAILED", "1/2 states failed.", FailedRun, "STATES"),
    "crashed among states": (lambda: [C(1), Crashed()], "FAILED", "1/2 states failed.", CrashedRun, "STATES"),
    "pending among states": (
        lambda: [C(1), Pending()],
        "FAILED",
        "1/2 states are not final.",
        (ValueError, FailedRun),
        "STATES",
    ),
    "cancelled among states": (
        lambda: [C(1), Cancelled()],
        "CANCELLED",
        "1/2 states cancelled.",
        CancelledRun,
        "STATES",
    ),
    # Futures that are only part of what is returned are resolved but do not decide.
    "mixed with values": (lambda: [5, fails.submit()], "COMPLETED", None, "MIXED", "MIXED"),
    "dict of futures": (lambda: {"a": gives.submit(1)}, "COMPLETED", None, "MIXED", "MIXED"),
    "returned exception": (lambda: Boom("a value"), "COMPLETED", None, "EXC", "EXC"),
}


def check_result(found, expected):
    """Compare a flow's result with a row of RETURNS."""
    if expected == "STATE":
        assert isinstance(found, State)
    elif expected == "STATES":
        assert isinstance(found, list | tuple | set) and all(isinstance(state, State) for state in found)
    elif expected == "MIXED":
        values = found.values() if isinstance(found, dict) else found
        assert isinstance(list(values)[-1], State)
    elif expected in ("EXC", Boom):
        assert isinstance(found, Boom)
    else:
        assert found == expected


@both
@pytest.mark.parametrize("label", RETURNS)
async def test_final_state_follows_from_what_is_returned(label):
    body, kind, message, result, quiet = RETURNS[label]

    @flow
    async def returns():
        return body()

    state = await returns(return_state=True)
    assert isinstance(state, State)
    assert (state.type.value, state.message) == (kind, message)
    if isinstance(result, type) or (isinstance(result, tuple) and result):
        with pytest.raises(result):
            await state.aresult()
    else:
        check_result(await state.aresult(), result)
    check_result(await state.aresult(raise_on_failure=False), quiet)


@both
@pytest.mark.parametrize("label", RETURNS)
async def test_the_call_of_a_flow_gives_what_it_returned(label):
    """A single failed state or future is raised; a list of states is given to the caller to look at."""
    body, _, _, result, quiet = RETURNS[label]

    @flow
    async def returns():
        return body()

    if quiet == "STATES" or not (isinstance(result, type) or (isinstance(result, tuple) and result)):
        check_result(await returns(), quiet if quiet == "STATES" else result)
    else:
        with pytest.raises(result):
            await returns()


@both
@pytest.mark.parametrize("kind", [list, tuple, set])
async def test_states_that_are_returned_can_be_looked_at_by_a_parent(kind):
    @flow
    async def child():
        return kind([C(1), Failed(message="no")])

    @task
    async def step():
        return kind([C(1), Failed(message="no")])

    @flow
    async def parent():
        found = [await child(), await step()]
        assert all(
            type(states) is kind and sorted(state.name for state in states) == ["Completed", "Failed"]
            for states in found
        )
        state = await child(return_state=True)
        with pytest.raises(FailedRun, match="no"):
            await state.aresult()
        with pytest.raises(FailedRun, match="no"):
            step.submit().result()
        return "looked"

    assert await parent() == "looked"


@both
@ours_better("gives the state itself, so that a failed task goes unnoticed")
async def test_the_call_of_a_task_that_returns_a_state_of_its_own_is_as_that_of_a_flow():
    @task
    async def refuses():
        return Failed(message="by hand")

    @task
    async def gives_data():
        return Completed(message="by hand", data=4)

    with pytest.raises(FailedRun, match="by hand"):
        await refuses()
    assert await gives_data() == 4


def decided(states):
    """What a collection of states decides: the rule in one place, written from the outside."""
    total, types = len(states), [state.type.value for state in states]
    failed = sum(kind in ("FAILED", "CRASHED") for kind in types)
    cancelled = types.count("CANCELLED")
    unfinished = total - failed - cancelled - types.count("COMPLETED")
    if cancelled:
        return "CANCELLED", f"{cancelled}/{total} states cancelled."
    if failed:
        return "FAILED", f"{failed}/{total} states failed."
    if unfinished:
        return "FAILED", f"{unfinished}/{total} states are not final."
    return "COMPLETED", "All states completed."


@both
async def test_the_rule_holds_for_every_small_collection():
    box = []

    @flow
    async def returns():
        return list(box)

    kinds = (Completed, Failed, Crashed, Cancelled, Pending)
    for size in (1, 2) if PEER else (1, 2, 3):
        for combination in itertools.combinations_with_replacement(kinds, size):
            box[:] = [make() for make in combination]
            final = await returns(return_state=True)
            assert (final.type.value, final.message) == decided(box), combination


@both
async def test_state_messages_of_plain_results():
    @flow
    async def fine():
        return 1

    @flow
    async def broken():
        raise Boom("words")

    fine_state = await fine(return_state=True)
    assert (fine_state.name, fine_state.message) == ("Completed", None)
    broken_state = await broken(return_state=True)
    assert (broken_state.name, broken_state.message) == (
        "Failed",
        "Flow run encountered an exception: Boom: words",
    )


@both
async def test_calling_raises_what_the_flow_raised():
    @flow
    async def broken():
        raise Boom("words")

    with pytest.raises(Boom, match=r"^words$"):
        await broken()


@both
async def test_the_callers_frame_is_in_the_traceback():
    @flow
    async def broken():
        raise Boom("words")

    with pytest.raises(Boom) as caught:
        await broken()
    assert caught.traceback[-1].name == "broken"


@both
async def test_a_failed_task_whose_result_is_not_used_does_not_fail_the_flow():
    @task
    async def bad():
        raise Boom

    @flow
    async def fine():
        bad.submit()
        await bad(return_state=True)
        return "fine"

    assert await fine() == "fine"


@both
async def test_a_flow_that_returns_none_completes_although_a_submitted_task_failed():
    @task
    async def bad():
        raise Boom

    @flow
    async def fine():
        bad.submit().wait()

    state = await fine(return_state=True)
    assert state.is_completed()


@both
async def test_what_a_call_gives_when_futures_are_returned():
    @task
    async def add(x):
        return x + 1

    @task
    async def bad():
        raise Boom("task")

    @flow
    async def returns(body):
        return body()

    assert await (await returns(lambda: add.submit(1))).aresult() == 2
    assert [await s.aresult() for s in await returns(lambda: [add.submit(1), add.submit(2)])] == [2, 3]
    with pytest.raises(Boom, match="task"):
        await returns(lambda: bad.submit())
    with pytest.raises(FailedRun, match="by hand"):
        await returns(lambda: Failed(message="by hand"))
    with pytest.raises(CancelledRun, match="stop"):
        await returns(lambda: Cancelled(message="stop"))


@both
async def test_caught_task_failure_leaves_the_flow_completed():
    @task
    async def bad():
        raise Boom("x")

    @flow
    async def careful():
        try:
            await bad()
        except Boom:
            return "recovered"

    assert await careful() == "recovered"


@ours_better(
    "the peer never ends a flow that returns Running, and raises a signal that is not an Exception for Pending"
)
@both
@pytest.mark.parametrize("make", [Paused, Running, Pending, Scheduled])
async def test_returned_states_that_are_not_final(make):
    @flow
    async def returns():
        return make()

    try:
        state = await returns(return_state=True)
    except Exception as error:
        assert make.__name__.lower() in str(error).lower()
    else:
        assert state.is_final() or state.type.value == make().type.value


# --- sub-flows ----------------------------------------------------------------------------------


@both
async def test_subflows_return_values_and_know_their_parent():
    @flow
    async def child(x: int):
        return x + 1, runtime.flow_run.parent_flow_run_id

    @flow
    async def parent():
        return await child("1"), runtime.flow_run.id

    (value, parent_id), own_id = await parent()
    assert value == 2
    assert str(parent_id) == str(own_id)


@both
async def test_failing_subflow_fails_its_parent_unless_caught():
    @flow
    async def child():
        raise Boom("from child")

    @flow
    async def parent(catch: bool):
        if not catch:
            await child()
        state = await child(return_state=True)
        return state.type.value

    with pytest.raises(Boom, match="from child"):
        await parent(False)
    assert await parent(True) == "FAILED"


@both
async def test_returned_subflow_state_decides():
    @flow
    async def child(ok):
        if not ok:
            raise Boom("child")
        return 3

    @flow
    async def parent(ok):
        return await child(ok, return_state=True)

    assert await (await parent(True)).aresult() == 3
    state = await parent(False, return_state=True)
    assert state.is_failed()
    with pytest.raises(Boom, match="child"):
        await state.aresult()


async def test_sync_subflow_and_task_in_async_flow():
    @task
    def plus(x):
        return x + 1

    @flow
    def child(x):
        return plus(x)

    @flow
    async def parent():
        return child(1), plus(5)

    assert await parent() == (2, 6)


async def test_async_subflow_in_sync_flow_is_awaited_by_the_engine():
    @flow
    async def child(x):
        return x + 1

    @flow
    def parent():
        return child(1)

    result = parent()
    assert result == 2 or (await result) == 2


@both
async def test_three_levels():
    @flow
    async def c():
        return ["c"]

    @flow
    async def b():
        return ["b", *(await c())]

    @flow
    async def a():
        return ["a", *(await b())]

    assert await a() == ["a", "b", "c"]


@both
async def test_recursion():
    @flow
    async def factorial(n: int):
        return 1 if n < 2 else n * await factorial(n - 1)

    assert await factorial(4) == 24


@both
async def test_a_flow_waits_for_what_wait_for_names():
    @task
    async def first():
        return 1

    @task
    async def bad():
        raise Boom

    @flow
    async def child():
        return "ran"

    @flow
    async def parent(upstream):
        return await child(wait_for=[upstream.submit()], return_state=True)

    assert await (await parent(first)).aresult() == "ran"
    state = await parent(bad, return_state=True)
    child_state = await state.aresult(raise_on_failure=False)
    assert (child_state.type.value, child_state.name) == ("PENDING", "NotReady")


@both
async def test_subflow_takes_futures_and_states_as_parameters():
    @task
    async def one():
        return 1

    @flow
    async def child(x: int, many: list, mapping: dict):
        return x, many, mapping

    @flow
    async def parent():
        return await child(one.submit(), [one.submit(), await one(return_state=True)], {"k": one.submit()})

    assert await parent() == (1, [1, 1], {"k": 1})


@both
async def test_task_can_call_a_flow():
    @flow
    async def child(x):
        return x + 1

    @task
    async def middle(x):
        return await child(x)

    @flow
    async def parent():
        return await middle(1)

    assert await parent() == 2


@both
async def test_the_same_flow_runs_many_times_with_new_ids():
    @flow
    async def identity():
        return FlowRunContext.get().flow_run.id

    ids = [await identity() for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(isinstance(i, uuid.UUID) for i in ids)


@both
async def test_return_state_holds_the_run_id():
    @flow
    async def identity():
        return str(FlowRunContext.get().flow_run.id)

    state = await identity(return_state=True)
    assert str(state.state_details.flow_run_id) == await state.aresult()


# --- timeouts -----------------------------------------------------------------------------------


@both
async def test_timeout_of_a_flow():
    @flow(timeout_seconds=0.1)
    async def slow():
        await asleep(1 if PEER else 30)

    began = time.monotonic()
    state = await slow(return_state=True)
    if not PEER:  # the peer's timer is disturbed by the one of pytest-timeout
        assert time.monotonic() - began < 20
    assert (state.type.value, state.name) == ("FAILED", "TimedOut")
    assert state.message == "Flow run exceeded timeout of 0.1 second(s)"
    with pytest.raises(TimeoutError):
        await slow()


def test_futures_have_a_type():
    @flow
    def parent():
        future = gives.submit(1)
        assert isinstance(future, PrefectFuture)
        return future.result()

    assert parent() == 1
