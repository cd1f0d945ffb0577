"""What `.delay()` and its kin leave on disk before they return."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID

import pytest

from prefect import flow, tags
from prefect.exceptions import MappingLengthMismatch, ParameterBindError
from prefect.futures import PrefectDistributedFuture, PrefectFutureList
from prefect.task_runners import PrefectTaskRunner


def kept(home: Path) -> list[Path]:
    folder = home / "storage" / "parameters"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_the_run_is_on_disk_before_delay_returns(jobs, query, home):
    future = jobs.add.delay(1, b=3)
    assert isinstance(future, PrefectDistributedFuture)
    run_id = str(future.task_run_id)
    (run,) = query("SELECT state_type, state_name, task_key, run_count FROM task_run WHERE id = ?", run_id)
    assert run == ("SCHEDULED", "Scheduled", jobs.add.task_key, 0)
    assert query("SELECT owner, claims FROM deferred_run WHERE task_run_id = ?", run_id) == [(None, 0)]
    state = future.state
    assert state.is_scheduled()
    assert state.state_details.deferred
    assert state.state_details.task_run_id == future.task_run_id
    assert [path.name for path in kept(home)] == [str(state.state_details.task_parameters_id)]


def test_the_process_may_end_at_once(jobs, tmp_path, query):
    script = "import jobs, os; print(jobs.add.delay(1).task_run_id, flush=True); os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path / "project", capture_output=True, text=True, check=True
    )
    assert query("SELECT task_run_id FROM deferred_run") == [(done.stdout.strip(),)]


def test_deferring_loads_nothing_heavy(jobs, tmp_path):
    heavy = "pydantic sqlalchemy asyncio rich jinja2 yaml httpx cyclopts"
    script = (
        "import sys\nfrom prefect import task\n@task\ndef add(a): return a\nadd.delay(1)\n"
        f"print([name for name in {heavy!r}.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_without_arguments_keeps_none(jobs, home):
    state = jobs.nothing.delay().state
    assert state.state_details.deferred
    assert state.state_details.task_parameters_id is None
    assert kept(home) == []


def test_arguments_must_fit(jobs):
    with pytest.raises(ParameterBindError):
        jobs.add.delay()


def test_an_argument_that_cannot_be_pickled_is_named_and_nothing_is_left(jobs, query, home):
    with pytest.raises(TypeError, match=r"Parameter 'b' of task 'add'.*lock"):
        jobs.add.delay(1, threading.Lock())
    assert kept(home) == []
    jobs.add.delay(1)
    assert len(query("SELECT id FROM task_run")) == 1


def test_map_defers_all_or_none(jobs, query, home):
    futures = jobs.add.map([1, 2, 3], deferred=True)
    assert isinstance(futures, PrefectFutureList)
    assert [future.state.name for future in futures] == ["Scheduled"] * 3
    with pytest.raises(TypeError):
        jobs.add.map([1, 2], [1, threading.Lock()], deferred=True)
    with pytest.raises(MappingLengthMismatch):
        jobs.add.map([1, 2], [1], deferred=True)
    assert len(query("SELECT id FROM task_run")) == len(kept(home)) == 3


def test_a_run_deferred_in_a_flow_belongs_to_it_and_outlives_it(jobs, query):
    @flow
    def outer():
        with tags("blue"):
            return str(jobs.add.delay(1).task_run_id)

    run_id = outer()
    (run,) = query("SELECT r.state_name, f.state_name, r.tags FROM task_run r JOIN flow_run f ON f.id = r.flow_run_id "
                   "WHERE r.id = ?", run_id)  # fmt: skip
    assert run == ("Scheduled", "Completed", '["blue"]')


def test_what_a_run_depends_on_is_recorded(jobs, query):
    first = jobs.add.delay(1)
    second = jobs.add.apply_async((first,), {"b": 1}, wait_for=[first])
    (inputs,) = query("SELECT task_inputs FROM task_run WHERE id = ?", str(second.task_run_id))[0]
    assert inputs.count(str(first.task_run_id)) == 2
    assert '"a"' in inputs
    assert '"wait_for"' in inputs


def test_the_task_runner_hands_tasks_over(jobs, query):
    @flow(task_runner=PrefectTaskRunner())
    def outer():
        futures = [jobs.add.submit(1), *jobs.add.map([2, 3])]
        return [type(future) for future in futures]

    assert outer() == [PrefectDistributedFuture] * 3
    assert len(query("SELECT task_run_id FROM deferred_run")) == 3


def test_the_task_runner_must_be_started(jobs):
    with pytest.raises(RuntimeError, match="must be started"):
        PrefectTaskRunner().submit(jobs.add, {"a": 1})
    with pytest.raises(RuntimeError, match="must be started"):
        PrefectTaskRunner().map(jobs.add, {"a": [1]})


async def test_runs_can_be_made_without_being_carried_out(jobs, query):
    run_id = UUID(int=7)
    run = await jobs.add.create_run(id=run_id, parameters={"a": 1}, deferred=True)
    assert run.id == run_id
    assert run.state is not None
    assert run.state.is_scheduled()
    assert query("SELECT task_run_id FROM deferred_run") == [(str(run_id),)]
    pending = await jobs.add.create_run(parameters={"a": 1})
    assert query("SELECT state_name FROM task_run WHERE id = ?", str(pending.id)) == [("Pending",)]
    local = await jobs.add.create_local_run(parameters={"a": 1})
    assert local.state is not None
    assert local.state.is_pending()
    assert query("SELECT id FROM task_run WHERE id = ?", str(local.id)) == []


def test_nobody_waits_for_ever_when_told_how_long(jobs):
    future = jobs.add.delay(1)
    future.wait(timeout=0.01)
    with pytest.raises(TimeoutError, match=str(future.task_run_id)):
        future.result(timeout=0.01)


async def test_nobody_waits_for_ever_when_told_how_long_in_async_code(jobs):
    future = jobs.add.delay(1)
    await future.wait_async(timeout=0.01)
    with pytest.raises(TimeoutError, match=str(future.task_run_id)):
        await future.result_async(timeout=0.01)
