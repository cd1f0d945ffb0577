"""Codecs: serializers as the result store uses them.

The two serializers that nearly everybody uses, `pickle` and `json` with their default options, work without
their pydantic models; the models of `prefect.serializers` are made when someone asks to see them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._results import encoding

if TYPE_CHECKING:
    from prefect import serializers
    from prefect.serializers import Serializer
else:
    serializers = lazy_module("prefect.serializers")  # imports pydantic

PICKLE_SPEC: dict[str, Any] = {"type": "pickle", "picklelib": "cloudpickle", "picklelib_version": None}
JSON_SPEC: dict[str, Any] = {
    "type": "json",
    "jsonlib": "json",
    "object_encoder": "prefect.serializers.prefect_json_object_encoder",
    "object_decoder": "prefect.serializers.prefect_json_object_decoder",
    "dumps_kwargs": {},
    "loads_kwargs": {},
}


class Codec:
    """A way to store values: two functions, and the options that a stored result names.

    Attributes:
        spec: the options of the serializer, as they are stored beside a result.
        dumps: value -> bytes.
        loads: bytes -> value.
    """

    __slots__ = ("_serializer", "dumps", "loads", "spec")

    def __init__(
        self,
        spec: dict[str, Any],
        dumps: Callable[[Any], bytes],
        loads: Callable[[bytes], Any],
        serializer: Serializer[Any] | None = None,
    ) -> None:
        self.spec = spec
        self.dumps = dumps
        self.loads = loads
        self._serializer = serializer

    @property
    def serializer(self) -> Serializer[Any]:
        """The public form of this codec."""
        if self._serializer is None:
            self._serializer = serializers.Serializer.model_validate(self.spec)
        return self._serializer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codec) and other.spec == self.spec

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Codec({self.spec['type']!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return codec_of, (self.spec if self._serializer is None else self._serializer,)


def _pickle_dumps(obj: Any) -> bytes:
    try:
        return encoding.to_base64(encoding.cloud_dumps(obj))
    except Exception as exc:
        raise encoding.serialization_error(obj, encoding.cloud_dumps, "pickle", exc) from exc


def _pickle_loads(blob: bytes) -> Any:
    return pickle.loads(encoding.from_base64(blob))


def _json_dumps(obj: Any) -> bytes:
    try:
        return encoding.json_dumps(obj)
    except Exception as exc:
        raise encoding.serialization_error(obj, encoding.json_dumps, "JSON", exc) from exc


_PICKLE = Codec(PICKLE_SPEC, _pickle_dumps, _pickle_loads)
_JSON = Codec(JSON_SPEC, _json_dumps, encoding.json_loads)


def codec_of(serializer: Serializer[Any] | Codec | str | Mapping[str, Any] | None) -> Codec:
    """The codec for a serializer given by object, by type or by its stored options (None: pickle).

    A type that no known class has gives an `UnknownSerializer` when it comes from stored options.

    Raises:
        ValueError: no serializer has the type given by name.
        TypeError: the argument is none of these.
    """
    if serializer is None or serializer == "pickle":
        return _PICKLE
    if serializer == "json":
        return _JSON
    if isinstance(serializer, Codec):
        return serializer
    if isinstance(serializer, Mapping):
        return _from_spec(dict(serializer))
    if isinstance(serializer, str):
        serializer = serializers.Serializer.model_validate({"type": serializer})
    elif not isinstance(serializer, serializers.Serializer):
        raise TypeError(
            "A result serializer must be a `Serializer` or the type of one, such as 'json'; "
            f"got {serializer!r} of type {type(serializer).__name__!r}."
        )
    return _from_model(serializer)


def _from_model(serializer: Serializer[Any]) -> Codec:
    spec = serializer.model_dump(mode="json", serialize_as_any=True)
    return Codec(spec, serializer.dumps, serializer.loads, serializer)


def _from_spec(spec: dict[str, Any]) -> Codec:
    for default in (_PICKLE, _JSON):
        if spec == default.spec or spec == {"type": default.spec["type"]}:
            return default
    if not serializers.is_known(spec.get("type")):
        return _from_model(serializers.UnknownSerializer(**spec))
    return _from_model(serializers.Serializer.model_validate(spec))
