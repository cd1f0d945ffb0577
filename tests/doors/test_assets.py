"""Assets: which events tell that runs made and read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import cloudpickle
import pydantic
import pytest

import prefect.assets
from prefect import flow, get_client, task
from prefect._clock import now
from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize
from prefect.context import AssetContext, hydrated_context, serialize_context
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventOrder
from prefect.task_runners import ProcessPoolTaskRunner
from prefect.tasks import MaterializingTask

pytestmark = pytest.mark.usefixtures("runs")

_began: list[datetime] = []


@pytest.fixture(autouse=True)
def since(runs: str) -> Iterator[None]:
    """Servers are shared by tests: only what happens from here on counts."""
    _began[:] = [now()]
    yield


TABLE = Asset(
    key="postgres://shop/orders",
    properties=AssetProperties(
        name="Orders", url="http://catalogue/1", description="All of them", owners=["ada", "bob"]
    ),
)


def told() -> list[Any]:
    """The events about assets, the oldest first."""
    with get_client(sync_client=True) as client:
        wanted = EventFilter(
            event=EventNameFilter(prefix=["prefect.asset."]),
            occurred=EventOccurredFilter(since=_began[0]),
            order=EventOrder.ASC,
        )
        return client.read_events(wanted, limit=50).events


def brief(events: list[Any]) -> list[tuple[str, str]]:
    return [(event.event.removeprefix("prefect.asset."), event.resource.id) for event in events]


def related(event: Any, role: str) -> list[str]:
    return [one.id for one in event.related if one.role == role]


def test_what_is_made_and_what_it_is_made_of() -> None:
    @task(asset_deps=["s3://raw/a"])
    def extract() -> dict[str, int]:
        return {"rows": 2}

    @materialize(TABLE, by="dbt", tags=["nightly"])
    def load(data: dict[str, int]) -> dict[str, int]:
        add_asset_metadata(TABLE, {"rows": data["rows"]})
        TABLE.add_metadata({"columns": 3})
        return {**data}

    @flow
    def pipeline() -> None:
        load(extract())

    pipeline()
    referenced, made = told()
    assert brief([referenced, made]) == [("referenced", "s3://raw/a"), ("materialization.succeeded", TABLE.key)]
    assert dict(made.resource) == {
        "prefect.resource.id": TABLE.key,
        "prefect.resource.name": "Orders",
        "prefect.asset.description": "All of them",
        "prefect.asset.url": "http://catalogue/1",
        "prefect.asset.owners": '["ada", "bob"]',
    }
    assert made.payload == {"rows": 2, "columns": 3}
    assert (related(made, "asset"), related(made, "asset-materialized-by")) == (["s3://raw/a"], ["dbt"])
    assert related(made, "tag") == ["prefect.tag.nightly"]
    assert {"flow-run", "task-run", "flow"} <= {one.role for one in made.related}


def test_assets_travel_with_values_and_futures() -> None:
    @materialize("s3://one")
    def one() -> dict[str, int]:
        return {}

    @task
    def passes_on(value: Any) -> dict[str, Any]:
        return {"v": value}

    @materialize("s3://two", "s3://three", asset_deps=["s3://more"])
    def two(value: Any) -> int:
        return 1

    @materialize("s3://four")
    def four() -> None: ...

    @flow
    def pipeline() -> None:
        future = two.submit(passes_on(one()))
        four(wait_for=[future])

    pipeline()
    assert brief(told()) == [
        ("materialization.succeeded", "s3://one"),
        ("referenced", "s3://more"),
        ("referenced", "s3://one"),
        ("materialization.succeeded", "s3://three"),
        ("materialization.succeeded", "s3://two"),
        ("referenced", "s3://three"),
        ("referenced", "s3://two"),
        ("materialization.succeeded", "s3://four"),
    ]


def test_assets_travel_to_processes_and_back() -> None:
    """As far as values and futures do: what a process makes is known here, what was made here is known there."""

    @materialize("s3://one")
    def one() -> dict[str, int]:
        return {}

    @task
    def passes_on(value: Any) -> dict[str, Any]:
        return {"v": value}

    @materialize("s3://two", asset_deps=["s3://more"])
    def two(value: Any) -> dict[str, int]:
        add_asset_metadata("s3://two", {"process": os.getpid()})
        inner(value)
        return {"two": 2}

    @materialize("s3://inner")
    def inner(value: Any) -> None: ...

    @materialize("s3://four")
    def four(value: Any) -> None: ...

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def pipeline() -> None:
        future = two.submit(passes_on.submit(one()))  # a value to a process, a future to the next one
        four(future.result())  # and back: a value from a process

    pipeline()
    events = told()
    assert brief(events) == [
        ("materialization.succeeded", "s3://one"),
        ("referenced", "s3://one"),
        ("materialization.succeeded", "s3://inner"),
        ("referenced", "s3://more"),
        ("referenced", "s3://one"),
        ("materialization.succeeded", "s3://two"),
        ("referenced", "s3://two"),
        ("materialization.succeeded", "s3://four"),
    ]
    by_asset = {event.resource.id: event for event in events if event.event.endswith("succeeded")}
    assert by_asset["s3://two"].payload["process"] != os.getpid()
    assert related(by_asset["s3://two"], "asset") == ["s3://more", "s3://one"]
    assert related(by_asset["s3://inner"], "asset") == ["s3://one"]
    assert related(by_asset["s3://four"], "asset") == ["s3://two"]


def test_what_failed_is_told_and_what_came_from_the_cache_is_not() -> None:
    @materialize("s3://bad")
    def bad() -> None:
        raise ValueError

    @materialize("s3://kept", persist_result=True)
    def kept() -> int:
        return 1

    @flow
    def pipeline() -> None:
        bad(return_state=True)
        kept()
        kept()

    pipeline()
    assert brief(told()) == [("materialization.failed", "s3://bad"), ("materialization.succeeded", "s3://kept")]


async def test_asynchronous_tasks_and_tasks_outside_of_flows() -> None:
    @materialize("s3://alone")
    async def alone() -> None:
        context = AssetContext.get()
        assert context is not None and {asset.key for asset in context.downstream_assets} == {"s3://alone"}

    await alone()
    assert brief(told()) == [("materialization.succeeded", "s3://alone")]


def test_metadata_is_of_what_the_task_makes() -> None:
    @materialize("s3://mine")
    def mine() -> None:
        add_asset_metadata("s3://other", {})

    with pytest.raises(ValueError, match="Can only add metadata"):
        mine()
    with pytest.raises(RuntimeError, match="AssetContext"):
        add_asset_metadata("s3://mine", {})


def test_options() -> None:
    @materialize("s3://a", by="dbt", retries=2)
    def make() -> None: ...

    assert isinstance(make, MaterializingTask)
    other = make.with_options(assets=[TABLE], name="other")
    assert (other.assets, other.name, other.retries, other.materialized_by) == ([TABLE], "other", 2, "dbt")
    assert [asset.key for asset in make.with_options(retries=0).assets] == ["s3://a"]
    again = cloudpickle.loads(cloudpickle.dumps(make))
    assert again.assets == make.assets


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(TypeError, match="at least one asset"):
        materialize()
    with pytest.raises(TypeError, match="at least one asset"):
        materialize(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(pydantic.ValidationError):
        materialize("no-uri")(lambda: None)
    with pytest.raises(pydantic.ValidationError):
        AssetProperties(description="d" * 2501)


def test_another_process_can_take_the_assets_over() -> None:
    @materialize("s3://outer")
    def outer() -> None: ...

    @task
    def inner() -> None: ...

    packed = serialize_context({"task": outer, "task_run_id": uuid4(), "copy_to_child_ctx": True})
    with hydrated_context(packed):
        inner()
        inner()
    assert brief(told()) == [("materialization.succeeded", "s3://outer")]


def test_the_name_is_the_decorator_whatever_was_imported_first(run_script: Callable[..., Any]) -> None:
    assert callable(prefect.assets.materialize)
    run_script(
        """
        from prefect.assets.materialize import materialize as first
        from prefect.assets import materialize
        assert materialize is first
        """
    ).ok()
