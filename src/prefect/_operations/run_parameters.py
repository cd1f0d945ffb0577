"""The parameters and job variables of a run that is to be made: filled in, checked, plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from prefect._lazy import lazy_module
from prefect._operations.errors import Conflict, Invalid
from prefect._store.documents import json_text, json_value
from prefect._store.tables import variable
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes

    from prefect.utilities import schema_tools
    from prefect.utilities.schema_tools import hydration
else:
    # most runs need no templates
    jinja2 = lazy_module("jinja2")
    nodes = lazy_module("jinja2.nodes")
    schema_tools = lazy_module("prefect.utilities.schema_tools")
    hydration = lazy_module("prefect.utilities.schema_tools.hydration")

_KIND = "__prefect_kind"
# what cannot grow, or go on, beyond the size of the template itself
_ALLOWED_NODES = (
    "Output", "TemplateData", "Literal", "Name", "Getattr", "Getitem", "Slice", "BinExpr", "UnaryExpr", "Concat", "Compare",
    "Operand", "CondExpr", "If", "Filter", "Test", "Pair", "Keyword",
)  # fmt: skip
_ALLOWED_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "last", "length", "lower", "max", "min", "reverse",
    "round", "sort", "string", "sum", "title", "trim", "unique", "upper",
})  # fmt: skip


class ParametersNotMade(Invalid):
    """A value that is described (as a template, a variable, ...) cannot be made."""

    status = 400


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return json_value(json_text(value))


def check_size(parameters: dict[str, Any]) -> None:
    """Check that parameters are not larger than the settings allow.

    Raises:
        Invalid: they are.
    """
    largest = get_current_settings().server.api.max_parameter_size
    size = len(json_text(parameters).encode())
    if size > largest:
        raise Invalid(
            f"The parameters are {size} bytes of JSON, more than the {largest} that a run may have. Store the data, "
            "and pass where it is."
        )


def make_parameters(tx: sa.Connection, parameters: dict[str, Any]) -> dict[str, Any]:
    """The values that descriptions (`{"__prefect_kind": ...}`) among parameters stand for.

    Raises:
        ParametersNotMade: one of them cannot be made.
        Invalid: they are too large.
    """
    check_size(parameters)
    if not _is_described(parameters):
        return parameters
    for template in _templates(parameters):
        _check_template(template)
    context = schema_tools.HydrationContext(
        workspace_variables=variables_in(tx, parameters),
        render_workspace_variables=True,
        render_jinja=True,
        raise_on_error=True,
    )
    try:
        made = schema_tools.hydrate(parameters, context)
    except schema_tools.HydrationError as exc:
        raise ParametersNotMade(f"Error hydrating flow run parameters: {exc}") from exc
    check_size(made)
    return made


def variables_in(tx: sa.Connection, described: Any) -> dict[str, Any]:
    """The values of the variables that descriptions name; those that are not there are left out."""
    names = sorted(set(_variable_names(described)))
    if not names:
        return {}
    statement = sa.select(variable.c.name, variable.c.value).where(variable.c.name.in_(names))
    return dict(tx.execute(statement).tuples().all())


def check_parameters(parameters: dict[str, Any], schema: dict[str, Any]) -> None:
    """Check the parameters of a run against the schema of its flow's.

    Raises:
        Conflict: they do not fit, or the schema refers to itself without end.
    """
    try:
        schema_tools.validate(parameters, schema, raise_on_error=True)
    except (schema_tools.ValidationError, schema_tools.CircularSchemaRefError) as exc:
        raise Conflict(f"Error creating flow run: {exc}") from exc


def check_job_variables(given: dict[str, Any], template: dict[str, Any], creating: str = "flow run") -> None:
    """Check job variables against a work pool's template; what is not given has the pool's default.

    A run needs all that the template requires; a deployment need not give what its runs may. Values with placeholders (blocks, variables, the environment) are known when the run starts, and are not checked.

    Raises:
        Invalid: they do not fit.
    """
    schema = template.get("variables")
    if not schema:
        return
    if creating == "deployment":
        schema = {name: part for name, part in schema.items() if name != "required"}
    properties = schema.get("properties") or {}
    defaults = {
        name: part["default"] for name, part in properties.items() if isinstance(part, dict) and "default" in part
    }
    values = {name: _stand_in(value) for name, value in {**defaults, **given}.items()}
    try:
        schema_tools.validate(values, schema, raise_on_error=True, allow_none_with_default=True)
    except (schema_tools.ValidationError, schema_tools.CircularSchemaRefError) as exc:
        raise Invalid(f"Error creating {creating}: {exc}") from exc


def _is_described(value: Any) -> bool:
    if isinstance(value, dict):
        return _KIND in value or any(map(_is_described, value.values()))
    return isinstance(value, list) and any(map(_is_described, value))


def _variable_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        name = value.get("variable_name")
        if value.get(_KIND) == "workspace_variable" and isinstance(name, str):
            yield name
        for part in value.values():
            yield from _variable_names(part)
    elif isinstance(value, list):
        for part in value:
            yield from _variable_names(part)


def _templates(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        template = value.get("template")
        if value.get(_KIND) == "jinja" and isinstance(template, str):
            yield template
        for part in value.values():
            yield from _templates(part)
    elif isinstance(value, list):
        for part in value:
            yield from _templates(part)


def _check_template(template: str) -> None:
    """Refuse a template that could make much out of little: it is rendered while others wait for the database."""
    try:
        parsed = jinja2.Environment().parse(template)
    except jinja2.TemplateSyntaxError:
        return  # whoever renders it tells
    allowed = tuple(getattr(nodes, name) for name in _ALLOWED_NODES)
    for node in parsed.find_all(nodes.Node):
        harmless = isinstance(node, allowed) and not isinstance(node, nodes.Mul | nodes.Pow | nodes.Mod)
        if not harmless or (isinstance(node, nodes.Filter) and node.name not in _ALLOWED_FILTERS):
            what = f"the filter {node.name!r}" if isinstance(node, nodes.Filter) else f"{type(node).__name__!r}"
            raise ParametersNotMade(
                f"Error hydrating flow run parameters: Invalid jinja: a template for a parameter may not use {what}. "
                "Compute the value, and pass it."
            )


def _stand_in(value: Any) -> Any:
    if isinstance(value, str):
        return hydration.Placeholder() if "{{" in value else value
    if isinstance(value, dict):
        return {name: _stand_in(part) for name, part in value.items()}
    return [_stand_in(part) for part in value] if isinstance(value, list) else value
