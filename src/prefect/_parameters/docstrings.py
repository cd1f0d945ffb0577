"""Find what a docstring says about parameters, in the styles of Google, NumPy and Sphinx."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import inspect
else:
    inspect = lazy_module("inspect")

_TYPE = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_GOOGLE_HEADER = re.compile(
    r"(Args|Arguments|Params|Parameters|Keyword Args|Keyword Arguments|Other Parameters):\s*$", re.I
)
_GOOGLE_ITEM = re.compile(rf"\*{{0,2}}(\w+)\s*(?:{_TYPE})?\s*:\s*(.*)$")
_NUMPY_HEADER = re.compile(r"(Parameters|Other Parameters|Keyword Arguments)\s*$", re.I)
_NUMPY_ITEM = re.compile(r"((?:\*{0,2}\w+\s*,\s*)*\*{0,2}\w+)\s*(?::.*)?$")
_SPHINX_ITEM = re.compile(r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_UNDERLINE = re.compile(r"-{3,}\s*$")


def parameter_descriptions(docstring: str | None) -> dict[str, str]:
    """Return the descriptions of parameters by name, lines joined as written and indentation removed."""
    if not docstring:
        return {}
    lines = inspect.cleandoc(docstring).splitlines()
    found: dict[str, str] = {}
    for read in (_numpy, _google, _sphinx):
        for name, description in read(lines):
            if description and name not in found:
                found[name] = description
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(lines: list[str], start: int, indent: int) -> list[str]:
    """The lines from `start` on that are blank or indented more than `indent`."""
    end = start
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
    return lines[start:end]


def _text(first: str, rest: list[str]) -> str:
    return "\n".join([first, textwrap.dedent("\n".join(rest))]).strip()


def _google(lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, header in enumerate(lines):
        if not _GOOGLE_HEADER.match(header.strip()):
            continue
        body = _block(lines, number + 1, _indent(header))
        margin = min((_indent(line) for line in body if line.strip()), default=0)
        for at, line in enumerate(body):
            item = _GOOGLE_ITEM.match(line.strip())
            if item and _indent(line) == margin:
                yield item[1], _text(item[2], _block(body, at + 1, margin))


def _numpy(lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, header in enumerate(lines[:-1]):
        if not (_NUMPY_HEADER.match(header.strip()) and _UNDERLINE.match(lines[number + 1].strip())):
            continue
        margin = _indent(header)
        at = number + 2
        while at < len(lines):
            line = lines[at]
            underlined = at + 1 < len(lines) and _UNDERLINE.match(lines[at + 1].strip())
            if line.strip() and (underlined or _indent(line) < margin):
                break
            item = _NUMPY_ITEM.match(line.strip())
            block = _block(lines, at + 1, margin)
            if item and _indent(line) == margin:
                for name in item[1].split(","):
                    yield name.strip().lstrip("*"), _text("", block)
            at += 1 + len(block)


def _sphinx(lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        item = _SPHINX_ITEM.match(line.strip())
        if item:
            yield item[1], _text(item[2], _block(lines, number + 1, _indent(line)))
