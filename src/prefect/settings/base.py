"""The base for settings classes of integrations: `PREFECT_INTEGRATIONS_...` from the same places as all settings.

    class KubernetesSettings(PrefectBaseSettings):
        model_config = build_settings_config(("integrations", "kubernetes"))

        cluster_uid: str | None = None  # PREFECT_INTEGRATIONS_KUBERNETES_CLUSTER_UID

Needs pydantic-settings; nothing else in the package imports this module.
"""

from __future__ import annotations

from typing import Any

import pydantic
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from prefect.settings.parse import format_value
from prefect.settings.sources import (
    EnvFilterSettingsSource,
    FilteredDotEnvSettingsSource,
    PrefectTomlConfigSettingsSource,
    ProfileSettingsTomlLoader,
    PyprojectTomlConfigSettingsSource,
    field_names,
)


class PrefectSettingsConfigDict(SettingsConfigDict, total=False):
    """The configuration of a settings class."""

    prefect_toml_table_header: tuple[str, ...]
    """The table that it reads: of `prefect.toml`, and under `tool.prefect` of `pyproject.toml`."""


def build_settings_config(path: tuple[str, ...] = (), frozen: bool = False) -> PrefectSettingsConfigDict:
    """The configuration of the settings class at a path, such as `("integrations", "kubernetes")`.

    Args:
        path: the names of the groups on the way to it; they make the prefix of its environment variables and the
            headers of its tables in `prefect.toml` and `pyproject.toml`.
        frozen: whether its values cannot be changed.
    """
    return PrefectSettingsConfigDict(
        env_prefix=f"PREFECT_{'_'.join(path).upper()}_" if path else "PREFECT_",
        env_file=".env",
        extra="ignore",
        prefect_toml_table_header=path,
        frozen=frozen,
    )


class PrefectBaseSettings(BaseSettings):
    """A settings class. Arguments win over the environment, then `.env`, `prefect.toml`, `pyproject.toml`, the profile."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in order of precedence."""
        return (
            init_settings,
            EnvFilterSettingsSource(settings_cls),
            FilteredDotEnvSettingsSource(settings_cls),
            file_secret_settings,
            PrefectTomlConfigSettingsSource(settings_cls),
            PyprojectTomlConfigSettingsSource(settings_cls),
            ProfileSettingsTomlLoader(settings_cls),
        )

    def to_environment_variables(
        self, exclude_unset: bool = False, include_secrets: bool = True, include_aliases: bool = False
    ) -> dict[str, str]:
        """Environment variables that give another process these settings. Unset (`None`) values are left out.

        Args:
            exclude_unset: only what some source gave, not the defaults.
            include_secrets: secrets as plain text; otherwise as `"**********"`.
            include_aliases: older names of the variables as well.
        """
        variables: dict[str, str] = {}
        prefix = self.model_config.get("env_prefix") or ""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, PrefectBaseSettings):
                variables.update(value.to_environment_variables(exclude_unset, include_secrets, include_aliases))
            elif value is not None and (name in self.model_fields_set or not exclude_unset):
                text = _text(value, include_secrets)
                variables[f"{prefix}{name}".upper()] = text
                if include_aliases:
                    variables.update((alias.upper(), text) for alias in field_names(field, name)[1:])
        return variables


def _text(value: Any, include_secrets: bool) -> str:
    if isinstance(value, pydantic.SecretStr | pydantic.SecretBytes):
        hidden = value.get_secret_value() if include_secrets else str(value)
        return hidden.decode() if isinstance(hidden, bytes) else hidden
    return format_value(value)
