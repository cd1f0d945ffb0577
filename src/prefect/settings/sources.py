"""Sources of values for settings classes of integrations, in the form pydantic-settings asks for.

The settings of this package itself read the same places through `prefect.settings._sources`, without pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, PydanticBaseSettingsSource
from pydantic_settings.sources import ENV_FILE_SENTINEL

from prefect.settings import _profile_file, profiles
from prefect.settings import _sources as places
from prefect.settings.table import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings.sources import DotenvType

__all__ = [
    "EnvFilterSettingsSource",
    "FilteredDotEnvSettingsSource",
    "PrefectTomlConfigSettingsSource",
    "ProfileSettingsTomlLoader",
    "PyprojectTomlConfigSettingsSource",
    "TomlConfigSettingsSourceBase",
]


class EnvFilterSettingsSource(EnvSettingsSource):
    """The environment, without the variables named in `env_filter`."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        case_sensitive: bool | None = None,
        env_prefix: str | None = None,
        env_nested_delimiter: str | None = None,
        env_ignore_empty: bool | None = None,
        env_parse_none_str: str | None = None,
        env_parse_enums: bool | None = None,
        env_filter: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            settings_cls,
            case_sensitive=case_sensitive,
            env_prefix=env_prefix,
            env_nested_delimiter=env_nested_delimiter,
            env_ignore_empty=env_ignore_empty,
            env_parse_none_str=env_parse_none_str,
            env_parse_enums=env_parse_enums,
        )
        self.env_vars = _without(self.env_vars, env_filter)


class FilteredDotEnvSettingsSource(DotEnvSettingsSource):
    """The file `.env`, without the variables named in `env_blacklist`."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        env_file: DotenvType | None = ENV_FILE_SENTINEL,
        env_file_encoding: str | None = None,
        case_sensitive: bool | None = None,
        env_prefix: str | None = None,
        env_nested_delimiter: str | None = None,
        env_ignore_empty: bool | None = None,
        env_parse_none_str: str | None = None,
        env_parse_enums: bool | None = None,
        env_blacklist: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            settings_cls,
            env_file=env_file,
            env_file_encoding=env_file_encoding,
            case_sensitive=case_sensitive,
            env_prefix=env_prefix,
            env_nested_delimiter=env_nested_delimiter,
            env_ignore_empty=env_ignore_empty,
            env_parse_none_str=env_parse_none_str,
            env_parse_enums=env_parse_enums,
        )
        self.env_vars = _without(self.env_vars, env_blacklist)


def _without(variables: Mapping[str, str | None], names: Sequence[str] | None) -> Mapping[str, str | None]:
    dropped = {name.lower() for name in names or ()}
    return {name: text for name, text in variables.items() if name.lower() not in dropped}


class TomlConfigSettingsSourceBase(PydanticBaseSettingsSource):
    """A table of a TOML file: one key for each field, by its name or one of its aliases."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.toml_data: dict[str, Any] = {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value in the table, the key it has in the result, and whether it needs parsing (it never does)."""
        for name in field_names(field, field_name):
            if name in self.toml_data:
                return self.toml_data[name], field_name, False
        return None, field_name, False

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        """The value as it is: TOML has types."""
        return value

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            if _reads_for_itself(self.settings_cls, name, field):
                continue
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[_init_key(field, key)] = value
        return found


class PrefectTomlConfigSettingsSource(TomlConfigSettingsSourceBase):
    """`prefect.toml` of the working directory."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.toml_data = places.TomlFile(Settings, "prefect.toml", _header(settings_cls) or ()).table()


class PyprojectTomlConfigSettingsSource(TomlConfigSettingsSourceBase):
    """`[tool.prefect]` in `pyproject.toml` of the working directory."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        header = ("tool", "prefect", *(_header(settings_cls) or ()))
        self.toml_data = places.TomlFile(Settings, "pyproject.toml", header).table()


class ProfileSettingsTomlLoader(PydanticBaseSettingsSource):
    """The active profile: values under the names of environment variables."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        path = str(profiles.user_profiles_path())
        wanted, wanted_by = places.requested_profile()
        layers = _profile_file.find(places.read_file(path), path, wanted, wanted_by)
        self.profile_settings: dict[str, Any] = {}
        for _, values in reversed(layers):
            self.profile_settings.update((name.upper(), value) for name, value in values.items())

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value in the profile, the key it has in the result, and whether it needs parsing as JSON."""
        prefix = self.settings_cls.model_config.get("env_prefix", "")
        names = [f"{prefix}{field_name}", *(name for name in field_names(field, field_name) if name != field_name)]
        for name in names:
            if name.upper() in self.profile_settings:
                return self.profile_settings[name.upper()], field_name, self.field_is_complex(field)
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, is_complex = self.get_field_value(field, name)
            if isinstance(value, str):
                value = self.prepare_field_value(name, field, value, is_complex)
            if value is not None:
                found[_init_key(field, key)] = value
        return found


def field_names(field: FieldInfo, field_name: str) -> list[str]:
    """The name of a field and its aliases that are plain names."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, pydantic.AliasChoices) else [alias]
    names = [field_name]
    for choice in choices:
        if isinstance(choice, pydantic.AliasPath) and len(choice.path) == 1:
            choice = choice.path[0]
        if isinstance(choice, str) and choice not in names:
            names.append(choice)
    return names


def _init_key(field: FieldInfo, field_name: str) -> str:
    """The key under which pydantic takes the value of a field: its first alias, or its name when it has none."""
    names = field_names(field, field_name)
    return names[1] if field.validation_alias is not None and len(names) > 1 else field_name


def _reads_for_itself(settings_cls: type[BaseSettings], name: str, field: FieldInfo) -> bool:
    """Whether a field is a settings class that reads its own table.

    Its table must not be handed to it as arguments, which would win over its environment variables.
    """
    inner = field.annotation
    if not (isinstance(inner, type) and issubclass(inner, BaseSettings)):
        return False
    own = _header(inner)
    return own is not None and own == (*(_header(settings_cls) or ()), name)


def _header(settings_cls: type[BaseSettings]) -> tuple[str, ...] | None:
    """The table that a settings class reads; None when its configuration does not say."""
    config: Mapping[str, Any] = settings_cls.model_config
    header = config.get("prefect_toml_table_header")
    return None if header is None else tuple(header)
