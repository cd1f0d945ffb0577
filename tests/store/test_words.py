"""Searches for words find the same on both databases, and the same as one in memory."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect._store.clauses import contains, has_words
from prefect._store.dialects import make_engine

from .conftest import PostgreSQL

_said = sa.table("said", sa.column("text", sa.Text))
_TEXTS = (
    "alpha", "Ärger im Büro", "ÄRGER", "100%", "under_score", "a/b", "back\\slash", 'he "said"', "[x] *?^-]", "[ä] *?^-]",
    "straße", "STRASSE", "ΣΊΣΥΦΟΣ", "ǅ", "😀 Grüße", "İ", "ä" * 60, "",
)  # fmt: skip
_QUERIES = {
    "ärger": ["Ärger im Büro", "ÄRGER"],
    "BÜRO": ["Ärger im Büro"],
    "100%": ["100%"],
    "%": ["100%"],
    "_": ["under_score"],
    "/": ["a/b"],
    "\\": ["back\\slash"],
    '\\"SAID\\"': ['he "said"'],
    "[ä": ["[ä] *?^-]"],
    "ß": ["straße", "😀 Grüße"],
    "σ": ["ΣΊΣΥΦΟΣ"],
    "+😀 +grü": ["😀 Grüße"],
    '"ä] *?^-]"': ["[ä] *?^-]"],
    "ärger -ÄRGER": [],
    "Ä" * 60: ["ä" * 60],
}


def _found(tx: sa.Connection, query: str) -> list[str]:
    statement = sa.select(_said.c.text).where(has_words(query, lambda part: contains(_said.c.text, part)))
    return list(tx.execute(statement).scalars())


def _fill(tx: sa.Connection) -> None:
    tx.exec_driver_sql("CREATE TABLE said (text TEXT)")
    tx.execute(_said.insert(), [{"text": text} for text in _TEXTS])


def test_on_sqlite() -> None:
    with make_engine("sqlite://").connect() as tx:
        _fill(tx)
        assert {query: _found(tx, query) for query in _QUERIES} == _QUERIES


def test_on_postgresql(postgresql: PostgreSQL) -> None:
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    engine = make_engine(postgresql.database("words"))
    with engine.connect() as tx:
        _fill(tx)
        assert {query: sorted(_found(tx, query)) for query in _QUERIES} == {q: sorted(t) for q, t in _QUERIES.items()}
    engine.dispose()


_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@settings(max_examples=200, deadline=None)
@given(st.text(_characters), st.text(_characters, min_size=1), st.text(_characters))
@example("", "ä]^-[*?%_/\\", "")
def test_a_part_is_found_where_it_is(before: str, part: str, after: str) -> None:
    with make_engine("sqlite://").connect() as tx:
        clause = contains(sa.literal(before + part + after, sa.Text), part)
        assert tx.execute(sa.select(clause)).scalar_one()
