"""`prefect config`: see and change settings."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts

from prefect.cli import _console
from prefect.settings import check as _check
from prefect.settings import get_current_settings
from prefect.settings import profiles as store
from prefect.settings.fields import Field, SettingsError, field_of, fields_by_env_name
from prefect.settings.legacy import Setting, setting_named
from prefect.settings.parse import format_value, plain
from prefect.settings.table import Settings

app = cyclopts.App(name="config", help="See and change settings.")

# the file of profiles is found through these, so they cannot be set inside it
NOT_IN_PROFILES = ("home", "profiles_path")


@app.command
def view(
    *,
    show_defaults: Annotated[bool, cyclopts.Parameter(negative="--hide-defaults")] = False,
    show_sources: Annotated[bool, cyclopts.Parameter(negative="--hide-sources")] = True,
    show_secrets: Annotated[bool, cyclopts.Parameter(negative="--hide-secrets")] = False,
    output: Annotated[_console.OutputFormat | None, cyclopts.Parameter(alias="-o")] = None,
) -> None:
    """Show the settings in force.

    Parameters
    ----------
    show_defaults
        Also those that have their default.
    show_sources
        Say where each value comes from.
    show_secrets
        Show passwords and keys as they are.
    output
        `json` for a JSON object.
    """
    settings = get_current_settings()
    profile = store.load_current_profile().name
    rows: list[tuple[Field, Any, str]] = []
    for field in sorted(Settings.fields(), key=lambda field: field.env_name):
        origin = settings.source_of(field.path)
        if origin is None and not show_defaults:
            continue
        value = field.value_in(settings)
        if field.secret and value is not None and not show_secrets:
            value = "********"
        rows.append((field, value, origin.kind if origin is not None else "defaults"))
    if output == "json":
        _console.say_json({"profile": profile, "settings": [_as_json(row, show_sources) for row in rows]})
        return
    _console.say(f"PREFECT_PROFILE={profile!r}")
    for field, value, kind in rows:
        text = repr(None if value is None else format_value(value))
        origin = f" (from {kind})" if show_sources else ""
        _console.say(f"{field.env_name}={text}{origin}{' (has no effect)' if field.unused else ''}")


def _as_json(row: tuple[Field, Any, str], show_sources: bool) -> dict[str, Any]:
    field, value, kind = row
    shown = {"name": field.env_name, "value": plain(value)}
    if field.unused:
        shown["without_effect"] = field.unused
    return {**shown, "source": kind} if show_sources else shown


@app.command(name="set")
def set_(settings: list[str]) -> None:
    """Change settings in the active profile.

    Parameters
    ----------
    settings
        Each as NAME=VALUE, such as PREFECT_API_URL=http://127.0.0.1:4200/api
    """
    changes: dict[Setting, Any] = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not equals:
            _console.fail(f"{each!r} is not of the form NAME=VALUE.")
        field = _field(name)
        if field.path in NOT_IN_PROFILES:
            _console.fail(
                f"{name} cannot be set in a profile, because profiles are found through it; set it in the environment."
            )
        field.read(value, "the command line")
        changes[setting_named(field.env_name)] = value
    profile = store.active_profile()
    store.update_current_profile(changes)
    for setting, value in changes.items():
        shown = "********" if setting.is_secret else value
        _console.say(f"Set {setting.name!r} to {shown!r}.")
        _console.say(*(f"  {text}" for text in _check.without_effect({setting.accessor: value})))
        _warn_if_hidden(setting)
    _console.say(f"Updated profile {profile.name!r}.")


@app.command
def unset(
    setting_names: list[str], *, yes: Annotated[bool, cyclopts.Parameter(alias="-y", negative=())] = False
) -> None:
    """Take settings out of the active profile, so that they have their defaults.

    Parameters
    ----------
    setting_names
        Their names, such as PREFECT_API_URL
    yes
        Do not ask.
    """
    profile = store.active_profile()
    chosen = [setting_named(_field(name).env_name) for name in setting_names]
    for setting in chosen:
        if setting not in profile.settings:
            _console.fail(f"{setting.name!r} is not set in profile {profile.name!r}.")
    names = ", ".join(setting.name for setting in chosen)
    if not yes and _console.can_ask() and not _console.confirm(f"Take {names} out of profile {profile.name!r}?"):
        _console.fail("Nothing was changed.")
    store.update_current_profile(dict.fromkeys(chosen))
    left = store.active_profile().settings
    for setting in chosen:
        _console.say(f"Unset {setting.name!r}.")
        if setting in left:
            _console.say(f"  The built-in profile {profile.name!r} sets it to {left[setting]!r}.")
        _warn_if_hidden(setting)
    _console.say(f"Updated profile {profile.name!r}.")


@app.command
def validate() -> None:
    """Check the settings from every source: that each is known and has a value it can have."""
    errors, warnings = _check.problems()
    _console.say(*(f"Warning: {text}" for text in warnings))
    if errors:
        _console.fail("\n".join(errors))
    _console.say("All settings are valid.")


def _field(name: str) -> Field:
    try:
        return field_of(name, Settings)
    except SettingsError:
        known = fields_by_env_name(Settings)
        import difflib  # only here, for a mistyped name

        bare = [each.removeprefix("PREFECT_") for each in known]
        guesses = difflib.get_close_matches(name.upper().removeprefix("PREFECT_"), bare, 1)
        hint = (
            f"did you mean PREFECT_{guesses[0]}?"
            if guesses
            else "`prefect config view --show-defaults` lists them all."
        )
        _console.fail(f"There is no setting {name!r}; {hint}")


def _warn_if_hidden(setting: Setting) -> None:
    """Say so when something stronger than the profile gives the setting its value."""
    origin = _check.given().get(setting.accessor)
    if origin is not None and origin[1].kind != "profile":
        _console.say(f"  But {origin[1]} holds over the profile.")
