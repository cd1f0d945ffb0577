"""The settings in force: those of the process, or those that `temporary_settings` or a profile put in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from prefect.settings.table import Settings

if TYPE_CHECKING:
    from contextvars import Token

    from prefect.settings.legacy import Changes, Setting
    from prefect.settings.profiles import Profile

    SettingsToken = tuple[Token[Settings | None], Token[Profile | None]]

# what replaces the settings of the process, in this thread or asyncio task
_override: ContextVar[Settings | None] = ContextVar("prefect_settings", default=None)
# the profile put in the place of the process's, if any
_profile: ContextVar[Profile | None] = ContextVar("prefect_profile", default=None)
# the settings of the process under one key: `dict.setdefault` is atomic, so threads that race to read them agree
# on one object without a lock (which a fork could leave locked)
_process: dict[str, Settings] = {}


def get_current_settings() -> Settings:
    """The settings in force here. They are read from their sources once, when first asked for.

    Raises:
        SettingsError: a source gives a value that is not allowed; the message names it.
    """
    override = _override.get()
    if override is not None:
        return override
    try:
        return _process["settings"]
    except KeyError:
        return _process.setdefault("settings", Settings().emit_warnings())


def refresh_settings() -> Settings:
    """Read the settings of the process from their sources again and return them."""
    _process["settings"] = settings = Settings().emit_warnings()
    return settings


def put_settings_of_process(settings: Settings | None) -> Settings | None:
    """Replace the settings of the process; returns those before, None when none had been read.

    Args:
        settings: None to have them read when they are asked for next.
    """
    if settings is None:
        return _process.pop("settings", None)
    before = _process.get("settings")
    _process["settings"] = settings
    return before


def push_settings(settings: Settings, profile: Profile | None = None) -> SettingsToken:
    """Put these settings, and the profile they come from, in force in this thread or task until `pop_settings`."""
    return _override.set(settings), _profile.set(profile if profile is not None else _profile.get())


def pop_settings(token: SettingsToken) -> None:
    """Undo `push_settings`."""
    _override.reset(token[0])
    _profile.reset(token[1])


@contextmanager
def temporary_settings(
    updates: Changes | None = None,
    set_defaults: Changes | None = None,
    restore_defaults: Iterable[Setting | str] | None = None,
) -> Iterator[Settings]:
    """Change settings for the duration of a `with` block, in this thread or asyncio task.

    Args:
        updates: new values: `{PREFECT_API_URL: "http://127.0.0.1:4200/api"}`.
        set_defaults: values for those of them that no source gives.
        restore_defaults: settings that get their default.

    Raises:
        SettingsError: a value is not allowed.
    """
    changed = get_current_settings().copy_with_update(updates, set_defaults, restore_defaults)
    token = _override.set(changed)
    try:
        yield changed
    finally:
        _override.reset(token)
