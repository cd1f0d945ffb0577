"""What else makes a deployment run: triggers, given as objects or as they stand in a file."""

from __future__ import annotations

import difflib
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
        ValueError: one of them is not written as it has to be, or has a key that none has.
    """
    triggers = list(given or ())
    if not any(isinstance(trigger, Mapping) for trigger in triggers):
        return triggers
    adapter = pydantic.TypeAdapter(deployment_triggers.DeploymentTriggerTypes)
    return [_checked(adapter.validate_python(one), one) if isinstance(one, Mapping) else one for one in triggers]


def _checked(trigger: Any, written: Mapping[str, Any]) -> Any:
    """A trigger that has all that was written for it: a misspelt condition would let it fire for everything."""
    known = {name for name in type(trigger).model_fields if not name.startswith("_")}
    unknown = sorted(set(map(str, written)) - known)
    if unknown:
        guesses = difflib.get_close_matches(unknown[0], known, 1)
        hint = f"did you mean {guesses[0]!r}?" if guesses else f"it may have {', '.join(sorted(known))}."
        raise ValueError(f"A trigger of this kind has no {unknown[0]!r}; {hint}")
    return trigger
