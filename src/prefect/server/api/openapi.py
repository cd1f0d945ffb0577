"""The description of the API, as an OpenAPI 3.1 document, and a page that shows it."""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

import prefect
from prefect._operations.registry import Operation, PlainText, sent_name
from prefect.server.api.mounting import adapter_of

_REFERENCE = "#/components/schemas/{model}"
_INVALID = {"description": "The request does not fit: the answer says where."}


def document(operations: Iterable[Operation], *, prefix: str) -> dict[str, Any]:
    """Describe operations.

    Args:
        operations: what to describe.
        prefix: the path below which they are mounted.
    """
    operations = sorted(operations, key=lambda operation: (operation.path, operation.method))
    adapters: list[tuple[Any, Any, TypeAdapter[Any]]] = []
    for operation in operations:
        if operation.body is not None:
            adapters.append(((operation.name, "body"), "validation", adapter_of(operation.body)))
        if _has_json(operation):
            adapters.append(((operation.name, "output"), "serialization", adapter_of(operation.output)))
    schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(prefix + operation.path, {})[operation.method.lower()] = _describe(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Prefect REST API", "version": prefect.__version__},
        "paths": paths,
        "components": {"schemas": definitions.get("$defs", {})},
    }


def _has_json(operation: Operation) -> bool:
    return operation.status != 204 and operation.output is not None and operation.output is not PlainText


def _describe(operation: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    documentation = inspect.getdoc(operation.function) or ""
    described: dict[str, Any] = {
        "tags": [operation.path.split("/")[1].replace("_", " ").capitalize()],
        "summary": operation.name.replace("_", " ").capitalize(),
        "description": documentation.partition("\n\nRaises:")[0].partition("\n\nArgs:")[0],
        "operationId": operation.name,
        "parameters": _parameters(operation),
        "responses": {**{str(status): _success(operation, schemas) for status in operation.statuses}, "422": _INVALID},
    }
    if operation.body is not None:
        schema = schemas[(operation.name, "body"), "validation"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _success(operation: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Successful Response"}
    if _has_json(operation):
        schema = schemas[(operation.name, "output"), "serialization"]
        success["content"] = {"application/json": {"schema": schema}}
    elif operation.output is PlainText:
        success["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return success


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    for where, hints in (("path", operation.path_parameters), ("query", operation.query_parameters)):
        for name, hint in hints.items():
            schema = adapter_of(hint).json_schema()
            required = name in operation.required
            described.append({"name": sent_name(name, hint), "in": where, "required": required, "schema": schema})
    return described


def page(described: dict[str, Any]) -> str:
    """A page that lists the operations of a document."""
    rows = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            rows.append(
                f"<tr><td><code>{method.upper()}</code></td><td><code>{html.escape(path)}</code></td>"
                f"<td>{html.escape(operation['description'].splitlines()[0] if operation['description'] else '')}</td></tr>"
            )
    title = html.escape(described["info"]["title"])
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}body{{font:15px/1.5 system-ui;margin:2rem auto;"
        "max-width:70rem;padding:0 1rem}td{padding:.15rem .75rem .15rem 0;vertical-align:top}</style></head><body>"
        f"<h1>{title}</h1><p>Version {html.escape(described['info']['version'])}. The complete description: "
        "<a href='api/openapi.json'>openapi.json</a>.</p><table>" + "".join(rows) + "</table></body></html>"
    )
