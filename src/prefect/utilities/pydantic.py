"""Helpers for pydantic models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, cast, overload

import cloudpickle
from pydantic import BaseModel, Secret, SecretBytes, SecretStr, TypeAdapter
from pydantic_core import to_jsonable_python

from prefect.utilities.dispatch import lookup_type, register_base_type

__all__ = [
    "PartialModel",
    "add_cloudpickle_reduction",
    "add_type_dispatch",
    "custom_pydantic_encoder",
    "get_class_fields_only",
    "handle_secret_render",
    "lookup_type",
    "parse_obj_as",
]

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

_OBFUSCATED = "*" * 8


class PartialModel(Generic[M]):
    """Values for a model's fields, collected bit by bit; the model is made, and the values checked, at the end.

    Args:
        __model_cls: the model.
        kwargs: the first values.

    Raises:
        ValueError: a name is not a field of the model.
    """

    def __init__(self, __model_cls: type[M], **kwargs: Any) -> None:
        self.model_cls = __model_cls
        self.fields_set: dict[str, Any] = {}
        for name, value in kwargs.items():
            setattr(self, name, value)

    def finalize(self, **kwargs: Any) -> M:
        """Make the model from the values so far and those given.

        Raises:
            ValueError: a value is set already, or a name is not a field.
            pydantic.ValidationError: the values do not fit the model.
        """
        for name in kwargs:
            self.raise_if_already_set(name)
            self.raise_if_not_in_model(name)
        return self.model_cls(**self.fields_set, **kwargs)

    def raise_if_already_set(self, name: str) -> None:
        """Raise a ValueError if there is a value for the field."""
        if name in self.fields_set:
            raise ValueError(f"Field {name!r} has already been set.")

    def raise_if_not_in_model(self, name: str) -> None:
        """Raise a ValueError if the model has no such field."""
        if name not in self.model_cls.model_fields:
            raise ValueError(f"Field {name!r} is not present in the model.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("model_cls", "fields_set"):
            super().__setattr__(name, value)
            return
        self.raise_if_already_set(name)
        self.raise_if_not_in_model(name)
        self.fields_set[name] = value

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self.fields_set.items())
        return f"PartialModel(cls={self.model_cls.__name__}{values})"


def _restore_model(payload: bytes) -> BaseModel:
    model_cls, state = cloudpickle.loads(payload)
    model = model_cls.__new__(model_cls)
    model.__setstate__(state)
    return model


@overload
def add_cloudpickle_reduction(__model_cls: type[M], **kwargs: Any) -> type[M]: ...
@overload
def add_cloudpickle_reduction(__model_cls: None = None, **kwargs: Any) -> Callable[[type[M]], type[M]]: ...
def add_cloudpickle_reduction(__model_cls: type[M] | None = None, **kwargs: Any) -> Any:
    """Let instances of a model be pickled although they hold functions or classes that `pickle` refuses. A decorator.

    Args:
        __model_cls: the model.
        kwargs: options of `cloudpickle.dumps`, such as `protocol`.
    """

    def decorate(model_cls: type[M]) -> type[M]:
        def __reduce__(self: BaseModel) -> tuple[Any, ...]:
            return _restore_model, (cloudpickle.dumps((type(self), self.__getstate__()), **kwargs),)

        model_cls.__reduce__ = __reduce__  # type: ignore[method-assign,assignment]
        return model_cls

    return decorate if __model_cls is None else decorate(__model_cls)


def get_class_fields_only(model: type[BaseModel]) -> set[str]:
    """Return the names of the fields that a model declares itself, without those it inherits."""
    return {name for name in inspect.get_annotations(model) if name in model.model_fields}


def add_type_dispatch(model_cls: type[M]) -> type[M]:
    """Let a base model make the subclass that its argument `type` names. A decorator.

    The key of a subclass is the default of its field `type`, or what its class method `__dispatch_key__` returns.

        @add_type_dispatch
        class Shape(BaseModel):
            type: str

        class Circle(Shape):
            type: str = "circle"

        assert isinstance(Shape(type="circle"), Circle)

    Raises:
        ValueError: the model has neither, or both.
    """
    has_key, has_field = hasattr(model_cls, "__dispatch_key__"), "type" in model_cls.model_fields
    if has_key and has_field:
        raise ValueError(
            f"Model class {model_cls.__name__!r} defines a `__dispatch_key__` and a type field. "
            "Only one of these may be defined for dispatch."
        )
    if not has_key and not has_field:
        raise ValueError(
            f"Model class {model_cls.__name__!r} does not define a `__dispatch_key__` or a type field. "
            "One of these is required for dispatch."
        )
    if has_field:

        def dispatch_key(cls: type[BaseModel]) -> str | None:
            default = cls.model_fields["type"].get_default()
            return default if isinstance(default, str) else None

        model_cls.__dispatch_key__ = classmethod(dispatch_key)  # type: ignore[attr-defined]

    def __new__(cls: type[M], *args: Any, **kwargs: Any) -> M:
        chosen = lookup_type(cls, kwargs["type"]) if cls is model_cls and "type" in kwargs else cls
        return cast("M", BaseModel.__new__(chosen))

    model_cls.__new__ = __new__  # type: ignore[method-assign,assignment]
    return register_base_type(model_cls)


def custom_pydantic_encoder(type_encoders: dict[Any, Callable[[Any], Any]], obj: Any) -> Any:
    """Return the JSON-able form of an object.

    Args:
        type_encoders: type -> function that encodes its instances; the nearest base of the object's class has precedence.
        obj: the object. Without an encoder of its own, it is encoded by pydantic.

    Raises:
        pydantic_core.PydanticSerializationError: pydantic cannot encode it.
    """
    for base in type(obj).__mro__[:-1]:
        if base in type_encoders:
            return type_encoders[base](obj)
    return obj.model_dump(mode="json") if isinstance(obj, BaseModel) else to_jsonable_python(obj)


def handle_secret_render(value: Any, context: dict[str, Any]) -> Any:
    """Return a secret in clear if the context has `include_secrets`, else obscured; a model as a dict; others as they are."""
    if isinstance(value, (SecretStr, SecretBytes, Secret)):
        return value.get_secret_value() if context.get("include_secrets", False) else _OBFUSCATED
    return value.model_dump(context=context) if isinstance(value, BaseModel) else value


def parse_obj_as(type_: type[T], data: Any, mode: Literal["python", "json", "strings"] = "python") -> T:
    """Validate data as a type.

    Args:
        type_: any type that pydantic knows.
        data: the data.
        mode: what the data is: objects, JSON text, or objects with text in the place of all scalars.

    Raises:
        pydantic.ValidationError: the data does not fit.
    """
    adapter: TypeAdapter[T] = TypeAdapter(type_)
    validate = {
        "python": adapter.validate_python,
        "json": adapter.validate_json,
        "strings": adapter.validate_strings,
    }
    return validate[mode](data)
