"""The kinds of condition from which filters are made.

In a condition, what is None is not asked for; what is given must hold together. Names end in an underscore, so that
none is a word of the language.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails

from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import Operator
from prefect._schemas.moments import DateTime

REFUSE_UNKNOWN = {"unknown conditions": "refuse"}
"""The context in which an API validates what it is sent."""


class Condition(PrefectBaseModel):
    """What filters are made of.

    A program that makes a filter with a condition that there is not keeps working, as it does with other clients. An API
    refuses what it is sent: a condition that is left out matches everything, and may be what is deleted.
    """

    @model_validator(mode="before")
    @classmethod
    def _check_known(cls, given: Any, info: ValidationInfo) -> Any:
        if info.context is REFUSE_UNKNOWN and isinstance(given, dict):
            unknown = [name for name in given if name not in cls.model_fields]
            if unknown:
                faults = [InitErrorDetails(type="extra_forbidden", loc=(name,), input=given[name]) for name in unknown]
                raise ValidationError.from_exception_data(cls.__name__, faults)
        return given


class OperatorMixin(Condition):
    """A filter whose conditions are joined by `and` (the default) or by `or`."""

    operator: Operator = Field(default=Operator.and_, description="How conditions are joined: `and_` or `or_`")


class Strict(Condition):
    """A filter in which an unknown condition is an error, so that a misspelt one does not match everything."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class AnyId(Condition):
    """One of these ids."""

    any_: list[UUID] | None = Field(default=None, description="Has one of these ids")


class AnyText(Condition):
    """One of these texts."""

    any_: list[str] | None = Field(default=None, description="Is one of these")


class NotAnyText(AnyText):
    """One of these texts, and none of those."""

    not_any_: list[str] | None = Field(default=None, description="Is none of these")


class Like(Condition):
    """Part of a text."""

    like_: str | None = Field(
        default=None, description="Contains this, in any case; % and _ stand for any characters and any one character"
    )


class AnyName(AnyText, Like):
    """One of these names, or part of one."""


class IsNull(Condition):
    """Whether there is a value at all."""

    is_null_: bool | None = Field(default=None, description="Has no value (true), or has one (false)")


class Exists(Condition):
    """Whether there is a value at all."""

    exists_: bool | None = Field(default=None, description="Has a value (true), or has none (false)")


class Moments(Condition):
    """A range of time; both ends belong to it."""

    before_: DateTime | None = Field(default=None, description="At this moment or before it")
    after_: DateTime | None = Field(default=None, description="At this moment or after it")


class NumberRange(Condition):
    """A range of whole numbers."""

    ge_: int | None = Field(default=None, description="This or more")
    le_: int | None = Field(default=None, description="This or less")


class AllTags(Condition):
    """All of these tags."""

    all_: list[str] | None = Field(default=None, description="Has every one of these")


class AnyTags(Condition):
    """One of these tags."""

    any_: list[str] | None = Field(default=None, description="Has at least one of these")
