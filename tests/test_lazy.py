"""Names that are loaded when first used, by many threads at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect._lazy import imported, lazy_module


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """A module that stops in the middle of its import until it is told to go on."""
    gate = threading.Event()
    started = threading.Event()
    name = "slow_module_of_the_test"
    (tmp_path / f"{name}.py").write_text(
        textwrap.dedent("""
        import test_gate
        test_gate.started.set()
        assert test_gate.gate.wait(30)
        value = 1
        """)
    )
    (tmp_path / "test_gate.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import test_gate  # type: ignore[import-not-found]

    test_gate.gate, test_gate.started = gate, started
    yield name, test_gate
    gate.set()
    for module in (name, "test_gate"):
        sys.modules.pop(module, None)


def test_a_module_in_the_middle_of_its_import_is_not_imported_yet(slow_module: tuple[str, Any]) -> None:
    name, control = slow_module
    assert imported(name) is None
    importer = threading.Thread(target=__import__, args=(name,))
    importer.start()
    assert control.started.wait(30)
    assert name in sys.modules
    assert imported(name) is None
    stand_in = lazy_module(name)
    values: list[int] = []
    reader = threading.Thread(target=lambda: values.append(stand_in.value))
    reader.start()
    control.gate.set()
    importer.join(30)
    reader.join(30)
    assert values == [1]
    assert imported(name) is sys.modules[name] is lazy_module(name)


SCRIPT = """
import threading
from prefect import flow, task

barrier = threading.Barrier(8)


@task
def makes() -> list[int]:
    return [1]


@flow
def main() -> int:
    return len(makes())


def run(index: int) -> None:
    barrier.wait()
    if index % 2:
        main()
    else:
        assert main(return_state=True).is_completed()


threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_make_and_ask_for_states_at_the_same_time(run_script: Callable[..., Any]) -> None:
    done = run_script(SCRIPT).ok()
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_another_thread_imports_can_import_that_module(tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text("import begun\nbegun.set()\nbegun.wait_for_the_fork()\nvalue = 7\n")
    (tmp_path / "begun.py").write_text(
        "import threading\n_event = threading.Event()\nset = _event.set\nwait = _event.wait\n"
        "def wait_for_the_fork():\n    import time; time.sleep(0.2)\n"
    )
    script = """
import os, threading
import begun
from prefect._lazy import lazy_module
slow = lazy_module("slow_to_import")
thread = threading.Thread(target=lambda: slow.value)
thread.start()
begun.wait()
pid = os.fork()
if pid == 0:
    os._exit(lazy_module("slow_to_import").value)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "7", done.stderr
