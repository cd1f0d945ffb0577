"""Transactions: values, nesting, the order of hooks, commit modes, isolation, keys and stores."""

import asyncio
import threading
import uuid

import pytest

from prefect import flow, task
from prefect.exceptions import ConfigurationError
from prefect.locking.filesystem import FileSystemLockManager
from prefect.locking.memory import MemoryLockManager
from prefect.results import ResultStore
from prefect.transactions import (
    CommitMode,
    IsolationLevel,
    Transaction,
    TransactionState,
    atransaction,
    get_transaction,
    transaction,
)

from .support import Boom, Calls, both

pytestmark = pytest.mark.usefixtures("storage")


@both
async def test_states_of_a_transaction():
    assert get_transaction() is None
    async with atransaction() as txn:
        assert get_transaction() is txn
        assert txn.is_active() and not txn.is_committed()
        txn.stage("value")
        assert txn.is_staged()
    assert txn.is_committed() and txn.state == TransactionState.COMMITTED
    assert get_transaction() is None

    with pytest.raises(Boom):
        async with atransaction() as txn:
            raise Boom
    assert txn.is_rolled_back()


@both
async def test_values_are_shared_and_inherited():
    async with atransaction() as outer:
        outer.set("a", 1)
        assert outer.get("a") == 1
        async with atransaction() as inner:
            assert inner.get("a") == 1
            inner.set("a", 2)
            inner.set("b", 3)
            assert inner.get("a") == 2
        assert outer.get("a") == 1
        assert outer.get("b", "default") == "default"
        with pytest.raises(ValueError, match="Could not retrieve value for unknown key: b"):
            outer.get("b")
        assert inner.get_parent() is None or inner.get_parent() is outer
        assert inner in outer.children


@both
async def test_a_transaction_writes_its_value_under_its_key(storage):
    key = uuid.uuid4().hex
    async with atransaction(key=key, store=ResultStore()) as txn:
        assert not txn.is_committed()
        txn.stage({"a": 1})
    assert ResultStore().read(key).result == {"a": 1}
    async with atransaction(key=key, store=ResultStore()) as again:
        assert again.is_committed()
        record = await again.read()
        assert record.result == {"a": 1}


def test_overwrite_and_write_on_commit(storage):
    key = uuid.uuid4().hex
    with transaction(key=key, store=ResultStore()) as txn:
        txn.stage(1)
    with transaction(key=key, store=ResultStore(), overwrite=True) as txn:
        assert not txn.is_committed()
        txn.stage(2)
    assert ResultStore().read(key).result == 2
    with transaction(key="not-written", store=ResultStore(), write_on_commit=False) as txn:
        txn.stage(3)
    assert not ResultStore().exists("not-written")


def hooked(calls, name, result=None, error=None):
    """A task that records its run, its commit and its rollback."""

    @task(name=name)
    def work():
        calls(f"run {name}")
        if error:
            raise error
        return result

    @work.on_rollback
    def undo(txn):
        calls(f"rollback {name}")

    @work.on_commit
    def done(txn):
        calls(f"commit {name}")

    return work


def test_tasks_in_a_transaction_commit_together(calls: Calls):
    a, b = hooked(calls, "a"), hooked(calls, "b")

    @flow
    def parent():
        with transaction():
            a()
            b()
            calls("end of block")

    parent()
    assert calls[:3] == ["run a", "run b", "end of block"]
    assert sorted(calls[3:]) == ["commit a", "commit b"]


def test_tasks_in_a_transaction_roll_back_in_reverse(calls: Calls):
    a, b, c = hooked(calls, "a"), hooked(calls, "b"), hooked(calls, "c", error=Boom("c"))

    @flow
    def parent():
        with transaction():
            a()
            b()
            c()

    with pytest.raises(Boom):
        parent()
    assert calls == ["run a", "run b", "run c", "rollback b", "rollback a"]


def test_without_a_transaction_tasks_commit_at_once(calls: Calls):
    a, b = hooked(calls, "a"), hooked(calls, "b", error=Boom())

    @flow
    def parent():
        a()
        b()

    with pytest.raises(Boom):
        parent()
    assert calls == ["run a", "commit a", "run b"]


def test_rollback_when_the_block_itself_fails(calls: Calls):
    a = hooked(calls, "a")

    @flow
    def parent():
        with transaction():
            a()
            raise Boom("block")

    with pytest.raises(Boom, match="block"):
        parent()
    assert calls == ["run a", "rollback a"]


def test_a_failed_task_rolls_back_even_when_its_error_is_caught(calls: Calls):
    a, b = hooked(calls, "a"), hooked(calls, "b", error=Boom())

    @flow
    def parent():
        with transaction():
            a()
            b(return_state=True)

    parent()
    assert calls == ["run a", "run b", "rollback a"]


def test_nested_transactions_roll_back_with_their_parent(calls: Calls):
    a, b = hooked(calls, "a"), hooked(calls, "b")

    @flow
    def parent():
        with transaction():
            with transaction():
                a()
            b()
            raise Boom

    with pytest.raises(Boom):
        parent()
    assert calls == ["run a", "run b", "rollback b", "rollback a"]


def test_an_eager_inner_transaction_commits_on_its_own(calls: Calls):
    a = hooked(calls, "a")

    @flow
    def parent():
        with transaction():
            with transaction(commit_mode=CommitMode.EAGER):
                a()
            calls("outer goes on")

    parent()
    assert calls == ["run a", "commit a", "outer goes on"]


def test_commit_mode_off_never_commits(calls: Calls):
    a = hooked(calls, "a")

    with transaction(commit_mode=CommitMode.OFF) as txn:
        a()
    assert calls == ["run a", "rollback a"]
    assert txn.is_rolled_back()


def test_hooks_get_the_transaction_and_share_its_values(calls: Calls):
    @task
    def writes(path):
        get_transaction().set("path", path)

    @writes.on_rollback
    def undo(txn):
        calls((isinstance(txn, Transaction), txn.get("path")))

    @flow
    def parent():
        with transaction():
            writes("p1")
            writes("p2")
            raise Boom

    with pytest.raises(Boom):
        parent()
    assert calls == [(True, "p2"), (True, "p1")]


def test_errors_in_hooks_do_not_stop_the_others(calls: Calls):
    @task
    def first():
        pass

    @first.on_rollback
    def fails(txn):
        calls("fails")
        raise ValueError("bad hook")

    second = hooked(calls, "second")

    @flow
    def parent():
        with transaction():
            second()
            first()
            raise Boom

    with pytest.raises(Boom):
        parent()
    assert calls[:2] == ["run second", "fails"]


def test_several_hooks_of_one_task(calls: Calls):
    @task
    def work():
        pass

    @work.on_rollback
    def one(txn):
        calls("one")

    @work.on_rollback
    def two(txn):
        calls("two")

    with pytest.raises(Boom), transaction():
        work()
        raise Boom
    assert sorted(calls) == ["one", "two"]


def test_a_result_kept_in_a_rolled_back_transaction_is_not_there(storage):
    key = uuid.uuid4().hex

    @task(persist_result=True, result_storage_key=key)
    def work():
        return 1

    @flow
    def parent(fail):
        with transaction():
            work()
            if fail:
                raise Boom

    with pytest.raises(Boom):
        parent(True)
    assert not ResultStore().exists(key)
    parent(False)
    assert ResultStore().exists(key)


def test_a_second_run_with_the_same_key_skips_what_is_done(calls: Calls, storage):
    key = uuid.uuid4().hex

    @task(cache_key_fn=lambda context, parameters: key)
    def work():
        calls("work")
        return "value"

    @flow
    def parent():
        with transaction():
            return work()

    assert [parent(), parent()] == ["value", "value"]
    assert calls == ["work"]


def test_async_tasks_in_a_sync_transaction(calls: Calls):
    a = hooked(calls, "a")

    @task
    async def b():
        calls("run b")

    @b.on_rollback
    def undo(txn):
        calls("rollback b")

    @flow
    async def parent():
        with transaction():
            a()
            await b()
            raise Boom

    with pytest.raises(Boom):
        asyncio.run(parent())
    assert calls == ["run a", "run b", "rollback b", "rollback a"]


def test_submitted_tasks_are_part_of_the_transaction(calls: Calls):
    a = hooked(calls, "a")

    @flow
    def parent():
        with transaction():
            a.submit().wait()
            raise Boom

    with pytest.raises(Boom):
        parent()
    assert calls[0] == "run a"


# --- isolation ----------------------------------------------------------------------------------


def test_serializable_needs_locks():
    unsafe = transaction(key="k", store=ResultStore(), isolation_level=IsolationLevel.SERIALIZABLE)
    with pytest.raises(ConfigurationError, match=r"SERIALIZABLE|lock"), unsafe:
        pass


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_serializable_transactions_exclude_each_other(kind, tmp_path):
    manager = (
        MemoryLockManager() if kind == "memory" else FileSystemLockManager(lock_files_directory=tmp_path / "locks")
    )
    store, key = ResultStore(lock_manager=manager), uuid.uuid4().hex
    entered, leave, order = threading.Event(), threading.Event(), []

    def first():
        with transaction(key=key, store=store, isolation_level=IsolationLevel.SERIALIZABLE) as txn:
            entered.set()
            assert leave.wait(30)
            txn.stage("first")
            order.append("first")

    def second():
        assert entered.wait(30)
        with transaction(key=key, store=store, isolation_level=IsolationLevel.SERIALIZABLE) as txn:
            order.append("second")
            seen.append(txn.read().result if txn.is_committed() else None)

    seen: list = []
    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    assert entered.wait(30)
    assert store.is_locked(key) or manager.is_locked(key)
    leave.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "second"]
    assert seen == ["first"]


def test_locks_by_hand():
    manager = MemoryLockManager()
    assert manager.acquire_lock("k", holder="a") is True
    assert manager.is_locked("k") and manager.is_lock_holder("k", holder="a")
    assert manager.acquire_lock("k", holder="b", acquire_timeout=0.01) is False
    assert manager.wait_for_lock("k", timeout=0.01) is False
    manager.release_lock("k", holder="a")
    assert not manager.is_locked("k") and manager.wait_for_lock("k") is True
    with pytest.raises(ValueError, match="No lock held by b"):
        manager.release_lock("k", holder="b")
