"""A part of the behaviour suite, with runs that a server records: what flows do does not depend on who records them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from behaviour.conftest import calls as calls
from behaviour.conftest import logs as logs
from behaviour.conftest import storage as storage
from behaviour.test_hooks import *  # noqa: F403
from behaviour.test_pause_and_signals import *  # noqa: F403
from behaviour.test_retries import *  # noqa: F403
from prefect.settings import context as settings_context
from prefect.settings import get_current_settings

from .servers import Server


@pytest.fixture(autouse=True)
def recorded_by(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Whoever records the runs of these tests, those on threads that know of no context among them."""
    monkeypatch.setitem(settings_context._process, "settings", get_current_settings())
    yield server
