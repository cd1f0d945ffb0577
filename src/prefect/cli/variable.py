"""`prefect variable`: values with a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, Yes, flag

if TYPE_CHECKING:
    from prefect._schemas import variables
    from prefect._schemas.actions import records
    from prefect._schemas.variables import Variable
    from prefect.client.orchestration import SyncPrefectClient
else:
    records = lazy_module("prefect._schemas.actions.records")
    variables = lazy_module("prefect._schemas.variables")

app = App(name="variable", help="Keep values for flows to read.")

Name = Annotated[str, Parameter(help="Name of the variable.")]


@app.command
def ls(
    *,
    limit: Annotated[int, Parameter(help="Show at most so many variables.")] = 100,
    output: Output = None,
) -> None:
    """List variables, by name."""
    most = _output.check_limit(limit)
    with _api.client() as api:
        found = list(_every(api, most))
    if output == "json":
        _output.print_json(found)
    elif not found:
        print("No variables found.")
    else:
        rows = [
            (one.name, _as_text(one.value), ", ".join(one.tags), _output.ago_text(one.updated or one.created))
            for one in found
        ]
        _output.print_table(
            ("Name", "Value", "Tags", "Changed"), rows, cut=["Value", "Tags"], spare=["Tags", "Changed"]
        )


@app.command
def get(name: Name) -> None:
    """Print the value of a variable: text as it is, anything else as JSON."""
    print(_as_text(_find(name).value))


@app.command
def inspect(name: Name, *, output: Output = None) -> None:
    """Show a variable."""
    found = _find(name)
    if output == "json":
        _output.print_json(found)
        return
    _output.print_fields(
        {
            "Name": found.name,
            "ID": found.id,
            "Value": _as_text(found.value),
            "Tags": found.tags,
            "Created": found.created,
            "Changed": found.updated,
        }
    )


@app.command(name="set")
def set_value(
    name: Name,
    value: Annotated[str, Parameter(help="Its value: JSON, or any text.", allow_leading_hyphen=True)],
    *,
    overwrite: Annotated[bool, flag("Change the variable if there is one of this name.")] = False,
    tag: Annotated[list[str] | None, Parameter(help="Give it a tag. May be repeated.", negative=())] = None,
    output: Output = None,
) -> None:
    """Give a variable a value."""
    with _api.client() as api:
        existing = api.read_variable_by_name(name)
        fields: dict[str, Any] = {"name": name, "value": _output.parsed(value)}
        if tag is not None:
            fields["tags"] = tag
        if existing is None:
            api.create_variable(_api.made(records.VariableCreate, fields))
        elif overwrite:
            api.update_variable(_api.made(records.VariableUpdate, fields))
        else:
            _console.fail(f"There is a variable {name!r} already; --overwrite changes it.")
        if output == "json":
            now = api.read_variable_by_name(name)
            _output.print_json(now if now is not None else [])
            return
    print(f"Set variable {name!r}.")


@app.command(name=["delete", "unset"])
def delete(name: Name, *, yes: Yes = False) -> None:
    """Delete a variable."""
    with _api.client() as api:
        if api.read_variable_by_name(name) is None:
            _api.not_found("variable", name, [one.name for one in _every(api)])
        _console.agree(f"Delete variable {name!r}?", yes)
        api.delete_variable_by_name(name)
    print(f"Deleted variable {name!r}.")


def _every(api: SyncPrefectClient, most: int | None = None) -> Iterator[Variable]:
    return _api.pages(api, "/variables/filter", variables.Variable, most, sort="NAME_ASC")


def _find(name: str) -> Variable:
    with _api.client() as api:
        found = api.read_variable_by_name(name)
        return found or _api.not_found("variable", name, [one.name for one in _every(api)])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _output.compact_json(value)
