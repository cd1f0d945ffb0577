"""What the whole of the settings can do beyond a group of them: read the sources, be changed into a copy."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from prefect._lazy import lazy_module
from prefect.settings._fields import Group, SettingsError, field_of, fields_by_path
from prefect.settings._sources import DotEnv, Environment, Init, ProfileFile, Source, TomlFile

if TYPE_CHECKING:
    import hashlib

    from prefect.settings.legacy import Setting
else:
    hashlib = lazy_module("hashlib")


class SettingsRoot(Group):
    """Base of `Settings`: everything but the table."""

    if TYPE_CHECKING:
        _values: dict[str, Any]
        _sources: dict[str, str]

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        sources = cls.settings_customise_sources(cls, Init(cls, values), Environment(cls), DotEnv(cls), None)
        state = self.__dict__
        state["_root"] = self
        state["_values"] = {}
        state["_sources"] = {}
        given: dict[str, tuple[Any, str]] = {}
        for source in sources:
            for path, entry in source.read(given).items():
                given.setdefault(path, entry)
        self._accept(given)

    @classmethod
    def _build(cls, values: dict[str, Any], sources: dict[str, str]) -> Self:
        """Settings with exactly these values (already read by their fields), whatever the environment says."""
        made = object.__new__(cls)
        made.__dict__.update(_root=made, _values=values, _sources=sources)
        return made.post_hoc_settings()

    def _accept(self, given: Mapping[str, tuple[Any, str]]) -> None:
        if given:
            fields = fields_by_path(type(self))
            for path, (raw, source) in given.items():
                self._values[path] = fields[path].read(raw, source)
                self._sources[path] = source
            self.post_hoc_settings()

    @staticmethod
    def settings_customise_sources(
        settings_cls: type[SettingsRoot],
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,
        file_secret_settings: Source | None,
    ) -> tuple[Source, ...]:
        """The sources in order of precedence; a subclass may leave out, reorder or add some.

        Arguments, environment, `.env`, `prefect.toml`, `[tool.prefect]` of `pyproject.toml`, the active profile.
        A source is anything with `read(given)` that returns `{path: (raw value, words for the source)}`; `given` is
        what the sources before it found. There is no source of secret files: `file_secret_settings` is None.
        """
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            TomlFile(settings_cls, "prefect.toml", ()),
            TomlFile(settings_cls, "pyproject.toml", ("tool", "prefect")),
            ProfileFile(settings_cls),
        )

    @property
    def connected_to_cloud(self) -> bool:
        """Whether `api.url` is an address of Prefect Cloud."""
        url = self._root.api.url
        return bool(url) and url.startswith(self._root.cloud.api_url)

    def reveal(self, path: str) -> Any:
        """The value of the setting at a dotted path; a secret as plain text (or None), with no wrapper around it."""
        return fields_by_path(type(self))[path].value_in(self._root)

    def source_of(self, path: str) -> str | None:
        """Words for where the value of the setting at a dotted path came from; None if it is the default."""
        return self._sources.get(path)

    def copy_with_update(
        self,
        updates: Mapping[Setting | str, Any] | None = None,
        set_defaults: Mapping[Setting | str, Any] | None = None,
        restore_defaults: Iterable[Setting | str] | None = None,
    ) -> Self:
        """A copy with some settings changed.

        Args:
            updates: new values, by setting (`PREFECT_API_URL`) or its name.
            set_defaults: values for those of them that no source gives.
            restore_defaults: settings that get their default again.

        Raises:
            SettingsError: a value is not allowed, or a name is not that of a setting.
        """
        values, sources = dict(self._values), dict(self._sources)
        for key in restore_defaults or ():
            path = field_of(key, type(self)).path
            values.pop(path, None)
            sources.pop(path, None)
        for changes, only_if_unset in ((set_defaults, True), (updates, False)):
            for key, raw in (changes or {}).items():
                field = field_of(key, type(self))
                if not (only_if_unset and field.path in values):
                    values[field.path] = field.read(raw, "an update of the settings by the program")
                    sources[field.path] = "the program"
        return type(self)._build(values, sources)

    def hash_key(self) -> str:
        """A text that is the same for equal settings, in every process."""
        variables = sorted(self.to_environment_variables().items())
        return hashlib.sha256(repr(variables).encode()).hexdigest()

    def post_hoc_settings(self) -> Self:
        """Check what concerns several settings together.

        Raises:
            SettingsError: two settings contradict each other.
        """
        values = self._values
        size, batch = "logging.to_api.max_log_size", "logging.to_api.batch_size"
        if size in values or batch in values:
            to_api = self._root.logging.to_api
            if to_api.max_log_size > to_api.batch_size:
                raise SettingsError(
                    f"PREFECT_LOGGING_TO_API_MAX_LOG_SIZE ({to_api.max_log_size}) cannot be larger than "
                    f"PREFECT_LOGGING_TO_API_BATCH_SIZE ({to_api.batch_size}): a line must fit into a batch."
                )
        return self

    def emit_warnings(self) -> Self:
        """Warn about values that are allowed but hardly meant; once, where the settings are first read."""
        for message in misgivings(self):
            warnings.warn(message, UserWarning, stacklevel=3)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"_values": self._values, "_sources": self._sources}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _root=self)


def misgivings(settings: SettingsRoot) -> list[str]:
    """What looks wrong about settings that are each allowed."""
    root = settings._root
    found: list[str] = []
    url = settings._values.get("api.url")
    if url and not root.silence_api_url_misconfiguration:
        if not url.startswith(("http://", "https://")):
            found.append(f"PREFECT_API_URL is {url!r}, which does not start with http:// or https://.")
        elif url.startswith(root.cloud.ui_url or "\0"):
            found.append(f"PREFECT_API_URL is {url!r}, an address of pages; the API is at {root.cloud.api_url}/...")
        elif not settings.connected_to_cloud and not url.rstrip("/").endswith("/api"):
            found.append(f"PREFECT_API_URL is {url!r}; the address of a server's API usually ends with /api.")
    connection = settings._values.get("server.database.connection_url")
    if settings._values.get("server.database.password") and connection and "PREFECT_" not in connection:
        given = settings._sources.get("server.database.connection_url")
        found.append(f"PREFECT_SERVER_DATABASE_PASSWORD is set but not used: the URL from {given} has no place for it.")
    return found
