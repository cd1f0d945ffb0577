"""What a program and its fork server say to each other: JSON in frames, with file descriptors beside them.

Both ends are processes of one user on one machine, joined by a socket pair that nobody else can reach.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!I")
MAX_FDS = 4
GO = b"."
"""What a fork is told before it begins."""


class Closed(Exception):
    """The other end is gone."""


def send(sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message, and copies of some file descriptors with it.

    Raises:
        Closed: the other end is gone.
    """
    body = json.dumps(message).encode("utf-8", "surrogateescape")
    try:
        if fds:
            socket.send_fds(sock, [_LENGTH.pack(len(body))], fds)
            sock.sendall(body)
        else:
            sock.sendall(_LENGTH.pack(len(body)) + body)
    except (BrokenPipeError, ConnectionResetError) as exc:
        raise Closed from exc


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the file descriptors that came with it; waits for it.

    Raises:
        Closed: the other end is gone.
    """
    try:
        head, fds, _, _ = socket.recv_fds(sock, _LENGTH.size, MAX_FDS)
        if not head:
            raise Closed
        head += _exactly(sock, _LENGTH.size - len(head))
        body = _exactly(sock, _LENGTH.unpack(head)[0])
    except ConnectionResetError as exc:
        raise Closed from exc
    return json.loads(body.decode("utf-8", "surrogateescape")), list(fds)


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Frames:
    """Takes a stream of bytes apart into messages, for a reader that must not wait."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Add bytes; returns the messages that are complete now."""
        self._data += data
        messages = []
        while len(self._data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                break
            messages.append(json.loads(bytes(self._data[_LENGTH.size : end]).decode("utf-8", "surrogateescape")))
            del self._data[:end]
        return messages
