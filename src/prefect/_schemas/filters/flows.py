"""Conditions on flows."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from prefect._schemas.filters.conditions import AllTags, AnyId, AnyName, IsNull, OperatorMixin


class FlowFilterId(AnyId):
    """On the id of a flow."""

    not_any_: list[UUID] | None = Field(default=None, description="Has none of these ids")


class FlowFilterName(AnyName):
    """On the name of a flow."""


class FlowFilterTags(OperatorMixin, AllTags, IsNull):
    """On the tags of a flow."""


class FlowFilterDeployment(OperatorMixin, IsNull):
    """On whether a flow has a deployment."""


class FlowFilter(OperatorMixin):
    """Which flows."""

    id: FlowFilterId | None = None
    name: FlowFilterName | None = None
    tags: FlowFilterTags | None = None
    deployment: FlowFilterDeployment | None = None
