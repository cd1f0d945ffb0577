"""The block types that come with this package.

They are in every database from the start: a server sees to them before it has anything of the API loaded.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

import sqlalchemy as sa

from prefect._operations import edits
from prefect._store import single
from prefect._store.tables import block_schema, block_type, configuration

_INSTALLED = "SYSTEM_BLOCK_TYPES"


def install(tx: sa.Connection) -> None:
    """Make them, with their schemas; those that are there become as they are now."""
    for entry in described():
        about = {name: value for name, value in entry["block_type"].items() if name not in ("name", "slug")}
        known = {name: entry["block_type"][name] for name in ("name", "slug")} | about
        made = edits.upsert(tx, block_type, known, by=["slug"], change=list(about))
        schema = {**entry["block_schema"], "block_type_id": made["id"]}
        single.insert_new(tx, block_schema, schema)


def install_new(tx: sa.Connection) -> None:
    """`install`, unless the same ones were installed the last time."""
    digest = hashlib.sha256(_text().encode()).hexdigest()
    last = tx.execute(sa.select(configuration.c.value).where(configuration.c.key == _INSTALLED)).scalar_one_or_none()
    if last != {"sha256": digest}:
        install(tx)
        value = {"key": _INSTALLED, "value": {"sha256": digest}}
        edits.upsert(tx, configuration, value, by=["key"], change=["value"])


def described() -> list[dict[str, Any]]:
    """Each `block_type` with its `block_schema`. They are generated: see `prefect.blocks._system_types`."""
    return json.loads(_text())


def _text() -> str:
    return resources.files(__package__ or "").joinpath("system_block_types.json").read_text("utf-8")
