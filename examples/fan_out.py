"""Asynchronous fan-out: two hundred requests at the same time, on one thread, with a limit on how long each may take.

uv run --no-dev examples/fan_out.py
"""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from urllib.parse import urlsplit

from archive import archive

from prefect import flow, task


@task(timeout_seconds=10, retries=1)
async def get(address: str, year: int) -> str:
    """One file of the archive, by hand: asyncio has no HTTP client, and none is needed for one line and an answer."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(f"GET /{year}.csv HTTP/1.0\r\nHost: {place.netloc}\r\n\r\n".encode())
    await writer.drain()
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    if b" 200 " not in head.splitlines()[0]:
        raise ConnectionError(f"{address}/{year}.csv: {head.splitlines()[0].decode()}")
    return body.decode()


@task
def count(texts: list[str]) -> Counter[str]:
    """How many days there were of each kind of weather."""
    return Counter(row["weather"] for text in texts for row in csv.DictReader(text.splitlines()))


@flow
async def fan_out(address: str, times: int = 50) -> Counter[str]:
    """Ask for four years, many times over, at once."""
    years = [2012, 2013, 2014, 2015] * times
    texts = await asyncio.gather(*(get(address, year) for year in years))
    return count(texts[:4])


if __name__ == "__main__":
    with archive() as address:
        for kind, days in asyncio.run(fan_out(address)).most_common():
            print(f"{kind:8} {days:4} days")
