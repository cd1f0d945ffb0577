from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from prefect._parameters.serialization import dump_parameters
from prefect.utilities.annotations import quote


class Model(BaseModel):
    x: int


class WithSecret(BaseModel):
    secret: pydantic.SecretStr
    other: Any = None


@dataclasses.dataclass
class Data:
    x: Any


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Thing:
    def __init__(self):
        self.password = "hidden"


def one(value):
    dumped = dump_parameters({"value": value})
    orjson.dumps(dumped)
    return dumped["value"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        ("a", "a"),
        (None, None),
        (True, True),
        (1.5, 1.5),
        ([1, (2, 3)], [1, [2, 3]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
        ({1: 2, None: 3, Color.RED: 5}, {"1": 2, "null": 3, "red": 5}),
        ({(1, 2): 3}, {"[1, 2]": 3}),
        ({True: 1}, {"true": 1}),
        (Model(x=1), {"x": 1}),
        (Data([Model(x=1)]), {"x": [{"x": 1}]}),
        (Color.RED, "red"),
        (Level.LOW, 1),
        (datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), "2024-01-01T00:00:00+00:00"),
        (datetime.date(2024, 1, 1), "2024-01-01"),
        (datetime.time(1, 2), "01:02:00"),
        (datetime.timedelta(seconds=3.5), 3.5),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (Decimal("1.5"), "1.5"),
        (b"ab", "ab"),
        (b"\xff", "\\xff"),
        ("a\ud800", "a\\ud800"),
        (10**30, "1" + "0" * 30),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (quote([1]), [1]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (pydantic.SecretStr("x"), "**********"),
        (WithSecret(secret=pydantic.SecretStr("x")), {"secret": "**********", "other": None}),
        (pydantic.HttpUrl("https://example.com/"), "https://example.com/"),
        (Thing(), "<Thing>"),
        ([1, Thing()], [1, "<Thing>"]),
        (WithSecret(secret=pydantic.SecretStr("x"), other=Thing()), {"secret": "**********", "other": "<Thing>"}),
        (print, "<builtin_function_or_method>"),
        (int, "<type>"),
        (ValueError("x"), "<ValueError>"),
        (1 + 2j, "<complex>"),
    ],
)
def test_forms(value, expected):
    assert one(value) == expected


def test_generators_are_not_consumed():
    generator = (i for i in [1, 2])
    assert one(generator) == "<generator>"
    assert list(generator) == [1, 2]


def test_models_of_pydantic_1():
    from pydantic.v1 import BaseModel as OldBase
    from pydantic.v1 import SecretStr

    class Old(OldBase):
        x: int
        s: SecretStr = SecretStr("q")

    assert one(Old(x=1)) == {"x": 1, "s": "**********"}


def test_cycles_end():
    numbers: list[Any] = [1]
    numbers.append(numbers)
    assert "<list>" in repr(one(numbers))
    mark: Any = quote([])
    mark.unwrap().append(mark)
    assert "<" in repr(one(mark))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_json_is_written_as_it_is(value):
    assert one(value) == value


@given(st.from_type(type).flatmap(st.from_type).filter(lambda value: not isinstance(value, type)))
def test_anything_can_be_written(value):
    one(value)


def test_nothing_heavy_is_imported():
    program = """
import sys
from prefect._parameters.serialization import dump_parameters
dump_parameters({"a": [1, {"b": object()}]})
assert not {"pydantic", "asyncio", "inspect", "dataclasses"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
