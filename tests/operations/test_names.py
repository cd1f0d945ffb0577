"""Names, tags and keys: how long they can be, and that every database stores those that are taken."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pydantic
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import prefect._operations
import prefect._schemas
from prefect import flow, runtime, task
from prefect._operations import concurrency_limits_v2, deployments, flows, work_pools
from prefect._schemas.actions.concurrency import ConcurrencyLimitV2Create
from prefect._schemas.actions.deployments import DeploymentCreate
from prefect._schemas.actions.runs import TaskRunCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._schemas.base import ActionBaseModel
from prefect._schemas.naming import MAX_NAME_BYTES, MAX_NAME_LENGTH, short_enough, shortened
from prefect.client.orchestration import get_client
from prefect.exceptions import InvalidNameError, PrefectHTTPStatusError
from prefect.settings import PREFECT_SERVER_TASKS_MAX_CACHE_KEY_LENGTH, temporary_settings

LONGEST = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=MAX_NAME_LENGTH))
WIDEST = "".join(map(chr, random.Random(7).choices(range(0x4E00, 0x9FA5), k=MAX_NAME_BYTES // 3)))
"""As many bytes as are taken, which no compression makes fewer."""

NAMES = {
    "name", "slug", "tag", "key", "branch", "version", "flow_version", "task_version", "task_key", "dynamic_key",
    "idempotency_key", "work_queue_name", "work_pool_name", "replaces", "tags",
}  # fmt: skip
TOLD = {"LogCreate", "LogLine", "StateRecord", "TaskRunRecord", "FlowRunRecord", "FlowRunProposal", "ClaimRequest"}
"""What programs tell of what has happened is taken as it is; who makes it keeps to the limits."""


def all_below(model: type[Any]) -> Iterator[type[Any]]:
    for each in model.__subclasses__():
        yield each
        yield from all_below(each)


def is_text(annotation: Any) -> bool:
    if get_origin(annotation) is list:
        return is_text(get_args(annotation)[0])
    return annotation is str or any(is_text(each) for each in get_args(annotation))


def requests() -> list[tuple[type[ActionBaseModel], str]]:
    """Each field of a request that is a name, a tag or a key."""
    for package in (prefect._schemas, prefect._operations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return [
        (model, name)
        for model in dict.fromkeys(all_below(ActionBaseModel))
        for name, field in model.model_fields.items()
        if name in NAMES and model.__name__ not in TOLD and is_text(field.annotation)
    ]


@pytest.mark.parametrize(
    ("model", "name"), [pytest.param(*each, id=f"{each[0].__name__}.{each[1]}") for each in requests()]
)
def test_a_name_that_is_too_long_is_refused_by_its_field(model: type[ActionBaseModel], name: str) -> None:
    long: Any = "a" * 5_000_000
    with pytest.raises(pydantic.ValidationError) as refused:
        model.model_validate({name: [long] if name == "tags" else long})
    mine = [error for error in refused.value.errors() if error["loc"][0] == name]
    assert mine, "only other fields are complained of"
    assert "at most" in mine[0]["msg"]


@given(st.text(min_size=0, max_size=3000))
def test_what_is_shortened_is_short_enough(text: str) -> None:
    short = shortened(text)
    assert short_enough(short) == short
    assert short == text or short.endswith("...")
    try:
        assert short_enough(text) == text == short
    except ValueError:
        assert short != text


@pytest.mark.parametrize("text", [LONGEST, WIDEST], ids=["longest", "widest"])
def test_what_is_taken_can_be_stored(both: sa.Connection, text: str) -> None:
    made = flows.create_flow(both, flows.NewFlow(name=text, tags=[text])).value
    assert made.name == text
    work_pools.create_work_pool(both, WorkPoolCreate(name=text, type="process"))
    deployments.create_deployment(both, DeploymentCreate(flow_id=made.id, name=text, version=text, tags=[text]))
    concurrency_limits_v2.create_concurrency_limit_v2(both, ConcurrencyLimitV2Create(name=text, limit=1))
    assert flows.read_flow_by_name(both, text).id == made.id


def test_a_name_that_is_too_long_for_an_index_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="at most 2400 bytes in UTF-8, and has 2403"):
        flows.NewFlow(name=WIDEST + "木")


def test_flows_and_tasks_keep_to_the_limits(home: Any) -> None:
    with pytest.raises(InvalidNameError, match="flow can have at most 1024 characters, and has 1025"):
        flow(name=LONGEST + "a")(lambda: 1)
    with pytest.raises(InvalidNameError, match="task can have at most 1024 characters"):
        task(name=LONGEST + "a")(lambda: 1)

    @task(task_run_name="{text}")
    def inner(text: str) -> Any:
        return runtime.task_run.name

    @flow(name=LONGEST, flow_run_name="{text}")
    def outer(text: str) -> Any:
        return runtime.flow_run.id, inner(text)

    id, name = outer("b" * 5_000_000)
    assert len(name) == MAX_NAME_LENGTH
    with get_client(sync_client=True) as client:
        assert len(client.read_flow_run(id).name) == MAX_NAME_LENGTH
        with pytest.raises(PrefectHTTPStatusError, match="at most 1024 characters"):
            client.create_flow_from_name("c" * 2000)


def test_how_long_a_cache_key_can_be_is_a_setting() -> None:
    given = {"flow_run_id": None, "task_key": "k", "dynamic_key": "0"}
    assert TaskRunCreate(**given, cache_key="c" * 2000).cache_key
    with pytest.raises(pydantic.ValidationError, match="at most 2000 characters"):
        TaskRunCreate(**given, cache_key="c" * 2001)
    with temporary_settings({PREFECT_SERVER_TASKS_MAX_CACHE_KEY_LENGTH: 5}), pytest.raises(pydantic.ValidationError):
        TaskRunCreate(**given, cache_key="c" * 6)
