"""`/task_runs/subscriptions/scheduled`: background task runs for those who run them.

After the client has authenticated it sends `{"type": "subscribe", "keys": [...], "client_id": "..."}`. Each message of the
server is a task run, which the client answers with `{"type": "ack"}` before it is sent the next one. A run that is not
answered, or not begun by the time its client goes away, goes to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from starlette.websockets import WebSocket

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import task_run_deliveries as deliveries
from prefect.server.streams.sockets import FIRST_MESSAGE_SECONDS, Refusal, Socket, Work

_VIOLATION = 4001
_ANSWER_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 20.0
_SHORTEST = 0.02


class ScheduledTaskRuns:
    """The handler of subscriptions.

    Args:
        work: runs work on the database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    async def __call__(self, socket: Socket, websocket: WebSocket) -> None:
        keys, identifier = _subscription(await socket.receive(FIRST_MESSAGE_SECONDS))
        subscriber = new_uuid()
        await self._work.write(lambda tx: deliveries.subscribe(tx, subscriber, identifier, keys, now()))
        answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._hand_out(socket, subscriber, keys, answers)),
            asyncio.create_task(_listen(socket, answers)),
            asyncio.create_task(self._keep_alive(subscriber)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.shield(self._work.write(lambda tx: deliveries.unsubscribe(tx, subscriber)))

    async def _hand_out(
        self, socket: Socket, subscriber: UUID, keys: list[str], answers: asyncio.Queue[dict[str, Any] | None]
    ) -> None:
        told = asyncio.Event()
        wake = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        with self._work.calls.bus.subscribe(*map(deliveries.topic, keys), wake=wake):
            while True:
                told.clear()
                due = await self._work.read(lambda tx: deliveries.next_due(tx, keys, now()))
                left = _KEEP_ALIVE_SECONDS if due is None else (due - now()).total_seconds()
                if left <= 0:
                    await self._hand_one(socket, subscriber, keys, answers)
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(max(left, _SHORTEST), _KEEP_ALIVE_SECONDS)):
                        await told.wait()

    async def _hand_one(
        self, socket: Socket, subscriber: UUID, keys: list[str], answers: asyncio.Queue[dict[str, Any] | None]
    ) -> None:
        def reserve(tx: sa.Connection) -> str | None:
            run = deliveries.reserve(tx, subscriber, keys, now())
            return None if run is None else run.model_dump_json()

        text = await self._work.write(reserve)
        if text is None:
            return  # somebody was faster
        await socket.send(text)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await answers.get()
        except TimeoutError:
            raise Refusal(_VIOLATION, "A task run was not acknowledged in time") from None
        if answer is not None and answer.get("type") == "quit":
            raise Refusal(1000, "")
        if answer is None or answer.get("type") != "ack":
            raise Refusal(_VIOLATION, "Protocol violation: expected 'ack' message")

    async def _keep_alive(self, subscriber: UUID) -> None:
        while True:
            await asyncio.sleep(_KEEP_ALIVE_SECONDS)
            await self._work.write(lambda tx: deliveries.keep_alive(tx, subscriber, now()))


async def _listen(socket: Socket, answers: asyncio.Queue[dict[str, Any] | None]) -> None:
    while True:
        await answers.put(await socket.receive())


def _subscription(request: dict[str, Any]) -> tuple[list[str], str]:
    if request.get("type") != "subscribe":
        raise Refusal(_VIOLATION, "Protocol violation: expected 'subscribe' message")
    keys, identifier = request.get("keys"), request.get("client_id")
    if not keys or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refusal(_VIOLATION, "Protocol violation: expected 'keys' in subscribe message")
    if not identifier or not isinstance(identifier, str):
        raise Refusal(_VIOLATION, "Protocol violation: expected 'client_id' in subscribe message")
    return sorted(set(keys)), identifier
