"""The recorder of this process: which one the settings ask for, and what becomes of it at a fork and at the end."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from prefect._engine.recording.port import Recorder
from prefect._lazy import lazy_module
from prefect.exceptions import ConfigurationError
from prefect.logging import sink
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect._engine.recording import local, served
else:
    # a process needs one of the two
    local = lazy_module("prefect._engine.recording.local")
    served = lazy_module("prefect._engine.recording.served")

_recorders: dict[Any, Recorder] = {}
_recorders_lock = threading.Lock()
_newest: tuple[Any, Recorder] | None = None
_closes_child = -1


def get_recorder() -> Recorder:
    """The recorder for the current settings."""
    global _newest
    settings = get_current_settings()
    newest = _newest
    if newest is not None and newest[0] is settings:
        return newest[1]
    key = served_key(settings) if settings.api.url else database_path(settings)
    with _recorders_lock:
        recorder = _recorders.get(key)
        if recorder is None:
            recorder = _recorders[key] = _make(settings)
    _close_at_the_end_of_a_child()
    _newest = (settings, recorder)
    return recorder


def is_served() -> bool:
    """Whether the current settings name a server."""
    return bool(get_current_settings().api.url)


def get_local_recorder() -> local.LocalRecorder:
    """The recorder for the current settings, by those who work on the local database themselves.

    Raises:
        ConfigurationError: the settings name a server.
    """
    url = get_current_settings().api.url
    if url:
        raise ConfigurationError(
            f"PREFECT_API_URL is set to {url!r}, but this works on the local database only. Unset PREFECT_API_URL, or "
            "switch to a profile without it."
        )
    recorder: Any = get_recorder()
    return recorder


def _make(settings: Any) -> Recorder:
    if settings.api.url:
        return served.ServedRecorder(settings)
    return local.LocalRecorder(database_path(settings))


def served_key(settings: Any) -> tuple[Any, ...]:
    """What makes two recorders of servers one: all that a request depends on, and where a spool would be."""
    api = settings.api
    custom = tuple(sorted((settings.client.custom_headers or {}).items()))
    secrets = settings.reveal("api.key"), settings.reveal("api.auth_string")
    return (api.url, settings.home, secrets, custom, api.ssl_cert_file, api.tls_insecure_skip_verify)


def database_path(settings: Any) -> str:
    """The file of the local database that the settings name.

    Raises:
        ConfigurationError: they name a database that is not SQLite.
    """
    url = settings.reveal("server.database.connection_url")
    if not url:
        return str(settings.home / "pluperfect.db")
    scheme, separator, rest = url.partition(":///")
    if not separator or not scheme.startswith("sqlite"):
        raise ConfigurationError(
            f"Without a server runs are recorded in SQLite, but the database is {scheme}. Start a server on that "
            "database and set PREFECT_API_URL, or unset PREFECT_API_DATABASE_CONNECTION_URL."
        )
    path = rest.partition("?")[0]
    return (
        os.path.abspath(os.path.expanduser(path))
        if path and path != ":memory:"
        else str(settings.home / "pluperfect.db")
    )


def forget_recorder(path: Any) -> None:
    """Close and drop a recorder: that of a database that is about to be deleted, or of `served_key`."""
    global _newest
    with _recorders_lock:
        recorder = _recorders.pop(path, None)
        _newest = None
    if recorder is not None:
        recorder.close()


def flush_all() -> None:
    for recorder in list(_recorders.values()):
        recorder.flush()


def _record_log(record: tuple[str, int, str, int, str | None, str | None, str | None]) -> None:
    try:
        recorder = get_recorder()
    except ConfigurationError:
        return  # told to the user when the flow starts
    recorder.log(record)


def _close_all() -> None:
    for recorder in list(_recorders.values()):
        recorder.close()


_at_fork: list[Recorder] = []


def _before_fork() -> None:
    _recorders_lock.acquire()
    for recorder in _recorders.values():
        recorder.before_fork()
        _at_fork.append(recorder)


def _after_fork_in_parent() -> None:
    while _at_fork:
        _at_fork.pop().after_fork_in_parent()
    _recorders_lock.release()


def _close_at_the_end_of_a_child() -> None:
    """A process that `multiprocessing` forked ends without the functions of `atexit`; it has such a list of its own."""
    global _closes_child
    util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
    if _closes_child == os.getpid() or util is None or process is None or process.parent_process() is None:
        return
    _closes_child = os.getpid()
    util.Finalize(None, _close_all, exitpriority=0)


def _after_fork_in_child() -> None:
    global _recorders_lock, _newest
    _newest = None
    _at_fork.clear()
    _recorders_lock = threading.Lock()
    for recorder in _recorders.values():
        recorder.after_fork_in_child()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
sink.set_sink(_record_log, flush_all)
