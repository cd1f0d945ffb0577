"""Who in a line may go."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.lines import Waiter, walk

A, B = UUID(int=1), UUID(int=2)
INFINITE = float("inf")


def waiter(number: int, slots: int = 1, *limits: UUID) -> Waiter:
    return Waiter(UUID(int=100 + number), slots, limits or (A,))


def ready(waiters: list[Waiter], **free: float) -> list[int]:
    return [id.int - 100 for id in walk(waiters, {A: free.get("a", 0), B: free.get("b", 0)}).ready]


def test_first_come_first_served() -> None:
    assert ready([waiter(1), waiter(2), waiter(3)], a=2) == [1, 2]


def test_nobody_overtakes_one_who_waits_for_much() -> None:
    assert ready([waiter(1, 3), waiter(2), waiter(3)], a=2) == []


def test_who_waits_for_one_limit_does_not_hold_up_those_at_another() -> None:
    assert ready([waiter(1, 1, A, B), waiter(2, 1, B)], a=0, b=1) == [2]
    assert ready([waiter(1, 1, A, B), waiter(2, 1, B)], a=1, b=1) == [1]


def test_what_is_not_limited_holds_nobody_up() -> None:
    assert ready([waiter(1, 5)], a=INFINITE) == [1]


def test_who_comes_last_does_not_overtake() -> None:
    line = walk([waiter(1, 3)], {A: 2})
    assert not line.admits(1, [A])
    assert line.admits(1, []) is True
    assert walk([waiter(1)], {A: 2}).admits(1, [A])
    assert not walk([waiter(1)], {A: 2}).admits(2, [A])


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sets(st.sampled_from([A, B]), min_size=1)), max_size=12),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_nobody_gets_more_than_there_is_or_goes_before_his_turn(
    wishes: list[tuple[int, set[UUID]]], a: int, b: int
) -> None:
    waiters = [Waiter(UUID(int=100 + n), slots, tuple(sorted(limits))) for n, (slots, limits) in enumerate(wishes)]
    line = walk(waiters, {A: a, B: b})
    going = [one for one in waiters if one.id in line.ready]
    for limit, free in ((A, a), (B, b)):
        assert sum(one.slots for one in going if limit in one.limits) <= free
        # at each limit nobody is passed who could not go because of it
        left, closed = free, False
        for one in (one for one in waiters if limit in one.limits):
            if one.id in line.ready:
                assert not closed
                left -= one.slots
            elif one.slots > left:  # when it was his turn; what others take later does not close it
                closed = True
    if waiters and all(waiters[0].slots <= free for limit, free in ((A, a), (B, b)) if limit in waiters[0].limits):
        assert line.ready[0] == waiters[0].id
