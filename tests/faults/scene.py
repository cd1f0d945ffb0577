"""A server, programs that carry out runs for it, and what a supervisor does: all real processes, to be killed.

The flows tell a file what they do, each line by one `write` with `O_APPEND`, and hold locks of the operating system while
they run: a second process of the same run is noticed by the kernel, whatever the database says.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from clocks import Clock
from prefect._clock import now
from prefect._dispatch.children import is_alive
from prefect._services import lease_expiry, task_run_reconciliation
from prefect.server.database import make_database
from served.servers import Server, until

MAPPED = 5
"""How many task runs each run has beside the one that stands for its sub-flow."""
SLOTS = 2
"""How many runs of the limited deployment may go on at the same time."""

FLOWS = """
import contextlib, fcntl, os, pathlib, sys, time
from prefect import flow, get_run_logger, runtime, task

HERE = pathlib.Path({folder!r})

def note(what, id):
    token = os.environ.get("PREFECT__FLOW_RUN_LEASE_TOKEN", "-")
    line = f"{{what}} {{id}} {{os.getpid()}} {{token}} {{time.monotonic()}}\\n"
    fd = os.open(HERE / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)

def only(name):
    "Holds a lock while this process lives, or until it is closed; None when another process holds it."
    fd = os.open(HERE / "locks" / name, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd

@contextlib.contextmanager
def marked(slots=()):
    id = str(runtime.flow_run.id)
    own = only(id)
    if own is None:
        note("twice", id)
    held = None
    for slot in slots:
        held = held or only(slot)
    if slots and held is None:
        note("over", id)
    note("begin", id)
    try:
        yield id
        note("done", id)
    finally:
        note("end", id)
        for fd in (own, held):
            if fd is not None:
                os.close(fd)

@task
def work(number, seconds):
    get_run_logger().info("number %d", number)
    time.sleep(seconds)
    return number

@flow
def child(seconds):
    return work(0, seconds)

def steps(seconds):
    work.map(range(1, {mapped}), seconds / 2).result()
    child(seconds / 2)

@flow
def plain(seconds: float = 0.0):
    with marked():
        steps(seconds)

@flow(retries=2)
def stubborn(seconds: float = 0.0):
    with marked():
        steps(seconds)

@flow
def limited(seconds: float = 0.0):
    with marked([f"slot-{{number}}" for number in range({slots})]):
        steps(seconds)

@flow
def adhoc(seconds: float = 0.0):
    with marked():
        steps(seconds)

if __name__ == "__main__":
    if sys.argv[1] == "serve":
        from datetime import UTC, datetime, timedelta
        from prefect.runner import Runner
        from prefect.schedules import Interval
        import asyncio

        # the same instants whenever it is started
        schedule = Interval(timedelta(seconds=float(sys.argv[2])), anchor_date=datetime(2024, 1, 1, tzinfo=UTC))

        async def served():
            async with Runner(name="faults", limit=6, pause_on_shutdown=False) as runner:
                await runner.aadd_deployment(await plain.ato_deployment(name="served", schedule=schedule))
                await runner.start()

        asyncio.run(served())
    else:
        adhoc(float(sys.argv[2]))
"""


@dataclass(frozen=True)
class Mark:
    """What a flow said: `begin`, `done` (its function came to its end), `end` (however), `twice` or `over`."""

    what: str
    run: str
    pid: int
    token: str
    at: float


@dataclass
class Program:
    """A program that is started again when it has ended.

    Attributes:
        start: starts it.
        process: the one that runs, or ran last.
        stopped_until: when a process that was stopped goes on, in monotonic seconds.
    """

    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] = field(init=False)
    stopped_until: float | None = None

    def __post_init__(self) -> None:
        self.process = self.start()

    def keep_up(self) -> None:
        """What a supervisor does now and then."""
        if self.stopped_until is not None and time.monotonic() >= self.stopped_until:
            self.process.send_signal(signal.SIGCONT)
            self.stopped_until = None
        if self.process.poll() is not None:
            self.process = self.start()
            self.stopped_until = None

    def stop_for(self, seconds: float) -> None:
        """Stop it as a suspended machine does."""
        if self.stopped_until is None and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped_until = time.monotonic() + seconds

    def go_on(self) -> None:
        if self.stopped_until is not None:
            self.stopped_until = 0.0
            self.keep_up()

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()


class Scene:
    """Everything that is killed, and a look at what it leaves.

    Args:
        folder: of the test.
        url: of the database; None for an SQLite file.
        schedule: seconds between two runs of the served deployment.
    """

    def __init__(self, folder: Path, url: str | None = None, schedule: float = 2.0) -> None:
        self.folder = folder
        (folder / "locks").mkdir()
        self.code = folder / "flows.py"
        self.code.write_text(FLOWS.format(folder=str(folder), mapped=MAPPED, slots=SLOTS))
        self.home = folder / "home"
        self.home.mkdir()
        self.server_clock, self.clock = Clock(folder / "server-clock"), Clock(folder / "clock")
        """That of the server, and that of all other programs."""
        more = {"PYTHONPATH": self.server_clock.in_path(os.environ)}
        if url is not None:
            more["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
        self.server = Server(folder / "server", **more).start()
        self.database = make_database(url or f"sqlite:///{folder / 'server' / 'pluperfect.db'}")
        self.database.open()
        self.killed: set[int] = set()
        """Processes of flows that were told to end, or stopped for a while."""
        self.adhoc: list[subprocess.Popen[bytes]] = []
        python, pool = sys.executable, ["--pool", "faults", "--limit", "8"]
        self.workers = [
            Program(lambda: self._start("worker", python, "-m", "prefect", "worker", "start", *pool)) for _ in range(2)
        ]
        self.runner = Program(lambda: self._start("runner", python, str(self.code), "serve", str(schedule)))

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        env = {
            **os.environ, "PREFECT_HOME": str(self.home), "PREFECT_API_URL": self.server.url,
            "PYTHONPATH": self.clock.in_path(os.environ),
        }  # fmt: skip
        with (self.folder / f"{name}.out").open("ab") as output:
            return subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=self.folder)

    def run_adhoc(self, seconds: float) -> None:
        """Start a flow that no deployment knows."""
        self.adhoc.append(self._start("adhoc", sys.executable, str(self.code), "once", str(seconds)))

    @property
    def programs(self) -> list[Program]:
        return [*self.workers, self.runner]

    # -- what is there -----------------------------------------------------------------------------------------------

    def marks(self) -> list[Mark]:
        file = self.folder / "marks"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [Mark(what, run, int(pid), token, float(at)) for what, run, pid, token, at in lines]

    def living(self) -> list[int]:
        """Processes that are carrying out a run."""
        marks = self.marks()
        over = {(mark.run, mark.pid, mark.token) for mark in marks if mark.what == "end"}
        begun = {(mark.run, mark.pid, mark.token) for mark in marks if mark.what == "begin"}
        return sorted({pid for run, pid, token in begun - over if is_running(pid)})

    def starting(self) -> list[int]:
        """Processes of runs, also of those whose flow has not begun."""
        children = children_of()
        servers = [fork for program in self.programs for fork in children.get(program.process.pid, ())]
        return [pid for fork in servers for pid in children.get(fork, ())] + self.living()

    def fork_servers(self) -> list[int]:
        children = children_of()
        return [fork for program in self.programs for fork in children.get(program.process.pid, ())]

    # -- the end -----------------------------------------------------------------------------------------------------

    def keep_up(self) -> None:
        for program in self.programs:
            program.keep_up()

    def expire_leases(self) -> int:
        """What happens when an hour has passed in which nobody was heard of; returns how many runs that ended."""
        done = 0
        while True:
            found = lease_expiry.run_once(self.database, now() + timedelta(hours=1))
            done += found.done
            if not found.more:
                return done

    def end_task_runs(self) -> None:
        """What happens to the open task runs of ended flow runs when nobody has told of them for an hour."""
        while task_run_reconciliation.run_once(self.database, now() + timedelta(hours=1)).more:
            pass

    def stop(self) -> None:
        for program in self.programs:
            program.end()
        for process in self.adhoc:
            process.kill()
            process.wait()
        self.server.stop()


def children_of() -> dict[int, list[int]]:
    """Which processes each process has started; those that have ended and were not waited for are left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                status, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if status != "Z":
                    children.setdefault(int(parent), []).append(int(entry.name))
    return children


def is_running(pid: int) -> bool:
    """Whether a process lives; one that has ended, and that its parent was not told of yet, does not."""
    try:
        return is_alive(pid) and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def deploy(scene: Scene, name: str, **fields: Any) -> UUID:
    """A deployment of one of the flows for the workers."""
    until(lambda: scene.server.ask("POST", "/work_pools/filter", {}), "the start of a worker")
    flow = scene.server.ask("POST", "/flows/", {"name": name})
    body = {
        "name": "faults", "flow_id": flow["id"], "path": str(scene.folder), "entrypoint": f"flows.py:{name}",
        "work_pool_name": "faults", **fields,
    }  # fmt: skip
    return UUID(scene.server.ask("POST", "/deployments/", body)["id"])
