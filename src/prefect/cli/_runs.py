"""How runs look in a terminal: tables, times, states, logs. Shared by `flow-run`, `task-run` and `flow`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._lazy import lazy_module
from prefect._rules.states import STATE_TYPES
from prefect.cli import _api
from prefect.cli._console import fail, say
from prefect.cli._output import (
    ago_text,
    as_uuid,
    check_limit,
    compact_json,
    console,
    duration_text,
    print_fields,
    print_json,
    print_table,
    time_text,
)
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import webbrowser

    import rich.box as rich_box
    import rich.table as rich_table
    import rich.text as rich_text

    from prefect._schemas import sorting
    from prefect._schemas.filters import logs as log_filters
    from prefect._schemas.logs import Log
    from prefect._schemas.states import State
    from prefect.client.orchestration import SyncPrefectClient
else:
    webbrowser = lazy_module("webbrowser")
    rich_box = lazy_module("rich.box")
    rich_table = lazy_module("rich.table")
    rich_text = lazy_module("rich.text")
    log_filters = lazy_module("prefect._schemas.filters.logs")
    sorting = lazy_module("prefect._schemas.sorting")

# runs are shown with what shows everything else
__all__ = [
    "NAMESAKES",
    "LogPart",
    "ago_text",
    "as_uuid",
    "check_limit",
    "compact_json",
    "console",
    "duration_text",
    "only_one",
    "open_page",
    "print_details",
    "print_json",
    "print_logs",
    "print_table",
    "state_filter",
    "state_text",
    "time_text",
]

R = TypeVar("R")

_NUM_LOGS = 20

NAMESAKES = 11
"""How many runs of one name are read to say which they are."""

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

_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_LEVEL_STYLES = {10: "dim", 30: "yellow", 40: "red", 50: "bold red"}


def print_details(details: Mapping[str, Any], states: list[State[Any]]) -> None:
    """Print what there is to say of a run, leaving out what has no value, and the states it went through."""
    print_fields(details)
    out = console()
    out.print()
    out.print(_history_table(states))


def open_page(path: str) -> None:
    """Open the page of a run in a browser.

    Args:
        path: below the address of the pages.
    """
    url = get_current_settings().ui_url
    if not url:
        fail("There are no pages to open: these runs are in a local database, and pages need a server.")
    address = f"{url.rstrip('/')}/{path}"
    say(f"Opening {address}")
    webbrowser.open_new_tab(address)


# -- words ----------------------------------------------------------------------------------------------------------


def state_text(type_: Any, name: str | None) -> rich_text.Text:
    """The name of a state in the colour of its type."""
    type_ = getattr(type_, "value", type_)
    if type_ is None:
        return rich_text.Text("-", style="dim")
    return rich_text.Text(name or type_.capitalize(), style=_STATE_STYLES.get(type_, ""))


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


def only_one(kind: str, name: str, found: list[R]) -> R:
    """The only run of a name."""
    if not found:
        fail(f"{kind} '{name}' not found. `prefect {kind.lower().replace(' ', '-')} ls` lists what there is.")
    if len(found) > 1:
        ids = [str(run.id) for run in found[: NAMESAKES - 1]]  # type: ignore[attr-defined]
        more = ", ..." if len(found) == NAMESAKES else ""
        fail(f"More than one {kind.lower()} is called '{name}'. Give one of these ids: {', '.join(ids)}{more}")
    return found[0]


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

    def read(self, api: SyncPrefectClient, **conditions: Any) -> Iterable[Log]:
        """The lines that meet conditions (as in `LogFilter`), read as they are used where the whole log is shown."""
        matching = log_filters.LogFilter.model_validate(conditions)
        sort = sorting.LogSort.TIMESTAMP_DESC if self.from_end else sorting.LogSort.TIMESTAMP_ASC

        def page(limit: int, offset: int) -> list[Log]:
            return api.read_logs(matching, limit=limit, offset=offset, sort=sort)

        lines = _api.everything(page, self.limit)
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
