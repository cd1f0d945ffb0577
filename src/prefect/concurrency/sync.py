"""Slots of concurrency limits, for synchronous code.

```python
with concurrency("database", occupy=1):
    query()

for order in orders:
    rate_limit("shop-api")
    fetch(order)
```
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from prefect._bridge import run
from prefect._engine.port import SYNC
from prefect.client.utilities import sync_client
from prefect.concurrency.holding import LostInThread, could_not_give_back, kept, say_lost
from prefect.concurrency.slots import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    Wish,
    acquire,
    give_back,
    holder_of_current_run,
    named,
)

if TYPE_CHECKING:
    from prefect._schemas.concurrency import ConcurrencyLeaseHolder

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]


@contextmanager
def concurrency(
    names: str | list[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
    holder: ConcurrencyLeaseHolder | None = None,
    raise_on_lease_renewal_failure: bool | None = None,
) -> Iterator[None]:
    """Have slots of concurrency limits while the block lasts.

    They are held under a lease that is renewed in the background, so that those of a process that was killed come free.

    Args:
        names: of the limits, or of one; names without a limit are not limited.
        occupy: how many slots of each.
        timeout_seconds: how long to wait for them; None for as long as it takes.
        max_retries: how often to ask again when there are none; None for as often as it takes.
        lease_duration: seconds after which the slots come free when this process has died, 60 to 86,400.
        strict: whether it is an error when none of the limits exist.
        holder: who is said to have the slots; the current run unless given.
        raise_on_lease_renewal_failure: whether to raise in the block when the lease has ended because it could not be
            renewed; as `strict` unless given. Otherwise a warning is logged.

    Raises:
        AcquireConcurrencySlotTimeoutError: there were no slots in time.
        ConcurrencySlotAcquisitionError: the slots cannot be had; the lease was lost.
    """
    wanted = named(names)
    if not wanted:
        yield
        return
    wish = Wish(wanted, occupy, "concurrency", lease_duration, holder or holder_of_current_run(), strict)
    with sync_client() as api:
        taken = run(acquire(SYNC, api, wish, timeout_seconds, max_retries))
    raising = strict if raise_on_lease_renewal_failure is None else raise_on_lease_renewal_failure
    in_thread = LostInThread(taken)
    try:
        with kept(taken, in_thread if raising else partial(say_lost, taken)):
            try:
                yield
            finally:
                in_thread.end()
    finally:
        try:
            with sync_client() as api:
                run(give_back(api, taken))
        except Exception as exc:
            could_not_give_back(taken, exc)


def rate_limit(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Wait until slots of limits with a decay are free, and take them. They come free by themselves.

    Args:
        names: of the limits, or of one; names without a limit are not limited.
        occupy: how many slots of each.
        timeout_seconds: how long to wait for them; None for as long as it takes.
        strict: whether it is an error when none of the limits exist.

    Raises:
        AcquireConcurrencySlotTimeoutError: there were no slots in time.
        ConcurrencySlotAcquisitionError: the slots cannot be had; a limit has no decay.
    """
    wanted = named(names)
    if wanted:
        with sync_client() as api:
            run(acquire(SYNC, api, Wish(wanted, occupy, "rate_limit", strict=strict), timeout_seconds))
