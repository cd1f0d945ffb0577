"""Annotated types for parameters, settings and block fields."""

from datetime import date as Date
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_attributes, lazy_module
from prefect._schemas.moments import DateTime
from prefect._schemas.naming import (
    BANNED_CHARACTERS,
    MAX_VARIABLE_NAME_LENGTH,
    MAX_VARIABLE_VALUE_LENGTH,
    WITHOUT_BANNED_CHARACTERS,
)

if TYPE_CHECKING:
    import pydantic

    from prefect._schemas.fields import *  # noqa: F403
else:
    pydantic = lazy_module("pydantic")

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
    "validate_set_T_from_delim_string",
]


def validate_set_T_from_delim_string(value: Any, type_: Any, delim: str | None = None) -> set[Any]:
    """A set of values of a type, from text with separators between them.

    Args:
        value: the text; a value, or a collection of them, is taken too.
        type_: of the values.
        delim: what is between them; a comma unless given.

    Raises:
        pydantic.ValidationError: a value is not of that type.
    """
    if value is None or value == "":
        return set()
    if isinstance(value, str):
        value = {part.strip() for part in value.split(delim or ",") if part.strip()}
    elif not isinstance(value, list | tuple | set | frozenset):
        value = {value}
    return pydantic.TypeAdapter(set[type_]).validate_python(value)  # pyright: ignore[reportInvalidTypeForm]
