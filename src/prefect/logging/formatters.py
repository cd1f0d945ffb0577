"""Log records as lines of text or of JSON."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import orjson
else:
    orjson = lazy_module("orjson")

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class PrefectFormatter(logging.Formatter):
    """A formatter with a format of its own for the records of flow runs and for those of task runs.

    Args:
        format: as of `logging.Formatter`, for all other records.
        datefmt: as of `logging.Formatter`.
        style: `%`, `{` or `$`, for all formats.
        validate: whether to check the formats.
        defaults: values for names that a record lacks.
        task_run_fmt: the format of records of the logger `prefect.task_runs`; `format` when left out.
        flow_run_fmt: the format of records of the logger `prefect.flow_runs`; `format` when left out.

    Raises:
        ValueError: a format does not fit the style.
    """

    def __init__(
        self,
        format: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        validate: bool = True,
        *,
        defaults: Mapping[str, Any] | None = None,
        task_run_fmt: str | None = None,
        flow_run_fmt: str | None = None,
    ) -> None:
        super().__init__(format, datefmt, style, validate, defaults=defaults)
        self._run_styles: dict[str, tuple[str, logging.PercentStyle]] = {}
        for logger, name, fmt in (
            ("prefect.flow_runs", "flow_run_name", flow_run_fmt),
            ("prefect.task_runs", "task_run_name", task_run_fmt),
        ):
            if fmt:
                run_style = type(self._style)(fmt, defaults=defaults)
                if validate:
                    run_style.validate()
                self._run_styles[logger] = name, run_style
        self._second = (-1, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time of the record; formatted once a second, since most records share theirs with the one before."""
        second = int(record.created)
        cached, text = self._second
        if cached != second:
            text = time.strftime(datefmt or self.default_time_format, self.converter(record.created))
            self._second = second, text
        return text if datefmt or not self.default_msec_format else self.default_msec_format % (text, record.msecs)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record, in the format for its logger."""
        chosen = self._run_styles.get(record.name)
        # a record that somebody sent to a run's logger without saying which run: the general format must do
        if chosen is not None and chosen[0] in record.__dict__:
            return chosen[1].format(record)
        return self._style.format(record)


class JsonFormatter(logging.Formatter):
    """A formatter that makes a JSON object of a record: all its fields, and `message` with the arguments filled in.

    On the console: `PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER=json`.

    Args:
        fmt: `default` for one line, `pretty` for an indented object.
        dmft: not used; the time is given as seconds since the epoch, in `created`.
        style: not used.

    Raises:
        ValueError: `fmt` is neither of these.
    """

    def __init__(self, fmt: str = "default", dmft: str | None = None, style: str = "%") -> None:
        super().__init__()
        if fmt not in ("pretty", "default"):
            raise ValueError(f"Format must be either 'pretty' or 'default', not {fmt!r}.")
        self._options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if fmt == "pretty" else 0)

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what JSON does not know is shown as `str` shows it."""
        fields = {**record.__dict__, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = format_exception_info(record.exc_info)
        else:
            fields["exc_info"] = None
        fields["severity"] = record.levelname
        try:
            return orjson.dumps(fields, default=str, option=self._options).decode()
        except TypeError:
            # lone surrogates, integers beyond 64 bits, circular references: shown as text rather than not at all
            shown = {key: value if isinstance(value, (int, float)) else _shown(value) for key, value in fields.items()}
            return orjson.dumps(shown, default=str, option=self._options).decode()


def _shown(value: Any) -> str | None:
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def format_exception_info(exc_info: ExceptionInfo | tuple[None, None, None]) -> dict[str, str | None]:
    """The type, message and traceback of an exception as texts.

    Args:
        exc_info: what `sys.exc_info()` gives.
    """
    kind, error, trace = exc_info
    return {
        "type": kind.__name__ if kind else None,
        "message": str(error) if error is not None else None,
        "traceback": "".join(traceback.format_tb(trace)) if trace is not None else None,
    }
