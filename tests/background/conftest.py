"""Task workers as real processes, and a module of tasks that they and the tests share."""

from __future__ import annotations

import importlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from waiting import until

DEADLINE = 30.0

JOBS = '''
import os, signal, threading, time
from pathlib import Path
from prefect import flow, get_run_logger, task, runtime
from prefect.context import TaskRunContext, FlowRunContext, TagsContext


def note(path, text):
    with open(path, "a") as file:
        file.write(f"{text}\\n")


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)


@task
def add(a, b=2):
    return a + b

@task
async def add_async(a, b=2):
    return a + b

@task
def count(n):
    yield from range(n)

@task
async def count_async(n):
    for i in range(n):
        yield i

@task
def fail(text):
    raise ValueError(text)

@task
def write(path, text):
    note(path, text)

@task
def block(path, until):
    note(path, os.getpid())
    wait_for(until)
    return "went on"

@task(retries=2)
def block_and_retry(path, until):
    note(path, os.getpid())
    wait_for(until)
    return runtime.task_run.run_count

@task(retries=2, retry_delay_seconds=0.3)
def flaky(path):
    note(path, "attempt")
    if len(Path(path).read_text().split()) < 3:
        raise ValueError("not yet")
    return runtime.task_run.run_count

@task
def parent(n):
    return add.delay(n).result(timeout=20)

@task
async def parent_async(n):
    return await add.delay(n).result_async(timeout=20)

@task
def where():
    return sorted(TagsContext.get().current_tags), runtime.flow_run.id, FlowRunContext.get() is not None

@task
def fill_the_disk():
    from prefect._engine.recorder import get_recorder

    def no_more_pages(connection):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    get_recorder().writer.read(no_more_pages)
    raise ValueError("x" * 300_000)

@task
def leave():
    raise SystemExit(3)

@task
def nothing():
    return None

@task(persist_result=False)
def not_kept():
    return 1

@flow
def defers():
    return str(where.delay().task_run_id)


class Unreadable:
    def __reduce__(self):
        return _unreadable, ()


def _unreadable():
    raise ImportError("no such type here")


class Deadly:
    """Kills the process that unpickles it."""

    def __reduce__(self):
        return os.kill, (Caller(), signal.SIGKILL)


class Caller:
    def __reduce__(self):
        return os.getpid, ()
'''

SERVE = """
import sys
import {module} as jobs
from prefect.task_worker import serve
serve(*[getattr(jobs, name) for name in sys.argv[2:]], limit=int(sys.argv[1]))
"""


def eventually(look: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """What `look` returns, as soon as that is true."""
    return until(look, deadline, pause=0.005)


class Workers:
    """Starts task workers as processes, and ends those that are left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.log = folder / "workers.log"
        (folder / "serve_jobs.py").write_text(SERVE.format(module="jobs"))

    def start(self, *names: str, limit: int = 10) -> subprocess.Popen[str]:
        return self.run("serve_jobs.py", str(limit), *names)

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=self.folder, stdout=log, stderr=log, text=True,
                stdin=subprocess.DEVNULL, env=dict(os.environ),
            )  # fmt: skip
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def jobs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of tasks."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "jobs.py").write_text(JOBS)
    monkeypatch.delitem(sys.modules, "jobs", raising=False)
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("jobs")


@pytest.fixture
def workers(jobs: ModuleType, tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(tmp_path / "project")
    try:
        yield workers
    finally:
        workers.close()


@pytest.fixture
def query(home: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Ask the database itself, by another connection than ours."""

    def ask(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(home / "pluperfect.db")
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    return ask


@pytest.fixture
def history(query: Callable[..., list[tuple[Any, ...]]]) -> Callable[[Any], list[str]]:
    """The names of the states that a future's run went through."""

    def names(future: Any) -> list[str]:
        statement = "SELECT name FROM task_run_state WHERE task_run_id = ? ORDER BY timestamp, id"
        return [name for (name,) in query(statement, str(future.task_run_id))]

    return names


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
