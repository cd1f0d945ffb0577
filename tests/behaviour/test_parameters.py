"""Parameters of flows: binding, coercion, models, errors that name the parameter, futures and states as arguments."""

import datetime
import enum
from typing import Annotated, Literal

import pydantic
import pytest

from prefect import flow, task, unmapped
from prefect.exceptions import ParameterBindError, ParameterTypeError, ReservedArgumentError
from prefect.states import Completed
from prefect.utilities.annotations import quote

from .support import Boom, both


class Colour(enum.Enum):
    RED = "red"


class Point(pydantic.BaseModel):
    x: int
    y: int = 0


COERCED = [
    (int, "5", 5),
    (int, 5.0, 5),
    (float, "1.5", 1.5),
    (bool, "true", True),
    (str, "text", "text"),
    (list[int], ["1", 2], [1, 2]),
    (dict[str, int], {"a": "1"}, {"a": 1}),
    (set[int], [1, 1], {1}),
    (tuple[int, str], ["1", "b"], (1, "b")),
    (datetime.date, "2024-05-06", datetime.date(2024, 5, 6)),
    (datetime.timedelta, 60, datetime.timedelta(minutes=1)),
    (Colour, "red", Colour.RED),
    (Point, {"x": "3"}, Point(x=3)),
    (Point, Point(x=4), Point(x=4)),
    (list[Point], [{"x": 1}, Point(x=2)], [Point(x=1), Point(x=2)]),
    (int | None, None, None),
    (int | str, "a", "a"),
    (Literal["a", "b"], "a", "a"),
    (Annotated[int, pydantic.Field(ge=0)], "3", 3),
    (object, Ellipsis, Ellipsis),
]


@both
@pytest.mark.parametrize("hint, given, expected", COERCED, ids=[str(row[0]) for row in COERCED])
async def test_annotated_parameters_are_coerced(hint, given, expected):
    @flow
    async def takes(x: hint):
        return x

    found = await takes(given)
    assert found == expected and type(found) is type(expected)
    assert await takes(x=given) == expected


REFUSED = [
    (int, "abc", "valid integer"),
    (int, None, "valid integer"),
    (list[int], "ab", "valid list"),
    (Point, {"y": 1}, "Field required"),
    (Point, 5, "Point"),
    (Colour, "blue", "red"),
    (Literal["a"], "b", "'a'"),
    (Annotated[int, pydantic.Field(ge=0)], -1, "greater than or equal to 0"),
]


@both
@pytest.mark.parametrize("hint, given, words", REFUSED, ids=[str(row[0]) for row in REFUSED])
async def test_a_value_of_the_wrong_type_is_refused_by_name(hint, given, words):
    @flow
    async def takes(ok: int, culprit: hint):
        return culprit

    with pytest.raises(ParameterTypeError) as caught:
        await takes(1, given)
    text = str(caught.value)
    assert text.splitlines()[1].startswith(" - culprit")
    assert words in text
    assert "- ok" not in text

    state = await takes(1, given, return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message.startswith("Validation of flow parameters failed with error:")


@both
async def test_every_wrong_parameter_is_listed():
    @flow
    async def takes(a: int, b: list[int]):
        return a, b

    with pytest.raises(ParameterTypeError) as caught:
        await takes("x", [1, "y"])
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == [" - a", " - b.1"]


@both
async def test_unannotated_parameters_keep_identity():
    marker = object()

    @flow
    async def takes(x, *args, **kwargs):
        return x is marker, args, kwargs

    assert await takes(marker, 1, 2, k=3) == (True, (1, 2), {"k": 3})


@both
async def test_models_come_as_instances_and_defaults_apply():
    @flow
    async def takes(p: Point, n: int = 3, names: list[str] = ["a"]):  # noqa: B006
        return p.x, n, names

    assert await takes({"x": 1}) == (1, 3, ["a"])
    assert await takes(Point(x=2), names=("b",)) == (2, 3, ["b"])


@both
async def test_defaults_are_coerced_too():
    @flow
    async def takes(p: Point = {"x": "5"}, when: datetime.date = "2020-01-02"):  # noqa: B006
        return p, when

    assert await takes() == (Point(x=5), datetime.date(2020, 1, 2))


@both
async def test_validation_can_be_switched_off():
    @flow(validate_parameters=False)
    async def takes(x: int, p: Point = None):
        return x, p

    assert await takes("abc", {"x": 1}) == ("abc", {"x": 1})


@both
async def test_positional_only_keyword_only_and_variadic():
    @flow
    async def takes(a: int, /, b: int, *rest, c: int, **more):
        return a, b, rest, c, more

    assert await takes("1", "2", "3", "4", c="5", d="6") == (1, 2, ("3", "4"), 5, {"d": "6"})


@both
@pytest.mark.parametrize(
    "args, kwargs, words",
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 1}, "got an unexpected keyword argument 'z'"),
        ((1,), {"a": 2}, "multiple values for argument 'a'"),
    ],
)
async def test_arguments_that_do_not_fit_the_signature(args, kwargs, words):
    @flow
    async def takes(a, b=1):
        return a

    @task
    async def takes_task(a, b=1):
        return a

    for called in (takes, takes_task):
        with pytest.raises(ParameterBindError) as caught:
            await called(*args, **kwargs)
        text = str(caught.value)
        assert words in text
        assert f"'{called.fn.__name__}'" in text and "a, b=1" in text
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("decorate", [flow, task])
@pytest.mark.parametrize("name", ["return_state", "wait_for"])
def test_reserved_names_are_refused_at_definition(decorate, name):
    scope: dict = {}
    exec(f"def fn({name}=None): pass", scope)
    with pytest.raises(ReservedArgumentError, match=f"'{name}' is a reserved argument name and cannot be used"):
        decorate(scope["fn"])


@both
async def test_futures_and_states_as_parameters_become_their_results():
    @task
    async def one():
        return 1

    @flow
    async def inner(a: int, b: list[int], c: dict[str, int]):
        return a, b, c

    @flow
    async def outer():
        state = await one(return_state=True)
        return await inner(one.submit(), [state, one.submit(), 5], {"k": state})

    assert await outer() == (1, [1, 1, 5], {"k": 1})


@both
async def test_a_failed_future_as_parameter_keeps_the_subflow_from_running(calls):
    @task
    async def bad():
        raise Boom("up")

    @flow
    async def inner(a):
        calls("ran")

    @flow
    async def outer():
        return await inner(bad.submit(), return_state=True)

    state = await outer(return_state=True)
    assert not state.is_completed()
    assert calls == []


@both
async def test_a_user_made_state_as_parameter_is_resolved():
    @flow
    async def takes(x):
        return x

    assert await takes(Completed(data=3)) == 3


@both
async def test_quoted_parameters_are_left_alone():
    @task
    async def takes(x):
        return x

    inner = [1, [2, {"k": 3}]]

    @flow
    async def outer():
        return await takes(quote(inner))

    found = await outer()
    assert found == inner or found.unquote() == inner


@both
async def test_mutating_an_argument_shows_to_the_caller_of_a_task():
    @task
    async def adds(items):
        items.append(1)

    @flow
    async def outer():
        items = []
        await adds(items)
        return items

    assert await outer() == [1]


def test_validate_and_serialize_parameters_by_hand():
    @flow
    def takes(p: Point, n: int = 1):
        return p

    assert takes.validate_parameters({"p": {"x": "1"}, "n": "2"}) == {"p": Point(x=1), "n": 2}
    assert takes.serialize_parameters({"p": Point(x=1), "n": 2}) == {"p": {"x": 1, "y": 0}, "n": 2}
    with pytest.raises(ParameterTypeError):
        takes.validate_parameters({"p": 3})


def test_parameter_schema():
    @flow
    def takes(p: Point, n: int = 1, *, label: str = "l"):
        """Does.

        Args:
            n: how many
        """

    schema = takes.parameters
    dumped = schema.model_dump()
    assert dumped["type"] == "object"
    assert dumped["required"] == ["p"]
    assert list(dumped["properties"]) == ["p", "n", "label"]
    assert dumped["properties"]["n"]["default"] == 1
    assert dumped["properties"]["n"]["type"] == "integer"
    assert dumped["properties"]["n"]["position"] == 1
    assert dumped["properties"]["n"]["description"] == "how many"
    assert dumped["definitions"]["Point"]["required"] == ["x"]


def test_unmapped_is_a_value_holder():
    assert unmapped([1, 2]).unwrap() == [1, 2]
    assert unmapped([1, 2]).value == [1, 2]
