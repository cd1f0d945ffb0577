"""Taking down infrastructure that a server orders to be taken down: what a worker can do, and how it does it.

An order is held by its token until a time that can be put off. It is acknowledged when nothing is left to be taken down,
and given back, with a reason, when another worker has to try.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from prefect._dispatch.claims import Claim
from prefect._schemas.worker_channel import (
    SUPPORTED_CLEANUP_KINDS,
    CancellingTimeoutCleanupMessagePayload,
    CleanupAckFrame,
    CleanupKind,
    CleanupOperationPayload,
    CleanupOperationResultPayload,
    CleanupReleaseFrame,
    CleanupReleasePayload,
    CleanupRenewFrame,
    PendingClaimCleanupMessagePayload,
)
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound

if TYPE_CHECKING:
    from prefect.workers.base import BaseWorker

Order = CancellingTimeoutCleanupMessagePayload | PendingClaimCleanupMessagePayload
Send = Callable[..., Awaitable[bool]]
"""Sends a frame of a class with a payload; False when nobody is there to be told."""

_GRACE_SECONDS = 30


class CleanupHandler(Protocol):
    """Carries out orders of one kind, or of several.

    It has `cleanup_kind`, or `cleanup_kinds`. That `cleanup` returns means that nothing is left to be taken down; an
    `InfrastructureNotAvailable` means that another worker has to do it.
    """

    def cleanup(self, payload: Order) -> Any:
        """Carry out an order; may be asynchronous."""
        ...


class CleanupHandlers:
    """What a worker does about orders, by their kind."""

    def __init__(self) -> None:
        self._handlers: dict[str, CleanupHandler] = {}

    @property
    def handled_cleanup_kinds(self) -> tuple[CleanupKind, ...]:
        """The kinds of orders that can be carried out, in alphabetical order."""
        return tuple(kind for kind in sorted(SUPPORTED_CLEANUP_KINDS) if kind in self._handlers)

    def register(self, handler: CleanupHandler) -> None:
        """Carry out orders by a handler.

        Args:
            handler: has `cleanup(payload)`, and `cleanup_kind` or `cleanup_kinds`.

        Raises:
            ValueError: it does not say of which kinds, there is no such kind, or it has a handler.
        """
        kinds = _kinds_of(handler)
        for kind in kinds:
            if kind not in SUPPORTED_CLEANUP_KINDS:
                known = ", ".join(SUPPORTED_CLEANUP_KINDS)
                raise ValueError(f"There is no cleanup kind {kind!r}; there are: {known}.")
            if kind in self._handlers:
                raise ValueError(f"Cleanup kind {kind!r} already has a handler: {self._handlers[kind]!r}.")
        self._handlers.update(dict.fromkeys(kinds, handler))

    def get(self, kind: CleanupKind) -> CleanupHandler | None:
        """The handler of a kind of orders; None when there is none."""
        return self._handlers.get(kind)


def _kinds_of(handler: object) -> tuple[str, ...]:
    kinds = getattr(handler, "cleanup_kinds", None)
    if kinds is None and (kind := getattr(handler, "cleanup_kind", None)) is not None:
        kinds = (kind,)
    if not kinds:
        raise ValueError(f"The handler {handler!r} does not say what it cleans up: it needs `cleanup_kind(s)`.")
    return tuple(kinds)


class Teardown:
    """Ends the infrastructure that an order names by the worker's `kill_infrastructure`."""

    cleanup_kinds = SUPPORTED_CLEANUP_KINDS

    def __init__(self, worker: BaseWorker[Any, Any, Any]) -> None:
        self._worker = worker

    async def cleanup(self, payload: Order) -> None:
        """Carry out an order.

        Raises:
            InfrastructureNotAvailable: another worker has to.
        """
        worker, identifier = self._worker, payload.target.infrastructure_pid
        if identifier is None:
            return
        try:
            run = await worker.client.read_flow_run(payload.target.flow_run_id)
        except ObjectNotFound:
            return  # with the run everything is gone that its infrastructure is known by
        if run.state is not None and run.state.is_running() and run.infrastructure_pid == identifier:
            return  # it was given up too early, and goes on
        configuration = await worker._configure(Claim(run))
        worker.get_flow_run_logger(run).info("Ending %r, which was left of flow run %r", identifier, run.name)
        try:
            await worker.kill_infrastructure(identifier, configuration, _GRACE_SECONDS)
        except InfrastructureNotFound as gone:
            worker._logger.debug("%s", gone)


class _Held:
    """An order that is being carried out, as it was given last."""

    def __init__(self, order: Order, seconds: float) -> None:
        self.order = order
        self.seconds = seconds


class Cleaner:
    """Carries out the orders that a worker is given.

    Args:
        handlers: say how.
        most: so many at a time.
        send: tells the server about an order.
        logger: is told of those that fail.
    """

    def __init__(self, handlers: CleanupHandlers, most: int, send: Send, logger: logging.Logger) -> None:
        self._handlers = handlers
        self._most = most
        self._send = send
        self._logger = logger
        self._held: dict[UUID, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, order: Order, given_at: datetime) -> None:
        """Begin to carry out an order. One that is being carried out already, and is given again, is held by the new token.

        Args:
            order: as it was given.
            given_at: when, by the clock of the server.
        """
        seconds = (order.lease_expires_at - given_at).total_seconds()
        if (held := self._held.get(order.message_id)) is not None:
            held.order, held.seconds = order, seconds
        elif self._handlers.get(order.kind) is None:
            await self._give_back(order, "unsupported_kind")
        elif len(self._held) >= self._most:
            await self._give_back(order, "concurrency_limit_reached")
        else:
            self._held[order.message_id] = held = _Held(order, seconds)
            task = asyncio.create_task(self._carry_out(held))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def answered(self, result: CleanupOperationResultPayload) -> None:
        """Hear what the server says to what was told it about an order."""
        if result.status != "accepted":
            # it is with somebody else, or done; ending what has ended does no harm
            self._logger.debug("Cleanup order %s: %s was not accepted: %s", result.message_id, result.operation,
                               result.status)  # fmt: skip

    async def close(self) -> None:
        """Give up what is being carried out; the server gives it to others."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, held: _Held) -> None:
        renewing = asyncio.create_task(self._renew(held))
        try:
            reason = await self._handle(held.order)
        finally:
            renewing.cancel()
            del self._held[held.order.message_id]
        if reason is not None:
            await self._give_back(held.order, reason)
        else:
            await self._send(CleanupAckFrame, _about(held.order))

    async def _handle(self, order: Order) -> str | None:
        """Carry out an order; returns why it has to be given back, if it has."""
        handler = self._handlers.get(order.kind)
        assert handler is not None
        try:
            done = handler.cleanup(order)
            if inspect.isawaitable(done):
                await done
        except (InfrastructureNotAvailable, NotImplementedError) as elsewhere:
            self._logger.debug("Cleanup order %s is given back: %s", order.message_id, elsewhere)
            return "infrastructure_not_available"
        except Exception:
            self._logger.exception("Cleanup order %s for flow run %s failed:", order.message_id,
                                   order.target.flow_run_id)  # fmt: skip
            return "handler_failed"
        return None

    async def _renew(self, held: _Held) -> None:
        while True:
            await asyncio.sleep(max(held.seconds / 2, 0.1))
            await self._send(CleanupRenewFrame, _about(held.order))

    async def _give_back(self, order: Order, reason: str) -> None:
        told = CleanupReleasePayload(**_about(order).model_dump(), reason=reason)
        await self._send(CleanupReleaseFrame, told)


def _about(order: Order) -> CleanupOperationPayload:
    return CleanupOperationPayload(message_id=order.message_id, reservation_token=order.reservation_token)
