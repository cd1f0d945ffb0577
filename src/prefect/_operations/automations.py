"""Automations: what is done when something happens. `prefect._services.triggers` evaluates them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field
from pydantic_core import to_jsonable_python

from prefect._clock import now
from prefect._operations import edits, outbox, rows, templates
from prefect._operations.errors import Invalid
from prefect._operations.registry import operation
from prefect._schemas.automation_actions import Action
from prefect._schemas.automation_requests import (
    Automation,
    AutomationCreate,
    AutomationPartialUpdate,
    AutomationUpdate,
)
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.filters.automations import AutomationFilter
from prefect._schemas.sorting import AutomationSort
from prefect._store import single, tail
from prefect._store.announcements import AUTOMATIONS, announce
from prefect._store.automations import ORDERS, automation_matches
from prefect._store.tables import automation, automation_count, automation_resource, event

"""Announced when what automations wait for changes."""

_KIND = "automation"
_PARTS = ("name", "description", "enabled", "tags", "trigger", "actions", "actions_on_trigger", "actions_on_resolve")
_TARGETS = {
    "deployment_id": "prefect.deployment",
    "work_pool_id": "prefect.work-pool",
    "work_queue_id": "prefect.work-queue",
    "automation_id": "prefect.automation",
    "block_document_id": "prefect.block-document",
}


class AutomationSelection(PrefectBaseModel):
    """Which automations."""

    automations: AutomationFilter | None = None

    def clause(self) -> sa.ColumnElement[bool]:
        return sa.true() if self.automations is None else automation_matches(self.automations)


class AutomationQuery(AutomationSelection):
    """A page of automations."""

    sort: AutomationSort = AutomationSort.NAME_ASC
    limit: int = Field(default=rows.DEFAULT_LIMIT, ge=0, description="At most so many automations.")
    offset: int = Field(default=0, ge=0, description="Leave out so many automations first.")


@operation("POST", "/automations/", writes=True, status=201)
def create_automation(tx: sa.Connection, body: AutomationCreate) -> Automation:
    """Make an automation. It is about what happens from now on.

    Raises:
        Invalid: one of its templates cannot be read.
    """
    _check_templates(body)
    values = {**_values(body), "owner_resource": body.owner_resource, **_from_now(tx)}
    row = single.insert_new(tx, automation, values)
    if row is None:
        raise RuntimeError("A new id is taken already.")
    _write_resources(tx, row["id"], body, body.owner_resource)
    return _told(tx, row, "created")


@operation("GET", "/automations/{id}")
def read_automation(tx: sa.Connection, id: UUID) -> Automation:
    """One automation.

    Raises:
        NotFound: there is no such automation.
    """
    return Automation.model_validate(_row(tx, id))


@operation("POST", "/automations/filter")
def read_automations(tx: sa.Connection, body: AutomationQuery) -> list[Automation]:
    """The automations that match, a page of them."""
    statement = sa.select(automation).where(body.clause()).order_by(*ORDERS[body.sort.value])
    found = tx.execute(statement.limit(body.limit).offset(body.offset)).mappings()
    return [Automation.model_validate(row) for row in found]


@operation("POST", "/automations/count")
def count_automations(tx: sa.Connection, body: AutomationSelection) -> int:
    """How many automations match."""
    return rows.count(tx, automation, body.clause())


@operation("PUT", "/automations/{id}", writes=True, status=204)
def update_automation(tx: sa.Connection, id: UUID, body: AutomationUpdate) -> None:
    """Change an automation as a whole; what has a default and is not given stays as it is.

    What it has counted is kept as long as its trigger stays the same.

    Raises:
        NotFound: there is no such automation.
        Invalid: one of its templates cannot be read.
    """
    _check_templates(body)
    before = _row(tx, id, lock=True)
    values = {name: value for name, value in _values(body).items() if name in body.model_fields_set}
    if _without_ids(before["trigger"]) == _without_ids(values["trigger"]):
        values["trigger"] = before["trigger"]
    else:
        tx.execute(sa.delete(automation_count).where(automation_count.c.automation_id == id))
        values |= _from_now(tx)
    if values.get("enabled") and not before["enabled"]:
        values |= _from_now(tx)
    tx.execute(sa.update(automation).where(automation.c.id == id).values(**values))
    _write_resources(tx, id, body, before["owner_resource"])
    _told(tx, _row(tx, id), "updated")


@operation("PATCH", "/automations/{id}", writes=True, status=204)
def patch_automation(tx: sa.Connection, id: UUID, body: AutomationPartialUpdate) -> None:
    """Let an automation act, or let it do nothing.

    Raises:
        NotFound: there is no such automation.
    """
    set_enabled(tx, id, body.enabled)


@operation("DELETE", "/automations/owned-by/{resource_id}", writes=True, status=202)
def delete_automations_owned_by_resource(tx: sa.Connection, resource_id: str) -> None:
    """Delete the automations that belong to a resource."""
    owned = sa.select(automation).where(automation.c.owner_resource == resource_id)
    for row in tx.execute(owned).mappings().all():
        _delete(tx, row)


@operation("GET", "/automations/related-to/{resource_id}")
def read_automations_related_to_resource(tx: sa.Connection, resource_id: str) -> list[Automation]:
    """The automations that belong to a resource or act on it."""
    related = sa.select(automation_resource.c.automation_id).where(automation_resource.c.resource_id == resource_id)
    statement = sa.select(automation).where(automation.c.id.in_(related)).order_by(*ORDERS["NAME_ASC"])
    return [Automation.model_validate(row) for row in tx.execute(statement).mappings()]


@operation("DELETE", "/automations/{id}", writes=True, status=204)
def delete_automation(tx: sa.Connection, id: UUID) -> None:
    """Delete an automation. Actions that it has begun are carried out.

    Raises:
        NotFound: there is no such automation.
    """
    _delete(tx, _row(tx, id))


# -------------------------------------------------------------------------------------------------------------------


def set_enabled(tx: sa.Connection, id: UUID, enabled: bool) -> None:
    """Let an automation act, or let it do nothing. One that is enabled again is about what happens from then on.

    Raises:
        NotFound: there is no such automation.
    """
    before = _row(tx, id, lock=True)
    if before["enabled"] == enabled:
        return
    values = {"enabled": enabled, **(_from_now(tx) if enabled else {})}
    tx.execute(sa.update(automation).where(automation.c.id == id).values(**values))
    # what it had counted before is not continued: nobody looked in between
    tx.execute(sa.delete(automation_count).where(automation_count.c.automation_id == id))
    _told(tx, _row(tx, id), "updated")


def _row(tx: sa.Connection, id: UUID, *, lock: bool = False) -> sa.RowMapping:
    statement = sa.select(automation).where(automation.c.id == id)
    return rows.one(tx, statement.with_for_update() if lock else statement, _KIND, id)


def _values(body: AutomationCreate | AutomationUpdate) -> dict[str, Any]:
    return {name: value for name, value in body.model_dump(mode="json").items() if name in _PARTS}


def _from_now(tx: sa.Connection) -> dict[str, Any]:
    return {"place": str(tail.end(tx, event)), "enabled_at": now()}


def _without_ids(trigger: Any) -> Any:
    if isinstance(trigger, dict):
        return {name: _without_ids(value) for name, value in trigger.items() if name != "id"}
    if isinstance(trigger, list):  # of triggers, whose order matters, or of names, whose order does not
        found = [_without_ids(one) for one in trigger]
        return sorted(found) if all(isinstance(one, str) for one in found) else found
    return trigger


def _actions(body: AutomationCreate | AutomationUpdate) -> list[Action]:
    return [*body.actions, *body.actions_on_trigger, *body.actions_on_resolve]


def _check_templates(body: AutomationCreate | AutomationUpdate) -> None:
    for action in _actions(body):
        for name in ("subject", "body", "payload"):
            template = getattr(action, name, None)
            if isinstance(template, str) and (problem := templates.problem_with(template)) is not None:
                raise Invalid(f"The {name} of the action {action.type!r} is no template: {problem.message}")


def _write_resources(tx: sa.Connection, id: UUID, body: AutomationCreate | AutomationUpdate, owner: str | None) -> None:
    found = {owner} if owner else set()
    for action in _actions(body):
        for name, kind in _TARGETS.items():
            target = getattr(action, name, None)
            if target is not None:
                found.add(f"{kind}.{target}")
    tx.execute(sa.delete(automation_resource).where(automation_resource.c.automation_id == id))
    if found:
        named = [{"automation_id": id, "resource_id": resource} for resource in sorted(found)]
        tx.execute(sa.insert(automation_resource), named)


def _delete(tx: sa.Connection, row: sa.RowMapping) -> None:
    id = row["id"]
    for table in (automation_count, automation_resource):
        tx.execute(sa.delete(table).where(table.c.automation_id == id))
    edits.delete(tx, automation, automation.c.id == id, _KIND, id)
    _told(tx, row, "deleted")


def _told(tx: sa.Connection, row: sa.RowMapping, what: str) -> Automation:
    shown = Automation.model_validate(row)
    subject = outbox.resource(_KIND, row["id"], row["name"])
    outbox.emit(tx, f"prefect.automation.{what}", subject, (), to_jsonable_python(shown))
    announce(tx, AUTOMATIONS)
    return shown
