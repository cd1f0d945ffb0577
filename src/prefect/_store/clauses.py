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

from prefect._store.dialects import json_array_contains, json_array_size

Clause = sa.ColumnElement[bool]
Column = sa.ColumnElement[Any]
Translation = Callable[[Any], Clause]


def join(operator: Any, clauses: Iterable[Clause]) -> Clause:
    """Join clauses by an `Operator`; none of them is no restriction."""
    clauses = list(clauses)
    if not clauses:
        return sa.true()
    return sa.or_(*clauses) if getattr(operator, "value", operator) == "or_" else sa.and_(*clauses)


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
