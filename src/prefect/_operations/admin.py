"""About the server itself."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

import prefect
from prefect._operations import edits, rows
from prefect._operations.errors import Invalid
from prefect._operations.registry import operation
from prefect._schemas.base import PrefectBaseModel
from prefect._store.tables import block_document, block_schema, configuration
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


class ShownSettings(PrefectBaseModel):
    """Settings as they are shown: groups of values by name."""

    home: str
    profiles_path: str
    debug_mode: bool
    api: dict[str, Any]
    cli: dict[str, Any]
    client: dict[str, Any]
    cloud: dict[str, Any]
    deployments: dict[str, Any]
    events: dict[str, Any]
    experiments: dict[str, Any]
    flows: dict[str, Any]
    internal: dict[str, Any]
    logging: dict[str, Any]
    plugins: dict[str, Any]
    results: dict[str, Any]
    runner: dict[str, Any]
    server: dict[str, Any]
    tasks: dict[str, Any]
    telemetry: dict[str, Any]
    testing: dict[str, Any]
    worker: dict[str, Any]
    ui_url: str | None
    silence_api_url_misconfiguration: bool


@operation("GET", "/admin/settings")
def read_settings(tx: sa.Connection) -> ShownSettings:
    """The settings of the server; secret values are masked."""
    return ShownSettings.model_validate(get_current_settings().model_dump(mode="json"))


class ResultStorage(PrefectBaseModel):
    """Where results are stored for who does not say where."""

    default_result_storage_block_id: UUID | None = None


class SetResultStorage(PrefectBaseModel):
    """Where results are to be stored for who does not say where."""

    default_result_storage_block_id: UUID


_STORAGE = "server-default-result-storage"
_WRITES = "write-path"


@operation("GET", "/admin/storage")
def read_server_default_result_storage(tx: sa.Connection) -> ResultStorage:
    """Where results are stored for who does not say where."""
    value = tx.execute(sa.select(configuration.c.value).where(configuration.c.key == _STORAGE)).scalar_one_or_none()
    return ResultStorage.model_validate(value or {})


@operation("PUT", "/admin/storage", writes=True)
def update_server_default_result_storage(tx: sa.Connection, body: SetResultStorage) -> ResultStorage:
    """Set where results are stored for who does not say where.

    Raises:
        NotFound: there is no such block document.
        Invalid: it is of a kind that nothing can be written to.
    """
    id = body.default_result_storage_block_id
    able = sa.select(block_document.c.name, block_schema.c.capabilities).join_from(
        block_document, block_schema, block_document.c.block_schema_id == block_schema.c.id
    )
    row = rows.one(tx, able.where(block_document.c.id == id), "block document", id)
    if _WRITES not in row["capabilities"]:
        raise Invalid(
            f"Block document '{row['name']}' cannot keep results: its kind of block does not have the capability "
            f"'{_WRITES}', as file systems have."
        )
    values = {"key": _STORAGE, "value": {"default_result_storage_block_id": str(id)}}
    edits.upsert(tx, configuration, values, by=["key"], change=["value"])
    return ResultStorage(default_result_storage_block_id=id)


@operation("DELETE", "/admin/storage", writes=True, status=204)
def clear_server_default_result_storage(tx: sa.Connection) -> None:
    """Let results be stored where each client stores them."""
    tx.execute(sa.delete(configuration).where(configuration.c.key == _STORAGE))
