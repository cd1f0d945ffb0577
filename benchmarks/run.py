"""How fast and how large: every workload in processes of its own, with a home of its own.

    uv run benchmarks/run.py [--repeat 3] [--size 1.0] [--only NAME ...]

Times are wall-clock seconds, the best of the repeats; memory is the largest resident set, in MB. Nothing is asserted
about either: machines differ, and only figures of one machine and one hour compare.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORKLOADS = Path(__file__).with_name("workloads.py")
PROCESSES = 200


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    figure: str
    note: str = ""


def environment(home: str) -> dict[str, str]:
    """This program's environment, with that home and none of our variables beside it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {"PREFECT_HOME": home, "PREFECT_LOGGING_LEVEL": "ERROR"}


def python(*arguments: str, home: str | None = None) -> tuple[float, str]:
    """Run the interpreter; gives the seconds it took and what it printed."""
    with tempfile.TemporaryDirectory(prefix="bench") as fresh:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], env=environment(home or fresh), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def best(repeat: int, *arguments: str) -> float:
    return min(python(*arguments)[0] for _ in range(repeat))


def figures(*arguments: str) -> dict[str, float]:
    """The `name=number` figures that a workload prints."""
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", python(str(WORKLOADS), *arguments)[1])}


def fastest(repeat: int, *arguments: str) -> dict[str, float]:
    return min((figures(*arguments) for _ in range(repeat)), key=lambda found: found["seconds"])


# -- what is measured ----------------------------------------------------------------------------------------------------


def importing(repeat: int, size: float) -> list[Row]:
    bare = best(repeat, "-c", "pass")
    ours = best(repeat, "-c", "from prefect import flow, task")
    pydantic = best(repeat, "-c", "from pydantic import BaseModel")
    return [
        Row("from prefect import flow, task", f"{(ours - bare) * 1000:.0f} ms", "beyond the interpreter's start"),
        Row("from pydantic import BaseModel", f"{(pydantic - bare) * 1000:.0f} ms", "for comparison"),
    ]


def hello(repeat: int, size: float) -> list[Row]:
    bare = best(repeat, "-c", "pass")
    first = best(repeat, str(WORKLOADS), "hello")
    with tempfile.TemporaryDirectory(prefix="bench") as home:
        python(str(WORKLOADS), "hello", home=home)
        again = min(python(str(WORKLOADS), "hello", home=home)[0] for _ in range(repeat))
    return [
        Row(
            "hello, whole process, new database",
            f"{first * 1000:.0f} ms",
            f"the interpreter alone: {bare * 1000:.0f} ms",
        ),
        Row("hello, whole process, again", f"{again * 1000:.0f} ms"),
    ]


def command(repeat: int, size: float) -> list[Row]:
    return [
        Row("prefect --help", f"{best(repeat, '-m', 'prefect', '--help') * 1000:.0f} ms"),
        Row("prefect flow-run ls", f"{best(repeat, '-m', 'prefect', 'flow-run', 'ls') * 1000:.0f} ms"),
    ]


def _rate(title: str, name: str, count: int) -> Callable[[int, float], list[Row]]:
    def measure(repeat: int, size: float) -> list[Row]:
        n = max(1, round(count * size))
        found = fastest(repeat, name, str(n))
        return [Row(f"{title}, {n}", f"{n / found['seconds']:,.0f} /s", f"{found['rss_mb']:.0f} MB")]

    return measure


def memory(repeat: int, size: float) -> list[Row]:
    n = max(1, round(10_000 * size))
    small, large = fastest(repeat, "map", "10"), fastest(repeat, "map", str(n))
    grown = large["rss_mb"] - small["rss_mb"]
    return [Row(f"memory of {n} mapped tasks", f"{grown:.0f} MB", f"beyond {small['rss_mb']:.0f} MB for ten")]


def processes(repeat: int, size: float) -> list[Row]:
    """Many processes, each with a flow and five tasks, on one database file at the same time."""
    n = max(1, round(PROCESSES * size))
    with tempfile.TemporaryDirectory(prefix="bench") as home:
        began = time.perf_counter()
        running = [
            subprocess.Popen(
                [sys.executable, str(WORKLOADS), "five"],
                env=environment(home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for _ in range(n)
        ]
        times, failed = [], 0
        for process in running:
            _, errors = process.communicate()
            times.append(time.perf_counter() - began)
            failed += process.returncode != 0 or b"locked" in errors
        database = sqlite3.connect(f"file:{home}/pluperfect.db?mode=ro", uri=True)
        (flows,) = database.execute("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'").fetchone()
        (tasks,) = database.execute("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'").fetchone()
        database.close()
    note = f"{flows} of {n} flow runs, {tasks} of {5 * n} task runs recorded; {failed} errors"
    return [
        Row(f"{n} processes on one file", f"{max(times):.1f} s", f"median {statistics.median(times):.1f} s; {note}")
    ]


MEASURES: dict[str, Callable[[int, float], list[Row]]] = {
    "import": importing,
    "hello": hello,
    "command": command,
    "sequential": _rate("tasks in a row", "sequential", 2000),
    "map": _rate("mapped tasks", "map", 2000),
    "async": _rate("gathered asynchronous tasks", "gather", 2000),
    "subflows": _rate("sub-flows in a row", "subflows", 500),
    "memory": memory,
    "processes": processes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the run engine.")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is measured (3); the best counts")
    parser.add_argument("--size", type=float, default=1.0, help="multiplies the numbers of tasks and processes (1.0)")
    parser.add_argument(
        "--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="NAME", help=", ".join(MEASURES)
    )
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}\n")
    for name in options.only:
        for row in MEASURES[name](options.repeat, options.size):
            print(f"{row.what:38} {row.figure:>12}   {row.note}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
