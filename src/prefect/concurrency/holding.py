"""Keeping leases on slots while they are needed, and giving back what is still held when the process ends.

One thread renews the leases of the whole process, also those of asynchronous programs: a loop that is busy for long would
let its leases end. A process that is killed renews nothing, and its slots come free when the leases end.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from prefect._bridge import run
from prefect._lazy import lazy_module
from prefect.client.utilities import sync_client
from prefect.concurrency.context import ConcurrencyContext
from prefect.concurrency.slots import ConcurrencySlotAcquisitionError, Taken, give_back
from prefect.logging.loggers import get_logger

ctypes = lazy_module("ctypes")  # for a rare case; loading it costs more than the slots

_RENEWALS_PER_LEASE = 3
_SHORTEST_PAUSE = 1.0


@dataclass
class Held:
    """A lease that is kept.

    Attributes:
        taken: the slots.
        lost: called, once, from the renewing thread, when the lease has ended against our will.
    """

    taken: Taken
    duration: float
    lost: Callable[[Exception], None]
    due: float = 0.0
    ends: float = 0.0
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def renewed(self) -> None:
        moment = time.monotonic()
        self.due = moment + self.duration / _RENEWALS_PER_LEASE
        self.ends = moment + self.duration


class Keeper:
    """Renews leases. Usable from any thread."""

    def __init__(self) -> None:
        self._held: dict[UUID, Held] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(self, taken: Taken, lost: Callable[[Exception], None]) -> None:
        """Renew the lease on slots until `forget`."""
        if taken.lease_id is None or taken.wish.lease_duration is None:
            raise ValueError("Slots without a lease need no renewing.")
        held = Held(taken, taken.wish.lease_duration, lost)
        held.renewed()
        with self._changed:
            self._held[taken.lease_id] = held
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prefect-slot-leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def forget(self, taken: Taken) -> bool:
        """Renew no more; whether it was being renewed."""
        with self._changed:
            return taken.lease_id is not None and self._held.pop(taken.lease_id, None) is not None

    def give_all_back(self) -> None:
        """Give back what is still held: the process ends."""
        with self._changed:
            held, self._held = list(self._held.values()), {}
        for one in held:
            try:
                one.context.run(_give_back_now, one.taken)
            except Exception as exc:  # it comes free when the lease ends
                get_logger("concurrency").debug(
                    "Slots of %s were not given back at exit: %s", one.taken.wish.names, exc
                )

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._held:
                    if not self._changed.wait(timeout=60) and not self._held:
                        self._thread = None
                        return
                nearest = min(self._held.values(), key=lambda held: held.due)
                pause = nearest.due - time.monotonic()
                if pause > 0:
                    self._changed.wait(timeout=pause)
                    continue
            nearest.context.run(self._renew, nearest)

    def _renew(self, held: Held) -> None:
        lease_id = held.taken.lease_id
        try:
            with sync_client() as api:
                api.renew_concurrency_lease(lease_id=lease_id, lease_duration=held.duration)
        except Exception as exc:  # whatever keeps us from the API: there is time for more tries
            over = _has_ended(exc) or time.monotonic() >= held.ends
            if not over:
                left = held.ends - time.monotonic()
                held.due = time.monotonic() + max(left / _RENEWALS_PER_LEASE, _SHORTEST_PAUSE)
                get_logger("concurrency").warning(
                    "The lease on slots of %s could not be renewed; it lasts %.0f more seconds: %s",
                    held.taken.wish.names, left, exc,
                )  # fmt: skip
            elif self.forget(held.taken):
                held.lost(exc)
        else:
            held.renewed()


def _has_ended(exc: Exception) -> bool:
    response = getattr(exc, "response", None)  # of an answer, whichever exception it became
    return response is not None and response.status_code in (404, 410)


def _give_back_now(taken: Taken) -> None:
    with sync_client() as api:
        run(give_back(api, taken))


def could_not_give_back(taken: Taken, exc: Exception) -> None:
    """Say that slots stay taken for a while. What was done with them is done: this is no error of the program."""
    around = ConcurrencyContext.get()
    if around is not None and taken.lease_id is not None:
        around.cleanup_lease_ids.append(taken.lease_id)  # it is tried again when that is left
    get_logger("concurrency").warning(
        "Slots of %s could not be given back; they come free when their lease ends: %s", taken.wish.names, exc
    )


def say_lost(taken: Taken, exc: Exception) -> None:
    get_logger("concurrency").warning(
        "The lease on slots of %s has ended although they are still in use; others may use them too: %s",
        taken.wish.names, exc,
    )  # fmt: skip


class LostInThread:
    """Raises in a thread that the lease on its slots has ended.

    The exception comes at the thread's next bytecode: a call that blocks is not cut short.
    """

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._thread_id = threading.get_ident()
        self._lock = threading.Lock()
        self._over = False

    def __call__(self, exc: Exception) -> None:
        say_lost(self._taken, exc)
        with self._lock:
            if not self._over:
                error = type("ConcurrencySlotAcquisitionError", (_Lost,), {"names": self._taken.wish.names})
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread_id), ctypes.py_object(error))

    def end(self) -> None:
        """The block is over: nothing is raised any more."""
        with self._lock:
            self._over = True


class _Lost(ConcurrencySlotAcquisitionError):
    """The lease on slots ended while they were in use."""

    names: list[str] = []

    def __str__(self) -> str:
        return f"The lease on slots of {self.names} has ended: it could not be renewed."


def lost_error(taken: Taken) -> ConcurrencySlotAcquisitionError:
    """The error of a program whose lease on slots has ended."""
    return ConcurrencySlotAcquisitionError(
        f"The lease on slots of {taken.wish.names} has ended: it could not be renewed."
    )


keeper = Keeper()


def _after_fork_in_child() -> None:
    """What the parent holds is the parent's to renew and to give back."""
    global keeper
    keeper = Keeper()


@contextlib.contextmanager
def kept(taken: Taken, lost: Callable[[Exception], None]) -> Iterator[None]:
    """Renew the lease on slots while the block lasts."""
    mine = keeper
    if taken.lease_id is None or not taken.limits:
        yield
        return
    mine.keep(taken, lost)
    try:
        yield
    finally:
        mine.forget(taken)


atexit.register(lambda: keeper.give_all_back())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
