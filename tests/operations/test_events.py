"""Events through their operations, on both databases; filters mean there what they mean in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect._clock import now
from prefect._operations.errors import Forbidden, Invalid
from prefect._operations.events import (
    Countable,
    EventCounts,
    EventPage,
    EventQuery,
    SentEvent,
    count_events,
    create_events,
    read_events,
    read_next_events,
)
from prefect._schemas.events import Event
from prefect._schemas.filters.events import EventFilter
from prefect.settings import PREFECT_SERVER_EVENTS_MAXIMUM_SIZE_BYTES, temporary_settings

from .conftest import NOON, after

DAY = {"since": NOON - timedelta(days=1), "until": NOON + timedelta(days=1)}


def related(id: str, role: str, **labels: str) -> dict[str, str]:
    return {"prefect.resource.id": id, "prefect.resource.role": role, **labels}


def sent(
    number: int, name: str, resource: str, *others: dict[str, str], payload: Any = None, **labels: str
) -> SentEvent:
    return SentEvent(
        id=UUID(int=number),
        occurred=after(number),
        event=name,
        resource={"prefect.resource.id": resource, **labels},
        related=list(others),
        payload=payload or {},
    )


EVENTS = [
    sent(1, "a.one", "x.1", related("f.1", "flow", k="1"), related("t.1", "tag", k="2"), payload={"word": "zebra"}, lab="v"),
    sent(2, "a.two", "x.2", related("f.1", "flow"), lab="w"),
    sent(3, "b.one", "y.1", related("x.1", "thing"), payload={"deep": {"w": "needle"}}),
    sent(4, "a.one", "x.1"),
    sent(5, "b.One", "y.2"),
]  # fmt: skip


@pytest.fixture
def tx(both: sa.Connection) -> sa.Connection:
    create_events(both, EVENTS)
    return both


def numbers(page: EventPage) -> list[int]:
    return [event.id.int for event in page.events]


def find(tx: sa.Connection, **wanted: Any) -> list[int]:
    page = read_events(tx, EventQuery(filter=EventFilter(**{"occurred": DAY, **wanted})))
    assert page.total == len(page.events) and page.next_page is None
    return numbers(page)


# as the peer answers; the searches for words are our own (there, on SQLite, they fail)
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"order": "ASC"}, [1, 2, 3, 4, 5]),
        ({"event": {"name": ["a.one"], "prefix": ["b."]}}, []),
        ({"event": {"prefix": ["a."]}}, [4, 2, 1]),
        ({"event": {"exclude_prefix": ["a."]}}, [5, 3]),
        ({"event": {"exclude_name": ["a.one", "b.one"]}}, [5, 2]),
        ({"event": {"name": ["A.ONE"]}}, []),
        ({"event": {"prefix": ["b.O"]}}, [5]),
        ({"event": {"name": ["b.one"]}}, [3]),
        ({"resource": {"id": ["x.1"]}}, [4, 1]),
        ({"resource": {"id": ["y.1"], "id_prefix": ["x."]}}, []),
        ({"resource": {"id_prefix": ["x."]}}, [4, 2, 1]),
        ({"resource": {"labels": {"lab": "v"}}}, [1]),
        ({"resource": {"labels": {"lab": ["v", "w"]}}}, [2, 1]),
        ({"resource": {"labels": {"lab": "!v"}}}, [2]),
        ({"resource": {"labels": {"lab": "*"}}}, [2, 1]),
        ({"resource": {"id_prefix": ["x."], "distinct": True}}, [4, 2]),
        ({"related": {"id": ["f.1"]}}, [2, 1]),
        ({"related": {"id": ["x.1"]}}, [3]),
        ({"related": {"id": ["f.1"], "role": ["tag"]}}, []),
        ({"related": {"role": ["tag"]}}, [1]),
        ({"related": {"role": ["flow"], "labels": {"k": "2"}}}, []),
        ({"related": {"id": ["f.1"], "labels": {"k": "2"}}}, []),
        ({"related": {"resources_in_roles": [("f.1", "flow")]}}, [2, 1]),
        ({"related": {"resources_in_roles": [("f.1", "tag")]}}, []),
        ({"related": {"resources_in_roles": [("f.1", "tag"), ("t.1", "tag")]}}, [1]),
        ({"related": [{"id": ["f.1"]}, {"id": ["t.1"]}]}, [1]),
        ({"any_resource": {"id": ["x.1"]}}, [4, 3, 1]),
        ({"any_resource": {"id_prefix": ["x."]}}, [4, 3, 2, 1]),
        ({"any_resource": [{"id": ["x.1"]}, {"id": ["y.1"]}]}, [3]),
        ({"any_resource": {"labels": {"k": "1"}}}, [1]),
        ({"any_resource": {"id": ["f.1"], "labels": {"k": "2"}}}, []),
        ({"id": {"id": [UUID(int=2)]}}, [2]),
        ({"id": {"id": []}}, [5, 4, 3, 2, 1]),
        ({"occurred": {"since": after(2), "until": after(3)}}, [3, 2]),
        ({"text": {"query": "zebra"}}, [1]),
        ({"text": {"query": "NEEDLE zebra"}}, [3, 1]),
        ({"text": {"query": "+f.1 -zebra"}}, [2]),
        ({"text": {"query": "b.one"}}, [5, 3]),
        ({"text": {"query": ""}}, [5, 4, 3, 2, 1]),
    ],
)
def test_filters(tx, wanted, found):
    assert find(tx, **wanted) == found
    if "text" not in wanted and not (wanted.get("resource") or {}).get("distinct"):
        meant = EventFilter(**{"occurred": DAY, **wanted})
        assert sorted(event.id.int for event in EVENTS if meant.includes(event)) == sorted(found)
        assert all(meant.excludes(event) is not meant.includes(event) for event in EVENTS)


def test_what_was_sent_comes_back(tx):
    (found,) = read_events(tx, EventQuery(filter=EventFilter(occurred=DAY, id={"id": [UUID(int=1)]}))).events
    assert found.model_dump(exclude={"received"}) == EVENTS[0].model_dump()
    assert found.received <= now()


def test_an_event_that_is_sent_again_is_kept_once(tx):
    changed = sent(1, "other", "z", related("more", "r"), related("more", "r"), related("more", "r"))
    create_events(tx, [changed, changed, sent(6, "a.six", "x.6")])
    assert find(tx) == [6, 5, 4, 3, 2, 1]
    assert find(tx, any_resource={"id": ["more"]}) == []


def test_without_a_filter_what_has_happened_until_now(both):
    create_events(both, [sent(1, "past", "x").model_copy(update={"occurred": now() - timedelta(days=1)})])
    create_events(both, [sent(2, "future", "x").model_copy(update={"occurred": now() + timedelta(hours=1)})])
    assert numbers(read_events(both, EventQuery())) == [1]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_pages(both, order):
    # several at the same moment: a page may end between them
    many = [sent(n, "e", "x").model_copy(update={"occurred": after(n // 3)}) for n in range(1, 12)]
    create_events(both, many)
    page = read_events(both, EventQuery(filter=EventFilter(occurred=DAY, order=order), limit=4))
    seen, totals = numbers(page), [page.total]
    create_events(both, [sent(99, "later", "x").model_copy(update={"occurred": after(-5 if order == "ASC" else 99)})])
    while page.next_page:
        (token,) = parse_qs(urlsplit(page.next_page).query)["page-token"]
        page = read_next_events(both, token)
        seen += numbers(page)
        totals.append(page.total)
    assert seen == sorted(range(1, 12), reverse=order == "DESC")
    assert totals == [11, 11, 11]


def test_a_page_of_nothing_counts(tx):
    page = read_events(tx, EventQuery(filter=EventFilter(occurred=DAY), limit=0))
    assert (page.events, page.total, page.next_page) == ([], 5, None)


@pytest.mark.parametrize("token", ["", "zz", "é", "e30="])
def test_a_token_of_somebody_else(both, token):
    with pytest.raises(Forbidden, match="page-token"):
        read_next_events(both, token)


def test_counts_by_kind(tx):
    body = EventCounts(filter=EventFilter(occurred=DAY))
    by_name = [(count.value, count.label, count.count) for count in count_events(tx, Countable.event, body)]
    assert by_name[0] == ("a.one", "a.one", 2) and sorted(by_name[1:]) == [
        ("a.two", "a.two", 1),
        ("b.One", "b.One", 1),
        ("b.one", "b.one", 1),
    ]
    first, *others = count_events(tx, Countable.resource, body)
    assert (first.value, first.count, first.start_time, first.end_time) == ("x.1", 2, after(1), after(4))
    assert [(count.value, count.count) for count in others] == [("x.2", 1), ("y.1", 1), ("y.2", 1)]


def test_counts_by_time(tx):
    span = EventFilter(occurred={"since": after(1), "until": after(70)})
    counts = count_events(tx, Countable.time, EventCounts(filter=span, time_unit="minute", time_interval=0.5))
    assert [(count.value, count.count) for count in counts] == [("0", 5), ("1", 0), ("2", 0)]
    assert counts[0].label == "2024-05-17T12:00:00+00:00" and counts[0].start_time == NOON
    assert counts[0].end_time == after(30) - timedelta(microseconds=1)
    seconds = count_events(tx, Countable.time, EventCounts(filter=span, time_unit="second", time_interval=2))
    assert [count.count for count in seconds][:4] == [2, 2, 1, 0]
    days = count_events(tx, Countable.day, EventCounts(filter=EventFilter(occurred=DAY), time_unit="second"))
    assert [count.count for count in days] == [0, 5, 0]
    weeks = count_events(tx, Countable.time, EventCounts(filter=EventFilter(occurred=DAY), time_unit="week"))
    assert [(count.start_time.weekday(), count.count) for count in weeks] == [(0, 5)]
    with pytest.raises(Invalid, match="too many"):
        count_events(tx, Countable.time, EventCounts(filter=EventFilter(occurred=DAY), time_unit="second"))


def test_events_that_are_refused(both):
    with pytest.raises(ValidationError, match="at most 1024 characters"):
        sent(1, "e" * 1025, "x")
    for missing in ("id", "occurred"):
        with pytest.raises(ValidationError, match=missing):
            SentEvent.model_validate({name: value for name, value in EVENTS[0].model_dump().items() if name != missing})
    with temporary_settings({PREFECT_SERVER_EVENTS_MAXIMUM_SIZE_BYTES: 100}), pytest.raises(Invalid, match="100 bytes"):
        create_events(both, EVENTS[:1])


# -- filters mean in SQL what they mean in memory -------------------------------------------------------------------

WORD = st.sampled_from(["a", "a.b", "A", "b", "b.c", "a%", "", "a_", 'q"', "é"])
ID = WORD.filter(bool)
LABELS = st.dictionaries(st.sampled_from(["k", "k.l", 'q"', "$"]), WORD, max_size=2)
EXPECTED = st.builds("{}{}{}".format, st.sampled_from(["", "!", "!!"]), WORD, st.sampled_from(["", "*"]))
SPECIFICATION = st.dictionaries(
    st.sampled_from(["k", "k.l", 'q"', "$"]), EXPECTED | st.lists(EXPECTED, min_size=1, max_size=2), max_size=2
)
SOME = st.none() | st.lists(WORD, max_size=2)
RESOURCE = st.builds(lambda id, labels: {**labels, "prefect.resource.id": id}, ID, LABELS)
RELATED = st.builds(lambda resource, role: {**resource, "prefect.resource.role": role}, RESOURCE, ID)
CONDITIONS = {"id": SOME, "labels": st.none() | SPECIFICATION}
ANY = st.fixed_dictionaries({**CONDITIONS, "id_prefix": SOME})
OTHER = st.fixed_dictionaries(
    {**CONDITIONS, "role": SOME, "resources_in_roles": st.none() | st.lists(st.tuples(WORD, WORD), max_size=2)}
)
WANTED = st.fixed_dictionaries(
    {
        "event": st.none()
        | st.fixed_dictionaries(dict.fromkeys(("prefix", "exclude_prefix", "name", "exclude_name"), SOME)),
        "resource": st.none() | ANY,
        "related": st.none() | OTHER | st.lists(OTHER, max_size=2),
        "any_resource": st.none() | ANY | st.lists(ANY, max_size=2),
    }
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WORD, RESOURCE, st.lists(RELATED, max_size=2)), max_size=6), WANTED)
def test_the_database_and_memory_agree(both, given_events, wanted):
    events = [
        SentEvent(id=UUID(int=n), occurred=after(n), event=name, resource=resource, related=others)
        for n, (name, resource, others) in enumerate(given_events)
    ]
    meant = EventFilter(occurred=DAY, order="ASC", **wanted)
    with both.begin_nested() as savepoint:
        create_events(both, events)
        found: list[Event] = list(read_events(both, EventQuery(filter=meant)).events)
        savepoint.rollback()
    assert [event.id for event in found] == [event.id for event in events if meant.includes(event)]
