"""Runs as JSON, straight from their rows.

A list of runs is what is asked for most. Making a model of each row, with its state, its policy and its details, takes
several times as long as reading it; and nobody looks at those models before they are written as JSON. What is written
here is what `FlowRun` and `TaskRun` would write: their fields decide what is rendered and in which order.

Documents are JSON: they are sent as the database has them, without being parsed.
"""

from __future__ import annotations

import functools
import re
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
from prefect._store.documents import has_long_numbers, json_bytes, json_value, jsonb_value
from prefect._store.types import Duration, Json, Timestamp

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_MICROSECOND = timedelta(microseconds=1)
_STATE_PREFIX = "state__"
_TIMES = ("scheduled_time", "cache_expiration", "pause_timeout")
_EMPTY = ("{}", {})

# what depends on the time is filled in later; no JSON has such a character
_RUN_TIME, _DELAY, _NOW = b"\0", b"\1", b"\2"
_GAPS = re.compile(rb"([\0\1\2])")
_ESTIMATED_FROM = (
    "state_type", "state_timestamp", "total_run_time", "expected_start_time", "start_time",
)  # fmt: skip
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_KEPT = 1024
"""So many rows are kept at most, a few kilobytes each."""

Documents = dict[str, Callable[[Any], Any]]
"""How columns that hold a JSON document are shown, where that is not as they are stored."""


class Plan(NamedTuple):
    """How rows of one statement become objects of one model."""

    columns: list[tuple[str, int, Callable[[Any], Any] | None]]
    state: list[tuple[str, int, Callable[[Any], Any] | None]]
    documents: list[tuple[str, Callable[[Any], Any]]]
    order: list[str]
    id: int


class Written(NamedTuple):
    """A row, and what was written of it."""

    row: Sequence[Any]
    run: Any
    """What its estimates are made of, a mapping of columns."""
    pieces: list[bytes]
    """Its JSON, complete; or in pieces, some of which are gaps, for what depends on the time."""


class Rendering:
    """Runs of one kind as JSON.

    What was written of a row is kept for a while: those who watch runs ask for the same ones again and again. A row that
    is the same in all columns is written the same, but for what depends on the time.

    Args:
        statement: selects runs with their states (`rows.runs_with_states`), and maybe more columns.
        model: `FlowRun` or `TaskRun`.
        documents: how documents are shown; called with what is stored, as JSON text or parsed.
    """

    def __init__(self, statement: sa.Select[Any], model: type[PrefectBaseModel], documents: Documents) -> None:
        self._statement = statement
        self._model = model
        self._documents = documents
        self._plans: dict[str, Plan] = {}
        self._written: dict[Any, Written] = {}

    def array(self, tx: sa.Connection, found: Iterable[Sequence[Any]]) -> bytes:
        """Rows of the statement, as the driver of this transaction gives them, as a JSON array of objects."""
        plan, moment = self._plan(tx), now()
        return b"[" + b",".join([self._object(row, plan, moment) for row in found]) + b"]"

    def object(self, tx: sa.Connection, row: Sequence[Any]) -> bytes:
        """A row of the statement as a JSON object."""
        return self._object(row, self._plan(tx), now())

    def of(self, row: dict[str, Any], state: dict[str, Any]) -> bytes:
        """A run as a JSON object.

        Args:
            row: the columns of the statement but for those of the state, in the types of Python.
            state: the columns of the state.
        """
        pieces, run = _pieces(row, state, self._documents.items(), list(self._model.model_fields))
        return _filled(pieces, run, now())

    def _plan(self, tx: sa.Connection) -> Plan:
        name = tx.dialect.name
        found = self._plans.get(name)
        if found is None:
            columns, is_sqlite = self._statement.selected_columns, name == "sqlite"
            found = self._plans[name] = _make_plan(columns, self._model, self._documents, is_sqlite=is_sqlite)
        return found

    def _object(self, row: Sequence[Any], plan: Plan, moment: datetime) -> bytes:
        id = row[plan.id]
        written = self._written.get(id)
        if written is None or written.row != row:
            written = _written(row, plan, moment)
            if len(self._written) >= _KEPT:
                self._written.clear()
            self._written[id] = written
        return written.pieces[0] if len(written.pieces) == 1 else _filled(written.pieces, written.run, moment)


def page_of(results: bytes, *, count: int, limit: int, pages: int, page: int) -> bytes:
    """The JSON of a page of runs."""
    about = {"results": orjson.Fragment(results), "count": count, "limit": limit, "pages": pages, "page": page}
    return orjson.dumps(about)


def _make_plan(
    columns: sa.ColumnCollection[str, Any], model: type[PrefectBaseModel], documents: Documents, *, is_sqlite: bool
) -> Plan:
    own, state = [], []
    for place, (name, column) in enumerate(columns.items()):
        convert = _converter(column.type, is_sqlite)
        if name.startswith(_STATE_PREFIX):
            # its documents are looked into
            convert = json_value if convert is _as_stored else jsonb_value if convert is _as_kept else convert
            state.append((name.removeprefix(_STATE_PREFIX), place, convert))
        elif name in documents:
            own.append((name, place, None))
        else:
            own.append((name, place, convert))
    shown = [(name, show) for name, show in documents.items() if name in columns]
    places = {name: place for place, name in enumerate(columns.keys())}
    return Plan(own, state, shown, list(model.model_fields), places["id"])


def _converter(kind: sa.types.TypeEngine[Any], is_sqlite: bool) -> Callable[[Any], Any] | None:
    """From what a cursor gives to what can be written as JSON, or what the rules for estimates take."""
    if isinstance(kind, Timestamp):
        return from_us if is_sqlite else _in_utc
    if isinstance(kind, Duration):
        return _span
    if isinstance(kind, Json):
        return _as_stored if is_sqlite else _as_kept
    if is_sqlite and isinstance(kind, sa.Boolean):
        return bool
    return None


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _span(microseconds: int) -> timedelta:
    return _MICROSECOND * microseconds


def _as_stored(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _as_kept(text: str) -> Any:
    # PostgreSQL writes large floats as integers, which nobody would know any more for what they were
    return jsonb_value(text) if has_long_numbers(text) else orjson.Fragment(text)


def _written(row: Sequence[Any], plan: Plan, moment: datetime) -> Written:
    own, state = _converted(row, plan.columns), _converted(row, plan.state)
    pieces, run = _pieces(own, None if state["id"] is None else state, plan.documents, plan.order)
    complete: list[bytes] = []
    for piece in pieces:
        is_gap = piece in _FILLINGS
        # what grows with the time, and is the same at its end, never changes
        if is_gap and _FILLINGS[piece](run, moment) == _FILLINGS[piece](run, _END_OF_TIME):
            piece, is_gap = _FILLINGS[piece](run, moment), False
        if is_gap or not complete or complete[-1] in _FILLINGS:
            complete.append(piece)
        else:
            complete[-1] += piece
    return Written(row, {name: run[name] for name in _ESTIMATED_FROM}, complete)


def _converted(row: Sequence[Any], columns: list[tuple[str, int, Callable[[Any], Any] | None]]) -> dict[str, Any]:
    return {
        name: value if convert is None or value is None else convert(value)
        for name, place, convert in columns
        for value in (row[place],)
    }


def _pieces(
    run: dict[str, Any],
    state: dict[str, Any] | None,
    documents: Iterable[tuple[str, Callable[[Any], Any]]],
    order: list[str],
) -> tuple[list[bytes], Any]:
    values = run.copy()
    for name, show in documents:
        values[name] = show(values[name])
    values["total_run_time"] = values["total_run_time"].total_seconds()
    values["state"] = None if state is None else _state(state, values)
    values["estimated_run_time"] = orjson.Fragment(_RUN_TIME)
    values["estimated_start_time_delta"] = orjson.Fragment(_DELAY)
    return _GAPS.split(json_bytes({name: values.get(name) for name in order}, _OPTIONS)), run


def _filled(pieces: list[bytes], run: Any, moment: datetime) -> bytes:
    return b"".join([_FILLINGS[piece](run, moment) if piece in _FILLINGS else piece for piece in pieces])


_FILLINGS: dict[bytes, Callable[[Any, datetime], bytes]] = {
    _RUN_TIME: lambda run, moment: repr(rows.estimated_run_time(run, moment).total_seconds()).encode(),
    _DELAY: lambda run, moment: repr(rows.estimated_start_time_delta(run, moment).total_seconds()).encode(),
    _NOW: lambda run, moment: orjson.dumps(moment, option=_OPTIONS),
}
"""What goes into the gaps."""


def _state(values: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    details = _no_details().copy()
    for name, value in (values["state_details"] or {}).items():
        if name in details and value is not None:
            details[name] = from_us(value) if name in _TIMES and isinstance(value, int) else value
    if "task_key" in run:
        details["task_run_id"] = run["id"]
        if run["flow_run_id"] is not None:
            details["flow_run_id"] = run["flow_run_id"]
    else:
        details["flow_run_id"] = run["id"]
    if values["type"] == SCHEDULED and details["scheduled_time"] is None:
        details["scheduled_time"] = orjson.Fragment(_NOW)
    return {
        "id": values["id"], "created": None, "updated": None, "type": values["type"], "name": values["name"],
        "timestamp": values["timestamp"], "message": values["message"], "state_details": details,
        "data": _data(values["data"]),
    }  # fmt: skip


@functools.cache
def _no_details() -> dict[str, Any]:
    return StateDetails().model_dump(mode="json") | {"deferred": False}


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
        stored = json_value(document) if isinstance(document, str) else document
        return orjson.Fragment(adapter().dump_json(adapter().validate_python(as_read(stored) if as_read else stored)))

    return show
