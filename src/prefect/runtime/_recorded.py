"""What `prefect.runtime` asks the API for, because the process of the run does not know it. It is asked once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect.client import orchestration
else:
    orchestration = lazy_module("prefect.client.orchestration")


class Origin(NamedTuple):
    """What a flow run comes from."""

    parent_task_run_id: str | None
    """Stands for it in the flow run that called it."""
    deployment_id: str | None


@lru_cache(maxsize=64)
def deployment_name(deployment_id: str) -> str:
    """The name of a deployment.

    Raises:
        ObjectNotFound: it has been deleted.
    """
    with orchestration.get_client(sync_client=True) as client:
        return client.read_deployment(UUID(deployment_id)).name


@lru_cache(maxsize=64)
def origin(flow_run_id: str) -> Origin:
    """What a flow run comes from.

    Raises:
        ObjectNotFound: the run has been deleted.
    """
    with orchestration.get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(flow_run_id))
    return Origin(_text(run.parent_task_run_id), _text(run.deployment_id))


@lru_cache(maxsize=64)
def flow_run_of_task_run(task_run_id: str) -> str | None:
    """The flow run that a task run belongs to.

    Raises:
        ObjectNotFound: the task run has been deleted.
    """
    with orchestration.get_client(sync_client=True) as client:
        return _text(client.read_task_run(UUID(task_run_id)).flow_run_id)


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)
