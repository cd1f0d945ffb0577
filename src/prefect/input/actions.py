"""Sending values to flow runs, and reading them, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._bridge import async_dispatch, run
from prefect.client.utilities import async_client, client_injector, sync_client
from prefect.input import _records
from prefect.input._records import ensure_flow_run_id

if TYPE_CHECKING:
    import pydantic

    from prefect._schemas.flow_runs import FlowRunInput
    from prefect.client.orchestration import PrefectClient

__all__ = [
    "acreate_flow_run_input",
    "acreate_flow_run_input_from_model",
    "adelete_flow_run_input",
    "afilter_flow_run_input",
    "aread_flow_run_input",
    "create_flow_run_input",
    "create_flow_run_input_from_model",
    "delete_flow_run_input",
    "ensure_flow_run_id",
    "filter_flow_run_input",
    "read_flow_run_input",
]


async def acreate_flow_run_input_from_model(
    key: str, model_instance: pydantic.BaseModel, flow_run_id: UUID | None = None, sender: str | None = None
) -> None:
    """`create_flow_run_input_from_model` for asynchronous code."""
    async with async_client() as api:
        await _records.create_from_model(api, key, model_instance, flow_run_id, sender)


@async_dispatch(acreate_flow_run_input_from_model)
def create_flow_run_input_from_model(
    key: str, model_instance: pydantic.BaseModel, flow_run_id: UUID | None = None, sender: str | None = None
) -> None:
    """Send a model to a flow run.

    Args:
        key: under which the run finds it.
        model_instance: the model.
        flow_run_id: of the run; the current one unless given.
        sender: who sends it; the current flow run unless given.

    Raises:
        ObjectAlreadyExists: the run has something under this key.
    """
    with sync_client() as api:
        run(_records.create_from_model(api, key, model_instance, flow_run_id, sender))


@client_injector
async def acreate_flow_run_input(
    client: PrefectClient, key: str, value: Any, flow_run_id: UUID | None = None, sender: str | None = None
) -> None:
    """`create_flow_run_input` for asynchronous code; the client is not given by the caller."""
    await _records.create(client, key, value, flow_run_id, sender)


@async_dispatch(acreate_flow_run_input)
def create_flow_run_input(key: str, value: Any, flow_run_id: UUID | None = None, sender: str | None = None) -> None:
    """Send a value to a flow run.

    Args:
        key: under which the run finds it.
        value: anything that JSON can express.
        flow_run_id: of the run; the current one unless given.
        sender: who sends it.

    Raises:
        ObjectAlreadyExists: the run has something under this key.
    """
    with sync_client() as api:
        run(_records.create(api, key, value, flow_run_id, sender))


@client_injector
async def afilter_flow_run_input(
    client: PrefectClient,
    key_prefix: str,
    limit: int = 1,
    exclude_keys: set[str] | None = None,
    flow_run_id: UUID | None = None,
) -> list[FlowRunInput]:
    """`filter_flow_run_input` for asynchronous code; the client is not given by the caller."""
    return await _records.find(client, key_prefix, limit, exclude_keys, flow_run_id)


@async_dispatch(afilter_flow_run_input)
def filter_flow_run_input(
    key_prefix: str, limit: int = 1, exclude_keys: set[str] | None = None, flow_run_id: UUID | None = None
) -> list[FlowRunInput]:
    """What was sent to a flow run under keys that begin alike, the oldest first.

    Args:
        key_prefix: how the keys begin.
        limit: how many at most.
        exclude_keys: leave these out.
        flow_run_id: of the run; the current one unless given.
    """
    with sync_client() as api:
        return run(_records.find(api, key_prefix, limit, exclude_keys, flow_run_id))


@client_injector
async def aread_flow_run_input(client: PrefectClient, key: str, flow_run_id: UUID | None = None) -> Any:
    """`read_flow_run_input` for asynchronous code; the client is not given by the caller."""
    return await _records.read(client, key, flow_run_id)


@async_dispatch(aread_flow_run_input)
def read_flow_run_input(key: str, flow_run_id: UUID | None = None) -> Any:
    """The value that was sent to a flow run under a key; None when there is none.

    Args:
        key: of the value.
        flow_run_id: of the run; the current one unless given.
    """
    with sync_client() as api:
        return run(_records.read(api, key, flow_run_id))


@client_injector
async def adelete_flow_run_input(client: PrefectClient, key: str, flow_run_id: UUID | None = None) -> None:
    """`delete_flow_run_input` for asynchronous code; the client is not given by the caller."""
    await _records.delete(client, key, flow_run_id)


@async_dispatch(adelete_flow_run_input)
def delete_flow_run_input(key: str, flow_run_id: UUID | None = None) -> None:
    """Delete what was sent to a flow run under a key.

    Args:
        key: of the value.
        flow_run_id: of the run; the current one unless given.

    Raises:
        ObjectNotFound: there is nothing under this key.
    """
    with sync_client() as api:
        run(_records.delete(api, key, flow_run_id))
