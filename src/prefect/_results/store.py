"""The result store: what a run reads and writes results with."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._bridge import in_running_loop, run
from prefect._lazy import lazy_module
from prefect._results import defaults
from prefect._results.codecs import Codec, codec_of
from prefect._results.given import format_storage_key, given_storage, key_storage, said_by
from prefect._results.memory import LRUCache
from prefect._results.records import Found, ResultRecord, ResultRecordMetadata, as_whole
from prefect._results.storage import ASYNC, NOWHERE, SYNC, LocalStorage, Port, Storage, storage_for
from prefect.exceptions import ConfigurationError
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio
    from typing import Self

    from prefect import filesystems, runtime
    from prefect.filesystems import NullFileSystem, WritableFileSystem
    from prefect.flows import Flow
    from prefect.locking.protocol import LockManager
    from prefect.serializers import Serializer
    from prefect.tasks import Task
    from prefect.transactions import IsolationLevel
else:
    asyncio = lazy_module("asyncio")
    filesystems = lazy_module("prefect.filesystems")
    runtime = lazy_module("prefect.runtime")

T = TypeVar("T")

_DEFAULT: Any = object()  # "not given", where None has a meaning


def DEFAULT_STORAGE_KEY_FN() -> str:
    """A new key that nothing else has."""
    return os.urandom(16).hex()


def default_cache() -> LRUCache:
    """An empty cache for the results of one process: it keeps the thousand used last."""
    return LRUCache(maxsize=1000)


class ResultStore:
    """Reads and writes results in a storage, with a serializer; copies are cheap.

    Args:
        result_storage: the file system for results; None: the default one of the settings.
        metadata_storage: a file system for what is known about each result; None: it is stored with the result;
            a `NullFileSystem`: it is not stored (whoever asks for the result knows it).
        lock_manager: locks keys, for transactions that must not run at the same time.
        cache_result_in_memory: keep results that were read or written at hand.
        serializer: an object or a type; by default that of the settings.
        storage_key_fn: makes the key of a result that is given none.
        cache: where results are kept at hand; copies of a store share it.
    """

    __slots__ = (
        "_codec", "_metadata_port", "_metadata_storage", "_result_port", "_result_storage", "cache",
        "cache_result_in_memory", "lock_manager", "storage_key_fn",
    )  # fmt: skip

    def __init__(
        self,
        *,
        result_storage: Any = None,
        metadata_storage: Any = None,
        lock_manager: LockManager | None = None,
        cache_result_in_memory: bool = True,
        serializer: Serializer[Any] | Codec | str | None = None,
        storage_key_fn: Callable[[], str] = DEFAULT_STORAGE_KEY_FN,
        cache: LRUCache | None = None,
    ) -> None:
        self._result_storage, self._result_port = given_storage(result_storage)
        self._metadata_storage, self._metadata_port = given_storage(metadata_storage)
        self.lock_manager = lock_manager
        self.cache_result_in_memory = cache_result_in_memory
        self._codec: Codec | None = codec_of(serializer) if serializer is not None else None
        self.storage_key_fn = storage_key_fn
        self.cache = default_cache() if cache is None else cache

    # ── what it is made of ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def result_storage(self) -> WritableFileSystem | NullFileSystem | None:
        """The file system for results; None: the default one."""
        if self._result_storage is None and isinstance(self._result_port, LocalStorage):
            self._result_storage = filesystems.LocalFileSystem(basepath=self._result_port.base)
        return self._result_storage

    @property
    def metadata_storage(self) -> WritableFileSystem | NullFileSystem | None:
        """The file system for metadata; None: they are stored with the result."""
        if self._metadata_storage is None and self._metadata_port is NOWHERE:
            self._metadata_storage = filesystems.NullFileSystem()
        return self._metadata_storage

    @property
    def codec(self) -> Codec:
        """The serializer in the form that is used."""
        if self._codec is None:
            self._codec = codec_of(get_current_settings().results.default_serializer)
        return self._codec

    @property
    def serializer(self) -> Serializer[Any]:
        """The serializer of results."""
        return self.codec.serializer

    @property
    def result_storage_block_id(self) -> Any:
        """The id of the saved block that keeps the results; None if they are elsewhere."""
        return getattr(self._result_storage, "_block_document_id", None)

    @property
    def _storage(self) -> Storage:
        if self._result_port is None:
            settings = get_current_settings().results
            if settings.default_storage_block:
                self._result_storage, self._result_port = given_storage(defaults.get_default_result_storage())
            else:
                self._result_port = LocalStorage(settings.local_storage_path)
        return self._result_port  # type: ignore[return-value]

    def model_copy(self, *, update: dict[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced. The copy shares the cache of results at hand.

        Args:
            update: the fields to replace.
            deep: give the copy a cache of its own.
        """
        fields: dict[str, Any] = {
            "result_storage": self._result_storage or self._result_port,
            "metadata_storage": self._metadata_storage or self._metadata_port,
            "lock_manager": self.lock_manager,
            "cache_result_in_memory": self.cache_result_in_memory,
            "serializer": self._codec,
            "storage_key_fn": self.storage_key_fn,
            "cache": None if deep else self.cache,
        }
        return type(self)(**(fields | (update or {})))

    def with_metadata(self) -> Self:
        """This store, or if it does not keep metadata, by which `exists` finds a result, one that does."""
        return self.model_copy(update={"metadata_storage": None}) if self._metadata_port is NOWHERE else self

    def update_for_flow(self, flow: Flow[..., Any]) -> Self:
        """The store for a run of `flow`: this one with what the flow says about its results."""
        update = {"metadata_storage": NOWHERE, "storage_key_fn": DEFAULT_STORAGE_KEY_FN, **said_by(flow)}
        return self.model_copy(update=update)

    async def aupdate_for_flow(self, flow: Flow[..., Any]) -> Self:
        """`update_for_flow` for asynchronous code."""
        return await asyncio.to_thread(self.update_for_flow, flow)

    def update_for_task(self, task: Task[..., Any]) -> Self:
        """The store for a run of `task`: this one with what the task and its cache policy say about its results."""
        update = {"metadata_storage": None, "storage_key_fn": DEFAULT_STORAGE_KEY_FN, **said_by(task)}
        key = task.result_storage_key
        if key is not None:
            update["storage_key_fn"] = key if callable(key) else partial(format_storage_key, key)
        policy = task.cache_policy
        if getattr(policy, "key_storage", None) is not None:
            update["metadata_storage"] = key_storage(policy.key_storage)
        if getattr(policy, "lock_manager", None) is not None:
            update["lock_manager"] = policy.lock_manager
        return self.model_copy(update=update)

    async def aupdate_for_task(self, task: Task[..., Any]) -> Self:
        """`update_for_task` for asynchronous code."""
        return await asyncio.to_thread(self.update_for_task, task)

    # ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_result_record(
        self, obj: T, key: str | None = None, expiration: datetime | None = None
    ) -> ResultRecord[T]:
        """A record of `obj`, not yet stored.

        Args:
            obj: the result.
            key: its key; by default a new one.
            expiration: until when it may serve as a cached result (UTC); None: for ever.

        Raises:
            ValueError: the key leads out of the storage.
        """
        metadata = ResultRecordMetadata(
            storage_key=self._storage.resolve(key or self.storage_key_fn()),
            expiration=expiration,
            serializer=self.codec,
            storage_block_id=self.result_storage_block_id,
        )
        return ResultRecord(metadata, obj)

    def write(
        self, obj: Any, key: str | None = None, expiration: datetime | None = None, holder: str | None = None
    ) -> None:
        """Store `obj` under `key` (by default a new one).

        Args:
            obj: the result.
            key: its key.
            expiration: until when it may serve as a cached result (UTC); None: for ever.
            holder: who writes, if the key may be locked.

        Raises:
            SerializationError: the serializer cannot store the result.
            RuntimeError: someone else holds the lock of the key.
        """
        self.persist_result_record(self.create_result_record(obj, key=key, expiration=expiration), holder)

    async def awrite(
        self, obj: Any, key: str | None = None, expiration: datetime | None = None, holder: str | None = None
    ) -> None:
        """`write` for asynchronous code."""
        await self.apersist_result_record(self.create_result_record(obj, key=key, expiration=expiration), holder)

    def persist_result_record(self, result_record: ResultRecord[Any], holder: str | None = None) -> None:
        """Store a record under its key.

        Raises:
            SerializationError: the serializer cannot store the result.
            RuntimeError: someone else holds the lock of the key.
        """
        run(self._persist(SYNC, result_record, holder))

    async def apersist_result_record(self, result_record: ResultRecord[Any], holder: str | None = None) -> None:
        """`persist_result_record` for asynchronous code."""
        await self._persist(ASYNC, result_record, holder)

    async def _persist(self, port: Port, record: ResultRecord[Any], holder: str | None) -> None:
        storage, metadata_storage = self._storage, self._metadata_port
        path = record.metadata.storage_key
        if path is None:
            raise ValueError("The record has no storage key; make it with `create_result_record`.")
        key = storage.relative(path)
        self._refuse_if_locked(key, holder)
        if metadata_storage is None:
            await storage.write(port, path, record.serialize())
        else:
            await storage.write(port, path, record.serialize_result())
            # the metadata are what makes the result count, so they come last
            await metadata_storage.write(port, key, record.serialize_metadata())
        record.mark_persisted()
        if self.cache_result_in_memory:
            self.cache.keep(path, record)
        else:
            self.cache.forget(path)  # an older one may be there, from a store that shares the cache

    def read(self, key: str, holder: str | None = None) -> ResultRecord[Any]:
        """The record stored under `key`. An expired one is read, too: see `exists`.

        Args:
            key: its key.
            holder: who reads; one that does not hold the key's lock waits until it is free.

        Raises:
            ValueError: there is no record under the key.
            SerializationError: the record cannot be loaded; it is damaged, or its class is gone.
        """
        return run(self._read(SYNC, key, holder))

    async def aread(self, key: str, holder: str | None = None) -> ResultRecord[Any]:
        """`read` for asynchronous code."""
        return await self._read(ASYNC, key, holder)

    async def _read(self, port: Port, key: str, holder: str | None) -> ResultRecord[Any]:
        if self.lock_manager is not None and not self.is_lock_holder(key, holder):
            wait = self.await_for_lock if port is ASYNC else self.wait_for_lock
            await port.call(wait, key)
        storage, metadata_storage = self._storage, self._metadata_port
        path = storage.resolve(key)
        cached = self.cache.find(path) if self.cache_result_in_memory else None
        if cached is not None:
            return cached
        record: ResultRecord[Any]
        if metadata_storage is None or metadata_storage is NOWHERE:
            record = ResultRecord.from_blob(await storage.read(port, path), self._bare_metadata(path))
        else:
            metadata = ResultRecordMetadata.load_bytes(await metadata_storage.read(port, storage.relative(path)))
            blob = await storage.read(port, metadata.storage_key or path)
            record = ResultRecord.from_blob(blob, metadata)
        if self.cache_result_in_memory:
            self.cache.keep(path, record)
        return record

    def _bare_metadata(self, path: str) -> ResultRecordMetadata:
        return ResultRecordMetadata(storage_key=path, serializer=self.codec)

    def exists(self, key: str) -> bool:
        """Whether there is a record under `key` that has not expired. The storage is asked, not the results at hand."""
        return self.look_up(key) is not None

    async def aexists(self, key: str) -> bool:
        """`exists` for asynchronous code."""
        return await self.alook_up(key) is not None

    def look_up(self, key: str) -> Found | None:
        """What `exists` asks, and what was read for the answer: `load` makes the record of it."""
        return run(self._look_up(SYNC, key))

    async def alook_up(self, key: str) -> Found | None:
        """`look_up` for asynchronous code."""
        return await self._look_up(ASYNC, key)

    async def _look_up(self, port: Port, key: str) -> Found | None:
        storage, metadata_storage = self._storage, self._metadata_port
        path = storage.resolve(key)
        whole = None
        try:
            if metadata_storage is None:
                whole = as_whole(await storage.read(port, path))
                metadata = ResultRecordMetadata.model_validate(whole["metadata"]) if whole is not None else None
            else:
                metadata = ResultRecordMetadata.load_bytes(await metadata_storage.read(port, storage.relative(path)))
        except Exception:  # a storage says "not there" in its own way: ValueError, OSError, an error of its client
            return None
        if metadata is None or metadata.is_expired:
            return None
        cached = self.cache.find(path)
        if cached is not None and cached.metadata != metadata:
            self.cache.forget(path)  # another process has replaced it
            cached = None
        return Found(path, metadata, whole, cached if self.cache_result_in_memory else None)

    def load(self, found: Found) -> ResultRecord[Any]:
        """The record that `look_up` found.

        Raises:
            ValueError: the result is gone.
            SerializationError: it cannot be loaded; it is damaged, or its class is gone.
        """
        return run(self._load(SYNC, found))

    async def aload(self, found: Found) -> ResultRecord[Any]:
        """`load` for asynchronous code."""
        return await self._load(ASYNC, found)

    async def _load(self, port: Port, found: Found) -> ResultRecord[Any]:
        if found.cached is not None:
            return found.cached
        record: ResultRecord[Any]
        if found.whole is not None:
            record = ResultRecord.from_whole(found.whole)
        else:
            blob = await self._storage.read(port, found.metadata.storage_key or found.path)
            record = ResultRecord.from_blob(blob, found.metadata)
        if self.cache_result_in_memory:
            self.cache.keep(found.path, record)
        return record

    @classmethod
    def from_metadata(cls, metadata: ResultRecordMetadata) -> ResultRecord[Any]:
        """The record that `metadata` describes, read from where they say it is.

        Raises:
            ValueError: there is no such result.
        """
        return run(cls._read_described(SYNC, metadata))

    @classmethod
    async def afrom_metadata(cls, metadata: ResultRecordMetadata) -> ResultRecord[Any]:
        """`from_metadata` for asynchronous code."""
        return await cls._read_described(ASYNC, metadata)

    _from_metadata = afrom_metadata

    @staticmethod
    async def _read_described(port: Port, metadata: ResultRecordMetadata) -> ResultRecord[Any]:
        path = metadata.storage_key
        if path is None:
            raise ValueError("The metadata have no storage key: the result was not stored.")
        storage: Storage
        if metadata.storage_block_id is not None:
            storage = storage_for(await defaults._resolve_storage(port, metadata.storage_block_id))
        elif os.path.isabs(path):
            storage = LocalStorage(os.path.dirname(path))
        else:
            storage = ResultStore()._storage
        return ResultRecord.from_blob(await storage.read(port, path), metadata)

    # ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def generate_default_holder() -> str:
        """A name for whoever calls: its host, process and thread, and the task of the event loop that runs."""
        thread = threading.current_thread()
        name = f"{_host()}:{os.getpid()}:{thread.ident}:{thread.name}"
        return f"{name}:{id(asyncio.current_task()):x}" if in_running_loop() else name

    def supports_isolation_level(self, level: IsolationLevel) -> bool:
        """Whether transactions of this level can use the store: `SERIALIZABLE` needs a lock manager."""
        return self.lock_manager is not None if level == "SERIALIZABLE" else level == "READ_COMMITTED"

    def _locks(self) -> LockManager:
        if self.lock_manager is None:
            raise ConfigurationError(
                "Result store is not configured with a lock manager. Give it one, such as `MemoryLockManager()`, or "
                "give one to the cache policy: `policy.configure(lock_manager=...)`."
            )
        return self.lock_manager

    def _refuse_if_locked(self, key: str, holder: str | None) -> None:
        if self.lock_manager is not None and self.is_locked(key) and not self.is_lock_holder(key, holder):
            raise RuntimeError(f"Cannot write to result record with key {key} because it is locked by another holder.")

    def acquire_lock(self, key: str, holder: str | None = None, timeout: float | None = None) -> bool:
        """Lock a key, waiting for it.

        Args:
            key: the key.
            holder: who locks; by default a name for the calling thread.
            timeout: seconds to wait at most; None: without end.

        Returns:
            whether the lock is held now.

        Raises:
            ConfigurationError: the store has no lock manager.
        """
        return self._locks().acquire_lock(key, holder or self.generate_default_holder(), timeout)

    async def aacquire_lock(self, key: str, holder: str | None = None, timeout: float | None = None) -> bool:
        """`acquire_lock` for asynchronous code."""
        return await self._locks().aacquire_lock(key, holder or self.generate_default_holder(), timeout)

    def release_lock(self, key: str, holder: str | None = None) -> None:
        """Unlock a key.

        Raises:
            ConfigurationError: the store has no lock manager.
            ValueError: the key is not locked by this holder.
        """
        self._locks().release_lock(key, holder or self.generate_default_holder())

    def is_locked(self, key: str) -> bool:
        """Whether anyone holds the lock of a key."""
        return self._locks().is_locked(key)

    def is_lock_holder(self, key: str, holder: str | None = None) -> bool:
        """Whether `holder` (by default the caller) holds the lock of a key."""
        return self._locks().is_lock_holder(key, holder or self.generate_default_holder())

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until a key is not locked.

        Returns:
            False when `timeout` seconds went by before that.
        """
        return self._locks().wait_for_lock(key, timeout)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """`wait_for_lock` for asynchronous code."""
        return await self._locks().await_for_lock(key, timeout)

    def __repr__(self) -> str:
        return (
            f"ResultStore(result_storage={self._result_storage or self._result_port!r}, serializer={self._codec!r}, "
            f"lock_manager={self.lock_manager!r}, cache_result_in_memory={self.cache_result_in_memory})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {
            "result_storage": self._result_storage or self._result_port,
            "metadata_storage": self._metadata_storage or self._metadata_port,
            "lock_manager": self.lock_manager,
            "cache_result_in_memory": self.cache_result_in_memory,
            "serializer": self._codec,
            "storage_key_fn": self.storage_key_fn,
        }
        return _restore, (type(self), fields)


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "localhost")


def _restore(cls: type[ResultStore], fields: dict[str, Any]) -> ResultStore:
    return cls(**fields)
