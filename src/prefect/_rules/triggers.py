"""When triggers fire: what to remember of events, and what follows from it.

Moments are microseconds, and are those at which events happened, not at which they became known: events that come in
another order count the same, as far as they come in time. What is remembered is plain JSON.

- *Reactive*: the first event opens a window of `within`; the one that fills it fires, once in a window. Without `within`
  every `threshold` events fire. With `after`, such an event opens the window instead, for one firing.
- *Proactive*: what opens the window is an event of `after`, or else the end of the window before; when it ends without
  enough events, it fires. Enough events close it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

MEMORY = 60_000_000
"""How long events are remembered that came before those that make them count."""
_MOST_REMEMBERED = 100


class Outcome(Enum):
    """What follows from an event, or from time."""

    NOTHING = "nothing"
    FIRED = "triggered"
    RESOLVED = "resolved"
    """What was missed, and was told, has come."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A trigger on events.

    Attributes:
        threshold: how many events it takes.
        within: in how many microseconds; 0, for a reactive one: however long it takes.
        proactive: whether it fires when they do not happen.
        has_after: whether certain events open the window.
        repeats: whether a proactive one fires again and again while nothing happens.
    """

    threshold: int = 1
    within: int = 0
    proactive: bool = False
    has_after: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """What a trigger remembers.

    Attributes:
        start: when the window was opened; None: there is none.
        last: the newest event in it.
        count: how many events are in it.
        fired: whether it has fired: in this window, or for what is still missing.
        early: expected events that came while no window was open, oldest first.
    """

    start: int | None = None
    last: int = 0
    count: int = 0
    fired: bool = False
    early: tuple[int, ...] = ()

    @classmethod
    def parse(cls, state: Mapping[str, Any] | None) -> Count:
        """What was written down as `state`."""
        return cls() if not state else cls(**{**state, "early": tuple(state.get("early", ()))})

    def state(self) -> dict[str, Any]:
        """What to write down."""
        return {
            "start": self.start, "last": self.last, "count": self.count, "fired": self.fired, "early": list(self.early)
        }  # fmt: skip

    def due(self, rule: Rule) -> int | None:
        """When time alone makes it fire."""
        return self.start + rule.within if rule.proactive and self.start is not None else None

    def expires(self, rule: Rule) -> int | None:
        """When it can be forgotten; None: not of itself."""
        if rule.proactive and (self.start is not None or self.fired):
            return None
        if not rule.within and (self.start is not None or self.count):
            return None
        newest = max(self.start or 0, self.last, *self.early, 0)
        return newest + rule.within + MEMORY


def opened(moment: int) -> Count:
    """What is remembered of a window that was opened by nothing but time."""
    return Count(start=moment, last=moment)


def on_event(rule: Rule, count: Count, moment: int, *, starts: bool, expected: bool) -> tuple[Count, Outcome]:
    """What an event changes. Before it, time must have had its say (`on_time`).

    Args:
        rule: the trigger.
        count: what it remembers.
        moment: when the event happened.
        starts: whether it is an event of `after`.
        expected: whether it is one of those expected.
    """
    if not rule.has_after:
        if not expected:
            return count, Outcome.NOTHING
        return _awaited(rule, count, moment) if rule.proactive else _counted(rule, count, moment)
    outcome = Outcome.NOTHING
    if expected:
        count, outcome = _in_window(rule, count, moment, also_starts=starts)
    if starts and not _is_open(rule, count, moment) and (count.start is None or moment >= count.start):
        count, second = _open(rule, count, moment)
        outcome = second if outcome is Outcome.NOTHING else outcome
    return count, outcome


def on_time(rule: Rule, count: Count, now: int) -> tuple[Count, Outcome]:
    """What the passing of time changes."""
    due = count.due(rule)
    if due is None or now < due:
        return count, Outcome.NOTHING
    start = None
    if rule.repeats and not rule.has_after:
        start = due if now < due + rule.within else now  # one firing for all that nobody looked at
    return Count(start=start, last=count.last, fired=True, early=count.early), Outcome.FIRED


def _counted(rule: Rule, count: Count, moment: int) -> tuple[Count, Outcome]:
    if not rule.within:
        number = count.count + 1
        if number >= rule.threshold:
            return Count(), Outcome.FIRED
        return replace(count, count=number, last=max(count.last, moment)), Outcome.NOTHING
    if count.start is None or moment >= count.start + rule.within:
        count = Count(start=moment, last=moment, count=1)
    elif moment < count.start and (count.fired or count.last - moment >= rule.within):
        return count, Outcome.NOTHING  # of a window that is over
    else:
        count = replace(count, start=min(count.start, moment), last=max(count.last, moment), count=count.count + 1)
    if count.fired or count.count < rule.threshold:
        return count, Outcome.NOTHING
    return replace(count, fired=True), Outcome.FIRED


def _awaited(rule: Rule, count: Count, moment: int) -> tuple[Count, Outcome]:
    outcome = Outcome.RESOLVED if count.fired else Outcome.NOTHING
    if count.start is None:
        return Count(start=moment, last=moment), outcome
    if moment < count.start:
        return count, Outcome.NOTHING
    number, last = count.count + 1, max(count.last, moment)
    if number >= rule.threshold:
        return Count(start=last, last=last), outcome
    return replace(count, count=number, last=last), Outcome.NOTHING


def _is_open(rule: Rule, count: Count, moment: int) -> bool:
    if count.start is None or moment < count.start:
        return False
    return not rule.within or moment < count.start + rule.within


def _in_window(rule: Rule, count: Count, moment: int, *, also_starts: bool) -> tuple[Count, Outcome]:
    if not _is_open(rule, count, moment):
        if count.fired and rule.proactive and count.start is None:
            return replace(count, fired=False), Outcome.RESOLVED
        if also_starts:
            return count, Outcome.NOTHING
        recent = [one for one in (*count.early, moment) if one > moment - max(rule.within, MEMORY)]
        return replace(count, early=tuple(sorted(recent)[-max(rule.threshold, _MOST_REMEMBERED) :])), Outcome.NOTHING
    number = count.count + 1
    if number < rule.threshold:
        return replace(count, count=number, last=max(count.last, moment)), Outcome.NOTHING
    return Count(last=moment), Outcome.NOTHING if rule.proactive else Outcome.FIRED


def _open(rule: Rule, count: Count, moment: int) -> tuple[Count, Outcome]:
    end = moment + rule.within if rule.within else None
    came = [one for one in count.early if one > moment and (end is None or one < end)]
    if len(came) >= rule.threshold:  # they are known already, though they happened later
        return Count(last=came[-1]), Outcome.NOTHING if rule.proactive else Outcome.FIRED
    return Count(start=moment, last=moment, count=len(came)), Outcome.NOTHING


# -- triggers of triggers -------------------------------------------------------------------------------------------

Firings = dict[str, list[int]]
"""When each of the triggers inside fired, by its id."""


def with_firing(firings: Mapping[str, Sequence[int]], id: str, moment: int) -> Firings:
    """Firings, and one more."""
    kept = {key: list(moments) for key, moments in firings.items()}
    kept[id] = sorted([*kept.get(id, ()), moment])[-_MOST_REMEMBERED:]
    return kept


def compound_fires(firings: Mapping[str, Sequence[int]], require: int, within: int | None) -> bool:
    """Whether so many of the triggers fired within so many microseconds of each other."""
    moments = sorted((moment, id) for id, all_of in firings.items() for moment in all_of)
    return any(
        len({id for moment, id in moments[place:] if within is None or moment - first <= within}) >= require
        for place, (first, _) in enumerate(moments)
    )


def sequence_fires(firings: Mapping[str, Sequence[int]], order: Sequence[str], within: int | None) -> bool:
    """Whether the triggers fired one after the other, in this order, within so many microseconds."""
    for first in firings.get(order[0], ()):
        at: int | None = first
        for id in order[1:]:
            at = min((moment for moment in firings.get(id, ()) if at is not None and moment > at), default=None)
            if at is None:
                break
        if at is not None and (within is None or at - first <= within):
            return True
    return False
