"""What waiting costs: an idle server, claims from the moment a run is made, slots from one holder to the next.

    python benchmarks/waiting.py [--seconds 30] [--waiters 50] [--database URL]

Starts a server of its own; prints the share of a core it takes when nobody asks for anything, and when so many workers
wait for runs; how long after a run is made its waiting worker has it; how long a slot takes from the one who gives it back
to the next in line.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, database: str | None) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        environment = {**os.environ, "PREFECT_HOME": tempfile.mkdtemp(prefix="waiting-")}
        if database:
            environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        for _ in range(600):
            with contextlib.suppress(OSError):
                if self.ask("GET", "/health"):
                    return
            time.sleep(0.05)
        raise SystemExit("the server did not start")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"/api{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse().read()
            return json.loads(answer) if answer else None
        finally:
            connection.close()

    def cpu(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def share(self, seconds: float) -> float:
        """The share of a core that the server takes, in percent."""
        before = self.cpu()
        time.sleep(seconds)
        return (self.cpu() - before) / seconds * 100


@contextlib.contextmanager
def served(database: str | None) -> Iterator[Server]:
    server = Server(database)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def told(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p99 = ordered[int(len(ordered) * 0.99)]
    print(f"{name:<40} p50 {statistics.median(ordered) * 1e3:7.1f} ms   p99 {p99 * 1e3:7.1f} ms")


def claims(server: Server, waiters: int, seconds: float) -> None:
    flow = server.ask("POST", "/flows/", {"name": "f"})["id"]
    server.ask("POST", "/work_pools/", {"name": "p", "type": "process"})
    made: dict[str, float] = {}
    had: list[float] = []
    ended = threading.Event()

    def wait() -> None:
        holder = {"kind": "worker", "id": str(uuid.uuid4())}
        while not ended.is_set():
            body = {"holder": holder, "work_pool_name": "p", "wait_seconds": 30}
            for claim in server.ask("POST", "/flow_runs/claim", body):
                moment = time.perf_counter()
                name = claim["flow_run"]["name"]
                had.append(moment - made[name])

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(waiters)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    print(f"{f'{waiters} workers wait':<40} {server.share(seconds):.2f} % of a core")
    for number in range(100):
        made[str(number)] = time.perf_counter()
        state = {"type": "SCHEDULED"}
        server.ask("POST", "/flow_runs/", {"flow_id": flow, "name": str(number), "state": state, "work_pool_name": "p"})
        time.sleep(0.05)
    time.sleep(2)
    told("a run, from the request to its worker", had)
    ended.set()


def slots(server: Server, waiters: int) -> None:
    server.ask("POST", "/v2/concurrency_limits/", {"name": "x", "limit": 1})
    given = [time.perf_counter()]
    passed: list[float] = []

    def hold() -> None:
        body = {"names": ["x"], "slots": 1, "wait_seconds": 40}
        answer = server.ask("POST", "/v2/concurrency_limits/increment-with-lease", body)
        while "lease_id" not in answer:
            answer = server.ask("POST", "/v2/concurrency_limits/increment-with-lease", body)
        passed.append(time.perf_counter() - given[0])
        given[0] = time.perf_counter()
        server.ask("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": answer["lease_id"]})

    threads = [threading.Thread(target=hold) for _ in range(waiters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told(f"a slot, to the next of {waiters} in line", passed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--waiters", type=int, default=50)
    parser.add_argument("--database")
    given = parser.parse_args()
    with served(given.database) as server:
        time.sleep(3)
        print(f"{'idle':<40} {server.share(given.seconds):.2f} % of a core")
        slots(server, given.waiters)
        claims(server, given.waiters, given.seconds)


if __name__ == "__main__":
    main()
