"""`prefect flow`: look at flows, and serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _flow_serve, _runs

if TYPE_CHECKING:
    from prefect._schemas import sorting
    from prefect._schemas.flows import Flow
else:
    sorting = lazy_module("prefect._schemas.sorting")

app = App(name="flow", help="Look at flows, and serve them.")
app.command(_flow_serve.serve)


@app.command
def ls(
    *,
    limit: Annotated[int, Parameter(help="Show at most so many flows.")] = 15,
    output: Annotated[_console.OutputFormat | None, Parameter(name=["--output", "-o"], help="Print JSON.")] = None,
) -> None:
    """List flows, the newest first."""
    most = _runs.check_limit(limit)
    with _api.client() as api:

        def page(size: int, offset: int) -> list[Flow]:
            return api.read_flows(sort=sorting.FlowSort.CREATED_DESC, limit=size, offset=offset)

        found = list(_api.everything(page, most))
    if output == "json":
        _runs.print_json(found)
    elif not found:
        print("No flows found.")
    else:
        rows = [(str(flow.id), flow.name, _runs.ago_text(flow.created)) for flow in found]
        _runs.print_table(("ID", "Name", "Created"), rows, cut=["Name"])
