"""The services of the server: in the server's process, or alone in a process of their own."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from prefect._services.framework import Database, all_services
from prefect._services.loops import Loops
from prefect.server.database import database_of

if TYPE_CHECKING:
    from prefect.settings import Settings


def enabled_loops(database: Database, settings: Settings) -> Loops:
    """The services that the settings want, not yet started."""
    return Loops(database, [service for service in all_services() if service.enabled(settings)], settings)


def run_alone(settings: Settings) -> None:
    """Run the services until this process is told to end (SIGTERM, SIGINT). For the main thread."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    database = database_of(settings)
    database.open()
    loops = enabled_loops(database, settings)
    try:
        loops.start()
        ended.wait()
    finally:
        loops.stop()
        database.close()
