"""Where recorded log lines go: one function for the process, and a bounded buffer until there is one."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

LogRow = tuple[str, int, str, int, str | None, str | None, str | None]
"""Logger, level number, message, microseconds since the epoch, ids of the flow run, the task run and the worker."""

BUFFERED = 10_000
"""Lines that are kept while there is no sink; of more than these, the oldest are dropped."""

_sink: Callable[[LogRow], Any] | None = None
_flush: Callable[[], Any] | None = None
_waiting: deque[LogRow] = deque(maxlen=BUFFERED)
_dropped = 0


def set_sink(sink: Callable[[LogRow], Any] | None, flush: Callable[[], Any] | None = None) -> None:
    """Hand every recorded log line to `sink` from now on, first those that waited for it.

    Args:
        sink: called with one row, from whatever thread logs; it must be quick and not log. None to buffer again.
        flush: called by those who want every line so far to be on disk.
    """
    global _sink, _flush, _dropped
    _sink, _flush = sink, flush
    if sink is None:
        return
    while _waiting:
        sink(_waiting.popleft())
    if _dropped:
        lost, _dropped = _dropped, 0
        logging.getLogger("prefect").warning(
            "%d log lines were not recorded: they came before anything could record them.", lost
        )


def send(row: LogRow) -> None:
    """Hand one line to the sink, or keep it until there is one."""
    global _dropped
    if _sink is not None:
        _sink(row)
        return
    if len(_waiting) == BUFFERED:
        _dropped += 1
    _waiting.append(row)


def flush() -> None:
    """Have the lines so far written, if the sink offers that."""
    if _flush is not None:
        _flush()
