"""Where values of settings come from: arguments, the environment, `.env`, TOML files, the active profile.

A source that is not there costs one failed `open`. Each says in words where a value came from, so that an error
can name the place to change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.settings.fields import Group, SettingsError, fields_by_env_name, fields_by_path

if TYPE_CHECKING:
    import re
    import tomllib

    from prefect.settings import _profile_file
else:
    re = lazy_module("re")
    tomllib = lazy_module("tomllib")
    _profile_file = lazy_module("prefect.settings._profile_file")  # only when there is a file of profiles


class Origin(str):
    """Words for where a value came from, and the kind of source it is."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, words: str, kind: str = "program") -> Origin:
        made = super().__new__(cls, words)
        made.kind = kind
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Origin, (str(self), self.kind)


Given = Mapping[str, tuple[Any, Origin]]


class Source:
    """One place where values of settings come from."""

    def __init__(self, settings_cls: type[Group]) -> None:
        self.settings_cls = settings_cls

    def read(self, given: Given) -> dict[str, tuple[Any, Origin]]:
        """`{path: (raw value, origin)}`. `given` is what the sources of higher precedence found."""
        raise NotImplementedError


class Init(Source):
    """Arguments: nested dictionaries."""

    def __init__(self, settings_cls: type[Group], values: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self.values = values

    def read(self, given: Given) -> dict[str, tuple[Any, Origin]]:
        if not self.values:
            return {}
        known, unknown = flatten(self.settings_cls, self.values)
        if unknown:
            raise SettingsError(
                f"{', '.join(map(repr, unknown))}: not a setting; `prefect config view --show-defaults` lists them all"
            )
        return {path: (raw, Origin(f"the argument {path}", "init")) for path, raw in known.items()}


class Environment(Source):
    """Variables of the process whose names start with PREFECT_ (in either case)."""

    def read(self, given: Given) -> dict[str, tuple[Any, Origin]]:
        variables = {name.upper(): text for name, text in os.environ.items() if name[:8].upper() == "PREFECT_"}
        return from_variables(self.settings_cls, variables, "environment variable {}", "env") if variables else {}


class DotEnv(Source):
    """The file `.env` of the working directory."""

    def read(self, given: Given) -> dict[str, tuple[Any, Origin]]:
        variables = dotenv_variables()
        where = f"{{}} in {os.path.join(os.getcwd(), '.env')}" if variables else ""
        return from_variables(self.settings_cls, variables, where, ".env") if variables else {}


class TomlFile(Source):
    """A TOML file of the working directory; the settings are in the table at `header`."""

    def __init__(self, settings_cls: type[Group], name: str, header: tuple[str, ...]) -> None:
        super().__init__(settings_cls)
        self.name = name
        self.header = header

    def read(self, given: Given) -> dict[str, tuple[Any, Origin]]:
        table = self.table()
        if not table:
            return {}
        known, _ = flatten(self.settings_cls, table)
        place = os.path.join(os.getcwd(), self.name)
        return {
            path: (raw, Origin(f"{'.'.join((*self.header, path))} in {place}", self.name))
            for path, raw in known.items()
        }

    def table(self) -> dict[str, Any]:
        """The table as it is in the file; empty when the file or the table is not there."""
        raw = read_file(self.name)
        if not raw or (self.header and not _mentions(raw, self.header)):
            return {}
        table: Any = parse_toml(raw, self.name)
        for key in self.header:
            table = table.get(key) if isinstance(table, dict) else None
        return table if isinstance(table, dict) else {}


def toml_files(settings_cls: type[Group]) -> tuple[TomlFile, TomlFile]:
    """The two TOML files of the working directory, the stronger one first."""
    return TomlFile(settings_cls, "prefect.toml", ()), TomlFile(settings_cls, "pyproject.toml", ("tool", "prefect"))


class ProfileFile(Source):
    """The active profile: the one that PREFECT_PROFILE names, else the one marked active in the file of profiles."""

    def read(self, given: Given) -> dict[str, tuple[Any, Origin]]:
        path = profiles_path(self.settings_cls, given)
        wanted, wanted_by = requested_profile()
        raw = read_file(path)
        if raw is None and wanted is None:
            # the built-in profile "ephemeral", spelled out so that a run without profiles reads no file
            origin = Origin("PREFECT_SERVER_EPHEMERAL_ENABLED of the built-in profile 'ephemeral'", "profile")
            return {"server.ephemeral.enabled": ("true", origin)}
        found: dict[str, tuple[Any, Origin]] = {}
        for words, variables in reversed(_profile_file.find(raw, path, wanted, wanted_by)):
            found.update(from_variables(self.settings_cls, variables, words, "profile"))
        return found


def profiles_path(settings_cls: type[Group], given: Given) -> str:
    """Where the file of profiles is, given what the sources before it say about it and about the home directory."""
    fields = fields_by_path(settings_cls)
    known = {path: fields[path].read(*given[path]) for path in ("home", "profiles_path") if path in given}
    if not known:
        return os.path.expanduser("~/.prefect/profiles.toml")
    partial: Any = object.__new__(settings_cls)
    partial.__dict__.update(_root=partial, _values=known, _sources={})
    return str(partial.profiles_path)


def requested_profile() -> tuple[str | None, str]:
    """The profile that PREFECT_PROFILE asks for, in the environment or in `.env`, and words for where."""
    name = os.environ.get("PREFECT_PROFILE")
    if name:
        return name, "environment variable PREFECT_PROFILE"
    name = dotenv_variables().get("PREFECT_PROFILE")
    return name or None, "PREFECT_PROFILE in .env"


def from_variables(
    settings_cls: type[Group], variables: Mapping[str, Any], words: str, kind: str
) -> dict[str, tuple[Any, Origin]]:
    """Values from variables named like environment variables. The current name of a setting wins over older ones."""
    found: dict[str, tuple[Any, Origin]] = {}
    names = fields_by_env_name(settings_cls)
    for name, raw in variables.items():
        field = names.get(name)
        if field is None or (raw == "" and not field.empty_is_a_value):
            continue
        if field.path in found and name != field.env_name:
            rival = next(other for other in field.env_names if other in variables)
            if rival != name:
                continue
        found[field.path] = (raw, Origin(words.format(name), kind))
    return found


def flatten(settings_cls: type[Group], table: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Nested tables as `{path: value}`, and the paths in them that are no setting."""
    fields = fields_by_path(settings_cls)
    known: dict[str, Any] = {}
    unknown: list[str] = []
    for path, value in _leaves(table, fields, ""):
        if path in fields:
            known[path] = value
        else:
            unknown.append(path)
    return known, unknown


def _leaves(table: Mapping[str, Any], fields: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = prefix + str(key)
        if isinstance(value, Group):
            value = value.model_dump(exclude_unset=True, include_secrets=True)
        if isinstance(value, Mapping) and path not in fields:
            yield from _leaves(value, fields, path + ".")
        else:
            yield path, value


def read_file(path: str) -> bytes | None:
    """The content of a file; None when it is not there.

    Raises:
        SettingsError: it is there and cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        if os.path.isdir(path):
            return None
        raise SettingsError(f"The settings in {path} cannot be read: {problem.strerror or problem}") from problem


def parse_toml(raw: bytes, path: str) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        SettingsError: it is not TOML, or not UTF-8.
    """
    try:
        return tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"The settings in {os.path.abspath(path)} cannot be read: {problem}") from problem


def _mentions(raw: bytes, header: tuple[str, ...]) -> bool:
    """Whether a TOML file may hold the table at `header`: a look that spares most projects the parsing of theirs."""
    bare = raw.translate(None, b" \t\"'")
    first = header[0].encode()
    return ".".join(header).encode() in bare or (
        header[-1].encode() in bare and (b"[" + first + b"]" in bare or first + b"={" in bare)
    )


_DOTENV_LINE = (
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.]*)[ \t]*=[ \t]*"""
    r"""(?:'(?P<single>(?:\\.|[^'\\])*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<bare>[^\r\n]*))"""
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "$": "$"}


def dotenv_variables() -> dict[str, str]:
    """The PREFECT_ variables in `.env` of the working directory: `NAME=value`, `export`, quotes, `#`, `${OTHER}`."""
    raw = read_file(".env")
    if not raw or b"prefect_" not in raw.lower():
        return {}
    found: dict[str, str] = {}
    for match in re.finditer(_DOTENV_LINE, raw.decode("utf-8-sig", "replace"), re.MULTILINE):
        if (single := match["single"]) is not None:
            text = re.sub(r"\\([\\'])", r"\1", single)
        elif (double := match["double"]) is not None:
            text = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), _interpolate(double, found))
        else:
            text = _interpolate(re.sub(r"(^|[ \t])#.*", "", match["bare"]).strip(), found)
        found[match["name"]] = text
    return {name.upper(): text for name, text in found.items() if name[:8].upper() == "PREFECT_"}


def _interpolate(text: str, found: Mapping[str, str]) -> str:
    def of(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name.upper().startswith("PREFECT_"):
            return match[0]  # settings that refer to settings are put together when they are read
        return os.environ.get(name) or found.get(name) or default or ""

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", of, text)
