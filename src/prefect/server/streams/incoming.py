"""`/events/in`: events from clients, one a message, written many at once.

A client that wants to know what is safe sends `{"type": "checkpoint", "id": n}` between its events and gets it back when
all events before it are on disk; that this server answers is said when the connection is made. What arrives faster
than it can be written is not read from the connection until there is room.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from pydantic import ValidationError
from sqlalchemy import exc as sa_exc
from starlette.websockets import WebSocket, WebSocketDisconnect

from prefect._operations.events import SentEvent
from prefect._operations.task_run_events import receive_events
from prefect._store.sqlite import DatabaseUnavailable
from prefect.server.api.text import spelled_out
from prefect.server.streams.sockets import Socket, Work, speaks_subprotocol
from prefect.settings.context import push_settings

_log = logging.getLogger("prefect.server")

_WAITING = 1_000
_WAITING_CHARACTERS = 8 * 1024 * 1024
"""How much of a client may wait to be written, beside the one message that is on its way."""
_BATCH = 500
_LONGEST_PAUSE = 5.0
_PATIENCE = 30.0
"""How long events of a client that has gone are kept while the database is away."""


class _Waiting(asyncio.Queue[str | None]):
    """What was received and is not yet written; `room` is set while there is room for more."""

    def __init__(self) -> None:
        super().__init__(_WAITING)
        self.room = asyncio.Event()
        self.room.set()
        self._characters = 0

    def _put(self, item: str | None) -> None:
        super()._put(item)
        self._count(len(item or ""))

    def _get(self) -> str | None:
        item = super()._get()
        self._count(-len(item or ""))
        return item

    def _count(self, more: int) -> None:
        self._characters += more
        if self._characters < _WAITING_CHARACTERS:
            self.room.set()
        else:
            self.room.clear()


class Incoming:
    """The handler of the stream.

    Args:
        work: runs work on the database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    async def __call__(self, socket: Socket, websocket: WebSocket) -> None:
        if speaks_subprotocol(websocket):  # old clients begin with their events
            await socket.authenticate(more={"checkpoints": True})
        queue = _Waiting()
        writer = asyncio.create_task(self._write_all(socket, queue))
        try:
            while not writer.done():
                text = await socket.receive_text()
                await queue.room.wait()
                await queue.put(text)
        except WebSocketDisconnect:
            pass
        finally:
            # what was received is written, whatever became of the client
            if not writer.done():
                await queue.put(None)
            await asyncio.shield(writer)

    async def _write_all(self, socket: Socket, queue: _Waiting) -> None:
        while True:
            text = await queue.get()
            batch: list[str] = []
            checkpoint: str | None = None
            while text is not None:
                if text.startswith('{"type":') and _is_checkpoint(text):
                    checkpoint = text
                    break
                batch.append(text)
                if len(batch) >= _BATCH or queue.empty():
                    break
                text = queue.get_nowait()
            if batch:
                await self._write(batch)
            if checkpoint is not None:
                try:
                    await socket.send(checkpoint)
                except (WebSocketDisconnect, RuntimeError):
                    pass  # nobody wants to know any more
            if text is None:
                return

    async def _write(self, batch: list[str]) -> None:
        loop = asyncio.get_running_loop()
        pause, began = 0.1, loop.time()
        events = await asyncio.to_thread(self._parse, batch)
        while events:
            try:
                await self._work.write(lambda tx: receive_events(tx, events))
                return
            except (DatabaseUnavailable, sa_exc.OperationalError) as exc:
                if loop.time() - began > _PATIENCE:
                    _log.error("%d events that a client sent are lost, they cannot be written: %s", len(events), exc)
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception:
                if len(events) == 1:
                    _log.exception("An event that a client sent cannot be written: %s", events[0].event)
                    return
                for event in events:  # one of them is at fault, the others are not lost for it
                    await self._write([event.model_dump_json()])
                return

    def _parse(self, batch: list[str]) -> list[SentEvent]:
        push_settings(self._work.settings)
        maximum = self._work.settings.server.events.maximum_size_bytes
        events = []
        for text in batch:
            try:
                if len(text) > maximum:
                    raise ValueError(f"it has more than {maximum} bytes")
                events.append(SentEvent.model_validate_json(spelled_out(text.encode(errors="surrogatepass"))))
            except (ValidationError, ValueError) as exc:
                _log.warning("A client sent what is no event, which is left out: %s", _first_fault(exc))
        return events


def _first_fault(exc: Exception) -> str:
    if isinstance(exc, ValidationError):
        fault = exc.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return str(exc)


def _is_checkpoint(text: str) -> bool:
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("type") == "checkpoint"
