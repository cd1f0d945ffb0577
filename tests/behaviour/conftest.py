"""One isolated database for the whole suite; a fresh result storage and a log recorder for each test that asks."""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The home must be set before the first import of the package, whose settings are read once.
os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="behaviour-home-"))

from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from .support import PEER, Calls, Recorder


# the peer starts a server for it; here it costs nothing, and other tests of the process want their own settings back
@pytest.fixture(scope="session" if PEER else "module", autouse=True)
def harness() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """Directory in which the results of this test are kept."""
    path = tmp_path / "storage"
    with temporary_settings(updates={PREFECT_LOCAL_STORAGE_PATH: path}):
        yield path


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def logs() -> Iterator[Recorder]:
    """Records of `prefect.flow_runs` and `prefect.task_runs` while the test runs."""
    recorder = Recorder()
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(recorder)
    yield recorder
    for logger in loggers:
        logger.removeHandler(recorder)
