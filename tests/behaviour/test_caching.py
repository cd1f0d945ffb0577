"""Caching: policies and their algebra, key functions, expiration, refresh, and what cannot be hashed."""

import datetime
import threading
import uuid

import pytest

from prefect import flow, runtime, task
from prefect.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
    CompoundCachePolicy,
)
from prefect.locking.memory import MemoryLockManager
from prefect.tasks import task_input_hash
from prefect.transactions import IsolationLevel

from .support import PEER, Boom, Calls, both, ours_better

pytestmark = pytest.mark.usefixtures("storage")


@both
async def test_nothing_is_cached_unless_results_are_persisted(calls: Calls):
    @task
    async def work(x):
        return calls(x)

    @flow
    async def parent():
        return [await work(1), await work(1)]

    assert await parent() == [1, 2]


@both
async def test_default_policy_is_inputs_source_and_run(calls: Calls):
    @task(persist_result=True)
    async def work(x):
        calls(x)
        return x

    @flow
    async def parent():
        states = [await work(1, return_state=True), await work(1, return_state=True), await work(2, return_state=True)]
        return [(s.name, s.type.value, await s.aresult()) for s in states]

    expected = [("Completed", "COMPLETED", 1), ("Cached", "COMPLETED", 1), ("Completed", "COMPLETED", 2)]
    assert await parent() == expected
    assert await parent() == expected, "another run of the flow has its own cache"
    assert calls == [1, 2, 1, 2]


POLICIES = [
    # policy, inputs of two calls, in the same flow run?, cached?
    (INPUTS, (1, 1), False, True),
    (INPUTS, (1, 2), False, False),
    (INPUTS + TASK_SOURCE, (1, 1), False, True),
    (TASK_SOURCE, (1, 2), False, True),
    (RUN_ID, (1, 2), True, True),
    (RUN_ID, (1, 1), False, False),
    (INPUTS + RUN_ID, (1, 2), True, False),
    (INPUTS + RUN_ID, (1, 1), False, False),
    (INPUTS - "x", (1, 2), False, True),
    (INPUTS - "y", (1, 2), False, False),
    (INPUTS - "x" - "y", (1, 2), False, True),
    (FLOW_PARAMETERS, (1, 2), False, True),
    (NO_CACHE, (1, 1), True, False),
    (NONE, (1, 1), True, False),
    (DEFAULT, (1, 1), True, True),
    (DEFAULT, (1, 1), False, False),
    (DEFAULT - "x", (1, 2), True, True),
    (NO_CACHE + INPUTS, (1, 1), False, True),
]


@both
@pytest.mark.parametrize("number", range(len(POLICIES)))
@pytest.mark.parametrize("how", ["call", "submit"])
async def test_policies(number, how, calls: Calls):
    policy, inputs, together, cached = POLICIES[number]
    salt = uuid.uuid4().hex

    @task(cache_policy=policy, persist_result=True)
    async def work(x, y):
        calls(x)
        return x

    @flow
    async def parent(values, flag=salt):
        for x in values:
            await work(x, salt) if how == "call" else work.submit(x, salt).wait()

    if together:
        await parent(inputs)
    elif policy is FLOW_PARAMETERS:
        await parent([inputs[0]])
        await parent([inputs[0]])
    else:
        await parent([inputs[0]])
        await parent([inputs[1]])
    assert len(calls) == (1 if cached else 2)


@both
async def test_a_policy_or_key_function_turns_persistence_on(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS)
    async def by_policy(x):
        return calls(x)

    @task(cache_key_fn=lambda context, parameters: salt)
    async def by_key(x):
        return calls(x)

    assert [await by_policy(salt), await by_policy(salt)] == [1, 1]
    assert [await by_key(1), await by_key(2)] == [2, 2]


@both
async def test_key_functions_get_context_and_parameters(calls: Calls):
    salt = uuid.uuid4().hex

    def key(context, parameters):
        calls((context.task.name, context.task_run.name, parameters))
        return f"{salt}-{parameters['x'] % 2}"

    @task(cache_key_fn=key, task_run_name="named")
    async def work(x, y=5):
        return x

    assert [await work(1), await work(2), await work(3)] == [1, 2, 1]
    assert calls[0] == ("work", "named", {"x": 1, "y": 5}) or calls[0][::2] == ("work", {"x": 1, "y": 5})


@both
async def test_a_key_function_that_gives_none_does_not_cache(calls: Calls):
    @task(cache_key_fn=lambda context, parameters: None, persist_result=True)
    async def work():
        return calls()

    assert [await work(), await work()] == [1, 2]


@both
async def test_the_classic_input_hash(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_key_fn=task_input_hash)
    async def work(x, y):
        return calls()

    assert [await work(1, salt), await work(1, salt), await work(2, salt)] == [1, 1, 2]


@both
async def test_expiration(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS, cache_expiration=datetime.timedelta(hours=1))
    async def lasting(x):
        return calls()

    @task(cache_policy=INPUTS, cache_expiration=datetime.timedelta(seconds=-1))
    async def expired(x):
        return calls()

    assert [await lasting(salt), await lasting(salt)] == [1, 1]
    assert [await expired(salt + "e"), await expired(salt + "e")] == [2, 3]


@both
async def test_refresh(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS)
    async def work(x):
        return calls()

    fresh = work.with_options(refresh_cache=True)
    assert [await work(salt), await work(salt), await fresh(salt), await work(salt)] == [1, 1, 2, 2]


@both
async def test_failures_are_not_cached(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS)
    async def flaky(x):
        if calls() < 2:
            raise Boom
        return "good"

    assert (await flaky(salt, return_state=True)).is_failed()
    assert await flaky(salt) == "good"
    assert (await flaky(salt, return_state=True)).name == "Cached"
    assert len(calls) == 2


@both
async def test_cached_values_may_be_anything_picklable(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS)
    async def work(x, salt):
        calls()
        return x

    for value in (None, 0, "", [], {"a": {1, 2}}, b"bytes", 1.5, datetime.date(2020, 1, 1), (1, (2,))):
        calls.clear()
        tag = f"{salt}-{value!r}"
        assert await work(value, tag) == value
        state = await work(value, tag, return_state=True)
        assert (await state.aresult(), state.name, len(calls)) == (value, "Cached", 1)


@both
async def test_two_tasks_with_the_same_inputs_do_not_share_under_source(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS + TASK_SOURCE)
    async def one(x):
        return "one"

    @task(cache_policy=INPUTS + TASK_SOURCE)
    async def two(x):
        return "two"

    assert (await one(salt), await two(salt)) == ("one", "two")


@both
async def test_inputs_that_cannot_be_hashed_cost_the_cache_and_not_the_run(calls: Calls, logs, storage):
    lock = threading.Lock()

    @task(cache_policy=INPUTS)
    async def explicit(good, culprit):
        return calls()

    @task(persist_result=True)
    async def by_default(good, culprit):
        return calls()

    @flow
    async def parent():
        return [await explicit(1, lock), await explicit(1, lock), await by_default(1, lock), await by_default(1, lock)]

    assert await parent() == [1, 2, 3, 4]
    assert not storage.exists() or not list(storage.iterdir())
    told = [record.getMessage() for record in logs.records if record.levelname == "ERROR"]
    assert len(told) == 4
    for message in told:
        assert message.startswith("Error encountered when computing cache key - result will not be persisted.")
        assert PEER or ("'culprit'" in message and "INPUTS - 'culprit'" in message)


@both
@pytest.mark.parametrize("key", [lambda context, arguments: 1 / 0, lambda context, arguments: {}["missing"]])
async def test_a_key_function_that_raises_costs_the_cache_and_not_the_run(key, calls: Calls, logs):
    @task(cache_key_fn=key)
    async def work(x):
        return calls()

    assert [await work(1), await work(1)] == [1, 2]
    told = [record for record in logs.records if record.levelname == "ERROR"]
    assert len(told) == 2 and all("computing cache key" in record.getMessage() for record in told)
    assert all(record.exc_info and record.exc_info[0] in (ZeroDivisionError, KeyError) for record in told)


@both
@ours_better("fails the run: the key is no text")
async def test_a_key_that_is_not_text_costs_the_cache_and_not_the_run(calls: Calls, logs):
    @task(cache_key_fn=lambda context, arguments: arguments["x"])
    async def work(x):
        return calls()

    assert [await work(17), await work(17)] == [1, 2]
    told = [record.getMessage() for record in logs.records if record.levelname == "ERROR"]
    assert len(told) == 2 and all("17, of type int" in message and "text" in message for message in told)


@both
async def test_inputs_that_cannot_be_hashed_do_not_matter_without_persistence():
    lock = threading.Lock()

    @task
    async def work(culprit):
        return "fine"

    assert await work(lock) == "fine"


@both
async def test_cached_results_of_a_flow_argument(calls: Calls):
    """The same value by another route (future, default, keyword) has the same key."""
    salt = uuid.uuid4().hex

    @task
    async def gives(x):
        return x

    @task(cache_policy=INPUTS)
    async def work(a, b=3):
        return calls()

    @flow
    async def parent():
        return [
            await work(salt),
            await work(a=salt, b=3),
            await work(gives.submit(salt)),
            work.submit(salt, 3).result(),
        ]

    assert await parent() == [1, 1, 1, 1]


# --- algebra ------------------------------------------------------------------------------------


def test_policies_compose():
    assert isinstance(INPUTS + TASK_SOURCE, CompoundCachePolicy)
    assert isinstance(INPUTS, CachePolicy) and isinstance(DEFAULT, CachePolicy)
    assert INPUTS + NO_CACHE == INPUTS
    assert CachePolicy.from_cache_key_fn(lambda c, p: "k") != INPUTS
    assert isinstance(CachePolicy.from_cache_key_fn(lambda c, p: "k"), CacheKeyFnPolicy)
    assert INPUTS - "x" != INPUTS
    assert NO_CACHE is NONE or NO_CACHE == NONE


@pytest.mark.parametrize(
    "policy, first, second, same",
    [
        (INPUTS, {"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        (INPUTS, {"a": 1}, {"a": 2}, False),
        (INPUTS, {"a": {1, 2, 3}}, {"a": {3, 2, 1}}, True),
        (INPUTS, {"a": [1, 2]}, {"a": [2, 1]}, False),
        (INPUTS - "b", {"a": 1, "b": 2}, {"a": 1, "b": 3}, True),
        (INPUTS, {"a": "1"}, {"a": 1}, False),
        (INPUTS, {"a": None}, {"a": 0}, False),
    ],
)
def test_keys_of_inputs(policy, first, second, same):
    def key(inputs):
        return policy.compute_key(task_ctx=None, inputs=inputs, flow_parameters={})

    assert key(first) and isinstance(key(first), str)
    assert (key(first) == key(second)) is same


def test_keys_of_nothing():
    assert INPUTS.compute_key(task_ctx=None, inputs={}, flow_parameters={}) is None
    assert NO_CACHE.compute_key(task_ctx=None, inputs={"a": 1}, flow_parameters={}) is None


def test_configure_copies():
    manager = MemoryLockManager()
    configured = INPUTS.configure(
        key_storage="somewhere", lock_manager=manager, isolation_level=IsolationLevel.SERIALIZABLE
    )
    assert (configured.key_storage, configured.lock_manager) == ("somewhere", manager)
    assert configured.isolation_level == IsolationLevel.SERIALIZABLE
    assert (INPUTS.key_storage, INPUTS.lock_manager, INPUTS.isolation_level) == (None, None, None)
    both_of = configured + TASK_SOURCE
    assert both_of.key_storage == "somewhere"
    with pytest.raises(ValueError, match=r"key storage|storage locations"):
        configured + TASK_SOURCE.configure(key_storage="elsewhere")


@both
async def test_a_key_function_wins_over_a_policy(calls: Calls):
    salt = uuid.uuid4().hex

    @task(cache_key_fn=lambda context, parameters: salt, cache_policy=INPUTS)
    async def work(x):
        return calls()

    assert [await work(1), await work(2)] == [1, 1]


@both
async def test_a_policy_without_persistence_does_nothing(calls: Calls):
    @task(cache_policy=INPUTS, persist_result=False)
    async def work(x):
        return calls()

    assert [await work(1), await work(1)] == [1, 2]


@both
async def test_key_storage_in_a_directory_of_its_own(tmp_path, calls: Calls):
    keys = tmp_path / "keys"

    @task(cache_policy=INPUTS.configure(key_storage=keys), persist_result=True)
    async def work(x):
        return calls()

    assert [await work("a"), await work("a")] == [1, 1]
    assert len(list(keys.iterdir())) == 1


@ours_better("the peer now and then loses the lock of a run: No lock held by ... for transaction")
def test_serializable_runs_the_work_once(calls: Calls):
    policy = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=MemoryLockManager())
    salt = uuid.uuid4().hex

    @task(cache_policy=policy, persist_result=True)
    def work(x):
        return calls()

    @flow
    def parent():
        return work.map([salt] * 5).result()

    assert parent() == [1] * 5


@both
async def test_run_count_of_a_cached_run():
    salt = uuid.uuid4().hex

    @task(cache_policy=INPUTS)
    async def work(x):
        return str(runtime.task_run.id)

    first = await work(salt, return_state=True)
    second = await work(salt, return_state=True)
    assert await first.aresult() == await second.aresult()
    assert second.state_details.task_run_id != first.state_details.task_run_id
