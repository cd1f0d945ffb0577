"""Flows made of flows: one sub-flow per year, each with its own run, name and retries, side by side on threads.

uv run --no-dev examples/subflows.py
"""

from __future__ import annotations

import csv

from archive import DATA

from prefect import flow, tags, task


@task
def rows_of(year: int) -> list[dict[str, str]]:
    """The days of one year."""
    with DATA.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["date"].startswith(f"{year}/")]


@task
def snow_days(rows: list[dict[str, str]]) -> int:
    """On how many days it snowed."""
    return sum(row["weather"] == "snow" for row in rows)


@flow(flow_run_name="snow-{year}", retries=1)
def snow_of_year(year: int) -> int:
    """On how many days of a year it snowed."""
    return snow_days(rows_of(year))


@task(task_run_name="year {year}")
def one_year(year: int) -> int:
    """A task may call a flow: so sub-flows run at the same time, on the threads of their parent's task runner."""
    return snow_of_year(year)


@flow(log_prints=True)
def snow(years: list[int]) -> dict[int, int]:
    """On how many days of each year it snowed."""
    with tags("snow"):
        futures = one_year.map(years)
        days = dict(zip(years, futures.result(), strict=True))
    for year, count in days.items():
        print(f"{year}: {count or 'no'} days of snow")
    return days


if __name__ == "__main__":
    snow([2012, 2013, 2014, 2015])
