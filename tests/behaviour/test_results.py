"""Results: where and how they are kept, serializers, storage keys, reading them later, what is missing."""

import json
import uuid
from pathlib import Path

import pytest

from prefect import flow, runtime, task
from prefect.exceptions import MissingResult, SerializationError
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore, get_result_store, should_persist_result
from prefect.serializers import CompressedSerializer, JSONSerializer, PickleSerializer
from prefect.settings import (
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    PREFECT_TASKS_DEFAULT_PERSIST_RESULT,
    temporary_settings,
)

from .support import Calls, both


def files(path: Path) -> list[str]:
    return sorted(p.name for p in path.rglob("*") if p.is_file()) if path.exists() else []


PERSIST = [
    # flow option, task option, is the flow's result kept, is the task's result kept
    (None, None, False, False),
    (True, None, True, True),
    (False, True, False, True),
    (True, False, True, False),
    (None, True, False, True),
]


@both
@pytest.mark.parametrize("for_flow, for_task, flow_kept, task_kept", PERSIST)
async def test_who_persists(for_flow, for_task, flow_kept, task_kept, storage):
    @task(persist_result=for_task)
    async def plain():
        return 1, should_persist_result()

    @flow(persist_result=for_flow)
    async def outer():
        return (await plain())[1], should_persist_result()

    assert await outer() == (task_kept, flow_kept)
    assert len(files(storage)) == int(flow_kept) + int(task_kept)


@both
async def test_settings_turn_persistence_on(storage):
    @task
    async def inner():
        return should_persist_result()

    @flow
    async def outer():
        return await inner(), should_persist_result()

    with temporary_settings(updates={PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        assert await outer() == (True, True)
    with temporary_settings(updates={PREFECT_TASKS_DEFAULT_PERSIST_RESULT: True}):
        assert await outer() == (True, False)
    assert await outer() == (False, False)


@both
async def test_storage_keys(storage):
    @task(persist_result=True, result_storage_key="fixed-key")
    async def fixed():
        return 1

    @task(persist_result=True, result_storage_key="{task_run.task_name}-{parameters[x]}-{flow_run.name}.bin")
    async def template(x):
        return x

    @flow(flow_run_name="the-run")
    async def outer():
        await fixed()
        await template("a")
        template.submit("b").wait()

    await outer()
    assert files(storage) == ["fixed-key", "template-a-the-run.bin", "template-b-the-run.bin"]


@both
async def test_a_stored_record_can_be_read_by_its_key(storage):
    key = uuid.uuid4().hex

    @task(persist_result=True, result_storage_key=key)
    async def fixed():
        return {"a": [1, 2]}

    await fixed()
    record = ResultStore().read(key)
    assert record.result == {"a": [1, 2]}
    assert record.metadata.storage_key.endswith(key)


@both
async def test_a_result_storage_key_makes_the_run_cached(storage, calls: Calls):
    @task(persist_result=True, result_storage_key="same")
    async def fixed(x):
        calls()
        return x

    first, second = await fixed(1, return_state=True), await fixed(2, return_state=True)
    assert (first.name, second.name) in (("Completed", "Cached"), ("Completed", "Completed"))
    assert len(files(storage)) == 1


SERIALIZERS = [
    "pickle",
    "json",
    "compressed/pickle",
    "compressed/json",
    JSONSerializer(),
    PickleSerializer(),
    CompressedSerializer(serializer="json", compressionlib="zlib"),
]


@both
@pytest.mark.parametrize("number", range(len(SERIALIZERS)))
async def test_serializers(number, storage):
    @task(persist_result=True, result_serializer=SERIALIZERS[number], result_storage_key="r")
    async def inner():
        return {"a": [1, None, "é"], "b": 2.5}

    @flow(persist_result=True, result_serializer=SERIALIZERS[number])
    async def outer():
        return await inner()

    state = await outer(return_state=True)
    assert await state.aresult() == {"a": [1, None, "é"], "b": 2.5}
    kept = json.loads((storage / "r").read_text())
    assert kept["metadata"]["storage_key"].endswith("r")
    assert ResultStore().read("r").result == {"a": [1, None, "é"], "b": 2.5}


@both
async def test_json_results_are_plain_text(storage):
    @task(persist_result=True, result_serializer="json", result_storage_key="r")
    async def inner():
        return {"a": 1}

    await inner()
    assert json.loads(json.loads((storage / "r").read_text())["result"]) == {"a": 1}


@both
async def test_a_block_as_storage_works_or_must_be_saved_first(tmp_path):
    block = LocalFileSystem(basepath=str(tmp_path / "own"))

    try:

        @task(persist_result=True, result_storage=block, result_storage_key="r")
        async def inner():
            return 1

        assert await inner() == 1
    except TypeError as error:
        assert ".save()" in str(error)
    else:
        assert files(tmp_path / "own") == ["r"]


@both
async def test_storage_as_a_path(tmp_path):
    @task(persist_result=True, result_storage=tmp_path / "own", result_storage_key="r")
    async def inner():
        return 1

    assert await inner() == 1
    assert files(tmp_path / "own") == ["r"]


@both
async def test_results_outlive_the_memory_cache(storage):
    @flow(persist_result=True, cache_result_in_memory=False)
    async def outer():
        return {"big": 1}

    state = await outer(return_state=True)
    assert await state.aresult() == {"big": 1}


@both
async def test_a_deleted_result_is_missing(storage):
    @flow(persist_result=True, cache_result_in_memory=False)
    async def outer():
        return 1

    state = await outer(return_state=True)
    path = next(p for p in storage.rglob("*") if p.is_file())
    path.unlink()
    if hasattr(state.data, "metadata") and not hasattr(state.data, "result"):
        with pytest.raises((MissingResult, FileNotFoundError, ValueError)):
            await state.aresult(retry_result_failure=False)


@both
async def test_a_result_that_cannot_be_serialized_fails_or_is_left_out(storage, logs):
    @task(persist_result=True, result_serializer="json")
    async def inner():
        return object()

    state = await inner(return_state=True)
    if state.is_completed():
        assert any("serialize" in text.lower() for text in logs.messages)
    else:
        with pytest.raises((SerializationError, TypeError, ValueError)):
            await state.aresult()


@both
async def test_none_is_a_result(storage):
    @task(persist_result=True)
    async def inner():
        return None

    state = await inner(return_state=True)
    assert await state.aresult() is None
    assert len(files(storage)) == 1


@both
async def test_generators_and_failures_keep_nothing(storage):
    @task(persist_result=True)
    async def bad():
        raise ValueError

    await bad(return_state=True)
    assert len(files(storage)) <= 1


@both
async def test_the_store_of_a_run(storage):
    @task(persist_result=True, result_serializer="json")
    async def inner():
        return type(get_result_store().serializer).__name__, get_result_store().cache_result_in_memory

    @flow(persist_result=True, result_serializer="compressed/json")
    async def outer():
        return type(get_result_store().serializer).__name__, await inner()

    name, (inner_name, cached) = await outer()
    assert name.startswith("Compressed") and inner_name == "JSONSerializer" and cached is True


@both
async def test_tasks_inherit_serializer_and_storage_from_the_flow(tmp_path):
    @task(result_storage_key="r-{task_run.name}", task_run_name="n")
    async def inner():
        return type(get_result_store().serializer).__name__

    @flow(persist_result=True, result_serializer="json", result_storage=tmp_path)
    async def outer():
        return await inner()

    assert await outer() == "JSONSerializer"
    assert "r-n" in files(tmp_path)


def test_a_store_by_hand(storage):
    store = ResultStore()
    store.write({"a": 1}, key="k")
    assert store.exists("k") and not store.exists("other")
    assert store.read("k").result == {"a": 1}
    assert files(storage) == ["k"]


@both
async def test_run_names_and_ids_are_available_when_keys_are_made(storage):
    @task(persist_result=True, result_storage_key="{task_run.id}")
    async def inner():
        return str(runtime.task_run.id)

    assert [await inner()] == files(storage)
