"""Log handlers: the console, and the record that is kept with each run."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, ClassVar

from prefect._clock import from_us, to_us
from prefect._engine.frames import current_flow, current_task
from prefect._lazy import lazy_module
from prefect._parsing import undisturbed
from prefect.exceptions import MissingContextError
from prefect.logging import sink as _sink
from prefect.logging._colors import paint, wants_color
from prefect.logging.filters import redact_secrets
from prefect.logging.sink import LogRow
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import asyncio

    import rich.console
    import rich.errors
    import rich.theme

    from prefect.logging import highlighters
else:
    asyncio = lazy_module("asyncio")
    rich = lazy_module("rich")
    highlighters = lazy_module("prefect.logging.highlighters")

_TRUNCATED = "... [truncated]"

_api_log_sink: Callable[[dict[str, Any]], Any] | None = None


def set_api_log_sink(sink: Callable[[dict[str, Any]], Any] | None) -> None:
    """Hand the log lines of runs to a function instead of recording them; a child process passes them to its parent so.

    Args:
        sink: called with a dictionary per line, to be given to `emit_api_log` elsewhere. None to record them again.
    """
    global _api_log_sink
    _api_log_sink = sink


def emit_api_log(log: dict[str, Any]) -> None:
    """Record a log line that came from elsewhere.

    Args:
        log: what `set_api_log_sink` hands out: `name`, `level`, `message`, `timestamp` (ISO 8601) and the ids.
    """
    if _api_log_sink is not None:
        _api_log_sink(log)
        return
    moment = log["timestamp"]
    _sink.send((
        log["name"],
        log["level"],
        log["message"],
        to_us(moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)),
        _text(log.get("flow_run_id")),
        _text(log.get("task_run_id")),
        _text(log.get("worker_id")),
    ))  # fmt: skip


def _text(id: Any) -> str | None:
    return None if id is None else str(id)


class APILogHandler(logging.Handler):
    """Records what is logged with the run that logs it.

    The run is that of the record (`flow_run_id`, `task_run_id`, set by the run's logger or in `extra`), else the
    current one. `extra={"send_to_api": False}` keeps a line from being recorded.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Record one log line; settings `PREFECT_LOGGING_TO_API_...` tell whether and how.

        Raises:
            MissingContextError: there is no run, and `PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW` is `error`.
        """
        try:
            to_api = get_current_settings().logging.to_api
            if not to_api.enabled or not getattr(record, "send_to_api", True):
                return
            ids = self._ids(record, to_api.when_missing_flow)
            if ids is None:
                return
            row = self._row(record, ids, to_api.max_log_size)
            if _api_log_sink is not None:
                _api_log_sink(_as_dict(row))
            else:
                _sink.send(row)
        except MissingContextError:
            raise
        except Exception:
            self.handleError(record)

    def prepare(self, record: logging.LogRecord) -> dict[str, Any]:
        """What would be recorded for a record.

        Returns:
            `name`, `level`, `message`, `timestamp` (ISO 8601, UTC), `flow_run_id` and `task_run_id`.

        Raises:
            MissingContextError: there is no run.
        """
        ids = self._ids(record, "error")
        if ids is None:
            raise MissingContextError(_MISSING.format(record.name))
        return _as_dict(self._row(record, ids, get_current_settings().logging.to_api.max_log_size))

    def handleError(self, record: logging.LogRecord) -> None:
        """Report on stderr, with the traceback, that a line could not be recorded; the code that logs goes on."""
        super().handleError(record)

    def flush(self) -> None:
        """Have everything logged so far written."""
        _sink.flush()

    @classmethod
    async def aflush(cls) -> None:
        """Have everything logged so far written, without holding up the event loop."""
        await asyncio.to_thread(_sink.flush)

    def _ids(self, record: logging.LogRecord, when_missing: str) -> tuple[str | None, str | None, str | None] | None:
        """The ids of the flow run, the task run and the worker; None when the record belongs to none."""
        fields = record.__dict__
        flow_run_id, task_run_id = fields.get("flow_run_id"), fields.get("task_run_id")
        if flow_run_id is None and task_run_id is None:
            task, flow = current_task.get(), current_flow.get()
            if task is not None:
                flow_run_id, task_run_id = task.flow_run_id, task.id
            elif flow is not None:
                flow_run_id = flow.id
            else:
                _report_missing_run(record.name, when_missing)
                return None
        return _text(flow_run_id), _text(task_run_id), None

    def _row(self, record: logging.LogRecord, ids: tuple[str | None, str | None, str | None], limit: int) -> LogRow:
        message = _recordable(redact_secrets(undisturbed(lambda: self.format(record))), limit)
        return record.name, record.levelno, message, round(record.created * 1_000_000), *ids


class APILogWorker:
    """Passes log lines on to where they are recorded.

    Lines are batched and written by the recorder of runs; this is the interface to it for programs that hand over
    lines of their own.
    """

    _instance: ClassVar[APILogWorker | None] = None

    @classmethod
    def instance(cls, *args: Any) -> APILogWorker:
        """The one of this process."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def reset_for_fork(self) -> None:
        """Be forgotten, so that a forked child makes one of its own (the recorder sees to forks itself)."""
        type(self)._instance = None

    @classmethod
    def reset_instances_for_fork(cls) -> None:
        """Forget the one of this process."""
        cls._instance = None

    @property
    def max_batch_size(self) -> int:
        """How many bytes of log lines go into one request, at most."""
        return get_current_settings().logging.to_api.batch_size

    @property
    def min_interval(self) -> float:
        """Seconds between two batches."""
        return get_current_settings().logging.to_api.batch_interval

    def start(self) -> None:
        """Be ready for lines: always so."""
        _sink.flush()

    def send(self, item: dict[str, Any]) -> None:
        """Record a line.

        Args:
            item: `name`, `level`, `message`, `timestamp` (a datetime, or ISO 8601) and the ids of its run.
        """
        emit_api_log(item)

    def wait_until_empty(self) -> None:
        """Return when every line so far is written."""
        _sink.flush()

    def drain(self, at_exit: bool = False) -> None:
        """Have every line so far written."""
        _sink.flush()

    @classmethod
    def drain_all(cls, timeout: float | None = None, at_exit: bool = True) -> None:
        """Have every line so far of this process written.

        Args:
            timeout: seconds to take at most; writing takes as long as a commit, so it is not needed.
        """
        _sink.flush()


class WorkerAPILogHandler(APILogHandler):
    """Records what workers log: records with a `worker_id`, which the logger of a worker known to the API has."""

    def _ids(self, record: logging.LogRecord, when_missing: str) -> tuple[str | None, str | None, str | None] | None:
        fields = record.__dict__
        worker_id = fields.get("worker_id")
        if worker_id is None:
            return None
        return _text(fields.get("flow_run_id")), None, _text(worker_id)


_MISSING = (
    "Logger {0!r} attempted to send logs to the API without a flow run id: log within a flow or task run, or name the "
    "run with extra={{'flow_run_id': ...}}."
)


def _report_missing_run(logger: str, when_missing: str) -> None:
    if when_missing == "error":
        raise MissingContextError(_MISSING.format(logger))
    if when_missing == "warn":
        warnings.warn(
            _MISSING.format(logger) + " PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW=ignore silences this warning.",
            stacklevel=_depth_of_caller(),
        )


def _depth_of_caller() -> int:
    """How many frames lie between `_report_missing_run` and the code that logged."""
    frame, depth = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_globals.get("__name__") in ("logging", __name__):
        frame, depth = frame.f_back, depth + 1
    return depth


def _recordable(message: str, limit: int) -> str:
    """A message that every database takes: valid UTF-8 without NUL, of at most `limit` bytes."""
    if "\0" in message:
        message = message.replace("\0", "\\x00")
    if message.isascii():
        return message if len(message) <= limit else message[: max(0, limit - len(_TRUNCATED))] + _TRUNCATED
    encoded = message.encode("utf-8", "backslashreplace")
    if len(encoded) > limit:
        return encoded[: max(0, limit - len(_TRUNCATED))].decode("utf-8", "ignore") + _TRUNCATED
    return encoded.decode()


def _as_dict(row: LogRow) -> dict[str, Any]:
    name, level, message, timestamp, flow_run_id, task_run_id, worker_id = row
    log: dict[str, Any] = {
        "name": name,
        "level": level,
        "message": message,
        "timestamp": from_us(timestamp).isoformat().replace("+00:00", "Z"),
        "flow_run_id": flow_run_id,
        "task_run_id": task_run_id,
    }
    if worker_id is not None:
        log["worker_id"] = worker_id
    return log


class PrefectConsoleHandler(logging.StreamHandler[Any]):
    """Shows records on the console, coloured on a terminal (setting `PREFECT_LOGGING_COLORS`).

    Plain lines and the usual colours are written directly. Markup (setting `PREFECT_LOGGING_MARKUP`), a highlighter or
    styles of your own are left to rich.

    Args:
        stream: where to; left out, whatever `sys.stderr` is at the time.
        highlighter: a class of rich highlighters; default `PrefectConsoleHighlighter`.
        styles: rich styles by name, such as `{"log.error_level": "bold red"}`, over the usual ones.
        level: the lowest level to show.
    """

    def __init__(
        self,
        stream: IO[str] | None = None,
        highlighter: Callable[[], Any] | None = None,
        styles: dict[str, str] | None = None,
        level: int | str = logging.NOTSET,
    ) -> None:
        super().__init__(stream)
        self._stream = stream
        self._highlighter = highlighter
        self._styles = styles
        self._judged: Any = None
        self._colored = False
        self._console: tuple[Any, rich.console.Console] | None = None
        self.setLevel(level)

    @property
    def stream(self) -> Any:
        """Where records go."""
        return self._stream if self._stream is not None else sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:  # the base class sets it
        self._stream = value

    @property
    def console(self) -> rich.console.Console:
        """A rich console on the stream, with the highlighter and the styles."""
        stream = self.stream
        if self._console is None or self._console[0] is not stream:
            highlighter = self._highlighter or highlighters.PrefectConsoleHighlighter
            theme = _rich("theme").Theme({**highlighters.DEFAULT_STYLES, **(self._styles or {})})
            made = _rich("console").Console(file=stream, theme=theme, highlighter=highlighter())
            self._console = stream, made
        return self._console[1]

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        try:
            stream = self.stream
            if stream is None:  # a process without a console (pythonw)
                return
            line = redact_secrets(undisturbed(lambda: self.format(record)))
            settings = get_current_settings().logging
            if settings.markup or ((self._styles or self._highlighter) and settings.colors):
                self._print_with_rich(line, settings.markup, settings.colors)
                return
            if stream is not self._judged:
                self._judged, self._colored = stream, wants_color(stream)
            if self._colored and settings.colors:
                line = paint(line, record.levelname)
            stream.write(line + self.terminator)
            self.flush()
        except RecursionError:  # of the kind that handling it would repeat
            raise
        except Exception:
            self.handleError(record)

    def _print_with_rich(self, line: str, markup: bool, colors: bool) -> None:
        console = self.console
        console.no_color = not colors
        try:
            console.print(line, markup=markup, highlight=colors, soft_wrap=True)
        except _rich("errors").MarkupError:
            # brackets that are no markup, as in the text of an exception
            console.print(line, markup=False, highlight=colors, soft_wrap=True)


def _rich(name: str) -> Any:
    return lazy_module(f"rich.{name}")
