"""Make the synchronous twins of the methods: `python -m prefect.client._methods [--write]`.

Without `--write` nothing is changed, and the exit status says whether the files are current.
"""

from __future__ import annotations

import sys
from pathlib import Path

SOURCE = Path(__file__).parent
TARGET = SOURCE.parent / "_sync_methods"

_PLACES = ("prefect.client._methods", "prefect.client._sync_methods")
_WORDS = {
    "async def ": "def ",
    "await ": "",
    "AsyncTransport": "Transport",
    "__aenter__": "__enter__",
    "AsyncIterator": "Iterator",
}
_HEADER = '"""Made from `{source}` by `python -m prefect.client._methods --write`. Change that file, not this one."""\n\n# fmt: off\n'
_PACKAGE = '"""The methods of `SyncPrefectClient`: made from `prefect.client._methods`, which see."""\n'


def twin(name: str, source: str) -> str:
    """The synchronous twin of a module's source."""
    docstring_end = source.index('"""', 3) + len('"""\n')
    body = source[docstring_end:].replace(*_PLACES)
    for word, other in _WORDS.items():
        body = body.replace(word, other)
    return _HEADER.format(source=f"_methods/{name}") + body


def twins() -> dict[Path, str]:
    """What the generated files should hold, by their path."""
    wanted = {TARGET / "__init__.py": _PACKAGE}
    for path in sorted(SOURCE.glob("[!_]*.py")):
        wanted[TARGET / path.name] = twin(path.name, path.read_text(encoding="utf-8"))
    return wanted


def outdated() -> list[Path]:
    """The generated files that are not as they should be, missing and superfluous ones too."""
    wanted = twins()
    found = {path: path.read_text(encoding="utf-8") for path in TARGET.glob("*.py")}
    return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def main() -> int:
    if "--write" not in sys.argv[1:]:
        stale = outdated()
        for path in stale:
            print(f"{path.name} is not current: run python -m prefect.client._methods --write", file=sys.stderr)
        return 1 if stale else 0
    wanted = twins()
    TARGET.mkdir(exist_ok=True)
    for path in outdated():
        if path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
