"""How logging is set up.

By default: records of `prefect` from INFO on (setting `PREFECT_LOGGING_LEVEL`), and warnings of everything else, are
shown on stderr; those of runs are recorded too. A root logger that already has handlers is left as it is.

To change it, in order of effort:

- settings: `PREFECT_LOGGING_LEVEL`, `PREFECT_LOGGING_COLORS`, `PREFECT_LOGGING_EXTRA_LOGGERS`, ...
- one value of the configuration, by an environment variable named like the path to it, upper case, with underscores:
  `PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER=json` shows JSON, `PREFECT_LOGGING_ROOT_LEVEL=INFO` shows other libraries
  too, `PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT="%(message)s"` shortens lines.
- all of it, by a YAML file in the form of `logging.config.dictConfig`: `logging.yml` in the home of Prefect, or where
  `PREFECT_LOGGING_SETTINGS_PATH` says. `${PREFECT_...}` in it stands for the value of a setting.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.exceptions import ConfigurationError
from prefect.logging.formatters import PrefectFormatter
from prefect.logging.handlers import APILogHandler, PrefectConsoleHandler, WorkerAPILogHandler
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import logging.config as logging_config

    import yaml

    from prefect.settings import legacy
else:
    logging_config = lazy_module("logging.config")
    yaml = lazy_module("yaml")
    legacy = lazy_module("prefect.settings.legacy")

PROCESS_LOGGING_CONFIG: dict[str, Any] = {}
"""The configuration in force in this process; empty until logging is set up."""

_ready = False
_rehearsed: dict[str, Any] | None = None
_setup_lock = threading.RLock()
_PREFIX = "%(asctime)s.%(msecs)03d | %(levelname)-7s | "
_CLASSES = {
    f"{made.__module__}.{made.__qualname__}": made
    for made in (PrefectFormatter, PrefectConsoleHandler, APILogHandler, WorkerAPILogHandler)
}


def default_logging_config() -> dict[str, Any]:
    """The configuration that applies when there is no file: what `logging.config.dictConfig` takes."""
    settings = get_current_settings()
    level, server_level = settings.logging.level, settings.server.logging_level
    times = {"datefmt": "%H:%M:%S"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "simple": {"format": "%(asctime)s.%(msecs)03d | %(message)s", **times},
            "standard": {
                "()": "prefect.logging.formatters.PrefectFormatter",
                "format": f"{_PREFIX}%(name)s - %(message)s",
                "flow_run_fmt": f"{_PREFIX}Flow run %(flow_run_name)r - %(message)s",
                "task_run_fmt": f"{_PREFIX}Task run %(task_run_name)r - %(message)s",
                **times,
            },
            "debug": {"format": f"{_PREFIX}%(threadName)-12s | %(name)s - %(message)s", **times},
            "json": {"()": "prefect.logging.formatters.JsonFormatter", "fmt": "default"},
        },
        "handlers": {
            "console": {
                "level": 0,
                "class": "prefect.logging.handlers.PrefectConsoleHandler",
                "formatter": "standard",
            },
            "api": {"level": 0, "class": "prefect.logging.handlers.APILogHandler"},
            "worker_api": {"level": 0, "class": "prefect.logging.handlers.WorkerAPILogHandler"},
            "debug": {"level": 0, "class": "logging.StreamHandler", "formatter": "debug"},
        },
        "loggers": {
            "prefect": {"level": level},
            # not a logger that anyone uses: what `PREFECT_LOGGING_EXTRA_LOGGERS` get
            "prefect.extra": {"level": level, "handlers": ["api"], "propagate": False},
            "prefect.flow_runs": {"level": "NOTSET", "handlers": ["api"]},
            "prefect.task_runs": {"level": "NOTSET", "handlers": ["api"]},
            "prefect.workers": {"level": "NOTSET", "handlers": ["worker_api"]},
            "prefect.server": {"level": server_level},
            "prefect.client": {"level": level},
            "prefect.infrastructure": {"level": level},
            "prefect._internal": {
                "level": settings.internal.logging_level,
                "handlers": ["debug"],
                "propagate": False,
            },
            "uvicorn": {"level": server_level, "handlers": ["console"], "propagate": False},
            "fastapi": {"level": server_level, "handlers": ["console"], "propagate": False},
        },
        "root": {"level": "WARNING", "handlers": ["console"]},
    }


def load_logging_config(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The configuration in a file, with what the environment overrides.

    Args:
        path: a YAML file; None for the default configuration.

    Raises:
        ConfigurationError: the file cannot be read, or does not hold a dictionary.
    """
    config = default_logging_config() if path is None else _read(Path(path))
    _override(config)
    return config


def _read(path: Path) -> dict[str, Any]:
    def value_of_setting(match: re.Match[str]) -> str:
        try:
            value = legacy.setting_named(match["braced"] or match["plain"]).value()
        except AttributeError:
            return match[0]
        return "" if value is None else str(value)

    try:
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(
            re.sub(r"\$(?:\{(?P<braced>PREFECT_\w+)\}|(?P<plain>PREFECT_\w+))", value_of_setting, text)
        )
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The logging configuration in {str(path)!r} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ConfigurationError(
            f"The logging configuration in {str(path)!r} is not a dictionary; it takes the form of "
            "logging.config.dictConfig."
        )
    return config


def _override(config: dict[str, Any]) -> None:
    """Put the values of `PREFECT_LOGGING_...` variables named like paths in the configuration in their places."""
    if not any(name.startswith("PREFECT_LOGGING_") for name in os.environ):
        return
    for path, owner, key in _leaves(config, "PREFECT_LOGGING"):
        value = os.environ.get(path)
        if value is not None:
            owner[key] = _like(owner[key], value)


def _leaves(config: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    for key, value in config.items():
        name = f"{path}_{_in_capitals(str(key))}"
        if isinstance(value, dict):
            yield from _leaves(value, name)
        else:
            yield name, config, key


@cache
def _in_capitals(key: str) -> str:
    return re.sub("[^0-9A-Z]", "_", key.upper())


def _like(default: Any, text: str) -> Any:
    """The value that a text stands for in the place of `default`."""
    if isinstance(default, bool):
        return text.strip().lower() in ("1", "true", "yes", "on", "t", "y")
    if isinstance(default, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    return int(text) if isinstance(default, int) and text.strip().isdigit() else text


def setup_logging(incremental: bool | None = None) -> dict[str, Any]:
    """Set up logging by the settings in force.

    Args:
        incremental: change levels only and keep the handlers there are; default: whether it was set up before.

    Returns:
        The configuration: what `logging.config.dictConfig` takes.

    Raises:
        ConfigurationError: the configuration has an error; the message tells where it comes from.
    """
    global _ready
    with _setup_lock:
        settings = get_current_settings().logging
        file = settings.config_path if settings.config_path is not None and settings.config_path.exists() else None
        config = load_logging_config(file)
        if incremental is None:
            incremental = bool(PROCESS_LOGGING_CONFIG)
        config["incremental"] = incremental
        if not _root_is_ours():
            config.pop("root", None)
        try:
            if file is not None:
                logging_config.dictConfig(config)
            elif config != _rehearsed:
                _apply(config)
        except (ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
            source = f"file {str(file)!r}" if file else "default configuration with PREFECT_LOGGING_... variables"
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            raise ConfigurationError(f"Logging cannot be set up by the {source}: {error}{cause}") from error
        _attach_to_extra_loggers(config, settings.extra_loggers or ())
        PROCESS_LOGGING_CONFIG.clear()
        PROCESS_LOGGING_CONFIG.update(config)
        _ready = True
        return config


def rehearse_logging_setup() -> None:
    """Set up logging in a process that only forks, so that a child whose settings say the same finds it done.

    Each child sets up logging itself nevertheless: only what it would make anew, alike, is left as it is.
    """
    global _ready, _rehearsed
    settings = get_current_settings().logging
    if settings.extra_loggers or (settings.config_path is not None and settings.config_path.exists()):
        return
    _rehearsed = setup_logging(incremental=False)
    PROCESS_LOGGING_CONFIG.clear()
    _ready = False


def ensure_logging_setup() -> None:
    """Set up logging, unless that was done in this process."""
    if not _ready:
        with _setup_lock:
            if not _ready:
                setup_logging()


def _root_is_ours() -> bool:
    """Whether the root logger is ours to set up: nobody gave it handlers but we."""
    return all(isinstance(handler, PrefectConsoleHandler) for handler in logging.getLogger().handlers)


def _attach_to_extra_loggers(config: dict[str, Any], names: list[str] | tuple[str, ...]) -> None:
    if not names:
        return
    handlers = logging.getLogger("prefect.extra").handlers
    for name in names:
        logger = logging.getLogger(name)
        if config["incremental"] and any(isinstance(handler, APILogHandler) for handler in logger.handlers):
            continue
        for handler in handlers:
            if handler not in logger.handlers:
                logger.addHandler(handler)


# ── dictConfig for the default configuration, without the 10 ms that importing logging.config takes ────────────────


def _apply(config: dict[str, Any]) -> None:
    loggers = dict(config["loggers"])
    if "root" in config:
        loggers[""] = config["root"]
    if config["incremental"]:
        for name, options in loggers.items():
            logging.getLogger(name).setLevel(options["level"])
        return
    made: dict[str, logging.Handler] = {}
    for name, options in loggers.items():
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
        for key in options.get("handlers", ()):
            if key not in made:
                made[key] = _make_handler(key, config)
            logger.addHandler(made[key])
        if "propagate" in options:
            logger.propagate = options["propagate"]
        logger.setLevel(options["level"])


def _make_handler(name: str, config: dict[str, Any]) -> logging.Handler:
    options = dict(_entry(config, "handlers", name))
    formatter, level = options.pop("formatter", None), options.pop("level", logging.NOTSET)
    handler: logging.Handler = _named(options.pop("class"))(**options)
    handler.set_name(name)
    handler.setLevel(int(level) if isinstance(level, str) and level.isdigit() else level)
    if formatter is not None:
        handler.setFormatter(_make_formatter(_entry(config, "formatters", formatter)))
    return handler


def _make_formatter(options: dict[str, Any]) -> logging.Formatter:
    options = dict(options)
    made = options.pop("()", None)
    if made is not None:
        return _named(made)(**options)
    return logging.Formatter(options.get("format"), options.get("datefmt"), options.get("style", "%"))


def _entry(config: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    try:
        return config[section][name]
    except KeyError:
        known = ", ".join(config[section])
        raise ValueError(f"there is no {section[:-1]} {name!r}; there are: {known}") from None


def _named(path: str) -> Callable[..., Any]:
    known = _CLASSES.get(path)
    if known is not None:
        return known
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _after_fork_in_child() -> None:
    # another thread of the parent may have held the lock
    global _setup_lock
    _setup_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
