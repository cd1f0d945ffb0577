"""Annotated types for parameters, settings and block fields."""

from datetime import date as Date
from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes
from prefect._schemas.moments import DateTime
from prefect._schemas.naming import (
    BANNED_CHARACTERS,
    MAX_VARIABLE_NAME_LENGTH,
    MAX_VARIABLE_VALUE_LENGTH,
    WITHOUT_BANNED_CHARACTERS,
)

if TYPE_CHECKING:
    from prefect._schemas.fields import *  # noqa: F403

# the rest is made of pydantic's parts, and loads it when first used
_LAZY = (
    "ClientRetryExtraCodes",
    "JsonStringOrDict",
    "KeyValueLabels",
    "KeyValueLabelsField",
    "LaxUrl",
    "ListOfNonEmptyStrings",
    "LogLevel",
    "Name",
    "NameOrEmpty",
    "NonEmptyishName",
    "NonNegativeFloat",
    "NonNegativeInteger",
    "NonNegativeTimeDelta",
    "PositiveInteger",
    "PositiveInterval",
    "SecondsTimeDelta",
    "SecretDict",
    "StatusCode",
    "StrictVariableValue",
    "TaskRetryDelaySeconds",
    "TimeZone",
    "URILike",
    "ValidAssetKey",
    "VariableValue",
)

__getattr__, __dir__, _names = lazy_attributes(__name__, dict.fromkeys(_LAZY, "prefect._schemas.fields"))

__all__ = [
    *_names,  # pyright: ignore[reportUnsupportedDunderAll]
    "BANNED_CHARACTERS",
    "MAX_VARIABLE_NAME_LENGTH",
    "MAX_VARIABLE_VALUE_LENGTH",
    "WITHOUT_BANNED_CHARACTERS",
    "Date",
    "DateTime",
]
