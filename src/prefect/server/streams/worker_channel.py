"""`/work_pools/{name}/workers/connect`: the channel between a worker and its pool (see `_schemas.worker_channel`)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import exc as sa_exc
from starlette.websockets import WebSocket

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import cleanup_orders
from prefect._operations.errors import Conflict, Forbidden, Invalid, NotFound
from prefect._operations.work_pools import WorkerHeartbeat, create_work_pool, read_work_pool, worker_heartbeat
from prefect._schemas import worker_channel as channel
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._schemas.work_pools import WorkerMetadata
from prefect._schemas.worker_channel import (
    CLEANUP_DELIVERY_CAPABILITY,
    SUPPORTED_WORKER_CHANNEL_CAPABILITIES,
    WORKER_CHANNEL_CLOSE_POLICIES,
    WorkerChannelCloseReason,
    WorkerChannelProtocolError,
    WorkerHelloPayload,
)
from prefect._store.sqlite import DatabaseUnavailable
from prefect._store.tables import work_queue
from prefect.server.streams.sockets import FIRST_MESSAGE_SECONDS, Refusal, Socket, Work

_log = logging.getLogger("prefect.server")

_MISSED_HEARTBEATS = 3
_LOOK_AGAIN = 30.0
_LONGEST_PAUSE = 3600.0
"""Seconds at most before a worker that gave an order back is offered it again."""
_Frame = channel.WorkerChannelApplicationFrame


def _refusal(reason: WorkerChannelCloseReason) -> Refusal:
    return Refusal(WORKER_CHANNEL_CLOSE_POLICIES[reason].websocket_code, reason.value)


@dataclass
class _Worker:
    """A worker that is connected."""

    pool_name: str
    hello: WorkerHelloPayload
    pool_id: UUID
    queues: list[channel.ResolvedWorkQueue]
    snapshot: channel.WorkPoolSnapshot
    accepted: list[Any]
    sequence: int = 1
    held: dict[UUID, tuple[str, datetime]] = field(default_factory=dict)
    """The orders that it was given, each with its token and when they end."""
    gave_back: dict[UUID, tuple[datetime, int]] = field(default_factory=dict)
    """The orders that it gave back, each with the time until which it is not given them again, and how often it did."""

    @property
    def cleans_up(self) -> bool:
        return CLEANUP_DELIVERY_CAPABILITY in self.accepted


class WorkerChannel:
    """The handler of channels.

    Args:
        work: runs work on the database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        limits = work.settings.server.worker_channel
        self._seconds = limits.cleanup_lease_seconds
        self._attempts = limits.cleanup_max_delivery_attempts

    async def __call__(self, socket: Socket, websocket: WebSocket) -> None:
        await socket.authenticate(reason=WorkerChannelCloseReason.AUTHENTICATION_FAILED.value)
        hello = await _receive(socket, FIRST_MESSAGE_SECONDS)
        if not isinstance(hello, channel.WorkerHelloFrame):
            raise _refusal(WorkerChannelCloseReason.PROTOCOL_ERROR)
        try:
            version = channel.select_worker_channel_version(hello.payload.supported_channel_versions)
        except WorkerChannelProtocolError as exc:
            raise _refusal(exc.close_reason) from None
        name = websocket.path_params["work_pool_name"]
        try:
            worker = await self._work.write(lambda tx: _admit(tx, name, hello.payload))
        except (NotFound, Forbidden, Invalid, Conflict) as exc:
            _log.info("Worker %r may not connect to work pool %r: %s", hello.payload.worker_name, name, exc)
            raise _refusal(WorkerChannelCloseReason.AUTHORIZATION_FAILED) from None
        except (DatabaseUnavailable, sa_exc.OperationalError):
            raise _refusal(WorkerChannelCloseReason.TRANSIENT_SERVER_ERROR) from None
        await _send(socket, channel.WorkerReadyFrame(**_frame("worker.ready.v1", _ready(worker, version))))
        await self._serve(socket, worker)

    async def _serve(self, socket: Socket, worker: _Worker) -> None:
        tasks = [asyncio.create_task(self._listen(socket, worker)), asyncio.create_task(self._show(socket, worker))]
        if worker.cleans_up:
            tasks.append(asyncio.create_task(self._give_orders(socket, worker)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if worker.held:
                ids, tokens = list(worker.held), [token for token, _ in worker.held.values()]
                await asyncio.shield(self._work.write(lambda tx: cleanup_orders.give_back(tx, ids, tokens)))

    # -- what the worker says -----------------------------------------------------------------------------------------

    async def _listen(self, socket: Socket, worker: _Worker) -> None:
        silence = _MISSED_HEARTBEATS * worker.hello.heartbeat_interval_seconds
        while True:
            frame = await _receive(socket, silence)
            if isinstance(frame, channel.WorkerHeartbeatFrame):
                await self._heartbeat(frame.payload, worker)
            elif worker.cleans_up and isinstance(
                frame, (channel.CleanupAckFrame, channel.CleanupReleaseFrame, channel.CleanupRenewFrame)
            ):
                result = await self._work.write(functools.partial(self._about_order, frame=frame, worker=worker))
                await _send(
                    socket, channel.CleanupOperationResultFrame(**_frame("cleanup.operation_result.v1", result))
                )
            else:
                raise _refusal(WorkerChannelCloseReason.PROTOCOL_ERROR)

    async def _heartbeat(self, heartbeat: channel.WorkerHeartbeatPayload, worker: _Worker) -> None:
        if (heartbeat.consumer_id, heartbeat.worker_name) != (worker.hello.consumer_id, worker.hello.worker_name):
            raise _refusal(WorkerChannelCloseReason.PROTOCOL_ERROR)
        interval = heartbeat.heartbeat_interval_seconds
        body = WorkerHeartbeat(name=heartbeat.worker_name, heartbeat_interval_seconds=interval)
        try:
            await self._work.write(lambda tx: worker_heartbeat(tx, worker.pool_name, body))
        except NotFound:
            raise _refusal(WorkerChannelCloseReason.AUTHORIZATION_FAILED) from None
        except (DatabaseUnavailable, sa_exc.OperationalError):
            raise _refusal(WorkerChannelCloseReason.HEARTBEAT_PERSISTENCE_FAILED) from None

    def _about_order(
        self,
        tx: sa.Connection,
        frame: channel.CleanupAckFrame | channel.CleanupReleaseFrame | channel.CleanupRenewFrame,
        worker: _Worker,
    ) -> channel.CleanupOperationResultPayload:
        id, token, moment, until = frame.payload.message_id, frame.payload.reservation_token, now(), None
        if isinstance(frame, channel.CleanupRenewFrame):
            operation: channel.CleanupOperation = "renew"
            status, until = cleanup_orders.renew(tx, id, token, moment, seconds=self._seconds)
            if until is not None:
                worker.held[id] = (token, until)
        elif isinstance(frame, channel.CleanupAckFrame):
            operation, status = "ack", cleanup_orders.acknowledge(tx, id, token, moment)
        else:
            operation, status = "release", cleanup_orders.release(tx, id, token, moment, frame.payload.reason)
            times = worker.gave_back[id][1] if id in worker.gave_back else 0
            pause = min(self._seconds * 2**times, _LONGEST_PAUSE)
            worker.gave_back[id] = (moment + timedelta(seconds=pause), times + 1)
        if operation != "renew" or until is None:
            worker.held.pop(id, None)
        return channel.CleanupOperationResultPayload(
            request_frame_id=frame.id, message_id=id, operation=operation, status=status, lease_expires_at=until,
            reason=None if status == "accepted" else _REASONS.get(status, status),
        )  # fmt: skip

    # -- what the worker is told --------------------------------------------------------------------------------------

    async def _show(self, socket: Socket, worker: _Worker) -> None:
        """Send a picture of the pool whenever it is another one."""
        with self._woken(f"work_pool:{worker.pool_id}") as told:
            while True:
                told.clear()
                try:
                    pool = await self._work.read(lambda tx: read_work_pool(tx, worker.pool_name))
                except NotFound:
                    raise _refusal(WorkerChannelCloseReason.AUTHORIZATION_FAILED) from None
                snapshot = channel.WorkPoolSnapshot.model_validate(pool.model_dump())
                if snapshot != worker.snapshot:
                    worker.snapshot, worker.sequence = snapshot, worker.sequence + 1
                    payload = channel.WorkPoolSnapshotPayload(
                        snapshot_sequence=worker.sequence, reason="work_pool_updated", work_pool=snapshot
                    )
                    await _send(socket, channel.WorkPoolSnapshotFrame(**_frame("work_pool.snapshot.v1", payload)))
                await _wait(told, _LOOK_AGAIN)

    async def _give_orders(self, socket: Socket, worker: _Worker) -> None:
        kinds, queues = worker.hello.handled_cleanup_kinds, [queue.id for queue in worker.queues]
        with self._woken(cleanup_orders.TOPIC) as told:
            while True:
                told.clear()
                moment = now()
                worker.held = {id: held for id, held in worker.held.items() if held[1] > moment}
                but = [id for id, (until, _) in worker.gave_back.items() if until > moment]
                if len(worker.held) >= worker.hello.max_cleanup_concurrency:
                    await _wait(told, 1.0)
                    continue
                row = await self._work.write(
                    lambda tx: cleanup_orders.reserve(
                        tx,
                        worker.pool_id,
                        kinds,
                        queues,
                        now(),
                        seconds=self._seconds,
                        attempts=self._attempts,
                        but=but,  # noqa: B023
                    )
                )
                if row is None:
                    open_at = await self._work.read(
                        lambda tx: cleanup_orders.next_open(tx, worker.pool_id, kinds, queues, but)  # noqa: B023
                    )
                    left = _LOOK_AGAIN if open_at is None else (open_at - now()).total_seconds()
                    await _wait(told, min(max(left, 0.1), self._seconds, _LOOK_AGAIN))
                    continue
                worker.held[row["id"]] = (row["reservation_token"], row["reserved_until"])
                await _send(
                    socket,
                    channel.CleanupMessageFrame.model_validate(_frame("cleanup.message.v1", _order(row))),
                )

    @contextlib.contextmanager
    def _woken(self, topic: str) -> Any:
        told = asyncio.Event()
        wake = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        with self._work.calls.bus.subscribe(topic, wake=wake):
            yield told


_REASONS = {
    "not_found": "message_not_found",
    "not_current": "reservation_not_current",
    "expired": "reservation_expired",
}


def _admit(tx: sa.Connection, name: str, hello: WorkerHelloPayload) -> _Worker:
    """Let a worker in: its pool, made if it asks for that, its queues, its first heartbeat."""
    try:
        pool = read_work_pool(tx, name)
    except NotFound:
        if not hello.create_pool_if_not_found:
            raise
        body = WorkPoolCreate(name=name, type=hello.worker_type, base_job_template=hello.default_base_job_template)
        pool = create_work_pool(tx, body)
    statement = sa.select(work_queue.c.id, work_queue.c.name).where(work_queue.c.work_pool_id == pool.id)
    if hello.work_queue_names:
        statement = statement.where(work_queue.c.name.in_(hello.work_queue_names))
    queues = [
        channel.ResolvedWorkQueue(id=row.id, name=row.name)
        for row in tx.execute(statement.order_by(work_queue.c.priority, work_queue.c.name))
    ]
    missing = set(hello.work_queue_names).difference(queue.name for queue in queues)
    if missing:
        raise NotFound("work queue", min(missing))
    metadata = None if hello.worker_metadata is None else WorkerMetadata.model_validate(hello.worker_metadata)
    heartbeat = WorkerHeartbeat(
        name=hello.worker_name, heartbeat_interval_seconds=hello.heartbeat_interval_seconds, metadata=metadata
    )
    worker_heartbeat(tx, name, heartbeat)
    snapshot = channel.WorkPoolSnapshot.model_validate(read_work_pool(tx, name).model_dump())
    accepted = [one for one in dict.fromkeys(hello.requested_capabilities) if _is_supported(one, hello)]
    return _Worker(name, hello, snapshot.id, queues, snapshot, accepted)


def _is_supported(capability: str, hello: WorkerHelloPayload) -> bool:
    if capability == CLEANUP_DELIVERY_CAPABILITY and not (
        hello.handled_cleanup_kinds and hello.max_cleanup_concurrency
    ):
        return False
    return capability in SUPPORTED_WORKER_CHANNEL_CAPABILITIES


def _ready(worker: _Worker, version: channel.WorkerChannelVersion) -> channel.WorkerReadyPayload:
    hello = worker.hello
    return channel.WorkerReadyPayload(
        consumer_id=hello.consumer_id,
        worker_id=None,
        selected_channel_version=version,
        effective_heartbeat_interval_seconds=hello.heartbeat_interval_seconds,
        accepted_capabilities=worker.accepted,
        rejected_capabilities=[one for one in hello.requested_capabilities if one not in worker.accepted],
        effective_max_cleanup_concurrency=hello.max_cleanup_concurrency if worker.cleans_up else 0,
        resolved_work_queues=worker.queues,
        initial_snapshot=channel.WorkPoolSnapshotPayload(
            snapshot_sequence=1, reason="initial", work_pool=worker.snapshot
        ),
    )


def _order(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "message_id": row["id"], "reservation_token": row["reservation_token"],
        "lease_expires_at": row["reserved_until"], "delivery_count": row["delivery_count"],
        "work_queue_id": row["work_queue_id"], "data": row["data"], "kind": row["kind"], "target": row["target"],
    }  # fmt: skip


def _frame(type: str, payload: Any) -> dict[str, Any]:
    return {"type": type, "id": new_uuid(), "sent_at": now(), "payload": payload}


async def _send(socket: Socket, frame: channel.WorkerChannelFrame) -> None:
    await socket.send(frame.model_dump_json())


async def _receive(socket: Socket, timeout: float) -> _Frame:
    try:
        return channel.validate_worker_channel_frame(await socket.receive(timeout))
    except (Refusal, ValidationError):
        raise _refusal(WorkerChannelCloseReason.PROTOCOL_ERROR) from None


async def _wait(told: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await told.wait()
