"""What finished in one attempt of a flow run is not done again in the next.

A flow run that may be retried keeps the results of its task runs. In a later attempt, a call of the same task with the
same inputs is answered with the result of the corresponding call before: the first such call with the first, the second
with the second. A task with `NO_CACHE` is always run again, and so is one whose inputs cannot be compared.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from prefect._engine.frames import TaskFrame
from prefect._lazy import lazy_module
from prefect._rules.states import COMPLETED

if TYPE_CHECKING:
    from prefect import cache_policies
    from prefect.utilities import hashing
else:
    cache_policies = lazy_module("prefect.cache_policies")
    hashing = lazy_module("prefect.utilities.hashing")


class Ticket:
    """A task run's place in the memory of its flow run."""

    __slots__ = ("call", "found", "key", "value")

    def __init__(self) -> None:
        self.key: str | None = None
        self.call = 0
        self.found = False
        self.value: Any = None


class FlowMemory:
    """The finished task runs of a flow run, by what they did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[tuple[str, int], Any] = {}
        self._calls: dict[str, int] = defaultdict(int)

    def new_attempt(self) -> None:
        """Begin to count calls anew."""
        with self._lock:
            self._calls.clear()

    def ticket(self, task: Any) -> Ticket | None:
        """A ticket for a run of the task, or None when it is always to be run."""
        return None if task.never_recalled else Ticket()

    def recall(self, frame: TaskFrame) -> Ticket | None:
        """Look up the run's result in an earlier attempt; `ticket.found` tells whether there is one."""
        ticket: Ticket = frame.recalled
        inputs = {name: value for name, value in frame.call_parameters.items() if name not in ("self", "cls")}
        try:
            key = hashing.hash_objects(frame.task.task_key, inputs, raise_on_failure=True)
        except Exception:
            key = None
        if key is None:
            return None  # inputs that cannot be compared: run it again
        with self._lock:
            ticket.key, ticket.call = key, self._calls[key]
            self._calls[key] += 1
            if (key, ticket.call) in self._results:
                ticket.found, ticket.value = True, self._results[key, ticket.call]
        return ticket

    def keep(self, frame: TaskFrame) -> None:
        """Keep a finished run's result for a later attempt."""
        ticket: Ticket = frame.recalled
        if ticket.key is not None and frame.state is not None and frame.state.type == COMPLETED:
            with self._lock:
                self._results[ticket.key, ticket.call] = frame.value
