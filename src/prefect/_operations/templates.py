"""Templates of automations: whether they can be read, and what they make.

They are Jinja, in a sandbox that can change nothing. What they make is bounded, and so is the time that it takes: whoever
may write an automation may not keep the server busy, or fill its memory.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import sqlalchemy as sa
from pydantic import BeforeValidator, Field

from prefect._lazy import lazy_module
from prefect._operations.registry import Answer, operation
from prefect._schemas.base import PrefectBaseModel
from prefect._store.documents import json_text

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes

    from prefect._operations import template_sandbox
else:
    # most requests need no templates
    jinja2 = lazy_module("jinja2")
    nodes = lazy_module("jinja2.nodes")
    template_sandbox = lazy_module("prefect._operations.template_sandbox")

LONGEST = 250_000
"""Characters that a template makes at most."""
SECONDS = 2.0
"""How long that may take."""
_DEEPEST_LOOPS = 2
_SINGLE = re.compile(r"\s*\{\{[-+]?(.*?)[-+]?\}\}\s*", re.DOTALL)


class TemplateProblem(PrefectBaseModel):
    """What is wrong with a template."""

    line: int = Field(description="Where, from 1; 0: all over.")
    message: str
    source: str = Field(description="The template.")


class TemplateRefused(PrefectBaseModel):
    """The answer to a template that cannot be used."""

    error: TemplateProblem


class TemplateFailed(ValueError):
    """A template made nothing. The message says why."""


# without a body there is an empty template
_Template = Annotated[str, BeforeValidator(lambda given: "" if given == {} or given is None else given)]


@operation("POST", "/templates/validate", lengthy=True)
def validate_template(tx: sa.Connection, body: _Template) -> Answer[TemplateRefused | None]:
    """Whether a template can be read (204); otherwise (422), what is wrong with it."""
    problem = problem_with(body)
    return Answer(None, 204) if problem is None else Answer(TemplateRefused(error=problem), 422)


@operation("POST", "/automations/templates/validate", lengthy=True)
def validate_automation_template(tx: sa.Connection, body: _Template) -> Answer[TemplateRefused | None]:
    """Whether a template of an automation can be read (204); otherwise (422), what is wrong with it."""
    return validate_template(tx, body)


def problem_with(template: str) -> TemplateProblem | None:
    """What is wrong with a template, or None."""
    try:
        parsed = template_sandbox.environment().parse(template)
    except jinja2.TemplateSyntaxError as problem:
        return TemplateProblem(line=problem.lineno, message=problem.message or str(problem), source=template)
    except RecursionError:
        return TemplateProblem(line=0, message="It is nested too deeply.", source=template)
    refused = template_sandbox.refused(parsed)
    if refused is not None:
        line, what = refused
        return TemplateProblem(line=line, message=f"Templates may not use {what}.", source=template)
    depth = _loops(parsed)
    if depth > _DEEPEST_LOOPS:
        message = (
            f"Contains nested for loops at a depth of {depth}. Templates can nest for loops no more than "
            f"{_DEEPEST_LOOPS} loops deep."
        )
        return TemplateProblem(line=0, message=message, source=template)
    return None


def _loops(node: nodes.Node) -> int:
    inside = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return inside + isinstance(node, nodes.For)


def render(template: str, context: dict[str, Any]) -> str:
    """What a template makes.

    Args:
        template: the template.
        context: the names that it may use.

    Raises:
        TemplateFailed: it cannot be read, makes too much, takes too long, or asks for what is not there.
    """
    if "{{" not in template and "{%" not in template and "{#" not in template:
        return template
    problem = problem_with(template)
    if problem is not None:
        raise TemplateFailed(f"Line {problem.line}: {problem.message}")
    limits = template_sandbox.Limits(time.monotonic() + SECONDS, LONGEST)
    made: list[str] = []
    size = 0
    try:
        for part in template_sandbox.environment(limits).from_string(template).generate(**context):
            limits.tick()
            made.append(part)
            size += len(part)
            limits.check(size)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as problem:
        raise TemplateFailed(f"{type(problem).__name__}: {problem}") from problem
    return "".join(made)


def evaluate(template: str, context: dict[str, Any]) -> Any:
    """What a template makes; one that is a single expression, the value of that, as JSON has it.

    Args:
        template: the template.
        context: the names that it may use.

    Raises:
        TemplateFailed: as `render`; the value is none that JSON has, or describes something that is still to be made.
    """
    expression = _expression(template)
    if expression is None:
        return render(template, context)
    try:
        value = orjson.loads(render(f"{{{{ ({expression}) | tojson }}}}", context))
    except TemplateFailed as problem:
        raise TemplateFailed(f"{template!r} has no value that JSON could hold: {problem}") from problem
    if "__prefect_kind" in json_text(value):
        # what events carry is data, and not what is to be done
        raise TemplateFailed(f"{template!r} makes a value that has '__prefect_kind' in it.")
    return value


def _expression(template: str) -> str | None:
    """The expression that a template consists of."""
    found = _SINGLE.fullmatch(template)
    if found is None or problem_with(template) is not None:
        return None
    body = template_sandbox.environment().parse(template.strip()).body
    parts = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    return found[1] if len(parts) == 1 else None
