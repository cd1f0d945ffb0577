"""Colours for the console, by a few ANSI codes: levels, names of runs, states and addresses."""

from __future__ import annotations

import os
import re
from typing import Any

_LEVELS = {"INFO": "36", "WARNING": "93", "ERROR": "31", "CRITICAL": "91"}
_STATES = {
    "Completed": "32",
    "Cached": "94",
    "Cancelled": "93",
    "Cancelling": "93",
    "Failed": "31",
    "Crashed": "91",
    "RolledBack": "93",
}
_PARTS = re.compile(
    r"(?P<url>https?://[^\s'\"<>]*[^\s'\"<>.,;:)\]])"
    r"|(?i:\b(?:sub)?flow run)(?P<flow_run> '[^'\n]*')"
    r"|(?i:\btask run)(?P<task_run> '[^'\n]*')"
    r"|(?i:\bflow)(?P<flow> '[^'\n]*')"
    rf"|\b(?P<state>{'|'.join(_STATES)})(?=\()"
)
_CODES = {"url": "94", "flow_run": "35", "task_run": "35", "flow": "1;35"}


def _paint_part(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    text = match[kind]
    code = _STATES[text] if kind == "state" else _CODES[kind]
    before = match[0][: len(match[0]) - len(text)]
    return f"{before}\x1b[{code}m{text}\x1b[0m"


def paint(line: str, level: str) -> str:
    """A formatted record with colours.

    Args:
        line: the record as text.
        level: the name of its level; its first occurrence is coloured.
    """
    line = _PARTS.sub(_paint_part, line)
    code = _LEVELS.get(level)
    return line.replace(level, f"\x1b[{code}m{level}\x1b[0m", 1) if code else line


def wants_color(stream: Any) -> bool:
    """Whether to colour what goes to a stream: a terminal that can, unless the environment says otherwise.

    `NO_COLOR` (no-color.org) says no, `FORCE_COLOR` (force-color.org) says yes, `TERM=dumb` says no.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return False
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:  # the stream is closed
        return False
