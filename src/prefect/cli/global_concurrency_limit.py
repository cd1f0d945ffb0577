"""`prefect global-concurrency-limit`, `prefect gcl`: how many slots of a name can be held at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, Yes, flag

if TYPE_CHECKING:
    from prefect._schemas.actions import concurrency as actions
    from prefect._schemas.concurrency import GlobalConcurrencyLimitResponse
    from prefect.client.orchestration import SyncPrefectClient
else:
    actions = lazy_module("prefect._schemas.actions.concurrency")

app = App(name="global-concurrency-limit", help="Limit what runs at once, anywhere, by name.")

Name = Annotated[str, Parameter(help="Name of the limit.")]
Limit = Annotated[int, Parameter(name=["--limit", "-l"], help="How many slots there are.")]
ActiveSlots = Annotated[int | None, Parameter(help="How many of them count as held.")]
Decay = Annotated[float | None, Parameter(help="Slots that come free each second by themselves: a rate limit.")]


@app.command
def ls(*, output: Output = None) -> None:
    """List global concurrency limits, by name."""
    with _api.client() as api:
        found = sorted(_every(api), key=lambda one: one.name)
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("No global concurrency limits found.")
    else:
        rows = [
            (
                str(one.id),
                one.name,
                str(one.limit),
                "yes" if one.active else "no",
                str(one.active_slots),
                f"{one.slot_decay_per_second:g}",
                _output.ago_text(one.updated),
            )
            for one in found
        ]
        columns = ("ID", "Name", "Limit", "Enabled", "Held", "Decay/s", "Changed")
        _output.print_table(columns, rows, cut=(), spare=["Changed", "Decay/s"])


@app.command
def inspect(
    name: Name,
    *,
    output: Output = None,
    file: Annotated[Path | None, Parameter(name=["--file", "-f"], help="Write JSON to this file.")] = None,
) -> None:
    """Show a global concurrency limit."""
    with _api.client() as api:
        found = _find(api, name)
    if file is not None:
        file.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
        print(f"Wrote {file}.")
    elif output == "json":
        _output.print_json(found)
    else:
        _output.print_fields(
            {
                "Name": found.name,
                "ID": found.id,
                "Limit": found.limit,
                "Enabled": found.active,
                "Held": found.active_slots,
                "Decay/s": f"{found.slot_decay_per_second:g}",
                "Created": found.created,
                "Changed": found.updated,
            }
        )


@app.command
def create(
    name: Name,
    *,
    limit: Limit,
    disable: Annotated[bool, flag("Make it, but let it limit nothing yet.")] = False,
    active_slots: ActiveSlots = None,
    slot_decay_per_second: Decay = None,
    output: Output = None,
) -> None:
    """Make a global concurrency limit."""
    fields = _given(
        name=name, limit=limit, active_slots=active_slots, slot_decay_per_second=slot_decay_per_second
    )  # fmt: skip
    wanted = _api.made(actions.GlobalConcurrencyLimitCreate, {**fields, "active": not disable})
    with _api.client() as api:
        if any(one.name == name for one in _every(api)):
            _console.fail(f"There is a limit {name!r} already; `prefect gcl update {name}` changes it.")
        id = api.create_global_concurrency_limit(wanted)
        if output == "json":
            _output.print_json(api.read_global_concurrency_limit_by_name(name))
            return
    print(f"Created global concurrency limit {name!r} ({id}).")


@app.command
def update(
    name: Name,
    *,
    enable: Annotated[bool, flag("Let it limit.")] = False,
    disable: Annotated[bool, flag("Let it limit nothing.")] = False,
    limit: Annotated[int | None, Parameter(name=["--limit", "-l"], help="How many slots there are.")] = None,
    active_slots: ActiveSlots = None,
    slot_decay_per_second: Decay = None,
    output: Output = None,
) -> None:
    """Change a global concurrency limit."""
    if enable and disable:
        _console.usage("Give --enable or --disable, not both.")
    fields = _given(limit=limit, active_slots=active_slots, slot_decay_per_second=slot_decay_per_second)
    if enable or disable:
        fields["active"] = enable
    if not fields:
        _console.usage("Say what to change: --limit, --enable, --disable, --active-slots or --slot-decay-per-second.")
    _change(name, fields, f"Changed global concurrency limit {name!r}.", output)


@app.command
def enable(name: Name) -> None:
    """Let a global concurrency limit limit."""
    _change(name, {"active": True}, f"Global concurrency limit {name!r} is enabled.")


@app.command
def disable(name: Name) -> None:
    """Let a global concurrency limit limit nothing, without deleting it."""
    _change(name, {"active": False}, f"Global concurrency limit {name!r} is disabled.")


@app.command
def delete(name: Name, *, yes: Yes = False) -> None:
    """Delete a global concurrency limit."""
    with _api.client() as api:
        found = _find(api, name)
        _console.agree(f"Delete global concurrency limit {found.name!r}?", yes)
        api.delete_global_concurrency_limit_by_name(found.name)
    print(f"Deleted global concurrency limit {found.name!r}.")


def _change(name: str, fields: dict[str, Any], done: str, output: _console.OutputFormat | None = None) -> None:
    wanted = _api.made(actions.GlobalConcurrencyLimitUpdate, fields)
    with _api.client() as api:
        found = _find(api, name)
        api.update_global_concurrency_limit(found.name, wanted)
        if output == "json":
            _output.print_json(api.read_global_concurrency_limit_by_name(found.name))
            return
    print(done)


def _find(api: SyncPrefectClient, name: str) -> GlobalConcurrencyLimitResponse:
    return _api.find(
        "global concurrency limit",
        name,
        api.read_global_concurrency_limit_by_name,
        lambda: _every(api),
        lambda one: [one.name],
    )


def _every(api: SyncPrefectClient) -> list[GlobalConcurrencyLimitResponse]:
    return list(_api.everything(lambda size, skip: api.read_global_concurrency_limits(limit=size, offset=skip)))


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
