"""Work pools and workers; deployments are made as for runners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prefect.workers.base import BaseWorker
from runner.conftest import (
    Deployments,
    InThread,
    api,
    code,
    deployments,
    one_server,
    place,
    places,
    pytest_generate_tests,
    wait_for,
)

__all__ = [
    "Deployments",
    "InThread",
    "Work",
    "api",
    "code",
    "deployments",
    "one_server",
    "place",
    "places",
    "pytest_generate_tests",
    "starting",
    "wait_for",
]

Work = Callable[..., Any]


def starting() -> Iterator[Work]:
    """For fixtures: what starts a worker, which is stopped at the end of the test."""
    started: list[tuple[Any, InThread]] = []

    def start(worker: BaseWorker[Any, Any, Any], **options: Any) -> Any:
        thread = InThread(lambda: worker.start(printer=lambda *_: None, **options))
        started.append((worker, thread))
        wait_for(lambda: worker.is_setup or thread.error, "The worker starts")
        if thread.error is not None:
            raise thread.error
        return worker

    yield start
    for worker, thread in started:
        if worker.is_setup:
            worker.stop()
        thread.join()
