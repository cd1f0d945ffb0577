"""Processes are forked from a warm server where that is the same as a new interpreter, and started anew elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from prefect._dispatch import identity, lastword, wire
from prefect._dispatch.children import end_group, gone, is_alive
from prefect._dispatch.ending import describe_status, explain_status, parse_identifier
from prefect._dispatch.starting import CAN_FORK, ForkServer, Job, Starter, StartError
from prefect.logging.configuration import PROCESS_LOGGING_CONFIG, ensure_logging_setup

HERE = "runner.test_starting"


def says(file: str, *names: str) -> int:
    lines = [os.getcwd(), str(os.getpid() == os.getpgid(0)), *(os.environ.get(name, "-") for name in names)]
    Path(file).write_text("\n".join(lines))
    return 5


def repeats(file: str, *given: object) -> int:
    Path(file).write_text(json.dumps([*given, sys.stdin.read()]))
    return 0


def ignores(file: str) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(file).write_text("deaf")
    while True:
        signal.pause()


def settles(status: int) -> int:
    lastword.settled()
    return status


def logs(file: str) -> int:
    ensure_logging_setup()
    loggers = [logging.getLogger(name) for name in ("", "prefect", "prefect.flow_runs", "prefect.server", "mine")]
    said = [(each.level, each.propagate, [handler.name for handler in each.handlers]) for each in loggers]
    Path(file).write_text(repr([*said, sorted(PROCESS_LOGGING_CONFIG)]))
    return 0


async def until_written(file: Path) -> None:
    async with asyncio.timeout(30):
        while not (file.exists() and file.read_text()):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)


def fails() -> int:
    raise ValueError("it fails")


def leaves(code: object) -> int:
    sys.exit(code)  # type: ignore[arg-type]


def environment(**more: str) -> dict[str, str]:
    """This one, with what the functions above are found by; both kinds of interpreter have it."""
    return {**os.environ, **more}


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.mark.parametrize("warm", [pytest.param(True, marks=pytest.mark.skipif(not CAN_FORK, reason="no fork")), False])
async def test_what_a_process_is_given(warm: bool, tmp_path: Path) -> None:
    starter = Starter(warm)
    file = tmp_path / "said"
    env = environment(MINE="yes")
    env.pop("HOME", None)
    child = await starter.start(Job(env, str(tmp_path), call=f"{HERE}:says", args=[str(file), "MINE", "HOME"]))
    assert await child.wait() == 5 and not child.running
    assert file.read_text().split("\n") == [str(tmp_path), "True", "yes", "-"]
    statuses = []
    for call, args in (("fails", []), ("leaves", [0]), ("leaves", [3]), ("leaves", [None]), ("leaves", ["a word"])):
        statuses.append(
            await (
                await starter.start(Job(env, str(tmp_path), call=f"{HERE}:{call}", args=args, stream_output=False))
            ).wait()
        )
    assert statuses == [1, 0, 3, 0, 1]
    told = {"of": ["any", None, 1.5, {"size": "x" * 300_000}]}  # more than fits into a command
    child = await starter.start(Job(env, str(tmp_path), call=f"{HERE}:repeats", args=[str(file), told, None]))
    assert await child.wait() == 0
    assert json.loads(file.read_text()) == [told, None, ""]
    nowhere = Job(env, str(tmp_path / "nowhere"), call=f"{HERE}:says", args=[str(file)], stream_output=False)
    if warm:
        assert await (await starter.start(nowhere)).wait() == 1
    else:
        with pytest.raises(StartError, match="nowhere"):
            await starter.start(nowhere)
    await starter.close()


@pytest.mark.skipif(not CAN_FORK, reason="no fork")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"},
        {"PREFECT_LOGGING_EXTRA_LOGGERS": "mine"},
        {"PREFECT_LOGGING_ROOT_LEVEL": "INFO"},
    ],
)
async def test_logging_is_that_of_the_settings_of_each_process(more: dict[str, str], tmp_path: Path) -> None:
    said = {}
    for warm in (True, False):
        starter, file = Starter(warm), tmp_path / str(warm)
        child = await starter.start(Job(environment(**more), str(tmp_path), call=f"{HERE}:logs", args=[str(file)]))
        assert await child.wait() == 0
        said[warm] = file.read_text()
        await starter.close()
    assert said[True] == said[False] and "console" in said[True]


@pytest.mark.skipif(not CAN_FORK, reason="no fork")
async def test_another_interpreter_is_not_forked(tmp_path: Path) -> None:
    starter = Starter()
    env = environment(PYTHONHASHSEED="7", MINE="1")
    child = await starter.start(Job(env, str(tmp_path), call=f"{HERE}:says", args=[str(tmp_path / "x"), "MINE"]))
    assert starter._server is None  # it could not have been one
    assert await child.wait() == 5
    await starter.close()


@pytest.mark.skipif(not CAN_FORK, reason="no fork")
async def test_processes_say_before_they_end_that_nobody_needs_to_look(tmp_path: Path) -> None:
    starter = Starter()

    async def ended(call: str, args: list[object]) -> tuple[int | None, bool]:
        child = await starter.start(Job(environment(), str(tmp_path), call=f"{HERE}:{call}", args=args))
        return await child.wait(), child.settled

    calls = [("settles", [0]), ("settles", [1]), ("leaves", [0]), ("says", [str(tmp_path / "x")])] * 3
    found = await asyncio.gather(*(ended(call, args) for call, args in calls))
    assert found == [(0, True), (1, True), (0, False), (5, False)] * 3
    await starter.close()


async def test_a_command_is_not_told_how_another_process_is_known(tmp_path: Path) -> None:
    env = environment(**{identity.INFRASTRUCTURE: "host:1"})
    command = ["sh", "-c", f"echo said ${identity.INFRASTRUCTURE} > {tmp_path / 'said'}"]
    child = await Starter(False).start(Job(env, str(tmp_path), command=command))
    assert await child.wait() == 0 and not child.introduces_itself and not child.settled
    assert (tmp_path / "said").read_text() == "said\n"


async def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no-such-program"):
        await Starter(False).start(Job(environment(), str(tmp_path), command=["no-such-program"]))


async def test_ending_with_all_that_was_started(tmp_path: Path) -> None:
    starter = Starter()
    script = f"sleep 300 & echo $! > {tmp_path / 'pid'}; wait"
    child = await starter.start(Job(environment(), str(tmp_path), command=["sh", "-c", script]))
    await until_written(tmp_path / "pid")
    inner = int((tmp_path / "pid").read_text())
    assert await child.end(10) == -signal.SIGTERM
    await asyncio.wait_for(gone(inner), 10)
    deaf = await starter.start(Job(environment(), str(tmp_path), call=f"{HERE}:ignores", args=[str(tmp_path / "deaf")]))
    await until_written(tmp_path / "deaf")
    assert await deaf.end(0.2) == -signal.SIGKILL
    await starter.close()


async def test_ending_a_process_of_others(tmp_path: Path) -> None:
    starter = Starter(False)
    child = await starter.start(Job(environment(), str(tmp_path), command=["sleep", "300"]))
    await end_group(child.pid, 10)
    assert not is_alive(child.pid) or await child.wait() is not None


@pytest.mark.skipif(not CAN_FORK, reason="no fork")
async def test_processes_outlive_their_fork_server(tmp_path: Path) -> None:
    starter = Starter()
    child = await starter.start(Job(environment(), str(tmp_path), call="time:sleep", args=[0.5]))
    await starter.close()
    assert await child.wait() is None  # nobody knows how it ended, only that it has


def test_frames() -> None:
    frames = wire.Frames()
    one, other = socket.socketpair()
    with one, other:
        for message in ({"a": 1}, {"b": "ü" * 1000}):
            wire.send(one, message)
        data = other.recv(1 << 16)
        found = [message for byte in data for message in frames.feed(bytes([byte]))]
        assert found == [{"a": 1}, {"b": "ü" * 1000}]
        with open(os.devnull) as file:
            wire.send(one, {"c": 3}, [file.fileno()])
            message, fds = wire.receive(other)
        assert message == {"c": 3} and len(fds) == 1
        os.close(fds[0])
    with pytest.raises(wire.Closed):
        one, other = socket.socketpair()
        one.close()
        wire.receive(other)


def test_words_for_statuses() -> None:
    assert describe_status(3) == "exit status 3" and describe_status(None) == "its exit status is not known"
    assert describe_status(-9) == "ended by signal SIGKILL" and describe_status(-200) == "ended by signal 200"
    assert "memory" in explain_status(-9) and explain_status(3) == ""
    assert parse_identifier("host:12") == ("host", 12)
    with pytest.raises(ValueError, match="host:pid"):
        parse_identifier("12")


def begins(file: str) -> int:
    with open(file, "a") as marks:
        marks.write(f"{os.getpid()}\n")
    return 0


@pytest.mark.skipif(not CAN_FORK, reason="no fork")
async def test_a_fork_of_which_nobody_heard_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is killed when it has forked, before its answer is read; another one is asked for the same run."""
    take = ForkServer._take
    unheard: list[int] = []

    def lost(self: ForkServer, message: dict[str, Any]) -> None:
        if "pid" in message and "status" not in message and not unheard:
            unheard.append(message["pid"])
            self._process.kill()
            self._lost()
        else:
            take(self, message)

    monkeypatch.setattr(ForkServer, "_take", lost)
    starter, file = Starter(), tmp_path / "begun"
    child = await starter.start(Job(environment(), str(tmp_path), call=f"{HERE}:begins", args=[str(file)]))
    assert await child.wait() == 0
    async with asyncio.timeout(30):
        await gone(unheard[0])
    assert file.read_text().split() == [str(child.pid)]
    await starter.close()


@pytest.mark.skipif(not CAN_FORK, reason="no fork")
async def test_a_fork_that_nobody_waits_for_any_more_does_not_begin(tmp_path: Path) -> None:
    starter, file = Starter(), tmp_path / "begun"
    await starter.warm_up()
    job = Job(environment(), str(tmp_path), call=f"{HERE}:begins", args=[str(file)])
    abandoned = asyncio.create_task(starter.start(job))
    await asyncio.sleep(0)  # asked for, not answered
    abandoned.cancel()
    child = await starter.start(job)
    assert await child.wait() == 0
    assert abandoned.cancelled()
    assert file.read_text().split() == [str(child.pid)]
    await starter.close()
