"""Transactions: their life, nesting, hooks, values, stores and locks; synchronous and asynchronous by the same tests."""

import asyncio
import inspect
import logging
import subprocess
import sys
import threading

import pytest

from prefect.exceptions import ConfigurationError
from prefect.filesystems import LocalFileSystem, NullFileSystem
from prefect.locking.memory import MemoryLockManager
from prefect.results import ResultStore
from prefect.transactions import (
    AsyncTransaction,
    CommitMode,
    IsolationLevel,
    Transaction,
    TransactionState,
    atransaction,
    get_transaction,
    transaction,
)


class Sync:
    """Drives synchronous transactions in coroutines, so that one test serves both kinds."""

    kind = Transaction

    class Block:
        def __init__(self, txn):
            self.txn = txn

        async def __aenter__(self):
            return self.txn.__enter__()

        async def __aexit__(self, *exc_info):
            return self.txn.__exit__(*exc_info)

    def __call__(self, *args, **kwargs):
        return self.Block(transaction(*args, **kwargs))


class Async:
    kind = AsyncTransaction

    def __call__(self, *args, **kwargs):
        return atransaction(*args, **kwargs)


async def settle(value):
    return await value if inspect.isawaitable(value) else value


@pytest.fixture(params=[Sync, Async])
def begin(request):
    return request.param()


@pytest.fixture
def store(tmp_path):
    return ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)))


@pytest.fixture
def locking(tmp_path):
    return ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)), lock_manager=MemoryLockManager())


# ── life ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_life(begin):
    assert get_transaction() is None
    async with begin() as txn:
        assert type(txn) is begin.kind
        assert txn.is_active()
        assert get_transaction() is txn is begin.kind.get_active()
        assert txn.get_parent() is None
        txn.stage(1)
        assert txn.is_staged()
    assert txn.is_committed()
    assert get_transaction() is None


async def test_error_rolls_back(begin):
    with pytest.raises(KeyError):
        async with begin() as txn:
            raise KeyError
    assert txn.is_rolled_back()
    assert get_transaction() is None


async def test_explicit_commit_and_rollback(begin):
    async with begin() as txn:
        txn.stage(1)
        assert await settle(txn.commit()) is True
        assert txn.is_committed()
        assert await settle(txn.commit()) is False
        assert await settle(txn.rollback()) is False
    assert txn.is_committed()

    async with begin() as txn:
        assert await settle(txn.rollback()) is True
        assert await settle(txn.rollback()) is False
    assert txn.is_rolled_back()


async def test_block_cannot_run_twice_at_once(begin):
    async with begin() as txn:
        with pytest.raises(RuntimeError, match="already running"):
            txn.prepare_transaction()
    assert txn.is_committed()


@pytest.mark.parametrize("kind", [Transaction, AsyncTransaction])
async def test_block_of_either_kind(kind):
    txn = kind()
    assert await txn.enter_block() is txn is get_transaction()
    txn.stage(1)
    await txn.leave_block(failed=False)
    assert txn.is_committed()
    assert get_transaction() is None


def test_without_a_block():
    txn = Transaction(key="q")
    assert txn.is_pending()
    txn.begin()
    txn.stage(1)
    assert txn.commit()
    assert txn.read() is None


def test_async_transaction_in_a_plain_with():
    with pytest.raises(TypeError), atransaction():
        pass


# ── commit modes ────────────────────────────────────────────────────────────────────────────────────────────────────

LAZY, EAGER, OFF = CommitMode.LAZY, CommitMode.EAGER, CommitMode.OFF


@pytest.mark.parametrize(
    ("outer", "inner", "modes", "states"),
    [
        (None, None, "LAZY LAZY", "STAGED COMMITTED COMMITTED"),
        (None, EAGER, "LAZY EAGER", "COMMITTED COMMITTED COMMITTED"),
        (None, OFF, "LAZY OFF", "STAGED COMMITTED COMMITTED"),
        (EAGER, None, "EAGER EAGER", "COMMITTED COMMITTED COMMITTED"),
        (EAGER, LAZY, "EAGER LAZY", "STAGED COMMITTED COMMITTED"),
        (LAZY, EAGER, "LAZY EAGER", "COMMITTED COMMITTED COMMITTED"),
        (OFF, None, "OFF OFF", "STAGED ROLLED_BACK ROLLED_BACK"),
        (OFF, EAGER, "OFF EAGER", "COMMITTED COMMITTED ROLLED_BACK"),
        (OFF, LAZY, "OFF LAZY", "STAGED ROLLED_BACK ROLLED_BACK"),
    ],
)
async def test_commit_modes(begin, outer, inner, modes, states):
    async with begin(commit_mode=outer) as parent:
        async with begin(commit_mode=inner) as child:
            child.stage(1)
        before = child.state
    assert f"{parent.commit_mode.name} {child.commit_mode.name}" == modes
    assert f"{before.name} {child.state.name} {parent.state.name}" == states
    assert parent.children == [child]


async def test_off_commits_when_told(begin):
    async with begin(commit_mode=OFF) as txn:
        txn.stage(1)
        await settle(txn.commit())
    assert txn.is_committed()


async def test_child_of_a_committed_parent_commits_by_itself(begin):
    async with begin() as parent:
        await settle(parent.commit())
        async with begin() as child:
            child.stage(1)
        assert child.is_committed()


# ── nesting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_failure_rolls_everything_back_newest_first(begin):
    done = []

    def undo(name):
        return lambda txn: done.append((name, txn.state.name))

    with pytest.raises(ValueError):
        async with begin() as parent:
            parent.on_rollback_hooks.append(undo("parent"))
            async with begin() as first:
                first.stage(1, [undo("first a"), undo("first b")])
            async with begin() as second:
                second.stage(1, [undo("second")])
            async with begin() as failing:
                failing.stage(1, [undo("failing")])
                raise ValueError
    assert [name for name, _ in done] == ["failing", "parent", "second", "first b", "first a"]
    assert {state for name, state in done if name != "parent"} == {"STAGED"}
    assert all(txn.is_rolled_back() for txn in (parent, first, second, failing))


async def test_failure_of_a_child_that_is_caught_still_rolls_the_parent_back(begin):
    async with begin() as parent:
        with pytest.raises(KeyError):
            async with begin():
                raise KeyError
        assert parent.is_rolled_back()
        undone = []
        async with begin() as later:
            later.stage(1, [undone.append])
        assert later.is_rolled_back()
        assert undone == [later]
    assert parent.is_rolled_back()


async def test_deep_nesting_commits_inside_out(begin):
    done = []
    async with begin() as a:
        a.on_commit_hooks.append(lambda txn: done.append("a"))
        async with begin() as b:
            b.on_commit_hooks.append(lambda txn: done.append("b"))
            async with begin() as c:
                c.on_commit_hooks.append(lambda txn: done.append("c"))
                assert c.get_parent() is b
        assert done == []
    assert done == ["c", "b", "a"]


async def test_sync_child_in_async_parent():
    done = []

    async def hook(txn):
        done.append(txn.key)

    async with atransaction() as parent:
        parent.stage(1, on_commit_hooks=[hook])
        with transaction() as child:
            child.stage(1, on_commit_hooks=[hook, lambda txn: done.append("plain")])
        assert child.is_staged()
    assert parent.is_committed() and child.is_committed()
    assert done == [None, "plain", None]


async def test_tasks_have_their_own_current_transaction():
    async def work():
        async with atransaction() as txn:
            await asyncio.sleep(0)
            assert get_transaction() is txn
            return txn.get_parent()

    async with atransaction() as parent:
        assert await asyncio.gather(work(), work()) == [parent, parent]
    assert len(parent.children) == 2


def test_threads_start_without_one():
    seen = []
    with transaction():
        thread = threading.Thread(target=lambda: seen.append(get_transaction()))
        thread.start()
        thread.join()
    assert seen == [None]


# ── hooks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_asynchronous_hooks(begin):
    done = []

    async def hook(txn):
        await asyncio.sleep(0)
        done.append(txn.state)

    async with begin() as txn:
        txn.stage(1, on_commit_hooks=[hook])
    with pytest.raises(KeyError):
        async with begin() as txn:
            txn.stage(1, on_rollback_hooks=[hook])
            raise KeyError
    assert done == [TransactionState.STAGED, TransactionState.STAGED]


async def test_failing_commit_hook_rolls_back(begin, caplog, store):
    done = []

    def bad(txn):
        raise RuntimeError("no")

    async with begin(key="k", store=store, logger=logging.getLogger("txn")) as txn:
        txn.stage(1, [lambda txn: done.append("undone")], [bad, lambda txn: done.append("not reached")])
    assert txn.is_rolled_back()
    assert done == ["undone"]
    assert not store.exists("k")
    assert "'bad' raised RuntimeError('no')" in caplog.text


async def test_failing_rollback_hook_does_not_stop_the_others(begin, caplog):
    done = []

    def bad(txn):
        raise RuntimeError("no")

    with pytest.raises(KeyError):
        async with begin(logger=logging.getLogger("txn")) as txn:
            txn.stage(1, [lambda txn: done.append("first"), bad, lambda txn: done.append("last")])
            raise KeyError
    assert txn.is_rolled_back()
    assert done == ["last", "first"]
    assert "'bad' raised" in caplog.text


async def test_hooks_are_logged(begin, caplog):
    caplog.set_level(logging.INFO)

    def greet(txn):
        pass

    async with begin(logger=logging.getLogger("txn")) as txn:
        txn.stage(1, on_commit_hooks=[greet])
    assert [record.message for record in caplog.records] == [
        "Running commit hook 'greet'",
        "Commit hook 'greet' finished running successfully",
    ]


async def test_run_hook(begin):
    done = []
    async with begin() as txn:
        await settle(txn.run_hook(done.append, "commit"))
        assert done == [txn]


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_values_are_inherited_not_shared(begin):
    async with begin() as parent:
        parent.set("x", [1])
        async with begin() as child:
            assert child.get("x") == [1]
            child.get("x").append(2)
            assert child.get("x") == [1]
            child.set("x", "own")
            assert child.get("x") == "own"
            child.set("y", 1)
        assert parent.get("x") == [1]
        with pytest.raises(ValueError, match="y"):
            parent.get("y")
        assert parent.get("y", "default") == "default"
        assert parent.get("y", None) is None


async def test_value_that_cannot_be_copied(begin):
    lock = threading.Lock()
    async with begin() as txn:
        txn.set("lock", lock)
        assert txn.get("lock") is lock


# ── stores ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_value_is_stored_on_commit(begin, store):
    async with begin(key="k", store=store) as txn:
        txn.stage({"v": 1})
        assert not store.exists("k")
    assert store.read("k").result == {"v": 1}


async def test_record_is_stored_as_it_is(begin, store):
    async with begin(key="k", store=store) as txn:
        txn.stage(store.create_result_record("value", key="k"))
    assert store.read("k").result == "value"


async def test_key_with_a_value_is_committed_from_the_start(begin, store):
    store.write("old", key="k")
    async with begin(key="k", store=store) as txn:
        assert txn.is_committed()
        assert (await settle(txn.read())).result == "old"
        txn.stage("new")
        assert txn.is_committed()
    assert store.read("k").result == "old"


async def test_overwrite(begin, store):
    store.write("old", key="k")
    async with begin(key="k", store=store, overwrite=True) as txn:
        assert txn.is_active()
        txn.stage("new")
    assert store.read("k").result == "new"


async def test_without_writing(begin, store):
    async with begin(key="k", store=store, write_on_commit=False) as txn:
        txn.stage(1)
    assert txn.is_committed()
    assert not store.exists("k")


async def test_rollback_stores_nothing(begin, store):
    with pytest.raises(KeyError):
        async with begin(key="k", store=store) as txn:
            txn.stage(1)
            raise KeyError
    assert not store.exists("k")


async def test_child_is_stored_with_its_parent(begin, store):
    async with begin():
        async with begin(key="k", store=store) as child:
            child.stage(1)
        assert not store.exists("k")
    assert store.exists("k")


async def test_value_that_cannot_be_stored_rolls_back(begin, store, caplog):
    undone = []
    async with begin(key="k", store=store, logger=logging.getLogger("txn")) as txn:
        txn.stage({"a": threading.Lock()}, [undone.append])
    assert txn.is_rolled_back()
    assert undone == [txn]
    assert "['a'], of type _thread.lock" in caplog.text


async def test_storage_that_fails_rolls_back(begin, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    broken = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path / "file")))
    async with begin(key="k", store=broken, logger=logging.getLogger("txn")) as txn:
        txn.stage(1)
    assert txn.is_rolled_back()
    assert "failed to commit" in caplog.text


async def test_key_without_a_store_uses_the_default_one(begin):
    async with begin(key="in-the-default-store") as txn:
        txn.stage(5)
    assert ResultStore().read("in-the-default-store").result == 5


async def test_store_without_metadata_is_given_some(begin, tmp_path):
    store = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)), metadata_storage=NullFileSystem())
    async with begin(key="k", store=store) as txn:
        txn.stage(1)
    async with begin(key="k", store=store) as txn:
        assert txn.is_committed()


# ── isolation ───────────────────────────────────────────────────────────────────────────────────────────────────────

SERIALIZABLE = IsolationLevel.SERIALIZABLE


async def test_serializable_needs_a_lock_manager(begin, store):
    for arguments in ({}, {"store": store}):
        with pytest.raises(ConfigurationError, match="SERIALIZABLE"):
            async with begin(key="k", isolation_level=SERIALIZABLE, **arguments):
                pass
    assert get_transaction() is None


async def test_serializable_holds_the_lock(begin, locking):
    async with begin(key="k", store=locking, isolation_level=SERIALIZABLE) as txn:
        assert locking.is_locked("k")
        txn.stage(1)
    assert not locking.is_locked("k")
    assert locking.read("k").result == 1


async def test_serializable_lets_go_after_a_failure(begin, locking):
    with pytest.raises(KeyError):
        async with begin(key="k", store=locking, isolation_level=SERIALIZABLE):
            raise KeyError
    assert not locking.is_locked("k")


async def test_serializable_lets_go_when_the_store_fails_at_the_start(begin, locking, monkeypatch):
    async def boom(*args):
        raise RuntimeError("boom")

    monkeypatch.setattr(ResultStore, "_look_up", boom)
    with pytest.raises(RuntimeError, match="boom"):
        async with begin(key="k", store=locking, isolation_level=SERIALIZABLE):
            pass
    assert not locking.is_locked("k")
    assert get_transaction() is None


async def test_serializable_child_holds_the_lock_until_its_parent_commits(begin, locking):
    async with begin():
        async with begin(key="k", store=locking, isolation_level=SERIALIZABLE) as child:
            child.stage(1)
        assert locking.is_locked("k")
    assert not locking.is_locked("k")
    assert locking.exists("k")


async def test_serializable_siblings_with_one_key_do_not_wait_for_each_other(begin, locking):
    async with begin():
        for value in (1, 2):
            async with begin(key="k", store=locking, isolation_level=SERIALIZABLE) as child:
                child.stage(value)
    assert not locking.is_locked("k")
    assert locking.read("k").result == 2


def test_serializable_threads_do_the_work_once(locking):
    done = []

    def work():
        with transaction(key="once", store=locking, isolation_level=SERIALIZABLE) as txn:
            if not txn.is_committed():
                done.append(1)
                txn.stage(len(done))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert done == [1]


async def test_serializable_tasks_do_the_work_once(locking):
    done = []

    async def work():
        async with atransaction(key="once-async", store=locking, isolation_level=SERIALIZABLE) as txn:
            if not txn.is_committed():
                done.append(1)
                await asyncio.sleep(0)
                txn.stage(len(done))

    await asyncio.gather(*(work() for _ in range(8)))
    assert done == [1]


# ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_subclass_is_told_when_it_is_made():
    class Counting(Transaction):
        def model_post_init(self, context):
            self.set("made", True)

    assert Counting().get("made") is True


def test_copy(store):
    txn = Transaction(key="k", store=store, overwrite=True)
    copy = txn.model_copy(update={"key": "other"})
    assert (copy.key, copy.store, copy.overwrite) == ("other", store, True)
    assert txn.serialize()["key"] == "k"
    assert "key='other'" in repr(copy)


def test_plain_transactions_import_nothing_heavy():
    code = (
        "import sys\nfrom prefect.transactions import transaction\n"
        "with transaction() as txn: txn.stage(1, [print], [lambda txn: None])\n"
        "print([m for m in ('pydantic', 'asyncio', 'sqlalchemy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
