"""Registries of classes: a base class knows its subclasses by a key.

    @register_base_type
    class Serializer:
        @classmethod
        def __dispatch_key__(cls): return cls.type

    class JSONSerializer(Serializer):
        type = "json"

    lookup_type(Serializer, "json") is JSONSerializer

The key is the attribute or class method `__dispatch_key__`; a class whose key is None is not registered.
"""

from __future__ import annotations

import warnings
import weakref
from typing import Any, Literal, TypeVar, overload

T = TypeVar("T", bound=type[Any])

# keyed by the base type itself: a class that is made anew (in a notebook, in a test) does not meet the old one's entries
_registries: weakref.WeakKeyDictionary[type[Any], dict[str, type[Any]]] = weakref.WeakKeyDictionary()


@overload
def get_dispatch_key(cls_or_instance: Any, allow_missing: Literal[False] = False) -> str: ...
@overload
def get_dispatch_key(cls_or_instance: Any, allow_missing: Literal[True]) -> str | None: ...
def get_dispatch_key(cls_or_instance: Any, allow_missing: bool = False) -> str | None:
    """The key of a class, or of the class of an object.

    Args:
        cls_or_instance: the class or object.
        allow_missing: return None instead of raising when there is no key.

    Raises:
        ValueError: there is no key.
        TypeError: the key is no string.
    """
    owner = cls_or_instance if isinstance(cls_or_instance, type) else type(cls_or_instance)
    key = getattr(cls_or_instance, "__dispatch_key__", None)
    if callable(key):
        key = key()
    if key is None:
        if allow_missing:
            return None
        raise ValueError(
            f"Type {owner.__name__!r} does not define a value for '__dispatch_key__' which is required for registry "
            "lookup."
        )
    if not isinstance(key, str):
        raise TypeError(
            f"Type {owner.__name__!r} has a '__dispatch_key__' of type {type(key).__name__} but a type of 'str' is "
            "required."
        )
    return key


def register_base_type(cls: T) -> T:
    """Make a class the base of a registry: its subclasses are registered when they are defined. A decorator."""
    registry = _registries.setdefault(cls, {})
    key = get_dispatch_key(cls, allow_missing=True)
    if key is not None:
        registry[key] = cls
    # pydantic calls its own hook when the fields of the subclass, of which a key may be made, are known
    hook = "__pydantic_init_subclass__" if hasattr(cls, "__pydantic_init_subclass__") else "__init_subclass__"
    own = cls.__dict__.get(hook)

    def on_subclass(subclass: type[Any], **kwargs: Any) -> None:
        if own is not None:
            own.__get__(None, subclass)(**kwargs)
        else:
            getattr(super(cls, subclass), hook)(**kwargs)
        generic = getattr(subclass, "__pydantic_generic_metadata__", None)
        if not (generic and generic["origin"]):  # Secret[dict] is another name for Secret, not another type
            register_type(subclass)

    setattr(cls, hook, classmethod(on_subclass))
    return cls


def register_type(cls: T) -> T:
    """Put a class into the registry of its base; one of the same key is replaced, with a warning if it is another class.

    Raises:
        ValueError: none of its bases has a registry.
    """
    registry = get_registry_for_type(cls)
    if registry is None:
        bases = ", ".join(base.__name__ for base in cls.__mro__[1:] if base is not object)
        known = ", ".join(repr(base.__name__) for base in _registries)
        raise ValueError(
            f"No registry found for type {cls.__name__!r} with bases {bases or 'none'}. "
            f"Did you mean to inherit from one of the following known types: {known}?"
        )
    key = get_dispatch_key(cls, allow_missing=True)
    if key is None:
        return cls
    other = registry.get(key)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        warnings.warn(
            f"Type {cls.__name__!r} has the dispatch key {key!r}, which {other.__module__}.{other.__qualname__} has "
            "already; it takes its place. Give it a key of its own.",
            stacklevel=3,
        )
    registry[key] = cls
    return cls


def get_registry_for_type(cls: type[Any]) -> dict[str, type[Any]] | None:
    """The registry that a class belongs to, its own or that of its nearest base; None when there is none.

    Returns:
        The classes by their keys.
    """
    return next((_registries[base] for base in cls.__mro__ if base in _registries), None)


def lookup_type(cls: type[Any], dispatch_key: str) -> type[Any]:
    """The class of a key.

    Args:
        cls: a class of the registry.
        dispatch_key: the key.

    Raises:
        KeyError: there is none.
    """
    found = (get_registry_for_type(cls) or {}).get(dispatch_key)
    if found is None:
        raise KeyError(f"No class found for dispatch key {dispatch_key!r} in registry for type {cls.__name__!r}.")
    return found
