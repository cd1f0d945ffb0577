# Signatures as users write them:
# ruff: noqa: B006, B008, RUF013
"""Functions whose parameter schemas are compared with facts: what Prefect 3.8.4 answers for the same functions."""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, Field

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Inner(BaseModel):
    """What the inner thing is."""

    n: int = Field(default=3, ge=0, description="a number")


class Outer(BaseModel):
    inner: Inner
    many: list[Inner] = []
    tag: str | None = None


class Node(BaseModel):
    value: int
    children: list["Node"] = []


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Opaque:
    pass


def nothing(): ...
def untyped(x, y=1): ...
def scalars(a: int, b: str, c: float, d: bool, e: bytes, f: None): ...
def defaults(a: int = 1, b: str = "x", c: float = 1.5, d: bool = False, e: None = None): ...
def optional(a: int | None = None, b: str | None = None, c: int | str = 1, d: int | None = 5): ...
def no_optional_needed(a: int = None): ...
def lists(
    a: list, b: list[int], c: list[str], d: tuple[int, str], e: tuple[int, ...], f: set[int], g: frozenset[str]
): ...
def dicts(a: dict, b: dict[str, int], c: dict[str, Any], d: Mapping[str, int], e: Sequence[int]): ...
def dates(a: datetime.datetime, b: datetime.date, c: datetime.timedelta, d: datetime.time): ...
def date_defaults(
    a: datetime.datetime = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    b: datetime.timedelta = datetime.timedelta(seconds=90),
    c: datetime.date = datetime.date(2024, 1, 2),
): ...
def misc(a: uuid.UUID, b: pathlib.Path, c: decimal.Decimal, d: Any, e: object): ...
def misc_defaults(
    a: pathlib.Path = pathlib.Path("a/b"), b: uuid.UUID = uuid.UUID(int=1), c: decimal.Decimal = decimal.Decimal("1.5")
): ...
def literals(a: Literal["x", "y"], b: Literal[1, 2] = 1): ...
def enums(a: Color, b: Color = Color.RED, c: Level = Level.HIGH): ...
def models(a: Outer, b: Inner = Inner(n=4), c: Outer | None = None): ...
def recursive(a: Node): ...
def model_list(a: list[Inner], b: dict[str, Inner]): ...
def data_class(a: Point, b: Point = Point(1)): ...
def arbitrary(a: Opaque, b: Opaque = Opaque(), c: Opaque | None = None): ...
def callables(a: Callable, b: Callable[[int], int] = len): ...
def annotated(a: Annotated[int, Field(gt=3, description="big", title="Big A")], b: Annotated[str, "note"] = "q"): ...
def fields(a: int = Field(default=4, gt=3, title="AA", description="an a"), b: str = Field(...)): ...
def secret(a: pydantic.SecretStr, b: pydantic.SecretStr = pydantic.SecretStr("x")): ...
def variadic(a: int, *args: int, b: str = "x", **kw: Any): ...
def keyword_only(a: int, *, b: int, c: int = 3): ...
def positional_only(a: int, /, b: int = 2): ...
def shadowing(
    schema: int, copy: str, json: str = "x", model_dump: int = 1, model_config: int = 2, validate: int = 3
): ...
def model_named(model_name: str, construct: str): ...
def type_var(a: T, b: type[int]): ...
def string_ref(a: "Inner", b: "list[Outer]"): ...
def unserializable_default(a=object(), b: dict = {1: object()}): ...
def mutable_defaults(a: list = [1], b: dict = {"x": 1}, c: set = {1}): ...


def google(a: int, b: str = "x", *args, **kw):
    """Do the thing.

    More words.

    Args:
        a: the first one
            and its second line
        b (str, optional): the second: with a colon
        *args: the rest
        **kw: named rest

    Returns:
        nothing
    """


def google_partial(a: int, b: Annotated[str, Field(description="from the field")] = "x"):
    """Short.

    Arguments:
        b: from the docstring
    """


async def coroutine(a: int): ...


def generator(a: int):
    yield a


class Methods:
    def method(self, x: int): ...

    @classmethod
    def by_class(cls, x: int): ...

    @staticmethod
    def static(x: int): ...


CASES = [
    nothing, untyped, scalars, defaults, optional, no_optional_needed, lists, dicts, dates, date_defaults, misc, misc_defaults,
    literals, enums, models, recursive, model_list, data_class, arbitrary, callables, annotated, fields, secret, variadic, keyword_only,
    positional_only, shadowing, model_named, type_var, string_ref, unserializable_default, mutable_defaults, google, google_partial,
    coroutine, generator, Methods.method, Methods().method, Methods.by_class, Methods.static,
]  # fmt: skip
