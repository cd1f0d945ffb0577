"""A home of its own for a test: database, results, everything."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect._engine import recorder
from prefect.settings import context as settings_context
from prefect.settings.context import get_current_settings, pop_settings, push_settings


@contextlib.contextmanager
def isolated_home(**updates: Any) -> Iterator[Path]:
    """Settings whose home is a fresh folder, for the whole process while the block lasts; the folder goes afterwards.

    Threads and event loops that know nothing of this block are isolated too. Making the folder takes no measurable
    time: the database is made when the first run is recorded.

    Args:
        updates: further settings, by path with `__` for dots.

    Yields:
        The folder.
    """
    home = Path(tempfile.mkdtemp(prefix="prefect-test-"))
    settings = get_current_settings().copy_with_update(
        updates={
            "home": home,
            "api.url": None,
            "server.database.connection_url": f"sqlite:///{home / 'pluperfect.db'}",
            "results.local_storage_path": home / "storage",
            **{name.replace("__", "."): value for name, value in updates.items()},
        }
    )
    token = push_settings(settings)
    outer = settings_context.put_settings_of_process(settings)
    pid = os.getpid()
    try:
        yield home
    finally:
        settings_context.put_settings_of_process(outer)
        pop_settings(token)
        if os.getpid() == pid:
            recorder.forget_recorder(str(home / "pluperfect.db"))
            shutil.rmtree(home, ignore_errors=True)
