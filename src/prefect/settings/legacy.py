"""`PREFECT_...` objects: one setting, to be read or used as a key for `temporary_settings` and profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect.settings.context import get_current_settings
from prefect.settings.fields import Field, fields_by_env_name, fields_by_path
from prefect.settings.table import Settings

if TYPE_CHECKING:
    # values by setting or by its name; a mapping's keys are invariant, so each kind of mapping is spelled out
    Changes = Mapping["Setting", Any] | Mapping[str, Any] | Mapping["Setting | str", Any]


class Setting:
    """One setting. Two of them are equal when they stand for the same one, whatever name was used.

    Args:
        name: its environment variable, or an older name of it.
        default: its default, None for one that is worked out.
        type_: its type, as the table writes it.
        accessor: its dotted path, when the name does not tell.
    """

    __slots__ = ("_default", "_field", "_name", "_type")

    def __init__(self, name: str, default: Any, type_: Any, accessor: str | None = None) -> None:
        field = fields_by_path(Settings).get(accessor) if accessor else fields_by_env_name(Settings).get(name)
        if field is None:
            raise ValueError(f"{accessor or name!r} is not a setting")
        self._name = name
        self._default = default
        self._type = type_
        self._field = field

    @classmethod
    def of(cls, field: Field, name: str | None = None) -> Setting:
        """The object for a field of the table."""
        default = None if callable(field.default) or field.default is None else field.parser(field.default)
        return cls(name or field.env_name, default, field.annotation, field.path)

    @property
    def name(self) -> str:
        """The environment variable, as it was asked for (an older name stays)."""
        return self._name

    @property
    def accessor(self) -> str:
        """The dotted path, such as `api.url`."""
        return self._field.path

    @property
    def is_secret(self) -> bool:
        """Whether the value must not be shown."""
        return self._field.secret

    @property
    def doc(self) -> str:
        """What the setting means."""
        return self._field.doc

    def default(self) -> Any:
        """The default; None for one that is worked out from other settings."""
        return self._default

    def value(self) -> Any:
        """The value in the current settings; a secret as plain text."""
        return self._field.value_in(get_current_settings())

    def value_from(self, settings: Settings) -> Any:
        """The value in these settings; a secret as plain text."""
        return self._field.value_in(settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and other._field.path == self._field.path

    def __hash__(self) -> int:
        return hash(self._field.path)

    def __bool__(self) -> bool:
        return bool(self.value())

    def __str__(self) -> str:
        return str(self.value())

    def __repr__(self) -> str:
        return f"<{self._name}: {self._type}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Setting, (self._name, self._default, self._type, self._field.path)


_made: dict[str, Setting] = {}


def setting_named(name: str) -> Setting:
    """The object for an environment variable's name.

    Raises:
        AttributeError: there is no such setting.
    """
    made = _made.get(name)
    if made is None:
        field = fields_by_env_name(Settings).get(name)
        if field is None:
            raise AttributeError(f"{name} is not a setting")
        made = _made.setdefault(name, Setting.of(field, name))
    return made
