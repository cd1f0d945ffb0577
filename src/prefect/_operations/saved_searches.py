"""Saved searches: conditions that were given a name."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._operations import edits, rows
from prefect._operations.registry import Answer, operation
from prefect._schemas.actions.records import SavedSearchCreate
from prefect._schemas.admin import SavedSearch
from prefect._schemas.base import PrefectBaseModel
from prefect._store import single
from prefect._store.tables import saved_search


class SavedSearchQuery(PrefectBaseModel):
    """A page of saved searches."""

    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many saved searches.")
    offset: int = Field(default=0, ge=0, description="Leave out so many saved searches first.")


@operation("PUT", "/saved_searches/", writes=True)
def create_saved_search(tx: sa.Connection, body: SavedSearchCreate) -> Answer[SavedSearch]:
    """Keep a search under a name, in place of the one of that name (then the status is 200, not 201)."""
    values = {"name": body.name, "filters": [condition.model_dump(mode="json") for condition in body.filters]}
    row = single.insert_new(tx, saved_search, values)
    if row is not None:
        return Answer(SavedSearch.model_validate(row), 201)
    row = edits.upsert(tx, saved_search, values, by=["name"], change=["filters"])
    return Answer(SavedSearch.model_validate(row), 200)


@operation("GET", "/saved_searches/{id}")
def read_saved_search(tx: sa.Connection, id: UUID) -> SavedSearch:
    """One saved search.

    Raises:
        NotFound: there is no such saved search.
    """
    statement = sa.select(saved_search).where(saved_search.c.id == id)
    return SavedSearch.model_validate(rows.one(tx, statement, "saved search", id))


@operation("POST", "/saved_searches/filter")
def read_saved_searches(tx: sa.Connection, body: SavedSearchQuery) -> list[SavedSearch]:
    """The saved searches by name, a page of them."""
    statement = sa.select(saved_search).order_by(saved_search.c.name).limit(body.limit).offset(body.offset)
    return [SavedSearch.model_validate(row) for row in tx.execute(statement).mappings()]


@operation("DELETE", "/saved_searches/{id}", writes=True, status=204)
def delete_saved_search(tx: sa.Connection, id: UUID) -> None:
    """Delete a saved search.

    Raises:
        NotFound: there is no such saved search.
    """
    edits.delete(tx, saved_search, saved_search.c.id == id, "saved search", id)
