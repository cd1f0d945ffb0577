from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest
from pydantic import BaseModel, PrivateAttr, SecretStr, ValidationError

from prefect.utilities.pydantic import (
    PartialModel,
    add_cloudpickle_reduction,
    add_type_dispatch,
    custom_pydantic_encoder,
    get_class_fields_only,
    handle_secret_render,
    lookup_type,
    parse_obj_as,
)


class Model(BaseModel):
    x: int
    y: str = "a"


class More(Model):
    z: int = 3


class Holder(BaseModel):
    f: Any = None
    _hidden: int = PrivateAttr(default=1)


def test_partial_models():
    partial = PartialModel(Model, x="1")
    assert repr(partial) == "PartialModel(cls=Model, x='1')"
    partial.y = "b"
    assert partial.finalize() == Model(x=1, y="b")
    with pytest.raises(ValueError, match="'x' has already been set"):
        partial.x = 2
    with pytest.raises(ValueError, match="'y' has already been set"):
        partial.finalize(y="c")
    with pytest.raises(ValueError, match="'q' is not present"):
        PartialModel(Model, q=1)
    with pytest.raises(ValidationError, match="x"):
        PartialModel(Model).finalize()


@pytest.mark.parametrize("decorate", [add_cloudpickle_reduction, add_cloudpickle_reduction(protocol=4)])
def test_models_with_functions_can_be_pickled(decorate):
    @decorate
    class Local(Holder):
        pass

    held = Local(f=lambda: 5)
    held._hidden = 7
    back = pickle.loads(pickle.dumps(held))
    assert back.f() == 5
    assert back._hidden == 7
    assert back.model_fields_set == {"f"}


def test_dispatch_by_a_type_field():
    @add_type_dispatch
    class Shape(BaseModel):
        type: str

    class Circle(Shape):
        type: str = "circle"
        radius: int = 1

    made = Shape(type="circle", radius=2)
    assert isinstance(made, Circle)
    assert made.radius == 2
    assert Circle().type == "circle"
    assert lookup_type(Shape, "circle") is Circle
    with pytest.raises(KeyError, match="zz"):
        Shape(type="zz")


def test_dispatch_by_a_key():
    @add_type_dispatch
    class Base(BaseModel):
        @classmethod
        def __dispatch_key__(cls):
            return cls.__name__

    class Child(Base):
        n: int = 1

    assert isinstance(Base(type="Child"), Child)


def test_dispatch_needs_one_way():
    with pytest.raises(ValueError, match="does not define"):

        @add_type_dispatch
        class Neither(BaseModel):
            pass

    with pytest.raises(ValueError, match="Only one"):

        @add_type_dispatch
        class Both(BaseModel):
            type: str = "both"

            @classmethod
            def __dispatch_key__(cls):
                return "both"


def test_encoding():
    assert custom_pydantic_encoder({SecretStr: lambda secret: secret.get_secret_value()}, SecretStr("x")) == "x"
    assert custom_pydantic_encoder({int: str}, True) == "True"
    assert custom_pydantic_encoder({}, Model(x=1)) == {"x": 1, "y": "a"}
    assert custom_pydantic_encoder({}, datetime.date(2024, 1, 1)) == "2024-01-01"


def test_fields_of_the_class_itself():
    assert get_class_fields_only(More) == {"z"}
    assert get_class_fields_only(Model) == {"x", "y"}


def test_secrets():
    assert handle_secret_render(SecretStr("s"), {}) == "********"
    assert handle_secret_render(SecretStr("s"), {"include_secrets": True}) == "s"
    assert handle_secret_render(Model(x=1), {}) == {"x": 1, "y": "a"}
    assert handle_secret_render("plain", {}) == "plain"


def test_parsing():
    assert parse_obj_as(list[Model], [{"x": "1"}]) == [Model(x=1)]
    assert parse_obj_as(int, "5", mode="json") == 5
    assert parse_obj_as(dict[str, int], {"a": "1"}, mode="strings") == {"a": 1}
    with pytest.raises(ValidationError):
        parse_obj_as(int, "q")
