"""Both lock managers: who gets a lock, who waits, what ends it; synchronous and asynchronous."""

import asyncio
import contextlib
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from copy import deepcopy

import pytest

from prefect.locking.filesystem import FileSystemLockManager
from prefect.locking.memory import MemoryLockManager
from prefect.locking.protocol import LockManager

DEADLINE = 20  # seconds after which something that must happen has not


@pytest.fixture(params=["memory", "files"])
def manager(request, tmp_path):
    return MemoryLockManager() if request.param == "memory" else FileSystemLockManager(tmp_path / "locks")


@pytest.fixture
def key(request):
    return f"{request.node.name}/with a slash"


@pytest.fixture(params=["sync", "async"])
def acquire(request, manager):
    """`acquire(key, holder, ...)`, by the synchronous or the asynchronous method."""
    if request.param == "sync":
        return manager.acquire_lock
    return lambda *args, **kwargs: asyncio.run(manager.aacquire_lock(*args, **kwargs))


@pytest.fixture(params=["sync", "async"])
def wait(request, manager):
    if request.param == "sync":
        return manager.wait_for_lock
    return lambda *args, **kwargs: asyncio.run(manager.await_for_lock(*args, **kwargs))


@contextlib.contextmanager
def in_thread(function, *args, **kwargs):
    """Run a function in a thread; the block gets a list that has its result in the end."""
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*args, **kwargs)), daemon=True)
    thread.start()
    yield result
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_protocol(manager):
    assert isinstance(manager, LockManager)


def test_acquire_and_release(manager, acquire, key):
    assert not manager.is_locked(key)
    assert acquire(key, "me")
    assert manager.is_locked(key)
    assert manager.is_lock_holder(key, "me")
    assert not manager.is_lock_holder(key, "you")
    manager.release_lock(key, "me")
    assert not manager.is_locked(key)
    assert not manager.is_lock_holder(key, "me")


def test_holder_may_acquire_again(manager, acquire, key):
    assert acquire(key, "me")
    assert acquire(key, "me", 0)
    manager.release_lock(key, "me")
    assert not manager.is_locked(key)


def test_another_holder_gives_up(manager, acquire, key):
    manager.acquire_lock(key, "me")
    assert not acquire(key, "you", 0)
    assert not acquire(key, "you", acquire_timeout=0.02)
    manager.release_lock(key, "me")
    assert acquire(key, "you", 0)
    manager.release_lock(key, "you")


def test_another_holder_waits(manager, acquire, key):
    manager.acquire_lock(key, "me")
    with in_thread(acquire, key, "you") as result:
        manager.release_lock(key, "me")
    assert result == [True]
    assert manager.is_lock_holder(key, "you")
    manager.release_lock(key, "you")


def test_only_the_holder_may_release(manager, key):
    with pytest.raises(ValueError, match="No lock held by me"):
        manager.release_lock(key, "me")
    manager.acquire_lock(key, "me")
    with pytest.raises(ValueError, match="No lock held by you"):
        manager.release_lock(key, "you")
    manager.release_lock(key, "me")
    with pytest.raises(ValueError, match="No lock held by me"):
        manager.release_lock(key, "me")


def test_keys_are_apart(manager, key):
    assert manager.acquire_lock(key, "me")
    assert manager.acquire_lock(key + "2", "you", 0)
    manager.release_lock(key, "me")
    manager.release_lock(key + "2", "you")


def test_hold_timeout(manager, acquire, key):
    assert acquire(key, "me", hold_timeout=0.05)
    assert acquire(key, "you", acquire_timeout=DEADLINE)
    assert not manager.is_lock_holder(key, "me")
    with pytest.raises(ValueError):
        manager.release_lock(key, "me")
    manager.release_lock(key, "you")


def test_acquiring_again_renews_the_hold(manager, acquire, key):
    assert acquire(key, "me", hold_timeout=0.05)
    assert acquire(key, "me")
    assert not acquire(key, "you", acquire_timeout=0.1)
    manager.release_lock(key, "me")


def test_wait_for_lock(manager, wait, key):
    assert wait(key)
    manager.acquire_lock(key, "me")
    assert not wait(key, 0)
    assert not wait(key, timeout=0.02)
    with in_thread(wait, key) as result:
        manager.release_lock(key, "me")
    assert result == [True]
    assert not manager.is_locked(key)


def test_wait_for_lock_with_hold_timeout(manager, wait, key):
    manager.acquire_lock(key, "me", hold_timeout=0.05)
    assert wait(key, DEADLINE)


def test_threads_exclude_each_other(manager, key):
    inside, worst, done = [0], [0], []

    def work(i):
        assert manager.acquire_lock(key, f"thread-{i}", DEADLINE)
        inside[0] += 1
        worst[0] = max(worst[0], inside[0])
        done.append(i)
        inside[0] -= 1
        manager.release_lock(key, f"thread-{i}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(done) == list(range(12))
    assert worst == [1]


async def test_tasks_exclude_each_other(manager, key):
    inside, worst = [0], [0]

    async def work(i):
        assert await manager.aacquire_lock(key, f"task-{i}", DEADLINE)
        inside[0] += 1
        worst[0] = max(worst[0], inside[0])
        await asyncio.sleep(0)
        inside[0] -= 1
        manager.release_lock(key, f"task-{i}")

    await asyncio.gather(*(work(i) for i in range(12)))
    assert worst == [1]


async def test_cancelled_task_leaves_no_trace(manager, key):
    manager.acquire_lock(key, "me")
    task = asyncio.create_task(manager.aacquire_lock(key, "you"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    manager.release_lock(key, "me")
    assert manager.acquire_lock(key, "third", 0)
    manager.release_lock(key, "third")


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_memory_manager_is_one():
    manager = MemoryLockManager()
    assert MemoryLockManager() is manager
    assert pickle.loads(pickle.dumps(manager)) is manager
    assert deepcopy(manager) is manager


async def test_memory_is_first_come_first_served():
    manager, order = MemoryLockManager(), []
    manager.acquire_lock("fifo", "me")

    async def work(i):
        await manager.aacquire_lock("fifo", f"task-{i}")
        order.append(i)
        manager.release_lock("fifo", f"task-{i}")

    tasks = []
    for i in range(8):
        tasks.append(asyncio.create_task(work(i)))
        await asyncio.sleep(0)
    manager.release_lock("fifo", "me")
    await asyncio.gather(*tasks)
    assert order == list(range(8))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_memory_locks_are_not_inherited():
    manager = MemoryLockManager()
    manager.acquire_lock("fork", "me")
    child = os.fork()
    if child == 0:
        os._exit(0 if manager.acquire_lock("fork", "you", 0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert manager.is_lock_holder("fork", "me")
    manager.release_lock("fork", "me")


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def files(tmp_path):
    return FileSystemLockManager(tmp_path / "locks")


@contextlib.contextmanager
def process_that_holds(files, key, hold_timeout=None):
    code = textwrap.dedent(f"""
        import sys
        from prefect.locking.filesystem import FileSystemLockManager
        manager = FileSystemLockManager({str(files.lock_files_directory)!r})
        assert manager.acquire_lock({key!r}, "other", hold_timeout={hold_timeout!r})
        print("held", flush=True)
        sys.stdin.read()
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_files_lock_other_processes(files):
    with process_that_holds(files, "k"):
        assert files.is_locked("k")
        assert files.is_lock_holder("k", "other")
        assert not files.acquire_lock("k", "me", 0.02)


def test_files_lock_ends_with_its_process(files):
    with process_that_holds(files, "k") as process:
        with in_thread(files.acquire_lock, "k", "me") as result:
            process.kill()
        assert result == [True]
        assert files.is_lock_holder("k", "me")
    files.release_lock("k", "me")


def test_files_leftover_is_no_lock(files):
    with process_that_holds(files, "k") as process:
        process.kill()
        process.wait()
        assert files.wait_for_lock("k", DEADLINE)
        assert not files.is_locked("k")
        assert os.listdir(files.lock_files_directory) == ["k.lock"]


def test_files_hold_timeout_of_a_living_process(files):
    with process_that_holds(files, "k", hold_timeout=0.05):
        assert files.acquire_lock("k", "me", DEADLINE)
        assert files.is_lock_holder("k", "me")
        assert not files.acquire_lock("k", "third", 0)
    assert files.is_lock_holder("k", "me")
    files.release_lock("k", "me")


def test_files_same_holder_can_release_in_another_process(files):
    with process_that_holds(files, "k"):
        files.release_lock("k", "other")
        assert not files.is_locked("k")


def test_files_of_a_writer_that_keeps_no_system_lock(files):
    files.lock_files_directory.mkdir()
    path = files.lock_files_directory / "k.lock"
    path.write_text('{"holder": "elsewhere", "expiration": null}')
    assert files.is_lock_holder("k", "elsewhere")
    assert not files.acquire_lock("k", "me", 0.01)
    path.write_text('{"holder": "elsewhere", "expiration": "2020-01-01 00:00:00+00:00"}')
    assert not files.is_locked("k")
    assert files.acquire_lock("k", "me", 0.01)
    files.release_lock("k", "me")


def test_files_torn_content_is_no_lock(files):
    files.lock_files_directory.mkdir()
    (files.lock_files_directory / "k.lock").write_text('{"holder": "el')
    assert not files.is_locked("k")
    assert files.acquire_lock("k", "me", 0.05)
    files.release_lock("k", "me")


@pytest.mark.parametrize("key", ["../../escape", "/etc/passwd", "a" * 400, "", ".", "é\n", "con:"])
def test_files_any_text_is_a_key(files, tmp_path, key):
    assert files.acquire_lock(key, "me")
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != files.lock_files_directory]
    assert outside == []
    files.release_lock(key, "me")
    assert os.listdir(files.lock_files_directory) == []


def test_files_managers_of_one_folder_agree(files):
    other = pickle.loads(pickle.dumps(files))
    assert other == files
    files.acquire_lock("k", "me")
    assert other.is_lock_holder("k", "me")
    assert other.is_locked("k", use_cache=True)
    other.release_lock("k", "me")
    assert not files.is_locked("k")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_files_locks_are_not_inherited(files):
    files.acquire_lock("k", "me")
    child = os.fork()
    if child == 0:
        os._exit(0 if not files.acquire_lock("k", "you", 0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    files.release_lock("k", "me")
    assert files.acquire_lock("k", "you", 0)
    files.release_lock("k", "you")


def test_files_processes_exclude_each_other(files, tmp_path):
    """Each process reads a number, adds one and writes it back, many times, with locks that can also expire."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    code = textwrap.dedent(f"""
        import os, pathlib
        from prefect.locking.filesystem import FileSystemLockManager
        manager, counter = FileSystemLockManager({str(files.lock_files_directory)!r}), pathlib.Path({str(counter)!r})
        for i in range(25):
            assert manager.acquire_lock("k", str(os.getpid()), hold_timeout=60 if i % 2 else None)
            counter.write_text(str(int(counter.read_text()) + 1))
            manager.release_lock("k", str(os.getpid()))
    """)
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert counter.read_text() == "100"
