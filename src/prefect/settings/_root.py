"""What the whole of the settings can do beyond a group of them: read the sources, be changed into a copy."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from prefect._lazy import lazy_module
from prefect.settings._sources import DotEnv, Environment, Init, Origin
from prefect.settings.fields import Group, SettingsError, SettingsWarning, field_of, fields_by_path

if TYPE_CHECKING:
    import hashlib

    from prefect.settings.legacy import Changes, Setting
else:
    hashlib = lazy_module("hashlib")

_PROGRAM = Origin("an update of the settings by the program")


class SettingsRoot(Group):
    """Base of `Settings`: everything but the table."""

    if TYPE_CHECKING:
        _values: dict[str, Any]
        _sources: dict[str, Origin]

    def __init__(self, **values: Any) -> None:
        self._read(type(self), values)

    def _read(self, hook: type[Group], values: dict[str, Any]) -> None:
        """Read the sources that `hook.settings_customise_sources` chooses; `values` are the arguments."""
        cls = type(self)
        self.__dict__.update(_root=self, _values={}, _sources={})
        chosen = hook.settings_customise_sources(cls, Init(cls, values), Environment(cls), DotEnv(cls), None)
        given: dict[str, tuple[Any, Origin]] = {}
        for source in chosen:
            for path, entry in source.read(given).items():
                given.setdefault(path, entry)
        if given:
            fields = fields_by_path(cls)
            for path, (raw, origin) in given.items():
                self._values[path] = fields[path].read(raw, origin)
                self._sources[path] = origin
            self.post_hoc_settings()

    @classmethod
    def _build(cls, values: dict[str, Any], sources: dict[str, Origin]) -> Self:
        """Settings with exactly these values (already read by their fields), whatever the environment says."""
        made = object.__new__(cls)
        made.__dict__.update(_root=made, _values=values, _sources=sources)
        return made.post_hoc_settings()

    @property
    def connected_to_cloud(self) -> bool:
        """Whether `api.url` is an address of Prefect Cloud."""
        url = self._root.api.url
        return bool(url) and url.startswith(self._root.cloud.api_url)

    def reveal(self, path: str) -> Any:
        """The value of the setting at a dotted path; a secret as plain text (or None), with no wrapper around it."""
        return fields_by_path(type(self))[path].value_in(self._root)

    def source_of(self, path: str) -> Origin | None:
        """Words for where the value of the setting at a dotted path came from; None if it is the default."""
        return self._sources.get(path)

    def copy_with_update(
        self,
        updates: Changes | None = None,
        set_defaults: Changes | None = None,
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
        cls = type(self)
        base = self.without(field_of(key, cls).path for key in restore_defaults or ())
        given = {field_of(key, cls).path: raw for key, raw in (set_defaults or {}).items()}
        given = {path: raw for path, raw in given.items() if path not in base._values}
        given.update((field_of(key, cls).path, raw) for key, raw in (updates or {}).items())
        return base.with_values({path: (raw, _PROGRAM) for path, raw in given.items()})

    def without(self, paths: Iterable[str]) -> Self:
        """A copy in which the settings at these dotted paths have their defaults."""
        dropped = set(paths)
        values = {path: value for path, value in self._values.items() if path not in dropped}
        sources = {path: source for path, source in self._sources.items() if path not in dropped}
        return type(self)._build(values, sources)

    def with_values(self, given: Mapping[str, tuple[Any, Origin]]) -> Self:
        """A copy with raw values from a source put over those it has: `{path: (raw value, origin)}`."""
        fields = fields_by_path(type(self))
        values, sources = dict(self._values), dict(self._sources)
        for path, (raw, origin) in given.items():
            values[path] = fields[path].read(raw, origin)
            sources[path] = origin
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
        sizes = {"logging.to_api.max_log_size", "logging.to_api.batch_size"}
        if sizes & self._values.keys():
            max_log_size_smaller_than_batch_size(self._root.logging.to_api.model_dump())
        return self

    def emit_warnings(self) -> Self:
        """Warn about values that are allowed but hardly meant; once, where the settings are first read."""
        for message in misgivings(self):
            warnings.warn(message, SettingsWarning, stacklevel=3)
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
    if unused := warn_on_database_password_value_without_usage(settings):
        found.append(unused)
    return found


def warn_on_database_password_value_without_usage(settings: SettingsRoot) -> str | None:
    """The warning due when a database password is set and the URL of the database has no place for it, else None."""
    url = settings._values.get("server.database.connection_url")
    if url is None or not settings._values.get("server.database.password") or "DATABASE_PASSWORD}" in url:
        return None
    origin = settings._sources.get("server.database.connection_url")
    return (
        f"PREFECT_SERVER_DATABASE_PASSWORD is set but not used: the database URL, from {origin}, does not refer to it "
        "as ${PREFECT_SERVER_DATABASE_PASSWORD}."
    )


def max_log_size_smaller_than_batch_size(values: dict[str, Any]) -> dict[str, Any]:
    """Check that the largest log line fits into a batch; returns the values.

    Raises:
        SettingsError: it does not.
    """
    if values["max_log_size"] > values["batch_size"]:
        raise SettingsError(
            f"PREFECT_LOGGING_TO_API_MAX_LOG_SIZE ({values['max_log_size']}) cannot be larger than "
            f"PREFECT_LOGGING_TO_API_BATCH_SIZE ({values['batch_size']}): a line must fit into a batch."
        )
    return values


def canonical_environment_prefix(settings: Group) -> str:
    """What the names of the environment variables of a group start with: `PREFECT_API_` for `settings.api`."""
    return f"PREFECT_{settings._path.upper().replace('.', '_')}_" if settings._path else "PREFECT_"
