"""What commands say, ask and fail with."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from prefect._lazy import imported, lazy_module
from prefect.settings import SettingsError, get_current_settings

if TYPE_CHECKING:
    import rich.console as rich_console

    from prefect import exceptions
else:
    exceptions = lazy_module("prefect.exceptions")
    rich_console = lazy_module("rich.console")

OutputFormat = Literal["json"]


class CommandError(Exception):
    """A command could not do what it was asked to; the message is all the user sees."""


def fail(message: str) -> NoReturn:
    """End the command with a message on standard error and exit status 1."""
    raise CommandError(message)


def expected_errors() -> tuple[type[Exception], ...]:
    """Errors of which the user needs the message, not the traceback."""
    known: tuple[type[Exception], ...] = (CommandError, SettingsError)
    # the module is there if anything could have raised one of its errors
    loaded = imported("prefect.exceptions")
    return (*known, loaded.PrefectException) if loaded is not None else known


def say(*lines: str) -> None:
    """Print lines as they are."""
    for line in lines:
        print(line)


def say_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, default=str))


def console() -> rich_console.Console:
    """A rich console for tables and colours that follows the settings `cli.colors` and `cli.wrap_lines`."""
    cli = get_current_settings().cli
    return rich_console.Console(
        highlight=False,
        color_system="auto" if cli.colors and "NO_COLOR" not in os.environ else None,
        soft_wrap=not cli.wrap_lines,
    )


def can_ask() -> bool:
    """Whether questions may be asked: as `--prompt` or the setting `cli.prompt` says, else on a terminal only."""
    prompt = get_current_settings().cli.prompt
    return prompt if prompt is not None else sys.stdin.isatty() and sys.stdout.isatty()


def confirm(question: str, default: bool = False) -> bool:
    """Ask for yes or no. Where nobody can be asked, the answer is the default."""
    if not can_ask():
        return default
    try:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    except EOFError:
        return default
    return default if not answer else answer in ("y", "yes")
