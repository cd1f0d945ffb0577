"""Tasks: calls, submission, mapping, dependencies, names, tags, generators, methods, timeouts."""

import asyncio
import datetime
import threading
import time

import pytest

from prefect import Task, allow_failure, flow, runtime, tags, task, unmapped
from prefect.context import TaskRunContext
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable, UnfinishedRun
from prefect.futures import PrefectFuture, PrefectFutureList
from prefect.states import Completed, Failed, State
from prefect.utilities.annotations import quote

from .support import MODE, PEER, SYNC_MODE, Boom, Calls, acollect, asleep, both, collect, sleep  # noqa: F401

# --- decorators and options ---------------------------------------------------------------------


@both
async def test_bare_and_called_decorators():
    @task
    async def bare(x, y=2):
        "Adds."
        return x + y

    @task(name="called", tags=["t"], version="v", description="words")
    async def called(x):
        return x

    @flow
    async def parent():
        return await bare(1), await called("a"), await bare.fn(1, 1)

    assert isinstance(bare, Task)
    assert (bare.name, bare.description, bare.tags) == ("bare", "Adds.", set())
    assert (called.name, called.description, called.tags, called.version) == ("called", "words", {"t"}, "v")
    assert await parent() == (3, "a", 2)


def test_option_defaults():
    @task
    def plain():
        pass

    assert (plain.retries, plain.retry_delay_seconds, plain.retry_jitter_factor) == (0, 0, None)
    assert (plain.timeout_seconds, plain.task_run_name, plain.persist_result) == (None, None, None)
    assert (plain.refresh_cache, plain.cache_expiration, plain.cache_key_fn) == (None, None, None)
    assert plain.retry_condition_fn is None and plain.result_storage_key is None
    assert plain.isasync is False and plain.isgenerator is False
    assert plain.task_key.startswith("plain-") and len(plain.task_key) == len("plain-") + 8
    assert task(lambda: 1).name == "<lambda>"


@pytest.mark.parametrize(
    "options, error, words",
    [
        (
            {"retry_delay_seconds": [1] * 51, "retries": 3},
            ValueError,
            "Can not configure more than 50 retry delays per task",
        ),
        ({"retry_jitter_factor": -1}, ValueError, "`retry_jitter_factor` must be >= 0"),
        ({"retry_condition_fn": 3}, TypeError, "Expected `retry_condition_fn` to be callable, got int instead"),
        ({"on_failure": [3]}, TypeError, "Expected callables in 'on_failure'; got int instead"),
        ({"on_completion": print}, TypeError, "Expected iterable for 'on_completion'"),
    ],
)
def test_bad_options_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        task(**options)(lambda: 1)


@both
async def test_with_options_makes_a_changed_copy():
    @task(name="one", retries=3, tags=["a"], task_run_name="n")
    async def original(x):
        return x, runtime.task_run.name, sorted(runtime.task_run.tags)

    copy = original.with_options(name="two", retries=0, tags=["b"], task_run_name="m-{x}")
    assert (copy.name, copy.retries, copy.tags) == ("two", 0, {"b"})
    assert (original.name, original.retries, original.tags) == ("one", 3, {"a"})
    assert await copy(1) == (1, "m-1", ["b"])
    assert await original(1) == (1, "n", ["a"])


# --- calls --------------------------------------------------------------------------------------


@both
async def test_tasks_run_outside_of_flows():
    @task
    async def add(x, y=1):
        return x + y, runtime.flow_run.id

    assert await add(1) == (2, None)
    state = await add(1, y=2, return_state=True)
    assert state.is_completed() and (await state.aresult())[0] == 3


@both
async def test_submitting_outside_of_a_flow_works_or_says_what_to_do():
    @task
    async def add(x):
        return x + 1

    try:
        results = add.submit(5).result(), add.map([1, 2]).result()
    except RuntimeError as error:
        assert "flow" in str(error)
    else:
        assert results == (6, [2, 3])


@both
async def test_failures_of_tasks():
    @task
    async def bad():
        raise Boom("words")

    with pytest.raises(Boom, match=r"^words$"):
        await bad()
    state = await bad(return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message == "Task run encountered an exception Boom: words"
    with pytest.raises(Boom, match=r"^words$"):
        await state.aresult()
    error = await state.aresult(raise_on_failure=False)
    assert isinstance(error, Boom)


@both
async def test_state_returned_by_a_task_is_its_final_state():
    @task
    async def returns(state):
        return state

    done = await returns(quote(Completed(name="Custom", message="m", data=1)), return_state=True)
    assert done.is_completed()

    @task
    async def makes(kind):
        return {"c": Completed(name="Custom", message="m", data=1), "f": Failed(message="no")}[kind]

    state = await makes("c", return_state=True)
    assert (state.name, state.message, await state.aresult()) == ("Custom", "m", 1)
    state = await makes("f", return_state=True)
    assert (state.type.value, state.message) == ("FAILED", "no")


@both
async def test_submit_gives_a_future_with_state_and_result():
    @task
    async def add(x, y=1):
        return x + y

    @flow
    async def parent():
        future = add.submit(1, y=2)
        assert isinstance(future, PrefectFuture)
        assert future.result() == 3
        assert future.state.is_completed()
        state = add.submit(1, return_state=True)
        assert isinstance(state, State) and state.is_completed()
        return str(future.task_run_id), str(future.state.state_details.task_run_id)

    left, right = await parent()
    assert left == right


@both
async def test_parameters_reach_the_task_in_every_form():
    @task
    async def takes(a, /, b, *rest, c=3, **more):
        return a, b, rest, c, more

    expected = (1, 2, (3, 4), 5, {"d": 6})

    @flow
    async def parent():
        direct = await takes(1, 2, 3, 4, c=5, d=6)
        submitted = takes.submit(1, 2, 3, 4, c=5, d=6).result()
        return direct, submitted

    assert await parent() == (expected, expected)


@both
async def test_task_in_task_in_flow():
    @task
    async def inner(x):
        return x + 1, runtime.flow_run.name

    @task
    async def outer(x):
        future = inner.submit(x)
        return await inner(x), future.result()

    @flow(flow_run_name="the-flow")
    async def parent():
        return outer.submit(1).result(), await outer(2)

    two, three = (2, "the-flow"), (3, "the-flow")
    assert await parent() == ((two, two), (three, three))


async def test_async_task_called_in_a_sync_flow_runs():
    @task
    async def add(x):
        return x + 1

    @flow
    def parent():
        return add.submit(1).result()

    assert parent() == 2


async def test_coroutine_of_an_async_task_can_be_awaited_after_a_sync_task_made_it():
    @task
    async def inner():
        return 3

    @task
    def outer():
        return inner()

    @flow
    async def parent():
        made = outer()
        return await made if hasattr(made, "__await__") else made

    assert await parent() == 3


async def test_gather_runs_async_tasks_together():
    started, all_there = [], asyncio.Event()

    @task
    async def meet(i):
        started.append(i)
        if len(started) == 3:
            all_there.set()
        await all_there.wait()
        return i

    @flow
    async def parent():
        return await asyncio.gather(*(meet(i) for i in range(3)))

    assert await asyncio.wait_for(parent(), 60) == [0, 1, 2]


# --- dependencies -------------------------------------------------------------------------------


@both
async def test_futures_and_states_as_arguments_are_resolved_everywhere():
    @task
    async def one(x=1):
        return x

    @task
    async def takes(*args, **kwargs):
        return args, kwargs

    @flow
    async def parent():
        f, s = one.submit(), await one(2, return_state=True)
        return takes.submit(f, s, [f, {"k": (s, f)}], key={"a": [f]}, plain={1, 2}).result()

    assert await parent() == ((1, 2, [1, {"k": (2, 1)}]), {"key": {"a": [1]}, "plain": {1, 2}})


@both
async def test_upstream_failure_makes_the_downstream_not_ready(calls: Calls):
    @task
    async def bad():
        raise Boom("up")

    @task
    async def down(x=None):
        calls("ran")

    @flow
    async def parent():
        bad_future = bad.submit()
        down_future = down.submit(bad_future)
        states = [
            down.submit(bad_future, return_state=True),
            down.submit([{"k": bad_future}], return_state=True),
            down.submit(wait_for=[bad_future], return_state=True),
            await down(wait_for=[bad_future], return_state=True),
            down.submit(down_future, return_state=True),
        ]
        return (
            [(s.type.value, s.name) for s in states],
            states[0].message,
            down_future.task_run_id,
            bad_future.task_run_id,
        )

    states, message, _, upstream = await parent()
    assert states == [("PENDING", "NotReady")] * 5
    assert message == f"Upstream task run '{upstream}' did not reach a 'COMPLETED' state."
    assert calls == []


@both
async def test_result_of_a_run_that_never_ran_is_unfinished():
    @task
    async def bad():
        raise Boom("up")

    @task
    async def down(x=None):
        return 1

    @flow
    async def parent():
        with pytest.raises(UnfinishedRun, match=r"PENDING|NotReady"):
            down.submit(bad.submit()).result()
        if not PEER:  # the peer returns None, as if the task had run
            with pytest.raises(UnfinishedRun):
                await down(wait_for=[bad.submit()])
        return "done"

    assert await parent() == "done"


@both
async def test_allow_failure_passes_the_exception_on():
    @task
    async def bad():
        raise Boom("up")

    @task
    async def good():
        return 1

    @task
    async def down(x, y=None):
        return x, y

    @flow
    async def parent():
        future = bad.submit()
        mixed = down.submit(allow_failure(future), y=allow_failure([good.submit(), future])).result()
        waited = down.submit(5, wait_for=[allow_failure(future)]).result()
        return mixed, waited

    (x, (y, z)), waited = await parent()
    assert isinstance(x, Boom) and y == 1 and isinstance(z, Boom)
    assert waited == (5, None)


@both
async def test_wait_for_orders_runs(calls: Calls):
    @task
    async def slow():
        await asleep(0.02)
        calls("slow")

    @task
    async def last():
        calls("last")

    @flow
    async def parent():
        future = slow.submit()
        last.submit(wait_for=[future]).wait()
        nested = slow.submit()
        last.submit(wait_for=[[nested]]).wait()
        await last(wait_for=[slow.submit()])

    await parent()
    assert calls == ["slow", "last"] * 3


@both
async def test_quote_hides_futures_from_the_engine():
    @task
    async def one():
        return 1

    @task
    async def takes(x):
        return type(x).__name__

    @flow
    async def parent():
        future = one.submit()
        name = takes.submit(quote(future)).result()
        future.wait()
        return name

    assert await parent() != "int"


# --- map ----------------------------------------------------------------------------------------


@both
async def test_map_over_many_kinds_of_iterables():
    @task
    async def pair(x, y=0):
        return x, y

    @task
    async def listing():
        return [1, 2]

    @flow
    async def parent():
        futures = pair.map([1, 2], [3, 4])
        assert isinstance(futures, PrefectFutureList) and len(futures) == 2
        return [
            futures.result(),
            pair.map([1, 2], 5).result(),
            pair.map([1, 2], unmapped([8, 9])).result(),
            pair.map([1, 2], y=[3, 4]).result(),
            pair.map(range(2)).result(),
            pair.map(i for i in range(2)).result(),
            pair.map((1, 2)).result(),
            pair.map({"a": 1}).result(),
            pair.map([]).result(),
            pair.map(pair.map([1, 2]), unmapped("u")).result(),
            pair.map([listing.submit(), 7]).result(),
            pair.map(listing.submit()).result(),
            pair.map(await listing(return_state=True)).result(),
        ]

    assert await parent() == [
        [(1, 3), (2, 4)],
        [(1, 5), (2, 5)],
        [(1, [8, 9]), (2, [8, 9])],
        [(1, 3), (2, 4)],
        [(0, 0), (1, 0)],
        [(0, 0), (1, 0)],
        [(1, 0), (2, 0)],
        [("a", 0)],
        [],
        [((1, 0), "u"), ((2, 0), "u")],
        [([1, 2], 0), (7, 0)],
        [(1, 0), (2, 0)],
        [(1, 0), (2, 0)],
    ]


@both
async def test_map_errors():
    @task
    async def pair(x, y=0):
        return x, y

    @flow
    async def parent():
        with pytest.raises(
            MappingLengthMismatch,
            match=r"length.*\{'x': 2, 'y': 3\}",
        ):
            pair.map([1, 2], [1, 2, 3])
        for scalars in ((1, 2), ("ab", "cd"), (unmapped([1]), 3)):
            with pytest.raises(MappingMissingIterable, match=r"[Ii]terable"):
                pair.map(*scalars)

    await parent()


@both
async def test_map_passes_defaults_var_arguments_and_wait_for(calls: Calls):
    @task
    async def first():
        calls("first")

    @task
    async def item(x, y, flag=False, **more):
        calls(x)
        return x, y, flag, more

    @flow
    async def parent():
        return item.map([1, 2], [3, 4], flag=True, extra=unmapped("e"), wait_for=[first.submit()]).result()

    assert await parent() == [(1, 3, True, {"extra": "e"}), (2, 4, True, {"extra": "e"})]
    assert calls[0] == "first"


@both
async def test_mapped_failures_are_single():
    @task
    async def odd(x):
        if x % 2:
            raise Boom(x)
        return x

    @task
    async def down(x):
        return x

    @flow
    async def parent():
        futures = odd.map(range(4))
        futures.wait()
        with pytest.raises(Boom):
            futures.result()
        below = down.map(futures)
        below.wait()
        loose = futures.result(raise_on_failure=False)
        return [f.state.name for f in futures], [f.state.name for f in below], [type(v).__name__ for v in loose]

    states, below, loose = await parent()
    assert states == ["Completed", "Failed", "Completed", "Failed"]
    assert below == ["Completed", "NotReady", "Completed", "NotReady"]
    assert loose == ["int", "Boom", "int", "Boom"]


@both
async def test_map_with_return_state():
    @task
    async def item(x):
        return x

    @flow
    async def parent():
        states = item.map([1, 2], return_state=True)
        assert all(isinstance(s, State) for s in states)
        return [await s.aresult() for s in states]

    assert await parent() == [1, 2]


@both
async def test_map_over_thousands():
    @task
    async def double(x):
        return 2 * x

    @flow
    async def parent(n):
        return sum(double.map(range(n)).result())

    n = 30 if PEER else 2000
    assert await parent(n) == n * (n - 1)


# --- names, tags, identity ----------------------------------------------------------------------


@both
async def test_run_names_of_tasks():
    @task
    async def plain():
        return runtime.task_run.name

    @task(task_run_name="{x}-{y:02d}-{day:%A}")
    async def template(x, y=1, day=datetime.date(2024, 1, 1)):
        return runtime.task_run.name

    @task(task_run_name=lambda: "called")
    async def callable_name():
        return runtime.task_run.name

    def from_parameters(parameters):
        return f"p-{parameters['x']}"

    @task(task_run_name=from_parameters)
    async def with_parameters(x):
        return TaskRunContext.get().task_run.name

    @flow
    async def parent():
        return [await plain(), await template("a"), await callable_name(), await with_parameters(4)]

    names = await parent()
    assert names[0].startswith("plain-") and len(names[0]) == len("plain-") + 3
    assert names[1:] == ["a-01-Monday", "called", "p-4"]


@pytest.mark.parametrize(
    "name, error, words",
    [
        (lambda: 3, TypeError, "task_run_name.* int "),
        ("{nothing}", KeyError, "nothing"),
    ],
)
def test_bad_run_names(name, error, words):
    @task(task_run_name=name)
    def named():
        return 1

    with pytest.raises(error, match=words):
        named()


@both
async def test_dynamic_names_are_distinct_per_run():
    @task
    async def plain():
        return runtime.task_run.name, TaskRunContext.get().task_run.dynamic_key

    @flow
    async def parent():
        return [await plain(), await plain(), plain.submit().result()]

    rows = await parent()
    assert len({key for _, key in rows}) == 3


@both
async def test_tags_come_from_the_decorator_the_context_and_the_flow():
    @task(tags=["own"])
    async def seen():
        return sorted(runtime.task_run.tags)

    @flow
    async def child():
        return sorted(runtime.flow_run.tags)

    @flow
    async def parent():
        with tags("inner"):
            return await seen(), seen.submit().result(), await child(), sorted(runtime.flow_run.tags)

    with tags("outer", "more"):
        direct, submitted, below, own = await parent()
    assert direct == submitted == ["inner", "more", "outer", "own"]
    assert below == ["inner", "more", "outer"]
    assert own == ["more", "outer"]


# --- what a task can be -------------------------------------------------------------------------


@both
async def test_methods_as_tasks():
    class Thing:
        factor = 10

        @task
        async def method(self, x):
            return self.factor * x

        @task
        @classmethod
        async def klass(cls, x):
            return cls.__name__, x

        @task
        @staticmethod
        async def static(x):
            return x

    thing = Thing()

    @flow
    async def parent():
        return [
            await thing.method(2),
            thing.method.submit(3).result(),
            thing.method.map([1, 2]).result(),
            await Thing.klass(4),
            await Thing.static(5),
        ]

    assert await parent() == [20, 30, [10, 20], ("Thing", 4), 5]
    assert (thing.method.ismethod, Thing.klass.isclassmethod, Thing.static.isstaticmethod) == (True, True, True)


@both
async def test_generator_tasks(calls: Calls):
    @task
    async def count(n):
        for i in range(n):
            calls(i)
            yield i

    @flow
    async def parent():
        generator = count(3)
        assert await anext(generator) == 0
        assert calls == [0]
        rest = await acollect(generator)
        if PEER and MODE == "async":  # the peer cannot submit async generators
            return rest, [0, 1], "Completed"
        submitted = count.submit(2)
        return rest, submitted.result(), submitted.state.name

    assert await parent() == ([1, 2], [0, 1], "Completed")


@both
async def test_generator_tasks_that_fail():
    @task
    async def count():
        yield 1
        raise Boom("midway")

    generator = count()
    assert await anext(generator) == 1
    with pytest.raises(Boom, match="midway"):
        await anext(generator)


@both
async def test_futures_given_to_generator_tasks_are_resolved():
    @task
    async def one():
        return 3

    @task
    async def count(n):
        for i in range(n):
            yield i

    @flow
    async def parent():
        return await acollect(count(one.submit()))

    assert await parent() == [0, 1, 2]


# --- timeouts -----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("how", ["call", "submit"])
async def test_timeouts_of_tasks(how):
    @task(timeout_seconds=0.1)
    async def slow():
        for _ in range(100):
            await asleep(0.02)

    @flow
    async def parent():
        state = await slow(return_state=True) if how == "call" else slow.submit(return_state=True)
        return {"state": state}

    began = time.monotonic()
    state = (await parent())["state"]
    assert time.monotonic() - began < 20
    assert (state.type.value, state.name) == ("FAILED", "TimedOut")
    assert state.message == "Task run exceeded timeout of 0.1 second(s)"
    with pytest.raises(TimeoutError):
        await state.aresult()


@both
async def test_a_timeout_error_raised_by_the_user_is_not_a_timeout():
    @task(timeout_seconds=60)
    async def raises():
        raise TimeoutError("mine")

    state = await raises(return_state=True)
    assert state.type.value == "FAILED"
    with pytest.raises(TimeoutError, match="mine"):
        await state.aresult()


@both
async def test_fast_tasks_do_not_time_out():
    @task(timeout_seconds=30)
    async def fast():
        return "ok"

    @flow
    async def parent():
        return await fast(), fast.submit().result()

    assert await parent() == ("ok", "ok")


def test_submitted_tasks_run_in_other_threads():
    @task
    def where():
        return threading.get_ident()

    @flow
    def parent():
        return where(), where.submit().result()

    direct, submitted = parent()
    assert direct == threading.get_ident() != submitted
