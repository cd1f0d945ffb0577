"""Artifacts: what runs leave behind for people to look at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field, field_validator

from prefect._schemas.base import ObjectBaseModel

MAX_METADATA_VALUE_LENGTH = 500


class Artifact(ObjectBaseModel):
    """An artifact."""

    # artifacts with the same key are versions of one thing
    key: str | None = None
    # such as "table" or "markdown"
    type: str | None = None
    description: str | None = None
    data: dict[str, Any] | Any | None = Field(default=None)
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None

    @field_validator("metadata_")
    @classmethod
    def validate_metadata_length(cls, v: dict[str, str] | None) -> dict[str, str] | None:
        """Cut off what is longer than 500 characters, and show that by three dots."""
        if v is None:
            return v
        most = MAX_METADATA_VALUE_LENGTH
        return {key: value if len(value) <= most else f"{value[:most]}..." for key, value in v.items()}


class ArtifactCollection(ObjectBaseModel):
    """All artifacts with one key, by the latest of them."""

    key: str
    latest_id: UUID
    type: str | None = None
    description: str | None = None
    data: dict[str, Any] | Any | None = None
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
