"""Helpers for tests of flows, tasks and what integrates with them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect._engine.isolation import isolated_home
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect._operations import flow_runs, local
    from prefect._schemas import sorting
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.states import State
    from prefect.client.schemas import filters
else:
    filters = lazy_module("prefect.client.schemas.filters")
    flow_runs = lazy_module("prefect._operations.flow_runs")
    local = lazy_module("prefect._operations.local")
    sorting = lazy_module("prefect._schemas.sorting")

__all__ = [
    "a_test_step",
    "assert_blocks_equal",
    "assert_does_not_warn",
    "assert_uses_result_serializer",
    "assert_uses_result_storage",
    "b_test_step",
    "exceptions_equal",
    "get_most_recent_flow_run",
    "kubernetes_environments_equal",
    "prefect_test_harness",
]


@contextmanager
def prefect_test_harness(server_startup_timeout: int | None = 30) -> Iterator[None]:
    """Run flows in the block against a fresh database that is deleted afterwards.

    Nothing is started: the harness is ready at once. Use it as a session fixture, or around a single test.

    ```python
    @pytest.fixture(autouse=True, scope="session")
    def isolated():
        with prefect_test_harness():
            yield
    ```

    Args:
        server_startup_timeout: accepted for compatibility; there is no server to wait for.
    """
    with isolated_home(testing__test_mode=True):
        yield


def exceptions_equal(a: BaseException, b: BaseException) -> bool:
    """Whether two exceptions are of one type and say the same."""
    if a is b:
        return True
    return type(a) is type(b) and getattr(a, "args", None) == getattr(b, "args", None)


@contextmanager
def assert_does_not_warn(ignore_warnings: list[type[Warning]] | None = None) -> Iterator[None]:
    """Fail if the block warns.

    Args:
        ignore_warnings: kinds of warnings that are all right.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ignore_warnings or []:
            warnings.filterwarnings("ignore", category=kind)
        try:
            yield
        except Warning as warning:
            raise AssertionError(f"A warning was raised: {warning!r}") from warning


def kubernetes_environments_equal(
    actual: list[dict[str, str]], expected: list[dict[str, str]] | dict[str, str]
) -> bool:
    """Whether a Kubernetes list of `{"name", "value"}` says the same as another, or as a dict."""
    if isinstance(expected, dict):
        expected = [{"name": name, "value": value} for name, value in expected.items()]

    def in_order(items: list[dict[str, str]]) -> list[dict[str, str]]:
        return sorted(items, key=lambda item: item["name"])

    return in_order(actual) == in_order(expected)


async def assert_uses_result_serializer(state: State[Any], serializer: Any, client: Any = None) -> None:
    """Assert that the result of a run was written by a serializer (given as one, or by its type)."""
    metadata = _metadata(state)
    kind = serializer if isinstance(serializer, str) else serializer.type
    assert metadata.serializer.type == kind, f"The result was written by {metadata.serializer.type!r}, not by {kind!r}."


async def assert_uses_result_storage(state: State[Any], storage: Any, client: Any = None) -> None:
    """Assert that the result of a run is kept in a storage block."""
    metadata = _metadata(state)
    expected = getattr(storage, "_block_document_id", None)
    assert metadata.storage_block_id == expected, (
        f"The result is kept in the storage block {metadata.storage_block_id}, not in {expected}."
    )


def _metadata(state: State[Any]) -> Any:
    data = state.data
    record = getattr(data, "record", data)
    metadata = getattr(record, "metadata", record)
    if metadata is None or not hasattr(metadata, "serializer"):
        raise AssertionError(f"The state {state!r} has no stored result.")
    return metadata


def assert_blocks_equal(found: Any, expected: Any, exclude_private: bool = True, **kwargs: Any) -> None:
    """Assert that two blocks are of one type and hold the same.

    Args:
        found, expected: the blocks.
        exclude_private: leave private attributes (such as the block's id) out of the comparison.
        kwargs: passed to `model_dump`.
    """
    assert type(found) is type(expected), f"Unexpected type {type(found).__name__}, expected {type(expected).__name__}"
    if exclude_private:
        mine, theirs = found.model_dump(**kwargs), expected.model_dump(**kwargs)
    else:
        mine, theirs = (
            found.__dict__ | (found.__pydantic_private__ or {}),
            expected.__dict__ | (expected.__pydantic_private__ or {}),
        )
    assert mine == theirs


async def get_most_recent_flow_run(client: Any = None, flow_name: str | None = None) -> FlowRun:
    """The flow run that was created last.

    Args:
        client: accepted for compatibility.
        flow_name: only runs of this flow.

    Raises:
        ValueError: there is none.
    """
    flows = filters.FlowFilter(name=filters.FlowFilterName(any_=[flow_name])) if flow_name else None
    with local.open_local() as database, database.read() as tx:
        runs = flow_runs.matching_flow_runs(
            tx, flow_runs.FlowRunQuery(flows=flows, limit=1, sort=sorting.FlowRunSort.ID_DESC)
        )
    if not runs:
        raise ValueError("No flow run was found" + (f" of flow {flow_name!r}." if flow_name else "."))
    return runs[0]


def a_test_step(**kwargs: Any) -> dict[str, Any]:
    """A deployment step for tests: gives its inputs back as outputs."""
    kwargs.update({"output1": 1, "output2": ["b", 2, 3]})
    return kwargs


def b_test_step(**kwargs: Any) -> dict[str, Any]:
    """Another deployment step for tests."""
    kwargs.update({"output1": 1, "output2": ["b", 2, 3]})
    return kwargs
