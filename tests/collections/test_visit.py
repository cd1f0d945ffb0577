from __future__ import annotations

import collections
import dataclasses
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from prefect._collections import StopVisiting, contains_only_plain, visit_collection
from prefect.utilities.annotations import allow_failure, opaque, quote, unmapped


def inc(value):
    return value + 1 if type(value) is int else value


def seen_in(expr, **options):
    seen = []
    visit_collection(expr, seen.append, **options)
    return seen


@dataclasses.dataclass
class Data:
    x: int
    y: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    computed: Any = dataclasses.field(default=1, init=False)


@dataclasses.dataclass
class Derived:
    x: int
    double: int = dataclasses.field(init=False)

    def __post_init__(self):
        self.double = f"twice {self.x}"


@dataclasses.dataclass
class NeedsMore:
    x: int
    more: dataclasses.InitVar[int]

    def __post_init__(self, more):
        self.kept = more


class Model(BaseModel):
    x: int
    y: Any = None
    _private: int = PrivateAttr(default=1)


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int
    z: int = Field(default=1, alias="zz")


class Extra(BaseModel, extra="allow"):
    x: int


Pair = collections.namedtuple("Pair", "a b")


class MyList(list):
    pass


class Thing:
    pass


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (1, 2),
        ("a", "a"),
        ([1, 2], [2, 3]),
        ((1, 2), (2, 3)),
        ({1, 2}, {2, 3}),
        ({"a": 1}, {"a": 2}),
        ({1: 2}, {2: 3}),
        ({(1, 2): 3}, {(2, 3): 4}),
        ([[1], {"a": (1,)}], [[2], {"a": (2,)}]),
        (Data(1, [2]), Data(2, [3])),
        (Model(x=1, y=[2]), Model(x=2, y=[3])),
        (FrozenModel(x=1), FrozenModel(x=2, zz=2)),
        (Extra(x=1, q=5), Extra(x=2, q=6)),
        (Pair(1, 2), Pair(2, 3)),
        (MyList([1]), MyList([2])),
        (collections.OrderedDict(a=1), collections.OrderedDict(a=2)),
        (collections.defaultdict(int, a=1), collections.defaultdict(int, a=2)),
        (quote([1]), quote([2])),
        (unmapped([1]), unmapped([2])),
        (allow_failure(1), allow_failure(2)),
        (opaque(1), opaque(2)),
        ({"k": quote(1)}, {"k": quote(2)}),
    ],
)
def test_replaces_inside_and_keeps_the_type(expr, expected):
    result = visit_collection(expr, inc, return_data=True)
    assert result == expected
    assert type(result) is type(expected)
    assert visit_collection(expr, lambda value: value, return_data=True) is expr
    assert visit_collection(expr, inc) is None


@pytest.mark.parametrize(
    "expr",
    [
        *(b"ab", range(2), frozenset([1]), collections.deque([1]), Thing(), Data, Model, Mock(), {"a": 1}.items()),
        *((i for i in [1]), iter([1]), opaque([1])),
    ],
)
def test_does_not_look_inside_others(expr):
    assert visit_collection(expr, inc, return_data=True) is expr


def test_generators_are_not_consumed():
    generator = (i for i in [1, 2])
    visit_collection([generator], inc, return_data=True)
    assert list(generator) == [1, 2]


def test_goes_from_the_outside_in():
    assert seen_in([1, {"a": (2,)}]) == [[1, {"a": (2,)}], 1, {"a": (2,)}, "a", (2,), 2]
    assert seen_in(opaque([1])) == [opaque([1]), [1]]
    assert seen_in(Data(1, [2])) == [Data(1, [2]), 1, [2], 2]


@pytest.mark.parametrize(
    ("depth", "expected"), [(0, [1, [2, [3]]]), (1, [2, [2, [3]]]), (2, [2, [3, [3]]]), (-1, [2, [3, [4]]])]
)
def test_depth(depth, expected):
    assert visit_collection([1, [2, [3]]], inc, return_data=True, max_depth=depth) == expected


def test_a_replacement_is_looked_into():
    assert visit_collection([1, 2], lambda v: [9, 9] if v == 1 else inc(v), return_data=True) == [[10, 10], 3]
    assert visit_collection([1], lambda v: {"new": 5} if v == [1] else inc(v), return_data=True) == {"new": 6}


def test_only_what_changed_is_copied():
    kept, changed = ["a"], [1]
    result = visit_collection({"k": kept, "c": changed}, inc, return_data=True)
    assert result["k"] is kept
    assert result["c"] == [2]
    assert changed == [1]


def test_annotations_can_be_removed():
    marked = [quote([1]), unmapped(2), {"k": allow_failure(opaque([3]))}]
    assert visit_collection(marked, lambda v: v, return_data=True, remove_annotations=True) == [[1], 2, {"k": [3]}]


def test_context_goes_down_but_not_sideways():
    def visit(value, context):
        context["n"] = context.get("n", 0) + 1
        return value + context["n"] if isinstance(value, int) else value

    context = {}
    assert visit_collection([1, [2, {"a": 3}]], visit, context=context, return_data=True) == [3, [5, {"a": 7}]]
    assert context == {"n": 1}


def test_context_tells_of_the_annotation():
    marks = []

    def visit(value, context):
        marks.append((value, context.get("annotation")))
        return value

    visit_collection([1, quote([2])], visit, context={})
    mark = quote([2])
    assert marks == [([1, mark], None), (1, None), (mark, None), ([2], mark), (2, mark)]


def test_stop_leaves_a_value_alone():
    def visit(value):
        if value == [2, 3]:
            raise StopVisiting
        return inc(value)

    assert visit_collection([1, [2, 3]], visit, return_data=True) == [2, [2, 3]]
    assert visit_collection([2, 3], visit, return_data=True) == [2, 3]
    assert not issubclass(StopVisiting, Exception)


def test_cycles_end():
    numbers: list[Any] = [1]
    numbers.append(numbers)
    result = visit_collection(numbers, inc, return_data=True)
    assert result[0] == 2
    assert result[1] is numbers
    assert seen_in(numbers) == [numbers, 1, numbers]
    model = Model(x=1)
    model.y = model
    assert visit_collection(model, lambda v: v, return_data=True) is model


def test_shared_values_are_replaced_wherever_they_are():
    shared = [1]
    assert visit_collection([shared, shared, (shared,)], inc, return_data=True) == [[2], [2], ([2],)]


def test_models_keep_what_is_not_a_field():
    model = Model(x=1)
    model._private = 7
    renewed = visit_collection(model, inc, return_data=True)
    assert (renewed.x, renewed._private, renewed.model_fields_set) == (2, 7, {"x"})
    assert model.x == 1
    unchecked = Model.model_construct(x="not a number", y=1)
    assert visit_collection(unchecked, inc, return_data=True).y == 2


def test_dataclasses_with_fields_outside_init():
    frozen = Frozen(1)
    object.__setattr__(frozen, "computed", 9)
    assert visit_collection(frozen, inc, return_data=True).computed == 10
    assert visit_collection(Derived(1), inc, return_data=True).double == "twice 2"
    renewed = visit_collection(NeedsMore(1, 5), inc, return_data=True)
    assert (renewed.x, renewed.kept) == (2, 5)


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False) | st.binary()
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(NESTED)
def test_plain_values_hold_only_plain_things(expr):
    if contains_only_plain(expr):
        assert all(type(v).__module__ == "builtins" for v in seen_in(expr))
    assert not contains_only_plain([expr, Thing()])
    assert not contains_only_plain({"a": (expr, quote(1))})
    assert visit_collection(expr, lambda v: v, return_data=True) is expr


@given(NESTED)
def test_replacing_reaches_every_integer(expr):
    text = repr(visit_collection(expr, lambda v: "N" if type(v) is int else v, return_data=True))
    eval_back = eval(text, {"nan": float("nan"), "inf": float("inf")})
    assert not any(type(v) is int for v in seen_in(eval_back))


def test_plain_check_gives_up_on_depth_and_cycles():
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    assert not contains_only_plain(deep)
    cycle: list[Any] = []
    cycle.append(cycle)
    assert not contains_only_plain(cycle)
    assert not contains_only_plain(MyList([1]))
    assert not contains_only_plain({Thing(): 1})
    assert contains_only_plain({"rows": [{"a": 1, "b": None}, {"a": 2.5}]})
