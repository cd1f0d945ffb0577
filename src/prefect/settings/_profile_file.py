"""The file of profiles as such: tables of values by variable, read without and written with their comments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.settings import _sources as sources
from prefect.settings.fields import SettingsError, fields_by_env_name
from prefect.settings.parse import format_value
from prefect.settings.table import Settings

if TYPE_CHECKING:
    import tempfile

    import tomlkit
    import tomlkit.exceptions
else:
    tempfile = lazy_module("tempfile")
    tomlkit = lazy_module("tomlkit")

BUILT_IN = os.path.join(os.path.dirname(__file__), "profiles.toml")
DEFAULT_PROFILE_NAME = "ephemeral"


def find(raw: bytes | None, path: str, wanted: str | None, wanted_by: str) -> list[tuple[str, dict[str, Any]]]:
    """The values that the profile in force gives, by variable: first the user's, then those of the built-in profile
    of the same name, which shine through. Each with words, to be filled with a variable's name, for where they are.

    Args:
        raw: the content of the file of profiles; None when there is no file.
        path: that file.
        wanted: the profile asked for by name, if any; otherwise the one marked active in the file.
        wanted_by: words for where the name comes from.

    Raises:
        SettingsError: the file is not as it should be, or there is no such profile.
    """
    active, tables = read_tables(raw, path) if raw is not None else (None, {})
    name = wanted or active or DEFAULT_PROFILE_NAME
    built_in = built_in_tables()
    if name not in tables and name not in built_in:
        raise SettingsError(unknown_profile(name, wanted_by if wanted else f"active in {path}", {**built_in, **tables}))
    return [
        (f"{{}} of profile {name!r} in {path}", tables.get(name, {})),
        (f"{{}} of the built-in profile {name!r}", built_in.get(name, {})),
    ]


def read_tables(raw: bytes, path: str) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """The name of the active profile, if any, and the values of each.

    Raises:
        SettingsError: this is not the content of a file of profiles.
    """
    content = sources.parse_toml(raw, path)
    active = content.get("active")
    tables = content.get("profiles", {})
    if not (active is None or isinstance(active, str)) or not isinstance(tables, dict):
        raise SettingsError(f'{path} must have `active = "name"` and tables `[profiles.name]`')
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: profiles.{name} must be a table of settings, `[profiles.{name}]`")
    return active or None, tables


def built_in_tables() -> dict[str, dict[str, Any]]:
    """The values of the built-in profiles, by name."""
    return read_tables(sources.read_file(BUILT_IN) or b"", BUILT_IN)[1]


def write(
    path: str, active: str | None, profiles: Mapping[str, Mapping[str, Any]], implied: Mapping[str, Mapping[str, Any]]
) -> None:
    """Make a file of profiles say this, changing only what differs.

    Args:
        path: the file; it is made, with its directory, if it is not there.
        active: the name of the active profile, if any.
        profiles: values by variable, by name of the profile.
        implied: values that hold for a profile without being in the file.

    Raises:
        SettingsError: what is there is no TOML.
    """
    before = sources.read_file(path)
    try:
        document = tomlkit.parse(before.decode()) if before else tomlkit.document()
    except (tomlkit.exceptions.ParseError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be changed: {problem}") from problem
    if active is None:
        document.pop("active", None)
    elif document.get("active") != active:
        document["active"] = active
    if "profiles" not in document:
        document.append("profiles", tomlkit.table(is_super_table=True))
    tables: Any = document["profiles"]
    for name in [name for name in tables if name not in profiles]:
        del tables[name]
    for name, values in profiles.items():
        already_there = name in tables
        if not already_there:
            tables[name] = tomlkit.table()
        _update_table(tables[name], values, implied.get(name, {}) if already_there else {})
    text = tomlkit.dumps(document)
    if before is None or text != before.decode():
        _replace_file(path, text.strip("\n") + "\n")


def _update_table(table: Any, values: Mapping[str, Any], implied: Mapping[str, Any]) -> None:
    """Make a table of the file give these values; those that are implied need not be in it."""
    names = fields_by_env_name(Settings)
    wanted = {names[name].path: (name, value) for name, value in values.items()}
    for key in list(table):
        field = names.get(key)
        if field is None:
            continue  # not ours to remove: another version may know it
        if field.path not in wanted:
            del table[key]
            continue
        _, value = wanted.pop(field.path)
        if table[key] != _toml_value(value):
            table[key] = _toml_value(value)
    # a comment above the next table is, to the parser, the end of this one: new lines go before it
    body = table.value.body
    end = len(body)
    while end and body[end - 1][0] is None:
        end -= 1
    below = body[end:]
    del body[end:]
    for name, value in wanted.values():
        if implied.get(name) != value:
            table[name] = _toml_value(value)
    body.extend(below)


def _toml_value(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else format_value(value)


def _replace_file(path: str, text: str) -> None:
    """Write a file so that it is never seen half written, and only its owner may read it: it may hold keys."""
    target = os.path.realpath(path)  # a link stays a link
    os.makedirs(os.path.dirname(target), exist_ok=True)
    mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else 0o600
    handle, temporary = tempfile.mkstemp(prefix="profiles", suffix=".tmp", dir=os.path.dirname(target))
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def unknown_profile(name: str, wanted_by: str, profiles: Iterable[str]) -> str:
    """The message for a profile that is wanted and not there."""
    return (
        f"There is no profile {name!r} ({wanted_by}); there are {listed(profiles)}. "
        f"`prefect profile use` chooses one, `prefect profile create {name}` makes it."
    )


def listed(names: Iterable[str]) -> str:
    """Names in order, for a message."""
    return ", ".join(sorted(names)) or "none"
