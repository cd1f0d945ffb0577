"""Profiles: named sets of settings, kept in `$PREFECT_HOME/profiles.toml`, one of which is active.

    active = "staging"

    [profiles.staging]
    PREFECT_API_URL = "https://prefect.staging.example/api"

Saving changes only what differs, so comments and order in the file stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect._lazy import lazy_module
from prefect.settings import _profile_file, context
from prefect.settings import _sources as sources
from prefect.settings.context import get_current_settings, pop_settings, push_settings
from prefect.settings.fields import SettingsError
from prefect.settings.legacy import Setting, setting_named
from prefect.settings.parse import format_value
from prefect.settings.table import Settings

if TYPE_CHECKING:
    import tempfile

    import tomlkit
    import tomlkit.exceptions

    from prefect import exceptions
    from prefect.settings.legacy import Changes
else:
    exceptions = lazy_module("prefect.exceptions")
    tempfile = lazy_module("tempfile")
    tomlkit = lazy_module("tomlkit")

DEFAULT_PROFILES_PATH = Path(_profile_file.BUILT_IN)
DEFAULT_PROFILE_NAME = _profile_file.DEFAULT_PROFILE_NAME


class Profile:
    """A named set of settings.

    Args:
        name: its name.
        settings: values by setting (`PREFECT_API_URL`) or its name. A name that is no setting is left out, with a warning.
        source: the file it came from.
    """

    __slots__ = ("name", "settings", "source")

    name: str
    settings: dict[Setting, Any]
    source: Path | None

    def __init__(self, name: str, settings: Changes | None = None, source: Path | None = None) -> None:
        self.name = name
        self.settings = dict(settings or {})  # type: ignore[arg-type]  # names become settings in the next line
        self.source = source
        self.model_post_init(None)

    def model_post_init(self, __context: Any) -> None:
        """Turn names of settings into settings; done whenever a profile is made."""
        known: dict[Setting, Any] = {}
        for key, value in self.settings.items():
            try:
                known[setting_named(key) if isinstance(key, str) else key] = value
            except AttributeError:
                if str(key).startswith("PREFECT_INTEGRATIONS_"):
                    continue  # an integration's own; it reads it from the file itself
                warnings.warn(f"Setting {key!r} is not recognized and left out of profile {self.name!r}", stacklevel=4)
        self.settings = known

    def to_environment_variables(self) -> dict[str, str]:
        """Environment variables that give another process the settings of this profile."""
        return {
            setting._field.env_name: format_value(value)
            for setting, value in self.settings.items()
            if value is not None
        }

    def validate_settings(self) -> None:
        """Check every value.

        Raises:
            ProfileSettingsValidationError: with the setting and the error, for each value that is not allowed.
        """
        errors: list[tuple[Setting, SettingsError]] = []
        for setting, value in self.settings.items():
            try:
                setting._field.read(value, f"{setting.name} of profile {self.name!r}")
            except SettingsError as problem:
                errors.append((setting, problem))
        if errors:
            raise exceptions.ProfileSettingsValidationError(errors)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Profile):
            return NotImplemented
        return (self.name, self.settings, self.source) == (other.name, other.settings, other.source)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        shown = {setting: "********" if setting.is_secret else value for setting, value in self.settings.items()}
        return f"Profile(name={self.name!r}, settings={shown!r}, source={self.source!r})"


class ProfilesCollection:
    """Profiles by name, one of which may be active.

    Args:
        profiles: the profiles; names must differ.
        active: the name of the active one.

    Raises:
        ValueError: `active` is not the name of one of them.
    """

    def __init__(self, profiles: Iterable[Profile], active: str | None = None) -> None:
        self.profiles_by_name = {profile.name: profile for profile in profiles}
        self.active_name: str | None = None
        self.set_active(active)

    @property
    def names(self) -> set[str]:
        """The names of the profiles."""
        return set(self.profiles_by_name)

    @property
    def active_profile(self) -> Profile | None:
        """The active profile."""
        return None if self.active_name is None else self.profiles_by_name[self.active_name]

    def set_active(self, name: str | None, check: bool = True) -> None:
        """Make a profile the active one, or none.

        Raises:
            ValueError: `check` is on and there is no profile of this name.
        """
        if check and name is not None and name not in self.profiles_by_name:
            raise ValueError(f"Unknown profile name {name!r}; there are {_profile_file.listed(self.profiles_by_name)}.")
        self.active_name = name

    def add_profile(self, profile: Profile) -> None:
        """Add a profile.

        Raises:
            ValueError: there is one of this name.
        """
        if profile.name in self.profiles_by_name:
            raise ValueError(f"A profile named {profile.name!r} is already there; `update_profile` changes it.")
        self.profiles_by_name[profile.name] = profile

    def update_profile(self, name: str, settings: Changes, source: Path | None = None) -> Profile:
        """Change settings of a profile, which is made if it is not there. A value of None takes a setting out."""
        before = self.profiles_by_name.get(name)
        changed = dict(before.settings) if before else {}
        changed.update(Profile(name, settings).settings)
        changed = {setting: value for setting, value in changed.items() if value is not None}
        if source is None and before is not None:
            source = before.source
        profile = self.profiles_by_name[name] = Profile(name, changed, source)
        return profile

    def remove_profile(self, name: str) -> None:
        """Remove a profile; when it is the active one, none is active.

        Raises:
            KeyError: there is none of this name.
        """
        del self.profiles_by_name[name]
        if self.active_name == name:
            self.active_name = None

    def without_profile_source(self, path: Path | None) -> ProfilesCollection:
        """The profiles that did not come from this file."""
        kept = [profile for profile in self.profiles_by_name.values() if profile.source != path]
        active = self.active_name if self.active_name in {profile.name for profile in kept} else None
        return ProfilesCollection(kept, active)

    def to_dict(self) -> dict[str, Any]:
        """The content of a file of profiles: `{"active": name, "profiles": {name: {variable: value}}}`."""
        return {
            "active": self.active_name,
            "profiles": {
                profile.name: {setting._field.env_name: value for setting, value in profile.settings.items()}
                for profile in self.profiles_by_name.values()
            },
        }

    def items(self) -> list[tuple[str, Profile]]:
        """Pairs of name and profile."""
        return list(self.profiles_by_name.items())

    def __getitem__(self, name: str) -> Profile:
        return self.profiles_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.profiles_by_name)

    def __contains__(self, name: object) -> bool:
        return name in self.profiles_by_name

    def __len__(self) -> int:
        return len(self.profiles_by_name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProfilesCollection):
            return NotImplemented
        return (self.profiles_by_name, self.active_name) == (other.profiles_by_name, other.active_name)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        return f"ProfilesCollection({list(self.profiles_by_name.values())!r}, active={self.active_name!r})"


def load_profiles(include_defaults: bool = True, *, check_active: bool = True) -> ProfilesCollection:
    """The profiles in the file of profiles, and the built-in ones.

    Args:
        include_defaults: with the built-in profiles; one of the user's is put over the built-in one of its name.
        check_active: refuse a file in which a profile is active that is not there.

    Raises:
        SettingsError: the file cannot be read.
    """
    profiles = _load(DEFAULT_PROFILES_PATH) if include_defaults else ProfilesCollection([])
    path = user_profiles_path()
    if path.exists():
        mine = _load(path)
        for name, profile in mine.items():
            if name in profiles:  # what a built-in profile says holds unless the user's of its name says otherwise
                profile.settings = {**profiles[name].settings, **profile.settings}
            profiles.profiles_by_name[name] = profile
        if mine.active_name is not None:
            profiles.set_active(mine.active_name, check=False)
    if check_active and profiles.active_name is not None and profiles.active_name not in profiles:
        raise SettingsError(_profile_file.unknown_profile(profiles.active_name, f"active in {path}", profiles))
    return profiles


def save_profiles(profiles: ProfilesCollection) -> None:
    """Write all profiles but the built-in ones to the file of profiles, keeping its comments and order."""
    path = user_profiles_path()
    mine = [profile for profile in profiles.profiles_by_name.values() if profile.source != DEFAULT_PROFILES_PATH]
    built_in = _load(DEFAULT_PROFILES_PATH).profiles_by_name
    tables = {profile.name: _table(profile.settings) for profile in mine}
    _profile_file.write(
        str(path),
        profiles.active_name,
        tables,
        # left out where the file has the profile already: it would hold without being said
        {name: _table(built_in[name].settings) for name in tables if name in built_in},
    )


def _table(settings: Mapping[Setting, Any]) -> dict[str, Any]:
    return {setting._field.env_name: value for setting, value in settings.items() if value is not None}


def load_profile(name: str) -> Profile:
    """The profile of this name.

    Raises:
        ValueError: there is none.
    """
    profiles = load_profiles(check_active=False)
    if name not in profiles:
        raise ValueError(f"Profile {name!r} not found; there are {_profile_file.listed(profiles)}.")
    return profiles[name]


def load_current_profile() -> Profile:
    """The active profile with the settings it has in its file; one of no name and no settings when none is active."""
    override = context._profile.get()
    return override if override is not None else active_profile()


def exists(name: str) -> bool:
    """Whether there is a profile of this name, the user's or built in."""
    return name in load_profiles(check_active=False)


def active_profile_name() -> str:
    """The name that PREFECT_PROFILE asks for, else the one marked active, else the built-in one's."""
    wanted, _ = sources.requested_profile()
    return wanted or load_profiles(check_active=False).active_name or DEFAULT_PROFILE_NAME


def active_profile() -> Profile:
    """The profile in force in this process: see `active_profile_name`.

    Raises:
        SettingsError: there is no profile of this name.
    """
    profiles = load_profiles(check_active=False)
    wanted, wanted_by = sources.requested_profile()
    name = wanted or profiles.active_name or DEFAULT_PROFILE_NAME
    if name not in profiles:
        raise SettingsError(
            _profile_file.unknown_profile(name, wanted_by if wanted else f"active in {user_profiles_path()}", profiles)
        )
    return profiles[name]


def update_current_profile(settings: Changes) -> Profile:
    """Change settings of the active profile and save it. A value of None takes a setting out.

    Returns:
        the profile as it is now. Settings already read in this process do not change.

    Raises:
        ProfileSettingsValidationError: a value is not allowed; nothing is saved.
    """
    current = load_current_profile()
    profiles = load_profiles(check_active=False)
    if current.name not in profiles:
        profiles.add_profile(Profile(current.name, current.settings))
    changed = profiles.update_profile(current.name, settings)
    if changed.source == DEFAULT_PROFILES_PATH:
        changed.source = None  # a built-in profile that is changed becomes one of the user's
    changed.validate_settings()
    save_profiles(profiles)
    return changed


class ProfileInUse(NamedTuple):
    """What `use_profile` puts in force."""

    profile: Profile
    settings: Settings


@contextmanager
def use_profile(
    profile: Profile | str, override_environment_variables: bool = False, include_current_context: bool = True
) -> Iterator[ProfileInUse]:
    """Use a profile for the duration of a `with` block, in this thread or asyncio task.

    Args:
        profile: the profile, or the name of one in the file of profiles.
        override_environment_variables: let it win over the environment and the files of the working directory.
        include_current_context: keep what the settings in force have beyond it; otherwise start from the sources
            without the active profile.

    Raises:
        ValueError: there is no profile of this name.
        SettingsError: it gives a value that is not allowed.
    """
    used = load_profile(profile) if isinstance(profile, str) else profile
    if include_current_context:
        base = get_current_settings()
    else:
        read = Settings()
        base = read.without(path for path, origin in read._sources.items() if origin.kind == "profile")
    given = {
        setting._field.path: (value, sources.Origin(f"{setting.name} of profile {used.name!r}", "profile"))
        for setting, value in used.settings.items()
        if override_environment_variables or not _is_stronger(base.source_of(setting._field.path))
    }
    settings = base.with_values(given)
    token = push_settings(settings, used)
    try:
        yield ProfileInUse(used, settings)
    finally:
        pop_settings(token)


def _is_stronger(origin: sources.Origin | None) -> bool:
    return origin is not None and origin.kind in {"env", ".env", "prefect.toml", "pyproject.toml"}


def user_profiles_path() -> Path:
    """The file of the user's profiles. Found without reading it, so that a bad profile can be mended."""
    override = context._override.get()
    if override is not None:
        return override.profiles_path
    given: dict[str, tuple[Any, sources.Origin]] = {}
    for source in (sources.Environment(Settings), sources.DotEnv(Settings), *sources.toml_files(Settings)):
        for path, entry in source.read(given).items():
            given.setdefault(path, entry)
    return Path(sources.profiles_path(Settings, given))


def _load(path: Path) -> ProfilesCollection:
    active, tables = _profile_file.read_tables(path.read_bytes(), str(path))
    profiles = ProfilesCollection(Profile(name, dict(table), path) for name, table in tables.items())
    profiles.set_active(active, check=False)
    return profiles
