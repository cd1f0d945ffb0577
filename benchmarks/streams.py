"""Websockets under load: a server in a process of its own, many subscribers, events and log lines as fast as they go.

    uv run benchmarks/streams.py [--subscribers 500] [--events 5000] [--database URL]

Nothing is asserted; only figures of one machine and one hour compare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psutil
import websockets


@contextmanager
def server(database: str | None) -> Iterator[tuple[str, psutil.Process]]:
    with tempfile.TemporaryDirectory(prefix="bench") as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = kept | {"PREFECT_HOME": home}
        if database:
            environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}/api"
        try:
            for _ in range(300):
                try:
                    if httpx.get(f"{url}/health").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.1)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


def an_event(name: str = "bench.event") -> dict[str, Any]:
    return {
        "event": name, "resource": {"prefect.resource.id": "bench.thing"}, "related": [], "payload": {"n": 1},
        "occurred": datetime.now(UTC).isoformat(), "id": str(uuid4()),
    }  # fmt: skip


async def opened(url: str, path: str, *messages: dict[str, Any]) -> Any:
    address = url.replace("http", "ws") + path
    connection = await websockets.connect(address, subprotocols=["prefect"], open_timeout=60)
    await connection.send(json.dumps({"type": "auth", "token": None}))
    await connection.recv()
    for message in messages:
        await connection.send(json.dumps(message))
    return connection


def say(what: str, figure: str) -> None:
    print(f"{what:<58} {figure}", flush=True)


def megabytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


async def fan_out(url: str, process: psutil.Process, count: int) -> None:
    before = megabytes(process)
    wanted = {"type": "filter", "filter": {"event": {"name": ["bench.event"]}}, "backfill": False}
    subscribers = [await opened(url, "/events/out", wanted) for _ in range(count)]
    await asyncio.sleep(1)
    say(f"memory for each of {count} subscribers", f"{(megabytes(process) - before) * 1000 / count:.0f} kB")
    cpu = process.cpu_times()
    await asyncio.sleep(5)
    after = process.cpu_times()
    say(f"CPU with {count} idle subscribers", f"{(after.user + after.system - cpu.user - cpu.system) / 5 * 100:.1f} %")
    last: list[float] = []
    all_: list[float] = []
    async with httpx.AsyncClient() as client:
        for _ in range(20):
            event = an_event()
            began = time.perf_counter()

            async def arrival(connection: Any, began: float = began) -> float:
                await connection.recv()
                return time.perf_counter() - began

            arrivals = [asyncio.create_task(arrival(connection)) for connection in subscribers]
            await client.post(f"{url}/events", json=[event])
            taken = await asyncio.gather(*arrivals)
            all_ += taken
            last.append(max(taken))
    say(f"one event to {count} subscribers: median of all", f"{statistics.median(all_) * 1000:.1f} ms")
    say(f"one event to {count} subscribers: the last of them", f"{statistics.median(last) * 1000:.1f} ms")
    began = time.perf_counter()
    async with httpx.AsyncClient() as client:
        await client.post(f"{url}/events", json=[an_event() for _ in range(100)])

    async def hundred(connection: Any) -> None:
        for _ in range(100):
            await connection.recv()

    await asyncio.gather(*map(hundred, subscribers))
    seconds = time.perf_counter() - began
    say(f"a hundred events to {count} subscribers", f"{100 * count / seconds:,.0f} messages/s")
    await asyncio.gather(*(connection.close() for connection in subscribers))


async def events_in(url: str, count: int) -> None:
    connection = await opened(url, "/events/in")
    texts = [json.dumps(an_event("bench.in")) for _ in range(count)]
    began = time.perf_counter()
    for text in texts:
        await connection.send(text)
    await connection.send('{"type":"checkpoint","id":1}')
    await connection.recv()
    say("events in, one a message, acknowledged", f"{count / (time.perf_counter() - began):,.0f} /s")
    await connection.close()


async def logs_in(url: str, count: int) -> None:
    run, batch = str(uuid4()), 500
    moment = datetime.now(UTC).isoformat()
    line = {"name": "bench", "level": 20, "message": "a line of a log", "timestamp": moment, "flow_run_id": run}
    async with httpx.AsyncClient(timeout=60) as client:
        began = time.perf_counter()
        for _ in range(0, count, batch):
            (await client.post(f"{url}/logs/", json=[line] * batch)).raise_for_status()
    say(f"log lines in, {batch} a request", f"{count / (time.perf_counter() - began):,.0f} /s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=500)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--database", help="URL; by default an SQLite file of its own")
    options = parser.parse_args()

    async def run(url: str, process: psutil.Process) -> None:
        await events_in(url, options.events)
        await logs_in(url, options.events * 4)
        await fan_out(url, process, options.subscribers)

    with server(options.database) as (url, process):
        say("memory of the server at rest", f"{megabytes(process):.0f} MB")
        asyncio.run(run(url, process))
        say("memory of the server at the end", f"{megabytes(process):.0f} MB")


if __name__ == "__main__":
    main()
