"""Clients in contexts, contexts of integrations' own, contexts made by hand."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar

import pytest

from prefect import flow, get_client, task
from prefect.context import (
    AsyncClientContext,
    ContextModel,
    FlowRunContext,
    SyncClientContext,
    TaskRunContext,
    get_run_context,
)


@flow
def one() -> int:
    return 1


def test_a_client_is_opened_once_and_shared(home: Path) -> None:
    one()
    with SyncClientContext.get_or_create() as outer:
        assert SyncClientContext.get() is outer
        with SyncClientContext.get_or_create() as inner:
            assert inner is outer
        assert [run.state_name for run in outer.client.read_flow_runs()] == ["Completed"]
    assert SyncClientContext.get() is None


async def test_an_asynchronous_client_is_opened_once_and_shared(home: Path) -> None:
    one()
    async with AsyncClientContext.get_or_create() as outer:
        assert AsyncClientContext.get() is outer
        async with AsyncClientContext.get_or_create() as inner:
            assert inner is outer
        assert len(await outer.client.read_flow_runs()) == 1
    assert AsyncClientContext.get() is None
    with pytest.raises(TypeError, match="async with"), AsyncClientContext():
        pass


def test_get_client_reads_what_the_engine_wrote(home: Path) -> None:
    one()
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs()
        assert client.read_flow(run.flow_id).name == "one"


def test_a_context_of_ones_own(home: Path) -> None:
    class Depth(ContextModel):
        __var__: ClassVar[ContextVar[Any]] = ContextVar("depth")
        level: int = 0

    assert Depth.get() is None
    with Depth(level=1) as outer:
        with Depth(level=2):
            assert Depth.get().level == 2
        assert Depth.get() is outer
        with pytest.raises(RuntimeError, match="already been entered"):
            outer.__enter__()
        assert outer.serialize() == {"level": 1}
    assert Depth.get() is None


def test_what_a_context_tells_of_its_run(home: Path) -> None:
    @task
    def inner(x: int) -> tuple[Any, ...]:
        context, around = get_run_context(), FlowRunContext.get()
        assert isinstance(context, TaskRunContext)
        assert around is not None
        return context.task_run.name, context.parameters, around.flow_run.id == context.task_run.flow_run_id

    @flow
    def outer() -> tuple[Any, ...]:
        context = get_run_context()
        assert isinstance(context, FlowRunContext)
        assert context.task_runner.name == "threadpool"
        assert context.result_store is FlowRunContext.get().result_store
        return inner(3)

    name, parameters, belongs = outer()
    assert name.startswith("inner-")
    assert parameters == {"x": 3}
    assert belongs


def test_a_run_goes_on_in_a_copy_of_its_context(home: Path) -> None:
    seen = []

    @flow
    def outer() -> None:
        context = FlowRunContext.get()
        assert context is not None
        with context.model_copy() as copy:
            seen.append(FlowRunContext.get().flow_run.id == copy.flow_run.id)
        seen.append(FlowRunContext.get().flow_run.id == context.flow_run.id)

    outer()
    assert seen == [True, True]
