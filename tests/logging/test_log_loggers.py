"""Loggers of runs, print as a logger, helpers for tests; formatters and filters."""

from __future__ import annotations

import builtins
import contextvars
import io
import json
import logging
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import flow_frame
from prefect._engine.frames import current_flow
from prefect.exceptions import MissingContextError
from prefect.logging import (
    LogEavesdropper,
    PrefectLogAdapter,
    disable_logger,
    disable_run_logger,
    flow_run_logger,
    get_logger,
    get_run_logger,
    get_worker_logger,
    patch_print,
    print_as_log,
    task_run_logger,
)
from prefect.logging.configuration import setup_logging
from prefect.logging.filters import ObfuscateApiKeyFilter, redact_substr
from prefect.logging.formatters import JsonFormatter, PrefectFormatter, format_exception_info
from prefect.settings import temporary_settings

pytestmark = pytest.mark.usefixtures("tree")


def test_names_of_loggers() -> None:
    assert get_logger().name == "prefect"
    assert get_logger("prefect") is get_logger()
    assert get_logger("a").name == "prefect.a"
    assert get_logger("prefect.a") is get_logger("a")


def test_the_fields_of_a_flow_runs_logger(flow_run: Any) -> None:
    logger = get_run_logger()
    assert logger.name == "prefect.flow_runs"
    assert logger.extra == {
        "flow_run_name": "fast-fox",
        "flow_run_id": flow_run.id,
        "flow_name": "My Flow",
        "deployment_name": None,
    }
    assert get_run_logger() is logger
    assert get_run_logger(more=1).extra == {**logger.extra, "more": 1}
    flow_run.name = "renamed"
    assert get_run_logger().extra["flow_run_name"] == "renamed"


def test_the_fields_of_a_task_runs_logger(task_run: Any) -> None:
    logger = get_run_logger()
    assert logger.name == "prefect.task_runs"
    assert logger.extra == {
        "task_run_id": task_run.id,
        "flow_run_id": task_run.flow_run_id,
        "task_run_name": "My Task-1a2",
        "task_name": "My Task",
        "flow_run_name": "fast-fox",
        "flow_name": "My Flow",
    }


def test_loggers_of_runs_that_are_not_current() -> None:
    run = SimpleNamespace(id="1", name="r")
    assert flow_run_logger(run, SimpleNamespace(name="f"), x=1).extra == {
        "flow_run_name": "r",
        "flow_run_id": "1",
        "flow_name": "f",
        "deployment_name": None,
        "x": 1,
    }
    assert flow_run_logger(flow_run_id="2").extra["flow_run_id"] == "2"
    task_run = SimpleNamespace(id="t", name="tn", flow_run_id="1")
    extra = task_run_logger(task_run).extra
    assert (extra["task_name"], extra["flow_run_name"], extra["flow_name"]) == ("<unknown>",) * 3
    extra = task_run_logger(task_run, SimpleNamespace(name="t"), run, SimpleNamespace(name="f")).extra
    assert (extra["task_name"], extra["flow_run_name"], extra["flow_name"]) == ("t", "r", "f")


def test_a_context_may_be_given() -> None:
    run = SimpleNamespace(id="1", name="r", flow_run_id=None)
    assert get_run_logger(SimpleNamespace(flow_run=run, flow=None)).extra["flow_run_name"] == "r"
    assert get_run_logger(SimpleNamespace(task_run=run, task=None)).extra["task_run_name"] == "r"
    with pytest.raises(MissingContextError, match="SimpleNamespace"):
        get_run_logger(SimpleNamespace())


def test_outside_a_run_the_error_says_what_to_do() -> None:
    with pytest.raises(MissingContextError, match="disable_run_logger"):
        get_run_logger()


def test_a_thread_with_the_runs_context_logs_to_the_run(flow_run: Any) -> None:
    found = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: found.append(context.run(get_run_logger)))
    thread.start()
    thread.join()
    assert found[0].extra["flow_run_id"] == flow_run.id


def test_adapters_add_fields_and_have_children(caplog: pytest.LogCaptureFixture) -> None:
    adapter = PrefectLogAdapter(logging.getLogger("mylib"), {"a": 1})
    assert adapter.process("m", {"extra": {"b": 2}}) == ("m", {"extra": {"a": 1, "b": 2}})
    child = adapter.getChild("kid", {"c": 3})
    assert (child.name, child.extra) == ("mylib.kid", {"a": 1, "c": 3})
    assert PrefectLogAdapter(logging.getLogger("mylib")).getChild("x").extra == {}


def test_worker_loggers() -> None:
    class Worker:
        type = "process"
        name = "Bee"
        backend_id: Any = None

    worker = Worker()
    assert get_worker_logger(worker).name == "prefect.workers.process.bee"
    worker.backend_id = "7"
    logger = get_worker_logger(worker, "mine")
    assert isinstance(logger, PrefectLogAdapter)
    assert (logger.name, logger.extra) == ("prefect.mine", {"worker_id": "7"})


def test_disabled_loggers_are_given_back(flow_run: Any) -> None:
    with disable_logger("mylib"):
        assert logging.getLogger("mylib").disabled
    assert not logging.getLogger("mylib").disabled
    with LogEavesdropper("prefect.flow_runs") as heard, disable_run_logger():
        get_run_logger().error("silent")
    assert heard.text() == ""


def test_without_a_run_a_disabled_run_logger_is_there() -> None:
    with disable_run_logger():
        get_run_logger().info("nothing")


def test_the_eavesdropper_hears_what_is_loud_enough() -> None:
    with LogEavesdropper("mylib", level=logging.WARNING) as heard:
        logging.getLogger("mylib").warning("a %d", 1)
        logging.getLogger("mylib.child").error("b")
        logging.getLogger("mylib").info("c")
    logging.getLogger("mylib").warning("later")
    assert heard.text() == "[WARNING]: a 1\n[ERROR]: b"


# ── print ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def printing(flow_run: Any) -> Any:
    flow_run.log_prints = True
    return flow_run


def test_print_goes_to_the_log(rows: list[Any], printing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    with patch_print():
        print("a", 2, sep="-", end="!")
        print("100 %s")
        print("err", file=sys.stderr)
        print()
    assert [row[2] for row in rows] == ["a-2!", "100 %s", "err", ""]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Flow run 'fast-fox' - a-2!" in shown.err


def test_print_to_a_file_goes_to_the_file(rows: list[Any], printing: Any) -> None:
    buffer = io.StringIO()
    with patch_print():
        print("x", file=buffer)
    assert buffer.getvalue() == "x\n"
    assert rows == []


def test_print_is_print_without_a_run_that_wants_it(
    rows: list[Any], flow_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with patch_print():
        print("x")
    print_as_log("y")
    assert capsys.readouterr().out == "x\ny\n"
    assert rows == []


def test_printed_lines_tell_where_they_come_from(printing: Any) -> None:
    setup_logging()
    found: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    logging.getLogger("prefect.flow_runs").addHandler(handler)
    with patch_print():
        print("here")
    assert (found[0].filename, found[0].funcName) == (
        "test_log_loggers.py",
        "test_printed_lines_tell_where_they_come_from",
    )


def test_a_handler_may_print(printing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    handler = logging.Handler()
    handler.emit = lambda record: print("handled", record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("prefect.flow_runs").addHandler(handler)
    with patch_print():
        print("once")
    assert capsys.readouterr().out == "handled once\n"


def test_print_is_given_back_by_the_last_of_many_threads() -> None:
    real = builtins.print
    inside = threading.Barrier(4)
    first_out = threading.Event()

    def run(first: bool) -> None:
        with patch_print():
            inside.wait()
            if not first:
                first_out.wait()
                assert builtins.print is print_as_log
        if first:
            first_out.set()

    threads = [threading.Thread(target=run, args=(number == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builtins.print is real


def test_two_runs_at_once_print_to_their_own_logs(rows: list[Any]) -> None:
    setup_logging()
    frames = [flow_frame(log_prints=True) for _ in range(2)]
    both = threading.Barrier(2)

    def run(frame: Any) -> None:
        current_flow.set(frame)
        with patch_print():
            both.wait()
            print(frame.id)

    threads = [threading.Thread(target=run, args=(frame,)) for frame in frames]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((row[2], row[4]) for row in rows) == sorted((frame.id, frame.id) for frame in frames)


# ── formatters and filters ──────────────────────────────────────────────────────────────────────────────────────────


def _record(message: str, *args: Any, name: str = "prefect.x", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "/a/b.py", 3, message, args, None, "fn")
    made.__dict__.update(fields)
    return made


def test_formats_by_logger_and_style() -> None:
    formatter = PrefectFormatter(
        "{message}",
        style="{",
        flow_run_fmt="F {flow_run_name} {message} {more}",
        task_run_fmt="T {task_run_name} {message}",
        defaults={"more": "-"},
    )
    assert formatter.format(_record("m")) == "m"
    assert formatter.format(_record("m", name="prefect.flow_runs", flow_run_name="r")) == "F r m -"
    assert formatter.format(_record("m", name="prefect.task_runs", task_run_name="r")) == "T r m"
    assert formatter.format(_record("m", name="prefect.flow_runs")) == "m"
    with pytest.raises(ValueError, match="format"):
        PrefectFormatter("%(message)s", flow_run_fmt="nothing in it")


@given(st.floats(min_value=0, max_value=4e9), st.floats(min_value=0, max_value=4e9))
def test_times_are_those_of_the_standard_formatter(first: float, second: float) -> None:
    ours, standard = PrefectFormatter(datefmt="%H:%M:%S"), logging.Formatter(datefmt="%H:%M:%S")
    for created in (first, second, first):
        record = _record("m", created=created)
        assert ours.formatTime(record, "%H:%M:%S") == standard.formatTime(record, "%H:%M:%S")


def test_json_of_a_record() -> None:
    record = _record("msg %s", "z", flow_run_id="q", odd={1: object}, path=io)
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        record.exc_info = sys.exc_info()
    shown = json.loads(JsonFormatter("default", None, "%").format(record))
    assert (shown["msg"], shown["args"], shown["message"], shown["flow_run_id"]) == ("msg %s", ["z"], "msg z", "q")
    assert shown["exc_info"]["type"] == "ZeroDivisionError"
    assert "raise ZeroDivisionError" in shown["exc_info"]["traceback"]
    assert JsonFormatter("pretty").format(record).startswith('{\n  "name"')
    with pytest.raises(ValueError, match="'pretty' or 'default'"):
        JsonFormatter("ugly")


def test_json_of_what_json_cannot_say() -> None:
    shown = json.loads(JsonFormatter().format(_record("\ud800 %d", 2**70)))
    assert shown["message"] == f"\\ud800 {2**70}"


def test_exception_info_without_an_exception() -> None:
    assert format_exception_info((None, None, None)) == {"type": None, "message": None, "traceback": None}


def test_redacting() -> None:
    value = {"a": ["xx key yy"], "b": ("key", 1), "key": 3, "c": {"d": {"key"}}}
    assert redact_substr(value, "key") == {
        "a": ["xx ******** yy"],
        "b": ("********", 1),
        "********": 3,
        "c": {"d": {"********"}},
    }
    untouched = {"a": [1, "b"]}
    assert redact_substr(untouched, "key") is untouched


def test_the_filter_hides_the_key_from_handlers_of_ones_own() -> None:
    with temporary_settings({"PREFECT_API_KEY": "pnu_1"}):
        record = _record("key %s and pnu_1", "pnu_1")
        assert ObfuscateApiKeyFilter().filter(record)
        mapping = _record("%(k)s", {"k": "pnu_1"})
        assert ObfuscateApiKeyFilter().filter(mapping)
    assert record.getMessage() == "key ******** and ********"
    assert mapping.getMessage() == "********"
