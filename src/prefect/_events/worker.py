"""Events handed to an asynchronous client, in order, by a thread of its own.

Programs do not need this: `emit_event` records by way of the recorder. It is for tests, which want to see what a program
emits, and for programs that bring a client of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Self

from prefect._events import emitting
from prefect._events.related import of_current_run
from prefect._schemas.events import Event

_log = logging.getLogger("prefect.events")

Done = Callable[[BaseException | None], None]


class EventsWorker:
    """Hands events to a client.

    Args:
        client_type: makes the client, which is entered and emits.
        client_options: arguments for it.
    """

    _instances: ClassVar[dict[Any, EventsWorker]] = {}
    _override: ClassVar[tuple[type[Any], dict[str, Any]] | None] = None
    _one: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, client_type: type[Any], client_options: dict[str, Any] | None = None) -> None:
        self.client_type = client_type
        self.client_options = client_options or {}
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    # -- which one --------------------------------------------------------------------------------------------------

    @classmethod
    def set_client_override(cls, client_type: type[Any] | None, **client_kwargs: Any) -> None:
        """From now on everything that is emitted goes to a client of this type; None: it is recorded again."""
        with cls._one:
            cls._override = None if client_type is None else (client_type, client_kwargs)
            emitting.divert = None if client_type is None else lambda event: cls.instance().send(event)

    @classmethod
    def instance(cls, client_type: type[Any] | None = None) -> Self:
        """The worker for a type of client; by default for what `set_client_override` set.

        Raises:
            ValueError: there is no type.
        """
        with cls._one:
            made, options = (client_type, {}) if client_type is not None else cls._override or (None, {})
            if made is None:
                raise ValueError(
                    "Which client is to send the events? Give its type, or set it with EventsWorker.set_client_override."
                )
            key = (made, tuple(sorted(options.items())))
            if key not in cls._instances:
                cls._instances[key] = cls(made, options).start()
            return cls._instances[key]  # type: ignore[return-value]

    @classmethod
    def drain_all(cls, timeout: float | None = None, at_exit: bool = True) -> None:
        """Hand over everything, and end all workers.

        Args:
            timeout: seconds to wait for each at most.
            at_exit: whether the program is about to end; makes no difference here.
        """
        with cls._one:
            workers = list(cls._instances.values())
            cls._instances.clear()
        for worker in workers:
            worker._end(timeout)

    # -- one of them ------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Begin, unless it has begun."""
        with self._lock:
            self._begin()
        return self

    def _begin(self) -> None:
        if self._thread is None:
            # in the context of who begins: his settings say where events go
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._run,), name="prefect-events-worker", daemon=True
            )
            self._thread.start()

    def send(self, item: Event) -> None:
        """Hand over an event, with the current run among what is related."""
        self.attach_related_resources_from_context(item)
        with self._lock:
            self._queue.put(item)
            self._begin()  # after a failure: with a new client

    def attach_related_resources_from_context(self, event: Event) -> None:
        """Add the current flow run, task run, flow and tags to what is related to an event, each once."""
        event.related += of_current_run(exclude=[resource.id for resource in event.involved_resources])

    def wait_until_empty(self) -> None:
        """Wait until everything that was sent has been handed over."""
        self._queue.join()

    def drain(self, at_exit: bool = False) -> None:
        """Hand over everything, and end."""
        with self._one:
            for key, worker in list(self._instances.items()):
                if worker is self:
                    del self._instances[key]
        self._end(None)

    def _end(self, timeout: float | None) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout)

    def _run(self) -> None:
        try:
            asyncio.run(self._hand_over())
        except Exception:
            _log.exception("Events cannot be handed to %s; those that wait are dropped.", self.client_type.__name__)
            with self._lock, contextlib.suppress(queue.Empty):
                self._thread = None
                while True:  # who waits for them is not kept waiting
                    self._queue.get_nowait()
                    self._queue.task_done()

    async def _hand_over(self) -> None:
        async with self.client_type(**self.client_options) as client:
            while True:
                event = await asyncio.to_thread(self._queue.get)
                try:
                    if event is None:
                        return
                    await client.emit(event)
                finally:
                    self._queue.task_done()
