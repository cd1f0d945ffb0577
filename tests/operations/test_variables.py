"""Variables: made, read, changed, deleted, found."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect._ids import new_uuid
from prefect._operations import variables
from prefect._operations.errors import Conflict, Invalid, NotFound
from prefect._schemas.actions.records import VariableCreate, VariableUpdate
from prefect._schemas.variables import Variable


def make(tx: sa.Connection, name: str, value: Any = 1, **fields: Any) -> Variable:
    return variables.create_variable(tx, VariableCreate(name=name, value=value, **fields))


def names(tx: sa.Connection, **query: Any) -> list[str]:
    found = variables.read_variables(tx, variables.VariableQuery.model_validate(query))
    return [variable.name for variable in found]


def test_a_variable_is_what_was_made_of_it(both: sa.Connection) -> None:
    made = make(both, "answer", {"a": [1, "x", None]}, tags=["t"])
    assert (made.name, made.value, made.tags) == ("answer", {"a": [1, "x", None]}, ["t"])
    assert made.created is not None and made.updated is not None
    for read in (variables.read_variable(both, made.id), variables.read_variable_by_name(both, "answer")):
        assert read.model_dump() == made.model_dump()


def test_a_name_is_taken_once(both: sa.Connection) -> None:
    make(both, "a")
    with pytest.raises(Conflict, match="'a' already exists"):
        make(both, "a", 2)
    make(both, "b")
    with pytest.raises(Conflict, match="'a' already exists"):
        variables.update_variable_by_name(both, "b", VariableUpdate(name="a"))
    assert names(both) == ["a", "b"]


def test_what_is_not_given_stays(both: sa.Connection) -> None:
    made = make(both, "a", 1, tags=["t"])
    variables.update_variable(both, made.id, VariableUpdate(value=None))
    variables.update_variable_by_name(both, "a", VariableUpdate(name="b"))
    variables.update_variable_by_name(both, "b", VariableUpdate())
    read = variables.read_variable(both, made.id)
    assert (read.name, read.value, read.tags, read.created) == ("b", None, ["t"], made.created)
    assert read.updated is not None and made.updated is not None and read.updated > made.updated


def test_what_must_have_a_value_keeps_one(both: sa.Connection) -> None:
    make(both, "a")
    with pytest.raises(Invalid, match="name, tags cannot be null"):
        variables.update_variable_by_name(both, "a", VariableUpdate(name=None, tags=None))


def test_an_absent_variable_is_not_found(both: sa.Connection) -> None:
    id = new_uuid()
    for absent in (
        lambda: variables.read_variable(both, id),
        lambda: variables.read_variable_by_name(both, "nope"),
        lambda: variables.update_variable(both, id, VariableUpdate(value=1)),
        lambda: variables.update_variable_by_name(both, "nope", VariableUpdate()),
        lambda: variables.delete_variable(both, id),
        lambda: variables.delete_variable_by_name(both, "nope"),
    ):
        with pytest.raises(NotFound, match=r"Variable '.*' not found"):
            absent()


def test_deleted_by_id_and_by_name(both: sa.Connection) -> None:
    variables.delete_variable(both, make(both, "a").id)
    make(both, "a")
    variables.delete_variable_by_name(both, "a")
    assert names(both) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "alpha beta gamma"),
        ({"sort": "NAME_DESC"}, "gamma beta alpha"),
        ({"sort": "CREATED_DESC"}, "alpha beta gamma"),
        ({"sort": "UPDATED_DESC"}, "alpha beta gamma"),
        ({"limit": 1, "offset": 1}, "beta"),
        ({"limit": 0}, ""),
        ({"variables": {"name": {"like_": "A_P"}}}, "alpha"),
        ({"variables": {"name": {"like_": "ET"}}}, "beta"),
        ({"variables": {"name": {"any_": ["alpha", "gamma"]}}}, "alpha gamma"),
        ({"variables": {"id": {"any_": []}}}, ""),
        ({"variables": {"tags": {"all_": ["x", "y"]}}}, "alpha"),
        ({"variables": {"tags": {"is_null_": True}}}, "gamma"),
        ({"variables": {"operator": "or_", "tags": {"is_null_": True}, "name": {"any_": ["beta"]}}}, "beta gamma"),
    ],
)
def test_found(both: sa.Connection, query: dict[str, Any], expected: str) -> None:
    for name, tags in {"gamma": [], "beta": ["x"], "alpha": ["x", "y"]}.items():
        make(both, name, tags=tags)
    assert names(both, **query) == expected.split()
    if query.keys() <= {"variables"}:
        assert variables.count_variables(both, variables.VariableSelection.model_validate(query)) == len(
            expected.split()
        )


@pytest.mark.parametrize("name", ["A", "a b", "a/b", "ü", "x" * 256])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValidationError):
        VariableCreate(name=name, value=1)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text("abc", max_size=3), part, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(value=values)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_value_comes_back(both: sa.Connection, value: Any) -> None:
    made = make(both, "v", value)
    assert variables.read_variable(both, made.id).value == value
    variables.delete_variable(both, made.id)
