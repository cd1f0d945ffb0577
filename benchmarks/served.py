"""The same workloads, recorded by a server: one is started for them, with a home of its own.

    uv run benchmarks/served.py [--repeat 3] [--size 1.0] [--database-url URL]

Times are wall-clock seconds, the best of the repeats. Client and server share the machine. The last lines tell how fast
the server takes what is sent to it by a client that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from run import WORKLOADS, Row, environment

PARALLEL = [("tasks in a row", "sequential", 1000), ("mapped tasks", "map", 1000), ("gathered tasks", "gather", 1000)]


@contextlib.contextmanager
def server(database_url: str | None, *arguments: str) -> Iterator[int]:
    """A server that answers; gives its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench") as home:
        more = {"PREFECT_API_DATABASE_CONNECTION_URL": database_url} if database_url else {}
        command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), *arguments]
        process = subprocess.Popen(
            command, env={**environment(home), **more}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    if ask(port, "GET", "/health") is True:
                        break
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            process.wait()


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, f"/api{path}", None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        raw = response.read()
        if response.status >= 400:
            raise SystemExit(f"{method} {path}: {response.status} {raw[:300]!r}")
        return json.loads(raw) if raw else None
    finally:
        connection.close()


def program(port: int, *arguments: str) -> tuple[float, float]:
    """Run a workload against the server; the seconds that the program took, and those that the workload did."""
    with tempfile.TemporaryDirectory(prefix="bench") as home:
        env = {**environment(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        began = time.perf_counter()
        command = [sys.executable, str(WORKLOADS), *arguments]
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        whole = time.perf_counter() - began
    told = re.search(r"seconds=([\d.]+)", done.stdout)
    return whole, float(told[1]) if told else whole


def workloads(port: int, repeat: int, size: float) -> list[Row]:
    hello = min(program(port, "hello")[0] for _ in range(repeat))
    rows = [Row("hello, whole process", f"{hello * 1000:.0f} ms")]
    for title, name, count in [*PARALLEL, ("sub-flows in a row", "subflows", 100)]:
        n = max(1, round(count * size))
        seconds = min(program(port, name, str(n))[1] for _ in range(repeat))
        rows.append(Row(f"{title}, {n}", f"{n / seconds:,.0f} /s"))
    return rows


def record_task_runs(port: int, size: float) -> Row:
    """Task runs with three states each, in batches of a thousand."""
    batches = max(1, round(10 * size))
    began = time.perf_counter()
    for _ in range(batches):
        ask(port, "POST", "/task_runs/record", {"task_runs": [_task_run() for _ in range(1000)]})
    return Row("task runs taken, batches of 1000", f"{batches * 1000 / (time.perf_counter() - began):,.0f} /s")


def _task_run() -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat()
    states = [
        {"id": str(uuid.uuid4()), "type": kind, "name": kind.capitalize(), "timestamp": moment}
        for kind in ("PENDING", "RUNNING", "COMPLETED")
    ]
    id = str(uuid.uuid4())
    return {"id": id, "name": "t", "task_key": "bench", "dynamic_key": id, "run_count": 1, "states": states}


def write_logs(port: int, size: float) -> Row:
    batches = max(1, round(50 * size))
    line = {"name": "bench", "level": 20, "message": "something happened", "timestamp": datetime.now(UTC).isoformat()}
    began = time.perf_counter()
    for _ in range(batches):
        ask(port, "POST", "/logs/", [line] * 200)
    return Row("POST /logs/ of 200 lines", f"{batches / (time.perf_counter() - began):,.0f} /s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--database-url", help="a database for the server; SQLite unless given")
    options = parser.parse_args()
    with server(options.database_url) as port:
        rows = workloads(port, options.repeat, options.size)
        rows += [record_task_runs(port, options.size), write_logs(port, options.size)]
    for row in rows:
        print(f"{row.what:40} {row.figure:>12}  {row.note}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ.pop("PREFECT_API_URL", None)
    main()
