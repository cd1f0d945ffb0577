"""`prefect flow`: look at flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console, _runs

if TYPE_CHECKING:
    import rich.text as rich_text

    from prefect._operations import flows, local
    from prefect._schemas import sorting
else:
    rich_text = lazy_module("rich.text")
    flows = lazy_module("prefect._operations.flows")
    local = lazy_module("prefect._operations.local")
    sorting = lazy_module("prefect._schemas.sorting")

app = App(name="flow", help="Look at flows.")


@app.command
@_runs.command
def ls(
    *,
    limit: Annotated[int, Parameter(help="Show at most so many flows.")] = 15,
    output: Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")] = None,
) -> None:
    """List flows, the newest first."""
    query = flows.FlowQuery(sort=sorting.FlowSort.CREATED_DESC, limit=_runs.check_limit(limit))
    with local.open_local() as database, database.read() as tx:
        found = flows.read_flows(tx, query)
    if output == "json":
        _runs.print_json(found)
    elif not found:
        print("No flows found.")
    else:
        rows = [(str(flow.id), flow.name, _runs.ago_text(flow.created)) for flow in found]
        _runs.print_table(("ID", "Name", "Created"), rows, cut=["Name"])
