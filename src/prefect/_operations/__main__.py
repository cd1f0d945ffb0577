"""Writes `routes.py`, or checks that it is current: `python -m prefect._operations --write | --check`."""

from __future__ import annotations

import sys
from pathlib import Path

from prefect._operations.registry import address_of, all_operations

TARGET = Path(__file__).with_name("routes.py")

_HEADER = '''"""Which module has which operation. Made by `python -m prefect._operations --write`; do not edit.

Who calls one operation imports one module, not all of them; and a server knows its routes before it imports any.
"""

# fmt: off

from __future__ import annotations

from prefect._operations.registry import Address

ROUTES: tuple[Address, ...] = (
'''


def render() -> str:
    """The text of `routes.py`: the address of every operation."""
    addresses = sorted(
        (address_of(operation) for operation in all_operations()), key=lambda one: (one.path, one.method)
    )
    return _HEADER + "".join(f"    Address{tuple(one)!r},\n".replace("'", '"') for one in addresses) + ")\n"


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
