"""What the filters of events mean in SQL: the same as `EventFilter.includes` says of an event in memory."""

from __future__ import annotations

from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from prefect._store.clauses import Clause, Column, contains, has_words, join
from prefect._store.tables import event, event_resource


class label_value(FunctionElement[str]):
    """The value of a label, NULL when it is not there: `label_value(labels, name)`. Names have dots in them."""

    name = "label_value"
    type = sa.Text()
    inherit_cache = True


_SQL = {
    (label_value, "sqlite"): "(SELECT value FROM json_each({0}) WHERE key = {1})",
    (label_value, "postgresql"): "({0} ->> {1})",
}


def _render(template: str) -> Any:
    def compile_(element: FunctionElement[Any], compiler: Any, **kw: Any) -> str:
        return template.format(*(compiler.process(clause, **kw) for clause in element.clauses))

    return compile_


for (_function, _dialect), _template in _SQL.items():
    compiles(_function, _dialect)(_render(_template))


def event_matches(wanted: Any) -> Clause:
    """The clause of an `EventFilter`, but for `distinct` (see `newest_of_each_resource`)."""
    clauses = [event.c.occurred >= wanted.occurred.since, event.c.occurred <= wanted.occurred.until]
    if wanted.id is not None and wanted.id.id:
        clauses.append(event.c.id.in_(wanted.id.id))
    if wanted.event is not None:
        clauses += _names(wanted.event)
    if wanted.resource is not None:
        clauses += _subject(wanted.resource)
    clauses += [_has(one, wanted, event_resource.c.position > 0) for one in _listed(wanted.related)]
    clauses += [_has(one, wanted) for one in _listed(wanted.any_resource)]
    if wanted.text is not None:
        clauses.append(_words(wanted.text.query))
    return sa.and_(*clauses)


def newest_of_each_resource(where: Clause) -> Clause:
    """Restricts to the newest event of each resource, among those that match."""
    newest_first = (event.c.occurred.desc(), event.c.id.desc())
    place = sa.func.row_number().over(partition_by=event.c.resource_id, order_by=newest_first).label("place")
    ranked = sa.select(event.c.id, place).where(where).subquery()
    return event.c.id.in_(sa.select(ranked.c.id).where(ranked.c.place == 1))


def _names(wanted: Any) -> list[Clause]:
    clauses = []
    if wanted.name:
        clauses.append(event.c.event.in_(wanted.name))
    if wanted.prefix:
        clauses.append(_begins(event.c.event, wanted.prefix))
    if wanted.exclude_name:
        clauses.append(event.c.event.not_in(wanted.exclude_name))
    if wanted.exclude_prefix:
        clauses.append(~_begins(event.c.event, wanted.exclude_prefix))
    return clauses


def _subject(wanted: Any) -> list[Clause]:
    clauses = []
    if wanted.id:
        clauses.append(event.c.resource_id.in_(wanted.id))
    if wanted.id_prefix:
        clauses.append(_begins(event.c.resource_id, wanted.id_prefix))
    if wanted.labels is not None and len(wanted.labels):
        subject = sa.and_(event_resource.c.event_id == event.c.id, event_resource.c.position == 0)
        clauses.append(sa.exists().where(subject, *_labels(wanted.labels)))
    return clauses


def _has(resource: Any, wanted: Any, *more: Clause) -> Clause:
    """The events with one resource that meets all of these conditions."""
    of = event_resource.c
    ids, prefixes, roles = (getattr(resource, name, None) for name in ("id", "id_prefix", "role"))
    pairs = getattr(resource, "resources_in_roles", None)
    clauses: list[Clause] = []
    if ids:
        clauses.append(of.resource_id.in_(ids))
    if prefixes:
        clauses.append(_begins(of.resource_id, prefixes))
    if roles:
        clauses.append(of.role.in_(roles))
    if pairs:
        clauses.append(sa.or_(*(sa.and_(of.resource_id == id, of.role == role) for id, role in pairs)))
    if resource.labels is not None:
        clauses += _labels(resource.labels)
    if not clauses:
        return sa.true()
    if ids or pairs:  # few events have to do with a resource: begin with those
        bounds = (of.occurred >= wanted.occurred.since, of.occurred <= wanted.occurred.until)
        return event.c.id.in_(sa.select(of.event_id).where(*clauses, *more, *bounds))
    return sa.exists().where(of.event_id == event.c.id, *clauses, *more)


def _labels(specification: Any) -> list[Clause]:
    clauses = []
    for label, values in specification.items():
        value = label_value(event_resource.c.labels, sa.bindparam(None, label, sa.Text))
        clauses.append(sa.and_(value.is_not(None), join("or_", [_matches(value, expected) for expected in values])))
    return clauses


def _matches(value: Column, expected: str) -> Clause:
    """What `prefect._schemas.events.matches` says of a value that is there."""
    negated = False
    while expected.startswith("!"):
        negated, expected = not negated, expected[1:]
    found = _begins(value, [expected[:-1]]) if expected.endswith("*") else value == expected
    return ~found if negated else found


def _begins(column: Column, prefixes: list[str]) -> Clause:
    # LIKE would take no notice of case on SQLite
    return sa.or_(*(sa.func.substr(column, 1, len(prefix)) == prefix for prefix in prefixes))


def _words(text: str) -> Clause:
    def has(part: str) -> Clause:
        written = as_written(part)
        labels = contains(sa.cast(event_resource.c.labels, sa.Text), written)
        payload = contains(sa.cast(event.c.payload, sa.Text), written)
        of_resources = sa.exists().where(event_resource.c.event_id == event.c.id, labels)
        return sa.or_(contains(event.c.event, part), payload, of_resources)

    return has_words(text, has)


def as_written(part: str) -> str:
    """A part of a text as it is written in JSON."""
    return orjson.dumps(part).decode()[1:-1]


def _listed(condition: Any) -> list[Any]:
    return condition if isinstance(condition, list) else [] if condition is None else [condition]
