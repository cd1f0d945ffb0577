"""A look at everything the sources say, also at what is wrong with it: for `prefect config validate`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from prefect.settings import _profile_file, profiles
from prefect.settings import _sources as sources
from prefect.settings._root import misgivings
from prefect.settings._sources import Origin
from prefect.settings.fields import SettingsError, fields_by_env_name, fields_by_path
from prefect.settings.table import Settings

# variables that start with PREFECT_ and are no settings of ours: the profile, those of integrations, of run machinery
_OTHER_VARIABLES = ("PREFECT_PROFILE", "PREFECT_INTEGRATIONS_", "PREFECT__")


def given() -> dict[str, tuple[Any, Origin]]:
    """The raw value and the origin of every setting for which some source gives one, whether it is allowed or not."""
    found: dict[str, tuple[Any, Origin]] = {}
    for source in Settings.settings_customise_sources(
        Settings, sources.Init(Settings, {}), sources.Environment(Settings), sources.DotEnv(Settings), None
    ):
        for path, entry in source.read(found).items():
            found.setdefault(path, entry)
    return found


def problems() -> tuple[list[str], list[str]]:
    """What is wrong with the settings (errors), and what is likely not meant (warnings).

    A source that cannot be read at all is an error and hides what the others say.
    """
    errors: list[str] = []
    try:
        found = given()
    except SettingsError as problem:
        return [str(problem)], []
    fields = fields_by_path(Settings)
    for path, (raw, origin) in found.items():
        try:
            fields[path].read(raw, origin)
        except SettingsError as problem:
            errors.append(str(problem))
    warnings = unknown_names() + without_effect(found)
    if not errors:
        try:
            warnings += misgivings(Settings())
        except SettingsError as problem:
            errors.append(str(problem))
    return errors, warnings


def without_effect(found: Mapping[str, Any]) -> list[str]:
    """A warning for each of some settings, by their paths, that changes nothing here."""
    fields = [field for path, field in fields_by_path(Settings).items() if path in found and field.unused]
    return [f"{field.env_name} has no effect: {field.unused}." for field in fields]


def unknown_names() -> list[str]:
    """A warning for each name, in any source, that is no setting."""
    names = fields_by_env_name(Settings)
    found = [
        f"{words.format(name)} is not a setting."
        for words, variables in _variables()
        for name in variables
        if name.upper() not in names and not name.upper().startswith(_OTHER_VARIABLES)
    ]
    for file in sources.toml_files(Settings):
        table = file.table()
        _, unknown = sources.flatten(Settings, table)
        unknown = [path for path in unknown if not path.startswith("integrations.")]
        found += [f"{path} in {os.path.abspath(file.name)} is not a setting." for path in unknown]
    return found


def _variables() -> list[tuple[str, Any]]:
    environment = [name for name in os.environ if name[:8].upper() == "PREFECT_"]
    path = str(profiles.user_profiles_path())
    wanted, wanted_by = sources.requested_profile()
    return [
        ("Environment variable {}", environment),
        ("{} in .env", sources.dotenv_variables()),
        *_profile_file.find(sources.read_file(path), path, wanted, wanted_by),
    ]
