"""`python -m prefect._dispatch.spawned module:function ARGUMENTS`: a function as a process, where none can be forked."""

from __future__ import annotations

import importlib
import sys


def main(arguments: list[str]) -> int:
    """Call the function that the first argument names with the others, which are texts; returns its exit status."""
    module, _, name = arguments[0].partition(":")
    return getattr(importlib.import_module(module), name)(*arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
