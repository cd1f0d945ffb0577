"""Hooks of installed packages that run when a program starts."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect.logging.loggers import get_logger
from prefect.settings import get_current_settings

GROUP = "prefect.plugins"
PREFECT_PLUGIN_API_VERSION = "0.1"

_MARK = "_prefect_hook"
_MASK = "••••••"
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "AUTH")


@dataclass
class HookContext:
    """What a hook is told.

    Attributes:
        prefect_version: of this package.
        api_url: where the API is; None for the local database.
        logger_factory: makes a logger from a name.
    """

    prefect_version: str
    api_url: str | None
    logger_factory: Callable[[str], logging.Logger]


@dataclass
class SetupResult:
    """What a hook wants of the environment.

    Attributes:
        env: environment variables to set.
        note: what it did, for people.
        required: whether the program is to end when the hook cannot be carried out, with `plugins.strict`.
    """

    env: Mapping[str, str]
    note: str | None = None
    required: bool = False


@dataclass
class SetupSummary:
    """What came of a hook.

    Attributes:
        plugin: its entry point.
        env_preview: the environment variables that it set; secret values are masked.
        note: what it said.
        error: why it failed.
    """

    plugin: str
    env_preview: dict[str, str] | None = field(default=None)
    note: str | None = None
    error: str | None = None


class HookSpec:
    """The hooks that there are. A plugin defines functions of these names."""

    def setup_environment(self, *, ctx: HookContext) -> SetupResult | None:
        """Called when a program starts; may be a coroutine function. None: there is nothing to do."""

    def set_database_connection_params(self, connection_url: str, settings: Any) -> Mapping[str, Any]:
        """More arguments for the connections of the server to its database, such as a token that is fetched."""
        return {}


def register_hook(
    function: Callable[..., Any] | None = None,
    hookwrapper: bool = False,
    optionalhook: bool = False,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
    wrapper: bool = False,
) -> Any:
    """Mark a function as a hook, as `@register_hook` or `@register_hook(...)`.

    Args:
        function: the function.
        tryfirst, trylast: call it before, or after, those of other packages.
        specname: the name of the hook, where it is not that of the function.
        hookwrapper, wrapper, optionalhook: accepted for compatibility.
    """

    def mark(fn: Any) -> Any:
        order = -1 if tryfirst else 1 if trylast else 0
        setattr(fn, _MARK, (specname or fn.__name__, order))
        return fn

    return mark if function is None else mark(function)


def find_hook(module: Any, name: str) -> Callable[..., Any] | None:
    """The hook of a name in a plugin: a function marked with it, or one of that name."""
    for value in vars(module).values() if hasattr(module, "__dict__") else ():
        if getattr(value, _MARK, (None,))[0] == name:
            return value
    found = getattr(module, name, None)
    return found if callable(found) else None


async def run_startup_hooks(ctx: HookContext) -> list[SetupSummary]:
    """Run the `setup_environment` hooks of the plugins that the settings allow, and set the variables that they want.

    Args:
        ctx: what the hooks are told.

    Returns:
        what came of each; nothing, unless the setting `plugins.enabled` is on.

    Raises:
        SystemExit: a hook that is required failed, and the setting `plugins.strict` is on.
    """
    settings = get_current_settings().plugins
    found = [(entry, *_load(entry)) for entry in _allowed()]
    found.sort(key=lambda one: getattr(one[1], _MARK, (None, 0))[1])
    summaries = []
    for entry, hook, error in found:
        if error is not None:
            summaries.append(_failed(entry.name, error, required=settings.strict))
        elif hook is not None and not settings.safe_mode:
            summaries.append(await _run(entry.name, hook, ctx))
    return summaries


def database_connection_params(connection_url: str, settings: Any) -> dict[str, Any]:
    """What the `set_database_connection_params` hooks of plugins add to a connection of the server to its database.

    They are asked for every new connection, so a token may expire.

    Args:
        connection_url: of the database, without its password.
        settings: those of the server.

    Returns:
        arguments for the driver; empty, unless the setting `plugins.enabled` is on.

    Raises:
        Exception: what a hook raises; without what it was to bring the connection would fail, and less clearly.
    """
    arguments: dict[str, Any] = {}
    for entry in [] if get_current_settings().plugins.safe_mode else _allowed():
        hook = find_hook(entry.load(), "set_database_connection_params")
        if hook is not None:
            arguments.update(hook(connection_url=connection_url, settings=settings) or {})
    return arguments


def _allowed() -> list[importlib.metadata.EntryPoint]:
    """The plugins that the settings let run."""
    settings = get_current_settings().plugins
    if not settings.enabled:
        return []
    return [
        entry
        for entry in importlib.metadata.entry_points(group=GROUP)
        if (not settings.allow or entry.name in settings.allow) and entry.name not in (settings.deny or ())
    ]


def _load(entry: importlib.metadata.EntryPoint) -> tuple[Callable[..., Any] | None, Exception | None]:
    try:
        return find_hook(entry.load(), "setup_environment"), None
    except Exception as exc:  # it is another package's code: anything may happen
        return None, exc


async def _run(name: str, hook: Callable[..., Any], ctx: HookContext) -> SetupSummary:
    seconds = get_current_settings().plugins.setup_timeout_seconds

    async def call() -> Any:
        value = await asyncio.to_thread(hook, ctx=ctx) if not inspect.iscoroutinefunction(hook) else hook(ctx=ctx)
        return await value if inspect.isawaitable(value) else value

    try:
        result = await asyncio.wait_for(call(), seconds)
        if result is None:
            return SetupSummary(name)
        for variable, value in result.env.items():
            os.environ[str(variable)] = str(value)
    except TimeoutError:
        return _failed(name, TimeoutError(f"it took longer than {seconds} seconds"), required=True)
    except Exception as exc:  # it is another package's code: anything may happen
        return _failed(name, exc, required=True)
    shown = {variable: _masked(variable, value) for variable, value in result.env.items()}
    return SetupSummary(name, env_preview=shown, note=result.note)


def _failed(name: str, error: Exception, *, required: bool) -> SetupSummary:
    get_logger("plugins").error("The plugin %r could not be set up: %s", name, error)
    if required and get_current_settings().plugins.strict:
        raise SystemExit(f"The plugin {name!r} could not be set up, and PREFECT_PLUGINS_STRICT is on: {error}")
    return SetupSummary(name, error=str(error))


def _masked(variable: str, value: str) -> str:
    return _MASK if any(word in variable.upper() for word in _SECRET_WORDS) else value
