"""Runs as JSON, straight from their rows.

A list of runs is what is asked for most. Making a model of each row, with its state, its policy and its details, takes
several times as long as reading it; and nobody looks at those models before they are written as JSON. What is written
here is what `FlowRun` and `TaskRun` would write: their fields decide what is rendered and in which order.

Documents are JSON in SQLite: they are sent as they are stored, without being parsed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from pydantic import TypeAdapter

from prefect._clock import from_us, now
from prefect._operations import rows
from prefect._rules.states import SCHEDULED
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.states import StateDetails
from prefect._store.types import Duration, Json, Timestamp

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_MICROSECOND = timedelta(microseconds=1)
_STATE_PREFIX = "state__"
_DETAILS: dict[str, Any] = StateDetails().model_dump(mode="json") | {"deferred": False}
_TIMES = ("scheduled_time", "cache_expiration", "pause_timeout")
_EMPTY = ("{}", {})

Documents = dict[str, Callable[[Any], Any]]
"""How columns that hold a JSON document are shown, where that is not as they are stored."""


class Plan(NamedTuple):
    """How rows of one statement become objects of one model."""

    columns: list[tuple[str, int, Callable[[Any], Any] | None]]
    state: list[tuple[str, int, Callable[[Any], Any] | None]]
    documents: list[tuple[str, Callable[[Any], Any]]]
    order: list[str]
    of_task_runs: bool


def array(tx: sa.Connection, statement: sa.Select[Any], model: type[PrefectBaseModel], documents: Documents) -> bytes:
    """The rows of a statement, as a JSON array of objects.

    Args:
        statement: selects runs with their states (`rows.runs_with_states`), and maybe more columns.
        model: `FlowRun` or `TaskRun`.
        documents: how documents are shown; called with what is stored, as JSON text or parsed.
    """
    return orjson.dumps(_objects(tx.execute(statement), _plan(tx, statement, model, documents)), option=_OPTIONS)


def one(
    tx: sa.Connection,
    statement: sa.Select[Any],
    parameters: dict[str, Any],
    model: type[PrefectBaseModel],
    documents: Documents,
) -> bytes | None:
    """As `array`, for the only row of a statement; None when there is none."""
    found = _objects(tx.execute(statement, parameters), _plan(tx, statement, model, documents))
    return orjson.dumps(found[0], option=_OPTIONS) if found else None


def page(results: bytes, *, count: int, limit: int, pages: int, page: int) -> bytes:
    """The JSON of a page of runs."""
    about = {"results": orjson.Fragment(results), "count": count, "limit": limit, "pages": pages, "page": page}
    return orjson.dumps(about)


_plans: dict[tuple[str, type, tuple[str, ...]], Plan] = {}


def _plan(tx: sa.Connection, statement: sa.Select[Any], model: type[PrefectBaseModel], documents: Documents) -> Plan:
    columns = statement.selected_columns
    key = (tx.dialect.name, model, tuple(columns.keys()))
    found = _plans.get(key)
    if found is None:
        found = _plans[key] = _make_plan(columns, model, documents, is_sqlite=tx.dialect.name == "sqlite")
    return found


def _make_plan(
    columns: sa.ColumnCollection[str, Any], model: type[PrefectBaseModel], documents: Documents, *, is_sqlite: bool
) -> Plan:
    own, state = [], []
    for place, (name, column) in enumerate(columns.items()):
        convert = _converter(column.type, is_sqlite)
        if name.startswith(_STATE_PREFIX):
            # its documents are looked into
            convert = orjson.loads if convert is _as_stored else convert
            state.append((name.removeprefix(_STATE_PREFIX), place, convert))
        elif name in documents:
            own.append((name, place, None))
        else:
            own.append((name, place, convert))
    shown = [(name, show) for name, show in documents.items() if name in columns]
    return Plan(own, state, shown, list(model.model_fields), "task_key" in columns)


def _converter(kind: sa.types.TypeEngine[Any], is_sqlite: bool) -> Callable[[Any], Any] | None:
    """From what a cursor gives to what can be written as JSON, or what the rules for estimates take."""
    if isinstance(kind, Timestamp):
        return from_us if is_sqlite else _in_utc
    if isinstance(kind, Duration):
        return _span
    if is_sqlite and isinstance(kind, Json):
        return _as_stored
    if is_sqlite and isinstance(kind, sa.Boolean):
        return bool
    return None


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _span(microseconds: int) -> timedelta:
    return _MICROSECOND * microseconds


def _as_stored(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _objects(result: sa.CursorResult[Any], plan: Plan) -> list[dict[str, Any]]:
    cursor: Any = result.cursor
    found: Iterable[Sequence[Any]] = cursor.fetchall()
    result.close()
    moment = now()
    return [_object(row, plan, moment) for row in found]


def _object(row: Sequence[Any], plan: Plan, moment: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: value if convert is None or value is None else convert(value)
        for name, place, convert in plan.columns
        for value in (row[place],)
    }
    for name, show in plan.documents:
        values[name] = show(values[name])
    about: Any = values  # a mapping of columns, as a row is
    values["estimated_run_time"] = rows.estimated_run_time(about, moment).total_seconds()
    values["estimated_start_time_delta"] = rows.estimated_start_time_delta(about, moment).total_seconds()
    values["total_run_time"] = values["total_run_time"].total_seconds()
    values["state"] = None if values["state_id"] is None else _state(row, plan, values, moment)
    return {name: values.get(name) for name in plan.order}


def _state(row: Sequence[Any], plan: Plan, run: dict[str, Any], moment: datetime) -> dict[str, Any] | None:
    values = {
        name: value if convert is None or value is None else convert(value)
        for name, place, convert in plan.state
        for value in (row[place],)
    }
    if values["id"] is None:
        return None  # the history has been deleted
    details = _DETAILS.copy()
    for name, value in (values["state_details"] or {}).items():
        if name in details and value is not None:
            details[name] = from_us(value) if name in _TIMES and isinstance(value, int) else value
    if plan.of_task_runs:
        details["task_run_id"] = run["id"]
        if run["flow_run_id"] is not None:
            details["flow_run_id"] = run["flow_run_id"]
    else:
        details["flow_run_id"] = run["id"]
    if values["type"] == SCHEDULED and details["scheduled_time"] is None:
        details["scheduled_time"] = moment
    return {
        "id": values["id"], "created": None, "updated": None, "type": values["type"], "name": values["name"],
        "timestamp": values["timestamp"], "message": values["message"], "state_details": details,
        "data": _data(values["data"]),
    }  # fmt: skip


def _data(data: Any) -> Any:
    """What is known of a result; that none was stored is nothing to know."""
    return None if isinstance(data, dict) and data.get("type") == "unpersisted" else data


def as_model(
    model: Any, default: bytes, *, as_read: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> Callable[[Any], Any]:
    """How a document is shown whose model fills in what is not stored.

    Args:
        model: its type.
        default: how an empty one is shown.
        as_read: changes what is stored before it is read.
    """
    adapter = functools.cache(lambda: TypeAdapter(model))
    empty = orjson.Fragment(default)

    def show(document: Any) -> Any:
        if document in _EMPTY:
            return empty
        stored = orjson.loads(document) if isinstance(document, str) else document
        return orjson.Fragment(adapter().dump_json(adapter().validate_python(as_read(stored) if as_read else stored)))

    return show
