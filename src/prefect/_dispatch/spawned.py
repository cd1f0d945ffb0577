"""`python -m prefect._dispatch.spawned module:function`: a function as a process, where none can be forked.

Its arguments are a JSON list, which is read from the standard input. What the function reads there is empty.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main(call: str) -> int:
    """Call a function, `module:function`; returns its exit status."""
    with open(0, "rb", closefd=False) as given:
        arguments = json.loads(given.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    module, _, name = call.partition(":")
    return getattr(importlib.import_module(module), name)(*arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
