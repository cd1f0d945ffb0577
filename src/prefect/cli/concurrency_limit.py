"""`prefect concurrency-limit`: how many task runs with a tag may run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, Yes

if TYPE_CHECKING:
    from prefect import exceptions
    from prefect._schemas.concurrency import ConcurrencyLimit
    from prefect.client.orchestration import SyncPrefectClient
else:
    exceptions = lazy_module("prefect.exceptions")

app = App(name="concurrency-limit", help="Limit how many task runs with a tag run at once.")

Tag = Annotated[str, Parameter(help="Tag of the task runs.")]


@app.command
def ls(
    *,
    limit: Annotated[int, Parameter(help="Show at most so many limits.")] = 15,
    offset: Annotated[int, Parameter(help="Leave out so many first.")] = 0,
    output: Output = None,
) -> None:
    """List the limits of tags."""
    most = _output.check_limit(limit)
    with _api.client() as api:
        found = list(
            _api.everything(lambda size, skip: api.read_concurrency_limits(limit=size, offset=offset + skip), most)
        )
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("No concurrency limits found.")
    else:
        rows = [
            (
                one.tag,
                str(one.concurrency_limit),
                str(len(one.active_slots)),
                str(one.id),
                _output.ago_text(one.updated),
            )
            for one in found
        ]
        columns = ("Tag", "Limit", "Active", "ID", "Changed")
        _output.print_table(columns, rows, cut=(), spare=["Changed", "ID"])


@app.command
def create(
    tag: Tag,
    concurrency_limit: Annotated[int, Parameter(help="How many at once; 0 for none.")],
    *,
    output: Output = None,
) -> None:
    """Limit the task runs with a tag, or change their limit."""
    if concurrency_limit < 0:
        _console.usage(f"The limit is {concurrency_limit}; it must be 0 or more.")
    with _api.client() as api:
        api.create_concurrency_limit(tag=tag, concurrency_limit=concurrency_limit)
        if output == "json":
            _output.print_json(api.read_concurrency_limit_by_tag(tag))
            return
    print(f"At most {_output.count(concurrency_limit, 'task run')} with the tag {tag!r} can run at once.")


@app.command
def inspect(tag: Tag, *, output: Output = None) -> None:
    """Show the limit of a tag, and which task runs hold its slots."""
    with _api.client() as api:
        found = _find(api, tag)
    if output == "json":
        _output.print_json(found)
        return
    _output.print_fields(
        {
            "Tag": found.tag,
            "ID": found.id,
            "Limit": found.concurrency_limit,
            "Active": len(found.active_slots),
            "Task runs": "\n".join(str(one) for one in found.active_slots),
            "Created": found.created,
            "Changed": found.updated,
        }
    )


@app.command
def reset(tag: Tag, *, yes: Yes = False) -> None:
    """Free all slots of a tag's limit, whoever holds them."""
    with _api.client() as api:
        _find(api, tag)
        _console.agree(f"Free all slots of the limit of {tag!r}?", yes)
        api.reset_concurrency_limit_by_tag(tag)
    print(f"All slots of the limit of {tag!r} are free.")


@app.command
def delete(tag: Tag, *, yes: Yes = False) -> None:
    """Delete the limit of a tag."""
    with _api.client() as api:
        _find(api, tag)
        _console.agree(f"Delete the limit of {tag!r}?", yes)
        api.delete_concurrency_limit_by_tag(tag)
    print(f"Deleted the limit of {tag!r}.")


def _find(api: SyncPrefectClient, tag: str) -> ConcurrencyLimit:
    try:
        return api.read_concurrency_limit_by_tag(tag)
    except exceptions.ObjectNotFound:
        others = _api.everything(lambda size, skip: api.read_concurrency_limits(limit=size, offset=skip))
        _api.not_found("limit of the tag", tag, [one.tag for one in others])
