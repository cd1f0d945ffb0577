"""The command line, `prefect`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from prefect.cli._app import run, show_warning

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line and exit with its status: 0, 1 after an error, 2 when it cannot be understood, 130 after Ctrl-C.

    Args:
        argv: the arguments without the program's name; those of the process by default.
    """
    warnings.showwarning = show_warning
    raise SystemExit(run(sys.argv[1:] if argv is None else argv))
