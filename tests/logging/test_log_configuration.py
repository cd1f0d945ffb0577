"""Setting logging up: the default, the environment, files."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from prefect.exceptions import ConfigurationError
from prefect.logging import configuration, get_logger
from prefect.logging.configuration import (
    PROCESS_LOGGING_CONFIG,
    default_logging_config,
    ensure_logging_setup,
    load_logging_config,
    setup_logging,
)
from prefect.logging.formatters import JsonFormatter
from prefect.logging.handlers import APILogHandler, PrefectConsoleHandler
from prefect.settings import temporary_settings

pytestmark = pytest.mark.usefixtures("tree")


def _snapshot() -> dict[str, Any]:
    def describe(handler: logging.Handler) -> tuple[Any, ...]:
        formatter = handler.formatter
        formats = (
            {**vars(formatter), "_style": None, "_run_styles": None, "_fmt": formatter._fmt} if formatter else None
        )
        return type(handler), handler.level, handler.get_name(), type(formatter), formats

    names = ["", *default_logging_config()["loggers"]]
    loggers = {name: logging.getLogger(name) for name in names}
    return {
        name: (logger.level, logger.propagate, [describe(handler) for handler in logger.handlers])
        for name, logger in loggers.items()
    }


def test_the_short_cut_sets_up_what_dict_config_would() -> None:
    setup_logging()
    ours = _snapshot()
    logging.config.dictConfig(default_logging_config())
    assert _snapshot() == ours


def test_the_configuration_in_force_is_kept_in_one_dictionary() -> None:
    before = PROCESS_LOGGING_CONFIG
    assert not PROCESS_LOGGING_CONFIG
    returned = setup_logging()
    assert before == returned
    assert before["incremental"] is False
    assert setup_logging()["incremental"] is True


def test_setting_up_again_changes_levels_only() -> None:
    setup_logging()
    handlers = logging.getLogger().handlers[:]
    with temporary_settings({"PREFECT_LOGGING_LEVEL": "DEBUG"}):
        setup_logging()
    assert logging.getLogger("prefect").level == logging.DEBUG
    assert logging.getLogger().handlers == handlers


def test_setting_up_anew_does_not_double_handlers() -> None:
    setup_logging()
    setup_logging(incremental=False)
    assert len(logging.getLogger().handlers) == 1
    assert len(logging.getLogger("prefect.flow_runs").handlers) == 1


def test_a_root_logger_of_the_users_is_left_alone() -> None:
    root, mine = logging.getLogger(), logging.StreamHandler(io.StringIO())
    root.addHandler(mine)
    root.setLevel(logging.DEBUG)
    setup_logging()
    assert root.handlers == [mine]
    assert root.level == logging.DEBUG
    assert isinstance(logging.getLogger("prefect.flow_runs").handlers[0], APILogHandler)


def test_many_threads_set_logging_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = configuration._apply
    monkeypatch.setattr(configuration, "_apply", lambda config: (calls.append(1), real(config)))
    barrier = threading.Barrier(8)

    def run() -> None:
        barrier.wait()
        ensure_logging_setup()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_the_environment_overrides_single_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_ROOT_LEVEL", "INFO")
    monkeypatch.setenv("PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL", "ERROR")
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER", "json")
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_API_LEVEL", "30")
    monkeypatch.setenv("PREFECT_LOGGING_LOGGERS_UVICORN_PROPAGATE", "true")
    setup_logging()
    assert logging.getLogger().level == logging.INFO
    assert logging.getLogger("prefect.flow_runs").level == logging.ERROR
    assert isinstance(logging.getLogger().handlers[0].formatter, JsonFormatter)
    assert logging.getLogger("prefect.task_runs").handlers[0].level == 30
    assert logging.getLogger("uvicorn").propagate is True


def test_json_on_the_console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER", "json")
    setup_logging()
    get_logger("x").info("hello %s", "you")
    shown = json.loads(capsys.readouterr().err)
    assert (shown["name"], shown["severity"], shown["message"]) == ("prefect.x", "INFO", "hello you")


def test_an_override_that_cannot_be_is_refused_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER", "jsn")
    with pytest.raises(ConfigurationError, match=r"PREFECT_LOGGING_\.\.\. variables: there is no formatter 'jsn'"):
        setup_logging()


FILE = """
version: 1
disable_existing_loggers: false
formatters:
  short: {format: "%(levelname)s %(message)s"}
handlers:
  console:
    class: prefect.logging.handlers.PrefectConsoleHandler
    formatter: short
    stream: ext://sys.stdout
    styles: {log.info_level: bold}
loggers:
  prefect: {level: "${PREFECT_LOGGING_LEVEL}"}
root: {level: WARNING, handlers: [console]}
"""


def test_a_file_takes_the_place_of_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "logging.yml"
    file.write_text(FILE)
    monkeypatch.setenv("PREFECT_LOGGING_ROOT_LEVEL", "ERROR")
    with temporary_settings({"PREFECT_LOGGING_SETTINGS_PATH": file, "PREFECT_LOGGING_LEVEL": "DEBUG"}):
        setup_logging()
    assert logging.getLogger("prefect").level == logging.DEBUG
    assert logging.getLogger().level == logging.ERROR
    [console] = logging.getLogger().handlers
    assert isinstance(console, PrefectConsoleHandler)
    assert console.formatter is not None
    assert console.formatter._fmt == "%(levelname)s %(message)s"


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1, 2", "cannot be read"), ("- 1", "is not a dictionary"), ("version: 7", "Unsupported version")],
)
def test_a_faulty_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "logging.yml"
    file.write_text(text)
    with (
        temporary_settings({"PREFECT_LOGGING_SETTINGS_PATH": file}),
        pytest.raises(ConfigurationError, match=rf"(?s)logging\.yml.*{message}"),
    ):
        setup_logging()


def test_load_logging_config_reads_without_applying(tmp_path: Path) -> None:
    file = tmp_path / "logging.yml"
    file.write_text(FILE)
    assert load_logging_config(file)["loggers"]["prefect"]["level"] == "INFO"
    assert load_logging_config()["version"] == 1
    assert not logging.getLogger().handlers


def test_extra_loggers_are_recorded_inside_runs(rows: list[Any], flow_run: Any) -> None:
    with temporary_settings({"PREFECT_LOGGING_EXTRA_LOGGERS": "mylib"}):
        setup_logging()
        setup_logging()
    logging.getLogger("mylib").warning("from a library")
    assert [(row[0], row[2], row[4]) for row in rows] == [("mylib", "from a library", flow_run.id)]


def test_setting_up_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from prefect.logging.configuration import ensure_logging_setup\n"
        "from prefect.logging import get_logger\n"
        "ensure_logging_setup()\n"
        "get_logger().info('shown')\n"
        "heavy = {'pydantic', 'sqlalchemy', 'asyncio', 'rich', 'yaml', 'jinja2', 'httpx', 'logging.config', 'anyio'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PREFECT_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert "| INFO    | prefect - shown" in done.stderr
