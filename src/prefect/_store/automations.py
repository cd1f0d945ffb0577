"""What the filters and sort orders of automations mean in SQL."""

from __future__ import annotations

from prefect._store.clauses import TAG_OPERATORS, nested, on
from prefect._store.tables import automation

automation_matches = nested(
    {
        "name": on(automation.c.name),
        "created": on(automation.c.created),
        "tags": on(automation.c.tags, TAG_OPERATORS),
    }
)
"""The clause of an `AutomationFilter`."""

ORDERS = {
    "CREATED_DESC": (automation.c.created.desc(), automation.c.id.desc()),
    "UPDATED_DESC": (automation.c.updated.desc(), automation.c.id.desc()),
    "NAME_ASC": (automation.c.name, automation.c.id),
    "NAME_DESC": (automation.c.name.desc(), automation.c.id.desc()),
}
"""The orders of an `AutomationSort`."""
