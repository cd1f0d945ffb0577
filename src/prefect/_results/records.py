"""Result records: a result and what is known about it, in memory and on disk.

On disk a record is one JSON object, `{"metadata": {...}, "result": "..."}`, or, where metadata are kept elsewhere
or not at all, the serialized result alone.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from prefect._lazy import lazy_module
from prefect._results.codecs import Codec, codec_of
from prefect.exceptions import SerializationError

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping
    from typing import Self
    from uuid import UUID

    from pydantic_core import core_schema

    from prefect.serializers import Serializer
else:
    uuid = lazy_module("uuid")
    core_schema = lazy_module("pydantic_core.core_schema")

R = TypeVar("R")

API_VERSION = "3.8.4"  # written into records: whose format they have


def _to_text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _to_moment(text: str | datetime | None) -> datetime | None:
    moment = datetime.fromisoformat(text) if isinstance(text, str) else text
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class _Model:
    """What records share with pydantic models, so that they can be fields of one."""

    __slots__ = ()

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Self:
        """The record for an object of this class or for its dictionary form."""
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, dict):
            raise ValueError(f"A {cls.__name__} is made from a dictionary, not from {type(obj).__name__}.")
        try:
            return cls(**obj)
        except TypeError as exc:
            raise ValueError(f"These are not the fields of a {cls.__name__}: {exc}") from exc

    def model_dump(self, *, mode: str = "python", **_: Any) -> dict[str, Any]:
        """The dictionary form; with `mode="json"`, of JSON values only."""
        raise NotImplementedError

    def model_dump_json(self, **_: Any) -> str:
        """The JSON form."""
        return _json_bytes(self.model_dump(mode="json")).decode()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(
            cls.model_validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda record, info: record.model_dump(mode=info.mode), info_arg=True
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__}


class ResultRecordMetadata(_Model):
    """What is stored about a result.

    Attributes:
        storage_key: where the result is in its storage.
        expiration: until when it may serve as a cached result (UTC); None: for ever. It can be read after that.
        prefect_version: the API version whose format the record has.
        storage_block_id: the saved block that is the storage, if it is one.
    """

    __slots__ = ("codec", "expiration", "prefect_version", "storage_block_id", "storage_key")

    def __init__(
        self,
        storage_key: str | None = None,
        expiration: datetime | str | None = None,
        serializer: Serializer[Any] | Codec | str | Mapping[str, Any] | None = None,
        prefect_version: str = API_VERSION,
        storage_block_id: UUID | str | None = None,
    ) -> None:
        self.storage_key = storage_key
        self.expiration = _to_moment(expiration)
        self.codec = codec_of(serializer)
        self.prefect_version = prefect_version
        self.storage_block_id = uuid.UUID(storage_block_id) if isinstance(storage_block_id, str) else storage_block_id

    @property
    def serializer(self) -> Serializer[Any]:
        """The serializer that stores the result."""
        return self.codec.serializer

    @property
    def is_expired(self) -> bool:
        """Whether the result may no longer serve as a cached one."""
        return self.expiration is not None and self.expiration <= datetime.now(UTC)

    def model_dump(self, *, mode: str = "python", **_: Any) -> dict[str, Any]:
        """The dictionary form; with `mode="json"`, of JSON values only."""
        to_json = mode == "json"
        block_id = self.storage_block_id
        return {
            "storage_key": self.storage_key,
            "expiration": _to_text(self.expiration) if to_json else self.expiration,
            "serializer": dict(self.codec.spec),
            "prefect_version": self.prefect_version,
            "storage_block_id": str(block_id) if to_json and block_id is not None else block_id,
        }

    def dump_bytes(self) -> bytes:
        """The JSON form, in UTF-8."""
        return _json_bytes(self.model_dump(mode="json"))

    @classmethod
    def load_bytes(cls, data: bytes) -> Self:
        """The metadata whose JSON form is `data`.

        Raises:
            ValueError: the data are no result metadata.
        """
        return cls.model_validate(json.loads(data))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultRecordMetadata) and other.model_dump() == self.model_dump()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self.model_dump().items())
        return f"ResultRecordMetadata({', '.join(fields)})"


class ResultRecord(_Model, Generic[R]):
    """A result and its metadata."""

    __slots__ = ("is_persisted", "metadata", "result")

    def __init__(self, metadata: ResultRecordMetadata | dict[str, Any], result: R, is_persisted: bool = False) -> None:
        self.metadata = ResultRecordMetadata.model_validate(metadata)
        self.result = result
        self.is_persisted = is_persisted

    @property
    def expiration(self) -> datetime | None:
        """Until when the result may serve as a cached one (UTC); None: for ever."""
        return self.metadata.expiration

    @property
    def serializer(self) -> Serializer[Any]:
        """The serializer that stores the result."""
        return self.metadata.serializer

    def mark_persisted(self) -> None:
        """Note that the record is in its storage."""
        self.is_persisted = True

    def model_dump(self, *, mode: str = "python", **_: Any) -> dict[str, Any]:
        """The dictionary form: `metadata` and `result`."""
        return {"metadata": self.metadata.model_dump(mode=mode), "result": self.result}

    def serialize_metadata(self) -> bytes:
        """The metadata as JSON text."""
        return self.metadata.dump_bytes()

    def serialize_result(self) -> bytes:
        """The result as its serializer stores it.

        Raises:
            SerializationError: the serializer cannot store the result; the error names the part that is to blame.
        """
        try:
            return self.metadata.codec.dumps(self.result)
        except SerializationError:
            raise
        except Exception as exc:
            kind = self.metadata.codec.spec["type"]
            raise SerializationError(
                f"The serializer {kind!r} cannot store the result, of type {type(self.result).__name__!r}: {exc}"
            ) from exc

    def serialize(self) -> bytes:
        """The whole record as JSON text."""
        blob = self.serialize_result()
        record: dict[str, Any] = {"metadata": self.metadata.model_dump(mode="json")}
        try:
            record["result"] = blob.decode()
        except UnicodeDecodeError:
            record |= {"result": base64.b64encode(blob).decode("ascii"), "result_encoding": "base64"}
        return _json_bytes(record)

    @classmethod
    def deserialize(cls, data: bytes, backup_serializer: Serializer[Any] | None = None) -> ResultRecord[Any]:
        """The record whose JSON text is `data`.

        Args:
            data: what `serialize` made.
            backup_serializer: is used when the record does not name its serializer.

        Raises:
            ValueError: the data are not a record.
            SerializationError: the serializer cannot read the result.
        """
        record = as_whole(data)
        if record is None:
            raise ValueError("The data are not a result record: a JSON object with `metadata` and `result` is needed.")
        return cls.from_whole(record, backup_serializer)

    @classmethod
    def deserialize_from_result_and_metadata(
        cls, result: bytes, metadata: bytes, backup_serializer: Serializer[Any] | None = None
    ) -> ResultRecord[Any]:
        """The record of a result and metadata that are stored apart."""
        known = ResultRecordMetadata.model_validate({"serializer": backup_serializer, **json.loads(metadata)})
        return cls.from_blob(result, known)

    @classmethod
    def from_whole(cls, record: dict[str, Any], backup_serializer: Serializer[Any] | None = None) -> ResultRecord[Any]:
        """The record of what `as_whole` found."""
        metadata = ResultRecordMetadata.model_validate({"serializer": backup_serializer, **record["metadata"]})
        blob = record["result"].encode()
        if record.get("result_encoding") == "base64":
            blob = base64.b64decode(blob)
        return cls(metadata, _loaded(blob, metadata), is_persisted=True)

    @classmethod
    def from_blob(cls, blob: bytes, metadata: ResultRecordMetadata) -> ResultRecord[Any]:
        """The record of a result found under the key of known metadata: a whole record, or the result alone."""
        whole = as_whole(blob)
        if whole is not None:
            return cls.from_whole(whole)
        return cls(metadata, _loaded(blob, metadata), is_persisted=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultRecord) and (other.metadata, other.result) == (self.metadata, self.result)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ResultRecord(metadata={self.metadata!r}, result={self.result!r})"


class Found(NamedTuple):
    """A result that is in a storage.

    Attributes:
        path: where.
        metadata: what is known about it.
        whole: the record, if metadata are kept with results: it was read for them.
        cached: the record, if it is at hand.
    """

    path: str
    metadata: ResultRecordMetadata
    whole: dict[str, Any] | None
    cached: ResultRecord[Any] | None


def _loaded(blob: bytes, metadata: ResultRecordMetadata) -> Any:
    """The value of a stored result.

    Raises:
        SerializationError: its serializer cannot read it.
    """
    try:
        return metadata.codec.loads(blob)
    except (SerializationError, NotImplementedError):
        raise
    except Exception as exc:
        raise SerializationError(
            f"The result stored under {metadata.storage_key!r} cannot be loaded by the serializer "
            f"{metadata.codec.spec['type']!r}: {type(exc).__name__}: {exc}. It is damaged, or something that it needs (a class, a "
            "package) is not here."
        ) from exc


def as_whole(data: bytes) -> dict[str, Any] | None:
    """The JSON object of a whole record, whose result is not loaded yet; None if the data are something else."""
    if data.lstrip()[:1] != b"{":
        return None
    try:
        record = json.loads(data)
    except ValueError:
        return None
    metadata = record.get("metadata")
    whole = isinstance(metadata, dict) and "prefect_version" in metadata and isinstance(record.get("result"), str)
    return record if whole else None
