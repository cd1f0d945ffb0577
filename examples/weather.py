"""Four years of Seattle's weather, measured by NOAA: fetch, check, summarise, compare.

    uv run --no-dev examples/weather.py

The years are fetched at the same time from a small HTTP archive, which refuses one request (the task tries again);
each is checked row by row; the summaries are cached, so a second run of this program finds them ready. Everything that
runs is recorded in a local database, and the program ends by showing what it recorded.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from archive import archive

from prefect import flow, get_run_logger, task, unmapped
from prefect.cache_policies import INPUTS

YEARS = (2012, 2013, 2014, 2015)
# on this machine: a proxy, if one is configured, would only be in the way
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Day:
    """What was measured on one day."""

    date: date
    rain: float  # millimetres
    high: float  # degrees Celsius
    low: float  # degrees Celsius
    kind: str


@dataclass(frozen=True)
class Summary:
    """What a year was like."""

    year: int
    rain: float
    mean: float
    warmest: Day
    wettest: Day
    longest_dry: int  # days
    rain_by_month: tuple[float, ...]


@task(retries=3, retry_delay_seconds=0.2, task_run_name="fetch {year}")
def fetch(address: str, year: int) -> str:
    """The file of one year."""
    with OPEN(f"{address}/{year}.csv", timeout=10) as answer:
        return answer.read().decode()


@task(task_run_name="check {year}")
def check(text: str, year: int) -> list[Day]:
    """The days of a year; an error if a value cannot be right or a day is missing or there twice."""
    days = [
        Day(
            datetime.strptime(row["date"], "%Y/%m/%d").date(),
            float(row["precipitation"]),
            float(row["temp_max"]),
            float(row["temp_min"]),
            row["weather"],
        )
        for row in csv.DictReader(text.splitlines())
    ]
    for day in days:
        if not (0 <= day.rain < 500 and -60 < day.low <= day.high < 60):
            raise ValueError(f"{day} cannot be right")
    expected = [date(year, 1, 1) + timedelta(n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]
    if [day.date for day in days] != expected:
        raise ValueError(f"{year}: {len(days)} days where {len(expected)} were expected")
    get_run_logger().info("%d days, all plausible", len(days))
    return days


@task(cache_policy=INPUTS, task_run_name="summarise {year}")
def summarise(year: int, days: list[Day]) -> Summary:
    """What a year was like."""
    dry_spells = [len(list(days)) for is_dry, days in groupby(days, lambda day: day.rain == 0) if is_dry]
    return Summary(
        year,
        rain=sum(day.rain for day in days),
        mean=sum((day.high + day.low) / 2 for day in days) / len(days),
        warmest=max(days, key=lambda day: day.high),
        wettest=max(days, key=lambda day: day.rain),
        longest_dry=max(dry_spells),
        rain_by_month=tuple(sum(day.rain for day in days if day.date.month == month) for month in range(1, 13)),
    )


@task
def report(summaries: list[Summary]) -> str:
    """The years side by side, and the rain of the months as a picture."""
    lines = ["year   rain    mean   warmest day       wettest day        longest dry spell"]
    for s in summaries:
        warmest, wettest = (
            f"{s.warmest.date:%d %b} {s.warmest.high:.1f}°C",
            f"{s.wettest.date:%d %b} {s.wettest.rain:.1f} mm",
        )
        lines.append(f"{s.year}  {s.rain:5.0f} mm {s.mean:5.1f}°C  {warmest:16}  {wettest:17}  {s.longest_dry} days")
    lines += ["", "rain by month, mean of the years"]
    for month in range(12):
        mean = sum(s.rain_by_month[month] for s in summaries) / len(summaries)
        lines.append(f"  {date(2000, month + 1, 1):%b}  {'█' * round(mean / 4):45} {mean:4.0f} mm")
    return "\n".join(lines)


@flow(name="seattle-weather")
def weather(address: str, years: tuple[int, ...] = YEARS) -> str:
    """The report on some years of the archive at `address`."""
    texts = fetch.map(unmapped(address), years)
    days = check.map(texts, years)
    summaries = summarise.map(years, days)
    return report(summaries)


if __name__ == "__main__":
    with archive(moody=[2013]) as address:
        print(f"\n{weather(address)}\n")
    subprocess.run([sys.executable, "-m", "prefect", "flow-run", "ls", "--limit", "5"], check=True)
    print("\nSee more of a run:  uv run --no-dev prefect flow-run logs NAME   (or inspect NAME)")
