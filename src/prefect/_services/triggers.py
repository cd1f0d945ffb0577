"""Automations: what their triggers count, and when they fire.

Events are read in the order in which they were committed. How far they were read, what was counted, and what is to be
done because of it are written in one transaction, under a lock: each firing happens once, whatever stops or restarts, and
however many servers look.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from prefect._clock import from_us, to_us
from prefect._ids import new_uuid
from prefect._operations import chains, outbox
from prefect._operations.events import load_events
from prefect._rules import triggers as rules
from prefect._rules.triggers import Count, Outcome, Rule
from prefect._schemas.automation_requests import EventTrigger, SequenceTrigger, ServerTriggerTypes
from prefect._schemas.automations import Posture
from prefect._schemas.events import Event, ReceivedEvent, matches
from prefect._services.framework import Database, Round
from prefect._store import tail
from prefect._store.announcements import ACTIONS, announce
from prefect._store.dialects import insert
from prefect._store.tables import automation, automation_action, automation_count, automation_progress, event

_log = logging.getLogger("prefect.server.services")

_BATCH = 200
_TIMERS = 100
_GRACE = timedelta(seconds=1)
"""How long after its time a proactive trigger still waits for events that are on their way."""
_AGAIN = timedelta(milliseconds=50)
_PROGRESS = 1
_CHAIN = "chain"
_MOST_OF_ONE_CHAIN = 20
"""How often an automation fires because of one event, by way of what automations do."""
_CHAIN_MEMORY = timedelta(hours=1)

_trigger: TypeAdapter[ServerTriggerTypes] = TypeAdapter(ServerTriggerTypes)


def run_once(database: Database, now: datetime) -> Round:
    """Read events that are new, and let the time that has passed have its say."""
    if not database.read(_has_work):
        return Round()
    return database.write(lambda tx: _look(tx, now))


def _has_work(tx: sa.Connection) -> bool:
    return tx.execute(sa.select(automation.c.id).where(automation.c.enabled).limit(1)).first() is not None


def _look(tx: sa.Connection, now: datetime) -> Round:
    place = _locked_place(tx)
    if place is None:
        return Round(next_at=now + _GRACE)  # another server is at it
    watched = [_Automation(row) for row in tx.execute(sa.select(automation).where(automation.c.enabled)).mappings()]
    if not watched:
        return Round()
    begin = max(place, min(one.place for one in watched))
    found = tail.read_after(tx, event, begin, _BATCH)
    round = _Round(tx, now)
    for one in watched:
        round.begin(one)
    for row, happened in _relevant(tx, found.rows, watched):
        for one in watched:
            if one.place < tail.place_of(event, row) and happened.resource.id != one.resource_id:
                round.see(one, happened)
    if not found.more and not found.held_back:
        round.let_time_pass({one.id: one for one in watched})
    round.write()
    if found.place != place:
        tx.execute(sa.update(automation_progress).values(place=str(found.place)))
    first = tx.execute(sa.select(sa.func.min(automation_count.c.due))).scalar_one_or_none()
    next_at = now + _AGAIN if found.held_back else None if first is None else first + _GRACE
    return Round(found.more or round.more, next_at, round.fired)


def _locked_place(tx: sa.Connection) -> tail.Place | None:
    first = insert(tx, automation_progress).values(id=_PROGRESS, place=str(tail.end(tx, event)))
    locked = sa.select(automation_progress.c.place).with_for_update(skip_locked=True)
    held = tx.execute(locked).scalar_one_or_none()
    if held is None:
        if tx.execute(sa.select(automation_progress.c.id)).first() is not None:
            return None
        # those that were made before anybody looked count from where they were made
        oldest = [tail.Place.parse(text) for text in tx.execute(sa.select(automation.c.place)).scalars()]
        first = first.values(place=str(min(oldest))) if oldest else first
        tx.execute(first.on_conflict_do_nothing())
        held = tx.execute(locked).scalar_one_or_none()
    return None if held is None else tail.Place.parse(held)


def _relevant(
    tx: sa.Connection, found: Any, watched: list[_Automation]
) -> Iterator[tuple[sa.RowMapping, ReceivedEvent]]:
    names: dict[str, bool] = {}
    for row in found:
        name = row["event"]
        if name not in names:
            names[name] = any(leaf.knows(name) for one in watched for leaf in one.leaves)
    rows = [row for row in found if names[row["event"]]]
    yield from zip(rows, load_events(tx, rows), strict=True)


# -- what is watched ------------------------------------------------------------------------------------------------


class _Leaf:
    """A trigger on events, and the triggers around it."""

    def __init__(self, trigger: EventTrigger, around: tuple[Any, ...]) -> None:
        self.trigger = trigger
        self.around = around
        self.proactive = trigger.posture == Posture.Proactive
        self.rule = Rule(
            threshold=trigger.threshold,
            within=trigger.within // timedelta(microseconds=1),
            proactive=self.proactive,
            has_after=bool(trigger.after),
            repeats=not trigger.for_each,
        )
        self.begins_by_itself = self.proactive and not trigger.after and not trigger.for_each

    def knows(self, name: str) -> bool:
        return self.expects(name) or self.starts(name)

    def expects(self, name: str) -> bool:
        return not self.trigger.expect or any(matches(expected, name) for expected in self.trigger.expect)

    def starts(self, name: str) -> bool:
        return any(matches(expected, name) for expected in self.trigger.after)

    def covers(self, happened: Event) -> bool:
        related = self.trigger.match_related
        return self.trigger.match.matches(happened.resource) and all(
            one.includes(happened.related) for one in (related if isinstance(related, list) else [related])
        )

    def labels(self, happened: Event) -> dict[str, str]:
        found = {label: happened.find_resource_label(label) for label in sorted(self.trigger.for_each)}
        return {label: value or "" for label, value in found.items()}


class _Automation:
    """An automation that is enabled."""

    def __init__(self, row: sa.RowMapping) -> None:
        self.row = row
        self.id: UUID = row["id"]
        self.resource_id = f"prefect.automation.{self.id}"
        self.place = tail.Place.parse(row["place"])
        self.root = _trigger.validate_python(row["trigger"])
        self.leaves = list(_leaves(self.root, ()))


def _leaves(trigger: Any, around: tuple[Any, ...]) -> Iterator[_Leaf]:
    if isinstance(trigger, EventTrigger):
        yield _Leaf(trigger, around)
    else:
        for inner in trigger.triggers:
            yield from _leaves(inner, (trigger, *around))


# -- what it comes to -----------------------------------------------------------------------------------------------

_Key = tuple[UUID, UUID, str]


@dataclass
class _Kept:
    """What is remembered under a key."""

    state: dict[str, Any] | None
    due: datetime | None = None
    expires: datetime | None = None
    is_new: bool = False


@dataclass
class _Round:
    """What one look at the events changes."""

    tx: sa.Connection
    now: datetime
    kept: dict[_Key, _Kept] = field(default_factory=dict)
    changed: set[_Key] = field(default_factory=set)
    fired: int = 0
    more: bool = False

    def begin(self, one: _Automation) -> None:
        """Have what waits without any event begin to wait when its automation was enabled."""
        for leaf in one.leaves:
            key = (one.id, leaf.trigger.id, "[]")
            if leaf.begins_by_itself and self._get(key).state is None:
                self._keep(key, leaf, {}, rules.opened(to_us(one.row["enabled_at"])), None)

    def see(self, one: _Automation, happened: ReceivedEvent) -> None:
        """Let an automation count an event."""
        for leaf in one.leaves:
            starts, expected = leaf.starts(happened.event), leaf.expects(happened.event)
            if not (starts or expected) or not leaf.covers(happened):
                continue
            labels, moment = leaf.labels(happened), to_us(happened.occurred)
            key = (one.id, leaf.trigger.id, json.dumps(list(labels.values())))
            self._pass_time(one, leaf, key, labels, moment)
            before = self._get(key).state or {}
            count, outcome = rules.on_event(
                leaf.rule, Count.parse(before.get("count")), moment, starts=starts, expected=expected
            )
            first = happened if starts and count.start == moment else None
            self._keep(key, leaf, labels, count, first)
            self._follow(one, leaf, outcome, labels, happened, moment)

    def let_time_pass(self, watched: Mapping[UUID, _Automation]) -> None:
        """Fire what has waited long enough, and forget what says nothing any more."""
        self.write()
        columns = automation_count.c
        due = sa.select(automation_count).where(columns.due <= self.now - _GRACE).order_by(columns.due).limit(_TIMERS)
        found = self.tx.execute(due).mappings().all()
        self.more = len(found) == _TIMERS
        for row in found:
            one = watched.get(row["automation_id"])
            for leaf in one.leaves if one is not None else ():
                if one is not None and leaf.trigger.id == row["trigger_id"]:
                    key = (one.id, leaf.trigger.id, row["key"])
                    labels = (self._get(key).state or {}).get("labels", {})
                    self._pass_time(one, leaf, key, labels, to_us(self.now))
        self.tx.execute(sa.delete(automation_count).where(columns.expires <= self.now))

    def write(self) -> None:
        """Write down what is remembered now."""
        for key in self.changed:
            kept = self.kept[key]
            names = dict(zip(("automation_id", "trigger_id", "key"), key, strict=True))
            values = {"state": kept.state, "due": kept.due, "expires": kept.expires}
            statement = insert(self.tx, automation_count).values(**names, **values)
            self.tx.execute(statement.on_conflict_do_update(index_elements=list(names), set_=values))
        self.changed.clear()

    def _get(self, key: _Key) -> _Kept:
        if key not in self.kept:
            columns = automation_count.c
            where = (columns.automation_id == key[0], columns.trigger_id == key[1], columns.key == key[2])
            row = self.tx.execute(sa.select(automation_count).where(*where)).mappings().one_or_none()
            self.kept[key] = _Kept(None) if row is None else _Kept(row["state"], row["due"], row["expires"])
        return self.kept[key]

    def _keep(self, key: _Key, leaf: _Leaf, labels: dict[str, str], count: Count, first: ReceivedEvent | None) -> None:
        kept = self._get(key)
        state = {**(kept.state or {}), "count": count.state(), "labels": labels}
        if first is not None:
            state["first"] = first.model_dump(mode="json")
        due, expires = count.due(leaf.rule), count.expires(leaf.rule)
        kept.state = state
        kept.due = None if due is None else from_us(due)
        kept.expires = None if expires is None else from_us(expires)
        self.changed.add(key)

    def _pass_time(self, one: _Automation, leaf: _Leaf, key: _Key, labels: dict[str, str], moment: int) -> None:
        state = self._get(key).state
        if state is None:
            return
        before = Count.parse(state.get("count"))
        count, outcome = rules.on_time(leaf.rule, before, moment)
        if outcome is Outcome.NOTHING:
            return
        first = state.get("first") if leaf.rule.has_after else None
        self._keep(key, leaf, labels, count, None)
        cause = None if first is None else ReceivedEvent.model_validate(first)
        self._follow(one, leaf, outcome, labels, cause, before.due(leaf.rule) or moment)

    def _follow(
        self,
        one: _Automation,
        leaf: _Leaf,
        outcome: Outcome,
        labels: dict[str, str],
        cause: ReceivedEvent | None,
        moment: int,
    ) -> None:
        if outcome is Outcome.NOTHING:
            return
        if outcome is Outcome.RESOLVED:
            if not leaf.around:
                self._tell(one, outcome, labels, cause)
            return
        inner = leaf.trigger.id
        for trigger in leaf.around:
            if not self._composed(one, trigger, inner, moment):
                return
            inner = trigger.id
        self._tell(one, outcome, labels, cause)

    def _composed(self, one: _Automation, trigger: Any, inner: UUID, moment: int) -> bool:
        """Whether a trigger of triggers fires now that one of them did."""
        key = (one.id, trigger.id, "[]")
        kept = self._get(key)
        firings = rules.with_firing((kept.state or {}).get("firings", {}), str(inner), moment)
        within = None if trigger.within is None else trigger.within // timedelta(microseconds=1)
        ids = [str(one.id) for one in trigger.triggers]
        if isinstance(trigger, SequenceTrigger):
            fires = rules.sequence_fires(firings, ids, within)
        else:
            named = {"any": 1, "all": len(ids)}
            require = named[trigger.require] if isinstance(trigger.require, str) else trigger.require
            fires = rules.compound_fires(firings, require, within)
        kept.state = {"firings": {} if fires else firings}
        kept.expires = None if within is None else from_us(moment + within + rules.MEMORY)
        self.changed.add(key)
        return fires

    def _tell(self, one: _Automation, outcome: Outcome, labels: dict[str, str], cause: ReceivedEvent | None) -> None:
        chain = None if cause is None else chains.origin_of(one.root for one in cause.related)
        if chain is None or not self._goes_round(one, chain, cause):
            with chains.because_of(chain or (None if cause is None else cause.id)):
                self._fire(one, outcome, labels, cause)

    def _goes_round(self, one: _Automation, chain: UUID, cause: ReceivedEvent | None) -> bool:
        """Whether an automation has fired so often because of one event that automations must be each other's reason."""
        key = (one.id, chain, _CHAIN)
        fired = ((self._get(key).state or {}).get("fired") or 0) + 1
        if fired > _MOST_OF_ONE_CHAIN + 1:
            return True
        kept = self._get(key)
        kept.state, kept.expires = {"fired": fired}, self.now + _CHAIN_MEMORY
        self.changed.add(key)
        if fired <= _MOST_OF_ONE_CHAIN:
            return False
        reason = (
            f"It fired {_MOST_OF_ONE_CHAIN} times because of event {chain}, by what automations did because of it. It "
            "does not fire for this reason again. Look at which automations react to what this one does, and it to them."
        )
        _log.warning("Automation %r (%s) goes round in circles. %s", one.row["name"], one.id, reason)
        subject = outbox.resource("automation", one.id, one.row["name"])
        related = [] if cause is None else [outbox.resource("event", cause.id, None, "triggering-event")]
        payload = {"reason": reason, "firings": _MOST_OF_ONE_CHAIN}
        with chains.because_of(chain):
            outbox.emit(self.tx, "prefect.automation.loop-stopped", subject, related, payload, occurred=self.now)
        return True

    def _fire(self, one: _Automation, outcome: Outcome, labels: dict[str, str], cause: ReceivedEvent | None) -> None:
        self.fired += 1
        row, trigger = one.row, one.root
        subject = outbox.resource("automation", one.id, row["name"])
        if isinstance(trigger, EventTrigger):
            subject["prefect.posture"] = trigger.posture.value
        caused = None if cause is None else to_jsonable_python(cause)
        related = [] if cause is None else [outbox.resource("event", cause.id, None, "triggering-event")]
        payload = {"triggering_labels": labels, "triggering_event": caused}
        told = outbox.NewEvent(
            f"prefect.automation.{outcome.value}", subject, related, payload, self.now, new_uuid(), None
        )
        outbox.write(self.tx, [told])
        itself = ReceivedEvent.model_validate(
            {**told._asdict(), "received": self.now, "related": list(related), "payload": dict(payload)}
        )
        invocation = {
            "automation": {"id": str(one.id), "name": row["name"], "description": row["description"]},
            "trigger": {"type": trigger.type, "posture": subject.get("prefect.posture")},
            "labels": labels,
            "triggered": self.now.isoformat(),
            "told": str(told.id),
            "origin": str(chains.current_origin() or told.id),
        }
        if outcome is Outcome.RESOLVED:
            wanted = [(action, caused) for action in row["actions_on_resolve"]]
        else:
            wanted = [(action, caused) for action in row["actions"]]
            wanted += [(action, to_jsonable_python(itself)) for action in row["actions_on_trigger"]]
        rows = [
            {
                "id": new_uuid(),
                "automation_id": one.id,
                "invocation": {**invocation, "event": about, "action": action, "index": index},
                "due": self.now,
                "attempts": 0,
            }
            for index, (action, about) in enumerate(wanted)
        ]
        if rows:
            self.tx.execute(sa.insert(automation_action), rows)
            announce(self.tx, ACTIONS)
