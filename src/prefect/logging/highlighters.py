"""Highlighters for those who show log lines with rich; the console handler uses them for styles of your own."""

from __future__ import annotations

from rich.highlighter import RegexHighlighter


class LevelHighlighter(RegexHighlighter):
    """Marks the names of levels."""

    base_style = "level."
    highlights = [
        r"(?P<debug_level>DEBUG)",
        r"(?P<info_level>INFO)",
        r"(?P<warning_level>WARNING)",
        r"(?P<error_level>ERROR)",
        r"(?P<critical_level>CRITICAL)",
    ]


class UrlHighlighter(RegexHighlighter):
    """Marks addresses, those of this machine apart from others."""

    base_style = "url."
    highlights = [
        r"(?P<web_url>https?://(?!(?:localhost|127\.|0\.0\.0\.0|\[::1\]))[\w\-./?=&#%:@~+!,;]+)",
        r"(?P<local_url>https?://(?:localhost|127\.[\d.]+|0\.0\.0\.0|\[::1\])[\w\-./?=&#%:@~+!,;]*)",
    ]


class NameHighlighter(RegexHighlighter):
    """Marks the names of flows, tasks and their runs."""

    base_style = "name."
    highlights = [
        r"(?i)\b(?:sub)?flow run(?P<flow_run_name> '[^'\n]*')",
        r"(?i)\btask run(?P<task_run_name> '[^'\n]*')",
        r"(?i)\bflow(?P<flow_name> '[^'\n]*')",
        r"(?i)\btask(?P<task_name> '[^'\n]*')",
    ]


class StateHighlighter(RegexHighlighter):
    """Marks the names of states that end a run."""

    base_style = "state."
    highlights = [
        r"\b(?P<completed_state>Completed)\b",
        r"\b(?P<cached_state>Cached)\b",
        r"\b(?P<cancelled_state>Cancel(?:led|ling))\b",
        r"\b(?P<failed_state>Failed)\b",
        r"\b(?P<crashed_state>Crashed)\b",
    ]


class PrefectConsoleHighlighter(RegexHighlighter):
    """Marks all of these, under `log.`: `log.error_level`, `log.flow_run_name`, `log.completed_state`, ..."""

    base_style = "log."
    highlights = [
        *LevelHighlighter.highlights,
        *UrlHighlighter.highlights,
        *NameHighlighter.highlights,
        *StateHighlighter.highlights,
    ]


DEFAULT_STYLES = {
    "log.web_url": "bright_blue",
    "log.local_url": "bright_blue",
    "log.info_level": "cyan",
    "log.warning_level": "bright_yellow",
    "log.error_level": "red",
    "log.critical_level": "bright_red",
    "log.completed_state": "green",
    "log.cached_state": "bright_blue",
    "log.cancelled_state": "bright_yellow",
    "log.failed_state": "red",
    "log.crashed_state": "bright_red",
    "log.flow_run_name": "magenta",
    "log.task_run_name": "magenta",
    "log.flow_name": "bold magenta",
}
"""What the marks look like, unless the console handler's `styles` say otherwise."""
