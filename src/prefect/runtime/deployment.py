"""The deployment of the current flow run.

Attributes:
    id: its id, as text; None for a run of no deployment.
    name: its name.
    version: its version.
    flow_run_id: the id of the flow run; outside a run that of the environment variable `PREFECT__FLOW_RUN_ID`, or None.
    parameters: the parameters of the flow run.
"""

from __future__ import annotations

from typing import Any

from prefect.runtime import _recorded
from prefect.runtime._fields import current_flow_frame, runtime_attributes
from prefect.runtime.flow_run import get_id as get_flow_run_id
from prefect.runtime.flow_run import get_parameters

id: str | None
flow_run_id: str | None
name: str | None
parameters: dict[str, Any]
version: str | None


def get_id() -> str | None:
    """The id of the deployment."""
    deployment_id = getattr(current_flow_frame(), "deployment_id", None)
    return str(deployment_id) if deployment_id is not None else None


def get_name() -> str | None:
    """The name of the deployment."""
    frame = current_flow_frame()
    if frame is None or frame.deployment_id is None:
        return None
    if frame.deployment_name is None:
        frame.deployment_name = _recorded.deployment_name(frame.deployment_id)
    return frame.deployment_name


def get_version() -> str | None:
    """The version of the deployment."""
    return getattr(current_flow_frame(), "deployment_version", None)


_FIELDS = {
    "id": get_id,
    "flow_run_id": get_flow_run_id,
    "name": get_name,
    "parameters": get_parameters,
    "version": get_version,
}
__all__ = list(_FIELDS)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__, __dir__ = runtime_attributes(__name__, _FIELDS)
