"""The models from which every wire type is made.

Building a pydantic validator is the dear part of defining a model, so all of them postpone it to first use
(`defer_build`). What comes from an API may carry fields of a newer version and they are ignored; what a user
sends to it may not, so that a misspelt field is an error and not a loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from prefect._ids import new_uuid
from prefect._schemas.moments import DateTime

_DICTS: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[dict[str, Any]], config=ConfigDict(defer_build=True))


class PrefectBaseModel(BaseModel):
    """A value that travels between a client and an API; time spans are numbers of seconds on the wire."""

    model_config: ClassVar[ConfigDict] = ConfigDict(ser_json_timedelta="float", defer_build=True, extra="ignore")

    _reset_fields: ClassVar[set[str]] = set()
    """Fields that `reset_fields` gives a fresh default and that equality leaves out."""

    @classmethod
    def model_validate_list(
        cls,
        obj: Any,
        *,
        strict: bool | None = None,
        from_attributes: bool | None = None,
        context: Any | None = None,
    ) -> list[Self]:
        """Validate a list of objects, as a paged route returns them.

        Args:
            obj: a list of mappings.
            strict, from_attributes, context: as in `model_validate`.

        Raises:
            pydantic.ValidationError: the value is not a list of mappings, or one of them does not fit this model.
        """
        items = _DICTS.validate_python(obj, strict=strict)
        return [
            cls.model_validate(item, strict=strict, from_attributes=from_attributes, context=context) for item in items
        ]

    def reset_fields(self) -> Self:
        """A copy with the fields that an API assigns (id, created, updated, ...) back at a fresh default."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in self._reset_fields}
        return type(self).model_construct(
            _fields_set=self.model_fields_set - self._reset_fields,
            **kept,
        )

    def __eq__(self, other: Any) -> bool:
        """Equal type and equal fields, but for the ones an API assigns."""
        if type(self) is not type(other):
            return NotImplemented
        if self._reset_fields:
            return _compared(self) == _compared(other)
        return super().__eq__(other)

    def __rich_repr__(self) -> Iterable[tuple[str, Any, Any]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            yield name, str(value) if isinstance(value, UUID) else value, field.get_default()


def _compared(model: PrefectBaseModel) -> dict[str, Any]:
    return {name: value for name, value in model.__dict__.items() if name not in model._reset_fields}


class IDBaseModel(PrefectBaseModel):
    """A thing with an identity of its own: a UUIDv7, so that new ones lie together in an index."""

    _reset_fields: ClassVar[set[str]] = {"id"}

    id: UUID = Field(default_factory=new_uuid, description="Identity of the object, ordered by time.")


class ObjectBaseModel(IDBaseModel):
    """A thing that an API keeps; it knows when it was made and last changed."""

    _reset_fields: ClassVar[set[str]] = {"id", "created", "updated"}
    model_config: ClassVar[ConfigDict] = ConfigDict(from_attributes=True)

    created: DateTime | None = Field(default=None, repr=False, description="When the object was made.")
    updated: DateTime | None = Field(default=None, repr=False, description="When the object last changed.")


class TimeSeriesBaseModel(IDBaseModel):
    """A thing of which there are very many, one per moment in time (runs, logs)."""


class ActionBaseModel(PrefectBaseModel):
    """A request to make or change something; a field that does not exist is an error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
