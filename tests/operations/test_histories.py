"""Histories add up what is there, on both databases, with and without a filter."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from prefect._operations import events as event_operations
from prefect._operations import run_history
from prefect._rules.states import RUNNING, STATE_TYPES, TERMINAL
from prefect._store.histories import Intervals, count_runs
from prefect._store.tables import flow_run, task_run

from .conftest import NOON, World

_US = timedelta(microseconds=1)
_LENGTH = timedelta(hours=7, microseconds=3)
_INTERVALS = Intervals(NOON - timedelta(days=3), _LENGTH // _US, 20)
_MOMENT = NOON + timedelta(days=1, microseconds=77)

Sums = dict[tuple[int, str, str], tuple[int, timedelta, timedelta]]


def _random_run(dice: random.Random) -> dict[str, Any]:
    type = dice.choice(sorted(STATE_TYPES))
    # some on the very boundaries, some before and after all
    place = dice.choice((dice.uniform(-2, 23), dice.randrange(-1, 22)))
    expected = _INTERVALS.start + place * _LENGTH + dice.choice((0, 0, 1, -1)) * _US
    started = None if dice.random() < 0.3 else expected + timedelta(seconds=dice.uniform(-10, 5000))
    return {
        "state": type,
        "state_name": dice.choice((type.capitalize(), type.capitalize(), "Late", "Completed", "Élan")),
        "state_timestamp": NOON + timedelta(seconds=dice.uniform(-9999, 9999)),
        "expected_start_time": expected,
        "start_time": started,
        "total_run_time": timedelta(seconds=dice.uniform(0, 3000)),
        "name": dice.choice("ab"),
    }


def _late(run: dict[str, Any]) -> timedelta:
    expected, started = run["expected_start_time"], run["start_time"]
    if started is not None:
        return max(started - expected, timedelta(0))
    return timedelta(0) if run["state"] in TERMINAL else max(_MOMENT - expected, timedelta(0))


def _summed(runs: list[dict[str, Any]]) -> Sums:
    found: Sums = {}
    for run in runs:
        number = (run["expected_start_time"] - _INTERVALS.start) // _LENGTH
        if not 0 <= number < _INTERVALS.count:
            continue
        ran = run["total_run_time"] + (_MOMENT - run["state_timestamp"] if run["state"] == RUNNING else timedelta(0))
        key = (number, run["state"], run["state_name"])
        count, run_time, late = found.get(key, (0, timedelta(0), timedelta(0)))
        found[key] = (count + 1, run_time + ran, late + _late(run))
    return found


def _counted(tx: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Sums:
    found = count_runs(tx, table, where, _INTERVALS, _MOMENT)
    assert found == sorted(found, key=lambda one: (one.number, one.type, one.name))
    return {(one.number, one.type, one.name): (one.runs, one.run_time_us * _US, one.lateness_us * _US) for one in found}


@pytest.mark.parametrize("table", [flow_run, task_run], ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_run_is_in_its_interval_and_its_state(both: sa.Connection, table: sa.Table, seed: int) -> None:
    dice = random.Random(seed)
    world = World(both)
    flow_id = world.flow()
    parent = world.flow_run(flow_id, state=None)
    runs = [_random_run(dice) for _ in range(400)]
    for number, run in enumerate(runs):
        if table is flow_run:
            world.flow_run(flow_id, **run)
        else:
            world.task_run(parent, dynamic_key=str(number), **run)
    everything = _summed(runs)
    assert len(everything) > 100
    assert _counted(both, table, sa.true()) == everything
    assert _counted(both, table, table.c.name == "a") == _summed([run for run in runs if run["name"] == "a"])


def test_a_history_has_all_its_intervals(both: sa.Connection) -> None:
    world = World(both)
    world.flow_run(world.flow(), expected_start_time=NOON, start_time=NOON + timedelta(seconds=2))
    span = {"history_start": NOON - timedelta(hours=2), "history_end": NOON + timedelta(hours=1)}
    body = run_history.FlowRunHistory.model_validate({**span, "history_interval_seconds": 3600})
    found = run_history.flow_run_history(both, body)
    assert [[state.count_runs for state in one.states] for one in found] == [[], [], [1]]
    assert found[2].states[0].sum_estimated_lateness == timedelta(seconds=2)
    assert (found[0].interval_start, found[2].interval_end) == (span["history_start"], span["history_end"])


@pytest.mark.parametrize("more", [{}, {"event": {"prefix": ["e"]}}], ids=["of all", "by name"])
@pytest.mark.parametrize("interval", [1.0, 7.5])
def test_events_are_counted_in_their_spans(both: sa.Connection, more: dict[str, Any], interval: float) -> None:
    dice = random.Random(3)
    since, until = NOON - timedelta(days=2, seconds=1234), NOON + timedelta(days=1, seconds=4321)
    moments: list[datetime] = [since, since - _US, until, until + _US]
    moments += [NOON + timedelta(seconds=dice.uniform(-4, 3) * 86_400) for _ in range(300)]
    moments += [
        NOON.replace(hour=0) + hours * timedelta(hours=1) - dice.choice((0, 1)) * _US for hours in range(-50, 40)
    ]
    sent = [
        {"event": "e", "occurred": moment, "resource": {"prefect.resource.id": "r"}, "payload": {}, "id": None}
        for moment in moments
    ]
    for number, one in enumerate(sent):
        one["id"] = f"{number:08d}-0000-7000-8000-000000000000"
    event_operations.create_events(both, [event_operations.SentEvent.model_validate(one) for one in sent])
    body = event_operations.EventCounts.model_validate(
        {
            "filter": {"occurred": {"since": since, "until": until}, **more},
            "time_unit": "hour",
            "time_interval": interval,
        }
    )
    found = event_operations.count_events(both, event_operations.Countable.time, body)
    width = timedelta(hours=1) * interval
    expected = Counter((one - found[0].start_time) // width for one in moments if since <= one <= until)
    assert {number: one.count for number, one in enumerate(found) if one.count} == dict(expected)


def test_a_history_of_no_time_at_all_is_one_interval(both: sa.Connection) -> None:
    body = {"history_start": NOON, "history_end": NOON, "history_interval_seconds": 60}
    assert len(run_history.flow_run_history(both, run_history.FlowRunHistory.model_validate(body))) == 1
