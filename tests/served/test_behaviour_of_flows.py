"""What flows do, with runs that a server records; on PostgreSQL with `--soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from behaviour.conftest import calls as calls
from behaviour.conftest import logs as logs
from behaviour.conftest import storage as storage
from behaviour.test_flows import *  # noqa: F403
from prefect.settings import context as settings_context
from prefect.settings import get_current_settings

from .servers import Server


@pytest.fixture(autouse=True)
def recorded_by(
    request: pytest.FixtureRequest, server: Server, soak: bool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """Whoever records the runs of these tests, those on threads that know of no context among them."""
    if not soak and request.node.callspec.params["server"] == "postgresql":
        pytest.skip("runs with --soak")
    monkeypatch.setitem(settings_context._process, "settings", get_current_settings())
    yield server
