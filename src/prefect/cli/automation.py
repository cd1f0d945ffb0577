"""`prefect automation`: what is done when something happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output, Yes, flag

if TYPE_CHECKING:
    import orjson
    import yaml

    from prefect.client.orchestration import SyncPrefectClient
else:
    orjson = lazy_module("orjson")
    yaml = lazy_module("yaml")

app = App(name="automation", help="See and change what is done when something happens.")

# an automation as the API tells it: the kinds of triggers and actions are the API's business, not this command's
Automation = dict[str, Any]

Name = Annotated[str | None, Parameter(help="Name of the automation.")]
Id = Annotated[str | None, Parameter(help="Its id, or the beginning of it.")]
FromFile = Annotated[
    Path | None, Parameter(name=["--from-file", "-f"], help="A YAML or JSON file: one automation, or a list of them.")
]
FromJson = Annotated[str | None, Parameter(name=["--from-json", "-j"], help="The same as JSON text.")]

# what the API adds to an automation, and does not take back
_ADDED = ("id", "created", "updated", "account", "workspace", "owner_resource")


@app.command
def ls(*, output: Output = None) -> None:
    """List automations, by name."""
    with _api.client() as api:
        found = sorted(_every(api), key=lambda one: str(one["name"]))
    if output == "json":
        _output.print_plain_json(found)
    elif not found:
        print("No automations found.")
    else:
        rows = [
            (
                one["name"],
                one["id"],
                "yes" if one.get("enabled") else "no",
                _trigger_text(one.get("trigger") or {}),
                ", ".join(str(action.get("type")) for action in one.get("actions") or ()),
            )
            for one in found
        ]
        columns = ("Name", "ID", "Enabled", "Trigger", "Actions")
        _output.print_table(columns, rows, cut=["Trigger", "Actions"], spare=["Trigger", "Actions"])


@app.command
def inspect(
    name: Name = None,
    *,
    id: Id = None,
    yaml_: Annotated[bool, flag("Print YAML, as `create` takes it.", "--yaml")] = False,
    json_: Annotated[bool, flag("Print JSON.", "--json")] = False,
    output: Output = None,
) -> None:
    """Show an automation."""
    with _api.client() as api:
        found = _find(api, name, id)
    if json_ or output == "json":
        _output.print_plain_json(found)
    elif yaml_:
        print(_as_yaml({key: value for key, value in found.items() if key not in _ADDED}))
    else:
        _output.print_fields(
            {
                "Automation": found["name"],
                "ID": found["id"],
                "Description": found.get("description"),
                "Enabled": bool(found.get("enabled")),
                "Tags": found.get("tags"),
                "Trigger": _as_yaml(found.get("trigger") or {}),
                "Actions": _as_yaml(found.get("actions") or []),
                "On trigger": _as_yaml(found["actions_on_trigger"]) if found.get("actions_on_trigger") else None,
                "On resolve": _as_yaml(found["actions_on_resolve"]) if found.get("actions_on_resolve") else None,
            }
        )


@app.command
def create(*, from_file: FromFile = None, from_json: FromJson = None, output: Output = None) -> None:
    """Make automations from YAML or JSON."""
    wanted = _read(from_file, from_json)
    made: list[Automation] = []
    failed: list[str] = []
    with _api.client() as api:
        for one in wanted:
            try:
                made.append(api.request("POST", "/automations/", json=one).json())
            except _console.expected_errors() as problem:
                failed.append(f"{one.get('name', 'an automation without a name')}: {_console.explain(problem)}")
    if output == "json":
        _output.print_plain_json(made)
    else:
        for one in made:
            print(f"Created automation {one['name']!r} ({one['id']}).")
    if failed:
        _console.fail("\n".join(failed))


@app.command
def update(
    *,
    id: Annotated[str, Parameter(help="Id of the automation, or the beginning of it.")],
    from_file: FromFile = None,
    from_json: FromJson = None,
    output: Output = None,
) -> None:
    """Change an automation: what is given takes the place of what it has, the rest stays."""
    given, *more = _read(from_file, from_json)
    if more:
        _console.usage("Give one automation: --id names only one.")
    with _api.client() as api:
        found = _find(api, None, id)
        body = {key: value for key, value in found.items() if key not in _ADDED}
        api.request("PUT", f"/automations/{found['id']}", json=body | given)
        now = _read_one(api, found["id"])
    if output == "json":
        _output.print_plain_json(now)
    else:
        print(f"Changed automation {now['name']!r} ({now['id']}).")


@app.command(name=["enable", "resume"])
def enable(name: Name = None, *, id: Id = None) -> None:
    """Let an automation act."""
    _switch(name, id, enabled=True)


@app.command(name=["disable", "pause"])
def disable(name: Name = None, *, id: Id = None) -> None:
    """Let an automation do nothing, until it is enabled again."""
    _switch(name, id, enabled=False)


@app.command
def delete(
    name: Name = None,
    *,
    id: Id = None,
    all: Annotated[bool, flag("Delete all automations.")] = False,
    yes: Yes = False,
) -> None:
    """Delete an automation."""
    _api.one_of({"NAME": name, "--id": id, "--all": all}, of="automation")
    with _api.client() as api:
        if all:
            found = _every(api)
            said = _output.count(len(found), "automation")
            _console.agree(f"Delete all {said}?", yes)
        else:
            found = [_find(api, name, id)]
            said = f"automation {found[0]['name']!r}"
            _console.agree(f"Delete {said}?", yes)
        for one in found:
            api.request("DELETE", f"/automations/{one['id']}")
    print(f"Deleted {said}.")


def _switch(name: str | None, id: str | None, *, enabled: bool) -> None:
    with _api.client() as api:
        found = _find(api, name, id)
        api.request("PATCH", f"/automations/{found['id']}", json={"enabled": enabled})
    print(f"Automation {found['name']!r} is {'enabled' if enabled else 'disabled'}.")


def _every(api: SyncPrefectClient, **conditions: Any) -> list[Automation]:
    def page(limit: int, offset: int) -> list[Automation]:
        body = {**conditions, "limit": limit, "offset": offset}
        return api.request("POST", "/automations/filter", json=body).json()

    return list(_api.everything(page))


def _read_one(api: SyncPrefectClient, id: str) -> Automation:
    return api.request("GET", f"/automations/{id}").json()


def _find(api: SyncPrefectClient, name: str | None, id: str | None) -> Automation:
    """The automation of a name that only one has, or of an id or its beginning."""
    _api.one_of({"NAME": name, "--id": id}, of="automation")
    if id is not None and (key := _output.as_uuid(id)) is not None:
        return _read_one(api, str(key))
    every = _every(api)
    found = [one for one in every if one["name"] == name or (id and one["id"].startswith(id.lower()))]
    if len(found) > 1:
        choice = ", ".join(one["id"] for one in found)
        _console.fail(f"More than one automation is meant by {name or id!r}: {choice}. Give one of these with --id.")
    return found[0] if found else _api.not_found("automation", str(name or id), [one["name"] for one in every])


def _read(file: Path | None, text: str | None) -> list[Automation]:
    """The automations of a file or a text; there is at least one."""
    _api.one_of({"--from-file": file, "--from-json": text}, of="automation")
    if file is not None:
        try:
            value = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML too
        except OSError as problem:
            _console.fail(f"{file} cannot be read: {problem.strerror}.")
        except yaml.YAMLError as problem:
            _console.fail(f"{file} is neither YAML nor JSON: {_output.one_line(str(problem), 300)}")
    else:
        try:
            value = orjson.loads(str(text))
        except orjson.JSONDecodeError as problem:
            _console.usage(f"--from-json is not JSON: {problem}")
    if isinstance(value, dict) and isinstance(value.get("automations"), list):
        value = value["automations"]
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, dict) for one in listed):
        _console.fail("An automation is a mapping with name, trigger and actions; give one, or a list of them.")
    return listed


def _trigger_text(trigger: Automation) -> str:
    """What an automation waits for, in a few words."""
    kind = str(trigger.get("type", ""))
    inner = trigger.get("triggers")
    if isinstance(inner, list):
        return f"{kind} of {len(inner)}"
    expected = trigger.get("expect") or ()
    return f"{kind} {', '.join(map(str, expected))}".strip()


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False).rstrip()
