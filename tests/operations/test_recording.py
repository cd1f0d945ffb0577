"""What a process reports of its runs is checked as it will be read, and kept as it was sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations.flow_runs import flow_run_of
from prefect._operations.recording import FlowRunRecord, RecordRuns, TaskRunRecord, record_runs
from prefect._operations.task_runs import task_run_of

from .conftest import World


def state(type: str = "PENDING") -> dict[str, Any]:
    return {"id": str(new_uuid()), "type": type, "name": type.capitalize(), "timestamp": now().isoformat()}


def flow_record(**more: Any) -> dict[str, Any]:
    begun = {"id": str(new_uuid()), "name": "run", "created": now().isoformat(), "flow_name": "etl", "state": state()}
    return begun | more


def task_record(**more: Any) -> dict[str, Any]:
    return {"id": str(new_uuid()), "name": "t", "task_key": "t", "dynamic_key": "0", "states": [state()]} | more


@pytest.mark.parametrize(
    ("delay", "whole", "exact"), [(0.01, 1, 0.01), (5, 5, 0), (None, None, 0), ([0.5, 2], 1, 0.5), ([], 0, 0)]
)
def test_the_delay_of_a_flow_is_kept_exactly_and_read_in_whole_seconds(
    world: World, delay: object, whole: int | None, exact: float
):
    sent = flow_record(empirical_policy={"retries": 1, "retry_delay": delay})
    record_runs(world.tx, RecordRuns.model_validate({"task_runs": [], "flow_runs": [sent]}))
    policy = flow_run_of(world.tx, sent["id"]).empirical_policy
    assert (policy.retries, policy.retry_delay, policy.retry_delay_seconds) == (1, whole, exact)


@pytest.mark.parametrize("delay", [0.01, 5, [0.5, 2], None])
def test_the_delays_of_a_task_are_read_as_they_were_sent(world: World, delay: object):
    sent = task_record(empirical_policy={"retries": 2, "retry_delay": delay})
    record_runs(world.tx, RecordRuns.model_validate({"task_runs": [sent]}))
    assert task_run_of(world.tx, sent["id"]).empirical_policy.retry_delay == delay


@pytest.mark.parametrize("policy", [{"retries": "often"}, {"retry_delay": "x"}, {"retry_delay": ["x"]}])
def test_a_policy_that_could_not_be_read_again_is_refused(policy: dict[str, Any]):
    with pytest.raises(ValidationError, match="empirical_policy"):
        FlowRunRecord.model_validate(flow_record(empirical_policy=policy))
    with pytest.raises(ValidationError, match="empirical_policy"):
        TaskRunRecord.model_validate(task_record(empirical_policy=policy))


def test_inputs_that_could_not_be_read_again_are_refused():
    with pytest.raises(ValidationError, match="task_inputs"):
        TaskRunRecord.model_validate(task_record(task_inputs={"x": [{"input_type": "unheard of"}]}))
