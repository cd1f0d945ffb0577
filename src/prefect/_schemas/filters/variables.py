"""Conditions on variables."""

from __future__ import annotations

from prefect._schemas.filters.conditions import AllTags, AnyId, AnyName, IsNull, OperatorMixin


class VariableFilterId(AnyId):
    """On the id of a variable."""


class VariableFilterName(AnyName):
    """On the name of a variable."""


class VariableFilterTags(OperatorMixin, AllTags, IsNull):
    """On the tags of a variable."""


class VariableFilter(OperatorMixin):
    """Which variables."""

    id: VariableFilterId | None = None
    name: VariableFilterName | None = None
    tags: VariableFilterTags | None = None
