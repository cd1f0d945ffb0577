"""Reading a `prefect.yaml`, with errors that name the line; and writing a deployment into one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TOP = frozenset({"name", "prefect-version", "build", "push", "pull", "deployments", "definitions"})
DEPLOYMENT = frozenset({
    "name", "version", "version_type", "tags", "description", "schedule", "schedules", "paused", "entrypoint",
    "flow_name", "parameters", "work_pool", "enforce_parameter_schema", "concurrency_limit", "triggers", "sla", "build",
    "push", "pull",
})  # fmt: skip
POOL = frozenset({"name", "work_queue_name", "job_variables"})
SCHEDULE = frozenset({
    "cron", "day_or", "interval", "anchor_date", "rrule", "timezone", "active", "parameters", "slug",
    "max_scheduled_runs", "replaces", "schedule",
})  # fmt: skip
LIMIT = frozenset({"limit", "collision_strategy", "grace_period_seconds"})

_LINE = re.compile("[^\n\r\x85\u2028\u2029]*(?:\r\n|[\n\r\x85\u2028\u2029])")  # as YAML counts them
_LISTS = {"build", "push", "pull", "tags", "schedules", "triggers"}


class ProjectFileError(ValueError):
    """A `prefect.yaml` is not written as it has to be; the message names the line."""


@dataclass(frozen=True)
class ProjectFile:
    """What a `prefect.yaml` says."""

    path: Path
    name: str | None = None
    build: list[dict[str, Any]] | None = None
    push: list[dict[str, Any]] | None = None
    pull: list[dict[str, Any]] | None = None
    deployments: list[dict[str, Any]] = field(default_factory=list)

    def named(self) -> list[dict[str, Any]]:
        """The deployments that have a name; others are forms to fill in."""
        return [deployment for deployment in self.deployments if deployment.get("name")]


def read(path: Path) -> ProjectFile | None:
    """Read a file; None when there is none.

    Raises:
        ProjectFileError: it is not YAML, or not written as it has to be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectFileError(f"{path} cannot be read: {error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> ProjectFile:
    """Read the text of a file; see `read`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text) if root is not None else {}
        anchored = {event.start_mark.line for event in yaml.parse(text, Loader=yaml.SafeLoader) if _has_anchor(event)}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ProjectFileError(f"{path}{where}: {getattr(error, 'problem', None) or error}.") from error
    if root is None:
        return ProjectFile(path)
    _Check(path, anchored).check(root)
    return ProjectFile(
        path,
        content.get("name"),
        content.get("build"),
        content.get("push"),
        content.get("pull"),
        content.get("deployments") or [],
    )


def _has_anchor(event: Any) -> bool:
    return getattr(event, "anchor", None) is not None and not isinstance(event, yaml.AliasEvent)


class _Check:
    """Looks through a file for what is not written as it has to be."""

    def __init__(self, path: Path, anchored: set[int]) -> None:
        self.path = path
        self.anchored = anchored

    def fail(self, node: yaml.Node, problem: str) -> ProjectFileError:
        return ProjectFileError(f"{self.path}, line {node.start_mark.line + 1}: {problem}")

    def check(self, root: yaml.Node) -> None:
        for key, value in self.entries(root, "the file"):
            if key.value not in TOP and not self.is_for_anchors(key, value):
                raise self.unknown(key, "the file", TOP)
            if key.value in _LISTS:
                self.steps(key.value, value)
            if key.value == "deployments" and not _is_null(value):
                for deployment in self.items(value, "`deployments`"):
                    self.deployment(deployment)

    def is_for_anchors(self, key: yaml.Node, value: yaml.Node) -> bool:
        """Whether an entry is there to be referred to by others."""
        if str(key.value).startswith(("x-", ".", "_")):
            return True
        last = max(value.end_mark.line, key.start_mark.line + 1)
        return any(key.start_mark.line <= line < last for line in self.anchored)

    def deployment(self, node: yaml.Node) -> None:
        for key, value in self.entries(node, "a deployment"):
            if key.value not in DEPLOYMENT:
                raise self.unknown(key, "a deployment", DEPLOYMENT)
            if _is_null(value):
                continue
            name = key.value
            if name in ("build", "push", "pull"):
                self.steps(name, value)
            elif name == "work_pool":
                self.mapping(value, "`work_pool`", POOL)
            elif name == "schedule":
                self.mapping(value, "`schedule`", SCHEDULE)
            elif name == "schedules":
                for schedule in self.items(value, "`schedules`"):
                    self.mapping(schedule, "a schedule", SCHEDULE)
            elif name == "concurrency_limit" and isinstance(value, yaml.MappingNode):
                self.mapping(value, "`concurrency_limit`", LIMIT)
            elif name in ("tags", "triggers"):
                self.items(value, f"`{name}`")
            elif name == "parameters":
                self.mapping(value, "`parameters`", None)

    def mapping(self, node: yaml.Node, what: str, known: frozenset[str] | None) -> None:
        for key, _ in self.entries(node, what):
            if known is not None and key.value not in known:
                raise self.unknown(key, what, known)

    def steps(self, name: str, node: yaml.Node) -> None:
        if _is_null(node) or _is_placeholder(node):
            return
        for step in self.items(node, f"`{name}`"):
            entries = list(self.entries(step, f"a step of `{name}`"))
            if len(entries) != 1:
                names = ", ".join(repr(key.value) for key, _ in entries)
                raise self.fail(
                    step,
                    f"a step has one key, the name of its function; this one has {names or 'none'}. "
                    "Its inputs stand below it, indented further.",
                )

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            return node.value
        if _is_placeholder(node):
            return []
        raise self.fail(node, f"{what} must be a list, each item with a `-` before it.")

    def entries(self, node: yaml.Node, what: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping, those that it merges in (`<<`) left to where they are written."""
        if _is_placeholder(node):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{what} must be a mapping, of `name: value` lines.")
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen and key.value != "<<":
                raise self.fail(key, f"{key.value!r} is given twice, first in line {seen[key.value]}.")
            seen[key.value] = key.start_mark.line + 1
            if key.value != "<<":
                yield key, value

    def unknown(self, key: yaml.Node, what: str, known: frozenset[str]) -> ProjectFileError:
        guesses = difflib.get_close_matches(str(key.value), known, 1)
        hint = f"did you mean {guesses[0]!r}?" if guesses else f"it may have {', '.join(sorted(known))}."
        return self.fail(key, f"{what} has no {key.value!r}; {hint}")


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_placeholder(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and str(node.value).strip().startswith("{{")


# ── writing ──


def save_deployment(path: Path, deployment: dict[str, Any]) -> None:
    """Write a deployment into a file, in the place of the one of this name, or at the end. The rest stays as it is.

    Raises:
        ProjectFileError: the file is not written as it has to be.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text:
        parse(text, path)
        text += "" if text.endswith("\n") else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
    node = _section(root, "deployments")
    item = yaml.safe_dump([deployment], sort_keys=False, allow_unicode=True)
    lines = _LINE.findall(text)
    if node is None or not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value:
        if node is not None:  # on one line, or without anything
            key_line = _key_line(root, "deployments")
            others = [one for one in yaml.safe_load(text)["deployments"] or () if one["name"] != deployment["name"]]
            item = yaml.safe_dump([*others, deployment], sort_keys=False, allow_unicode=True)
            end = max(node.end_mark.line + (1 if node.end_mark.column else 0), key_line + 1)
            lines[key_line:end] = [f"deployments:\n{item}"]
        else:
            lines.append(f"{'' if not lines else chr(10)}deployments:\n{item}")
    else:
        first, last = _place(node, deployment["name"])
        indent = " " * max(node.start_mark.column, 0)
        lines[first:last] = ["".join(f"{indent}{line}" for line in item.splitlines(keepends=True))]
    path.write_text("".join(lines), encoding="utf-8")


def _section(root: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((value for key, value in root.value if key.value == name), None)


def _key_line(root: yaml.Node | None, name: str) -> int:
    entries = root.value if isinstance(root, yaml.MappingNode) else []
    return next(key.start_mark.line for key, _ in entries if key.value == name)


def _place(node: yaml.SequenceNode, name: str) -> tuple[int, int]:
    """The lines in which a deployment is to be written: those of its namesake, of a form without a name, or none."""
    named = {_name_of(item): item for item in node.value}
    item = named.get(name) or named.get(None)
    if item is not None:
        return item.start_mark.line, _end_line(item)
    end = _end_line(node.value[-1])
    return end, end


def _name_of(item: yaml.Node) -> str | None:
    found = _section(item, "name")
    return None if found is None or _is_null(found) else str(found.value)


def _end_line(node: yaml.Node) -> int:
    """The line after the last one of a node (its end mark stands where the next thing begins)."""
    inner = node.value if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) else None
    if not inner:
        # that of a text over several lines stands at the beginning of the next one
        return node.end_mark.line + (1 if node.end_mark.column else 0)
    last = inner[-1]
    return _end_line(last[1] if isinstance(last, tuple) else last)
