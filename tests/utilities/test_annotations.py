from __future__ import annotations

import pickle

import cloudpickle
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from prefect.utilities.annotations import BaseAnnotation, Quote, allow_failure, freeze, opaque, quote, unmapped

KINDS = [unmapped, allow_failure, quote, opaque, freeze]


@pytest.mark.parametrize("kind", KINDS)
def test_wraps_and_unwraps(kind):
    mark = kind([1, 2])
    assert isinstance(mark, BaseAnnotation)
    assert mark.value == mark.unwrap() == [1, 2]
    assert mark.rewrap(5) == kind(5)
    assert repr(mark) == f"{kind.__name__}([1, 2])"
    assert kind[int](3) == kind(3)
    with pytest.raises(AttributeError):
        mark.value = 3


@pytest.mark.parametrize("kind", KINDS)
def test_equality_and_hash_are_of_kind_and_value(kind):
    assert kind(1) == kind(1)
    assert kind(1) != kind(2)
    assert hash(kind(1)) == hash(kind(1))
    assert len({kind(1), kind(1), kind(2)}) == 2
    assert all(kind(1) != other(1) for other in KINDS if other is not kind)
    with pytest.raises(TypeError, match="unhashable"):
        hash(kind([1]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_survives_pickling(kind, library):
    assert pickle.loads(library.dumps(kind({"a": 1}))) == kind({"a": 1})


def test_unmapped_gives_its_value_for_every_position():
    assert unmapped([1, 2])[7] == [1, 2]


def test_old_name_of_quote_warns():
    with pytest.warns(DeprecationWarning, match="quote"):
        mark = Quote(expr=1)
    assert mark.unquote() == 1
    assert isinstance(mark, quote)


def test_freeze_needs_a_json_form():
    assert freeze({"a": [1]}).unfreeze() == {"a": [1]}
    with pytest.raises(ValueError, match="JSON"):
        freeze(object())


def test_freeze_is_a_pydantic_type():
    assert TypeAdapter(freeze[int]).validate_python("5") == freeze(5)
    assert TypeAdapter(freeze[int]).validate_python(freeze("5")) == freeze(5)
    with pytest.raises(ValidationError):
        TypeAdapter(freeze[int]).validate_python("x")

    class Model(BaseModel):
        value: freeze[int]

    assert Model(value=3).model_dump_json() == '{"value":3}'
