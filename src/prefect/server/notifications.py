"""Announcements from elsewhere: other servers on the same PostgreSQL, other processes on the same SQLite file.

PostgreSQL carries announcements from server to server by `NOTIFY`. They are sent by a connection of their own, many at
once, right after the commits that they tell of: sent inside a transaction they would make all commits wait for each
other. An announcement that is lost, because its server died in between, is made up for: every server tells everybody
to look again after `LOOK_AGAIN_SECONDS`, and whenever its connection was away.
"""

from __future__ import annotations

import logging
import os
import select
import sqlite3
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from prefect._lazy import lazy_module
from prefect._store.announcements import Bus
from prefect._store.sqlite import DatabaseUnavailable
from prefect._store.writer import Writer

if TYPE_CHECKING:
    import psycopg
else:
    psycopg = lazy_module("psycopg")  # who serves SQLite does without it

_log = logging.getLogger("prefect.server")

CHANNEL = "prefect_announcements"
LOOK_AGAIN_SECONDS = 30.0
"""How long a lost announcement can go unnoticed."""
FILE_LOOK_SECONDS = 0.2
"""How often a file is looked at for what other processes wrote to it."""
QUIET_LOOK_SECONDS = 1.0
"""The same, when nothing was written for a while."""
_QUIET_AFTER = 20.0

_EVERYTHING = "*"
_MOST_BYTES = 7_500  # PostgreSQL takes 8000 in one notification
_LONGEST_PAUSE = 5.0
_SEND_SECONDS = 0.01
"""What is announced within so short a time is sent together."""


class PostgreSQLAnnouncements:
    """Passes announcements between the servers on one PostgreSQL database.

    Args:
        engine: of the database; only its settings are used.
        bus: told what other servers announce.
    """

    def __init__(self, engine: sa.Engine, bus: Bus) -> None:
        self._engine = engine
        self._bus = bus
        self._self = uuid4().hex[:12]
        self._lock = threading.Lock()
        self._outgoing: set[str] = set()
        self._ended = threading.Event()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        self._thread = threading.Thread(target=self._run, name="prefect-announcements", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def announce(self, topics: Iterable[str]) -> None:
        """Tell the other servers. Returns at once."""
        with self._lock:
            waiting = bool(self._outgoing)
            self._outgoing.update(topics)
            if self._outgoing and not waiting:
                self._wake()

    def close(self) -> None:
        """Send what is left, and end."""
        self._ended.set()
        with self._lock:
            self._wake()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)
        os.close(self._wake_writer)
        os.close(self._wake_reader)

    def _wake(self) -> None:
        try:
            os.write(self._wake_writer, b"x")
        except BlockingIOError:  # it is awake already
            pass

    # -- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = 0.1
        while not self._ended.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._bus.publish_all()  # whatever happened while nobody listened
                    pause = 0.1
                    self._carry(connection)
            except psycopg.Error as exc:
                _log.warning("No announcements from other servers: %s Trying again in %.1f s.", exc, pause)
                self._bus.publish_all()
                self._ended.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _connect(self) -> psycopg.Connection[Any]:
        arguments, options = self._engine.dialect.create_connect_args(self._engine.url)
        return psycopg.connect(
            *arguments, **{**options, "autocommit": True, "application_name": "prefect-announcements"}
        )

    def _carry(self, connection: psycopg.Connection[Any]) -> None:
        look_again = time.monotonic() + LOOK_AGAIN_SECONDS
        send_again = 0.0
        while True:
            ending = self._ended.is_set()
            if ending or time.monotonic() >= send_again:
                self._send(connection)
                send_again = time.monotonic() + _SEND_SECONDS
            if ending:
                return
            left = max(0.0, (send_again if self._outgoing else look_again) - time.monotonic())
            readable, _, _ = select.select([connection.fileno(), self._wake_reader], [], [], left)
            if self._wake_reader in readable:
                os.read(self._wake_reader, 4096)
            if connection.fileno() in readable:
                self._receive(connection)
            if time.monotonic() >= look_again:
                self._bus.publish_all()
                look_again = time.monotonic() + LOOK_AGAIN_SECONDS

    def _send(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            topics, self._outgoing = self._outgoing, set()
        if not topics:
            return
        text = "\n".join([self._self, *sorted(topics)])
        if len(text.encode()) > _MOST_BYTES:
            text = f"{self._self}\n{_EVERYTHING}"
        try:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, text))
        except psycopg.Error:
            with self._lock:
                self._outgoing |= topics
            raise

    def _receive(self, connection: psycopg.Connection[Any]) -> None:
        topics: set[str] = set()
        for notification in connection.notifies(timeout=0):
            sender, *told = notification.payload.split("\n")
            if sender != self._self:
                topics.update(told)
        if _EVERYTHING in topics:
            self._bus.publish_all()
        else:
            self._bus.publish(topics)


class FileWatch:
    """Notices what other processes write to an SQLite file, while somebody waits for anything.

    Args:
        writer: this process's; its connection tells its own commits from those of others.
        bus: told that something happened, without what.
    """

    def __init__(self, writer: Writer, bus: Bus) -> None:
        self._writer = writer
        self._bus = bus
        self._ended = threading.Event()
        self._known: int | None = None
        self._thread = threading.Thread(target=self._run, name="prefect-file-watch", daemon=True)

    def start(self) -> None:
        """Notice what is written from now on."""
        self._known = self._version()
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _version(self) -> int | None:
        try:
            return self._writer.read(_data_version)
        except (DatabaseUnavailable, sqlite3.Error):
            return None  # told to whoever writes

    def _run(self) -> None:
        changed = time.monotonic()
        while not self._ended.wait(
            FILE_LOOK_SECONDS if time.monotonic() - changed < _QUIET_AFTER else QUIET_LOOK_SECONDS
        ):
            if not self._bus.has_subscribers:
                continue
            version = self._version()
            if version is None:
                continue
            if self._known is not None and version != self._known:
                self._bus.publish_all()
                changed = time.monotonic()
            self._known = version


def _data_version(connection: sqlite3.Connection) -> int:
    # changes whenever another connection has committed; reads no table
    return connection.execute("PRAGMA data_version").fetchone()[0]
