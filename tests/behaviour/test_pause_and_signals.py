"""Pausing and resuming inside one process; Ctrl-C and termination of a running program."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from prefect import flow, pause_flow_run, resume_flow_run, suspend_flow_run, task
from prefect.context import FlowRunContext
from prefect.exceptions import FlowPauseTimeout, NotPausedError

from .support import PEER, Calls, ours_better


def test_pausing_needs_a_flow_run():
    with pytest.raises(RuntimeError, match=r"(?i)flow run"):
        pause_flow_run(timeout=1)
    with pytest.raises(RuntimeError, match=r"(?i)flow run"):
        suspend_flow_run(timeout=1)


def test_a_pause_that_nobody_ends_times_out():
    @flow
    def waits():
        pause_flow_run(timeout=1, poll_interval=1)

    with pytest.raises(FlowPauseTimeout):
        waits()
    assert waits(return_state=True).is_failed()


def test_a_paused_flow_goes_on_when_it_is_resumed(calls: Calls):
    ids: list = []
    ready = threading.Event()

    @task
    def before():
        calls("before")

    def when_paused(flow_run_id):
        """Resume as soon as the run is seen as paused."""
        for _ in range(1000):
            try:
                resume_flow_run(flow_run_id)
                return
            except NotPausedError:
                threading.Event().wait(0.02)

    @flow
    def waits():
        before()
        ids.append(FlowRunContext.get().flow_run.id)
        ready.set()
        pause_flow_run(timeout=50, poll_interval=1)
        calls("after")
        return "resumed"

    def resumer():
        assert ready.wait(50)
        when_paused(ids[0])

    thread = threading.Thread(target=resumer)
    thread.start()
    assert waits() == "resumed"
    thread.join(50)
    assert calls == ["before", "after"]


def test_only_paused_runs_can_be_resumed():
    @flow
    def fine():
        return FlowRunContext.get().flow_run.id

    run_id = fine()
    with pytest.raises(NotPausedError):
        resume_flow_run(run_id)


SCRIPT = """
    import sys, time
    from prefect import flow, task

    def hook(flow, flow_run, state):
        print("hook", state.type.value, flush=True)

    @task
    def inner():
        print("ready", flush=True)
        time.sleep(50)

    @flow(on_crashed=[hook], on_cancellation=[hook])
    def outer():
        inner()

    if __name__ == "__main__":
        outer()
"""


@pytest.mark.parametrize("sent", ["SIGINT", pytest.param("SIGTERM", marks=ours_better("the peer's process goes on"))])
def test_a_program_that_is_stopped_runs_its_hooks(sent, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, sent))
        out, err = process.communicate(timeout=50)
    finally:
        process.kill()
    assert out in ("hook CRASHED\n", "hook CANCELLED\n"), err
    assert process.returncode != 0 or PEER
