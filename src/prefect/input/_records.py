"""What flow runs are sent, as the API keeps it: JSON under a key. Written once for clients of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from pydantic_core import to_json

from prefect._bridge import settle
from prefect._engine.frames import current_flow
from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRunInput


def ensure_flow_run_id(flow_run_id: UUID | None = None) -> UUID:
    """The given id, or that of the current flow run.

    Raises:
        RuntimeError: no id is given, and no flow run is current.
    """
    if flow_run_id is not None:
        return flow_run_id
    frame = current_flow.get()
    if frame is None:
        raise RuntimeError("Must either provide a flow run ID or be within a flow run.")
    return UUID(frame.id)


async def create(api: Any, key: str, value: Any, flow_run_id: UUID | None = None, sender: str | None = None) -> None:
    await create_json(api, key, to_json(value).decode(), flow_run_id, sender)


async def create_json(api: Any, key: str, text: str, flow_run_id: UUID | None, sender: str | None) -> None:
    target = ensure_flow_run_id(flow_run_id)
    await settle(api.create_flow_run_input(flow_run_id=target, key=key, sender=sender, value=text))


async def create_from_model(
    api: Any, key: str, model: Any, flow_run_id: UUID | None = None, sender: str | None = None
) -> None:
    if sender is None:
        frame = current_flow.get()
        sender = None if frame is None else f"prefect.flow-run.{frame.id}"
    await create_json(api, key, model.model_dump_json(), flow_run_id, sender)


async def find(
    api: Any,
    key_prefix: str,
    limit: int = 1,
    exclude_keys: set[str] | None = None,
    flow_run_id: UUID | None = None,
    **options: Any,
) -> list[FlowRunInput]:
    return await settle(
        api.filter_flow_run_input(
            flow_run_id=ensure_flow_run_id(flow_run_id),
            key_prefix=key_prefix,
            limit=limit,
            exclude_keys=exclude_keys or set(),
            **options,
        )
    )


async def read(api: Any, key: str, flow_run_id: UUID | None = None) -> Any:
    target = ensure_flow_run_id(flow_run_id)
    try:
        text = await settle(api.read_flow_run_input(flow_run_id=target, key=key))
    except ObjectNotFound:
        return None
    return orjson.loads(text)


async def delete(api: Any, key: str, flow_run_id: UUID | None = None) -> None:
    await settle(api.delete_flow_run_input(flow_run_id=ensure_flow_run_id(flow_run_id), key=key))
