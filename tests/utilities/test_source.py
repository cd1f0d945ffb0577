"""Looking into source (`prefect._scripts`)."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
from collections.abc import Iterator

import pytest

from prefect._scripts import syntax_tree

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
