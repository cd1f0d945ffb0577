"""Turns the text (or TOML value, or Python value) given for a setting into the value the program uses.

A parser is a function from the raw value to the typed one; it raises `ValueError` whose message completes
the sentence "<setting> must be ...". Parsers import what they need (pathlib, datetime, json) when first used:
most runs set none of the settings that need them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import datetime
    import json
    import pathlib
    import re

    import pydantic
else:
    datetime = lazy_module("datetime")
    json = lazy_module("json")
    pathlib = lazy_module("pathlib")
    re = lazy_module("re")
    pydantic = lazy_module("pydantic")

Parser = Callable[[Any], Any]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "off", "f", "n"})

_ISO_DURATION = (
    r"(?P<sign>[+-])?P(?!$)(?:(?P<weeks>[\d.]+)W)?(?:(?P<days>[\d.]+)D)?"
    r"(?:T(?!$)(?:(?P<hours>[\d.]+)H)?(?:(?P<minutes>[\d.]+)M)?(?:(?P<seconds>[\d.]+)S)?)?"
)
_CLOCK_DURATION = (
    r"(?P<sign>[+-])?(?:(?P<days>\d+) ?(?:d|days?)?,? *)?"
    r"(?:(?P<hours>\d+):(?P<minutes>\d\d)(?::(?P<seconds>\d\d(?:\.\d+)?))?)?"
)


def parse_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("true or false (also accepted: 1/0, yes/no, on/off)")


def parse_int(raw: Any) -> int:
    if not isinstance(raw, bool):
        try:
            if isinstance(raw, float) and not raw.is_integer():
                raise ValueError
            return int(raw)
        except (TypeError, ValueError, OverflowError):
            pass
    raise ValueError("a whole number")


def parse_float(raw: Any) -> float:
    if not isinstance(raw, bool):
        try:
            value = float(raw)
            if value == value:  # NaN compares with nothing, so no limit would hold it
                return value
        except (TypeError, ValueError):
            pass
    raise ValueError("a number")


def parse_str(raw: Any) -> str:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, os.PathLike):
        return os.fspath(raw)
    raise ValueError("text")


def parse_secret(raw: Any) -> str:
    """The plain text of a secret; `Settings` wraps it in a `SecretStr` when it is read as an attribute."""
    reveal = getattr(raw, "get_secret_value", None)
    return parse_str(reveal() if reveal is not None else raw)


def parse_path(raw: Any) -> pathlib.Path:
    if isinstance(raw, str | os.PathLike) and (text := os.fspath(raw)):
        try:
            return pathlib.Path(text).expanduser()
        except RuntimeError as exc:  # "~somebody" who has no home here
            raise ValueError("a path") from exc
    raise ValueError("a path")


def parse_home(raw: Any) -> pathlib.Path:
    """A path that stays the same when the program changes its working directory."""
    return parse_path(raw).absolute()


def parse_any(raw: Any) -> Any:
    return raw


def parse_log_level(raw: Any) -> str:
    text = raw.strip().upper() if isinstance(raw, str) else ""
    if text in LOG_LEVELS:
        return text
    raise ValueError(f"one of {', '.join(LOG_LEVELS)}")


def parse_timedelta(raw: Any) -> datetime.timedelta:
    """A duration: seconds as a number, ISO 8601 (`PT1H30M`), `7 days` or `[N days] HH:MM:SS`."""
    if isinstance(raw, datetime.timedelta):
        return raw
    try:
        return datetime.timedelta(seconds=parse_float(raw))
    except (ValueError, OverflowError):
        pass
    text = raw.strip() if isinstance(raw, str) else ""
    match = text and (re.fullmatch(_ISO_DURATION, text.upper()) or re.fullmatch(_CLOCK_DURATION, text.lower()))
    if not match:
        raise ValueError("a duration: seconds, ISO 8601 such as PT1H30M, or HH:MM:SS")
    parts = match.groupdict()
    sign = -1 if parts.pop("sign") == "-" else 1
    try:
        return sign * datetime.timedelta(**{unit: float(number) for unit, number in parts.items() if number})
    except (ValueError, OverflowError):
        raise ValueError("a duration: seconds, ISO 8601 such as PT1H30M, or HH:MM:SS") from None


def _members(raw: Any) -> list[Any] | None:
    if raw is None:
        return []
    if isinstance(raw, str):
        text = raw.strip()
        if text.startswith("["):
            try:
                loaded = json.loads(text)
            except ValueError:
                return None
            return loaded if isinstance(loaded, list) else None
        return [part for piece in text.split(",") if (part := piece.strip())]
    if isinstance(raw, list | tuple | set | frozenset):
        return list(raw)
    return [raw] if isinstance(raw, int | float) and not isinstance(raw, bool) else None


def parse_str_list(raw: Any) -> list[str]:
    members = _members(raw)
    if members is None or not all(isinstance(member, str) for member in members):
        raise ValueError("a list of names, separated by commas")
    return members


def parse_str_set(raw: Any) -> set[str]:
    return set(parse_str_list(raw))


def parse_http_codes(raw: Any) -> set[int]:
    members = _members(raw)
    if members is not None:
        try:
            codes = {parse_int(member) for member in members}
        except ValueError:
            codes = {0}
        if all(100 <= code <= 599 for code in codes):
            return codes
    raise ValueError("HTTP status codes (100 to 599), separated by commas")


def parse_retry_delays(raw: Any) -> float | list[float] | None:
    """Seconds before a retry: one number, or one per attempt separated by commas. Empty text means none."""
    if raw is None or raw == "":
        return None
    members = _members(raw)
    try:
        delays = [parse_float(member) for member in members or ()]
    except ValueError:
        delays = []
    if not delays or any(delay < 0 for delay in delays):
        raise ValueError("a number of seconds, or one number for each retry separated by commas")
    is_list = raw.strip().startswith("[") if isinstance(raw, str) else not isinstance(raw, int | float)
    return delays if is_list or len(delays) > 1 else delays[0]


def _mapping(raw: Any) -> dict[Any, Any] | None:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw) if raw.strip() else {}
        except ValueError:
            return None
    return raw if isinstance(raw, dict) else None


def parse_headers(raw: Any) -> dict[str, str]:
    found = _mapping(raw)
    if found is None or not all(isinstance(part, str) for item in found.items() for part in item):
        raise ValueError('a JSON object from text to text, such as {"X-Team": "data"}')
    return dict(found)


def parse_retention_overrides(raw: Any) -> dict[str, datetime.timedelta]:
    found = _mapping(raw)
    if found is not None and all(isinstance(key, str) for key in found):
        try:
            return {key: parse_timedelta(value) for key, value in found.items()}
        except ValueError:
            pass
    raise ValueError('a JSON object from event name to duration, such as {"prefect.flow-run.heartbeat": "P7D"}')


def parse_vacuum_classes(raw: Any) -> set[str] | bool | None:
    """Which classes of rows old data is removed from: names, true for all of them, false for none."""
    if raw is None or isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in _TRUE | _FALSE:
        return parse_bool(raw)
    try:
        return parse_str_set(raw)
    except ValueError:
        raise ValueError("true, false, or names of classes separated by commas") from None


# The annotations used in the table of settings, and how each is read. `... | None` is taken off first.
PARSERS: dict[str, Parser] = {
    "bool": parse_bool,
    "int": parse_int,
    "float": parse_float,
    "str": parse_str,
    "Path": parse_path,
    "AbsolutePath": parse_home,
    "timedelta": parse_timedelta,
    "LogLevel": parse_log_level,
    "SecretStr": parse_secret,
    "list[str]": parse_str_list,
    "set[str]": parse_str_set,
    "set[int]": parse_http_codes,
    "dict[str, str]": parse_headers,
    "dict[str, timedelta]": parse_retention_overrides,
    "float | list[float]": parse_retry_delays,
    "set[str] | bool": parse_vacuum_classes,
    "Any": parse_any,
}

# Kinds for which empty text is a value; for every other kind an empty environment variable counts as unset.
EMPTY_IS_A_VALUE = frozenset({"str", "SecretStr", "Any", "list[str]", "set[str]", "set[int]", "float | list[float]"})


def format_duration(value: datetime.timedelta) -> str:
    """ISO 8601, e.g. `P7D`, `PT1H30M`, `PT0S` (what `parse_timedelta` reads)."""
    sign = "-" if value < datetime.timedelta(0) else ""
    value = abs(value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    clock = (
        (f"{hours}H" if hours else "")
        + (f"{minutes}M" if minutes else "")
        + (f"{seconds}{fraction}S" if seconds or fraction else "")
    )
    if not days and not clock:
        clock = "0S"
    return f"{sign}P{days}{'T' + clock if clock else ''}"


def format_value(value: Any) -> str:
    """The text that, put into an environment variable, gives this value again."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(format_value(member) for member in value)
    if isinstance(value, set | frozenset):
        return ",".join(sorted(format_value(member) for member in value))
    if isinstance(value, dict):
        return json.dumps(plain(value))
    return str(plain(value))


def plain(value: Any) -> Any:
    """A value made of JSON types only: sets become sorted lists, durations ISO 8601 text, paths text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(member) for member in value)
    if isinstance(value, datetime.timedelta):
        return format_duration(value)
    return str(value)
