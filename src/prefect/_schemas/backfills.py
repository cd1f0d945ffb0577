"""Backfills: the instants of a schedule in the past, run so many at a time."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from prefect._schemas.base import ActionBaseModel, ObjectBaseModel
from prefect._schemas.fields import ShortText
from prefect._schemas.moments import DateTime
from prefect._schemas.schedules import SCHEDULE_TYPES

BackfillStatus = Literal["RUNNING", "COMPLETED", "CANCELLED"]

MOST_AT_ONCE = 1000
"""Runs of a backfill that may be under way at once."""


class BackfillCreate(ActionBaseModel):
    """Run a deployment for the instants of a range."""

    # the range; both ends belong to it, and what is not past yet is left out
    start: DateTime
    end: DateTime
    # which schedule of the deployment: its id, or its slug; needed when it has several
    schedule_id: UUID | None = None
    slug: ShortText | None = None
    # or one that is not the deployment's
    schedule: SCHEDULE_TYPES | None = None
    # so many runs are under way at once
    concurrency: int = Field(default=1, ge=1, le=MOST_AT_ONCE)
    # leave out the instants for which the schedule made a run
    skip_existing: bool = True
    # over those of the deployment and the schedule
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def check_range(self) -> BackfillCreate:
        """Check that the range and the schedule make sense."""
        if self.end < self.start:
            raise ValueError("end must not be before start")
        if sum(one is not None for one in (self.schedule_id, self.slug, self.schedule)) > 1:
            raise ValueError("give one of schedule_id, slug and schedule")
        return self


class Backfill(ObjectBaseModel):
    """A backfill, and how far it has come."""

    deployment_id: UUID
    # of the deployment; None for a schedule that is not the deployment's
    schedule_id: UUID | None = None
    schedule: SCHEDULE_TYPES
    range_start: DateTime
    range_end: DateTime
    concurrency: int
    skip_existing: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict)
    status: BackfillStatus
    # the last instant that was dealt with
    position: DateTime | None = None
    # its runs by the type of their state
    runs: dict[str, int] = Field(default_factory=dict)
