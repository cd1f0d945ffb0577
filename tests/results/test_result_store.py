"""The result store: what is written comes back, from the places and in the form that are promised."""

import asyncio
import datetime
import inspect
import json
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from prefect import task
from prefect.cache_policies import INPUTS
from prefect.exceptions import ConfigurationError, SerializationError
from prefect.filesystems import LocalFileSystem, NullFileSystem, RemoteFileSystem, WritableFileSystem
from prefect.locking.memory import MemoryLockManager
from prefect.results import (
    DEFAULT_STORAGE_KEY_FN,
    ResultRecord,
    ResultRecordMetadata,
    ResultStore,
    aget_default_result_storage,
    aresolve_result_storage,
    default_cache,
    get_default_persist_setting,
    get_default_persist_setting_for_tasks,
    get_default_result_serializer,
    get_default_result_storage,
    get_or_create_default_task_scheduling_storage,
    get_result_store,
    resolve_result_storage,
    resolve_serializer,
    result_storage_discriminator,
    should_persist_result,
)
from prefect.serializers import JSONSerializer, PickleSerializer, Serializer
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, PREFECT_RESULTS_PERSIST_BY_DEFAULT, temporary_settings
from prefect.transactions import IsolationLevel, transaction

UTC = datetime.UTC
PAST = datetime.datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime.datetime(2999, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)


class AsyncOnly(WritableFileSystem):
    """A file system whose methods are only asynchronous, as integrations may write them."""

    _block_type_slug = "test-async-only"
    files: dict[str, bytes] = {}

    async def read_path(self, path):
        await asyncio.sleep(0)
        return self.files[path]

    async def write_path(self, path, content):
        await asyncio.sleep(0)
        self.files[path] = content


class SyncOnly(WritableFileSystem):
    _block_type_slug = "test-sync-only"
    files: dict[str, bytes] = {}

    def read_path(self, path):
        return self.files[path]

    def write_path(self, path, content):
        self.files[path] = content


@pytest.fixture(params=["sync", "async"])
def call(request):
    """`await call(store, "read", ...)` by the synchronous or asynchronous method, in a running loop in both cases."""

    async def call_(store, method, *args, **kwargs):
        name = method if request.param == "sync" else f"a{method}"
        result = getattr(store, name)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return call_


@pytest.fixture
def storage(tmp_path):
    return LocalFileSystem(basepath=str(tmp_path / "results"))


@pytest.fixture
def store(storage):
    return ResultStore(result_storage=storage)


def fresh(store, **update):
    """A store of the same kind with nothing at hand."""
    return store.model_copy(update={"cache": default_cache(), **update})


STORAGES = {
    "local": lambda path: LocalFileSystem(basepath=str(path)),
    "path": lambda path: path,
    "text": lambda path: str(path),
    "fsspec": lambda path: RemoteFileSystem(basepath=f"memory://{path.name}"),
    "async": lambda path: AsyncOnly(),
    "sync": lambda path: SyncOnly(),
}


@pytest.mark.parametrize("kind", STORAGES)
@pytest.mark.parametrize("serializer", ["pickle", "json", "compressed/json", PickleSerializer(picklelib="pickle")])
async def test_write_and_read(call, tmp_path, kind, serializer):
    store = ResultStore(result_storage=STORAGES[kind](tmp_path), serializer=serializer, cache_result_in_memory=False)
    assert not await call(store, "exists", "folder/key")
    await call(store, "write", {"a": [1, None]}, key="folder/key", expiration=FUTURE)
    assert await call(store, "exists", "folder/key")
    record = await call(store, "read", "folder/key")
    assert record.result == {"a": [1, None]}
    assert record.expiration == FUTURE
    assert record.is_persisted


# ── the form on disk ────────────────────────────────────────────────────────────────────────────────────────────────


def test_file_of_a_record(store, storage):
    store.write({"a": 1}, key="k1")
    path = f"{storage.basepath}/k1"
    assert Path(path).read_text() == (
        f'{{"metadata":{{"storage_key":"{path}","expiration":null,"serializer":{{"type":"pickle",'
        '"picklelib":"cloudpickle","picklelib_version":null},"prefect_version":"3.8.4","storage_block_id":null},'
        '"result":"gAWVCgAAAAAAAAB9lIwBYZRLAXMu\\n"}'
    )


def test_files_with_metadata_apart(storage, tmp_path):
    apart = LocalFileSystem(basepath=str(tmp_path / "metadata"))
    store = ResultStore(result_storage=storage, metadata_storage=apart)
    store.write([1, 2], key="m1", expiration=PAST)
    assert (tmp_path / "results/m1").read_bytes() == b"gAWVCQAAAAAAAABdlChLAUsCZS4=\n"
    assert json.loads((tmp_path / "metadata/m1").read_bytes()) == {
        "storage_key": str(tmp_path / "results/m1"),
        "expiration": "2020-01-01T00:00:00Z",
        "serializer": {"type": "pickle", "picklelib": "cloudpickle", "picklelib_version": None},
        "prefect_version": "3.8.4",
        "storage_block_id": None,
    }
    assert fresh(store).read("m1").result == [1, 2]


def test_file_without_metadata(storage, tmp_path):
    store = ResultStore(result_storage=storage, metadata_storage=NullFileSystem(), serializer="json")
    record = store.create_result_record({"x": 1}, key="bare")
    store.persist_result_record(record)
    assert (tmp_path / "results/bare").read_bytes() == b'{"x": 1}'
    assert ResultStore.from_metadata(record.metadata).result == {"x": 1}
    assert fresh(store).read("bare").result == {"x": 1}
    assert not fresh(store).exists("bare")


def test_bare_result_that_looks_like_a_record(storage):
    value = {"metadata": {"a": 1}, "result": "text"}
    store = ResultStore(result_storage=storage, metadata_storage=NullFileSystem(), serializer="json")
    store.write(value, key="k")
    assert fresh(store).read("k").result == value


def test_any_bytes_of_a_serializer_can_be_stored(store):
    class Raw(Serializer):
        type: str = "test-raw"

        def dumps(self, obj):
            return obj

        def loads(self, blob):
            return blob

    everything = bytes(range(256))
    store = fresh(store, serializer="test-raw")
    store.write(everything, key="k")
    assert fresh(store).read("k").result == everything


async def test_reading_by_metadata(call, store):
    await call(store, "write", "value", key="k")
    metadata = store.read("k").metadata
    stored = ResultRecordMetadata.load_bytes(metadata.dump_bytes())
    assert stored == metadata
    assert ResultStore.from_metadata(stored).result == "value"
    assert (await ResultStore.afrom_metadata(stored)).result == "value"


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_new_keys(store):
    first, second = (store.create_result_record(1).metadata.storage_key for _ in range(2))
    assert first != second
    assert len(DEFAULT_STORAGE_KEY_FN()) == 32


def test_own_keys(storage):
    store = ResultStore(result_storage=storage, storage_key_fn=lambda: "mine")
    assert store.create_result_record(1).metadata.storage_key == f"{storage.basepath}/mine"


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../outside"])
def test_keys_stay_inside(store, key):
    for attempt in (lambda: store.write(1, key=key), lambda: store.read(key), lambda: store.exists(key)):
        with pytest.raises(ValueError, match="outside of the base path"):
            attempt()


def test_links_stay_inside(store, storage, tmp_path):
    (tmp_path / "secret").write_text("x")
    Path(storage.basepath).mkdir()
    Path(storage.basepath, "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="outside of the base path"):
        store.read("link/secret")
    with pytest.raises(ValueError, match="outside of the base path"):
        store.write(1, key="link/new")


# ── expiration, missing and damaged records ─────────────────────────────────────────────────────────────────────────


async def test_expired_records_do_not_count_but_can_be_read(call, store):
    await call(store, "write", 1, key="k", expiration=PAST)
    for each in (store, fresh(store)):
        assert not await call(each, "exists", "k")
        assert (await call(each, "read", "k")).result == 1


async def test_expired_record_at_hand_that_another_process_has_replaced(call, store):
    await call(store, "write", "old", key="k", expiration=PAST)
    await call(fresh(store), "write", "new", key="k", expiration=FUTURE)
    assert await call(store, "exists", "k")
    assert (await call(store, "read", "k")).result == "new"


async def test_missing_record(call, store):
    with pytest.raises(ValueError, match="nope does not exist"):
        await call(store, "read", "nope")


@pytest.mark.parametrize("content", ["", "{", '{"metadata": 1}', "not a record", '{"storage_key": "x"}'])
def test_damaged_record(store, storage, content):
    Path(storage.basepath).mkdir()
    Path(storage.basepath, "k").write_text(content)
    assert not store.exists("k")
    with pytest.raises(SerializationError, match=r"results/k' cannot be loaded by the serializer 'pickle'"):
        store.read("k")


def test_what_cannot_be_stored(store, storage):
    with pytest.raises(SerializationError, match=r"\['a'\]"):
        store.write({"a": threading.Lock()}, key="k")
    assert not Path(storage.basepath).exists()


def test_serializer_that_fails_in_its_own_way(store):
    class Failing(Serializer):
        type: str = "test-failing"

        def dumps(self, obj):
            raise KeyError("why")

        def loads(self, blob):
            return blob

    with pytest.raises(SerializationError, match=r"'test-failing' cannot store the result, of type 'int'"):
        fresh(store, serializer=Failing()).write(1, key="k")


def test_serializer_that_is_not_known_here(store, storage):
    store.write(1, key="k")
    path = Path(storage.basepath, "k")
    path.write_text(path.read_text().replace('"type":"pickle"', '"type":"from-elsewhere"'))
    assert fresh(store).exists("k")
    with pytest.raises(NotImplementedError, match="from-elsewhere"):
        fresh(store).read("k")


# ── results at hand ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_results_are_kept_at_hand(store, storage):
    store.write(1, key="k")
    Path(storage.basepath, "k").unlink()
    assert store.read("k").result == 1
    assert not store.exists("k")  # who deletes the file wants the work to be done again


def test_results_are_not_kept_at_hand(store, storage):
    store = fresh(store, cache_result_in_memory=False)
    store.write(1, key="k")
    Path(storage.basepath, "k").unlink()
    assert not store.exists("k")


def test_cache_forgets_what_was_used_longest_ago():
    cache = default_cache()
    assert cache.maxsize == 1000
    cache.maxsize = 2
    cache["a"], cache["b"] = 1, 2
    assert cache.find("a") == 1
    cache["c"] = 3
    assert (list(cache), cache.currsize) == (["a", "c"], 2)


def test_pickled_store_leaves_results_behind(store):
    store.write(1, key="k")
    copy = pickle.loads(pickle.dumps(store))
    assert len(copy.cache) == 0
    assert copy.read("k").result == 1


# ── whole or not there ──────────────────────────────────────────────────────────────────────────────────────────────


def test_writers_do_not_disturb_readers(store):
    writer, reader = fresh(store), fresh(store, cache_result_in_memory=False)
    writer.write("x" * 100_000, key="k")
    stop = threading.Event()

    def write():
        while not stop.is_set():
            writer.write("x" * 100_000, key="k")

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert all(reader.read("k").result == "x" * 100_000 for _ in range(100))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [path.name for path in Path(reader.result_storage.basepath).iterdir()] == ["k"]


@pytest.mark.faults
def test_killed_writer_leaves_whole_records(store, storage):
    code = textwrap.dedent(f"""
        import itertools
        from pathlib import Path
        from prefect.results import ResultStore
        store = ResultStore(result_storage=Path({storage.basepath!r}), cache_result_in_memory=False)
        for i in itertools.count():
            store.write("x" * 2_000_000, key="k")
            if i == 0:
                print("one", flush=True)
    """)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "one\n"
        process.kill()
        process.communicate()
        assert fresh(store).read("k").result == "x" * 2_000_000


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def locking(store):
    return fresh(store, lock_manager=MemoryLockManager())


async def test_locks(call, locking):
    assert await call(locking, "acquire_lock", "k", holder="me")
    assert locking.is_locked("k")
    assert locking.is_lock_holder("k", "me")
    assert not await call(locking, "acquire_lock", "k", holder="you", timeout=0)
    assert not await asyncio.wait_for(locking.await_for_lock("k", timeout=0), 5)
    assert not locking.wait_for_lock("k", timeout=0)
    with pytest.raises(RuntimeError, match="locked by another holder"):
        await call(locking, "write", 1, key="k", holder="you")
    await call(locking, "write", 1, key="k", holder="me")
    assert (await call(locking, "read", "k", holder="me")).result == 1
    locking.release_lock("k", "me")
    assert locking.wait_for_lock("k")


async def test_reader_waits_for_the_lock(locking):
    locking.write("old", key="k")
    await locking.aacquire_lock("k", holder="me")
    reader = asyncio.create_task(locking.aread("k"))
    await asyncio.sleep(0)
    await locking.awrite("new", key="k", holder="me")
    assert not reader.done()
    locking.release_lock("k", holder="me")
    assert (await asyncio.wait_for(reader, 10)).result == "new"


def test_store_without_locks(store):
    for attempt in (store.acquire_lock, store.release_lock, store.is_locked, store.is_lock_holder, store.wait_for_lock):
        with pytest.raises(ConfigurationError, match="lock manager"):
            attempt("k")


def test_isolation_levels(store, locking):
    assert store.supports_isolation_level(IsolationLevel.READ_COMMITTED)
    assert not store.supports_isolation_level(IsolationLevel.SERIALIZABLE)
    assert locking.supports_isolation_level(IsolationLevel.SERIALIZABLE)


async def test_default_holder():
    here = ResultStore.generate_default_holder()
    assert here == ResultStore.generate_default_holder()
    assert here != await asyncio.to_thread(ResultStore.generate_default_holder)

    async def task():
        return ResultStore.generate_default_holder()

    assert len({here, *await asyncio.gather(task(), task())}) == 3


# ── stores of flows and tasks ───────────────────────────────────────────────────────────────────────────────────────


def a_flow(**options):
    return SimpleNamespace(
        **{"result_storage": None, "result_serializer": None, "cache_result_in_memory": None, **options}
    )


def a_task(**options):
    return a_flow(**{"result_storage_key": None, "cache_policy": None, **options})


async def test_update_for_flow(call, store, tmp_path):
    flow = a_flow(result_storage=tmp_path, result_serializer="json", cache_result_in_memory=False)
    updated = await call(store, "update_for_flow", flow)
    assert updated.result_storage.basepath == str(tmp_path)
    assert updated.serializer == JSONSerializer()
    assert updated.cache_result_in_memory is False
    assert isinstance(updated.metadata_storage, NullFileSystem)
    same = await call(store, "update_for_flow", a_flow())
    assert same.result_storage == store.result_storage
    assert same.serializer == PickleSerializer()
    assert same.cache is store.cache


async def test_update_for_task(call, store, tmp_path):
    policy = INPUTS.configure(key_storage=str(tmp_path / "keys"), lock_manager=MemoryLockManager())
    task = a_task(cache_policy=policy, result_storage_key=lambda: "made", result_serializer=JSONSerializer())
    updated = await call(store, "update_for_task", task)
    assert updated.metadata_storage.basepath == str(tmp_path / "keys")
    assert updated.lock_manager is MemoryLockManager()
    assert updated.storage_key_fn() == "made"
    assert updated.serializer == JSONSerializer()


async def test_task_in_a_flow_stores_metadata(call, store):
    in_flow = await call(store, "update_for_flow", a_flow())
    in_task = await call(in_flow, "update_for_task", a_task())
    assert in_task.metadata_storage is None
    assert in_flow.with_metadata().metadata_storage is None


def test_key_template_outside_a_run(store):
    updated = store.update_for_task(a_task(result_storage_key="x-{parameters[day]}"))
    with pytest.raises(ValueError, match=r"'x-\{parameters\[day\]\}'.*day"):
        updated.storage_key_fn()


# ── defaults ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_default_storage(tmp_path):
    with temporary_settings({PREFECT_RESULTS_LOCAL_STORAGE_PATH: str(tmp_path / "here")}):
        expected = LocalFileSystem(basepath=str(tmp_path / "here"))
        assert get_default_result_storage() == await aget_default_result_storage() == expected
        assert await get_or_create_default_task_scheduling_storage() == expected
        ResultStore().write(1, key="k")
        assert (tmp_path / "here/k").exists()
        assert get_result_store().read("k").result == 1


def test_fields_of_a_default_store():
    store = ResultStore()
    assert store.result_storage is None
    assert store.metadata_storage is None
    assert store.lock_manager is None
    assert store.result_storage_block_id is None
    assert store.cache_result_in_memory is True
    assert store.serializer == get_default_result_serializer() == PickleSerializer()


def test_persistence_defaults():
    assert (should_persist_result(), get_default_persist_setting(), get_default_persist_setting_for_tasks()) == (
        False, False, False,
    )  # fmt: skip
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        assert should_persist_result()
        assert get_default_persist_setting_for_tasks()


def test_resolve_serializer():
    assert resolve_serializer("json") == JSONSerializer()
    assert resolve_serializer(JSONSerializer(jsonlib="orjson")).jsonlib == "orjson"
    with pytest.raises(ValueError, match="'nope'"):
        resolve_serializer("nope")
    with pytest.raises(TypeError, match="int"):
        resolve_serializer(3)
    with pytest.raises(TypeError, match="int"):
        ResultStore(serializer=3)


async def test_resolve_storage(storage, tmp_path):
    for resolve in (resolve_result_storage, aresolve_result_storage):

        async def resolved(given, resolve=resolve):
            result = resolve(given)
            return await result if inspect.isawaitable(result) else result

        assert await resolved(storage) is storage
        assert await resolved(tmp_path) == LocalFileSystem(basepath=str(tmp_path))
        assert await resolved(str(tmp_path)) == LocalFileSystem(basepath=str(tmp_path))
        for bad, error, words in (
            (3, TypeError, "'int'"),
            ("just-a-name", ValueError, "'just-a-name'"),
            ("a/b/c", ValueError, "'a/b/c'"),
        ):
            with pytest.raises(error, match=words):
                await resolved(bad)


def test_storage_must_be_able_to_store():
    from prefect.blocks.core import Block

    class NoStorage(Block):
        _block_type_slug = "test-no-storage"

    with pytest.raises(TypeError, match="'NoStorage' block cannot store results"):
        resolve_result_storage(NoStorage())


def test_discriminator(storage):
    assert result_storage_discriminator(storage) == "WritableFileSystem"
    assert result_storage_discriminator({"block_type_slug": "local-file-system"}) == "WritableFileSystem"
    assert result_storage_discriminator(NullFileSystem()) == "NullFileSystem"
    assert result_storage_discriminator({}) == "NullFileSystem"
    assert result_storage_discriminator(None) == result_storage_discriminator("x") == "None"


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_record_round_trip():
    record = ResultRecord(ResultRecordMetadata("k", FUTURE, "json"), {"a": {1}})
    assert ResultRecord.deserialize(record.serialize()) == record
    blob, metadata = record.serialize_result(), record.serialize_metadata()
    assert ResultRecord.deserialize_from_result_and_metadata(blob, metadata) == record
    assert pickle.loads(pickle.dumps(record)) == record
    assert record.serializer == JSONSerializer()
    assert record.model_dump(mode="json")["metadata"]["expiration"] == "2999-01-01T01:02:03.456789Z"


def test_record_of_something_else():
    with pytest.raises(ValueError, match="not a result record"):
        ResultRecord.deserialize(b"{}")
    with pytest.raises(ValueError, match="fields"):
        ResultRecordMetadata.model_validate({"nonsense": 1})


def test_metadata_as_a_field_of_a_model():
    from pydantic import BaseModel

    class Holder(BaseModel):
        data: ResultRecordMetadata | None = None

    holder = Holder(data={"storage_key": "k", "serializer": {"type": "json"}, "expiration": "2020-01-01T00:00:00Z"})
    assert holder.data == ResultRecordMetadata("k", PAST, "json")
    assert Holder.model_validate_json(holder.model_dump_json()) == holder
    assert Holder.model_json_schema()["properties"]["data"]


# ── what is imported ────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain_results_import_nothing_heavy(tmp_path):
    code = textwrap.dedent("""
        import sys
        from prefect.results import ResultStore
        store = ResultStore().update_for_flow.__self__
        for serializer in ("pickle", "json"):
            store = ResultStore(serializer=serializer)
            store.write({"a": [1, (2, 3)]}, key=serializer)
            assert ResultStore().read(serializer).result["a"][0] == 1
            assert ResultStore().exists(serializer)
        heavy = ("pydantic", "pydantic_core", "sqlalchemy", "asyncio", "rich", "cloudpickle")
        print([name for name in heavy if name in sys.modules])
    """)
    environment = {"PREFECT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Counting(SyncOnly):
    """A storage where each reading costs."""

    _block_type_slug = "test-counting"
    read: list[str] = []

    def read_path(self, path):
        content = super().read_path(path)
        self.read.append(path)
        return content


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_cached_result_is_read_once(home, in_memory):
    storage = Counting()

    @task(cache_key_fn=lambda *_: "key", result_storage=storage, cache_result_in_memory=in_memory)
    def work():
        return {"rows": list(range(1000))}

    @task(cache_key_fn=lambda *_: "key", result_storage=storage, cache_result_in_memory=in_memory)
    async def awork():
        raise AssertionError("the result is there")

    assert work(return_state=True).name == "Completed"
    assert storage.read == []
    for _ in range(2):
        state = work(return_state=True)
        assert state.name == "Cached"
        assert not in_memory or state.result() == {"rows": list(range(1000))}
    state = asyncio.run(awork(return_state=True))
    assert state.name == "Cached"
    assert storage.read == ["key"] * 3


def test_metadata_that_are_kept_apart_are_read_once_and_so_is_the_result():
    results, metadata = Counting(), Counting()
    store = ResultStore(result_storage=results, metadata_storage=metadata)
    store.write([1], key="key")
    with transaction(key="key", store=fresh(store)) as txn:
        assert txn.is_committed()
        assert txn.read().result == [1]
        assert (metadata.read, results.read) == (["key"], ["key"])
        assert txn.read().result == [1]  # the second time as ever: it is at hand now
    assert (metadata.read, results.read) == (["key"], ["key"])


def test_a_transaction_reads_what_it_found():
    """Between looking and reading another process may replace the result: what was found is what counts."""
    storage = SyncOnly()
    store = ResultStore(result_storage=storage, cache_result_in_memory=False)
    store.write("old", key="key")
    with transaction(key="key", store=store) as txn:
        fresh(store).write("new", key="key")
        assert txn.read().result == "old"
        assert txn.read().result == "new"
