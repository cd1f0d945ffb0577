"""What else makes a deployment run: triggers, given as objects or as they stand in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import pydantic

    from prefect.events.schemas import deployment_triggers
else:
    deployment_triggers = lazy_module("prefect.events.schemas.deployment_triggers")
    pydantic = lazy_module("pydantic")


def normalized(given: Iterable[Any] | None) -> list[Any]:
    """Triggers as objects.

    Raises:
        pydantic.ValidationError: one of them is not written as it has to be.
    """
    triggers = list(given or ())
    if not any(isinstance(trigger, Mapping) for trigger in triggers):
        return triggers
    adapter = pydantic.TypeAdapter(deployment_triggers.DeploymentTriggerTypes)
    return [adapter.validate_python(one) if isinstance(one, Mapping) else one for one in triggers]
