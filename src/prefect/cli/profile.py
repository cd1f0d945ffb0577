"""`prefect profile`: choose between sets of settings."""

from __future__ import annotations

import os
from typing import Annotated

import cyclopts

from prefect.cli import _console
from prefect.settings import profiles as store
from prefect.settings.parse import format_value
from prefect.settings.profiles import Profile, ProfilesCollection

app = cyclopts.App(name="profile", help="Choose between sets of settings.")

Output = Annotated[_console.OutputFormat | None, cyclopts.Parameter(alias="-o")]


@app.command
def ls(*, output: Output = None) -> None:
    """List the profiles.

    Parameters
    ----------
    output
        `json` for a JSON list.
    """
    profiles = store.load_profiles()
    active = store.active_profile_name()
    names = sorted(profiles.names)
    if output == "json":
        _console.say_json([{"name": name, "active": name == active} for name in names])
        return
    _console.say("Profiles (* is active):", *(f"{'*' if name == active else ' '} {name}" for name in names))


@app.command
def create(name: str, *, from_: Annotated[str | None, cyclopts.Parameter(name="--from")] = None) -> None:
    """Create a profile.

    Parameters
    ----------
    name
        Its name.
    from_
        A profile whose settings it starts with.
    """
    profiles = store.load_profiles()
    if not name.strip():
        _console.fail("A profile needs a name.")
    if name in profiles:
        _console.fail(f"There is a profile {name!r} already; to start it anew, first `prefect profile delete {name}`.")
    settings = _existing(profiles, from_).settings if from_ is not None else {}
    profiles.add_profile(Profile(name, settings))
    store.save_profiles(profiles)
    origin = f" with the settings of {from_!r}" if from_ is not None else ""
    _console.say(
        f"Created profile {name!r}{origin}.",
        f"To use it from now on: prefect profile use {name}",
        f"To use it once:        prefect -p {name} COMMAND",
    )


@app.command
def use(name: str) -> None:
    """Make a profile the active one.

    Parameters
    ----------
    name
        Its name.
    """
    profiles = store.load_profiles(check_active=False)
    profile = _existing(profiles, name)
    profiles.set_active(name)
    store.save_profiles(profiles)
    url = profile.to_environment_variables().get("PREFECT_API_URL")
    effect = f"runs use the API at {url}" if url else "runs are recorded in the local database"
    _console.say(f"Profile {name!r} is active: {effect}.")
    if (wanted := os.environ.get("PREFECT_PROFILE")) and wanted != name:
        _console.say(f"But PREFECT_PROFILE is set in this shell, and {wanted!r} holds until it is unset.")


@app.command
def delete(name: str) -> None:
    """Delete a profile.

    Parameters
    ----------
    name
        Its name.
    """
    profiles = store.load_profiles(check_active=False)
    profile = _existing(profiles, name)
    if name == profiles.active_name or name == store.active_profile_name():
        _console.fail(f"Profile {name!r} is active; first choose another: prefect profile use OTHER")
    if profile.source == store.DEFAULT_PROFILES_PATH:
        _console.fail(f"Profile {name!r} is built in and cannot be deleted.")
    profiles.remove_profile(name)
    store.save_profiles(profiles)
    _console.say(f"Deleted profile {name!r}.")


@app.command
def rename(name: str, new_name: str) -> None:
    """Rename a profile.

    Parameters
    ----------
    name
        Its name.
    new_name
        Its new name.
    """
    profiles = store.load_profiles(check_active=False)
    profile = _existing(profiles, name)
    if new_name in profiles:
        _console.fail(f"There is a profile {new_name!r} already.")
    was_active = profiles.active_name == name
    profiles.add_profile(Profile(new_name, profile.settings))
    profiles.remove_profile(name)
    if was_active:
        profiles.set_active(new_name)
    store.save_profiles(profiles)
    _console.say(f"Renamed profile {name!r} to {new_name!r}.")
    if os.environ.get("PREFECT_PROFILE") == name:
        _console.say(f"PREFECT_PROFILE in this shell still says {name!r}.")


@app.command
def inspect(name: str | None = None, *, output: Output = None) -> None:
    """Show the settings of a profile.

    Parameters
    ----------
    name
        Its name; the active one by default.
    output
        `json` for a JSON object.
    """
    profiles = store.load_profiles(check_active=False)
    profile = _existing(profiles, name if name is not None else store.active_profile_name())
    values = {
        setting.name: "********" if setting.is_secret else value
        for setting, value in sorted(profile.settings.items(), key=lambda item: item[0].name)
    }
    if output == "json":
        _console.say_json(values)
        return
    if name is None:
        _console.say(f"Profile {profile.name!r}, the active one:")
    lines = [f"{key}={format_value(value)!r}" for key, value in values.items()]
    _console.say(*(lines or ["It sets nothing."]))


@app.command
def populate_defaults() -> None:
    """Write the built-in profiles into your file of profiles, to be changed there. Yours stay as they are."""
    profiles = store.load_profiles(check_active=False)
    built_in = [profile for _, profile in profiles.items() if profile.source == store.DEFAULT_PROFILES_PATH]
    path = store.user_profiles_path()
    if not built_in:
        _console.say(f"All built-in profiles are in {path} already.")
        return
    for profile in built_in:
        profile.source = None
    store.save_profiles(profiles)
    names = ", ".join(sorted(profile.name for profile in built_in))
    _console.say(f"Added {names} to {path}.", "To use one: prefect profile use NAME")


def _existing(profiles: ProfilesCollection, name: str) -> Profile:
    if name not in profiles:
        _console.fail(f"There is no profile {name!r}; there are {', '.join(sorted(profiles.names))}.")
    return profiles[name]
