"""How many flow runs a second a process worker starts, and what each costs whom.

    python benchmarks/starts.py [--runs 300] [--deployments 1] [--limit 16] [--requests]

Starts a server on a new SQLite file and a process worker, makes runs that are all due at one moment, and waits for the
first line of each. The processor time of a run is told apart: the worker, the fork server, the processes of the flows
(those that have ended and were reaped), the server. `--requests` puts a relay before the server that counts what is
asked; it takes processor time itself, so its figures of time are not to be compared with others.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from typing import Any

os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="starts-")

from dispatch import ended, memory, server

from prefect._clock import now
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Scheduled

HOME = pathlib.Path(os.environ["PREFECT_HOME"])
MARKS = HOME / "marks"
SOURCE = f"""
import os, time
from prefect import flow

@flow
def f():
    at = time.time()
    fd = os.open({str(MARKS)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{{at}}\\n".encode())
    os.close(fd)
"""
TICK = os.sysconf("SC_CLK_TCK")
_LINE = re.compile(rb"(GET|POST|PATCH|PUT|DELETE) (\S+) HTTP/1\.1\r\n")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def spent(pid: int, reaped: bool) -> float:
    """Seconds of processor time that a process has taken; or its ended children, those that it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = (13, 14) if reaped else (11, 12)
    return (int(fields[user]) + int(fields[system])) / TICK


def fork_server(worker: int) -> int:
    """The fork server of a worker."""
    listed = subprocess.run(
        ["pgrep", "-P", str(worker), "-f", "forkserver"], capture_output=True, text=True, check=True
    )
    return int(listed.stdout.split()[0])


def costs(worker: int, api: int) -> dict[str, float]:
    """Processor time so far, by who took it."""
    forks = fork_server(worker)
    return {
        "worker": spent(worker, False), "fork server": spent(forks, False), "flows": spent(forks, True),
        "server": spent(api, False),
    }  # fmt: skip


def marks() -> list[float]:
    """When the first lines ran."""
    return [float(line) for line in MARKS.read_text().split()] if MARKS.exists() else []


class Relay:
    """Passes on what is said to a server, and counts the requests by operation."""

    def __init__(self, port: int) -> None:
        self.asked: collections.Counter[str] = collections.Counter()
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            ours, _ = self._listener.accept()
            theirs = socket.create_connection(("127.0.0.1", self._port))
            self.asked["(connections)"] += 1
            threading.Thread(target=self._pass, args=(ours, theirs, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(theirs, ours, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, count: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                for method, path in _LINE.findall(data) if count else ():
                    self.asked[f"{method.decode()} {_ID.sub('ID', path.decode())}"] += 1
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--deployments", type=int, default=1)
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--requests", action="store_true")
    options = parser.parse_args()
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    with ended(server()) as api:
        relay = None
        if options.requests:
            url = os.environ["PREFECT_API_URL"]
            relay = Relay(int(url.rpartition(":")[2].partition("/")[0]))
            os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{relay.port}/api"
        pool = ["--pool", "bench", "--type", "process", "--limit", str(options.limit)]
        command = [sys.executable, "-m", "prefect", "worker", "start", *pool]
        with ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)) as worker:
            assert api is not None
            assert worker is not None
            measure(options, worker.pid, api.pid, relay)


def measure(options: argparse.Namespace, worker: int, api: int, relay: Relay | None) -> None:
    (HOME / "flows.py").write_text(SOURCE)
    with get_client(sync_client=True) as client:
        while not [pool for pool in client.read_work_pools() if pool.name == "bench"]:
            time.sleep(0.1)
        flow = client.create_flow(load_flow_from_entrypoint(f"{HOME / 'flows.py'}:f"))
        ids = [
            client.create_deployment(
                flow_id=flow, name=f"d{number}", path=str(HOME), entrypoint="flows.py:f", work_pool_name="bench"
            )
            for number in range(options.deployments)
        ]
        for _ in range(3):  # warm
            client.create_flow_run_from_deployment(ids[0])
        until(lambda: len(marks()) == 3)
        until(lambda: all_ended(client))
        begin = now() + timedelta(seconds=3 + options.runs / 50)
        for number in range(options.runs):
            client.create_flow_run_from_deployment(ids[number % len(ids)], state=Scheduled(scheduled_time=begin))
    MARKS.unlink()
    time.sleep(max((begin - now()).total_seconds() - 0.2, 0))
    if relay is not None:
        relay.asked.clear()
    before, largest = costs(worker, api), 0.0
    while len(marks()) < options.runs:
        time.sleep(0.5)
        largest = max(largest, memory(worker)[0])
    until(lambda: memory(worker)[1] == 2)  # the worker and its fork server
    after = costs(worker, api)
    report(options, begin.timestamp(), {name: after[name] - before[name] for name in after}, largest)
    for operation, count in relay.asked.most_common() if relay is not None else ():
        print(f"  {count / options.runs:6.2f} a run: {operation}")


def report(options: argparse.Namespace, begin: float, taken: dict[str, float], largest: float) -> None:
    delays = sorted(at - begin for at in marks())
    p99 = delays[min(len(delays) - 1, int(len(delays) * 0.99))]
    each = ", ".join(f"{name} {seconds * 1000 / options.runs:.1f}" for name, seconds in taken.items())
    print(
        f"{options.runs} runs of {options.deployments} deployments: {len(delays) / delays[-1]:.1f} first lines a second, "
        f"delay p50 {statistics.median(delays):.2f} s, p99 {p99:.2f} s\n"
        f"  milliseconds of processor a run: {sum(taken.values()) * 1000 / options.runs:.1f} ({each})\n"
        f"  at most {largest:.0f} MB in the worker's processes; load average {os.getloadavg()[0]:.1f}"
    )


def all_ended(client: Any) -> bool:
    open_ones = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}}
    return not client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(open_ones))


def until(holds: Any) -> None:
    while not holds():
        time.sleep(0.1)


if __name__ == "__main__":
    main()
