"""What comes with the package, for those who look at it over the API: its block types, its kinds of workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import sqlalchemy as sa

from prefect._operations.block_types import system_block_types
from prefect._operations.errors import NotFound
from prefect._operations.registry import operation


@operation("GET", "/collections/views/{view}")
def read_view_content(tx: sa.Connection, view: str) -> dict[str, Any]:
    """What comes with the package, by package and name: one of `aggregate-worker-metadata`, `aggregate-block-metadata`,
    `aggregate-flow-metadata`.

    Raises:
        NotFound: there is no such view.
    """
    if view not in _VIEWS:
        raise NotFound("collection view", view)
    return _VIEWS[view]()


def _workers() -> dict[str, Any]:
    return {"prefect": json.loads(resources.files(__package__ or "").joinpath("worker_types.json").read_text("utf-8"))}


def _blocks() -> dict[str, Any]:
    types = {entry["block_type"]["slug"]: _with_schema(entry) for entry in system_block_types()}
    return {"prefect": {"block_types": types}}


def _with_schema(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry["block_type"], "block_schema": entry["block_schema"]}


_VIEWS: dict[str, Callable[[], dict[str, Any]]] = {
    "aggregate-worker-metadata": _workers,
    "aggregate-block-metadata": _blocks,
    # the package brings no flows
    "aggregate-flow-metadata": dict,
}
