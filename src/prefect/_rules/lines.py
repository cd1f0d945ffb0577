"""Who in a line may go: first come, first served, without one who waits for much holding up those who need something else.

Everybody in the line wants so many slots of one or more limits, all at once. Who finds enough of all of them may go. Who
does not holds those behind him up only at the limits that are too small for him now: there nobody overtakes him.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID


class Waiter(NamedTuple):
    """Somebody in the line."""

    id: UUID
    slots: int
    limits: tuple[UUID, ...]


class Line(NamedTuple):
    """The state of a line.

    Attributes:
        ready: who may go now.
        free: how many slots of each limit are left for others then.
        closed: the limits at which nobody else may go before those who wait.
    """

    ready: list[UUID]
    free: dict[UUID, float]
    closed: set[UUID]

    def admits(self, slots: int, limits: Iterable[UUID], guard: float = 1e-9) -> bool:
        """Whether somebody at the end of the line may go."""
        return all(one not in self.closed and self.free.get(one, 0) + guard >= slots for one in limits)


def walk(waiters: Iterable[Waiter], free: Mapping[UUID, float]) -> Line:
    """Let everybody in a line go who may.

    Args:
        waiters: in their order.
        free: the free slots of each limit; a limit that is not here has none.
    """
    line = Line([], dict(free), set())
    for waiter in waiters:
        if line.admits(waiter.slots, waiter.limits):
            line.ready.append(waiter.id)
            for limit in waiter.limits:
                line.free[limit] -= waiter.slots
        else:
            line.closed.update(one for one in waiter.limits if line.free.get(one, 0) + 1e-9 < waiter.slots)
    return line
