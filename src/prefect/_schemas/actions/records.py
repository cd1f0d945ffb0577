"""Requests about artifacts, variables and saved searches."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from prefect._defaults import new_list
from prefect._schemas.admin import SavedSearchFilter
from prefect._schemas.base import ActionBaseModel
from prefect._schemas.fields import ArtifactKey, Short, ShortText, StrictVariableValue, VariableName


class ArtifactCreate(ActionBaseModel):
    """Leave an artifact."""

    # artifacts with the same key are versions of one thing
    key: Annotated[ArtifactKey, Short] | None = None
    # such as "table" or "markdown"
    type: ShortText | None = None
    description: str | None = None
    data: dict[str, Any] | Any | None = None
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class ArtifactUpdate(ActionBaseModel):
    """Change an artifact."""

    data: dict[str, Any] | Any | None = None
    description: str | None = None
    metadata_: dict[str, str] | None = None


class VariableCreate(ActionBaseModel):
    """Make a variable."""

    name: VariableName
    value: StrictVariableValue = Field(examples=["my-value"])
    tags: list[ShortText] | None = None


class VariableUpdate(ActionBaseModel):
    """Change a variable."""

    name: VariableName | None = None
    value: StrictVariableValue = None
    tags: list[ShortText] | None = None


class SavedSearchCreate(ActionBaseModel):
    """Give a search a name."""

    name: ShortText
    filters: list[SavedSearchFilter] = Field(default_factory=new_list)
