"""Serializers: how results become bytes.

    @flow(result_serializer="json")                # by type
    @task(result_serializer=PickleSerializer())    # by object

A class of your own that derives from `Serializer` and has its own `type` can be used in the same ways:

    class TextSerializer(Serializer):
        type: Literal["text"] = "text"

        def dumps(self, obj): return obj.encode()
        def loads(self, blob): return blob.decode()
"""

from __future__ import annotations

import abc
import base64
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, field_validator, model_validator

from prefect._results import encoding

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "CompressedJSONSerializer",
    "CompressedPickleSerializer",
    "CompressedSerializer",
    "JSONSerializer",
    "PickleSerializer",
    "Serializer",
    "UnknownSerializer",
    "prefect_json_object_decoder",
    "prefect_json_object_encoder",
]

D = TypeVar("D")


def prefect_json_object_encoder(obj: Any) -> Any:
    """The JSON form of a value that JSON lacks: a model, date, set, exception and so on, marked with its class.

    Raises:
        TypeError: the value has no JSON form.
    """
    return encoding.json_encode(obj)


def prefect_json_object_decoder(result: dict[str, Any]) -> Any:
    """The value whose form `prefect_json_object_encoder` made; other dictionaries are returned as they are."""
    return encoding.json_decode(result)


class Serializer(BaseModel, Generic[D], abc.ABC):
    """The base of serializers. `Serializer(type="json")` makes one of the class of that type."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    _types: ClassVar[dict[str, type[Serializer[Any]]]] = {}

    type: str

    def __new__(cls, **kwargs: Any) -> Self:
        """Choose the class by `type` when the base itself is called."""
        return super().__new__(_class_of(kwargs.get("type")) if cls is Serializer else cls)  # type: ignore[return-value]

    def __init_subclass__(cls, *, register: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(cls, *, register: bool = True, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        key = cls.model_fields["type"].default
        if isinstance(key, str):
            Serializer._types[key] = cls
        elif register and not cls.__pydantic_generic_metadata__["args"]:
            raise TypeError(
                f"The serializer {cls.__name__} needs a type of its own: give its field `type` a string as default."
            )

    @model_validator(mode="wrap")
    @classmethod
    def _choose_class(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if cls is Serializer and isinstance(value, dict) and "type" in value:
            return _class_of(value["type"]).model_validate(value)  # type: ignore[return-value]
        return handler(value)

    @abc.abstractmethod
    def dumps(self, obj: D) -> bytes:
        """`obj` as bytes."""

    @abc.abstractmethod
    def loads(self, blob: bytes) -> D:
        """The object that `dumps` made `blob` from."""


def is_known(type: Any) -> bool:
    """Whether there is a serializer of a type here: its module has been imported."""
    return type in Serializer._types


def _class_of(key: Any) -> type[Serializer[Any]]:
    chosen = Serializer._types.get(key)
    if chosen is None:
        known = ", ".join(sorted(Serializer._types))
        raise ValueError(
            f"No serializer has the type {key!r}. Known are: {known}. Import the module that defines it first."
        )
    return chosen


def _import(kind: str, name: str, needs: tuple[str, ...]) -> Any:
    """Import a library for a serializer and check that it has the functions that are called."""
    try:
        library = import_module(name)
    except ImportError as exc:
        raise ValueError(f"The {kind} library {name!r} cannot be imported: {exc}. Is it installed?") from exc
    for function in needs:
        if not callable(getattr(library, function, None)):
            raise ValueError(f"The {kind} library {name!r} has no function {function!r}.")
    return library


class PickleSerializer(Serializer[D]):
    """Stores anything that Python can pickle, as base64 text.

    Only load what you trust: a pickle can run code.
    """

    type: Literal["pickle"] = "pickle"  # type: ignore[assignment]
    picklelib: str = Field(default="cloudpickle", description="Module with `dumps` and `loads`.")
    picklelib_version: str | None = Field(
        default=None, description="Version of the module; a warning tells when another one is installed."
    )

    @field_validator("picklelib")
    @classmethod
    def check_picklelib(cls, value: str) -> str:
        """Check that the module can be imported and can pickle."""
        if value != "cloudpickle":
            _import("pickle", value, ("dumps", "loads"))
        return value

    @model_validator(mode="after")
    def _check_version(self) -> Self:
        if self.picklelib_version is not None:
            installed = getattr(import_module(self.picklelib), "__version__", None)
            if installed is not None and installed != self.picklelib_version:
                warnings.warn(
                    f"Version {self.picklelib_version} of {self.picklelib!r} was asked for, but {installed} is "
                    "installed. Pickles of one version cannot always be read by another.",
                    RuntimeWarning,
                    stacklevel=3,
                )
        return self

    def _pickle(self, obj: Any) -> bytes:
        return (
            encoding.cloud_dumps(obj) if self.picklelib == "cloudpickle" else import_module(self.picklelib).dumps(obj)
        )

    def dumps(self, obj: D) -> bytes:
        """The base64 text of the pickled `obj`.

        Raises:
            SerializationError: the object cannot be pickled; the error names the part that is to blame.
        """
        try:
            return encoding.to_base64(self._pickle(obj))
        except Exception as exc:
            raise encoding.serialization_error(obj, self._pickle, "pickle", exc) from exc

    def loads(self, blob: bytes) -> D:
        """The object of which `blob` is the base64 text."""
        return import_module(self.picklelib).loads(encoding.from_base64(blob))


class JSONSerializer(Serializer[D]):
    """Stores values as JSON text; what JSON lacks is marked with its class.

    Models, dataclasses, dates, UUIDs, sets, bytes, paths, enumerations and exceptions come back as what they were. Tuples
    come back as lists, keys of dictionaries as strings.
    """

    type: Literal["json"] = "json"  # type: ignore[assignment]
    jsonlib: str = Field(default="json", description="Module with `dumps` and `loads`, such as `json` or `orjson`.")
    object_encoder: str | None = Field(
        default="prefect.serializers.prefect_json_object_encoder",
        description="Path of a function that gives the JSON form of a value that JSON lacks.",
    )
    object_decoder: str | None = Field(
        default="prefect.serializers.prefect_json_object_decoder",
        description="Path of a function that is given every dictionary read, to return the value it stands for.",
    )
    dumps_kwargs: dict[str, Any] = Field(default_factory=dict, description="More arguments for the module's `dumps`.")
    loads_kwargs: dict[str, Any] = Field(default_factory=dict, description="More arguments for the module's `loads`.")

    @field_validator("dumps_kwargs")
    @classmethod
    def dumps_kwargs_cannot_contain_default(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse `default`, which `object_encoder` is for."""
        if "default" in value:
            raise ValueError("`default` cannot be given here; name the function as `object_encoder`.")
        return value

    @field_validator("loads_kwargs")
    @classmethod
    def loads_kwargs_cannot_contain_object_hook(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse `object_hook`, which `object_decoder` is for."""
        if "object_hook" in value:
            raise ValueError("`object_hook` cannot be given here; name the function as `object_decoder`.")
        return value

    def _json(self, obj: Any) -> bytes:
        options = dict(self.dumps_kwargs)
        if self.object_encoder:
            options["default"] = encoding.from_qualified_name(self.object_encoder)
        text = _import("JSON", self.jsonlib, ("dumps", "loads")).dumps(obj, **options)
        return text if isinstance(text, bytes) else text.encode()  # orjson gives bytes

    def dumps(self, obj: D) -> bytes:
        """The JSON text of `obj`, in UTF-8.

        Raises:
            SerializationError: the object has no JSON form; the error names the part that is to blame.
        """
        try:
            return self._json(obj)
        except Exception as exc:
            raise encoding.serialization_error(obj, self._json, "JSON", exc) from exc

    def loads(self, blob: bytes) -> D:
        """The object of which `blob` is the JSON text."""
        library = _import("JSON", self.jsonlib, ("dumps", "loads"))
        decoder = encoding.from_qualified_name(self.object_decoder) if self.object_decoder else None
        if library.__name__ == "orjson":
            # it has no object_hook
            return _decode_all(library.loads(blob, **self.loads_kwargs), decoder) if decoder else library.loads(blob)
        options = dict(self.loads_kwargs)
        if decoder:
            options["object_hook"] = decoder
        return library.loads(blob.decode(), **options)


def _decode_all(value: Any, decoder: Any) -> Any:
    """Apply an object hook to every dictionary, innermost first."""
    if isinstance(value, dict):
        return decoder({key: _decode_all(part, decoder) for key, part in value.items()})
    return [_decode_all(part, decoder) for part in value] if isinstance(value, list) else value


class CompressedSerializer(Serializer[D]):
    """Compresses what another serializer makes."""

    type: Literal["compressed"] = "compressed"  # type: ignore[assignment]
    serializer: Serializer[D] = Field(description="The serializer whose bytes are compressed: an object or a type.")
    compressionlib: str = Field(
        default="lzma", description="Module with `compress` and `decompress`: `lzma`, `bz2`, `gzip`, `zlib`..."
    )

    @field_validator("serializer", mode="before")
    @classmethod
    def validate_serializer(cls, value: Any) -> Any:
        """Take the type of a serializer for the serializer."""
        return {"type": value} if isinstance(value, str) else value

    @field_validator("compressionlib")
    @classmethod
    def check_compressionlib(cls, value: str) -> str:
        """Check that the module can be imported and can compress."""
        _import("compression", value, ("compress", "decompress"))
        return value

    def dumps(self, obj: D) -> bytes:
        """The compressed form of `obj`, as base64 text."""
        return base64.encodebytes(import_module(self.compressionlib).compress(self.serializer.dumps(obj)))

    def loads(self, blob: bytes) -> D:
        """The object of which `blob` is the compressed form."""
        return self.serializer.loads(import_module(self.compressionlib).decompress(base64.decodebytes(blob)))


class CompressedPickleSerializer(CompressedSerializer[D]):
    """A compressed `PickleSerializer`."""

    type: Literal["compressed/pickle"] = "compressed/pickle"  # type: ignore[assignment]
    serializer: Serializer[D] = Field(default_factory=PickleSerializer)


class CompressedJSONSerializer(CompressedSerializer[D]):
    """A compressed `JSONSerializer`."""

    type: Literal["compressed/json"] = "compressed/json"  # type: ignore[assignment]
    serializer: Serializer[D] = Field(default_factory=JSONSerializer)


class UnknownSerializer(Serializer[D], register=False):
    """Stands for a serializer whose type this process does not know; it can be shown, not used."""

    model_config = ConfigDict(extra="allow")

    def dumps(self, obj: D) -> bytes:
        """Always raise: there is nothing to serialize with."""
        raise NotImplementedError(self._advice())

    def loads(self, blob: bytes) -> D:
        """Always raise: there is nothing to deserialize with."""
        raise NotImplementedError(self._advice())

    def _advice(self) -> str:
        return (
            f"The serializer of type {self.type!r} is not known here. Import the module that defines it before "
            "the result is read or written."
        )
