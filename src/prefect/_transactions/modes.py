"""How a transaction may be used, and how far it is."""

from __future__ import annotations

from enum import auto

from prefect._schemas.auto_enum import AutoEnum


class IsolationLevel(AutoEnum):
    """Whether transactions with the same key may run at the same time."""

    __module__ = "prefect.transactions"  # where users find it

    READ_COMMITTED = auto()  # they may; each sees what was committed before it began
    SERIALIZABLE = auto()  # one at a time, by the locks of the store's lock manager


class CommitMode(AutoEnum):
    """When a transaction whose block ended well is committed."""

    __module__ = "prefect.transactions"  # where users find it

    EAGER = auto()  # at once
    LAZY = auto()  # with the transaction around it; at once if there is none
    OFF = auto()  # only by a call of `commit`; the outermost one is rolled back without it


class TransactionState(AutoEnum):
    """How far a transaction is."""

    __module__ = "prefect.transactions"  # where users find it

    PENDING = auto()  # not begun
    ACTIVE = auto()  # in its block
    STAGED = auto()  # it has a value that waits to be committed
    COMMITTED = auto()
    ROLLED_BACK = auto()
