"""What parses Python, beside other threads that do so (`prefect._parsing`)."""

from __future__ import annotations

import ast
import gc
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from prefect._scripts import syntax_tree
from prefect.exceptions import exception_traceback
from prefect.logging.handlers import APILogHandler
from prefect.states import format_exception

_SOURCE = "\n".join(f"def f{number}(a: int = 1, *b, c=None): return [x for x in a if x]" for number in range(60))


class Garbage:
    """Only the collector finds it, and lets other threads in when it does."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(50):
            pass


@pytest.fixture
def many_switches() -> Iterator[None]:
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50, 5, 5)
    sys.setswitchinterval(1e-5)
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("many_switches")
def test_threads_parse_beside_each_other() -> None:
    stop = threading.Event()

    def look(depth: int = 30) -> None:
        if depth:
            look(depth - 1)
        else:
            Garbage()
            inspect.signature(len)  # parses the text of a signature

    def others() -> None:
        while not stop.is_set():
            try:
                look()
            except SystemError:  # it has the same trouble, and nobody to help it
                continue

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            Garbage()
            assert len(syntax_tree(_SOURCE).body) == 60
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert gc.isenabled()


def _logged(error: BaseException) -> str:
    record = logging.LogRecord(
        "x", logging.ERROR, __file__, 1, "It failed", (), (type(error), error, error.__traceback__)
    )
    record.flow_run_id = str(uuid4())
    return str(APILogHandler().prepare(record)["message"])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tracebacks do not mark what failed in a line")
@pytest.mark.parametrize("text", [format_exception, exception_traceback, _logged])
def test_a_traceback_that_another_thread_disturbs(
    text: Callable[[BaseException], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = ast.parse
    disturbed: list[str] = []

    def disturbed_once(source: str, *args: Any, **kwargs: Any) -> ast.AST:
        if not disturbed:
            disturbed.append(source)
            raise SystemError("AST constructor recursion depth mismatch (before=261, after=63)")
        return parse(source, *args, **kwargs)

    monkeypatch.setattr(ast, "parse", disturbed_once)
    try:
        print((1 + 2) / (3 - 3))
    except ZeroDivisionError as error:
        told = text(error)
    assert "ZeroDivisionError: division by zero" in told
    assert "(1 + 2) / (3 - 3)" in disturbed[0]
