"""Flows."""

from __future__ import annotations

from pydantic import Field

from prefect._defaults import new_list
from prefect._schemas.base import ObjectBaseModel
from prefect._schemas.fields import KeyValueLabelsField, Name


class Flow(ObjectBaseModel):
    """A flow that an API knows."""

    name: Name = Field(examples=["my-flow"])
    tags: list[str] = Field(default_factory=new_list, examples=[["tag-1", "tag-2"]])
    labels: KeyValueLabelsField
