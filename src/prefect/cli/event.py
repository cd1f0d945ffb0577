"""`prefect event`: tell that something happened, and see what happens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output

if TYPE_CHECKING:
    import orjson

    from prefect._schemas import events
else:
    orjson = lazy_module("orjson")
    events = lazy_module("prefect._schemas.events")

app = App(name="event", help="Tell that something happened, and see what happens.")


@app.command
def emit(
    event: Annotated[str, Parameter(help="Name of what happened, such as order.placed.")],
    *,
    resource: Annotated[
        list[str] | None,
        Parameter(
            name=["--resource", "-r"],
            help="A label of what it happened to, as name=value, or all as JSON. May be repeated.",
            negative=(),
        ),
    ] = None,
    resource_id: Annotated[str | None, Parameter(help="Id of what it happened to.")] = None,
    related: Annotated[
        list[str] | None,
        Parameter(help="Something that had to do with it, as JSON. May be repeated, or a list.", negative=()),
    ] = None,
    payload: Annotated[str | None, Parameter(name=["--payload", "-p"], help="More about it, as a JSON object.")] = None,
    output: Output = None,
) -> None:
    """Record that something happened."""
    labels = _labels(resource or ())
    if resource_id is not None:
        labels["prefect.resource.id"] = resource_id
    if not labels.get("prefect.resource.id"):
        _console.usage("Say what it happened to: --resource-id, or --resource prefect.resource.id=ID.")
    fields = {
        "event": event,
        "resource": labels,
        "related": _related(related or ()),
        "payload": {} if payload is None else _output.json_object(payload, "--payload"),
        "occurred": now(),
        "id": new_uuid(),
    }
    made = _api.made(events.Event, fields)
    with _api.client() as api:
        api.request("POST", "/events", json=[made.model_dump(mode="json")])
    if output == "json":
        _output.print_json(made)
    else:
        print(f"Emitted event {event!r} ({made.id}).")


def _labels(given: Iterable[str]) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for one in given:
        if one.lstrip().startswith("{"):
            labels |= _output.json_object(one, "--resource")
        else:
            name, separator, value = one.partition("=")
            if not separator:
                _console.usage(f"--resource {one!r} should look like name=value, or be a JSON object.")
            labels[name] = value
    return labels


def _related(given: Iterable[str]) -> list[Any]:
    found: list[Any] = []
    for one in given:
        try:
            value = orjson.loads(one)
        except orjson.JSONDecodeError as problem:
            _console.usage(f"--related is not JSON: {problem}")
        found += value if isinstance(value, list) else [value]
    return found
