"""The two kinds of things in the table of settings: a field (one setting) and a group of them.

A group is a plain class whose attributes are declared with `setting(...)` and `group(...)`; its annotations
say the types. Both are non-data descriptors: the first read of an attribute works out the value and stores it in the
instance, so every later read is an ordinary attribute access and nothing is computed for settings nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from prefect._lazy import lazy_module
from prefect.settings.parse import EMPTY_IS_A_VALUE, PARSERS, format_value, plain

if TYPE_CHECKING:
    import re

    import pydantic

    from prefect.settings import _sources as sources
    from prefect.settings._sources import Source
    from prefect.settings.legacy import Setting
    from prefect.settings.table import Settings
else:
    pydantic = lazy_module("pydantic")
    re = lazy_module("re")
    sources = lazy_module("prefect.settings._sources")  # it reads this module's classes


LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class SettingsError(ValueError):
    """A setting has a value that it cannot have; the message names the setting, the value's source and what is allowed."""


class SettingsWarning(UserWarning):
    """A setting has a value that is allowed but hardly meant."""


class Field:
    """One setting: its path (`api.url`), how its value is read, its default, and its names in the environment."""

    __slots__ = (
        "aliases",
        "annotation",
        "choices",
        "default",
        "doc",
        "maximum",
        "minimum",
        "name",
        "optional",
        "parser",
        "path",
        "positive",
        "secret",
        "template",
        "unused",
    )

    def __init__(
        self,
        default: Any,
        doc: str,
        aliases: tuple[str, ...],
        minimum: float | None,
        maximum: float | None,
        positive: bool,
        choices: tuple[str, ...] | None,
        unused: str | None,
    ) -> None:
        self.default = default
        self.doc = doc
        self.aliases = aliases
        self.minimum = minimum
        self.maximum = maximum
        self.positive = positive
        self.choices = choices
        self.unused = unused

    def bind(self, path: str, name: str, annotation: str) -> None:
        """Learn, once the class is there, which setting this is."""
        self.name = name
        self.path = f"{path}.{name}" if path else name
        self.annotation = annotation
        self.optional = annotation.endswith(" | None")
        kind = annotation.removesuffix(" | None")
        self.secret = kind == "SecretStr"
        self.template = kind == "Path" or name == "connection_url"
        self.parser = PARSERS[kind]

    @property
    def env_name(self) -> str:
        """The environment variable, e.g. `PREFECT_API_URL` for `api.url`."""
        return "PREFECT_" + self.path.upper().replace(".", "_")

    @property
    def env_names(self) -> tuple[str, ...]:
        """Every environment variable that sets it; the first one wins when several are there."""
        return (self.env_name, *self.aliases)

    @property
    def empty_is_a_value(self) -> bool:
        return self.annotation.removesuffix(" | None") in EMPTY_IS_A_VALUE

    def read(self, raw: Any, source: str) -> Any:
        """The value of this setting given as `raw` by `source` (words for the error message).

        Raises:
            SettingsError: the value is not one that this setting can have.
        """
        if raw is None and self.optional:
            return None
        try:
            value = self.parser(raw)
            self._check(value)
        except ValueError as problem:
            shown = "the value given" if self.secret else repr(raw)
            raise SettingsError(
                f"{self.env_name}: {shown}, from {source}, is not allowed; it must be {problem}."
            ) from None
        return value

    def _check(self, value: Any) -> None:
        if self.choices is not None and value not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        if value is None or (self.minimum is None and self.maximum is None and not self.positive):
            return
        for number in value if isinstance(value, list | set) else (value,):
            measure = number if isinstance(number, int | float) else number.total_seconds()
            low = self.minimum is not None and measure < self.minimum
            if low or (self.maximum is not None and measure > self.maximum) or (self.positive and measure <= 0):
                raise ValueError(self._limits(measure is not number))

    def _limits(self, seconds: bool) -> str:
        unit = " seconds" if seconds else ""
        if self.positive:
            return f"greater than 0{unit}"
        if self.maximum is None:
            return f"at least {self.minimum:g}{unit}"
        if self.minimum is None:
            return f"at most {self.maximum:g}{unit}"
        return f"between {self.minimum:g} and {self.maximum:g}{unit}"

    def value_in(self, root: Settings) -> Any:
        """The plain value (a secret as its text), given or by default."""
        values = root._values
        if self.path in values:
            return self._expand(values[self.path], root) if self.template else values[self.path]
        default = self.default(root) if callable(self.default) else self.default
        return None if default is None else self.parser(default)

    def _expand(self, value: Any, root: Settings) -> Any:
        """Put the values of other settings in place of `$PREFECT_HOME`, `${PREFECT_API_DATABASE_PASSWORD}` and the like."""
        text = str(value) if value is not None else ""
        if "$PREFECT_" not in text and "${PREFECT_" not in text:
            return value
        names = fields_by_env_name(type(root))

        def of(match: re.Match[str]) -> str:
            field = names.get(match[1] or match[2])
            if field is None or field is self:
                return match[0]
            return format_value(field.value_in(root))

        return self.parser(re.sub(r"\$(?:\{(PREFECT_\w+)\}|(PREFECT_\w+))", of, text))

    def __get__(self, group: Group | None, owner: type[Group]) -> Any:
        if group is None:
            return self
        value = self.value_in(group._root)
        if self.secret and value is not None:
            value = pydantic.SecretStr(value)
        group.__dict__[self.name] = value
        return value

    def __repr__(self) -> str:
        return f"<setting {self.path}: {self.annotation}>"


class GroupField:
    """The place of a group inside another; the group is made when first read."""

    __slots__ = ("name", "type")

    def __init__(self, type_: type[Group]) -> None:
        self.type = type_

    def __get__(self, parent: Group | None, owner: type[Group]) -> Any:
        if parent is None:
            return self.type
        made = object.__new__(self.type)
        made.__dict__["_root"] = parent._root
        return parent.__dict__.setdefault(self.name, made)


def setting(
    default: Any,
    doc: str,
    *,
    aliases: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    positive: bool = False,
    choices: tuple[str, ...] | None = None,
    unused: str | None = None,
) -> Any:
    """Declare a setting.

    Args:
        default: a value, text to be parsed when it is needed, or a function of the whole `Settings`.
        doc: one or two sentences for the user.
        aliases: older environment variable names.
        minimum, maximum: limits for numbers (for durations: seconds), both allowed values.
        positive: the value must be greater than zero.
        choices: the only texts allowed.
        unused: for one that is there for the sake of programs and files that set it, and changes nothing: why.
    """
    return Field(default, doc, aliases, minimum, maximum, positive, choices, unused)


def group(type_: type[Group]) -> Any:
    """Declare a group inside a group."""
    return GroupField(type_)


class Group:
    """Base of all groups of settings. Immutable; two groups are equal when all their values are.

    Called with keyword arguments it reads the settings as `Settings` does, with these values first.
    """

    _path: ClassVar[str] = ""
    _root_type: ClassVar[type[Settings]]
    if TYPE_CHECKING:
        _root: Settings

    def __init_subclass__(cls, path: str | None = None) -> None:
        if path is not None:
            cls._path = path
        annotations = cls.__annotations__
        for name, member in cls.__dict__.items():
            if type(member) is Field:
                member.bind(cls._path, name, annotations[name])
            elif type(member) is GroupField:
                member.name = name

    def __init__(self, **values: Any) -> None:
        for part in reversed(self._path.split(".")):
            values = {part: values}
        root = object.__new__(self._root_type)
        root._read(type(self), values)
        self.__dict__["_root"] = root

    @staticmethod
    def settings_customise_sources(
        settings_cls: type[Group],
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,
        file_secret_settings: Source | None,
    ) -> tuple[Source, ...]:
        """The sources in order of precedence; a subclass may leave out, reorder or add some.

        Arguments, environment, `.env`, `prefect.toml`, `[tool.prefect]` of `pyproject.toml`, the active profile.
        A source is anything with `read(given)` that returns `{path: (raw value, origin)}`; `given` is what the
        sources before it found. There is no source of secret files: `file_secret_settings` is None.
        """
        files = sources.toml_files(settings_cls)
        return (init_settings, env_settings, dotenv_settings, *files, sources.ProfileFile(settings_cls))

    @classmethod
    def _members(cls) -> dict[str, Field | GroupField]:
        found = _members_of.get(cls)
        if found is None:
            found = {}
            for base in reversed(cls.__mro__):
                found.update((name, each) for name, each in vars(base).items() if type(each) in (Field, GroupField))
            _members_of[cls] = found
        return found

    @classmethod
    def fields(cls) -> Iterator[Field]:
        """Every setting of this group and of the groups in it, in the order of the table."""
        for member in cls._members().values():
            if isinstance(member, Field):
                yield member
            else:
                yield from member.type.fields()

    @classmethod
    def groups(cls) -> dict[str, type[Group]]:
        """The groups directly inside this one, by name."""
        return {name: member.type for name, member in cls._members().items() if isinstance(member, GroupField)}

    def model_dump(
        self,
        *,
        mode: str = "python",
        exclude_unset: bool = False,
        include_secrets: bool | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The values as nested dictionaries.

        Args:
            mode: `"python"` for typed values, `"json"` for values of JSON types only.
            exclude_unset: leave out what was not given by any source.
            include_secrets: show secrets as plain text. Otherwise they stay `SecretStr` (python) or `"**********"` (json).
            context: `{"include_secrets": True}` does the same.
        """
        reveal = include_secrets if include_secrets is not None else bool((context or {}).get("include_secrets"))
        dumped: dict[str, Any] = {}
        for name, member in self._members().items():
            if isinstance(member, GroupField):
                inner = getattr(self, name).model_dump(mode=mode, exclude_unset=exclude_unset, include_secrets=reveal)
                if inner or not exclude_unset:
                    dumped[name] = inner
            elif not exclude_unset or member.path in self._root._values:
                value = member.value_in(self._root) if reveal or mode == "json" else getattr(self, name)
                if member.secret and value is not None and not reveal and mode == "json":
                    value = "**********"
                dumped[name] = plain(value) if mode == "json" else value
        return dumped

    @property
    def model_fields_set(self) -> set[str]:
        """Names of the settings and groups here for which some source gave a value."""
        prefix = f"{self._path}." if self._path else ""
        given = (path for path in self._root._values if path.startswith(prefix))
        return {path[len(prefix) :].partition(".")[0] for path in given}

    def to_environment_variables(
        self, exclude_unset: bool = False, include_secrets: bool = True, include_aliases: bool = False
    ) -> dict[str, str]:
        """Environment variables that give another process these settings. Unset (`None`) values are left out.

        Args:
            exclude_unset: only what some source gave, not the defaults.
            include_secrets: secrets as plain text; otherwise as `"**********"`.
            include_aliases: older names of the variables as well.
        """
        fields = fields_by_path(type(self)).values()
        return environment(self._root, fields, exclude_unset, include_secrets, include_aliases)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"settings cannot be changed in place: to change {name!r} for a while use `temporary_settings`, "
            "for good `prefect config set`"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"settings cannot be changed in place, so {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._root is other._root or self.to_environment_variables() == other.to_environment_variables()

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.to_environment_variables().items())))

    def __getstate__(self) -> dict[str, Any]:
        # only what was given travels; defaults are worked out again on the other side
        return {"_root": self._root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.model_dump(exclude_unset=True).items())
        return f"{type(self).__name__}({given})"


def environment(
    root: Settings, fields: Iterable[Field], exclude_unset: bool, include_secrets: bool, include_aliases: bool
) -> dict[str, str]:
    variables: dict[str, str] = {}
    for field in fields:
        if exclude_unset and field.path not in root._values:
            continue
        value = field.value_in(root)
        if value is None:
            continue
        text = "**********" if field.secret and not include_secrets else format_value(value)
        for name in field.env_names if include_aliases else (field.env_name,):
            variables[name] = text
    return variables


_members_of: dict[type[Group], dict[str, Field | GroupField]] = {}  # classes do not change once they are made
_by_path: dict[type[Group], dict[str, Field]] = {}


def fields_by_path(cls: type[Group]) -> dict[str, Field]:
    """Every setting of a class of settings by its dotted path."""
    known = _by_path.get(cls)
    if known is None:
        known = _by_path[cls] = {field.path: field for field in cls.fields()}
    return known


_by_env_name: dict[type[Group], dict[str, Field]] = {}


def fields_by_env_name(cls: type[Group]) -> dict[str, Field]:
    """Every setting by each of its environment variables, older names included."""
    known = _by_env_name.get(cls)
    if known is None:
        known = _by_env_name[cls] = {name: field for field in cls.fields() for name in field.env_names}
    return known


def field_of(key: Setting | str, cls: type[Group]) -> Field:
    """The field that a `PREFECT_...` object, its name or a dotted path stands for.

    Raises:
        SettingsError: there is no such setting.
    """
    name = key if isinstance(key, str) else key.name
    field = fields_by_env_name(cls).get(name) or fields_by_path(cls).get(name)
    if field is None:
        raise SettingsError(f"{name!r} is not a setting; `prefect config view --show-defaults` lists them all")
    return field
