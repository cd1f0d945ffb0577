"""Writes `_routes.py`, or checks that it is current: `python -m prefect._operations --write | --check`."""

from __future__ import annotations

import sys
from pathlib import Path

from prefect._operations.registry import load_operations

TARGET = Path(__file__).with_name("_routes.py")

_HEADER = '''"""Which module has which operation. Made by `python -m prefect._operations --write`; do not edit.

Who calls one operation in this process imports one module, not all of them.
"""

# fmt: off

from __future__ import annotations

ROUTES: tuple[tuple[str, str, str], ...] = (
'''


def render() -> str:
    """The text of `_routes.py`: method, path and module of every operation."""
    rows = sorted(
        (operation.path, operation.method, operation.function.__module__.rpartition(".")[2])
        for operation in load_operations()
    )
    return _HEADER + "".join(f'    ("{method}", "{path}", "{module}"),\n' for path, method, module in rows) + ")\n"


def main(arguments: list[str]) -> int:
    if arguments == ["--write"]:
        TARGET.write_text(render(), encoding="utf-8", newline="\n")
        return 0
    if arguments == ["--check"]:
        if TARGET.read_text(encoding="utf-8") == render():
            return 0
        print(f"{TARGET} is not what is declared; run `python -m prefect._operations --write`", file=sys.stderr)
        return 1
    print("usage: python -m prefect._operations --write | --check", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
