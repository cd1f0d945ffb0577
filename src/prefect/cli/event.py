"""`prefect event`: tell that something happened, and see what happens."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, flag

if TYPE_CHECKING:
    import asyncio

    import orjson

    from prefect._schemas import events
    from prefect._schemas.events import ReceivedEvent
    from prefect.events import clients
    from prefect.events import filters as event_filters
else:
    asyncio = lazy_module("asyncio")
    orjson = lazy_module("orjson")
    events = lazy_module("prefect._schemas.events")
    clients = lazy_module("prefect.events.clients")
    event_filters = lazy_module("prefect.events.filters")

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


@app.command
def stream(
    *,
    format: Annotated[Literal["json", "text"], Parameter(help="A JSON object on each line, or text.")] = "json",
    output_file: Annotated[Path | None, Parameter(help="Write to the end of this file instead.")] = None,
    name: Annotated[
        list[str] | None,
        Parameter(help="Only events of this name, or of names that begin so: order.*  May be repeated.", negative=()),
    ] = None,
    resource_id: Annotated[
        list[str] | None, Parameter(help="Only events about this. May be repeated.", negative=())
    ] = None,
    account: Annotated[bool, flag("Those of a whole account of Prefect Cloud.")] = False,
    run_once: Annotated[bool, flag("End after one event.")] = False,
) -> None:
    """Print events as they happen, those of the last minute first, until interrupted."""
    wanted = _filter(name or (), resource_id or ())
    if account:
        subscriber: Any = clients.PrefectCloudAccountEventSubscriber(filter=wanted)
    else:
        subscriber = clients.get_events_subscriber(filter=wanted)
    if output_file is None:
        asyncio.run(_follow(subscriber, sys.stdout, format, run_once))
        return
    try:
        with open(output_file, "a", encoding="utf-8") as out:
            asyncio.run(_follow(subscriber, out, format, run_once))
    except OSError as problem:
        if problem.filename is None:
            raise
        _console.fail(f"{output_file} cannot be written: {problem.strerror}.")


async def _follow(subscriber: Any, out: IO[str], format: str, run_once: bool) -> None:
    async with subscriber as events_as_they_come:
        async for event in events_as_they_come:
            print(event.model_dump_json() if format == "json" else _as_text(event), file=out, flush=True)
            if run_once:
                return


def _filter(names: Iterable[str], resource_ids: Iterable[str]) -> Any:
    """The condition on the events; None for all."""
    fields: dict[str, Any] = {}
    listed = list(names)
    beginnings = [one.removesuffix("*") for one in listed if one.endswith("*")]
    if beginnings and len(beginnings) < len(listed):
        _console.usage("Give names, or beginnings of names with *, not both: no event has both.")
    if listed:
        fields["event"] = {"prefix": beginnings} if beginnings else {"name": listed}
    if ids := list(resource_ids):
        fields["resource"] = {"id": ids}
    return event_filters.EventFilter.model_validate(fields) if fields else None


def _as_text(event: ReceivedEvent) -> str:
    payload = f"  {_output.compact_json(event.payload)}" if event.payload else ""
    return f"{_output.time_text(event.occurred)}  {event.event}  {event.resource.id}{payload}"


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
