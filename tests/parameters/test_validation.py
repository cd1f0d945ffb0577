# Both ways to write a union are tested:
# ruff: noqa: UP007, UP045
from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import subprocess
import sys
import typing
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypeVar, Union

import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from prefect._parameters.binding import FunctionSpec
from prefect._parameters.quickcheck import UNSURE, accepted_types, check_value
from prefect._parameters.validation import validate
from prefect.exceptions import ParameterTypeError, SignatureMismatchError

if TYPE_CHECKING:
    from somewhere_else import OnlyForCheckers  # type: ignore[import-not-found]

T = TypeVar("T")


def run(fn, *args, **kwargs):
    spec = FunctionSpec(fn)
    return validate(spec, spec.bind(args, kwargs), "my-flow")


class Model(BaseModel):
    x: int


@dataclasses.dataclass
class Data:
    x: int


class Shape(typing.TypedDict):
    x: int
    y: typing.NotRequired[list[Model]]


class Shape2(typing_extensions.TypedDict):
    x: int


class Color(enum.Enum):
    RED = "red"


class Thing:
    def method(self, x: int):
        pass

    @classmethod
    def by_class(cls, x: int):
        pass

    @staticmethod
    def static(x: int):
        pass

    def __call__(self, x: int):
        pass


def case(annotation, default=...):
    """A function with one parameter `x`."""
    if default is ...:

        def fn(x):
            pass
    else:

        def fn(x=default):
            pass

    fn.__annotations__["x"] = annotation
    return fn


MODEL, DATA, THING = Model(x=1), Data(1), Thing()


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, "5", 5),
        (int, 5.0, 5),
        (float, 1, 1.0),
        (bool, "yes", True),
        (Model, {"x": "5"}, Model(x=5)),
        (Data, {"x": "5"}, Data(5)),
        (Shape, {"x": "5", "y": [{"x": 1}]}, {"x": 5, "y": [Model(x=1)]}),
        (Shape2, {"x": "5"}, {"x": 5}),
        (list[Shape], [{"x": "5"}], [{"x": 5}]),
        (Color, "red", Color.RED),
        (list[Model], [{"x": 1}], [Model(x=1)]),
        (dict[str, Model], {"a": {"x": 1}}, {"a": Model(x=1)}),
        (Optional[Model], {"x": 1}, Model(x=1)),
        (Model | None, None, None),
        (Union[int, str], "5", "5"),
        (Annotated[int, Field(gt=3)], "4", 4),
        (tuple[int, str], ["1", "2"], (1, "2")),
        (tuple[int, ...], ["1", 2], (1, 2)),
        (set[int], ["1", "2"], {1, 2}),
        (list, (1, 2), [1, 2]),
        (datetime.datetime, "2024-01-01T00:00:00", datetime.datetime(2024, 1, 1)),
        (uuid.UUID, "12345678-1234-1234-1234-123456789012", uuid.UUID("12345678-1234-1234-1234-123456789012")),
        (Path, "a/b", Path("a/b")),
        (Callable, len, len),
        (type[Model], Model, Model),
        (T, "anything", "anything"),
        (Any, "5", "5"),
        ("list[Model]", [{"x": 1}], [Model(x=1)]),
        (list["Model"], [{"x": 1}], [Model(x=1)]),
        (Literal["a", 1], "a", "a"),
    ],
)
def test_coerces(annotation, given, expected):
    result = run(case(annotation), given)["x"]
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value"), [(Model, MODEL), (Data, DATA), (Thing, THING), (Any, [1]), (Color, Color.RED)]
)
def test_instances_are_passed_on_as_they_are(annotation, value):
    assert run(case(annotation), value)["x"] is value


def test_containers_are_copied_so_that_defaults_stay_as_they_are():
    for annotation, value in (
        (list, [1]),
        (list[int], [1]),
        (dict, {"a": 1}),
        (set[str], {"a"}),
        (list[Model], [MODEL]),
    ):
        result = run(case(annotation, value))["x"]
        assert result == value
        assert result is not value
    assert run(case(list[Model]), [MODEL])["x"][0] is MODEL


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (int, "abc", r"x: Input should be a valid integer.*\(given: str\)"),
        (int, None, "x: Input should be a valid integer"),
        (str, 1, "x: Input should be a valid string"),
        (Model, {"y": 1}, r"x\.x: Field required"),
        (Thing, 3, "x: Input should be an instance of Thing"),
        (Annotated[int, Field(gt=3)], 3, "x: Input should be greater than 3"),
        (Literal["a", "b"], "c", "x: Input should be 'a' or 'b'"),
        (list[int], [1, "z"], r"x\.1: Input should be a valid integer"),
    ],
)
def test_refuses_and_says_why(annotation, value, reason):
    with pytest.raises(ParameterTypeError, match=reason) as caught:
        run(case(annotation), value)
    assert "my-flow" in str(caught.value)


def test_the_error_names_every_faulty_parameter_and_no_value():
    def fn(a: int, b: uuid.UUID, c: str = "fine"):
        pass

    with pytest.raises(ParameterTypeError) as caught:
        run(fn, "secret-value", 4)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [" - a", " - b"]
    assert "secret-value" not in str(caught.value)


def test_defaults_are_checked():
    assert run(case(int, "5")) == {"x": 5}
    with pytest.raises(ParameterTypeError, match="valid integer"):
        run(case(int, None))


def test_defaults_given_as_fields():
    fn = case(int, Field(default=4, gt=3))
    assert run(fn) == {"x": 4}
    assert run(fn, "7") == {"x": 7}
    with pytest.raises(ParameterTypeError, match="greater than 3"):
        run(fn, 2)
    with pytest.raises(ParameterTypeError, match="x: Field required"):
        run(case(int, Field()))
    assert run(case(Any, Field(default_factory=list))) == {"x": []}


def test_variadic_parameters_are_not_checked():
    def fn(a: int, *args: int, **kw: int):
        pass

    assert run(fn, "1", "2", k="3") == {"a": 1, "args": ("2",), "kw": {"k": "3"}}


@pytest.mark.parametrize(
    "fn", [Thing().method, Thing.by_class, Thing.static, Thing(), functools.partial(Thing().method)]
)
def test_methods(fn):
    assert run(fn, "5") == {"x": 5}


def test_an_unbound_method_takes_any_self():
    assert run(Thing.method, THING, "5") == {"self": THING, "x": 5}


def test_wrapped_functions_are_checked_by_the_signature_they_show():
    def inner(x: int):
        pass

    @functools.wraps(inner)
    def wrapper(*args, **kwargs):
        return inner(*args, **kwargs)

    assert run(wrapper, "5") == {"x": 5}


def test_names_that_a_model_could_not_have():
    def fn(_x: int, model_x: int, schema: int, copy: int, json: int, validate: int, self: int):
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(run(fn, *"1234567").values()) == [1, 2, 3, 4, 5, 6, 7]


def test_positional_only():
    def fn(a: int, /, b: int):
        pass

    assert run(fn, "1", "2") == {"a": 1, "b": 2}


def test_classes_of_the_enclosing_function():
    class Local(BaseModel):
        y: int

    def fn(x: Local, z: Local | None = None):
        pass

    assert run(fn, {"y": "1"})["x"] == Local(y=1)

    def closing_over(x: Local):
        return Local

    assert run(closing_over, {"y": "1"})["x"] == Local(y=1)


def test_an_annotation_that_cannot_be_resolved_warns_and_lets_the_value_pass():
    def fn(x: OnlyForCheckers, y: int):
        pass

    spec = FunctionSpec(fn)
    with pytest.warns(UserWarning, match="'x' of flow 'my-flow'.*OnlyForCheckers"):
        assert validate(spec, spec.bind((1, "2"), {}), "my-flow") == {"x": 1, "y": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert validate(spec, spec.bind((1, "2"), {}), "my-flow") == {"x": 1, "y": 2}


def test_an_annotation_without_sense_warns_and_lets_the_value_pass():
    class Faulty:
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            raise LookupError("no such schema")

    with pytest.warns(UserWarning, match="'x'.*no such schema"):
        assert run(case(Faulty), 3) == {"x": 3}


def test_models_of_pydantic_1():
    from pydantic.v1 import BaseModel as OldBase

    class Old(OldBase):
        x: int

    old = Old(x=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(case(Old), {"x": "5"})["x"] == Old(x=5)
        assert run(case(Old), old)["x"] is old
        assert run(case(Optional[list[Old]]), [{"x": "5"}])["x"] == [Old(x=5)]
    with pytest.raises(ParameterTypeError, match="field required"):
        run(case(Old), {"y": 1})


def test_names_are_checked():
    spec = FunctionSpec(case(int))
    with pytest.raises(SignatureMismatchError, match=r"my-flow.*'x'.*'q'"):
        validate(spec, {"x": 1, "q": 2}, "my-flow")
    with pytest.raises(ParameterTypeError, match="x: Field required"):
        validate(spec, {}, "my-flow")
    assert validate(FunctionSpec(case(int, 3)), {}) == {}


ANNOTATIONS = [
    *(int, str, float, bool, bytes, None, list, dict, set, tuple, int | None, float | None, int | float, str | float),
    *(
        list[int],
        list[float],
        list[list[int]],
        dict[str, int],
        dict[str, list[str]],
        tuple[int, str],
        tuple[float, ...],
    ),
    *(set[int], list[int | None], Optional[dict[str, float]], list[Any], Literal["a", 1], list[int] | dict[str, int]),
    *(list[int] | list[str], datetime.date, Optional[uuid.UUID], Thing, Data, bool | int),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["a", "1", "x", "true"])
    | st.binary()
)
VALUES = st.recursive(
    LEAVES,
    lambda i: (
        st.lists(i, max_size=3) | st.tuples(i, i) | st.dictionaries(st.sampled_from(["a", "b"]), i) | st.sets(LEAVES)
    ),
    max_leaves=5,
) | st.sampled_from([THING, DATA, datetime.date(2024, 1, 1), uuid.UUID(int=1)])


@given(st.sampled_from(ANNOTATIONS), VALUES)
def test_what_is_decided_quickly_is_what_pydantic_decides(annotation, value):
    accepted = accepted_types(annotation)
    quick = UNSURE if accepted is None else check_value(accepted, value)
    if quick is not UNSURE:
        config = None if annotation is Data else pydantic.ConfigDict(arbitrary_types_allowed=True)
        slow = pydantic.TypeAdapter(annotation, config=config).validate_python(value)
        assert repr(quick) == repr(slow)
        assert (quick is value) == (slow is value) or type(value) in (list, dict, set, tuple, frozenset, float)


def test_exact_types_do_not_import_pydantic():
    program = """
import sys
from prefect._parameters.binding import FunctionSpec
from prefect._parameters.validation import validate
def fn(a, b: int, c: "str | None" = None, d: list[str] = [], e: dict[str, float] | None = None, *args, f: bool = True): pass
spec = FunctionSpec(fn)
print(validate(spec, spec.bind((1, 2, "x", ["y"], {"k": 1}), {})))
assert not {"pydantic", "pydantic_core", "asyncio", "inspect"} & set(sys.modules), sorted(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "{'k': 1.0}" in done.stdout
