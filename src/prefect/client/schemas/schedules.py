"""When a deployment runs."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect._rules.recurrence import *  # noqa: F403
    from prefect._schemas.schedules import *  # noqa: F403

# module -> the names in it; each is imported when first used
_WHERE = {
    "prefect._schemas.schedules": (
        "CronSchedule IntervalSchedule MAX_ITERATIONS NoSchedule RRuleSchedule SCHEDULE_TYPES construct_schedule "
        "is_schedule_type is_valid_timezone"
    ),
    "prefect._rules.recurrence": "MAX_RRULE_LENGTH",
}

__getattr__, __dir__, __all__ = lazy_attributes(
    __name__, {name: module for module, names in _WHERE.items() for name in names.split()}
)
