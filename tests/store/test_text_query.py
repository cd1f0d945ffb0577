from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._store.text_query import TextQuery, parse_text_query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", TextQuery()),
        ("   ", TextQuery()),
        ("error", TextQuery(some=("error",))),
        ("error timeout", TextQuery(some=("error", "timeout"))),
        ('"connection refused"', TextQuery(some=("connection refused",))),
        ("+error -debug !trace", TextQuery(all=("error",), none=("debug", "trace"))),
        ('error +"a b" -"c d"', TextQuery(some=("error",), all=("a b",), none=("c d",))),
        ("my-flow a+b wow!", TextQuery(some=("my-flow", "a+b", "wow!"))),
        ('- + ! "" +""', TextQuery()),
        ('"never closed', TextQuery(some=("never closed",))),
    ],
)
def test_terms(text: str, expected: TextQuery) -> None:
    assert parse_text_query(text) == expected


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@given(st.lists(words), st.lists(words), st.lists(words))
def test_every_term_is_found_where_it_was_put(some: list[str], wanted: list[str], unwanted: list[str]) -> None:
    text = " ".join([*some, *(f"+{word}" for word in wanted), *(f"-{word}" for word in unwanted)])
    assert parse_text_query(text) == TextQuery(tuple(some), tuple(wanted), tuple(unwanted))


@given(st.text())
def test_any_text_is_a_search(text: str) -> None:
    query = parse_text_query(text)
    assert all([*query.some, *query.all, *query.none]) or not any([query.some, query.all, query.none])
