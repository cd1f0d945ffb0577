"""Variables: small values with a name, for all flows to read.

```python
Variable.set("batch_size", 500)
Variable.get("batch_size", default=100)
```
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from prefect._bridge import async_dispatch, run, settle
from prefect._schemas.actions.records import VariableCreate, VariableUpdate
from prefect._schemas.fields import StrictVariableValue
from prefect.client.utilities import async_client, sync_client
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

__all__ = ["Variable"]


class Variable(BaseModel):
    """A named value that is kept by the API.

    Attributes:
        name: lowercase letters, digits, dashes and underscores, at most 255 of them.
        value: anything that JSON can express, in at most 5,000 characters.
        tags: to find it by.
    """

    name: str = Field(description="Lowercase letters, digits, dashes and underscores.")
    value: StrictVariableValue = Field(description="Anything that JSON can express.", examples=["my-value"])
    tags: list[str] | None = Field(default=None, description="To find it by.")

    @classmethod
    async def aget(cls, name: str, default: StrictVariableValue = None) -> StrictVariableValue:
        """`get` for asynchronous code."""
        async with async_client() as api:
            return await _get(api, name, default)

    @classmethod
    def get(cls, name: str, default: StrictVariableValue = None, *, _sync: bool | None = None) -> Any:
        """The value of a variable.

        Args:
            name: of the variable.
            default: what to return when there is none.
        """
        return _get_now(cls, name, default, _sync=_sync)

    @classmethod
    async def aset(
        cls, name: str, value: StrictVariableValue, tags: list[str] | None = None, overwrite: bool = False
    ) -> Variable:
        """`set` for asynchronous code."""
        async with async_client() as api:
            return await _set(cls, api, name, value, tags, overwrite)

    @classmethod
    def set(
        cls,
        name: str,
        value: StrictVariableValue,
        tags: list[str] | None = None,
        overwrite: bool = False,
        *,
        _sync: bool | None = None,
    ) -> Any:
        """Give a variable a value.

        Args:
            name: of the variable.
            value: its value.
            tags: to find it by; they replace those it has.
            overwrite: whether one that is there may be changed.

        Returns:
            the variable.

        Raises:
            ValueError: it exists and `overwrite` is not set; the name or the value cannot be one of a variable.
        """
        return _set_now(cls, name, value, tags, overwrite, _sync=_sync)

    @classmethod
    async def aunset(cls, name: str) -> bool:
        """`unset` for asynchronous code."""
        async with async_client() as api:
            return await _unset(api, name)

    @classmethod
    def unset(cls, name: str, *, _sync: bool | None = None) -> Any:
        """Delete a variable; returns whether there was one."""
        return _unset_now(cls, name, _sync=_sync)


async def _get(api: Any, name: str, default: Any) -> Any:
    found = await settle(api.read_variable_by_name(name))
    return default if found is None else found.value


async def _set(
    cls: type[Variable], api: Any, name: str, value: Any, tags: list[str] | None, overwrite: bool
) -> Variable:
    new = VariableCreate(name=name, value=value, tags=tags or [])
    try:
        made = await settle(api.create_variable(new))
    except ObjectAlreadyExists as exc:
        if not overwrite:
            raise ValueError(f"Variable {name!r} already exists. Use `overwrite=True` to update it.") from exc
        await settle(api.update_variable(VariableUpdate(**new.model_dump())))
        return cls(name=new.name, value=new.value, tags=new.tags)
    return cls(name=made.name, value=made.value, tags=made.tags)


async def _unset(api: Any, name: str) -> bool:
    try:
        await settle(api.delete_variable_by_name(name))
    except ObjectNotFound:
        return False
    return True


# the class methods above as functions, so that they can be dispatched by the running loop


@async_dispatch(lambda cls, *args: cls.aget(*args))
def _get_now(cls: type[Variable], *args: Any) -> Any:
    with sync_client() as api:
        return run(_get(api, *args))


@async_dispatch(lambda cls, *args: cls.aset(*args))
def _set_now(cls: type[Variable], *args: Any) -> Variable:
    with sync_client() as api:
        return run(_set(cls, api, *args))


@async_dispatch(lambda cls, *args: cls.aunset(*args))
def _unset_now(cls: type[Variable], *args: Any) -> bool:
    with sync_client() as api:
        return run(_unset(api, *args))
