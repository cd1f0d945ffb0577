"""The memory of many runs at the same time on one process worker; also with the interpreter of another Prefect.

    python benchmarks/memory.py [--runs 50]

Counts the worker and everything that it has started: what each process has to itself, and its share of what it has in common
with others (PSS of `/proc/*/smaps_rollup`).
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from dispatch import HOME, SOURCE, ended, memory, server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    os.environ.update(PREFECT_HOME=HOME, PREFECT_LOGGING_LEVEL="WARNING", PREFECT_WORKER_QUERY_SECONDS="2")
    with ended(server()):
        measure(options.runs)


def measure(count: int) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flows import load_flow_from_entrypoint

    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "flows.py").write_text(SOURCE)
    pool = ["--pool", "bench", "--type", "process", "--limit", str(count)]
    command = [sys.executable, "-m", "prefect", "worker", "start", *pool]
    with ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)) as worker, get_client(sync_client=True) as api:
        assert worker is not None
        while not [pool for pool in api.read_work_pools() if pool.name == "bench"]:
            time.sleep(0.1)
        flow = api.create_flow(load_flow_from_entrypoint(f"{folder / 'flows.py'}:f"))
        id = api.create_deployment(
            flow_id=flow, name="bench", path=str(folder), entrypoint="flows.py:f", work_pool_name="bench"
        )
        alone, _ = memory(worker.pid)
        begun = time.monotonic()
        runs = [api.create_flow_run_from_deployment(id, parameters={"seconds": 3600}) for _ in range(count)]
        for run in runs:
            while not api.read_flow_run(run.id).state.is_running():
                time.sleep(0.2)
        seconds = time.monotonic() - begun
        time.sleep(2)  # until all sleep
        total, processes = memory(worker.pid)
        print(
            f"{count} runs: {total:.0f} MB in {processes} processes ({(total - alone) / count:.1f} MB a run, the worker "
            f"{alone:.0f} MB), all running after {seconds:.1f} s; load average {os.getloadavg()[0]:.1f}"
        )
        for pid in children(worker.pid):
            os.kill(pid, 9)
        worker.kill()


def children(pid: int) -> list[int]:
    """The descendants of a process."""
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [each for child in map(int, listed) for each in (*children(child), child)]


if __name__ == "__main__":
    main()
