"""The life of a transaction, written once: each body serves synchronous and asynchronous callers, through a port.

    begin -> [stage] -> commit or roll back -> reset

What is inside a transaction is committed before it, in the order in which it ended, and rolled back after it, the
newest first.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from copy import deepcopy
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prefect._bridge import run_coro_as_sync
from prefect._ids import new_id
from prefect._lazy import lazy_module
from prefect._transactions.modes import CommitMode, IsolationLevel, TransactionState
from prefect.exceptions import ConfigurationError, MissingContextError, SerializationError
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    import logging

    from prefect._results import records
    from prefect._results.records import Found, ResultRecord
    from prefect._results.store import ResultStore
    from prefect.logging import loggers

    Logger = logging.Logger | logging.LoggerAdapter[Any]
else:
    loggers = lazy_module("prefect.logging.loggers")
    records = lazy_module("prefect._results.records")

Hook = Callable[["BaseTransaction"], Any]

current: ContextVar[BaseTransaction | None] = ContextVar("prefect_transaction", default=None)
"""The innermost transaction whose block is running."""

_PENDING, _ACTIVE, _STAGED = TransactionState.PENDING, TransactionState.ACTIVE, TransactionState.STAGED
_COMMITTED, _ROLLED_BACK = TransactionState.COMMITTED, TransactionState.ROLLED_BACK
_EAGER, _LAZY = CommitMode.EAGER, CommitMode.LAZY
_READ_COMMITTED, _SERIALIZABLE = IsolationLevel.READ_COMMITTED, IsolationLevel.SERIALIZABLE


def _copied(value: Any) -> Any:
    """A copy, or the value itself where it cannot be copied (a connection, a lock)."""
    try:
        return deepcopy(value)
    except Exception:
        return value


class BaseTransaction:
    """What synchronous and asynchronous transactions share.

    Args:
        store: the result store for the staged value; needed with a key.
        key: where the value is stored, and what tells equal work.
        children: transactions that wait for this one.
        commit_mode: when to commit; None: as the transaction around it, else `LAZY`.
        isolation_level: whether others with the key may run at the same time.
        state: where to start.
        on_commit_hooks: called with the transaction, in order, when it commits.
        on_rollback_hooks: called with the transaction, the last one first, when it is rolled back.
        overwrite: run even if the key has a value, and replace it.
        logger: for the messages of hooks; by default the run's logger, outside a run `prefect.transactions`.
        write_on_commit: whether the staged value is stored under the key.
    """

    __module__ = "prefect.transactions"  # where users find it
    __slots__ = (
        "__weakref__", "_found", "_holder", "_holds_lock", "_logger", "_parent", "_staged", "_token", "_values", "children",
        "commit_mode", "isolation_level", "key", "on_commit_hooks", "on_rollback_hooks", "overwrite", "state", "store",
        "write_on_commit",
    )  # fmt: skip
    _port: ClassVar[Port]

    def __init__(
        self,
        *,
        store: ResultStore | None = None,
        key: str | None = None,
        children: list[BaseTransaction] | None = None,
        commit_mode: CommitMode | None = None,
        isolation_level: IsolationLevel | None = None,
        state: TransactionState = _PENDING,
        on_commit_hooks: list[Hook] | None = None,
        on_rollback_hooks: list[Hook] | None = None,
        overwrite: bool = False,
        logger: Logger | None = None,
        write_on_commit: bool = True,
    ) -> None:
        self.store = store
        self.key = key
        self.children = [] if children is None else children
        self.commit_mode = commit_mode
        self.isolation_level = _READ_COMMITTED if isolation_level is None else isolation_level
        self.state = state
        self.on_commit_hooks = [] if on_commit_hooks is None else on_commit_hooks
        self.on_rollback_hooks = [] if on_rollback_hooks is None else on_rollback_hooks
        self.overwrite = overwrite
        self.write_on_commit = write_on_commit
        self._logger = logger
        self._values: dict[str, Any] | None = None
        self._staged: Any = None
        self._token: Token[BaseTransaction | None] | None = None
        self._parent: BaseTransaction | None = None
        self._holder: str | None = None
        self._holds_lock = False
        self._found: Found | None = None
        self.model_post_init(None)

    def model_post_init(self, context: Any, /) -> None:
        """Called once a new transaction has its fields; for subclasses to override."""

    def model_copy(self, *, update: dict[str, Any] | None = None, deep: bool = False) -> Self:
        """A transaction like this one, not begun, with some fields replaced.

        Args:
            update: the fields to replace.
            deep: copy the fields' values, too.
        """
        fields = self.serialize()
        return type(self)(**((deepcopy(fields) if deep else fields) | (update or {})))

    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
        """The fields by name. Transactions hold no secrets, so `include_secrets` changes nothing."""
        return {
            "store": self.store,
            "key": self.key,
            "children": list(self.children),
            "commit_mode": self.commit_mode,
            "isolation_level": self.isolation_level,
            "state": self.state,
            "on_commit_hooks": list(self.on_commit_hooks),
            "on_rollback_hooks": list(self.on_rollback_hooks),
            "overwrite": self.overwrite,
            "logger": self._logger,
            "write_on_commit": self.write_on_commit,
        }

    @property
    def logger(self) -> Logger:
        """Where messages about hooks go."""
        if self._logger is None:
            try:
                self._logger = loggers.get_run_logger()
            except MissingContextError:
                self._logger = loggers.get_logger("transactions")
        return self._logger  # type: ignore[return-value]

    # ── state ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_pending(self) -> bool:
        """Whether it has not begun."""
        return self.state is _PENDING

    def is_active(self) -> bool:
        """Whether it is in its block, with nothing staged."""
        return self.state is _ACTIVE

    def is_staged(self) -> bool:
        """Whether a value waits to be committed."""
        return self.state is _STAGED

    def is_committed(self) -> bool:
        """Whether it is committed: by itself, or since its key has a value."""
        return self.state is _COMMITTED

    def is_rolled_back(self) -> bool:
        """Whether it was rolled back."""
        return self.state is _ROLLED_BACK

    @classmethod
    def get_active(cls) -> BaseTransaction | None:
        """The innermost transaction whose block is running, or None."""
        return current.get()

    def get_parent(self) -> BaseTransaction | None:
        """The transaction around this one, or None."""
        return self._parent

    def add_child(self, transaction: BaseTransaction) -> None:
        """Let `transaction` be committed, or rolled back, with this one."""
        self.children.append(transaction)

    # ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def set(self, name: str, value: Any) -> None:
        """Keep a value under a name, for hooks and for transactions inside this one.

        Args:
            name: the name.
            value: the value.
        """
        if self._values is None:
            self._values = {}
        self._values[name] = value

    def get(self, name: str, default: Any = NotSet) -> Any:
        """A copy of the value kept under a name, here or in the nearest transaction around this one.

        A value that cannot be copied is returned itself.

        Args:
            name: the name.
            default: what to return when there is none.

        Raises:
            ValueError: there is none, and no default was given.
        """
        transaction: BaseTransaction | None = self
        while transaction is not None:
            if transaction._values is not None and name in transaction._values:
                return _copied(transaction._values[name])
            transaction = transaction._parent
        if default is not NotSet:
            return default
        raise ValueError(
            f"Could not retrieve value for unknown key: {name}. Set it with `set({name!r}, ...)` in this transaction or "
            "one around it, or give a default."
        )

    def stage(
        self,
        value: Any,
        on_rollback_hooks: list[Hook] | None = None,
        on_commit_hooks: list[Hook] | None = None,
    ) -> None:
        """Stage a value to be stored on commit. A committed transaction stays as it is.

        Args:
            value: the value, or a `ResultRecord` of it.
            on_rollback_hooks: called with the transaction when it is rolled back, the last one first.
            on_commit_hooks: called with the transaction when it commits, in order.
        """
        if self.state is _COMMITTED:
            return
        if on_rollback_hooks:
            self.on_rollback_hooks.extend(on_rollback_hooks)
        if on_commit_hooks:
            self.on_commit_hooks.extend(on_commit_hooks)
        self._staged = value
        self.state = _STAGED

    # ── the life of a transaction; each body serves synchronous and asynchronous callers ────────────────────────────

    def prepare_transaction(self) -> None:
        """Make the transaction active and settle its commit mode.

        Raises:
            ConfigurationError: the store cannot give the isolation level that is asked for.
        """
        if self._token is not None:
            raise RuntimeError("This transaction's block is already running; make another one.")
        if self.isolation_level is not _READ_COMMITTED:
            self.isolation_level = IsolationLevel(self.isolation_level)
            if self.store is None or not self.store.supports_isolation_level(self.isolation_level):
                raise ConfigurationError(
                    f"Isolation level {self.isolation_level.name} is not supported by provided configuration. Please "
                    "ensure you've provided a lock file directory or lock manager when using the SERIALIZABLE isolation "
                    "level."
                )
        parent = self._parent = current.get()
        if self.commit_mode is None:
            self.commit_mode = parent.commit_mode if parent is not None else _LAZY
        self.state = _ACTIVE
        self._staged = None
        self._token = current.set(self)

    async def enter_block(self) -> Self:
        """Begin, as `with` and `async with` do. For code that serves both kinds: a `Transaction` never suspends."""
        self.prepare_transaction()
        if self.key is not None:
            try:
                await self._begin(self._port)
            except BaseException:
                self._abandon()
                raise
        return self

    async def leave_block(self, failed: bool) -> None:
        """Commit, wait for the parent, or roll back: what the end of a `with` or `async with` block does.

        Args:
            failed: whether the block raised.
        """
        await self._leave(self._port, failed)

    def _abandon(self) -> None:
        """Its block will not run."""
        token, self._token = self._token, None
        if token is not None:
            current.reset(token)
        self.state = _PENDING
        self._unlock()

    def __enter__(self) -> Self:
        raise TypeError(f"A {type(self).__name__} cannot be entered with `with`; see `transaction` and `atransaction`.")

    def __repr__(self) -> str:
        mode = self.commit_mode.name if self.commit_mode is not None else None
        return f"{type(self).__name__}(key={self.key!r}, state={self.state.name}, commit_mode={mode})"

    async def _begin(self, port: Port) -> None:
        store, key = self.store, self.key
        if store is None or key is None:
            return
        if self.isolation_level is _SERIALIZABLE and not self._holds_lock:
            await self._lock(port, store, key)
        if not self.overwrite:
            self._found = await port.store(store, "look_up", key)
            if self._found is not None:
                self.state = _COMMITTED

    async def _lock(self, port: Port, store: ResultStore, key: str) -> None:
        sibling = self._staged_sibling(key)
        if sibling is not None:
            # it waits for our common parent, and so will not let go of the lock before we are done
            self._holder, sibling._holds_lock = sibling._holder, False
        else:
            self._holder = new_id()
            await port.store(store, "acquire_lock", key, self._holder)
        self._holds_lock = True

    def _staged_sibling(self, key: str) -> BaseTransaction | None:
        """A finished transaction in the ones around this one that holds the lock of the same key."""
        parent = self._parent
        while parent is not None:
            pending = list(parent.children)
            while pending:
                other = pending.pop()
                if other._holds_lock and other.key == key:
                    return other
                pending.extend(other.children)
            parent = parent._parent
        return None

    def _unlock(self) -> None:
        if self._holds_lock:
            self._holds_lock = False
            self.store.release_lock(self.key, self._holder)  # type: ignore[union-attr, arg-type]

    async def _commit(self, port: Port) -> bool:
        if self.state is _COMMITTED or self.state is _ROLLED_BACK:
            self._unlock()
            return False
        try:
            for child in self.children:
                await child._commit(port)
            for hook in self.on_commit_hooks:
                await self._run_hook(port, hook, "commit")
            if self.write_on_commit and self.key is not None and self.store is not None:
                await self._write(port, self.store, self.key)
        except SerializationError as exc:
            self.logger.warning(
                "The result of transaction %r cannot be stored: %s The run goes on; the transaction is rolled back.",
                self.key, exc,
            )  # fmt: skip
            await self._rollback(port)
            return False
        except Exception:
            self.logger.error("Transaction %r failed to commit; it is rolled back.", self.key, exc_info=True)
            await self._rollback(port)
            return False
        finally:
            self._unlock()
        self.state = _COMMITTED
        return True

    async def _write(self, port: Port, store: ResultStore, key: str) -> None:
        record = self._staged
        if not isinstance(record, records.ResultRecord):
            record = store.create_result_record(record, key=key)
        await port.store(store, "persist_result_record", record, self._holder)

    async def _rollback(self, port: Port) -> bool:
        if self.state is _COMMITTED or self.state is _ROLLED_BACK:
            return False
        try:
            for hook in reversed(self.on_rollback_hooks):
                try:
                    await self._run_hook(port, hook, "rollback")
                except Exception:
                    continue  # it is logged; the other hooks still have their own things to undo
            self.state = _ROLLED_BACK
            for child in reversed(self.children):
                await child._rollback(port)
        finally:
            self._unlock()
        return True

    async def _run_hook(self, port: Port, hook: Hook, hook_type: str) -> None:
        name = getattr(hook, "__name__", None) or getattr(getattr(hook, "func", None), "__name__", repr(hook))
        self.logger.info("Running %s hook %r", hook_type, name)
        try:
            await port.hook(hook(self))
        except Exception as exc:
            self.logger.error("%s hook %r raised %r", hook_type.capitalize(), name, exc, exc_info=True)
            raise
        self.logger.info("%s hook %r finished running successfully", hook_type.capitalize(), name)

    async def _leave(self, port: Port, failed: bool) -> None:
        """The block is over."""
        try:
            if failed or (self.commit_mode is CommitMode.OFF and self._is_on_its_own()):
                await self._rollback(port)
            elif self._is_on_its_own() or self.commit_mode is _EAGER:
                await self._commit(port)
            elif self._parent.is_rolled_back():  # type: ignore[union-attr]
                await self._rollback(port)
        finally:
            await self._reset(port)

    def _is_on_its_own(self) -> bool:
        """Whether nothing around it will commit it: there is nothing, or it is committed already."""
        return self._parent is None or self._parent.state is _COMMITTED

    async def _reset(self, port: Port) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        try:
            current.reset(token)
        except ValueError:  # left in another context than entered, as a generator's caller can do
            current.set(self._parent)
        if self._parent is not None:
            self._parent.add_child(self)
            if self.state is _ROLLED_BACK:
                await self._parent._rollback(port)
        else:
            self._unlock()

    async def _read(self, port: Port) -> ResultRecord[Any] | None:
        if self.store is None or self.key is None:
            return None
        found, self._found = self._found, None
        if found is not None and (self.store.lock_manager is None or self._holds_lock):
            return await port.store(self.store, "load", found)  # it was read when the transaction began
        return await port.store(self.store, "read", self.key, self._holder)


class SyncPort:
    """Calls the store's synchronous methods, and brings asynchronous hooks to their end."""

    @staticmethod
    async def store(store: ResultStore, method: str, *args: Any) -> Any:
        return getattr(store, method)(*args)

    @staticmethod
    async def hook(result: Any) -> None:
        if isinstance(result, CoroutineType):
            run_coro_as_sync(result)


class AsyncPort:
    """Awaits the store's asynchronous methods and asynchronous hooks."""

    @staticmethod
    async def store(store: ResultStore, method: str, *args: Any) -> Any:
        return await getattr(store, "a" + method)(*args)

    @staticmethod
    async def hook(result: Any) -> None:
        if hasattr(result, "__await__"):
            await result


Port = type[SyncPort] | type[AsyncPort]
