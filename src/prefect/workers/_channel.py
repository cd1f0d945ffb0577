"""The worker's end of the channel to its work pool (see `prefect._schemas.worker_channel`).

Over one websocket a worker says that it lives, hears of changes of the pool at once instead of asking for it, and is given
orders to take down infrastructure. It is an advantage, not a need: where a server has no channel, or while it is broken,
the worker asks and tells by requests as ever.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote
from uuid import UUID

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect._transport.websocket import Attempts, StreamRefused, connection, socket_url

if TYPE_CHECKING:
    from websockets import exceptions as websockets_exceptions
    from websockets.asyncio.client import ClientConnection

    from prefect._schemas import worker_channel as channel
    from prefect._schemas.work_pools import WorkPool
    from prefect.workers._cleanup import Cleaner
    from prefect.workers.base import BaseWorker
else:
    channel = lazy_module("prefect._schemas.worker_channel")
    websockets_exceptions = lazy_module("websockets.exceptions")

_FIRST_ANSWER_SECONDS = 10.0
_REFUSED_SECONDS = 60.0
"""A server without a channel may have one by and by, a pool that is gone may be made again."""
_NEEDED = ("websockets.asyncio.client", "prefect._schemas.worker_channel", "prefect.workers._cleanup")

Seen = Callable[["WorkPool"], None]


class Channel:
    """A worker's connection to its work pool, made again whenever it breaks.

    Args:
        worker: who it is.
        api_url: of the server.
        seen: told of the pool, first and whenever it has changed.

    Attributes:
        healthy: whether it stands, so that nothing needs to be asked or told by requests.
        worker_id: the worker's id, where the server gives it one.
    """

    def __init__(self, worker: BaseWorker[Any, Any, Any], api_url: str, seen: Seen) -> None:
        self._worker = worker
        self._url = socket_url(api_url, f"/work_pools/{quote(worker._work_pool_name, safe='')}/workers/connect")
        self._seen = seen
        self._logger: logging.Logger = worker._logger
        self._socket: ClientConnection | None = None
        self._told = ""
        self.healthy = False
        self.worker_id: UUID | None = None

    async def run(self) -> None:
        """Stay connected until this is cancelled."""
        await asyncio.to_thread(_load)  # meanwhile runs are claimed
        cleaner: Cleaner = importlib.import_module("prefect.workers._cleanup").Cleaner(
            self._worker.cleanup_handler_registry, self._worker.max_cleanup_concurrency, self.send, self._logger
        )
        attempts = Attempts(-1)
        try:
            while True:
                try:
                    await self._stay(cleaner, attempts)
                except StreamRefused as exc:
                    self._tell(f"The server offers no worker channel: {exc}")
                    await asyncio.sleep(_REFUSED_SECONDS)
                except (OSError, ValueError, websockets_exceptions.WebSocketException) as exc:
                    self._tell(f"The worker channel is broken: {exc}")
                    await attempts.failed(exc)
        finally:
            await cleaner.close()

    def _tell(self, what: str) -> None:
        """Say what is wrong, once in a row."""
        if what != self._told:
            self._told = what
            self._logger.debug("%s", what)

    async def send(self, frame: type[channel.WorkerChannelFrame], payload: Any) -> bool:
        """Send a frame; False when the channel is broken."""
        if self._socket is None:
            return False
        [kind] = get_args(frame.model_fields["type"].annotation)
        made = frame.model_validate({"type": kind, "id": new_uuid(), "sent_at": now(), "payload": payload})
        try:
            await self._socket.send(made.model_dump_json())
        except websockets_exceptions.ConnectionClosed:
            return False
        return True

    async def _stay(self, cleaner: Cleaner, attempts: Attempts) -> None:
        """Connect, and stay so until the connection ends."""
        async with connection(self._url) as (socket, _):
            self._socket = socket
            hello = self._hello()
            try:
                await self.send(channel.WorkerHelloFrame, hello)
                async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
                    ready = channel.validate_worker_channel_frame(json.loads(await socket.recv()))
                if not isinstance(ready, channel.WorkerReadyFrame):
                    raise ConnectionError(f"{self._url} answered with {ready.type}.")
                self.worker_id = ready.payload.worker_id
                self._seen(ready.payload.initial_snapshot.work_pool)
                self.healthy, self._told = True, ""
                attempts.succeeded()
                await self._live(socket, hello, ready.payload.effective_heartbeat_interval_seconds, cleaner)
            finally:
                self.healthy, self._socket = False, None

    async def _live(self, socket: ClientConnection, hello: Any, seconds: float, cleaner: Cleaner) -> None:
        tasks = [
            asyncio.create_task(self._listen(socket, cleaner)),
            asyncio.create_task(self._beat(hello, seconds)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise ConnectionError(f"{self._url} was closed by the server.")

    async def _listen(self, socket: ClientConnection, cleaner: Cleaner) -> None:
        newest = 1
        async for text in socket:
            frame = channel.validate_worker_channel_frame(json.loads(text))
            if isinstance(frame, channel.WorkPoolSnapshotFrame):
                if frame.payload.snapshot_sequence > newest:
                    newest = frame.payload.snapshot_sequence
                    self._seen(frame.payload.work_pool)
            elif isinstance(frame, channel.CleanupMessageFrame):
                await cleaner.take(frame.payload, frame.sent_at)
            elif isinstance(frame, channel.CleanupOperationResultFrame):
                cleaner.answered(frame.payload)

    async def _beat(self, hello: channel.WorkerHelloPayload, seconds: float) -> None:
        payload = channel.WorkerHeartbeatPayload(
            consumer_id=hello.consumer_id, worker_name=hello.worker_name,
            heartbeat_interval_seconds=hello.heartbeat_interval_seconds,
        )  # fmt: skip
        alive = True
        while alive:
            await asyncio.sleep(seconds)
            alive = await self.send(channel.WorkerHeartbeatFrame, payload)

    def _hello(self) -> channel.WorkerHelloPayload:
        worker = self._worker
        kinds = list(worker.handled_cleanup_kinds)
        capabilities: list[str] = sorted(channel.REQUIRED_WORKER_CHANNEL_CAPABILITIES)
        if kinds:
            capabilities.append(channel.CLEANUP_DELIVERY_CAPABILITY)
        return channel.WorkerHelloPayload(
            consumer_id=new_uuid(),
            worker_name=worker.name,
            worker_type=worker.type,
            heartbeat_interval_seconds=max(round(worker.heartbeat_interval_seconds), 1),
            supported_channel_versions=[channel.WORK_POOL_WORKER_CHANNEL_VERSION],
            requested_capabilities=capabilities,
            work_queue_names=sorted(worker._work_queues),
            handled_cleanup_kinds=kinds,
            max_cleanup_concurrency=worker.max_cleanup_concurrency if kinds else 0,
            create_pool_if_not_found=worker._pool.may_be_made,
            default_base_job_template=worker._pool.wanted_template(),
        )


def _load() -> None:
    """Import what a channel needs, which is nothing that a claim needs."""
    for name in _NEEDED:
        importlib.import_module(name)
