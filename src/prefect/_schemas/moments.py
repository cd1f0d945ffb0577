"""Moments in time and the zones they are told in. Pydantic is loaded only when a model has such a field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    DateTime = datetime
else:
    core_schema = lazy_module("pydantic_core.core_schema")

    class _AnyDatetime(type(datetime)):
        """Makes every datetime an instance of `DateTime`."""

        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, datetime)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, datetime)

    class DateTime(datetime, metaclass=_AnyDatetime):
        """A moment in time: an aware `datetime`.

        As a field of a pydantic model it takes a datetime, ISO 8601 text or seconds since the epoch; a value without
        a zone is taken as UTC. Called, it makes a plain aware `datetime`.
        """

        def __new__(cls, *args: Any, **kwargs: Any) -> datetime:
            return aware(datetime(*args, **kwargs))

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return core_schema.no_info_after_validator_function(aware, core_schema.datetime_schema())


def aware(moment: datetime) -> datetime:
    """The same moment with a zone; one without is taken as UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def check_time_zone(zone: str) -> str:
    """Return the name of a zone of the IANA time zone database.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        known = not zone.startswith(("posix/", "right/")) and ZoneInfo(zone) is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones, such as "America"
        known = False
    if not known:
        raise ValueError(f'Invalid timezone: "{zone}" (specify in IANA tzdata format, for example, America/New_York)')
    return zone
