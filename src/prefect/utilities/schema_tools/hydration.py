"""Turn what a form sends into values.

A form may send an object in the place of a value that says how the value is to be made:

    {"__prefect_kind": "json", "value": "[1, 2]"}
    {"__prefect_kind": "jinja", "template": "{{ event.name }}"}
    {"__prefect_kind": "workspace_variable", "variable_name": "region"}
    {"__prefect_kind": "none", "value": 5}

What cannot be made (yet) is replaced by a `Placeholder`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, Field

__all__ = [
    "HydrationContext",
    "HydrationError",
    "InvalidJSON",
    "InvalidJinja",
    "KeyNotFound",
    "Placeholder",
    "RemoveValue",
    "TemplateNotFound",
    "ValidJinja",
    "ValueNotFound",
    "VariableNameNotFound",
    "WorkspaceVariable",
    "WorkspaceVariableNotFound",
    "call_handler",
    "handler",
    "hydrate",
    "jinja_handler",
    "json_handler",
    "null_handler",
    "workspace_variable_handler",
]

_KIND = "__prefect_kind"
_templates = ImmutableSandboxedEnvironment()


class HydrationContext(BaseModel):
    """What values may be made of.

    Attributes:
        workspace_variables: the values of variables by name.
        render_workspace_variables: put in the values of variables.
        raise_on_error: raise a `HydrationError` instead of leaving it in the place of the value.
        render_jinja: render templates.
        jinja_context: the names that templates can use.
    """

    workspace_variables: dict[str, Any] = Field(default_factory=dict)
    render_workspace_variables: bool = False
    raise_on_error: bool = False
    render_jinja: bool = False
    jinja_context: dict[str, Any] = Field(default_factory=dict)


class Placeholder:
    """Stands in the place of a value; equal to one of the same kind that says the same."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.__dict__.items()))))

    @property
    def is_error(self) -> bool:
        """Whether there can be no value."""
        return False


class RemoveValue(Placeholder):
    """The value is to be left out."""


class HydrationError(Placeholder, Exception):
    """The value cannot be made.

    Args:
        detail: why.
    """

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(*(() if detail is None else (detail,)))
        self.detail = detail

    @property
    def is_error(self) -> bool:
        """Always true."""
        return True

    @property
    def message(self) -> str:
        """The fault in words."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.message


class KeyNotFound(HydrationError):
    """The object lacks a key."""

    @property
    def message(self) -> str:
        """Names the key."""
        return f"Missing '{self.key}' key in __prefect object"

    @property
    def key(self) -> str:
        """The key."""
        raise NotImplementedError


class ValueNotFound(KeyNotFound):
    """The object lacks its value."""

    @property
    def key(self) -> str:
        """The key."""
        return "value"


class TemplateNotFound(KeyNotFound):
    """The object lacks its template."""

    @property
    def key(self) -> str:
        """The key."""
        return "template"


class VariableNameNotFound(KeyNotFound):
    """The object lacks the name of a variable."""

    @property
    def key(self) -> str:
        """The key."""
        return "variable_name"


class InvalidJSON(HydrationError):
    """The text is not JSON."""

    @property
    def message(self) -> str:
        """Says where."""
        return f"Invalid JSON: {self.detail}" if self.detail else "Invalid JSON"


class InvalidJinja(HydrationError):
    """The template is faulty."""

    @property
    def message(self) -> str:
        """Says how."""
        return f"Invalid jinja: {self.detail}" if self.detail else "Invalid jinja"


class WorkspaceVariableNotFound(HydrationError):
    """There is no such variable.

    Args:
        detail: its name.
    """

    @property
    def variable_name(self) -> str | None:
        """The name."""
        return self.detail

    @property
    def message(self) -> str:
        """Names the variable."""
        return f"Variable {self.variable_name!r} not found in workspace."


class WorkspaceVariable(Placeholder):
    """A variable whose value is not asked for.

    Args:
        variable_name: its name.
    """

    def __init__(self, variable_name: str) -> None:
        self.variable_name = variable_name


class ValidJinja(Placeholder):
    """A template that is in order and is not rendered.

    Args:
        template: its text.
    """

    def __init__(self, template: str) -> None:
        self.template = template


Handler = Callable[[dict[str, Any], HydrationContext], Any]
_handlers: dict[str | None, Handler] = {}


def handler(kind: str | None) -> Callable[[Handler], Handler]:
    """Register a function that makes the values of a kind. A decorator.

    Args:
        kind: what objects have under `__prefect_kind`.
    """

    def register(function: Handler) -> Handler:
        _handlers[kind] = function
        return function

    return register


def call_handler(kind: str | None, obj: dict[str, Any], ctx: HydrationContext) -> Any:
    """Make the value of an object; of an unknown kind, its own value.

    Raises:
        HydrationError: it cannot be made and `ctx.raise_on_error` is set.
    """
    known = _handlers.get(kind, null_handler) if isinstance(kind, str | None) else null_handler
    made = known(obj, ctx)
    if isinstance(made, HydrationError) and ctx.raise_on_error:
        raise made
    return made


@handler("none")
def null_handler(obj: dict[str, Any], ctx: HydrationContext) -> Any:
    """The value as it is."""
    return _hydrate(obj["value"], ctx) if "value" in obj else ValueNotFound()


@handler(None)
def _no_kind(obj: dict[str, Any], ctx: HydrationContext) -> Any:
    return _hydrate(obj.get("value"), ctx)


@handler("json")
def json_handler(obj: dict[str, Any], ctx: HydrationContext) -> Any:
    """The value that JSON text says; without text, none."""
    if "value" not in obj:
        return RemoveValue()
    text = _hydrate(obj["value"], ctx)
    if not isinstance(text, (str, bytes)):
        return text  # null, a value already, or a placeholder for the text
    try:
        return json.loads(text)
    except ValueError as error:
        return InvalidJSON(str(error))


@handler("jinja")
def jinja_handler(obj: dict[str, Any], ctx: HydrationContext) -> Any:
    """The text of a template."""
    if "template" not in obj:
        return TemplateNotFound()
    text = _hydrate(obj["template"], ctx)
    if not isinstance(text, str):
        return text if isinstance(text, Placeholder) else InvalidJinja(f"{text!r} is not text")
    try:
        template = _templates.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        return InvalidJinja(str(error))
    if not ctx.render_jinja:
        return ValidJinja(text)
    try:
        return template.render(**ctx.jinja_context)
    except Exception as error:  # a template can fail in any way
        return InvalidJinja(str(error))


@handler("workspace_variable")
def workspace_variable_handler(obj: dict[str, Any], ctx: HydrationContext) -> Any:
    """The value of a variable; without a name, none."""
    if "variable_name" not in obj:
        return RemoveValue()
    name = _hydrate(obj["variable_name"], ctx)
    if isinstance(name, Placeholder):
        return name
    if not ctx.render_workspace_variables:
        return WorkspaceVariable(name)
    if not isinstance(name, str) or name not in ctx.workspace_variables:
        return WorkspaceVariableNotFound(name if isinstance(name, str) else repr(name))
    return ctx.workspace_variables[name]


def hydrate(obj: Any, ctx: HydrationContext | None = None) -> Any:
    """Make the values that are described in JSON data.

    Args:
        obj: the data.
        ctx: what the values may be made of; without, templates and variables become placeholders.

    Returns:
        The data with values in the place of their descriptions; an empty dict if all of it is to be left out.

    Raises:
        HydrationError: a value cannot be made and `ctx.raise_on_error` is set.
    """
    made = _hydrate(obj, ctx or HydrationContext())
    return {} if isinstance(made, RemoveValue) else made


def _hydrate(obj: Any, ctx: HydrationContext) -> Any:
    if isinstance(obj, dict):
        if _KIND in obj:
            return call_handler(obj[_KIND], obj, ctx)
        made = {key: _hydrate(value, ctx) for key, value in obj.items()}
        return {key: value for key, value in made.items() if not isinstance(value, RemoveValue)}
    if isinstance(obj, list):
        return [value for item in obj if not isinstance(value := _hydrate(item, ctx), RemoveValue)]
    return obj
