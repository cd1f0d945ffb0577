"""How things look in a terminal and in a pipe: tables, fields, JSON, times. Shared by all nouns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect.cli import _console
from prefect.cli._console import fail

if TYPE_CHECKING:
    import orjson
    import pydantic
    import rich.console as rich_console
    import rich.text as rich_text
else:
    orjson = lazy_module("orjson")
    pydantic = lazy_module("pydantic")
    rich_console = lazy_module("rich.console")
    rich_text = lazy_module("rich.text")

_PIPE_WIDTH = 100_000
_GAP = 2
_MIN_WIDTH = 8
# years and months are means
_UNITS = (("y", 31_557_600), ("mo", 2_629_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


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
    print_plain_json(dumped)


def print_plain_json(value: Any) -> None:
    """A value that is JSON already, indented."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


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
    are shortened. Ids never are: they are there to be copied. A spare column without anything in it is left out too.
    """
    out = console()
    empty = {column for i, column in enumerate(columns) if column in set(spare) and not any(row[i] for row in rows)}
    rows = [[cell for column, cell in zip(columns, row, strict=True) if column not in empty] for row in rows]
    columns = [column for column in columns if column not in empty]
    spare = [column for column in spare if column not in empty]
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
    for _ in range(excess() if flexible else 0):
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _MIN_WIDTH:
            break
        widths[widest] -= 1
    return widths


def _sized(text: rich_text.Text, width: int) -> rich_text.Text:
    text = text.copy()
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print what there is to say of one thing, a line for each name, leaving out what has no value."""
    shown = {name: _field(value) for name, value in fields.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    out = console()
    for name, value in shown.items():
        first, *rest = value.split("\n", allow_blank=True)
        out.print(rich_text.Text.assemble((f"{name:{width}}", "bold"), "  ", first), soft_wrap=True)
        for line in rest:
            out.print(rich_text.Text.assemble(" " * (width + 2), line), soft_wrap=True)


def _field(value: Any) -> rich_text.Text:
    return value if isinstance(value, rich_text.Text) else rich_text.Text(_field_text(value))


def _field_text(value: Any) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if isinstance(value, (dict, list)) else str(value)


# -- words ----------------------------------------------------------------------------------------------------------


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
    # what was to be in two hours is so a moment later, too
    distance = seconds if seconds > 0 else max(-seconds, round(-seconds))
    if distance < 1:
        return "just now"
    unit, size = next((unit, size) for unit, size in _UNITS if distance >= size)
    words = f"{int(distance // size)}{unit}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def time_text(moment: datetime | None) -> str:
    """A moment in local time, to the millisecond."""
    return "" if moment is None else moment.astimezone().isoformat(sep=" ", timespec="milliseconds")


def as_uuid(text: str) -> UUID | None:
    """The id that a text is, or None when it is something else (a name)."""
    try:
        return UUID(text)
    except ValueError:
        return None


def check_limit(limit: int) -> int:
    """A limit that is a number of rows."""
    if limit < 1:
        fail(f"--limit is {limit}; it must be 1 or more.")
    return limit


def parsed(text: str) -> Any:
    """What a user wrote as a value: JSON if it can be read as that, else text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def pairs(given: Iterable[str] | None, option: str) -> dict[str, Any]:
    """What was given as `name=value`, values read as JSON where they can be.

    Args:
        given: what the user wrote.
        option: which option, for messages.
    """
    found: dict[str, Any] = {}
    for one in given or ():
        name, separator, value = one.partition("=")
        if not separator or not name.strip():
            _console.usage(f"{option} {one!r} should look like name=value.")
        found[name.strip()] = parsed(value)
    return found


def json_object(text: str, option: str) -> dict[str, Any]:
    """A JSON object that was given as text."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        _console.usage(f"{option} is not JSON: {problem}")
    if not isinstance(value, dict):
        _console.usage(f'{option} must be a JSON object, such as {{"name": 1}}.')
    return value


def count(number: int, noun: str) -> str:
    """A number of things: `1 version`, `2 versions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def one_line(text: str | None, most: int = 100) -> str:
    """Text for a table: without line breaks, and not without end."""
    joined = " ".join((text or "").split())
    return joined if len(joined) <= most else f"{joined[: most - 1]}…"
