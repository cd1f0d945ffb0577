"""The kinds of condition from which filters are made.

In a condition, what is None is not asked for; what is given must hold together. Names end in an underscore, so that
none is a word of the language.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field

from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.enums import Operator
from prefect._schemas.moments import DateTime


class OperatorMixin(PrefectBaseModel):
    """A filter whose conditions are joined by `and` (the default) or by `or`."""

    operator: Operator = Field(default=Operator.and_, description="How conditions are joined: `and_` or `or_`")


class Strict(PrefectBaseModel):
    """A filter in which an unknown condition is an error, so that a misspelt one does not match everything."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class AnyId(PrefectBaseModel):
    """One of these ids."""

    any_: list[UUID] | None = Field(default=None, description="Has one of these ids")


class AnyText(PrefectBaseModel):
    """One of these texts."""

    any_: list[str] | None = Field(default=None, description="Is one of these")


class NotAnyText(AnyText):
    """One of these texts, and none of those."""

    not_any_: list[str] | None = Field(default=None, description="Is none of these")


class Like(PrefectBaseModel):
    """Part of a text."""

    like_: str | None = Field(
        default=None, description="Contains this, in any case; % and _ stand for any characters and any one character"
    )


class AnyName(AnyText, Like):
    """One of these names, or part of one."""


class IsNull(PrefectBaseModel):
    """Whether there is a value at all."""

    is_null_: bool | None = Field(default=None, description="Has no value (true), or has one (false)")


class Exists(PrefectBaseModel):
    """Whether there is a value at all."""

    exists_: bool | None = Field(default=None, description="Has a value (true), or has none (false)")


class Moments(PrefectBaseModel):
    """A range of time; both ends belong to it."""

    before_: DateTime | None = Field(default=None, description="At this moment or before it")
    after_: DateTime | None = Field(default=None, description="At this moment or after it")


class NumberRange(PrefectBaseModel):
    """A range of whole numbers."""

    ge_: int | None = Field(default=None, description="This or more")
    le_: int | None = Field(default=None, description="This or less")


class AllTags(PrefectBaseModel):
    """All of these tags."""

    all_: list[str] | None = Field(default=None, description="Has every one of these")


class AnyTags(PrefectBaseModel):
    """One of these tags."""

    any_: list[str] | None = Field(default=None, description="Has at least one of these")
