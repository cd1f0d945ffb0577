"""The workloads of `run.py`: ordinary programs, one per process. `python workloads.py NAME [COUNT]`."""

from __future__ import annotations

import resource
import sys
import time

from prefect import flow, task


@task
def add(x: int) -> int:
    return x + 1


@flow
def hello() -> int:
    return add(1)


@flow
def five() -> int:
    return sum(add(n) for n in range(5))


@flow
def sequential(n: int) -> int:
    x = 0
    for _ in range(n):
        x = add(x)
    return x


@flow
def mapped(n: int) -> int:
    return sum(add.map(range(n)).result())


@task
async def add_soon(x: int) -> int:
    return x + 1


@flow
async def gathered(n: int) -> int:
    import asyncio  # only this workload needs it, and the others measure what a program without it costs

    return sum(await asyncio.gather(*(add_soon(x) for x in range(n))))


@flow
def child(x: int) -> int:
    return x + 1


@flow
def subflows(n: int) -> int:
    x = 0
    for _ in range(n):
        x = child(x)
    return x


def main(name: str, count: int) -> None:
    began = time.perf_counter()
    if name in ("hello", "five"):
        {"hello": hello, "five": five}[name]()
    elif name == "gather":
        import asyncio

        asyncio.run(gathered(count))
    else:
        {"sequential": sequential, "map": mapped, "subflows": subflows}[name](count)
    seconds = time.perf_counter() - began
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    print(f"seconds={seconds:.4f} rss_mb={largest:.1f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
