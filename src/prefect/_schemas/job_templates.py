"""The job template of a work pool: what its workers start for a run, with placeholders for variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# a variable; what refers to blocks, variables or the environment (`prefect.blocks...`, `$NAME`) is no variable of the pool
_VARIABLE = re.compile(r"{{\s*([A-Za-z_][\w-]*)\s*}}")


def check_job_template(template: dict[str, Any]) -> None:
    """Check that a template has both of its parts and declares what it uses; an empty one is for workers without any.

    Raises:
        ValueError: it lacks a part, or uses a variable that its schema of variables does not know.
    """
    if not template:
        return
    configuration, variables = template.get("job_configuration"), template.get("variables")
    if not isinstance(configuration, dict) or not isinstance(variables, dict) or not configuration or not variables:
        raise ValueError(
            "The `base_job_template` must contain both a `job_configuration` key and a `variables` key, each an object."
        )
    properties = variables.get("properties")
    declared = set(properties) if isinstance(properties, dict) else set()
    missing = sorted(set(_used(configuration)) - declared)
    if missing:
        raise ValueError(
            "The variables specified in the job configuration template must be present as properties in the variables "
            f"schema. These are not: {', '.join(missing)}."
        )


def _used(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _VARIABLE.findall(value)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _used(key)
            yield from _used(part)
    elif isinstance(value, list):
        for part in value:
            yield from _used(part)
