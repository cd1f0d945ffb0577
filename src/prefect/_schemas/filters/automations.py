"""Conditions on automations."""

from __future__ import annotations

from pydantic import Field

from prefect._schemas.filters.conditions import AllTags, AnyTags, IsNull, OperatorMixin, Strict
from prefect._schemas.moments import DateTime


class AutomationFilterCreated(Strict):
    """On when an automation was made."""

    before_: DateTime | None = Field(default=None, description="At this moment or before it")


class AutomationFilterName(Strict):
    """On the name of an automation."""

    any_: list[str] | None = Field(default=None, description="Is one of these")


class AutomationFilterTags(Strict, OperatorMixin, AllTags, AnyTags, IsNull):
    """On the tags of an automation."""


class AutomationFilter(Strict, OperatorMixin):
    """Which automations."""

    name: AutomationFilterName | None = None
    created: AutomationFilterCreated | None = None
    tags: AutomationFilterTags | None = None
