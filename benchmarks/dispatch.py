"""From 'run this deployment now' to the first line of the flow, through a process worker: 1, 10 and 100 runs at once.

    python benchmarks/dispatch.py [RUNS ...] [--local]

Starts a server (or, with --local, none) and a worker of its own, and prints the latencies in seconds, and the memory of the
worker's processes while 50 runs go on at the same time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator

HOME = tempfile.mkdtemp(prefix="dispatch-")
SOURCE = """
import time
from prefect import flow

@flow
def f(seconds: float = 0):
    time.sleep(seconds)
"""


def server() -> subprocess.Popen[bytes]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    process = subprocess.Popen([sys.executable, "-m", "prefect", "server", "start", "--port", str(port)])
    for _ in range(300):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{os.environ['PREFECT_API_URL']}/health").close()
            return process
        time.sleep(0.1)
    raise SystemExit("the server did not start")


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes] | None) -> Iterator[subprocess.Popen[bytes] | None]:
    try:
        yield process
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)


def memory(pid: int) -> tuple[float, int]:
    """Megabytes that a process and its descendants have to themselves (PSS), and how many they are."""
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    total, count, pending = 0, 0, [pid]
    while pending:
        one = pending.pop()
        pending += children.get(one, [])
        with contextlib.suppress(OSError, StopIteration):
            lines = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
            count += 1
    return total / 1024, count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", type=int, default=[1, 10, 100])
    parser.add_argument("--local", action="store_true")
    options = parser.parse_args()
    os.environ.update(PREFECT_HOME=HOME, PREFECT_LOGGING_LEVEL="WARNING")
    with ended(None if options.local else server()):
        measure(options.runs)


def measure(sizes: list[int]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flows import load_flow_from_entrypoint

    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "flows.py").write_text(SOURCE)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "bench", "--limit", "200"]
    with ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)) as worker, get_client(sync_client=True) as api:
        while not [pool for pool in api.read_work_pools() if pool.name == "bench"]:
            time.sleep(0.1)
        flow = api.create_flow(load_flow_from_entrypoint(f"{folder / 'flows.py'}:f"))
        id = api.create_deployment(
            flow_id=flow, name="bench", path=str(folder), entrypoint="flows.py:f", work_pool_name="bench"
        )

        def until_ended(runs: list) -> list:
            found = []
            for run in runs:
                while not (seen := api.read_flow_run(run.id)).state.is_final():
                    time.sleep(0.05)
                found.append(seen)
            return found

        until_ended([api.create_flow_run_from_deployment(id) for _ in range(3)])  # warm
        for size in sizes:
            runs = until_ended([api.create_flow_run_from_deployment(id) for _ in range(size)])
            delays = sorted((run.start_time - run.created).total_seconds() for run in runs)
            p99 = delays[min(len(delays) - 1, int(len(delays) * 0.99))]
            span = (max(run.end_time for run in runs) - min(run.created for run in runs)).total_seconds()
            print(f"{size:4} at once: p50 {statistics.median(delays):.2f} s, p99 {p99:.2f} s, all done in {span:.2f} s")
        running = [api.create_flow_run_from_deployment(id, parameters={"seconds": 8}) for _ in range(50)]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if all(api.read_flow_run(run.id).state.is_running() for run in running[-3:]):
                break
        megabytes, processes = memory(worker.pid)
        print(f"50 runs at the same time: {megabytes:.0f} MB in {processes} processes, the worker's own included")
        until_ended(running)


if __name__ == "__main__":
    main()
