"""How conditions of a filter become SQL: what an operator means, and how clauses are joined.

A filter model (`prefect.client.schemas.filters`) is an object whose fields are *conditions*: small objects with
operators such as `any_` or `before_`. Its conditions, and the operators of one condition, are joined by its `operator`
(`and_` unless it says `or_`). One table per noun says which column a condition is about (`prefect._store.queries` and
its neighbours); the tables here say what an operator means. A field or operator that is None says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from prefect._store.dialects import json_array_contains, json_array_size
from prefect._store.text_query import parse_text_query

Clause = sa.ColumnElement[bool]
Column = sa.ColumnElement[Any]
Translation = Callable[[Any], Clause]


def join(operator: Any, clauses: Iterable[Clause]) -> Clause:
    """Join clauses by an `Operator`; none of them is no restriction."""
    clauses = list(clauses)
    if not clauses:
        return sa.true()
    return sa.or_(*clauses) if getattr(operator, "value", operator) == "or_" else sa.and_(*clauses)


def is_no_restriction(clause: Clause) -> bool:
    """Whether everything matches."""
    return clause.compare(sa.true()) or clause.compare(sa.and_(sa.true(), sa.true()))


def _plain(value: Any) -> Any:
    """Enumeration members as their values, also in lists."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return [getattr(item, "value", item) for item in value]
    return getattr(value, "value", value)


def _not_any(column: Column, values: list[Any]) -> Clause:
    # excluding values does not exclude rows that have none
    return sa.or_(column.not_in(values), column.is_(None))


def is_null(column: Column, wanted: bool) -> Clause:
    return column.is_(None) if wanted else column.is_not(None)


def _has_tag(tags: Column, tag: str) -> Clause:
    return json_array_contains(tags, sa.bindparam(None, tag, sa.Text))


OPERATORS: Mapping[str, Callable[[Column, Any], Clause]] = {
    "any_": lambda column, values: column.in_(values),
    "not_any_": _not_any,
    "is_null_": is_null,
    "exists_": lambda column, wanted: is_null(column, not wanted),
    "eq_": lambda column, value: column == value,
    "like_": lambda column, part: column.ilike(f"%{part}%"),
    "startswith_": lambda column, parts: sa.or_(
        sa.false(), *(column.istartswith(part, autoescape=True) for part in parts)
    ),
    "before_": lambda column, moment: column <= moment,
    "after_": lambda column, moment: column >= moment,
    "ge_": lambda column, bound: column >= bound,
    "le_": lambda column, bound: column <= bound,
}

TAG_OPERATORS: Mapping[str, Callable[[Column, Any], Clause]] = {
    "all_": lambda column, tags: sa.and_(sa.true(), *(_has_tag(column, tag) for tag in tags)),
    "any_": lambda column, tags: sa.or_(sa.false(), *(_has_tag(column, tag) for tag in tags)),
    "is_null_": lambda column, wanted: json_array_size(column) == 0 if wanted else json_array_size(column) > 0,
}


def _given(condition: Any, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = getattr(condition, name, None)
        if value is not None:
            yield name, value


def on(column: Column, operators: Mapping[str, Callable[[Column, Any], Clause]] = OPERATORS) -> Translation:
    """The translation of a condition about one column."""

    def translate(condition: Any) -> Clause:
        return join(
            getattr(condition, "operator", None),
            (operators[name](column, _plain(value)) for name, value in _given(condition, operators)),
        )

    return translate


def nested(fields: Mapping[str, Translation]) -> Translation:
    """The translation of a filter, or of a condition made of conditions."""

    def translate(condition: Any) -> Clause:
        return join(
            getattr(condition, "operator", None), (fields[name](value) for name, value in _given(condition, fields))
        )

    return translate


# -- words ----------------------------------------------------------------------------------------------------------


class matches_pattern(FunctionElement[bool]):
    """Whether a text fits a pattern: `matches_pattern(text, like, glob)`, of which PostgreSQL takes the first."""

    name = "matches_pattern"
    type = sa.Boolean()
    inherit_cache = True


@compiles(matches_pattern, "sqlite")
def _glob(element: matches_pattern, compiler: Any, **kw: Any) -> str:
    text, _, pattern = element.clauses
    return f"({compiler.process(text, **kw)} GLOB {compiler.process(pattern, **kw)})"


@compiles(matches_pattern, "postgresql")
def _ilike(element: matches_pattern, compiler: Any, **kw: Any) -> str:
    text, pattern, _ = element.clauses
    return f"({compiler.process(text, **kw)} ILIKE {compiler.process(pattern, **kw)} ESCAPE '/')"


def contains(column: Column, part: str) -> Clause:
    """The texts that have a part, in any case of its letters, also of those that SQLite knows no other case of."""
    if part.isascii():
        return column.icontains(part, autoescape=True)
    like = "".join(f"/{character}" if character in "/%_" else character for character in part)
    glob = "".join(map(_any_case, part))
    return matches_pattern(column, sa.literal(f"%{like}%", sa.Text), sa.literal(f"*{glob}*", sa.Text))


def _any_case(character: str) -> str:
    """The pattern of `GLOB` for a character."""
    cases = "".join(sorted({one for one in (character, character.lower(), character.upper()) if len(one) == 1}))
    return f"[{cases}]" if len(cases) > 1 or character in "*?[" else character


def has_words(text: str, contains: Callable[[str], Clause]) -> Clause:
    """What matches a search for words (`prefect._store.text_query`).

    Args:
        text: the search.
        contains: the clause of what has a part.
    """
    query = parse_text_query(text)
    clauses = [contains(part) for part in query.all] + [~contains(part) for part in query.none]
    if query.some:
        clauses.append(sa.or_(*map(contains, query.some)))
    return join("and_", clauses)
