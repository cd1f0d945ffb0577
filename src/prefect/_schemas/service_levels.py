"""Service levels of deployments, as a cloud keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from prefect._defaults import new_list
from prefect._schemas.base import PrefectBaseModel


class SlaMergeResponse(PrefectBaseModel):
    """What became of the service levels that a deployment was given.

    Attributes:
        created, updated, deleted: those that were, by name.
    """

    created: list[str] = Field(default_factory=new_list)
    updated: list[str] = Field(default_factory=new_list)
    deleted: list[str] = Field(default_factory=new_list)


def as_mapping(service_level: Mapping[str, Any] | BaseModel) -> Mapping[str, Any]:
    """What a service level demands, as JSON has it.

    Raises:
        TypeError: it is neither a mapping nor a model.
    """
    if isinstance(service_level, BaseModel):
        return service_level.model_dump(mode="json", exclude_unset=True)
    if not isinstance(service_level, Mapping):
        raise TypeError(f"A service level is a mapping or a model, not {service_level!r}.")
    return service_level
