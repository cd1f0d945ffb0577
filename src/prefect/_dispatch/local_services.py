"""What a server would do beside answering, where there is none: make scheduled runs, see to late ones and ended leases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect._services import local
else:
    local = lazy_module("prefect._services.local")


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Do that for the duration of a `with` block, if the runs are in the local database."""
    if get_current_settings().api.url or find_spec("prefect._services.local") is None:
        yield
        return
    services = local.start_local_services()
    try:
        yield
    finally:
        services.stop()
