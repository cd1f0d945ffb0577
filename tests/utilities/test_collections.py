from __future__ import annotations

import io
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.utilities.collections import (
    AutoEnum,
    batched_iterable,
    deep_merge,
    deep_merge_dicts,
    dict_to_flatdict,
    distinct,
    ensure_iterable,
    extract_instances,
    flatdict_to_dict,
    get_from_dict,
    isiterable,
    listrepr,
    remove_nested_keys,
    set_in_dict,
)


class Color(AutoEnum):
    RED = AutoEnum.auto()
    BLUE = AutoEnum.auto()


def test_auto_enum_members_are_their_names():
    assert Color.RED == Color.RED.value == "RED"
    assert isinstance(Color.BLUE, str)
    assert repr(Color.RED) == str(Color.RED) == f"{Color.RED}" == "Color.RED"


def test_flatten():
    assert dict_to_flatdict({1: {2: {3: 4}, "a": {}}, "b": 5}) == {(1, 2, 3): 4, (1, "a"): {}, ("b",): 5}
    assert flatdict_to_dict({(1, 2): 3, (1, 4): 5, (6,): 7}) == {1: {2: 3, 4: 5}, 6: 7}


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3), max_leaves=8))
def test_flatten_and_back(value):
    outer = {"root": value}
    assert flatdict_to_dict(dict_to_flatdict(outer)) == outer


@pytest.mark.parametrize("value", [[1], (1,), {1}, {"a": 1}, range(3), iter([1]), frozenset([1]), deque([1])])
def test_iterables(value):
    assert isiterable(value)


@pytest.mark.parametrize("value", ["abc", b"ab", 1, None, io.StringIO("x")])
def test_not_iterables(value):
    assert not isiterable(value)


def test_ensure_iterable():
    for value in ([1], (1,), {1}, "abc", range(3), frozenset([1])):
        assert ensure_iterable(value) is value
    assert ensure_iterable(1) == [1]
    assert ensure_iterable(None) == [None]
    assert ensure_iterable({"a": 1}) == [{"a": 1}]


def test_listrepr():
    assert listrepr([1, "a", None]) == "1 'a' None"
    assert listrepr([1, "a"], sep=", ") == "1, 'a'"


def test_extract_instances():
    assert extract_instances([1, "a", 2.0, 3], (int, str)) == {int: [1, 3], str: ["a"]}
    assert extract_instances([1, "a", 2], int) == extract_instances([1, "a", 2], (int,)) == [1, 2]
    assert extract_instances([1, "a"]) == [1, "a"]
    assert extract_instances(["a"], int) == []


def test_batches():
    assert list(batched_iterable(range(7), 3)) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert list(batched_iterable([], 3)) == []
    with pytest.raises(ValueError, match="at least one"):
        next(batched_iterable([1], 0))


def test_distinct():
    assert list(distinct([1, 2, 1, 3])) == [1, 2, 3]
    assert list(distinct([1, 2, 11, 3], key=lambda x: x % 10)) == [1, 2, 3]


def test_remove_nested_keys():
    nested = {"a": 1, "b": {"a": 2, "c": [{"a": 1}]}}
    assert remove_nested_keys(["a"], nested) == {"b": {"c": [{"a": 1}]}}
    assert remove_nested_keys(["a"], 3) == 3


def test_get_from_dict():
    data = {"a": {"b": [0, 1, [10, 11]]}, "l": [1], "d": {"0": "zero"}}
    assert get_from_dict(data, "a.b[2][1]") == 11
    assert get_from_dict(data, ["a", "b", 0]) == 0
    assert get_from_dict(data, "d.0") == "zero"
    assert get_from_dict(data, "a.x", default=5) == 5
    assert get_from_dict(data, "l[5]", 9) == 9
    assert get_from_dict(data, "l[0].deeper") is None


def test_set_in_dict():
    for keys, expected in (("a.b.c", {"a": {"b": {"c": 1}}}), (["a", "b"], {"a": {"b": 1}}), ("a[b]", {"a": {"b": 1}})):
        data: dict = {}
        set_in_dict(data, keys, 1)
        assert data == expected
    with pytest.raises(TypeError, match="non-dict"):
        set_in_dict({"a": 3}, "a.b", 1)
    with pytest.raises(ValueError, match="empty"):
        set_in_dict({}, [], 1)


def test_merging():
    original = {"a": {"b": 1, "c": 2}}
    assert deep_merge(original, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
    assert original == {"a": {"b": 1, "c": 2}}
    assert deep_merge({"a": 1}, {"a": {"b": 3}}) == {"a": {"b": 3}}
    assert deep_merge_dicts({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 9}}) == {"a": {"b": 9, "c": 2}}
    assert deep_merge_dicts() == {}
