"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from prefect.cli import _console

Output = Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative=(), show_default=False, help="Do not ask.")]


def flag(help: str, *names: str) -> Parameter:
    """An option that is there or not.

    Args:
        help: what it does.
        names: how it may be written, unless as the parameter is called.
    """
    return Parameter(name=list(names) or None, negative=(), show_default=False, help=help)
