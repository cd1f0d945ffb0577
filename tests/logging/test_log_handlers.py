"""The console, and what is recorded."""

from __future__ import annotations

import io
import logging
import pickle
import re
import sys
import uuid
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import task_frame
from prefect._engine.frames import current_task
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.logging import sink as _sink
from prefect.logging._colors import paint
from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import (
    APILogHandler,
    PrefectConsoleHandler,
    WorkerAPILogHandler,
    _recordable,
    emit_api_log,
    set_api_log_sink,
)
from prefect.settings import temporary_settings

RUN = str(uuid.UUID(int=3))


def record(message: Any = "hello", *args: Any, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("prefect.flow_runs", logging.INFO, "flow.py", 3, message, args, None)
    made.__dict__.update(fields)
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# ── recording ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_flow_runs_lines_are_recorded_in_order(rows: list[Any], flow_run: Any) -> None:
    setup_logging()
    logger = get_run_logger()
    logger.info("one %s", 1)
    logger.debug("not shown, not recorded")
    logger.error("two")
    assert [row[:3] + row[4:] for row in rows] == [
        ("prefect.flow_runs", 20, "one 1", flow_run.id, None, None),
        ("prefect.flow_runs", 40, "two", flow_run.id, None, None),
    ]
    assert rows[0][3] <= rows[1][3]


def test_a_task_runs_lines_carry_both_ids(rows: list[Any], task_run: Any) -> None:
    setup_logging()
    get_run_logger().info("hi")
    assert rows[0][4:] == (task_run.flow_run_id, task_run.id, None)


def test_a_task_run_outside_a_flow_is_recorded_too(rows: list[Any]) -> None:
    setup_logging()
    frame = task_frame()
    token = current_task.set(frame)
    get_run_logger().info("hi")
    current_task.reset(token)
    assert rows[0][4:] == (None, frame.id, None)


def test_tracebacks_are_recorded(rows: list[Any], flow_run: Any) -> None:
    setup_logging()
    try:
        raise ValueError("boom")
    except ValueError:
        get_run_logger().exception("it broke")
    assert rows[0][2].startswith("it broke\nTraceback")
    assert rows[0][2].endswith("ValueError: boom")


def test_lines_can_be_kept_from_the_record(rows: list[Any], flow_run: Any) -> None:
    setup_logging()
    get_run_logger().info("private", extra={"send_to_api": False})
    with temporary_settings({"PREFECT_LOGGING_TO_API_ENABLED": False}):
        get_run_logger().info("nothing is recorded")
    assert rows == []


@pytest.mark.parametrize("missing", ["warn", "error", "ignore"])
def test_outside_a_run_the_setting_decides(rows: list[Any], missing: str) -> None:
    logger = logging.getLogger("mylib")
    logger.addHandler(APILogHandler())
    with temporary_settings({"PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": missing}):
        if missing == "error":
            with pytest.raises(MissingContextError, match="'mylib'"):
                logger.error("x")
        elif missing == "warn":
            with pytest.warns(UserWarning, match="'mylib'") as caught:
                logger.error("x")
            assert caught[0].filename == __file__
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                logger.error("x")
    assert rows == []


def test_ids_in_extra_win(rows: list[Any], flow_run: Any) -> None:
    APILogHandler().emit(record(flow_run_id=uuid.UUID(int=3)))
    assert rows[0][4:] == (RUN, None, None)


def test_a_line_that_cannot_be_formatted_is_reported_and_the_code_goes_on(
    rows: list[Any], flow_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    APILogHandler().emit(record("bad %d", "x"))
    assert rows == []
    assert "Logging error" in capsys.readouterr().err


def test_prepare_shows_what_would_be_recorded() -> None:
    made = record("hi %s", "you", flow_run_id=RUN)
    made.created = 0.5
    assert APILogHandler().prepare(made) == {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": "hi you",
        "timestamp": "1970-01-01T00:00:00.500000Z",
        "flow_run_id": RUN,
        "task_run_id": None,
    }
    with pytest.raises(MissingContextError):
        APILogHandler().prepare(record())


def test_worker_lines_need_a_worker_id(rows: list[Any]) -> None:
    WorkerAPILogHandler().emit(record())
    WorkerAPILogHandler().emit(record(worker_id=RUN))
    assert [row[4:] for row in rows] == [(None, None, RUN)]


def test_long_lines_are_cut(rows: list[Any], flow_run: Any) -> None:
    with temporary_settings({"PREFECT_LOGGING_TO_API_MAX_LOG_SIZE": 500}):
        APILogHandler().emit(record("m" * 5000))
    assert len(rows[0][2]) == 500
    assert rows[0][2].endswith("m... [truncated]")


@given(st.text(alphabet=st.characters(), max_size=80), st.integers(20, 60))
def test_every_message_is_made_fit_for_a_database(message: str, limit: int) -> None:
    made = _recordable(message, limit)
    assert len(made.encode("utf-8")) <= limit
    assert "\0" not in made
    fits = "\0" not in message and len(message.encode("utf-8", "backslashreplace")) <= limit
    if fits and message.isprintable():
        assert made == message


def test_lines_wait_for_a_sink(tree: None, flow_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sink, "_sink", None)
    monkeypatch.setattr(_sink, "BUFFERED", 3)
    monkeypatch.setattr(_sink, "_waiting", type(_sink._waiting)(maxlen=3))
    for number in range(5):
        APILogHandler().emit(record("%d", number))
    found: list[Any] = []
    _sink.set_sink(found.append)
    assert [row[2] for row in found] == ["2", "3", "4"]
    assert _sink._dropped == 0


async def test_flushing_reaches_the_sink(rows: list[Any]) -> None:
    flushed = []
    _sink.set_sink(rows.append, lambda: flushed.append(1))
    APILogHandler().flush()
    await APILogHandler.aflush()
    assert flushed == [1, 1]


def test_lines_travel_from_one_process_to_another(rows: list[Any], task_run: Any) -> None:
    travelling: list[dict[str, Any]] = []
    set_api_log_sink(travelling.append)
    try:
        APILogHandler().emit(record("in the child"))
    finally:
        set_api_log_sink(None)
    assert rows == []
    emit_api_log(pickle.loads(pickle.dumps(travelling[0])))
    name, level, message, moment, *ids = rows[0]
    assert (name, level, message) == ("prefect.flow_runs", 20, "in the child")
    assert isinstance(moment, int)
    assert ids == [task_run.flow_run_id, task_run.id, None]


@pytest.mark.parametrize("setting", ["PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"])
def test_credentials_are_neither_shown_nor_recorded(rows: list[Any], flow_run: Any, setting: str) -> None:
    stream = io.StringIO()
    console = PrefectConsoleHandler(stream)
    console.setFormatter(logging.Formatter("%(message)s"))
    with temporary_settings({setting: "s3cret"}):
        try:
            raise ValueError("s3cret in a traceback")
        except ValueError:
            made = record("key %r", {"k": "s3cret"})
            made.exc_info = sys.exc_info()
        console.emit(made)
        APILogHandler().emit(made)
    assert "s3cret" not in stream.getvalue() + rows[0][2]
    assert "********" in stream.getvalue()
    assert "********" in rows[0][2]


# ── the console ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lines_of_runs_name_the_run(tree: None, task_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    get_run_logger().info("from the task")
    get_run_logger(task_run.flow_frame).warning("from the flow")
    get_logger("x").info("from elsewhere")
    logging.getLogger("mylib").warning("a library")
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} \| ", line) for line in lines)
    assert [line.split(" | ", 1)[1] for line in lines] == [
        "INFO    | Task run 'My Task-1a2' - from the task",
        "WARNING | Flow run 'fast-fox' - from the flow",
        "INFO    | prefect.x - from elsewhere",
        "WARNING | mylib - a library",
    ]


def test_a_record_without_a_run_on_a_runs_logger_is_shown_all_the_same(
    rows: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging()
    with temporary_settings({"PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}):
        logging.getLogger("prefect.flow_runs").warning("stray")
    assert "| WARNING | prefect.flow_runs - stray" in capsys.readouterr().err


def test_colours_on_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    line = "INFO Flow run 'a' Finished in state Completed() http://host/x."

    def show(stream: io.StringIO) -> str:
        handler = PrefectConsoleHandler(stream)
        handler.emit(record(line))
        return stream.getvalue()

    assert show(io.StringIO()) == line + "\n"
    colored = show(Terminal())
    assert "\x1b[36mINFO\x1b[0m Flow run\x1b[35m 'a'\x1b[0m" in colored
    assert "\x1b[32mCompleted\x1b[0m()" in colored
    assert "\x1b[94mhttp://host/x\x1b[0m." in colored
    with temporary_settings({"PREFECT_LOGGING_COLORS": False}):
        assert show(Terminal()) == line + "\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert show(Terminal()) == line + "\n"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert show(io.StringIO()) == colored


@given(st.text(max_size=60), st.sampled_from(["INFO", "ERROR", "DEBUG"]))
def test_painting_adds_codes_and_nothing_else(text: str, level: str) -> None:
    text = text.replace("\x1b", "")
    assert re.sub(r"\x1b\[[\d;]+m", "", paint(text, level)) == text


def test_markup_is_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    handler = PrefectConsoleHandler()
    handler.emit(record("[bold]plain[/]"))
    with temporary_settings({"PREFECT_LOGGING_MARKUP": True}):
        handler.emit(record("[bold]read[/]"))
        handler.emit(record("no [/markup] at all"))
    assert capsys.readouterr().err.splitlines() == ["[bold]plain[/]", "read", "no [/markup] at all"]


def test_styles_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    PrefectConsoleHandler(stream, styles={"log.info_level": "bold"}).emit(record("INFO is bold"))
    assert "\x1b[1mINFO\x1b[0m is bold" in stream.getvalue()


def test_stderr_is_looked_up_when_something_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    handler = PrefectConsoleHandler()
    handler.emit(record("one"))
    other = io.StringIO()
    monkeypatch.setattr(sys, "stderr", other)
    handler.emit(record("two"))
    monkeypatch.setattr(sys, "stderr", None)
    handler.emit(record("nobody sees this"))
    assert other.getvalue() == "two\n"
