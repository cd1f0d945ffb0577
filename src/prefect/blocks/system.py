"""Blocks for values."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import Field, JsonValue, SecretStr, StrictStr, field_validator
from pydantic import Secret as PydanticSecret

from prefect.blocks.core import Block

__all__ = ["Secret"]

T = TypeVar("T", bound=Any)

_Value = (
    SecretStr | PydanticSecret[Annotated[StrictStr, Field(title="string")] | Annotated[JsonValue, Field(title="JSON")]]
)


class Secret(Block, Generic[T]):
    """A value that is kept secret. It is encrypted where it is stored, and masked where it is shown.

    Example:
        ```python
        from prefect.blocks.system import Secret

        Secret(value="sk-1234567890").save("BLOCK_NAME")
        Secret.load("BLOCK_NAME").get()
        ```
    """

    _block_type_name: ClassVar[str | None] = "Secret"
    _block_type_slug: ClassVar[str | None] = "secret"

    value: _Value = Field(
        description="A value that should be kept secret.",
        examples=["sk-1234567890", {"username": "johndoe", "password": "s3cr3t"}],
        json_schema_extra={"writeOnly": True, "format": "password"},
    )

    @field_validator("value", mode="before")
    @classmethod
    def validate_value(cls, value: Any) -> Any:
        """Take a secret as the value that it holds, and a plain value as a secret one."""
        if isinstance(value, PydanticSecret | SecretStr):
            return value
        return SecretStr(value) if isinstance(value, str) else PydanticSecret(value)

    def get(self) -> Any:
        """The value.

        Returns:
            text, or anything else that JSON can express, as it was given.
        """
        return self.value.get_secret_value()
