"""Options that make no sense are errors when a flow or task is made, not when a run fails."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from prefect import flow, task
from prefect.cache_policies import INPUTS, Inputs
from prefect.task_runners import ThreadPoolTaskRunner


def work() -> int:
    return 1


BOTH = [
    ({"retries": "3"}, "Expected a whole number for 'retries'; got str '3'"),
    ({"retries": 1.5}, "Expected a whole number for 'retries'; got float 1.5"),
    ({"retry_delay_seconds": "1"}, "Expected a number of seconds for 'retry_delay_seconds'; got str '1'"),
    ({"retry_delay_seconds": timedelta(seconds=1)}, "give its `total_seconds()`"),
    ({"retry_delay_seconds": [1, None]}, "'retry_delay_seconds'; got NoneType None"),
    ({"timeout_seconds": "1"}, "Expected a number of seconds for 'timeout_seconds'; got str '1'"),
    ({"timeout_seconds": timedelta(seconds=1)}, "give its `total_seconds()`"),
]
TASKS = [
    ({"retry_delay_seconds": lambda retries: ["x"]}, "'retry_delay_seconds'; got str 'x'"),
    ({"cache_expiration": 3}, "Expected a timedelta for 'cache_expiration'; got int 3"),
    ({"cache_policy": "INPUTS"}, "Expected a cache policy for 'cache_policy', such as INPUTS"),
    ({"cache_policy": Inputs}, "Expected a cache policy for 'cache_policy', such as INPUTS"),
    ({"cache_policy": lambda context, arguments: "key"}, "is given as 'cache_key_fn'"),
]
FLOWS = [({"task_runner": "threads"}, "Expected a task runner for 'task_runner'"), ({"task_runner": 3}, "got 3")]


@pytest.mark.parametrize(
    ("decorator", "options", "words"),
    [(decorator, *case) for decorator in (flow, task) for case in BOTH]
    + [(task, *case) for case in TASKS]
    + [(flow, *case) for case in FLOWS],
)
def test_options_that_make_no_sense(decorator: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        decorator(**options)(work)
    assert words in str(caught.value) and "(of 'work')" in str(caught.value)
    with pytest.raises(TypeError) as caught:
        decorator(work).with_options(**options)
    assert words in str(caught.value)


@pytest.mark.parametrize("decorator", [flow, task])
def test_numbers_of_every_kind(decorator: Any) -> None:
    made = decorator(retries=2.0, retry_delay_seconds=Decimal("0.5"), timeout_seconds=Fraction(1, 2))(work)
    assert (made.retries, type(made.retries)) == (2, int)
    assert float(made.retry_delay_seconds) == 0.5 and made.timeout_seconds == 0.5
    made = decorator(retries=True, retry_delay_seconds=(1, 2.5), timeout_seconds=0)(work)
    assert (made.retries, made.retry_delay_seconds, made.timeout_seconds) == (1, [1, 2.5], None)
    assert decorator(retries=None, retry_delay_seconds=None, timeout_seconds=None)(work).timeout_seconds is None


def test_options_that_make_sense() -> None:
    assert task(cache_policy=INPUTS, cache_expiration=timedelta(days=1))(work).cache_policy == INPUTS
    for runner in (ThreadPoolTaskRunner, ThreadPoolTaskRunner(max_workers=2)):
        assert isinstance(flow(task_runner=runner)(work).task_runner, ThreadPoolTaskRunner)  # type: ignore[arg-type]
