"""What events are made of, and which resources a specification means."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect.events import Event, ReceivedEvent, RelatedResource, Resource, ResourceSpecification
from prefect.events.schemas.events import matches
from prefect.events.schemas.labelling import LabelDiver, Labelled
from prefect.settings import PREFECT_SERVER_EVENTS_MAXIMUM_RELATED_RESOURCES, temporary_settings

RUN = Resource(
    {"prefect.resource.id": f"prefect.flow-run.{UUID(int=5)}", "prefect.resource.name": "swift-fox", "a.b": "1"}
)
RELATED = [
    {"prefect.resource.id": "f1", "prefect.resource.role": "flow", "prefect.resource.name": "etl"},
    {"prefect.resource.id": "t1", "prefect.resource.role": "tag"},
    {"prefect.resource.id": "t2", "prefect.resource.role": "tag"},
]


def event(**fields) -> Event:
    return Event(**{"event": "e", "resource": {"prefect.resource.id": "x", "lab": "v"}, "related": RELATED, **fields})


# as the peer answers
@pytest.mark.parametrize(
    ("expected", "value", "result"),
    [
        ("a", "a", True), ("a", "A", False), ("a*", "abc", True), ("a*", "a", True), ("*", "", True), ("!a", "a", False),
        ("!a", "b", True), ("!a*", "abc", False), ("!a*", "b", True), ("!*", "x", False), ("a", "a*", False),
        ("a*b", "axb", False), ("", "", True), ("", "x", False), ("!", "", False), ("!", "x", True), ("!!a", "a", True),
        ("!!a", "!a", False), ("*a", "ba", False), ("a", None, False), ("*", None, False), ("!a", None, False),
    ],
)  # fmt: skip
def test_matches(expected, value, result):
    assert matches(expected, value) is result


@given(st.text(), st.text())
def test_an_exclamation_mark_turns_a_match_round(expected, value):
    assert matches("!" + expected, value) is not matches(expected, value)


@given(st.text().filter(lambda text: not text.startswith("!")), st.text())
def test_a_star_stands_for_every_ending(start, end):
    assert matches(start + "*", start + end)


def test_labels_read_as_a_mapping():
    assert (RUN.id, RUN.name) == (RUN["prefect.resource.id"], "swift-fox")
    assert Resource({"prefect.resource.id": "x"}).name is None
    assert "a.b" in RUN and "zz" not in RUN and RUN.get("zz", "d") == "d"
    assert list(RUN.keys()) == ["prefect.resource.id", "prefect.resource.name", "a.b"]
    assert dict(RUN.items()) == RUN.root
    assert Labelled({"k": "1"}).as_label_value_array() == [{"label": "k", "value": "1"}]
    with pytest.raises(KeyError):
        RUN["zz"]


@pytest.mark.parametrize(
    ("labels", "result"), [({}, True), ({"a.b": "1"}, True), ({"a.b": "2"}, False), ({"zz": "1"}, False)]
)
def test_has_all_labels(labels, result):
    assert RUN.has_all_labels(labels) is result


def test_labels_read_as_attributes():
    labels = RUN.labels
    assert str(labels.prefect.resource.name) == "swift-fox"
    assert str(labels.prefect) == "" and dict(labels.a) == {"b": "1"} and labels["a.b"] == "1" and len(labels) == 3
    both = LabelDiver({"a": "1", "a.b": "2"})
    assert (str(both.a), str(both.a.b)) == ("1", "2") and both.a.b
    for name in ("zz", "_private"):
        with pytest.raises(AttributeError):
            getattr(labels, name)


def test_the_object_a_resource_stands_for():
    assert RUN.prefect_object_id("prefect.flow-run") == RUN.prefect_object_id("prefect.flow-run.") == UUID(int=5)
    for kind in ("prefect.flow", "prefect.task-run"):
        with pytest.raises(ValueError, match="does not start with"):
            RUN.prefect_object_id(kind)
    with pytest.raises(ValueError):
        Resource({"prefect.resource.id": "prefect.flow.x"}).prefect_object_id("prefect.flow")


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        (Resource, {}, "must include the prefect.resource.id label"),
        (Resource, {"prefect.resource.id": ""}, "must be non-empty"),
        (Resource, {"prefect.resource.id": 3}, "valid string"),
        (Resource, {"prefect.resource.id": "x", **{f"l{n}": "" for n in range(500)}}, "labels per resource is 500"),
        (RelatedResource, {"prefect.resource.id": "x"}, "must include the prefect.resource.role label"),
        (RelatedResource, {"prefect.resource.id": "x", "prefect.resource.role": ""}, "must be non-empty"),
    ],
)
def test_resources_that_are_refused(kind, labels, message):
    with pytest.raises(ValidationError, match=message):
        kind(labels)


def test_the_resources_of_an_event():
    made = event()
    assert [resource.id for resource in made.involved_resources] == ["x", "f1", "t1", "t2"]
    assert {role: found.id for role, found in made.resource_in_role.items()} == {"flow": "f1", "tag": "t1"}
    assert [found.id for found in made.resources_in_role["tag"]] == ["t1", "t2"]
    assert list(made.resources_in_role["nothing"]) == []


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("lab", "v"), ("nope", None), ("related:flow:prefect.resource.name", "etl"), ("related:zz:k", None),
        ("related:tag:prefect.resource.id", "t1"), ("flow:prefect.resource.name", None), ("related:flow", None),
    ],
)  # fmt: skip
def test_find_resource_label(label, value):
    assert event().find_resource_label(label) == value


def test_as_json():
    made = event(occurred=datetime(2026, 1, 1, tzinfo=UTC), id=UUID(int=7), payload={"a": 1})
    assert made.model_dump(mode="json") == {
        "occurred": "2026-01-01T00:00:00Z",
        "event": "e",
        "resource": {"prefect.resource.id": "x", "lab": "v"},
        "related": RELATED,
        "payload": {"a": 1},
        "id": "00000000-0000-0000-0000-000000000007",
        "follows": None,
    }
    assert made.size_bytes == len(made.model_dump_json())
    assert Event.model_validate_json(made.model_dump_json()) == made


def test_a_moment_without_a_zone_is_utc():
    assert event(occurred=datetime(2026, 1, 1)).occurred == datetime(2026, 1, 1, tzinfo=UTC)


def test_limits_come_from_the_settings_and_do_not_hide_what_is_stored():
    with temporary_settings({PREFECT_SERVER_EVENTS_MAXIMUM_RELATED_RESOURCES: 2}):
        with pytest.raises(ValidationError, match="related resources is 2"):
            event()
        stored = {**event(related=[]).model_dump(), "related": RELATED, "received": datetime.now(UTC)}
        assert len(ReceivedEvent.model_validate(stored, context={"stored": True}).related) == 3


# (every resource, every flow run, the flow run above, none at all), as the peer answers
@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        ({}, (True, True, True, True)),
        ({"prefect.resource.id": "*"}, (False, False, True, False)),
        ({"prefect.resource.id": "x*"}, (False, False, False, False)),
        ({"prefect.resource.id": "prefect.flow-run.*"}, (False, True, True, False)),
        ({"prefect.resource.id": ["prefect.flow-run.*", "x"]}, (False, True, True, False)),
        ({"prefect.resource.id": "prefect.flow-run.*", "a": "b"}, (False, False, False, False)),
    ],
)
def test_specifications(labels, answers):
    meant = ResourceSpecification(labels)
    assert answers == (
        meant.matches_every_resource(),
        meant.matches_every_resource_of_kind("prefect.flow-run"),
        meant.matches(RUN),
        meant.includes([]),
    )
    assert meant.includes([RUN]) is meant.matches(RUN)


@pytest.mark.parametrize(
    ("labels", "result"),
    [
        ({"a.b": "1"}, True), ({"a.b": ["1", "2"]}, True), ({"a.b": "!1"}, False), ({"a.b": "!2"}, True),
        ({"a.b": ["!2", "!3"]}, True), ({"zz": "!1"}, False), ({"zz": "*"}, False), ({"a.b": ["!2", "3"]}, True),
    ],
)  # fmt: skip
def test_specified_values(labels, result):
    assert ResourceSpecification(labels).matches(RUN) is result


def test_a_specification_reads_as_a_mapping_of_lists():
    meant = ResourceSpecification({"a": "b"})
    assert meant["a"] == meant.get("a") == ["b"] and meant.get("z") is None and meant.get("z", "q") == ["q"]
    assert list(meant.items()) == [("a", ["b"])] and "a" in meant and len(meant) == 1
    copy = meant.deepcopy()
    copy["a"] = ["c"]
    assert copy.pop("a") == ["c"] and len(copy) == 0 and meant.model_dump() == {"a": "b"}
