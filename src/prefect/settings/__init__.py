"""Settings: what can be configured, where the values come from, and how to read and change them.

    from prefect.settings import get_current_settings, temporary_settings, PREFECT_API_URL

    get_current_settings().api.url
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}): ...

Every setting has a dotted path (`api.url`), an environment variable (`PREFECT_API_URL`) and an object of the same name to
be imported from here. Values come from, in order of precedence: arguments, the environment, `.env`, `prefect.toml`,
`[tool.prefect]` in `pyproject.toml` (all three in the working directory), the active profile, defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_attributes
from prefect.settings.context import get_current_settings, temporary_settings
from prefect.settings.fields import SettingsError
from prefect.settings.table import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.settings.legacy import Setting
    from prefect.settings.models.root import canonical_environment_prefix
    from prefect.settings.profiles import (
        Profile,
        ProfilesCollection,
        load_current_profile,
        load_profile,
        load_profiles,
        save_profiles,
        update_current_profile,
    )

    DEFAULT_PROFILES_PATH: Path
    PREFECT_API_AUTH_STRING: Setting
    PREFECT_API_KEY: Setting
    PREFECT_API_URL: Setting
    PREFECT_UI_URL: Setting

_table_attribute, __dir__, _ = lazy_attributes(
    __name__,
    {
        "DEFAULT_PROFILES_PATH": "prefect.settings.profiles",
        "Profile": "prefect.settings.profiles",
        "ProfilesCollection": "prefect.settings.profiles",
        "Setting": "prefect.settings.legacy",
        "canonical_environment_prefix": "prefect.settings.models.root",
        "load_current_profile": "prefect.settings.profiles",
        "load_profile": "prefect.settings.profiles",
        "load_profiles": "prefect.settings.profiles",
        "save_profiles": "prefect.settings.profiles",
        "setting_named": "prefect.settings.legacy",
        "update_current_profile": "prefect.settings.profiles",
    },
)


def __getattr__(name: str) -> Any:
    if name.startswith("PREFECT_"):
        setting = __getattr__("setting_named")(name)
        globals()[name] = setting
        return setting
    return _table_attribute(name)


__all__ = [
    "DEFAULT_PROFILES_PATH",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_API_URL",
    "PREFECT_UI_URL",
    "Profile",
    "ProfilesCollection",
    "Settings",
    "SettingsError",
    "canonical_environment_prefix",
    "get_current_settings",
    "load_current_profile",
    "load_profile",
    "load_profiles",
    "save_profiles",
    "temporary_settings",
    "update_current_profile",
]
