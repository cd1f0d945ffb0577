"""Variables."""

from __future__ import annotations

from pydantic import Field

from prefect._defaults import new_list
from prefect._schemas.base import ObjectBaseModel
from prefect._schemas.fields import StrictVariableValue
from prefect._schemas.naming import MAX_VARIABLE_NAME_LENGTH


class Variable(ObjectBaseModel):
    """A value with a name that flows can read."""

    name: str = Field(max_length=MAX_VARIABLE_NAME_LENGTH, examples=["my_variable"])
    value: StrictVariableValue = Field(examples=["my-value"])
    tags: list[str] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])
