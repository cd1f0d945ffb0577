"""What there is to work with, for those who look at it over the API: block types and kinds of workers.

Those of the package are generated from its classes; `published_worker_types.json` has the kinds of workers of packages that
are published beside it, so that a pool for them can be made where they are not installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import sqlalchemy as sa

from prefect._operations import system_blocks
from prefect._operations.errors import NotFound
from prefect._operations.registry import operation


@operation("GET", "/collections/views/{view}")
def read_view_content(tx: sa.Connection, view: str) -> dict[str, Any]:
    """What there is, by package and name: one of `aggregate-worker-metadata`, `aggregate-block-metadata`,
    `aggregate-flow-metadata`.

    Raises:
        NotFound: there is no such view.
    """
    if view not in _VIEWS:
        raise NotFound("collection view", view)
    return _VIEWS[view]()


def _workers() -> dict[str, Any]:
    return {"prefect": _read("worker_types.json"), **_read("published_worker_types.json")}


def _read(name: str) -> dict[str, Any]:
    return json.loads(resources.files(__package__ or "").joinpath(name).read_text("utf-8"))


def _blocks() -> dict[str, Any]:
    types = {entry["block_type"]["slug"]: _with_schema(entry) for entry in system_blocks.described()}
    return {"prefect": {"block_types": types}}


def _with_schema(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry["block_type"], "block_schema": entry["block_schema"]}


_VIEWS: dict[str, Callable[[], dict[str, Any]]] = {
    "aggregate-worker-metadata": _workers,
    "aggregate-block-metadata": _blocks,
    # the package brings no flows
    "aggregate-flow-metadata": dict,
}
