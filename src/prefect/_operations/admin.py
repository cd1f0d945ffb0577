"""About the server itself."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa

import prefect
from prefect._operations.registry import operation
from prefect._schemas.base import PrefectBaseModel
from prefect.settings import get_current_settings

SERVER_API_VERSION = "0.8.4"
"""The version of the API's shape that we answer like; clients compare it with theirs."""


class Ready(PrefectBaseModel):
    """That the server can do its work."""

    message: Literal["OK"] = "OK"


@operation("GET", "/health")
def health_check(tx: sa.Connection) -> bool:
    """Whether the server answers at all."""
    return True


@operation("GET", "/ready")
def readiness_check(tx: sa.Connection) -> Ready:
    """Whether the database can be reached: the answer is an error when it cannot."""
    tx.execute(sa.select(1))
    return Ready()


@operation("GET", "/hello")
def hello(tx: sa.Connection) -> str:
    """Say hello."""
    return "👋"


@operation("GET", "/version")
def read_api_version(tx: sa.Connection) -> str:
    """The version of the API."""
    return SERVER_API_VERSION


@operation("GET", "/admin/version")
def read_version(tx: sa.Connection) -> str:
    """The version of the server, of the form that clients compare with their own: without what follows a `+`."""
    return prefect.__version__.partition("+")[0]


@operation("GET", "/admin/settings")
def read_settings(tx: sa.Connection) -> dict[str, Any]:
    """The settings of the server; secret values are masked."""
    return get_current_settings().model_dump(mode="json")
