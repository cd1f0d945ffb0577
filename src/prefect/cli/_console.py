"""What commands say, ask and fail with."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from prefect._lazy import imported, lazy_module
from prefect.settings import SettingsError, get_current_settings

if TYPE_CHECKING:
    import getpass

    import rich.console as rich_console

    from prefect._transport import errors as transport_errors
else:
    getpass = lazy_module("getpass")
    transport_errors = lazy_module("prefect._transport.errors")
    rich_console = lazy_module("rich.console")

OutputFormat = Literal["json"]


class CommandError(Exception):
    """A command could not do what it was asked to; the message is all the user sees.

    Args:
        message: what happened, and what to do.
        status: with which the program ends.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def fail(message: str) -> NoReturn:
    """End the command with a message on standard error and exit status 1."""
    raise CommandError(message)


def usage(message: str) -> NoReturn:
    """End the command with a message on standard error and exit status 2: it was not called as it can be."""
    raise CommandError(message, 2)


_EXPECTED = (
    ("prefect.exceptions", "PrefectException"),
    ("prefect._store.sqlite", "DatabaseUnavailable"),
    ("prefect._operations.errors", "NotFound"),
    ("prefect._operations.errors", "NotLocal"),
    ("httpx", "HTTPError"),
    ("httpx", "InvalidURL"),
)


def expected_errors() -> tuple[type[Exception], ...]:
    """Errors of which the user needs the message, not the traceback."""
    known: list[type[Exception]] = [CommandError, SettingsError]
    for module, name in _EXPECTED:
        # the module is there if anything could have raised one of its errors
        loaded = imported(module)
        if loaded is not None:
            known.append(getattr(loaded, name))
    return tuple(known)


def explain(problem: Exception) -> str:
    """What to say about an error: of an answer of the API that is about the request, what the API says."""
    response = getattr(problem, "response", None)
    if response is not None and response.status_code in _ABOUT_THE_REQUEST:
        return transport_errors.explanation(response) or str(problem)
    if isinstance(problem, (CommandError, SettingsError)):
        return str(problem)  # written for this place; a few have several lines
    return " ".join(str(problem).split())


_ABOUT_THE_REQUEST = (403, 404, 409, 410, 422, 423)


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


def agree(question: str, yes: bool = False) -> None:
    """Ask whether to go on, and end the command if not. Where nobody can be asked, it goes on.

    Args:
        question: what is about to be done.
        yes: the user said yes already.
    """
    if not yes and can_ask() and not confirm(question):
        fail("Nothing was changed.")


def ask(question: str, *, secret: bool = False) -> str | None:
    """Ask for a line of text; None where nobody can be asked, or at the end of the input."""
    if not can_ask():
        return None
    try:
        return getpass.getpass(f"{question}: ") if secret else input(f"{question}: ")
    except EOFError:
        return None
