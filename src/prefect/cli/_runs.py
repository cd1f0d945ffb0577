"""How runs look in a terminal: tables, times, states, logs. Shared by `flow-run`, `task-run` and `flow`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect._operations.errors import NotFound, NotLocal
from prefect._rules.states import STATE_TYPES
from prefect._store.sqlite import DatabaseUnavailable
from prefect.cli import _console
from prefect.cli._console import fail

if TYPE_CHECKING:
    import orjson
    import pydantic
    import rich.box as rich_box
    import rich.console as rich_console
    import rich.table as rich_table
    import rich.text as rich_text
    import sqlalchemy as sa

    from prefect._operations import logs as log_operations
    from prefect._schemas import sorting
    from prefect._schemas.filters import logs as log_filters
    from prefect._schemas.logs import Log
    from prefect._schemas.states import State
else:
    orjson = lazy_module("orjson")
    pydantic = lazy_module("pydantic")
    rich_box = lazy_module("rich.box")
    rich_console = lazy_module("rich.console")
    rich_table = lazy_module("rich.table")
    rich_text = lazy_module("rich.text")
    log_operations = lazy_module("prefect._operations.logs")
    log_filters = lazy_module("prefect._schemas.filters.logs")
    sorting = lazy_module("prefect._schemas.sorting")

P = ParamSpec("P")
R = TypeVar("R")

WIDE = 110
"""From this many columns on, tables show what is nice to know."""
_PIPE_WIDTH = 200
_NUM_LOGS = 20
_GAP = 2
_MIN_WIDTH = 8

NAMESAKES = 11
"""How many runs of one name are read to say which they are."""

NO_PAGES = "There are no pages to open: these runs are in a local database, and pages need a server."

_STATE_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CRASHED": "bold red",
    "CANCELLED": "yellow",
    "CANCELLING": "yellow",
    "RUNNING": "cyan",
    "PENDING": "blue",
    "PAUSED": "magenta",
    "SCHEDULED": "blue",
}
# years and months are means
_UNITS = (("y", 31_557_600), ("mo", 2_629_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))

_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_LEVEL_STYLES = {10: "dim", 30: "yellow", 40: "red", 50: "bold red"}


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Give the errors of the local database the form of a command's own: one line, exit status 1."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (NotFound, NotLocal, DatabaseUnavailable) as exc:
            fail(str(exc))

    return run


# -- output ---------------------------------------------------------------------------------------------------------


def console() -> rich_console.Console:
    """Standard output; wide when it is not a terminal, so that nothing is cut for a program that reads it."""
    out = _console.console()
    out.soft_wrap = False  # tables are fitted to the width, not cut by it
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = _PIPE_WIDTH
    return out


def print_json(value: pydantic.BaseModel | Iterable[pydantic.BaseModel]) -> None:
    """An object, or a list of them, as JSON for people and programs."""
    # a model can be iterated over too, so ask whether it is one
    if isinstance(value, pydantic.BaseModel):
        dumped: Any = value.model_dump(mode="json")
    else:
        dumped = [one.model_dump(mode="json") for one in value]
    print(orjson.dumps(dumped, option=orjson.OPT_INDENT_2).decode())


def compact_json(value: Any) -> str:
    """A JSON value on one line."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[rich_text.Text | str]],
    *,
    cut: Iterable[str],
    spare: Iterable[str] = (),
) -> None:
    """Print a list. Where it is too wide for the terminal, the columns of `spare` are left out and those of `cut`
    are shortened. Ids never are: they are there to be copied.
    """
    out = console()
    cells = [[cell if isinstance(cell, rich_text.Text) else rich_text.Text(cell) for cell in row] for row in rows]
    natural = [max(len(column), *(row[i].cell_len for row in cells)) for i, column in enumerate(columns)]
    flexible = {i for i, column in enumerate(columns) if column in set(cut)}
    widths = _fit(natural, flexible, [columns.index(column) for column in spare], out.width)
    heading = [rich_text.Text(column, style="bold") for column in columns]
    rules = [rich_text.Text("─" * widths.get(i, 0), style="dim") for i in range(len(columns))]
    for row in (heading, rules, *cells):
        line = rich_text.Text(" " * _GAP).join(_sized(row[i], width) for i, width in widths.items())
        line.rstrip()
        out.print(line, soft_wrap=True)


def _fit(natural: list[int], flexible: set[int], spare: list[int], available: int) -> dict[int, int]:
    """The columns to show and their widths, for a terminal of so many columns."""
    widths = dict(enumerate(natural))

    def excess(least: int | None = None) -> int:
        shown = (min(width, least) if least and i in flexible else width for i, width in widths.items())
        return sum(shown) + _GAP * (len(widths) - 1) - available

    for i in reversed(spare):
        if excess(_MIN_WIDTH) > 0:
            del widths[i]
    for _ in range(excess()):
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _MIN_WIDTH:
            break
        widths[widest] -= 1
    return widths


def _sized(text: rich_text.Text, width: int) -> rich_text.Text:
    text = text.copy()
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def print_details(details: Mapping[str, Any], states: list[State[Any]]) -> None:
    """Print what there is to say of a run, leaving out what has no value, and the states it went through."""
    table = rich_table.Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in details.items():
        if value not in (None, ""):
            table.add_row(name, value if isinstance(value, rich_text.Text) else rich_text.Text(str(value)))
    out = console()
    out.print(table)
    out.print()
    out.print(_history_table(states))


# -- words ----------------------------------------------------------------------------------------------------------


def state_text(type_: Any, name: str | None) -> rich_text.Text:
    """The name of a state in the colour of its type."""
    type_ = getattr(type_, "value", type_)
    if type_ is None:
        return rich_text.Text("-", style="dim")
    return rich_text.Text(name or type_.capitalize(), style=_STATE_STYLES.get(type_, ""))


def duration_text(duration: timedelta | None) -> str:
    """A length of time in its two largest units: `850ms`, `12.3s`, `4m 10s`, `2h 5m`, `3d 4h`."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {seconds}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def ago_text(moment: datetime | None, reference: datetime | None = None) -> str:
    """How far a moment is from now: `just now`, `5m ago`, `in 2d`."""
    if moment is None:
        return ""
    seconds = ((reference or now()) - moment).total_seconds()
    distance = abs(seconds)
    if distance < 1:
        return "just now"
    unit, size = next((unit, size) for unit, size in _UNITS if distance >= size)
    words = f"{int(distance // size)}{unit}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def time_text(moment: datetime | None) -> str:
    """A moment in local time, to the millisecond."""
    return "" if moment is None else moment.astimezone().isoformat(sep=" ", timespec="milliseconds")


# -- what commands are given ----------------------------------------------------------------------------------------


def _state_types(given: Iterable[str]) -> list[str]:
    """State types as the API spells them."""
    types = [item.upper() for item in given]
    for item in types:
        if item not in STATE_TYPES:
            fail(f"There is no state type {item!r}. The types are {', '.join(sorted(STATE_TYPES))}.")
    return types


def _state_names(given: Iterable[str]) -> list[str]:
    """State names, also with the first letter as it usually is (`failed` for `Failed`)."""
    return list(dict.fromkeys(form for item in given for form in (item, item[:1].upper() + item[1:])))


def state_filter(names: list[str] | None, types: list[str] | None) -> dict[str, Any] | None:
    """The condition on the state of a run that the options ask for."""
    parts: dict[str, Any] = {}
    if names:
        parts["name"] = {"any_": _state_names(names)}
    if types:
        parts["type"] = {"any_": _state_types(types)}
    return parts or None


def as_uuid(text: str) -> UUID | None:
    """The id that a text is, or None when it is something else (a name)."""
    try:
        return UUID(text)
    except ValueError:
        return None


def only_one(kind: str, name: str, found: list[R]) -> R:
    """The only run of a name."""
    if not found:
        fail(f"{kind} '{name}' not found.")
    if len(found) > 1:
        ids = [str(run.id) for run in found[: NAMESAKES - 1]]  # type: ignore[attr-defined]
        more = ", ..." if len(found) == NAMESAKES else ""
        fail(f"More than one {kind.lower()} is called '{name}'. Give one of these ids: {', '.join(ids)}{more}")
    return found[0]


def check_limit(limit: int) -> int:
    """A limit that is a number of rows."""
    if limit < 1:
        fail(f"--limit is {limit}; it must be 1 or more.")
    return limit


# -- pieces of pages ------------------------------------------------------------------------------------------------


def _history_table(states: list[State[Any]]) -> rich_table.Table:
    """The states that a run went through."""
    table = rich_table.Table(box=rich_box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("Time", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Message", overflow="fold")
    for state in states:
        message = rich_text.Text(state.message or "")
        table.add_row(time_text(state.timestamp), state_text(state.type, state.name), message)
    return table


@dataclass(frozen=True)
class LogPart:
    """Which lines of a log to show, in which order."""

    from_end: bool
    limit: int | None
    newest_first: bool

    @classmethod
    def of(cls, *, head: bool, tail: bool, num_logs: int | None, reverse: bool) -> LogPart:
        """The part that the options ask for; `--num-logs` alone means the first lines."""
        if head and tail:
            fail("Give --head or --tail, not both.")
        if num_logs is not None and num_logs < 1:
            fail(f"--num-logs is {num_logs}; it must be 1 or more.")
        limited = head or tail or num_logs is not None
        return cls(tail or (reverse and not limited), (num_logs or _NUM_LOGS) if limited else None, reverse)

    def read(self, tx: sa.Connection, **conditions: Any) -> Iterable[Log]:
        """The lines that meet conditions (as in `LogFilter`), read as they are used where the whole log is shown."""
        matching = log_filters.LogFilter.model_validate(conditions)
        sort = sorting.LogSort.TIMESTAMP_DESC if self.from_end else sorting.LogSort.TIMESTAMP_ASC
        lines = log_operations.iterate_logs(tx, matching, sort, self.limit)
        return lines if self.from_end == self.newest_first else reversed(list(lines))


def print_logs(logs: Iterable[Log], source: Callable[[Log], str]) -> int:
    """Print log lines as the console shows them in a run, with their dates; return how many there were."""
    out = console()
    colours = out.is_terminal
    count = 0
    for count, log in enumerate(logs, 1):  # noqa: B007
        level = f"{_LEVELS.get(log.level, str(log.level)):<7}"
        before, after = f"{log.timestamp.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3], f"{source(log)} - {log.message}"
        if colours and log.level in _LEVEL_STYLES:
            style = _LEVEL_STYLES[log.level]
            out.print(rich_text.Text.assemble(f"{before} | ", (level, style), " | ", (after, style)), soft_wrap=True)
        else:
            print(f"{before} | {level} | {after}")
    return count
