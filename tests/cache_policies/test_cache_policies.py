"""Cache policies: their keys, their algebra, their errors."""

import inspect
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from prefect import flow, task
from prefect.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    TASK_SOURCE,
    CachePolicy,
    CompoundCachePolicy,
    Inputs,
)
from prefect.locking.filesystem import FileSystemLockManager
from prefect.locking.memory import MemoryLockManager
from prefect.settings import PREFECT_TASKS_DEFAULT_NO_CACHE, PREFECT_TASKS_DISABLE_CACHING, temporary_settings
from prefect.utilities.hashing import hash_objects


def work(a, b=2):
    return a


FLOW_RUN = uuid.UUID(int=2)


def context(fn=work, flow_run_id=FLOW_RUN):
    return SimpleNamespace(
        task=SimpleNamespace(fn=fn, task_key="work-abc"),
        task_run=SimpleNamespace(id=uuid.UUID(int=1), flow_run_id=flow_run_id),
        parameters={},
    )


def key(policy, inputs=None, parameters=None, ctx=None):
    return policy.compute_key(ctx or context(), inputs or {}, parameters or {})


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fixed_keys():
    assert key(INPUTS, {"a": 1, "b": [2]}) == key(INPUTS, {"b": [2], "a": 1}) == "1f7c10a488616444125536e5fa2eb34b"
    assert key(FLOW_PARAMETERS, parameters={"p": 1}) == "06dc798be0f001cf8fcb541801a2ea6d"
    assert key(RUN_ID) == "00000000-0000-0000-0000-000000000002"


def test_source():
    assert key(TASK_SOURCE) == hash_objects(inspect.getsource(work))


def test_source_of_code_without_text():
    namespace = {}
    exec("def made(x): return x", namespace)
    made = namespace["made"]
    assert key(TASK_SOURCE, ctx=context(made)) == hash_objects(made.__code__.co_code)


def test_source_of_a_builtin():
    assert key(TASK_SOURCE, ctx=context(print)) is None


def test_run_outside_a_flow():
    assert key(RUN_ID, ctx=context(flow_run_id=None)) == "00000000-0000-0000-0000-000000000001"


def test_nothing_to_make_a_key_of():
    assert key(INPUTS) is None
    assert INPUTS.compute_key(context(), None, None) is None
    assert key(FLOW_PARAMETERS) is None
    assert key(CompoundCachePolicy(policies=[])) is None


def test_leaving_all_inputs_out_gives_one_key_for_each_task():
    assert key(INPUTS - "a", {"a": 1}) == key(INPUTS - "a", {"a": 2}) == key(INPUTS - "a" - "b", {"a": 1, "b": 2})
    assert key(INPUTS - "a", {"a": 1}) is not None


def test_no_cache():
    assert NONE is NO_CACHE
    assert key(NO_CACHE, {"a": 1}) is None


def test_key_function():
    policy = CachePolicy.from_cache_key_fn(lambda ctx, inputs: f"{ctx.task.task_key}-{inputs['a']}")
    assert key(policy, {"a": 5}) == "work-abc-5"


def test_base_has_no_key():
    with pytest.raises(NotImplementedError, match="CachePolicy"):
        key(CachePolicy())


def test_compound_key_is_the_hash_of_the_keys():
    a = {"a": 1}
    assert key(TASK_SOURCE + INPUTS, a) == hash_objects(key(TASK_SOURCE), key(INPUTS, a))
    assert key(INPUTS + TASK_SOURCE, a) == key(TASK_SOURCE + INPUTS, a)
    assert key(DEFAULT, a) == hash_objects(key(TASK_SOURCE), key(RUN_ID), key(INPUTS, a))


def test_compound_leaves_out_keys_that_are_none():
    policy = CachePolicy.from_cache_key_fn(lambda ctx, inputs: None) + INPUTS
    assert key(policy, {"a": 1}) == hash_objects(key(INPUTS, {"a": 1})) == "8d16e647d8505c0a4a0794f56853c79e"


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text(), min_size=1), st.data())
def test_excluded_inputs_do_not_matter(inputs, data):
    name = data.draw(st.sampled_from(sorted(inputs)))
    others = {other: value for other, value in inputs.items() if other != name}
    if others:
        assert key(INPUTS - name, inputs) == key(INPUTS, others)
    else:
        assert key(INPUTS - name, inputs) == key(INPUTS - name, {name: object})


def test_key_is_the_same_in_another_process():
    code = (
        "from prefect.cache_policies import INPUTS\n"
        "print(INPUTS.compute_key(None, {'a': {'x', 'y', 'z'}, 'f': print, 'c': Exception}, {}))"
    )
    run = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert run[0] == run[1] != ""


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", [INPUTS, TASK_SOURCE + INPUTS, DEFAULT])
def test_input_that_cannot_be_hashed(policy):
    with pytest.raises(ValueError, match=r"input 'b', of type 'dict'.*b\['conn'\], of type _thread\.lock") as caught:
        key(policy, {"a": 1, "b": {"conn": threading.Lock()}})
    for advice in ("INPUTS - 'b'", "cache_key_fn", "NO_CACHE"):
        assert advice in str(caught.value)


def test_flow_parameter_that_cannot_be_hashed():
    with pytest.raises(ValueError, match="flow parameter 'p'"):
        key(FLOW_PARAMETERS, parameters={"p": threading.Lock()})


# ── algebra ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def kinds(policy):
    return [type(part).__name__ for part in policy.policies]


def test_add():
    assert kinds(INPUTS + TASK_SOURCE + RUN_ID) == ["TaskSource", "RunId", "Inputs"]
    assert kinds((INPUTS + TASK_SOURCE) + (RUN_ID + FLOW_PARAMETERS)) == [
        "TaskSource", "RunId", "FlowParameters", "Inputs",
    ]  # fmt: skip
    assert kinds(INPUTS + INPUTS) == ["Inputs"]
    assert kinds(DEFAULT) == ["TaskSource", "RunId", "Inputs"]


def test_add_no_cache():
    assert INPUTS + NO_CACHE is INPUTS
    assert NO_CACHE + INPUTS is INPUTS


def test_add_merges_what_is_excluded():
    merged = (INPUTS - "a") + (INPUTS - "b" - "a")
    assert merged.policies == [Inputs(exclude=["a", "b"])]


def test_add_something_else():
    with pytest.raises(TypeError, match="int"):
        INPUTS + 3


def test_subtract():
    assert (INPUTS - "a" - "b").exclude == ["a", "b"]
    assert INPUTS.exclude == []
    assert (DEFAULT - "a").policies[-1].exclude == ["a"]
    assert DEFAULT.policies[-1].exclude == []
    assert TASK_SOURCE - "a" == TASK_SOURCE
    assert NO_CACHE - "a" is NO_CACHE
    with pytest.raises(TypeError, match="name of an input"):
        INPUTS - 1


def test_configure_makes_a_copy():
    configured = INPUTS.configure(key_storage="/keys", isolation_level="SERIALIZABLE")
    assert configured is not INPUTS
    assert (configured.key_storage, configured.isolation_level) == ("/keys", "SERIALIZABLE")
    assert INPUTS.key_storage is None
    again = configured.configure(lock_manager=MemoryLockManager())
    assert (again.key_storage, again.lock_manager) == ("/keys", MemoryLockManager())


def test_options_are_kept_when_adding():
    for policy in (INPUTS.configure(key_storage="/k") + TASK_SOURCE, TASK_SOURCE + INPUTS.configure(key_storage="/k")):
        assert policy.key_storage == "/k"
        assert (policy - "a").key_storage == "/k"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"key_storage": "/x"}, {"key_storage": "/y"}, "storage locations"),
        ({"isolation_level": "SERIALIZABLE"}, {"isolation_level": "READ_COMMITTED"}, "isolation levels"),
        (
            {"lock_manager": MemoryLockManager()},
            {"lock_manager": FileSystemLockManager(Path("/x"))},
            "lock managers",
        ),
    ],
)
def test_conflicting_options(first, second, words):
    with pytest.raises(ValueError, match=words):
        INPUTS.configure(**first) + TASK_SOURCE.configure(**second)
    assert INPUTS.configure(**first) + TASK_SOURCE.configure(**first)


def test_equality_and_hash():
    assert Inputs() == INPUTS != TASK_SOURCE
    assert Inputs(exclude=["a"]) != INPUTS
    assert INPUTS + TASK_SOURCE == TASK_SOURCE + INPUTS
    assert len({INPUTS, Inputs(), TASK_SOURCE}) == 2
    assert "exclude=['a']" in repr(INPUTS - "a")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, {"own": "Cached", "by key": "Cached", "default": "Cached"}),
        (PREFECT_TASKS_DEFAULT_NO_CACHE, {"own": "Cached", "by key": "Cached", "default": "Completed"}),
        (PREFECT_TASKS_DISABLE_CACHING, {"own": "Completed", "by key": "Completed", "default": "Completed"}),
    ],
)
def test_settings_turn_caching_off(home, setting, expected):
    @task(cache_policy=INPUTS, persist_result=True)
    def own(x): ...

    @task(cache_key_fn=lambda *_: "key")
    def by_key(x): ...

    @task(persist_result=True)
    def default(x): ...

    @flow
    def twice():
        return [each(1, return_state=True).name for _ in range(2) for each in (own, by_key, default)]

    with temporary_settings({setting: True} if setting is not None else {}):
        assert twice()[3:] == list(expected.values())
    with temporary_settings({}):  # it is asked when a task runs, and not remembered
        assert twice()[3:] == ["Cached"] * 3
