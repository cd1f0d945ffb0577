"""Pages of runs in several states are those that sorting all of them would give."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa

from prefect._operations import flow_runs
from prefect._schemas.sorting import FlowRunSort

from .conftest import NOON, World

STATES = ("SCHEDULED", "RUNNING", "COMPLETED", "FAILED")
SORTS = ("START_TIME_ASC", "START_TIME_DESC", "EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC", "ID_DESC")


@pytest.fixture
def world(both: sa.Connection) -> World:
    return World(both)


def fill(world: World) -> dict[str, Any]:
    chance = random.Random(4)
    flow, runs = world.flow(), {}
    for _ in range(60):
        # few different times, so that ids decide
        expected = None if chance.random() < 0.2 else NOON + timedelta(minutes=chance.randrange(6))
        started = None if chance.random() < 0.5 else NOON + timedelta(minutes=chance.randrange(9))
        state = chance.choice(STATES)
        run = world.flow_run(flow, state=state, expected_start_time=expected, start_time=started)
        runs[str(run)] = (state, started or expected, expected)
    return runs


def in_order(runs: dict[str, Any], states: tuple[str, ...], sort: str) -> list[str]:
    place = {"START": 1, "EXPECTED": 2}.get(sort.split("_")[0], 0)
    descending = sort.endswith("DESC")
    chosen = [(id, about[place]) for id, about in runs.items() if about[0] in states]
    if not place:
        return sorted((id for id, _ in chosen), reverse=True)
    absent = sorted((id for id, moment in chosen if moment is None), reverse=descending)
    present = sorted(((moment, id) for id, moment in chosen if moment is not None), reverse=descending)
    return [id for _, id in present] + absent


@pytest.mark.parametrize("sort", SORTS)
def test_pages_are_cuts_of_the_whole_list(world: World, sort: str) -> None:
    runs = fill(world)
    for states in (STATES[:1], STATES[:2], STATES[1:], STATES):
        expected = in_order(runs, states, sort)
        for limit, offset in product((1, 7, 60), (0, 5, 33, 59)):
            body = flow_runs.FlowRunQuery.model_validate({
                "sort": FlowRunSort(sort), "limit": limit, "offset": offset,
                "flow_runs": {"state": {"type": {"any_": list(states)}}},
            })  # fmt: skip
            for _ in range(2):  # as it is read first, and as it is read again
                shown = [one["id"] for one in orjson.loads(flow_runs.read_flow_runs(world.tx, body).json)]
                assert shown == expected[offset : offset + limit]
            assert [run.id for run in flow_runs.matching_flow_runs(world.tx, body)] == [UUID(id) for id in shown]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"state": {"type": {"any_": ["FAILED", "RUNNING", "FAILED"]}}}, ["FAILED", "RUNNING"]),
        ({"operator": "or_", "state": {"type": {"any_": ["FAILED"]}}}, []),
        ({"state": {"operator": "or_", "type": {"any_": ["FAILED"]}, "name": {"any_": ["Late"]}}}, []),
        ({"state": {"name": {"any_": ["Late"]}}}, []),
        ({"state": {"type": {"not_any_": ["FAILED"]}}}, []),
        ({}, []),
    ],
)
def test_which_states_runs_that_match_are_in(filter: dict[str, Any], expected: list[str]) -> None:
    assert flow_runs.FlowRunSelection.model_validate({"flow_runs": filter}).state_types() == expected
