"""Fill in and check parameters that are given as JSON; see `hydration` and `validation`."""

from __future__ import annotations

from prefect.utilities.schema_tools.hydration import HydrationContext, HydrationError, hydrate
from prefect.utilities.schema_tools.validation import (
    CircularSchemaRefError,
    ValidationError,
    is_valid_schema,
    validate,
)

__all__ = [
    "CircularSchemaRefError",
    "HydrationContext",
    "HydrationError",
    "ValidationError",
    "hydrate",
    "is_valid_schema",
    "validate",
]
