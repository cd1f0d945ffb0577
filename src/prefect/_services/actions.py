"""What automations do, once their triggers have fired.

What an action does in the database is written together with the news that it is done, so it is done once. What it does
outside, a notification or a call of a webhook, is begun once, and again only if whoever began it is not heard of any more.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import exc as sa_exc

from prefect._clock import now as clock
from prefect._lazy import lazy_module
from prefect._operations import automated, chains, outbox, templates
from prefect._operations.automated import ActionFailed
from prefect._operations.block_documents import read_block_document
from prefect._operations.errors import NotFound, refusal
from prefect._schemas.automation_actions import (
    Action,
    CallWebhook,
    RunDeployment,
    SendNotification,
    ServerActionTypes,
)
from prefect._schemas.blocks import BlockDocument
from prefect._schemas.events import STORED, ReceivedEvent
from prefect._services.framework import Database, Round
from prefect._store.tables import automation_action

if TYPE_CHECKING:
    from prefect.blocks import core, notifications, webhook
else:
    # the blocks that users save, loaded for the actions that need one
    core = lazy_module("prefect.blocks.core")
    notifications = lazy_module("prefect.blocks.notifications")
    webhook = lazy_module("prefect.blocks.webhook")

_log = logging.getLogger("prefect.server.services")

_BATCH = 20
_LEASE = timedelta(minutes=2)
"""How long a notification or a call may take before it counts as lost."""
_MOST_ATTEMPTS = 2

_action: TypeAdapter[Any] = TypeAdapter(ServerActionTypes)


def run_once(database: Database, now: datetime) -> Round:
    """Carry out what is to be done by now."""
    columns = automation_action.c
    waiting = sa.select(columns.id).where(columns.due <= now).order_by(columns.due, columns.id).limit(_BATCH)
    found = database.read(lambda tx: list(tx.execute(waiting).scalars()))
    done = sum(_carry_out(database, id, now) for id in found)
    first = database.read(lambda tx: tx.execute(sa.select(sa.func.min(columns.due))).scalar_one_or_none())
    return Round(len(found) == _BATCH and done > 0, first, done)


class _Invocation:
    """An action that is to be carried out, and why."""

    def __init__(self, row: sa.RowMapping) -> None:
        self.id: UUID = row["id"]
        self.known: dict[str, Any] = row["invocation"]
        self.attempts: int = row["attempts"]
        about = self.known["event"]
        self.event = None if about is None else ReceivedEvent.model_validate(about, context=STORED)
        self.action: Action = _action.validate_python(self.known["action"])
        self.origin = UUID(self.known["origin"]) if "origin" in self.known else None
        self.is_outside = isinstance(self.action, SendNotification | CallWebhook)

    def tell(self, tx: sa.Connection, what: str, follows: UUID | None, **more: Any) -> UUID:
        automation, trigger = self.known["automation"], self.known["trigger"]
        subject = outbox.resource("automation", automation["id"], automation["name"])
        subject["prefect.trigger-type"] = trigger["type"]
        if trigger["posture"] is not None:
            subject["prefect.posture"] = trigger["posture"]
        kind, target = automated.target(self.action, self.event)
        related = [] if target is None else [outbox.resource(kind, target, None, "target")]
        related.append(outbox.resource("event", self.known["told"], None, "automation-triggered-event"))
        if self.event is not None:
            related.append(outbox.resource("event", self.event.id, None, "triggering-event"))
        payload = {
            "action_index": self.known["index"],
            "action_type": self.action.type,
            "invocation": str(self.id),
            **more,
        }
        return outbox.emit(tx, f"prefect.automation.action.{what}", subject, related, payload, follows=follows)

    def end(self, tx: sa.Connection, problem: Exception | None = None, **more: Any) -> None:
        """Tell what became of it, and forget it."""
        with chains.because_of(self.origin):
            triggered = self.tell(tx, "triggered", None if self.event is None else self.event.id)
            if problem is None:
                self.tell(tx, "executed", triggered, **more)
            else:
                self.tell(tx, "failed", triggered, **_explained(problem))
        tx.execute(sa.delete(automation_action).where(automation_action.c.id == self.id))


def _explained(problem: Exception) -> dict[str, Any]:
    refused = refusal(problem)
    status = problem.status if isinstance(problem, ActionFailed) else None if refused is None else refused.status
    reason = str(problem) or type(problem).__name__
    return {"reason": reason} if status is None else {"reason": reason, "status_code": status}


def _carry_out(database: Database, id: UUID, now: datetime) -> bool:
    row = database.read(lambda tx: _row(tx, id))
    if row is None:
        return False
    invocation = _Invocation(row)
    try:
        if invocation.is_outside:
            return _outside(database, invocation, now)
        action = _prepared(database, invocation)
    except Exception as problem:  # whatever is wrong with one action must not keep the others
        return _give_up(database, invocation, problem)
    try:
        return database.write(lambda tx: _inside(tx, invocation, action, now))
    except sa_exc.OperationalError:
        raise  # the database is not there: it is tried again
    except Exception as problem:
        if refusal(problem) is None and not isinstance(problem, ActionFailed):
            _log.exception("The action %s of an automation failed.", invocation.action.type)
        return _give_up(database, invocation, problem)


def _row(tx: sa.Connection, id: UUID, *, now: datetime | None = None) -> sa.RowMapping | None:
    statement = sa.select(automation_action).where(automation_action.c.id == id)
    if now is not None:
        statement = statement.where(automation_action.c.due <= now).with_for_update(skip_locked=True)
    return tx.execute(statement).mappings().one_or_none()


def _give_up(database: Database, invocation: _Invocation, problem: Exception) -> bool:
    def end(tx: sa.Connection) -> bool:
        if _row(tx, invocation.id) is None:
            return False
        invocation.end(tx, problem)
        return True

    return database.write(end)


def _names(database: Database, invocation: _Invocation) -> dict[str, Any]:
    return database.read(lambda tx: automated.context(tx, invocation.known, invocation.event))


def _prepared(database: Database, invocation: _Invocation) -> Action:
    """The action with its templates rendered: not while others wait for the database."""
    action = invocation.action
    if not isinstance(action, RunDeployment) or not (action.parameters or action.job_variables):
        return action
    names = _names(database, invocation)
    return action.model_copy(
        update={
            "parameters": automated.rendered(action.parameters, names, plain=True),
            "job_variables": automated.rendered(action.job_variables, names),
        }
    )


def _inside(tx: sa.Connection, invocation: _Invocation, action: Action, now: datetime) -> bool:
    if _row(tx, invocation.id, now=now) is None:
        return False  # somebody else does it
    automation = invocation.known["automation"]
    by = automated.Maker(f"automation {invocation.id}", automation["id"], automation["name"])
    with chains.because_of(invocation.origin):
        automated.carry_out(tx, action, invocation.event, by)
    invocation.end(tx)
    return True


# -- outside of the database ----------------------------------------------------------------------------------------


def _outside(database: Database, invocation: _Invocation, now: datetime) -> bool:
    names = _names(database, invocation)
    if not database.write(lambda tx: _take(tx, invocation, now)):
        return False
    if invocation.attempts >= _MOST_ATTEMPTS:
        raise ActionFailed(f"It was begun {invocation.attempts} times, and never ended.")
    document = database.read(lambda tx: _block_of(tx, invocation.action))
    more = _do(invocation.action, document, names)
    database.write(lambda tx: invocation.end(tx, **more))
    return True


def _take(tx: sa.Connection, invocation: _Invocation, now: datetime) -> bool:
    row = _row(tx, invocation.id, now=now)
    if row is None:
        return False
    invocation.attempts = row["attempts"]
    values = {"attempts": row["attempts"] + 1, "due": max(now, clock()) + _LEASE}
    tx.execute(sa.update(automation_action).where(automation_action.c.id == invocation.id).values(**values))
    return True


def _block_of(tx: sa.Connection, action: Any) -> BlockDocument:
    try:
        return read_block_document(tx, action.block_document_id, include_secrets=True)
    except NotFound:
        raise ActionFailed(f"There is no block with the id {action.block_document_id}.", 404) from None


def _do(action: Action, document: BlockDocument, names: dict[str, Any]) -> dict[str, Any]:
    _ = notifications.NotificationBlock, webhook.Webhook  # loaded, so that their blocks are known
    block: Any = core.from_document(document)
    if isinstance(action, SendNotification):
        if not hasattr(block, "notify"):
            raise ActionFailed(f"The block {document.name!r} sends no notifications.")
        subject, body = templates.render(action.subject, names), templates.render(action.body, names)
        with block.raise_on_failure():
            block.notify(subject=subject, body=body)
        return {}
    assert isinstance(action, CallWebhook)
    if not hasattr(block, "call"):
        raise ActionFailed(f"The block {document.name!r} calls no webhook.")
    response = block.call(payload=_payload(templates.render(action.payload, names)))
    if response.status_code >= 400:
        raise ActionFailed(f"The webhook answered {response.status_code}.", response.status_code)
    return {"status_code": response.status_code}


def _payload(text: str) -> Any:
    """What is sent as JSON if it is an object or a list, otherwise as it is."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text or None
