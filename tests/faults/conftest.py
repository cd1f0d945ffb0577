"""Processes that run flows under load, and a look at what they leave in the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect._engine.recorder import database_path
from prefect._store.sqlite import connect
from prefect.settings import get_current_settings

NAME = Path(database_path(get_current_settings())).name
"""What the file in a home is called."""


@pytest.fixture
def query(home: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Rows of the run database of the test's home."""

    def run(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection = connect(str(home / NAME), read_only=True)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    return run


@pytest.fixture
def script(home: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python program on the test's home; programs that are still there at the end are killed."""
    started: list[subprocess.Popen[str]] = []
    file = tmp_path / "program.py"

    def start(source: str, *arguments: str) -> subprocess.Popen[str]:
        if not file.exists():
            file.write_text(source)
        environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "INFO"}
        # the output goes to files: a pipe that nobody reads would stop the program
        out, err = (open(tmp_path / f"{name}-{len(started)}", "w") for name in ("out", "err"))  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, str(file), *arguments], stdout=out, stderr=err, env=environment, text=True
        )
        process.out, process.err = out, err  # type: ignore[attr-defined]
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.out.close()  # type: ignore[attr-defined]
        process.err.close()  # type: ignore[attr-defined]


def text_of(stream: Any) -> str:
    """What a program has printed so far."""
    with open(stream.name) as file:
        return file.read()


def until(condition: Callable[[], Any], deadline: float = 30.0) -> Any:
    end = time.monotonic() + deadline
    while True:
        try:
            value = condition()
        except sqlite3.OperationalError:  # the database is just being made
            value = None
        if value:
            return value
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)
