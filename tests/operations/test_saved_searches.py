"""Saved searches: kept by name, the newest in place of the one before."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from prefect._ids import new_uuid
from prefect._operations import saved_searches
from prefect._operations.errors import NotFound
from prefect._schemas.actions.records import SavedSearchCreate

CONDITION = {"object": "flow_run", "property": "name", "type": "string", "operation": "any", "value": ["a"]}


def put(tx: sa.Connection, name: str, *conditions: dict[str, Any]) -> Any:
    return saved_searches.create_saved_search(
        tx, SavedSearchCreate.model_validate({"name": name, "filters": conditions})
    )


def test_made_then_replaced(both: sa.Connection) -> None:
    first = put(both, "s", CONDITION)
    assert first.status == 201
    assert saved_searches.read_saved_search(both, first.value.id).model_dump()["filters"] == [CONDITION]
    second = put(both, "s")
    assert (second.status, second.value.id, second.value.filters) == (200, first.value.id, [])
    assert second.value.created == first.value.created


def test_listed_by_name_in_pages(both: sa.Connection) -> None:
    for name in "cab":
        put(both, name)
    query = saved_searches.SavedSearchQuery(limit=2, offset=1)
    assert [search.name for search in saved_searches.read_saved_searches(both, query)] == ["b", "c"]


def test_deleted_and_absent(both: sa.Connection) -> None:
    made = put(both, "s").value
    saved_searches.delete_saved_search(both, made.id)
    for absent in (saved_searches.read_saved_search, saved_searches.delete_saved_search):
        with pytest.raises(NotFound, match=r"Saved search '.*' not found"):
            absent(both, made.id)
    with pytest.raises(NotFound):
        saved_searches.read_saved_search(both, new_uuid())
