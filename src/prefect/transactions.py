"""Transactions: work that counts as a whole or is rolled back.

    with transaction(key="load-2024") as txn:
        write_file(path)             # a task with an `on_rollback` hook
        check_quality(path)          # when it fails, the hook runs and the file is removed

A transaction is begun, may have a value staged, and is committed or rolled back when its block ends. Transactions nest:
inside another one, a transaction waits for its parent (`CommitMode.LAZY`) unless it is `EAGER`; when it fails, the
parent is rolled back too. With a key, the staged value is stored under it, and a transaction whose key has a value
is committed from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._bridge import run
from prefect._lazy import lazy_module
from prefect._transactions.life import AsyncPort, BaseTransaction, SyncPort, current
from prefect._transactions.modes import CommitMode, IsolationLevel, TransactionState

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from prefect import results
    from prefect._transactions.life import Hook, Logger
    from prefect.results import ResultRecord, ResultStore
else:
    results = lazy_module("prefect.results")

__all__ = [
    "AsyncTransaction",
    "BaseTransaction",
    "CommitMode",
    "IsolationLevel",
    "Transaction",
    "TransactionState",
    "atransaction",
    "get_transaction",
    "transaction",
]


class Transaction(BaseTransaction):
    """A transaction for synchronous code."""

    __slots__ = ()
    _port = SyncPort

    def begin(self) -> None:
        """Take the key's lock, if one is needed, and see whether the key has a value already."""
        if self.key is not None:
            run(self._begin(SyncPort))

    def read(self) -> ResultRecord[Any] | None:
        """The record stored under the key; None without a key.

        Raises:
            ValueError: there is none.
        """
        return run(self._read(SyncPort))

    def commit(self) -> bool:
        """Commit what is staged here and inside: run hooks, store the value.

        Returns:
            whether that succeeded. An error rolls the transaction back and is logged, not raised.
        """
        return run(self._commit(SyncPort))

    def rollback(self) -> bool:
        """Roll back what is staged here and inside, the newest first.

        Returns:
            False if there was nothing to roll back, since it is committed or rolled back already.
        """
        return run(self._rollback(SyncPort))

    def reset(self) -> None:
        """Leave the transaction: the one around it is current again, and is rolled back if this one was."""
        run(self._reset(SyncPort))

    def run_hook(self, hook: Hook, hook_type: str) -> None:
        """Call one hook with the transaction, and log that.

        Args:
            hook: a function, or a coroutine function.
            hook_type: "commit" or "rollback", for the log.
        """
        run(self._run_hook(SyncPort, hook, hook_type))

    def __enter__(self) -> Self:
        return run(self.enter_block())

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run(self.leave_block(exc_type is not None))


class AsyncTransaction(BaseTransaction):
    """A transaction for asynchronous code."""

    __slots__ = ()
    _port = AsyncPort

    async def begin(self) -> None:
        """See `Transaction.begin`."""
        await self._begin(AsyncPort)

    async def read(self) -> ResultRecord[Any] | None:
        """See `Transaction.read`."""
        return await self._read(AsyncPort)

    async def commit(self) -> bool:
        """See `Transaction.commit`."""
        return await self._commit(AsyncPort)

    async def rollback(self) -> bool:
        """See `Transaction.rollback`."""
        return await self._rollback(AsyncPort)

    async def reset(self) -> None:
        """See `Transaction.reset`."""
        await self._reset(AsyncPort)

    async def run_hook(self, hook: Hook, hook_type: str) -> None:
        """See `Transaction.run_hook`."""
        await self._run_hook(AsyncPort, hook, hook_type)

    async def __aenter__(self) -> Self:
        return await self.enter_block()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave_block(exc_type is not None)


def get_transaction() -> BaseTransaction | None:
    """The innermost transaction whose block is running, or None."""
    return current.get()


def _store_for(key: str | None, store: ResultStore | None) -> ResultStore | None:
    """The given store, else that of the run; always one that keeps metadata, by which a key is found again."""
    if key is None:
        return store
    store = store or results.get_result_store()
    return store.with_metadata()


def transaction(
    key: str | None = None,
    store: ResultStore | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Logger | None = None,
) -> Transaction:
    """A transaction for a `with` block.

    Args:
        key: where the staged value is stored; if it has a value, the transaction is committed from the start.
        store: stores the value; by default the store of the current run.
        commit_mode: when to commit; None: as the transaction around it, else `CommitMode.LAZY`.
        isolation_level: `SERIALIZABLE` lets one transaction with the key run at a time, and needs a store with a lock
            manager.
        overwrite: run even if the key has a value, and replace it.
        write_on_commit: whether the staged value is stored under the key.
        logger: for the messages of hooks; by default that of the current run.
    """
    return Transaction(
        key=key,
        store=_store_for(key, store),
        commit_mode=commit_mode,
        isolation_level=isolation_level,
        overwrite=overwrite,
        write_on_commit=write_on_commit,
        logger=logger,
    )


def atransaction(
    key: str | None = None,
    store: ResultStore | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Logger | None = None,
) -> AsyncTransaction:
    """A transaction for an `async with` block; see `transaction`."""
    return AsyncTransaction(
        key=key,
        store=_store_for(key, store),
        commit_mode=commit_mode,
        isolation_level=isolation_level,
        overwrite=overwrite,
        write_on_commit=write_on_commit,
        logger=logger,
    )
