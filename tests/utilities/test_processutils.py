"""Child processes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.utilities import processutils
from prefect.utilities.processutils import (
    command_from_string,
    command_to_string,
    forward_signal_handler,
    get_sys_executable,
    open_process,
    run_process,
    sanitize_subprocess_env,
    setup_signal_handlers_server,
    setup_signal_handlers_worker,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), min_size=1))
@posix
def test_commands_survive_being_written_as_text(command: list[str]) -> None:
    assert command_from_string(command_to_string(command)) == command


def test_commands() -> None:
    assert command_to_string("as it is") == "as it is"
    assert command_from_string('a "b c"') == ["a", "b c"]
    assert sys.executable in get_sys_executable()


def test_environments_without_none() -> None:
    base = {"b": "x", "c": "2"}
    assert sanitize_subprocess_env({"a": "1", "b": None}, remove_from=base) == {"a": "1"}
    assert base == {"c": "2"}
    assert sanitize_subprocess_env(None) == {}


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def test_running_a_process() -> None:
    out, err = io.StringIO(), io.StringIO()
    code = "import sys; print('é' * 100_000); print('oops', file=sys.stderr); sys.exit(3)"
    process = await run_process(_python(code), stream_output=(out, err), env={**os.environ, "PYTHONUTF8": "1"})
    assert process.returncode == 3
    assert out.getvalue().strip() == "é" * 100_000
    assert err.getvalue().strip() == "oops"


async def test_output_is_passed_on_or_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    await run_process(_python("print('shown')"), stream_output=True)
    await run_process(_python("print('dropped')"))
    assert capsys.readouterr().out.strip() == "shown"


async def test_the_start_is_told() -> None:
    async with anyio.create_task_group() as group:

        async def run(task_status: anyio.abc.TaskStatus[int]) -> None:
            await run_process(_python("input()"), task_status=task_status, stdin=subprocess.DEVNULL)

        assert isinstance(await group.start(run), int)


async def test_a_process_does_not_outlive_its_block() -> None:
    async with open_process(_python("import time; time.sleep(60)")) as process:
        assert process.returncode is None
    assert process.returncode is not None
    with anyio.move_on_after(0.05):
        async with open_process(_python("import time; time.sleep(60)")) as process:
            await process.wait()
    assert process.returncode is not None


@posix
async def test_a_process_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processutils, "_GRACE", 0.05)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
    async with open_process(_python(code), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert (await process.stdout.receive()).startswith(b"ready")
    assert process.returncode == -signal.SIGKILL


async def test_command_lines_are_refused() -> None:
    with pytest.raises(TypeError, match="command_from_string"):
        async with open_process("ls -l"):
            pass


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: print("INT", flush=True))
signal.signal(signal.SIGTERM, lambda *_: print("TERM", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""


@posix
@pytest.mark.parametrize(
    ("setup", "heard"), [(setup_signal_handlers_server, ["INT", "TERM"]), (setup_signal_handlers_worker, ["INT"])]
)
def test_interrupts_are_passed_on_ever_more_firmly(setup: object, heard: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    printed: list[str] = []
    with subprocess.Popen(_python(CHILD), stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            setup(child.pid, "the child", printed.append)  # type: ignore[operator]
            for word in heard:
                signal.raise_signal(signal.SIGINT)
                assert child.stdout.readline() == word + "\n"
            signal.raise_signal(signal.SIGINT)
            assert child.wait(30) == -signal.SIGKILL
        finally:
            child.kill()
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
    assert printed[0] == "Received SIGINT. Sending SIGINT to the child..."
    assert "SIGKILL" in printed[-1]


@posix
def test_signals_are_ours_again_when_the_child_has_ended() -> None:
    child = subprocess.Popen(_python("pass"))
    child.wait()
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    try:
        forward_signal_handler(child.pid, signal.SIGUSR1, signal.SIGTERM, process_name="x", print_fn=lambda *_: None)
        signal.raise_signal(signal.SIGUSR1)
        assert caught == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)
