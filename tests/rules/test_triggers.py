"""When triggers fire."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.triggers import (
    Count,
    Outcome,
    Rule,
    compound_fires,
    on_event,
    on_time,
    opened,
    sequence_fires,
    with_firing,
)

S = 1_000_000
BEGIN, END, BOTH = "after", "expected", "both"


def play(rule: Rule, story: Iterable[tuple[float, str]], count: Count | None = None) -> list[tuple[float, Outcome]]:
    """Events and looks at the clock, in the order in which they become known; what followed, and when."""
    count = count or Count()
    told: list[tuple[float, Outcome]] = []
    for second, what in story:
        moment = round(second * S)
        count, outcome = on_time(rule, count, moment)
        if outcome is not Outcome.NOTHING:
            told.append((second, outcome))
        if what != "time":
            starts, expected = what in (BEGIN, BOTH), what in (END, BOTH)
            count, outcome = on_event(rule, count, moment, starts=starts, expected=expected)
            if outcome is not Outcome.NOTHING:
                told.append((second, outcome))
        count = Count.parse(count.state())  # as it is written down and read again
    return told


def fired(rule: Rule, story: Iterable[tuple[float, str]], count: Count | None = None) -> list[float]:
    return [second for second, outcome in play(rule, story, count) if outcome is Outcome.FIRED]


ENDS = [(float(second), END) for second in range(8)]


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        (Rule(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (Rule(threshold=2), [1, 3, 5, 7]),
        (Rule(within=30 * S), [0]),
        (Rule(within=30 * S, threshold=2), [1]),
        (Rule(within=3 * S, threshold=2), [1, 4, 7]),
        (Rule(within=2 * S, threshold=3), []),
    ],
)
def test_reactive(rule: Rule, seconds: list[float]) -> None:
    assert fired(rule, ENDS) == seconds


def test_reactive_after() -> None:
    rule = Rule(has_after=True, within=10 * S)
    assert fired(rule, [(0, END), (1, BEGIN), (2, END), (3, END), (4, BEGIN), (15, END)]) == [2]
    assert fired(Rule(has_after=True), [(1, BEGIN), (500, END), (501, END)]) == [500]
    assert fired(rule, [(2, END), (1, BEGIN)]) == [1], "known in the other order"
    assert fired(Rule(has_after=True, threshold=2), [(0, BOTH), (1, BOTH), (2, BOTH), (3, BOTH)]) == [2]


def test_proactive_after() -> None:
    rule = Rule(proactive=True, has_after=True, within=10 * S)
    assert fired(rule, [(0, BEGIN), (5, END), (20, "time")]) == []
    assert fired(rule, [(0, BEGIN), (9, "time"), (10, "time"), (40, "time")]) == [10]
    assert fired(rule, [(5, END), (0, BEGIN), (20, "time")]) == [], "known in the other order"
    assert fired(rule, [(0, END), (5, BEGIN), (20, "time")]) == [20], "it happened before"
    assert play(rule, [(0, BEGIN), (15, END), (16, END)]) == [(15, Outcome.FIRED), (15, Outcome.RESOLVED)]
    assert fired(rule, [(0, BOTH), (8, BOTH), (16, BOTH), (25, "time"), (26, "time")]) == [26]


def test_proactive_for_ever() -> None:
    rule = Rule(proactive=True, within=10 * S, repeats=True)
    looks = [(float(second), "time") for second in range(45)]
    assert fired(rule, looks, opened(0)) == [10, 20, 30, 40]
    beats = sorted([*looks, (5.0, END), (14.0, END)])
    assert fired(rule, beats, opened(0)) == [24, 34, 44]
    assert fired(rule, [(1000, "time"), (1001, "time")], opened(0)) == [1000], "not once for each that was missed"


def test_proactive_for_each_fires_once_for_each_silence() -> None:
    rule = Rule(proactive=True, within=10 * S)
    story = [(0, END), (11, "time"), (50, "time"), (60, END), (65, END), (80, "time")]
    assert play(rule, story) == [(11, Outcome.FIRED), (60, Outcome.RESOLVED), (80, Outcome.FIRED)]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=7), st.integers(1, 7), st.randoms())
def test_the_order_in_which_events_become_known_does_not_matter(
    moments: list[int], threshold: int, luck: object
) -> None:
    rule = Rule(within=100, threshold=threshold)
    shuffled = list(moments)
    luck.shuffle(shuffled)  # type: ignore[attr-defined]
    count, told = Count(), 0
    for moment in shuffled:
        count, outcome = on_event(rule, count, moment, starts=False, expected=True)
        told += outcome is Outcome.FIRED
    assert told == (len(moments) >= threshold)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 4), st.integers(0, 200))
def test_it_never_fires_for_less(moments: list[int], threshold: int, within: int) -> None:
    rule, count, told = Rule(within=within, threshold=threshold), Count(), 0
    for moment in moments:
        count, outcome = on_event(rule, count, moment, starts=False, expected=True)
        told += outcome is Outcome.FIRED
    assert told * threshold <= len(moments)


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from([BEGIN, END, BOTH])), max_size=40), st.integers(1, 3))
def test_a_wait_ends_once(story: list[tuple[int, str]], threshold: int) -> None:
    rule = Rule(proactive=True, has_after=True, within=10 * S, threshold=threshold)
    told = fired(rule, [*sorted(story), (1000, "time"), (2000, "time")])
    assert len(told) <= sum(what != END for _, what in story)
    assert all(later > earlier for earlier, later in itertools.pairwise(told))


def test_compound() -> None:
    firings = with_firing(with_firing({}, "a", 10), "b", 70)
    assert compound_fires(firings, 1, 0)
    assert compound_fires(firings, 2, 60)
    assert compound_fires(firings, 2, None)
    assert not compound_fires(firings, 2, 59)
    assert not compound_fires(firings, 3, None)


def test_sequence() -> None:
    firings = with_firing(with_firing(with_firing({}, "b", 5), "a", 10), "c", 30)
    assert not sequence_fires(firings, ["a", "b", "c"], None)
    firings = with_firing(firings, "b", 20)
    assert sequence_fires(firings, ["a", "b", "c"], 20)
    assert not sequence_fires(firings, ["a", "b", "c"], 19)
    assert not sequence_fires({"a": [3], "b": [3]}, ["a", "b"], None), "at once is not in order"
