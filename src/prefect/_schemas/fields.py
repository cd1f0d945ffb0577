"""The kinds of values that fields are made of, as annotated types for pydantic."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
)
from pydantic.types import Secret

from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.moments import check_time_zone
from prefect._schemas.naming import (
    MAX_ASSET_KEY_LENGTH,
    MAX_VARIABLE_NAME_LENGTH,
    MAX_VARIABLE_VALUE_LENGTH,
    WITHOUT_BANNED_CHARACTERS,
    WITHOUT_BANNED_CHARACTERS_EMPTY_OK,
    non_emptyish,
    raise_on_name_alphanumeric_dashes_only,
    raise_on_name_alphanumeric_dashes_underscores_only,
    short_enough,
    validate_uri,
    validate_valid_asset_key,
)

# -- names ------------------------------------------------------------------------------------------------------

Short = AfterValidator(short_enough)
"""Of names, tags and keys that somebody gives: their length. What is read is not measured again."""
ShortText = Annotated[str, Short]

Name = Annotated[str, Field(pattern=WITHOUT_BANNED_CHARACTERS)]
NameOrEmpty = Annotated[str, Field(pattern=WITHOUT_BANNED_CHARACTERS_EMPTY_OK)]
NonEmptyishName = Annotated[str, Field(pattern=WITHOUT_BANNED_CHARACTERS), BeforeValidator(non_emptyish)]

BlockDocumentName = Annotated[
    Name, AfterValidator(partial(raise_on_name_alphanumeric_dashes_only, field_name="Block document name"))
]
BlockTypeSlug = Annotated[
    str, AfterValidator(partial(raise_on_name_alphanumeric_dashes_only, field_name="Block type slug"))
]
ArtifactKey = Annotated[str, AfterValidator(partial(raise_on_name_alphanumeric_dashes_only, field_name="Artifact key"))]
VariableName = Annotated[
    str,
    AfterValidator(partial(raise_on_name_alphanumeric_dashes_underscores_only, field_name="Variable name")),
    Field(max_length=MAX_VARIABLE_NAME_LENGTH, description="Name of the variable", examples=["my_variable"]),
]
FlowRunInputKey = Annotated[str, AfterValidator(raise_on_name_alphanumeric_dashes_only)]

URILike = Annotated[
    str,
    AfterValidator(validate_uri),
    Field(description="Text that begins like a URI, with a lowercase scheme", examples=["s3://bucket/data.csv"]),
]
ValidAssetKey = Annotated[
    str,
    AfterValidator(validate_valid_asset_key),
    Field(
        max_length=MAX_ASSET_KEY_LENGTH,
        description="URI of an asset, at most 512 characters, without blanks, quotes, brackets or query",
        examples=["s3://bucket/data.csv"],
    ),
]

# -- numbers and spans of time ----------------------------------------------------------------------------------

NonNegativeInteger = Annotated[int, Field(ge=0)]
PositiveInteger = Annotated[int, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
StatusCode = Annotated[int, Field(ge=100, le=599)]


def _not_negative(span: timedelta) -> timedelta:
    if span < timedelta(0):
        raise ValueError(f"must be a non-negative span of time, got {span.total_seconds()} seconds")
    return span


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError(f"must be a positive span of time, got {span.total_seconds()} seconds")
    return span


def _seconds(value: Any) -> Any:
    """Read plain numbers, also as text, as seconds."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    return timedelta(seconds=value) if isinstance(value, (int, float)) else value


NonNegativeTimeDelta = Annotated[timedelta, AfterValidator(_not_negative)]
PositiveInterval = Annotated[timedelta, AfterValidator(_positive)]
SecondsTimeDelta = Annotated[timedelta, BeforeValidator(_seconds)]

TimeZone = Annotated[
    str,
    AfterValidator(check_time_zone),
    Field(description="Name of a time zone in the IANA database", examples=["America/New_York"]),
]

# -- labels, variables ------------------------------------------------------------------------------------------


def _none_is_empty(value: Any) -> Any:
    return {} if value is None else value


KeyValueLabels = Annotated[
    dict[str, StrictBool | StrictInt | StrictFloat | str],
    BeforeValidator(_none_is_empty),
]
KeyValueLabelsField = Annotated[
    KeyValueLabels,
    Field(
        default_factory=dict,
        description="Labels: each value is a text, a number or a boolean.",
        examples=[{"team": "data", "priority": 2}],
    ),
]

VariableValue = StrictStr | StrictInt | StrictBool | StrictFloat | None | dict[str, Any] | list[Any]


def check_variable_value(value: Any) -> Any:
    """Return a value that a variable may hold: one that JSON can, shorter than 5,000 characters as JSON.

    Raises:
        ValueError: JSON cannot hold it, or it is too long.
    """
    try:
        encoded = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"Variable value must be serializable to JSON: {error}") from error
    if len(encoded) > MAX_VARIABLE_VALUE_LENGTH:
        raise ValueError(
            f"Variable value must be less than {MAX_VARIABLE_VALUE_LENGTH} characters "
            f"(this one has {len(encoded)} as JSON)"
        )
    return value


StrictVariableValue = Annotated[VariableValue, BeforeValidator(check_variable_value)]

# -- what settings are written as -------------------------------------------------------------------------------


def _parse_labels(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object, got {value!r}: {error}") from error


def _drop_blank(values: Any) -> Any:
    if isinstance(values, str):
        values = values.split(",")
    if not isinstance(values, Iterable):
        return values
    return [text for text in values if str(text).strip()]


_STATUS_CODES: TypeAdapter[set[int]] = TypeAdapter(set[StatusCode], config=ConfigDict(defer_build=True))


def _parse_status_codes(value: Any) -> set[int]:
    """A set from text with commas, from one value or from many."""
    if value is None:
        return set()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif not isinstance(value, (set, frozenset, list, tuple)):
        value = [value]
    return _STATUS_CODES.validate_python(set(value))


def _parse_retry_delay(value: Any) -> Any:
    """Seconds, as a number, as text, or several with commas between."""
    if not isinstance(value, str):
        return value
    delays = []
    for part in (part.strip() for part in value.split(",")):
        if part:
            try:
                delays.append(float(part))
            except ValueError:
                raise ValueError(f"Invalid number format {part!r} for retry delay.") from None
    if not delays:
        return None
    return delays if "," in value else delays[0]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


JsonStringOrDict = Annotated[dict[str, str], BeforeValidator(_parse_labels)]
ListOfNonEmptyStrings = Annotated[list[str], BeforeValidator(_drop_blank)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
LaxUrl = Annotated[str, BeforeValidator(lambda value: str(value).strip())]
ClientRetryExtraCodes = Annotated[str | StatusCode | set[StatusCode] | None, BeforeValidator(_parse_status_codes)]
TaskRetryDelaySeconds = Annotated[str | int | float | list[float] | None, BeforeValidator(_parse_retry_delay)]


class SecretDict(Secret[dict[str, Any]]):
    """A mapping whose values are not shown; `get_secret_value()` returns it."""


# -- who did it -------------------------------------------------------------------------------------------------


class CreatedBy(PrefectBaseModel):
    """Who or what made an object: a user, a deployment, an automation, ..."""

    id: UUID | None = None
    type: str | None = None
    # how to name it to people
    display_value: str | None = None


class UpdatedBy(CreatedBy):
    """Who or what last changed an object."""
